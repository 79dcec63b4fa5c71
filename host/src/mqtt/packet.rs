//! The packets that this broker reads and writes, free of any codec's types.
//!
//! What is here has passed the codec's checks: ids are not zero, strings are UTF-8 without U+0000, flags are legal. Only
//! topics are still raw where noted, so that a known topic costs no second check.

use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;

use crate::message::{Properties, ProtocolVersion, QoS};
use crate::topic::TopicName;

/// Packet identifier: never zero (MQTT-2.2.1-3, MQTT-2.2.1-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    #[must_use]
    pub fn new(id: u16) -> Option<PacketId> {
        NonZeroU16::new(id).map(PacketId)
    }

    #[must_use]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

/// Reason codes of MQTT 5.0 (section 2.4) that this broker sends or understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    Success = 0x00,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecific = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    Banned = 0x8A,
    ServerShuttingDown = 0x8B,
    BadAuthenticationMethod = 0x8C,
    KeepAliveTimeout = 0x8D,
    SessionTakenOver = 0x8E,
    TopicFilterInvalid = 0x8F,
    TopicNameInvalid = 0x90,
    PacketIdNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9A,
    QoSNotSupported = 0x9B,
    SharedSubscriptionsNotSupported = 0x9E,
    WildcardSubscriptionsNotSupported = 0xA2,
}

impl Reason {
    #[must_use]
    pub fn is_error(self) -> bool {
        self as u8 >= 0x80
    }
}

/// What a client asked for when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    pub version: ProtocolVersion,
    /// May be empty: the broker then assigns one.
    pub client_id: String,
    pub clean_start: bool,
    /// Seconds; zero turns the check off.
    pub keep_alive: u16,
    pub username: Option<String>,
    pub password: Option<Bytes>,
    pub will: Option<Box<Will>>,
    /// Seconds; `None` when the packet had none (always, in 3.1.1).
    pub session_expiry_interval: Option<u32>,
    pub receive_maximum: u16,
    /// Bytes; `None` is no limit.
    pub maximum_packet_size: Option<u32>,
    /// Topic aliases that the client allows us; zero is none (MQTT-3.1.2-26).
    pub topic_alias_maximum: u16,
    pub authentication_method: bool,
}

/// The message that the broker publishes for a client that goes without goodbye.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    pub topic: TopicName,
    pub payload: Bytes,
    pub qos: QoS,
    pub retain: bool,
    pub delay: Duration,
    pub properties: Option<Box<Properties>>,
}

/// One packet of a connected client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Publish(Publish<'a>),
    PubAck(Ack),
    PubRec(Ack),
    PubRel(Ack),
    PubComp(Ack),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    PingReq,
    Disconnect(Disconnect),
}

/// A PUBLISH that still lies in the read buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    pub dup: bool,
    pub retain: bool,
    pub qos: QoS,
    /// Present exactly when `qos` is above zero.
    pub id: Option<PacketId>,
    /// Not yet checked; empty when an alias stands for it.
    pub topic: &'a [u8],
    pub topic_alias: Option<u16>,
    pub properties: Option<Box<Properties>>,
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    pub id: PacketId,
    /// The reason code said "error" (0x80 and above).
    pub failed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    pub id: PacketId,
    pub subscription_id: Option<u32>,
    pub filters: Vec<FilterRequest>,
}

/// What to do with retained messages when subscribing (MQTT 5.0, 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainHandling {
    Send,
    SendIfNew,
    DoNotSend,
}

/// One filter of a SUBSCRIBE; not yet checked as a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRequest {
    pub filter: String,
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    pub id: PacketId,
    /// Not yet checked as filters.
    pub filters: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// True when the will must not be published (reason 0x00).
    pub normal: bool,
    pub session_expiry_interval: Option<u32>,
}
