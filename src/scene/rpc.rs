//! Rational polynomial coefficients as they stand in a delivery.
//!
//! Convention, stated once: (`col`, `row`) = (0, 0) is the **centre** of the first pixel, as in RPC00B, `_rpc.txt` and
//! `.rpb` files. Code that works with pixel corners adds 0.5. Heights are above the WGS 84 ellipsoid.

/// One rational polynomial model, RPC00B term order:
/// 1, L, P, H, LP, LH, PH, L², P², H², PLH, L³, LP², LH², L²P, P³, PH², L²H, P²H, H³
/// with P, L, H the normalised latitude (P), longitude (L) and height (H).
///
/// # Units
/// Pixels, degrees, metres above the ellipsoid.
///
/// # Reference
/// NIMA, The Compendium of Controlled Extensions (CE) for NITF, STDI-0002, version 2.1, section 8.2.4 (RPC00B).
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Rpc {
    /// Row offset.
    pub row_off: f64,
    /// Column offset.
    pub col_off: f64,
    /// Latitude offset.
    pub lat_off: f64,
    /// Longitude offset.
    pub lon_off: f64,
    /// Height offset.
    pub height_off: f64,
    /// Row scale.
    pub row_scale: f64,
    /// Column scale.
    pub col_scale: f64,
    /// Latitude scale.
    pub lat_scale: f64,
    /// Longitude scale.
    pub lon_scale: f64,
    /// Height scale.
    pub height_scale: f64,
    /// Row numerator.
    pub row_num: [f64; 20],
    /// Row denominator.
    pub row_den: [f64; 20],
    /// Column numerator.
    pub col_num: [f64; 20],
    /// Column denominator.
    pub col_den: [f64; 20],
    /// What is added to the image positions it gives; none in a delivery, a sidecar may state one.
    pub correction: Correction,
}

impl Rpc {
    /// Every number of the model but its correction, in one fixed order.
    pub fn numbers(&self) -> impl Iterator<Item = f64> {
        let offsets_and_scales = [
            self.row_off,
            self.col_off,
            self.lat_off,
            self.lon_off,
            self.height_off,
            self.row_scale,
            self.col_scale,
            self.lat_scale,
            self.lon_scale,
            self.height_scale,
        ];
        let polynomials = [self.row_num, self.row_den, self.col_num, self.col_den];
        offsets_and_scales.into_iter().chain(polynomials.into_iter().flatten())
    }
}

/// An affine correction of image positions, applied **after** the projection of an RPC:
/// `col' = col[0] + col[1]·c + col[2]·r` and `row' = row[0] + row[1]·c + row[2]·r`, where (c, r) is what the RPC gives.
///
/// It takes up what RPC without control leave, which is a shift first of all, and a slow drift along the track.
///
/// # Units
/// Pixels, (0, 0) at the **centre** of the first one.
///
/// # Reference
/// Grodecki and Dial, Block adjustment of high-resolution satellite images described by rational polynomials,
/// Photogrammetric Engineering & Remote Sensing 69 (1), 2003.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Correction {
    /// Constant, factor of the column and factor of the row that make the column.
    pub col: [f64; 3],
    /// The same of the row.
    pub row: [f64; 3],
}

impl Correction {
    /// Leaves every position as it is.
    pub const IDENTITY: Self = Self { col: [0.0, 1.0, 0.0], row: [0.0, 0.0, 1.0] };

    /// Adds `dc` columns and `dr` rows.
    pub fn shift(dc: f64, dr: f64) -> Self {
        Self { col: [dc, 1.0, 0.0], row: [dr, 0.0, 1.0] }
    }

    /// The corrected position of what an RPC gives.
    pub fn apply(&self, col: f64, row: f64) -> (f64, f64) {
        let line = |[a, b, c]: [f64; 3]| a + b * col + c * row;
        (line(self.col), line(self.row))
    }

    /// What the RPC gives for a corrected position; not finite if [`Self::is_usable`] is false.
    pub fn undo(&self, col: f64, row: f64) -> (f64, f64) {
        let ([a0, a1, a2], [b0, b1, b2]) = (self.col, self.row);
        let (dc, dr, det) = (col - a0, row - b0, self.determinant());
        ((dc * b2 - dr * a2) / det, (dr * a1 - dc * b1) / det)
    }

    /// This one, and `next` after it.
    #[must_use]
    pub fn then(&self, next: Self) -> Self {
        let combine = |[c, of_col, of_row]: [f64; 3]| {
            let sum = |k: usize| of_col * self.col[k] + of_row * self.row[k];
            [c + sum(0), sum(1), sum(2)]
        };
        Self { col: combine(next.col), row: combine(next.row) }
    }

    /// True when it can be undone.
    pub fn is_usable(&self) -> bool {
        let det = self.determinant();
        self.col.iter().chain(&self.row).all(|v| v.is_finite()) && det.is_finite() && det != 0.0
    }

    fn determinant(&self) -> f64 {
        self.col[1] * self.row[2] - self.col[2] * self.row[1]
    }
}

impl Default for Correction {
    fn default() -> Self {
        Self::IDENTITY
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_identity_and_a_shift_do_what_they_say() {
        assert_eq!(Correction::IDENTITY.apply(12.25, -7.5), (12.25, -7.5));
        assert_eq!(Correction::shift(2.0, -3.0).apply(1.0, 1.0), (3.0, -2.0));
        assert_eq!(Correction::shift(2.0, -3.0).undo(3.0, -2.0), (1.0, 1.0));
        assert_eq!(Correction::default(), Correction::IDENTITY);
        assert!(!Correction { col: [0.0, 1.0, 1.0], row: [0.0, 1.0, 1.0] }.is_usable());
        assert!(!Correction::shift(f64::NAN, 0.0).is_usable());
    }

    proptest! {
        #[test]
        fn undoing_and_chaining_keep_positions(
            a in prop::array::uniform6(-0.1f64..0.1), b in prop::array::uniform6(-0.1f64..0.1),
            col in -100.0f64..40_000.0, row in -100.0f64..40_000.0,
        ) {
            let near = |v: [f64; 6]| Correction {
                col: [100.0 * v[0], 1.0 + v[1], v[2]],
                row: [100.0 * v[3], v[4], 1.0 + v[5]],
            };
            let (first, second) = (near(a), near(b));
            let (c, r) = first.apply(col, row);
            let back = first.undo(c, r);
            prop_assert!((back.0 - col).abs() < 1e-7 && (back.1 - row).abs() < 1e-7);
            let (one, two) = (first.then(second).apply(col, row), second.apply(c, r));
            prop_assert!((one.0 - two.0).abs() < 1e-7 && (one.1 - two.1).abs() < 1e-7);
        }
    }
}
