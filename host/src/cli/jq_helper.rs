//! `millstream jq-helper`: the process behind the rules' function `jq`. Millstream starts it itself; see `pipeline/world`.

use std::io::{BufReader, BufWriter, stdin, stdout};

use super::{Exit, Failure};
use crate::pipeline::serve_jq;

/// Answer requests of a running Millstream on standard input; not for people
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: none; the running Millstream starts it by itself when a rule calls jq.")]
pub struct Args {}

pub fn run() -> Result<Exit, Failure> {
    serve_jq(BufReader::new(stdin()), BufWriter::new(stdout()))?;
    Ok(Exit::Fine)
}
