//! The sections of the configuration that belong to no other part: the node and the API. They say nothing of other
//! sections; what goes together is checked in [`super::check`].

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Deserialize;

use crate::units::Millis;

/// `[node]`: this process.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Shown in logs, metrics and the `node` column of rules.
    pub name: String,
    /// Where compiled plugins, plugin state and buffers are kept; created when it is needed.
    pub data_dir: PathBuf,
    /// How long a stop may take before what is left is named in the log and given up.
    pub shutdown_timeout: Millis,
    /// Pipeline threads; as many as cores by default.
    pub workers: NonZeroUsize,
}

impl Default for NodeConfig {
    fn default() -> NodeConfig {
        NodeConfig {
            name: "millstream".to_owned(),
            data_dir: PathBuf::from("data"),
            shutdown_timeout: Millis::from_secs(30),
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

impl NodeConfig {
    /// More threads than this help nobody and cost memory.
    const MAX_WORKERS: usize = 1024;

    /// What is wrong with the values, by key.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if self.name.trim().is_empty() || self.name.chars().any(char::is_control) {
            found.push(("name".to_owned(), "expected a name of visible characters".to_owned()));
        }
        if self.workers.get() > NodeConfig::MAX_WORKERS {
            found.push(("workers".to_owned(), format!("expected at most {}", NodeConfig::MAX_WORKERS)));
        }
        found
    }
}

/// `[api]`: metrics and health over HTTP. Without the section there is none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// `host:port`; port 0 takes any free one.
    pub bind: String,
}

impl Default for ApiConfig {
    fn default() -> ApiConfig {
        ApiConfig { bind: "127.0.0.1:18083".to_owned() }
    }
}

impl ApiConfig {
    /// What is wrong with the values, by key.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let port = self
            .bind
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty())
            .and_then(|(_, port)| port.parse::<u16>().ok());
        match port {
            Some(_) => Vec::new(),
            None => vec![("bind".to_owned(), "expected `host:port`, like \"127.0.0.1:18083\"".to_owned())],
        }
    }
}
