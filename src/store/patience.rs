//! Trying again.
//!
//! Every request of this program may be repeated: objects are replaced whole, parts by number. What is repeated is the
//! whole operation, so that each try is signed anew.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::client::Traffic;
use super::fault::Fault;
use super::settings::Settings;

/// How a store is asked again.
#[derive(Debug)]
pub struct Patience {
    settings: Settings,
    traffic: Arc<Traffic>,
    /// The patience with the store ended, and nothing has succeeded since: everything gets one try. Otherwise a store that
    /// is gone would take the whole patience for every object of every scene.
    given_up: AtomicBool,
    /// Tries after the first.
    repeated: AtomicU64,
}

impl Patience {
    /// With these settings.
    pub fn new(settings: Settings, traffic: Arc<Traffic>) -> Self {
        Self { settings, traffic, given_up: AtomicBool::new(false), repeated: AtomicU64::new(0) }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Requests sent, and how many of the tries were repetitions.
    pub fn account(&self) -> (u64, u64) {
        (self.traffic.requests.load(Ordering::Relaxed), self.repeated.load(Ordering::Relaxed))
    }

    /// The result of the first try that succeeds, or fails in a way that lasts; the last fault when the patience ends.
    ///
    /// `what` is for the log.
    ///
    /// # Errors
    /// The fault.
    pub async fn until<T>(
        &self,
        what: &str,
        mut attempt: impl AsyncFnMut() -> object_store::Result<T>,
    ) -> Result<T, Fault> {
        let mut failures = self.failures(what);
        loop {
            match attempt().await {
                Ok(value) => return Ok(self.succeeded(value)),
                Err(error) => failures.another(&error).await?,
            }
        }
    }

    /// The account of one operation, for those who make the tries themselves.
    pub fn failures<'a>(&'a self, what: &'a str) -> Failures<'a> {
        Failures { patience: self, what, tries: 0, since: None }
    }

    /// Passes on the result of a try that succeeded.
    pub fn succeeded<T>(&self, value: T) -> T {
        self.given_up.store(false, Ordering::Relaxed);
        value
    }

    fn patience(&self) -> Duration {
        let answered = self.traffic.answered.load(Ordering::Relaxed);
        if answered { self.settings.patience } else { self.settings.patience_unanswered }
    }

    /// Doubled every time, less up to a half by chance, so that many processes do not come back together.
    fn pause(&self, tries: u32, fault: &Fault) -> Duration {
        let whole = self.settings.pause.saturating_mul(1 << tries.min(16)).min(self.settings.longest_pause);
        let chance = RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64;
        let asked = if let Fault::Answer { wait: Some(wait), .. } = fault { *wait } else { Duration::ZERO };
        whole.mul_f64(1.0 - chance / 2.0).max(asked)
    }
}

/// Failed tries of one operation.
#[derive(Debug)]
pub struct Failures<'a> {
    patience: &'a Patience,
    what: &'a str,
    tries: u32,
    since: Option<Instant>,
}

impl Failures<'_> {
    /// Waits until it is time for another try.
    ///
    /// # Errors
    /// The fault, when there shall be no other.
    pub async fn another(&mut self, error: &object_store::Error) -> Result<(), Fault> {
        let (patience, what, fault) = (self.patience, self.what, Fault::of(error));
        if !fault.passes() || fault.is_upload_gone() {
            return Err(fault);
        }
        let pause = patience.pause(self.tries, &fault);
        self.tries += 1;
        let since = *self.since.get_or_insert_with(Instant::now);
        if patience.given_up.load(Ordering::Relaxed) || since.elapsed() + pause > patience.patience() {
            patience.given_up.store(true, Ordering::Relaxed);
            tracing::warn!("{what}: {fault}; giving up after {} tries", self.tries);
            return Err(fault);
        }
        patience.repeated.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("{what}: {fault}; trying again in {:.1} s", pause.as_secs_f64());
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::atomic::AtomicUsize;

    use object_store::client::{HttpError, HttpErrorKind};

    use super::*;

    fn patience(milliseconds: u64) -> Patience {
        let settings = Settings {
            patience: Duration::from_millis(milliseconds),
            pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(4),
            ..Settings::default()
        };
        let traffic = Arc::new(Traffic::default());
        traffic.answered.store(true, Ordering::Relaxed);
        Patience::new(settings, traffic)
    }

    fn failing(fault: Fault) -> object_store::Error {
        let source = Box::new(HttpError::new(HttpErrorKind::Unknown, fault));
        object_store::Error::Generic { store: "test", source }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn what_passes_is_tried_again_and_what_lasts_is_not() {
        let tries = AtomicUsize::new(0);
        let patience = patience(10_000);
        let done = run(patience.until("test", async || {
            let n = tries.fetch_add(1, Ordering::Relaxed);
            if n < 3 { Err(failing(Fault::Interrupted)) } else { Ok(n) }
        }));
        assert_eq!((done, patience.account().1), (Ok(3), 3));
        tries.store(0, Ordering::Relaxed);
        let refused = Fault::Answer { status: 403, code: None, wait: None };
        let done: Result<(), _> = run(patience.until("test", async || {
            tries.fetch_add(1, Ordering::Relaxed);
            Err(failing(refused.clone()))
        }));
        assert_eq!((done, tries.load(Ordering::Relaxed)), (Err(refused), 1));
    }

    #[test]
    fn patience_ends_and_then_everything_has_one_try_until_something_succeeds() {
        let patience = patience(30);
        let tries = AtomicUsize::new(0);
        let fail = async || {
            tries.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(failing(Fault::Interrupted))
        };
        let started = Instant::now();
        assert_eq!(run(patience.until("test", fail)), Err(Fault::Interrupted));
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(tries.swap(0, Ordering::Relaxed) > 1);
        assert_eq!(run(patience.until("test", fail)), Err(Fault::Interrupted));
        assert_eq!(tries.swap(0, Ordering::Relaxed), 1);
        assert_eq!(run(patience.until("test", async || Ok(1))), Ok(1));
        assert_eq!(run(patience.until("test", fail)), Err(Fault::Interrupted));
        assert!(tries.load(Ordering::Relaxed) > 1);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_follow_the_store() {
        let patience = Patience::new(Settings::default(), Arc::default());
        for (tries, most) in [(0, 200), (1, 400), (2, 800), (30, 10_000)] {
            let pause = patience.pause(tries, &Fault::Interrupted).as_millis();
            assert!(pause <= most && pause >= most / 2, "{tries}: {pause}");
        }
        let asked = Fault::Answer { status: 503, code: None, wait: Some(Duration::from_secs(7)) };
        assert_eq!(patience.pause(0, &asked), Duration::from_secs(7));
    }
}
