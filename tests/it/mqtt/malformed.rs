//! Packets after CONNECT that break a rule: 3.1.1 closes, 5.0 says why and closes. Nothing of them has an effect.

use support::peer::{DUP, PUBACK, PUBCOMP, PUBREC, PUBREL, QOS_0, QOS_1, RETAIN, ack, frame, packet, publish};
use support::wire::{Version, field};

use super::{join, name};

/// Sends each to a connection of its own and expects its end.
#[track_caller]
pub fn each_closes(version: Version, table: &[(&str, Vec<u8>, u8)]) {
    for (what, bytes, code) in table {
        eprintln!("{what}: {:02x?}", &bytes[..bytes.len().min(64)]);
        let mut peer = join(version, &name(version, &format!("malformed {what}")));
        peer.send_anyway(bytes);
        peer.expect_close(*code);
    }
}

/// A body that begins with a packet id, and an empty block of properties in 5.0.
fn with_id(version: Version, first: u8, id: u16, rest: &[u8]) -> Vec<u8> {
    let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    frame(first, &[&id.to_be_bytes()[..], properties, rest].concat())
}

/// A string of these bytes and the options.
fn filter(bytes: &[u8], options: u8) -> Vec<u8> {
    packet(|out| {
        field(out, bytes);
        out.push(options);
    })
}

/// Reserved flags of the first byte, in every packet that a client sends.
pub fn reserved_flags(version: Version) {
    let with_flags = |mut bytes: Vec<u8>, flags: u8| {
        bytes[0] = bytes[0] & 0xf0 | flags;
        bytes
    };
    let subscribe = with_id(version, 0x82, 1, &filter(b"t", 0));
    let unsubscribe = with_id(version, 0xa2, 1, &packet(|out| field(out, b"t")));
    let mut table = Vec::new();
    for flags in [0, 1, 3, 4, 6, 8, 15] {
        table.push(("PUBREL flags", with_flags(ack(PUBREL, 1), flags), 0x81));
        table.push(("SUBSCRIBE flags", with_flags(subscribe.clone(), flags), 0x81));
        table.push(("UNSUBSCRIBE flags", with_flags(unsubscribe.clone(), flags), 0x81));
    }
    for flags in [1, 2, 4, 8, 15] {
        for first in [PUBACK, PUBREC, PUBCOMP] {
            table.push(("acknowledgement flags", with_flags(ack(first, 1), flags), 0x81));
        }
        table.push(("PINGREQ flags", with_flags(vec![0xc0, 0], flags), 0x81));
        table.push(("DISCONNECT flags", with_flags(vec![0xe0, 0], flags), 0x81));
        table.push(("AUTH flags", with_flags(vec![0xf0, 0], flags), 0x81));
    }
    each_closes(version, &table);
}

/// PUBLISH.
pub fn broken_publishes(version: Version) {
    let topic = name(version, "broken-publish");
    let mut witness = join(version, &name(version, "broken-publish-witness"));
    witness.subscribe(&topic, 1);
    let publish = |flags, topic: &str, id| publish(version, flags, topic, id, &[], b"x");
    let raw = |topic: &[u8]| {
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        frame(0x30, &[&packet(|out| field(out, topic))[..], properties, b"x"].concat())
    };
    let mut qos_3 = publish(QOS_1, &topic, 1);
    qos_3[0] = 0x36;
    let no_id = frame(0x30 | QOS_1, &packet(|out| field(out, topic.as_bytes())));
    each_closes(
        version,
        &[
            ("QoS 3", qos_3.clone(), 0x81),
            (
                "QoS 3 with DUP",
                {
                    qos_3[0] |= DUP;
                    qos_3
                },
                0x81,
            ),
            ("DUP with QoS 0", publish(QOS_0 | DUP, &topic, 0), 0x82),
            ("id 0 with QoS 1", publish(QOS_1, &topic, 0), 0x82),
            ("id 0 with QoS 2", publish(0x04, &topic, 0), 0x82),
            ("no id", no_id, 0x81),
            ("a topic with #", publish(QOS_0, "a/#", 0), 0x90),
            ("a topic with +", publish(QOS_1, "a/+/b", 1), 0x90),
            ("a topic that is only +", publish(QOS_1 | RETAIN, "+", 1), 0x90),
            ("a topic with + inside a level", publish(QOS_0, "a+b", 0), 0x90),
            ("no topic", publish(QOS_0, "", 0), 0x82),
            ("a topic with U+0000", publish(QOS_0, "a\0b", 0), 0x81),
            ("a topic that is not UTF-8", raw(&[b'a', 0xff]), 0x81),
            ("a topic with a surrogate", raw(&[0xed, 0xbf, 0xbf]), 0x81),
            ("a topic in more bytes than it needs", raw(&[0xc0, 0xaf]), 0x81),
            ("a topic longer than the packet", frame(0x30, &[0, 9, b'a']), 0x81),
            ("nothing at all", frame(0x30, &[]), 0x81),
        ],
    );
    witness.expect_silence();
}

/// SUBSCRIBE and UNSUBSCRIBE.
pub fn broken_subscribes(version: Version) {
    let empty = |first: u8| with_id(version, first, 1, &[]);
    let bare = |bytes: &[u8]| packet(|out| field(out, bytes));
    let good = filter(b"good", 0);
    let after = |filter: Vec<u8>| with_id(version, 0x82, 1, &[&good[..], &filter].concat());
    let mut table = vec![
        ("SUBSCRIBE id 0", with_id(version, 0x82, 0, &good), 0x82),
        ("UNSUBSCRIBE id 0", with_id(version, 0xa2, 0, &bare(b"t")), 0x82),
        ("SUBSCRIBE to nothing", empty(0x82), 0x82),
        ("UNSUBSCRIBE from nothing", empty(0xa2), 0x82),
        ("a filter without options", with_id(version, 0x82, 1, &bare(b"t")), 0x81),
        ("an empty filter", after(filter(b"", 0)), 0x81),
        ("a filter with U+0000", after(filter(b"a\0", 0)), 0x81),
        ("a filter that is not UTF-8", after(filter(&[0xff], 0)), 0x81),
        ("a filter with a surrogate", after(filter(&[0xed, 0xa0, 0x80], 0)), 0x81),
        ("QoS 3", after(filter(b"t", 3)), 0x81),
        ("reserved bit 6", after(filter(b"t", 0x40)), 0x81),
        ("reserved bit 7", after(filter(b"t", 0x80)), 0x81),
        ("UNSUBSCRIBE from an empty filter", with_id(version, 0xa2, 1, &bare(b"")), 0x81),
        ("UNSUBSCRIBE, not UTF-8", with_id(version, 0xa2, 1, &bare(&[b'a', 0xc0])), 0x81),
        ("UNSUBSCRIBE with U+0000", with_id(version, 0xa2, 1, &bare(b"\0")), 0x81),
        ("a filter longer than the packet", with_id(version, 0x82, 1, &[0, 9, b'a']), 0x81),
    ];
    if version == Version::V4 {
        for bit in [0x04, 0x08, 0x10, 0x20] {
            table.push(("a bit that only 5.0 has", after(filter(b"t", bit)), 0x81));
        }
    }
    each_closes(version, &table);
}

/// Acknowledgements, PINGREQ and DISCONNECT.
pub fn broken_control_packets(version: Version) {
    let mut table = vec![("PINGREQ with content", frame(0xc0, &[0]), 0x81)];
    for first in [PUBACK, PUBREC, PUBREL, PUBCOMP] {
        table.push(("id 0", ack(first, 0), 0x82));
        table.push(("half an id", frame(first, &[1]), 0x81));
    }
    if version == Version::V4 {
        table.push(("DISCONNECT with content", frame(0xe0, &[0]), 0x81));
        table.push(("PUBACK with a reason", frame(PUBACK, &[0, 1, 0]), 0x81));
    }
    each_closes(version, &table);
}
