//! PUBLISH towards a subscriber.

use support::peer::{PUBACK, PUBCOMP, PUBREC, PUBREL, QOS_1, QOS_2, ack, ack_with};

use super::V5;
use crate::it::mqtt::{delivery, join, stay};

/// MQTT-2.2.1-2, MQTT-2.2.1-4, MQTT-4.3.1-1, MQTT-4.3.2-1, MQTT-4.3.2-2, MQTT-4.3.3-1, MQTT-4.3.3-2, MQTT-3.3.1-2.
#[test]
fn ids_in_flight_are_unused_ones() {
    delivery::ids_in_flight_are_unused_ones(V5);
}

/// MQTT-4.3.3-4, MQTT-3.6.2-1, MQTT-2.2.1-5.
#[test]
fn pubrec_is_answered_with_pubrel() {
    delivery::pubrec_is_answered_with_pubrel(V5);
}

/// MQTT-4.3.2-3, MQTT-4.3.3-3, MQTT-4.3.3-5.
#[test]
fn only_its_own_acknowledgement_ends_a_delivery() {
    delivery::only_its_own_acknowledgement_ends_a_delivery(V5);
}

/// MQTT-3.10.4-3, MQTT-3.10.4-2.
#[test]
fn what_began_is_finished_after_unsubscribe() {
    delivery::what_began_is_finished_after_unsubscribe(V5);
}

/// MQTT-4.4.0-2: an error ends the delivery: no PUBREL, no redelivery, and the place in the window is free.
#[test]
fn an_error_ends_the_delivery() {
    let client = "v5-error-ends";
    let mut first = stay(V5, client, false);
    first.subscribe(client, 2);
    let mut peer = join(V5, "v5-error-publisher");
    peer.say(QOS_1, client, b"1");
    peer.say(QOS_2, client, b"2");
    first.expect_publish(QOS_1, client, 1, &[], b"1");
    first.expect_publish(QOS_2, client, 2, &[], b"2");
    first.send(&[ack_with(PUBACK, 1, 0x97), ack_with(PUBREC, 2, 0x83)].concat());
    first.expect_silence();
    drop(first);
    stay(V5, client, true).expect_silence();
}

/// MQTT-3.6.2-1, MQTT-3.7.2-1: PUBREC and PUBREL for ids that nobody knows are answered with 0x92, and hurt nobody.
#[test]
fn unknown_ids_are_told() {
    let mut peer = join(V5, "v5-unknown-ids");
    peer.send(&[ack(PUBREC, 99), ack(PUBREL, 98), ack(PUBACK, 97), ack(PUBCOMP, 96)].concat());
    peer.expect(&ack_with(PUBREL, 99, 0x92));
    peer.expect(&ack_with(PUBCOMP, 98, 0x92));
    peer.expect_silence();
}
