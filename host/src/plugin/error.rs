//! What can go wrong with a plugin: while loading it, and while it runs.
//!
//! Kinds, never texts: whoever decides (circuit, `on_error`, the API) matches on the variant. The plugin's name is not in
//! here, because everybody who holds such an error knows whose it is.

use std::path::PathBuf;
use std::time::Duration;

use crate::units::{ByteSize, Millis};

/// Why a plugin was not loaded, or why a call to it gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    #[error("cannot read the component {}: {source}; check `path`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: the component has {size}, over {limit}; a plugin that large is not loaded", path.display())]
    FileTooLarge { path: PathBuf, size: ByteSize, limit: ByteSize },
    #[error("cannot use the cache of compiled plugins in {}: {cause}", path.display())]
    Cache { path: PathBuf, cause: String },
    #[error("this is not a WebAssembly component that can be compiled: {0}")]
    Compile(String),
    /// What the component exports or imports does not fit; the text lists each difference and what the world asks.
    #[error("{0}")]
    WorldMismatch(String),
    /// `init` returned an error: the plugin's own words.
    #[error("the plugin refuses its configuration: {0}")]
    GuestRefusedInit(String),
    #[error("the plugin's `signatures` are not usable: {0}")]
    BadSignatures(String),
    #[error("all {limit} instances are in use; raise `limits.instances`")]
    TooManyInstances { limit: usize },
    /// The guest stopped itself or did something that WebAssembly forbids.
    #[error("the plugin trapped: {cause}{}", wrote(stderr))]
    Trap { cause: String, stderr: String },
    #[error("the plugin did not finish within {limit}; see `limits.deadline`")]
    Deadline { limit: Millis },
    #[error("the plugin asked for more memory than {limit}; see `limits.memory`{}", wrote(stderr))]
    MemoryLimit { limit: ByteSize, stderr: String },
    #[error("the plugin returned more than {limit}; see `limits.output`")]
    OutputTooLarge { limit: ByteSize },
    #[error("the plugin returned {got} outcomes for {expected} messages; there must be one for each")]
    WrongOutcomeCount { expected: usize, got: usize },
    /// The outcomes do not follow the format of the world.
    #[error("the plugin returned malformed outcomes: {0}")]
    MalformedOutcome(String),
    #[error("one message has {size}, too much for the plugin's memory limit of {limit}; see `limits.memory`")]
    MessageTooLarge { size: ByteSize, limit: ByteSize },
    /// A function returned an error: the plugin's own words.
    #[error("{0}")]
    GuestFailed(String),
    #[error("an argument cannot be passed to the plugin: {0}")]
    BadArgument(String),
    #[error("the plugin has no function `{0}`")]
    NoSuchFunction(String),
    #[error("this plugin is a {is}, not a {wanted}")]
    WrongKind { is: &'static str, wanted: &'static str },
    #[error("the plugin failed {failures} times in a row and rests for another {retry_in:.1?}; last: {last}")]
    CircuitOpen { failures: u32, retry_in: Duration, last: String },
}

impl PluginError {
    /// Whether the guest failed while it was running: its instance must be thrown away, because it may be in the middle
    /// of anything, and the failure counts against the plugin.
    #[must_use]
    pub fn poisons_instance(&self) -> bool {
        use PluginError as E;
        matches!(
            self,
            E::Trap { .. }
                | E::Deadline { .. }
                | E::MemoryLimit { .. }
                | E::OutputTooLarge { .. }
                | E::WrongOutcomeCount { .. }
                | E::MalformedOutcome(_)
        )
    }

    /// A stable word for metrics and the API.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        use PluginError as E;
        match self {
            E::Engine(_) => "engine",
            E::Read { .. } | E::FileTooLarge { .. } => "read",
            E::Cache { .. } => "cache",
            E::Compile(_) => "compile",
            E::WorldMismatch(_) => "world_mismatch",
            E::GuestRefusedInit(_) => "refused_init",
            E::BadSignatures(_) => "bad_signatures",
            E::TooManyInstances { .. } => "too_many_instances",
            E::Trap { .. } => "trap",
            E::Deadline { .. } => "deadline",
            E::MemoryLimit { .. } => "memory_limit",
            E::OutputTooLarge { .. } => "output_too_large",
            E::WrongOutcomeCount { .. } => "wrong_outcome_count",
            E::MalformedOutcome(_) => "malformed_outcome",
            E::MessageTooLarge { .. } => "message_too_large",
            E::GuestFailed(_) => "guest_failed",
            E::BadArgument(_) => "bad_argument",
            E::NoSuchFunction(_) => "no_such_function",
            E::WrongKind { .. } => "wrong_kind",
            E::CircuitOpen { .. } => "circuit_open",
        }
    }
}

fn wrote(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; it wrote: {stderr}") }
}
