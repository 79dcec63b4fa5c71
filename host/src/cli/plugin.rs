//! `millstream plugin`: a look at one component, and its cases. It runs the component with the limits and without the
//! rights that it has in the node, and never touches a running one.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::output::print;
use super::{Exit, Failure};
use crate::plugin::cases::{self, CaseResult, Report};
use crate::plugin::{Description, Engine, Guest, Limits};

/// Look at a plugin, or test it
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  millstream plugin inspect plugins/site-tags.wasm
  millstream plugin test plugins/site-tags.wasm --cases cases/enrich.json")]
pub enum Command {
    Inspect(Inspect),
    Test(Test),
}

/// Show what a component is: its world, functions, imports, sizes and times
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  millstream plugin inspect plugins/site-tags.wasm --config '{\"site\": \"plant-7\"}'")]
pub struct Inspect {
    /// The component (.wasm)
    component: PathBuf,
    /// What its `init` gets, as JSON
    #[arg(long, value_name = "JSON", default_value = "{}")]
    config: String,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// Run a file of cases: input and expected output
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  millstream plugin test plugins/site-tags.wasm --cases cases/enrich.json")]
pub struct Test {
    /// The component (.wasm)
    component: PathBuf,
    /// The cases (JSON)
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Inspect(args) => inspect(args),
        Command::Test(args) => test(args),
    }
}

fn inspect(args: &Inspect) -> Result<Exit, Failure> {
    let guest = load(&args.component, &args.config)?;
    let description = guest.describe();
    let text = if args.json { serde_json::to_string(description)? } else { in_words(description) };
    let _ = print(&text)?;
    Ok(Exit::Fine)
}

fn load(component: &Path, config: &str) -> Result<Arc<Guest>, Failure> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(config) {
        return Err(Failure::Usage(format!("--config is not JSON: {error}")));
    }
    let (name, bytes) = read(component)?;
    let guest = Guest::load(&Engine::new(None)?, &name, &bytes, config, Limits::default());
    Ok(guest.with_context(|| component.display().to_string())?)
}

fn test(args: &Test) -> Result<Exit, Failure> {
    let (name, bytes) = read(&args.component)?;
    let cases = fs::read_to_string(&args.cases).with_context(|| format!("cannot read `{}`", args.cases.display()))?;
    let report = cases::run(&Engine::new(None)?, &name, &bytes, &cases);
    let report = report.with_context(|| args.cases.display().to_string())?;
    let text = if args.json { serde_json::to_string(&report)? } else { results(&report) };
    let _ = print(&text)?;
    Ok(if report.passed() { Exit::Fine } else { Exit::Failed })
}

/// The component's bytes, and a name for it.
fn read(component: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let bytes = fs::read(component).with_context(|| format!("cannot read `{}`", component.display()))?;
    let name = component.file_stem().map_or_else(|| "plugin".into(), |stem| stem.to_string_lossy());
    Ok((name.into_owned(), bytes))
}

fn results(report: &Report) -> String {
    let result = |case: &CaseResult| match &case.problem {
        None => format!("passed  {}", case.name),
        Some(problem) => format!("FAILED  {}\n        {problem}", case.name),
    };
    let lines: Vec<String> = report.results.iter().map(result).collect();
    let (all, failures) = (report.results.len(), report.failures());
    format!("{}\n{all} {}, {failures} failed", lines.join("\n"), if all == 1 { "case" } else { "cases" })
}

fn in_words(plugin: &Description) -> String {
    let kib = |bytes: usize| format!("{} KB", bytes.div_ceil(1024));
    let mut text = format!("{}: {}\n", plugin.name, plugin.world);
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{name:<10}{value}");
    };
    for function in &plugin.functions {
        let arguments = match (function.min_args, function.max_args) {
            (min, max) if min == max => format!("{min}"),
            (min, max) => format!("{min} to {max}"),
        };
        line("function", &format!("{}, arguments: {arguments}: {}", function.name, function.summary));
    }
    plugin.exports.iter().for_each(|export| line("exports", export));
    plugin.imports.iter().for_each(|import| line("imports", import));
    line("component", &kib(plugin.component_bytes));
    line("memory", &format!("{} after init, for each instance", kib(plugin.memory_bytes)));
    line("compile", &format!("{:.1?}", plugin.compile_time));
    line("start", &format!("{:.1?}", plugin.start_time));
    line("sha256", &plugin.content);
    text
}
