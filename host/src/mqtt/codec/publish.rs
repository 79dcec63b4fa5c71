//! Reads PUBLISH: the fixed part here, on the hot path without a copy; the properties, where there are any, by rumqttd.

use bytes::BytesMut;
use rumqttd::protocol as rumq;
use rumqttd::protocol::Protocol;

use super::frame::{Frame, Reader};
use super::{DecodeError, properties};
use crate::message::{Properties, ProtocolVersion, QoS};
use crate::mqtt::packet::{PacketId, Publish};

pub(super) fn decode<'a>(frame: &Frame<'a>, version: ProtocolVersion) -> Result<Publish<'a>, DecodeError> {
    let flags = frame.flags();
    let qos = QoS::from_u8((flags >> 1) & 3).ok_or(DecodeError::Malformed("a QoS of 3 (MQTT-3.3.1-4)"))?;
    let dup = flags & 8 != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(DecodeError::Protocol("DUP with QoS 0 (MQTT-3.3.1-2)"));
    }
    let mut reader = Reader(frame.body());
    let topic = reader.binary()?;
    let id = match qos {
        QoS::AtMostOnce => None,
        _ => Some(PacketId::new(reader.u16()?).ok_or(DecodeError::Protocol("packet id 0 (MQTT-2.2.1-3)"))?),
    };
    let mut publish =
        Publish { dup, retain: flags & 1 != 0, qos, id, topic, topic_alias: None, properties: None, payload: &[] };
    if version == ProtocolVersion::V5 {
        match reader.0 {
            [0, rest @ ..] => reader.0 = rest,
            _ => {
                properties::walk(&mut reader, properties::IN_PUBLISH, |_, _| {})?;
                read_properties(frame, reader.0.len(), &mut publish)?;
            }
        }
    }
    if topic.is_empty() && publish.topic_alias.is_none() {
        return Err(DecodeError::Protocol("neither a topic nor an alias for one (MQTT-3.3.2-8)"));
    }
    publish.payload = reader.0;
    Ok(publish)
}

/// Lets rumqttd read the properties, from a copy of the packet without its payload: what it returns then holds on to
/// that small copy instead of the read buffer.
fn read_properties(frame: &Frame<'_>, payload: usize, publish: &mut Publish<'_>) -> Result<(), DecodeError> {
    let body = frame.body();
    let head = &body[..body.len() - payload];
    let mut copy = BytesMut::with_capacity(head.len() + 5);
    copy.extend_from_slice(&frame.bytes[..1]);
    super::encode::variable_int(&mut copy, head.len());
    copy.extend_from_slice(head);
    let read = match rumq::v5::V5.read_mut(&mut copy, usize::MAX) {
        Ok(rumq::Packet::Publish(_, read)) => read,
        _ => return Err(DecodeError::Malformed("PUBLISH")),
    };
    let Some(read) = read else { return Ok(()) };
    publish.topic_alias = read.topic_alias;
    let properties = Properties {
        payload_format_indicator: read.payload_format_indicator,
        message_expiry_interval: read.message_expiry_interval,
        content_type: read.content_type,
        response_topic: read.response_topic,
        correlation_data: read.correlation_data,
        user_properties: read.user_properties,
    };
    if properties != Properties::default() {
        publish.properties = Some(Box::new(properties));
    }
    Ok(())
}
