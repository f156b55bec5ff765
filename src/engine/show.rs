//! How each product is shown to people.

use super::plan::{Layer, ScenePlan};
use crate::picture::{Ramp, Style};
use crate::product::{Encoding, Product, Program};
use crate::scene::Role;

/// Positions of the bands that are shown: true colour, else false colour, else the first.
fn shown(roles: &[Role]) -> Vec<usize> {
    let all = |wanted: [Role; 3]| -> Option<Vec<usize>> {
        wanted.iter().map(|w| roles.iter().position(|r| r == w)).collect()
    };
    all([Role::R, Role::G, Role::B]).or_else(|| all([Role::N, Role::R, Role::G])).unwrap_or_else(|| vec![0])
}

/// Bands of a product whose range for display has to be known.
pub fn stretched(product: &Product) -> Vec<Role> {
    let roles = match &product.program {
        Program::Bands(_) | Program::Night(_) | Program::Pansharpen(_) => product.roles(),
        _ => return Vec::new(),
    };
    shown(&roles).into_iter().filter_map(|k| roles.get(k).copied()).collect()
}

/// Reflectance is shown a little brighter than linear, as screens are darker in the middle than the eye.
const DAY_GAMMA: f64 = 0.75;
/// Lights are shown by the square root of their radiance: they span three orders of magnitude.
const NIGHT_GAMMA: f64 = 0.5;
/// Lights at least this many standard deviations above the dark are white, so that a scene without any stays dark.
const NIGHT_WHITE: f64 = 20.0;

/// How a product is shown; `None` when no pictures are wanted.
pub fn style(plan: &ScenePlan, layer: &Layer, product: &Product) -> Option<Style> {
    let survey = plan.survey.as_ref().map(|d| &d.survey).filter(|_| plan.pipeline.output.pictures);
    let by_bands = |gamma: f64, range: &dyn Fn(usize, Role) -> (f64, f64)| {
        let roles = product.roles();
        let shown = shown(&roles).into_iter().filter_map(|k| Some((k, range(k, *roles.get(k)?)))).collect();
        Some(Style::Bands { shown, gamma })
    };
    let scale = product.encoding.scale();
    let linear = layer.linear();
    let value = |role: Role, dn: f64| {
        let plane = layer.roles.iter().position(|r| *r == role);
        plane.map_or(f64::NAN, |p| linear[p].apply(dn) / scale)
    };
    match &product.program {
        Program::Bands(_) | Program::Pansharpen(_) => by_bands(DAY_GAMMA, &|_, role| {
            let range = survey.and_then(|s| s.stretch.get(&role));
            range.map_or((f64::NAN, f64::NAN), |r| (value(role, r.low), value(role, r.high)))
        })
        .filter(|_| survey.is_some()),
        Program::Night(bands) => by_bands(NIGHT_GAMMA, &|k, role| {
            let (dark, range) = (bands[k].dark_dn, survey.and_then(|s| s.stretch.get(&role)));
            let sigma = survey.and_then(|s| s.dark.get(&role)).map_or(1.0, |d| d.sigma);
            let white = range.map_or(f64::NAN, |r| r.highlight).max(dark + NIGHT_WHITE * sigma);
            (0.0, value(role, white) - value(role, dark))
        })
        .filter(|_| survey.is_some()),
        _ if !plan.pipeline.output.pictures => None,
        Program::Preview(_) => by_bands(1.0, &|_, _| (1.0, 255.0)).map(in_file_order),
        Program::Index(row) => {
            let (ramp, range) = match row.domain.as_str() {
                "vegetation" => (Ramp::Vegetation, (-0.2, 0.9)),
                "water" | "snow" => (Ramp::Water, (-0.8, 0.8)),
                _ => (Ramp::Heat, (-1.0, 1.0)),
            };
            let known = product.encoding == Encoding::ScaledI16 || row.scaled;
            Some(Style::Ramp { ramp, range: known.then_some((range.0 / scale, range.1 / scale)) })
        }
        Program::Qa => Some(Style::States),
    }
}

/// A preview's bands are red, green and blue in that order, whatever their roles.
fn in_file_order(style: Style) -> Style {
    match style {
        Style::Bands { shown, gamma } => {
            let range = shown.first().map_or((1.0, 255.0), |s| s.1);
            Style::Bands { shown: (0..shown.len()).map(|k| (k, range)).collect(), gamma }
        }
        other => other,
    }
}
