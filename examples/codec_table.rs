//! What codecs, levels, predictors, interleaving and tile sizes make of the pixels of images: sizes, and seconds of one core.
//!
//!     codec_table RUNS TRIAL… -- FILE…    TRIAL: codec:level:predictor:interleave:tile, such as zstd:3:2:pixel:512
//!
//! Codecs are `zstd` and `deflate`, as their libraries are, and `own`: Zstandard as Fieldglow writes it.
//!
//! Reads the full resolution of each file through GDAL, cuts it into tiles, padded with nodata at the right and lower edge,
//! and predicts and compresses them from memory, and back, RUNS times, those that take long once; the least time counts.
//! Predictor 2 of floats differences their bits, as libtiff does. Every tile is compared after the way back. Prints one
//! JSON object.
#![expect(clippy::print_stdout, reason = "a program for people and scripts")]

use std::time::Instant;

use fieldglow::cog::{Codecs, Compression, Predicted, Predictor, SampleType, TileIndex};
use gdal::Dataset;
use gdal::raster::GdalDataType;
use serde_json::{Value, json};

/// Seconds from which on a run is not repeated.
const LONG: f64 = 3.0;

type Failed = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: codec_table RUNS TRIAL… -- FILE…";
    let split = args.iter().position(|a| a == "--").filter(|s| *s >= 2).ok_or(usage)?;
    let runs: usize = args[0].parse()?;
    let trials = args[1..split].iter().map(|t| Trial::parse(t)).collect::<Result<Vec<_>, _>>()?;
    let mut files = Vec::new();
    for path in &args[split + 1..] {
        let image = Image::read(path)?;
        let results = trials.iter().map(|t| measure(&image, t, runs)).collect::<Result<Vec<_>, _>>()?;
        files.push(json!({
            "file": path, "rows": image.rows, "cols": image.cols, "bands": image.bands,
            "valid_bytes": image.valid_bytes(), "trials": results,
        }));
    }
    println!("{}", json!({ "zstd": zstd::zstd_safe::version_string(), "files": files }));
    Ok(())
}

#[derive(Clone, Copy)]
enum Codec {
    Zstd,
    Deflate,
    Own,
}

struct Trial {
    text: String,
    codec: Codec,
    level: i32,
    predictor: u8,
    by_pixel: bool,
    tile: usize,
}

impl Trial {
    fn parse(text: &str) -> Result<Self, Failed> {
        let words: Vec<&str> = text.split(':').collect();
        let [codec, level, predictor, interleave, tile] = words[..] else {
            return Err(format!("`{text}`: expected codec:level:predictor:interleave:tile").into());
        };
        let one_of = |word: &str, first: &str, second: &str| match word {
            w if w == first => Ok(true),
            w if w == second => Ok(false),
            w => Err(format!("`{text}`: expected {first} or {second}, found {w}")),
        };
        Ok(Self {
            text: text.to_owned(),
            codec: match codec {
                "zstd" => Codec::Zstd,
                "deflate" => Codec::Deflate,
                "own" => Codec::Own,
                other => return Err(format!("`{text}`: expected zstd, deflate or own, found {other}").into()),
            },
            level: level.parse()?,
            predictor: predictor.parse()?,
            by_pixel: one_of(interleave, "pixel", "band")?,
            tile: tile.parse()?,
        })
    }
}

/// Samples of an image, interleaved by pixel, little-endian.
struct Image {
    rows: usize,
    cols: usize,
    bands: usize,
    /// Bytes of a sample.
    size: usize,
    nodata: Vec<u8>,
    pixels: Vec<u8>,
}

impl Image {
    fn read(path: &str) -> Result<Self, Failed> {
        let data = Dataset::open(path)?;
        let (cols, rows) = data.raster_size();
        let bands = data.raster_count();
        let first = data.rasterband(1)?;
        let nodata = first.no_data_value().unwrap_or(0.0);
        let (size, nodata) = match first.band_type() {
            GdalDataType::UInt8 => (1, vec![nodata as u8]),
            GdalDataType::UInt16 => (2, (nodata as u16).to_le_bytes().to_vec()),
            GdalDataType::Int16 => (2, (nodata as i16).to_le_bytes().to_vec()),
            GdalDataType::Float32 => (4, (nodata as f32).to_le_bytes().to_vec()),
            other => return Err(format!("{path}: samples of {other}").into()),
        };
        let mut pixels = vec![0; rows * cols * bands * size];
        for number in 0..bands {
            let band = data.rasterband(number + 1)?;
            let plane = match first.band_type() {
                GdalDataType::UInt8 => bytes(band.read_band_as::<u8>()?.data(), |v| v.to_le_bytes()),
                GdalDataType::UInt16 => bytes(band.read_band_as::<u16>()?.data(), |v| v.to_le_bytes()),
                GdalDataType::Int16 => bytes(band.read_band_as::<i16>()?.data(), |v| v.to_le_bytes()),
                _ => bytes(band.read_band_as::<f32>()?.data(), |v| v.to_le_bytes()),
            };
            for (pixel, sample) in pixels.chunks_exact_mut(bands * size).zip(plane.chunks_exact(size)) {
                pixel[number * size..(number + 1) * size].copy_from_slice(sample);
            }
        }
        Ok(Self { rows, cols, bands, size, nodata, pixels })
    }

    /// Bytes of the samples that are not nodata.
    fn valid_bytes(&self) -> usize {
        self.size * self.pixels.chunks_exact(self.size).filter(|sample| *sample != self.nodata).count()
    }

    /// All tiles of a side, of all bands together or of each in turn.
    fn tiles(&self, side: usize, by_pixel: bool) -> Vec<Vec<u8>> {
        let pixel = self.bands * self.size;
        let groups: Vec<(usize, usize)> = match by_pixel {
            true => vec![(0, pixel)],
            false => (0..self.bands).map(|b| (b * self.size, self.size)).collect(),
        };
        let mut tiles = Vec::new();
        for (start, length) in groups {
            for top in (0..self.rows).step_by(side) {
                for left in (0..self.cols).step_by(side) {
                    let mut tile = self.nodata.repeat(side * side * length / self.size);
                    for row in top..(top + side).min(self.rows) {
                        for col in left..(left + side).min(self.cols) {
                            let from = (row * self.cols + col) * pixel + start;
                            let to = ((row - top) * side + col - left) * length;
                            tile[to..to + length].copy_from_slice(&self.pixels[from..from + length]);
                        }
                    }
                    tiles.push(tile);
                }
            }
        }
        tiles
    }
}

fn bytes<T: Copy, const N: usize>(samples: &[T], to_le: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    samples.iter().flat_map(|v| to_le(*v)).collect()
}

fn measure(image: &Image, trial: &Trial, runs: usize) -> Result<Value, Failed> {
    let tiles = image.tiles(trial.tile, trial.by_pixel);
    let row = Row {
        predictor: trial.predictor,
        size: image.size,
        bands: if trial.by_pixel { image.bands } else { 1 },
        bytes: trial.tile * image.size * if trial.by_pixel { image.bands } else { 1 },
    };
    let raw = tiles.first().map_or(0, Vec::len);
    let level = libdeflater::CompressionLvl::new(trial.level.min(12)).map_err(|_| "no such level")?;
    let mut deflate = libdeflater::Compressor::new(level);
    let mut inflate = libdeflater::Decompressor::new();
    let mut zstd = zstd::bulk::Compressor::new(trial.level)?;
    let mut unzstd = zstd::bulk::Decompressor::new()?;
    let mut own = Codecs::default();
    let (compression, index) = (Compression::Zstd { level: trial.level }, TileIndex { level: 0, row: 0, col: 0 });
    let predictor = if trial.predictor == 2 { Predictor::Horizontal } else { Predictor::None };
    let sample = [SampleType::U8, SampleType::U16, SampleType::F32][image.size.ilog2().min(2) as usize];
    let mut out = vec![0; zstd::zstd_safe::compress_bound(raw).max(deflate.zlib_compress_bound(raw))];
    let (mut predicted, mut back) = (vec![0; raw], vec![0; raw]);
    let (mut encode, mut decode, mut stored) = (f64::INFINITY, f64::INFINITY, 0);
    for _ in 0..runs {
        let (mut there, mut again) = (0.0, 0.0);
        stored = 0;
        for tile in &tiles {
            let started = Instant::now();
            row.predict(tile, &mut predicted);
            let mut kept = None;
            let size = match trial.codec {
                Codec::Zstd => zstd.compress_to_buffer(&predicted, &mut out[..])?,
                Codec::Deflate => deflate.zlib_compress(&predicted, &mut out)?,
                Codec::Own => {
                    let predicted = Predicted { predictor, sample, bytes: &predicted };
                    kept.insert(own.compress(compression, index, predicted)?).size() as usize
                }
            };
            there += started.elapsed().as_secs_f64();
            let started = Instant::now();
            let frame = kept.as_ref().map_or(&out[..size], |tile| tile.bytes());
            match trial.codec {
                Codec::Zstd | Codec::Own => unzstd.decompress_to_buffer(frame, &mut predicted[..])?,
                Codec::Deflate => inflate.zlib_decompress(frame, &mut predicted)?,
            };
            row.restore(&mut predicted, &mut back);
            again += started.elapsed().as_secs_f64();
            if back != *tile {
                return Err(format!("{}: a tile came back changed", trial.text).into());
            }
            stored += size;
        }
        (encode, decode) = (encode.min(there), decode.min(again));
        if there + again > LONG {
            break;
        }
    }
    let raw_bytes = raw * tiles.len();
    Ok(json!({
        "trial": trial.text, "raw_bytes": raw_bytes, "stored_bytes": stored, "encode_seconds": encode, "decode_seconds": decode,
    }))
}

/// How the rows of a tile are predicted.
struct Row {
    predictor: u8,
    /// Bytes of a sample.
    size: usize,
    /// Samples of a pixel.
    bands: usize,
    /// Bytes of a row.
    bytes: usize,
}

impl Row {
    fn predict(&self, tile: &[u8], to: &mut [u8]) {
        let mut sorted = vec![0; self.bytes];
        for (row, to) in tile.chunks_exact(self.bytes).zip(to.chunks_exact_mut(self.bytes)) {
            match (self.predictor, self.size) {
                (2, 1) => differences(row, to, self.bands, |b: [u8; 1], l| [b[0].wrapping_sub(l[0])]),
                (2, 2) => differences(row, to, self.bands, |b, l| {
                    u16::from_le_bytes(b).wrapping_sub(u16::from_le_bytes(l)).to_le_bytes()
                }),
                (2, _) => differences(row, to, self.bands, |b, l| {
                    u32::from_le_bytes(b).wrapping_sub(u32::from_le_bytes(l)).to_le_bytes()
                }),
                (3, size) => {
                    for (significance, plane) in sorted.chunks_exact_mut(self.bytes / size).enumerate() {
                        for (sample, byte) in row.chunks_exact(size).zip(plane) {
                            *byte = sample[size - 1 - significance];
                        }
                    }
                    differences(&sorted, to, self.bands, |b: [u8; 1], l| [b[0].wrapping_sub(l[0])]);
                }
                _ => to.copy_from_slice(row),
            }
        }
    }

    /// The way back; `tile` is used up.
    fn restore(&self, tile: &mut [u8], to: &mut [u8]) {
        for (row, to) in tile.chunks_exact_mut(self.bytes).zip(to.chunks_exact_mut(self.bytes)) {
            match (self.predictor, self.size) {
                (2, 1) | (3, _) => sums(row, self.bands, |b: [u8; 1], l| [b[0].wrapping_add(l[0])]),
                (2, 2) => sums(row, self.bands, |b, l| {
                    u16::from_le_bytes(b).wrapping_add(u16::from_le_bytes(l)).to_le_bytes()
                }),
                (2, _) => sums(row, self.bands, |b, l| {
                    u32::from_le_bytes(b).wrapping_add(u32::from_le_bytes(l)).to_le_bytes()
                }),
                _ => {}
            }
            if self.predictor == 3 {
                for (significance, plane) in row.chunks_exact(self.bytes / self.size).enumerate() {
                    for (sample, byte) in to.chunks_exact_mut(self.size).zip(plane) {
                        sample[self.size - 1 - significance] = *byte;
                    }
                }
            } else {
                to.copy_from_slice(row);
            }
        }
    }
}

/// Each word minus the one `distance` words before it.
fn differences<const N: usize>(
    row: &[u8],
    to: &mut [u8],
    distance: usize,
    minus: impl Fn([u8; N], [u8; N]) -> [u8; N],
) {
    let (row, to) = (row.as_chunks::<N>().0, to.as_chunks_mut::<N>().0);
    to[..distance].copy_from_slice(&row[..distance]);
    for ((to, word), left) in to[distance..].iter_mut().zip(&row[distance..]).zip(row) {
        *to = minus(*word, *left);
    }
}

/// Each word plus the one `distance` words before it.
fn sums<const N: usize>(row: &mut [u8], distance: usize, plus: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let row = row.as_chunks_mut::<N>().0;
    for k in distance..row.len() {
        row[k] = plus(row[k], row[k - distance]);
    }
}
