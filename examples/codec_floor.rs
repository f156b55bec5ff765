//! The codec floor of an output: how long compressing its very tiles and overviews takes from memory, with nothing else
//! around it.
//!
//!     codec_floor THREADS RUNS PATH…     every .tif below the paths; prints one JSON object
//!
//! Tiles are decompressed first, which gives back what the compressor was fed (predictor applied); then each run
//! compresses all of them with the library of the file's codec at the level named below, tiles shared out one by one among
//! the threads, and once more with Fieldglow's own compressor, whose search for matches is another (`own` in what is printed).
//! Files are taken in turn until 1 GiB of raw tiles is in memory; what is compressed twice is counted twice.
#![expect(clippy::print_stdout, reason = "a program for people and scripts")]

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use fieldglow::cog::tiff_reader::{Limits, Tiff};
use fieldglow::cog::{Codecs, Compression, Predicted, Predictor, SEARCHED_LEVEL, SampleType, TileIndex};

/// Levels of `fieldglow run` where the pipeline names none.
const ZSTD_LEVEL: i32 = SEARCHED_LEVEL;
const DEFLATE_LEVEL: i32 = 1;

type Failed = Box<dyn std::error::Error + Send + Sync>;

struct Tile {
    zstd: bool,
    predictor: Predictor,
    sample: SampleType,
    raw: Vec<u8>,
}

/// What the runs of one compressor took and gave.
#[derive(Default)]
struct Runs {
    seconds: Vec<f64>,
    stored_bytes: u64,
}

impl Runs {
    fn add(&mut self, run: usize, (seconds, stored): (f64, u64)) {
        self.seconds.resize(self.seconds.len().max(run + 1), 0.0);
        self.seconds[run] += seconds;
        if run == 0 {
            self.stored_bytes += stored;
        }
    }

    fn json(&self) -> String {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        format!("\"stored_bytes\": {}, \"seconds\": {sorted:?}, \"median_seconds\": {median}", self.stored_bytes)
    }
}

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [threads, runs, paths @ ..] = args.as_slice() else {
        return Err("usage: codec_floor THREADS RUNS PATH…".into());
    };
    let (threads, runs): (usize, usize) = (threads.parse()?, runs.parse()?);
    let mut files = Vec::new();
    paths.iter().try_for_each(|p| find(Path::new(p), &mut files))?;
    files.sort();
    let (mut library, mut own) = (Runs::default(), Runs::default());
    let (mut raw_bytes, mut tiles) = (0u64, 0usize);
    let mut group = Vec::new();
    let mut held = 0;
    for (k, file) in files.iter().enumerate() {
        let read = read(file)?;
        held += read.iter().map(|t| t.raw.len()).sum::<usize>();
        group.extend(read);
        if held >= 1 << 30 || k + 1 == files.len() {
            for run in 0..runs {
                library.add(run, compress(&group, threads, with_libraries)?);
                own.add(run, compress(&group, threads, with_own)?);
            }
            raw_bytes += held as u64;
            tiles += group.len();
            (group, held) = (Vec::new(), 0);
        }
    }
    println!(
        "{{\"files\": {}, \"tiles\": {tiles}, \"raw_bytes\": {raw_bytes}, \"threads\": {threads}, {}, \"own\": {{{}}}, \
         \"zstd\": \"{}\"}}",
        files.len(),
        library.json(),
        own.json(),
        zstd::zstd_safe::version_string(),
    );
    Ok(())
}

fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failed> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            find(&entry?.path(), files)?;
        }
    } else if path.extension().is_some_and(|e| e == "tif") {
        files.push(path.to_owned());
    }
    Ok(())
}

/// All tiles of all levels of a file, decompressed.
fn read(path: &Path) -> Result<Vec<Tile>, Failed> {
    const BITS_PER_SAMPLE: u16 = 258;
    const COMPRESSION: u16 = 259;
    const PREDICTOR: u16 = 317;
    const TILE_OFFSETS: u16 = 324;
    const TILE_BYTE_COUNTS: u16 = 325;
    let mut tiff = Tiff::open(path, BufReader::new(File::open(path)?), Limits::default())?;
    let mut tiles = Vec::new();
    for directory in tiff.directories()? {
        let zstd = match tiff.integer(&directory, COMPRESSION)? {
            Some(50_000) => true,
            Some(8) => false,
            other => return Err(format!("{}: compression {other:?}", path.display()).into()),
        };
        let bits = tiff.integers(&directory, BITS_PER_SAMPLE)?.unwrap_or_default();
        let sample = match bits.first() {
            Some(8) => SampleType::U8,
            Some(16) => SampleType::U16,
            _ => SampleType::F32,
        };
        let predictor = match tiff.integer(&directory, PREDICTOR)? {
            Some(2) => Predictor::Horizontal,
            Some(3) => Predictor::Float,
            _ => Predictor::None,
        };
        let offsets = tiff.integers(&directory, TILE_OFFSETS)?.unwrap_or_default();
        let counts = tiff.integers(&directory, TILE_BYTE_COUNTS)?.unwrap_or_default();
        for (offset, count) in offsets.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            let bytes = tiff.bytes(offset, count)?;
            let raw = if zstd { zstd::decode_all(&bytes[..])? } else { inflate(&bytes)? };
            tiles.push(Tile { zstd, predictor, sample, raw });
        }
    }
    Ok(tiles)
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Failed> {
    let mut out = vec![0; 16 << 20];
    let n = libdeflater::Decompressor::new().zlib_decompress(bytes, &mut out).map_err(|e| e.to_string())?;
    out.truncate(n);
    Ok(out)
}

/// Compresses tiles until there are none; bytes that came out.
type Worker = fn(&mut dyn Iterator<Item = &Tile>) -> Result<u64, Failed>;

/// Seconds, and bytes that came out.
fn compress(tiles: &[Tile], threads: usize, worker: Worker) -> Result<(f64, u64), Failed> {
    let next = AtomicUsize::new(0);
    let run = || worker(&mut std::iter::from_fn(|| tiles.get(next.fetch_add(1, Ordering::Relaxed))));
    let started = Instant::now();
    let stored = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers.into_iter().map(|w| w.join().map_err(|_| Failed::from("a worker failed"))?).sum::<Result<u64, Failed>>()
    })?;
    Ok((started.elapsed().as_secs_f64(), stored))
}

fn with_libraries(tiles: &mut dyn Iterator<Item = &Tile>) -> Result<u64, Failed> {
    let mut zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    let level = libdeflater::CompressionLvl::new(DEFLATE_LEVEL).map_err(|_| "no such level")?;
    let mut deflate = libdeflater::Compressor::new(level);
    let mut out = Vec::new();
    let mut stored = 0;
    for tile in tiles {
        let bound = zstd::zstd_safe::compress_bound(tile.raw.len()).max(deflate.zlib_compress_bound(tile.raw.len()));
        out.resize(bound.max(out.len()), 0);
        stored += match tile.zstd {
            true => zstd.compress_to_buffer(&tile.raw, &mut out[..])?,
            false => deflate.zlib_compress(&tile.raw, &mut out)?,
        } as u64;
    }
    Ok(stored)
}

fn with_own(tiles: &mut dyn Iterator<Item = &Tile>) -> Result<u64, Failed> {
    let mut codecs = Codecs::default();
    let index = TileIndex { level: 0, row: 0, col: 0 };
    let mut stored = 0;
    for tile in tiles {
        let compression = match tile.zstd {
            true => Compression::Zstd { level: ZSTD_LEVEL },
            false => Compression::Deflate { level: DEFLATE_LEVEL },
        };
        let predicted = Predicted { predictor: tile.predictor, sample: tile.sample, bytes: &tile.raw };
        stored += u64::from(codecs.compress(compression, index, predicted)?.size());
    }
    Ok(stored)
}
