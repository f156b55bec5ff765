//! Clients of object stores for deliveries, and for the files that a pipeline names.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use super::EngineError;
use crate::config::{Pipeline, place};
use crate::error::Result;
use crate::scene::{Finder, Object, Objects, Scratch, Stores};
use crate::store::{self, Environment, Source, Threads};

/// A finder of deliveries in folders, archives, object storage and on web servers, with credentials, endpoints and settings
/// from these variables. What it begins to read ends when `stop` is set.
pub fn finder(scratch: Scratch, environment: Environment, stop: Arc<AtomicBool>) -> Finder {
    Finder::with_stores(scratch, Arc::new(Clients { environment, stop, threads: Mutex::default() }))
}

/// Copies of files that a pipeline names by URLs. They are removed with it.
#[derive(Debug)]
pub struct Fetched {
    _finder: Finder,
}

/// Fetches the files that a pipeline names by URLs (heights, geoid, reference), and names the copies in their place.
///
/// # Errors
/// [`EngineError::Fetch`]: one is not there, or cannot be read.
pub fn fetch(pipeline: &mut Pipeline, mut finder: Finder) -> Result<Fetched> {
    for (key, file) in pipeline.files_mut() {
        // What is no URL that can be read was a mistake of the file already.
        let Some(Ok(url)) = place::url(file) else { continue };
        *file = finder.fetch(&url).map_err(|source| EngineError::Fetch { key, source: Box::new(source) })?;
    }
    Ok(Fetched { _finder: finder })
}

#[derive(Debug)]
struct Clients {
    environment: Environment,
    stop: Arc<AtomicBool>,
    /// Of all clients: a list may have a signed URL, and so a client, for each scene. None until the first is made.
    threads: Mutex<Option<Threads>>,
}

impl Stores for Clients {
    fn open(&self, url: &Url) -> Result<Arc<dyn Objects>> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = match &*threads {
            Some(threads) => threads.clone(),
            None => threads.insert(Threads::start()?).clone(),
        };
        Ok(Arc::new(Source::open(&threads, url, &self.environment, Arc::clone(&self.stop))?))
    }
}

impl Objects for Source {
    fn url(&self) -> String {
        Source::url(self)
    }

    fn list(&self, folder: &str, deep: bool, most: usize) -> Result<Option<Vec<Object>>> {
        Ok(Source::list(self, folder, deep, most)?.map(|objects| objects.into_iter().map(of_store).collect()))
    }

    fn find(&self, name: &str) -> Result<Option<Object>> {
        Ok(Source::find(self, name)?.map(of_store))
    }

    fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
        Ok(Source::get(self, name, most)?)
    }

    fn read(&self, object: &Object, range: Range<u64>) -> Result<Vec<u8>> {
        let Object { name, size, version } = object.clone();
        Ok(Source::read(self, &store::Object { name, size, version }, range)?)
    }
}

fn of_store(object: store::Object) -> Object {
    let store::Object { name, size, version } = object;
    Object { name, size, version }
}
