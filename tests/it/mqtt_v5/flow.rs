//! The client's Receive Maximum and Maximum Packet Size.

use support::mqtt::anybody;
use support::peer::{
    PUBACK, PUBCOMP, PUBREC, PUBREL, Peer, QOS_0, QOS_1, QOS_2, ack, ack_with, byte, frame, long, user, word,
};
use support::wire::Connect;

use super::V5;
use crate::it::mqtt::{join, plain, stay};

/// MQTT-3.3.4-9, MQTT-3.3.4-10, MQTT-4.9.0-1, MQTT-4.9.0-2, MQTT-4.9.0-3: two are in flight, never three; each kind of
/// acknowledgement gives a place back; everything else is answered meanwhile.
#[test]
fn no_more_than_the_receive_maximum_is_in_flight() {
    let topic = "v5-window";
    let two = word(0x21, 2);
    let (mut subscriber, _) =
        Peer::connect_with(plain(), &Connect { client: "v5-window", properties: &two, ..anybody(V5) });
    subscriber.subscribe(topic, 2);
    let mut publisher = join(V5, "v5-window-publisher");
    for (flags, payload) in [(QOS_1, b"1"), (QOS_2, b"2"), (QOS_2, b"3"), (QOS_1, b"4"), (QOS_1, b"5")] {
        publisher.say(flags, topic, payload);
    }
    subscriber.expect_publish(QOS_1, topic, 1, &[], b"1");
    subscriber.expect_publish(QOS_2, topic, 2, &[], b"2");
    // The quota is zero, and pings, SUBSCRIBE, UNSUBSCRIBE, PUBLISH and PUBREL are answered as ever.
    subscriber.expect_silence();
    subscriber.subscribe("v5-window/other", 0);
    subscriber.unsubscribe(&["v5-window/other"]);
    subscriber.expect_unsuback(&[0]);
    subscriber.publish(QOS_2, "v5-window/own", 8, &[], b"x");
    subscriber.expect(&ack_with(PUBREC, 8, 0x10));
    subscriber.send(&ack(PUBREL, 8));
    subscriber.expect(&ack(PUBCOMP, 8));
    // PUBACK gives one back, PUBREC without an error does not, PUBCOMP does, PUBREC with an error does.
    subscriber.send(&ack(PUBACK, 1));
    subscriber.expect_publish(QOS_2, topic, 3, &[], b"3");
    subscriber.send(&ack(PUBREC, 2));
    subscriber.expect(&ack(PUBREL, 2));
    subscriber.expect_silence();
    subscriber.send(&ack(PUBCOMP, 2));
    subscriber.expect_publish(QOS_1, topic, 4, &[], b"4");
    subscriber.expect_silence();
    subscriber.send(&ack_with(PUBREC, 3, 0x80));
    subscriber.expect_publish(QOS_1, topic, 5, &[], b"5");
    subscriber.expect_silence();
}

/// MQTT-4.9.0-1, MQTT-4.9.0-2: on a new connection the new Receive Maximum counts, for what is sent again as well.
#[test]
fn each_connection_has_its_own_receive_maximum() {
    let client = "v5-window-anew";
    let mut first = stay(V5, client, false);
    first.subscribe(client, 1);
    let mut publisher = join(V5, "v5-window-anew-publisher");
    for payload in [b"1", b"2", b"3"] {
        publisher.say(QOS_1, client, payload);
        assert!(first.packet().ends_with(payload));
    }
    drop(first);
    let one = [long(17, 100), word(0x21, 1)].concat();
    let connect = Connect { client, clean: false, properties: &one, ..anybody(V5) };
    let (mut second, _) = Peer::connect_with(plain(), &connect);
    for (id, payload) in (1..).zip([b"1", b"2", b"3"]) {
        second.expect_publish(QOS_1 | support::peer::DUP, client, id, &[], payload);
        second.expect_silence();
        second.send(&ack(PUBACK, id));
    }
    second.expect_silence();
}

/// A connection whose Maximum Packet Size is that of its CONNACK, so that nothing could be added to that one.
fn narrow(client: &str, more: &[u8]) -> (Peer, usize) {
    let wide = [long(0x27, 1000), more.to_vec()].concat();
    let (_, connack) = Peer::connect_with(plain(), &Connect { client, properties: &wide, ..anybody(V5) });
    let size = connack.len();
    let tight = [long(0x27, size as u32), more.to_vec()].concat();
    let (peer, connack) = Peer::connect_with(plain(), &Connect { client, properties: &tight, ..anybody(V5) });
    assert_eq!(connack.len(), size);
    // With one byte less not even CONNACK may be sent, and nothing is sent before it.
    let short = [long(0x27, size as u32 - 1), more.to_vec()].concat();
    let mut refused = Peer::open(plain(), V5);
    let connect = Connect { client: "v5-too-narrow", properties: &short, ..anybody(V5) };
    refused.send(&support::peer::packet(|out| support::wire::connect(out, &connect)));
    refused.expect(&[]);
    (peer, size)
}

/// MQTT-3.1.2-24, MQTT-3.1.2-25: a message that fits to the byte is sent; one byte more, and it counts as sent, so the
/// window is not blocked by it.
#[test]
fn what_is_too_large_is_not_sent_and_not_waited_for() {
    let topic = "v5-narrow";
    let (mut subscriber, size) = narrow("v5-narrow", &word(0x21, 1));
    subscriber.subscribe(topic, 2);
    let mut publisher = join(V5, "v5-narrow-publisher");
    let head = 2 + 2 + topic.len() + 1;
    let fits = vec![b'x'; size - head];
    publisher.say(QOS_0, topic, &fits);
    subscriber.expect_publish(QOS_0, topic, 0, &[], &fits);
    for flags in [QOS_0, QOS_1, QOS_2] {
        publisher.say(flags, topic, &vec![b'x'; size - head + 1]);
    }
    subscriber.expect_silence();
    publisher.say_with(QOS_1, topic, &user("key", "too much"), b"small");
    publisher.say(QOS_2, topic, b"last");
    assert_eq!(subscriber.take(topic), (QOS_2, b"last".to_vec()));
    subscriber.expect_silence();
}

/// MQTT-3.1.2-24: an answer that must be given and is too large closes the connection instead.
#[test]
fn an_answer_that_is_too_large_closes() {
    let (mut peer, size) = narrow("v5-narrow-answer", &[]);
    let filters: Vec<String> = (0..size).map(|number| format!("v5-narrow-answer/{number}")).collect();
    let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (&filter[..], 0)).collect();
    // Five bytes around the codes: to the byte, and one more.
    peer.subscribe_all(&[], &filters[..size - 5]);
    peer.expect_suback(&vec![0; size - 5]);
    peer.subscribe_all(&[], &filters[..size - 4]);
    peer.expect_close(0x95);
}

/// MQTT-3.2.2-19, MQTT-3.2.2-20, MQTT-3.4.2-2, MQTT-3.4.2-3, MQTT-3.5.2-2, MQTT-3.5.2-3, MQTT-3.6.2-2, MQTT-3.6.2-3,
/// MQTT-3.7.2-2, MQTT-3.7.2-3, MQTT-3.9.2-1, MQTT-3.9.2-2, MQTT-3.11.2-1, MQTT-3.11.2-2, MQTT-3.14.2-3, MQTT-3.14.2-4,
/// MQTT-3.1.2-29, MQTT-2.2.2-1: each answer, the failures above all, fits a client that takes little and declines problem
/// information, and has a property length of zero.
#[test]
fn no_reason_string_makes_an_answer_too_large() {
    for more in [byte(0x17, 0), byte(0x17, 1)] {
        let (mut peer, size) = narrow("v5-no-words", &more);
        assert!(size < 40, "{size} bytes leave room for words");
        peer.publish(QOS_1, "denied/x", 1, &[], b"x");
        peer.expect(&ack_with(PUBACK, 1, 0x87));
        peer.publish(QOS_2, "denied/x", 2, &[], b"x");
        peer.expect(&ack_with(PUBREC, 2, 0x87));
        peer.send(&ack(PUBREC, 3));
        peer.expect(&ack_with(PUBREL, 3, 0x92));
        peer.send(&ack(PUBREL, 4));
        peer.expect(&ack_with(PUBCOMP, 4, 0x92));
        peer.subscribe_all(&[], &[("a/#/b", 1), ("+a", 1)]);
        peer.expect_suback(&[0x8f, 0x8f]);
        peer.unsubscribe(&["never", "a/#/b"]);
        peer.expect_unsuback(&[0x11, 0x8f]);
        peer.send_anyway(&frame(0x00, &[]));
        peer.expect_close(0x81);
    }
}
