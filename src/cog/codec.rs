//! Pixels to compressed tiles: padding, predictor, codec.
//!
//! Invariant: the bytes of a tile depend on its covered pixels, the specification and the codec's version alone; what the
//! caller left beyond the edge of the image never reaches the file, nor does what the encoder did before.

use zstd::bulk::Compressor;

use super::{CogError, Compression, Layout, Predictor, SampleType, Spec, TileIndex};

mod sealed {
    pub trait Sealed {}
}

/// A type of samples a file can hold.
pub trait Sample: sealed::Sealed + Copy + PartialEq + Default + Send + Sync + 'static {
    /// Its [`SampleType`].
    const TYPE: SampleType;
    /// Its bytes.
    type Bytes: AsRef<[u8]>;
    /// Little-endian bytes.
    fn to_le(self) -> Self::Bytes;
    /// This minus `previous`, wrapping; for floats that of their bits.
    fn wrapping_difference(self, previous: Self) -> Self;
    /// The value, saturated to what the type can hold.
    fn from_f64(value: f64) -> Self;
}

macro_rules! integer_sample {
    ($type:ty, $name:ident) => {
        impl sealed::Sealed for $type {}
        impl Sample for $type {
            const TYPE: SampleType = SampleType::$name;
            type Bytes = [u8; size_of::<$type>()];
            #[inline(always)]
            fn to_le(self) -> Self::Bytes {
                self.to_le_bytes()
            }
            #[inline(always)]
            fn wrapping_difference(self, previous: Self) -> Self {
                self.wrapping_sub(previous)
            }
            fn from_f64(value: f64) -> Self {
                value as Self
            }
        }
    };
}
integer_sample!(u8, U8);
integer_sample!(u16, U16);
integer_sample!(i16, I16);
integer_sample!(u32, U32);

impl sealed::Sealed for f32 {}
impl Sample for f32 {
    const TYPE: SampleType = SampleType::F32;
    type Bytes = [u8; 4];
    #[inline(always)]
    fn to_le(self) -> Self::Bytes {
        self.to_le_bytes()
    }
    #[inline(always)]
    fn wrapping_difference(self, previous: Self) -> Self {
        Self::from_bits(self.to_bits().wrapping_sub(previous.to_bits()))
    }
    fn from_f64(value: f64) -> Self {
        value as Self
    }
}

/// A compressed tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedTile {
    /// Where it belongs.
    pub index: TileIndex,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

enum Codec {
    Zstd(Compressor<'static>),
    Deflate(libdeflater::Compressor),
}

/// Turns pixels into compressed tiles. One per thread: it owns a compression context and scratch memory.
pub struct Encoder {
    layout: Layout,
    sample: SampleType,
    bands: usize,
    predictor: Predictor,
    fill: f64,
    codec: Codec,
    raw: Vec<u8>,
    planes: Vec<u8>,
    compressed: Vec<u8>,
}

impl Encoder {
    /// An encoder for the tiles of a file.
    ///
    /// # Errors
    /// [`CogError::Spec`] if no file can be made from `spec`, [`CogError::CodecSetup`] if the codec refuses its level.
    pub fn new(spec: &Spec) -> Result<Self, CogError> {
        spec.check()?;
        let failed = |source| CogError::CodecSetup { compression: spec.compression, source };
        let raw_bytes = spec.tile_bytes();
        let (codec, bound) = match spec.compression {
            Compression::Zstd { level } => {
                (Codec::Zstd(Compressor::new(level).map_err(failed)?), zstd::zstd_safe::compress_bound(raw_bytes))
            }
            Compression::Deflate { level } => {
                let level = libdeflater::CompressionLvl::new(level)
                    .map_err(|_| failed(std::io::Error::other("libdeflate has no such level")))?;
                let mut compressor = libdeflater::Compressor::new(level);
                let bound = compressor.zlib_compress_bound(raw_bytes);
                (Codec::Deflate(compressor), bound)
            }
        };
        let row_bytes = spec.tile * spec.bands.len() * spec.sample.size();
        Ok(Self {
            layout: spec.layout(),
            sample: spec.sample,
            bands: spec.bands.len(),
            predictor: spec.predictor,
            fill: spec.nodata.unwrap_or(0.0),
            codec,
            raw: vec![0; raw_bytes],
            planes: if spec.predictor == Predictor::Float { vec![0; row_bytes] } else { Vec::new() },
            compressed: vec![0; bound],
        })
    }

    /// The compressed bytes of a tile.
    ///
    /// # Shape
    /// `pixels` is always a full tile, `tile × tile × bands` samples, row-major and interleaved by pixel. In tiles at the
    /// edge, samples beyond the image are ignored and stored as nodata, or 0 without it.
    ///
    /// # Errors
    /// [`CogError::Pixels`] if `pixels` has the wrong type or size, [`CogError::NoSuchTile`], [`CogError::Codec`].
    pub fn encode<T: Sample>(&mut self, index: TileIndex, pixels: &[T]) -> Result<EncodedTile, CogError> {
        let row_samples = self.layout.tile * self.bands;
        let expected = (self.sample, self.layout.tile * row_samples);
        if expected != (T::TYPE, pixels.len()) {
            let say = |(sample, count): (SampleType, usize)| format!("{count} samples of {}", sample.name());
            return Err(CogError::Pixels { index, expected: say(expected), found: say((T::TYPE, pixels.len())) });
        }
        let covered = self.layout.covered(index);
        let (rows, cols) = covered.ok_or(CogError::NoSuchTile { index, levels: self.layout.levels.len() })?;

        let inside = cols * self.bands;
        let fill = T::from_f64(self.fill);
        let mut padded =
            if (rows, inside) == (self.layout.tile, row_samples) { vec![] } else { vec![fill; row_samples] };
        let row_bytes = row_samples * self.sample.size();
        for (number, (from, to)) in
            pixels.chunks_exact(row_samples).zip(self.raw.chunks_exact_mut(row_bytes)).enumerate()
        {
            let row = if padded.is_empty() {
                from
            } else {
                if number < rows {
                    padded[..inside].copy_from_slice(&from[..inside]);
                } else if number == rows {
                    padded.fill(fill);
                }
                &padded
            };
            match self.predictor {
                Predictor::None => put_plain(row, to),
                Predictor::Horizontal => put_differences(row, self.bands, to),
                Predictor::Float => put_planes(row, self.bands, &mut self.planes, to),
            }
        }
        self.compress(index)
    }

    fn compress(&mut self, index: TileIndex) -> Result<EncodedTile, CogError> {
        let failed = |source| CogError::Codec { index, source };
        let size = match &mut self.codec {
            Codec::Zstd(c) => {
                c.compress_to_buffer(&self.raw, self.compressed.as_mut_slice()).map_err(|e| failed(Box::new(e)))?
            }
            Codec::Deflate(c) => c.zlib_compress(&self.raw, &mut self.compressed).map_err(|e| failed(Box::new(e)))?,
        };
        // A copy of the exact size: held tiles must not hold the worst case too.
        Ok(EncodedTile { index, bytes: self.compressed[..size].to_vec() })
    }
}

fn put_plain<T: Sample>(row: &[T], to: &mut [u8]) {
    for (value, bytes) in row.iter().zip(to.chunks_exact_mut(size_of::<T>())) {
        bytes.copy_from_slice(value.to_le().as_ref());
    }
}

/// TIFF predictor 2: the first pixel as it is, then differences between samples of the same band.
fn put_differences<T: Sample>(row: &[T], bands: usize, to: &mut [u8]) {
    let (first, rest) = to.split_at_mut(bands * size_of::<T>());
    put_plain(&row[..bands], first);
    for ((value, left), bytes) in row[bands..].iter().zip(row).zip(rest.chunks_exact_mut(size_of::<T>())) {
        bytes.copy_from_slice(value.wrapping_difference(*left).to_le().as_ref());
    }
}

/// TIFF predictor 3: all most significant bytes of the row, then all second ones, and so on; then byte differences over
/// the whole row, at the distance of the number of bands.
///
/// # Reference
/// TIFF Technical Note 3, "Floating point predictor"; the distance over plane borders is libtiff's `fpDiff`.
fn put_planes<T: Sample>(row: &[T], bands: usize, planes: &mut [u8], to: &mut [u8]) {
    for (significance, plane) in planes.chunks_exact_mut(row.len()).enumerate() {
        let byte = size_of::<T>() - 1 - significance;
        for (value, to) in row.iter().zip(plane) {
            *to = value.to_le().as_ref()[byte];
        }
    }
    to[..bands].copy_from_slice(&planes[..bands]);
    for ((value, left), to) in planes[bands..].iter().zip(&*planes).zip(&mut to[bands..]) {
        *to = value.wrapping_sub(*left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cog::synthetic;
    use proptest::prelude::*;

    fn undo_differences(bytes: &[u8], bands: usize) -> Vec<u16> {
        let mut row: Vec<u16> = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
        for i in bands..row.len() {
            row[i] = row[i].wrapping_add(row[i - bands]);
        }
        row
    }

    /// libtiff's `fpAcc`.
    fn undo_planes(bytes: &[u8], bands: usize) -> Vec<f32> {
        let mut b = bytes.to_vec();
        for i in bands..b.len() {
            b[i] = b[i].wrapping_add(b[i - bands]);
        }
        let n = b.len() / 4;
        (0..n).map(|i| f32::from_be_bytes([b[i], b[n + i], b[2 * n + i], b[3 * n + i]])).collect()
    }

    proptest! {
        #[test]
        fn predictors_invert(pixels in prop::collection::vec(any::<[u32; 4]>(), 1..40), bands in 1usize..=4) {
            let row: Vec<u16> = pixels.iter().flat_map(|p| p.iter().take(bands).map(|v| *v as u16)).collect();
            let mut bytes = vec![0; row.len() * 2];
            put_differences(&row, bands, &mut bytes);
            prop_assert_eq!(undo_differences(&bytes, bands), row);

            let row: Vec<f32> = pixels.iter().flat_map(|p| p.iter().take(bands).map(|v| f32::from_bits(*v))).collect();
            let (mut planes, mut bytes) = (vec![0; row.len() * 4], vec![0; row.len() * 4]);
            put_planes(&row, bands, &mut planes, &mut bytes);
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&undo_planes(&bytes, bands)), bits(&row));
        }
    }

    #[test]
    fn what_lies_beyond_the_edge_never_reaches_the_file() {
        let spec = synthetic::spec(100, 70, 64, SampleType::U16, 3);
        let index = TileIndex { level: 0, row: 1, col: 1 };
        let clean = vec![9u16; spec.tile_samples()];
        let mut dirty = clean.clone();
        for (i, v) in dirty.iter_mut().enumerate() {
            let (row, col) = (i / (64 * 3), i / 3 % 64);
            if row >= 36 || col >= 6 {
                *v = i as u16;
            }
        }
        let mut encoder = Encoder::new(&spec).unwrap();
        let a = encoder.encode(index, &clean).unwrap();
        assert_eq!(a, encoder.encode(index, &dirty).unwrap());
        let raw = zstd::bulk::decompress(&a.bytes, spec.tile_bytes()).unwrap();
        let row = undo_differences(&raw[..64 * 3 * 2], 3);
        assert_eq!((&row[..18], &row[18..]), (&[9u16; 18][..], &[0u16; 174][..]));
        assert_eq!(undo_differences(&raw[36 * 64 * 6..37 * 64 * 6], 3), vec![0u16; 192]);
    }

    #[test]
    fn what_the_encoder_did_before_does_not_matter() {
        for compression in [Compression::Zstd { level: 3 }, Compression::Deflate { level: 6 }] {
            let spec = Spec { compression, ..synthetic::spec(640, 64, 64, SampleType::U16, 2) };
            let tiles: Vec<Vec<u16>> = (0..10).map(|t| synthetic::tile(&spec, t)).collect();
            let mut used = Encoder::new(&spec).unwrap();
            for (row, tile) in tiles.iter().enumerate() {
                let index = TileIndex { level: 0, row, col: 0 };
                let fresh = Encoder::new(&spec).unwrap().encode(index, tile).unwrap();
                assert_eq!(used.encode(index, tile).unwrap(), fresh);
            }
        }
    }

    #[test]
    fn encoders_and_writers_may_move_between_threads() {
        fn moves<T: Send>() {}
        moves::<Encoder>();
        moves::<crate::cog::Writer>();
    }

    #[test]
    fn pixels_of_the_wrong_type_or_size_are_refused() {
        let spec = synthetic::spec(16, 16, 16, SampleType::U16, 1);
        let mut encoder = Encoder::new(&spec).unwrap();
        let index = TileIndex { level: 0, row: 0, col: 0 };
        assert!(encoder.encode(index, &[0u8; 256]).unwrap_err().to_string().contains("uint8"));
        assert!(matches!(encoder.encode(index, &[0u16; 255]), Err(CogError::Pixels { .. })));
        let outside = TileIndex { col: 1, ..index };
        assert!(matches!(encoder.encode(outside, &[0u16; 256]), Err(CogError::NoSuchTile { .. })));
    }
}
