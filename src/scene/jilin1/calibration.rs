//! Coefficients of a Jilin-1 raster: the lists of its metadata, item by item, or why there are none.

use std::path::Path;

use super::family::GP_BANDS;
use super::part::Content;
use crate::scene::metadata::{Listed, Metadata};
use crate::scene::{Calibration, SceneError, companion, files};

/// Coefficients band by band. A list that does not match the bands is an error: which item belongs to which band is never
/// guessed.
///
/// # Units
/// W·m⁻²·sr⁻¹·µm⁻¹.
pub(super) fn of_bands(
    image: &Path,
    meta_path: Option<&Path>,
    metadata: Option<&Metadata>,
    bands: &[Content],
) -> Result<Vec<Calibration>, SceneError> {
    let (Some(path), Some(metadata)) = (meta_path, metadata) else {
        let reason = format!("there is no `{}`", companion::name(image, "_meta.xml"));
        return Ok(vec![Calibration::Missing { reason }; bands.len()]);
    };
    let file = files::file_name(path);
    let (Some(gains), Some(biases)) = (&metadata.gains, &metadata.biases) else {
        let field = if metadata.gains.is_none() { "AbsCalibrationGain" } else { "AbsCalibrationBias" };
        return Ok(vec![Calibration::Missing { reason: format!("`{file}` has no `{field}`") }; bands.len()]);
    };
    let lists = [("AbsCalibrationGain", gains), ("AbsCalibrationBias", biases)];
    // The lists of a GP scene start at its first band, B0, whatever bands a file holds; those of its fused image may have
    // been cut to its own four.
    let by_number = lists.iter().all(|(_, list)| list.len() == GP_BANDS) && bands.iter().all(|b| b.number.is_some());
    let numbered_file = matches!(bands, [Content { number: Some(_), .. }]);
    for (field, list) in lists {
        let expected = match numbered_file {
            true => format!("{GP_BANDS} numbers, one for each band of the scene"),
            false => format!("{} numbers, one for each band of `{}`", bands.len(), files::file_name(image)),
        };
        if !by_number && (numbered_file || list.len() != bands.len()) {
            return Err(SceneError::Field {
                path: path.into(),
                field: field.into(),
                expected,
                found: list.len().to_string(),
                remedy: "ask the vendor for the coefficients of this image".into(),
            });
        }
    }
    let item = |band: &Content, position: usize| band.number.filter(|_| by_number).map_or(position, usize::from);
    let of = |(position, band): (usize, &Content)| {
        let at = item(band, position);
        Ok(Calibration::Radiance {
            gain: number(path, "AbsCalibrationGain", gains, at, "a number above 0")?,
            bias: number(path, "AbsCalibrationBias", biases, at, "a number")?,
            source: format!("{file}: AbsCalibrationGain and AbsCalibrationBias, item {}", at + 1),
        })
    };
    bands.iter().enumerate().map(of).collect()
}

fn number(path: &Path, field: &str, list: &[Listed], at: usize, expected: &str) -> Result<f64, SceneError> {
    let wrong = |found: &str| SceneError::Field {
        path: path.into(),
        field: field.into(),
        expected: expected.into(),
        found: format!("`{found}` as item {}", at + 1),
        remedy: "ask the vendor for the coefficients, or run with level `dn`".into(),
    };
    match list.get(at) {
        Some(Ok(value)) => Ok(*value),
        Some(Err(text)) => Err(wrong(text)),
        None => Err(wrong("nothing")),
    }
}
