//! `fieldglow describe`

use std::path::PathBuf;

use super::{Outcome, print};

/// Arguments of `describe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A Landsat 8 or 9 `…_MTL.txt`, a Sentinel-2 `MTD_MSIL1C.xml`, a Pléiades or SPOT `DIM_….XML`, or the folder with one of them.
    pub path: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    print(&fieldglow::describe::scene_toml(&args.path)?)
}
