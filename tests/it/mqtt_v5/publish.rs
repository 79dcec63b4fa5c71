//! PUBLISH from a client, and whom it reaches.

use support::peer::{PUBACK, PUBCOMP, PUBREC, PUBREL, QOS_1, QOS_2, ack, ack_with};

use super::V5;
use crate::it::mqtt::{RECEIVE_MAXIMUM, join, malformed, publish, retained, topics};

/// MQTT-3.3.4-1, MQTT-2.2.1-5, MQTT-4.3.2-4, MQTT-4.3.3-8, MQTT-4.3.3-11, MQTT-3.7.2-1.
#[test]
fn each_qos_has_its_answer() {
    publish::each_qos_has_its_answer(V5);
}

/// MQTT-4.3.2-5, MQTT-3.3.1-3.
#[test]
fn an_id_is_new_after_its_puback() {
    publish::an_id_is_new_after_its_puback(V5);
}

/// MQTT-4.3.3-10, MQTT-4.3.3-11, MQTT-4.3.3-12, MQTT-3.7.2-1.
#[test]
fn a_qos_2_message_is_delivered_once() {
    publish::a_qos_2_message_is_delivered_once(V5);
}

/// MQTT-4.3.3-8, MQTT-4.3.3-11.
#[test]
fn many_qos_2_messages_are_open_at_once() {
    publish::many_qos_2_messages_are_open_at_once(V5);
}

/// MQTT-4.6.0-5, MQTT-4.6.0-6.
#[test]
fn messages_keep_their_order() {
    publish::messages_keep_their_order(V5);
}

/// MQTT-4.5.0-1, MQTT-3.3.2-3.
#[test]
fn a_message_goes_to_all_that_subscribe() {
    publish::a_message_goes_to_all_that_subscribe(V5);
}

/// MQTT-3.8.4-8.
#[test]
fn the_lower_qos_counts() {
    publish::the_lower_qos_counts(V5);
}

/// MQTT-3.3.1-2, MQTT-3.3.1-4, MQTT-3.3.2-1, MQTT-3.3.2-2, MQTT-2.2.1-3, MQTT-4.7.0-1, MQTT-4.7.3-1, MQTT-4.7.3-2,
/// MQTT-1.5.4-1, MQTT-1.5.4-2, MQTT-4.13.1-1.
#[test]
fn broken_publishes() {
    malformed::broken_publishes(V5);
}

/// MQTT-3.3.1-5, MQTT-3.3.1-9.
#[test]
fn the_last_retained_one_is_kept_for_new_subscribers() {
    retained::the_last_one_is_kept_for_new_subscribers(V5);
}

/// MQTT-3.3.1-5.
#[test]
fn qos_0_replaces_what_was_retained() {
    retained::qos_0_replaces_what_was_retained(V5);
}

/// MQTT-3.3.1-8, MQTT-3.3.1-12.
#[test]
fn without_retain_nothing_stored_changes() {
    retained::without_retain_nothing_stored_changes(V5);
}

/// MQTT-3.3.1-6, MQTT-3.3.1-7.
#[test]
fn an_empty_payload_removes() {
    retained::an_empty_payload_removes(V5);
}

/// MQTT-3.3.1-5: the end of a session takes no retained message with it.
#[test]
fn retained_messages_outlive_the_session() {
    retained::they_outlive_the_session_that_published_them(V5);
}

/// MQTT-4.7.2-1.
#[test]
fn wildcards_do_not_match_dollar_topics() {
    topics::wildcards_do_not_match_dollar_topics(V5);
}

/// MQTT-4.7.3-3.
#[test]
fn a_topic_may_have_65535_bytes() {
    topics::a_topic_may_have_65535_bytes(V5);
}

/// MQTT-4.7.3-4, MQTT-1.5.4-3.
#[test]
fn topics_are_compared_as_they_are() {
    topics::topics_are_compared_as_they_are(V5);
}

/// MQTT-3.4.2-1, MQTT-3.5.2-1, MQTT-4.3.3-9: what is not allowed is answered with an error; after that the id is new.
#[test]
fn a_refused_publish_is_told_and_leaves_its_id_free() {
    let topic = "v5-refused-publish";
    let mut witness = join(V5, "v5-refused-witness");
    witness.subscribe(topic, 2);
    let mut peer = join(V5, "v5-refused-publisher");
    for (flags, first) in [(QOS_1, PUBACK), (QOS_2, PUBREC)] {
        peer.publish(flags, "denied/x", 3, &[], b"x");
        peer.expect(&ack_with(first, 3, 0x87));
        peer.publish(flags, topic, 3, &[], b"same id");
        peer.expect(&ack(first, 3));
        assert_eq!(witness.take(topic), (flags, b"same id".to_vec()));
    }
    peer.send(&ack(PUBREL, 3));
    peer.expect(&ack(PUBCOMP, 3));
    // Nobody subscribes to it: that is no error, but told.
    for (flags, first) in [(QOS_1, PUBACK), (QOS_2, PUBREC)] {
        peer.publish(flags, "v5-nobody-subscribes", 4, &[], b"x");
        peer.expect(&ack_with(first, 4, 0x10));
    }
}

/// MQTT-3.3.4-7: one message more than the Receive Maximum, with none released, and the connection is over.
#[test]
fn more_than_the_receive_maximum_closes() {
    let mut peer = join(V5, "v5-exceeds");
    for id in 1..=RECEIVE_MAXIMUM {
        peer.publish(QOS_2, "v5-exceeds", id, &[], b"x");
        peer.expect(&ack_with(PUBREC, id, 0x10));
    }
    // A PUBCOMP gives one back.
    peer.send(&ack(PUBREL, 1));
    peer.expect(&ack(PUBCOMP, 1));
    peer.publish(QOS_2, "v5-exceeds", 1, &[], b"x");
    peer.expect(&ack_with(PUBREC, 1, 0x10));
    peer.publish(QOS_1, "v5-exceeds", RECEIVE_MAXIMUM + 1, &[], b"x");
    peer.expect_close(0x93);
}
