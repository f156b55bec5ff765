//! What can be asked of a simulation.

use std::path::PathBuf;

use super::SimulateError;
use super::day::Day;
use super::ellipsoid::{Geodetic, Plane};
use super::night::{self, Night};
use super::render::{Canvas, Ground, MapGrid, Scenery};
use super::subject::{PartSpec, Subject};
use super::sun::{SunPosition, sun_position};
use super::utm::Utm;
use crate::grid::GeoTransform;

/// Longest edge of a scene, metres: beyond it one rational polynomial model no longer follows the camera.
const MAX_EDGE_M: f64 = 200_000.0;

/// Product level of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sensor geometry with rational polynomial coefficients.
    L1,
    /// Orthorectified to UTM.
    L3,
}

/// Compression of the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Uncompressed strips.
    None,
    /// DEFLATE strips, no predictor.
    Deflate,
}

/// What is photographed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scene {
    /// Farmland in the sun: bands blue, green, red, near infrared.
    Day {
        /// True to make the panchromatic image too.
        pan: bool,
    },
    /// Lamps along the roads and in the towns of the same land: bands red, green, blue.
    Night(NightOptions),
}

/// What a night has besides its lamps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NightOptions {
    /// Offset of the detector that its metadata do not tell: red, green, blue, 0 to 1000 digital numbers. Where it is too
    /// small to hold the noise above 1, the noise is clipped there.
    pub dark_dn: [f64; 3],
    /// Radiance of the sky glow at the scene centre: red, green, blue, 0 to 0.5 W·m⁻²·sr⁻¹·µm⁻¹.
    pub glow: [f64; 3],
}

impl Default for NightOptions {
    /// A faint glow, and a dark level well above the noise.
    fn default() -> Self {
        Self { dark_dn: [46.0, 39.5, 57.25], glow: [0.0046, 0.0038, 0.0029] }
    }
}

/// What to simulate.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Folder to write to, one delivery each; what stands there under the same names is replaced.
    pub out: PathBuf,
    /// Draws the land, its lamps, the relief and the noise.
    pub seed: u64,
    /// Draws what grows on the fields, and the noise, of another date: the layout of the land stays. 0 for what `seed`
    /// alone draws. By day only.
    pub season: u64,
    /// Share of the scene under a cloud, 0 to 1; 0 for none. By day only.
    pub cloud: f64,
    /// What is photographed.
    pub scene: Scene,
    /// Product level.
    pub kind: Kind,
    /// Rows of the multispectral image, 16 or more; four times as many in the panchromatic one.
    pub mss_rows: usize,
    /// Columns of the multispectral image, 16 or more; four times as many in the panchromatic one.
    pub mss_cols: usize,
    /// Edge of a multispectral pixel at the scene centre, 0.2 to 30 m; a quarter of it in the panchromatic image.
    pub gsd_m: f64,
    /// Longitude of the scene centre, −170 to 170 degrees, so that no scene crosses the antimeridian. The land hangs on
    /// the centre: equal centre and seed, equal land.
    pub center_lon_deg: f64,
    /// Latitude of the scene centre, −80 to 80 degrees.
    pub center_lat_deg: f64,
    /// When the middle line was taken, UTC, whole seconds; the sun must be 5° high or more by day, and
    /// 18° below the horizon or more by night, when the sky has no light of it.
    pub time: jiff::Timestamp,
    /// Tilt of the satellite across its track, −35 to 35 degrees, positive towards increasing samples (east).
    pub roll_deg: f64,
    /// Lines and samples (multispectral pixels) by which the written sensor model is wrong: a pointing error. Only for
    /// level L1.
    pub rpc_shift_px: (f64, f64),
    /// Amplitude of the relief, 0 to 300 m; 0 is flat.
    pub relief_m: f64,
    /// Standard deviation of the noise, 0 to 100 digital numbers; 0 for none.
    pub noise_dn: f64,
    /// True for pixels that integrate over a point spread, false for the value at their centre.
    pub psf: bool,
    /// Spacing of the elevation model, 1 to 1000 m.
    pub dem_spacing_m: f64,
    /// Pixel of the rasters of the truth, 0.05 to 30 m, with a point spread of its own size; `None` for a multispectral
    /// pixel.
    pub truth_m: Option<f64>,
    /// Satellite in names and metadata; by night it also decides about gains and biases.
    pub satellite: String,
    /// Sensor in names and metadata.
    pub sensor: String,
    /// Compression of the images.
    pub compression: Compression,
}

impl Options {
    /// A 1024 × 1024 L1 scene of farmland near Changchun on a July morning.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            seed: 1,
            season: 0,
            cloud: 0.0,
            scene: Scene::Day { pan: true },
            kind: Kind::L1,
            mss_rows: 1024,
            mss_cols: 1024,
            gsd_m: 3.0,
            center_lon_deg: 125.35,
            center_lat_deg: 43.88,
            // 2026-07-15T02:30:00Z
            time: jiff::Timestamp::constant(1_784_082_600, 0),
            roll_deg: 8.0,
            rpc_shift_px: (0.0, 0.0),
            relief_m: 80.0,
            noise_dn: 3.0,
            psf: true,
            dem_spacing_m: 30.0,
            truth_m: None,
            satellite: "JL1KF01A".into(),
            sensor: "PMS06".into(),
            compression: Compression::None,
        }
    }

    /// A 1024 × 1024 L1A scene of the lamps on the same land, in the night of the same day.
    pub fn night(out: impl Into<PathBuf>) -> Self {
        Self {
            scene: Scene::Night(NightOptions::default()),
            gsd_m: 0.92,
            // 2026-07-15T14:30:00Z
            time: jiff::Timestamp::constant(1_784_125_800, 0),
            satellite: "JL107B".into(),
            sensor: "MSS1".into(),
            ..Self::new(out)
        }
    }

    /// Refuses options that are out of range.
    pub(super) fn check(&self) -> Result<(), SimulateError> {
        let wrong = |option, expected: String, found: String| Err(SimulateError::Option { option, expected, found });
        let ranges = [
            ("gsd_m", self.gsd_m, 0.2, 30.0),
            ("center_lon_deg", self.center_lon_deg, -170.0, 170.0),
            ("center_lat_deg", self.center_lat_deg, -80.0, 80.0),
            ("roll_deg", self.roll_deg, -35.0, 35.0),
            ("rpc_shift_px.0", self.rpc_shift_px.0, -1000.0, 1000.0),
            ("rpc_shift_px.1", self.rpc_shift_px.1, -1000.0, 1000.0),
            ("cloud", self.cloud, 0.0, 1.0),
            ("relief_m", self.relief_m, 0.0, 300.0),
            ("noise_dn", self.noise_dn, 0.0, 100.0),
            ("dem_spacing_m", self.dem_spacing_m, 1.0, 1000.0),
            ("truth_m", self.truth_m.unwrap_or(1.0), 0.05, 30.0),
        ];
        for (option, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return wrong(option, format!("{low} to {high}"), value.to_string());
            }
        }
        let most = (MAX_EDGE_M / self.gsd_m) as usize;
        for (option, value) in [("mss_rows", self.mss_rows), ("mss_cols", self.mss_cols)] {
            if !(16..=most).contains(&value) {
                return wrong(option, format!("16 to {most}, so that no edge is over 200 km"), value.to_string());
            }
        }
        for (option, value) in [("satellite", &self.satellite), ("sensor", &self.sensor)] {
            let fits = (1..=16).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric());
            if !fits {
                return wrong(option, "1 to 16 letters and digits".into(), format!("`{value}`"));
            }
        }
        if self.kind == Kind::L3 && self.rpc_shift_px != (0.0, 0.0) {
            return wrong(
                "rpc_shift_px",
                "none for level L3, which has no RPC".into(),
                format!("{:?}", self.rpc_shift_px),
            );
        }
        if self.time.subsec_nanosecond() != 0 {
            return wrong("time", "whole seconds, as the metadata can hold no more".into(), self.time.to_string());
        }
        let elevation = 90.0 - self.sun().zenith_deg;
        let (fits, expected) = match self.scene {
            Scene::Day { .. } => {
                (elevation >= 5.0, "a time at which the sun is 5° or more above the horizon at the scene centre")
            }
            Scene::Night(_) => (
                elevation <= -18.0,
                "a time of night, at which the sun is 18° or more below the horizon at the scene centre",
            ),
        };
        if !fits {
            return wrong("time", expected.into(), format!("{}, sun {elevation:.1}° high", self.time));
        }
        match self.scene {
            Scene::Day { .. } => Ok(()),
            Scene::Night(night) => self.check_night(&night),
        }
    }

    fn check_night(&self, night: &NightOptions) -> Result<(), SimulateError> {
        let wrong = |option, expected: String, found: String| Err(SimulateError::Option { option, expected, found });
        for (option, values, high) in [("dark_dn", night.dark_dn, 1000.0), ("glow", night.glow, 0.5)] {
            if let Some(value) = values.iter().find(|value| !(0.0..=high).contains(*value)) {
                return wrong(option, format!("0 to {high}"), value.to_string());
            }
        }
        for (option, is_set) in [("season", self.season != 0), ("cloud", self.cloud != 0.0)] {
            if is_set {
                return wrong(option, "0 by night: neither fields nor clouds are lit".into(), "another".into());
            }
        }
        if night::parts_of(&self.satellite).is_none() {
            let expected =
                format!("a satellite whose night coefficients are known: {}", night::satellites().join(", "));
            return wrong("satellite", expected, format!("`{}`", self.satellite));
        }
        Ok(())
    }

    /// Where the sun stands at the scene centre.
    pub(super) fn sun(&self) -> SunPosition {
        let place = Geodetic { lon_deg: self.center_lon_deg, lat_deg: self.center_lat_deg, height_m: 0.0 };
        sun_position(self.time.as_second() as f64, place)
    }

    /// What is photographed, ready to be.
    pub(super) fn subject(&self) -> Box<dyn Subject> {
        match &self.scene {
            Scene::Day { pan } => Box::new(Day::new(self, *pan)),
            Scene::Night(night) => Box::new(Night::new(self, night)),
        }
    }

    /// A rectangle of the scene plane that holds the image: its lower and upper corner, metres.
    pub(super) fn plane_bounds(&self, ground: &dyn Ground) -> ([f64; 2], [f64; 2]) {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for k in 0..=32 {
            let along = f64::from(k) / 32.0;
            for (l, s) in [(0.0, along), (1.0, along), (along, 0.0), (along, 1.0)] {
                let (x, y) = ground.plane_xy(l * self.mss_rows as f64 - 0.5, s * self.mss_cols as f64 - 0.5);
                (low, high) = ([low[0].min(x), low[1].min(y)], [high[0].max(x), high[1].max(y)]);
            }
        }
        (low, high)
    }

    /// The map grid of a transform, in the UTM zone of the scene centre.
    pub(super) fn map(&self, transform: GeoTransform) -> MapGrid {
        let utm = Utm::of(self.center_lon_deg, self.center_lat_deg);
        MapGrid { utm, transform, plane: Plane::at(self.center_lon_deg, self.center_lat_deg) }
    }

    /// A north-up grid around the scene centre, its corner at whole pixels of the zone, with multispectral pixels.
    pub(super) fn centered_map(&self, rows: usize, cols: usize) -> MapGrid {
        self.centered_map_of(rows, cols, self.gsd_m)
    }

    /// The same with pixels of this size.
    pub(super) fn centered_map_of(&self, rows: usize, cols: usize, pixel: f64) -> MapGrid {
        let utm = Utm::of(self.center_lon_deg, self.center_lat_deg);
        let (easting, northing) = utm.forward(self.center_lon_deg, self.center_lat_deg);
        let corner = |at: f64, pixels: f64| ((at / pixel).round() + pixels) * pixel;
        let x0 = corner(easting, -((cols / 2) as f64));
        let y0 = corner(northing, (rows / 2) as f64);
        self.map(GeoTransform::north_up(x0, y0, pixel))
    }

    /// The image of a part to be painted of some scenery.
    pub(super) fn canvas<'a>(&self, ground: &'a dyn Ground, scenery: &'a dyn Scenery, part: PartSpec) -> Canvas<'a> {
        Canvas {
            ground,
            scenery,
            rows: self.mss_rows * part.ratio,
            cols: self.mss_cols * part.ratio,
            ratio: part.ratio,
            gsd_m: self.gsd_m,
            psf: self.psf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Options)) -> &'static str {
        let mut options = Options::new("unused");
        change(&mut options);
        match options.check() {
            Err(SimulateError::Option { option, .. }) => option,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_simulated_is_refused_by_name() {
        assert!(Options::new("unused").check().is_ok());
        assert_eq!(refused(|o| o.gsd_m = f64::NAN), "gsd_m");
        assert_eq!(refused(|o| o.mss_rows = 15), "mss_rows");
        assert_eq!(refused(|o| (o.gsd_m, o.mss_cols) = (30.0, 7000)), "mss_cols");
        assert_eq!(refused(|o| o.center_lat_deg = 85.0), "center_lat_deg");
        assert_eq!(refused(|o| (o.kind, o.rpc_shift_px) = (Kind::L3, (1.0, 0.0))), "rpc_shift_px");
        assert_eq!(refused(|o| o.truth_m = Some(0.0)), "truth_m");
        assert_eq!(refused(|o| o.sensor = "../PMS".into()), "sensor");
        assert_eq!(refused(|o| o.time = "2026-07-15T16:00:00Z".parse().unwrap()), "time");
        assert_eq!(refused(|o| o.time = "2026-07-15T02:30:00.5Z".parse().unwrap()), "time");
    }

    #[test]
    fn a_night_is_checked_as_a_night() {
        let refused = |change: fn(&mut Options, &mut NightOptions)| {
            let (mut options, mut night) = (Options::night("unused"), NightOptions::default());
            change(&mut options, &mut night);
            options.scene = Scene::Night(night);
            match options.check() {
                Err(SimulateError::Option { option, expected, .. }) => (option, expected),
                other => panic!("{other:?}"),
            }
        };
        assert!(Options::night("unused").check().is_ok());
        let (option, expected) = refused(|o, _| o.time = Options::new("unused").time);
        assert!(option == "time" && expected.contains("night"), "{expected}");
        // Dusk: the sun is down and its light is not.
        assert_eq!(refused(|o, _| o.time = "2026-07-15T12:00:00Z".parse().unwrap()).0, "time");
        let (option, expected) = refused(|o, _| o.satellite = "JL1KF01A".into());
        assert!(option == "satellite" && expected.contains("JL107B, JL1GF03C01"), "{expected}");
        assert_eq!(refused(|o, _| o.season = 1).0, "season");
        assert_eq!(refused(|o, _| o.cloud = 0.5).0, "cloud");
        assert_eq!(refused(|_, n| n.dark_dn[1] = -1.0).0, "dark_dn");
        assert_eq!(refused(|_, n| n.glow[2] = f64::NAN).0, "glow");
    }

    #[test]
    fn default_time_is_half_past_ten_in_beijing() {
        assert_eq!(Options::new("unused").time.to_string(), "2026-07-15T02:30:00Z");
        assert_eq!(Options::night("unused").time.to_string(), "2026-07-15T14:30:00Z");
    }

    #[test]
    fn map_grids_of_any_size_lie_on_whole_pixels() {
        let options = Options::new("unused");
        for (rows, cols) in [(1024, 1024), (97, 33)] {
            let t = options.centered_map(rows, cols).transform;
            assert!((t.x0 / 3.0).fract() == 0.0 && (t.y0 / 3.0).fract() == 0.0, "{t:?}");
        }
    }
}
