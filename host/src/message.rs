//! One application message as it came from a client, and the record that it becomes on its way to Kafka.
//!
//! Cloning a [`Message`] shares topic, payload and client; nothing here is ever edited in place by two owners.
//! These types know no packet format, no rule and no Kafka.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::topic::TopicName;

/// Who sent a message: any UTF-8 string, unique among the connected clients of this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl ClientId {
    #[must_use]
    pub fn new(id: &str) -> ClientId {
        ClientId(Arc::from(id))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// MQTT protocol version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolVersion {
    /// MQTT 3.1.1, protocol level 4.
    V4,
    /// MQTT 5.0, protocol level 5.
    V5,
}

/// What is known of a connected client; shared by all its messages.
#[derive(Debug)]
pub struct Client {
    pub id: ClientId,
    pub username: Option<Arc<str>>,
    pub peer: SocketAddr,
    pub version: ProtocolVersion,
    /// EMQX's `client_attrs`: set at authentication, read by rules and templates.
    pub attrs: BTreeMap<String, String>,
    /// Zero for a client. A rule that republishes stands here as the sender of what it makes: how many republish actions
    /// are behind that, this one included.
    pub hops: u8,
}

impl Client {
    /// The sender of what a rule republishes: its id, and nothing else that could be known of a client.
    #[must_use]
    pub fn rule(id: &str, hops: u8) -> Client {
        let peer = SocketAddr::from(([0, 0, 0, 0], 0));
        let (id, version) = (ClientId::new(id), ProtocolVersion::V5);
        Client { id, username: None, peer, version, attrs: BTreeMap::new(), hops: hops.max(1) }
    }

    /// Whether this is no client but a rule.
    #[must_use]
    pub fn is_rule(&self) -> bool {
        self.hops > 0
    }
}

/// Delivery promise of one PUBLISH (MQTT-4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    AtMostOnce = 0,
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

impl QoS {
    /// The level that `n` stands for on the wire; `None` for 3 and above.
    #[must_use]
    pub fn from_u8(n: u8) -> Option<QoS> {
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].get(n as usize).copied()
    }
}

/// MQTT 5 PUBLISH properties that travel with the message (MQTT 5.0, 3.3.2.3). The topic alias is resolved before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// 0 = bytes, 1 = UTF-8.
    pub payload_format_indicator: Option<u8>,
    /// Seconds, as received; whoever forwards it counts down from [`Message::received_at`].
    pub message_expiry_interval: Option<u32>,
    pub content_type: Option<String>,
    pub response_topic: Option<String>,
    pub correlation_data: Option<Bytes>,
    /// In the order of the packet, duplicates kept.
    pub user_properties: Vec<(String, String)>,
}

/// Identity of one accepted message on this node, unique as long as its clock does not run backwards over a restart.
/// Printed as 32 upper-case hexadecimal digits, like EMQX's `id` column: microseconds, node, sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(u128);

impl MessageId {
    /// The next id; `received_at` in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn next(received_at: i64) -> MessageId {
        static SEQUENCE: AtomicU64 = AtomicU64::new(0);
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let micros = (received_at as u64).wrapping_mul(1000);
        MessageId((u128::from(micros) << 64) | u128::from(sequence))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032X}", self.0)
    }
}

/// One accepted PUBLISH.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: MessageId,
    pub client: Arc<Client>,
    pub topic: TopicName,
    pub payload: Bytes,
    pub qos: QoS,
    pub retain: bool,
    pub dup: bool,
    /// `None` when the packet carried none, so that a plain message costs no allocation.
    pub properties: Option<Box<Properties>>,
    /// Milliseconds since 1970-01-01 UTC.
    pub received_at: i64,
}

/// One outgoing record before it is a Kafka record: what templates render and plugins change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub topic: Arc<str>,
    /// `None` is Kafka's null key.
    pub key: Option<Bytes>,
    /// `None` is Kafka's null value (a tombstone on a compacted topic).
    pub value: Option<Bytes>,
    /// In order, duplicates kept; `None` is a null header value.
    pub headers: Vec<(Arc<str>, Option<Bytes>)>,
    /// Milliseconds since 1970-01-01 UTC; `None` lets the producer's clock decide.
    pub timestamp: Option<i64>,
}

impl Record {
    /// Bytes that Kafka gets of it: key, value and headers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let part = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + part(value)).sum();
        part(&self.key) + part(&self.value) + headers
    }
}

/// Messages for the tests of whoever handles them.
#[cfg(test)]
pub mod testing {
    use super::*;

    /// A client of MQTT 5 without a user name.
    pub fn client(id: &str) -> Arc<Client> {
        Arc::new(Client {
            id: ClientId::new(id),
            username: None,
            peer: ([192, 0, 2, 7], 50123).into(),
            version: ProtocolVersion::V5,
            attrs: BTreeMap::new(),
            hops: 0,
        })
    }

    /// QoS 1, not retained, without properties.
    pub fn message(client: &Arc<Client>, topic: &str, payload: &str) -> Message {
        Message {
            id: MessageId::next(1_700_000_000_000),
            client: client.clone(),
            topic: TopicName::new(topic).unwrap(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            qos: QoS::AtLeastOnce,
            retain: false,
            dup: false,
            properties: None,
            received_at: 1_700_000_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_ordered_within_a_millisecond() {
        let (a, b) = (MessageId::next(1_700_000_000_000), MessageId::next(1_700_000_000_000));
        assert!(a < b);
        assert_eq!(a.to_string().len(), 32);
    }

    #[test]
    fn qos_has_three_levels() {
        assert_eq!(QoS::from_u8(2), Some(QoS::ExactlyOnce));
        assert_eq!(QoS::from_u8(3), None);
    }
}
