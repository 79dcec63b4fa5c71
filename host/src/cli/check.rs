//! `millstream check`: everything that is wrong with a configuration, in one run. It starts nothing.

use std::path::PathBuf;

use super::load::load;
use super::output::print;
use super::{Exit, Failure};
use crate::config::{Config, Diagnostic, LoadError, Severity};

/// Check a configuration file: all that is wrong, with line and column.
#[derive(Debug, clap::Args)]
#[command(after_help = "Plugins are loaded and SQL is compiled, but nothing is started and no Kafka is contacted.

Examples:
  millstream check millstream.toml
  millstream check millstream.toml --json | jq '.diagnostics[].message'")]
pub struct Args {
    /// Configuration file (TOML)
    file: PathBuf,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let (exit, diagnostics, last) = match load(&args.file) {
        Ok((config, _)) => {
            let last = format!("{}: fine: {}", args.file.display(), contents(&config));
            (Exit::Fine, config.warnings, last)
        }
        Err(LoadError::Invalid(report)) => {
            let errors = report.errors();
            let last = format!("{}: {errors} {}", args.file.display(), if errors == 1 { "error" } else { "errors" });
            (Exit::Failed, report.diagnostics, last)
        }
        Err(error @ LoadError::Unreadable { .. }) => return Err(error.into()),
    };
    let text = if args.json { json(exit, &diagnostics) } else { text(&diagnostics, &last) };
    let _ = print(&text)?;
    Ok(exit)
}

fn text(diagnostics: &[Diagnostic], last: &str) -> String {
    let lines: Vec<String> = diagnostics.iter().map(Diagnostic::to_string).chain([last.to_owned()]).collect();
    lines.join("\n")
}

fn json(exit: Exit, diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    serde_json::json!({ "ok": exit == Exit::Fine, "errors": errors, "warnings": warnings, "diagnostics": diagnostics })
        .to_string()
}

fn contents(config: &Config) -> String {
    let counts = [
        (config.listeners.len(), "listener"),
        (config.plugins.len(), "plugin"),
        (config.connectors.len(), "connector"),
        (config.actions.len() + config.built_ins.len(), "action"),
        (config.rules.len(), "rule"),
    ];
    let counts = counts.map(|(count, noun)| format!("{count} {noun}{}", if count == 1 { "" } else { "s" }));
    counts.join(", ")
}
