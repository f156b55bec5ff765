//! Whether heights are what they are said to be: what the files state, what their names say, what a geoid can be, and what
//! the sensor models were made for.

use std::path::Path;

use super::super::EngineError;
use crate::config::Datum;
use crate::geometry::Sensor;
use crate::read::{HeightWindow, Heights, Vertical};
use crate::scene::{Code, Part, Warning};

/// Lowest and highest undulation that a geoid grid may hold, metres: EGM96 and EGM2008 lie between −107 and +86.
///
/// # Reference
/// NGA Office of Geomatics, EGM96 and EGM2008.
const UNDULATIONS_M: (f64, f64) = (-120.0, 120.0);

/// Metres that the terrain may leave the heights of a sensor model by, and the share of its scale that is added: beyond,
/// the polynomials are carried further than they were fitted.
const MODEL_MARGIN_M: f64 = 50.0;
const MODEL_MARGIN: f64 = 0.1;

/// Metres between the terrain and the heights of a sensor model that nothing sensible can explain.
const ABSURD_M: f64 = 3000.0;

/// Refuses what is no grid of undulations around a scene.
pub fn undulations(window: &HeightWindow, path: &Path) -> Result<(), EngineError> {
    let fault = |reason: String| EngineError::NoGeoid { path: path.to_owned(), reason };
    match window.range() {
        None => Err(fault("it has no values under the scene".into())),
        Some(_) if window.heights.iter().any(|h| h.is_nan()) => Err(fault("it has voids under the scene".into())),
        Some((low, high)) if low < UNDULATIONS_M.0 || high > UNDULATIONS_M.1 => Err(fault(format!(
            "it holds {low:.1} to {high:.1} m under the scene, and undulations lie between {} and {} m",
            UNDULATIONS_M.0, UNDULATIONS_M.1
        ))),
        Some(_) => Ok(()),
    }
}

/// Compares the datum declared with what the files of a DEM state, and with what their names say.
pub fn against_files(dem: &Heights, declared: Option<Datum>, warnings: &mut Vec<Warning>) -> Result<(), EngineError> {
    let Some(declared) = declared else { return Ok(()) };
    let mut odd = Vec::new();
    for sheet in dem.sheets() {
        let same = match (&sheet.vertical, declared) {
            (None, _) => {
                let name = sheet.path.file_name().unwrap_or_default().to_string_lossy();
                let known = product(&name).filter(|(_, datum)| *datum != declared);
                if let Some((what, datum)) = known {
                    odd.push(format!(
                        "`{name}` is by its name of {what}, whose heights are {}, and `datum` is {declared}",
                        counted(datum)
                    ));
                }
                true
            }
            (Some(Vertical::Ellipsoid), d) => d == Datum::Ellipsoid,
            (Some(Vertical::Egm96), d) => d == Datum::Egm96,
            (Some(Vertical::Egm2008), d) => d == Datum::Egm2008,
            (Some(Vertical::Other(_)), Datum::Ellipsoid) => false,
            // Height systems of countries follow the geoid within a metre or two.
            (Some(Vertical::Other(name)), d) => {
                odd.push(format!(
                    "`{}` states heights above {name}, taken as above {d}",
                    sheet.path.file_name().unwrap_or_default().to_string_lossy()
                ));
                true
            }
        };
        if let (Some(states), false) = (&sheet.vertical, same) {
            return Err(EngineError::HeightDatum {
                path: sheet.path.clone(),
                states: states.to_string(),
                declared: declared.to_string(),
            });
        }
    }
    // Tiles of one product are odd alike.
    if let Some(first) = odd.first() {
        let more = if odd.len() > 1 { format!(" (and {} more files)", odd.len() - 1) } else { String::new() };
        let message = format!("{first}{more}; heights are used as declared");
        warnings.push(Warning { code: Code::HeightDatum, message });
    }
    Ok(())
}

fn counted(datum: Datum) -> &'static str {
    match datum {
        Datum::Ellipsoid => "above the ellipsoid",
        Datum::Egm96 => "above EGM96",
        Datum::Egm2008 => "above EGM2008",
    }
}

/// The product of elevation that a file is of by its name, and its datum.
///
/// # Reference
/// The products' handbooks: Copernicus DEM (EGM2008), FABDEM (EGM2008), SRTM and NASADEM (EGM96), ASTER GDEM (EGM96),
/// ALOS World 3D (EGM96), MERIT DEM (EGM96), TanDEM-X DEM (WGS 84 ellipsoid).
fn product(file: &str) -> Option<(&'static str, Datum)> {
    let name = file.to_ascii_lowercase();
    let marks = [
        ("copernicus_dsm_", "the Copernicus DEM", Datum::Egm2008),
        ("fabdem", "FABDEM", Datum::Egm2008),
        ("srtm", "SRTM", Datum::Egm96),
        ("nasadem_hgt", "NASADEM", Datum::Egm96),
        ("astgtm", "the ASTER GDEM", Datum::Egm96),
        ("alpsmlc30", "ALOS World 3D", Datum::Egm96),
        ("aw3d30", "ALOS World 3D", Datum::Egm96),
        ("merit", "MERIT DEM", Datum::Egm96),
        ("tdm1_dem_", "the TanDEM-X DEM", Datum::Ellipsoid),
    ];
    let marked = marks.into_iter().find(|(mark, ..)| name.contains(mark)).map(|(_, what, datum)| (what, datum));
    marked.or_else(|| is_hgt(&name).then_some(("SRTM", Datum::Egm96)))
}

/// `n43e125.hgt`, as SRTM names its tiles.
fn is_hgt(name: &str) -> bool {
    let form = |c: (usize, char)| match c {
        (0, c) => matches!(c, 'n' | 's'),
        (3, c) => matches!(c, 'e' | 'w'),
        (_, c) => c.is_ascii_digit(),
    };
    name.strip_suffix(".hgt").is_some_and(|stem| stem.len() == 7 && stem.chars().enumerate().all(form))
}

/// Compares the heights of the ground, metres above the ellipsoid, with those that the sensor models were made for.
pub fn against_models(
    parts: &[&Part],
    sensors: &[Sensor],
    ground: (f64, f64),
    warnings: &mut Vec<Warning>,
) -> Result<(), EngineError> {
    for (part, sensor) in parts.iter().zip(sensors) {
        let (low, high) = sensor.heights_m();
        let apart = (ground.0 - high).max(low - ground.1);
        if apart > ABSURD_M {
            return Err(EngineError::HeightsApart { part: part.name.clone(), ground, model: (low, high) });
        }
        let margin = MODEL_MARGIN_M + MODEL_MARGIN * 0.5 * (high - low);
        let beyond = (low - ground.0).max(ground.1 - high);
        if beyond > margin {
            let message = format!(
                "the ground under part {} lies between {:.0} and {:.0} m above the ellipsoid, {beyond:.0} m beyond the {low:.0} to {high:.0} m that its RPC were made for; usual causes are a wrong `datum`, a wrong DEM, or heights in feet",
                part.name, ground.0, ground.1
            );
            warnings.push(Warning { code: Code::HeightRange, message });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_known_by_their_names() {
        let datum = |name: &str| product(name).map(|p| p.1);
        for (name, expected) in [
            ("Copernicus_DSM_COG_10_N43_00_E125_00_DEM.tif", Datum::Egm2008),
            ("N43E125_FABDEM_V1-2.tif", Datum::Egm2008),
            ("N43E125.hgt", Datum::Egm96),
            ("N43E125.SRTMGL1.hgt", Datum::Egm96),
            ("srtm_61_04.tif", Datum::Egm96),
            ("NASADEM_HGT_n43e125.tif", Datum::Egm96),
            ("ASTGTMV003_N43E125_dem.tif", Datum::Egm96),
            ("ALPSMLC30_N043E125_DSM.tif", Datum::Egm96),
            ("TDM1_DEM__10_N43E125_DEM.tif", Datum::Ellipsoid),
        ] {
            assert_eq!(datum(name), Some(expected), "{name}");
        }
        for name in ["dem.tif", "N43E125.tif", "changchun.hgt", "n43e12x.hgt"] {
            assert_eq!(datum(name), None, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_undulations_is_refused() {
        let of = |heights: Vec<f32>| {
            let window = crate::grid::Window::new(0, 0, 1, heights.len());
            undulations(&HeightWindow { window, heights }, Path::new("g.tif")).map_err(|e| e.to_string())
        };
        assert_eq!(of(vec![-107.0, 86.0]), Ok(()));
        assert!(of(vec![10.0, 121.0]).unwrap_err().contains("10.0 to 121.0 m"));
        assert!(of(vec![10.0, f32::NAN]).unwrap_err().contains("voids"));
        assert!(of(vec![f32::NAN]).unwrap_err().contains("no values"));
    }
}
