//! Writes the generated parts of the documentation: whatever stands between `<!-- generated: NAME -->` and
//! `<!-- end -->` in the files named below.
//!
//!     cargo run --example reference              writes them
//!     cargo run --example reference -- --check   says, with exit code 1, what would change
#![expect(clippy::print_stderr, reason = "a program for people")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use fieldglow::engine::report;
use fieldglow::error::Class;
use fieldglow::product::{indices, qa};
use fieldglow::scene::Role;
use fieldglow::scene::level::LEVELS;
use fieldglow::warning::Code;
use serde_json::{Map, Value};

const FILES: [&str; 8] = [
    "README.md",
    "README.zh-CN.md",
    "docs/codes.md",
    "docs/levels.md",
    "docs/pipeline.md",
    "docs/qa-bits.md",
    "docs/report.md",
    "docs/scene-toml.md",
];
/// Generated as a whole.
const REPORT_SCHEMA: &str = "docs/report.schema.json";
const BEGIN: &str = "<!-- generated: ";
const CLOSE: &str = " -->\n";
const END: &str = "<!-- end -->";

fn main() -> ExitCode {
    let check = std::env::args().any(|a| a == "--check");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stale = false;
    for name in FILES.into_iter().chain([REPORT_SCHEMA]) {
        let path = root.join(name);
        let outcome = std::fs::read_to_string(&path).map_err(|e| e.to_string()).and_then(|old| {
            let new = if name == REPORT_SCHEMA { format!("{:#}\n", report::schema()) } else { fill(&old, root)? };
            match new == old {
                true => Ok(false),
                false if check => Ok(true),
                false => std::fs::write(&path, new).map(|()| true).map_err(|e| e.to_string()),
            }
        });
        match outcome {
            Err(problem) => {
                eprintln!("{name}: {problem}");
                return ExitCode::FAILURE;
            }
            Ok(true) if check => {
                eprintln!("{name}: out of date; run `make reference`");
                stale = true;
            }
            Ok(true) => eprintln!("{name}: written"),
            Ok(false) => {}
        }
    }
    ExitCode::from(u8::from(stale))
}

/// `text` with its generated parts made anew.
fn fill(text: &str, root: &Path) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(CLOSE).ok_or("a generated part has no name")?;
        let (_, after) = after.split_once(END).ok_or_else(|| format!("the generated part `{name}` has no end"))?;
        let part = part(name, root)?;
        let _ = write!(out, "{before}{BEGIN}{name}{CLOSE}\n{}\n\n{END}", part.trim_end());
        rest = after;
    }
    Ok(out + rest)
}

fn part(name: &str, root: &Path) -> Result<String, String> {
    match name {
        "pipeline-keys" => Ok(pipeline_keys(&fieldglow::config::schema())),
        "qa-bits" => Ok(qa_bits()),
        "qa-bits-zh" => qa_bits_zh(),
        "indices" => Ok(index_table()),
        "roles" => Ok(roles()),
        "levels" => Ok(levels()),
        "report" => Ok(report_fields(&report::schema())),
        "exit-codes" => Ok(exit_codes()),
        "error-classes" => Ok(error_classes()),
        "errors" => errors(root),
        "warnings" => Ok(warnings()),
        file => {
            let text = std::fs::read_to_string(root.join(file)).map_err(|e| format!("`{file}`: {e}"))?;
            Ok(format!("```toml\n{text}```"))
        }
    }
}

fn qa_bits() -> String {
    let mut out = String::from("| bit | value | name | set when |\n| ---: | ---: | --- | --- |\n");
    for bit in qa::BITS {
        let _ = writeln!(out, "| {} | {} | `{}` | {} |", bit.offset, 1u32 << bit.offset, bit.name, bit.description);
    }
    out
}

/// What the bits mean, in Chinese.
const BITS_ZH: [(&str, &str); 6] = [
    ("nodata", "所有波段均无测量值；此时其他位都不置位"),
    ("saturated", "至少一个波段达到量化上限（饱和），或由这样的像元插值得到"),
    ("partial", "至少一个波段无效，而其他波段有效"),
    ("clipped", "至少一个产品值超出存储类型的范围而被截断"),
    ("edge", "在无效像元旁插值，只用了有效像元的权重"),
    ("occluded", "地面被地形遮挡，传感器看不到：像元值来自其前方的地形"),
];

fn qa_bits_zh() -> Result<String, String> {
    let mut out = String::from("| 位 | 值 | 名称 | 含义 |\n| ---: | ---: | --- | --- |\n");
    for bit in qa::BITS {
        let about = BITS_ZH.iter().find(|(name, _)| *name == bit.name);
        let (_, about) = about.ok_or_else(|| format!("`{}` has no Chinese text: add it to BITS_ZH", bit.name))?;
        let _ = writeln!(out, "| {} | {} | `{}` | {about} |", bit.offset, 1u32 << bit.offset, bit.name);
    }
    Ok(out)
}

fn index_table() -> String {
    let mut out = String::from("| key | name | formula | stored as | reference |\n| --- | --- | --- | --- | --- |\n");
    for row in indices::catalog() {
        let stored = if row.scaled { "int16" } else { "float32" };
        let _ = writeln!(out, "| `{}` | {} | {} | {stored} | {} |", row.key, row.name, row.formula, row.reference);
    }
    out
}

fn roles() -> String {
    let mut out = String::from("| role | STAC common name |\n| --- | --- |\n");
    for role in Role::ALL {
        let _ = writeln!(out, "| `{role}` | {} |", role.common_name().unwrap_or("–"));
    }
    out
}

fn levels() -> String {
    let mut out = String::from("| level | what it is | what was done to all of its images |\n| --- | --- | --- |\n");
    for level in LEVELS {
        let processed = level.processed.map_or("–".into(), |p| format!("`{}`", p.code()));
        let _ = writeln!(out, "| `{}` | {} | {processed} |", level.token, level.about);
    }
    out
}

fn exit_codes() -> String {
    let mut out = String::from("| code | when |\n| ---: | --- |\n");
    for (code, when) in report::EXIT_CODES {
        let _ = writeln!(out, "| {code} | {when} |");
    }
    out
}

fn error_classes() -> String {
    let mut out = String::from("| class | meaning |\n| --- | --- |\n");
    let schema = schemars::schema_for!(Class).to_value();
    for class in schema["oneOf"].as_array().into_iter().flatten() {
        let name = class["const"].as_str().unwrap_or_default();
        let _ = writeln!(out, "| `{name}` | {} |", one_line(&class["description"]));
    }
    out
}

fn warnings() -> String {
    let mut out = String::from("| code | severity | meaning | what to do |\n| --- | --- | --- | --- |\n");
    for code in Code::ALL {
        let _ = writeln!(out, "| `{code}` | {} | {} | {} |", code.severity().text(), code.about(), code.remedy());
    }
    out
}

/// Every variant of every error type, read from the source: a code is the module and the name of the variant.
fn errors(root: &Path) -> Result<String, String> {
    let mut rows = BTreeMap::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|e| e.to_string())? {
            let path = entry.map_err(|e| e.to_string())?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                // Tests have error types of their own.
                let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                let module = path.strip_prefix(root.join("src")).ok().and_then(|p| p.iter().next());
                let module = module.unwrap_or_default().to_string_lossy().trim_end_matches(".rs").to_owned();
                for name in text.lines().filter_map(|l| l.strip_prefix("impl Classify for ")?.strip_suffix(" {")) {
                    rows.extend(
                        variants(text, name).into_iter().map(|(v, about)| (format!("{module}/{}", kebab(&v)), about)),
                    );
                }
            }
        }
    }
    let mut out = String::from("| code | meaning |\n| --- | --- |\n");
    for (code, about) in rows {
        let _ = writeln!(out, "| `{code}` | {about} |");
    }
    Ok(out)
}

/// Variants of an error type with the first line of their documentation; a struct is its only variant.
fn variants(text: &str, name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut about = String::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(doc) = line.trim_start().strip_prefix("/// ").filter(|_| line.len() - line.trim_start().len() <= 4)
        {
            about = if about.is_empty() { doc.to_owned() } else { format!("{about} {doc}") };
            continue;
        }
        let is_struct = line.starts_with(&format!("struct {name}")) || line.starts_with(&format!("pub struct {name}"));
        let variant = line.strip_prefix("    ").filter(|l| inside && l.starts_with(|c: char| c.is_ascii_uppercase()));
        let variant = variant.map(|l| l.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default());
        if line.starts_with(&format!("pub enum {name} {{")) {
            inside = true;
            about.clear();
        } else if is_struct {
            found.push((name.to_owned(), std::mem::take(&mut about)));
        } else if let Some(variant) = variant {
            found.push((variant.to_owned(), std::mem::take(&mut about)));
        } else if line.starts_with('}') {
            inside = false;
            about.clear();
        } else if line.is_empty() {
            about.clear();
        }
    }
    found
}

fn kebab(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// One table for each object of the run report.
fn report_fields(schema: &Value) -> String {
    let mut out = String::new();
    let objects = entries(schema, "$defs").filter(|(_, d)| d["type"] == "object");
    let objects = objects.map(|(name, object)| (name.as_str(), object));
    for (name, object) in std::iter::once(("The report", schema)).chain(objects) {
        let _ = writeln!(out, "### {}\n\n{}\n", name, one_line(&object["description"]));
        out.push_str("| field | type | meaning |\n| --- | --- | --- |\n");
        for (key, property) in entries(object, "properties") {
            let referred = |p: &Value| -> Option<String> {
                let name = not_null(p)["$ref"].as_str()?.rsplit('/').next()?.to_owned();
                let object = resolve(schema, not_null(p))?["type"] == "object";
                Some(if object { format!("[{name}](#{})", name.to_ascii_lowercase()) } else { kind(schema, p) })
            };
            let kind = match property["type"].as_str() {
                Some("array") => match referred(&property["items"]) {
                    Some(item) => format!("list of {item}"),
                    None => kind(schema, property),
                },
                _ => referred(property).unwrap_or_else(|| kind(schema, property)),
            };
            let types = property["type"].as_array();
            let may_be_null = property["anyOf"].is_array() || types.is_some_and(|t| t.iter().any(|t| t == "null"));
            let null = if may_be_null { " or null" } else { "" };
            let _ = writeln!(out, "| `{key}` | {kind}{null} | {} |", one_line(&property["description"]));
        }
        out.push('\n');
    }
    out
}

/// One table for each section of a pipeline file, in the order of the file.
fn pipeline_keys(schema: &Value) -> String {
    let mut out = String::new();
    section(&mut out, schema, "Top of the file", schema);
    for (key, property) in entries(schema, "properties") {
        let Some((definition, array)) = table_of(schema, property) else { continue };
        let title = if array { format!("`[[{key}]]`") } else { format!("`[{key}]`") };
        section(&mut out, schema, &title, definition);
        for (inner, property) in entries(definition, "properties") {
            if let Some((definition, array)) = table_of(schema, property) {
                let title = if array { format!("`[[{key}.{inner}]]`") } else { format!("`[{key}.{inner}]`") };
                section(&mut out, schema, &title, definition);
            }
        }
    }
    out
}

fn section(out: &mut String, schema: &Value, title: &str, table: &Value) {
    let required: Vec<&str> = table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let _ = writeln!(out, "### {title}\n\n{}\n", one_line(&table["description"]));
    out.push_str("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for (key, property) in entries(table, "properties") {
        let default = match &property["default"] {
            _ if required.contains(&key.as_str()) => "must be given".into(),
            Value::Null => "–".into(),
            Value::Array(list) if list.is_empty() => "none".into(),
            Value::Object(_) if property["$ref"].is_null() => "none".into(),
            Value::Object(_) => "see its section".into(),
            Value::String(text) if text.is_empty() => "empty".into(),
            other => format!("`{}`", other.to_string().replace('"', "")),
        };
        let default =
            if default.contains("see its section") && property["$ref"].is_null() { "none".into() } else { default };
        let meaning = one_line(&property["description"]);
        let _ = writeln!(out, "| `{key}` | {} | {default} | {meaning} |", kind(schema, property));
    }
    out.push('\n');
}

/// The object a property refers to, and whether it is a list of them.
fn table_of<'a>(schema: &'a Value, property: &'a Value) -> Option<(&'a Value, bool)> {
    let (property, array) = match property["type"].as_str() {
        Some("array") => (&property["items"], true),
        _ => (property, false),
    };
    let definition = resolve(schema, not_null(property))?;
    (definition["type"] == "object").then_some((definition, array))
}

/// What may be written for a property.
fn kind(schema: &Value, property: &Value) -> String {
    let property = not_null(property);
    let referred = resolve(schema, property);
    let definition = referred.unwrap_or(property);
    if let (Some(_), Some(choices)) = (referred, definition["anyOf"].as_array()) {
        return choices.iter().map(|c| kind(schema, c)).collect::<Vec<_>>().join(" or ");
    }
    let words: Vec<&str> = match &definition["enum"] {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => definition["oneOf"].as_array().into_iter().flatten().filter_map(|o| o["const"].as_str()).collect(),
    };
    match (words.len(), referred) {
        (0, Some(choice)) if choice["anyOf"].is_array() => {
            let each = choice["anyOf"].as_array().into_iter().flatten().map(|c| kind(schema, c));
            return each.collect::<Vec<_>>().join(" or ");
        }
        (0, Some(_)) => return "table".into(),
        (0, None) => {}
        (1..=8, _) => return words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
        (_, Some(_)) if property["$ref"].as_str().is_some_and(|r| r.ends_with("Role")) => return "role".into(),
        _ => return "[code](codes.md#warnings)".into(),
    }
    let name = match &property["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|t| *t != "null").unwrap_or_default(),
        other => other.as_str().unwrap_or_default(),
    };
    match name {
        "array" => match kind(schema, &property["items"]) {
            words if words.starts_with('`') => format!("list of {words}"),
            name => format!("list of {name}s"),
        },
        "object" if property["additionalProperties"]["$ref"].is_string() => "table".into(),
        "object" => "table of numbers by role".into(),
        name => name.into(),
    }
}

/// A property without its `null` alternative.
fn not_null(property: &Value) -> &Value {
    let alternatives = property["anyOf"].as_array();
    alternatives.and_then(|a| a.iter().find(|p| p["type"] != "null")).unwrap_or(property)
}

fn resolve<'a>(schema: &'a Value, property: &Value) -> Option<&'a Value> {
    schema.pointer(property["$ref"].as_str()?.strip_prefix('#')?)
}

fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value[key].as_object().into_iter().flat_map(Map::iter)
}

fn one_line(text: &Value) -> String {
    text.as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}
