//! Every target on its seeds and on a few thousand changes of them, always the same ones.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;

/// Longest input that is made.
const MOST_BYTES: usize = 1 << 16;

/// What texts are made of, and numbers at limits.
const TOKENS: [&str; 24] = [
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "4294967295",
    "18446744073709551615",
    "-0.0",
    "\"",
    "'",
    "\n",
    "\0",
    "=",
    "[",
    "]",
    "{",
    "}",
    "<a>",
    "</a>",
    "_",
    ".",
    "../",
    "é",
    "\u{feff}",
];

/// A little generator of numbers, always the same ones.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }

    /// Changes some bytes of `data`; `other` is a seed to take pieces of.
    fn change(&mut self, data: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..1 + self.below(4) {
            let at = self.below(data.len() + 1);
            let end = (at + self.below(16)).min(data.len());
            match self.below(8) {
                0 => data.truncate(at),
                1 => drop(data.splice(at..end, TOKENS[self.below(TOKENS.len())].bytes())),
                2 => drop(data.drain(at..end)),
                3 => {
                    let piece = data[at..end].repeat(1 + self.below(300));
                    data.splice(at..at, piece);
                }
                4 => {
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(64)).min(other.len());
                    data.splice(at..end, other[from..to].iter().copied());
                }
                5 => data[at..end].fill([0, 0xFF, 0x7F, b'9'][self.below(4)]),
                _ if at < data.len() => data[at] = self.below(256) as u8,
                _ => data.push(self.below(256) as u8),
            }
        }
        data.truncate(MOST_BYTES);
    }
}

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Runs a target on its seeds and on so many changes of them.
fn shake(name: &str, rounds: usize) {
    crate::read::prepare_gdal(64 << 20);
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let seeds = seeds(name);
    let mut read = 0;
    for (path, data) in &seeds {
        println!("{}", path.display());
        read += usize::from(target(folder.path(), data));
    }
    assert!(2 * read > seeds.len(), "only {read} of {} seeds are read", seeds.len());
    let mut numbers = Numbers(seeds.len() as u64);
    for round in 0..rounds {
        let mut data = seeds[numbers.below(seeds.len())].1.clone();
        let other = &seeds[numbers.below(seeds.len())].1;
        numbers.change(&mut data, other);
        // Shown when it fails.
        println!("round {round}: {}", data.escape_ascii());
        let start = Instant::now();
        target(folder.path(), &data);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

/// What a reader that calls itself for everything inside of something would run out of stack with.
#[test]
fn nothing_is_nested_too_deep() {
    crate::read::prepare_gdal(64 << 20);
    let folder = tempfile::tempdir().unwrap();
    let deep = |start: &str, piece: &str, end: &str, times: usize| {
        [start.to_string(), piece.repeat(times), end.repeat(times)].concat()
    };
    for times in [200, 15_000] {
        let texts = [
            deep("schema = 1\n", "a.", "", times) + "a = 1\n",
            deep("schema = 1\n[", "a.", "", times) + "a]\n",
            deep("schema = 1\na = ", "[", "]", times),
            deep("schema = 1\na = ", "{ a = ", "}", times),
            deep("{\"type\": \"Feature\", \"a\": ", "[", "]", times) + "}",
            deep("{\"type\": \"Feature\", \"a\": ", "{\"a\": ", "}", times) + "}",
            deep("", "<Upload>", "</Upload>", times),
            deep("<Dimap_Document>", "<a b='c'>", "</a>", times) + "</Dimap_Document>",
            deep("", "(", ")", times),
            deep("a", "**-a", "", times),
            deep("geometry", ".a", "", times) + "=1",
            deep("geometry.height=", "[", "]", times),
            deep("input.a=", "{a=", "}", times),
        ];
        for (_, target) in TARGETS {
            texts.iter().for_each(|text| {
                target(folder.path(), text.as_bytes());
            });
        }
    }
}

macro_rules! shaken {
    ($($name:ident: $rounds:expr),* $(,)?) => {
        $(#[test]
        fn $name() {
            shake(stringify!($name), $rounds);
        })*

        #[test]
        fn no_target_is_left_out() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|(name, _)| name), tested);
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
            for name in tested {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
                let text = fs::read_to_string(root.join(format!("fuzz_targets/{name}.rs"))).unwrap();
                assert!(text.contains(&format!("run(\"{name}\", data)")), "{name}");
            }
        }
    };
}

shaken! {
    names: 3000, metadata: 400, rpc: 400, sidecar: 400, coefficients: 600, stac_scene: 600, footprint: 300, dimap: 300,
    mtl: 600, pipeline: 100, overrides: 100, formula: 3000, tiff: 600, shapes: 300, cog: 300, stac_document: 60,
    uploads: 1000, tiles: 200,
}
