//! `millstream sql`: `test` sends one event through one statement, or a stream of them, with the code that the pipeline
//! runs; `functions` prints the reference of the built-in functions.

use std::fs;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::load::load;
use super::output::{Reader, print};
use super::{Exit, Failure};
use crate::app;
use crate::config::variables_for_rules;
use crate::pipeline::{Surroundings, Trial};
use crate::rule::functions::{FAMILIES, Family, Function};
use crate::rule::nearest;

/// Try rule SQL
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLE)]
pub enum Command {
    Test(Test),
    Explain(Explain),
    Functions(Functions),
}

const EXAMPLE: &str = "Examples:
  millstream sql test --sql 'SELECT payload.temp AS t FROM \"t/#\"' --event event.json
  millstream sql explain --sql 'SELECT * FROM \"t/#\" WHERE payload.temp > 20'
  millstream sql test --sql 'SELECT schema_decode(\"meter\", payload) AS m FROM \"t/#\"' --config millstream.toml
  echo '{\"sql\": \"SELECT 1 AS one FROM \\\"t\\\"\", \"event\": {}}' | millstream sql test --stdin
  millstream sql functions substr";

/// Run a statement over an event; or, with --stdin, one request a line:
/// {"sql": "...", "event": {...}} or {"template": "...", "vars": {...}}. The event's `event_type` says what it is
/// ("client_connected"); "samples": true beside it does what --samples does
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Test {
    /// The statement
    #[arg(long, value_name = "SQL", required_unless_present = "stdin", conflicts_with = "stdin")]
    sql: Option<String>,
    /// JSON file with the columns of the event; without it, an event with none
    #[arg(long, value_name = "FILE", conflicts_with = "stdin")]
    event: Option<PathBuf>,
    /// Take EMQX's samples for columns that the event leaves out, such as a payload of {"msg": "hello"}
    #[arg(long, conflicts_with = "stdin")]
    samples: bool,
    /// Read one JSON object a line, answer with one a line
    #[arg(long)]
    stdin: bool,
    /// Configuration file whose schemas and plugins' functions the statement may use
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer with one JSON object, as --stdin does
    #[arg(long)]
    json: bool,
}

/// Say what a statement reads, calls and costs, and what is suspicious about it; nothing is run
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Explain {
    /// The statement
    #[arg(long, value_name = "SQL")]
    sql: String,
    /// Configuration file whose plugins' functions the statement may use
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// The built-in functions, family by family; or one of them in full
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  millstream sql functions
  millstream sql functions subbits
  millstream sql functions --json | jq -r '.families[].functions[].name'")]
pub struct Functions {
    /// Only this function
    name: Option<String>,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Test(args) => match &args.sql {
            Some(sql) => once(sql, args),
            None => stream(&mut io::stdin().lock(), trial(args.config.as_deref())?),
        },
        Command::Explain(args) => explain(args),
        Command::Functions(args) => functions(args),
    }
}

fn explain(args: &Explain) -> Result<Exit, Failure> {
    match trial(args.config.as_deref())?.explain(&args.sql) {
        Ok(explanation) => {
            let mut json = Vec::new();
            explanation.value().to_json(&mut json);
            let json = String::from_utf8_lossy(&json).into_owned();
            let _ = print(&if args.json { json } else { explanation.text() })?;
            Ok(Exit::Fine)
        }
        Err(problems) => {
            let shown: Vec<String> = problems.iter().map(|problem| problem.render(&args.sql)).collect();
            let text = shown.concat();
            let json = json!({ "error": { "kind": "parse", "message": text.trim_end() } });
            let _ = print(&if args.json { json.to_string() } else { text.trim_end().to_owned() })?;
            Ok(Exit::Failed)
        }
    }
}

/// What statements are tried out with: what the configuration has, if there is one, and this process's own world.
fn trial(config: Option<&Path>) -> Result<Trial, Failure> {
    let Some(file) = config else { return Ok(Trial::bare(Surroundings::new(variables_for_rules()))) };
    let (config, loaded) = load(file)?;
    let plugins = loaded.0.context("the configuration names no place for compiled plugins")?;
    Ok(app::trial(&config, &plugins)?)
}

fn once(sql: &str, args: &Test) -> Result<Exit, Failure> {
    let event = match &args.event {
        None => json!({}),
        Some(file) => {
            let text =
                fs::read_to_string(file).with_context(|| format!("cannot read the event from `{}`", file.display()))?;
            serde_json::from_str(&text).with_context(|| format!("`{}` is not JSON", file.display()))?
        }
    };
    let line = json!({ "sql": sql, "event": event, "samples": args.samples }).to_string();
    let answer = trial(args.config.as_deref())?.answer(&line);
    let parsed: Value = serde_json::from_str(&answer).context("the answer is not JSON")?;
    let failed = parsed.get("error").is_some();
    let _ = print(&if args.json { answer } else { in_words(&parsed) })?;
    Ok(if failed { Exit::Failed } else { Exit::Fine })
}

fn in_words(answer: &Value) -> String {
    if let Some(outputs) = answer.get("outputs").and_then(Value::as_array) {
        let outputs: Vec<String> = outputs.iter().map(|output| format!("{output:#}")).collect();
        return outputs.join("\n");
    }
    match (&answer["error"]["kind"], &answer["error"]["message"]) {
        (Value::String(kind), Value::String(message)) => format!("{kind} error: {message}"),
        _ if answer.get("no_result").is_some() => "no result: the statement selects nothing from this event".to_owned(),
        _ => answer.to_string(),
    }
}

/// Longest line that is taken, in bytes.
const MAX_LINE: u64 = 64 << 20;

fn stream(input: &mut impl BufRead, mut trial: Trial) -> Result<Exit, Failure> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(Exit::Fine);
        }
        if read as u64 == MAX_LINE && !line.ends_with(b"\n") {
            return Err(anyhow::anyhow!("a line has more than {MAX_LINE} bytes").into());
        }
        if !line.trim_ascii().is_empty() && print(&trial.answer(line.trim_ascii_end()))? == Reader::Gone {
            return Ok(Exit::Fine);
        }
    }
}

fn functions(args: &Functions) -> Result<Exit, Failure> {
    let text = match &args.name {
        None if args.json => json!({ "families": FAMILIES.iter().map(family_json).collect::<Vec<_>>() }).to_string(),
        None => FAMILIES.iter().map(family_text).collect::<Vec<_>>().join("\n"),
        Some(name) => {
            let all = || FAMILIES.iter().flat_map(|family| family.functions);
            let Some(function) = all().find(|function| function.name == name) else {
                let near = nearest(name, all().map(|function| function.name));
                let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                return Err(anyhow::anyhow!("there is no built-in function `{name}`{hint}").into());
            };
            if args.json { function_json(function).to_string() } else { function_text(function) }
        }
    };
    let _ = print(&text)?;
    Ok(Exit::Fine)
}

fn family_json(family: &Family) -> Value {
    json!({ "family": family.name, "functions": family.functions.iter().map(function_json).collect::<Vec<_>>() })
}

fn function_json(function: &Function) -> Value {
    // An example that raises has no result.
    let example = |(sql, result): &(&str, &str)| match *result {
        "!" => json!({ "sql": sql, "raises": true }),
        json => json!({ "sql": sql, "result": serde_json::from_str::<Value>(json).unwrap_or_else(|_| json.into()) }),
    };
    json!({
        "name": function.name,
        "signature": function.signature,
        "doc": function.doc,
        "min_args": function.min_args,
        "max_args": (function.max_args != usize::MAX).then_some(function.max_args),
        "examples": function.examples.iter().map(example).collect::<Vec<_>>(),
    })
}

fn family_text(family: &Family) -> String {
    let lines = family.functions.iter().map(|function| format!("  {}\n", function.signature));
    format!("{}\n{}", family.name, lines.collect::<String>())
}

fn function_text(function: &Function) -> String {
    let width = function.examples.iter().map(|(sql, _)| sql.chars().count()).max().unwrap_or_default().min(60);
    let examples = function.examples.iter().map(|(sql, result)| {
        let result = if *result == "!" { "raises" } else { result };
        format!("\n  {sql:<width$}  {result}")
    });
    format!("{}\n\n{}\n{}", function.signature, function.doc, examples.collect::<String>())
}
