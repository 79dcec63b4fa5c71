//! Host side of the flat transform world; `wit/transform-flat.wit` has the format.
//!
//! Encoding copies each text once into one arena; what the messages of a batch share (rule, client, topics) is written
//! once. Decoding copies nothing: fields are slices of the arena that came back. Nothing that a guest returns is trusted:
//! every offset, length, flag and text is checked, and the first flaw fails the batch.

use std::sync::Arc;

use bytes::Bytes;

use super::error::PluginError;
use super::transform::Item;
use super::verdict::{Patch, Verdict};
use super::world::flat::exports::millstream::plugin::plugin_flat::{Messages, Outcomes};
use crate::message::Client;

mod decode;
#[cfg(test)]
mod tests;

pub(super) use decode::verdicts;

const ROW_WORDS: usize = 24;
const PAIR_WORDS: usize = 4;
/// The length of a range that is `none`.
const NONE: u32 = u32::MAX;
const HAS_TIMESTAMP: u32 = 1 << 4;

/// Buffers of one instance, kept from batch to batch.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) messages: Messages,
    pairs: Vec<u32>,
    names: Names,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch {
            messages: Messages { arena: Vec::new(), words: Vec::new() },
            pairs: Vec::new(),
            names: Names::default(),
        }
    }
}

/// Header names and topics repeat; giving out the same `Arc` again saves an allocation for each.
#[derive(Debug, Default)]
struct Names {
    recent: Vec<Arc<str>>,
    next: usize,
}

impl Names {
    const REMEMBERED: usize = 16;

    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.recent.iter().find(|known| &***known == text) {
            return known.clone();
        }
        let name: Arc<str> = Arc::from(text);
        if self.recent.len() < Names::REMEMBERED {
            self.recent.push(name.clone());
        } else {
            self.recent[self.next] = name.clone();
            self.next = (self.next + 1) % Names::REMEMBERED;
        }
        name
    }
}

#[derive(Clone, Copy)]
struct Range(u32, u32);

/// Ranges of the message before, to be used again when the same thing comes.
#[derive(Default)]
struct Before<'a> {
    client: Option<(&'a Arc<Client>, ClientRanges)>,
    rule: Option<(&'a str, Range)>,
    topic: Option<(&'a Arc<str>, Range)>,
    mqtt_topic: Option<(&'a str, Range)>,
}

#[derive(Clone, Copy)]
struct ClientRanges {
    id: Range,
    username: Range,
    address: Range,
}

impl Scratch {
    /// Writes the batch; its size was bounded by the caller to well below 4 GiB.
    pub(super) fn encode(&mut self, items: &[Item<'_>]) {
        self.messages.arena.clear();
        self.messages.words.clear();
        self.pairs.clear();
        self.messages.words.reserve(3 + items.len() * ROW_WORDS);
        self.messages.words.extend([items.len() as u32, ROW_WORDS as u32, 0]);
        let mut before = Before::default();
        for item in items {
            self.row(item, &mut before);
        }
        self.messages.words[2] = (self.pairs.len() / PAIR_WORDS) as u32;
        self.messages.words.extend_from_slice(&self.pairs);
    }

    fn row<'a>(&mut self, item: &'a Item<'_>, before: &mut Before<'a>) {
        let Item { record, message, rule } = item;
        let topic = match before.topic {
            Some((same, range)) if Arc::ptr_eq(same, &record.topic) => range,
            _ => self.put(record.topic.as_bytes()),
        };
        before.topic = Some((&record.topic, topic));
        let rule_range = match before.rule {
            Some((same, range)) if same_text(same, rule) => range,
            _ => self.put(rule.as_bytes()),
        };
        before.rule = Some((rule, rule_range));
        let mqtt_topic = match before.mqtt_topic {
            Some((same, range)) if same_text(same, message.topic.as_str()) => range,
            _ => self.put(message.topic.as_str().as_bytes()),
        };
        before.mqtt_topic = Some((message.topic.as_str(), mqtt_topic));
        let client = match before.client {
            Some((same, ranges)) if Arc::ptr_eq(same, &message.client) => ranges,
            _ => self.client(&message.client),
        };
        before.client = Some((&message.client, client));

        let key = self.put_optional(record.key.as_deref());
        let value = self.put_optional(record.value.as_deref());
        let headers = self.pairs_begin();
        for (name, value) in &record.headers {
            self.pair(name, value.as_deref());
        }
        let headers_count = self.pairs_begin() - headers;
        let properties = self.pairs_begin();
        for (name, value) in message.properties.iter().flat_map(|properties| &properties.user_properties) {
            self.pair(name, Some(value.as_bytes()));
        }
        let properties_count = self.pairs_begin() - properties;

        let timestamp = record.timestamp.unwrap_or_default();
        let has_timestamp = if record.timestamp.is_some() { HAS_TIMESTAMP } else { 0 };
        let flags = u32::from(message.qos as u8) | (u32::from(message.retain) << 2) | has_timestamp;
        self.messages.words.extend_from_slice(&[
            topic.0,
            topic.1,
            key.0,
            key.1,
            value.0,
            value.1,
            headers,
            headers_count,
            timestamp as u32,
            (timestamp >> 32) as u32,
            flags,
            u32::from(message.client.peer.port()),
            client.address.0,
            client.address.1,
            rule_range.0,
            rule_range.1,
            client.id.0,
            client.id.1,
            client.username.0,
            client.username.1,
            mqtt_topic.0,
            mqtt_topic.1,
            properties,
            properties_count,
        ]);
    }

    fn client(&mut self, client: &Client) -> ClientRanges {
        let address = match client.peer.ip() {
            std::net::IpAddr::V4(ip) => self.put(&ip.octets()),
            std::net::IpAddr::V6(ip) => self.put(&ip.octets()),
        };
        ClientRanges {
            id: self.put(client.id.as_str().as_bytes()),
            username: self.put_optional(client.username.as_ref().map(|name| name.as_bytes())),
            address,
        }
    }

    fn pairs_begin(&self) -> u32 {
        (self.pairs.len() / PAIR_WORDS) as u32
    }

    fn pair(&mut self, name: &str, value: Option<&[u8]>) {
        let name = self.put(name.as_bytes());
        let value = self.put_optional(value);
        self.pairs.extend_from_slice(&[name.0, name.1, value.0, value.1]);
    }

    fn put(&mut self, bytes: &[u8]) -> Range {
        let offset = self.messages.arena.len() as u32;
        self.messages.arena.extend_from_slice(bytes);
        Range(offset, bytes.len() as u32)
    }

    fn put_optional(&mut self, bytes: Option<&[u8]>) -> Range {
        bytes.map_or(Range(0, NONE), |bytes| self.put(bytes))
    }
}

/// The very same text in memory: cheaper than comparing, and that is what a batch of one rule has.
fn same_text(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b)
}
