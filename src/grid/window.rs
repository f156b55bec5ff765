//! Pixel windows. Axis order is (row, col) everywhere.

use std::fmt;

/// A rectangle of pixels: `col..col + cols`, `row..row + rows`. May stick out of a raster on any side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Window {
    /// First row.
    pub row: i64,
    /// First column.
    pub col: i64,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
}

impl Window {
    /// A window from its first pixel and its shape.
    pub fn new(row: i64, col: i64, rows: usize, cols: usize) -> Self {
        Self { row, col, rows, cols }
    }

    /// Number of pixels.
    pub fn pixels(self) -> usize {
        self.rows * self.cols
    }

    /// No pixels at all.
    pub fn is_empty(self) -> bool {
        self.rows == 0 || self.cols == 0
    }

    /// The part common to both; empty if they do not touch.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        let row = self.row.max(other.row);
        let col = self.col.max(other.col);
        let row_end = (self.row + self.rows as i64).min(other.row + other.rows as i64);
        let col_end = (self.col + self.cols as i64).min(other.col + other.cols as i64);
        Self::new(row, col, (row_end - row).max(0) as usize, (col_end - col).max(0) as usize)
    }

    /// The smallest window around both.
    #[must_use]
    pub fn around(self, other: Self) -> Self {
        let (row, col) = (self.row.min(other.row), self.col.min(other.col));
        let row_end = (self.row + self.rows as i64).max(other.row + other.rows as i64);
        let col_end = (self.col + self.cols as i64).max(other.col + other.cols as i64);
        Self::new(row, col, (row_end - row) as usize, (col_end - col) as usize)
    }

    /// The window grown by `by` pixels on all sides.
    #[must_use]
    pub fn grow(self, by: usize) -> Self {
        Self::new(self.row - by as i64, self.col - by as i64, self.rows + 2 * by, self.cols + 2 * by)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}{:+}{:+}", self.cols, self.rows, self.col, self.row)
    }
}
