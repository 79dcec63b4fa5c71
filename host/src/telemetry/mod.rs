//! Logs and metrics. Logs go to standard error through a bounded buffer, so that a slow reader of them never slows a
//! message; no secret is ever logged, and of payloads only what a reason quotes, at level debug.

pub mod metrics;
pub mod throttle;
mod writer;

use std::str::FromStr;

use serde::Deserialize;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, fmt, reload};

pub use writer::Flush;
use writer::LogWriter;

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace` or `off`; or per part, like `info,millstream::kafka=debug`.
    pub level: String,
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// How one line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl LogConfig {
    /// The key whose value cannot be used, and what is wrong with it.
    #[must_use]
    pub fn check(&self) -> Option<(&'static str, String)> {
        filter(&self.level).err().map(|error| ("level", error.to_string()))
    }
}

/// Why logging was not set up or not changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "`{0}` is not a log level; expected error, warn, info, debug, trace or off, or PART=LEVEL, separated by commas"
    )]
    Level(String),
    #[error("logging is set up already")]
    Twice,
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(#[from] std::io::Error),
}

/// Changes the level of the running log.
#[derive(Clone, Debug)]
pub struct LogHandle(reload::Handle<EnvFilter, Registry>);

impl LogHandle {
    /// From now on, log at `level` (see [`LogConfig::level`]).
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        self.0.reload(filter(level)?).map_err(|_| LogError::Level(level.to_owned()))
    }
}

/// Sets up the log of this process; once. Keep the [`Flush`] until the end: dropping it writes what is left.
pub fn init(config: &LogConfig) -> Result<(LogHandle, Flush), LogError> {
    let (filter, handle) = reload::Layer::new(filter(&config.level)?);
    let (writer, flush) = LogWriter::start(std::io::stderr())?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    let outcome = match config.format {
        LogFormat::Text => tracing::subscriber::set_global_default(registry.with(lines)),
        LogFormat::Json => tracing::subscriber::set_global_default(registry.with(lines.json().flatten_event(true))),
    };
    outcome.map_err(|_| LogError::Twice)?;
    Ok((LogHandle(handle), flush))
}

/// The directives, each of them checked: the library takes any word for the name of a part.
fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let wrong = || LogError::Level(level.to_owned());
    let is_level = |word: &str| !word.is_empty() && LevelFilter::from_str(word).is_ok();
    let mut directives = Vec::new();
    for directive in level.split(',').map(str::trim) {
        let fine = match directive.rsplit_once('=') {
            Some((part, level)) => !part.is_empty() && is_level(level),
            None => is_level(directive),
        };
        if !fine {
            return Err(wrong());
        }
        directives.push(directive);
    }
    EnvFilter::builder().parse(directives.join(",")).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked() {
        for level in ["info", "OFF", "warn,millstream::kafka=debug", "error, millstream=trace"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["", "verbose", "info,kafka", "millstream=loud", "=info"] {
            assert!(filter(level).is_err(), "{level}");
        }
    }

    #[test]
    fn a_second_log_is_refused_and_the_level_can_change() {
        let (handle, _flush) = init(&LogConfig::default()).unwrap();
        handle.set_level("debug").unwrap();
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        handle.set_level("error").unwrap();
        assert!(!tracing::enabled!(tracing::Level::DEBUG));
        assert!(handle.set_level("loud").is_err());
        assert!(matches!(init(&LogConfig::default()), Err(LogError::Twice)));
    }
}
