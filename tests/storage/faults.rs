//! Every request of a store's work fails in every way, once and for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use fieldglow::error::{Class, Classify, chain};
use fieldglow::store::{Lease, Payload, Store, StoreError, hex, open_with};
use sha2::{Digest, Sha256};

use crate::own_server::environment;
use crate::server::{BUCKET, Failing, Kind, Server};

/// What a run does with its store, small: probe, documents, objects of one part and of several of this size, a list. Memory
/// is set aside for the parts of one object; the other is read back.
pub fn work(store: &dyn Store, part_bytes: usize) -> Result<(), StoreError> {
    store.probe()?;
    if store.get("p/plan.json")?.is_none() {
        store.put("p/plan.json", b"plan")?;
    }
    for (name, parts, lease) in
        [("p/one.tif", 1, None), ("p/many.tif", 3, None), ("p/paid.tif", 2, Some(Arc::new(()) as Lease))]
    {
        let mut sink = store.start(name)?;
        let mut digest = Sha256::new();
        digest.update(b"beginning");
        for k in 0..parts {
            let part = vec![k as u8 * 3 + 1; part_bytes + k];
            digest.update(&part);
            sink.put(Payload { lease: lease.clone(), ..part.into() })?;
        }
        let stored = sink.complete(b"beginning"[..].into())?;
        assert_eq!(stored.sha256, hex(&digest.finalize()), "{name}");
    }
    store.put("p/item.json", b"item")?;
    for name in store.list("p", "")? {
        assert!(store.get(&name)?.is_some(), "{name}");
    }
    Ok(())
}

/// `work` in a fresh store whose patience is short.
fn attempt(server: &Server, scheme: &str, patience: &str) -> Result<(), StoreError> {
    let settings = [
        ("FIELDGLOW_STORE_TIMEOUT", "0.4"),
        ("FIELDGLOW_STORE_PAUSE", "0.005"),
        ("FIELDGLOW_STORE_PATIENCE", patience),
    ];
    // More than an answer that is taken whole, when read back.
    work(&*open_with(&format!("{scheme}://{BUCKET}/x"), &environment(server, &settings)).unwrap(), 300_000)
}

/// What a run without faults leaves, and how many requests it takes.
fn sound(scheme: &str) -> (BTreeMap<String, Vec<u8>>, usize) {
    let server = Server::start();
    attempt(&server, scheme, "20").unwrap();
    let state = server.state();
    assert!(state.uploads.is_empty());
    (state.objects.clone(), state.requests.len())
}

fn once(scheme: &str, kinds: &[Kind]) {
    let (objects, requests) = sound(scheme);
    let server = Server::start();
    for &kind in kinds {
        for from in 1..=requests {
            server.reset();
            server.fail(Some(Failing { from, count: 1, kind, but_not_aborts: false }));
            let done = attempt(&server, scheme, "20");
            let state = server.state();
            let what = || format!("{scheme}, {kind:?} at {from} of {:?}", state.requests);
            done.unwrap_or_else(|e| panic!("{}: {}", what(), chain(&e)));
            assert_eq!(state.failed, 1, "{}", what());
            assert!(state.objects == objects, "{}: {:?}", what(), state.objects.keys());
            let unfinished: Vec<_> = state.uploads.keys().collect();
            // Uploads whose beginning was not answered are looked for where the protocol can.
            assert!(unfinished.is_empty() || scheme == "gs", "{}: {unfinished:?}", what());
        }
    }
    println!("{scheme}: {requests} requests × {} kinds of failure, once", kinds.len());
}

#[test]
fn any_request_may_fail_once() {
    once("s3", &[Kind::Busy, Kind::BusyAfter, Kind::Reset, Kind::ResetAfter, Kind::Short]);
}

#[test]
fn any_request_may_stall_once() {
    once("s3", &[Kind::Stall, Kind::StallHalfway]);
}

#[test]
fn any_request_to_google_may_fail_once() {
    once("gs", &[Kind::Busy, Kind::BusyAfter, Kind::ResetAfter, Kind::Short]);
}

fn for_ever(kinds: &[Kind], but_not_aborts: bool) {
    let (objects, requests) = sound("s3");
    let server = Server::start();
    for &kind in kinds {
        for from in 1..=requests {
            server.reset();
            server.fail(Some(Failing { from, count: usize::MAX, kind, but_not_aborts }));
            let error = attempt(&server, "s3", "0.05").unwrap_err();
            {
                let state = server.state();
                let what = || format!("{kind:?} from {from} of {:?}: {}", state.requests, chain(&error));
                assert_eq!(error.class(), Class::Transient, "{}", what());
                let probe = |name: &str| name.contains(".fieldglow-probe");
                let whole = |(name, bytes): (&String, &Vec<u8>)| probe(name) || objects.get(name) == Some(bytes);
                assert!(state.objects.iter().all(whole), "{}", what());
                assert!(!but_not_aborts || state.uploads.is_empty(), "{}: {:?}", what(), state.uploads.keys());
            }
            server.fail(None);
            attempt(&server, "s3", "20").unwrap();
            server.state().objects.retain(|name, _| !name.contains(".fieldglow-probe"));
            assert!(server.state().objects == objects, "{kind:?} from {from}");
        }
    }
    println!("{requests} requests × {} kinds of failure, for ever; aborts served: {but_not_aborts}", kinds.len());
}

#[test]
fn a_store_may_fail_for_ever() {
    for_ever(&[Kind::Busy, Kind::BusyAfter, Kind::Reset, Kind::ResetAfter, Kind::Short], false);
}

#[test]
fn a_store_may_stall_for_ever() {
    for_ever(&[Kind::Stall], false);
}

#[test]
fn uploads_are_ended_where_the_store_still_can() {
    for_ever(&[Kind::Busy, Kind::BusyAfter, Kind::ResetAfter, Kind::Short], true);
}
