//! CONNECT, CONNACK, PINGREQ, DISCONNECT and AUTH.

use support::mqtt::anybody;
use support::peer::{PUBACK, Peer, QOS_1, byte, frame, long, packet, publish, text, user, word};
use support::wire::{self, Connect};

use super::V5;
use crate::it::mqtt::connect::{self, properties};
use crate::it::mqtt::{
    self, ALIAS_MAXIMUM, EXPIRY, RECEIVE_MAXIMUM, fields, hello, malformed, plain, refusal, refused,
};

/// MQTT-3.1.0-1, MQTT-3.2.0-1, MQTT-3.14.0-1.
#[test]
fn only_connect_comes_first() {
    connect::only_connect_comes_first(V5);
}

/// MQTT-3.1.0-2, MQTT-3.2.0-2.
#[test]
fn a_second_connect_closes() {
    connect::a_second_connect_closes(V5);
}

/// MQTT-3.1.2-1, MQTT-3.1.2-2: another protocol is closed without a word, another version with the answer of its standard.
#[test]
fn other_protocols_and_versions_are_refused() {
    let rest = fields(V5, &[b"x"]);
    for protocol in [&b"MQTX"[..], b"mqtt", b"MQTT\0", b"", b"HTTP", b"MQTTT"] {
        refused(plain(), V5, &hello(protocol, 5, 2, &rest), &[]);
    }
    for level in [6, 7, 0x7f] {
        refused(plain(), V5, &hello(b"MQTT", level, 2, &rest), &refusal(V5, 0x84));
    }
    refused(plain(), V5, &hello(b"MQTT", 3, 2, &rest), &[0x20, 2, 0, 1]);
}

/// MQTT-3.1.2-3, MQTT-3.1.2-9, MQTT-3.1.2-11, MQTT-3.1.2-12, MQTT-3.1.2-13, MQTT-3.1.2-16, MQTT-3.1.2-17, MQTT-3.1.2-18,
/// MQTT-3.1.2-19, MQTT-3.1.3-3, MQTT-3.1.3-4, MQTT-3.1.3-11, MQTT-3.1.3-12, MQTT-3.1.4-1, MQTT-1.5.4-1, MQTT-1.5.4-2.
#[test]
fn broken_connects() {
    connect::broken_connects(V5);
}

/// MQTT-3.1.4-1, MQTT-1.5.7-1, MQTT-4.13.1-1: properties that CONNECT or its will must not have, or not so.
#[test]
fn broken_connect_properties() {
    let block = |properties: &[u8]| [&[properties.len() as u8][..], properties].concat();
    let name = packet(|out| wire::field(out, b"broken"));
    let twice = |property: Vec<u8>| [property.clone(), property].concat();
    for (what, properties, code) in [
        ("receive maximum 0", word(0x21, 0), 0x82),
        ("maximum packet size 0", long(0x27, 0), 0x82),
        ("session expiry twice", twice(long(0x11, 1)), 0x82),
        ("receive maximum twice", twice(word(0x21, 1)), 0x82),
        ("topic alias maximum twice", twice(word(0x22, 1)), 0x82),
        ("request response information 2", byte(0x19, 2), 0x82),
        ("request problem information 2", byte(0x17, 2), 0x82),
        ("request problem information twice", twice(byte(0x17, 1)), 0x82),
        ("authentication data without a method", text(0x16, b"x"), 0x82),
        ("a topic alias", word(0x23, 1), 0x82),
        ("an unknown property", byte(0x7f, 1), 0x81),
        ("a user property that is not UTF-8", [&[0x26, 0, 1, 0xff][..], &[0, 1, b'v']].concat(), 0x81),
        ("a user property whose value has U+0000", user("k", "\0"), 0x81),
        (
            "a user property whose value has a surrogate",
            [&[0x26, 0, 1, b'k'][..], &[0, 3, 0xed, 0xa0, 0x80]].concat(),
            0x81,
        ),
        ("a property cut off by its block", vec![0x11, 0, 0], 0x81),
    ] {
        eprintln!("{what}");
        let rest = [&block(&properties)[..], &name].concat();
        refused(plain(), V5, &hello(b"MQTT", 5, 2, &rest), &refusal(V5, code));
    }
    let will = packet(|out| [b"t", b"x"].iter().for_each(|part| wire::field(out, *part)));
    for (what, properties, code) in [
        ("will delay twice", twice(long(0x18, 1)), 0x82),
        ("will payload format 2", byte(0x01, 2), 0x82),
        ("will content type that is not UTF-8", text(0x03, &[0xff]), 0x81),
        ("will response topic with a wildcard", text(0x08, b"a/+"), 0x82),
        ("a topic alias in the will", word(0x23, 1), 0x82),
    ] {
        eprintln!("{what}");
        let rest = [&[0][..], &name, &block(&properties), &will].concat();
        refused(plain(), V5, &hello(b"MQTT", 5, 6, &rest), &refusal(V5, code));
    }
    // A length of properties that reaches over the end of the packet.
    refused(plain(), V5, &hello(b"MQTT", 5, 2, &[&[200][..], &name].concat()), &refusal(V5, 0x81));
}

/// MQTT-3.1.3-1: every field of the payload arrives where it belongs.
#[test]
fn all_fields_in_their_order() {
    connect::all_fields_in_their_order(V5);
}

/// MQTT-3.1.3-8, MQTT-3.1.4-2, MQTT-3.2.2-6, MQTT-3.2.2-7, MQTT-3.2.2-8, MQTT-3.2.2-12, MQTT-3.2.2-13, MQTT-4.13.2-1.
#[test]
fn refusals_are_told_and_close() {
    connect::refusals_are_told_and_close(V5);
}

/// MQTT-3.1.4-6.
#[test]
fn nothing_after_a_refused_connect_counts() {
    connect::nothing_after_a_refused_connect_counts(V5);
}

/// MQTT-3.1.3-5.
#[test]
fn ordinary_client_ids_are_accepted() {
    connect::ordinary_client_ids_are_accepted(V5);
}

/// MQTT-3.1.3-6, MQTT-3.1.3-7, MQTT-3.2.2-16: each gets an id of its own, is told so, and has its session by it.
#[test]
fn an_empty_client_id_gets_one_that_is_told() {
    let connect = Connect { properties: EXPIRY, ..anybody(V5) };
    let assigned = |connack: &[u8]| {
        let found = properties(connack).into_iter().find(|(kind, _)| *kind == 0x12);
        String::from_utf8(found.expect("an assigned client identifier").1.split_off(2)).expect("UTF-8")
    };
    let (mut first, connack) = Peer::connect_with(plain(), &connect);
    let id = assigned(&connack);
    let (mut second, connack) = Peer::connect_with(plain(), &connect);
    assert_ne!(id, assigned(&connack));
    first.expect_silence();
    second.expect_silence();
    first.goodbye();
    drop(mqtt::stay(V5, &id, true));
    // An id of the client's own is not told again.
    let (_, connack) = Peer::connect_with(plain(), &Connect { client: "v5-own-id", ..anybody(V5) });
    assert!(properties(&connack).iter().all(|(kind, _)| *kind != 0x12));
}

/// MQTT-3.1.3-2, MQTT-3.1.4-3, MQTT-4.13.2-1.
#[test]
fn a_client_id_is_connected_once() {
    connect::a_client_id_is_connected_once(V5);
}

/// MQTT-3.1.2-22, MQTT-3.2.2-22.
#[test]
fn a_silent_client_is_cut_off() {
    connect::a_silent_client_is_cut_off(V5);
}

/// MQTT-3.1.4-5, MQTT-3.2.0-1, MQTT-3.2.0-2, MQTT-3.2.2-1.
#[test]
fn connack_comes_first_and_once() {
    connect::connack_comes_first_and_once(V5);
}

/// MQTT-3.1.2-28, MQTT-4.12.0-6: nothing is told that was not asked for, and nothing of authentication. The limits are.
#[test]
fn connack_says_what_it_should() {
    for asked in [&[][..], &byte(0x19, 0), &[byte(0x19, 1), byte(0x17, 1)].concat()] {
        let (_, connack) =
            Peer::connect_with(plain(), &Connect { client: "v5-connack", properties: asked, ..anybody(V5) });
        let found = properties(&connack);
        assert!(found.iter().all(|(kind, _)| ![0x1a, 0x15, 0x16, 0x13, 0x24].contains(kind)), "{found:?}");
        let value = |kind| found.iter().find(|(found, _)| *found == kind).map(|(_, value)| value.clone());
        assert_eq!(value(0x21), Some(RECEIVE_MAXIMUM.to_be_bytes().to_vec()));
        assert_eq!(value(0x22), Some(ALIAS_MAXIMUM.to_be_bytes().to_vec()));
        assert_eq!(value(0x27), Some((1_u32 << 20).to_be_bytes().to_vec()));
        assert_eq!([0x25, 0x28, 0x29, 0x2a].map(value), [const { Some(1) }; 4].map(|n| n.map(|n| vec![n])));
    }
}

/// MQTT-3.2.2-9: a server without QoS 2, retained messages, wildcards and groups says so.
#[test]
fn a_strict_server_announces_its_limits() {
    let (_, connack) = Peer::connect_with(mqtt::strict(), &Connect { client: "v5-strict", ..anybody(V5) });
    let found = properties(&connack);
    for (kind, value) in [(0x24, 1), (0x25, 0), (0x28, 0), (0x2a, 0), (0x29, 1)] {
        assert!(found.contains(&(kind, vec![value])), "{kind:#x} in {found:?}");
    }
}

/// MQTT-4.12.0-1, MQTT-4.12.0-6, MQTT-4.13.2-1: a method is refused, and no AUTH is sent.
#[test]
fn an_authentication_method_is_refused() {
    for properties in [text(0x15, b"SCRAM-SHA-256"), [text(0x15, b"x"), text(0x16, b"data")].concat()] {
        let connect = Connect { client: "v5-method", properties: &properties, ..anybody(V5) };
        refused(plain(), V5, &packet(|out| wire::connect(out, &connect)), &refusal(V5, 0x8c));
    }
}

/// MQTT-4.12.0-7, MQTT-3.15.1-1: AUTH without a method is an error, and with flags it is malformed.
#[test]
fn auth_is_an_error() {
    malformed::each_closes(
        V5,
        &[
            ("AUTH", vec![0xf0, 0], 0x82),
            ("AUTH continue", frame(0xf0, &[0x18, 0]), 0x82),
            ("AUTH again", frame(0xf0, &[&[0x19, 4][..], &text(0x15, b"x")].concat()), 0x82),
            ("AUTH with flags", vec![0xf1, 0], 0x81),
            ("AUTH with other flags", frame(0xf8, &[0x18, 0]), 0x81),
        ],
    );
}

/// MQTT-2.1.3-1, MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1, MQTT-3.14.1-1, MQTT-3.15.1-1, MQTT-4.13.1-1.
#[test]
fn reserved_flags() {
    malformed::reserved_flags(V5);
}

/// MQTT-4.13.1-1, MQTT-3.14.4-1, MQTT-3.14.4-2.
#[test]
fn frames_without_a_meaning() {
    connect::frames_without_a_meaning(V5);
}

/// MQTT-2.2.1-3, MQTT-4.13.1-1.
#[test]
fn broken_control_packets() {
    malformed::broken_control_packets(V5);
}

/// MQTT-4.13.1-1, MQTT-1.5.7-1: acknowledgements and DISCONNECT with reasons and properties that they must not have.
#[test]
fn broken_reasons_and_properties() {
    let ack = |first, code, properties: &[u8]| {
        frame(first, &[&[0, 1, code, properties.len() as u8][..], properties].concat())
    };
    malformed::each_closes(
        V5,
        &[
            ("PUBACK with PUBREL's reason", ack(0x40, 0x92, &[]), 0x82),
            ("PUBREC with DISCONNECT's reason", ack(0x50, 0x8e, &[]), 0x82),
            ("PUBREL with PUBACK's reason", ack(0x62, 0x87, &[]), 0x82),
            ("PUBCOMP with PUBACK's reason", ack(0x70, 0x10, &[]), 0x82),
            ("PUBACK with a topic alias", ack(0x40, 0, &word(0x23, 1)), 0x82),
            ("PUBACK with two reason strings", ack(0x40, 0, &[text(0x1f, b"a"), text(0x1f, b"b")].concat()), 0x82),
            ("PUBREC with a reason string that is not UTF-8", ack(0x50, 0, &text(0x1f, &[0xff])), 0x81),
            ("PUBREL with a user property with U+0000", ack(0x62, 0, &user("\0", "v")), 0x81),
            ("PUBCOMP with bytes behind its properties", frame(0x70, &[0, 1, 0, 0, 9]), 0x81),
            ("DISCONNECT with CONNACK's reason", frame(0xe0, &[0x84]), 0x82),
            ("DISCONNECT that only a server sends", frame(0xe0, &[0x8b]), 0x82),
            ("DISCONNECT with a topic alias", frame(0xe0, &[&[0, 3][..], &word(0x23, 1)].concat()), 0x82),
            ("DISCONNECT that makes a session last", frame(0xe0, &[&[0, 5][..], &long(0x11, 9)].concat()), 0x82),
        ],
    );
}

/// MQTT-3.14.2-1, MQTT-3.14.2-2, MQTT-3.14.4-1, MQTT-3.14.4-2: whatever the reason, the server's last packet is a DISCONNECT
/// of four bytes, without properties, with a code of its own table; then it closes.
#[test]
fn the_servers_disconnect_is_its_last_word() {
    let topic = "v5-last-word";
    for (what, bytes, code) in [
        ("malformed", vec![0x00, 0x00], 0x81),
        ("an error of the protocol", vec![0xd0, 0], 0x82),
        ("a topic that is none", publish(V5, QOS_1, "#", 1, &[], b"x"), 0x90),
        ("an alias that is none", publish(V5, QOS_1, topic, 1, &word(0x23, 0), b"x"), 0x94),
        ("a packet that is too large", publish(V5, QOS_1, topic, 1, &[], &vec![b'x'; (1 << 20) + 1]), 0x95),
    ] {
        let mut peer = mqtt::join(V5, topic);
        // What would be answered comes behind the mistake, in the same segment.
        peer.send_anyway(&[bytes, publish(V5, QOS_1, topic, 2, &[], b"x"), vec![0xc0, 0]].concat());
        eprintln!("{what}");
        peer.expect_close(code);
    }
    for (bytes, code) in [
        (publish(V5, 0x04, topic, 1, &[], b"x"), 0x9b),
        (publish(V5, 0x03, topic, 1, &[], b"x"), 0x9a),
        (publish(V5, QOS_1, topic, 1, &[], &[b'x'; 2000]), 0x95),
    ] {
        let mut peer = Peer::connect(mqtt::strict(), V5, topic);
        peer.send_anyway(&bytes);
        peer.expect_close(code);
    }
}

/// MQTT-3.14.4-1, MQTT-3.14.4-2: after a client's DISCONNECT nothing that it sent is taken, and the server closes too.
#[test]
fn after_disconnect_there_is_nothing() {
    let topic = "v5-after-disconnect";
    let mut witness = mqtt::join(V5, "v5-after-disconnect-witness");
    witness.subscribe(topic, 1);
    for goodbye in [vec![0xe0, 0], frame(0xe0, &[0]), frame(0xe0, &[4, 0])] {
        let mut peer = mqtt::join(V5, topic);
        peer.send(
            &[publish(V5, QOS_1, topic, 1, &[], b"before"), goodbye, publish(V5, QOS_1, topic, 2, &[], b"after")]
                .concat(),
        );
        // The acknowledgement of what came before may still come.
        let mut last = peer.packet();
        if !last.is_empty() {
            assert_eq!(last, support::peer::ack(PUBACK, 1));
            last = peer.packet();
        }
        assert!(last.is_empty(), "{last:02x?}");
        assert_eq!(witness.take(topic).1, b"before");
    }
    witness.expect_silence();
}

/// MQTT-3.12.4-1.
#[test]
fn pings_are_answered() {
    mqtt::join(V5, "v5-ping").expect_silence();
}
