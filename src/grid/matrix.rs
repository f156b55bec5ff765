//! Tile matrix sets: grids that map services share, whose pixels halve from level to level.
//!
//! Levels count from 0 and tiles have 256 pixels a side, as in the OGC standard; columns count east and rows south from the
//! upper left corner.

use super::{Crs, METERS_PER_DEGREE};

/// Pixels along the edge of a tile.
pub const TILE_PIXELS: usize = 256;

/// Levels of products: pixels of about 2.4 km to 3.7 cm.
pub const LEVELS: std::ops::RangeInclusive<u8> = 6..=22;

/// Levels between the tiles of the finest product and the tile that is a cell: 16 tiles, 4096 pixels a side.
const CELL_LEVELS: u8 = 4;

/// Pixel sizes that differ by less than this part of themselves are one: a size is written with a handful of digits.
const SAME: f64 = 1e-6;

/// A quad-tree of square tiles over a rectangle of map coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TileMatrixSet {
    /// Name in the OGC registry.
    pub name: &'static str,
    /// Upper left corner, units of the system.
    pub origin: (f64, f64),
    /// Edge of a tile of level 0, units of the system.
    pub edge: f64,
    /// Tiles of level 0 from west to east; there is one from north to south.
    pub wide: i64,
    /// Deepest level whose tiles are about 10 km wide: cells of coarse products are no larger where they need not be.
    wide_cell_level: u8,
    /// Unit of the system, as people write it.
    pub unit: &'static str,
    /// Metres that a unit of the system is worth at the equator.
    unit_m: f64,
}

/// Longitude and latitude, two tiles of 180° beside each other. WGS 84 by its definition; the same squares of degrees serve
/// CGCS2000.
///
/// # Reference
/// OGC 17-083r4, Two Dimensional Tile Matrix Set and Tile Set Metadata 2.0, annex D.2.
pub static WORLD_CRS84_QUAD: TileMatrixSet = TileMatrixSet {
    name: "WorldCRS84Quad",
    origin: (-180.0, 90.0),
    edge: 180.0,
    wide: 2,
    wide_cell_level: 11,
    unit: "degrees",
    unit_m: METERS_PER_DEGREE,
};

/// Web Mercator, one square tile from 85.06° S to 85.06° N.
///
/// # Reference
/// OGC 17-083r4, annex D.1; the half edge is π · 6378137 m.
pub static WEB_MERCATOR_QUAD: TileMatrixSet = TileMatrixSet {
    name: "WebMercatorQuad",
    origin: (-HALF_WORLD_M, HALF_WORLD_M),
    edge: 2.0 * HALF_WORLD_M,
    wide: 1,
    wide_cell_level: 12,
    unit: "metres",
    unit_m: 1.0,
};

/// Half the circumference of the equator of WGS 84, metres.
pub(super) const HALF_WORLD_M: f64 = std::f64::consts::PI * super::EQUATOR_RADIUS_M;

impl TileMatrixSet {
    /// The set that belongs to a geographic system: `EPSG:4326` and `EPSG:4490` have one.
    pub fn of(crs: &Crs) -> Option<&'static Self> {
        matches!(crs.epsg(), Some(4326 | 4490)).then_some(&WORLD_CRS84_QUAD)
    }

    /// Pixel size of a level.
    ///
    /// # Units
    /// Those of the system.
    pub fn pixel(&self, level: u8) -> f64 {
        self.edge / TILE_PIXELS as f64 / 2f64.powi(i32::from(level))
    }

    /// Edge of a pixel of a level at the equator, metres.
    pub fn pixel_m(&self, level: u8) -> f64 {
        self.pixel(level) * self.unit_m
    }

    /// The level that has pixels of this size.
    ///
    /// # Units
    /// Those of the system.
    pub fn level(&self, pixel: f64) -> Option<u8> {
        LEVELS.into_iter().find(|level| (self.pixel(*level) / pixel - 1.0).abs() < SAME)
    }

    /// The level whose tiles are the cells of products of which the finest has this level.
    pub fn cell_level(&self, finest: u8) -> u8 {
        finest.saturating_sub(CELL_LEVELS).max(self.wide_cell_level.min(finest.saturating_sub(1)))
    }

    /// Edge of a tile of a level, units of the system.
    pub fn tile_edge(&self, level: u8) -> f64 {
        self.edge / 2f64.powi(i32::from(level))
    }

    /// Columns and rows of tiles of a level.
    pub fn tiles(&self, level: u8) -> (i64, i64) {
        (self.wide << level, 1 << level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_the_published_pixel_sizes() {
        // OGC 17-083r4, tables D.1 and D.2 (cell size).
        for (level, size) in [(6, 2_445.984_905_125_01), (12, 38.218_514_142_578_8), (17, 1.194_328_566_955_88)] {
            assert!((WEB_MERCATOR_QUAD.pixel(level) / size - 1.0).abs() < 1e-11, "{level}");
        }
        for (level, size) in [(6, 0.010_986_328_125), (12, 1.716_613_769_531_25e-4), (17, 5.364_418_029_785_16e-6)] {
            assert!((WORLD_CRS84_QUAD.pixel(level) / size - 1.0).abs() < 1e-11, "{level}");
        }
        assert_eq!(WEB_MERCATOR_QUAD.origin, (-20_037_508.342_789_244, 20_037_508.342_789_244));
    }

    #[test]
    fn a_size_names_its_level_and_no_other() {
        for set in [&WEB_MERCATOR_QUAD, &WORLD_CRS84_QUAD] {
            for level in LEVELS {
                assert_eq!(set.level(set.pixel(level)), Some(level));
                assert_eq!(set.level(set.pixel(level) * 1.01), None);
            }
        }
        assert_eq!(WEB_MERCATOR_QUAD.level(1.194_328_57), Some(17));
        assert_eq!(WEB_MERCATOR_QUAD.level(f64::NAN), None);
    }

    #[test]
    fn a_cell_is_a_tile_of_512_to_4096_pixels_and_of_10_km_where_it_can_be() {
        for set in [&WEB_MERCATOR_QUAD, &WORLD_CRS84_QUAD] {
            for level in LEVELS {
                let cell = set.cell_level(level);
                let pixels = TILE_PIXELS << (level - cell);
                assert!((512..=4096).contains(&pixels), "{level}: {pixels}");
                let edge_m = set.tile_edge(cell) * set.unit_m;
                assert!(edge_m < 10_000.0 || pixels == 512, "{level}: {edge_m}");
            }
        }
    }
}
