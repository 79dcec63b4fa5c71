//! Walks a block of MQTT 5 properties and checks each: allowed here, at most once, legal value, inside its block.
//!
//! It never allocates; whoever needs a value takes it from the walk.

use super::DecodeError;
use super::frame::Reader;

pub(super) const MESSAGE_EXPIRY_INTERVAL: u8 = 2;
pub(super) const CONTENT_TYPE: u8 = 3;
pub(super) const PAYLOAD_FORMAT_INDICATOR: u8 = 1;
pub(super) const RESPONSE_TOPIC: u8 = 8;
pub(super) const CORRELATION_DATA: u8 = 9;
pub(super) const SUBSCRIPTION_IDENTIFIER: u8 = 11;
pub(super) const SESSION_EXPIRY_INTERVAL: u8 = 17;
pub(super) const AUTHENTICATION_METHOD: u8 = 21;
pub(super) const AUTHENTICATION_DATA: u8 = 22;
pub(super) const REQUEST_PROBLEM_INFORMATION: u8 = 23;
pub(super) const WILL_DELAY_INTERVAL: u8 = 24;
pub(super) const REQUEST_RESPONSE_INFORMATION: u8 = 25;
pub(super) const REASON_STRING: u8 = 31;
pub(super) const RECEIVE_MAXIMUM: u8 = 33;
pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 34;
pub(super) const TOPIC_ALIAS: u8 = 35;
pub(super) const USER_PROPERTY: u8 = 38;
pub(super) const MAXIMUM_PACKET_SIZE: u8 = 39;

/// The properties that a client may send in each place (MQTT 5.0, table 2-4).
pub(super) const IN_CONNECT: &[u8] = &[
    SESSION_EXPIRY_INTERVAL,
    RECEIVE_MAXIMUM,
    MAXIMUM_PACKET_SIZE,
    TOPIC_ALIAS_MAXIMUM,
    REQUEST_RESPONSE_INFORMATION,
    REQUEST_PROBLEM_INFORMATION,
    USER_PROPERTY,
    AUTHENTICATION_METHOD,
    AUTHENTICATION_DATA,
];
pub(super) const IN_WILL: &[u8] = &[
    WILL_DELAY_INTERVAL,
    PAYLOAD_FORMAT_INDICATOR,
    MESSAGE_EXPIRY_INTERVAL,
    CONTENT_TYPE,
    RESPONSE_TOPIC,
    CORRELATION_DATA,
    USER_PROPERTY,
];
pub(super) const IN_PUBLISH: &[u8] = &[
    PAYLOAD_FORMAT_INDICATOR,
    MESSAGE_EXPIRY_INTERVAL,
    TOPIC_ALIAS,
    RESPONSE_TOPIC,
    CORRELATION_DATA,
    USER_PROPERTY,
    CONTENT_TYPE,
];
pub(super) const IN_ACK: &[u8] = &[REASON_STRING, USER_PROPERTY];
pub(super) const IN_SUBSCRIBE: &[u8] = &[SUBSCRIPTION_IDENTIFIER, USER_PROPERTY];
pub(super) const IN_UNSUBSCRIBE: &[u8] = &[USER_PROPERTY];
pub(super) const IN_DISCONNECT: &[u8] = &[SESSION_EXPIRY_INTERVAL, REASON_STRING, USER_PROPERTY];

/// The value of one property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u32),
    Text(&'a str),
    Pair(&'a str, &'a str),
    Binary(&'a [u8]),
}

/// Takes the whole block (length and properties) from `reader`, checks it, and shows each property to `see`.
pub(super) fn walk<'a>(
    reader: &mut Reader<'a>,
    allowed: &[u8],
    mut see: impl FnMut(u8, Value<'a>),
) -> Result<(), DecodeError> {
    let len = reader.variable_int()?;
    let mut block = Reader(reader.take(len as usize)?);
    let mut seen = 0_u64;
    while !block.is_empty() {
        // The identifier is a variable byte integer, but all that exist take one byte.
        let id = block.u8()?;
        if !allowed.contains(&id) {
            return Err(match id {
                // Defined, but for other packets.
                1..=3 | 8 | 9 | 11 | 17..=19 | 21..=26 | 28 | 31 | 33..=42 => {
                    DecodeError::Protocol("a property that this packet must not have")
                }
                _ => DecodeError::Malformed("an unknown property"),
            });
        }
        if id != USER_PROPERTY && seen & (1 << id) != 0 {
            return Err(DecodeError::Protocol("a property twice"));
        }
        seen |= 1 << id;
        let value = value(&mut block, id)?;
        legal(id, value)?;
        see(id, value);
    }
    Ok(())
}

fn value<'a>(block: &mut Reader<'a>, id: u8) -> Result<Value<'a>, DecodeError> {
    Ok(match id {
        PAYLOAD_FORMAT_INDICATOR | REQUEST_PROBLEM_INFORMATION | REQUEST_RESPONSE_INFORMATION => {
            Value::Number(u32::from(block.u8()?))
        }
        RECEIVE_MAXIMUM | TOPIC_ALIAS_MAXIMUM | TOPIC_ALIAS => Value::Number(u32::from(block.u16()?)),
        MESSAGE_EXPIRY_INTERVAL | SESSION_EXPIRY_INTERVAL | WILL_DELAY_INTERVAL | MAXIMUM_PACKET_SIZE => {
            Value::Number(block.u32()?)
        }
        SUBSCRIPTION_IDENTIFIER => Value::Number(block.variable_int()?),
        CORRELATION_DATA | AUTHENTICATION_DATA => Value::Binary(block.binary()?),
        USER_PROPERTY => Value::Pair(block.string()?, block.string()?),
        _ => Value::Text(block.string()?),
    })
}

fn legal(id: u8, value: Value<'_>) -> Result<(), DecodeError> {
    match (id, value) {
        (TOPIC_ALIAS, Value::Number(0)) => Err(DecodeError::TopicAliasZero),
        (RECEIVE_MAXIMUM | MAXIMUM_PACKET_SIZE | SUBSCRIPTION_IDENTIFIER, Value::Number(0)) => {
            Err(DecodeError::Protocol("a property that must not be zero"))
        }
        (PAYLOAD_FORMAT_INDICATOR | REQUEST_PROBLEM_INFORMATION | REQUEST_RESPONSE_INFORMATION, Value::Number(2..)) => {
            Err(DecodeError::Protocol("a property that must be 0 or 1"))
        }
        (RESPONSE_TOPIC, Value::Text(topic)) if topic.is_empty() || topic.contains(['+', '#']) => {
            Err(DecodeError::Protocol("a response topic with wildcards (MQTT-3.3.2-14)"))
        }
        _ => Ok(()),
    }
}
