//! `--set key=value`.

use super::ConfigError;

/// Sets one key of a pipeline file. Products are reached by name: `product.ndvi.resolution=6`. The value is TOML; what is
/// no TOML is taken as text.
///
/// # Errors
/// [`ConfigError::Override`].
pub fn apply(table: &mut toml::Table, set: &str) -> Result<(), ConfigError> {
    let wrong = |problem: &str| ConfigError::Override { what: set.to_owned(), problem: problem.to_owned() };
    let (path, text) =
        set.split_once('=').ok_or_else(|| wrong("write `key=value`, such as `geometry.resolution=6`"))?;
    let value = format!("v = {text}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()));
    let keys: Vec<&str> = path.trim().split('.').collect();
    let (last, parents) = keys.split_last().ok_or_else(|| wrong("the key is empty"))?;
    if keys.iter().any(|k| k.is_empty()) {
        return Err(wrong("a part of the key is empty"));
    }
    let mut at = table;
    let mut parents = parents.iter();
    while let Some(key) = parents.next() {
        let entry = at.entry(*key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = match entry {
            toml::Value::Table(t) => t,
            toml::Value::Array(items) => {
                let name = parents.next().ok_or_else(|| wrong("say which one by its name: `product.NAME.key`"))?;
                items
                    .iter_mut()
                    .filter_map(|i| i.as_table_mut())
                    .find(|t| t.get("name").and_then(|n| n.as_str()) == Some(name))
                    .ok_or_else(|| wrong(&format!("no `{key}` is named `{name}`")))?
            }
            _ => return Err(wrong(&format!("`{key}` is a value, it has no keys"))),
        };
    }
    at.insert((*last).to_owned(), value);
    Ok(())
}
