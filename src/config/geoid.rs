//! Geoid grids among PROJ's files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Datum;

/// PROJ's names of the grids of a datum: those of its GeoTIFFs (PROJ 7 and later), then those of older packages.
fn names(datum: Datum) -> &'static [&'static str] {
    match datum {
        Datum::Ellipsoid => &[],
        Datum::Egm96 => &["us_nga_egm96_15.tif", "egm96_15.gtx"],
        Datum::Egm2008 => &["us_nga_egm08_25.tif", "egm08_25.gtx"],
    }
}

/// The geoid a file is of, if its name says so.
pub(super) fn named(file: &Path) -> Option<Datum> {
    let name = file.file_name()?.to_string_lossy().to_lowercase();
    let is = |words: &[&str]| words.iter().any(|w| name.contains(w));
    match (is(&["egm96"]), is(&["egm08", "egm2008"])) {
        (true, false) => Some(Datum::Egm96),
        (false, true) => Some(Datum::Egm2008),
        _ => None,
    }
}

/// Folders that PROJ looks for its files in, in its order: the user's, those of its variables, those of installations.
/// `variable` is the environment.
///
/// # Reference
/// PROJ, "Resource files": <https://proj.org/resource_files.html>.
pub(super) fn folders(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name: &str| variable(name).filter(|v| !v.is_empty());
    let home = || set("HOME").map(|h| PathBuf::from(h).join(".local/share"));
    let data = set("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    let user = set("PROJ_USER_WRITABLE_DIRECTORY").map(PathBuf::from).or_else(|| data.map(|d| d.join("proj")));
    let mut all: Vec<PathBuf> = user.into_iter().collect();
    for name in ["PROJ_DATA", "PROJ_LIB"] {
        all.extend(set(name).iter().flat_map(std::env::split_paths));
    }
    all.extend(set("CONDA_PREFIX").map(|p| PathBuf::from(p).join("share/proj")));
    all.extend(["/usr/local/share/proj", "/usr/share/proj"].map(PathBuf::from));
    let mut unique = Vec::new();
    for folder in all {
        if !unique.contains(&folder) {
            unique.push(folder);
        }
    }
    unique
}

/// The first of a datum's grids that stands in one of the folders, or what was looked for, where, and what to do.
pub(super) fn find(datum: Datum, folders: &[PathBuf]) -> Result<PathBuf, String> {
    let names = names(datum);
    let found = folders.iter().flat_map(|f| names.iter().map(move |n| f.join(n))).find(|p| p.is_file());
    found.ok_or_else(|| {
        let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
        let wanted = list(&mut names.iter().map(|n| format!("`{n}`")));
        let places = list(&mut folders.iter().map(|f| format!("`{}`", f.display())));
        let first = names.first().copied().unwrap_or_default();
        // Debian's package holds the older grid alone.
        let package = if datum == Datum::Egm96 { "install Debian's `proj-data`, " } else { "" };
        format!(
            "missing; heights above {datum} need the undulations of the geoid, and none of {wanted} is in {places}; {package}run `projsync --file {first}`, or name a grid with `geoid = \"FILE\"`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_folder_comes_first_and_none_is_named_twice() {
        let set = |name: &str| match name {
            "XDG_DATA_HOME" => Some("/home/a/data".into()),
            "HOME" => Some("/home/a".into()),
            "PROJ_DATA" => Some("/opt/proj:/usr/share/proj".into()),
            "PROJ_LIB" => Some("/opt/proj".into()),
            _ => None,
        };
        let paths = ["/home/a/data/proj", "/opt/proj", "/usr/share/proj", "/usr/local/share/proj"];
        assert_eq!(folders(set), paths.map(PathBuf::from));
        let home = folders(|name| (name == "HOME").then(|| "/home/a".into()));
        assert_eq!(home[0], Path::new("/home/a/.local/share/proj"));
    }

    #[test]
    fn the_first_grid_in_the_first_folder_is_taken_and_a_missing_one_is_explained() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [a.path().to_owned(), b.path().to_owned()];
        let problem = find(Datum::Egm2008, &folders).unwrap_err();
        for part in ["`us_nga_egm08_25.tif`, `egm08_25.gtx`", "projsync --file us_nga_egm08_25.tif", "geoid ="] {
            assert!(problem.contains(part), "{problem}");
        }
        assert!(!problem.contains("proj-data") && find(Datum::Egm96, &folders).unwrap_err().contains("proj-data"));
        assert!(folders.iter().all(|f| problem.contains(&f.display().to_string())), "{problem}");
        std::fs::write(b.path().join("us_nga_egm08_25.tif"), "").unwrap();
        assert_eq!(find(Datum::Egm2008, &folders), Ok(b.path().join("us_nga_egm08_25.tif")));
        std::fs::write(a.path().join("egm08_25.gtx"), "").unwrap();
        assert_eq!(find(Datum::Egm2008, &folders), Ok(a.path().join("egm08_25.gtx")));
        assert!(find(Datum::Egm96, &folders).is_err());
    }

    #[test]
    fn a_name_tells_the_geoid_only_where_it_is_plain() {
        let of = |name: &str| named(Path::new(name));
        assert_eq!(of("a/us_nga_egm96_15.tif"), Some(Datum::Egm96));
        assert_eq!(of("EGM08_25.gtx"), Some(Datum::Egm2008));
        assert_eq!(of("egm2008-1.tif"), Some(Datum::Egm2008));
        assert_eq!(of("egm96/undulation.tif"), None);
        assert_eq!(of("egm96_minus_egm2008.tif"), None);
    }
}
