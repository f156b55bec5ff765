//! What the documents say is so: their commands run and end as stated, the options, targets, files, codes and keys they
//! name are there, and both READMEs say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use gdal::Dataset;
use serde_json::Value;

use crate::harness::{self, Desk, copy};
use crate::markdown::{Block, anchors, links, logical, spans, split, table, tree};

/// What a line of shell may start with to be run.
const RUN: [&str; 4] = ["fieldglow", "mkdir", "cp", "echo"];

/// Lines that are not run: what tells them, and why.
const NOT_RUN: [(&str, &str); 5] = [
    ("s3://", "needs an S3 server and its keys"),
    ("jq ", "another program, which need not be here"),
    ("gdal_calc.py ", "another program, which need not be here"),
    ("make demo", "builds and takes a minute; that its targets exist is checked"),
    ("make test", "would call itself"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Name and text of every document for users.
fn documents() -> Vec<(String, String)> {
    let names = fs::read_dir(root().join("docs")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|n| n.ends_with(".md")).map(|n| format!("docs/{n}")).collect();
    names.sort();
    names.splice(0..0, ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"].map(str::to_owned));
    let read = |name: String| (fs::read_to_string(root().join(&name)).unwrap(), name);
    names.into_iter().map(read).map(|(text, name)| (name, text)).collect()
}

fn readmes() -> [String; 2] {
    ["README.md", "README.zh-CN.md"].map(|name| fs::read_to_string(root().join(name)).unwrap())
}

/// First word behind settings of the environment.
fn program(line: &str) -> &str {
    line.split_whitespace().find(|w| !w.contains('=')).unwrap_or_default()
}

/// The lines of the blocks that are shell.
fn shell(text: &str) -> Vec<String> {
    let known = |line: &String| {
        RUN.contains(&program(line))
            || NOT_RUN.iter().any(|(mark, _)| line.starts_with(mark))
            || line.starts_with("make")
    };
    let blocks = split(text).0.into_iter().filter(|b| ["", "sh", "bash", "shell"].contains(&&*b.language));
    blocks.map(|b| logical(&b.lines)).filter(|lines| lines.iter().any(known)).flatten().collect()
}

/// A line as it ran.
struct Ran {
    place: String,
    expected: i32,
    code: i32,
    said: String,
}

/// A folder as the documents describe it, with small scenes, after all of their commands.
struct Office {
    folder: PathBuf,
    ran: Vec<Ran>,
    skipped: BTreeMap<&'static str, usize>,
}

impl Office {
    /// Runs a line, with the program on the PATH.
    fn run(&self, command: &str) -> (i32, String) {
        let programs = Path::new(env!("CARGO_BIN_EXE_fieldglow")).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let output = Command::new("bash").args(["-c", command]).current_dir(&self.folder).env("PATH", path).output();
        let output = output.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    }
}

static OFFICE: LazyLock<Office> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documents");
    let _ = fs::remove_dir_all(&folder);
    copy(&root().join("pipelines"), &folder.join("pipelines"));
    copy(&root().join("docs"), &folder.join("docs"));
    let mut office = Office { folder, ran: Vec::new(), skipped: NOT_RUN.iter().map(|(mark, _)| (*mark, 0)).collect() };
    for scene in ["out/delivery --size 128", "out/night --night --size 448 --gsd 3"] {
        let (code, said) = office.run(&format!("fieldglow simulate {scene}"));
        assert_eq!(code, 0, "{said}");
    }
    let mut known = BTreeSet::new();
    for (name, text) in documents() {
        for line in shell(&text) {
            if let Some((mark, _)) = NOT_RUN.iter().find(|(mark, _)| line.contains(mark)) {
                *office.skipped.entry(mark).or_default() += 1;
                continue;
            }
            let place = format!("{name}: {line}");
            assert!(RUN.contains(&program(&line)), "{place}\nis neither run nor listed in NOT_RUN");
            if known.insert(line.clone()) {
                let (command, stated) = line.split_once("# ends with ").unwrap_or((&line, "0"));
                let (code, said) = office.run(command);
                office.ran.push(Ran { place, expected: stated.trim().parse().unwrap(), code, said });
            }
        }
    }
    office
});

#[test]
fn every_command_ends_as_the_documents_say() {
    for ran in &OFFICE.ran {
        assert_eq!(ran.code, ran.expected, "{}\n{}", ran.place, ran.said);
    }
    let of = |name: &str| OFFICE.ran.iter().filter(|r| r.place.contains(name)).count();
    for command in ["fieldglow run", "fieldglow plan", "fieldglow inspect", "fieldglow check", "fieldglow validate"] {
        assert!(of(command) > 0, "{command}");
    }
    let stale: Vec<_> = OFFICE.skipped.iter().filter(|(_, n)| **n == 0).collect();
    assert!(stale.is_empty(), "listed in NOT_RUN, but in no document: {stale:?}");
}

#[test]
fn every_property_of_our_own_is_documented() {
    fn names(value: &Value, found: &mut BTreeSet<String>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            found.extend(key.starts_with("fieldglow:").then(|| key.clone()));
            names(value, found);
        }
        value.as_array().into_iter().flatten().for_each(|v| names(v, found));
    }
    // Those that these runs have no cause for; tests of their own see them.
    let mut used = BTreeSet::from(["fieldglow:missing_cells", "fieldglow:pansharpening"].map(str::to_owned));
    let documents = harness::tree(&OFFICE.folder.join("out")).into_iter().filter(|(name, _)| name.ends_with(".json"));
    documents.for_each(|(_, bytes)| names(&serde_json::from_slice(&bytes).unwrap(), &mut used));
    let text = fs::read_to_string(root().join("docs/storage.md")).unwrap();
    let rows = table(&split(&text).1, "property");
    let told: BTreeSet<String> = rows.iter().flat_map(|row| row[0].split(", ")).map(|n| n.replace('`', "")).collect();
    assert_eq!(used, told);
}

#[test]
fn what_the_readmes_draw_stands_in_storage() {
    for text in readmes() {
        let drawn: Vec<_> = split(&text).0.into_iter().filter(|b| b.lines[0].starts_with("out/")).collect();
        assert_eq!(drawn.len(), 1);
        let mut sizes = 0;
        for (path, about) in tree(&drawn[0].lines) {
            let pattern = path.replace('…', "*").replace("<key8>", "????????");
            let found: Vec<_> = glob::glob(OFFICE.folder.join(&pattern).to_str().unwrap()).unwrap().flatten().collect();
            let [found] = &found[..] else { panic!("{path}: {found:?}") };
            let numbers = |t: &str| -> Vec<f64> {
                t.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|n| n.parse().ok()).collect()
            };
            if path.ends_with(".tif") {
                let [cols, rows, pixel] = numbers(&about)[..3] else { panic!("{path}: {about}") };
                let file = Dataset::open(found).unwrap();
                assert_eq!(file.raster_size(), (cols as usize, rows as usize), "{path}");
                assert_eq!(file.geo_transform().unwrap()[1], pixel, "{path}");
                sizes += 1;
            }
        }
        assert!(sizes > 0);
    }
}

/// Long options by subcommand, as `fieldglow help` prints them.
static OPTIONS: LazyLock<BTreeMap<String, BTreeSet<String>>> = LazyLock::new(|| {
    let desk = Desk::new();
    let help = desk.fieldglow(["help"]).ends_with(0).stdout;
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let commands = list.lines().take_while(|l| !l.is_empty()).filter_map(|l| l.strip_prefix("  "));
    let commands = commands.filter(|l| !l.starts_with(' ')).map(|l| l.split(' ').next().unwrap().to_owned());
    let options = |command: &str| -> BTreeSet<String> {
        let text = desk.fieldglow(["help", command]).ends_with(0).stdout;
        let entries = text.lines().map(|l| l.trim_start().trim_start_matches("-h, "));
        entries.filter(|l| l.starts_with("--")).map(option).collect()
    };
    let all = commands.filter(|c| c != "help").map(|c| (c.clone(), options(&c)));
    all.chain([(String::new(), BTreeSet::from(["--help".into(), "--version".into()]))]).collect()
});

/// The option without its value.
fn option(word: &str) -> String {
    word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

#[test]
fn subcommands_and_options_that_documents_name_exist() {
    let any: BTreeSet<&String> = OPTIONS.values().flatten().collect();
    let mut seen = 0;
    for (name, text) in documents() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut commands = Vec::new();
        for line in shell(&text).iter().chain(&spans(&split(&text).1)) {
            let words = words(line.split(" # ").next().unwrap());
            match words.iter().position(|w| w == "fieldglow") {
                Some(k) if words[k + 1..].first().is_some_and(|w| !w.starts_with("--")) => {
                    assert!(OPTIONS.contains_key(&words[k + 1]), "{name}: {line}");
                    commands.push(words[k + 1..].to_vec());
                }
                Some(k) => commands.push([vec![String::new()], words[k + 1..].to_vec()].concat()),
                None if OPTIONS.contains_key(&words[0]) => commands.push(words),
                None if words[0].starts_with("--") => {
                    assert!(any.contains(&option(&words[0])), "{name}: {line}");
                    seen += 1;
                }
                None => {}
            }
        }
        for command in commands {
            for word in command[1..].iter().filter(|w| w.starts_with("--")) {
                assert!(OPTIONS[&command[0]].contains(&option(word)), "{name}: {}: {word}", command[0]);
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn targets_files_codes_and_keys_that_documents_name_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let codes = fs::read_to_string(root().join("docs/codes.md")).unwrap();
    let modules: BTreeSet<_> =
        codes.lines().filter_map(|l| Some(l.strip_prefix("| `")?.split_once('/')?.0.to_owned())).collect();
    let schema = Desk::new().fieldglow(["check", "--schema"]).ends_with(0).json();
    let (mut targets, mut files, mut errors, mut keys) = (0, 0, 0, 0);
    for (name, text) in documents() {
        let spans = spans(&split(&text).1);
        for line in shell(&text).iter().chain(&spans) {
            for target in line.strip_prefix("make ").into_iter().flat_map(str::split_whitespace) {
                assert!(makefile.contains(&format!("\n{target}: ")), "{name}: make {target}");
                targets += 1;
            }
        }
        for span in &spans {
            let first = span.split('/').next().unwrap();
            let ours = root().join(first).is_dir() && first != "target";
            if span.contains('/') && !span.contains(['<', '…', ' ']) && ours {
                assert!(root().join(span).exists(), "{name}: no file `{span}`");
                files += 1;
            }
            if span.contains('/') && modules.contains(first) {
                assert!(codes.contains(&format!("| `{span}` |")), "{name}: no code `{span}`");
                errors += 1;
            }
            let key: String = span.chars().take_while(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
            let mut parts = key.split('.');
            let section = &schema["properties"][parts.next().unwrap()];
            if section.is_object() && key.contains('.') && ![".toml", ".csv"].iter().any(|e| key.ends_with(e)) {
                // The second part of a key of a list names the entry.
                let mut parts = parts.skip(usize::from(section["type"] == "array"));
                assert!(parts.try_fold(section, |at, part| child(&schema, at, part)).is_some(), "{name}: `{span}`");
                keys += 1;
            }
        }
    }
    assert!(targets > 10 && files > 10 && errors > 5 && keys > 3, "{targets} {files} {errors} {keys}");
}

/// The schema of a key below another.
fn child<'a>(schema: &'a Value, at: &'a Value, key: &str) -> Option<&'a Value> {
    let refers = [at, &at["items"], &at["anyOf"][0]].into_iter().find_map(|v| v["$ref"].as_str());
    let table = refers.and_then(|r| schema.pointer(r.strip_prefix('#')?)).unwrap_or(at);
    table["properties"].get(key)
}

#[test]
fn links_lead_to_files_and_headings() {
    let more = ["tests/oracle/README.md", "benches/README.md"];
    let more = more.map(|name| (name.to_owned(), fs::read_to_string(root().join(name)).unwrap()));
    let mut seen = 0;
    for (name, text) in documents().into_iter().chain(more) {
        let lines = split(&text).1;
        for link in links(&lines).iter().filter(|l| !l.starts_with("https://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let own: PathBuf = root().join(&name);
            let target = if file.is_empty() { own } else { own.parent().unwrap().join(file) };
            assert!(target.exists(), "{name}: {link}");
            if !anchor.is_empty() {
                let text = fs::read_to_string(target).unwrap();
                assert!(anchors(&split(&text).1).iter().any(|a| a == anchor), "{name}: {link}");
            }
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
    let [english, _] = readmes();
    let linked = links(&split(&english).1);
    for (name, _) in documents().into_iter().filter(|(name, _)| name != "README.md") {
        assert!(linked.contains(&name), "the README leads nowhere to {name}");
    }
}

/// What both READMEs have to have in common: blocks without what is said in a tree, and numbers, names and links.
fn common(text: &str, heads: [&str; 3]) -> (Vec<Block>, Vec<Vec<String>>, BTreeSet<String>) {
    let (blocks, lines) = split(text);
    let bare = |mut block: Block| {
        if block.lines[0].starts_with("out/") {
            block.lines = tree(&block.lines).into_iter().map(|(path, _)| path).collect();
        }
        block
    };
    let of = |head: &str, last: bool| -> Vec<String> {
        let rows = table(&lines, head).into_iter();
        rows.flat_map(|row| {
            [row[0].clone(), if last { row[row.len() - 1].replace('或', "or") } else { row[0].clone() }]
        })
        .collect()
    };
    let [kinds, commands, codes] = heads;
    let other = |l: String| if l.starts_with("README") { "README".into() } else { l };
    let tables = vec![of(kinds, true), of(commands, false), of(codes, false)];
    (blocks.into_iter().map(bare).collect(), tables, links(&lines).into_iter().map(other).collect())
}

#[test]
fn both_readmes_say_the_same() {
    let [english, chinese] = readmes();
    let english = common(&english, ["kind", "command", "exit code"]);
    let chinese = common(&chinese, ["类型", "命令", "退出码"]);
    assert_eq!(english.0, chinese.0);
    assert_eq!(english.1, chinese.1);
    assert_eq!(english.2, chinese.2);
}

#[test]
fn the_readme_names_every_command_kind_and_exit_code() {
    let [english, _] = readmes();
    let lines = split(&english).1;
    let first =
        |head: &str| -> BTreeSet<String> { table(&lines, head).into_iter().map(|row| row[0].clone()).collect() };
    let commands = first("command").iter().map(|c| c.trim_matches('`').split(' ').next().unwrap().to_owned()).collect();
    let known: BTreeSet<String> = OPTIONS.keys().filter(|c| !c.is_empty()).cloned().collect();
    assert_eq!(known, commands);

    let desk = Desk::new();
    let schema = desk.fieldglow(["check", "--schema"]).ends_with(0).json();
    let kinds = schema["$defs"]["Kind"]["oneOf"].as_array().unwrap().iter();
    let kinds: BTreeSet<String> = kinds.map(|k| format!("`{}`", k["const"].as_str().unwrap())).collect();
    assert_eq!(kinds, first("kind"));

    let codes: BTreeSet<String> = first("exit code").iter().flat_map(|c| c.split(", ")).map(str::to_owned).collect();
    let help = desk.fieldglow(["--help"]).ends_with(0).stdout;
    let (_, told) = help.split_once("Exit codes:").unwrap();
    let told = told.split_once(".\n").unwrap().0.split('·').map(|c| c.split_whitespace().next().unwrap().to_owned());
    assert_eq!(told.collect::<BTreeSet<_>>(), codes);
    let all = fs::read_to_string(root().join("docs/codes.md")).unwrap();
    let all = table(&split(&all).1, "code").into_iter().map(|row| row[0].clone());
    assert_eq!(all.collect::<BTreeSet<_>>(), codes);
}
