//! Reads once more what only events tell of a packet: its properties and the reason code of DISCONNECT.
//!
//! For packets that were decoded already, and only when somebody wants to know. Anything odd gives nothing, never an error.

use super::frame::{self, Reader};
use super::properties::{self, Value};
use super::{DecodeError, cut};
use crate::event::{PacketProperties, PropertyValue};

/// The properties of a packet of MQTT 5.0 that is not PUBLISH; `None` when it has none. At most `limit` bytes of user
/// properties are kept, whole pairs from the first on.
pub fn properties_of(packet: &[u8], limit: usize) -> Option<Box<PacketProperties>> {
    let frame = cut(packet, usize::MAX).ok().flatten()?;
    let mut given = PacketProperties::default();
    let mut room = limit;
    let see = |id, value: Value<'_>| match value {
        Value::Pair(key, value) => {
            room = room.saturating_sub(key.len() + value.len());
            if room > 0 {
                given.user.push((key.to_owned(), value.to_owned()));
            }
        }
        // What a client proves itself with is nobody's business.
        _ if id == properties::AUTHENTICATION_DATA => {}
        Value::Number(n) => given.named.push((name(id), PropertyValue::Number(n))),
        Value::Text(text) => given.named.push((name(id), PropertyValue::Text(text.to_owned()))),
        Value::Binary(data) => given.named.push((name(id), PropertyValue::Binary(data.to_vec().into()))),
    };
    walk(frame.packet_type(), frame.body(), see).ok()?;
    (given != PacketProperties::default()).then(|| Box::new(given))
}

fn walk<'a>(kind: u8, body: &'a [u8], see: impl FnMut(u8, Value<'a>)) -> Result<(), DecodeError> {
    let mut reader = Reader(body);
    let allowed = match kind {
        frame::CONNECT => {
            // Name, level, flags, keep-alive.
            reader.binary()?;
            reader.take(4)?;
            properties::IN_CONNECT
        }
        frame::PUBACK | frame::PUBREC => {
            reader.u16()?;
            if !reader.is_empty() {
                reader.u8()?;
            }
            properties::IN_ACK
        }
        frame::SUBSCRIBE => {
            reader.u16()?;
            properties::IN_SUBSCRIBE
        }
        frame::UNSUBSCRIBE => {
            reader.u16()?;
            properties::IN_UNSUBSCRIBE
        }
        frame::DISCONNECT => {
            if !reader.is_empty() {
                reader.u8()?;
            }
            properties::IN_DISCONNECT
        }
        _ => return Ok(()),
    };
    if reader.is_empty() { Ok(()) } else { properties::walk(&mut reader, allowed, see) }
}

/// The reason code of a DISCONNECT; 0x00 when it has none.
pub fn disconnect_code(packet: &[u8]) -> u8 {
    cut(packet, usize::MAX).ok().flatten().and_then(|frame| frame.body().first().copied()).unwrap_or(0)
}

/// The standard's name of a property, as EMQX writes it.
fn name(id: u8) -> &'static str {
    match id {
        properties::SESSION_EXPIRY_INTERVAL => "Session-Expiry-Interval",
        properties::RECEIVE_MAXIMUM => "Receive-Maximum",
        properties::MAXIMUM_PACKET_SIZE => "Maximum-Packet-Size",
        properties::TOPIC_ALIAS_MAXIMUM => "Topic-Alias-Maximum",
        properties::REQUEST_RESPONSE_INFORMATION => "Request-Response-Information",
        properties::REQUEST_PROBLEM_INFORMATION => "Request-Problem-Information",
        properties::AUTHENTICATION_METHOD => "Authentication-Method",
        properties::SUBSCRIPTION_IDENTIFIER => "Subscription-Identifier",
        properties::REASON_STRING => "Reason-String",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn properties_are_found_in_every_packet_that_can_have_them() {
        let pair = [38, 0, 1, b'k', 0, 1, b'v'];
        let with = |head: &[u8], properties: &[u8], tail: &[u8], first: u8| {
            let mut body = head.to_vec();
            body.push(properties.len() as u8);
            body.extend(properties);
            body.extend(tail);
            let mut packet = vec![first, body.len() as u8];
            packet.extend(body);
            packet
        };
        let reason: Vec<u8> = [&[31, 0, 2, b'o', b'k'], &pair[..]].concat();
        let connect: Vec<u8> = [&[17, 0, 0, 0, 60, 33, 0, 32, 21, 0, 1, b'm', 22, 0, 1, b's'], &pair[..]].concat();
        for (packet, named) in [
            (with(&[0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 30], &connect, &[0, 1, b'c'], 0x10), 3),
            (with(&[0, 1, 0], &reason, &[], 0x40), 1),
            (with(&[0, 1, 0], &reason, &[], 0x50), 1),
            (with(&[0, 1], &[&[11, 7], &pair[..]].concat(), &[0, 1, b't', 1], 0x82), 1),
            (with(&[0, 1], &pair, &[0, 1, b't'], 0xa2), 0),
            (with(&[4], &reason, &[], 0xe0), 1),
        ] {
            let given = properties_of(&packet, 100).unwrap();
            assert_eq!((given.named.len(), &given.user[..]), (named, &[user("k", "v")][..]), "{packet:?}");
            assert_eq!(properties_of(&packet, 1).map(|given| given.user.len()).unwrap_or_default(), 0);
        }
        for none in [&[0x40, 2, 0, 1][..], &[0x40, 3, 0, 1, 0], &[0xe0, 0], &[0xc0, 0], &[0x10, 1, 0], &[0x40]] {
            assert_eq!(properties_of(none, 100), None, "{none:?}");
        }
        assert_eq!((disconnect_code(&[0xe0, 0]), disconnect_code(&[0xe0, 1, 4])), (0, 4));
    }
}
