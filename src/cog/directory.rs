//! TIFF directories as bytes: header, ghost area, directories with their small values, then the long arrays.
//!
//! Invariant: the length of the result depends on the number of values only, never on the values, so that directories
//! encoded with zeros in place of offsets tell where the tile data will begin.

use super::ghost::GHOST;
use super::{CogError, Layout, Level, Predictor, Spec};
use crate::grid::GeoTransform;

/// Values of a tag.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Ascii(String),
    Short(Vec<u16>),
    Long(Vec<u32>),
    Long8(Vec<u64>),
    Double(Vec<f64>),
}

impl Values {
    /// Code of the type, number of values, and their little-endian bytes.
    fn encode(&self) -> (u16, usize, Vec<u8>) {
        match self {
            Self::Ascii(text) => {
                let mut bytes = text.as_bytes().to_vec();
                bytes.push(0);
                (2, bytes.len(), bytes)
            }
            Self::Short(v) => (3, v.len(), v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Self::Long(v) => (4, v.len(), v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Self::Long8(v) => (16, v.len(), v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Self::Double(v) => (12, v.len(), v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        }
    }
}

/// Tags and their values, ascending by tag.
pub(super) type Directory = Vec<(u16, Values)>;

/// TIFF tags, by the names of the specifications.
pub(super) mod tag {
    pub const NEW_SUBFILE_TYPE: u16 = 254;
    pub const IMAGE_WIDTH: u16 = 256;
    pub const IMAGE_LENGTH: u16 = 257;
    pub const BITS_PER_SAMPLE: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const SAMPLES_PER_PIXEL: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_BYTE_COUNTS: u16 = 279;
    pub const PLANAR_CONFIGURATION: u16 = 284;
    pub const PREDICTOR: u16 = 317;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_LENGTH: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_BYTE_COUNTS: u16 = 325;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const MODEL_PIXEL_SCALE: u16 = 33_550;
    pub const MODEL_TIEPOINT: u16 = 33_922;
    pub const MODEL_TRANSFORMATION: u16 = 34_264;
    pub const GEO_KEY_DIRECTORY: u16 = 34_735;
    pub const GEO_DOUBLE_PARAMS: u16 = 34_736;
    pub const GEO_ASCII_PARAMS: u16 = 34_737;
    pub const GDAL_METADATA: u16 = 42_112;
    pub const GDAL_NODATA: u16 = 42_113;
}

/// Where the tiles of a level are.
#[derive(Debug, Clone)]
pub(super) struct TileTable {
    pub offsets: Vec<u64>,
    pub byte_counts: Vec<u32>,
}

/// The directories of a file, main directory first.
pub(super) fn directories(
    spec: &Spec,
    layout: &Layout,
    metadata: &str,
    tables: &[TileTable],
) -> Result<Vec<Directory>, CogError> {
    let numbered = layout.levels.iter().zip(tables).enumerate();
    numbered.map(|(number, (level, table))| directory(spec, number, level, metadata, table)).collect()
}

fn directory(
    spec: &Spec,
    number: usize,
    level: &Level,
    metadata: &str,
    table: &TileTable,
) -> Result<Directory, CogError> {
    // A checked specification has sizes that fit; the conversions only keep a broken one from being cut short in silence.
    let long = |field, value: usize| -> Result<Values, CogError> {
        let value = u32::try_from(value).map_err(|_| too_big(field, value))?;
        Ok(Values::Long(vec![value]))
    };
    let bands = u16::try_from(spec.bands.len()).map_err(|_| too_big("bands", spec.bands.len()))?;
    let per_band = |value: u16| Values::Short(vec![value; usize::from(bands)]);
    let bits = 8 * spec.sample.size() as u16;
    let offsets = if spec.is_bigtiff() { Values::Long8(table.offsets.clone()) } else { short_offsets(&table.offsets)? };

    let mut tags = Directory::new();
    if number > 0 {
        tags.push((tag::NEW_SUBFILE_TYPE, Values::Long(vec![1])));
    }
    tags.push((tag::IMAGE_WIDTH, long("cols", level.cols)?));
    tags.push((tag::IMAGE_LENGTH, long("rows", level.rows)?));
    tags.push((tag::BITS_PER_SAMPLE, per_band(bits)));
    tags.push((tag::COMPRESSION, Values::Short(vec![spec.compression.tiff_code()])));
    tags.push((tag::PHOTOMETRIC, Values::Short(vec![1])));
    tags.push((tag::SAMPLES_PER_PIXEL, Values::Short(vec![bands])));
    tags.push((tag::PLANAR_CONFIGURATION, Values::Short(vec![1])));
    if spec.predictor != Predictor::None {
        tags.push((tag::PREDICTOR, Values::Short(vec![spec.predictor.tiff_code()])));
    }
    tags.push((tag::TILE_WIDTH, long("tile", spec.tile)?));
    tags.push((tag::TILE_LENGTH, long("tile", spec.tile)?));
    tags.push((tag::TILE_OFFSETS, offsets));
    tags.push((tag::TILE_BYTE_COUNTS, Values::Long(table.byte_counts.clone())));
    if bands > 1 {
        tags.push((tag::EXTRA_SAMPLES, Values::Short(vec![0; usize::from(bands) - 1])));
    }
    tags.push((tag::SAMPLE_FORMAT, per_band(spec.sample.tiff_format())));
    if number == 0 {
        tags.extend(georeference(spec));
        tags.push((tag::GDAL_METADATA, Values::Ascii(metadata.to_owned())));
    }
    if let Some(nodata) = spec.nodata {
        tags.push((tag::GDAL_NODATA, Values::Ascii(super::metadata::number(nodata))));
    }
    Ok(tags)
}

fn georeference(spec: &Spec) -> Directory {
    let GeoTransform { x0, dx_col, dx_row, y0, dy_col, dy_row } = spec.transform;
    let mut tags = if spec.transform.is_axis_aligned() && dx_col > 0.0 && dy_row < 0.0 {
        vec![
            (tag::MODEL_PIXEL_SCALE, Values::Double(vec![dx_col, -dy_row, 0.0])),
            (tag::MODEL_TIEPOINT, Values::Double(vec![0.0, 0.0, 0.0, x0, y0, 0.0])),
        ]
    } else {
        let mut matrix = vec![dx_col, dx_row, 0.0, x0, dy_col, dy_row, 0.0, y0];
        matrix.extend([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        vec![(tag::MODEL_TRANSFORMATION, Values::Double(matrix))]
    };
    let keys = &spec.geo_keys;
    tags.push((tag::GEO_KEY_DIRECTORY, Values::Short(keys.directory.clone())));
    if !keys.doubles.is_empty() {
        tags.push((tag::GEO_DOUBLE_PARAMS, Values::Double(keys.doubles.clone())));
    }
    if !keys.ascii.is_empty() {
        tags.push((tag::GEO_ASCII_PARAMS, Values::Ascii(keys.ascii.clone())));
    }
    tags
}

fn too_big(field: &'static str, found: usize) -> CogError {
    CogError::Spec { field, expected: "a size TIFF can hold".into(), found: found.to_string() }
}

fn short_offsets(offsets: &[u64]) -> Result<Values, CogError> {
    let short = |&offset: &u64| u32::try_from(offset).map_err(|_| CogError::TooLarge { found: offset });
    Ok(Values::Long(offsets.iter().map(short).collect::<Result<_, _>>()?))
}

/// The bytes of a file up to its tile data.
pub(super) fn encode(bigtiff: bool, directories: &[Directory]) -> Result<Vec<u8>, CogError> {
    let mut out = Assembly { bytes: Vec::new(), bigtiff };
    out.bytes.extend(b"II");
    if bigtiff {
        out.bytes.extend([43, 0, 8, 0, 0, 0]);
    } else {
        out.bytes.extend([42, 0]);
    }
    let mut next = out.reserve_offset();
    out.bytes.extend(GHOST.as_bytes());

    // Arrays that grow with the image stand behind all directories: so the first bytes of any file, however large, hold
    // all its directories.
    let mut arrays = Vec::new();
    for directory in directories {
        out.point_here(next)?;
        let mut small = Vec::new();
        out.put_count(directory.len());
        for (tag, values) in directory {
            let (kind, count, bytes) = values.encode();
            out.bytes.extend(tag.to_le_bytes());
            out.bytes.extend(kind.to_le_bytes());
            if bigtiff {
                out.bytes.extend((count as u64).to_le_bytes());
            } else {
                let count = u32::try_from(count).map_err(|_| CogError::TooLarge { found: count as u64 })?;
                out.bytes.extend(count.to_le_bytes());
            }
            let field = out.reserve_offset();
            if bytes.len() <= out.offset_size() {
                out.bytes.splice(field..field + bytes.len(), bytes);
            } else if matches!(*tag, tag::TILE_OFFSETS | tag::TILE_BYTE_COUNTS) {
                arrays.push((field, bytes));
            } else {
                small.push((field, bytes));
            }
        }
        next = out.reserve_offset();
        for (field, bytes) in small {
            out.point_here(field)?;
            out.bytes.extend(bytes);
        }
    }
    for (field, bytes) in arrays {
        out.point_here(field)?;
        out.bytes.extend(bytes);
    }
    Ok(out.bytes)
}

struct Assembly {
    bytes: Vec<u8>,
    bigtiff: bool,
}

impl Assembly {
    fn offset_size(&self) -> usize {
        if self.bigtiff { 8 } else { 4 }
    }

    /// Leaves room for an offset, zero until it is set, and returns where.
    fn reserve_offset(&mut self) -> usize {
        let field = self.bytes.len();
        self.bytes.resize(field + self.offset_size(), 0);
        field
    }

    /// Sets the offset at `field` to the next even byte, where the next value will stand.
    fn point_here(&mut self, field: usize) -> Result<(), CogError> {
        self.bytes.resize(self.bytes.len().next_multiple_of(2), 0);
        let here = self.bytes.len() as u64;
        let le = here.to_le_bytes();
        if !self.bigtiff && here > u64::from(u32::MAX) {
            return Err(CogError::TooLarge { found: here });
        }
        let size = self.offset_size();
        self.bytes.splice(field..field + size, le.into_iter().take(size));
        Ok(())
    }

    fn put_count(&mut self, entries: usize) {
        // A directory of ours has some twenty entries.
        if self.bigtiff {
            self.bytes.extend((entries as u64).to_le_bytes());
        } else {
            self.bytes.extend((entries as u16).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cog::{BigTiff, SampleType, synthetic};

    fn tables(layout: &Layout, offset: u64) -> Vec<TileTable> {
        let table = |l: &Level| TileTable {
            offsets: vec![offset; l.tile_count() as usize],
            byte_counts: vec![7; l.tile_count() as usize],
        };
        layout.levels.iter().map(table).collect()
    }

    #[test]
    fn the_length_does_not_depend_on_the_offsets_and_tags_ascend() {
        for bigtiff in [BigTiff::Auto, BigTiff::Always] {
            let spec = Spec { bigtiff, ..synthetic::spec(100, 300, 64, SampleType::U16, 4) };
            let layout = spec.layout();
            let make = |offset| directories(&spec, &layout, "<x/>", &tables(&layout, offset)).unwrap();
            let bytes = |offset| encode(spec.is_bigtiff(), &make(offset)).unwrap();
            assert_eq!(bytes(0).len(), bytes(4_000_000_000).len());
            for directory in make(0) {
                assert!(directory.is_sorted_by(|a, b| a.0 < b.0));
            }
            let main = if bigtiff == BigTiff::Always { [200, 0, 0, 0] } else { [192, 0, 0, 0] };
            let at = if bigtiff == BigTiff::Always { 8 } else { 4 };
            assert_eq!(bytes(0).get(at..at + 4), Some(main.as_slice()));
        }
    }

    #[test]
    fn a_classic_file_refuses_an_offset_it_cannot_hold() {
        let spec = synthetic::spec(16, 16, 16, SampleType::U8, 1);
        let layout = spec.layout();
        let made = directories(&spec, &layout, "", &tables(&layout, 1 << 32));
        assert!(matches!(made, Err(CogError::TooLarge { found }) if found == 1 << 32));
    }
}
