//! What single elements say: numbers, times, angles, corners, lists.

use std::collections::{BTreeMap, BTreeSet};

use super::{BandBlock, Listed, Reader, clip};
use crate::scene::time::{self, Stated};
use crate::scene::{Code, Sun, View, Warning, files};
use crate::units::{SunElevation, SunZenith};

impl<'a> Reader<'a> {
    /// First of `names` that is there and not empty.
    pub(super) fn text<'n, N: AsRef<str>>(&self, names: &'n [N]) -> Option<(&'n str, &'a str)> {
        names.iter().find_map(|name| self.texts.get(name.as_ref()).map(|text| (name.as_ref(), *text)))
    }

    fn warn(&mut self, code: Code, field: &str, what: &str) {
        let file = files::file_name(&self.path);
        self.warnings.push(Warning { code, message: format!("`{file}`, field `{field}`: {what}") });
    }

    /// A number from `low` to `high`; anything else is dropped with a warning.
    pub(super) fn number<N: AsRef<str>>(&mut self, names: &[N], low: f64, high: f64) -> Option<f64> {
        let (name, text) = self.text(names)?;
        let value = text.parse::<f64>().ok().filter(|v| (low..=high).contains(v));
        if value.is_none() {
            let text = clip(text);
            self.warn(
                Code::FieldIgnored,
                name,
                &format!("expected a number from {low} to {high}, found `{text}`; ignored"),
            );
        }
        value
    }

    pub(super) fn time(&mut self, name: &str) -> Option<Stated> {
        let (_, text) = self.text(&[name])?;
        let stated = time::read(text, Some(time::beijing()));
        if stated.is_none() {
            let text = clip(text);
            self.warn(Code::FieldIgnored, name, &format!("expected `YYYY-MM-DD HH:MM:SS`, found `{text}`; ignored"));
        }
        stated
    }

    pub(super) fn sun(&mut self) -> Option<Sun> {
        let elevation = self.number(&["SolarElevation"], -90.0, 90.0).map(SunElevation);
        let zenith = self.number(&["SolarZenith"], 0.0, 180.0).map(SunZenith);
        let azimuth_deg = self.number(&["SolarAzimuth"], -360.0, 360.0).map(|a| a.rem_euclid(360.0));
        let zenith = match (zenith, elevation.map(SunZenith::from)) {
            (Some(z), Some(from_elevation)) if (z.0 - from_elevation.0).abs() > 0.1 => {
                let what = format!(
                    "{} contradicts `SolarElevation` {}, which makes it {}; neither is used",
                    z.0,
                    90.0 - from_elevation.0,
                    from_elevation.0
                );
                self.warn(Code::SunContradiction, "SolarZenith", &what);
                None
            }
            (z, from_elevation) => z.or(from_elevation),
        };
        Some(Sun { zenith: zenith?, azimuth_deg })
    }

    pub(super) fn view(&mut self) -> Option<View> {
        let elevation = self.number(&["SatelliteElevation"], 0.0, 90.0).map(|e| 90.0 - e);
        let zenith_deg = elevation.or_else(|| self.number(&["SatelliteZenith"], 0.0, 90.0));
        let azimuth_deg = self.number(&["SatelliteAzimuth"], -360.0, 360.0).map(|a| a.rem_euclid(360.0));
        let roll = ["RollSatelliteAngle", "RollSatelliteAngleMajor", "RollViewingAngle"];
        let roll = self.number(&roll, -90.0, 90.0);
        let view = View { zenith_deg, azimuth_deg, off_nadir_deg: roll.map(f64::abs) };
        (zenith_deg.is_some() || azimuth_deg.is_some() || roll.is_some()).then_some(view)
    }

    /// Production software writes placeholders such as `θ` here.
    pub(super) fn cloud_percent(&mut self) -> Option<f64> {
        let (name, text) = self.text(&["CloudPercent"])?;
        let value = text.trim_end_matches('%').trim_end().parse::<f64>().ok().filter(|v| (0.0..=100.0).contains(v));
        if value.is_none() {
            let text = clip(text);
            self.warn(Code::CloudPercent, name, &format!("expected 0 to 100, found `{text}`; cloud cover is unknown"));
        }
        value
    }

    pub(super) fn corners(&mut self) -> Option<[(f64, f64); 4]> {
        let (upper, lower) = (["Upper", "Top"], ["Lower", "Bottom"]);
        Some([
            self.corner(upper, "Left")?,
            self.corner(upper, "Right")?,
            self.corner(lower, "Right")?,
            self.corner(lower, "Left")?,
        ])
    }

    /// One corner; the names seen have two words for each side, one misspelling, and points as elements of their own.
    fn corner(&mut self, vertical: [&str; 2], horizontal: &str) -> Option<(f64, f64)> {
        let names = |coordinates: &[&str]| -> Vec<String> {
            let corners = vertical.map(|v| format!("{v}{horizontal}"));
            let mut all = Vec::new();
            for (corner, coordinate) in corners.iter().flat_map(|c| coordinates.iter().map(move |k| (c, k))) {
                all.extend(["", "/", "Point/"].map(|joint| format!("{corner}{joint}{coordinate}")));
            }
            all
        };
        let lat = self.number(&names(&["Latitude"]), -90.0, 90.0)?;
        let lon = self.number(&names(&["Longitude", "Longtitude"]), -180.0, 360.0)?;
        Some((if lon > 180.0 { lon - 360.0 } else { lon }, lat))
    }

    /// Jilin-1 states both, Gaofen one for both.
    pub(super) fn gsd(&mut self, prefix: &str) -> Option<(f64, f64)> {
        let names =
            |own: &str| [format!("{prefix}{own}"), format!("{prefix}ImageGSD"), format!("{prefix}ImageGSDLine")];
        let cols = self.number(&names("ImageColumnGSD"), 1e-3, 1e4);
        let rows = self.number(&names("ImageRowGSD"), 1e-3, 1e4);
        Some((cols?, rows?))
    }

    /// The blocks of the bands of a GP scene.
    pub(super) fn bands(&mut self) -> BTreeMap<u8, BandBlock> {
        let number = |key: &String| key.strip_prefix("BAND_B")?.split_once('/')?.0.parse::<u8>().ok();
        let numbers: BTreeSet<u8> = self.texts.keys().filter_map(number).collect();
        let mut bands = BTreeMap::new();
        for number in numbers {
            let prefix = format!("BAND_B{number}/");
            let block = BandBlock {
                center: self.time(&format!("{prefix}CenterTime")),
                start: self.time(&format!("{prefix}StartTime")),
                end: self.time(&format!("{prefix}EndTime")),
                gsd_m: self.gsd(&prefix),
            };
            bands.insert(number, block);
        }
        bands
    }

    /// Not stated is not "no".
    pub(super) fn mtf_compensated(&mut self) -> Option<bool> {
        let (name, text) = self.text(&["MtfCompensation"])?;
        match text.to_ascii_uppercase().as_str() {
            "YES" => Some(true),
            "NO" => Some(false),
            _ => {
                let text = clip(text);
                self.warn(Code::FieldIgnored, name, &format!("expected YES or NO, found `{text}`; ignored"));
                None
            }
        }
    }

    /// Gains that Gaofen products state since about 2023, `AbsCeof` or `AGain`; products without them have no such element,
    /// an empty one, or one full of `NULL`.
    ///
    /// # Reference
    /// Public batch scripts for GF-1, GF-2 and GF-6 that use the list as a gain with offset 0.
    pub(super) fn plain_gains(&mut self) -> Option<(&'static str, Vec<f64>)> {
        let known = ["AbsCeof", "AGain"];
        let (name, text) = known.iter().find_map(|name| Some((*name, self.text(&[name])?.1)))?;
        let items: Vec<&str> = text.split([',', '，']).map(str::trim).filter(|item| !item.is_empty()).collect();
        if items.iter().all(|item| item.eq_ignore_ascii_case("NULL")) {
            return None;
        }
        let numbers: Option<Vec<f64>> =
            items.iter().map(|item| item.parse().ok().filter(|v: &f64| v.is_finite() && *v > 0.0)).collect();
        if numbers.is_none() {
            self.warn(Code::FieldIgnored, name, &format!("expected numbers above 0, found `{}`; ignored", clip(text)));
        }
        Some((name, numbers?))
    }

    /// A comma-separated list of finite numbers; `None` when the element is missing or empty. What is no such number is kept
    /// as it stands: whether the item is needed is not known here.
    pub(super) fn list(&self, name: &str, positive: bool) -> Option<Vec<Listed>> {
        let (_, text) = self.text(&[name])?;
        let text = text.trim_end_matches([',', '，']);
        let read = |item: &str| match item.trim().parse::<f64>() {
            Ok(v) if v.is_finite() && (!positive || v > 0.0) => Ok(v),
            _ => Err(clip(item.trim())),
        };
        Some(text.split([',', '，']).map(read).collect())
    }
}
