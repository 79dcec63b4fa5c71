//! From a file, the environment and flags to a checked [`Config`], or to everything that is wrong. It reads files and
//! changes nothing, so it can be called again at any time: that is what a reload does.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use super::check::{self, Compiler};
use super::diagnostic::{Complaint, Report, Severity};
use super::document::Document;
use super::overrides::{self, Override};
use super::{Config, files, secret};

/// Largest configuration file, in bytes.
const MAX_FILE: u64 = 32 << 20;

/// Where the configuration comes from.
#[derive(Clone)]
enum Input {
    File(PathBuf),
    Text { name: &'static str, text: Cow<'static, str> },
}

/// Knows where a configuration comes from and reads it, as often as it is asked.
#[derive(Clone)]
pub struct Loader {
    input: Input,
    overrides: Vec<Override>,
}

/// Without the values of overrides: they may be secrets.
impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.input {
            Input::File(file) => file.display().to_string(),
            Input::Text { name, .. } => (*name).to_owned(),
        };
        f.debug_struct("Loader").field("input", &name).finish_non_exhaustive()
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the configuration file `{}`: {why}", .file.display())]
    Unreadable { file: PathBuf, why: String },
    #[error(transparent)]
    Invalid(#[from] Report),
}

impl Loader {
    /// Reads `file`; relative paths in it are relative to its folder.
    #[must_use]
    pub fn file(file: impl Into<PathBuf>) -> Loader {
        Loader { input: Input::File(file.into()), overrides: Vec::new() }
    }

    /// Reads a text that is part of the program, called `name`; relative paths are relative to the working directory.
    #[must_use]
    pub fn text(name: &'static str, text: impl Into<Cow<'static, str>>) -> Loader {
        Loader { input: Input::Text { name, text: text.into() }, overrides: Vec::new() }
    }

    /// Lets `overrides` win over what the file says, and later ones over earlier ones.
    #[must_use]
    pub fn with(mut self, overrides: impl IntoIterator<Item = Override>) -> Loader {
        self.overrides.extend(overrides);
        self
    }

    /// The configuration as it is now, its plugins and SQL tried by `compiler`.
    pub fn load(&self, compiler: &mut dyn Compiler) -> Result<Config, LoadError> {
        let (name, text, file) = match &self.input {
            Input::File(file) => {
                let text = read(file).map_err(|why| LoadError::Unreadable { file: file.clone(), why })?;
                (file.display().to_string(), Cow::Owned(text), Some(file.as_path()))
            }
            Input::Text { name, text } => ((*name).to_owned(), text.clone(), None),
        };
        let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
        let (mut document, errors) = Document::parse(&name, &text);
        if !errors.is_empty() {
            document.masks.places = secret::guess_places(&text);
            let complaints = errors.into_iter().map(|error| Complaint::error(error.at, "", error.message)).collect();
            return Err(report(&document, complaints).into());
        }
        let mut complaints = Vec::new();
        overrides::apply(&mut document, &self.overrides, &mut complaints);
        // Secrets before all else that complains: from here on the document knows what to hide.
        let mut watched: Vec<PathBuf> = file.map(Path::to_path_buf).into_iter().collect();
        watched.extend(secret::resolve(&mut document, folder, &mut complaints));
        watched.extend(files::resolve(&mut document, folder, &mut complaints));
        let mut config = Config::read(&document, &mut complaints);
        check::check(&document, &config, compiler, &mut complaints);
        let report = report(&document, complaints);
        if report.errors() > 0 {
            return Err(report.into());
        }
        config.warnings = report.diagnostics;
        watched.sort();
        watched.dedup();
        config.files = watched;
        Ok(config)
    }
}

/// The complaints as diagnostics in the order of the file; said twice counts once.
fn report(document: &Document, mut complaints: Vec<Complaint>) -> Report {
    complaints.sort_by_key(|complaint| (complaint.at.source, complaint.at.start, complaint.severity));
    let mut diagnostics: Vec<_> = complaints.iter().map(|complaint| document.diagnose(complaint)).collect();
    diagnostics.dedup();
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        // Next to an error a warning may be nothing but its consequence.
        diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    }
    Report { diagnostics }
}

fn read(file: &Path) -> Result<String, String> {
    let size = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE {
        return Err(format!("it has {size} bytes; at most {MAX_FILE} are read"));
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })
}
