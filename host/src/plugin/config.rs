//! The `[plugins.<name>]` table, and the limits that every plugin has whether it names them or not.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::units::{ByteSize, Millis};

/// One plugin as the operator wrote it.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginConfig {
    /// The component; a relative path is resolved by whoever loads the configuration.
    pub path: PathBuf,
    /// Handed to the plugin's `init` as JSON.
    #[serde(default = "empty_table")]
    pub config: Value,
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// `limits = { memory = "16MB", deadline = "20ms", output = "8MB", instances = 64 }`; each has a default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    pub memory: Option<ByteSize>,
    pub deadline: Option<Millis>,
    pub output: Option<ByteSize>,
    pub instances: Option<usize>,
}

/// What a plugin may use. Always set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All linear memories of one instance together.
    pub memory: ByteSize,
    /// Wall time for one call: a batch of messages, or one function call.
    pub deadline: Millis,
    /// What one call may return.
    pub output: ByteSize,
    /// Instances alive at the same time, over all workers and versions in use.
    pub instances: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory: ByteSize::mib(64), deadline: Millis(50), output: ByteSize::mib(8), instances: 64 }
    }
}

impl Limits {
    /// What starting an instance may take: instantiation and `init`. Interpreters need far longer for it than for a call.
    #[must_use]
    pub fn start_deadline(&self) -> Millis {
        Millis(self.deadline.0.saturating_mul(10).max(2000))
    }
}

impl From<LimitsConfig> for Limits {
    /// A limit of zero means the smallest that works, never "none".
    fn from(config: LimitsConfig) -> Limits {
        let default = Limits::default();
        Limits {
            memory: config.memory.unwrap_or(default.memory).max(ByteSize::kib(64)),
            deadline: config.deadline.unwrap_or(default.deadline).max(Millis(1)),
            output: config.output.unwrap_or(default.output).max(ByteSize::kib(1)),
            instances: config.instances.unwrap_or(default.instances).max(1),
        }
    }
}

impl PluginConfig {
    /// The JSON text for `init`.
    #[must_use]
    pub fn config_json(&self) -> String {
        plain_dates(self.config.clone()).to_string()
    }
}

/// TOML dates arrive as a map with one private key; a plugin gets their text.
fn plain_dates(value: Value) -> Value {
    match value {
        Value::Object(mut map) if map.len() == 1 && map.contains_key("$__toml_private_datetime") => {
            map.remove("$__toml_private_datetime").unwrap_or_default()
        }
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, plain_dates(value))).collect()),
        Value::Array(list) => Value::Array(list.into_iter().map(plain_dates).collect()),
        other => other,
    }
}

fn empty_table() -> Value {
    Value::Object(serde_json::Map::new())
}

/// Without the values of `config`: they may be secrets.
impl fmt::Debug for PluginConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginConfig").field("path", &self.path).field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PluginConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn the_table_of_the_design_reads() {
        let config = parse("path = 'a.wasm'\nconfig = { site = 'plant-7', at = 2024-05-01 }\nlimits = { memory = '16MB', deadline = '20ms' }").unwrap();
        assert_eq!(config.config_json(), r#"{"at":"2024-05-01","site":"plant-7"}"#);
        let limits = Limits::from(config.limits);
        assert_eq!((limits.memory, limits.deadline), (ByteSize::mib(16), Millis(20)));
        assert_eq!(limits.output, Limits::default().output);
    }

    #[test]
    fn no_config_is_an_empty_object() {
        assert_eq!(parse("path = 'a.wasm'").unwrap().config_json(), "{}");
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(parse("path = 'a.wasm'\nlimit = {}").is_err());
        assert!(parse("path = 'a.wasm'\nlimits = { ram = '1MB' }").is_err());
    }

    #[test]
    fn a_limit_of_zero_is_not_unlimited() {
        let limits =
            Limits::from(LimitsConfig { deadline: Some(Millis(0)), instances: Some(0), ..LimitsConfig::default() });
        assert_eq!((limits.deadline, limits.instances), (Millis(1), 1));
    }

    #[test]
    fn printing_shows_no_configuration_values() {
        let config = parse("path = 'a.wasm'\nconfig = { token = 'hunter2' }").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
