//! CONNECT, CONNACK, PINGREQ, DISCONNECT, and wills.

use support::mqtt::anybody;
use support::peer::{PUBACK, Peer, QOS_1, packet, publish};
use support::wire::{self, Connect};

use super::V4;
use crate::it::mqtt::{self, connect, fields, hello, malformed, plain, refusal, refused, stay, will};

/// MQTT-3.1.0-1, MQTT-3.2.0-1.
#[test]
fn only_connect_comes_first() {
    connect::only_connect_comes_first(V4);
}

/// MQTT-3.1.0-2, MQTT-4.8.0-1.
#[test]
fn a_second_connect_closes() {
    connect::a_second_connect_closes(V4);
}

/// MQTT-3.1.2-1, MQTT-3.1.2-2: another protocol is closed without a word, MQTT 3.1 and levels that never were with 0x01.
#[test]
fn other_protocols_and_versions_are_refused() {
    let rest = fields(V4, &[b"x"]);
    for protocol in [&b"MQTX"[..], b"mqtt", b"MQTT\0", b"", b"HTTP"] {
        refused(plain(), V4, &hello(protocol, 4, 2, &rest), &[]);
    }
    refused(plain(), V4, &hello(b"MQIsdp", 3, 2, &rest), &refusal(V4, 1));
    for level in [0, 1, 2, 3, 0x83, 0x84, 0xff] {
        refused(plain(), V4, &hello(b"MQTT", level, 2, &rest), &refusal(V4, 1));
    }
}

/// MQTT-3.1.2-3, MQTT-3.1.2-9, MQTT-3.1.2-11, MQTT-3.1.2-13, MQTT-3.1.2-14, MQTT-3.1.2-15, MQTT-3.1.2-18, MQTT-3.1.2-19,
/// MQTT-3.1.2-20, MQTT-3.1.2-21, MQTT-3.1.3-3, MQTT-3.1.3-4, MQTT-3.1.3-10, MQTT-3.1.3-11, MQTT-3.1.4-1, MQTT-1.5.3-1,
/// MQTT-1.5.3-2.
#[test]
fn broken_connects() {
    connect::broken_connects(V4);
}

/// MQTT-3.1.2-22, MQTT-3.1.4-1: a password without a user name.
#[test]
fn a_password_needs_a_user_name() {
    refused(plain(), V4, &hello(b"MQTT", 4, 0x42, &fields(V4, &[b"x", b"secret"])), &[]);
}

/// MQTT-3.1.3-1: every field of the payload arrives where it belongs.
#[test]
fn all_fields_in_their_order() {
    connect::all_fields_in_their_order(V4);
}

/// MQTT-3.1.3-9, MQTT-3.2.2-4, MQTT-3.2.2-5, MQTT-3.2.2-6.
#[test]
fn refusals_are_told_and_close() {
    connect::refusals_are_told_and_close(V4);
}

/// MQTT-3.1.4-5.
#[test]
fn nothing_after_a_refused_connect_counts() {
    connect::nothing_after_a_refused_connect_counts(V4);
}

/// MQTT-3.1.3-5.
#[test]
fn ordinary_client_ids_are_accepted() {
    connect::ordinary_client_ids_are_accepted(V4);
}

/// MQTT-3.1.3-6, MQTT-3.1.3-7, MQTT-3.1.3-8, MQTT-3.2.2-5: an empty client id is for a clean session, and each is its own.
#[test]
fn an_empty_client_id_is_for_a_clean_session() {
    let connect = anybody(V4);
    let (mut first, connack) = Peer::connect_with(plain(), &connect);
    assert_eq!(connack, [0x20, 2, 0, 0]);
    let (mut second, _) = Peer::connect_with(plain(), &connect);
    // Were they one client, the second had ended the first.
    first.subscribe("v3-empty-id", 1);
    second.say(QOS_1, "v3-empty-id", b"x");
    assert_eq!(first.take("v3-empty-id").1, b"x");
    let staying = packet(|out| wire::connect(out, &Connect { clean: false, ..connect }));
    refused(plain(), V4, &staying, &refusal(V4, 2));
}

/// MQTT-3.1.3-2, MQTT-3.1.4-2.
#[test]
fn a_client_id_is_connected_once() {
    connect::a_client_id_is_connected_once(V4);
}

/// MQTT-3.1.2-24.
#[test]
fn a_silent_client_is_cut_off() {
    connect::a_silent_client_is_cut_off(V4);
}

/// MQTT-3.1.4-4, MQTT-3.2.0-1.
#[test]
fn connack_comes_first_and_once() {
    connect::connack_comes_first_and_once(V4);
}

/// MQTT-2.2.2-1, MQTT-2.2.2-2, MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1, MQTT-3.14.1-1.
#[test]
fn reserved_flags() {
    malformed::reserved_flags(V4);
}

/// MQTT-4.8.0-1.
#[test]
fn frames_without_a_meaning() {
    connect::frames_without_a_meaning(V4);
}

/// MQTT-4.8.0-1, MQTT-2.3.1-1.
#[test]
fn broken_control_packets() {
    malformed::broken_control_packets(V4);
}

/// MQTT-3.12.4-1.
#[test]
fn pings_are_answered() {
    mqtt::join(V4, "v3-ping").expect_silence();
}

/// MQTT-3.1.2-8, MQTT-3.1.2-14, MQTT-3.1.2-16.
#[test]
fn a_lost_connection_publishes_the_will() {
    will::a_lost_connection_publishes_the_will(V4);
}

/// MQTT-3.1.2-17.
#[test]
fn a_retained_will_is_retained() {
    will::a_retained_will_is_retained(V4);
}

/// MQTT-3.1.2-10, MQTT-3.1.2-12, MQTT-3.14.4-3.
#[test]
fn a_will_is_published_at_most_once() {
    will::a_will_is_published_at_most_once(V4);
}

/// MQTT-3.1.2-8.
#[test]
fn every_other_end_publishes_the_will() {
    will::every_other_end_publishes_the_will(V4);
}

/// MQTT-3.2.2-1, MQTT-3.2.2-2, MQTT-3.2.2-3: Session Present in each case.
#[test]
fn session_present_tells_what_there_is() {
    let client = "v3-present";
    let clean = || Peer::connect_with(plain(), &Connect { client, ..anybody(V4) }).1;
    assert_eq!(clean(), [0x20, 2, 0, 0]);
    stay(V4, client, false).goodbye();
    stay(V4, client, true).goodbye();
    assert_eq!(clean(), [0x20, 2, 0, 0]);
    stay(V4, client, false).goodbye();
}

/// MQTT-3.14.4-3, MQTT-3.1.4-5: what comes behind DISCONNECT in the same segment is not taken any more.
#[test]
fn after_disconnect_there_is_nothing() {
    let topic = "v3-after-disconnect";
    let mut witness = mqtt::join(V4, "v3-after-disconnect-witness");
    witness.subscribe(topic, 1);
    let mut peer = mqtt::join(V4, topic);
    let (before, after) = (publish(V4, QOS_1, topic, 1, &[], b"before"), publish(V4, QOS_1, topic, 2, &[], b"after"));
    peer.send(&[before, vec![0xe0, 0], after].concat());
    let mut last = peer.packet();
    if !last.is_empty() {
        assert_eq!(last, support::peer::ack(PUBACK, 1));
        last = peer.packet();
    }
    assert!(last.is_empty(), "{last:02x?}");
    assert_eq!(witness.take(topic).1, b"before");
    witness.expect_silence();
}
