//! Bytes to packets and back: rumqttd's packet codec behind our own checks.
//!
//! rumqttd is named in this folder and nowhere else. What it does not check is checked before it sees a frame, what it
//! writes wrongly is written here, and CONNECT and the fixed part of PUBLISH are read here. Any bytes in give a packet
//! or a [`DecodeError`]; never a panic, and never more memory than the frame itself.

mod connect;
mod control;
mod encode;
mod frame;
mod given;
mod properties;
mod publish;
#[cfg(test)]
mod tests;

pub use connect::{ConnectError, decode_connect};
pub use encode::{AckKind, ConnAck, Encoder, OutgoingPublish};
pub use frame::{cut, frame_len};
pub use given::{disconnect_code, properties_of};

use super::packet::{Packet, Reason};
use crate::message::ProtocolVersion;

/// Why a packet was not accepted; always the end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    #[error("the packet is larger than the {limit} bytes that CONNACK announced")]
    TooLarge { limit: usize },
    #[error("topic alias zero")]
    TopicAliasZero,
}

impl DecodeError {
    /// What DISCONNECT tells an MQTT 5 client.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            DecodeError::Malformed(_) => Reason::MalformedPacket,
            DecodeError::Protocol(_) => Reason::ProtocolError,
            DecodeError::TooLarge { .. } => Reason::PacketTooLarge,
            DecodeError::TopicAliasZero => Reason::TopicAliasInvalid,
        }
    }
}

/// Reads the packets of a client that has connected.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    pub version: ProtocolVersion,
    /// The largest whole packet, in bytes.
    pub max_packet_size: usize,
}

impl Decoder {
    /// The packet at the start of `data` and its length in bytes; `None` when it is not complete yet.
    pub fn decode<'a>(&self, data: &'a [u8]) -> Result<Option<(Packet<'a>, usize)>, DecodeError> {
        let Some(frame) = cut(data, self.max_packet_size)? else { return Ok(None) };
        let packet = if frame.packet_type() == frame::PUBLISH {
            Packet::Publish(publish::decode(&frame, self.version)?)
        } else {
            control::decode(&frame, self.version)?
        };
        Ok(Some((packet, frame.bytes.len())))
    }
}
