//! SIGINT and SIGTERM.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fieldglow::engine::Stop;
use fieldglow::error::Error;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The signals that came.
pub struct Signals {
    last: Arc<AtomicUsize>,
}

/// Lets the first signal ask the run to end, and a second one end the process at once.
pub fn listen(stop: &Stop) -> Result<Signals, Error> {
    let last = Arc::new(AtomicUsize::new(0));
    let failed = |e: std::io::Error| Error::bug(format!("listening to signals: {e}"));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the flag that the first signal sets is what makes the second one end the process.
        flag::register_conditional_shutdown(signal, 128 + signal, stop.flag()).map_err(failed)?;
        flag::register_usize(signal, Arc::clone(&last), signal as usize).map_err(failed)?;
        flag::register(signal, stop.flag()).map_err(failed)?;
    }
    Ok(Signals { last })
}

impl Signals {
    /// 128 and the number of the signal, as shells count.
    pub fn exit_code(&self) -> u8 {
        match self.last.load(Ordering::Relaxed) as i32 {
            SIGTERM => 143,
            _ => 130,
        }
    }
}
