//! Object storage: every store under one contract, real servers, and every way a request can fail.
//!
//! Most tests speak to a small server of their own. Those that need a real one are ignored unless `make test` or
//! `scripts/servers/with.sh` has started it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a failed expectation says what it found")]
#![expect(clippy::print_stdout, reason = "counts of what was tried")]

mod contract;
#[path = "../integration/delivery.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod delivery;
mod faults;
#[path = "../integration/harness.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod harness;
#[path = "../integration/image.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod image;
mod own_server;
mod program;
mod reading;
mod real;
mod server;
