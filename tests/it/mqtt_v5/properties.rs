//! Properties of PUBLISH: passed on, or used up here.

use std::collections::BTreeMap;

use support::mqtt::anybody;
use support::peer::{PUBACK, Peer, QOS_0, QOS_1, QOS_2, RETAIN, ack, byte, long, text, user, word};
use support::wire::Connect;

use super::V5;
use crate::it::mqtt::{ALIAS_MAXIMUM, EXPIRY, join, malformed, plain, stay, staying};

/// MQTT-3.3.2-4, MQTT-3.3.2-15, MQTT-3.3.2-16, MQTT-3.3.2-17, MQTT-3.3.2-18, MQTT-3.3.2-20: unchanged, to who is there, to
/// who comes later, and from what is retained; in every QoS.
#[test]
fn properties_are_passed_on_unchanged() {
    let topic = "v5-passed-on";
    let users =
        [user("b", "1"), user("a", "2"), user("b", "1"), user("", ""), user("\u{feff}é", "\u{10ffff}")].concat();
    // The server writes them in the order of their kinds.
    let given =
        [byte(1, 1), text(3, "text/\u{fc}".as_bytes()), text(8, b"an/answer"), text(9, &[0, 1, 255, 254]), users]
            .concat();
    let mut publisher = join(V5, "v5-passed-on-publisher");
    let mut away = stay(V5, "v5-passed-on-away", false);
    away.subscribe(topic, 2);
    away.goodbye();
    let mut there = join(V5, "v5-passed-on-there");
    there.subscribe(topic, 2);
    for (flags, id) in [(QOS_0, 0), (QOS_1, 1), (QOS_2 | RETAIN, 2)] {
        publisher.say_with(flags, topic, &given, b"x");
        there.expect_publish(flags & !RETAIN, topic, id, &given, b"x");
    }
    // Also when none is, and when there is only one.
    for given in [vec![], byte(1, 0), text(9, b""), text(3, b"")] {
        publisher.say_with(QOS_0, topic, &given, b"x");
        there.expect_publish(QOS_0, topic, 0, &given, b"x");
    }
    let mut back = stay(V5, "v5-passed-on-away", true);
    for (flags, id) in [(QOS_0, 0), (QOS_1, 1), (QOS_2, 2)] {
        back.expect_publish(flags, topic, id, &given, b"x");
    }
    let mut late = join(V5, "v5-passed-on-late");
    late.subscribe(topic, 0);
    late.expect_publish(RETAIN, topic, 0, &given, b"x");
}

/// MQTT-3.3.2-13, MQTT-3.3.2-14, MQTT-3.3.2-19, MQTT-3.3.2-8, MQTT-3.3.2-9, MQTT-3.3.4-6, MQTT-1.5.7-1, MQTT-1.5.5-1,
/// MQTT-4.13.1-1.
#[test]
fn broken_properties() {
    let publish = |properties: &[u8]| support::peer::publish(V5, QOS_1, "v5-broken-properties", 1, properties, b"x");
    let overrun = support::peer::frame(0x30, &[0, 1, b't', 9, 1, 0]);
    malformed::each_closes(
        V5,
        &[
            ("a response topic that is not UTF-8", publish(&text(8, &[0xff])), 0x81),
            ("a response topic with U+0000", publish(&text(8, b"a\0")), 0x81),
            ("a response topic with #", publish(&text(8, b"a/#")), 0x82),
            ("a response topic with +", publish(&text(8, b"+/a")), 0x82),
            ("a content type that is not UTF-8", publish(&text(3, &[0xc3, 0x28])), 0x81),
            ("a content type with U+0000", publish(&text(3, b"\0")), 0x81),
            ("a user property's name that is not UTF-8", publish(&[38, 0, 1, 0x80, 0, 0]), 0x81),
            ("a user property's value that is not UTF-8", publish(&[38, 0, 1, b'k', 0, 1, 0xfe]), 0x81),
            ("a user property's value with U+0000", publish(&user("k", "\0")), 0x81),
            ("payload format 2", publish(&byte(1, 2)), 0x82),
            ("payload format twice", publish(&[1, 1, 1, 1]), 0x82),
            ("expiry twice", publish(&[long(2, 1), long(2, 1)].concat()), 0x82),
            ("a subscription identifier", publish(&[11, 1]), 0x82),
            ("a session expiry interval", publish(&long(17, 1)), 0x82),
            ("an unknown property", publish(&[0x7e, 0]), 0x81),
            ("a property cut off", publish(&[2, 0, 0]), 0x81),
            ("properties longer than the packet", overrun, 0x81),
            ("alias 0", publish(&word(35, 0)), 0x94),
            ("an alias above the maximum", publish(&word(35, ALIAS_MAXIMUM + 1)), 0x94),
            ("the highest alias there is", publish(&word(35, 0xffff)), 0x94),
            ("two aliases", publish(&[word(35, 1), word(35, 2)].concat()), 0x82),
        ],
    );
}

/// MQTT-3.3.2-12, MQTT-3.3.2-8: every alias up to the maximum is accepted, and stands for the topic that set it last.
#[test]
fn aliases_up_to_the_maximum_are_accepted() {
    let mut subscriber = join(V5, "v5-aliases-subscriber");
    subscriber.subscribe("v5-aliases/+", 0);
    let mut peer = join(V5, "v5-aliases");
    for round in 0..2 {
        for alias in 1..=ALIAS_MAXIMUM {
            let topic = format!("v5-aliases/{alias}-{round}");
            for name in [&topic[..], "", ""] {
                peer.publish(QOS_1, name, 1, &word(35, alias), b"x");
                peer.expect(&ack(PUBACK, 1));
                subscriber.expect_publish(QOS_0, &topic, 0, &[], b"x");
            }
        }
    }
}

/// MQTT-3.3.2-7: an alias is forgotten with its connection, though the session stays.
#[test]
fn aliases_end_with_their_connection() {
    let client = "v5-alias-ends";
    let mut first = stay(V5, client, false);
    first.publish(QOS_1, client, 1, &word(35, 1), b"x");
    assert_eq!(first.packet()[..4], [PUBACK, 4, 0, 1]);
    drop(first);
    let mut second = stay(V5, client, true);
    second.publish(QOS_1, "", 2, &word(35, 1), b"x");
    second.expect_close(0x82);
}

/// MQTT-3.1.2-26, MQTT-3.1.2-27, MQTT-3.3.2-8, MQTT-3.3.2-11: no alias for a client that takes none; for one that takes
/// some, none above its maximum and none that is zero, and each stands for the topic that it was sent with.
#[test]
fn the_server_uses_as_many_aliases_as_the_client_takes() {
    let topics = ["v5-their-aliases/1", "v5-their-aliases/2", "v5-their-aliases/3"];
    let mut publisher = join(V5, "v5-their-aliases-publisher");
    for maximum in [None, Some(0), Some(1), Some(2), Some(0xffff)] {
        let properties = maximum.map(|maximum| word(0x22, maximum)).unwrap_or_default();
        let connect = Connect { client: "v5-their-aliases", properties: &properties, ..anybody(V5) };
        let (mut subscriber, _) = Peer::connect_with(plain(), &connect);
        subscriber.subscribe("v5-their-aliases/+", 0);
        let mut known = BTreeMap::new();
        for topic in topics.iter().cycle().take(9) {
            publisher.say(QOS_1, topic, b"x");
            let (name, alias) = name_and_alias(&subscriber.packet());
            let stands_for = match alias {
                None => name,
                Some(alias) => {
                    assert!(alias > 0 && alias <= maximum.unwrap_or(0), "{alias} of {maximum:?}");
                    if !name.is_empty() {
                        known.insert(alias, name);
                    }
                    known.get(&alias).cloned().unwrap_or_default()
                }
            };
            assert_eq!(stands_for, *topic, "{maximum:?}");
        }
    }
}

/// Topic name and topic alias of a PUBLISH of QoS 0 that has no other property.
fn name_and_alias(packet: &[u8]) -> (String, Option<u16>) {
    let end = 4 + usize::from(packet[3]);
    let name = String::from_utf8(packet[4..end].to_vec()).expect("UTF-8");
    let alias = match packet[end..] {
        [0, ..] => None,
        [3, 0x23, high, low, ..] => Some(u16::from_be_bytes([high, low])),
        ref other => panic!("{other:02x?}"),
    };
    (name, alias)
}

/// MQTT-1.5.5-1, MQTT-2.2.2-1: lengths at each border are written in as few bytes as they need, and without properties the
/// length of those is a zero.
#[test]
fn lengths_are_written_in_as_few_bytes_as_they_need() {
    let topic = "v5-lengths";
    let mut subscriber = join(V5, "v5-lengths-subscriber");
    subscriber.subscribe(topic, 0);
    let mut publisher = join(V5, "v5-lengths-publisher");
    let head = 2 + topic.len() + 1;
    for remaining in [head, 127, 128, 16_383, 16_384] {
        let payload = vec![b'x'; remaining - head];
        publisher.say(QOS_1, topic, &payload);
        subscriber.expect_publish(QOS_0, topic, 0, &[], &payload);
    }
    // The same for the block of properties.
    for length in [127, 128, 300] {
        let given = text(9, &vec![b'y'; length - 3]);
        publisher.say_with(QOS_1, topic, &given, b"x");
        subscriber.expect_publish(QOS_0, topic, 0, &given, b"x");
    }
}

/// MQTT-3.1.2-23: properties of the connection before do not count on the next: a session's expiry is that of its last one.
#[test]
fn a_connection_brings_its_own_expiry() {
    let client = "v5-own-expiry";
    drop(stay(V5, client, false));
    let (last, connack) = Peer::connect_with(plain(), &Connect { properties: &[], ..staying(V5, client) });
    assert_eq!((connack[2], EXPIRY.len()), (1, 5));
    last.goodbye();
    stay(V5, client, false).expect_silence();
}
