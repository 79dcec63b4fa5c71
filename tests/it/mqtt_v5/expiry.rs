//! The Message Expiry Interval. Time passes until the server says so: a retained twin that has expired, or a count that
//! has gone down.

use std::time::Duration;

use support::peer::{DUP, PUBACK, PUBCOMP, PUBREC, PUBREL, Peer, QOS_1, QOS_2, RETAIN, ack, ack_with, long};
use support::wait::until;

use super::V5;
use crate::it::mqtt::{join, stay};

const PATIENCE: Duration = Duration::from_secs(60);

/// Publishes a retained message that lives so many seconds, and waits until it is not handed out any more.
fn seconds_pass(seconds: u32, publisher: &mut Peer, twin: &str) {
    publisher.say_with(QOS_1 | RETAIN, twin, &long(2, seconds), b"twin");
    let mut subscriber = join(V5, &format!("{twin}-subscriber"));
    until("the end of a retained message", PATIENCE, || {
        subscriber.subscribe(twin, 0);
        subscriber.send(&[0xc0, 0, 0xc0, 0]);
        let first = subscriber.packet();
        let gone = first == [0xd0, 0];
        // Twice PINGRESP, and perhaps the message before, between or behind.
        let rest = if gone { 1 } else { 2 };
        let mut others = (0..rest).map(|_| subscriber.packet()).filter(|packet| packet[0] >> 4 == 3).count();
        if gone && others > 0 {
            subscriber.expect(&[0xd0, 0]);
        }
        others += usize::from(!gone);
        others == 0
    });
}

/// MQTT-3.3.2-5: what expired while it waited is not delivered; what lives longer is, and what has no interval.
#[test]
fn an_expired_message_is_not_delivered() {
    let client = "v5-expired";
    let mut subscriber = stay(V5, client, false);
    subscriber.subscribe(client, 2);
    subscriber.goodbye();
    let mut publisher = join(V5, "v5-expired-publisher");
    publisher.say_with(QOS_1, client, &long(2, 1), b"short");
    publisher.say_with(QOS_2, client, &long(2, 0), b"none at all");
    publisher.say_with(QOS_1, client, &long(2, 1000), b"long");
    publisher.say(QOS_1, client, b"for ever");
    seconds_pass(1, &mut publisher, "v5-expired-twin");
    let mut back = stay(V5, client, true);
    assert_eq!(back.take(client).1, b"long");
    assert_eq!(back.take(client).1, b"for ever");
    back.expect_silence();
}

/// MQTT-3.3.2-6: the interval that goes out is shorter by the time that the message waited, for retained messages too.
#[test]
fn the_interval_is_counted_down() {
    let client = "v5-counted-down";
    let mut subscriber = stay(V5, client, false);
    subscriber.subscribe(client, 1);
    subscriber.goodbye();
    let mut publisher = join(V5, "v5-counted-down-publisher");
    publisher.say_with(QOS_1 | RETAIN, client, &long(2, 1000), b"x");
    seconds_pass(1, &mut publisher, "v5-counted-down-twin");
    let interval = |packet: &[u8], id: usize| {
        let at = 2 + 2 + client.len() + id;
        assert_eq!(packet[at..at + 2], [5, 2], "{packet:02x?}");
        u32::from_be_bytes(packet[at + 2..at + 6].try_into().expect("four bytes"))
    };
    let mut back = stay(V5, client, true);
    let queued = interval(&back.packet(), 2);
    let mut late = join(V5, "v5-counted-down-late");
    late.subscribe(client, 0);
    let retained = interval(&late.packet(), 0);
    assert!((900..1000).contains(&queued) && (900..1000).contains(&retained), "{queued} {retained}");
    back.send(&ack(PUBACK, 1));
    back.expect_silence();
}

/// MQTT-4.3.3-7: once a QoS 2 message was sent it does not expire: it is sent again, and its exchange is finished.
#[test]
fn a_message_that_was_sent_does_not_expire() {
    let client = "v5-sent";
    let mut subscriber = stay(V5, client, false);
    subscriber.subscribe(client, 2);
    let mut publisher = join(V5, "v5-sent-publisher");
    // Long enough to be sent in time on a busy machine.
    publisher.say_with(QOS_2, client, &long(2, 3), b"x");
    assert_eq!(subscriber.packet()[0], 0x30 | QOS_2);
    seconds_pass(3, &mut publisher, "v5-sent-twin");
    drop(subscriber);
    let mut back = stay(V5, client, true);
    let again = back.packet();
    assert!(again[0] == 0x30 | QOS_2 | DUP && again.ends_with(b"x"), "{again:02x?}");
    back.send(&ack(PUBREC, 1));
    back.expect(&ack(PUBREL, 1));
    back.send(&ack(PUBCOMP, 1));
    back.expect_silence();
}

/// MQTT-4.3.3-13: the publisher's exchange goes on although its message has expired.
#[test]
fn the_exchange_goes_on_after_the_expiry() {
    let topic = "v5-exchange";
    let mut publisher = join(V5, "v5-exchange");
    for interval in [0, 1] {
        publisher.publish(QOS_2, topic, 7, &long(2, interval), b"x");
        publisher.expect(&ack_with(PUBREC, 7, 0x10));
        if interval == 1 {
            seconds_pass(1, &mut join(V5, "v5-exchange-other"), "v5-exchange-twin");
        }
        publisher.publish(QOS_2 | DUP, topic, 7, &long(2, interval), b"x");
        publisher.expect(&ack(PUBREC, 7));
        publisher.send(&ack(PUBREL, 7));
        publisher.expect(&ack(PUBCOMP, 7));
    }
}
