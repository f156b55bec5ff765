//! What every store has to keep, as a suite that runs over all of them.

use std::sync::Arc;

use fieldglow::store::{Lease, Payload, Store, StoreError, hex};
use sha2::{Digest, Sha256};

/// Runs the whole suite on an empty store.
pub fn all(store: &dyn Store) {
    store.probe().unwrap();
    assert!(store.list("", "").unwrap().is_empty(), "the probe leaves nothing");
    assert!(store.list("p", "").unwrap().is_empty());
    small_objects(store);
    objects_in_parts(store);
    aborted_objects(store);
    names(store);
}

fn small_objects(store: &dyn Store) {
    assert!(store.get("p/none.json").unwrap().is_none());
    store.put("p/a.json", b"one").unwrap();
    store.put("p/a.json", b"two").unwrap();
    assert_eq!(store.get("p/a.json").unwrap().unwrap(), b"two");
    store.put("p/empty", b"").unwrap();
    assert_eq!(store.get("p/empty").unwrap().unwrap(), b"");
}

fn objects_in_parts(store: &dyn Store) {
    // As the writer cuts them: parts of 8 MiB and more, the last of any size, the beginning known last.
    let part = |seed: usize, bytes: usize| (0..bytes).map(|i| (i * 31 + seed * 7) as u8).collect::<Vec<u8>>();
    for (name, sizes) in [
        ("p/none.tif", &[][..]),
        ("p/one.tif", &[1000]),
        ("p/two.tif", &[8 << 20, 5]),
        ("p/many.tif", &[8 << 20, 8 << 20, 9 << 20, 8 << 20, 8 << 20, 8 << 20, 1]),
    ] {
        let mut sink = store.start(name).unwrap();
        let mut expected = b"beginning".to_vec();
        for (k, bytes) in sizes.iter().enumerate() {
            let bytes = part(k, *bytes);
            expected.extend(&bytes);
            // Those after the first, every other one with memory set aside for it.
            let lease = (k % 2 == 1).then(|| Arc::new(()) as Lease);
            sink.put(Payload { lease, ..bytes.into() }).unwrap();
        }
        assert!(store.get(name).unwrap().is_none(), "{name} is not visible before it is complete");
        let stored = sink.complete(b"beginning"[..].into()).unwrap();
        assert_eq!(stored.size, expected.len() as u64, "{name}");
        assert_eq!(stored.sha256, hex(&Sha256::digest(&expected)), "{name}");
        assert!(store.get(name).unwrap().unwrap() == expected, "{name}");
    }
    assert_eq!(store.list("p", ".tif").unwrap(), ["p/many.tif", "p/none.tif", "p/one.tif", "p/two.tif"]);
}

fn aborted_objects(store: &dyn Store) {
    for size in [10, 8 << 20] {
        let mut sink = store.start("q/aborted.tif").unwrap();
        sink.put(vec![1; size].into()).unwrap();
        sink.put(vec![2; size].into()).unwrap();
        sink.abort();
        let mut sink = store.start("q/dropped.tif").unwrap();
        sink.put(vec![1; size].into()).unwrap();
        sink.put(vec![2; size].into()).unwrap();
        drop(sink);
    }
    assert!(store.list("q", "").unwrap().is_empty());
}

fn names(store: &dyn Store) {
    for name in ["../x", "/x", "", "a/../../x", "a//b"] {
        assert!(matches!(store.put(name, b""), Err(StoreError::Name { .. })), "{name}");
    }
    store.put("p/中 文/a b.json", b"x").unwrap();
    assert_eq!(store.get("p/中 文/a b.json").unwrap().unwrap(), b"x");
    assert_eq!(store.list("p/中 文", ".json").unwrap(), ["p/中 文/a b.json"]);
}
