//! Subscription options and identifiers.

use support::peer::{QOS_1, RETAIN};

use super::V5;
use crate::it::mqtt::join;

const NO_LOCAL: u8 = 0x04;
const AS_PUBLISHED: u8 = 0x08;
const IF_NEW: u8 = 0x10;
const NEVER: u8 = 0x20;

/// MQTT-3.3.1-9, MQTT-3.3.1-10, MQTT-3.3.1-11, MQTT-3.8.4-4.
#[test]
fn retain_handling_says_when_retained_messages_come() {
    let topic = "v5-handling";
    let mut publisher = join(V5, "v5-handling-publisher");
    publisher.say(QOS_1 | RETAIN, topic, b"kept");
    let mut subscriber = join(V5, "v5-handling-subscriber");
    let mut once = |options: u8, comes: bool| {
        subscriber.subscribe(topic, 1 | options);
        if comes {
            assert_eq!(subscriber.take(topic), (QOS_1 | RETAIN, b"kept".to_vec()), "{options:#x}");
        }
        subscriber.expect_silence();
    };
    // Not subscribed yet: never; then it is, so "if new" does not; "always" does, each time.
    for (options, comes) in [(NEVER, false), (IF_NEW, false), (0, true), (0, true), (IF_NEW, false), (NEVER, false)] {
        once(options, comes);
    }
    subscriber.unsubscribe(&[topic]);
    subscriber.expect_unsuback(&[0]);
    subscriber.subscribe(topic, 1 | IF_NEW);
    assert_eq!(subscriber.take(topic), (QOS_1 | RETAIN, b"kept".to_vec()));
    subscriber.expect_silence();
}

/// MQTT-3.3.1-12, MQTT-3.3.1-13.
#[test]
fn retain_as_published_keeps_the_flag() {
    let topic = "v5-as-published";
    let mut publisher = join(V5, "v5-as-published-publisher");
    for (options, kept) in [(AS_PUBLISHED, RETAIN), (0, 0)] {
        let mut subscriber = join(V5, "v5-as-published-subscriber");
        subscriber.subscribe(topic, 1 | options | NEVER);
        for (flags, came) in [(RETAIN, kept), (0, 0)] {
            publisher.say(QOS_1 | flags, topic, b"x");
            assert_eq!(subscriber.take(topic).0, QOS_1 | came, "{options:#x} {flags}");
        }
    }
}

/// MQTT-3.8.3-3: not to the connection that published it, whatever other filters match; to everybody else.
#[test]
fn no_local_keeps_ones_own_messages_away() {
    let topic = "v5-no-local";
    let mut own = join(V5, "v5-no-local-own");
    let mut other = join(V5, "v5-no-local-other");
    for subscriber in [&mut own, &mut other] {
        subscriber.subscribe(topic, 1 | NO_LOCAL);
    }
    own.say(QOS_1, topic, b"from one");
    own.expect_silence();
    assert_eq!(other.take(topic).1, b"from one");
    other.say(QOS_1, topic, b"from the other");
    other.expect_silence();
    assert_eq!(own.take(topic).1, b"from the other");
    // Without the option it comes back.
    own.subscribe(topic, 1);
    own.publish(QOS_1, topic, 99, &[], b"mine");
    let mut both = [own.packet(), own.packet()];
    both.sort();
    assert_eq!(both[1], support::peer::ack(support::peer::PUBACK, 99));
    assert!(both[0].ends_with(b"mine"));
}

/// MQTT-3.8.3-4.
#[test]
fn no_local_is_not_for_groups() {
    let mut peer = join(V5, "v5-no-local-group");
    peer.subscribe_all(&[], &[("$share/g/v5-no-local", 1 | NO_LOCAL)]);
    peer.expect_close(0x82);
}

/// MQTT-3.3.4-3, MQTT-3.3.4-4, MQTT-3.3.4-5, MQTT-1.5.5-1: one copy with the identifiers of all filters that match, each in
/// as few bytes as it needs; a filter without one adds none.
#[test]
fn a_message_carries_the_identifiers_of_all_that_match() {
    let root = "v5-identifiers";
    let topic = &format!("{root}/x");
    let mut subscriber = join(V5, "v5-identifiers");
    let of = |id: u32| {
        let mut bytes = vec![11];
        let mut rest = id;
        while rest > 127 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    };
    let mut publisher = join(V5, "v5-identifiers-publisher");
    for id in [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455] {
        subscriber.subscribe_all(&of(id), &[(topic, 0)]);
        subscriber.expect_suback(&[0]);
        publisher.say(QOS_1, topic, b"x");
        // The new identifier has taken the place of the old one.
        subscriber.expect_publish(0, topic, 0, &of(id), b"x");
    }
    subscriber.subscribe_all(&of(7), &[(&format!("{root}/+"), 0)]);
    subscriber.expect_suback(&[0]);
    subscriber.subscribe(&format!("{root}/#"), 0);
    publisher.say(QOS_1, topic, b"y");
    let came = subscriber.packet();
    let either = [[of(7), of(268_435_455)].concat(), [of(268_435_455), of(7)].concat()];
    let either = either.map(|ids| support::peer::publish(V5, 0, topic, 0, &ids, b"y"));
    assert!(either.contains(&came), "{came:02x?}");
    subscriber.expect_silence();
    // One match, one identifier; no match with one, none.
    let other = &format!("{root}/deep/er");
    publisher.say(QOS_1, other, b"z");
    subscriber.expect_publish(0, other, 0, &[], b"z");
    // Retained messages for a subscription carry its identifier too.
    publisher.say(QOS_1 | RETAIN, &format!("{root}-kept"), b"k");
    subscriber.subscribe_all(&of(300), &[(&format!("{root}-kept"), 0)]);
    subscriber.expect_suback(&[0]);
    subscriber.expect_publish(RETAIN, &format!("{root}-kept"), 0, &of(300), b"k");
}

/// MQTT-3.3.4-6.
#[test]
fn a_client_may_not_send_an_identifier() {
    let mut peer = join(V5, "v5-sends-identifier");
    peer.publish(QOS_1, "v5-sends-identifier", 1, &[11, 1], b"x");
    peer.expect_close(0x82);
}
