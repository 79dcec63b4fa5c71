//! Reads CONNECT: the packet that decides the version, so it is read before any versioned codec is chosen.
//!
//! The password is binary (rumqttd wants UTF-8), reserved bits and trailing bytes are refused, and a version that is not
//! spoken here gets the answer that its own standard asks for.

use std::time::Duration;

use bytes::Bytes;

use super::DecodeError;
use super::frame::{self, Frame, Reader};
use super::properties::{self, Value};
use crate::message::{Properties, ProtocolVersion, QoS};
use crate::mqtt::packet::{Connect, Reason, Will};
use crate::topic::TopicName;

/// Why the first packet did not open a connection, and what to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Closed without a word: the peer does not speak MQTT, or not yet.
    #[error("the first packet was not CONNECT (MQTT-3.1.0-1)")]
    NotConnect,
    #[error("the protocol name is not MQTT (MQTT-3.1.2-1)")]
    NotMqtt,
    /// Answered in the format of the second: with 0x01 as 3.1.1 asks, or 0x84 as 5.0 asks (MQTT-3.1.2-2 of both).
    #[error("protocol level {0} is not served; 4 (3.1.1) and 5 (5.0) are")]
    Version(u8, ProtocolVersion),
    /// Answered with a CONNACK in 5.0; 3.1.1 closes.
    #[error("{1}")]
    Invalid(ProtocolVersion, DecodeError),
    #[error("the will topic is not a valid topic name")]
    WillTopic(ProtocolVersion),
}

impl ConnectError {
    /// The answer to send before closing, if the standards know one.
    #[must_use]
    pub fn answer(self) -> Option<(ProtocolVersion, Reason)> {
        match self {
            ConnectError::NotConnect | ConnectError::NotMqtt => None,
            ConnectError::Version(_, format) => Some((format, Reason::UnsupportedProtocolVersion)),
            ConnectError::Invalid(ProtocolVersion::V5, error) => Some((ProtocolVersion::V5, error.reason())),
            ConnectError::WillTopic(ProtocolVersion::V5) => Some((ProtocolVersion::V5, Reason::TopicNameInvalid)),
            ConnectError::Invalid(ProtocolVersion::V4, _) | ConnectError::WillTopic(ProtocolVersion::V4) => None,
        }
    }
}

/// Reads the first packet of a connection.
pub fn decode_connect(frame: &Frame<'_>) -> Result<Connect, ConnectError> {
    if frame.packet_type() != frame::CONNECT || frame.flags() != 0 {
        return Err(ConnectError::NotConnect);
    }
    let mut reader = Reader(frame.body());
    let name = reader.binary().map_err(|_| ConnectError::NotMqtt)?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(ConnectError::NotMqtt);
    }
    let level = reader.u8().map_err(|_| ConnectError::NotMqtt)?;
    let version = match level {
        4 if name == b"MQTT" => ProtocolVersion::V4,
        5 if name == b"MQTT" => ProtocolVersion::V5,
        _ => return Err(ConnectError::Version(level, written_as(level, reader))),
    };
    let flags = reader.u8().map_err(|error| ConnectError::Invalid(version, error))?;
    let invalid = |error| ConnectError::Invalid(version, error);
    check_flags(flags, version).map_err(invalid)?;
    let mut connect = head(&mut reader, version, flags).map_err(invalid)?;
    if flags & 0x04 != 0 {
        connect.will = Some(Box::new(will(&mut reader, version, flags)?));
    }
    credentials(&mut reader, flags, &mut connect).map_err(invalid)?;
    if !reader.is_empty() {
        return Err(invalid(DecodeError::Malformed("bytes after the end of CONNECT")));
    }
    Ok(connect)
}

/// The format that a CONNECT of a level which is not served is written in, and so its answer: 5.0 above level 5, unless
/// all of the packet reads as 3.1.1. Bridges set the highest bit of a level below 5.
fn written_as(level: u8, mut reader: Reader<'_>) -> ProtocolVersion {
    let mut whole_as_3_1_1 = || {
        let flags = reader.u8()?;
        reader.u16()?;
        let fields = [true, flags & 0x04 != 0, flags & 0x04 != 0, flags & 0x80 != 0, flags & 0x40 != 0];
        for _ in fields.into_iter().filter(|given| *given) {
            reader.binary()?;
        }
        Ok::<_, DecodeError>(reader.is_empty())
    };
    match level {
        6..0x80 if !whole_as_3_1_1().unwrap_or(false) => ProtocolVersion::V5,
        _ => ProtocolVersion::V4,
    }
}

fn check_flags(flags: u8, version: ProtocolVersion) -> Result<(), DecodeError> {
    if flags & 0x01 != 0 {
        return Err(DecodeError::Malformed("the reserved connect flag (MQTT-3.1.2-3)"));
    }
    if flags & 0x04 == 0 && flags & 0x38 != 0 {
        return Err(DecodeError::Malformed("will QoS or will retain without a will (MQTT-3.1.2-11, -13)"));
    }
    if flags & 0x18 == 0x18 {
        return Err(DecodeError::Malformed("a will QoS of 3 (MQTT-3.1.2-12)"));
    }
    if version == ProtocolVersion::V4 && flags & 0xc0 == 0x40 {
        return Err(DecodeError::Malformed("a password without a user name (MQTT-3.1.2-22 of 3.1.1)"));
    }
    Ok(())
}

fn head(reader: &mut Reader<'_>, version: ProtocolVersion, flags: u8) -> Result<Connect, DecodeError> {
    let mut connect = Connect {
        version,
        client_id: String::new(),
        clean_start: flags & 0x02 != 0,
        keep_alive: reader.u16()?,
        username: None,
        password: None,
        will: None,
        session_expiry_interval: None,
        receive_maximum: u16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        authentication_method: false,
    };
    if version == ProtocolVersion::V5 {
        let mut authentication_data = false;
        properties::walk(reader, properties::IN_CONNECT, |id, value| match (id, value) {
            (properties::SESSION_EXPIRY_INTERVAL, Value::Number(n)) => connect.session_expiry_interval = Some(n),
            (properties::RECEIVE_MAXIMUM, Value::Number(n)) => connect.receive_maximum = n as u16,
            (properties::MAXIMUM_PACKET_SIZE, Value::Number(n)) => connect.maximum_packet_size = Some(n),
            (properties::TOPIC_ALIAS_MAXIMUM, Value::Number(n)) => connect.topic_alias_maximum = n as u16,
            (properties::AUTHENTICATION_METHOD, _) => connect.authentication_method = true,
            (properties::AUTHENTICATION_DATA, _) => authentication_data = true,
            _ => {}
        })?;
        if authentication_data && !connect.authentication_method {
            return Err(DecodeError::Protocol("authentication data without a method"));
        }
    }
    connect.client_id = reader.string()?.to_owned();
    Ok(connect)
}

fn will(reader: &mut Reader<'_>, version: ProtocolVersion, flags: u8) -> Result<Will, ConnectError> {
    let invalid = |error| ConnectError::Invalid(version, error);
    let mut delay = 0;
    let mut properties = Properties::default();
    if version == ProtocolVersion::V5 {
        properties::walk(reader, properties::IN_WILL, |id, value| match (id, value) {
            (properties::WILL_DELAY_INTERVAL, Value::Number(n)) => delay = n,
            (properties::PAYLOAD_FORMAT_INDICATOR, Value::Number(n)) => {
                properties.payload_format_indicator = Some(n as u8);
            }
            (properties::MESSAGE_EXPIRY_INTERVAL, Value::Number(n)) => properties.message_expiry_interval = Some(n),
            (properties::CONTENT_TYPE, Value::Text(text)) => properties.content_type = Some(text.to_owned()),
            (properties::RESPONSE_TOPIC, Value::Text(text)) => properties.response_topic = Some(text.to_owned()),
            (properties::CORRELATION_DATA, Value::Binary(data)) => {
                properties.correlation_data = Some(Bytes::copy_from_slice(data));
            }
            (properties::USER_PROPERTY, Value::Pair(key, value)) => {
                properties.user_properties.push((key.to_owned(), value.to_owned()));
            }
            _ => {}
        })
        .map_err(invalid)?;
    }
    let topic = reader.string().map_err(invalid)?;
    let topic = TopicName::new(topic).map_err(|_| ConnectError::WillTopic(version))?;
    let payload = Bytes::copy_from_slice(reader.binary().map_err(invalid)?);
    // A QoS of 3 was refused with the flags.
    let qos = QoS::from_u8((flags >> 3) & 3).unwrap_or(QoS::ExactlyOnce);
    let properties = (properties != Properties::default()).then(|| Box::new(properties));
    Ok(Will { topic, payload, qos, retain: flags & 0x20 != 0, delay: Duration::from_secs(delay.into()), properties })
}

fn credentials(reader: &mut Reader<'_>, flags: u8, connect: &mut Connect) -> Result<(), DecodeError> {
    if flags & 0x80 != 0 {
        connect.username = Some(reader.string()?.to_owned());
    }
    if flags & 0x40 != 0 {
        connect.password = Some(Bytes::copy_from_slice(reader.binary()?));
    }
    Ok(())
}
