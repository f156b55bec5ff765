//! The sensor model: ground to image exactly, image to ground by iteration.

use fieldglow_kernels::rpc::Model;

use super::GeometryError;
use crate::grid::METERS_PER_DEGREE;
use crate::scene::Rpc;

/// A sensor model ready for evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    model: Model,
}

/// Where the image-to-ground iteration stops, pixels.
const TOLERANCE_PX: f64 = 1e-6;

impl From<&Rpc> for Sensor {
    fn from(r: &Rpc) -> Self {
        Self {
            model: Model {
                ground_off: [r.lon_off, r.lat_off, r.height_off],
                ground_scale: [r.lon_scale, r.lat_scale, r.height_scale],
                image_off: [r.col_off, r.row_off],
                image_scale: [r.col_scale, r.row_scale],
                col: [r.col_num, r.col_den],
                row: [r.row_num, r.row_den],
            },
        }
    }
}

impl Sensor {
    /// Height the model is centred on, metres above the ellipsoid.
    pub fn middle_height_m(&self) -> f64 {
        self.model.ground_off[2]
    }

    /// Longitude the model is centred on, degrees.
    pub fn middle_lon(&self) -> f64 {
        self.model.ground_off[0]
    }

    /// Area on the ground of a pixel in the middle of an image of `image` rows and columns, square metres.
    ///
    /// # Errors
    /// [`GeometryError::NoGround`].
    pub fn pixel_area_m2(&self, image: (usize, usize)) -> Result<f64, GeometryError> {
        let (col, row, h) = (image.1 as f64 / 2.0, image.0 as f64 / 2.0, self.middle_height_m());
        let (lon, lat) = self.ground_from_image(col, row, h)?;
        let metres = |(a, b): (f64, f64)| {
            ((a - lon) * METERS_PER_DEGREE * lat.to_radians().cos(), (b - lat) * METERS_PER_DEGREE)
        };
        let (ax, ay) = metres(self.ground_from_image(col + 1.0, row, h)?);
        let (bx, by) = metres(self.ground_from_image(col, row + 1.0, h)?);
        Ok((ax * by - ay * bx).abs())
    }

    /// Writes image positions of ground points; NaN for NaN.
    ///
    /// # Units
    /// Degrees, metres above the ellipsoid, pixels.
    pub fn image_from_ground(&self, lon: &[f64], lat: &[f64], height: &[f64], col: &mut [f64], row: &mut [f64]) {
        self.model.image_from_ground(lon, lat, height, col, row);
    }

    /// Longitude and latitude of an image position at a height, by Newton's method with differences of the model itself.
    ///
    /// # Units
    /// Pixels, metres above the ellipsoid, degrees.
    ///
    /// # Errors
    /// [`GeometryError::NoGround`] when the iteration does not settle.
    pub fn ground_from_image(&self, col: f64, row: f64, height: f64) -> Result<(f64, f64), GeometryError> {
        let m = &self.model;
        let (mut lon, mut lat) = (m.ground_off[0], m.ground_off[1]);
        let (step_lon, step_lat) = (m.ground_scale[0].abs() * 1e-4, m.ground_scale[1].abs() * 1e-4);
        for _ in 0..50 {
            let (mut c, mut r) = ([0.0; 3], [0.0; 3]);
            m.image_from_ground(&[lon, lon + step_lon, lon], &[lat, lat, lat + step_lat], &[height; 3], &mut c, &mut r);
            let (dc, dr) = (col - c[0], row - r[0]);
            if dc.hypot(dr) < TOLERANCE_PX {
                return Ok((lon, lat));
            }
            let (c_lon, c_lat) = ((c[1] - c[0]) / step_lon, (c[2] - c[0]) / step_lat);
            let (r_lon, r_lat) = ((r[1] - r[0]) / step_lon, (r[2] - r[0]) / step_lat);
            let det = c_lon * r_lat - c_lat * r_lon;
            if det == 0.0 || !det.is_finite() {
                break;
            }
            // A step longer than the model's own extent only leads astray.
            let limit_lon = m.ground_scale[0].abs();
            let limit_lat = m.ground_scale[1].abs();
            lon += ((dc * r_lat - dr * c_lat) / det).clamp(-limit_lon, limit_lon);
            lat += ((dr * c_lon - dc * r_lon) / det).clamp(-limit_lat, limit_lat);
        }
        Err(GeometryError::NoGround { col, row, height })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rpc() -> Rpc {
        let mut r = Rpc {
            row_off: 3000.0,
            col_off: 4000.0,
            lat_off: 43.9,
            lon_off: 125.3,
            height_off: 220.0,
            row_scale: 3100.0,
            col_scale: 4100.0,
            lat_scale: 0.15,
            lon_scale: 0.2,
            height_scale: 500.0,
            row_num: [0.0; 20],
            row_den: [0.0; 20],
            col_num: [0.0; 20],
            col_den: [0.0; 20],
        };
        (r.row_den[0], r.col_den[0]) = (1.0, 1.0);
        (r.col_num[1], r.col_num[2], r.col_num[3]) = (0.98, -0.05, -0.01);
        (r.row_num[1], r.row_num[2], r.row_num[3]) = (-0.04, -0.97, 0.03);
        (r.col_num[7], r.row_den[1]) = (0.003, -0.002);
        r
    }

    #[test]
    fn image_and_ground_are_inverse() {
        let s = Sensor::from(&rpc());
        for (col, row, h) in
            [(0.0, 0.0, 0.0), (8000.0, 6000.0, 600.0), (4000.0, 3000.0, 220.0), (-20.0, 6100.0, -100.0)]
        {
            let (lon, lat) = s.ground_from_image(col, row, h).unwrap();
            let (mut c, mut r) = ([0.0], [0.0]);
            s.image_from_ground(&[lon], &[lat], &[h], &mut c, &mut r);
            assert!((c[0] - col).abs() < 1e-5 && (r[0] - row).abs() < 1e-5);
        }
    }

    #[test]
    fn damaged_coefficients_are_an_error_not_a_place() {
        let mut bad = rpc();
        bad.col_num = [0.0; 20];
        assert!(Sensor::from(&bad).ground_from_image(100.0, 100.0, 0.0).is_err());
    }
}
