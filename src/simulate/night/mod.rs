//! The night: lamps and a glowing sky, seen by a camera whose dark level its metadata do not tell.
//!
//! The ground adds nothing of its own: where no lamp shines there is the glow alone, and that is what a dark level can
//! be measured on.

mod lamp;
mod lamps;

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use lamp::{BANDS, KINDS, LampKind, Site};
use lamps::Lamps;
use serde_json::{Map, Value, json};

use super::radiometry::{DATA_BITS, Detector, MAX_DN, Response, is_imaged_at};
use super::render::{Sampler, Scenery};
use super::subject::{BandSpec, Layer, LayerSums, PartSpec, Place, Sections, Subject, Words};
use super::{Kind, NightOptions, Options, SimulateError};

/// Band limits of the night cameras: red, green, blue, nanometres.
///
/// # Reference
/// Those quoted for JL1-3B in Zheng et al., Remote Sensing of Environment 215 (2018).
const RANGES_NM: [(f64, f64); BANDS] = [(580.0, 720.0), (489.0, 585.0), (430.0, 512.0)];

const fn part(bands: &'static [BandSpec; BANDS]) -> [PartSpec; 1] {
    [PartSpec { name: "MSS", ratio: 1, first_band: 0, bands }]
}

/// Bands in file order with gains and biases for red, green and blue.
const fn bands(red: (f64, f64), green: (f64, f64), blue: (f64, f64)) -> [BandSpec; BANDS] {
    const fn band(role: &'static str, range_nm: (f64, f64), (gain, bias): (f64, f64)) -> BandSpec {
        BandSpec { role, range_nm, gain, bias }
    }
    [band("R", RANGES_NM[0], red), band("G", RANGES_NM[1], green), band("B", RANGES_NM[2], blue)]
}

const JL105B: &[BandSpec; BANDS] = &bands((0.000574, 0.009202), (0.000644, 0.009854), (0.000895, 0.011851));
const GF03C01: &[BandSpec; BANDS] = &bands((0.000296, 0.014166), (0.000319, 0.013368), (0.000473, 0.009222));
const GF03C03: &[BandSpec; BANDS] = &bands((0.000293, 0.003305), (0.000318, 0.006996), (0.000466, 0.004361));

/// Satellites whose night coefficients are known.
///
/// # Reference
/// Published Earth Engine scripts of A. Sánchez de Miguel (Cities at Night) for JL105B, there applied to JL107B too,
/// JL1GF03C01 and JL1GF03C03.
static SATELLITES: [(&str, [PartSpec; 1]); 4] =
    [("JL105B", part(JL105B)), ("JL107B", part(JL105B)), ("JL1GF03C01", part(GF03C01)), ("JL1GF03C03", part(GF03C03))];

/// Direction the glow grows in, degrees from east to north: the sky over a city that stands there.
const GLOW_TOWARDS_DEG: f64 = 25.0;
/// Most the glow differs from that over the scene centre, as a share of it.
const GLOW_CHANGE: f64 = 0.5;
/// Distance over which it does so, metres.
const GLOW_LENGTH_M: f64 = 8000.0;

/// The parts of a satellite's delivery.
pub(super) fn parts_of(satellite: &str) -> Option<&'static [PartSpec]> {
    SATELLITES.iter().find(|known| known.0 == satellite).map(|(_, parts)| parts.as_slice())
}

/// Names of the satellites that [`parts_of`] knows.
pub(super) fn satellites() -> Vec<&'static str> {
    SATELLITES.iter().map(|known| known.0).collect()
}

/// Lamps and glow of one night.
pub(super) struct Night {
    parts: &'static [PartSpec],
    lamps: Lamps,
    glow: Glow,
    dark_dn: [f64; BANDS],
    noise_dn: f64,
    seed: u64,
}

impl Night {
    /// The night of checked options.
    pub(super) fn new(options: &Options, night: &NightOptions) -> Self {
        Self {
            parts: parts_of(&options.satellite).unwrap_or_default(),
            lamps: Lamps::new(options.seed),
            glow: Glow(night.glow),
            dark_dn: night.dark_dn,
            noise_dn: options.noise_dn,
            seed: options.seed,
        }
    }

    fn radiometry(&self, bands: &[BandSpec]) -> Value {
        let band = |(spec, dark_dn): (&BandSpec, &f64)| {
            json!({
                "role": spec.role,
                "range_nm": [spec.range_nm.0, spec.range_nm.1],
                "gain": spec.gain,
                "bias": spec.bias,
                "dark_dn": dark_dn,
                "dark_radiance": spec.gain * dark_dn,
                "saturation_radiance": spec.gain * (MAX_DN - dark_dn) + spec.bias,
            })
        };
        json!({
            "dn": "round((radiance - bias) / gain + dark_dn + noise), 1 to saturation_dn; 0 is not imaged",
            "radiance": "lamps + glow, W m-2 sr-1 um-1, top of atmosphere",
            "dark_dn": "offset that the metadata do not tell",
            "dark_radiance": "gain * dark_dn: what gain * dn + bias is too high by",
            "data_bits": DATA_BITS,
            "saturation_dn": MAX_DN,
            "noise_dn": self.noise_dn,
            "bands": bands.iter().zip(&self.dark_dn).map(band).collect::<Vec<_>>(),
        })
    }
}

impl Subject for Night {
    fn parts(&self) -> &'static [PartSpec] {
        self.parts
    }

    fn level(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::L1 => "L1A",
            Kind::L3 => "L3C",
        }
    }

    fn scenery(&self, _: &PartSpec) -> Box<dyn Scenery + '_> {
        Box::new(NightSky(self))
    }

    fn detector(&self, part: &PartSpec) -> Detector {
        let response = |(spec, &dark_dn): (&BandSpec, &f64)| Response {
            gain: spec.gain,
            bias: spec.bias,
            radiance_of_one: 1.0,
            dark_dn,
        };
        let responses = part.bands.iter().zip(&self.dark_dn).map(response).collect();
        Detector::new(responses, part.first_band, self.noise_dn, self.seed)
    }

    fn layers(&self) -> &'static [Layer] {
        &[Layer::Lamps, Layer::Glow]
    }

    fn layer(&self, layer: Layer) -> Option<Box<dyn Scenery + '_>> {
        match layer {
            Layer::Lamps => Some(Box::new(&self.lamps)),
            Layer::Glow => Some(Box::new(self.glow)),
            Layer::Reflectance => None,
        }
    }

    fn sections(&self, place: &Place) -> Result<Sections, SimulateError> {
        let path = place.truth_folder.join("lamps.csv");
        let census =
            self.list_lamps(place, &path).map_err(|source| SimulateError::Write { path: path.clone(), source })?;
        let bands = self.parts.first().map_or(&[][..], |part| part.bands);
        let layer = |l: &LayerSums| {
            let by_band: Map<String, Value> =
                bands.iter().zip(&l.sums).map(|(b, sum)| (b.role.into(), json!(sum))).collect();
            json!({ "file": l.layer.file(), "pixels": l.pixels, "dark_pixels": l.dark_pixels, "sum": by_band })
        };
        let mut document = Map::new();
        document.insert("radiometry".into(), self.radiometry(bands));
        document.insert("glow".into(), self.glow.json(bands));
        document.insert("lamps".into(), census.json(bands, place.map.utm.epsg()));
        document.insert(
            "truth_rasters".into(),
            json!({
                "sum": "of the radiance of all pixels, W m-2 sr-1 um-1: of the lamps it is the total night light (TNL)",
                "dark_ground": format!(
                    "pixels of {} that are 0 in every band: no light of any lamp falls on them nor is spread to them",
                    Layer::Lamps.file()
                ),
                "list": place.layers.iter().map(layer).collect::<Vec<_>>(),
            }),
        );
        Ok(Sections { document, patches: 0, lamps: census.count() })
    }

    fn words(&self) -> Words {
        Words {
            title: "A simulated satellite delivery taken at night. No part of it was measured.",
            bands: "bands are red, green,\nblue",
            truth: "truth/truth.json\n\
                    - everything that was put in: options, sun, gains and biases, the dark level that the metadata do not\n\
                    tell, noise, sky glow, lamps, and the sums of the rasters below\n\n\
                    truth/truth_lamps.tif\n\
                    - true top-of-atmosphere radiance of the lamps in the central part, red, green, blue, W m-2 sr-1 um-1,\n\
                    UTM; 0 in every band: dark ground\n\n\
                    truth/truth_glow.tif\n\
                    - the same of the glow of the sky\n\n\
                    truth/lamps.csv\n\
                    - every lamp in the image: site, kind, place, and the radiance of its pool of light",
        }
    }
}

/// Lamps in the image.
#[derive(Debug, Default)]
struct Census {
    by_site: BTreeMap<Site, usize>,
    by_kind: [usize; KINDS.len()],
    /// Radiance integrated over the ground, W·sr⁻¹·µm⁻¹.
    total: [f64; BANDS],
}

impl Census {
    fn count(&self) -> usize {
        self.by_kind.iter().sum()
    }

    fn json(&self, bands: &[BandSpec], epsg: u32) -> Value {
        let sites: Map<String, Value> = Site::ALL
            .iter()
            .map(|site| (site.name().into(), json!(self.by_site.get(site).copied().unwrap_or_default())))
            .collect();
        let kind = |(kind, count): (&LampKind, &usize)| {
            let (green_red, blue_green) = (kind.green_red, kind.blue_green);
            json!({ "kind": kind.name, "count": count, "green_over_red": green_red, "blue_over_green": blue_green })
        };
        let total: Map<String, Value> =
            bands.iter().zip(self.total).map(|(band, total)| (band.role.into(), json!(total))).collect();
        json!({
            "file": "lamps.csv",
            "crs": format!("EPSG:{epsg}"),
            "count": self.count(),
            "sites": sites,
            "kinds": KINDS.iter().zip(&self.by_kind).map(kind).collect::<Vec<_>>(),
            "pool": "peak * (1 - (r / radius_m)^2)^4 within radius_m, 0 beyond; its integral is peak * pi * radius_m^2 / 5",
            "radiance_area": "integral of the pools of all lamps listed, W sr-1 um-1",
            "total_radiance_area": total,
        })
    }
}

impl Night {
    /// Writes every lamp whose pool has its middle in the image.
    fn list_lamps(&self, place: &Place, path: &Path) -> std::io::Result<Census> {
        let options = place.options;
        let (low, high) = options.plane_bounds(place.ground);
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        writeln!(file, "site,kind,lon_deg,lat_deg,x,y,mss_line,mss_sample,radius_m,peak_r,peak_g,peak_b")?;
        let mut census = Census::default();
        self.lamps.around(low, high, |lamp| {
            let (line, sample) = place.ground.pixel(lamp.x, lamp.y);
            if !is_imaged_at((line, sample), options.mss_rows, options.mss_cols) {
                return Ok(());
            }
            *census.by_site.entry(lamp.site).or_default() += 1;
            census.by_kind[lamp.kind] += 1;
            for (total, peak) in census.total.iter_mut().zip(lamp.peak) {
                *total += peak * lamp.area_m2();
            }
            let (lon, lat) = place.map.plane.lon_lat(lamp.x, lamp.y);
            let (x, y) = place.map.utm.forward(lon, lat);
            let (site, kind, radius, [r, g, b]) = (lamp.site.name(), KINDS[lamp.kind].name, lamp.radius_m, lamp.peak);
            writeln!(
                file,
                "{site},{kind},{lon:.9},{lat:.9},{x:.4},{y:.4},{line:.4},{sample:.4},{radius:.6},{r:.9},{g:.9},{b:.9}"
            )
        })?;
        file.flush()?;
        Ok(census)
    }
}

/// Radiance of the glowing sky: over the scene centre, for every band.
#[derive(Debug, Clone, Copy)]
struct Glow([f64; BANDS]);

impl Glow {
    /// Glow at a place as a share of that over the scene centre.
    fn share(x: f64, y: f64) -> f64 {
        let (sin, cos) = GLOW_TOWARDS_DEG.to_radians().sin_cos();
        let t = (x * cos + y * sin) / GLOW_LENGTH_M;
        1.0 + GLOW_CHANGE * t / (1.0 + t * t).sqrt()
    }

    fn json(&self, bands: &[BandSpec]) -> Value {
        let center: Map<String, Value> =
            bands.iter().zip(self.0).map(|(band, glow)| (band.role.into(), json!(glow))).collect();
        json!({
            "radiance": "center * (1 + change * t / sqrt(1 + t^2)), t = (east * cos(towards) + north * sin(towards)) / length_m, \
                         east and north in metres from the scene centre",
            "center": center,
            "change": GLOW_CHANGE,
            "towards_deg": GLOW_TOWARDS_DEG,
            "length_m": GLOW_LENGTH_M,
        })
    }
}

impl Scenery for Glow {
    fn bands(&self) -> usize {
        BANDS
    }

    fn sampler(&self) -> Sampler<'_> {
        Box::new(|x, y, out| {
            let share = Self::share(x, y);
            for (out, center) in out.iter_mut().zip(self.0) {
                *out = (center * share) as f32;
            }
        })
    }
}

/// All light of a night.
struct NightSky<'a>(&'a Night);

impl Scenery for NightSky<'_> {
    fn bands(&self) -> usize {
        BANDS
    }

    fn detail_m(&self) -> f64 {
        self.0.lamps.detail_m()
    }

    fn sampler(&self) -> Sampler<'_> {
        let (mut lamps, mut glow) = (self.0.lamps.sampler(), self.0.glow.sampler());
        Box::new(move |x, y, out| {
            let mut sky = [0.0; BANDS];
            glow(x, y, &mut sky);
            lamps(x, y, out);
            for (out, sky) in out.iter_mut().zip(sky) {
                *out += sky;
            }
        })
    }
}
