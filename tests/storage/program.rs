//! The program against object storage: the bytes of a local run, the documented exit codes, and nothing left behind,
//! whichever request fails.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::delivery::{Tiny, UNIT_N, UNIT_R, native};
use crate::harness::{Desk, Said, assert_same_objects, tree};
use crate::server::{BUCKET, Failing, Kind, Server};

/// An image of noise, so that its file has several parts, and a small one beside it.
const PRODUCTS: &str = r#"
[[product]]
name = "dn"
kind = "bands"
bands = ["R"]
[[product]]
name = "qa"
kind = "qa"
"#;

/// A scene of noise, the pipeline, and what a run to a folder makes of them.
pub struct Local {
    desk: Desk,
    pub objects: BTreeMap<String, Vec<u8>>,
}

/// Pixels of an edge of the noise.
const EDGE: usize = 2600;

pub fn local() -> &'static Local {
    static LOCAL: OnceLock<Local> = OnceLock::new();
    LOCAL.get_or_init(|| {
        let desk = Desk::new();
        let mut state = 1_u32;
        let mut noise = || {
            let next = || {
                // Marsaglia's xorshift.
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 8) as u16 | 1
            };
            std::iter::repeat_with(next).take(EDGE * EDGE).collect::<Vec<u16>>()
        };
        let planes = [noise(), noise()];
        Tiny::new(&desk, (EDGE, EDGE), &planes, "fill = 0", &[UNIT_R, UNIT_N]);
        desk.write("pipeline.toml", native("dn", PRODUCTS));
        desk.fieldglow(["run", "pipeline.toml", "tiny", "--output", "out"]).ends_with(0);
        let objects = tree(&desk.path("out"));
        Local { desk, objects }
    })
}

impl Local {
    /// `fieldglow run` of the scene with this output and these variables, and no others that lead to a store.
    pub fn run(&self, output: &str, variables: &[(String, String)], more: &[&str]) -> Said {
        let mut args = vec!["run", "pipeline.toml", "tiny", "--output", output, "--json"];
        args.extend(more);
        self.fieldglow(&args, variables)
    }

    pub fn fieldglow(&self, args: &[&str], variables: &[(String, String)]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldglow"));
        for (name, _) in std::env::vars() {
            if ["AWS_", "GOOGLE_", "AZURE_", "FIELDGLOW_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        let variables = variables.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let output = command
            .args(args)
            .current_dir(self.desk.path(""))
            // Nobody's own files.
            .env("HOME", self.desk.path("home"))
            .envs(variables)
            .output()
            .unwrap();
        Said {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The way to a server, with short pauses and this patience. A timeout of no consequence on a busy machine, unless the
/// server is to stall.
fn with(server: &Server, patience: &str, kind: Option<Kind>) -> Vec<(String, String)> {
    let timeout = if kind == Some(Kind::Stall) { "0.5" } else { "30" };
    let settings = [
        ("FIELDGLOW_STORE_TIMEOUT", timeout),
        ("FIELDGLOW_STORE_PAUSE", "0.005"),
        ("FIELDGLOW_STORE_PATIENCE", patience),
    ];
    let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned()));
    server.environment().into_iter().chain(settings).collect()
}

/// The requests of a run without faults.
fn requests(server: &Server) -> usize {
    local().run(OUTPUT, &with(server, "20", None), &[]).ends_with(0);
    let state = server.state();
    assert!(state.requests.iter().any(|r| r.contains("partNumber=2")), "one object has several parts");
    state.requests.len()
}

const OUTPUT: &str = "s3://tiles/run";

/// The objects below the output's folder.
fn stored(server: &Server) -> BTreeMap<String, Vec<u8>> {
    let state = server.state();
    state.objects.iter().filter_map(|(k, v)| Some((k.strip_prefix("run/")?.to_owned(), v.clone()))).collect()
}

#[test]
fn a_run_to_object_storage_stores_the_bytes_of_a_local_run_and_reports_the_store() {
    for url in [OUTPUT, "gs://tiles/run"] {
        let server = Server::start();
        let report = local().run(url, &with(&server, "20", None), &[]).ends_with(0).json();
        assert_same_objects(&local().objects, &stored(&server));
        let requests = server.state().requests.len();
        assert_eq!(
            report["store"],
            serde_json::json!({ "conditional_create": "honoured", "requests": requests, "repeated": 0 })
        );
        server.fail(None);
        let again = local().run(url, &with(&server, "20", None), &[]).ends_with(0).json();
        assert_eq!(again["scenes"][0]["bytes_written"], 0);
        assert!(server.state().requests.iter().all(|r| r.starts_with("GET") || r.contains(".fieldglow-probe")));
    }
    let report = local().run("again", &[], &[]).ends_with(0).json();
    assert_eq!(report["store"]["conditional_create"], "honoured");
}

#[test]
fn what_stands_in_storage_is_validated_and_collected_where_it_stands() {
    let server = Server::start();
    let variables = with(&server, "20", None);
    local().run(OUTPUT, &variables, &[]).ends_with(0);
    let web = format!("{}/{BUCKET}/run/farm/collection.json", server.url());
    for url in [OUTPUT, &format!("{web}?token=hush")] {
        let said = local().fieldglow(&["validate", url, "--json"], &variables).ends_with(0);
        let verdicts = said.json();
        let paths: Vec<_> = verdicts.as_array().unwrap().iter().map(|v| v["path"].as_str().unwrap()).collect();
        assert!(paths.iter().any(|p| p.ends_with("/dn.tif")), "{paths:?}");
        let checked = ["dn.tif", "qa.tif", "item.json", "collection.json", "plan.json"];
        let is_checked = |name: &&String| checked.contains(&name.rsplit('/').next().unwrap());
        let expected = local().objects.keys().filter(is_checked).count();
        // The web server has no list, and nothing links to the plan.
        assert_eq!(paths.len(), expected - usize::from(url != OUTPUT), "{paths:?}");
        assert!(!said.stdout.contains("hush") && !said.stderr.contains("hush"));
    }
    server.state().objects.remove("run/farm/collection.json").unwrap();
    local().fieldglow(&["collect", "s3://tiles/run/farm"], &variables).ends_with(0);
    assert_same_objects(&local().objects, &stored(&server));
    let broken = local().objects.keys().find(|n| n.ends_with("/dn.tif")).unwrap();
    server.state().objects.get_mut(&format!("run/{broken}")).unwrap()[5_000_000] ^= 1;
    let said = local().fieldglow(&["validate", OUTPUT], &variables).ends_with(2);
    assert!(said.stdout.contains("file:checksum"), "{}", said.stdout);
    server.state().refusal = Some((503, "SlowDown".into()));
    local().fieldglow(&["validate", &web], &with(&server, "0.05", None)).ends_with(75);
}

#[test]
fn exit_codes_say_whether_trying_again_is_right() {
    let server = Server::start();
    let short = with(&server, "0.1", None);
    for (refusal, code) in
        [((403, "AccessDenied"), 1), ((404, "NoSuchBucket"), 1), ((503, "SlowDown"), 75), ((500, "InternalError"), 75)]
    {
        server.state().refusal = Some((refusal.0, refusal.1.to_owned()));
        let said = local().run(OUTPUT, &short, &[]).ends_with(code).says(&[refusal.1, OUTPUT]);
        assert!(!said.stderr.contains("QUOTED") && !said.stderr.contains("AKIATEST"), "{}", said.stderr);
    }
    server.reset();
    local().run("s3://elsewhere/x", &short, &[]).ends_with(1).says(&["NoSuchBucket"]);
    local().run("http://127.0.0.1:1/x", &short, &[]).ends_with(1).says(&["can only be read"]);
    local().fieldglow(&["collect", "https://127.0.0.1:1/x/farm"], &short).ends_with(1).says(&["cannot be listed"]);
    let wrong = [("FIELDGLOW_STORE_TIMEOUT".to_owned(), "soon".to_owned())];
    local().run(OUTPUT, &wrong, &[]).ends_with(1).says(&["FIELDGLOW_STORE_TIMEOUT", "seconds"]);
}

/// The same for Google's, whose client takes the place of the metadata service from the process.
#[test]
fn without_credentials_the_program_ends_in_seconds() {
    let silent = Server::start();
    silent.fail(Some(Failing { from: 1, count: usize::MAX, kind: Kind::Stall, but_not_aborts: false }));
    let place = silent.url().replace("http://", "");
    let variables = [
        ("AWS_METADATA_ENDPOINT", silent.url()),
        ("AZURE_MSI_ENDPOINT", silent.url()),
        ("AZURE_STORAGE_ACCOUNT_NAME", "account".to_owned()),
        ("GCE_METADATA_HOST", place.clone()),
        ("GCE_METADATA_IP", place),
    ];
    let variables = variables.map(|(k, v)| (k.to_owned(), v));
    for url in ["s3://tiles/x", "gs://tiles/x", "az://tiles/x"] {
        let started = Instant::now();
        local().run(url, &variables, &[]).ends_with(1).says(&["no credentials were found"]);
        assert!(started.elapsed() < Duration::from_secs(20), "{url}: {:?}", started.elapsed());
    }
}

#[test]
fn logs_hold_no_secret() {
    let server = Server::start();
    let mut variables = with(&server, "20", None);
    variables.push(("FIELDGLOW_LOG".to_owned(), "trace".to_owned()));
    let said = local().run(OUTPUT, &variables, &["--log", "json"]).ends_with(0);
    let web = format!("{}/{BUCKET}/run/farm/collection.json?sig=QUERYSECRET", server.url());
    let also = local().fieldglow(&["validate", &web], &variables).ends_with(0);
    let text = said.stderr + &said.stdout + &also.stderr + &also.stdout;
    assert!(text.len() > 10_000, "something was logged");
    for secret in ["SECRETTEST", "Signature=", "QUERYSECRET"] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{line:?}");
    }
    for bytes in server.state().objects.values() {
        assert!(!bytes.windows(8).any(|w| w == b"AKIATEST" || w == b"SECRETTE"));
    }
}

/// Every request of a run fails once: the run goes on and ends well.
#[test]
fn any_request_of_a_run_may_fail_once() {
    let server = Server::start();
    let requests = requests(&server);
    let kinds = [Kind::BusyAfter, Kind::ResetAfter, Kind::Short, Kind::Stall];
    for kind in kinds {
        for from in 1..=requests {
            server.reset();
            server.state().hangs_up = Some(Duration::from_secs(3));
            server.fail(Some(Failing { from, count: 1, kind, but_not_aborts: false }));
            let said = local().run(OUTPUT, &with(&server, "20", Some(kind)), &[]);
            let state = server.state();
            assert_eq!(
                (said.code, state.failed),
                (0, 1),
                "{kind:?} at {from} of {:?}: {}",
                state.requests,
                said.stderr
            );
            assert!(state.uploads.is_empty(), "{kind:?} at {from} of {:?}", state.requests);
            drop(state);
            assert_same_objects(&local().objects, &stored(&server));
        }
    }
    println!("a run of {requests} requests × {} kinds of failure, once", kinds.len());
}

/// The store fails from some request on for ever: the run says that trying again is right, and it is.
#[test]
fn a_run_whose_store_goes_away_can_be_made_again() {
    let server = Server::start();
    let requests = requests(&server);
    // Where it still ends uploads, none is left.
    let kinds = [(Kind::Busy, true), (Kind::ResetAfter, true), (Kind::Stall, false)];
    for (kind, but_not_aborts) in kinds {
        for from in 1..=requests {
            server.reset();
            server.state().hangs_up = Some(Duration::from_secs(3));
            server.fail(Some(Failing { from, count: usize::MAX, kind, but_not_aborts }));
            let said = local().run(OUTPUT, &with(&server, "0.05", Some(kind)), &[]);
            {
                let state = server.state();
                let what = || format!("{kind:?} from {from} of {:?}: {}", state.requests, said.stderr);
                assert_eq!(said.code, 75, "{}", what());
                assert!(!but_not_aborts || state.uploads.is_empty(), "{}", what());
            }
            assert_whole(&stored(&server), &format!("{kind:?} from {from}"));
            server.fail(None);
            local().run(OUTPUT, &with(&server, "20", None), &[]).ends_with(0);
            server.state().objects.retain(|name, _| !name.contains(".fieldglow-probe"));
            assert_same_objects(&local().objects, &stored(&server));
        }
    }
    println!("a run of {requests} requests × {} kinds of failure, for ever", kinds.len());
}

/// Each object that stands is the one it is to be, and an Item stands only where its files do.
fn assert_whole(objects: &BTreeMap<String, Vec<u8>>, what: &str) {
    let expected = &local().objects;
    for (name, bytes) in objects.iter().filter(|(name, _)| !name.contains(".fieldglow-probe")) {
        assert!(expected.get(name) == Some(bytes), "{what}: {name}");
        if name.ends_with("/item.json") && !name.contains("/scenes/") {
            let item: Value = serde_json::from_slice(bytes).unwrap();
            for asset in item["assets"].as_object().unwrap().values() {
                let file =
                    Path::new(name).parent().unwrap().join(asset["href"].as_str().unwrap().trim_start_matches("./"));
                assert!(objects.contains_key(file.to_str().unwrap()), "{what}: {}", file.display());
            }
        }
    }
}
