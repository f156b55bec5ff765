//! Files with known pixels, for tests.

use gdal::raster::GdalType;

use super::{
    BandSpec, BandStatistics, BigTiff, Codecs, Color, Compression, EncodedTile, Encoder, GeoKeys, Layout, Predictor,
    Rows, Sample, SampleType, Spec, Writer,
};
use crate::grid::GeoTransform;

/// A specification of plain settings: UTM 51N, ZSTD, the predictor and nodata that suit the type.
pub(crate) fn spec(rows: usize, cols: usize, tile: usize, sample: SampleType, bands: usize) -> Spec {
    let colors = [Color::Blue, Color::Green, Color::Red, Color::Nir];
    let band = |number: usize| BandSpec {
        description: format!("band <{number}> & \"more\""),
        unit: Some("W·m⁻²·sr⁻¹·µm⁻¹".into()),
        scale: 0.0001,
        offset: -0.1 * number as f64,
        color: colors[number % 4],
    };
    Spec {
        rows,
        cols,
        tile,
        sample,
        bands: (0..bands).map(band).collect(),
        nodata: Some(match sample {
            SampleType::U8 => 255.0,
            SampleType::U16 | SampleType::U32 => 0.0,
            SampleType::I16 => -32768.0,
            SampleType::F32 => f64::NAN,
        }),
        compression: Compression::Zstd { level: 3 },
        predictor: if sample == SampleType::F32 { Predictor::Float } else { Predictor::Horizontal },
        bigtiff: BigTiff::Auto,
        transform: GeoTransform::north_up(500_000.0, 4_800_000.0, 0.75),
        geo_keys: GeoKeys {
            directory: vec![1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32651],
            ..GeoKeys::default()
        },
        metadata: vec![("SCENE".into(), "a & b".into())],
    }
}

/// A sample whose pixels GDAL can read back.
pub(crate) trait Pixel: Sample + GdalType + Into<f64> {}
impl<T: Sample + GdalType + Into<f64>> Pixel for T {}

/// SplitMix64.
pub(crate) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(crate) fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for i in (1..items.len()).rev() {
        items.swap(i, (random(&mut seed) % (i as u64 + 1)) as usize);
    }
}

/// Noisy-smooth pixels of a full tile.
pub(crate) fn tile(spec: &Spec, seed: u64) -> Vec<u16> {
    let whole = Spec { rows: spec.tile, cols: spec.tile, nodata: None, ..spec.clone() };
    image(&whole, seed)
}

/// Noisy-smooth pixels, every eleventh one nodata, the last one the greatest of the type.
pub(crate) fn image<T: Sample>(spec: &Spec, mut seed: u64) -> Vec<T> {
    let top = match T::TYPE {
        SampleType::U8 => 250.0,
        SampleType::U16 => 65_000.0,
        SampleType::I16 => 32_000.0,
        SampleType::U32 => 4_000_000_000.0,
        SampleType::F32 => 3.5,
    };
    let bands = spec.bands.len();
    let mut pixels: Vec<T> = (0..spec.rows * spec.cols * bands)
        .map(|i| {
            let (row, col, band) = (i / bands / spec.cols, i / bands % spec.cols, i % bands);
            match spec.nodata {
                Some(nodata) if (row * 7 + col * 5 + band) % 11 == 0 => T::from_f64(nodata),
                _ => {
                    let wave = (row as f64 * 0.013).sin() + (col as f64 * 0.021 + band as f64).cos();
                    let noise = (random(&mut seed) % 1000) as f64 * 1e-5;
                    T::from_f64(top * (0.5 + 0.2 * wave + noise))
                }
            }
        })
        .collect();
    if let Some(last) = pixels.last_mut() {
        *last = T::from_f64(top);
    }
    pixels
}

/// All levels, each pixel the upper left one of the four it stands for.
pub(crate) fn pyramid<T: Sample>(spec: &Spec, layout: &Layout, seed: u64) -> Vec<Vec<T>> {
    let bands = spec.bands.len();
    let mut levels = vec![image(spec, seed)];
    for pair in layout.levels.windows(2) {
        let (from, to) = (levels.last().unwrap(), pair[1]);
        let sample = |i: usize| {
            let (row, col) = (i / bands / to.cols * 2, i / bands % to.cols * 2);
            from[(row.min(pair[0].rows - 1) * pair[0].cols + col.min(pair[0].cols - 1)) * bands + i % bands]
        };
        let next = (0..to.rows * to.cols * bands).map(sample).collect();
        levels.push(next);
    }
    levels
}

/// All tiles of a pyramid, encoded, in a fixed but mixed order.
pub(crate) fn tiles<T: Sample>(spec: &Spec, layout: &Layout, levels: &[Vec<T>]) -> Vec<EncodedTile> {
    let bands = spec.bands.len();
    let (encoder, mut codecs) = (Encoder::new(spec).unwrap(), Codecs::default());
    let mut tiles = Vec::new();
    for (number, (level, pixels)) in layout.levels.iter().zip(levels).enumerate() {
        for position in 0..level.tile_count() as usize {
            let index = layout.index(number, position).unwrap();
            let (rows, _) = layout.covered(index).unwrap();
            let start = (index.row * spec.tile * level.cols + index.col * spec.tile) * bands;
            let rows = Rows { samples: &pixels[start..], stride: level.cols * bands, rows };
            tiles.push(encoder.encode(index, rows, &mut Vec::new(), &mut codecs).unwrap());
        }
    }
    shuffle(&mut tiles, 5);
    tiles
}

/// Statistics by two plain passes.
pub(crate) fn statistics<T: Pixel>(spec: &Spec, pixels: &[T]) -> Vec<Option<BandStatistics>> {
    let bands = spec.bands.len();
    let of_band = |band: usize| {
        let all = pixels.iter().skip(band).step_by(bands).map(|v| (*v).into());
        let values: Vec<f64> = all.filter(|v: &f64| !v.is_nan() && Some(*v) != spec.nodata).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        (!values.is_empty()).then(|| BandStatistics {
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean,
            stddev: (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count).sqrt(),
            valid_percent: 100.0 * count / (pixels.len() / bands) as f64,
        })
    };
    (0..bands).map(of_band).collect()
}

/// A whole file and its levels.
pub(crate) fn file<T: Pixel>(spec: &Spec, seed: u64) -> (Vec<u8>, Vec<Vec<T>>) {
    let layout = spec.layout();
    let levels = pyramid(spec, &layout, seed);
    let mut writer = Writer::new(spec.clone()).unwrap().with_part_size(10_000);
    let mut parts = Vec::new();
    for tile in tiles(spec, &layout, &levels) {
        parts.extend(writer.push(tile).unwrap());
    }
    let finished = writer.finish(&statistics(spec, &levels[0])).unwrap();
    let mut bytes = finished.prefix.concat();
    for part in parts.into_iter().chain(finished.rest) {
        part.chunks.iter().for_each(|chunk| bytes.extend(chunk));
    }
    assert_eq!(bytes.len() as u64, finished.file_size);
    (bytes, levels)
}
