//! Each rule of the validator rejects a file that is broken for that rule alone.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::directory::{self, Directory, TileTable, Values, tag};
use super::ghost::GHOST;
use super::metadata::gdal_metadata;
use super::tiff_reader::{Limits, Tiff};
use super::{Depth, Layout, Predictor, SampleType, Spec, synthetic, validate};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("a.tif");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Rules a file breaks, each once.
    fn broken(&self, bytes: &[u8], depth: Depth) -> Vec<&'static str> {
        rules(&self.put(bytes), depth)
    }
}

fn rules(path: &Path, depth: Depth) -> Vec<&'static str> {
    let mut rules: Vec<_> = validate(path, depth).unwrap().errors.iter().map(|f| f.check).collect();
    rules.dedup();
    rules
}

/// Three levels: 40 × 36, 20 × 18, 10 × 9.
fn good() -> Spec {
    synthetic::spec(36, 40, 16, SampleType::U16, 2)
}

fn good_bytes() -> Vec<u8> {
    synthetic::file::<u16>(&good(), 1).0
}

/// A file as the writer makes it, but with any pyramid and with directories changed at will.
fn build(spec: &Spec, layout: &Layout, edit: impl Fn(&mut Vec<Directory>)) -> Vec<u8> {
    let levels = synthetic::pyramid::<u16>(spec, layout, 1);
    let mut tiles = synthetic::tiles(spec, &spec.layout(), &levels);
    tiles.retain(|t| layout.position(t.index).is_some());
    tiles.sort_by_key(|t| t.index);
    let statistics = synthetic::statistics(spec, &levels[0]);
    let metadata = gdal_metadata(spec, &statistics).unwrap();
    let table = |level: usize| {
        let byte_counts: Vec<u32> = tiles.iter().filter(|t| t.index.level == level).map(|t| t.size()).collect();
        TileTable { offsets: vec![0; byte_counts.len()], byte_counts }
    };
    let mut tables: Vec<TileTable> = (0..layout.levels.len()).map(table).collect();
    let encode = |tables: &[TileTable]| {
        let mut directories = directory::directories(spec, layout, &metadata, tables).unwrap();
        edit(&mut directories);
        directory::encode(spec.is_bigtiff(), &directories).unwrap()
    };
    let mut end = encode(&tables).len() as u64;
    for table in tables.iter_mut().rev() {
        for (offset, count) in table.offsets.iter_mut().zip(&table.byte_counts) {
            *offset = end + 4;
            end += u64::from(*count) + 8;
        }
    }
    let mut bytes = encode(&tables);
    for level in (0..layout.levels.len()).rev() {
        for tile in tiles.iter().filter(|t| t.index.level == level) {
            bytes.extend(tile.clone().into_framed());
        }
    }
    bytes
}

/// Turns the tiles of a directory into strips, as far as the tags say.
fn strips(directory: &mut Directory, rows: u32) {
    directory.retain(|(tag, _)| *tag != tag::TILE_WIDTH);
    for (tag, values) in directory.iter_mut() {
        match *tag {
            tag::TILE_LENGTH => (*tag, *values) = (tag::ROWS_PER_STRIP, Values::Long(vec![rows])),
            tag::TILE_OFFSETS => *tag = tag::STRIP_OFFSETS,
            tag::TILE_BYTE_COUNTS => *tag = tag::STRIP_BYTE_COUNTS,
            _ => {}
        }
    }
    directory.sort_by_key(|(tag, _)| *tag);
}

fn set(directory: &mut Directory, tag: u16, values: Values) {
    directory.retain(|(t, _)| *t != tag);
    directory.push((tag, values));
    directory.sort_by_key(|(t, _)| *t);
}

fn find(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|w| w == text.as_bytes()).unwrap()
}

/// Directories and their offsets of a file in memory.
fn read(bytes: &[u8]) -> (Vec<super::tiff_reader::Directory>, Vec<Vec<u64>>) {
    let mut tiff = Tiff::open(Path::new("a.tif"), std::io::Cursor::new(bytes), Limits::default()).unwrap();
    let directories = tiff.directories().unwrap();
    let offsets = directories.iter().map(|d| tiff.integers(d, tag::TILE_OFFSETS).unwrap().unwrap()).collect();
    (directories, offsets)
}

/// Where the value field of a tag stands in a classic file.
fn field(directory: &super::tiff_reader::Directory, tag: u16) -> usize {
    let entry = directory.entries.iter().position(|e| e.tag == tag).unwrap();
    directory.offset as usize + 2 + 12 * entry + 8
}

fn put_u32(bytes: &mut [u8], at: usize, value: usize) {
    bytes[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
}

fn get_u32(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

#[test]
fn the_file_all_others_are_made_from_breaks_no_rule() {
    let folder = Folder::new();
    assert_eq!(folder.broken(&good_bytes(), Depth::Full), [""; 0]);
    let spec = good();
    assert_eq!(build(&spec, &spec.layout(), |_| ()), good_bytes());
}

#[test]
fn c1_no_tiff_or_a_truncated_one() {
    let folder = Folder::new();
    let good = good_bytes();
    for cut in [0, 7, 100, 192, 300, 2000, good.len() - 5] {
        assert_eq!(folder.broken(&good[..cut], Depth::Structure), ["C1"], "{cut}");
    }
    let mut swapped = good.clone();
    let directories = read(&good).0;
    // Fewer byte counts than tiles.
    put_u32(&mut swapped, field(&directories[0], tag::TILE_BYTE_COUNTS) - 4, 3);
    assert_eq!(folder.broken(&swapped, Depth::Structure), ["C1"]);
    assert!(validate(&folder.0.path().join("no.tif"), Depth::Full).is_err());
}

#[test]
fn c1_a_tile_that_does_not_decode() {
    let folder = Folder::new();
    let mut bytes = good_bytes();
    let start = read(&bytes).1[0][2] as usize;
    bytes[start..start + 8].fill(0);
    assert_eq!(folder.broken(&bytes, Depth::Structure), [""; 0]);
    assert_eq!(folder.broken(&bytes, Depth::Full), ["C1"]);
}

proptest! {
    #[test]
    fn no_damage_makes_the_check_itself_fail(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let folder = Folder::new();
        let mut bytes = good_bytes();
        // Damage what is parsed, not the pixels.
        let header = read(&bytes).1[2][0] as usize;
        for (place, value) in places {
            bytes[place.index(header)] = value;
        }
        let _ = validate(&folder.put(&bytes), Depth::Structure);
    }
}

#[test]
fn c2_files_beside_it() {
    for suffix in ["ovr", "msk", "aux.xml"] {
        let folder = Folder::new();
        let path = folder.put(&good_bytes());
        std::fs::write(folder.0.path().join(format!("a.tif.{suffix}")), "").unwrap();
        assert_eq!(rules(&path, Depth::Structure), ["C2"]);
    }
}

#[test]
fn c3_and_c9_large_images_in_strips() {
    let folder = Folder::new();
    let spec = synthetic::spec(32, 1100, 64, SampleType::U16, 1);
    let layout = spec.layout();
    assert_eq!(folder.broken(&build(&spec, &layout, |_| ()), Depth::Structure), [""; 0]);
    // 18 tiles in a row become 18 strips of two rows, as far as 36 rows go round.
    let spec36 = Spec { rows: 36, ..spec.clone() };
    let main = build(&spec36, &spec36.layout(), |d| strips(&mut d[0], 2));
    assert_eq!(folder.broken(&main, Depth::Structure), ["C3"]);
    // The first overview of 550 × 16 has 9 tiles.
    let overview = build(&spec36, &spec36.layout(), |d| strips(&mut d[1], 2));
    assert_eq!(folder.broken(&overview, Depth::Structure), ["C9"]);
    let odd = build(&spec, &layout, |d| set(&mut d[0], tag::TILE_LENGTH, Values::Long(vec![40])));
    assert_eq!(folder.broken(&odd, Depth::Structure), ["C3"]);
}

#[test]
fn c4_and_c16_overviews_missing_at_the_top_or_the_bottom() {
    let folder = Folder::new();
    let spec = synthetic::spec(20, 600, 64, SampleType::U16, 1);
    let mut layout = spec.layout();
    layout.levels.truncate(2);
    assert_eq!(folder.broken(&build(&spec, &layout, |_| ()), Depth::Structure), ["C16"]);
    layout.levels.truncate(1);
    assert_eq!(folder.broken(&build(&spec, &layout, |_| ()), Depth::Full), ["C4"]);
}

#[test]
fn c5_and_c6_ghost_area() {
    let folder = Folder::new();
    let mut bytes = good_bytes();
    let at = find(&bytes, "000140");
    bytes[at..at + 6].copy_from_slice(b"000138");
    assert_eq!(folder.broken(&bytes, Depth::Full), ["C5"]);
    let mut bytes = good_bytes();
    let at = find(&bytes, "NO\n ");
    bytes[at..at + 4].copy_from_slice(b"YES\n");
    assert_eq!(folder.broken(&bytes, Depth::Full), ["C6"]);
    assert!(GHOST.ends_with("NO\n "));
}

#[test]
fn c7_overviews_that_do_not_shrink() {
    let folder = Folder::new();
    let spec = good();
    // Still four tiles, but higher than the full resolution.
    let bytes = build(&spec, &spec.layout(), |d| {
        set(&mut d[1], tag::IMAGE_LENGTH, Values::Long(vec![64]));
        set(&mut d[1], tag::IMAGE_WIDTH, Values::Long(vec![16]));
    });
    assert_eq!(folder.broken(&bytes, Depth::Structure), ["C7"]);
}

#[test]
fn c8_directories_out_of_order() {
    let folder = Folder::new();
    let mut bytes = good_bytes();
    let directories = read(&bytes).0;
    // The two overview directories are as long as each other, so their contents can change places.
    let [first, second] = [1, 2].map(|i| directories[i].clone());
    let (a, b) = (first.offset as usize, second.offset as usize);
    let length = (first.end - first.offset) as usize;
    let (one, two) = (bytes[a..a + length].to_vec(), bytes[b..b + length].to_vec());
    bytes[a..a + length].copy_from_slice(&two);
    bytes[b..b + length].copy_from_slice(&one);
    let main_next = directories[0].end as usize - 4;
    put_u32(&mut bytes, main_next, b);
    put_u32(&mut bytes, b + length - 4, a);
    put_u32(&mut bytes, a + length - 4, 0);
    assert_eq!(folder.broken(&bytes, Depth::Structure), ["C8"]);
}

#[test]
fn c10_data_before_the_last_directory() {
    let folder = Folder::new();
    let mut bytes = good_bytes();
    let directories = read(&bytes).0;
    let last = &directories[2];
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    let moved = bytes.len();
    bytes.extend_from_within(last.offset as usize..last.end as usize);
    put_u32(&mut bytes, directories[1].end as usize - 4, moved);
    assert_eq!(folder.broken(&bytes, Depth::Full), ["C10"]);
}

#[test]
fn c11_a_small_level_behind_a_large_one_or_a_hole() {
    let folder = Folder::new();
    let good = good_bytes();
    let (directories, offsets) = read(&good);
    let mut bytes = good.clone();
    let start = offsets[2][0] as usize - 4;
    let size = get_u32(&bytes, start);
    let moved = bytes.len() + 4;
    bytes.extend_from_within(start..start + size + 8);
    let place = field(&directories[2], tag::TILE_OFFSETS);
    put_u32(&mut bytes, place, moved);
    assert_eq!(folder.broken(&bytes, Depth::Full), ["C11"]);

    let mut bytes = good;
    let array = get_u32(&bytes, field(&directories[1], tag::TILE_OFFSETS));
    let counts = get_u32(&bytes, field(&directories[1], tag::TILE_BYTE_COUNTS));
    put_u32(&mut bytes, array, 0);
    put_u32(&mut bytes, counts, 0);
    assert_eq!(folder.broken(&bytes, Depth::Structure), ["C11"]);
}

#[test]
fn c12_tiles_out_of_order() {
    let folder = Folder::new();
    let mut bytes = good_bytes();
    let directories = read(&bytes).0;
    for tag in [tag::TILE_OFFSETS, tag::TILE_BYTE_COUNTS] {
        let array = get_u32(&bytes, field(&directories[1], tag));
        let (one, two) = (get_u32(&bytes, array), get_u32(&bytes, array + 4));
        put_u32(&mut bytes, array, two);
        put_u32(&mut bytes, array + 4, one);
    }
    assert_eq!(folder.broken(&bytes, Depth::Full), ["C12"]);
}

#[test]
fn c13_and_c14_frames_of_tiles() {
    let folder = Folder::new();
    let good = good_bytes();
    let start = read(&good).1[0][1] as usize;
    let size = get_u32(&good, start - 4);
    for (at, rule) in [(start - 4, "C13"), (start + size, "C14")] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert_eq!(folder.broken(&bytes, Depth::Full), [rule]);
        assert_eq!(folder.broken(&bytes, Depth::Structure), [""; 0]);
    }
}

#[test]
fn c15_a_mask_away_from_its_image() {
    let folder = Folder::new();
    let path = folder.put(&good_bytes());
    let masked = folder.0.path().join("masked.tif");
    let driver = |name| gdal::DriverManager::get_driver_by_name(name).unwrap();
    let source = gdal::Dataset::open(path).unwrap();
    let copy = source.create_copy(&driver("MEM"), "", &Default::default()).unwrap();
    for band in 1..=2 {
        let mut band = copy.rasterband(band).unwrap();
        band.set_no_data_value(None).unwrap();
        band.create_mask_band(true).unwrap();
    }
    let options = gdal::cpl::CslStringList::from_iter(["BLOCKSIZE=128", "COMPRESS=DEFLATE"]);
    copy.create_copy(&driver("COG"), &masked, &options).unwrap().close().unwrap();
    let mut bytes = std::fs::read(&masked).unwrap();
    let before = rules(&masked, Depth::Full);
    assert!(!before.contains(&"C15") && !before.contains(&"C17"), "{before:?}");

    let directories = read(&bytes).0;
    let mask = directories.iter().find(|d| d.find(tag::NEW_SUBFILE_TYPE).is_some()).unwrap();
    let place = field(mask, tag::TILE_OFFSETS);
    let start = get_u32(&bytes, place);
    let size = get_u32(&bytes, start - 4);
    let moved = bytes.len() + 4;
    bytes.extend_from_within(start - 4..start + size + 4);
    put_u32(&mut bytes, place, moved);
    let mut after = folder.broken(&bytes, Depth::Full);
    after.retain(|rule| !before.contains(rule));
    assert_eq!(after, ["C15"]);
}

#[test]
fn c17_no_or_two_ways_to_say_what_is_valid() {
    let folder = Folder::new();
    let spec = good();
    let layout = spec.layout();
    let none = build(&spec, &layout, |d| d.iter_mut().for_each(|d| d.retain(|(tag, _)| *tag != tag::GDAL_NODATA)));
    assert_eq!(folder.broken(&none, Depth::Structure), ["C17"]);
    let two = build(&spec, &layout, |d| set(&mut d[0], tag::EXTRA_SAMPLES, Values::Short(vec![2])));
    assert_eq!(folder.broken(&two, Depth::Structure), ["C17"]);
}

#[test]
fn c18_statistics_missing_or_wrong() {
    let folder = Folder::new();
    let good = good_bytes();
    for (from, to) in [
        ("STATISTICS_MAXIMUM\" sample=\"1\">65000", "STATISTICS_MAXIMUM\" sample=\"1\">65001"),
        ("STATISTICS_MAXIMUM\" sample=\"1\"", "STATISTICS_MAXIMUX\" sample=\"1\""),
        ("STATISTICS_MEAN\" sample=\"0\">", "STATISTICS_MEAN\" sample=\"0\">1"),
        ("STATISTICS_STDDEV\" sample=\"0\">", "STATISTICS_STDDEV\" sample=\"0\">-"),
        ("STATISTICS_VALID_PERCENT\" sample=\"0\">9", "STATISTICS_VALID_PERCENT\" sample=\"0\">8"),
    ] {
        let mut bytes = good.clone();
        let at = find(&bytes, from);
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        assert_eq!(folder.broken(&bytes, Depth::Full), ["C18"], "{to}");
    }
}

#[test]
fn c18_an_empty_band_states_that_it_is_empty() {
    let folder = Folder::new();
    let spec = Spec { predictor: Predictor::None, ..synthetic::spec(16, 16, 16, SampleType::U8, 1) };
    let index = super::TileIndex { level: 0, row: 0, col: 0 };
    let write = |pixel: u8| {
        let mut writer = super::Writer::new(spec.clone()).unwrap();
        let rows = super::Rows { samples: &[pixel; 256], stride: 16, rows: 16 };
        let encoder = super::Encoder::new(&spec).unwrap();
        let tile = encoder.encode(index, rows, &mut Vec::new(), &mut super::Codecs::default()).unwrap();
        assert_eq!(writer.push(tile).unwrap(), None);
        let finished = writer.finish(&[None]).unwrap();
        [finished.prefix, finished.rest.unwrap().chunks].concat().concat()
    };
    assert_eq!(folder.broken(&write(255), Depth::Full), [""; 0]);
    assert_eq!(folder.broken(&write(7), Depth::Full), ["C18"]);
}

#[test]
fn c19_bands_without_a_name_or_scale() {
    let folder = Folder::new();
    let good = good_bytes();
    for name in ["DESCRIPTION", "SCALE", "OFFSET", "COLORINTERP"] {
        let mut bytes = good.clone();
        let at = find(&bytes, &format!("{name}\" sample=\"1\""));
        bytes[at] = b'X';
        assert_eq!(folder.broken(&bytes, Depth::Full), ["C19"], "{name}");
    }
    let mut bytes = good;
    let at = find(&bytes, "UNITTYPE");
    bytes[at] = b'X';
    let report = validate(&folder.put(&bytes), Depth::Full).unwrap();
    assert!(report.is_valid() && report.warnings.len() == 1, "{report:?}");
}
