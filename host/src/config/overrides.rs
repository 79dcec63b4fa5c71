//! Values that replace what the file says: from the environment and from flags. The only file that reads the
//! environment.
//!
//! `MILLSTREAM__API__BIND=0.0.0.0:18083` sets `api.bind`. Two underscores part the keys; upper and lower case are the
//! same, and an underscore also stands for the dash of a name: `MILLSTREAM__CONNECTORS__MY_CONFLUENT__...` finds
//! `connectors.my-confluent`. A value is TOML where that makes sense (`true`, `8`, `["a", "b"]`) and plain text else.

use super::diagnostic::Complaint;
use super::document::{At, Document, Entry, Node, Source, Table, Value};
use super::nearest::fold;

const PREFIX: &str = "MILLSTREAM__";

/// One value from outside the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Override {
    /// What to call it in a complaint.
    pub origin: String,
    /// The keys, as they were given.
    pub path: Vec<String>,
    pub value: String,
}

impl Override {
    /// A flag of the command line that sets `path`.
    #[must_use]
    pub fn flag(flag: &str, path: &[&str], value: &str) -> Override {
        Override {
            origin: flag.to_owned(),
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            value: value.to_owned(),
        }
    }
}

/// The overrides of this process's environment, in the order of their names.
#[must_use]
pub fn from_environment() -> Vec<Override> {
    from_variables(
        std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())),
    )
}

/// What the rules' `getenv` gives, by the names that rules use: EMQX lets them see `EMQXVAR_*` and nothing else.
#[must_use]
pub fn variables_for_rules() -> Vec<(String, String)> {
    let named = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let meant = named.filter_map(|(name, value)| Some((name.strip_prefix("EMQXVAR_")?.to_owned(), value)));
    meant.map(|(name, value)| (name, value.to_string_lossy().into_owned())).collect()
}

/// The overrides among variables.
pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Vec<Override> {
    let mut found: Vec<Override> = Vec::new();
    for (name, value) in variables {
        let Some(keys) = name.strip_prefix(PREFIX) else { continue };
        let path = keys.split("__").map(str::to_ascii_lowercase).collect();
        found.push(Override { origin: format!("environment variable {name}"), path, value });
    }
    found.sort_by(|a, b| a.origin.cmp(&b.origin));
    found
}

/// Puts the overrides into the document; later ones win.
pub fn apply(document: &mut Document, overrides: &[Override], complaints: &mut Vec<Complaint>) {
    for said in overrides {
        let source = document.sources.len();
        document.sources.push(Source { name: said.origin.clone(), text: said.value.clone() });
        let node = Node::from_override(source, &said.value);
        let at = node.at;
        if let Err(message) = set(&mut document.root, &said.path, node) {
            complaints.push(Complaint::error(at, said.path.join("."), message));
        }
    }
}

fn set(root: &mut Node, path: &[String], node: Node) -> Result<(), String> {
    let Some((last, outer)) = path.split_last() else { return Err("it names no key".to_owned()) };
    if path.iter().any(String::is_empty) {
        return Err("a key is empty; write MILLSTREAM__SECTION__KEY".to_owned());
    }
    let at = node.at;
    let mut table = root.table_mut().ok_or("the configuration is no table")?;
    for key in outer {
        let name = existing(table, key)?;
        let entry = table.entry(name).or_insert_with(|| empty(at));
        table = entry.node.table_mut().ok_or_else(|| format!("`{key}` is a value, so nothing can be below it"))?;
    }
    let name = existing(table, last)?;
    table.insert(name, Entry { key_at: At { start: 0, ..at }, node });
    Ok(())
}

/// The key of the table that is meant, or the key as given if there is none like it.
fn existing(table: &Table, key: &str) -> Result<String, String> {
    if table.contains_key(key) {
        return Ok(key.to_owned());
    }
    let mut alike = table.keys().filter(|name| fold(name) == fold(key));
    match (alike.next(), alike.next()) {
        (Some(first), Some(second)) => Err(format!("`{key}` could be `{first}` or `{second}`; set it in the file")),
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Ok(key.to_owned()),
    }
}

fn empty(at: At) -> Entry {
    Entry { key_at: at, node: Node { at, value: Value::Table(Table::new()), raw: None } }
}
