//! `[sys_topics]`, with EMQX's names and defaults.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::units::Millis;

/// What the broker publishes of itself below `$SYS/`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SysTopicsConfig {
    /// How often version, description, statistics and metrics are published; `"disabled"` is never.
    pub sys_msg_interval: Interval,
    /// How often uptime and time are published; `"disabled"` is never.
    pub sys_heartbeat_interval: Interval,
    pub sys_event_messages: EventMessages,
}

/// Which events of clients are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventMessages {
    pub client_connected: bool,
    pub client_disconnected: bool,
    pub client_subscribed: bool,
    pub client_unsubscribed: bool,
}

impl Default for EventMessages {
    fn default() -> EventMessages {
        EventMessages {
            client_connected: true,
            client_disconnected: true,
            client_subscribed: false,
            client_unsubscribed: false,
        }
    }
}

/// A duration of at least a second, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(pub Option<Duration>);

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Duration(Millis),
            Word(String),
        }
        match Given::deserialize(deserializer) {
            Ok(Given::Duration(every)) if every.duration() >= Duration::from_secs(1) => {
                Ok(Interval(Some(every.duration())))
            }
            Ok(Given::Word(word)) if word == "disabled" => Ok(Interval(None)),
            _ => {
                Err(de::Error::custom("not an interval; write one of at least a second, like \"1m\", or \"disabled\""))
            }
        }
    }
}

impl Default for SysTopicsConfig {
    fn default() -> SysTopicsConfig {
        SysTopicsConfig {
            sys_msg_interval: Interval(Some(Duration::from_secs(60))),
            sys_heartbeat_interval: Interval(Some(Duration::from_secs(30))),
            sys_event_messages: EventMessages::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emqx_names_are_read_and_others_are_not() {
        let text = "sys_msg_interval = \"10s\"\nsys_heartbeat_interval = \"disabled\"\n\
                    sys_event_messages = { client_connected = false }";
        let config: SysTopicsConfig = toml::from_str(text).unwrap();
        assert_eq!(config.sys_msg_interval, Interval(Some(Duration::from_secs(10))));
        assert_eq!(config.sys_heartbeat_interval, Interval(None));
        assert!(!config.sys_event_messages.client_connected && config.sys_event_messages.client_disconnected);
        for bad in ["sys_msg_interval = \"0s\"", "sys_msg_interval = \"never\"", "sys_interval = \"1m\""] {
            assert!(toml::from_str::<SysTopicsConfig>(bad).is_err(), "{bad}");
        }
    }
}
