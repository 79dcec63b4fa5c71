//! Reads every packet but CONNECT and PUBLISH: fixed flags, ids, properties and option bits are checked here, the rest
//! is rumqttd's.

use bytes::BytesMut;
use rumqttd::protocol as rumq;
use rumqttd::protocol::Protocol;

use super::frame::{self, Frame, Reader};
use super::{DecodeError, properties};
use crate::message::{ProtocolVersion, QoS};
use crate::mqtt::packet::{Ack, Disconnect, FilterRequest, Packet, PacketId, RetainHandling, Subscribe, Unsubscribe};

pub(super) fn decode<'a>(frame: &Frame<'a>, version: ProtocolVersion) -> Result<Packet<'a>, DecodeError> {
    let kind = frame.packet_type();
    let flags = match kind {
        frame::PUBREL | frame::SUBSCRIBE | frame::UNSUBSCRIBE => 2,
        _ => 0,
    };
    if frame.flags() != flags {
        return Err(DecodeError::Malformed("reserved flags in the first byte (MQTT-2.1.3-1)"));
    }
    match kind {
        frame::PUBACK => Ok(Packet::PubAck(ack(frame, version)?)),
        frame::PUBREC => Ok(Packet::PubRec(ack(frame, version)?)),
        frame::PUBREL => Ok(Packet::PubRel(ack(frame, version)?)),
        frame::PUBCOMP => Ok(Packet::PubComp(ack(frame, version)?)),
        frame::SUBSCRIBE => subscribe(frame, version).map(Packet::Subscribe),
        frame::UNSUBSCRIBE => unsubscribe(frame, version).map(Packet::Unsubscribe),
        frame::PINGREQ if frame.body().is_empty() => Ok(Packet::PingReq),
        frame::PINGREQ => Err(DecodeError::Malformed("PINGREQ with content")),
        frame::DISCONNECT => disconnect(frame, version).map(Packet::Disconnect),
        frame::CONNECT => Err(DecodeError::Protocol("a second CONNECT (MQTT-3.1.0-2)")),
        frame::AUTH if version == ProtocolVersion::V5 => {
            Err(DecodeError::Protocol("AUTH, but no authentication method was agreed (MQTT-4.12.0-1)"))
        }
        0 | frame::AUTH => Err(DecodeError::Malformed("a reserved packet type")),
        _ => Err(DecodeError::Protocol("a packet that only a server sends")),
    }
}

/// Hands one checked frame to rumqttd. It never waits for more bytes here: the frame is complete.
fn rumqttd(frame: &Frame<'_>, version: ProtocolVersion) -> Result<rumq::Packet, DecodeError> {
    let mut copy = BytesMut::from(frame.bytes);
    let packet = match version {
        ProtocolVersion::V4 => rumq::v4::V4.read_mut(&mut copy, usize::MAX),
        ProtocolVersion::V5 => rumq::v5::V5.read_mut(&mut copy, usize::MAX),
    };
    packet.map_err(|_| DecodeError::Malformed("the content does not fit its packet type"))
}

fn packet_id(reader: &mut Reader<'_>) -> Result<PacketId, DecodeError> {
    PacketId::new(reader.u16()?).ok_or(DecodeError::Protocol("packet id 0 (MQTT-2.2.1-3)"))
}

/// The short forms, which are nearly all, are read here; the long form has properties and goes to rumqttd.
fn ack(frame: &Frame<'_>, version: ProtocolVersion) -> Result<Ack, DecodeError> {
    let mut reader = Reader(frame.body());
    let id = packet_id(&mut reader)?;
    if reader.is_empty() {
        return Ok(Ack { id, failed: false });
    }
    if version == ProtocolVersion::V4 {
        return Err(DecodeError::Malformed("an acknowledgement longer than its packet id"));
    }
    let code = reader.u8()?;
    let known: &[u8] = match frame.packet_type() {
        frame::PUBACK | frame::PUBREC => &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        _ => &[0x00, 0x92],
    };
    if !known.contains(&code) {
        return Err(DecodeError::Protocol("a reason code that this packet must not have"));
    }
    if !reader.is_empty() {
        properties::walk(&mut reader, properties::IN_ACK, |_, _| {})?;
        if !reader.is_empty() {
            return Err(DecodeError::Malformed("bytes after the properties"));
        }
        rumqttd(frame, version)?;
    }
    Ok(Ack { id, failed: code >= 0x80 })
}

fn subscribe(frame: &Frame<'_>, version: ProtocolVersion) -> Result<Subscribe, DecodeError> {
    let mut reader = Reader(frame.body());
    let id = packet_id(&mut reader)?;
    if version == ProtocolVersion::V5 {
        properties::walk(&mut reader, properties::IN_SUBSCRIBE, |_, _| {})?;
    }
    if reader.is_empty() {
        return Err(DecodeError::Protocol("SUBSCRIBE without a filter (MQTT-3.8.3-2)"));
    }
    while !reader.is_empty() {
        if reader.string()?.is_empty() {
            return Err(DecodeError::Malformed("an empty topic filter (MQTT-4.7.3-1)"));
        }
        let options = reader.u8()?;
        let reserved = if version == ProtocolVersion::V5 { 0xc0 } else { 0xfc };
        if options & reserved != 0 || options & 3 == 3 {
            return Err(DecodeError::Malformed("reserved subscription options (MQTT-3.8.3-5)"));
        }
        if options & 0x30 == 0x30 {
            return Err(DecodeError::Protocol("a Retain Handling of 3"));
        }
    }
    let rumq::Packet::Subscribe(read, properties) = rumqttd(frame, version)? else {
        return Err(DecodeError::Malformed("SUBSCRIBE"));
    };
    let subscription_id = properties.and_then(|properties| properties.id).and_then(|id| u32::try_from(id).ok());
    let filters = read.filters.into_iter().map(|filter| FilterRequest {
        filter: filter.path,
        qos: match filter.qos {
            rumq::QoS::AtMostOnce => QoS::AtMostOnce,
            rumq::QoS::AtLeastOnce => QoS::AtLeastOnce,
            rumq::QoS::ExactlyOnce => QoS::ExactlyOnce,
        },
        no_local: filter.nolocal,
        retain_as_published: filter.preserve_retain,
        retain_handling: match filter.retain_forward_rule {
            rumq::RetainForwardRule::OnEverySubscribe => RetainHandling::Send,
            rumq::RetainForwardRule::OnNewSubscribe => RetainHandling::SendIfNew,
            rumq::RetainForwardRule::Never => RetainHandling::DoNotSend,
        },
    });
    Ok(Subscribe { id, subscription_id, filters: filters.collect() })
}

fn unsubscribe(frame: &Frame<'_>, version: ProtocolVersion) -> Result<Unsubscribe, DecodeError> {
    let mut reader = Reader(frame.body());
    let id = packet_id(&mut reader)?;
    if version == ProtocolVersion::V5 {
        properties::walk(&mut reader, properties::IN_UNSUBSCRIBE, |_, _| {})?;
    }
    if reader.is_empty() {
        return Err(DecodeError::Protocol("UNSUBSCRIBE without a filter (MQTT-3.10.3-2)"));
    }
    while !reader.is_empty() {
        if reader.string()?.is_empty() {
            return Err(DecodeError::Malformed("an empty topic filter (MQTT-4.7.3-1)"));
        }
    }
    match rumqttd(frame, version)? {
        rumq::Packet::Unsubscribe(read, _) => Ok(Unsubscribe { id, filters: read.filters }),
        _ => Err(DecodeError::Malformed("UNSUBSCRIBE")),
    }
}

fn disconnect(frame: &Frame<'_>, version: ProtocolVersion) -> Result<Disconnect, DecodeError> {
    let mut reader = Reader(frame.body());
    if reader.is_empty() {
        return Ok(Disconnect { normal: true, session_expiry_interval: None });
    }
    if version == ProtocolVersion::V4 {
        return Err(DecodeError::Malformed("DISCONNECT with content"));
    }
    let code = reader.u8()?;
    if !matches!(code, 0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x97 | 0x99) {
        return Err(DecodeError::Protocol("a reason code that only a server sends"));
    }
    let mut session_expiry_interval = None;
    if !reader.is_empty() {
        properties::walk(&mut reader, properties::IN_DISCONNECT, |_, _| {})?;
        if !reader.is_empty() {
            return Err(DecodeError::Malformed("bytes after the properties"));
        }
        if let rumq::Packet::Disconnect(_, Some(read)) = rumqttd(frame, version)? {
            session_expiry_interval = read.session_expiry_interval;
        }
    }
    Ok(Disconnect { normal: code == 0x00, session_expiry_interval })
}
