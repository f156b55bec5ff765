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
}

impl Rpc {
    /// Every number of the model, in one fixed order.
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
