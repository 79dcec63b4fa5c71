//! What is wrong with a configuration, as people and programs read it. It must never show a secret: every line of a
//! source and every message goes through the document's masks.

use std::fmt;

use serde::Serialize;

use super::de::one_of;
use super::document::{At, Document};
use super::nearest::nearest;
use super::problem::{Kind, Problem, Step};
use super::secret::MASK;

/// Does it stop the command?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One thing that is wrong, where the document can find it.
#[derive(Clone, Debug)]
pub struct Complaint {
    pub severity: Severity,
    pub at: At,
    /// Dotted path of the key.
    pub path: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Complaint {
    #[must_use]
    pub fn error(at: At, path: impl Into<String>, message: impl Into<String>) -> Complaint {
        Complaint { severity: Severity::Error, at, path: path.into(), message: message.into(), hint: None }
    }

    #[must_use]
    pub fn warning(at: At, path: impl Into<String>, message: impl Into<String>) -> Complaint {
        Complaint { severity: Severity::Warning, ..Complaint::error(at, path, message) }
    }

    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Complaint {
        self.hint = hint;
        self
    }

    /// "did you mean `x`?", or else the right names, if there are few.
    #[must_use]
    pub fn suggest<'a>(self, word: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> Complaint {
        let hint = match nearest(word, names.clone()) {
            Some(name) => Some(format!("did you mean `{name}`?")),
            None => {
                let mut names: Vec<&str> = names.into_iter().collect();
                names.sort_unstable();
                (1..=MAX_NAMES).contains(&names.len()).then(|| format!("expected {}", one_of(&names)))
            }
        };
        self.hint(hint)
    }

    /// What serde found, under the path of its section.
    #[must_use]
    pub fn from_problem(section: &[&str], section_at: At, problem: &Problem) -> Complaint {
        let mut path = section.join(".");
        for step in &problem.path {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.extend([".", key]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        let complaint = Complaint::error(problem.at.unwrap_or(section_at), path, problem.to_string());
        match &problem.kind {
            Kind::UnknownKey { name, expected } | Kind::UnknownVariant { name, expected } => {
                complaint.suggest(name, expected.iter().copied())
            }
            _ => complaint,
        }
    }
}

/// More names than this are no help.
const MAX_NAMES: usize = 40;

/// One finished diagnostic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The file as it was named, or the environment variable.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Dotted path of the key.
    pub path: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip)]
    excerpt: Excerpt,
}

/// The source line as it may be shown, and which part of it is underlined, in characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Excerpt {
    line: String,
    underline: (usize, usize),
}

impl Document {
    /// The diagnostic of a complaint: lines and columns counted, secrets hidden.
    #[must_use]
    pub fn diagnose(&self, complaint: &Complaint) -> Diagnostic {
        let (name, text) =
            self.sources.get(complaint.at.source).map_or(("", ""), |source| (&source.name, &source.text));
        let start = floor(text, complaint.at.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        Diagnostic {
            severity: complaint.severity,
            file: name.to_owned(),
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            path: complaint.path.clone(),
            message: self.masks.scrub(&complaint.message),
            hint: complaint.hint.as_deref().map(|hint| self.masks.scrub(hint)),
            excerpt: self.excerpt(text, line_start, complaint.at),
        }
    }

    fn excerpt(&self, text: &str, line_start: usize, at: At) -> Excerpt {
        let line = text[line_start..].lines().next().unwrap_or("");
        let mut shown: Vec<char> = Vec::new();
        let (mut from, mut to) = (None, 0);
        let mut hidden: Option<At> = None;
        for (offset, c) in line.char_indices() {
            let offset = line_start + offset;
            let underlined = offset >= at.start && (offset < at.end || offset == at.start);
            let inside = |mask: &&At| mask.source == at.source && (mask.start..mask.end).contains(&offset);
            let mask = self.masks.places.iter().find(inside).copied();
            if mask.is_none() || mask != hidden {
                if underlined {
                    from.get_or_insert(shown.len());
                }
                match mask {
                    Some(_) => shown.extend(MASK.chars()),
                    None => shown.push(if c.is_control() { ' ' } else { c }),
                }
            }
            if underlined {
                from.get_or_insert(shown.len().saturating_sub(MASK.len()));
                to = shown.len();
            }
            hidden = mask;
        }
        let from = from.unwrap_or(shown.len());
        crop(&shown, from, to.max(from + 1))
    }
}

/// The part of a long line around what is underlined.
fn crop(line: &[char], from: usize, to: usize) -> Excerpt {
    const WIDTH: usize = 140;
    let start = if line.len() <= WIDTH { 0 } else { from.saturating_sub(WIDTH / 3) };
    let end = line.len().min(start + WIDTH);
    let before = if start > 0 { "..." } else { "" };
    let after = if end < line.len() { "..." } else { "" };
    let shift = |column: usize| column.clamp(start, end.max(start)) - start + before.len();
    let text: String = line[start..end].iter().collect();
    let from = shift(from);
    Excerpt { line: format!("{before}{text}{after}"), underline: (from, shift(to).max(from + 1)) }
}

/// The nearest start of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        let Excerpt { line, underline: (from, to) } = &self.excerpt;
        write!(f, "\n{:>5} | {line}\n      | {}{}", self.line, " ".repeat(*from), "^".repeat(to - from))
    }
}

/// Why a configuration was not taken: everything that is wrong, in the order of the file, warnings among it.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Report {
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    #[must_use]
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            writeln!(f, "{diagnostic}")?;
        }
        let errors = self.errors();
        write!(f, "{errors} {} in the configuration", if errors == 1 { "error" } else { "errors" })
    }
}
