//! Writes packets to a client: control packets by rumqttd, PUBLISH here.
//!
//! Each method appends one whole packet, or nothing and `false` when the client said that it takes none of that size
//! (MQTT-3.1.2-24). rumqttd's PUBLISH cannot be given a packet id from outside, and it would copy topic and properties
//! once more for every subscriber.

use bytes::{BufMut, BytesMut};
use rumqttd::protocol as rumq;
use rumqttd::protocol::Protocol;

use super::properties;
use crate::message::{Properties, ProtocolVersion, QoS};
use crate::mqtt::packet::{PacketId, Reason};

/// Which acknowledgement to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the packets' names in the standard")]
pub enum AckKind {
    PubAck,
    PubRec,
    PubRel,
    PubComp,
}

/// The answer to CONNECT.
#[derive(Clone, Debug)]
pub struct ConnAck<'a> {
    pub session_present: bool,
    /// 5.0 only, as is all below.
    pub assigned_client_id: Option<&'a str>,
    /// Seconds; set when it differs from what was asked for.
    pub session_expiry_interval: Option<u32>,
    /// Seconds; set when the client must use it instead of its own.
    pub server_keep_alive: Option<u16>,
    pub receive_maximum: u16,
    pub maximum_packet_size: u32,
    pub topic_alias_maximum: u16,
    pub maximum_qos: QoS,
    pub retain_available: bool,
    pub wildcard_subscription_available: bool,
    pub shared_subscription_available: bool,
}

/// One PUBLISH to a subscriber.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingPublish<'a> {
    pub dup: bool,
    pub retain: bool,
    pub qos: QoS,
    /// To be given exactly when `qos` is above zero.
    pub id: Option<PacketId>,
    /// Empty when `topic_alias` stands for it.
    pub topic: &'a str,
    /// Never zero (MQTT-3.3.2-8); 5.0 only.
    pub topic_alias: Option<u16>,
    pub properties: Option<&'a Properties>,
    /// Seconds that are left; takes the place of the one in `properties`.
    pub message_expiry_interval: Option<u32>,
    pub subscription_ids: &'a [u32],
    pub payload: &'a [u8],
}

/// Writes the packets for one connected client.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    pub version: ProtocolVersion,
    /// The largest packet that the client takes, in bytes.
    pub max_packet_size: usize,
}

impl Encoder {
    /// For answers before anything was agreed.
    #[must_use]
    pub fn unlimited(version: ProtocolVersion) -> Encoder {
        Encoder { version, max_packet_size: usize::MAX }
    }

    #[must_use]
    pub fn publish(&self, out: &mut BytesMut, publish: &OutgoingPublish<'_>) -> bool {
        let properties = if self.version == ProtocolVersion::V5 { properties_len(publish) } else { 0 };
        let block = if self.version == ProtocolVersion::V5 { variable_int_len(properties) + properties } else { 0 };
        let id = if publish.id.is_some() { 2 } else { 0 };
        let remaining = 2 + publish.topic.len() + id + block + publish.payload.len();
        let total = 1 + variable_int_len(remaining) + remaining;
        if total > self.max_packet_size || remaining > MAX_REMAINING {
            return false;
        }
        out.reserve(total);
        let flags = u8::from(publish.dup) << 3 | (publish.qos as u8) << 1 | u8::from(publish.retain);
        out.put_u8(0x30 | flags);
        variable_int(out, remaining);
        text(out, publish.topic);
        if let Some(id) = publish.id {
            out.put_u16(id.get());
        }
        if self.version == ProtocolVersion::V5 {
            variable_int(out, properties);
            put_properties(out, publish);
        }
        out.extend_from_slice(publish.payload);
        true
    }

    #[must_use]
    pub fn ack(&self, out: &mut BytesMut, kind: AckKind, id: PacketId, reason: Reason) -> bool {
        let pkid = id.get();
        // The reason codes that the standard allows here; whatever else went wrong is "unspecified".
        let packet = match kind {
            AckKind::PubAck => rumq::Packet::PubAck(rumq::PubAck { pkid, reason: puback(reason) }, None),
            AckKind::PubRec => rumq::Packet::PubRec(rumq::PubRec { pkid, reason: pubrec(reason) }, None),
            AckKind::PubRel => {
                let reason = match reason {
                    Reason::PacketIdNotFound => rumq::PubRelReason::PacketIdentifierNotFound,
                    _ => rumq::PubRelReason::Success,
                };
                rumq::Packet::PubRel(rumq::PubRel { pkid, reason }, None)
            }
            AckKind::PubComp => {
                let reason = match reason {
                    Reason::PacketIdNotFound => rumq::PubCompReason::PacketIdentifierNotFound,
                    _ => rumq::PubCompReason::Success,
                };
                rumq::Packet::PubComp(rumq::PubComp { pkid, reason }, None)
            }
        };
        self.write(out, packet)
    }

    #[must_use]
    pub fn suback(&self, out: &mut BytesMut, id: PacketId, reasons: &[Result<QoS, Reason>]) -> bool {
        let return_codes = reasons.iter().map(|reason| match (reason, self.version) {
            (Ok(qos), _) => rumq::SubscribeReasonCode::Success(match qos {
                QoS::AtMostOnce => rumq::QoS::AtMostOnce,
                QoS::AtLeastOnce => rumq::QoS::AtLeastOnce,
                QoS::ExactlyOnce => rumq::QoS::ExactlyOnce,
            }),
            (Err(_), ProtocolVersion::V4) => rumq::SubscribeReasonCode::Failure,
            (Err(reason), ProtocolVersion::V5) => suback(*reason),
        });
        let suback = rumq::SubAck { pkid: id.get(), return_codes: return_codes.collect() };
        self.write(out, rumq::Packet::SubAck(suback, None))
    }

    #[must_use]
    pub fn unsuback(&self, out: &mut BytesMut, id: PacketId, reasons: &[Reason]) -> bool {
        let reasons = reasons.iter().map(|reason| match reason {
            Reason::Success => rumq::UnsubAckReason::Success,
            Reason::NoSubscriptionExisted => rumq::UnsubAckReason::NoSubscriptionExisted,
            Reason::TopicFilterInvalid => rumq::UnsubAckReason::TopicFilterInvalid,
            Reason::NotAuthorized => rumq::UnsubAckReason::NotAuthorized,
            _ => rumq::UnsubAckReason::UnspecifiedError,
        });
        let unsuback = rumq::UnsubAck { pkid: id.get(), reasons: reasons.collect() };
        self.write(out, rumq::Packet::UnsubAck(unsuback, None))
    }

    #[must_use]
    pub fn pingresp(&self, out: &mut BytesMut) -> bool {
        self.write(out, rumq::Packet::PingResp(rumq::PingResp))
    }

    /// CONNACK that accepts.
    #[must_use]
    pub fn connack(&self, out: &mut BytesMut, connack: &ConnAck<'_>) -> bool {
        let head = rumq::ConnAck { session_present: connack.session_present, code: rumq::ConnectReturnCode::Success };
        let properties = (self.version == ProtocolVersion::V5).then(|| rumq::ConnAckProperties {
            session_expiry_interval: connack.session_expiry_interval,
            receive_max: Some(connack.receive_maximum),
            // 2 must not be written: its absence means 2 (MQTT 5.0, 3.2.2.3.4).
            max_qos: (connack.maximum_qos < QoS::ExactlyOnce).then_some(connack.maximum_qos as u8),
            retain_available: Some(u8::from(connack.retain_available)),
            max_packet_size: Some(connack.maximum_packet_size),
            assigned_client_identifier: connack.assigned_client_id.map(str::to_owned),
            topic_alias_max: Some(connack.topic_alias_maximum),
            wildcard_subscription_available: Some(u8::from(connack.wildcard_subscription_available)),
            subscription_identifiers_available: Some(1),
            shared_subscription_available: Some(u8::from(connack.shared_subscription_available)),
            server_keep_alive: connack.server_keep_alive,
            ..rumq::ConnAckProperties::default()
        });
        self.write(out, rumq::Packet::ConnAck(head, properties))
    }

    /// CONNACK that refuses. `false`, and nothing written, also where 3.1.1 has no return code that would be true: there
    /// the connection is closed without a word (MQTT-3.2.2-6 of 3.1.1).
    #[must_use]
    pub fn refuse(&self, out: &mut BytesMut, reason: Reason) -> bool {
        let code = match self.version {
            ProtocolVersion::V4 => match reason {
                Reason::UnsupportedProtocolVersion => rumq::ConnectReturnCode::RefusedProtocolVersion,
                Reason::ClientIdentifierNotValid => rumq::ConnectReturnCode::ClientIdentifierNotValid,
                Reason::BadUserNameOrPassword => rumq::ConnectReturnCode::BadUserNamePassword,
                Reason::NotAuthorized | Reason::Banned => rumq::ConnectReturnCode::NotAuthorized,
                Reason::QuotaExceeded | Reason::ServerShuttingDown => rumq::ConnectReturnCode::ServiceUnavailable,
                _ => return false,
            },
            ProtocolVersion::V5 => refusal(reason),
        };
        self.write(out, rumq::Packet::ConnAck(rumq::ConnAck { session_present: false, code }, None))
    }

    /// DISCONNECT; 3.1.1 servers do not send it, so there nothing is written.
    #[must_use]
    pub fn disconnect(&self, out: &mut BytesMut, reason: Reason) -> bool {
        if self.version == ProtocolVersion::V4 {
            return true;
        }
        // Written here: rumqttd writes a wrong length without properties, and nothing but the header with empty ones.
        let packet = [0xe0, 2, reason as u8, 0];
        let fits = packet.len() <= self.max_packet_size;
        if fits {
            out.extend_from_slice(&packet);
        }
        fits
    }

    fn write(&self, out: &mut BytesMut, packet: rumq::Packet) -> bool {
        let before = out.len();
        let written = match self.version {
            ProtocolVersion::V4 => rumq::v4::V4.write(packet, out),
            ProtocolVersion::V5 => rumq::v5::V5.write(packet, out),
        };
        let fits = written.is_ok() && out.len() - before <= self.max_packet_size;
        if !fits {
            out.truncate(before);
        }
        fits
    }
}

/// The largest remaining length that four bytes can say.
const MAX_REMAINING: usize = 268_435_455;

fn properties_len(publish: &OutgoingPublish<'_>) -> usize {
    let mut len = publish.message_expiry_interval.map_or(0, |_| 5);
    len += publish.topic_alias.map_or(0, |_| 3);
    len += publish.subscription_ids.iter().map(|id| 1 + variable_int_len(*id as usize)).sum::<usize>();
    if let Some(properties) = publish.properties {
        len += properties.payload_format_indicator.map_or(0, |_| 2);
        len += properties.content_type.as_ref().map_or(0, |text| 3 + text.len());
        len += properties.response_topic.as_ref().map_or(0, |text| 3 + text.len());
        len += properties.correlation_data.as_ref().map_or(0, |data| 3 + data.len());
        len += properties.user_properties.iter().map(|(key, value)| 5 + key.len() + value.len()).sum::<usize>();
    }
    len
}

fn put_properties(out: &mut BytesMut, publish: &OutgoingPublish<'_>) {
    if let Some(seconds) = publish.message_expiry_interval {
        out.put_u8(properties::MESSAGE_EXPIRY_INTERVAL);
        out.put_u32(seconds);
    }
    if let Some(alias) = publish.topic_alias {
        out.put_u8(properties::TOPIC_ALIAS);
        out.put_u16(alias);
    }
    for id in publish.subscription_ids {
        out.put_u8(properties::SUBSCRIPTION_IDENTIFIER);
        variable_int(out, *id as usize);
    }
    let Some(properties) = publish.properties else { return };
    if let Some(indicator) = properties.payload_format_indicator {
        out.put_u8(properties::PAYLOAD_FORMAT_INDICATOR);
        out.put_u8(indicator);
    }
    if let Some(content_type) = &properties.content_type {
        out.put_u8(properties::CONTENT_TYPE);
        text(out, content_type);
    }
    if let Some(topic) = &properties.response_topic {
        out.put_u8(properties::RESPONSE_TOPIC);
        text(out, topic);
    }
    if let Some(data) = &properties.correlation_data {
        out.put_u8(properties::CORRELATION_DATA);
        binary(out, data);
    }
    for (key, value) in &properties.user_properties {
        out.put_u8(properties::USER_PROPERTY);
        text(out, key);
        text(out, value);
    }
}

/// Strings came out of packets, so their length fits the two bytes.
fn text(out: &mut BytesMut, text: &str) {
    binary(out, text.as_bytes());
}

fn binary(out: &mut BytesMut, data: &[u8]) {
    let len = data.len().min(usize::from(u16::MAX));
    out.put_u16(len as u16);
    out.extend_from_slice(&data[..len]);
}

/// Appends a variable byte integer; `value` is below [`MAX_REMAINING`] wherever it is called.
pub(super) fn variable_int(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn variable_int_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

fn puback(reason: Reason) -> rumq::PubAckReason {
    match reason {
        Reason::Success => rumq::PubAckReason::Success,
        Reason::NoMatchingSubscribers => rumq::PubAckReason::NoMatchingSubscribers,
        Reason::ImplementationSpecific => rumq::PubAckReason::ImplementationSpecificError,
        Reason::NotAuthorized => rumq::PubAckReason::NotAuthorized,
        Reason::TopicNameInvalid => rumq::PubAckReason::TopicNameInvalid,
        Reason::QuotaExceeded => rumq::PubAckReason::QuotaExceeded,
        Reason::PayloadFormatInvalid => rumq::PubAckReason::PayloadFormatInvalid,
        _ => rumq::PubAckReason::UnspecifiedError,
    }
}

fn pubrec(reason: Reason) -> rumq::PubRecReason {
    match reason {
        Reason::Success => rumq::PubRecReason::Success,
        Reason::NoMatchingSubscribers => rumq::PubRecReason::NoMatchingSubscribers,
        Reason::ImplementationSpecific => rumq::PubRecReason::ImplementationSpecificError,
        Reason::NotAuthorized => rumq::PubRecReason::NotAuthorized,
        Reason::TopicNameInvalid => rumq::PubRecReason::TopicNameInvalid,
        Reason::QuotaExceeded => rumq::PubRecReason::QuotaExceeded,
        Reason::PayloadFormatInvalid => rumq::PubRecReason::PayloadFormatInvalid,
        _ => rumq::PubRecReason::UnspecifiedError,
    }
}

fn suback(reason: Reason) -> rumq::SubscribeReasonCode {
    match reason {
        Reason::ImplementationSpecific => rumq::SubscribeReasonCode::ImplementationSpecific,
        Reason::NotAuthorized => rumq::SubscribeReasonCode::NotAuthorized,
        Reason::TopicFilterInvalid => rumq::SubscribeReasonCode::TopicFilterInvalid,
        Reason::QuotaExceeded => rumq::SubscribeReasonCode::QuotaExceeded,
        Reason::SharedSubscriptionsNotSupported => rumq::SubscribeReasonCode::SharedSubscriptionsNotSupported,
        Reason::WildcardSubscriptionsNotSupported => rumq::SubscribeReasonCode::WildcardSubscriptionsNotSupported,
        _ => rumq::SubscribeReasonCode::Unspecified,
    }
}

fn refusal(reason: Reason) -> rumq::ConnectReturnCode {
    match reason {
        Reason::MalformedPacket => rumq::ConnectReturnCode::MalformedPacket,
        Reason::ProtocolError => rumq::ConnectReturnCode::ProtocolError,
        Reason::ImplementationSpecific => rumq::ConnectReturnCode::ImplementationSpecificError,
        Reason::UnsupportedProtocolVersion => rumq::ConnectReturnCode::UnsupportedProtocolVersion,
        Reason::ClientIdentifierNotValid => rumq::ConnectReturnCode::ClientIdentifierNotValid,
        Reason::BadUserNameOrPassword => rumq::ConnectReturnCode::BadUserNamePassword,
        Reason::NotAuthorized => rumq::ConnectReturnCode::NotAuthorized,
        Reason::Banned => rumq::ConnectReturnCode::Banned,
        Reason::BadAuthenticationMethod => rumq::ConnectReturnCode::BadAuthenticationMethod,
        Reason::TopicNameInvalid => rumq::ConnectReturnCode::TopicNameInvalid,
        Reason::PacketTooLarge => rumq::ConnectReturnCode::PacketTooLarge,
        Reason::QuotaExceeded => rumq::ConnectReturnCode::QuotaExceeded,
        Reason::RetainNotSupported => rumq::ConnectReturnCode::RetainNotSupported,
        Reason::QoSNotSupported => rumq::ConnectReturnCode::QoSNotSupported,
        _ => rumq::ConnectReturnCode::UnspecifiedError,
    }
}
