//! A fresh folder for each test, and the program run in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use fieldglow::config;
use fieldglow::engine::{self, Given, Options, Progress, RunReport, Stop};
use fieldglow::scene::Finder;
use fieldglow::store::Store;
use serde_json::Value;
use tempfile::TempDir;

/// A folder of one test's own, removed with it.
pub struct Desk {
    dir: TempDir,
}

/// What a command said and how it ended.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs the program in this folder.
    pub fn fieldglow<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_fieldglow"))
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("NO_COLOR")
            .output()
            .unwrap();
        Said {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// `fieldglow run` of a pipeline over scenes, into `out`, with further arguments.
    pub fn run(&self, pipeline: &str, scenes: &[&Path], more: &[&str]) -> Said {
        self.run_to("out", pipeline, scenes, more)
    }

    /// The same into another folder.
    pub fn run_to(&self, out: &str, pipeline: &str, scenes: &[&Path], more: &[&str]) -> Said {
        let file = self.write("pipeline.toml", pipeline);
        let mut args: Vec<&OsStr> = vec!["run".as_ref(), file.as_os_str()];
        args.extend(scenes.iter().map(|s| s.as_os_str()));
        args.extend(["--output", out].map(OsStr::new));
        args.extend(more.iter().map(OsStr::new));
        self.fieldglow(args)
    }

    /// What `fieldglow plan --json` says of one scene.
    pub fn plan(&self, pipeline: &str, scene: &Path, more: &[&str]) -> Value {
        let file = self.write("pipeline.toml", pipeline);
        let mut args: Vec<&OsStr> = vec!["plan".as_ref(), file.as_os_str(), scene.as_os_str(), "--json".as_ref()];
        args.extend(more.iter().map(OsStr::new));
        self.fieldglow(args).ends_with(0).json()[0].take()
    }

    /// The one object below `out` whose name ends so.
    pub fn object(&self, ending: &str) -> PathBuf {
        let found: Vec<_> = tree(&self.path("out")).into_keys().filter(|n| n.ends_with(ending)).collect();
        assert_eq!(found.len(), 1, "{ending}: {found:?}");
        self.path("out").join(&found[0])
    }

    /// The document below `out` whose name ends so.
    pub fn document(&self, ending: &str) -> Value {
        serde_json::from_slice(&fs::read(self.object(ending)).unwrap()).unwrap()
    }
}

impl Said {
    /// Fails unless the command ended with this code.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless standard error holds each of these.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in:\n{}", self.stderr);
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}:\n{}\n{}", self.stdout, self.stderr))
    }
}

/// Two threads, all of every scene.
pub fn options() -> Options {
    Options {
        threads: 2,
        memory: 2 << 30,
        force: false,
        fail_fast: false,
        cells: Vec::new(),
        area: None,
        shard: None,
        shuffle: None,
        stop: Stop::default(),
    }
}

/// Runs a pipeline over a scene in this process.
pub fn run_in_process(
    (pipeline, scene): (&Path, &Path),
    store: &dyn Store,
    options: Options,
    progress: &dyn Progress,
) -> RunReport {
    let pipeline = Arc::new(config::load(pipeline, &[]).unwrap());
    let mut finder = Finder::default();
    finder.add(scene).unwrap();
    let scenes = finder.finish().into_iter().map(Given::Delivery).collect();
    engine::run(&pipeline, scenes, store, &options, progress).unwrap()
}

/// All files below a folder: name with `/`, and content. A folder that is not there has none.
pub fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    files(root).into_iter().map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// All files below a folder and when they were last written.
pub fn times(root: &Path) -> BTreeMap<String, SystemTime> {
    files(root).into_iter().map(|(name, path)| (name, path.metadata().unwrap().modified().unwrap())).collect()
}

/// Names and places of all files below a folder.
pub fn files(root: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), path);
            }
        }
    }
    found
}

/// Fails with the names that differ, not with the bytes.
#[track_caller]
pub fn assert_same_objects(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    let names = |t: &BTreeMap<String, Vec<u8>>| t.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(a), names(b));
    let differ: Vec<_> = a.iter().filter(|(name, bytes)| b[*name] != **bytes).map(|(name, _)| name).collect();
    assert!(differ.is_empty(), "{differ:?}");
}

/// Copies a folder and everything in it.
pub fn copy(from: &Path, to: &Path) {
    for (name, path) in files(from) {
        let target = to.join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}
