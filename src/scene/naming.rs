//! Names of deliveries, whoever's they are: what pairing and listing need to know of them.
//!
//! Each vendor's names are taken apart in a file of their own; here they are only told apart.

use std::path::{Path, PathBuf};

use super::files::{self, Folder};
use super::gaofen::name as gaofen;
use super::jilin1::name as jilin1;
use super::jilin1::name::PartToken;

/// A name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Naming {
    /// Jilin-1.
    Jilin1(jilin1::Name),
    /// Gaofen.
    Gaofen(gaofen::Name),
}

impl Naming {
    /// That of a TIFF, by its file name.
    pub fn of_image(file: &str) -> Option<Self> {
        let stem = files::tiff_stem(file)?;
        jilin1::parse(stem).map(Self::Jilin1).or_else(|| gaofen::parse(stem).map(Self::Gaofen))
    }

    /// That of a metadata file, by its file name.
    pub fn of_metadata(file: &str) -> Option<Self> {
        let jilin1 = files::strip_suffix(file, "_meta.xml").and_then(jilin1::parse).map(Self::Jilin1);
        jilin1.or_else(|| files::strip_suffix(file, ".xml").and_then(gaofen::parse).map(Self::Gaofen))
    }

    /// Id of the scene the file belongs to.
    pub fn scene_id(&self) -> String {
        match self {
            Self::Jilin1(name) => name.scene_id(),
            Self::Gaofen(name) => name.scene_id(),
        }
    }

    /// What the names of all files of the scene begin with.
    pub fn stem(&self) -> &str {
        match self {
            Self::Jilin1(name) => &name.stem,
            Self::Gaofen(name) => &name.stem,
        }
    }

    /// True for the metadata of a whole product of which each tile is a scene: then the id is that of none of them.
    pub fn is_of_tiles(&self, id: &str) -> bool {
        matches!(self, Self::Gaofen(name) if name.part.is_none() && gaofen::is_tile_of(id, &name.stem))
    }

    /// True if both belong to one scene.
    pub fn same_scene(&self, other: &Self) -> bool {
        self.scene_id().eq_ignore_ascii_case(&other.scene_id())
    }

    /// What images of one scene are sorted by: panchromatic first, bands by their number.
    pub fn order(&self) -> u16 {
        match self {
            Self::Jilin1(name) => match name.part {
                None => 0,
                Some(PartToken::Pan) => 1,
                Some(PartToken::Mss) => 2,
                Some(PartToken::Psh) => 3,
                Some(PartToken::Band(number)) => 4 + u16::from(number),
            },
            Self::Gaofen(name) => match name.part {
                None => 0,
                Some(gaofen::PartToken::Pan) => 1,
                Some(gaofen::PartToken::Mss) => 2,
                Some(gaofen::PartToken::Tile(number)) => 4 + u16::from(number),
            },
        }
    }
}

/// An image of a delivery with its name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub image: PathBuf,
    pub name: Naming,
    /// Files that count as if they lay in its folder.
    pub beside: Vec<PathBuf>,
}

impl Found {
    /// `image` as part of a delivery, if its name is one of a vendor's.
    pub fn of(image: &Path) -> Option<Self> {
        let name = Naming::of_image(&files::file_name(image))?;
        Some(Self { image: image.into(), name, beside: Vec::new() })
    }

    /// The images of a folder that carry names of a vendor's.
    pub fn in_folder(folder: &Folder) -> Vec<Self> {
        folder.files.iter().filter_map(|path| Self::of(path)).collect()
    }
}
