//! Mistakes in a pipeline file, and the search for unknown keys.

use std::fmt;

use serde_json::Value;

/// One mistake: where and what, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mistake {
    /// Dotted path of the key; products by name.
    pub path: String,
    /// What is wrong and what to write instead.
    pub problem: String,
}

impl Mistake {
    /// A mistake at a dotted path.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Takes every key that the schema does not know out of a file, and names each with the nearest one it does know.
pub fn take_unknown_keys(table: &mut toml::Table, schema: &Value) -> Vec<Mistake> {
    let mut found = Vec::new();
    take_from(table, schema, schema, "", &mut found);
    found
}

fn walk(value: &mut toml::Value, node: &Value, root: &Value, path: &str, found: &mut Vec<Mistake>) {
    match value {
        toml::Value::Table(table) => take_from(table, node, root, path, found),
        toml::Value::Array(items) => {
            let alternatives = alternatives(node, root);
            let Some(node) = alternatives.iter().find_map(|a| a.get("items")) else { return };
            for (i, item) in items.iter_mut().enumerate() {
                let at = match item.get("name").and_then(|n| n.as_str()) {
                    Some(name) => format!("{path}.{name}"),
                    None => format!("{path}[{i}]"),
                };
                walk(item, node, root, &at, found);
            }
        }
        _ => {}
    }
}

fn take_from(table: &mut toml::Table, node: &Value, root: &Value, path: &str, found: &mut Vec<Mistake>) {
    let alternatives = alternatives(node, root);
    let known = |key: &str| alternatives.iter().find_map(|a| a.get("properties").and_then(|p| p.get(key)));
    let open = alternatives.iter().any(|a| a.get("additionalProperties").is_some_and(|p| p.is_object()));
    // A table whose shape the schema does not describe (a map) has no unknown keys.
    if open || !alternatives.iter().any(|a| a.get("properties").is_some()) {
        return;
    }
    table.retain(|key, inner| {
        let at = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let Some(node) = known(key) else {
            let names: Vec<&String> =
                alternatives.iter().filter_map(|a| a.get("properties")?.as_object()).flat_map(|p| p.keys()).collect();
            found.push(Mistake::new(at, nearest(key, &names)));
            return false;
        };
        walk(inner, node, root, &at, found);
        true
    });
}

/// The object schemas a node may stand for: itself, what it refers to, and the branches of a choice.
fn alternatives<'a>(node: &'a Value, root: &'a Value) -> Vec<&'a Value> {
    let mut out = vec![node];
    let mut next = 0;
    while next < out.len() {
        let node = out[next];
        if let Some(target) =
            node.get("$ref").and_then(Value::as_str).and_then(|r| root.pointer(r.trim_start_matches('#')))
        {
            out.push(target);
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            out.extend(node.get(choice).and_then(Value::as_array).into_iter().flatten());
        }
        next += 1;
    }
    out
}

/// "unknown key", with the nearest known one if any is near, else all of them.
pub fn nearest(key: &str, known: &[&String]) -> String {
    let best = known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(key, k), *k))
        .min_by_key(|(distance, k)| (*distance, (*k).clone()));
    match best {
        Some((distance, k)) if distance <= 1 + key.len() / 3 => format!("unknown key; did you mean `{k}`?"),
        _ => {
            let names: Vec<_> = known.iter().map(|k| k.as_str()).collect();
            format!("unknown key; known here: {}", names.join(", "))
        }
    }
}
