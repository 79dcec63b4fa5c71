//! Wills with what 5.0 adds: the delay, properties, and a DISCONNECT that wants the will published.

use support::peer::{QOS_1, byte, frame, long, text, user};
use support::wire::{Connect, Will};

use super::V5;
use crate::it::mqtt::will::{self, sentinel, with_will};
use crate::it::mqtt::{join, plain, stay, staying};

/// MQTT-3.1.2-7, MQTT-3.1.2-8, MQTT-3.1.2-12, MQTT-3.1.2-14.
#[test]
fn a_lost_connection_publishes_the_will() {
    will::a_lost_connection_publishes_the_will(V5);
}

/// MQTT-3.1.2-15.
#[test]
fn a_retained_will_is_retained() {
    will::a_retained_will_is_retained(V5);
}

/// MQTT-3.1.2-8, MQTT-3.1.2-10, MQTT-3.14.4-3.
#[test]
fn a_will_is_published_at_most_once() {
    will::a_will_is_published_at_most_once(V5);
}

/// MQTT-3.1.2-8.
#[test]
fn every_other_end_publishes_the_will() {
    will::every_other_end_publishes_the_will(V5);
}

/// MQTT-3.1.2-8: DISCONNECT with 0x04, or with an error, leaves the will in force.
#[test]
fn a_disconnect_may_want_the_will() {
    let topic = "v5-will-wanted";
    let mut witness = join(V5, "v5-will-wanted-witness");
    witness.subscribe(topic, 1);
    for (code, payload) in [(0x04, b"four"), (0x80, b"oops"), (0x81, b"form")] {
        let mut peer = with_will(V5, "v5-will-wanted-client", Will { topic, payload, qos: 1, ..Will::default() });
        peer.send(&frame(0xe0, &[code]));
        peer.expect(&[]);
        assert_eq!(witness.take(topic).1, payload);
    }
}

/// MQTT-3.1.3-9: a delayed will is cancelled by a client that resumes its session in time.
#[test]
fn a_client_that_is_back_in_time_leaves_no_will() {
    let topic = "v5-will-delayed";
    let mut witness = join(V5, "v5-will-delayed-witness");
    witness.subscribe(topic, 1);
    // Long enough to be back in time on a busy machine.
    let (delay, client) = (long(0x18, 3), "v5-will-delayed-client");
    drop(with_will(V5, client, Will { topic, payload: b"never", qos: 1, properties: &delay, ..Will::default() }));
    let mut back = stay(V5, client, true);
    // One with the same delay that begins now is published: so the first one's time was over as well.
    let later = Will { topic, payload: b"later", qos: 1, properties: &delay, ..Will::default() };
    drop(with_will(V5, "v5-will-delayed-other", later));
    assert_eq!(witness.take(topic).1, b"later");
    witness.expect_silence();
    back.expect_silence();
}

/// MQTT-3.1.2-8: the will waits for its delay, but not beyond the end of its session, nor over a Clean Start.
#[test]
fn a_delayed_will_comes_with_its_delay_or_its_sessions_end() {
    let topic = "v5-will-end";
    let mut witness = join(V5, "v5-will-end-witness");
    witness.subscribe(topic, 1);
    let (long_delay, short_expiry) = (long(0x18, 1000), long(0x11, 1));
    let will = |payload| Will { topic, payload, qos: 1, properties: &long_delay, ..Will::default() };
    let connect = |client, payload| Connect { will: Some(will(payload)), ..staying(V5, client) };
    let open = |connect: &Connect<'_>| support::peer::Peer::connect_with(plain(), connect).0;
    // A session of one second.
    drop(open(&Connect { properties: &short_expiry, ..connect("v5-will-end-1", b"session") }));
    assert_eq!(witness.take(topic).1, b"session");
    // A session that ends with its connection.
    drop(open(&Connect { properties: &[], ..connect("v5-will-end-2", b"at once") }));
    assert_eq!(witness.take(topic).1, b"at once");
    // A session that a Clean Start ends.
    drop(open(&connect("v5-will-end-3", b"clean")));
    drop(open(&Connect { clean: true, will: None, ..connect("v5-will-end-3", b"") }));
    assert_eq!(witness.take(topic).1, b"clean");
    sentinel(V5, topic, b"nothing more");
    assert_eq!(witness.take(topic).1, b"nothing more");
}

/// MQTT-3.1.3-10: the properties of a will are those of its message, user properties in their order.
#[test]
fn a_wills_properties_are_passed_on_in_order() {
    let topic = "v5-will-properties";
    let mut witness = join(V5, "v5-will-properties-witness");
    witness.subscribe(topic, 1);
    let users = [user("b", "1"), user("a", "2"), user("b", "0"), user("", "")].concat();
    let rest = [byte(1, 1), text(3, b"type"), text(8, b"answer/here"), text(9, &[0, 255])].concat();
    let given = [&long(0x18, 0)[..], &users, &rest].concat();
    drop(with_will(
        V5,
        "v5-will-properties",
        Will { topic, payload: b"x", qos: 1, properties: &given, ..Will::default() },
    ));
    witness.expect_publish(QOS_1, topic, 1, &[rest, users].concat(), b"x");
}
