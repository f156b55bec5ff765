//! The scenes a command is given.

use std::path::PathBuf;
use std::sync::Arc;

use fieldglow::config::{self, Pipeline};
use fieldglow::engine::Given;
use fieldglow::error::Error;
use fieldglow::read;
use fieldglow::scene::open::group;
use fieldglow::units::Bytes;

/// A pipeline and scenes, as several commands take them.
#[derive(Debug, clap::Args)]
pub struct Input {
    /// Pipeline file.
    pub pipeline: PathBuf,
    /// Deliveries: folders, images, `_meta.xml` or `scene.toml` files; PAN and MSS of one acquisition are paired.
    #[arg(required = true)]
    pub scenes: Vec<PathBuf>,
    /// Folder the products go to; overrides `[output] url`.
    #[arg(long, value_name = "URL")]
    pub output: Option<String>,
    /// Override a key of the pipeline file, such as `geometry.resolution=6` or `product.ndvi.type=float32`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Make these cells only; names as `plan` lists them, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub cells: Vec<String>,
    /// Memory for pixels, tiles and caches together.
    #[arg(long, default_value = "2GiB", value_name = "BYTES")]
    pub memory: Bytes,
}

impl Input {
    /// The checked pipeline.
    pub fn pipeline(&self) -> Result<Arc<Pipeline>, Error> {
        read::prepare_gdal(fieldglow::engine::cache_bytes(self.memory.0));
        let mut pipeline = config::load(&self.pipeline, &self.sets)?;
        if let Some(url) = &self.output {
            pipeline.output.url = Some(url.clone());
        }
        Ok(Arc::new(pipeline))
    }

    /// The deliveries, one per scene, and the places that hold none. Parts of one scene are paired whichever of the places
    /// they came from.
    pub fn given(&self) -> Vec<Given> {
        let (mut readable, mut given) = (Vec::new(), Vec::new());
        for path in &self.scenes {
            match group(std::slice::from_ref(path)) {
                Ok(_) => readable.push(path.clone()),
                Err(error) => given.push(Given::Unreadable { path: path.display().to_string(), error }),
            }
        }
        match group(&readable) {
            Ok(deliveries) => deliveries.into_iter().map(Given::Delivery).chain(given).collect(),
            Err(error) => {
                given.push(Given::Unreadable { path: "the scenes together".into(), error });
                given
            }
        }
    }
}
