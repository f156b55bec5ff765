//! Deliveries in archives: the same products as from their folders, and what archives from strangers must not do.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use serde_json::{Value, json};

use crate::delivery::{Delivery, MULTISPECTRAL, Tiny, UNIT_R, farm, finished, native, ortho, product};
use crate::harness::{Desk, assert_same_objects, tree};

/// A member of a ZIP file as it is written: sizes, flags and type may lie.
#[derive(Clone)]
struct Raw {
    name: Vec<u8>,
    packed: Vec<u8>,
    size: u32,
    crc: u32,
    method: u16,
    flags: u16,
    mode: u32,
    /// Position of its header, if not its own.
    at: Option<u32>,
}

impl Raw {
    fn stored(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let (mut crc, content) = (Crc::new(), content.as_ref());
        crc.update(content);
        Self {
            name: name.as_ref().into(),
            packed: content.into(),
            size: content.len() as u32,
            crc: crc.sum(),
            method: 0,
            flags: 0,
            mode: 0o100_644,
            at: None,
        }
    }

    fn deflated(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
        packer.write_all(content.as_ref()).unwrap();
        Self { packed: packer.finish().unwrap(), method: 8, ..Self::stored(name, content) }
    }
}

/// APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
fn zip(members: &[Raw]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for m in members {
        let at = m.at.unwrap_or(file.len() as u32);
        let mut common = Vec::new();
        for number in [20, m.flags, m.method, 0, 0x5921] {
            common.extend(u16::to_le_bytes(number));
        }
        for number in [m.crc, m.packed.len() as u32, m.size] {
            common.extend(u32::to_le_bytes(number));
        }
        common.extend(u16::to_le_bytes(m.name.len() as u16));
        common.extend([0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(&m.name);
        file.extend(&m.packed);
        // Made by Unix.
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend(u32::to_le_bytes(m.mode << 16));
        directory.extend(u32::to_le_bytes(at));
        directory.extend(&m.name);
    }
    let (start, length, count) = (file.len() as u32, directory.len() as u32, members.len() as u16);
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    file.extend([length.to_le_bytes(), start.to_le_bytes()].concat());
    file.extend([0, 0]);
    file
}

fn tar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = ::tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

/// The files of a folder under `top`, those whose names hold `only`.
fn members(folder: &Path, top: &str, only: &str) -> Vec<(String, Vec<u8>)> {
    tree(folder).into_iter().filter(|(n, _)| n.contains(only)).map(|(n, b)| (format!("{top}{n}"), b)).collect()
}

fn zipped(members: &[(String, Vec<u8>)], pack: fn(String, Vec<u8>) -> Raw) -> Vec<u8> {
    zip(&members.iter().map(|(name, content)| pack(name.clone(), content.clone())).collect::<Vec<_>>())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// Runs over archives with a scratch folder of its own, which must be empty afterwards.
#[track_caller]
fn makes_what_the_folder_makes(archives: &[(&str, Vec<u8>)], named: &[&str]) {
    let desk = Desk::new();
    fs::create_dir(desk.path("scratch")).unwrap();
    for (name, bytes) in archives {
        desk.write(name, bytes);
    }
    let scenes: Vec<&Path> = named.iter().map(Path::new).collect();
    let said = desk.run(&farm(), &scenes, &["--scratch", "scratch", "--json"]).ends_with(0);
    let report = said.json();
    assert_eq!(report["scenes"].as_array().unwrap().len(), 1);
    assert!(report["scenes"][0]["unpacked_bytes"].as_u64().unwrap() > 100_000, "{report}");
    assert!(is_empty(&desk.path("scratch")));
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
}

#[test]
fn every_kind_of_archive_makes_what_its_folder_makes() {
    let l1 = Delivery::L1.folder();
    let (bare, topped) = (members(&l1, "", ""), members(&l1, "a/delivery/", ""));
    makes_what_the_folder_makes(&[("a.zip", zipped(&bare, Raw::stored))], &["a.zip"]);
    makes_what_the_folder_makes(&[("a.ZIP", zipped(&topped, Raw::deflated))], &["*.ZIP"]);
    makes_what_the_folder_makes(&[("吉林.tar", tar(&topped))], &["吉林.tar"]);
    makes_what_the_folder_makes(&[("a.tar.gz", gz(&tar(&bare)))], &["a.tar.gz", "./a.tar.gz"]);
}

#[test]
fn pan_and_mss_in_two_archives_are_one_scene_also_when_one_is_named() {
    let l1 = Delivery::L1.folder();
    let (pan, mss) = (format!("{}_PAN", Delivery::L1.id()), format!("{}_MSS", Delivery::L1.id()));
    let flat = |part: &str| -> Vec<(String, Vec<u8>)> {
        let name = |n: String| n.rsplit('/').next().unwrap().to_owned();
        members(&l1, "", part).into_iter().map(|(n, b)| (name(n), b)).collect()
    };
    let both = [
        (&*format!("{pan}.zip"), zipped(&flat("_PAN/"), Raw::deflated)),
        (&*format!("{mss}.zip"), zipped(&flat("_MSS/"), Raw::stored)),
    ];
    makes_what_the_folder_makes(&both, &[both[1].0]);
    let both = [("1.tgz", gz(&tar(&flat("_PAN/")))), ("2.tar", tar(&flat("_MSS/")))];
    makes_what_the_folder_makes(&both, &["2.tar", "1.tgz"]);
}

#[test]
fn an_archive_and_a_folder_may_hold_one_part_each() {
    let desk = Desk::new();
    let scene = Delivery::L1.copy_to(&desk, "delivery");
    let mss = members(&scene.folder, "", "_MSS/");
    fs::remove_dir_all(scene.file("_MSS.tif").parent().unwrap()).unwrap();
    let archive = desk.write("mss.zip", zipped(&mss, Raw::stored));
    desk.run(&farm(), &[&scene.folder, &archive], &[]).ends_with(0);
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
}

#[test]
fn inspect_and_plan_say_what_they_say_of_the_folder() {
    let desk = Desk::new();
    let folder = Delivery::L1.folder();
    desk.write("a.zip", zipped(&members(&folder, "top/", ""), Raw::deflated));
    desk.write("a.tar.gz", gz(&tar(&members(&folder, "top/", ""))));
    let plan = desk.plan(&farm(), &folder, &[]);
    for pixels in [&[][..], &["--pixels"]] {
        let inspect = |scene: &str, top: &str| -> Value {
            let args = [&["inspect", scene, "--json", "--scratch", "."], pixels].concat();
            let said = desk.fieldglow(args).ends_with(0);
            serde_json::from_str(&said.stdout.replace(top, "…")).unwrap()
        };
        let expected = inspect(folder.to_str().unwrap(), folder.to_str().unwrap());
        for name in ["a.zip", "a.tar.gz"] {
            let top = desk.path(name).canonicalize().unwrap().join("top");
            assert_eq!(inspect(name, top.to_str().unwrap()), expected);
        }
    }
    for name in ["a.zip", "a.tar.gz"] {
        assert_eq!(desk.plan(&farm(), Path::new(name), &[]), plan);
    }
}

#[test]
fn what_a_sidecar_describes_may_be_in_an_archive_and_takes_its_name() {
    let desk = Desk::new();
    let tiny = Tiny::new(&desk, (3, 5), &[vec![100u16; 15]], "fill = 0", &[UNIT_R]);
    let sidecar = tiny.folder.join("scene.toml");
    let text = fs::read_to_string(&sidecar).unwrap().replace("id = \"tiny\"\n", "").replace("a.tif", "images/影像.tif");
    fs::write(&sidecar, text).unwrap();
    fs::create_dir(tiny.folder.join("images")).unwrap();
    fs::rename(tiny.folder.join("a.tif"), tiny.folder.join("images/影像.tif")).unwrap();
    // The name of the image in GBK, without a flag.
    let mut raw: Vec<Raw> = members(&tiny.folder, "", "").into_iter().map(|(n, b)| Raw::deflated(n, b)).collect();
    for member in &mut raw {
        if member.name.starts_with(b"images") {
            member.name = b"images/\xd3\xb0\xcf\xf1.tif".to_vec();
        }
    }
    desk.write("packed/tiny.zip", zip(&raw));
    let pipeline = native("toa", &product("red", "kind = \"bands\"\nbands = [\"R\"]"));
    desk.run(&pipeline, &[&tiny.folder], &[]).ends_with(0);
    desk.run_to("of-archive", &pipeline, &[Path::new("packed/tiny.zip")], &[]).ends_with(0);
    assert_same_objects(&tree(&desk.path("out")), &tree(&desk.path("of-archive")));
}

#[test]
fn two_scenes_in_one_archive_are_two() {
    let desk = Desk::new();
    let mut both = members(&Delivery::Small.folder(), "small/", "_MSS/");
    both.extend(members(&Delivery::Other.folder(), "other/", "_MSS/"));
    let archive = desk.write("both.tar", tar(&both));
    desk.run(&ortho(MULTISPECTRAL), &[&archive], &[]).ends_with(0);
    desk.run_to("of-folders", &ortho(MULTISPECTRAL), &[&Delivery::Small.folder(), &Delivery::Other.folder()], &[])
        .ends_with(0);
    // The Collection lists the scenes in the order of their names.
    assert_same_objects(&tree(&desk.path("of-folders")), &tree(&desk.path("out")));
}

/// The archive that GNU tar makes, long names and all.
#[test]
fn archives_of_gnu_tar_in_all_its_formats_are_read() {
    let desk = Desk::new();
    let scene = Delivery::Small.copy_to(&desk, &format!("{}/scene", "long".repeat(40)));
    for format in ["gnu", "pax", "ustar", "v7"] {
        // Longer names are beyond the older ones.
        let (from, what) = match format {
            "gnu" | "pax" => (desk.path(""), "long".repeat(40)),
            _ => (scene.file("_MSS.tif").parent().unwrap().to_owned(), ".".into()),
        };
        let archive = desk.path(format!("{format}.tar.gz"));
        let mut tar = Command::new("tar");
        let made =
            tar.arg("-C").arg(from).arg(format!("--format={format}")).arg("-czf").arg(&archive).arg(what).status();
        assert!(made.unwrap().success());
        let shown = desk.fieldglow(["inspect", archive.to_str().unwrap(), "--json"]).ends_with(0).json();
        assert_eq!(shown[0]["id"], json!(Delivery::Small.id()));
    }
}

/// Inspects an archive of the small delivery and further members.
struct Hostile {
    desk: Desk,
    good: Vec<(String, Vec<u8>)>,
}

impl Hostile {
    fn new() -> Self {
        let desk = Desk::new();
        fs::create_dir(desk.path("scratch")).unwrap();
        Self { desk, good: members(&Delivery::Small.folder(), "", "_MSS/") }
    }

    fn raw(&self) -> Vec<Raw> {
        self.good.iter().map(|(n, b)| Raw::deflated(n, b)).collect()
    }

    /// The command ends with 3, names the archive, says this, and leaves nothing behind.
    #[track_caller]
    fn refuses(&self, name: &str, archive: &[u8], says: &[&str]) {
        self.desk.write(name, archive);
        let beside = tree(&self.desk.path(""));
        let run = self.desk.run(&ortho(MULTISPECTRAL), &[Path::new(name)], &["--scratch", "scratch"]);
        run.ends_with(3).says(&[name]).says(says);
        let inspect = self.desk.fieldglow(["inspect", name, "--scratch", "scratch"]);
        let is_of_run_alone = inspect.code == 0;
        assert!(is_of_run_alone || inspect.code == 3);
        assert!(is_empty(&self.desk.path("scratch")));
        let mut now = tree(&self.desk.path(""));
        now.retain(|n, _| n != "pipeline.toml" && !n.starts_with("out/"));
        assert!(now.keys().all(|n| beside.contains_key(n)), "{:?}", now.keys());
        assert!(!self.desk.path("out/farm/collection.json").exists());
    }
}

#[test]
fn the_good_part_of_the_hostile_ones_is_good() {
    let hostile = Hostile::new();
    hostile.desk.write("a.zip", zip(&hostile.raw()));
    hostile.desk.run(&ortho(MULTISPECTRAL), &[Path::new("a.zip")], &[]).ends_with(0);
}

#[test]
fn members_that_lead_elsewhere_or_are_no_files_are_refused() {
    let hostile = Hostile::new();
    for (name, says) in [
        ("../../out.txt", "leads out by `..`"),
        ("a/../../out.txt", "leads out by `..`"),
        ("/tmp/out.txt", "an absolute path"),
        ("C:/out.txt", "a drive letter"),
        ("a\\out.txt", "a backslash"),
        ("a\0out.txt", "a control character"),
    ] {
        let mut raw = hostile.raw();
        raw.push(Raw::stored(name, "x"));
        hostile.refuses("bad.zip", &zip(&raw), &["bad.zip", says, "unpack it yourself"]);
    }
    for (mode, says) in
        [(0o120_777, "a link"), (0o020_644, "neither a file nor a folder"), (0o010_644, "neither a file")]
    {
        let mut raw = hostile.raw();
        raw.push(Raw { mode, ..Raw::stored("etc.txt", "/etc/passwd") });
        hostile.refuses("bad.zip", &zip(&raw), &["etc.txt", says]);
    }
    for (kind, says) in [
        (::tar::EntryType::Symlink, "a link"),
        (::tar::EntryType::Link, "a link"),
        (::tar::EntryType::Char, "neither a file nor a folder"),
        (::tar::EntryType::Block, "neither a file nor a folder"),
        (::tar::EntryType::Fifo, "neither a file nor a folder"),
        (::tar::EntryType::GNUSparse, "a sparse file"),
    ] {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path("etc.txt").unwrap();
        header.set_link_name("/etc/passwd").unwrap();
        header.set_size(0);
        header.as_gnu_mut().unwrap().realsize = *b"00000000000\0";
        header.set_cksum();
        let bad = [header.as_bytes().as_slice(), &tar(&hostile.good)].concat();
        hostile.refuses("bad.tar", &bad, &["etc.txt", says]);
        hostile.refuses("bad.tar.gz", &gz(&bad), &["etc.txt", says]);
    }
    let mut header = ::tar::Header::new_gnu();
    header.as_old_mut().name[..12].copy_from_slice(b"../../escape");
    header.set_size(0);
    header.set_cksum();
    let bad = [header.as_bytes().as_slice(), &tar(&hostile.good)].concat();
    hostile.refuses("bad.tar", &bad, &["../../escape", "leads out by `..`"]);
}

#[test]
fn names_that_are_there_twice_and_members_that_share_bytes_are_refused() {
    let hostile = Hostile::new();
    let raw = hostile.raw();
    for twice in [raw[0].name.clone(), [b"./", raw[0].name.as_slice()].concat()] {
        let mut raw = raw.clone();
        raw.push(Raw::stored(twice, "x"));
        hostile.refuses("bad.zip", &zip(&raw), &["there twice"]);
    }
    let mut raw = raw;
    raw.push(Raw { at: Some(0), name: b"b.txt".to_vec(), ..raw[0].clone() });
    hostile.refuses("bad.zip", &zip(&raw), &["shares bytes with"]);
    let mut good = hostile.good.clone();
    good.push(good[0].clone());
    hostile.refuses("bad.tar", &tar(&good), &["there twice"]);
    let mut good = hostile.good.clone();
    good.push((format!("{}/below", good[0].0), Vec::new()));
    hostile.refuses("bad.tgz", &gz(&tar(&good)), &["there twice"]);
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let hostile = Hostile::new();
    let zeros = vec![0u8; 65 << 20];
    let mut raw = hostile.raw();
    let bomb = Raw::deflated("zeros.txt", &zeros);
    raw.push(bomb.clone());
    hostile.refuses("bad.zip", &zip(&raw), &["68157440 bytes unpacked", "zeros.txt", "limit of"]);
    // One that says it is small, as metadata and as the image of the scene.
    let liar = |name: &[u8]| Raw { size: 1000, name: name.into(), ..bomb.clone() };
    *raw.last_mut().unwrap() = liar(b"zeros.txt");
    hostile.refuses("bad.zip", &zip(&raw), &["`zeros.txt`", "larger than its declared"]);
    raw.pop();
    let image = raw.iter_mut().find(|m| m.name.ends_with(b".tif")).unwrap();
    *image = liar(&image.name);
    hostile.refuses("bad.zip", &zip(&raw), &["_MSS.tif`", "larger than its declared"]);
    let mut good = hostile.good.clone();
    good.push(("zeros.txt".into(), zeros));
    hostile.refuses("bad.tgz", &gz(&tar(&good)), &["bytes unpacked", "zeros.txt", "limit of"]);
    // A long name without end, which readers hold in memory.
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(::tar::EntryType::GNULongName);
    header.set_path("././@LongLink").unwrap();
    header.set_size(20 << 20);
    header.set_cksum();
    let bad = [header.as_bytes().as_slice(), &vec![b'a'; 20 << 20], &tar(&hostile.good)].concat();
    hostile.refuses("bad.tgz", &gz(&bad), &["bytes of headers", "limit of 1048576"]);
    let many: Vec<_> = (0..10_001).map(|k| Raw::stored(format!("{k}.jpg"), "")).collect();
    hostile.refuses("bad.zip", &zip(&many), &["10001 members", "limit of 10000"]);
    let deep = Raw::stored("a/".repeat(20) + "b.txt", "");
    hostile.refuses("bad.zip", &zip(&[deep]), &["folders in each other"]);
}

#[test]
fn encrypted_and_strangely_packed_members_are_refused() {
    let hostile = Hostile::new();
    let mut raw = hostile.raw();
    raw[1].flags |= 1;
    hostile.refuses("bad.zip", &zip(&raw), &["encrypted", "unpack it yourself"]);
    let mut raw = hostile.raw();
    raw[1].method = 12;
    hostile.refuses("bad.zip", &zip(&raw), &["packed by the method", "unpack it yourself"]);
}

#[test]
fn damaged_and_cut_off_archives_are_refused_wherever_they_end() {
    let hostile = Hostile::new();
    let (whole, plain) = (zip(&hostile.raw()), tar(&hostile.good));
    let packed = gz(&plain);
    for part in 0..8 {
        hostile.refuses("bad.zip", &whole[..whole.len() * part / 8], &["cut off or damaged", "fetch it again"]);
        hostile.refuses("bad.tgz", &packed[..packed.len() * part / 8], &["cut off or damaged", "fetch it again"]);
        hostile.refuses(
            "bad.tar",
            &plain[..(plain.len() - 1024) * part / 8],
            &["cut off or damaged", "fetch it again"],
        );
    }
    // Whole members, no end mark.
    hostile.refuses("bad.tar", &plain[..plain.len() - 1024], &["without an end mark"]);
    hostile.refuses("bad.tgz", &gz(&plain[..plain.len() - 1024]), &["without an end mark"]);
    hostile.refuses("bad.tgz", &packed[..packed.len() - 4], &["cut off or damaged"]);
    for raw in [Raw::stored, Raw::deflated] {
        // Of the image, a byte amid its pixels: only who reads them all can know.
        let mut members: Vec<_> = hostile.good.iter().map(|(n, b)| raw(n, b)).collect();
        let image = members.iter_mut().find(|m| m.name.ends_with(b".tif")).unwrap();
        image.crc ^= 1;
        hostile.refuses("bad.zip", &zip(&members), &["cut off or damaged", "hecksum"]);
    }
    // An image whose directory lies nowhere is left to GDAL, whole.
    let mut good = hostile.good.clone();
    good.iter_mut().filter(|(n, _)| n.ends_with(".tif")).for_each(|(_, b)| b[4..8].copy_from_slice(&[0xff; 4]));
    for (name, bytes) in [("bad.tgz", gz(&tar(&good))), ("bad.zip", zipped(&good, Raw::stored))] {
        hostile.refuses(name, &bytes, &["opening the image", "_MSS.tif"]);
    }
    let mut shorter = hostile.raw();
    shorter.iter_mut().for_each(|m| m.size += 1);
    hostile.refuses("bad.zip", &zip(&shorter), &["shorter than it declares"]);
    hostile.refuses("bad.zip", b"", &["cut off or damaged"]);
    hostile.refuses("bad.zip", &plain, &["cut off or damaged"]);
}

#[test]
fn archives_in_archives_and_in_folders_are_not_opened_and_it_is_said() {
    let hostile = Hostile::new();
    let inner = zip(&hostile.raw());
    hostile.refuses("outer.zip", &zip(&[Raw::stored("inner.zip", &inner)]), &["archives in archives are not opened"]);
    hostile.desk.write("folder/a.zip", inner);
    hostile.desk.fieldglow(["inspect", "folder"]).ends_with(3).says(&["1 archives", "named themselves"]);
}

#[test]
fn a_scene_that_fails_leaves_nothing_and_the_next_one_is_made() {
    let desk = Desk::new();
    fs::create_dir(desk.path("scratch")).unwrap();
    let scene = Delivery::Other.copy_to(&desk, "other");
    scene.edit("MSS", "<AbsCalibrationGain>", "<NoGain>");
    scene.edit("MSS", "</AbsCalibrationGain>", "</NoGain>");
    let bad = desk.write("1.zip", zipped(&members(&scene.folder, "", "_MSS/"), Raw::deflated));
    let good = desk.write("2.zip", zipped(&members(&Delivery::Small.folder(), "", "_MSS/"), Raw::deflated));
    let said = desk.run(&ortho(MULTISPECTRAL), &[&bad, &good], &["--scratch", "scratch", "--json"]).ends_with(2);
    assert_eq!(said.json()["totals"]["done"], json!(1));
    assert!(is_empty(&desk.path("scratch")));
    let missing = desk.run(&ortho(MULTISPECTRAL), &[&good], &["--scratch", "nowhere"]).ends_with(3);
    missing.says(&["nowhere", "--scratch"]);
}

#[test]
fn images_without_a_name_are_counted() {
    let desk = Desk::new();
    let name: PathBuf = desk.write("a.zip", zip(&[Raw::stored("x/a.tif", "II*\0"), Raw::stored("b.txt", "")]));
    desk.fieldglow(["inspect", name.to_str().unwrap()]).ends_with(3).says(&["2 files", "`x/a.tif` the first"]);
}

/// A run that is told to end takes away what it unpacked; one that is killed cannot, and the next one does.
#[test]
fn what_was_unpacked_goes_with_the_run_however_it_ends() {
    let desk = Desk::new();
    fs::create_dir(desk.path("scratch")).unwrap();
    let tiny = Tiny::new(&desk, (3, 5), &[vec![100u16; 15]], "fill = 0", &[UNIT_R]);
    let (image, text) =
        (fs::read(tiny.folder.join("a.tif")).unwrap(), fs::read(tiny.folder.join("scene.toml")).unwrap());
    let text = String::from_utf8(text).unwrap();
    for k in 0..60 {
        let text = text.replace("\"tiny\"", &format!("\"tiny-{k}\""));
        desk.write(&format!("many/{k}.zip"), zip(&[Raw::stored("scene.toml", text), Raw::deflated("a.tif", &image)]));
    }
    desk.write("pipeline.toml", native("toa", &product("red", "kind = \"bands\"\nbands = [\"R\"]")));
    let args = ["run", "pipeline.toml", "many/*.zip", "--output", "out", "--progress", "plain", "--scratch", "scratch"];
    for (signal, code) in [("-INT", Some(130)), ("-TERM", Some(143)), ("-KILL", None)] {
        let _ = fs::remove_dir_all(desk.path("out"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_fieldglow"))
            .args(args)
            .current_dir(desk.path(""))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("done:") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0);
        }
        assert!(!is_empty(&desk.path("scratch")));
        let kill = format!("kill {signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        std::io::copy(&mut lines, &mut std::io::sink()).unwrap();
        assert_eq!(child.wait().unwrap().code(), code);
        assert_eq!(is_empty(&desk.path("scratch")), code.is_some(), "{signal}");
    }
    desk.fieldglow(args).ends_with(0);
    assert!(is_empty(&desk.path("scratch")));
}
