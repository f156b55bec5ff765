//! Real servers, started by `scripts/servers/with.sh`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use fieldglow::store::{ConditionalCreate, Environment, Store, open_with};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};

use crate::contract;
use crate::faults::work;
use crate::harness::{Desk, assert_same_objects, tree};
use crate::program::local;
use crate::reading::{self, Noise};
use crate::server::{Failing, Kind, Server};

/// What a script printed of its server: `NAME=VALUE` pairs.
fn variables(server: &str) -> Vec<(String, String)> {
    let name = format!("FIELDGLOW_TEST_{server}");
    let text = std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`"));
    text.split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

fn environment(variables: &[(String, String)]) -> Environment {
    Environment::new(variables.iter().map(|(k, v)| (k.as_str(), v.as_str())))
}

/// A folder of one test's own in the bucket the scripts make.
fn folder(scheme: &str, test: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    format!("{scheme}://fieldglow-test/{test}-{now}")
}

fn keeps_the_contract(server: &str, scheme: &str) {
    let store = open_with(&folder(scheme, "contract"), &environment(&variables(server))).unwrap();
    assert_eq!(store.probe().unwrap().conditional_create, ConditionalCreate::Honoured, "{server}");
    contract::all(&*store);
}

fn run_stores_the_bytes_of_a_local_run(server: &str, scheme: &str) {
    let (url, variables) = (folder(scheme, "run"), variables(server));
    local().run(&url, &variables, &[]).ends_with(0);
    let store = open_with(&url, &environment(&variables)).unwrap();
    let names = store.list("", "").unwrap();
    let objects = names.into_iter().map(|name| (name.clone(), store.get(&name).unwrap().unwrap())).collect();
    assert_same_objects(&local().objects, &objects);
    let again = local().run(&url, &variables, &[]).ends_with(0).json();
    assert_eq!(again["scenes"][0]["bytes_written"], 0);
    local().fieldglow(&["validate", &url], &variables).ends_with(0);
}

#[test]
#[ignore = "needs Ceph: make test"]
fn ceph_keeps_the_contract() {
    keeps_the_contract("CEPH", "s3");
    assert_eq!(unfinished_uploads(&variables("CEPH"), "contract-"), 0);
}

#[test]
#[ignore = "needs moto: make test"]
fn moto_keeps_the_contract() {
    keeps_the_contract("MOTO", "s3");
    assert_eq!(unfinished_uploads(&variables("MOTO"), "contract-"), 0);
}

#[test]
#[ignore = "needs azurite: make test"]
fn azurite_keeps_the_contract() {
    keeps_the_contract("AZURITE", "az");
}

#[test]
#[ignore = "needs Ceph: make test"]
fn a_run_to_ceph_stores_the_bytes_of_a_local_run() {
    run_stores_the_bytes_of_a_local_run("CEPH", "s3");
}

#[test]
#[ignore = "needs moto: make test"]
fn a_run_to_moto_stores_the_bytes_of_a_local_run() {
    run_stores_the_bytes_of_a_local_run("MOTO", "s3");
}

#[test]
#[ignore = "needs azurite: make test"]
fn a_run_to_azurite_stores_the_bytes_of_a_local_run() {
    run_stores_the_bytes_of_a_local_run("AZURITE", "az");
}

/// A delivery in a store, as a folder, by its sidecar and as an archive, makes what it makes from a folder of the machine.
fn deliveries_are_read_from(server: &str, scheme: &str) {
    let (url, variables) = (folder(scheme, "delivery"), variables(server));
    let store = open_with(&url, &environment(&variables)).unwrap();
    let noise = Noise::large();
    for (name, bytes) in &noise.files {
        store.put(&format!("吉林 1/{name}"), bytes).unwrap();
    }
    store.put("tiny.zip", &noise.zipped()).unwrap();
    let desk = Desk::new();
    for name in ["吉林 1/", "吉林 1/scene.toml", "tiny.zip"] {
        let url = format!("{url}/{name}");
        reading::run(&desk, &url, &variables).ends_with(0);
        assert_same_objects(&noise.expected, &tree(&desk.path("out")));
        reading::fieldglow(&desk, &["inspect", &url], &variables).ends_with(0);
    }
    let absent = format!("{url}/nowhere/");
    reading::fieldglow(&desk, &["inspect", &absent], &variables).ends_with(3).says(&["there is nothing at", "nowhere"]);
}

#[test]
#[ignore = "needs Ceph: make test"]
fn deliveries_are_read_from_ceph() {
    deliveries_are_read_from("CEPH", "s3");
}

#[test]
#[ignore = "needs moto: make test"]
fn deliveries_are_read_from_moto() {
    deliveries_are_read_from("MOTO", "s3");
}

#[test]
#[ignore = "needs azurite: make test"]
fn deliveries_are_read_from_azurite() {
    deliveries_are_read_from("AZURITE", "az");
}

#[test]
#[ignore = "needs Ceph, moto and azurite: make test"]
fn wrong_keys_and_buckets_end_the_run_as_a_configuration_fault() {
    for (server, scheme, key, code) in [
        ("CEPH", "s3", ("AWS_SECRET_ACCESS_KEY", "WRONG"), "SignatureDoesNotMatch"),
        ("CEPH", "s3", ("AWS_ACCESS_KEY_ID", "WRONG"), "InvalidAccessKeyId"),
        ("AZURITE", "az", ("AZURE_STORAGE_ACCOUNT_KEY", "V1JPTkc="), "AuthorizationFailure"),
    ] {
        let mut variables = variables(server);
        variables.retain(|(name, _)| name != key.0);
        variables.push((key.0.to_owned(), key.1.to_owned()));
        local().run(&folder(scheme, "wrong"), &variables, &[]).ends_with(1).says(&[code]);
    }
    for (server, url) in
        [("CEPH", "s3://no-such-bucket/x"), ("MOTO", "s3://no-such-bucket/x"), ("AZURITE", "az://no-such-bucket/x")]
    {
        let said = local().run(url, &variables(server), &[]).ends_with(1);
        assert!(said.stderr.contains("NoSuchBucket") || said.stderr.contains("ContainerNotFound"), "{}", said.stderr);
    }
}

/// Ceph itself behind a proxy that lets each request fail in turn.
#[test]
#[ignore = "needs Ceph: make test"]
fn any_request_to_ceph_may_fail_once() {
    let mut variables = variables("CEPH");
    let upstream = variables.iter().find(|(k, _)| k == "AWS_ENDPOINT_URL").unwrap().1.replace("http://", "");
    let proxy = Server::start();
    proxy.state().upstream = Some(upstream.parse().unwrap());
    let direct = environment(&variables);
    let settings = [
        ("AWS_ENDPOINT_URL", proxy.url()),
        ("FIELDGLOW_STORE_TIMEOUT", "5".into()),
        ("FIELDGLOW_STORE_PAUSE", "0.01".into()),
    ];
    variables.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
    variables.extend(settings.map(|(k, v)| (k.to_owned(), v)));
    let behind = environment(&variables);
    let objects = |url: &str| {
        let store = open_with(url, &direct).unwrap();
        let names = store.list("", "").unwrap();
        names.into_iter().map(|name| (name.clone(), store.get(&name).unwrap().unwrap())).collect::<Vec<_>>()
    };
    let url = folder("s3", "sound");
    // Ceph takes no smaller parts, as Amazon does.
    let part = 5 << 20;
    work(&*open_with(&url, &behind).unwrap(), part).unwrap();
    let (sound, requests) = (objects(&url), proxy.state().requests.len());
    let kinds = [Kind::BusyAfter, Kind::Reset, Kind::ResetAfter, Kind::Short];
    for kind in kinds {
        for from in 1..=requests {
            proxy.fail(Some(Failing { from, count: 1, kind, but_not_aborts: false }));
            let url = folder("s3", "faults");
            let done = work(&*open_with(&url, &behind).unwrap(), part);
            assert!(done.is_ok(), "{kind:?} at {from} of {:?}: {done:?}", proxy.state().requests);
            assert!(objects(&url) == sound, "{kind:?} at {from}");
        }
    }
    let until = SystemTime::now() + Duration::from_secs(10);
    while unfinished_uploads(&environment_pairs(&direct, &variables), "faults-") > 0 && SystemTime::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(unfinished_uploads(&environment_pairs(&direct, &variables), "faults-"), 0);
    println!("Ceph: {requests} requests × {} kinds of failure, once", kinds.len());
}

/// The variables, with the endpoint of the server itself.
fn environment_pairs(direct: &Environment, variables: &[(String, String)]) -> Vec<(String, String)> {
    let own = |(name, value): &(String, String)| (name.clone(), direct.get(name).unwrap_or(value).to_owned());
    variables.iter().map(own).collect()
}

/// Number of uploads in the bucket that were neither completed nor aborted, asked for without the library, of objects whose names begin so: other tests are at work in the same bucket.
fn unfinished_uploads(variables: &[(String, String)], prefix: &str) -> usize {
    let get = |name: &str| variables.iter().find(|(k, _)| k == name).unwrap().1.clone();
    let s3 = AmazonS3Builder::new()
        .with_bucket_name("fieldglow-test")
        .with_endpoint(get("AWS_ENDPOINT_URL"))
        .with_region("us-east-1")
        .with_access_key_id(get("AWS_ACCESS_KEY_ID"))
        .with_secret_access_key(get("AWS_SECRET_ACCESS_KEY"))
        .with_allow_http(true)
        .build()
        .unwrap();
    let query = SignedUrlOptions::new().with_query([("uploads", ""), ("prefix", prefix)]);
    let valid = Duration::from_secs(60);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let url = runtime.block_on(s3.signed_url_opts(http::Method::GET, &Path::default(), valid, &query)).unwrap();
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect(address).unwrap();
    let target = format!("{}?{}", url.path(), url.query().unwrap());
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n\r\n", address.0, address.1).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("ListMultipartUploadsResult"), "{text}");
    text.matches("<UploadId>").count()
}

#[test]
fn objects_of_a_folder_are_those_of_its_tree() {
    // The comparison with local runs above rests on this.
    let dir = tempfile::tempdir().unwrap();
    let store = fieldglow::store::Local::new(dir.path());
    store.put("a/b.json", b"x").unwrap();
    store.put("c.json", b"y").unwrap();
    assert_eq!(tree(dir.path()).into_keys().collect::<Vec<_>>(), store.list("", "").unwrap());
}
