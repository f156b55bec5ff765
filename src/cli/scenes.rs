//! The scenes a command is given.

use std::collections::HashSet;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fieldglow::config::{self, Pipeline};
use fieldglow::engine::{self, Area, Fetched, Given, Shard, Stop};
use fieldglow::error::Error;
use fieldglow::read::{self, Shapes};
use fieldglow::scene::{Finder, Scratch};
use fieldglow::store::{self, Environment};
use fieldglow::units::Bytes;
use url::Url;

use super::{Failure, Outcome};

/// Scenes, as every command takes them.
#[derive(Debug, clap::Args)]
pub struct Scenes {
    /// Deliveries: folders, archives (`.zip`, `.tar`, `.tar.gz`), images, `_meta.xml`, `scene.toml` or STAC Item files, and
    /// patterns of such names in quotes; also in object storage and on web servers, by their URLs (`s3://`, `gs://`, `az://`,
    /// `https://`). `@FILE` reads a list of them, one a line, and `-` reads it from standard input. PAN and MSS of one
    /// acquisition are paired whichever of them came from where.
    #[arg(required = true, value_name = "SCENE")]
    pub scenes: Vec<String>,
    /// Unpack archives, and keep what is fetched from URLs, in this folder: scenes one at a time, and what the pipeline file names. Default: the system's folder for temporary files.
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

/// A pipeline and scenes, as several commands take them.
#[derive(Debug, clap::Args)]
pub struct Input {
    /// Pipeline file.
    pub pipeline: PathBuf,
    #[command(flatten)]
    pub scenes: Scenes,
    /// Folder or URL the products go to; overrides `[output] url`.
    #[arg(long, value_name = "URL")]
    pub output: Option<String>,
    /// Override a key of the pipeline file, such as `geometry.resolution=6` or `product.ndvi.type=float32`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Make these cells only; names as `plan` lists them, separated by commas. The scene's own documents are left to
    /// `collect`.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub cells: Vec<String>,
    /// Make only cells that touch the shapes of this vector file (GeoJSON, GeoPackage, Shapefile, FlatGeobuf, KML, GML); they are not cut at its edges.
    #[arg(long, value_name = "FILE")]
    pub aoi: Option<PathBuf>,
    /// Take only the scenes that fall to run K of N runs over one list: each takes about one in N, chosen by the scenes' ids.
    /// The Collection is left to `collect`.
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    /// Memory for pixels, tiles and caches together, such as `512MiB`.
    #[arg(long, default_value = "2GiB", value_name = "BYTES")]
    pub memory: Bytes,
    /// Workers. Default: one per core.
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
}

impl Input {
    /// Number of workers.
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }

    /// The checked pipeline.
    pub fn pipeline(&self) -> Result<Pipeline, Error> {
        read::prepare_gdal(fieldglow::engine::cache_bytes(self.memory.0));
        let mut pipeline = config::load(&self.pipeline, &self.sets)?;
        if let Some(url) = &self.output {
            pipeline.output.url = Some(url.clone());
        }
        Ok(pipeline)
    }

    /// The pipeline with copies of the files that it names by URLs. Ends when `stop` is asked to.
    pub fn fetched(&self, pipeline: Pipeline, stop: &Stop) -> Result<(Arc<Pipeline>, Fetched), Error> {
        let mut pipeline = pipeline;
        let fetched = engine::fetch(&mut pipeline, self.scenes.finder(stop))?;
        Ok((Arc::new(pipeline), fetched))
    }

    /// The area of interest.
    pub fn area(&self) -> Result<Option<Arc<Area>>, Failure> {
        let Some(path) = &self.aoi else { return Ok(None) };
        match Shapes::open(path) {
            Ok(shapes) => Ok(Some(Arc::new(Area::new(shapes)))),
            Err(e) => {
                eprintln!("error: --aoi: {}", fieldglow::error::chain(&e));
                Err(Failure::Code(1))
            }
        }
    }
}

impl Scenes {
    fn finder(&self, stop: &Stop) -> Finder {
        let scratch = Scratch::new(self.scratch.clone(), stop.flag());
        engine::finder(scratch, Environment::of_process(), stop.flag())
    }

    /// The deliveries, one per scene, and the places that hold none. Parts of one scene are paired whichever of the places
    /// they came from. Ends when `stop` is asked to.
    pub fn given(&self, stop: &Stop) -> Result<Vec<Given>, Failure> {
        let mut places = Vec::new();
        for scene in &self.scenes {
            add(scene, &mut places)?;
        }
        let mut finder = self.finder(stop);
        let (mut unreadable, mut seen) = (Vec::new(), HashSet::new());
        for place in places.into_iter().filter(|place| seen.insert(place.clone())) {
            let added = match &place {
                Place::Path(path) => finder.add(path),
                Place::Url(url) => finder.add_url(url),
            };
            if let Err(error) = added {
                unreadable.push(Given::Unreadable { path: place.to_string(), error });
            }
        }
        Ok(finder.finish().into_iter().map(Given::Delivery).chain(unreadable).collect())
    }
}

/// Where a delivery is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Path(PathBuf),
    Url(Url),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(&store::shown(url.as_str())),
        }
    }
}

/// Longest list that is read, bytes: a million long names.
const MAX_LIST: u64 = 256 << 20;

/// Adds what a word of the command line names.
fn add(word: &str, places: &mut Vec<Place>) -> Result<(), Failure> {
    let wrong = |what: String| {
        eprintln!("error: {what}");
        Failure::Code(1)
    };
    if word == "-" {
        return list("standard input", std::io::stdin().lock(), places);
    }
    if let Some(file) = word.strip_prefix('@') {
        let open = std::fs::File::open(file).map_err(|e| wrong(format!("opening the list `{file}`: {e}")))?;
        return list(file, open, places);
    }
    one(word, places).map_err(wrong)
}

fn list(name: &str, from: impl Read, places: &mut Vec<Place>) -> Outcome {
    let wrong = |line: usize, what: String| {
        eprintln!("error: list `{name}`, line {line}: {what}");
        Failure::Code(1)
    };
    let mut left = MAX_LIST;
    for (k, line) in BufReader::new(from.take(MAX_LIST + 1)).lines().enumerate() {
        let line = line.map_err(|e| wrong(k + 1, e.to_string()))?;
        left = left
            .checked_sub(line.len() as u64 + 1)
            .ok_or_else(|| wrong(k + 1, format!("the list is longer than the limit of {}", Bytes(MAX_LIST))))?;
        // Editors of some systems put a mark before the first line.
        let line = if k == 0 { line.trim_start_matches('\u{feff}') } else { &line };
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            one(line, places).map_err(|what| wrong(k + 1, what))?;
        }
    }
    Ok(())
}

/// Adds a path, a URL, or the files of a pattern in the order of their names.
fn one(word: &str, places: &mut Vec<Place>) -> Result<(), String> {
    if let Some((scheme, _)) = word.split_once("://") {
        let shown = store::shown(word);
        let url = Url::parse(word).map_err(|e| format!("`{shown}`: {e}"))?;
        let path = url.to_file_path().ok().filter(|_| url.scheme() == "file");
        places.push(match path {
            Some(path) => Place::Path(path),
            None if store::SCHEMES.contains(&url.scheme()) && url.has_host() => Place::Url(url),
            None => {
                return Err(format!(
                    "`{shown}`: scenes are read from local paths, `file:///`, `http(s)://`, and `s3://`, `gs://`, `az://` with \
                     a bucket, not from `{scheme}://`; copy it first"
                ));
            }
        });
        return Ok(());
    }
    // A file that has such a name is that file.
    if !word.contains(['*', '?', '[']) || Path::new(word).exists() {
        places.push(Place::Path(word.into()));
        return Ok(());
    }
    let before = places.len();
    for path in glob::glob(word).map_err(|e| format!("pattern `{word}`: {e}"))? {
        places.push(Place::Path(path.map_err(|e| format!("pattern `{word}`: {e}"))?));
    }
    if places.len() == before {
        return Err(format!("nothing has a name like `{word}`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Patterns are left out: what they find is up to the folder.
        #[test]
        fn a_list_of_any_bytes_gives_a_path_for_each_line_or_an_error(
            bytes in prop::collection::vec(any::<u8>().prop_filter("no pattern", |b| !b"*?[".contains(b)), 0..300)
        ) {
            let mut places = Vec::new();
            if list("a", bytes.as_slice(), &mut places).is_ok() {
                let text = String::from_utf8(bytes).unwrap();
                prop_assert!(places.len() <= text.lines().count() && places.iter().all(|p| !p.to_string().is_empty()));
            }
        }

        #[test]
        fn no_text_after_a_scheme_breaks_it(scheme in "(file|FILE|s3|https|)", rest in "\\PC{0,40}") {
            let _ = one(&format!("{scheme}://{rest}"), &mut Vec::new());
        }
    }
}
