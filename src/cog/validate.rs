//! Checks of finished files.
//!
//! Invariant: a rule is named by the same identifier for ever, a finding names the rule it breaks and nothing else does,
//! and no file makes the check itself fail unless it cannot be read. The rules are stricter than those of others: a file
//! that passes here passes GDAL's validator and rio-cogeo's; the reverse is not so.
//!
//! | rule | holds when |
//! | --- | --- |
//! | C1 | the file is a well-formed (Big)TIFF, complete, and GDAL reads it |
//! | C2 | no `.ovr`, `.msk` or `.aux.xml` lies beside it |
//! | C3, C9 | images, overviews larger than 512 pixels are tiled, tile edges multiples of 16 |
//! | C4 | an image larger than 512 pixels has overviews |
//! | C5 | the main directory stands right behind the header, or behind the ghost area on an even byte |
//! | C6 | no editor has marked the layout as broken |
//! | C7 | overviews shrink |
//! | C8 | directories stand in the order main, then overviews large to small |
//! | C10 | no data stands before the last directory |
//! | C11 | smaller levels stand before larger ones, and every block is there |
//! | C12 | blocks of a level stand in row-major order |
//! | C13, C14 | each block has its leader, its trailer |
//! | C15 | a mask has the blocks of its image, each right behind the image's |
//! | C16 | the smallest overview fits one tile |
//! | C17 | exactly one of nodata, mask and alpha says which pixels are valid |
//! | C18 | statistics are there and equal a recount |
//! | C19 | each band has description, scale, offset and color interpretation; a missing unit is a warning |

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

use super::directory::tag;
use super::ghost::Ghost;
use super::image::Image;
use super::recount::{recount, recount_bytes};
use super::tiff_reader::{Limits, Tiff};
use super::{BandStatistics, CogError};
use crate::error::chain;

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Directories and arrays.
    Structure,
    /// Also the frame of every block, and all pixels of the full resolution.
    Full,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The rule, `C1` to `C19`.
    pub check: &'static str,
    /// What was expected and found.
    pub message: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Broken rules.
    pub errors: Vec<Finding>,
    /// What is odd but breaks no rule.
    pub warnings: Vec<Finding>,
}

impl Report {
    /// True when no rule is broken.
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    fn error(&mut self, check: &'static str, message: impl Into<String>) {
        self.errors.push(Finding { check, message: message.into() });
    }

    fn warn(&mut self, check: &'static str, message: impl Into<String>) {
        self.warnings.push(Finding { check, message: message.into() });
    }

    fn expect(&mut self, holds: bool, check: &'static str, message: impl FnOnce() -> String) {
        if !holds {
            self.error(check, message());
        }
    }
}

/// Above this edge an image must be tiled and have overviews.
const SMALL: u64 = 512;

/// What is wrong with a file on disk.
///
/// # Errors
/// [`CogError::Read`] if it cannot be read, [`CogError::Limit`] if looking at it would cost too much. Anything else that
/// is wrong is in the report.
pub fn validate(path: &Path, depth: Depth) -> Result<Report, CogError> {
    let mut report = Report::default();
    check_siblings(path, &mut report);
    let source = File::open(path).map_err(|source| CogError::Read { path: path.to_owned(), source })?;
    let found = look(path, source, depth, &mut report);
    conclude(found, depth, || recount(path), report)
}

/// The same of a file in memory; `name` is for messages. What lies beside it is not known.
///
/// # Errors
/// [`CogError::Limit`].
pub fn validate_bytes(name: &Path, mut bytes: Vec<u8>, depth: Depth) -> Result<Report, CogError> {
    let mut report = Report::default();
    let found = look(name, Cursor::new(bytes.as_slice()), depth, &mut report);
    conclude(found, depth, || recount_bytes(&mut bytes), report)
}

/// Largest block that a reader is asked to decode, bytes: 512 × 512 pixels of 256 floats.
const BLOCK_LIMIT: u64 = 256 << 20;

/// What a file says of its values.
struct Claim {
    stated: Vec<Stated>,
    integer: bool,
    /// Every block is there, none twice, and none larger than [`BLOCK_LIMIT`].
    is_whole: bool,
}

fn conclude(
    found: Result<Claim, CogError>,
    depth: Depth,
    recount: impl FnOnce() -> gdal::errors::Result<Vec<Option<BandStatistics>>>,
    mut report: Report,
) -> Result<Report, CogError> {
    match found {
        Err(error @ CogError::Malformed { .. }) => report.error("C1", error.to_string()),
        Err(error) => return Err(error),
        // What is not there would be counted for as long as a few bytes say.
        Ok(claim) if depth == Depth::Full && !claim.is_whole => {
            report.warn("C18", "pixels were not counted: blocks are missing, or are more than the file has room for");
        }
        Ok(claim) if depth == Depth::Full => match recount() {
            Ok(counted) => check_statistics(&claim.stated, &counted, claim.integer, &mut report),
            Err(error) => report.error("C1", format!("GDAL cannot read the file: {}", chain(&error))),
        },
        Ok(_) => {}
    }
    Ok(report)
}

fn look<R: Read + Seek>(path: &Path, source: R, depth: Depth, report: &mut Report) -> Result<Claim, CogError> {
    let mut tiff = Tiff::open(path, source, Limits::default())?;
    let ghost = tiff.ghost()?;
    let directories = tiff.directories()?;
    let images = directories.iter().map(|d| Image::read(&mut tiff, d)).collect::<Result<Vec<_>, _>>()?;
    let (masks, levels): (Vec<_>, Vec<_>) = images.iter().partition(|image| image.mask);
    let Some((main, others)) = levels.split_first() else {
        return Err(tiff.malformed("first directory", "an image", "a mask"));
    };
    let (overviews, pages): (Vec<&Image>, Vec<&Image>) = others.iter().copied().partition(|image| image.reduced);
    if !pages.is_empty() {
        report.warn("C1", format!("{} more pages were not looked at", pages.len()));
    }
    let mut levels = vec![*main];
    levels.extend(&overviews);

    for image in &images {
        if image.block_bytes() > BLOCK_LIMIT {
            let (found, limit) = (image.block_bytes(), BLOCK_LIMIT >> 20);
            report.error("C1", format!("a block takes {found} bytes, decoded; more than {limit} MiB"));
        }
        let outside = |(offset, count): &(u64, u64)| offset.checked_add(*count).is_none_or(|end| end > tiff.length());
        if let Some((offset, count)) = image.blocks().find(outside) {
            let length = tiff.length();
            report.error("C1", format!("a block of {count} bytes at offset {offset} ends behind the file of {length}"));
        }
    }
    check_placement(&tiff, ghost.as_ref(), main, report);
    check_levels(main, &overviews, report);
    check_order(&levels, ghost.as_ref(), report);
    check_masks(&masks, &levels, report);

    let main_directory = directories.first();
    let text = |tiff: &mut Tiff<R>, tag| main_directory.map_or(Ok(None), |d| tiff.text(d, tag));
    let nodata = text(&mut tiff, tag::GDAL_NODATA)?;
    let alpha = main.alphas > 0;
    let ways = usize::from(nodata.is_some()) + usize::from(alpha) + usize::from(!masks.is_empty());
    report.expect(ways == 1, "C17", || {
        let (nodata, mask) = (nodata.is_some(), !masks.is_empty());
        format!("expected exactly one of nodata, mask and alpha, found nodata {nodata}, mask {mask}, alpha {alpha}")
    });

    let bands = main.samples.saturating_sub(main.alphas) as usize;
    let metadata = text(&mut tiff, tag::GDAL_METADATA)?.unwrap_or_default();
    let items = band_items(&metadata, bands).map_err(|e| tiff.malformed("GDAL_METADATA", "XML", chain(&e)))?;
    check_names(&items, main, report);
    let stated = stated_statistics(&items, report);

    if depth == Depth::Full {
        check_frames(&mut tiff, ghost.as_ref(), &images, report)?;
    }
    let held = main.byte_counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
    let is_whole = held <= tiff.length()
        && main.block_bytes() <= BLOCK_LIMIT
        && main.blocks().all(|(offset, count)| offset != 0 && count != 0);
    Ok(Claim { stated, integer: main.integer, is_whole })
}

fn check_siblings(path: &Path, report: &mut Report) {
    for suffix in [".ovr", ".msk", ".aux.xml"] {
        let mut sibling = OsString::from(path);
        sibling.push(suffix);
        let sibling = Path::new(&sibling);
        report.expect(!sibling.exists(), "C2", || format!("`{}` lies beside the file", sibling.display()));
    }
}

fn check_placement<R: Read + Seek>(tiff: &Tiff<R>, ghost: Option<&Ghost>, main: &Image, report: &mut Report) {
    let expected = (tiff.header_size() + ghost.map_or(0, |g| g.size)).next_multiple_of(2);
    report.expect(main.directory == expected, "C5", || {
        format!("expected the main directory at offset {expected}, found it at {}", main.directory)
    });
    let broken = ghost.and_then(|g| g.get("KNOWN_INCOMPATIBLE_EDITION")) == Some("YES");
    report.expect(!broken, "C6", || "the ghost area says that an editor broke the layout".into());
}

fn check_levels(main: &Image, overviews: &[&Image], report: &mut Report) {
    check_tiling(main, "C3", report);
    let large = main.rows > SMALL || main.cols > SMALL;
    report.expect(!large || !overviews.is_empty(), "C4", || format!("{} and no overview", main.size()));
    let mut larger = main;
    for overview in overviews {
        check_tiling(overview, "C9", report);
        let (sizes, previous) = ((overview.rows, overview.cols), (larger.rows, larger.cols));
        let shrinks = sizes.0 <= previous.0 && sizes.1 <= previous.1 && sizes != previous;
        report.expect(shrinks, "C7", || format!("an overview of {} follows {}", overview.size(), larger.size()));
        report.expect(overview.directory > larger.directory, "C8", || {
            let (here, there) = (overview.directory, larger.directory);
            format!("the directory at offset {here} belongs behind the one at {there}")
        });
        larger = overview;
    }
    if let Some(smallest) = overviews.last() {
        let fits = smallest.rows <= smallest.block_rows && smallest.cols <= smallest.block_cols;
        report.expect(fits, "C16", || format!("the smallest overview has {}, more than one block", smallest.size()));
    }
}

fn check_tiling(image: &Image, check: &'static str, report: &mut Report) {
    let aligned = image.block_rows.is_multiple_of(16) && image.block_cols.is_multiple_of(16);
    let large = image.rows > SMALL || image.cols > SMALL;
    // A tile as wide as a wide image is a strip by another name, and GDAL's validator takes it for one.
    let strip = !image.tiled || (image.block_cols >= image.cols && image.cols > 1024);
    report.expect(!(large && strip) && (aligned || !image.tiled), check, || {
        let (kind, rows, cols) = (if image.tiled { "tiles" } else { "strips" }, image.block_rows, image.block_cols);
        format!("an image of {} is cut into {kind} of {cols} × {rows}", image.size())
    });
}

fn check_order(levels: &[&Image], ghost: Option<&Ghost>, report: &mut Report) {
    let bands_together = ghost.and_then(|g| g.get("INTERLEAVE")) == Some("TILE");
    let last_directory = levels.iter().map(|l| l.directory_end).max().unwrap_or(0);
    let mut behind = 0;
    for (smaller, level) in levels.iter().rev().enumerate() {
        let present = || level.offsets_in_file_order(bands_together).filter(|offset| *offset != 0);
        let missing = level.offsets.len() - present().count();
        report.expect(missing == 0, "C11", || format!("{missing} blocks of the level of {} are missing", level.size()));
        let (Some(first), Some(last)) = (present().min(), present().max()) else { continue };
        if smaller == 0 {
            report.expect(first >= last_directory, "C10", || {
                format!("data begins at offset {first}, before the last directory ends at {last_directory}")
            });
        }
        report.expect(first > behind, "C11", || {
            format!("the level of {} begins at offset {first}, before a smaller one ends behind {behind}", level.size())
        });
        let ordered = present().is_sorted_by(|a, b| a < b);
        report.expect(ordered, "C12", || format!("blocks of the level of {} are not in row-major order", level.size()));
        behind = behind.max(last);
    }
}

fn check_masks(masks: &[&Image], levels: &[&Image], report: &mut Report) {
    report.expect(masks.is_empty() || masks.len() == levels.len(), "C15", || {
        format!("{} masks for {} levels", masks.len(), levels.len())
    });
    for mask in masks {
        let Some(level) = levels.iter().find(|l| (l.rows, l.cols) == (mask.rows, mask.cols)) else {
            report.error("C15", format!("no image for the mask of {}", mask.size()));
            continue;
        };
        if (level.block_rows, level.block_cols) != (mask.block_rows, mask.block_cols) {
            report.error("C15", format!("the mask of {} is cut into other blocks than its image", mask.size()));
            continue;
        }
        let follows = |((offset, count), mask): &((u64, u64), u64)| {
            *mask == 0 || offset.checked_add(*count).and_then(|end| end.checked_add(8)) == Some(*mask)
        };
        let pairs = level.blocks().zip(mask.offsets.iter().copied());
        let astray = if level.separate { 0 } else { pairs.filter(|pair| !follows(pair)).count() };
        report.expect(astray == 0, "C15", || {
            format!("{astray} blocks of the mask of {} do not stand right behind those of the image", mask.size())
        });
    }
}

fn check_frames<R: Read + Seek>(
    tiff: &mut Tiff<R>,
    ghost: Option<&Ghost>,
    images: &[Image],
    report: &mut Report,
) -> Result<(), CogError> {
    let says = |key: &str, value: &str| ghost.and_then(|g| g.get(key)) == Some(value);
    let leaders = says("BLOCK_LEADER", "SIZE_AS_UINT4");
    let trailers = says("BLOCK_TRAILER", "LAST_4_BYTES_REPEATED");
    report.expect(leaders, "C13", || "the ghost area promises no block leaders".into());
    report.expect(trailers, "C14", || "the ghost area promises no block trailers".into());

    let length = tiff.length();
    let (mut bad_leaders, mut bad_trailers) = (Tally::default(), Tally::default());
    for (offset, count) in images.iter().flat_map(Image::blocks) {
        let Some(end) = offset.checked_add(count).filter(|end| *end <= length && offset != 0) else { continue };
        if leaders {
            let right = offset >= 4 && tiff.bytes(offset - 4, 4)?.iter().eq((count as u32).to_le_bytes().iter());
            bad_leaders.add(right, offset);
        }
        if trailers && count >= 4 {
            let right = end + 4 <= length && {
                let bytes = tiff.bytes(end - 4, 8)?;
                bytes.get(..4) == bytes.get(4..)
            };
            bad_trailers.add(right, offset);
        }
    }
    bad_leaders.report("C13", "leader that is not its byte count", report);
    bad_trailers.report("C14", "trailer that does not repeat its last bytes", report);
    Ok(())
}

/// How many blocks break a rule, and the first of them: one finding for a broken file, not one for each block.
#[derive(Default)]
struct Tally {
    count: u64,
    first: Option<u64>,
}

impl Tally {
    fn add(&mut self, right: bool, offset: u64) {
        if !right {
            self.count += 1;
            self.first.get_or_insert(offset);
        }
    }

    fn report(&self, check: &'static str, what: &str, report: &mut Report) {
        if let Some(first) = self.first {
            report.error(check, format!("{} blocks have a {what}, first the one at offset {first}", self.count));
        }
    }
}

/// Items of GDAL_METADATA by band and name.
fn band_items(xml: &str, bands: usize) -> Result<Vec<BTreeMap<String, String>>, roxmltree::Error> {
    let mut items = vec![BTreeMap::new(); bands];
    if xml.is_empty() {
        return Ok(items);
    }
    let document = roxmltree::Document::parse(xml)?;
    for node in document.descendants().filter(|n| n.has_tag_name("Item") && n.attribute("domain").is_none()) {
        let band = node.attribute("sample").and_then(|s| s.parse().ok()).and_then(|b: usize| items.get_mut(b));
        if let (Some(band), Some(name)) = (band, node.attribute("name")) {
            band.insert(name.to_owned(), node.text().unwrap_or_default().to_owned());
        }
    }
    Ok(items)
}

fn check_names(items: &[BTreeMap<String, String>], main: &Image, report: &mut Report) {
    // RGB, palette and YCbCr say by themselves what the bands show.
    let colored = matches!(main.photometric, 2 | 3 | 6);
    for (band, items) in items.iter().enumerate() {
        for name in ["DESCRIPTION", "SCALE", "OFFSET", "COLORINTERP"] {
            let present = items.contains_key(name) || (name == "COLORINTERP" && colored);
            report.expect(present, "C19", || format!("band {} lacks {name}", band + 1));
        }
        if !items.contains_key("UNITTYPE") {
            report.warn("C19", format!("band {} lacks UNITTYPE", band + 1));
        }
    }
}

/// What a file says of a band: nothing usable, no valid pixel, or its statistics.
type Stated = Option<Option<BandStatistics>>;

fn stated_statistics(items: &[BTreeMap<String, String>], report: &mut Report) -> Vec<Stated> {
    let mut stated = Vec::new();
    for (band, items) in items.iter().enumerate() {
        let get =
            |name: &str| items.get(&format!("STATISTICS_{name}")).and_then(|text| text.trim().parse::<f64>().ok());
        let numbers = [get("MINIMUM"), get("MAXIMUM"), get("MEAN"), get("STDDEV"), get("VALID_PERCENT")];
        let approximate = items.get("STATISTICS_APPROXIMATE").is_some_and(|a| a == "YES");
        stated.push(match numbers {
            [Some(min), Some(max), Some(mean), Some(stddev), Some(valid_percent)] if !approximate => {
                Some(Some(BandStatistics { min, max, mean, stddev, valid_percent }))
            }
            [None, None, None, None, Some(0.0)] => Some(None),
            _ => {
                let what = if approximate { "only approximate" } else { "no complete" };
                report.error("C18", format!("band {} has {what} statistics", band + 1));
                None
            }
        });
    }
    stated
}

fn check_statistics(stated: &[Stated], counted: &[Option<BandStatistics>], integer: bool, report: &mut Report) {
    for (band, (stated, counted)) in stated.iter().zip(counted).enumerate() {
        let Some(stated) = stated else { continue };
        let agree = match (stated, counted) {
            (Some(stated), Some(counted)) => agree(stated, counted, integer),
            (None, None) => true,
            _ => false,
        };
        report.expect(agree, "C18", || {
            let say = |s: &Option<BandStatistics>| s.map_or("no valid pixel".to_owned(), |s| format!("{s:?}"));
            format!("band {} states {}, a recount gives {}", band + 1, say(stated), say(counted))
        });
    }
}

fn agree(stated: &BandStatistics, counted: &BandStatistics, integer: bool) -> bool {
    let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-9 * scale;
    let extreme = |a: f64, b: f64| if integer { a == b } else { near(a, b, b.abs()) };
    let scale = counted.mean.abs().max(counted.stddev);
    extreme(stated.min, counted.min)
        && extreme(stated.max, counted.max)
        && near(stated.mean, counted.mean, scale)
        && near(stated.stddev, counted.stddev, scale)
        // GDAL writes four digits of the share.
        && (stated.valid_percent - counted.valid_percent).abs() <= 5e-4 * counted.valid_percent
}
