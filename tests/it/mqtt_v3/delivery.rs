//! PUBLISH towards a subscriber.

use super::V4;
use crate::it::mqtt::delivery;

/// MQTT-2.3.1-4, MQTT-2.3.1-5, MQTT-4.3.1-1, MQTT-4.3.2-1, MQTT-4.3.3-1, MQTT-3.3.1-2.
#[test]
fn ids_in_flight_are_unused_ones() {
    delivery::ids_in_flight_are_unused_ones(V4);
}

/// MQTT-4.3.3-1, MQTT-2.3.1-6.
#[test]
fn pubrec_is_answered_with_pubrel() {
    delivery::pubrec_is_answered_with_pubrel(V4);
}

/// MQTT-4.3.2-1, MQTT-4.3.3-1.
#[test]
fn only_its_own_acknowledgement_ends_a_delivery() {
    delivery::only_its_own_acknowledgement_ends_a_delivery(V4);
}

/// MQTT-3.10.4-3, MQTT-3.10.4-2.
#[test]
fn what_began_is_finished_after_unsubscribe() {
    delivery::what_began_is_finished_after_unsubscribe(V4);
}
