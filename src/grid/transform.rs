//! The affine between pixels and map coordinates, and the one place where GDAL's coefficient order is known.

/// Affine from pixel coordinates (col, row; 0, 0 is the outer corner of the first pixel) to map coordinates (x, y).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct GeoTransform {
    /// Map x of the outer corner of the first pixel.
    pub x0: f64,
    /// Map x per column.
    pub dx_col: f64,
    /// Map x per row; 0 when north is up.
    pub dx_row: f64,
    /// Map y of the outer corner of the first pixel.
    pub y0: f64,
    /// Map y per column; 0 when north is up.
    pub dy_col: f64,
    /// Map y per row; negative when north is up.
    pub dy_row: f64,
}

impl GeoTransform {
    /// North-up square pixels of edge `pixel`, upper left corner at (`x0`, `y0`).
    pub fn north_up(x0: f64, y0: f64, pixel: f64) -> Self {
        Self { x0, dx_col: pixel, dx_row: 0.0, y0, dy_col: 0.0, dy_row: -pixel }
    }

    /// From GDAL's six numbers.
    pub fn from_gdal(g: [f64; 6]) -> Self {
        Self { x0: g[0], dx_col: g[1], dx_row: g[2], y0: g[3], dy_col: g[4], dy_row: g[5] }
    }

    /// GDAL's six numbers.
    pub fn to_gdal(self) -> [f64; 6] {
        [self.x0, self.dx_col, self.dx_row, self.y0, self.dy_col, self.dy_row]
    }

    /// The six numbers in the order of rasterio's `Affine` and of STAC's `proj:transform`.
    pub fn to_affine(self) -> [f64; 6] {
        [self.dx_col, self.dx_row, self.x0, self.dy_col, self.dy_row, self.y0]
    }

    /// Map coordinates of a pixel position.
    pub fn world_from_pixel(self, col: f64, row: f64) -> (f64, f64) {
        (self.x0 + self.dx_col * col + self.dx_row * row, self.y0 + self.dy_col * col + self.dy_row * row)
    }

    /// Determinant: signed area of a pixel in map units squared.
    pub fn determinant(self) -> f64 {
        self.dx_col * self.dy_row - self.dx_row * self.dy_col
    }

    /// Pixel position (col, row) of map coordinates; NaN when the transform is singular.
    pub fn pixel_from_world(self, x: f64, y: f64) -> (f64, f64) {
        let d = self.determinant();
        let (x, y) = (x - self.x0, y - self.y0);
        ((x * self.dy_row - y * self.dx_row) / d, (y * self.dx_col - x * self.dy_col) / d)
    }

    /// The transform of the sub-image whose first pixel is (`col`, `row`).
    #[must_use]
    pub fn shifted(self, col: f64, row: f64) -> Self {
        let (x0, y0) = self.world_from_pixel(col, row);
        Self { x0, y0, ..self }
    }

    /// True when rows run along x and columns along y.
    pub fn is_axis_aligned(self) -> bool {
        self.dx_row == 0.0 && self.dy_col == 0.0
    }

    /// True when every number is finite and the pixel has an area.
    pub fn is_usable(self) -> bool {
        self.to_gdal().iter().all(|v| v.is_finite()) && self.determinant() != 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixel_and_world_are_inverse_also_when_rotated() {
        let t = GeoTransform::from_gdal([500_000.0, 0.6, 0.1, 4_860_000.0, 0.2, -0.7]);
        let (x, y) = t.world_from_pixel(12.5, 7.25);
        let (col, row) = t.pixel_from_world(x, y);
        assert!((col - 12.5).abs() < 1e-6 && (row - 7.25).abs() < 1e-6, "{col} {row}");
        assert_eq!(t.shifted(12.5, 7.25).world_from_pixel(0.0, 0.0), (x, y));
    }
}
