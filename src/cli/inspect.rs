//! `fieldglow inspect`

use fieldglow::calibrate::{self, Level, Outlook};
use fieldglow::engine::{Given, Stop};
use fieldglow::error::{Error, chain};
use fieldglow::examine;
use fieldglow::scene::rpc::Correction;
use fieldglow::scene::{Calibration, Delivery, Scene, SensorModel, Unpacked, Warning, level};
use fieldglow::warning::Severity;
use serde_json::{Value, json};

use super::scenes::Scenes;
use super::{Failure, Outcome, csv, ended, print, print_json, signals};

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    scenes: Scenes,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Comma-separated values instead of a table, a line for each band.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Also look at a few windows of pixels of every band: digital numbers beyond the stated bits, and reflectance that no
    /// ground has.
    #[arg(long)]
    pixels: bool,
}

/// Something odd, as it is shown.
struct Oddity {
    code: String,
    severity: Severity,
    message: String,
    remedy: &'static str,
}

impl From<Warning> for Oddity {
    fn from(w: Warning) -> Self {
        Self { code: w.code.to_string(), severity: w.code.severity(), message: w.message, remedy: w.code.remedy() }
    }
}

pub fn run(args: &Args) -> Outcome {
    fieldglow::read::prepare_gdal(16 << 20);
    let mut documents = Vec::new();
    let mut text = if args.csv { csv::HEAD.to_owned() } else { String::new() };
    let stop = Stop::default();
    let signals = signals::listen(&stop)?;
    let given = args.scenes.given(&stop)?;
    let (mut failed, total) = (Vec::new(), given.len());
    for given in given {
        if stop.is_asked() {
            return Err(Failure::Code(signals.exit_code()));
        }
        let looked = match given {
            Given::Delivery(delivery) => look(&delivery, args.pixels),
            Given::Unreadable { error, .. } => Err(error),
        };
        match looked {
            Ok((odd, scene)) => {
                if args.json {
                    documents.push(to_json(&scene, &odd));
                } else if args.csv {
                    let places: Vec<String> = scene.parts.iter().map(|p| place(&p.sensor_model)).collect();
                    let codes: Vec<&str> = odd.iter().map(|o| o.code.as_str()).collect();
                    csv::add(&mut text, &scene, &places, &codes);
                } else {
                    table(&mut text, &scene, &odd);
                }
            }
            Err(e) => {
                failed.push(e.class());
                eprintln!("failed: {}", chain(&e));
            }
        }
    }
    if args.json {
        print_json(&documents)?;
    } else {
        print(&text)?;
    }
    ended(&failed, total)
}

/// A scene and what is odd about it.
fn look(delivery: &Delivery, pixels: bool) -> Result<(Vec<Oddity>, Scene), Error> {
    // Of an image in an archive, its header is there; unpacked are those whose pixels are looked at.
    let unpacked = if pixels { delivery.unpack()? } else { Unpacked::default() };
    let mut scene = delivery.open()?;
    let odd = unpacked.settle(oddities(&scene, pixels))?;
    drop(unpacked);
    for band in scene.parts.iter_mut().flat_map(|part| &mut part.bands) {
        band.file = delivery.origin(&band.file);
    }
    Ok((odd, scene))
}

/// What is odd about a scene, the worst first.
fn oddities(scene: &Scene, pixels: bool) -> Result<Vec<Oddity>, Error> {
    let mut odd: Vec<Oddity> = scene.warnings.iter().cloned().map(Oddity::from).collect();
    match calibrate::illumination(scene, None, &calibrate::Options::default()) {
        Ok(light) => odd.extend(light.warnings.into_iter().map(Oddity::from)),
        Err(e) => odd.push(Oddity {
            code: Error::from(e.clone()).code().to_owned(),
            severity: Severity::Error,
            message: chain(&e),
            remedy: "Do what the message says, or run with level `dn` or `radiance`.",
        }),
    }
    odd.extend(examine::metadata(scene).into_iter().map(Oddity::from));
    if pixels {
        odd.extend(examine::pixels(scene)?.into_iter().map(Oddity::from));
    }
    odd.sort_by_key(|o| std::cmp::Reverse(o.severity));
    Ok(odd)
}

fn place(model: &SensorModel) -> String {
    match model {
        SensorModel::Rpc(rpc) if rpc.correction == Correction::IDENTITY => "rpc".into(),
        SensorModel::Rpc(_) => "rpc, corrected".into(),
        SensorModel::Projected { crs, .. } => crs.to_string(),
        SensorModel::Unknown { reason } => format!("unknown: {reason}"),
    }
}

fn correction(model: &SensorModel) -> Option<Correction> {
    match model {
        SensorModel::Rpc(rpc) => Some(rpc.correction).filter(|c| *c != Correction::IDENTITY),
        SensorModel::Projected { .. } | SensorModel::Unknown { .. } => None,
    }
}

fn calibration(c: &Calibration) -> Value {
    match c {
        Calibration::Radiance { gain, bias, source } => {
            json!({ "radiance": { "gain": gain, "bias": bias, "source": source } })
        }
        Calibration::Reflectance { gain, bias, sun_corrected, source } => {
            json!({ "reflectance": { "gain": gain, "bias": bias, "sun_corrected": sun_corrected, "source": source } })
        }
        Calibration::Missing { reason } => json!({ "missing": reason }),
    }
}

fn outlook(outlook: &Outlook) -> Value {
    match outlook {
        Outlook::Possible => json!({ "possible": true }),
        Outlook::IfAccepted(done) => json!({ "possible": false, "accept_processed": done }),
        Outlook::Impossible(e) => {
            json!({ "possible": false, "code": Error::from(e.clone()).code(), "reason": e.to_string() })
        }
    }
}

/// A line for each level.
fn becomes(scene: &Scene) -> Vec<String> {
    let line = |(level, outlook): (Level, Outlook)| {
        let text = match outlook {
            Outlook::Possible => "yes".into(),
            Outlook::IfAccepted(done) => {
                let codes: Vec<_> = done.iter().map(|p| format!("\"{}\"", p.code())).collect();
                format!("only with `radiometry.accept_processed = [{}]`", codes.join(", "))
            }
            Outlook::Impossible(e) => format!("no: {e}"),
        };
        format!("{:<8} {text}", level.code())
    };
    calibrate::outlook(scene).into_iter().map(line).collect()
}

fn to_json(scene: &Scene, odd: &[Oddity]) -> Value {
    let parts: Vec<Value> = scene
        .parts
        .iter()
        .map(|p| {
            let bands: Vec<Value> = p
                .bands
                .iter()
                .map(|b| {
                    json!({
                        "role": b.role, "name": b.name, "file": b.file, "index": b.index + 1,
                        "range_nm": b.range_nm.map(|r| [r.min, r.max]), "calibration": calibration(&b.calibration),
                    })
                })
                .collect();
            json!({
                "name": p.name, "rows": p.rows, "cols": p.cols, "type": p.sample.to_string(), "gsd_m": p.gsd_m, "data_bits": p.data_bits,
                "processed": p.processed, "fill": p.fill, "place": place(&p.sensor_model), "rpc_correction": correction(&p.sensor_model), "mtf_compensated": p.mtf_compensated, "bands": bands, "fields": p.fields,
            })
        })
        .collect();
    let warning =
        |o: &Oddity| json!({ "code": o.code, "severity": o.severity, "message": o.message, "remedy": o.remedy });
    let warnings: Vec<Value> = odd.iter().map(warning).collect();
    let becomes: serde_json::Map<String, Value> =
        calibrate::outlook(scene).into_iter().map(|(l, o)| (l.code().to_owned(), outlook(&o))).collect();
    json!({
        "id": scene.id,
        "acquisition": scene.acquisition(),
        "constellation": scene.constellation, "platform": scene.platform, "instrument": scene.instrument, "level": scene.level,
        "level_known": scene.level.as_deref().filter(|_| scene.has_jilin1_level()).and_then(level::known).map(|k| k.about),
        "becomes": becomes,
        "time": scene.time.center.to_string(), "time_is_period": scene.time.is_period,
        "time_original": scene.time.original, "time_original_offset": scene.time.original_offset,
        "sun_zenith_deg": scene.sun.map(|s| s.zenith.0), "sun_azimuth_deg": scene.sun.and_then(|s| s.azimuth_deg),
        "time_start": scene.time.interval.map(|(start, _)| start.to_string()),
        "time_end": scene.time.interval.map(|(_, end)| end.to_string()),
        "view_zenith_deg": scene.view.and_then(|v| v.zenith_deg), "view_azimuth_deg": scene.view.and_then(|v| v.azimuth_deg),
        "off_nadir_deg": scene.view.and_then(|v| v.off_nadir_deg),
        "cloud_percent": scene.cloud_percent,
        "corners": scene.corners,
        "parts": parts,
        "warnings": warnings,
    })
}

fn line_of(gain: f64, bias: f64) -> String {
    let sign = if bias < 0.0 { '−' } else { '+' };
    format!("{gain} · DN {sign} {}", bias.abs())
}

fn table(out: &mut String, scene: &Scene, odd: &[Oddity]) {
    line!(out, "{}", scene.id);
    let offset = &scene.time.original_offset;
    let said = scene.time.original.ends_with(offset.as_str());
    let original = if said { scene.time.original.clone() } else { format!("{} {offset}", scene.time.original) };
    line!(out, "  time      {} (given as {original})", scene.time.center);
    let known = |token: &str| match scene.has_jilin1_level() {
        true => level::known(token).map_or("nothing is published about it", |k| k.about),
        false => "as its vendor calls it",
    };
    match &scene.level {
        Some(token) => line!(out, "  level     {token}: {}", known(token)),
        None => line!(out, "  level     not stated"),
    }
    match scene.sun {
        Some(s) => line!(
            out,
            "  sun       zenith {:.3}°, azimuth {}",
            s.zenith.0,
            s.azimuth_deg.map_or("not stated".into(), |a| format!("{a:.3}°"))
        ),
        None => line!(out, "  sun       not stated"),
    }
    for p in &scene.parts {
        let roles: Vec<_> = p.bands.iter().map(|b| b.role.code()).collect();
        let gsd = p.gsd_m.map_or(String::new(), |(a, b)| format!(", {a} × {b} m"));
        line!(
            out,
            "  {:<9} {} × {} px, {}, {}{gsd}, {}",
            p.name,
            p.cols,
            p.rows,
            p.sample,
            roles.join(" "),
            place(&p.sensor_model)
        );
        for done in &p.processed {
            line!(out, "    {}, as {} says", done.what.words(), done.said_by);
        }
        for b in &p.bands {
            let text = match &b.calibration {
                Calibration::Radiance { gain, bias, .. } => format!("radiance {}", line_of(*gain, *bias)),
                Calibration::Reflectance { gain, bias, .. } => format!("reflectance {}", line_of(*gain, *bias)),
                Calibration::Missing { reason } => format!("no coefficients: {reason}"),
            };
            let range = b.range_nm.map_or(String::new(), |r| format!("{}–{} nm, ", r.min, r.max));
            line!(out, "    {:<7} {range}{text}", b.role.code());
        }
    }
    for (k, text) in becomes(scene).iter().enumerate() {
        line!(out, "  {:<9} {text}", if k == 0 { "becomes" } else { "" });
    }
    for o in odd {
        line!(out, "  {:<9} {} [{}]", o.severity.text(), o.message, o.code);
        line!(out, "  {:<9} {}", "", o.remedy);
    }
}
