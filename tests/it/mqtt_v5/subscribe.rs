//! SUBSCRIBE and UNSUBSCRIBE.

use support::peer::{Peer, QOS_1, long};

use super::V5;
use crate::it::mqtt::{join, malformed, strict, subscribe, topics};

/// MQTT-3.8.4-1, MQTT-3.8.4-2, MQTT-3.8.4-6, MQTT-3.8.4-7, MQTT-3.9.3-1, MQTT-3.9.3-2, MQTT-2.2.1-6.
#[test]
fn each_filter_has_its_code_in_order() {
    subscribe::each_filter_has_its_code_in_order(V5);
}

/// MQTT-3.8.4-5, MQTT-3.10.4-6, MQTT-3.11.3-1.
#[test]
fn many_filters_are_as_many_packets() {
    subscribe::many_filters_are_as_many_packets(V5);
}

/// MQTT-3.8.4-3, MQTT-3.8.4-4.
#[test]
fn the_same_filter_replaces_the_subscription() {
    subscribe::the_same_filter_replaces_the_subscription(V5);
}

/// MQTT-3.8.4-4.
#[test]
fn replacing_loses_nothing() {
    subscribe::replacing_loses_nothing(V5);
}

/// MQTT-3.3.4-2.
#[test]
fn overlapping_filters_deliver_with_the_highest_qos() {
    subscribe::overlapping_filters_deliver_with_the_highest_qos(V5);
}

/// MQTT-3.10.4-1, MQTT-3.10.4-2, MQTT-3.10.4-4, MQTT-3.10.4-5, MQTT-3.11.3-2, MQTT-2.2.1-6.
#[test]
fn unsubscribe_compares_characters() {
    subscribe::unsubscribe_compares_characters(V5);
}

/// MQTT-3.2.2-10, MQTT-3.8.4-7.
#[test]
fn a_strict_server_grants_what_it_can() {
    subscribe::a_strict_server_grants_what_it_can(V5);
    // And no groups, which have a code of their own.
    let mut peer = Peer::connect(strict(), V5, "v5-no-groups");
    peer.subscribe_all(&[], &[("$share/g/t", 1), ("t", 2)]);
    peer.expect_suback(&[0x9e, 1]);
}

/// MQTT-3.8.3-1, MQTT-3.8.3-2, MQTT-3.8.3-5, MQTT-3.10.3-1, MQTT-3.10.3-2, MQTT-2.2.1-3, MQTT-4.7.3-1, MQTT-4.7.3-2,
/// MQTT-4.13.1-1, MQTT-1.5.4-1, MQTT-1.5.4-2.
#[test]
fn broken_subscribes() {
    malformed::broken_subscribes(V5);
}

/// MQTT-3.8.3-5, MQTT-1.5.7-1, MQTT-4.13.1-1: options and properties that SUBSCRIBE and UNSUBSCRIBE must not have.
#[test]
fn broken_options_and_properties() {
    let with = |first: u8, properties: &[u8], rest: &[u8]| {
        support::peer::frame(first, &[&[0, 1, properties.len() as u8][..], properties, rest].concat())
    };
    malformed::each_closes(
        V5,
        &[
            ("Retain Handling 3", with(0x82, &[], &[0, 1, b't', 0x30]), 0x82),
            ("reserved options", with(0x82, &[], &[0, 1, b't', 0xc0]), 0x81),
            ("subscription identifier 0", with(0x82, &[11, 0], &[0, 1, b't', 0]), 0x82),
            ("two subscription identifiers", with(0x82, &[11, 1, 11, 2], &[0, 1, b't', 0]), 0x82),
            (
                "a subscription identifier of five bytes",
                with(0x82, &[11, 0xff, 0xff, 0xff, 0xff, 1], &[0, 1, b't', 0]),
                0x81,
            ),
            ("an expiry interval", with(0x82, &long(2, 1), &[0, 1, b't', 0]), 0x82),
            ("a user property that is not UTF-8", with(0x82, &[38, 0, 1, 0xff, 0, 0], &[0, 1, b't', 0]), 0x81),
            ("UNSUBSCRIBE with an identifier", with(0xa2, &[11, 1], &[0, 1, b't']), 0x82),
            ("UNSUBSCRIBE with half a user property", with(0xa2, &[38, 0, 1, b'k'], &[0, 1, b't']), 0x81),
        ],
    );
}

/// MQTT-4.7.1-1, MQTT-4.7.1-2, MQTT-3.9.3-2.
#[test]
fn wildcards_stand_alone() {
    topics::wildcards_stand_alone(V5);
}

/// MQTT-4.7.1-1, MQTT-4.7.1-2, MQTT-3.3.2-3.
#[test]
fn filters_match_whole_levels() {
    topics::filters_match_whole_levels(V5);
}

/// MQTT-3.11.3-1, MQTT-3.11.3-2: a code for each filter: ended, unknown, not a filter.
#[test]
fn unsuback_has_a_code_for_each_filter() {
    let topic = "v5-unsuback";
    let mut peer = join(V5, "v5-unsuback");
    peer.subscribe(topic, 1);
    peer.unsubscribe(&["v5/unknown", topic, "bad/#/x", topic]);
    peer.expect_unsuback(&[0x11, 0x00, 0x8f, 0x11]);
    peer.say(QOS_1, topic, b"x");
    peer.expect_silence();
}
