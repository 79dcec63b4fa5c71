//! Which values are secrets, and how they are kept out of everything that is printed: by the name of their key.
//!
//! A secret may be `file://PATH`; then it is read from there when the configuration is loaded, without one trailing
//! newline. Guessing too much only hides a harmless value; guessing too little would print a password.

use std::path::{Path, PathBuf};

use super::diagnostic::Complaint;
use super::document::{At, Document, Node, Table, Value};
use super::files;
use super::nearest::{distance, fold};

/// What stands where a secret was.
pub const MASK: &str = "******";

/// Largest secret that is read from a file, in bytes.
const MAX_SECRET: u64 = 64 << 10;

/// The secrets of one document.
#[derive(Default)]
pub struct Masks {
    /// Places of the sources that are not shown.
    pub places: Vec<At>,
    /// Texts that are cut out of every message.
    texts: Vec<String>,
}

impl Masks {
    /// The message without any secret that somebody quoted in it.
    #[must_use]
    pub fn scrub(&self, message: &str) -> String {
        self.texts.iter().fold(message.to_owned(), |message, secret| message.replace(secret.as_str(), MASK))
    }
}

/// Is what stands under this key a secret? Misspelled keys count too: theirs are the lines that get printed.
#[must_use]
pub fn is_secret_key(key: &str) -> bool {
    const PARTS: [&str; 7] = ["pass", "pwd", "secret", "token", "credential", "apikey", "privatekey"];
    const WORDS: [(&str, usize); 5] = [("password", 3), ("passphrase", 3), ("secret", 2), ("token", 1), ("secrets", 2)];
    let folded = fold(key);
    let plain: String = folded.iter().filter(|c| **c != '_').collect();
    let misspelled = |word: &[char]| WORDS.iter().any(|(right, mistakes)| distance(word, &fold(right)) <= *mistakes);
    PARTS.iter().any(|part| plain.contains(part)) || folded.split(|c| *c == '_').any(misspelled)
}

/// Finds the secrets of the document, reads those that are in files below `folder`, and remembers what not to show.
/// Answers with the files that were read.
pub fn resolve(document: &mut Document, folder: &Path, complaints: &mut Vec<Complaint>) -> Vec<PathBuf> {
    let mut walk = Walk { folder, masks: Masks::default(), files: Vec::new(), complaints };
    let mut path = Vec::new();
    if let Some(table) = document.root.table_mut() {
        walk.table(table, &mut path, false);
    }
    let Walk { mut masks, files, .. } = walk;
    // The longest first: one secret may be a part of another.
    masks.texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    document.masks = masks;
    files
}

struct Walk<'a> {
    folder: &'a Path,
    masks: Masks,
    files: Vec<PathBuf>,
    complaints: &'a mut Vec<Complaint>,
}

impl Walk<'_> {
    fn table(&mut self, table: &mut Table, path: &mut Vec<String>, secret: bool) {
        for (key, entry) in table {
            // The name of an action, a rule or a schema says nothing of what is in it.
            let level = if path.first().is_some_and(|section| section == "schema_registry") { 2 } else { 1 };
            let named_entry = path.len() == level && entry.node.table().is_some();
            // What a service is told so that it believes us.
            let credential =
                key.eq_ignore_ascii_case("authorization") && path.last().is_some_and(|key| key == "headers");
            let secret = secret || credential || (!named_entry && is_secret_key(key));
            path.push(key.clone());
            self.node(&mut entry.node, path, secret);
            path.pop();
        }
    }

    fn node(&mut self, node: &mut Node, path: &mut Vec<String>, secret: bool) {
        match &mut node.value {
            Value::Table(table) => return self.table(table, path, secret),
            Value::Array(items) => return items.iter_mut().for_each(|item| self.node(item, path, secret)),
            _ if !secret => return,
            Value::Boolean(_) => return,
            _ => {}
        }
        // What looks like a number in the environment is still a password here.
        if let Some(raw) = node.raw.take() {
            node.value = Value::String(raw);
        }
        match &mut node.value {
            Value::String(text) => match text.strip_prefix("file://") {
                Some(name) => {
                    let file = files::below(self.folder, name);
                    match read(&file) {
                        Ok(content) => *text = content,
                        Err(why) => {
                            let message = format!("cannot read the secret from `{}`: {why}", file.display());
                            self.complaints.push(Complaint::error(node.at, path.join("."), message));
                            *text = String::new();
                        }
                    }
                    self.files.push(file);
                    self.hide_text(&node.value);
                }
                None => {
                    self.masks.places.push(node.at);
                    self.hide_text(&node.value);
                }
            },
            _ => self.masks.places.push(node.at),
        }
    }

    fn hide_text(&mut self, value: &Value) {
        // A message full of cut-out single letters would help nobody.
        if let Value::String(text) = value
            && text.len() >= 3
        {
            self.masks.texts.push(text.clone());
        }
    }
}

fn read(file: &Path) -> Result<String, String> {
    let size = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > MAX_SECRET {
        return Err(format!("it has {size} bytes; a secret has at most {MAX_SECRET}"));
    }
    let mut text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Places to hide in a text that could not be parsed, line by line: everything after a secret's `=`, everything below
/// a secret's header, and everything up to the end of a secret that has several lines.
#[must_use]
pub fn guess_places(text: &str) -> Vec<At> {
    let mut places = Vec::new();
    let (mut start, mut below_header, mut until_quote) = (0, false, None);
    for line in text.split_inclusive('\n') {
        let whole = At { source: 0, start, end: start + line.trim_end().len() };
        let head = line.trim_start();
        start += line.len();
        if let Some(quote) = until_quote {
            places.push(whole);
            until_quote = (!line.contains(quote)).then_some(quote);
            continue;
        }
        if head.starts_with('[') && !line.contains('=') {
            below_header = head.split(['[', ']', '.', '"', '\'']).any(|key| is_secret_key(key.trim()));
            continue;
        }
        let Some(equals) = first_secret(line, below_header) else { continue };
        places.push(At { start: whole.start + equals + 1, ..whole });
        let value = &line[equals + 1..];
        until_quote = ["\"\"\"", "'''"].into_iter().find(|quote| value.matches(quote).count() % 2 == 1);
    }
    places
}

/// Where in the line the `=` after the first secret key is.
fn first_secret(line: &str, any: bool) -> Option<usize> {
    line.match_indices('=').map(|(equals, _)| equals).find(|equals| {
        let before = line[..*equals].trim_end();
        let key = before.rsplit(['{', ',', '\n']).next().unwrap_or(before);
        any || key.split(['.', '"', '\'', ' ']).any(|part| !part.is_empty() && is_secret_key(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_keys() {
        for key in [
            "password",
            "Password",
            "pasword",
            "passwrod",
            "client_secret",
            "client-secret",
            "sercet",
            "api_token",
            "tokne",
            "api_key",
            "secrets",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in
            ["username", "topic", "key", "keyfile", "message", "bind", "sql", "bootstrap_hosts", "path", "sequence"]
        {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn a_text_that_is_not_toml_is_masked_by_guess() {
        let text = "a = 1\npassword = \"hunter2\nx = { user = 'u', token = 'hunter2' }\n[p.secrets]\nk = 'hunter2'\n[q]\nsecret = '''\nhunter2\n'''\nb = 2\n";
        let mut shown = text.to_owned();
        for place in guess_places(text).into_iter().rev() {
            shown.replace_range(place.start..place.end, MASK);
        }
        let expected = "a = 1\npassword =******\nx = { user = 'u', token =******\n[p.secrets]\nk =******\n[q]\nsecret =******\n******\n******\nb = 2\n";
        assert_eq!(shown, expected);
    }
}
