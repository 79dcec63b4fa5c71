//! A rule as the configuration says it.

use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::builtin::ActionUse;
use crate::rule::EVALUATION_LIMIT;
use crate::units::Millis;

/// One rule: which messages, what becomes of them, where they go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    pub sql: String,
    /// Plugins that see the raw message before the SQL, in this order.
    #[serde(default)]
    pub decode: Vec<PluginUse>,
    /// Plugins that change the records after the SQL, in this order.
    #[serde(default)]
    pub transform: Vec<PluginUse>,
    /// Names of actions (EMQX's `type:name` is understood), and built-in actions of this rule alone.
    #[serde(default)]
    pub actions: Vec<ActionUse>,
    #[serde(default = "yes")]
    pub enable: bool,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<String>,
}

/// `[rule_engine]`: EMQX's section of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleEngineConfig {
    /// How long a jq program may take when the rule does not say; a worker waits for it. Default 10 s.
    pub jq_function_default_timeout: Millis,
}

impl RuleEngineConfig {
    /// What is wrong: key and problem.
    #[must_use]
    pub fn check(&self) -> Option<(&'static str, String)> {
        let timeout = self.jq_function_default_timeout;
        let possible = (Millis(1)..=Millis::from_secs(3600)).contains(&timeout);
        (!possible).then(|| ("jq_function_default_timeout", "expected at least 1 ms and at most an hour".to_owned()))
    }

    /// How long a rule may take over one message: never less than one jq program may.
    #[must_use]
    pub fn evaluation_limit(&self) -> Duration {
        self.jq_function_default_timeout.duration().max(EVALUATION_LIMIT)
    }
}

impl Default for RuleEngineConfig {
    fn default() -> RuleEngineConfig {
        RuleEngineConfig { jq_function_default_timeout: Millis::from_secs(10) }
    }
}

fn yes() -> bool {
    true
}

/// A plugin at one step of one rule: its name, or a table with the name and more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginUse {
    pub plugin: String,
    pub on_error: OnError,
}

/// What becomes of a message that a plugin could not handle: it trapped, took too long or broke its contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The device is told that its message was not taken.
    #[default]
    Refuse,
    /// It ends here, counted, and the device is told that all is well.
    Drop,
    /// It goes on as it was before this plugin.
    Pass,
    /// It goes to a place for such messages; the configuration refuses it as long as there is none.
    DeadLetter,
}

impl<'de> Deserialize<'de> for PluginUse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PluginUse, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Said {
            plugin: String,
            #[serde(default)]
            on_error: OnError,
        }

        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = PluginUse;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a plugin, or a table like { plugin = \"NAME\", on_error = \"refuse\" }")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<PluginUse, E> {
                Ok(PluginUse { plugin: name.to_owned(), on_error: OnError::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PluginUse, A::Error> {
                let Said { plugin, on_error } = Said::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PluginUse { plugin, on_error })
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}
