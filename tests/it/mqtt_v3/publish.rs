//! PUBLISH from a client, and whom it reaches.

use support::peer::{PUBACK, QOS_0, QOS_1, QOS_2, ack};

use super::V4;
use crate::it::mqtt::{join, malformed, publish, retained, topics};

/// MQTT-3.3.4-1, MQTT-2.3.1-6, MQTT-4.3.2-2, MQTT-4.3.3-2, MQTT-4.6.0-6.
#[test]
fn each_qos_has_its_answer() {
    publish::each_qos_has_its_answer(V4);
}

/// MQTT-4.3.2-2, MQTT-3.3.1-3.
#[test]
fn an_id_is_new_after_its_puback() {
    publish::an_id_is_new_after_its_puback(V4);
}

/// MQTT-4.3.3-2.
#[test]
fn a_qos_2_message_is_delivered_once() {
    publish::a_qos_2_message_is_delivered_once(V4);
}

/// MQTT-4.3.3-2.
#[test]
fn many_qos_2_messages_are_open_at_once() {
    publish::many_qos_2_messages_are_open_at_once(V4);
}

/// MQTT-4.6.0-5, MQTT-4.6.0-6.
#[test]
fn messages_keep_their_order() {
    publish::messages_keep_their_order(V4);
}

/// MQTT-4.5.0-1, MQTT-3.3.2-3.
#[test]
fn a_message_goes_to_all_that_subscribe() {
    publish::a_message_goes_to_all_that_subscribe(V4);
}

/// MQTT-3.8.4-6.
#[test]
fn the_lower_qos_counts() {
    publish::the_lower_qos_counts(V4);
}

/// MQTT-3.3.1-2, MQTT-3.3.1-4, MQTT-3.3.2-1, MQTT-3.3.2-2, MQTT-2.3.1-1, MQTT-4.7.1-1, MQTT-4.7.3-1, MQTT-4.7.3-2,
/// MQTT-1.5.3-1, MQTT-1.5.3-2, MQTT-4.8.0-1.
#[test]
fn broken_publishes() {
    malformed::broken_publishes(V4);
}

/// MQTT-3.3.1-5, MQTT-3.3.1-6, MQTT-3.3.1-8.
#[test]
fn the_last_retained_one_is_kept_for_new_subscribers() {
    retained::the_last_one_is_kept_for_new_subscribers(V4);
}

/// MQTT-3.3.1-7.
#[test]
fn qos_0_replaces_what_was_retained() {
    retained::qos_0_replaces_what_was_retained(V4);
}

/// MQTT-3.3.1-9, MQTT-3.3.1-12.
#[test]
fn without_retain_nothing_stored_changes() {
    retained::without_retain_nothing_stored_changes(V4);
}

/// MQTT-3.3.1-10, MQTT-3.3.1-11.
#[test]
fn an_empty_payload_removes() {
    retained::an_empty_payload_removes(V4);
}

/// MQTT-3.1.2-7.
#[test]
fn retained_messages_outlive_the_session() {
    retained::they_outlive_the_session_that_published_them(V4);
}

/// MQTT-4.7.2-1.
#[test]
fn wildcards_do_not_match_dollar_topics() {
    topics::wildcards_do_not_match_dollar_topics(V4);
}

/// MQTT-4.7.3-3.
#[test]
fn a_topic_may_have_65535_bytes() {
    topics::a_topic_may_have_65535_bytes(V4);
}

/// MQTT-4.7.3-4, MQTT-1.5.3-3.
#[test]
fn topics_are_compared_as_they_are() {
    topics::topics_are_compared_as_they_are(V4);
}

/// MQTT-3.3.5-2: what is not allowed closes where an acknowledgement would claim that it was taken; nobody gets it.
#[test]
fn a_publish_that_is_not_allowed_is_not_acknowledged() {
    for flags in [QOS_1, QOS_2] {
        let mut peer = join(V4, "v3-denied");
        peer.publish(flags, "denied/x", 1, &[], b"x");
        peer.expect_close(0);
    }
    let mut peer = join(V4, "v3-denied");
    peer.publish(QOS_0, "denied/x", 0, &[], b"x");
    peer.publish(QOS_1, "v3-allowed", 1, &[], b"x");
    peer.expect(&ack(PUBACK, 1));
}
