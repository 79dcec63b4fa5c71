//! A Rust file as text, and again without its comments and the insides of its strings.

use std::fs;
use std::path::Path;

#[derive(Debug)]
pub struct Source {
    /// Below the folder that was asked for, with `/`.
    pub path: String,
    pub text: String,
    /// [`Source::text`] without comments, strings and characters.
    pub code: String,
}

impl Source {
    pub fn new(path: &Path, text: &str) -> Source {
        let path = path.to_str().expect("a path in UTF-8").to_string();
        Source { path, text: text.to_string(), code: code(text) }
    }

    /// Is `name` used as the head of a path?
    pub fn names_crate(&self, name: &str) -> bool {
        let head = |(at, _): (usize, &str)| {
            let before = self.code[..at].chars().next_back();
            let after = self.code[at + name.len()..].trim_start();
            !before.is_some_and(|c| c.is_alphanumeric() || "_.".contains(c))
                && !self.code[..at].ends_with("::")
                && (after.starts_with("::") || after.starts_with(" as ") || self.code[..at].ends_with("use "))
        };
        self.code.match_indices(name).any(head)
    }

    /// Is there a `matches!(..);` that stands alone, so that its answer is lost?
    pub fn throws_away_matches(&self) -> bool {
        self.code.match_indices("matches!(").any(|(at, word)| {
            let before = self.code[..at].trim_end().chars().next_back();
            let is_word = self.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let rest = &self.code[at + word.len()..];
            let statement = before.is_none_or(|c| ";{}".contains(c)) && !is_word;
            statement && end_of_group(rest).is_some_and(|end| rest[end..].trim_start().starts_with(';'))
        })
    }
}

/// Where in `rest`, which starts inside a parenthesis, what follows the closing one begins.
fn end_of_group(rest: &str) -> Option<usize> {
    let mut depth = 1_u32;
    for (at, c) in rest.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// All Rust files below `folder`, without what cargo built.
pub fn sources(folder: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    // A part that does not exist yet has no files.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with("node_modules") {
                collect(root, &path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.push(Source::new(path.strip_prefix(root).expect("below the root"), &text));
        }
    }
}

/// `text` with comments, strings and characters replaced by blanks.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_word = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            string(rest)
        } else if !after_word && let Some(length) = raw_string(rest) {
            length
        } else if c == '\'' {
            character(rest)
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.push(' ');
        rest = &rest[skipped..];
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The length of `r"..."`, `br#"..."#` and kin.
fn raw_string(text: &str) -> Option<usize> {
    let start = ["br", "cr", "r"].into_iter().find(|start| text.starts_with(start))?;
    let body = text[start.len()..].trim_start_matches('#');
    let hashes = text.len() - start.len() - body.len();
    body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let body_at = start.len() + hashes + 1;
    Some(text[body_at..].find(&end).map_or(text.len(), |at| body_at + at + end.len()))
}

/// The length of a character literal, or 1 for the mark of a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => chars.find(|(_, c)| *c == '\'').map_or(text.len(), |(at, _)| at + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

#[test]
fn comments_strings_and_characters_are_blanks() {
    let text = "a /* b /* c */ d */ e \"f \\\" // g\" h r#\"i \" j\"# k 'l' '\\'' 'm: n // o\np b\"q\" for_r\"s\"";
    let code: Vec<_> = code(text).split_whitespace().map(str::to_string).collect();
    assert_eq!(code, ["a", "e", "h", "k", "m:", "n", "p", "b", "for_r"]);
}
