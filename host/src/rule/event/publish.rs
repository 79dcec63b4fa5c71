//! The columns of `message.publish` (rule-sql 3.4), straight from the message. Nothing is built before it is asked for.

use std::fmt;
use std::io::Write;

use super::{Arc, Bytes, Column, Event, Properties, PublishEvent, Value};
use crate::message::Client;
use crate::value::Map;
use crate::value::{write_integer, write_json_text};

impl Event for PublishEvent<'_> {
    fn column(&self, column: Column) -> Option<Value> {
        let message = self.message;
        Some(match column {
            Column::ClientAttrs => client_attrs(&message.client),
            Column::ClientId => Value::str(message.client.id.as_str()),
            Column::Event => Value::Sym(Arc::from("message.publish")),
            Column::Flags => map([("dup", Value::Bool(message.dup)), ("retain", Value::Bool(message.retain))]),
            Column::Id => Value::Str(Bytes::from(message.id.to_string())),
            Column::Metadata => map([("namespace", Value::sym("global")), ("rule_id", Value::str(self.rule_id))]),
            Column::Node => Value::sym(self.node),
            Column::Payload => Value::Str(message.payload.clone()),
            Column::PeerHost => host(&message.client),
            Column::PeerName => peer_name(&message.client),
            Column::PubProps => properties(message.properties.as_deref()),
            Column::PublishReceivedAt | Column::Timestamp => Value::Int(message.received_at),
            Column::Qos => Value::Int(message.qos as i64),
            Column::Topic => Value::str(message.topic.as_str()),
            Column::Username => message.client.username.as_deref().map_or(Value::Undefined, Value::str),
        })
    }

    fn other(&self, _: &[u8]) -> Option<Value> {
        None
    }

    fn text(&self, column: Column) -> Option<&[u8]> {
        match column {
            Column::ClientId => Some(self.message.client.id.as_str().as_bytes()),
            Column::Payload => Some(&self.message.payload),
            Column::Topic => Some(self.message.topic.as_str().as_bytes()),
            Column::Username => self.message.client.username.as_deref().map(str::as_bytes),
            _ => None,
        }
    }

    fn payload(&self) -> Option<&Bytes> {
        Some(&self.message.payload)
    }

    fn names(&self, visit: &mut dyn FnMut(&str)) {
        Column::ALL.iter().for_each(|column| visit(column.name()));
    }

    fn has(&self, name: &[u8]) -> bool {
        Column::of(name).is_some()
    }

    fn write_json(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        let column = Column::of(name);
        if let Some(column) = column {
            self.write_column(column, out);
        }
        column.is_some()
    }

    fn write_all(&self, out: &mut Vec<u8>) {
        out.reserve(512 + self.message.payload.len() + self.message.payload.len() / 4);
        let mut before = "{\"";
        for column in Column::ALL.into_iter().rev() {
            for part in [before, column.name(), "\":"] {
                out.extend_from_slice(part.as_bytes());
            }
            self.write_column(column, out);
            before = ",\"";
        }
        out.push(b'}');
    }
}

impl PublishEvent<'_> {
    fn write_column(&self, column: Column, out: &mut Vec<u8>) {
        let message = self.message;
        match column {
            Column::Event => out.extend_from_slice(b"\"message.publish\""),
            Column::Node => write_json_text(self.node.as_bytes(), out),
            Column::Id => quoted(&message.id, out),
            Column::PeerHost if message.client.is_rule() => quoted(&"undefined", out),
            Column::PeerName if message.client.is_rule() => quoted(&"undefined", out),
            Column::PeerHost => quoted(&message.client.peer.ip().to_canonical(), out),
            Column::PeerName => quoted(&PeerName(&message.client), out),
            Column::Timestamp | Column::PublishReceivedAt => write_integer(message.received_at, out),
            Column::Qos => write_integer(message.qos as i64, out),
            Column::Flags => {
                let flag = |set| if set { "true" } else { "false" };
                for part in ["{\"retain\":", flag(message.retain), ",\"dup\":", flag(message.dup), "}"] {
                    out.extend_from_slice(part.as_bytes());
                }
            }
            Column::PubProps if message.properties.is_none() => out.extend_from_slice(b"{\"User-Property\":{}}"),
            Column::ClientAttrs if message.client.attrs.is_empty() => out.extend_from_slice(b"{}"),
            Column::Metadata => {
                out.extend_from_slice(b"{\"rule_id\":");
                write_json_text(self.rule_id.as_bytes(), out);
                out.extend_from_slice(b",\"namespace\":\"global\"}");
            }
            _ => match self.text(column) {
                Some(text) => write_json_text(text, out),
                None => self.column(column).unwrap_or_default().to_json(out),
            },
        }
    }
}

/// Text that needs no escapes, in double quotes.
fn quoted(text: &dyn fmt::Display, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(out, "\"{text}\"");
}

/// `ip:port`; IPv6 addresses are not put in brackets (rule-sql 3.1).
struct PeerName<'a>(&'a Client);

impl fmt::Display for PeerName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.0.peer;
        write!(f, "{}:{}", peer.ip().to_canonical(), peer.port())
    }
}

pub(super) fn map<const N: usize>(entries: [(&'static str, Value); N]) -> Value {
    Value::map(entries.into_iter().map(|(key, value)| (Bytes::from_static(key.as_bytes()), value)).collect())
}

pub(super) fn copied(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// The address without its port; a rule that republishes has none.
pub(super) fn host(client: &Client) -> Value {
    match client.is_rule() {
        true => Value::Undefined,
        false => Value::str(&client.peer.ip().to_canonical().to_string()),
    }
}

pub(super) fn peer_name(client: &Client) -> Value {
    match client.is_rule() {
        true => Value::Undefined,
        false => Value::str(&PeerName(client).to_string()),
    }
}

pub(super) fn client_attrs(client: &Client) -> Value {
    Value::map(client.attrs.iter().map(|(key, text)| (copied(key), Value::str(text))).collect())
}

/// MQTT 5 properties by their names in the standard.
pub(super) fn properties(properties: Option<&Properties>) -> Value {
    let mut entries = Map::new();
    let none = Properties::default();
    let given = properties.unwrap_or(&none);
    user_properties(&given.user_properties, &mut entries);
    let mut set = |key: &'static str, value: Value| entries.insert(Bytes::from_static(key.as_bytes()), value);
    if let Some(format) = given.payload_format_indicator {
        set("Payload-Format-Indicator", Value::Int(i64::from(format)));
    }
    if let Some(seconds) = given.message_expiry_interval {
        set("Message-Expiry-Interval", Value::Int(i64::from(seconds)));
    }
    if let Some(kind) = &given.content_type {
        set("Content-Type", Value::str(kind));
    }
    if let Some(topic) = &given.response_topic {
        set("Response-Topic", Value::str(topic));
    }
    if let Some(data) = &given.correlation_data {
        set("Correlation-Data", Value::Str(data.clone()));
    }
    Value::map(entries)
}

/// User properties as a map and, if there are any, as ordered pairs (rule-sql 3.2).
pub(super) fn user_properties(user: &[(String, String)], entries: &mut Map) {
    let mut set = |key: &'static str, value: Value| entries.insert(Bytes::from_static(key.as_bytes()), value);
    set("User-Property", Value::map(user.iter().map(|(key, text)| (copied(key), Value::str(text))).collect()));
    if !user.is_empty() {
        let pairs = user.iter().map(|(key, text)| map([("key", Value::str(key)), ("value", Value::str(text))]));
        set("User-Property-Pairs", Value::list(pairs.collect()));
    }
}
