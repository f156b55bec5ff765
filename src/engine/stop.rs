//! Asking a run to end early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request that others can make while a run works: units that are being computed are finished, nothing more is admitted,
/// what is unfinished in the store is taken back, and cells that stand stay.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the end. May be called from any thread and in a signal handler.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True once it was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for those that can only set a flag.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}
