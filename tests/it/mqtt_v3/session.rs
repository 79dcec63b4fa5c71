//! Clean Session, and what a session keeps.

use super::V4;
use crate::it::mqtt::session;

/// MQTT-3.1.2-6, MQTT-3.1.4-3, MQTT-3.2.2-1.
#[test]
fn a_clean_session_begins_and_leaves_nothing() {
    session::a_clean_session_begins_and_leaves_nothing(V4);
}

/// MQTT-3.1.2-4, MQTT-3.1.2-5, MQTT-3.1.4-3, MQTT-3.2.2-2, MQTT-3.2.2-3, MQTT-4.1.0-1, MQTT-4.5.0-1.
#[test]
fn a_session_is_resumed_with_what_came_meanwhile() {
    session::a_session_is_resumed_with_what_came_meanwhile(V4);
}

/// MQTT-4.4.0-1, MQTT-3.3.1-1, MQTT-2.3.1-4, MQTT-4.3.2-1, MQTT-4.3.3-1, MQTT-4.6.0-6.
#[test]
fn what_was_not_acknowledged_is_sent_again() {
    session::what_was_not_acknowledged_is_sent_again(V4);
}

/// MQTT-4.3.3-2, MQTT-4.1.0-1.
#[test]
fn a_publishers_unreleased_ids_are_kept() {
    session::a_publishers_unreleased_ids_are_kept(V4);
}

/// MQTT-4.1.0-2.
#[test]
fn a_session_lasts_as_long_as_its_connection() {
    session::a_session_lasts_as_long_as_its_connection(V4);
}
