//! One raster of a Gaofen delivery, with the metadata and the sensor model that belong to it.

use std::path::{Path, PathBuf};

use super::cameras;
use super::name::{self, Name, PartToken};
use crate::scene::assemble::{self, ReadPart};
use crate::scene::coefficients::{self, User};
use crate::scene::files::{self, Surroundings};
use crate::scene::image;
use crate::scene::metadata::{self, Metadata};
use crate::scene::naming::Found;
use crate::scene::{
    Band, Calibration, Code, Part, Processed, Processing, SampleType, SceneError, Warning, companion, level, place,
};

/// DN of what is outside the image, also between the tiles of GF-6.
const FILL: f64 = 0.0;

/// A camera of a satellite, by the vendor's tokens.
pub(super) struct Camera {
    /// `GF1B`.
    pub satellite: String,
    /// `PMS1`.
    pub sensor: String,
}

/// The camera as the metadata say, else as the name says.
pub(super) fn camera(name: &Name, metadata: Option<&Metadata>) -> Camera {
    let stated = metadata.and_then(|m| m.satellite.as_ref()).map(|s| s.replace(['-', ' '], "").to_ascii_uppercase());
    let sensor = metadata.and_then(|m| m.sensor.as_ref()).map(|s| s.trim().to_ascii_uppercase());
    Camera {
        satellite: stated.filter(|s| name::is_satellite(s)).unwrap_or_else(|| name.satellite.clone()),
        // `PMS` in the metadata of `PMS1` is no other camera, only fewer words.
        sensor: sensor
            .filter(|s| name::is_sensor(s) && !name.sensor.starts_with(s))
            .unwrap_or_else(|| name.sensor.clone()),
    }
}

/// Reads a raster and what belongs to it; coefficients come last, by [`calibrate`].
pub(super) fn read(found: &Found, name: &Name) -> Result<ReadPart, SceneError> {
    let Found { image, beside, .. } = found;
    let mut facts = image::facts(image)?;
    let around = Surroundings::of(image, beside);
    let mut warnings = Vec::new();

    let meta_path = metadata_path(&around, image, name)?;
    let mut metadata = meta_path.as_deref().map(metadata::read).transpose()?;
    match &mut metadata {
        Some(m) => {
            warnings.append(&mut m.warnings);
            warnings.extend(conflicts(image, name, m));
        }
        None => {
            let message =
                format!("no `{}` beside the image: time and angles are unknown", companion::name(image, ".xml"));
            warnings.push(Warning { code: Code::MetadataMissing, message });
        }
    }
    let camera = camera(name, metadata.as_ref());
    let Some(bands) = cameras::bands(&camera.satellite, &camera.sensor, facts.bands) else {
        return Err(SceneError::Unsupported {
            path: image.clone(),
            what: format!("an image of {} {} with {} bands", camera.satellite, camera.sensor, facts.bands),
            remedy: "check that the file is what its name says, or describe its bands in a `scene.toml` beside it"
                .into(),
        });
    };
    let own = [".rpb", "_rpb.txt", "_rpc.txt", ".rpc"];
    let (sensor_model, rpc_path) = place::sensor_model(image, &mut facts, || companion::first(&around, image, &own))?;
    warnings.extend(place::rpc_misfit(image, &facts, &sensor_model));
    let reason = "not looked for yet".to_string();
    let bands = bands
        .enumerate()
        .map(|(index, (role, range))| Band {
            role,
            file: image.clone(),
            index,
            name: role.code().into(),
            range_nm: Some(range),
            calibration: Calibration::Missing { reason: reason.clone() },
        })
        .collect();
    let part_name = match (name.part, facts.bands) {
        (Some(PartToken::Pan), _) | (_, 1) => "PAN",
        _ => "MSS",
    };
    let said_by = format!("the 8-bit samples of `{}`", files::file_name(image));
    let stretched = Processing { what: Processed::Stretched, said_by };
    let part = Part {
        name: part_name.into(),
        rows: facts.rows,
        cols: facts.cols,
        sample: facts.sample,
        bands,
        gsd_m: metadata.as_ref().and_then(|m| m.gsd_m),
        data_bits: metadata.as_ref().and_then(|m| m.data_bits).filter(|bits| *bits <= facts.sample.bits()),
        fill: Some(FILL),
        mtf_compensated: metadata.as_ref().and_then(|m| m.mtf_compensated),
        // These cameras have 10 bits and more.
        processed: if facts.sample == SampleType::U8 { vec![stretched] } else { Vec::new() },
        sensor_model,
        fields: metadata.as_mut().map(|m| std::mem::take(&mut m.fields)).unwrap_or_default(),
    };
    let metadata_files = meta_path.into_iter().chain(rpc_path).collect();
    Ok(ReadPart { image: image.clone(), part, metadata, metadata_files, warnings })
}

/// Coefficients of the bands of a product, for an acquisition of `year`: the user's, else the metadata's, else the table's.
pub(super) fn calibrate(read: &mut ReadPart, name: &Name, year: i16) -> Result<(), SceneError> {
    let camera = camera(name, read.metadata.as_ref());
    let user = User::beside(&read.image)?;
    read.metadata_files.extend(user.file_for(&camera.satellite, &camera.sensor, year).map(Path::to_path_buf));
    let count = read.part.bands.len();
    let stated = read.metadata.as_ref().and_then(|m| m.plain_gains.clone());
    let meta_file = read.metadata_files.first().map(|p| files::file_name(p)).unwrap_or_default();
    let mut doubts: Vec<(String, String)> = Vec::new();
    for (position, band) in read.part.bands.iter_mut().enumerate() {
        let own = user.calibration(&camera.satellite, &camera.sensor, year, band.role);
        band.calibration = match (own, &stated) {
            (Some(own), _) => own,
            (None, Some((field, gains))) => match gains.get(position).filter(|_| gains.len() == count) {
                Some(gain) => Calibration::Radiance {
                    gain: *gain,
                    bias: 0.0,
                    source: format!("{meta_file}: {field}, item {}", position + 1),
                },
                None => Calibration::Missing {
                    reason: format!("`{meta_file}`, field `{field}` has {} numbers for {count} bands", gains.len()),
                },
            },
            (None, None) => {
                let known = coefficients::gaofen(&camera.satellite, &camera.sensor, year, band.role);
                if let Some(doubt) = known.doubt {
                    doubts.push((band.role.code().into(), doubt));
                }
                known.calibration
            }
        };
    }
    doubts.dedup_by(|b, a| {
        let same = a.1 == b.1;
        if same {
            a.0 = format!("{}, {}", a.0, b.0);
        }
        same
    });
    for (bands, doubt) in doubts {
        let message = format!(
            "the coefficients of {bands} of {} {} in {year} are not certain: {doubt}; others can be stated in a `{}`",
            camera.satellite,
            camera.sensor,
            coefficients::FILE
        );
        read.warnings.push(Warning { code: Code::CoefficientsDoubtful, message });
    }
    Ok(())
}

/// Where name and metadata contradict each other.
fn conflicts(image: &Path, name: &Name, metadata: &Metadata) -> Vec<Warning> {
    let camera = camera(name, Some(metadata));
    let mut found = Vec::new();
    if camera.satellite != name.satellite {
        found.push(assemble::conflict(image, "SatelliteID", &name.satellite, &camera.satellite));
    }
    if camera.sensor != name.sensor {
        found.push(assemble::conflict(image, "SensorID", &name.sensor, &camera.sensor));
    }
    if let Some(stated) = metadata.level.as_deref().map(level::plain).filter(|stated| *stated != name.level) {
        found.push(assemble::conflict(image, "ProductLevel", &name.level, &stated));
    }
    found
}

/// The `.xml` named as the image, else that of the whole product.
fn metadata_path(around: &Surroundings, image: &Path, name: &Name) -> Result<Option<PathBuf>, SceneError> {
    match companion::exact(around, image, ".xml")? {
        Some(path) => Ok(Some(path)),
        None => around.named(&format!("{}.xml", name.stem)),
    }
}
