//! Tiles of pixels on their way into a file, predictor and codec, as a worker has them compressed: `cargo bench --bench tiles`.

use std::error::Error;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fieldglow::cog::{
    BandSpec, BigTiff, Codecs, Color, Compression, Encoder, GeoKeys, Predictor, Rows, SEARCHED_LEVEL, Sample,
    SampleType, Spec, TileIndex,
};
use fieldglow::grid::{Crs, GeoTransform};

const TILE: usize = 512;
const ZSTD: Compression = Compression::Zstd { level: SEARCHED_LEVEL };
/// Its matches are found by libzstd.
const NEXT: Compression = Compression::Zstd { level: SEARCHED_LEVEL + 1 };
const DEFLATE: Compression = Compression::Deflate { level: 1 };

/// Land with hills a tile wide, and noise of so many steps.
fn land(bands: usize, noise: u32) -> Vec<i16> {
    let mut state = 1_u32;
    let mut pixel = |k: usize| {
        let (row, col) = ((k / bands / TILE) as f64, (k / bands % TILE) as f64);
        // Numerical Recipes in C, 7.1: a linear congruential generator; the high bits are the good ones.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let hills = 2000.0 + 800.0 * (row / 80.0).sin() * (col / 60.0 + (k % bands) as f64).cos();
        hills as i16 + ((state >> 16) % noise) as i16
    };
    (0..TILE * TILE * bands).map(&mut pixel).collect()
}

fn spec(
    sample: SampleType,
    predictor: Predictor,
    bands: usize,
    compression: Compression,
) -> Result<Spec, Box<dyn Error>> {
    let band = |k: usize| BandSpec {
        description: format!("band {k}"),
        unit: None,
        scale: 1.0,
        offset: 0.0,
        color: Color::Undefined,
    };
    Ok(Spec {
        rows: TILE,
        cols: TILE,
        tile: TILE,
        sample,
        bands: (0..bands).map(band).collect(),
        nodata: None,
        compression,
        predictor,
        bigtiff: BigTiff::Auto,
        transform: GeoTransform::north_up(600_000.0, 4_900_000.0, 3.0),
        geo_keys: GeoKeys::for_crs(&Crs::from_epsg(32651)?)?,
        metadata: Vec::new(),
    })
}

/// One tile again and again, in the memory of the last one.
fn encode<T: Sample>(
    c: &mut Criterion,
    name: &str,
    samples: &[T],
    predictor: Predictor,
    compressions: &[Compression],
) -> Result<(), Box<dyn Error>> {
    let bands = samples.len() / (TILE * TILE);
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(size_of_val(samples) as u64));
    for compression in compressions {
        let encoder = Encoder::new(&spec(T::TYPE, predictor, bands, *compression)?)?;
        let (mut codecs, mut buffer) = (Codecs::default(), Vec::new());
        let index = TileIndex { level: 0, row: 0, col: 0 };
        group.bench_function(format!("{compression:?}"), |b| {
            b.iter(|| {
                let rows = Rows { samples: black_box(samples), stride: TILE * bands, rows: TILE };
                encoder.encode(index, rows, &mut buffer, &mut codecs)
            });
        });
    }
    group.finish();
    Ok(())
}

fn tiles(c: &mut Criterion) {
    let float = land(1, 300).into_iter().map(|v| f32::from(v) / 4000.0).collect::<Vec<_>>();
    let states = land(1, 300).into_iter().map(|v| if v > 3000 { 2_u16 } else { 0 }).collect::<Vec<_>>();
    let done = encode(c, "reflectance", &land(4, 60), Predictor::Horizontal, &[ZSTD, NEXT, DEFLATE])
        .and_then(|()| encode(c, "index", &land(1, 300), Predictor::Horizontal, &[ZSTD, NEXT, DEFLATE]))
        .and_then(|()| encode(c, "smooth", &land(4, 1), Predictor::Horizontal, &[ZSTD, DEFLATE]))
        .and_then(|()| encode(c, "index_f32", &float, Predictor::Float, &[ZSTD, DEFLATE]))
        .and_then(|()| encode(c, "states", &states, Predictor::None, &[ZSTD, DEFLATE]));
    if let Err(e) = done {
        unreachable!("a specification of this bench: {e}");
    }
}

criterion_group!(benches, tiles);
criterion_main!(benches);
