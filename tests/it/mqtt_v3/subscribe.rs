//! SUBSCRIBE and UNSUBSCRIBE.

use super::V4;
use crate::it::mqtt::{malformed, subscribe, topics};

/// MQTT-3.8.4-1, MQTT-3.8.4-2, MQTT-3.8.4-5, MQTT-3.9.3-1, MQTT-3.9.3-2, MQTT-2.3.1-7.
#[test]
fn each_filter_has_its_code_in_order() {
    subscribe::each_filter_has_its_code_in_order(V4);
}

/// MQTT-3.8.4-4, MQTT-3.10.4-6.
#[test]
fn many_filters_are_as_many_packets() {
    subscribe::many_filters_are_as_many_packets(V4);
}

/// MQTT-3.8.4-3.
#[test]
fn the_same_filter_replaces_the_subscription() {
    subscribe::the_same_filter_replaces_the_subscription(V4);
}

/// MQTT-3.8.4-3.
#[test]
fn replacing_loses_nothing() {
    subscribe::replacing_loses_nothing(V4);
}

/// MQTT-3.3.5-1.
#[test]
fn overlapping_filters_deliver_with_the_highest_qos() {
    subscribe::overlapping_filters_deliver_with_the_highest_qos(V4);
}

/// MQTT-3.10.4-1, MQTT-3.10.4-2, MQTT-3.10.4-4, MQTT-3.10.4-5, MQTT-2.3.1-7.
#[test]
fn unsubscribe_compares_characters() {
    subscribe::unsubscribe_compares_characters(V4);
}

/// MQTT-3.8.3-2, MQTT-3.8.4-5, MQTT-3.9.3-2.
#[test]
fn a_strict_server_grants_what_it_can() {
    subscribe::a_strict_server_grants_what_it_can(V4);
}

/// MQTT-3.8.3-1, MQTT-3.8.3-3, MQTT-3.8.3-4, MQTT-3.10.3-1, MQTT-3.10.3-2, MQTT-2.3.1-1, MQTT-4.7.3-1, MQTT-4.7.3-2,
/// MQTT-4.8.0-1, MQTT-1.5.3-1, MQTT-1.5.3-2.
#[test]
fn broken_subscribes() {
    malformed::broken_subscribes(V4);
}

/// MQTT-4.7.1-2, MQTT-4.7.1-3, MQTT-3.9.3-2.
#[test]
fn wildcards_stand_alone() {
    topics::wildcards_stand_alone(V4);
}

/// MQTT-4.7.1-2, MQTT-4.7.1-3, MQTT-3.3.2-3.
#[test]
fn filters_match_whole_levels() {
    topics::filters_match_whole_levels(V4);
}
