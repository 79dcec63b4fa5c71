//! Clean Start, Session Present and the Session Expiry Interval.

use support::peer::{QOS_1, frame, long};

use super::V5;
use crate::it::mqtt::{join, session, stay};

/// MQTT-3.1.2-4, MQTT-3.1.4-4, MQTT-3.2.2-2.
#[test]
fn a_clean_session_begins_and_leaves_nothing() {
    session::a_clean_session_begins_and_leaves_nothing(V5);
}

/// MQTT-3.1.2-5, MQTT-3.1.2-6, MQTT-3.1.2-23, MQTT-3.2.2-3, MQTT-4.5.0-1.
#[test]
fn a_session_is_resumed_with_what_came_meanwhile() {
    session::a_session_is_resumed_with_what_came_meanwhile(V5);
}

/// MQTT-4.4.0-1, MQTT-3.3.1-1, MQTT-4.3.2-3, MQTT-4.3.3-3, MQTT-4.3.3-5, MQTT-4.3.3-6.
#[test]
fn what_was_not_acknowledged_is_sent_again() {
    session::what_was_not_acknowledged_is_sent_again(V5);
}

/// MQTT-4.3.3-10, MQTT-3.1.2-5.
#[test]
fn a_publishers_unreleased_ids_are_kept() {
    session::a_publishers_unreleased_ids_are_kept(V5);
}

/// MQTT-4.1.0-1, MQTT-4.1.0-2.
#[test]
fn a_session_lasts_as_long_as_its_connection() {
    session::a_session_lasts_as_long_as_its_connection(V5);
}

/// MQTT-4.1.0-2, MQTT-3.1.2-23: without an interval the session ends with its connection; DISCONNECT may set another one.
#[test]
fn the_expiry_interval_decides_what_stays() {
    let mut publisher = join(V5, "v5-interval-publisher");
    session::one_second_session(&mut publisher, "v5-interval-second");
    let client = "v5-interval";
    // Zero, by leaving it out.
    let mut none = join(V5, client);
    none.subscribe(client, 1);
    none.goodbye();
    let mut first = stay(V5, client, false);
    first.subscribe(client, 1);
    // Zero, by DISCONNECT.
    first.send(&frame(0xe0, &[&[0, 5][..], &long(17, 0)].concat()));
    first.expect(&[]);
    let mut second = stay(V5, client, false);
    second.subscribe(client, 1);
    // Longer, by DISCONNECT.
    second.send(&frame(0xe0, &[&[0, 5][..], &long(17, 1000)].concat()));
    second.expect(&[]);
    publisher.say(QOS_1, client, b"kept");
    assert_eq!(stay(V5, client, true).take(client).1, b"kept");
}
