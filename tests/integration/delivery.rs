//! Inputs: simulated deliveries, made once per process, tiny images with a sidecar, and pipelines over them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

use gdal::raster::GdalType;

use crate::harness::{Desk, copy};
use crate::image;

/// A simulated delivery; all but [`Delivery::Far`] lie within the DEM of [`Delivery::L1`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// 160 × 131 multispectral and 640 × 524 panchromatic pixels over relief, on two cells of 24 m pixels.
    L1,
    /// The same on a map.
    L3,
    /// A few multispectral pixels.
    Small,
    /// Some others.
    Other,
    /// Some 50 km to the east.
    Far,
}

impl Delivery {
    fn options(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::L1 => ("l1", &["--size", "160x131"]),
            Self::L3 => ("l3", &["--size", "160x131", "--level", "l3"]),
            Self::Small => ("small", &["--size", "24x20", "--no-pan", "--seed", "4"]),
            Self::Other => ("other", &["--size", "24x20", "--no-pan", "--seed", "2"]),
            Self::Far => ("far", &["--size", "24x20", "--no-pan", "--seed", "3", "--center", "126", "43.88"]),
        }
    }

    /// Its folder. Not to be written to.
    pub fn folder(self) -> PathBuf {
        static MADE: LazyLock<Mutex<BTreeMap<Delivery, PathBuf>>> = LazyLock::new(Mutex::default);
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let simulate = || {
            let (name, options) = self.options();
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            // What an earlier build wrote may no longer be what this one writes.
            let _ = fs::remove_dir_all(&folder);
            let mut command = Command::new(env!("CARGO_BIN_EXE_fieldglow"));
            let output = command.arg("simulate").arg(&folder).args(["--gsd", "24"]).args(options).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            folder
        };
        made.entry(self).or_insert_with(simulate).clone()
    }

    /// A copy on a desk, to be changed.
    pub fn copy_to(self, desk: &Desk, name: &str) -> Changeable {
        let folder = desk.path(name);
        copy(&self.folder(), &folder);
        Changeable { folder }
    }

    /// Its one file that ends so.
    pub fn file(self, ending: &str) -> PathBuf {
        one_file(&self.folder(), ending)
    }

    /// Id of its scene.
    pub fn id(self) -> String {
        let image = self.file("_MSS.tif");
        let stem = image.file_stem().unwrap().to_str().unwrap();
        stem.strip_suffix("_MSS").unwrap().to_owned()
    }

    /// Numbers of a field of its metadata, `part` being `PAN` or `MSS`.
    pub fn numbers(self, part: &str, field: &str) -> Vec<f64> {
        let text = fs::read_to_string(self.file(&format!("_{part}_meta.xml"))).unwrap();
        let (_, rest) = text.split_once(&format!("<{field}>")).unwrap();
        let (list, _) = rest.split_once('<').unwrap();
        list.split(',').map(|n| n.parse().unwrap()).collect()
    }
}

/// A delivery that a test may damage.
pub struct Changeable {
    pub folder: PathBuf,
}

impl Changeable {
    pub fn file(&self, ending: &str) -> PathBuf {
        one_file(&self.folder, ending)
    }

    /// Replaces text in the metadata, which must be there.
    #[track_caller]
    pub fn edit(&self, part: &str, from: &str, to: &str) {
        let path = self.file(&format!("_{part}_meta.xml"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "`{from}` is not in:\n{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Sets the text of a field of the metadata.
    pub fn set(&self, part: &str, field: &str, value: &str) {
        let path = self.file(&format!("_{part}_meta.xml"));
        let text = fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(&format!("<{field}>")).unwrap();
        let (_, after) = rest.split_once(&format!("</{field}>")).unwrap();
        fs::write(path, format!("{before}<{field}>{value}</{field}>{after}")).unwrap();
    }

    pub fn remove(&self, ending: &str) {
        fs::remove_file(self.file(ending)).unwrap();
    }
}

fn one_file(folder: &Path, ending: &str) -> PathBuf {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert_eq!(found.len(), 1, "{ending}: {found:?}");
    found.remove(0)
}

/// What `run` makes of [`Delivery::L1`] with [`farm`], made once per process. Not to be written to.
pub fn finished() -> &'static Path {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let desk = Desk::new();
        desk.run(&farm(), &[&Delivery::L1.folder()], &[]).ends_with(0);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("finished");
        let _ = fs::remove_dir_all(&folder);
        copy(&desk.path("out"), &folder);
        folder
    });
    &MADE
}

/// Reflectance, index and states of the multispectral bands.
pub const MULTISPECTRAL: &str = r#"
[[product]]
name = "reflectance"
kind = "bands"
bands = ["B", "G", "R", "N"]
[[product]]
name = "ndvi"
kind = "index"
index = "NDVI"
[[product]]
name = "qa"
kind = "qa"
bands = ["B", "G", "R", "N"]
"#;

/// The panchromatic band on pixels of a quarter of the size.
pub const PANCHROMATIC: &str = r#"
[[product]]
name = "pan"
kind = "bands"
bands = ["PAN"]
resolution = 6.0
[[product]]
name = "pan-qa"
kind = "qa"
bands = ["PAN"]
resolution = 6.0
"#;

/// Mode `ortho` at 24 m over the simulated DEM.
pub fn ortho(products: &str) -> String {
    let dem = Delivery::L1.folder().join("dem.tif");
    let geometry =
        format!("mode = \"ortho\"\nresolution = 24.0\nheight = {{ dem = '{}', datum = \"ellipsoid\" }}", dem.display());
    pipeline("toa", &geometry, products)
}

/// Everything the L1 delivery has, in mode `ortho`.
pub fn farm() -> String {
    ortho(&format!("{MULTISPECTRAL}{PANCHROMATIC}"))
}

/// Mode `native`.
pub fn native(level: &str, products: &str) -> String {
    pipeline(level, "mode = \"native\"", products)
}

/// A pipeline named `farm`.
pub fn pipeline(level: &str, geometry: &str, products: &str) -> String {
    format!("schema = 1\nname = \"farm\"\n[radiometry]\nlevel = \"{level}\"\n[geometry]\n{geometry}\n{products}")
}

/// A product section.
pub fn product(name: &str, rest: &str) -> String {
    format!("[[product]]\nname = \"{name}\"\n{rest}\n")
}

/// Folder of a scene named `tiny`: one part with one image, described by a sidecar.
pub struct Tiny {
    pub folder: PathBuf,
}

impl Tiny {
    /// An image with these bands on a desk. `part` holds further lines of the sidecar's part, `bands` the lines of each
    /// band; the image lies on UTM 51N with 10 m pixels.
    pub fn new<T: GdalType + Copy>(
        desk: &Desk,
        (rows, cols): (usize, usize),
        planes: &[Vec<T>],
        part: &str,
        bands: &[&str],
    ) -> Self {
        let folder = desk.path("tiny");
        fs::create_dir_all(&folder).unwrap();
        image::write(&folder.join("a.tif"), (rows, cols), planes, Some((32651, UTM_10M)));
        let mut text = format!("{SIDECAR}[[part]]\nname = \"MSS\"\nimage = \"a.tif\"\n{part}\n");
        for (k, band) in bands.iter().enumerate() {
            text += &format!("[[part.band]]\nindex = {}\n{band}\n", k + 1);
        }
        fs::write(folder.join("scene.toml"), text).unwrap();
        Self { folder }
    }
}

/// Head of a sidecar.
pub const SIDECAR: &str = "schema = 1\nid = \"tiny\"\ntime = 2026-07-15T02:30:00Z\n";

/// A corner on the grid of 10 m pixels, near the simulated scenes.
pub const UTM_10M: [f64; 6] = [690_000.0, 10.0, 0.0, 4_860_000.0, 0.0, -10.0];

/// A band whose DN is 10,000 times its reflectance: DN and stored value are the same.
pub const UNIT_R: &str = "role = \"R\"\nreflectance = { gain = 1e-4, bias = 0.0, sun_corrected = true }";
/// The same for the near infrared.
pub const UNIT_N: &str = "role = \"N\"\nreflectance = { gain = 1e-4, bias = 0.0, sun_corrected = true }";
