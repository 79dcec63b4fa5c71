//! Files that a configuration names: a relative path is relative to the folder of the configuration file, and a file
//! that is not there is an error at the line that names it. It reads no content.

use std::path::{Path, PathBuf};

use super::diagnostic::Complaint;
use super::document::{Document, Node, Value};

/// Paths that start with this are parts of the program itself, not files.
pub const EMBEDDED: &str = "embedded:";

/// The path as seen from `folder`; absolute ones stay.
#[must_use]
pub fn below(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

/// Rewrites every path of the document to what it means, and answers with the files that must be there.
pub fn resolve(document: &mut Document, folder: &Path, complaints: &mut Vec<Complaint>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut path = Vec::new();
    walk(&mut document.root, folder, &mut path, &mut |path, node, file| {
        if names_a_folder(path) {
            return;
        }
        if let Err(why) = readable(&file) {
            let message = format!("cannot use the file `{}`: {why}", file.display());
            complaints.push(Complaint::error(node.at, path.join("."), message));
        }
        files.push(file);
    });
    files
}

fn walk(node: &mut Node, folder: &Path, path: &mut Vec<String>, seen: &mut dyn FnMut(&[String], &Node, PathBuf)) {
    // What a plugin finds in its own configuration is its own business, and means nothing to us.
    if path.len() == 3 && path[0] == "plugins" && path[2] != "path" {
        return;
    }
    if let Value::Table(table) = &mut node.value {
        for (key, entry) in table {
            path.push(key.clone());
            walk(&mut entry.node, folder, path, seen);
            path.pop();
        }
        return;
    }
    if let Value::Array(items) = &mut node.value {
        items.iter_mut().for_each(|item| walk(item, folder, path, seen));
        return;
    }
    if names_a_schema(path) {
        // A schema's text, or where it is.
        if let Some(name) = node.text().and_then(|text| text.strip_prefix("file://")) {
            let file = below(folder, name);
            node.value = Value::String(format!("file://{}", file.display()));
            seen(path, node, file);
        }
        return;
    }
    if !(names_a_file(path) || names_a_folder(path)) {
        return;
    }
    // A key may stand there itself instead of the name of its file.
    let is_name = |name: &&str| !name.is_empty() && !name.starts_with(EMBEDDED) && !name.contains("-----BEGIN");
    let Some(name) = node.text().filter(is_name) else { return };
    let file = below(folder, name);
    node.value = Value::String(file.to_string_lossy().into_owned());
    seen(path, node, file);
}

/// `plugins.NAME.path`, a token's `public_key`, and every key that ends with `file`: EMQX's `cacertfile`, `certfile`,
/// `keyfile`, and ours.
fn names_a_file(path: &[String]) -> bool {
    match path {
        [section, _, key] if section == "plugins" => key == "path",
        [section, ..] if section == "rules" => false,
        [section, .., key] if section == "authentication" && key == "public_key" => true,
        [.., key] => key.ends_with("file"),
        [] => false,
    }
}

fn names_a_schema(path: &[String]) -> bool {
    matches!(path, [section, schemas, _, key] if section == "schema_registry" && schemas == "schemas" && key == "source")
}

fn names_a_folder(path: &[String]) -> bool {
    matches!(path, [section, key] if section == "node" && key == "data_dir")
}

fn readable(file: &Path) -> Result<(), String> {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => std::fs::File::open(file).map(drop).map_err(|error| error.to_string()),
        Ok(_) => Err("it is not a file".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = file.parent().filter(|folder| !folder.is_dir());
            Err(folder.map_or_else(
                || "there is no such file".to_owned(),
                |folder| format!("there is no folder `{}`", folder.display()),
            ))
        }
        Err(error) => Err(error.to_string()),
    }
}
