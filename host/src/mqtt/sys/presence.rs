//! Clients that come, go, subscribe and unsubscribe: `$SYS/brokers/NODE/clients/CLIENT/connected` and so on, as JSON.

use serde_json::{Map, Value, json};

use super::SysTopics;
use crate::event::Connection;
use crate::message::{Client, ProtocolVersion};
use crate::mqtt::broker::{Broker, Now};
use crate::mqtt::packet::RetainHandling;
use crate::mqtt::router::SubscriptionOptions;

impl SysTopics {
    pub fn connected(&self, broker: &Broker, connection: &Connection, now: Now) {
        if self.config.sys_event_messages.client_connected {
            self.event(broker, &connection.client, "connected", now, || {
                let mut payload = of_connection(connection, now);
                payload.insert("keepalive".into(), connection.keep_alive.into());
                payload.insert("clean_start".into(), connection.clean_start.into());
                // Milliseconds, as it is there inside.
                payload.insert("expiry_interval".into(), (u64::from(connection.session_expiry) * 1000).into());
                payload.insert("connack".into(), 0.into());
                payload
            });
        }
    }

    /// `reason`: EMQX's word for why it ended.
    pub fn disconnected(&self, broker: &Broker, connection: &Connection, reason: &str, now: Now) {
        if self.config.sys_event_messages.client_disconnected {
            self.event(broker, &connection.client, "disconnected", now, || {
                let mut payload = of_connection(connection, now);
                payload.insert("reason".into(), reason.into());
                payload.insert("disconnected_at".into(), now.unix_millis.into());
                payload
            });
        }
    }

    pub fn subscribed(&self, broker: &Broker, client: &Client, topic: &str, options: &SubscriptionOptions, now: Now) {
        if self.config.sys_event_messages.client_subscribed {
            self.event(broker, client, "subscribed", now, || {
                let mut payload = of_client(client, now);
                payload.insert("topic".into(), topic.into());
                let rh = match options.retain_handling {
                    RetainHandling::Send => 0,
                    RetainHandling::SendIfNew => 1,
                    RetainHandling::DoNotSend => 2,
                };
                let nl = u8::from(options.no_local);
                let rap = u8::from(options.retain_as_published);
                let options = json!({ "qos": options.qos as u8, "nl": nl, "rap": rap, "rh": rh });
                payload.insert("subopts".into(), options);
                payload
            });
        }
    }

    pub fn unsubscribed(&self, broker: &Broker, client: &Client, topic: &str, now: Now) {
        if self.config.sys_event_messages.client_unsubscribed {
            self.event(broker, client, "unsubscribed", now, || {
                let mut payload = of_client(client, now);
                payload.insert("topic".into(), topic.into());
                payload
            });
        }
    }

    fn event(&self, broker: &Broker, of: &Client, event: &str, now: Now, payload: impl FnOnce() -> Map<String, Value>) {
        // Nearly always nobody subscribes to anything here.
        if !broker.router.is_empty() {
            let name = format!("clients/{}/{event}", of.id);
            self.publish(broker, &name, now, || Value::Object(payload()).to_string());
        }
    }
}

fn of_client(client: &Client, now: Now) -> Map<String, Value> {
    let mut payload = Map::new();
    payload.insert("clientid".into(), client.id.as_str().into());
    payload.insert("username".into(), client.username.as_deref().unwrap_or("undefined").into());
    payload.insert("protocol".into(), "mqtt".into());
    payload.insert("ts".into(), now.unix_millis.into());
    payload
}

fn of_connection(connection: &Connection, now: Now) -> Map<String, Value> {
    let client = &connection.client;
    let mut payload = of_client(client, now);
    let version = match client.version {
        ProtocolVersion::V4 => 4,
        ProtocolVersion::V5 => 5,
    };
    payload.insert("ipaddress".into(), client.peer.ip().to_string().into());
    payload.insert("sockport".into(), connection.local.port().into());
    payload.insert("proto_name".into(), "MQTT".into());
    payload.insert("proto_ver".into(), version.into());
    payload.insert("connected_at".into(), connection.connected_at.into());
    payload
}
