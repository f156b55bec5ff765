//! Scenes that are laid upon another one: of the same run, or made before into the same output.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{EngineError, Given};
use crate::config::Pipeline;
use crate::error::Result;
use crate::store::Store;

/// The scene that all others are laid upon.
pub struct Upon<'a> {
    store: &'a dyn Store,
    pipeline: &'a Arc<Pipeline>,
    id: &'a str,
    item: Option<PathBuf>,
}

impl<'a> Upon<'a> {
    /// The one that a pipeline names, if it does.
    ///
    /// # Errors
    /// [`EngineError::UponRemote`]: its products would have to be read from object storage.
    pub fn of(pipeline: &'a Arc<Pipeline>, store: &'a dyn Store) -> Result<Option<Self>> {
        let Some(id) = pipeline.coregistration.as_ref().and_then(|c| c.reference_scene.as_deref()) else {
            return Ok(None);
        };
        if store.is_remote() {
            return Err(EngineError::UponRemote { url: store.url() }.into());
        }
        Ok(Some(Self { store, pipeline, id, item: None }))
    }

    /// Puts it before all others.
    pub fn first(&self, scenes: &mut [Given]) {
        scenes.sort_by_key(|given| given.id() != self.id);
    }

    /// The pipeline for a scene: without a reference for the one, with the Item of that one for all others.
    ///
    /// # Errors
    /// [`EngineError::UponMissing`]: the one does not stand in the output.
    pub fn pipeline(&mut self, id: &str) -> Result<Arc<Pipeline>> {
        let reference = if id == self.id { None } else { Some(self.item()?.to_owned()) };
        let mut own = (**self.pipeline).clone();
        if let Some(section) = &mut own.coregistration {
            section.reference_scene = None;
            section.asset = section.asset.take().filter(|_| reference.is_some());
            section.reference = reference;
        }
        Ok(Arc::new(own))
    }

    fn item(&mut self) -> Result<&Path> {
        let item = match self.item.take() {
            Some(item) => item,
            None => self.find()?,
        };
        Ok(self.item.insert(item))
    }

    fn find(&self) -> Result<PathBuf> {
        let folder = format!("{}/scenes", self.pipeline.name);
        // `TIME_ID/item.json`, and the time has no underscore.
        let is_its = |name: &&String| {
            let acquisition = name.rsplit('/').nth(1).and_then(|acquisition| acquisition.split_once('_'));
            acquisition.is_some_and(|(_, id)| id == self.id)
        };
        let items = self.store.list(&folder, "/item.json")?;
        let found: Vec<&String> = items.iter().filter(is_its).collect();
        match *found {
            [one] => Ok(Path::new(&self.store.url()).join(one)),
            _ => Err(EngineError::UponMissing {
                id: self.id.to_owned(),
                folder: format!("{}/{folder}", self.store.url()),
                found: found.len(),
            }
            .into()),
        }
    }
}
