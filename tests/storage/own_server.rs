//! Stores against the small server, and those that need none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldglow::error::{Class, Classify, chain};
use fieldglow::store::{ConditionalCreate, Environment, Fault, Local, Payload, Remote, Store, StoreError, open_with};
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::contract;
use crate::server::{BUCKET, Failing, Kind, Server};

/// The variables of a server, and others that may replace them.
pub fn environment(server: &Server, others: &[(&str, &str)]) -> Environment {
    let variables = server.environment();
    let own = variables.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    Environment::new(own.chain(others.iter().copied()))
}

/// A store in a folder of the server's bucket.
fn store(server: &Server, scheme: &str) -> Box<dyn Store> {
    let pause = [("FIELDGLOW_STORE_PAUSE", "0.01")];
    open_with(&format!("{scheme}://{BUCKET}/run 1"), &environment(server, &pause)).unwrap()
}

fn refused(server: &Server, status: u16, code: &str) {
    server.state().refusal = Some((status, code.to_owned()));
}

/// Nothing that was secret is in what an error says.
fn assert_discreet(error: &StoreError) {
    let text = format!("{} {error:?}", chain(error));
    for secret in ["SECRETTEST", "AKIATEST", "QUOTED", "Signature", "hush"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn a_folder_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract::all(&Local::new(dir.path()));
}

#[test]
fn memory_keeps_the_contract() {
    let store = Arc::new(InMemory::new());
    contract::all(&Remote::new("memory://test".into(), store.clone(), store, Path::from("folder")).unwrap());
}

#[test]
fn s3_and_google_keep_the_contract() {
    for scheme in ["s3", "gs"] {
        let server = Server::start();
        contract::all(&*store(&server, scheme));
        let state = server.state();
        assert!(state.uploads.is_empty(), "{scheme}");
        assert!(state.objects.keys().all(|key| key.starts_with("run 1/p/")), "{scheme}");
    }
}

#[test]
fn the_probe_takes_three_requests_and_says_what_conditions_are_worth() {
    for scheme in ["s3", "gs"] {
        let server = Server::start();
        for ignores in [false, true] {
            server.fail(None);
            server.state().ignores_conditions = ignores;
            let found = store(&server, scheme).probe().unwrap().conditional_create;
            assert_eq!(found, if ignores { ConditionalCreate::Ignored } else { ConditionalCreate::Honoured });
            let state = server.state();
            assert_eq!(state.requests.len(), 3, "{:?}", state.requests);
            assert!(state.objects.is_empty());
        }
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Local::new(dir.path()).probe().unwrap().conditional_create, ConditionalCreate::Honoured);
}

#[test]
fn what_lasts_is_a_configuration_fault_at_the_probe_and_a_storage_fault_later() {
    let server = Server::start();
    for (status, code) in
        [(403, "AccessDenied"), (403, "InvalidAccessKeyId"), (400, "ExpiredToken"), (301, "PermanentRedirect")]
    {
        refused(&server, status, code);
        server.fail(None);
        let error = store(&server, "s3").probe().unwrap_err();
        assert_eq!(error.class(), Class::Config, "{error}");
        assert!(chain(&error).contains(code) && chain(&error).contains(BUCKET), "{}", chain(&error));
        assert_discreet(&error);
        assert_eq!(server.state().requests.len(), 1, "it is not tried again");
        let later = [store(&server, "s3").get("x").unwrap_err(), store(&server, "s3").put("x", b"").unwrap_err()];
        for error in later {
            assert_eq!(error.class(), Class::Storage, "{error}");
            assert_discreet(&error);
        }
    }
    server.reset();
    let elsewhere = open_with("s3://no-bucket/x", &environment(&server, &[])).unwrap();
    let error = elsewhere.probe().unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert!(chain(&error).contains("NoSuchBucket"), "{}", chain(&error));
    // A bucket that is not there is no object that is not there.
    assert!(matches!(elsewhere.get("x"), Err(StoreError::Remote { .. })));
}

#[test]
fn what_passes_is_a_passing_fault_also_at_the_probe() {
    let server = Server::start();
    let short = [("FIELDGLOW_STORE_PATIENCE", "0.2"), ("FIELDGLOW_STORE_PAUSE", "0.01")];
    for (status, code) in [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests"), (408, "RequestTimeout")]
    {
        refused(&server, status, code);
        server.fail(None);
        let error = open_with("s3://tiles/x", &environment(&server, &short)).unwrap().probe().unwrap_err();
        assert_eq!(error.class(), Class::Transient, "{error}");
        assert!(server.state().requests.len() > 3, "it was tried again");
    }
    // Nobody listens there.
    let nowhere = environment(&server, &[short[0], short[1], ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]);
    let error = open_with("s3://tiles/x", &nowhere).unwrap().probe().unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert!(chain(&error).contains("cannot be reached"), "{}", chain(&error));
}

#[test]
fn without_credentials_it_fails_in_seconds_and_says_so() {
    let server = Server::start();
    let (endpoint, silent) = (server.url(), Server::start());
    silent.fail(Some(Failing { from: 1, count: usize::MAX, kind: Kind::Stall, but_not_aborts: false }));
    // Google's client takes the place of its service from the process alone: see `program`.
    for url in ["s3://tiles/x", "az://tiles/x"] {
        let metadata = silent.url();
        let nobody = Environment::new([
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_METADATA_ENDPOINT", metadata.as_str()),
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_MSI_ENDPOINT", metadata.as_str()),
        ]);
        let started = Instant::now();
        let error = open_with(url, &nobody).unwrap().probe().unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(15), "{url}: {:?}", started.elapsed());
        assert_eq!(error.class(), Class::Config, "{url}");
        assert!(matches!(&error, StoreError::Setup { source: Fault::NoCredentials, .. }), "{}", chain(&error));
    }
    assert!(server.state().requests.is_empty());
    assert!(!silent.state().requests.is_empty());
    let told = Environment::new([("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_EC2_METADATA_DISABLED", "true")]);
    let started = Instant::now();
    open_with("s3://tiles/x", &told).unwrap().probe().unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn public_buckets_are_read_unsigned() {
    let server = Server::start();
    server.state().objects.insert("a/b.json".into(), b"public".to_vec());
    for (name, value) in [("AWS_SKIP_SIGNATURE", "true"), ("AWS_NO_SIGN_REQUEST", "YES")] {
        let anybody = Environment::new([("AWS_ENDPOINT_URL", server.url().as_str()), (name, value)]);
        let store = open_with("s3://tiles/a", &anybody).unwrap();
        assert_eq!(store.get("b.json").unwrap().unwrap(), b"public");
        assert_eq!(store.list("", "").unwrap(), ["b.json"]);
    }
    let state = server.state();
    assert_eq!(state.unsigned, state.requests.len());
}

#[test]
fn endpoints_may_have_the_bucket_in_their_name() {
    let server = Server::start();
    let endpoint = format!("{}/{BUCKET}", server.url());
    let hosted = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")];
    let store = open_with(&format!("s3://{BUCKET}/x"), &environment(&server, &hosted)).unwrap();
    store.put("a", b"1").unwrap();
    assert_eq!(server.state().objects["x/a"], b"1");
}

#[test]
fn web_servers_are_read_and_never_written() {
    let server = Server::start();
    let large: Vec<u8> = (0..3_000_000_u32).map(|k| (k * 7) as u8).collect();
    server.state().objects.insert("x/中 文.tif".into(), large.clone());
    let url = format!("{}/{BUCKET}/x?X-Amz-Signature=hush", server.url());
    let store = open_with(&url, &Environment::default()).unwrap();
    assert_eq!(store.url(), format!("{}/{BUCKET}/x", server.url()));
    assert!(store.get("中 文.tif").unwrap().unwrap() == large);
    assert!(store.get("none").unwrap().is_none());
    let requests = server.state().requests.clone();
    assert!(requests.iter().all(|r| r.ends_with("X-Amz-Signature=hush")), "{requests:?}");
    let written = [
        store.probe().unwrap_err(),
        store.put("a", b"").unwrap_err(),
        store.start("a").map(|_| ()).unwrap_err(),
        store.list("", "").unwrap_err(),
    ];
    for error in written {
        assert_eq!(error.class(), Class::Config);
        assert!(chain(&error).contains("127.0.0.1"));
        assert_discreet(&error);
    }
    refused(&server, 403, "AccessDenied");
    assert_discreet(&store.get("a").unwrap_err());
}

#[test]
fn broken_settings_are_said_without_their_secrets() {
    let server = Server::start();
    let cases: [(&str, &[(&str, &str)]); 6] = [
        ("s3://k:hush@tiles/x", &[("FIELDGLOW_STORE_TIMEOUT", "soon")]),
        ("gs://tiles/x", &[("GOOGLE_SERVICE_ACCOUNT_KEY", "{\"private_key\":\"hush\",\"client_email\":3}")]),
        ("gs://tiles/x", &[("GOOGLE_SERVICE_ACCOUNT_KEY", "hush")]),
        ("az://tiles/x", &[("AZURE_STORAGE_ACCOUNT_KEY", "hush!")]),
        ("s3://tiles/x", &[("AWS_CONDITIONAL_PUT", "sometimes")]),
        ("ftp://user:hush@host/x?hush", &[]),
    ];
    for (url, variables) in cases {
        let Err(error) = open_with(url, &environment(&server, variables)) else { panic!("{url} {variables:?}") };
        assert_eq!(error.class(), Class::Config, "{error}");
        assert_discreet(&error);
    }
}

#[test]
fn what_stands_wrong_is_not_taken_for_what_was_sent() {
    let server = Server::start();
    server.state().corrupts = true;
    let store = store(&server, "s3");
    let mut sink = store.start("a.tif").unwrap();
    sink.put(vec![1; 1000].into()).unwrap();
    sink.put(vec![2; 1000].into()).unwrap();
    let error = sink.complete(b"head"[..].into()).unwrap_err();
    assert!(matches!(error, StoreError::Differs { sent: 2004, found: 2004, .. }), "{error}");
    assert_eq!(error.class(), Class::Storage);
}

#[test]
fn an_upload_that_somebody_ended_can_be_begun_again() {
    let server = Server::start();
    let store = store(&server, "s3");
    let mut sink = store.start("a.tif").unwrap();
    sink.put(vec![1; 1000].into()).unwrap();
    sink.put(vec![2; 1000].into()).unwrap();
    while server.state().requests.len() < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.state().uploads.clear();
    let error = sink.complete(b"head"[..].into()).unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{}", chain(&error));
    assert!(server.state().objects.is_empty());
}

#[test]
fn only_what_was_sent_over_the_network_is_counted() {
    let server = Server::start();
    let store = store(&server, "s3");
    store.put("a", b"1").unwrap();
    server.fail(Some(Failing { from: 1, count: 2, kind: Kind::Busy, but_not_aborts: false }));
    store.get("a").unwrap();
    let account = store.account();
    assert_eq!((account.requests, account.repeated), (4, 2));
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Local::new(dir.path()).account().requests, 0);
}

#[test]
fn a_store_is_behind_while_all_that_may_be_on_its_way_is() {
    let server = Server::start();
    let store = store(&server, "s3");
    let part = || Payload { lease: Some(Arc::new(())), ..vec![1; 1000].into() };
    let mut sink = store.start("a.tif").unwrap();
    // The first one waits for the beginning, and no answer comes to the others.
    server.fail(Some(Failing { from: 2, count: usize::MAX, kind: Kind::Stall, but_not_aborts: true }));
    for _ in 0..16 {
        sink.put(part()).unwrap();
        assert!(!store.is_behind());
    }
    sink.put(part()).unwrap();
    assert!(store.is_behind());
    drop(sink);
    assert!(!store.is_behind());
    assert!(server.state().uploads.is_empty());
    let dir = tempfile::tempdir().unwrap();
    assert!(!Local::new(dir.path()).is_behind());
}
