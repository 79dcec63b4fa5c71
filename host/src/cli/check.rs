//! `millstream check`: everything that is wrong with a configuration, in one run. It starts nothing.

use std::path::PathBuf;

use super::output::print;
use super::{Exit, Failure};
use crate::app::Plugins;
use crate::config::check::{Compiler, SqlProblem};
use crate::config::{Config, Diagnostic, LoadError, Loader, NodeConfig, Severity, from_environment};
use crate::plugin::PluginConfig;

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
    let loaded = Loader::file(&args.file).with(from_environment()).load(&mut Everything(None));
    let (exit, diagnostics, last) = match loaded {
        Ok(config) => {
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

/// Loads plugins as the running node does, as soon as it is known where their compiled code is kept.
struct Everything(Option<Plugins>);

impl Compiler for Everything {
    fn start(&mut self, node: &NodeConfig) -> Result<(), String> {
        self.0 = Some(Plugins::new(&node.data_dir).map_err(|error| error.to_string())?);
        Ok(())
    }

    fn plugin(&mut self, name: &str, config: &PluginConfig) -> Result<(), String> {
        self.0.as_mut().map_or(Ok(()), |plugins| plugins.plugin(name, config))
    }

    fn sql(&mut self, sql: &str) -> Vec<SqlProblem> {
        self.0.as_mut().map(|plugins| plugins.sql(sql)).unwrap_or_default()
    }

    fn suspicions(&mut self, sql: &str) -> Vec<SqlProblem> {
        self.0.as_mut().map(|plugins| plugins.suspicions(sql)).unwrap_or_default()
    }

    fn output(&mut self, sql: &str) -> Option<Vec<String>> {
        self.0.as_mut()?.output(sql)
    }
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
