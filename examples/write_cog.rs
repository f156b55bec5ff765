//! Writes cloud-optimised GeoTIFFs from raw pixels with the library alone: what no product of a pipeline is, such as bits or
//! pictures of five bands, can be checked by the programs that check the products.
//!
//!     write_cog < JOBS      a JSON object per line: pixels, out, type, rows, cols, bands, tile, compression, level
//!
//! `pixels` names a file of samples, little-endian, row by row, interleaved by pixel. `type` is `int16`, `uint16`, `bits`
//! (uint16), `uint8` or `float32`, and says nodata, predictor and overview rule.

use std::io::BufRead;

use fieldglow::cog::{
    BandSpec, BandStatistics, BigTiff, Codecs, Color, Compression, Encoder, GeoKeys, Predictor, Rows, SampleType, Spec,
    Writer,
};
use fieldglow::grid::{Crs, GeoTransform};
use fieldglow::product::OverviewRule;
use fieldglow::pyramid::halve;
use fieldglow::raster::{RawTile, Samples};

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[derive(serde::Deserialize)]
struct Job {
    pixels: String,
    out: String,
    r#type: String,
    rows: usize,
    cols: usize,
    bands: usize,
    tile: usize,
    compression: String,
    level: i32,
}

fn main() -> Result<(), Failed> {
    for line in std::io::stdin().lock().lines() {
        write(&serde_json::from_str(&line?)?)?;
    }
    Ok(())
}

fn write(job: &Job) -> Result<(), Failed> {
    let bytes = std::fs::read(&job.pixels)?;
    let pairs = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
    let (sample, nodata, predictor, rule, samples) = match job.r#type.as_str() {
        "uint8" => (SampleType::U8, 0.0, Predictor::Horizontal, OverviewRule::Average, Samples::U8(bytes)),
        "int16" => {
            let samples = Samples::I16(pairs().map(i16::from_le_bytes).collect());
            (SampleType::I16, -32768.0, Predictor::Horizontal, OverviewRule::Average, samples)
        }
        "uint16" => {
            let samples = Samples::U16(pairs().map(u16::from_le_bytes).collect());
            (SampleType::U16, 65535.0, Predictor::Horizontal, OverviewRule::Average, samples)
        }
        "bits" => {
            let samples = Samples::U16(pairs().map(u16::from_le_bytes).collect());
            (SampleType::U16, 1.0, Predictor::None, OverviewRule::Bits, samples)
        }
        "float32" => {
            let four = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            (SampleType::F32, f64::NAN, Predictor::Float, OverviewRule::Average, Samples::F32(four.collect()))
        }
        other => return Err(format!("no type `{other}`").into()),
    };
    let (rows, cols, bands) = (job.rows, job.cols, job.bands);
    if samples.len() != rows * cols * bands {
        return Err(format!("{}: {} samples, expected {}", job.pixels, samples.len(), rows * cols * bands).into());
    }
    let band = |number: usize| BandSpec {
        description: format!("band {number} <&>"),
        unit: Some("1".into()),
        scale: 0.5,
        offset: -(number as f64),
        color: Color::Undefined,
    };
    let spec = Spec {
        rows,
        cols,
        tile: job.tile,
        sample,
        bands: (1..=bands).map(band).collect(),
        nodata: Some(nodata),
        compression: match job.compression.as_str() {
            "zstd" => Compression::Zstd { level: job.level },
            "deflate" => Compression::Deflate { level: job.level },
            other => return Err(format!("no compression `{other}`").into()),
        },
        predictor,
        bigtiff: BigTiff::Auto,
        transform: GeoTransform::north_up(600_000.0, 4_900_000.0, 3.0),
        geo_keys: GeoKeys::for_crs(&Crs::from_epsg(32651)?)?,
        metadata: Vec::new(),
    };
    let image = RawTile { rows, cols, bands, samples };
    std::fs::write(&job.out, file(spec, image, rule)?)?;
    Ok(())
}

fn file(spec: Spec, image: RawTile, rule: OverviewRule) -> Result<Vec<u8>, Failed> {
    let (layout, nodata) = (spec.layout(), spec.nodata);
    let (encoder, mut codecs, mut buffer) = (Encoder::new(&spec)?, Codecs::default(), Vec::new());
    let mut writer = Writer::new(spec)?;
    let statistics: Vec<_> = (0..image.bands).map(|b| statistics(&image, b, nodata)).collect();
    let (mut pixels, mut parts) = (image, Vec::new());
    for (number, level) in layout.levels.iter().enumerate() {
        if number > 0 {
            pixels = halve(&pixels, rule);
        }
        for position in 0..level.tile_count() as usize {
            let index = layout.index(number, position).ok_or("a tile beyond the layout")?;
            let (rows, _) = layout.covered(index).ok_or("a tile beyond the layout")?;
            let stride = pixels.cols * pixels.bands;
            let start = index.row * layout.tile * stride + index.col * layout.tile * pixels.bands;
            let encoded = match &pixels.samples {
                Samples::U8(v) => encoder.encode(index, rows_of(v, start, stride, rows), &mut buffer, &mut codecs),
                Samples::I16(v) => encoder.encode(index, rows_of(v, start, stride, rows), &mut buffer, &mut codecs),
                Samples::U16(v) => encoder.encode(index, rows_of(v, start, stride, rows), &mut buffer, &mut codecs),
                Samples::F32(v) => encoder.encode(index, rows_of(v, start, stride, rows), &mut buffer, &mut codecs),
            };
            parts.extend(writer.push(encoded?)?);
        }
    }
    let finished = writer.finish(&statistics)?;
    let behind = parts.into_iter().chain(finished.rest).flat_map(|part| part.chunks);
    Ok(finished.prefix.into_iter().chain(behind).collect::<Vec<_>>().concat())
}

fn rows_of<T>(samples: &[T], start: usize, stride: usize, rows: usize) -> Rows<'_, T> {
    Rows { samples: &samples[start..], stride, rows }
}

/// By two plain passes.
fn statistics(image: &RawTile, band: usize, nodata: Option<f64>) -> Option<BandStatistics> {
    let of_band = |all: &mut dyn Iterator<Item = f64>| -> Vec<f64> {
        all.skip(band).step_by(image.bands).filter(|v| !v.is_nan() && Some(*v) != nodata).collect()
    };
    let valid = match &image.samples {
        Samples::U8(v) => of_band(&mut v.iter().map(|v| f64::from(*v))),
        Samples::I16(v) => of_band(&mut v.iter().map(|v| f64::from(*v))),
        Samples::U16(v) => of_band(&mut v.iter().map(|v| f64::from(*v))),
        Samples::F32(v) => of_band(&mut v.iter().map(|v| f64::from(*v))),
    };
    let count = valid.len() as f64;
    let mean = valid.iter().sum::<f64>() / count;
    (!valid.is_empty()).then(|| BandStatistics {
        min: valid.iter().copied().fold(f64::INFINITY, f64::min),
        max: valid.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        mean,
        stddev: (valid.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt(),
        valid_percent: 100.0 * count / (image.rows * image.cols) as f64,
    })
}
