//! `millstream serve`: says where the configuration is, gives the node its threads, and hands over to `app`.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::output::print;
use super::{Exit, Failure, dev};
use crate::app::{self, Addresses, Options};
use crate::config::{Loader, Override, from_environment};

const DEFAULT_FILE: &str = "millstream.toml";

/// Run the node until SIGTERM or Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Without --config and --dev, ./millstream.toml is read.
A variable like MILLSTREAM__API__BIND=0.0.0.0:18083 replaces a value of the file.
A changed file or SIGHUP loads everything again; a bad change changes nothing.

Examples:
  millstream serve --config /etc/millstream/millstream.toml
  millstream serve --dev")]
pub struct Args {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Try it out: a Kafka inside this process (its data is in memory only), a sample rule, a sample plugin
    #[arg(long, conflicts_with = "config")]
    dev: bool,
    /// Write the addresses that were taken to this file, as JSON
    #[arg(long, value_name = "PATH")]
    ports_file: Option<PathBuf>,
    /// Log level, instead of the configured one: error, warn, info, debug, trace or off, or PART=LEVEL
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    let kafka = if args.dev { Some(dev::start_kafka()?) } else { None };
    let mut options = Options { ports_file: args.ports_file, ..Options::default() };
    let loader = match &kafka {
        Some(kafka) => {
            options.embedded_kafka = Some(kafka.bootstrap_hosts());
            options.on_ready = Some(Box::new(|addresses: &Addresses| drop(print(&dev::banner(addresses)))));
            dev::loader(&kafka.bootstrap_hosts())
        }
        None => Loader::file(file(args.config)?),
    };
    let level = args.log.as_deref().map(|level| Override::flag("--log", &["log", "level"], level));
    let loader = loader.with(from_environment()).with(level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(1, usize::from))
        .thread_name("io")
        .enable_all()
        .build()
        .context("cannot start the threads of the runtime")?;
    let ended = runtime.block_on(app::run(loader, options));
    // What still runs now was given its time and is named in the log; it must not keep the process.
    runtime.shutdown_background();
    ended.map(|()| Exit::Fine).map_err(Failure::Failed)
}

fn file(said: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match said {
        Some(file) => Ok(file),
        None if Path::new(DEFAULT_FILE).is_file() => Ok(PathBuf::from(DEFAULT_FILE)),
        None => Err(Failure::Usage(format!(
            "there is no ./{DEFAULT_FILE}; say which file to read with `millstream serve --config FILE`, \
             or try it out with `millstream serve --dev`"
        ))),
    }
}
