//! One raster of a Jilin-1 delivery, with the metadata and the sensor model that belong to it.

use std::path::{Path, PathBuf};

use super::calibration;
use super::family::{self, Camera};
use super::name::{self, Name, PartToken};
use crate::scene::assemble::{self, ReadPart};
use crate::scene::coefficients::User;
use crate::scene::files::{self, Surroundings};
use crate::scene::image::{self, Facts};
use crate::scene::metadata::{self, Metadata};
use crate::scene::naming::Found;
use crate::scene::{
    Band, Calibration, Code, Part, Processed, Processing, Role, SampleType, SceneError, Warning, companion, footprint,
    level, place,
};

/// DN of the black border, in every Jilin-1 product.
const FILL: f64 = 0.0;

/// What `FUSMethod` says of an image that was not fused.
const NO_FUSION: [&str; 5] = ["NO", "NONE", "NULL", "N/A", "0"];

/// Bands of a raster in file order.
pub(super) struct Contents {
    /// Name of the part.
    pub name: String,
    /// What the bands are.
    pub bands: Vec<Content>,
}

/// One band.
pub(super) struct Content {
    pub role: Role,
    /// Its number in a hyperspectral scene: the item of the lists that is its own.
    pub number: Option<u8>,
    /// What the file calls it.
    pub label: Option<String>,
}

/// Reads a raster and what belongs to it.
pub(super) fn read(found: &Found, name: &Name) -> Result<ReadPart, SceneError> {
    let Found { image, beside, .. } = found;
    let mut facts = image::facts(image)?;
    let around = Surroundings::of(image, beside);
    let mut warnings = Vec::new();
    let mut metadata_files = Vec::new();

    let meta_path = metadata_path(&around, image, name)?;
    let mut metadata = meta_path.as_deref().map(metadata::read).transpose()?;
    match &mut metadata {
        Some(m) => {
            warnings.append(&mut m.warnings);
            warnings.extend(conflicts(image, name, m));
        }
        None => warnings.push(Warning {
            code: Code::MetadataMissing,
            message: format!(
                "no `{}` beside the image: time is taken from the name, and calibration and angles are unknown",
                companion::name(image, "_meta.xml")
            ),
        }),
    }
    if let Some(m) = metadata.as_mut().filter(|m| m.corners.is_none())
        && let Some((corners, path)) = footprint::beside(&around, image)?
    {
        m.corners = Some(corners);
        metadata_files.push(path);
    }
    let said = |pick: fn(&Metadata) -> &Option<String>| metadata.as_ref().and_then(|m| pick(m).clone());
    let camera = super::camera(name, said(|m| &m.satellite), said(|m| &m.sensor));
    let contents = contents(image, name, &camera, &facts, &mut warnings)?;
    let (sensor_model, rpc_path) = place::sensor_model(image, &mut facts, || rpc_path(&around, image, name))?;
    warnings.extend(place::rpc_misfit(image, &facts, &sensor_model));

    let calibrations = calibration::of_bands(image, meta_path.as_deref(), metadata.as_ref(), &contents.bands)?;
    let user = User::beside(image)?;
    let year = year(name, metadata.as_ref());
    let own = |role| user.calibration(&camera.satellite, &camera.sensor, year?, role);
    let calibrations: Vec<Calibration> =
        contents.bands.iter().zip(calibrations).map(|(band, stated)| own(band.role).unwrap_or(stated)).collect();
    let meta_file = meta_path.as_deref().map(files::file_name);
    metadata_files.extend(meta_path);
    metadata_files.extend(rpc_path);
    metadata_files
        .extend(year.and_then(|y| user.file_for(&camera.satellite, &camera.sensor, y)).map(Path::to_path_buf));

    let numbers: Vec<Option<u8>> = contents.bands.iter().map(|b| b.number).collect();
    let bands = contents
        .bands
        .into_iter()
        .zip(calibrations)
        .enumerate()
        .map(|(index, (band, calibration))| Band {
            role: band.role,
            file: image.clone(),
            index,
            name: band.label.unwrap_or_else(|| band.role.code().into()),
            range_nm: family::range(&camera, band.role).map(|(range, _)| range),
            calibration,
        })
        .collect();
    let data_bits = metadata.as_ref().and_then(|m| m.data_bits);
    let plausible = data_bits.filter(|bits| *bits <= facts.sample.bits());
    if let (Some(bits), None) = (data_bits, plausible) {
        let file = files::file_name(image);
        let message = format!("`DataBits` {bits} does not fit `{file}`, which holds {}; ignored", facts.sample);
        warnings.push(Warning { code: Code::DataBits, message });
    }
    // The block of a band says more than the scene's own numbers.
    let block = match numbers.as_slice() {
        [Some(number)] => metadata.as_ref().and_then(|m| m.bands.get(number)),
        _ => None,
    };
    let part = Part {
        name: contents.name,
        rows: facts.rows,
        cols: facts.cols,
        sample: facts.sample,
        bands,
        gsd_m: block.and_then(|b| b.gsd_m).or_else(|| metadata.as_ref().and_then(|m| m.gsd_m)),
        data_bits: plausible,
        fill: Some(FILL),
        mtf_compensated: metadata.as_ref().and_then(|m| m.mtf_compensated),
        processed: processed(image, name, meta_file.as_deref(), metadata.as_ref(), facts.sample),
        sensor_model,
        fields: metadata.as_mut().map(|m| std::mem::take(&mut m.fields)).unwrap_or_default(),
    };
    Ok(ReadPart { image: image.clone(), part, metadata, metadata_files, warnings })
}

/// Year of the acquisition, UTC.
fn year(name: &Name, metadata: Option<&Metadata>) -> Option<i16> {
    let stated = metadata.and_then(|m| m.center.as_ref().or(m.start.as_ref())).map(|t| t.utc);
    stated.map(|t| t.to_zoned(jiff::tz::TimeZone::UTC).year()).or(name.time.map(|t| t.year()))
}

/// Where name and metadata contradict each other.
fn conflicts(image: &Path, name: &Name, metadata: &Metadata) -> Vec<Warning> {
    let differ = |named: &str, stated: &str| {
        let (a, b) = (super::plain(named), super::plain(stated));
        !super::starts_with(&a, &b) && !super::starts_with(&b, &a)
    };
    let mut found = Vec::new();
    // Anything that is no token of the vendor's, such as the satellite's Chinese name, contradicts nothing.
    if let Some(stated) = metadata.satellite.as_deref().filter(|s| name::is_satellite(&super::plain(s)))
        && differ(&name.satellite, stated)
    {
        found.push(assemble::conflict(image, "SatelliteID", &name.satellite, stated));
    }
    if let (Some(named), Some(stated)) = (name.sensor.as_deref(), metadata.sensor.as_deref())
        && name::is_sensor(&super::plain(stated))
        && differ(named, stated)
    {
        found.push(assemble::conflict(image, "Sensor", named, stated));
    }
    if let (Some(named), Some(stated)) = (name.level.as_deref(), metadata.level.as_deref())
        && level::plain(named) != level::plain(stated)
    {
        found.push(assemble::conflict(image, "ProductLevel", named, stated));
    }
    found
}

/// Name of a part and its bands in file order.
fn contents(
    image: &Path,
    name: &Name,
    camera: &Camera,
    facts: &Facts,
    warnings: &mut Vec<Warning>,
) -> Result<Contents, SceneError> {
    let count = facts.bands;
    let unsupported =
        |what: String, remedy: &str| Err(SceneError::Unsupported { path: image.into(), what, remedy: remedy.into() });
    let sidecar = "describe its bands in a `scene.toml` beside it";
    let check = "check that the file is what its name says, or describe it in a `scene.toml`";
    let plain = |role| Content { role, number: None, label: None };
    match (name.part, count) {
        (Some(PartToken::Band(_)), _) if !family::is_hyperspectral(&camera.satellite) => {
            return unsupported(format!("a file per band of {}", camera.satellite), sidecar);
        }
        (Some(PartToken::Band(number)), 1) => {
            return match gp_band(number, facts.descriptions.first().map_or("", String::as_str)) {
                Some(band) => {
                    let described = facts.descriptions.first().and_then(|d| family::gp_description(d));
                    if let Some((other, _)) = described.filter(|(other, _)| *other != number) {
                        let message = format!(
                            "the name of `{}` says band B{number}, the file calls it B{other}; the name's is used",
                            files::file_name(image)
                        );
                        warnings.push(Warning { code: Code::NameMismatch, message });
                    }
                    Ok(Contents { name: format!("B{number}"), bands: vec![band] })
                }
                None => unsupported(format!("band B{number} of a scene of {} bands", family::GP_BANDS), check),
            };
        }
        (Some(PartToken::Band(number)), _) => {
            return unsupported(format!("a file of band B{number} with {count} bands"), check);
        }
        _ => {}
    }
    if family::is_hyperspectral(&camera.satellite) && name.part.is_none() {
        // Bands may be missing, so a position says nothing.
        let described = |text: &String| family::gp_description(text).and_then(|(number, _)| gp_band(number, text));
        if let Some(bands) = facts.descriptions.iter().map(described).collect::<Option<Vec<_>>>() {
            return Ok(Contents { name: "MSS".into(), bands });
        }
        if count != 4 {
            return unsupported(
                format!("a hyperspectral image of {count} bands that do not say their names,"),
                sidecar,
            );
        }
    }
    match (name.part, count) {
        (Some(PartToken::Pan) | None, 1) => Ok(Contents { name: "PAN".into(), bands: vec![plain(Role::Pan)] }),
        (Some(PartToken::Pan), _) => unsupported(format!("a PAN image with {count} bands"), check),
        (part, _) => match family::multispectral_roles(camera, count) {
            Some(roles) => {
                let bands = if family::is_hyperspectral(&camera.satellite) {
                    (3..).filter_map(|number| gp_band(number, "")).take(roles.len()).collect()
                } else {
                    roles.iter().copied().map(plain).collect()
                };
                Ok(Contents { name: if part == Some(PartToken::Psh) { "PSH" } else { "MSS" }.into(), bands })
            }
            None => {
                let what =
                    format!("a multispectral image of {} with {count} bands, in an unknown order,", camera.satellite);
                unsupported(what, sidecar)
            }
        },
    }
}

/// A band of a hyperspectral scene, with the wavelength its description says.
fn gp_band(number: u8, description: &str) -> Option<Content> {
    let wavelength = family::gp_description(description).filter(|(n, _)| *n == number).and_then(|(_, w)| w);
    Some(Content {
        role: family::gp_role(number)?,
        number: Some(number),
        label: Some(wavelength.map_or(format!("B{number}"), |w| format!("B{number} ({w} nm)"))),
    })
}

/// What was done to the pixels of a part: as its level, its part, its metadata and the type of its samples say.
fn processed(
    image: &Path,
    name: &Name,
    meta_file: Option<&str>,
    metadata: Option<&Metadata>,
    sample: SampleType,
) -> Vec<Processing> {
    let file = files::file_name(image);
    let mut found: Vec<Processing> = Vec::new();
    let mut say = |what: Processed, said_by: String| {
        if found.iter().all(|p| p.what != what) {
            found.push(Processing { what, said_by });
        }
    };
    if name.part == Some(PartToken::Psh) {
        say(Processed::Fused, format!("`PSH` in the name of `{file}`"));
    }
    let stated =
        |token: Option<&String>| token.and_then(|t| level::known(t)).and_then(|k| Some((k.token, k.processed?)));
    if let Some((token, what)) = stated(name.level.as_ref()) {
        say(what, format!("level `{token}` in the name of `{file}`"));
    }
    let meta_level = metadata.and_then(|m| m.level.as_ref());
    if let (Some((token, what)), Some(meta)) = (stated(meta_level), meta_file) {
        say(what, format!("`{meta}`, field `ProductLevel`: `{token}`"));
    }
    let is_frame = [name.level.as_ref(), meta_level].into_iter().flatten().any(|t| t.eq_ignore_ascii_case("L1A"));
    let method = metadata.and_then(|m| m.fields.get("FUSMethod")).map(|m| m.trim());
    if let (Some(method), Some(meta), true) = (method, meta_file, name.part != Some(PartToken::Pan))
        && !NO_FUSION.iter().any(|no| method.eq_ignore_ascii_case(no))
    {
        say(Processed::Fused, format!("`{meta}`, field `FUSMethod`: `{method}`"));
    }
    // Day cameras have 10 bits and more. Those that take frames have 8 of their own.
    if sample == SampleType::U8 && !is_frame {
        say(Processed::Stretched, format!("the 8-bit samples of `{file}`"));
    }
    found
}

fn metadata_path(around: &Surroundings, image: &Path, name: &Name) -> Result<Option<PathBuf>, SceneError> {
    const WHAT: &str = "metadata file for this image";
    if let Some(path) = companion::exact(around, image, "_meta.xml")? {
        return Ok(Some(path));
    }
    let named = |fits: &dyn Fn(&Name) -> bool| {
        companion::loose(around, "_meta.xml", |stem| name::parse(stem).is_some_and(|n| fits(&n)))
    };
    if let Some(path) = companion::single(image, WHAT, named(&|n| n.same_part(name))?)? {
        return Ok(Some(path));
    }
    let whole_scene = named(&|n| n.part.is_none() && n.stem.eq_ignore_ascii_case(&name.stem))?;
    match companion::single(image, WHAT, whole_scene)? {
        Some(path) => Ok(Some(path)),
        None => companion::exact(around, image, ".xml"),
    }
}

fn rpc_path(around: &Surroundings, image: &Path, name: &Name) -> Result<Option<PathBuf>, SceneError> {
    match companion::first(around, image, &["_rpc.txt", ".rpb", ".rpc"])? {
        Some(path) => Ok(Some(path)),
        None => {
            let same = |stem: &str| name::parse(stem).is_some_and(|n| n.same_part(name));
            companion::single(image, "RPC file for this image", companion::loose(around, "_rpc.txt", same)?)
        }
    }
}
