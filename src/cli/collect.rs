//! `fieldglow collect`

use fieldglow::{engine, store};

use super::Outcome;

/// Arguments of `collect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of a pipeline's products: the output of a run, and in it the pipeline's name.
    url: String,
}

pub fn run(args: &Args) -> Outcome {
    let url = args.url.trim_end_matches('/');
    // `.` and `..` name a folder only where they are resolved.
    let absolute = if url.contains("://") { url.to_owned() } else { absolute(url)? };
    let url = absolute.as_str();
    let (root, pipeline) = url.rsplit_once('/').unwrap_or((".", url));
    let store = store::open(if root.is_empty() { "/" } else { root })?;
    let (name, items) = engine::collect(&*store, pipeline)?;
    eprintln!("{}/{name}: {items} items", store.url());
    Ok(())
}

fn absolute(path: &str) -> Result<String, store::StoreError> {
    let failed = |source| store::StoreError::Io { action: "looking for", path: path.into(), source };
    Ok(std::fs::canonicalize(path).map_err(failed)?.to_string_lossy().into_owned())
}
