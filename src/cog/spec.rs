//! What a file is to be: size, type, bands, encoding, place.
//!
//! Invariant: a [`Spec`] that passed [`Spec::check`] can be written; whatever could fail because of a setting fails there,
//! before the first pixel is computed.

use super::{CogError, GeoKeys, Layout};
use crate::grid::GeoTransform;

/// Type of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleType {
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// IEEE 754 single precision.
    F32,
}

impl SampleType {
    /// Bytes of a sample.
    pub fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::F32 => 4,
        }
    }

    /// Name as STAC's `data_type` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::F32 => "float32",
        }
    }

    /// Value of the TIFF tag SampleFormat.
    pub fn tiff_format(self) -> u16 {
        match self {
            Self::U8 | Self::U16 | Self::U32 => 1,
            Self::I16 => 2,
            Self::F32 => 3,
        }
    }

    /// True when a sample can hold `value` and give it back unchanged.
    pub fn holds(self, value: f64) -> bool {
        let integer = |min: f64, max: f64| value.fract() == 0.0 && (min..=max).contains(&value);
        match self {
            Self::U8 => integer(0.0, f64::from(u8::MAX)),
            Self::U16 => integer(0.0, f64::from(u16::MAX)),
            Self::I16 => integer(f64::from(i16::MIN), f64::from(i16::MAX)),
            Self::U32 => integer(0.0, f64::from(u32::MAX)),
            Self::F32 => value.is_nan() || (value.is_finite() && f64::from(value as f32) == value),
        }
    }
}

/// How tiles are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Zstandard (TIFF 50000), level 1 to 22.
    Zstd {
        /// Effort.
        level: i32,
    },
    /// Deflate in a zlib wrapper (TIFF 8), level 1 to 12.
    Deflate {
        /// Effort.
        level: i32,
    },
}

impl Compression {
    /// Value of the TIFF tag Compression.
    pub fn tiff_code(self) -> u16 {
        match self {
            Self::Zstd { .. } => 50_000,
            Self::Deflate { .. } => 8,
        }
    }
}

/// What is done to samples before they are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Predictor {
    /// Nothing: for classes and bits.
    None,
    /// Each sample minus the one of the same band to its left: for integers.
    Horizontal,
    /// Bytes of a row sorted by significance, then differenced: for floats.
    Float,
}

impl Predictor {
    /// Value of the TIFF tag Predictor.
    pub fn tiff_code(self) -> u16 {
        match self {
            Self::None => 1,
            Self::Horizontal => 2,
            Self::Float => 3,
        }
    }
}

/// What a band shows, by the names GDAL gives color interpretations.
///
/// GDAL before 3.10 reads [`Color::Nir`] and [`Color::Pan`] as undefined, without complaint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Color {
    /// One value per pixel.
    Gray,
    /// Red light.
    Red,
    /// Green light.
    Green,
    /// Blue light.
    Blue,
    /// Near infrared.
    Nir,
    /// Panchromatic.
    Pan,
    /// None of these.
    Undefined,
}

impl Color {
    /// The name GDAL knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gray => "Gray",
            Self::Red => "Red",
            Self::Green => "Green",
            Self::Blue => "Blue",
            Self::Nir => "NIR",
            Self::Pan => "Pan",
            Self::Undefined => "Undefined",
        }
    }
}

/// One band of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct BandSpec {
    /// Name of the band.
    pub description: String,
    /// Unit of the physical value; `1` for dimensionless.
    pub unit: Option<String>,
    /// Physical value per stored step.
    pub scale: f64,
    /// Physical value of stored 0.
    pub offset: f64,
    /// What it shows.
    pub color: Color,
}

/// When to write BigTIFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BigTiff {
    /// When the uncompressed size and a third of it could exceed 4 GiB.
    #[default]
    Auto,
    /// Always.
    Always,
}

/// What a file is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Rows of the full resolution.
    pub rows: usize,
    /// Columns of the full resolution.
    pub cols: usize,
    /// Edge of a tile in pixels, a multiple of 16; 512 serves most readers best.
    pub tile: usize,
    /// Type of all samples.
    pub sample: SampleType,
    /// Bands, in file order; samples are interleaved by pixel.
    pub bands: Vec<BandSpec>,
    /// Stored value that marks an invalid pixel, the same for all bands.
    pub nodata: Option<f64>,
    /// How tiles are compressed.
    pub compression: Compression,
    /// What is done to samples before.
    pub predictor: Predictor,
    /// When to write BigTIFF.
    pub bigtiff: BigTiff,
    /// Map coordinates of the pixels.
    pub transform: GeoTransform,
    /// Reference system.
    pub geo_keys: GeoKeys,
    /// Free metadata of the whole file, name and text.
    pub metadata: Vec<(String, String)>,
}

/// Largest tile edge: a tile of 16 bands of floats is then 256 MiB.
const MAX_TILE: usize = 2048;
/// Most bands.
const MAX_BANDS: usize = 1024;
/// Most tiles of all levels: their offsets and byte counts are then 192 MiB.
const MAX_TILES: u64 = 1 << 24;
/// Longest text of one metadata item.
const MAX_TEXT: usize = 1 << 20;

impl Spec {
    /// The pyramid of the file.
    pub fn layout(&self) -> Layout {
        Layout::new(self.rows, self.cols, self.tile)
    }

    /// Samples of a tile, all bands.
    pub fn tile_samples(&self) -> usize {
        self.tile * self.tile * self.bands.len()
    }

    /// Bytes of a tile before compression.
    pub fn tile_bytes(&self) -> usize {
        self.tile_samples() * self.sample.size()
    }

    /// True when the file will be BigTIFF.
    pub fn is_bigtiff(&self) -> bool {
        // A third more than the raw tiles: tiles that do not compress grow, and leaders, arrays and metadata come on top.
        let raw = self.layout().tile_count() as f64 * self.tile_bytes() as f64;
        self.bigtiff == BigTiff::Always || raw * 1.34 > f64::from(u32::MAX)
    }

    /// Nothing if a file can be made from this.
    ///
    /// # Errors
    /// [`CogError::Spec`] names the first field that stands in the way.
    pub fn check(&self) -> Result<(), CogError> {
        ensure(self.tile >= 16 && self.tile <= MAX_TILE && self.tile.is_multiple_of(16), "tile", || {
            (format!("a multiple of 16 up to {MAX_TILE}"), self.tile.to_string())
        })?;
        let side = 1..=u32::MAX as usize;
        ensure(side.contains(&self.rows) && side.contains(&self.cols), "rows, cols", || {
            ("1 to 4294967295 each".into(), format!("{} and {}", self.rows, self.cols))
        })?;
        let tiles = self.layout().tile_count();
        ensure(tiles <= MAX_TILES, "rows, cols, tile", || {
            (format!("up to {MAX_TILES} tiles in all levels"), tiles.to_string())
        })?;
        ensure((1..=MAX_BANDS).contains(&self.bands.len()), "bands", || {
            (format!("1 to {MAX_BANDS}"), self.bands.len().to_string())
        })?;
        let (low, high, level) = match self.compression {
            Compression::Zstd { level } => (1, 22, level),
            Compression::Deflate { level } => (1, 12, level),
        };
        ensure((low..=high).contains(&level), "compression", || {
            (format!("a level of {low} to {high}"), format!("{:?}", self.compression))
        })?;
        let float = self.sample == SampleType::F32;
        let fits = match self.predictor {
            Predictor::None => true,
            Predictor::Horizontal => !float,
            Predictor::Float => float,
        };
        ensure(fits, "predictor", || {
            let expected = "`Horizontal` for integers, `Float` for floats, or `None`";
            (expected.into(), format!("{:?} for {}", self.predictor, self.sample.name()))
        })?;
        if let Some(value) = self.nodata {
            ensure(self.sample.holds(value), "nodata", || {
                (format!("a value {} can hold", self.sample.name()), value.to_string())
            })?;
        }
        ensure(self.transform.is_usable(), "transform", || {
            ("finite numbers and a pixel with an area".into(), format!("{:?}", self.transform))
        })?;
        for band in &self.bands {
            ensure(
                band.scale.is_finite() && band.scale != 0.0 && band.offset.is_finite(),
                "bands.scale, bands.offset",
                || ("finite numbers, scale not 0".into(), format!("{} and {}", band.scale, band.offset)),
            )?;
            check_text("bands.description", &band.description, false)?;
            if let Some(unit) = &band.unit {
                check_text("bands.unit", unit, false)?;
            }
        }
        for (name, text) in &self.metadata {
            check_text("metadata", name, false)?;
            check_text("metadata", text, true)?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, field: &'static str, say: impl FnOnce() -> (String, String)) -> Result<(), CogError> {
    if holds {
        return Ok(());
    }
    let (expected, found) = say();
    Err(CogError::Spec { field, expected, found })
}

/// XML 1.0 has no way to write control characters, and a zero byte would cut the tag short.
fn check_text(field: &'static str, text: &str, multiline: bool) -> Result<(), CogError> {
    let allowed = |c: char| !c.is_control() || (multiline && matches!(c, '\n' | '\t'));
    let writable = |c: char| allowed(c) && !matches!(c, '\u{fffe}' | '\u{ffff}');
    ensure((multiline || !text.is_empty()) && text.len() <= MAX_TEXT && text.chars().all(writable), field, || {
        let shown: String = text.chars().take(60).collect();
        (format!("text without control characters, up to {MAX_TEXT} bytes"), format!("{shown:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cog::synthetic;

    fn refused(change: impl FnOnce(&mut Spec)) -> &'static str {
        let mut spec = synthetic::spec(100, 80, 64, SampleType::U16, 4);
        spec.check().unwrap();
        change(&mut spec);
        match spec.check().unwrap_err() {
            CogError::Spec { field, .. } => field,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn each_impossible_setting_is_refused_by_its_field() {
        assert_eq!(refused(|s| s.tile = 100), "tile");
        assert_eq!(refused(|s| s.tile = 0), "tile");
        assert_eq!(refused(|s| s.rows = 0), "rows, cols");
        assert_eq!(refused(|s| (s.rows, s.cols, s.tile) = (1 << 20, 1 << 20, 16)), "rows, cols, tile");
        assert_eq!(refused(|s| s.bands.clear()), "bands");
        assert_eq!(refused(|s| s.compression = Compression::Zstd { level: 23 }), "compression");
        assert_eq!(refused(|s| s.compression = Compression::Deflate { level: 0 }), "compression");
        assert_eq!(refused(|s| s.predictor = Predictor::Float), "predictor");
        assert_eq!(refused(|s| s.sample = SampleType::F32), "predictor");
        assert_eq!(refused(|s| s.nodata = Some(-1.0)), "nodata");
        assert_eq!(refused(|s| s.nodata = Some(f64::NAN)), "nodata");
        assert_eq!(refused(|s| s.transform.dx_col = 0.0), "transform");
        assert_eq!(refused(|s| s.bands[1].scale = 0.0), "bands.scale, bands.offset");
        assert_eq!(refused(|s| s.bands[1].description = "a\0b".into()), "bands.description");
        assert_eq!(refused(|s| s.bands[1].description.clear()), "bands.description");
        assert_eq!(refused(|s| s.metadata.push(("A".into(), "\u{1}".into()))), "metadata");
    }

    #[test]
    fn a_float_holds_only_what_it_gives_back() {
        assert!(SampleType::F32.holds(f64::NAN) && SampleType::F32.holds(-9999.0));
        assert!(!SampleType::F32.holds(0.1) && !SampleType::F32.holds(f64::INFINITY));
        assert!(SampleType::I16.holds(-32768.0) && !SampleType::I16.holds(-32769.0) && !SampleType::I16.holds(0.5));
    }

    #[test]
    fn bigtiff_is_chosen_where_a_classic_file_could_overflow() {
        let mut spec = synthetic::spec(8192, 8192, 512, SampleType::F32, 4);
        assert!(!spec.is_bigtiff());
        spec.rows = 32_768;
        assert!(spec.is_bigtiff());
        spec.rows = 16;
        spec.bigtiff = BigTiff::Always;
        assert!(spec.is_bigtiff());
    }
}
