//! The command line: one file a command. Here errors end: they are printed once, with their causes, and become an exit
//! code: 0 fine, 1 failed, 2 wrong usage. A reader of standard output that goes away is no error.

mod check;
mod dev;
mod jq_helper;
mod load;
mod output;
mod plugin;
mod serve;
mod sql;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::LoadError;
use output::complain;

/// MQTT in, rules and sandboxed plugins over every message, Kafka out.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, propagate_version = true)]
#[command(
    after_help = "Example:\n  millstream serve --dev        everything in one process, to try it out; no Kafka needed"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Check(check::Args),
    #[command(subcommand)]
    Sql(sql::Command),
    #[command(subcommand)]
    Plugin(plugin::Command),
    #[command(hide = true)]
    JqHelper(jq_helper::Args),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Fine = 0,
    /// It did what it should, and the answer is no.
    Failed = 1,
    Usage = 2,
}

/// Why a command could not do what it should.
#[derive(Debug)]
enum Failure {
    /// It was asked in a way that it does not understand; the text says how to ask.
    Usage(String),
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Failed(error.into())
    }
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()) as u8)
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; they are no error, and go to standard output.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Fine };
        }
    };
    let done = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(&args),
        Command::Sql(command) => sql::run(&command),
        Command::Plugin(command) => plugin::run(&command),
        Command::JqHelper(jq_helper::Args {}) => jq_helper::run(),
    };
    match done {
        Ok(exit) => exit,
        Err(Failure::Usage(text)) => {
            complain(&format!("error: {text}"));
            Exit::Usage
        }
        Err(Failure::Failed(error)) => {
            match error.downcast_ref::<LoadError>() {
                // Its lines begin with their file, so that editors find the place.
                Some(LoadError::Invalid(report)) => complain(&report.to_string()),
                _ => complain(&format!("error: {error:#}")),
            }
            Exit::Failed
        }
    }
}
