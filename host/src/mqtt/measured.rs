//! What `tests/benches/front.rs` measures by itself: the codec, which nobody else outside this part may see.

use bytes::BytesMut;

use super::codec::{Decoder, Encoder, OutgoingPublish};
use super::packet::PacketId;
use crate::message::{ProtocolVersion, QoS};

/// Decodes every packet of `bytes`, which must be whole; how many they were.
#[must_use]
pub fn decode(version: ProtocolVersion, bytes: &[u8]) -> usize {
    let decoder = Decoder { version, max_packet_size: usize::MAX };
    let (mut at, mut packets) = (0, 0);
    while let Ok(Some((packet, len))) = decoder.decode(&bytes[at..]) {
        std::hint::black_box(packet);
        at += len;
        packets += 1;
    }
    packets
}

/// Encodes `n` PUBLISH packets of QoS 1, one behind the other; how many bytes they take.
#[must_use]
pub fn encode(version: ProtocolVersion, topic: &str, payload: &[u8], n: u16) -> usize {
    let encoder = Encoder::unlimited(version);
    let mut out = BytesMut::with_capacity(usize::from(n) * (payload.len() + topic.len() + 16));
    for id in 1..=n {
        let publish = OutgoingPublish {
            dup: false,
            retain: false,
            qos: QoS::AtLeastOnce,
            id: PacketId::new(id),
            topic,
            topic_alias: None,
            properties: None,
            message_expiry_interval: None,
            subscription_ids: &[],
            payload,
        };
        assert!(encoder.publish(&mut out, &publish), "there is no limit");
    }
    out.len()
}
