//! The same bytes, however the work is cut.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::delivery::{Delivery, farm, finished};
use crate::harness::{Desk, tree};

fn digests(objects: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    objects.into_iter().map(|(name, bytes)| (name, Sha256::digest(bytes).to_vec())).collect()
}

#[test]
fn threads_and_budget_change_no_byte_of_any_object() {
    let expected = digests(tree(finished()));
    let smallest = Desk::new().plan(&farm(), &Delivery::L1.folder(), &[])["smallest_memory_bytes"].to_string();
    for threads in ["1", "2", "8"] {
        for memory in [smallest.as_str(), "2GiB"] {
            let desk = Desk::new();
            let more = ["--threads", threads, "--memory", memory];
            desk.run(&farm(), &[&Delivery::L1.folder()], &more).ends_with(0);
            assert_eq!(digests(tree(&desk.path("out"))), expected, "{more:?}");
        }
    }
}

#[test]
fn where_delivery_and_output_stand_changes_no_byte() {
    let desk = Desk::new();
    let delivery = Delivery::L1.copy_to(&desk, "somewhere/else");
    desk.run_to("deep/down", &farm(), &[&delivery.folder], &[]).ends_with(0);
    assert_eq!(digests(tree(&desk.path("deep/down"))), digests(tree(finished())));
}
