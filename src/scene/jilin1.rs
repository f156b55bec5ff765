//! A Jilin-1 day delivery, from the files of its parts to a [`Scene`].
//!
//! What belongs to an image is found by its name, never by being the only candidate of the wrong part: the RPC of the
//! pan image on the multispectral one gives a picture that looks right and lies in the wrong place.

use std::path::{Path, PathBuf};

use super::files::{self, Folder, Surroundings};
use super::image::{self, Facts};
use super::metadata::{self, Metadata};
use super::name::{Name, PartToken};
use super::time::{self, Stated};
use super::{
    Band, Calibration, Code, Part, Processed, Processing, Role, Rpc, SampleType, Scene, SceneError, SceneTime,
    SensorModel, Warning, family, level, name, rpc_file,
};

/// DN of the black border, in every Jilin-1 product.
const FILL: f64 = 0.0;

/// Most the time in the metadata may be away from the one in the name before it is remarked on, seconds. Names carry
/// the start of the strip, so a few minutes are ordinary.
const NAME_TIME_TOLERANCE_S: i64 = 1800;

/// What `FUSMethod` says of an image that was not fused.
const NO_FUSION: [&str; 5] = ["NO", "NONE", "NULL", "N/A", "0"];

/// An image of a delivery with its name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub image: PathBuf,
    pub name: Name,
    /// Files that count as if they lay in its folder.
    pub beside: Vec<PathBuf>,
}

/// The images of a folder that carry Jilin-1 names.
pub(super) fn images(folder: &Folder) -> Vec<Found> {
    folder.files.iter().filter_map(|path| found(path)).collect()
}

/// `image` as part of a delivery, if its name is a Jilin-1 name.
pub(super) fn found(image: &Path) -> Option<Found> {
    let file = files::file_name(image);
    let name = name::parse(files::tiff_stem(&file)?)?;
    Some(Found { image: image.into(), name, beside: Vec::new() })
}

/// Reads the scene that `images`, all of one acquisition and level, make up.
pub(super) fn open(id: &str, images: &[Found]) -> Result<Scene, SceneError> {
    let mut read = images.iter().map(ReadPart::read).collect::<Result<Vec<_>, _>>()?;
    read.sort_by_key(|r| r.part.bands.first().map(|b| b.role));
    for pair in read.windows(2) {
        if let [a, b] = pair
            && a.part.name == b.part.name
        {
            return Err(SceneError::Ambiguous {
                path: a.image.clone(),
                what: "image of this part of the scene",
                candidates: format!("`{}`, `{}`", a.image.display(), b.image.display()),
            });
        }
    }
    let (Some(first), Some(name)) = (read.first(), images.first().map(|i| &i.name)) else {
        return Err(SceneError::NotADelivery {
            path: PathBuf::from(id),
            found: "no image".into(),
            expected: "a PAN or MSS image".into(),
        });
    };
    let mut warnings = disagreements(&read);
    let roles = read.iter().flat_map(|r| &r.part.bands).map(|b| b.role);
    warnings.extend(assumed_ranges(name, roles));
    let time = scene_time(&read, name, &first.image, &mut warnings)?;
    // Each value comes from the first part that states it, pan before multispectral.
    let metadata = || read.iter().filter_map(|r| r.metadata.as_ref());
    let satellite = name.satellite.to_ascii_lowercase();
    let level = name.level.clone().or_else(|| metadata().find_map(|m| m.level.clone()));
    if let Some(token) = level.as_deref().filter(|token| level::known(token).is_none()) {
        let token: String = token.chars().take(40).collect();
        let message = format!("nothing is published about level `{token}`; the scene is taken as what its files say");
        warnings.push(Warning { code: Code::LevelUnknown, message });
    }
    Ok(Scene {
        id: id.into(),
        constellation: satellite.starts_with("jl").then(|| "jilin-1".into()),
        platform: Some(satellite),
        instrument: Some(name.sensor.to_ascii_lowercase()),
        level,
        time,
        sun: metadata().find_map(|m| m.sun),
        view: metadata().find_map(|m| m.view),
        cloud_percent: metadata().find_map(|m| m.cloud_percent),
        corners: metadata().find_map(|m| m.corners),
        warnings: read.iter().flat_map(|r| r.warnings.iter().cloned()).chain(warnings).collect(),
        metadata_files: read.iter().flat_map(|r| r.metadata_files.iter().cloned()).collect(),
        parts: read.into_iter().map(|r| r.part).collect(),
    })
}

/// A part with what is needed until all parts are known.
struct ReadPart {
    image: PathBuf,
    part: Part,
    metadata: Option<Metadata>,
    metadata_files: Vec<PathBuf>,
    warnings: Vec<Warning>,
}

impl ReadPart {
    fn read(found: &Found) -> Result<Self, SceneError> {
        let Found { image, name, beside } = found;
        let mut facts = image::facts(image)?;
        let (part_name, roles) = contents(image, name, facts.bands)?;
        let around = Surroundings::of(image, beside);
        let mut warnings = Vec::new();
        let mut metadata_files = Vec::new();

        let meta_path = metadata_path(&around, image, name)?;
        let mut metadata = meta_path.as_deref().map(metadata::read).transpose()?;
        match &mut metadata {
            Some(m) => warnings.append(&mut m.warnings),
            None => warnings.push(Warning {
                code: Code::MetadataMissing,
                message: format!(
                    "no `{}` beside the image: time is taken from the name, and calibration and angles are unknown",
                    companion_name(image, "_meta.xml")
                ),
            }),
        }
        let (sensor_model, rpc_path) = sensor_model(&around, image, name, &mut facts)?;
        if let SensorModel::Rpc(rpc) = &sensor_model {
            warnings.extend(rpc_misfit(image, &facts, rpc));
        }
        let calibrations = calibrations(image, name, meta_path.as_deref(), metadata.as_ref(), roles.len())?;
        let meta_path_name = meta_path.as_deref().map(files::file_name);
        metadata_files.extend(meta_path);
        metadata_files.extend(rpc_path);

        let bands = roles
            .iter()
            .zip(calibrations)
            .enumerate()
            .map(|(index, (&role, calibration))| Band {
                role,
                file: image.clone(),
                index,
                name: role.code().into(),
                range_nm: family::range(name, role).map(|(range, _)| range),
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
        let part = Part {
            name: part_name.into(),
            rows: facts.rows,
            cols: facts.cols,
            sample: facts.sample,
            bands,
            gsd_m: metadata.as_ref().and_then(|m| m.gsd_m),
            data_bits: plausible,
            fill: Some(FILL),
            mtf_compensated: metadata.as_ref().and_then(|m| m.mtf_compensated),
            processed: processed(image, name, meta_path_name.as_deref(), metadata.as_ref(), facts.sample),
            sensor_model,
            fields: metadata.as_mut().map(|m| std::mem::take(&mut m.fields)).unwrap_or_default(),
        };
        Ok(Self { image: image.clone(), part, metadata, metadata_files, warnings })
    }
}

/// Name of a part and the roles of its bands in file order.
fn contents(image: &Path, name: &Name, count: usize) -> Result<(&'static str, &'static [Role]), SceneError> {
    let unsupported =
        |what: String, remedy: &str| Err(SceneError::Unsupported { path: image.into(), what, remedy: remedy.into() });
    let sidecar = "describe its bands in a `scene.toml` beside it";
    match (name.part, count) {
        (Some(PartToken::Band(_)), _) => unsupported("a scene with one file per band".into(), sidecar),
        (Some(PartToken::Pan) | None, 1) => Ok(("PAN", &[Role::Pan])),
        (Some(PartToken::Pan), _) => unsupported(
            format!("a PAN image with {count} bands"),
            "check that the file is what its name says, or describe it in a `scene.toml`",
        ),
        (part, _) => match family::multispectral_roles(name, count) {
            Some(roles) => Ok((if part == Some(PartToken::Psh) { "PSH" } else { "MSS" }, roles)),
            None => {
                let what =
                    format!("a multispectral image of {} with {count} bands, in an unknown order,", name.satellite);
                unsupported(what, sidecar)
            }
        },
    }
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
    if let (Some((token, what)), Some(meta)) = (stated(metadata.and_then(|m| m.level.as_ref())), meta_file) {
        say(what, format!("`{meta}`, field `ProductLevel`: `{token}`"));
    }
    let is_frame = name.level.as_ref().is_some_and(|t| t.eq_ignore_ascii_case("L1A"));
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

/// `<stem of the image><suffix>`, for messages.
fn companion_name(image: &Path, suffix: &str) -> String {
    let file = files::file_name(image);
    format!("{}{suffix}", files::tiff_stem(&file).unwrap_or(&file))
}

fn metadata_path(around: &Surroundings, image: &Path, name: &Name) -> Result<Option<PathBuf>, SceneError> {
    const WHAT: &str = "metadata file for this image";
    if let Some(path) = exact(around, image, "_meta.xml")? {
        return Ok(Some(path));
    }
    if let Some(path) = single(image, WHAT, loose(around, "_meta.xml", |n| n.same_part(name))?)? {
        return Ok(Some(path));
    }
    let whole_scene = loose(around, "_meta.xml", |n| n.part.is_none() && n.stem.eq_ignore_ascii_case(&name.stem))?;
    match single(image, WHAT, whole_scene)? {
        Some(path) => Ok(Some(path)),
        None => exact(around, image, ".xml"),
    }
}

/// The file named as the image but for what comes after its stem.
fn exact(around: &Surroundings, image: &Path, suffix: &str) -> Result<Option<PathBuf>, SceneError> {
    around.named(&companion_name(image, suffix))
}

/// The first of such files that is there.
pub(super) fn first(around: &Surroundings, image: &Path, suffixes: &[&str]) -> Result<Option<PathBuf>, SceneError> {
    for suffix in suffixes {
        if let Some(path) = exact(around, image, suffix)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Files with `suffix` whose names fit, order suffix or not.
fn loose(around: &Surroundings, suffix: &str, fits: impl Fn(&Name) -> bool) -> Result<Vec<PathBuf>, SceneError> {
    let named = |path: &&PathBuf| {
        let file = files::file_name(path);
        files::strip_suffix(&file, suffix).and_then(name::parse).is_some_and(|n| fits(&n))
    };
    Ok(around.all()?.iter().filter(named).cloned().collect())
}

fn single(image: &Path, what: &'static str, mut found: Vec<PathBuf>) -> Result<Option<PathBuf>, SceneError> {
    if found.len() > 1 {
        let names: Vec<_> = found.iter().map(|p| format!("`{}`", files::file_name(p))).collect();
        return Err(SceneError::Ambiguous { path: image.into(), what, candidates: names.join(", ") });
    }
    Ok(found.pop())
}

/// Where the pixels are, and the file that says so if it is not the image. A map projection wins over an RPC that was
/// left beside it; an RPC wins over a transform without a reference system, which is the origin of a crop.
fn sensor_model(
    around: &Surroundings,
    image: &Path,
    name: &Name,
    facts: &mut Facts,
) -> Result<(SensorModel, Option<PathBuf>), SceneError> {
    if let Some((crs, transform)) = &facts.projected {
        return Ok((SensorModel::Projected { crs: crs.clone(), transform: *transform }, None));
    }
    let path = match first(around, image, &["_rpc.txt", ".rpb", ".rpc"])? {
        Some(path) => Some(path),
        None => single(image, "RPC file for this image", loose(around, "_rpc.txt", |n| n.same_part(name))?)?,
    };
    if let Some(path) = path {
        return Ok((SensorModel::Rpc(Box::new(rpc_file::read(&path)?)), Some(path)));
    }
    Ok((from_tags(image, facts.rpc.take())?, None))
}

/// The model in the image's own tags, or [`SensorModel::Unknown`] with what was looked for.
pub(super) fn from_tags(image: &Path, tags: Option<Result<Rpc, SceneError>>) -> Result<SensorModel, SceneError> {
    Ok(match tags.transpose()? {
        Some(rpc) => SensorModel::Rpc(Box::new(rpc)),
        None => unknown_model(image),
    })
}

fn unknown_model(image: &Path) -> SensorModel {
    let reason = format!(
        "`{}` has no map projection, and there is no RPC in its tags nor a `{}` or `{}` beside it",
        files::file_name(image),
        companion_name(image, "_rpc.txt"),
        companion_name(image, ".rpb"),
    );
    SensorModel::Unknown { reason }
}

/// A warning when the image reaches far out of the range its RPC was made for.
pub(super) fn rpc_misfit(image: &Path, facts: &Facts, rpc: &Rpc) -> Option<Warning> {
    let reach = |last: usize, offset: f64, scale: f64| {
        let end = last.saturating_sub(1) as f64;
        (offset / scale).abs().max(((end - offset) / scale).abs())
    };
    let reach = reach(facts.rows, rpc.row_off, rpc.row_scale).max(reach(facts.cols, rpc.col_off, rpc.col_scale));
    (reach > 2.0).then(|| Warning {
        code: Code::RpcMisfit,
        message: format!(
            "`{}` has {} rows and {} columns, {reach:.1} times the range its RPC was made for; check that the RPC belongs to it",
            files::file_name(image),
            facts.rows,
            facts.cols,
        ),
    })
}

fn assumed_ranges(name: &Name, roles: impl Iterator<Item = Role>) -> Option<Warning> {
    let assumed = |role: &Role| family::range(name, *role).is_some_and(|(_, assumed)| assumed);
    let codes: Vec<_> = roles.filter(assumed).map(|role| role.code()).collect();
    (!codes.is_empty()).then(|| Warning {
        code: Code::BandRangeAssumed,
        message: format!(
            "the spectral limits of {} of {} are not published, usual ones are assumed; reflectance follows from them \
             through `radiometry.esun`, which can be stated",
            codes.join(", "),
            name.satellite,
        ),
    })
}

/// Coefficients band by band, or why there are none.
fn calibrations(
    image: &Path,
    name: &Name,
    meta_path: Option<&Path>,
    metadata: Option<&Metadata>,
    count: usize,
) -> Result<Vec<Calibration>, SceneError> {
    let (Some(path), Some(metadata)) = (meta_path, metadata) else {
        let reason = format!("there is no `{}`", companion_name(image, "_meta.xml"));
        return Ok(vec![Calibration::Missing { reason }; count]);
    };
    let file = files::file_name(path);
    let (Some(gains), Some(biases)) = (&metadata.gains, &metadata.biases) else {
        let field = if metadata.gains.is_none() { "AbsCalibrationGain" } else { "AbsCalibrationBias" };
        return Ok(vec![Calibration::Missing { reason: format!("`{file}` has no `{field}`") }; count]);
    };
    // The lists of a GP scene start at its first band, B0; its fused image holds B3 to B6.
    let hyperspectral = name.satellite.to_ascii_uppercase().starts_with("JL1GP");
    let first = if hyperspectral && count == 4 && gains.len() == 20 && biases.len() == 20 { 3 } else { 0 };
    for (field, list) in [("AbsCalibrationGain", gains), ("AbsCalibrationBias", biases)] {
        if first == 0 && list.len() != count {
            return Err(SceneError::Field {
                path: path.into(),
                field: field.into(),
                expected: format!("{count} numbers, one for each band of `{}`", files::file_name(image)),
                found: list.len().to_string(),
                remedy: "ask the vendor for the coefficients of this image".into(),
            });
        }
    }
    let pairs = gains.iter().zip(biases).enumerate().skip(first).take(count);
    let linear = pairs.map(|(item, (&gain, &bias))| Calibration::Radiance {
        gain,
        bias,
        source: format!("{file}: AbsCalibrationGain and AbsCalibrationBias, item {}", item + 1),
    });
    Ok(linear.collect())
}

/// Center, start and end of the acquisition: as the metadata states them, else from the name.
fn scene_time(
    read: &[ReadPart],
    name: &Name,
    image: &Path,
    warnings: &mut Vec<Warning>,
) -> Result<SceneTime, SceneError> {
    let stated = |pick: fn(&Metadata) -> &Option<Stated>| read.iter().find_map(|r| pick(r.metadata.as_ref()?).clone());
    let named = time::stated(name.time, time::beijing(), &name.time.to_string()).ok_or_else(|| SceneError::Field {
        path: image.into(),
        field: "time in the name".into(),
        expected: "a time on the calendar".into(),
        found: format!("`{}`", name.time),
        remedy: "restore the vendor's file name".into(),
    })?;
    let (start, end) = (stated(|m| &m.start), stated(|m| &m.end));
    let mut interval = start.as_ref().map(|t| t.utc).zip(end.as_ref().map(|t| t.utc));
    if let Some((a, b)) = interval
        && a > b
    {
        let message = format!("`StartTime` ({a}) is after `EndTime` ({b}); both are ignored");
        warnings.push(Warning { code: Code::TimeOrder, message });
        interval = None;
    }
    let center = match (stated(|m| &m.center), interval, start) {
        (Some(center), ..) => center,
        (None, Some((a, b)), Some(start)) => {
            let middle = a.as_nanosecond() / 2 + b.as_nanosecond() / 2;
            Stated { utc: jiff::Timestamp::from_nanosecond(middle).unwrap_or(a), ..start }
        }
        _ => {
            let message = format!("the metadata states no time; the name's, {} Beijing time, is used", named.text);
            warnings.push(Warning { code: Code::TimeFromName, message });
            named.clone()
        }
    };
    let apart = center.utc.as_second() - named.utc.as_second();
    if apart.abs() > NAME_TIME_TOLERANCE_S {
        let message = format!(
            "the metadata's centre time `{}` ({}) and the name's {} (Beijing time) are {:.1} hours apart; the metadata's is used",
            center.text,
            center.offset,
            named.text,
            apart as f64 / 3600.0
        );
        warnings.push(Warning { code: Code::TimeMismatch, message });
    }
    Ok(SceneTime {
        center: center.utc,
        interval,
        is_period: false,
        original: center.text,
        original_offset: center.offset,
    })
}

/// Warnings where the parts of one scene say different things.
fn disagreements(read: &[ReadPart]) -> Vec<Warning> {
    let stated: Vec<_> = read.iter().filter_map(|r| Some((&r.part.name, r.metadata.as_ref()?))).collect();
    let mut warnings = Vec::new();
    for pair in stated.windows(2) {
        let [(a, first), (b, second)] = pair else { continue };
        let mut warn = |what: &str, by: String| {
            let message = format!("{what} of {a} and {b} differ by {by}; the value of {a} is used");
            warnings.push(Warning { code: Code::PartsDisagree, message });
        };
        if let (Some(s), Some(t)) = (first.sun, second.sun)
            && (s.zenith.0 - t.zenith.0).abs() > 1.0
        {
            warn("the sun zeniths", format!("{:.1} degrees", (s.zenith.0 - t.zenith.0).abs()));
        }
        if let (Some(s), Some(t)) = (&first.center, &second.center)
            && (s.utc.as_second() - t.utc.as_second()).abs() > 60
        {
            warn("the centre times", format!("{} seconds", (s.utc.as_second() - t.utc.as_second()).abs()));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::testing::{STEM, meta_xml, rpb_text, rpc_text, write_part, write_tiff, write_tiff_with};
    use super::*;
    use crate::grid::Crs;

    /// A folder with one part, its stem given, and what `change` does to it.
    fn opened(stem: &str, part: &str, change: impl FnOnce(&Path)) -> Result<Scene, SceneError> {
        let dir = tempfile::tempdir().unwrap();
        let image = write_part(dir.path(), stem, part);
        change(dir.path());
        let found = found(&image).unwrap();
        open(&found.name.scene_id(), &[found])
    }

    fn mss() -> String {
        format!("{STEM}_MSS")
    }

    fn set_meta(dir: &Path, from: &str, to: &str) {
        let path = dir.join(format!("{}_meta.xml", mss()));
        let text = meta_xml("MSS");
        assert!(text.contains(from), "{from}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    fn codes(scene: &Scene) -> Vec<&'static str> {
        scene.warnings.iter().map(|w| w.code.text()).collect()
    }

    fn gains(scene: &Scene) -> Vec<f64> {
        let gain = |b: &Band| match b.calibration {
            Calibration::Radiance { gain, .. } => gain,
            _ => f64::NAN,
        };
        scene.parts.iter().flat_map(|p| p.bands.iter().map(gain)).collect()
    }

    #[test]
    fn an_ordinary_part_is_read_whole() {
        let scene = opened(&mss(), "MSS", |_| {}).unwrap();
        assert_eq!((scene.id.as_str(), scene.level.as_deref()), (STEM, Some("L1")));
        assert_eq!(scene.constellation.as_deref(), Some("jilin-1"));
        assert_eq!((scene.platform.as_deref(), scene.instrument.as_deref()), (Some("jl1kf01a"), Some("pms06")));
        assert_eq!(scene.acquisition(), format!("20260715T023000Z_{STEM}"));
        assert_eq!(scene.time.interval.unwrap().1.to_string(), "2026-07-15T02:30:01Z");
        assert_eq!(
            (scene.time.original.as_str(), scene.time.original_offset.as_str()),
            ("2026-07-15 10:30:00", "+08:00")
        );
        let part = &scene.parts[0];
        assert_eq!((part.name.as_str(), part.rows, part.cols, part.data_bits), ("MSS", 8, 10, Some(12)));
        assert_eq!((part.fill, part.gsd_m, part.mtf_compensated), (Some(0.0), Some((3.1, 3.0)), Some(true)));
        assert_eq!(scene.roles(), [Role::B, Role::G, Role::R, Role::N]);
        assert_eq!(gains(&scene), [0.11, 0.12, 0.13, 0.14]);
        assert!(matches!(&part.bands[3].calibration, Calibration::Radiance { bias: 2.5, source, .. }
            if source == &format!("{}_meta.xml: AbsCalibrationGain and AbsCalibrationBias, item 4", mss())));
        assert!(matches!(&part.sensor_model, SensorModel::Rpc(rpc) if rpc.row_off == 3.5 && rpc.col_off == 4.5));
        assert_eq!(codes(&scene), ["band-range-assumed"]);
        assert_eq!(scene.metadata_files.len(), 2);
        assert_eq!(scene.center().map(|(lon, lat)| (lon.round(), lat.round())), Some((125.0, 44.0)));
    }

    #[test]
    fn a_list_that_does_not_match_the_bands_is_refused_by_file_and_field() {
        for (from, to, field) in [
            ("0.11,0.12,0.13,0.14", "0.11,0.12,0.13", "AbsCalibrationGain"),
            ("0.11,0.12,0.13,0.14", "0.1,0.11,0.12,0.13,0.14", "AbsCalibrationGain"),
            ("-1,0,1,2.5", "0", "AbsCalibrationBias"),
        ] {
            let m = opened(&mss(), "MSS", |dir| set_meta(dir, from, to)).unwrap_err().to_string();
            assert!(m.contains("_MSS_meta.xml") && m.contains(field) && m.contains("expected 4 numbers"), "{m}");
        }
    }

    #[test]
    fn the_fused_image_of_a_gp_scene_starts_at_item_three() {
        let stem = STEM.replace("JL1KF01A", "JL1GP01").replace("L1", "L1C").replace("JL1CGP", "JL1GP");
        let list = |from: u32| (from..from + 20).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
        let scene = opened(&stem, "MSS", |dir| {
            let xml = meta_xml("MSS").replace("0.11,0.12,0.13,0.14", &list(1)).replace("-1,0,1,2.5", &list(100));
            std::fs::write(dir.join(format!("{stem}_meta.xml")), xml).unwrap();
        });
        assert_eq!(gains(&scene.unwrap()), [4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn missing_coefficients_leave_dn() {
        let scene = opened(&mss(), "MSS", |dir| set_meta(dir, "-1,0,1,2.5", "")).unwrap();
        assert!(matches!(&scene.parts[0].bands[0].calibration, Calibration::Missing { reason }
            if reason.contains("_MSS_meta.xml") && reason.contains("AbsCalibrationBias")));
        let scene = opened(&mss(), "MSS", |dir| std::fs::remove_file(dir.join(format!("{}_meta.xml", mss()))).unwrap());
        let scene = scene.unwrap();
        assert!(matches!(scene.parts[0].bands[0].calibration, Calibration::Missing { .. }));
        assert_eq!(scene.time.center.to_string(), "2026-07-15T02:30:00Z");
        assert_eq!(codes(&scene), ["metadata-missing", "band-range-assumed", "time-from-name"]);
        assert_eq!(scene.sun, None);
    }

    #[test]
    fn times_are_cross_checked() {
        let utc = opened(&mss(), "MSS", |dir| set_meta(dir, "<CenterTime>2026-07-15 10", "<CenterTime>2026-07-15 02"))
            .unwrap();
        assert!(codes(&utc).contains(&"time-mismatch"));
        assert!(utc.warnings.last().unwrap().message.contains("-8.0 hours"));
        let middle =
            opened(&mss(), "MSS", |dir| set_meta(dir, "<CenterTime>2026-07-15 10:30:00", "<CenterTime>")).unwrap();
        assert_eq!(middle.time.center.to_string(), "2026-07-15T02:30:00Z");
        let turned = opened(&mss(), "MSS", |dir| set_meta(dir, "10:29:59", "10:31:59")).unwrap();
        assert_eq!(turned.time.interval, None);
        assert!(codes(&turned).contains(&"time-order"));
    }

    #[test]
    fn rpc_is_found_by_stem_then_by_part_and_never_of_the_other_part() {
        let rpc_of = |change: fn(&Path)| {
            let scene = opened(&format!("{}_978899", mss()), "MSS", |dir| {
                std::fs::remove_file(dir.join(format!("{}_978899_rpc.txt", mss()))).unwrap();
                change(dir);
            });
            scene.map(|mut s| s.parts.remove(0).sensor_model)
        };
        let rpb = rpc_of(|dir| std::fs::write(dir.join(format!("{}_978899.RPB", mss())), rpb_text()).unwrap());
        assert!(matches!(rpb, Ok(SensorModel::Rpc(_))));
        let loose = rpc_of(|dir| std::fs::write(dir.join(format!("{}_RPC.txt", mss())), rpc_text()).unwrap());
        assert!(matches!(loose, Ok(SensorModel::Rpc(_))));
        let pan = rpc_of(|dir| std::fs::write(dir.join(format!("{STEM}_PAN_rpc.txt")), rpc_text()).unwrap());
        assert!(matches!(&pan, Ok(SensorModel::Unknown { reason }) if reason.contains("_978899_rpc.txt")), "{pan:?}");
        let two = rpc_of(|dir| {
            for order in ["111111", "222222"] {
                std::fs::write(dir.join(format!("{}_{order}_rpc.txt", mss())), rpc_text()).unwrap();
            }
        });
        assert!(matches!(two, Err(SceneError::Ambiguous { .. })));
        let bad = rpc_of(|dir| std::fs::write(dir.join(format!("{}_978899_rpc.txt", mss())), "LINE_OFF: x").unwrap());
        assert!(bad.unwrap_err().to_string().contains("_rpc.txt"));
    }

    #[test]
    fn a_map_projection_wins_over_a_leftover_rpc_and_the_rpc_over_a_crop_origin() {
        let model = |epsg: Option<u32>| {
            let stem = mss().replace("L1", "L3C").replace("JL3C", "JL1");
            let scene = opened(&stem, "MSS", |dir| {
                write_tiff_with(&dir.join(format!("{stem}.tif")), 8, 10, 4, |ds| {
                    ds.set_geo_transform(&[5e5, 3.0, 0.0, 4.86e6, 0.0, -3.0]).unwrap();
                    if let Some(code) = epsg {
                        ds.set_spatial_ref(&Crs::from_epsg(code).unwrap().spatial_ref().unwrap()).unwrap();
                    }
                });
                // GDAL deletes the RPC file along with the image it replaces.
                std::fs::write(dir.join(format!("{stem}_rpc.txt")), rpc_text()).unwrap();
            });
            let scene = scene.unwrap();
            (scene.level.clone(), scene.metadata_files.len(), scene.parts[0].sensor_model.clone())
        };
        let (level, files, projected) = model(Some(32651));
        assert_eq!((level.as_deref(), files), (Some("L3C"), 1));
        assert!(matches!(projected, SensorModel::Projected { crs, .. } if crs.epsg() == Some(32651)));
        let crop = model(None).2;
        assert!(matches!(crop, SensorModel::Rpc(_)), "{crop:?}");
    }

    #[test]
    fn an_rpc_far_from_its_image_is_remarked_on() {
        let scene = opened(&mss(), "MSS", |dir| {
            let rpc = rpc_text().replace("+000004.00 pixels", "+000001.00 pixels");
            std::fs::write(dir.join(format!("{}_rpc.txt", mss())), rpc).unwrap();
        });
        assert!(codes(&scene.unwrap()).contains(&"rpc-misfit"));
    }

    #[test]
    fn band_counts_without_a_known_order_are_refused() {
        let with_bands = |stem: &str, bands: usize| {
            opened(stem, "MSS", |dir| {
                write_tiff(&dir.join(format!("{stem}.tif")), 8, 10, bands);
                let numbers = vec!["1"; bands].join(",");
                let xml = meta_xml("MSS").replace("0.11,0.12,0.13,0.14", &numbers).replace("-1,0,1,2.5", &numbers);
                std::fs::write(dir.join(format!("{stem}_meta.xml")), xml).unwrap();
            })
        };
        for (stem, bands) in [(mss(), 3), (mss(), 5), (mss(), 1), (format!("{STEM}_PAN"), 4), (format!("{STEM}_B3"), 1)]
        {
            let error = with_bands(&stem, bands).unwrap_err();
            assert!(
                matches!(&error, SceneError::Unsupported { .. }) && error.to_string().contains("scene.toml"),
                "{error}"
            );
        }
        let family = |from: &str| mss().replace("JL1KF01A_PMS06", from);
        assert_eq!(with_bands(&family("JL101A_PMS"), 3).unwrap().roles(), [Role::B, Role::G, Role::R]);
        assert_eq!(with_bands(&family("JL1GF03C01_MSS"), 3).unwrap().roles(), [Role::R, Role::G, Role::B]);
        let plain = with_bands(STEM, 1).unwrap();
        assert_eq!((plain.parts[0].name.as_str(), plain.roles()), ("PAN", vec![Role::Pan]));
    }

    #[test]
    fn impossible_bits_are_dropped_with_a_warning() {
        let scene = opened(&mss(), "MSS", |dir| set_meta(dir, ">12<", ">24<")).unwrap();
        assert_eq!(scene.parts[0].data_bits, None);
        assert!(codes(&scene).contains(&"data-bits"));
    }

    #[test]
    fn parts_that_contradict_each_other_are_remarked_on() {
        let dir = tempfile::tempdir().unwrap();
        let images: Vec<_> = ["PAN", "MSS"]
            .map(|part| found(&write_part(dir.path(), &format!("{STEM}_{part}"), part)).unwrap())
            .to_vec();
        assert_eq!(codes(&open(STEM, &images).unwrap()), ["band-range-assumed"]);
        set_meta(dir.path(), ">62.5<", ">27.5<");
        let scene = open(STEM, &images).unwrap();
        assert!(codes(&scene).contains(&"parts-disagree"));
        assert_eq!(scene.sun.unwrap().zenith.0, 27.5);
    }
}
