//! Rational polynomial camera: ground to image, and its derivatives, which the way back is found with.

use crate::simd::vectorized;

/// A rational polynomial model ready for evaluation.
///
/// # Units
/// Degrees (WGS 84), metres above the ellipsoid, pixels with (0, 0) at the **centre** of the first pixel.
///
/// # Reference
/// NIMA STDI-0002, version 2.1, section 8.2.4 (RPC00B), with its term order:
/// 1, L, P, H, LP, LH, PH, L², P², H², PLH, L³, LP², LH², L²P, P³, PH², L²H, P²H, H³.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Offsets of longitude, latitude and height.
    pub ground_off: [f64; 3],
    /// Scales of longitude, latitude and height.
    pub ground_scale: [f64; 3],
    /// Offsets of column and row.
    pub image_off: [f64; 2],
    /// Scales of column and row.
    pub image_scale: [f64; 2],
    /// Column numerator and denominator.
    pub col: [[f64; 20]; 2],
    /// Row numerator and denominator.
    pub row: [[f64; 20]; 2],
}

#[inline(always)]
fn terms(l: f64, p: f64, h: f64) -> [f64; 20] {
    let (ll, pp, hh) = (l * l, p * p, h * h);
    let (lp, lh, ph) = (l * p, l * h, p * h);
    [
        1.0,
        l,
        p,
        h,
        lp,
        lh,
        ph,
        ll,
        pp,
        hh,
        p * lh,
        ll * l,
        l * pp,
        l * hh,
        ll * p,
        pp * p,
        p * hh,
        ll * h,
        pp * h,
        hh * h,
    ]
}

/// Derivatives of [`terms`] by longitude and by latitude.
#[inline(always)]
fn slopes(l: f64, p: f64, h: f64) -> [[f64; 20]; 2] {
    let by_l = [
        0.0,
        1.0,
        0.0,
        0.0,
        p,
        h,
        0.0,
        2.0 * l,
        0.0,
        0.0,
        p * h,
        3.0 * l * l,
        p * p,
        h * h,
        2.0 * l * p,
        0.0,
        0.0,
        2.0 * l * h,
        0.0,
        0.0,
    ];
    let by_p = [
        0.0,
        0.0,
        1.0,
        0.0,
        l,
        0.0,
        h,
        0.0,
        2.0 * p,
        0.0,
        l * h,
        0.0,
        2.0 * l * p,
        0.0,
        l * l,
        3.0 * p * p,
        h * h,
        0.0,
        2.0 * p * h,
        0.0,
    ];
    [by_l, by_p]
}

/// Sum of products in four running sums: shorter chains of dependent additions, always in the same order.
#[inline(always)]
fn dot(c: &[f64; 20], t: &[f64; 20]) -> f64 {
    let mut sums = [0.0; 4];
    for k in 0..5 {
        for j in 0..4 {
            sums[j] += c[4 * k + j] * t[4 * k + j];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

impl Model {
    /// A ground point in the model's own scale, longitude, latitude and height: within −1 to 1 where the model was fitted.
    #[inline(always)]
    pub fn normalized(&self, lon: f64, lat: f64, height: f64) -> [f64; 3] {
        let east = lon - self.ground_off[0];
        // Scenes across the antimeridian: the shorter way round.
        let east = east - 360.0 * (east / 360.0).round_ties_even();
        [
            east / self.ground_scale[0],
            (lat - self.ground_off[1]) / self.ground_scale[1],
            (height - self.ground_off[2]) / self.ground_scale[2],
        ]
    }

    /// Image position of one ground point, (col, row).
    #[inline(always)]
    fn project(&self, lon: f64, lat: f64, height: f64) -> (f64, f64) {
        let [l, p, h] = self.normalized(lon, lat, height);
        let t = terms(l, p, h);
        (
            dot(&self.col[0], &t) / dot(&self.col[1], &t) * self.image_scale[0] + self.image_off[0],
            dot(&self.row[0], &t) / dot(&self.row[1], &t) * self.image_scale[1] + self.image_off[1],
        )
    }

    /// Image position of one ground point, (col, row), and its derivatives: those of the column by longitude and latitude, then
    /// those of the row, pixels per degree.
    ///
    /// # Reference
    /// The quotient rule on the ratio of cubic polynomials: (n / d)' = (n' − n / d · d') / d.
    pub fn tangent(&self, lon: f64, lat: f64, height: f64) -> ([f64; 2], [[f64; 2]; 2]) {
        let [l, p, h] = self.normalized(lon, lat, height);
        let (t, slopes) = (terms(l, p, h), slopes(l, p, h));
        let of = |[num, den]: &[[f64; 20]; 2], off: f64, scale: f64| {
            let below = dot(den, &t);
            let ratio = dot(num, &t) / below;
            let slope = |k: usize| {
                let up = dot(num, &slopes[k]) - ratio * dot(den, &slopes[k]);
                up / below * scale / self.ground_scale[k]
            };
            (ratio * scale + off, [slope(0), slope(1)])
        };
        let (col, by_col) = of(&self.col, self.image_off[0], self.image_scale[0]);
        let (row, by_row) = of(&self.row, self.image_off[1], self.image_scale[1]);
        ([col, row], [by_col, by_row])
    }

    /// Writes the image positions of ground points.
    ///
    /// # Invalid pixels
    /// A NaN coordinate or height gives NaN.
    pub fn image_from_ground(&self, lon: &[f64], lat: &[f64], height: &[f64], col: &mut [f64], row: &mut [f64]) {
        let n = col.len();
        assert!(lon.len() == n && lat.len() == n && height.len() == n && row.len() == n, "one result per point");
        vectorized(
            #[inline(always)]
            || {
                for ((((lon, lat), h), c), r) in lon.iter().zip(lat).zip(height).zip(&mut *col).zip(&mut *row) {
                    (*c, *r) = self.project(*lon, *lat, *h);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let mut m = Model {
            ground_off: [125.3, 43.9, 220.0],
            ground_scale: [0.2, 0.15, 500.0],
            image_off: [4000.0, 3000.0],
            image_scale: [4100.0, 3100.0],
            col: [[0.0; 20]; 2],
            row: [[0.0; 20]; 2],
        };
        for k in 0..20 {
            let small = 1e-3 / (1.0 + k as f64) * if k % 3 == 0 { -1.0 } else { 1.0 };
            m.col[0][k] = small;
            m.row[0][k] = small * 0.7;
            m.col[1][k] = small * 0.1;
            m.row[1][k] = small * 0.2;
        }
        (m.col[0][1], m.row[0][2], m.col[1][0], m.row[1][0]) = (1.01, -0.99, 1.0, 1.0);
        m
    }

    /// The definition written out term by term.
    fn reference(m: &Model, lon: f64, lat: f64, h: f64) -> (f64, f64) {
        let l = (lon - m.ground_off[0]) / m.ground_scale[0];
        let p = (lat - m.ground_off[1]) / m.ground_scale[1];
        let h = (h - m.ground_off[2]) / m.ground_scale[2];
        let poly = |c: &[f64; 20]| {
            c[0] + c[1] * l
                + c[2] * p
                + c[3] * h
                + c[4] * l * p
                + c[5] * l * h
                + c[6] * p * h
                + c[7] * l * l
                + c[8] * p * p
                + c[9] * h * h
                + c[10] * p * l * h
                + c[11] * l.powi(3)
                + c[12] * l * p * p
                + c[13] * l * h * h
                + c[14] * l * l * p
                + c[15] * p.powi(3)
                + c[16] * p * h * h
                + c[17] * l * l * h
                + c[18] * p * p * h
                + c[19] * h.powi(3)
        };
        (
            poly(&m.col[0]) / poly(&m.col[1]) * m.image_scale[0] + m.image_off[0],
            poly(&m.row[0]) / poly(&m.row[1]) * m.image_scale[1] + m.image_off[1],
        )
    }

    #[test]
    fn agrees_with_the_definition_at_every_length() {
        let m = model();
        for n in [0usize, 1, 3, 4, 5, 8, 31] {
            let lon: Vec<f64> = (0..n).map(|i| 125.15 + 0.01 * i as f64).collect();
            let lat: Vec<f64> = (0..n).map(|i| 43.8 + 0.007 * i as f64).collect();
            let h: Vec<f64> = (0..n).map(|i| 100.0 + 13.0 * i as f64).collect();
            let (mut col, mut row) = (vec![0.0; n], vec![0.0; n]);
            m.image_from_ground(&lon, &lat, &h, &mut col, &mut row);
            for i in 0..n {
                let (c, r) = reference(&m, lon[i], lat[i], h[i]);
                assert!((col[i] - c).abs() < 1e-9 && (row[i] - r).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_the_definition() {
        let m = model();
        for (lon, lat, h) in [(125.3, 43.9, 220.0), (125.15, 43.8, -150.0), (125.48, 44.03, 700.0)] {
            let ([col, row], slopes) = m.tangent(lon, lat, h);
            let (c, r) = reference(&m, lon, lat, h);
            assert!((col - c).abs() < 1e-9 && (row - r).abs() < 1e-9);
            // Central differences of a step where their own error and that of f64 are about 1e-9 of the slope.
            let d = 1e-6;
            let across = [reference(&m, lon - d, lat, h), reference(&m, lon + d, lat, h)];
            let along = [reference(&m, lon, lat - d, h), reference(&m, lon, lat + d, h)];
            for (k, [low, high]) in [across, along].into_iter().enumerate() {
                let expected = [(high.0 - low.0) / (2.0 * d), (high.1 - low.1) / (2.0 * d)];
                for i in 0..2 {
                    let limit = 1e-6 * (1.0 + expected[i].abs());
                    assert!((slopes[i][k] - expected[i]).abs() < limit, "{i} {k}: {} {}", slopes[i][k], expected[i]);
                }
            }
        }
    }

    #[test]
    fn longitude_wraps_and_nan_spreads() {
        let m = model();
        let (mut col, mut row) = ([0.0; 3], [0.0; 3]);
        let lon = [125.31, 125.31 - 360.0, 125.31];
        m.image_from_ground(&lon, &[43.9; 3], &[200.0, 200.0, f64::NAN], &mut col, &mut row);
        assert!((col[0] - col[1]).abs() < 1e-6);
        assert!(col[2].is_nan() && row[2].is_nan());
    }
}
