//! A PUBLISH that is made once for a connection; each message is a copy with its packet id and its number patched in.

use support::wire::{self, Publish, Version};

/// Digits of the number in a payload; it starts at a value with that many digits, so that the JSON stays valid.
const DIGITS: usize = 10;
const FIRST: u64 = 1_000_000_000;
const HEAD: &str = "{\"seq\":";
const MIDDLE: &str = ",\"temp\":21.5,\"pad\":\"";
const TAIL: &str = "\"}";

/// The smallest payload that has room for the fields.
pub const PAYLOAD_MIN: usize = HEAD.len() + DIGITS + MIDDLE.len() + TAIL.len();

#[derive(Debug)]
pub struct Template {
    frame: Vec<u8>,
    /// Where the packet id is; none in QoS 0.
    id_at: Option<usize>,
    number_at: usize,
}

impl Template {
    pub fn new(version: Version, topic: &str, qos: u8, payload: usize) -> Template {
        let pad = "x".repeat(payload.saturating_sub(PAYLOAD_MIN));
        let text = format!("{HEAD}{FIRST}{MIDDLE}{pad}{TAIL}");
        let mut frame = Vec::new();
        wire::publish(&mut frame, version, &Publish { topic, payload: text.as_bytes(), qos, ..Publish::default() });
        let payload_at = frame.len() - text.len();
        // Between the topic and the payload lie the packet id and, in 5.0, an empty list of properties.
        let properties = usize::from(version == Version::V5);
        let id_at = (qos > 0).then(|| payload_at - properties - 2);
        Template { frame, id_at, number_at: payload_at + HEAD.len() }
    }

    /// Appends message `number` with packet id `id`.
    pub fn write(&self, out: &mut Vec<u8>, id: u16, number: u64) {
        let at = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[at..];
        if let Some(id_at) = self.id_at {
            frame[id_at..id_at + 2].copy_from_slice(&id.to_be_bytes());
        }
        let mut rest = FIRST + number % FIRST;
        for digit in frame[self.number_at..self.number_at + DIGITS].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

#[test]
fn a_message_is_a_valid_publish_with_its_number_in_valid_json() {
    for (version, qos) in [(Version::V4, 0), (Version::V4, 1), (Version::V5, 0), (Version::V5, 2)] {
        let template = Template::new(version, "t/7", qos, 256);
        let mut out = Vec::new();
        template.write(&mut out, 0x1234, 42);
        let Some(wire::Packet::Publish { topic, id, payload, .. }) = wire::take(&mut out, version) else {
            panic!("not a PUBLISH")
        };
        assert_eq!((topic.as_str(), id, payload.len()), ("t/7", if qos > 0 { 0x1234 } else { 0 }, 256));
        let payload: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        assert_eq!(payload["seq"], FIRST + 42);
    }
}
