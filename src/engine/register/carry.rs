//! From the image space of one part, through the ground, to that of another.

use super::super::plan::{Input, Placement, ScenePlan};
use crate::error::{Error, Result};
use crate::geometry::sensor::Correction;
use crate::grid::GeoTransform;
use crate::survey::coregister::{self, Model, Move};

/// Positions along each axis of an image between which a correction is carried from one part to another.
const CARRIED: usize = 5;

/// The correction of `to` that does to the ground what `correction` of `from` does: both look from one satellite, whose
/// position and attitude were wrong. `None` where positions do not determine it.
pub(super) fn carried(
    plan: &ScenePlan,
    from: &Input,
    correction: Correction,
    to: &Input,
) -> Result<Option<Correction>> {
    if to.part == from.part {
        return Ok(Some(correction));
    }
    let (part, height) = (&plan.scene.parts[to.part], plan.middle_height_m());
    let mut ties = Vec::new();
    for step in 0..CARRIED * CARRIED {
        let share = |n: usize, k: usize| (n as f64 - 1.0) * k as f64 / (CARRIED - 1) as f64;
        let own = (share(part.cols, step % CARRIED), share(part.rows, step / CARRIED));
        // The ground under it; where the other part's model has that, and where it really is there; the ground that the model
        // has under that; and where this part's model has that ground: there it really is.
        let ground = to.placement.ground(own, height)?;
        let (c, r) = from.placement.image(ground, height)?;
        let meant = from.placement.ground(correction.apply(c, r), height)?;
        ties.push(Move { from: own, to: to.placement.image(meant, height)? });
    }
    let whole_shift = correction.col[1..] == [1.0, 0.0] && correction.row[1..] == [0.0, 1.0];
    Ok(coregister::between(&ties, if whole_shift { Model::Shift } else { Model::Affine }))
}

impl Placement {
    /// The placement with image positions changed by a correction.
    pub fn corrected(&self, correction: Correction) -> Self {
        match self {
            Self::Sensor(sensor) => Self::Sensor(Box::new((**sensor).clone().with_correction(correction))),
            Self::Map { crs, transform, snapped } => {
                // What the correction moves a position to is where the map must have had it.
                let before = |col: f64, row: f64| {
                    let (c, r) = correction.undo(col - 0.5, row - 0.5);
                    transform.world_from_pixel(c + 0.5, r + 0.5)
                };
                let ((x0, y0), (xc, yc), (xr, yr)) = (before(0.0, 0.0), before(1.0, 0.0), before(0.0, 1.0));
                let (dx_col, dy_col, dx_row, dy_row) = (xc - x0, yc - y0, xr - x0, yr - y0);
                let transform = GeoTransform { x0, dx_col, dx_row, y0, dy_col, dy_row };
                Self::Map { crs: crs.clone(), transform, snapped: *snapped }
            }
            // Refused with the configuration.
            Self::Same => Self::Same,
        }
    }

    /// Longitude and latitude of an image position at a height.
    pub(super) fn ground(&self, (col, row): (f64, f64), height: f64) -> Result<(f64, f64)> {
        match self {
            Self::Sensor(sensor) => Ok(sensor.ground_from_image(col, row, height)?),
            Self::Map { crs, transform, .. } => {
                let at = transform.world_from_pixel(col + 0.5, row + 0.5);
                Ok(super::super::publish::geographic(crs, &[at])?.first().copied().unwrap_or((f64::NAN, f64::NAN)))
            }
            Self::Same => Err(Error::bug("co-registration of pixels that stay where they are")),
        }
    }

    /// Image position of a ground point.
    fn image(&self, (lon, lat): (f64, f64), height: f64) -> Result<(f64, f64)> {
        match self {
            Self::Sensor(sensor) => {
                let (mut c, mut r) = ([f64::NAN], [f64::NAN]);
                sensor.image_from_ground(&[lon], &[lat], &[height], &mut c, &mut r);
                Ok((c[0], r[0]))
            }
            Self::Map { crs, transform, .. } => {
                let (x, y) = crate::geometry::ortho::to_crs(&[(lon, lat)], crs)?[0];
                let (c, r) = transform.pixel_from_world(x, y);
                Ok((c - 0.5, r - 0.5))
            }
            Self::Same => Err(Error::bug("co-registration of pixels that stay where they are")),
        }
    }
}
