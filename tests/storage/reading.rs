//! Deliveries in object storage and on a web server: the same products as from a folder, few bytes for metadata, and never
//! a wrong pixel, whatever fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::delivery::{Delivery, MULTISPECTRAL, Tiny, UNIT_N, UNIT_R, farm, finished, native, ortho, product};
use crate::harness::{Desk, Said, assert_same_objects, copy, tree};
use crate::server::{BUCKET, Failing, Kind, Server};

/// The program in a desk's folder, with these variables and none of the machine's that lead to a store.
pub fn fieldglow(desk: &Desk, args: &[&str], variables: &[(String, String)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldglow"));
    for (name, _) in std::env::vars() {
        if ["AWS_", "GOOGLE_", "AZURE_", "FIELDGLOW_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let variables = variables.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let output =
        command.args(args).current_dir(desk.path("")).env("HOME", desk.path("home")).envs(variables).output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The way to a server, with short pauses and this patience.
fn with(server: &Server, patience: &str) -> Vec<(String, String)> {
    let settings =
        [("FIELDGLOW_STORE_TIMEOUT", "30"), ("FIELDGLOW_STORE_PAUSE", "0.005"), ("FIELDGLOW_STORE_PATIENCE", patience)];
    server.environment().into_iter().chain(settings.map(|(k, v)| (k.to_owned(), v.to_owned()))).collect()
}

/// Puts files into the bucket.
fn put(server: &Server, prefix: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let mut state = server.state();
    state.objects.extend(files.into_iter().map(|(name, bytes)| (format!("{prefix}{name}"), bytes)));
}

fn zip(files: &BTreeMap<String, Vec<u8>>, method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name, zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn tar(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// Runs over these, which are one scene, in a desk of its own; nothing stays in the scratch folder.
#[track_caller]
fn makes_what_the_folder_makes(server: &Server, scenes: &[&str]) {
    let desk = Desk::new();
    fs::create_dir(desk.path("scratch")).unwrap();
    desk.write("pipeline.toml", farm());
    let args = [&["run", "pipeline.toml", "--output", "out", "--scratch", "scratch", "--json"], scenes].concat();
    let said = fieldglow(&desk, &args, &with(server, "20")).ends_with(0);
    let report = said.json();
    assert_eq!(report["scenes"].as_array().unwrap().len(), 1, "{scenes:?}");
    assert!(report["scenes"][0]["unpacked_bytes"].as_u64().unwrap() > 100_000, "{report}");
    assert!(fs::read_dir(desk.path("scratch")).unwrap().next().is_none());
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
}

/// A file of the L1 delivery below `in/l1`, as it is named in the bucket.
fn l1(ending: &str) -> String {
    let file = Delivery::L1.file(ending);
    format!("in/l1/{}", file.strip_prefix(Delivery::L1.folder()).unwrap().display())
}

#[test]
fn what_a_url_names_makes_what_the_folder_makes() {
    let server = Server::start();
    let files = tree(&Delivery::L1.folder());
    put(&server, "in/l1/", files.clone());
    // A bystander, and the empty objects that some tools write for folders.
    put(&server, "", ["in/", "in/l1/", "in/other/"].map(|name| (name.to_owned(), Vec::new())));
    put(&server, "in/other/", [("holiday.tif".to_owned(), b"no image".to_vec())]);
    let (mss, pan) = (l1("_MSS.tif"), l1("_PAN.tif"));
    let folder_of = |name: &str| name.rsplit_once('/').unwrap().0.to_owned();
    for scheme in ["s3", "gs"] {
        makes_what_the_folder_makes(&server, &[&format!("{scheme}://{BUCKET}/in/l1/")]);
    }
    let bucket = format!("s3://{BUCKET}");
    makes_what_the_folder_makes(&server, &[&format!("{bucket}/in/l1")]);
    makes_what_the_folder_makes(&server, &[&format!("{bucket}/{}/", folder_of(&mss))]);
    makes_what_the_folder_makes(&server, &[&format!("{bucket}/{mss}")]);
    makes_what_the_folder_makes(&server, &[&format!("{bucket}/{}", l1("_PAN_meta.xml")), &format!("{bucket}/{pan}")]);
    let web = format!("{}/{BUCKET}", server.url());
    makes_what_the_folder_makes(&server, &[&format!("{web}/{mss}?token=hush")]);
    makes_what_the_folder_makes(&server, &[&format!("{web}/{pan}"), &format!("{web}/{mss}")]);
    // One part here and one there.
    let desk = Desk::new();
    copy(Delivery::L1.file("_PAN.tif").parent().unwrap(), &desk.path("pan"));
    put(
        &server,
        "mss/",
        files
            .into_iter()
            .filter(|(name, _)| name.contains("_MSS/"))
            .map(|(n, b)| (n.rsplit('/').next().unwrap().to_owned(), b)),
    );
    let image = mss.rsplit('/').next().unwrap();
    makes_what_the_folder_makes(&server, &[desk.path("pan").to_str().unwrap(), &format!("{web}/mss/{image}")]);
}

#[test]
fn archives_are_read_where_they_stand() {
    let server = Server::start();
    let files = tree(&Delivery::L1.folder());
    put(
        &server,
        "",
        [
            ("a.zip".to_owned(), zip(&files, zip::CompressionMethod::Stored)),
            ("b c/影像.zip".to_owned(), zip(&files, zip::CompressionMethod::Deflated)),
            ("a.tar".to_owned(), tar(&files)),
            ("a.tar.gz".to_owned(), gz(&tar(&files))),
        ],
    );
    let web = format!("{}/{BUCKET}", server.url());
    makes_what_the_folder_makes(&server, &[&format!("s3://{BUCKET}/a.zip")]);
    makes_what_the_folder_makes(&server, &[&format!("s3://{BUCKET}/b c/影像.zip")]);
    makes_what_the_folder_makes(&server, &[&format!("gs://{BUCKET}/a.tar")]);
    makes_what_the_folder_makes(&server, &[&format!("{web}/a.tar.gz?sig=hush")]);
    // The other part's archive is found by its name.
    for part in ["PAN", "MSS"] {
        let of_part: BTreeMap<_, _> = files
            .iter()
            .filter(|(n, _)| n.contains(&format!("_{part}/")))
            .map(|(n, b)| (n.clone(), b.clone()))
            .collect();
        let name = format!("parts/{}_{part}.zip", Delivery::L1.id());
        put(&server, "", [(name, zip(&of_part, zip::CompressionMethod::Deflated))]);
    }
    makes_what_the_folder_makes(&server, &[&format!("{web}/parts/{}_MSS.zip", Delivery::L1.id())]);
}

/// A scene of noise, described by a sidecar, and what a local run makes of it.
pub struct Noise {
    pub files: BTreeMap<String, Vec<u8>>,
    pub expected: BTreeMap<String, Vec<u8>>,
}

impl Noise {
    fn new(edge: usize) -> Self {
        let desk = Desk::new();
        let plane = |seed: u32| -> Vec<u16> {
            (0..(edge * edge) as u32).map(|k| ((k ^ seed).wrapping_mul(2_654_435_761) >> 16) as u16 | 1).collect()
        };
        Tiny::new(&desk, (edge, edge), &[plane(1), plane(2)], "fill = 0", &[UNIT_R, UNIT_N]);
        desk.write("pipeline.toml", pipeline());
        desk.fieldglow(["run", "pipeline.toml", "tiny", "--output", "out"]).ends_with(0);
        Self { files: tree(&desk.path("tiny")), expected: tree(&desk.path("out")) }
    }

    /// An image of 27 MB, which takes several ranges.
    pub fn large() -> &'static Self {
        static NOISE: OnceLock<Noise> = OnceLock::new();
        NOISE.get_or_init(|| Self::new(2600))
    }

    /// One of 360 kB, of which the header is a part.
    fn small() -> &'static Self {
        static NOISE: OnceLock<Noise> = OnceLock::new();
        NOISE.get_or_init(|| Self::new(300))
    }

    /// Puts it into the bucket, as a folder and as an archive.
    fn on(&self, server: &Server) {
        put(server, "tiny/", self.files.clone());
        put(server, "", [("tiny.zip".to_owned(), self.zipped())]);
    }

    /// The archive.
    pub fn zipped(&self) -> Vec<u8> {
        zip(&self.files, zip::CompressionMethod::Stored)
    }
}

fn pipeline() -> String {
    native("dn", &product("red", "kind = \"bands\"\nbands = [\"R\"]"))
}

/// A run over a URL, into `out` on a fresh desk.
pub fn run(desk: &Desk, url: &str, variables: &[(String, String)]) -> Said {
    desk.write("pipeline.toml", pipeline());
    let _ = fs::remove_dir_all(desk.path("out"));
    fieldglow(desk, &["run", "pipeline.toml", url, "--output", "out", "--scratch", ".", "--json"], variables)
}

/// The URLs of the scene of noise.
fn urls(server: &Server) -> [String; 4] {
    let web = format!("{}/{BUCKET}", server.url());
    [
        format!("s3://{BUCKET}/tiny/"),
        format!("s3://{BUCKET}/tiny/scene.toml"),
        format!("{web}/tiny/scene.toml"),
        format!("{web}/tiny.zip"),
    ]
}

#[test]
fn sidecars_name_what_is_fetched_and_inspect_and_plan_say_what_they_say_of_the_folder() {
    let server = Server::start();
    Noise::large().on(&server);
    let desk = Desk::new();
    for (name, bytes) in &Noise::large().files {
        desk.write(&format!("tiny/{name}"), bytes);
    }
    let variables = with(&server, "20");
    desk.write("pipeline.toml", pipeline());
    let ask = |scene: &str| -> (Value, Value, usize) {
        server.fail(None);
        server.state().sent = 0;
        let inspect = fieldglow(&desk, &["inspect", scene, "--json"], &variables).ends_with(0).json();
        let sent = server.state().sent;
        let plan = fieldglow(&desk, &["plan", "pipeline.toml", scene, "--json"], &variables).ends_with(0).json();
        (inspect, plan, sent)
    };
    let (mut inspected, planned, _) = ask("tiny");
    for url in urls(&server) {
        let (inspect, plan, sent) = ask(&url);
        let file = inspect[0]["parts"][0]["bands"][0]["file"].as_str().unwrap().to_owned();
        assert!(file.starts_with(url.trim_end_matches("scene.toml")) && file.ends_with("/a.tif"), "{file}");
        for band in 0..2 {
            inspected[0]["parts"][0]["bands"][band]["file"] = file.clone().into();
        }
        // Bytes on their way take memory; all else is the same.
        let mut expected = planned.clone();
        for memory in ["smallest_memory_bytes", "peak_reserved_bytes"] {
            let [local, remote] = [&planned, &plan].map(|plan| plan[0][memory].as_u64().unwrap());
            assert!((local..=local + (40 << 20)).contains(&remote), "{url} {memory}: {local} {remote}");
            expected[0][memory] = remote.into();
        }
        assert_eq!((inspect, plan), (inspected.clone(), expected));
        assert!(sent < 300_000, "{url}: {sent} bytes of 27 million");
        println!("inspect {url}: {sent} bytes");
        run(&desk, &url, &variables).ends_with(0);
        assert_same_objects(&Noise::large().expected, &tree(&desk.path("out")));
    }
}

/// What stands already is not fetched again, and of a few cells what they need.
#[test]
fn no_more_is_fetched_than_is_needed() {
    let (server, desk) = (Server::start(), Desk::new());
    Noise::large().on(&server);
    let variables = with(&server, "20");
    let whole = Noise::large().files["a.tif"].len();
    for url in urls(&server).iter().take(3) {
        server.state().sent = 0;
        let first = run(&desk, url, &variables).ends_with(0).json();
        assert_eq!(first["scenes"][0]["unpacked_bytes"], first["totals"]["unpacked_bytes"]);
        let fetched = first["totals"]["unpacked_bytes"].as_u64().unwrap() as usize;
        // The digest's share comes by itself.
        assert!((whole..=whole + (1 << 20)).contains(&fetched), "{fetched} of {whole}");
        assert!(server.state().sent < whole + 2_000_000);
        server.state().sent = 0;
        let args = ["run", "pipeline.toml", url, "--output", "out", "--scratch", ".", "--json"];
        let again = fieldglow(&desk, &args, &variables).ends_with(0).json();
        assert_eq!(again["totals"]["unpacked_bytes"], 1 << 20, "{url}");
        assert!(again["totals"]["cells_unchanged"].as_u64().unwrap() > 0 && server.state().sent < 2_000_000);
        assert_same_objects(&Noise::large().expected, &tree(&desk.path("out")));
    }
    // An image of cells above each other, of which the last is asked for, with nothing that needs a look at all of it.
    let text = format!("{}\n[output]\npictures = false\n", pipeline());
    let (rows, cols) = (9_000, 900);
    let plane = |k: u32| (0..(rows * cols) as u32).map(|i| (i.wrapping_mul(k) >> 9) as u16 | 1).collect::<Vec<_>>();
    let tall = Tiny::new(&desk, (rows, cols), &[plane(77_777), plane(99_999)], "fill = 0", &[UNIT_R, UNIT_N]);
    put(&server, "tall/", tree(&tall.folder));
    let local = desk.run_to("local", &text, &[&tall.folder], &["--json"]).ends_with(0).json();
    let cells = local["scenes"][0]["cells_written"].as_array().unwrap();
    assert_eq!(cells.len(), 3);
    let url = format!("s3://{BUCKET}/tall/");
    let last = cells[2].as_str().unwrap();
    let args = ["run", "pipeline.toml", &url, "--output", "one", "--scratch", ".", "--cells", last, "--json"];
    let one = fieldglow(&desk, &args, &variables).ends_with(0).json();
    let fetched = one["totals"]["unpacked_bytes"].as_u64().unwrap() as usize;
    assert!(fetched < rows * cols * 4 / 2, "{fetched}");
    let (all, one) = (tree(&desk.path("local")), tree(&desk.path("one")));
    let images: Vec<_> = one.iter().filter(|(name, _)| name.ends_with(".tif")).collect();
    assert!(!images.is_empty() && images.iter().all(|(name, bytes)| all[*name] == **bytes));
}

/// Every request of a run fails once, in one of four ways: it goes on and ends well.
#[test]
fn any_request_for_a_delivery_may_fail_once() {
    let (server, desk) = (Server::start(), Desk::new());
    let [folder, sidecar, on_web, archive] = urls(&server);
    let (large, small) = (Noise::large(), Noise::small());
    for (noise, url) in [(large, folder), (large, archive), (small, sidecar), (small, on_web)] {
        noise.on(&server);
        server.fail(None);
        run(&desk, &url, &with(&server, "20")).ends_with(0);
        let requests = server.state().requests.len();
        for (from, kind) in
            (1..=requests).zip([Kind::Busy, Kind::ResetAfter, Kind::Short, Kind::Fewer].into_iter().cycle())
        {
            server.fail(Some(Failing { from, count: 1, kind, but_not_aborts: false }));
            let said = run(&desk, &url, &with(&server, "20"));
            assert_eq!(said.code, 0, "{url} {kind:?} at {from}: {}", said.stderr);
            assert_eq!(server.state().failed, 1);
            assert_same_objects(&noise.expected, &tree(&desk.path("out")));
        }
        println!("{url}: each of {requests} requests failed once");
    }
}

/// The store fails from some request on: trying again is right, and nothing wrong was made.
#[test]
fn a_store_that_goes_away_ends_a_run_so_that_it_can_be_made_again() {
    let (server, desk) = (Server::start(), Desk::new());
    Noise::small().on(&server);
    let short = with(&server, "0.05");
    for url in urls(&server) {
        server.fail(None);
        run(&desk, &url, &short).ends_with(0);
        let requests = server.state().requests.len();
        for (kind, from) in (1..=requests).map(|from| (Kind::Busy, from)).chain([(Kind::Fewer, requests)]) {
            server.fail(Some(Failing { from, count: usize::MAX, kind, but_not_aborts: false }));
            run(&desk, &url, &short).ends_with(75).says(&["failed, also when it was tried again"]);
            assert!(tree(&desk.path("out")).keys().all(|name| !name.ends_with(".tif")), "{url} {kind:?} from {from}");
        }
        for command in [&["inspect", &url][..], &["plan", "pipeline.toml", &url]] {
            server.fail(Some(Failing { from: 2, count: usize::MAX, kind: Kind::Busy, but_not_aborts: false }));
            fieldglow(&desk, command, &short).ends_with(75);
        }
    }
}

/// An object that becomes another one at any request: the products of the old one or of the new one, or an error that says
/// so, and never of both.
#[test]
fn an_object_that_changes_is_noticed() {
    let (server, desk) = (Server::start(), Desk::new());
    Noise::small().on(&server);
    let variables = with(&server, "20");
    let mut image = Noise::small().files["a.tif"].clone();
    image[200_000] ^= 1;
    let mut files = Noise::small().files.clone();
    files.insert("a.tif".into(), image.clone());
    let archive = zip(&files, zip::CompressionMethod::Stored);
    put(&server, "tiny/", [("a.tif".to_owned(), image.clone())]);
    run(&desk, &urls(&server)[0], &variables).ends_with(0);
    let changed = tree(&desk.path("out"));
    assert!(changed != Noise::small().expected);
    for url in urls(&server) {
        let new = if url.ends_with(".zip") { ("tiny.zip", archive.clone()) } else { ("tiny/a.tif", image.clone()) };
        Noise::small().on(&server);
        server.fail(None);
        run(&desk, &url, &variables).ends_with(0);
        let requests = server.state().requests.len();
        let mut noticed = 0;
        for at in 1..=requests {
            Noise::small().on(&server);
            server.fail(None);
            server.state().change = Some((at, new.0.to_owned(), new.1.clone()));
            let said = run(&desk, &url, &variables);
            match said.code {
                0 => {
                    let made = tree(&desk.path("out"));
                    let is_whole = made == Noise::small().expected || made == changed;
                    assert!(is_whole, "{url} at {at}: products of both");
                }
                75 => {
                    noticed += 1;
                    said.says(&["changed while it was read", new.0, "another version"]);
                }
                code => panic!("{url} at {at}: {code}: {}", said.stderr),
            }
        }
        assert!(noticed > 0, "{url}");
        println!("{url}: noticed at {noticed} of {requests} requests");
    }
}

#[test]
fn what_is_not_there_or_not_ours_is_said_with_its_url_and_no_secret() {
    let (server, desk) = (Server::start(), Desk::new());
    Noise::small().on(&server);
    let variables = with(&server, "0.1");
    let web = format!("{}/{BUCKET}", server.url());
    let refused = |url: &str, code: i32, says: &[&str]| {
        for command in ["run", "inspect"] {
            let said = match command {
                "run" => run(&desk, url, &variables),
                _ => fieldglow(&desk, &["inspect", url], &variables),
            };
            let said = said.ends_with(code).says(says);
            for secret in ["hush", "SECRETTEST", "AKIATEST", "QUOTED"] {
                assert!(!said.stderr.contains(secret) && !said.stdout.contains(secret), "{}", said.stderr);
            }
        }
    };
    let bucket = format!("s3://{BUCKET}");
    refused(&format!("{bucket}/nowhere/"), 3, &["nothing at `s3://tiles/nowhere/`", "check the name"]);
    refused(&format!("{bucket}/nowhere/a.tif"), 3, &["nothing at `s3://tiles/nowhere/a.tif`"]);
    refused(&format!("{bucket}/nowhere.zip"), 3, &["nothing at `s3://tiles/nowhere.zip`"]);
    refused(&format!("{web}/nowhere.tar.gz?sig=hush"), 3, &["nothing at", "/tiles/nowhere.tar.gz`"]);
    refused(&format!("{web}/nowhere/scene.toml?sig=hush"), 3, &["nothing at", "/tiles/nowhere/scene.toml`"]);
    refused(&web.replace("http://", "http://user:hush@"), 3, &["cannot be listed", "name the scene's images"]);
    refused(&format!("{bucket}/tiny/item.json"), 3, &["a STAC Item by its URL", "name the folder"]);
    refused("s3://elsewhere/x/", 3, &["reading `s3://elsewhere/x`", "NoSuchBucket", "credentials"]);
    refused("http://127.0.0.1:1/a.zip?sig=hush", 75, &["reading `http://127.0.0.1:1/a.zip`", "cannot be reached"]);
    refused("ftp://host/a.zip?sig=hush", 1, &["scenes are read from", "`ftp://host/a.zip`"]);
    refused("s3:///a.zip", 1, &["scenes are read from", "with a bucket"]);
    put(&server, "", [("empty.zip".into(), Vec::new()), ("empty/scene.toml".into(), Vec::new())]);
    refused(&format!("{bucket}/empty.zip"), 3, &["cut off or damaged", "empty.zip"]);
    refused(&format!("{bucket}/empty/"), 3, &["scene.toml"]);
    server.state().ignores_ranges = true;
    refused(&format!("{web}/tiny.zip"), 3, &["gives no parts of a file", "download it"]);
    server.state().ignores_ranges = false;
    for (status, code) in [(403, "AccessDenied"), (401, "Unauthorized"), (404, "NoSuchBucket")] {
        server.state().refusal = Some((status, code.into()));
        for url in [format!("{bucket}/tiny/"), format!("{bucket}/tiny/a.tif"), format!("{web}/tiny.zip?sig=hush")] {
            refused(&url, 3, &["reading `", &status.to_string(), "permissions"]);
        }
    }
}

/// Heights and a reference by their URLs: the products of the local files, under the same key; and whose fault it is when
/// they cannot be had.
#[test]
fn files_that_a_pipeline_names_may_be_urls() {
    let (server, desk) = (Server::start(), Desk::new());
    let dem = Delivery::L1.folder().join("dem.tif");
    let reference = tree(finished()).into_keys().find(|name| name.ends_with("/reflectance.tif")).unwrap();
    let reference = finished().join(reference);
    put(&server, "of all/", [("dem.tif".to_owned(), fs::read(&dem).unwrap())]);
    put(&server, "", [("old.tif".to_owned(), fs::read(&reference).unwrap())]);
    let variables = with(&server, "0.2");
    fs::create_dir(desk.path("scratch")).unwrap();
    let make = |dem: &str, reference: &str, out: &str| -> Said {
        let text = ortho(MULTISPECTRAL).replace(Delivery::L1.folder().join("dem.tif").to_str().unwrap(), dem);
        let section = format!("[coregistration]\nreference = '{reference}'\non_weak = \"skip\"\n");
        desk.write("pipeline.toml", text + &section);
        let delivery = Delivery::L1.folder();
        let scene = delivery.to_str().unwrap();
        fieldglow(
            &desk,
            &["run", "pipeline.toml", scene, "--output", out, "--scratch", "scratch", "--json"],
            &variables,
        )
    };
    let (local, old) = (dem.to_str().unwrap(), reference.to_str().unwrap());
    make(local, old, "here").ends_with(0);
    let expected = tree(&desk.path("here"));
    assert!(expected.values().any(|bytes| String::from_utf8_lossy(bytes).contains("coregistration")));
    let web = format!("{}/{BUCKET}", server.url());
    for (dem, reference, out) in [
        (&*format!("s3://{BUCKET}/of all/dem.tif"), &*format!("{web}/old.tif?sig=hush"), "there"),
        (&*format!("{web}/of%20all/dem.tif"), old, "web"),
    ] {
        make(dem, reference, out).ends_with(0);
        assert_same_objects(&expected, &tree(&desk.path(out)));
        assert!(fs::read_dir(desk.path("scratch")).unwrap().next().is_none());
        let again = make(dem, reference, out).ends_with(0).json();
        assert_eq!(again["totals"]["cells_written"], 0, "{again}");
    }
    let absent = make(&format!("s3://{BUCKET}/no.tif"), old, "none").ends_with(1);
    absent.says(&["`geometry.height.dem`", "nothing at `s3://tiles/no.tif`", "check the name"]);
    let absent = make(local, &format!("{web}/no.tif?sig=hush"), "none").ends_with(1);
    assert!(!absent.stderr.contains("hush"), "{}", absent.stderr);
    absent.says(&["`coregistration.reference`", "nothing at"]);
    make("s3://tiles/dems/", old, "none").ends_with(1).says(&["geometry.height.dem", "names no file"]);
    make(&format!("{web}/a%2F..%2F..%2Fdem.tif"), old, "none").ends_with(1).says(&["refused for its object"]);
    server.fail(Some(Failing { from: 1, count: usize::MAX, kind: Kind::Busy, but_not_aborts: false }));
    let busy = make(&format!("s3://{BUCKET}/of all/dem.tif"), old, "none").ends_with(75);
    busy.says(&["`geometry.height.dem`", "failed, also when it was tried again"]);
    assert!(!desk.path("none").exists() || tree(&desk.path("none")).is_empty());
}

#[test]
fn lists_of_scenes_have_urls_and_shards_take_their_own() {
    let (server, desk) = (Server::start(), Desk::new());
    Noise::small().on(&server);
    let text = String::from_utf8(Noise::small().files["scene.toml"].clone()).unwrap();
    for k in 0..6 {
        let text = text.replace("\"tiny\"", &format!("\"tiny-{k}\""));
        put(
            &server,
            &format!("many/{k}/"),
            [("scene.toml".into(), text.into()), ("a.tif".into(), Noise::small().files["a.tif"].clone())],
        );
    }
    let list: String = (0..6).map(|k| format!("s3://{BUCKET}/many/{k}/scene.toml\n")).collect();
    desk.write("list.txt", list);
    let variables = with(&server, "20");
    let ids = |args: &[&str]| -> Vec<String> {
        let said = fieldglow(&desk, args, &variables).ends_with(0).json();
        said.as_array().unwrap().iter().map(|s| s["id"].as_str().or(s["scene"].as_str()).unwrap().to_owned()).collect()
    };
    let all: Vec<String> = (0..6).map(|k| format!("tiny-{k}")).collect();
    assert_eq!(ids(&["inspect", "--json", "@list.txt"]), all);
    assert_eq!(ids(&["inspect", "--json", &format!("s3://{BUCKET}/many")]), all);
    desk.write("pipeline.toml", pipeline());
    let mut both = Vec::new();
    for shard in ["1/2", "2/2"] {
        both.extend(ids(&["plan", "pipeline.toml", "@list.txt", "--json", "--shard", shard]));
    }
    both.sort();
    assert_eq!(both, all);
}

#[test]
fn names_that_no_file_can_have_are_refused() {
    let (server, desk) = (Server::start(), Desk::new());
    let variables = with(&server, "1");
    for name in [
        "a\\b.txt",
        "../a.txt",
        "a/../../b.txt",
        "/etc/passwd",
        "a//b.txt",
        "C:x.txt",
        "a\u{7f}b.txt",
        "./a.txt",
        &"a".repeat(300),
        &"a/".repeat(20),
    ] {
        server.reset();
        Noise::small().on(&server);
        put(&server, "tiny/", [(format!("{name}x"), b"x".to_vec())]);
        let said = fieldglow(&desk, &["inspect", &format!("s3://{BUCKET}/tiny/"), "--scratch", "."], &variables);
        said.ends_with(3).says(&["s3://tiles/tiny"]);
        assert!(!Path::new("/etc/passwdx").exists());
        let left: Vec<_> = tree(&desk.path("")).into_keys().collect();
        assert!(left.is_empty(), "{left:?}");
    }
    // Many strangers beside a scene are none of its business.
    server.reset();
    Noise::small().on(&server);
    put(&server, "tiny/", (0..2000).map(|k| (format!("notes/{k}.txt"), b"x".to_vec())));
    let url = format!("s3://{BUCKET}/tiny/");
    fieldglow(&desk, &["inspect", &url], &variables).ends_with(0);
    let asked =
        server.state().requests.iter().filter(|r| r.contains("notes/")).filter(|r| !r.contains("list-type")).count();
    assert_eq!(asked, 0);
}
