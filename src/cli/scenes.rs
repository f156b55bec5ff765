//! The scenes a command is given.

use std::path::PathBuf;
use std::sync::Arc;

use fieldglow::config::{self, Pipeline};
use fieldglow::error::Error;
use fieldglow::read;
use fieldglow::scene::open::{Delivery, group};
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

    /// The deliveries, one per scene.
    pub fn deliveries(&self) -> Result<Vec<Delivery>, Error> {
        group(&self.scenes)
    }
}
