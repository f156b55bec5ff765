//! A pushbroom camera on an orbit: rays, not polynomials.
//!
//! Lines and samples are those of the multispectral image, real numbers, (0, 0) the *centre* of the first pixel. They
//! stay meaningful outside the image. A line is a time; a sample is a place on a straight array of detectors.

use super::Options;
use super::ellipsoid::{A, F, Geodetic, Plane};
use super::relief::Relief;
use super::vector::{Vec3, add, cross, dot, norm, scale, sub, turned, unit};

/// Height of the circular orbit above the equatorial radius, metres.
const ALTITUDE_M: f64 = 535_000.0;
/// Inclination of a sun-synchronous orbit at that height, degrees.
const INCLINATION_DEG: f64 = 97.5;
/// Gravitational constant times mass of the Earth, m³·s⁻².
///
/// # Reference
/// NIMA TR8350.2, WGS 84.
const MU: f64 = 3.986_004_418e14;
/// Rotation of the Earth, rad·s⁻¹.
const EARTH_RATE: f64 = 7.292_115e-5;
/// Drift of the attitude: roll, pitch, yaw, in rad·s⁻¹ and rad·s⁻².
const DRIFT: [(f64, f64); 3] = [(4.0e-6, 3.0e-7), (-3.0e-6, 4.0e-7), (6.0e-6, -2.0e-7)];
/// Constant pitch and yaw, radians.
const PITCH: f64 = 0.0021;
const YAW: f64 = -0.0008;

/// The camera of one acquisition.
#[derive(Debug, Clone)]
pub(super) struct Camera {
    /// Direction to the satellite, and of its flight, at time 0.
    radial: Vec3,
    along: Vec3,
    roll_rad: f64,
    /// Seconds per line.
    pub(super) line_time_s: f64,
    /// Tangent of the angle one detector covers: its pitch over the focal length.
    pub(super) detector_tan: f64,
    center_line: f64,
    center_sample: f64,
    pub(super) plane: Plane,
    pub(super) relief: Relief,
}

/// Where the camera is and how it is turned at one time, Earth-fixed.
struct Pose {
    position: Vec3,
    /// Ahead, along increasing samples, and along the line of sight of the centre of the array.
    axes: [Vec3; 3],
}

impl Camera {
    /// The camera that sees the scene centre with the middle of the middle line, at the ground sampling distance asked
    /// for, both ways.
    pub(super) fn new(options: &Options) -> Self {
        let plane = Plane::at(options.center_lon_deg, options.center_lat_deg);
        let relief = Relief::new(options.seed, options.relief_m);
        let height_m = relief.height(0.0, 0.0);
        let target = Geodetic { lon_deg: options.center_lon_deg, lat_deg: options.center_lat_deg, height_m }.to_ecef();
        let mut camera = Self {
            radial: unit(target),
            along: [0.0; 3],
            roll_rad: options.roll_deg.to_radians(),
            line_time_s: 1.0,
            detector_tan: 1.0,
            center_line: 0.5 * (options.mss_rows as f64 - 1.0),
            center_sample: 0.5 * (options.mss_cols as f64 - 1.0),
            plane,
            relief,
        };
        // The satellite is moved over the ground by what its line of sight misses the target by.
        for _ in 0..40 {
            camera.along = heading(camera.radial);
            let miss = sub(target, camera.hit(0.0, 0.0, height_m));
            camera.radial = unit(add(camera.radial, scale(miss, 1.0 / norm(target))));
        }
        camera.along = heading(camera.radial);

        let step = 1e-3;
        let along = norm(sub(camera.hit(step, 0.0, height_m), camera.hit(-step, 0.0, height_m))) / (2.0 * step);
        let across = norm(sub(camera.hit(0.0, step, height_m), camera.hit(0.0, -step, height_m))) / (2.0 * step);
        camera.line_time_s = options.gsd_m / along;
        camera.detector_tan = options.gsd_m / across;
        camera
    }

    fn pose(&self, time_s: f64) -> Pose {
        let radius = A + ALTITUDE_M;
        let rate = (MU / radius.powi(3)).sqrt();
        let inertial = scale(turned(self.radial, self.along, rate * time_s), radius);
        let velocity = scale(turned(self.along, scale(self.radial, -1.0), rate * time_s), radius * rate);
        let relative = sub(velocity, cross([0.0, 0.0, EARTH_RATE], inertial));
        let position = earth_fixed(inertial, time_s);
        let velocity = earth_fixed(relative, time_s);

        let down = unit(scale(position, -1.0));
        let ahead = unit(sub(velocity, scale(down, dot(velocity, down))));
        let left = cross(ahead, down);
        let drift = |(linear, quadratic): (f64, f64)| time_s * (linear + time_s * quadratic);
        let roll = self.roll_rad + drift(DRIFT[0]);
        let pitch = PITCH + drift(DRIFT[1]);
        let yaw = YAW + drift(DRIFT[2]);
        let (sight, across) = (turned(down, left, roll), turned(left, down, -roll));
        let (sight, ahead) = (turned(sight, ahead, pitch), turned(ahead, sight, -pitch));
        let (ahead, across) = (turned(ahead, across, yaw), turned(across, ahead, -yaw));
        Pose { position, axes: [ahead, across, sight] }
    }

    /// Where the line of sight at a time and a tangent across the array meets a height.
    fn hit(&self, time_s: f64, tangent: f64, height_m: f64) -> Vec3 {
        self.meet(time_s, tangent, |_| height_m)
    }

    /// Where a line of sight meets the surface whose height above the ellipsoid `surface` gives.
    fn meet(&self, time_s: f64, tangent: f64, surface: impl Fn(Geodetic) -> f64) -> Vec3 {
        let pose = self.pose(time_s);
        let direction = unit(add(pose.axes[2], scale(pose.axes[1], tangent)));
        let at = |distance: f64| add(pose.position, scale(direction, distance));
        let above = |distance: f64| {
            let place = Geodetic::from_ecef(at(distance));
            place.height_m - surface(place)
        };
        let mut near = distance_to_ellipsoid(pose.position, direction);
        let mut gap_near = above(near);
        let fall = -dot(direction, Geodetic::from_ecef(at(near)).east_north_up()[2]);
        let mut far = near + gap_near / fall;
        // Secant steps; slopes are limited so that a line of sight meets the ground once.
        for _ in 0..30 {
            let gap_far = above(far);
            if gap_far.abs() < 1e-8 || gap_far == gap_near {
                break;
            }
            let next = far - gap_far * (far - near) / (gap_far - gap_near);
            (near, gap_near, far) = (far, gap_far, next);
        }
        at(far)
    }

    fn time_and_tangent(&self, line: f64, sample: f64) -> (f64, f64) {
        ((line - self.center_line) * self.line_time_s, (sample - self.center_sample) * self.detector_tan)
    }

    /// The point of the ground a pixel sees.
    pub(super) fn ground(&self, line: f64, sample: f64) -> Geodetic {
        let (time_s, tangent) = self.time_and_tangent(line, sample);
        Geodetic::from_ecef(self.meet(time_s, tangent, |p| {
            let (x, y) = self.plane.xy(p.lon_deg, p.lat_deg);
            self.relief.height(x, y)
        }))
    }

    /// The point at a height above the ellipsoid a pixel sees.
    pub(super) fn ground_at_height(&self, line: f64, sample: f64, height_m: f64) -> Geodetic {
        let (time_s, tangent) = self.time_and_tangent(line, sample);
        Geodetic::from_ecef(self.hit(time_s, tangent, height_m))
    }

    /// Line and sample that see a point.
    pub(super) fn image(&self, place: Geodetic) -> (f64, f64) {
        let target = place.to_ecef();
        let slopes = |time_s: f64| {
            let pose = self.pose(time_s);
            let [ahead, across, depth] = pose.axes.map(|axis| dot(axis, sub(target, pose.position)));
            (ahead / depth, across / depth)
        };
        // The point is seen when it is neither ahead nor behind; secant steps in time, 1 s apart at first.
        let (mut t0, mut t1) = (0.0, 1.0);
        let mut s0 = slopes(t0).0;
        let mut across = 0.0;
        for _ in 0..30 {
            let s1;
            (s1, across) = slopes(t1);
            if s1.abs() < 1e-15 || s1 == s0 {
                break;
            }
            (t0, t1) = (t1, t1 - s1 * (t1 - t0) / (s1 - s0));
            s0 = s1;
        }
        (t1 / self.line_time_s + self.center_line, across / self.detector_tan + self.center_sample)
    }

    /// Elevation and azimuth of the satellite seen from the scene centre, degrees.
    pub(super) fn view(&self) -> (f64, f64) {
        let place = self.ground(self.center_line, self.center_sample);
        place.look_angles(sub(self.pose(0.0).position, place.to_ecef()))
    }

    /// Time of a line relative to the middle of the scene, seconds.
    pub(super) fn time_of_line(&self, line: f64) -> f64 {
        self.time_and_tangent(line, 0.0).0
    }
}

/// Direction of flight above a point, southbound.
fn heading(radial: Vec3) -> Vec3 {
    let east = unit(cross([0.0, 0.0, 1.0], radial));
    let north = cross(radial, east);
    let cos_lat = radial[0].hypot(radial[1]);
    let sin_azimuth = (INCLINATION_DEG.to_radians().cos() / cos_lat).clamp(-1.0, 1.0);
    let cos_azimuth = -(1.0 - sin_azimuth * sin_azimuth).sqrt();
    add(scale(east, sin_azimuth), scale(north, cos_azimuth))
}

/// An inertial vector in the axes of the Earth, the two being equal at time 0.
fn earth_fixed(v: Vec3, time_s: f64) -> Vec3 {
    let (sin, cos) = (EARTH_RATE * time_s).sin_cos();
    [v[0] * cos + v[1] * sin, v[1] * cos - v[0] * sin, v[2]]
}

/// Distance along a ray to the ellipsoid; to the nearest approach if it misses.
fn distance_to_ellipsoid(origin: Vec3, direction: Vec3) -> f64 {
    let squash = |v: Vec3| [v[0] / A, v[1] / A, v[2] / (A * (1.0 - F))];
    let (o, d) = (squash(origin), squash(direction));
    let (a, b, c) = (dot(d, d), dot(o, d), dot(o, o) - 1.0);
    (-b - (b * b - a * c).max(0.0).sqrt()) / a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(roll_deg: f64) -> Camera {
        let mut options = Options::new("unused");
        options.roll_deg = roll_deg;
        options.mss_cols = 4001;
        options.mss_rows = 3000;
        Camera::new(&options)
    }

    #[test]
    fn ground_to_image_to_ground_closes() {
        for (roll, lon, lat) in [(-30.0, 125.35, 43.88), (0.0, 151.2, -33.9), (12.5, -3.7, 0.0), (35.0, 20.0, 79.0)] {
            let mut options = Options::new("unused");
            (options.roll_deg, options.center_lon_deg, options.center_lat_deg) = (roll, lon, lat);
            let camera = Camera::new(&options);
            for (line, sample) in [(0.0, 0.0), (511.5, 511.5), (1023.0, 17.25), (-40.0, 1100.0)] {
                let place = camera.ground(line, sample);
                let (l, s) = camera.image(place);
                assert!(
                    (l - line).abs() < 1e-5 && (s - sample).abs() < 1e-5,
                    "{roll} {lat}: {l} {s} for {line} {sample}"
                );
            }
            let center = camera.ground(511.5, 511.5);
            assert!((center.lon_deg - lon).abs() < 1e-9 && (center.lat_deg - lat).abs() < 1e-9, "{center:?}");
        }
    }

    #[test]
    fn pixel_is_as_large_as_asked_and_the_center_is_the_center() {
        for roll in [0.0, 20.0] {
            let camera = camera(roll);
            let center = camera.ground(1499.5, 2000.0);
            assert!((center.lon_deg - 125.35).abs() < 1e-9 && (center.lat_deg - 43.88).abs() < 1e-9, "{center:?}");
            let h = center.height_m;
            let p = |l, s| camera.ground_at_height(l, s, h).to_ecef();
            assert!((norm(sub(p(1500.5, 2000.0), p(1499.5, 2000.0))) - 3.0).abs() < 1e-3);
            assert!((norm(sub(p(1499.5, 2001.0), p(1499.5, 2000.0))) - 3.0).abs() < 1e-3);
        }
    }

    #[test]
    fn image_runs_south_and_east_and_the_satellite_is_where_it_looks_from() {
        let camera = camera(20.0);
        let first = camera.ground(0.0, 0.0);
        assert!(camera.ground(2999.0, 0.0).lat_deg < first.lat_deg);
        assert!(camera.ground(0.0, 4000.0).lon_deg > first.lon_deg);
        let (elevation, azimuth) = camera.view();
        // At 535 km a tilt of 20 degrees is seen from the ground as about 21.8 degrees from the zenith, from the west.
        assert!((90.0 - elevation - 21.8).abs() < 0.3, "{elevation}");
        assert!((240.0..300.0).contains(&azimuth), "{azimuth}");
    }

    #[test]
    fn ground_lies_on_the_relief() {
        let camera = camera(25.0);
        for (line, sample) in [(10.0, 20.0), (2000.0, 3500.0)] {
            let p = camera.ground(line, sample);
            let (x, y) = camera.plane.xy(p.lon_deg, p.lat_deg);
            assert!((p.height_m - camera.relief.height(x, y)).abs() < 1e-6);
        }
    }
}
