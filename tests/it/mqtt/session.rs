//! Sessions: what is kept when a connection ends, for how long, and what the next connection finds.

use std::time::Duration;

use support::mqtt::anybody;
use support::peer::{DUP, PUBACK, PUBCOMP, PUBREC, PUBREL, Peer, QOS_1, QOS_2, ack, ack_with, long};
use support::wait::until;
use support::wire::{Connect, Version};

use super::{join, name, plain, stay, staying};

/// Sessions end within seconds of their time; two cores are shared by all tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A clean connection finds nothing of the session before it, and what it subscribes to ends with it.
pub fn a_clean_session_begins_and_leaves_nothing(version: Version) {
    let client = name(version, "clean");
    let mut publisher = join(version, &name(version, "clean-publisher"));
    let mut before = stay(version, &client, false);
    before.subscribe(&client, 1);
    before.goodbye();
    publisher.say(QOS_1, &client, b"for the session that goes");
    let connect = Connect { client: &client, ..anybody(version) };
    let (mut clean, connack) = Peer::connect_with(plain(), &connect);
    assert_eq!(connack[2], 0, "no session is present: {connack:02x?}");
    publisher.say(QOS_1, &client, b"nobody subscribes");
    clean.expect_silence();
    clean.subscribe(&client, 1);
    clean.goodbye();
    let mut after = stay(version, &client, false);
    publisher.say(QOS_1, &client, b"nobody subscribes");
    after.expect_silence();
}

/// A session that may stay: it is there with its subscriptions, and with the messages that came meanwhile.
pub fn a_session_is_resumed_with_what_came_meanwhile(version: Version) {
    let client = name(version, "resumed");
    let mut publisher = join(version, &name(version, "resumed-publisher"));
    // The first one creates it, the end of the connection leaves it, a lost connection as well as a goodbye.
    let mut first = stay(version, &client, false);
    first.subscribe(&client, 2);
    first.goodbye();
    publisher.say(QOS_1, &client, b"one");
    publisher.say(QOS_2, &client, b"two");
    let mut second = stay(version, &client, true);
    second.expect_publish(QOS_1, &client, 1, &[], b"one");
    second.send(&ack(PUBACK, 1));
    second.expect_publish(QOS_2, &client, 2, &[], b"two");
    drop(second);
    publisher.say(QOS_1, &client, b"three");
    let mut third = stay(version, &client, true);
    third.expect_publish(QOS_2 | DUP, &client, 2, &[], b"two");
    assert_eq!(third.take(&client).1, b"three");
    third.send(&ack(PUBREC, 2));
    third.expect(&ack(PUBREL, 2));
    third.send(&ack(PUBCOMP, 2));
    third.expect_silence();
    // Nothing is left over for a fourth.
    third.goodbye();
    stay(version, &client, true).expect_silence();
}

/// What the client did not acknowledge goes out again, in order, with the same ids: PUBLISH with DUP, or PUBREL where
/// PUBREC had come. On the same connection nothing does, however long the acknowledgement takes.
pub fn what_was_not_acknowledged_is_sent_again(version: Version) {
    let client = name(version, "again");
    let mut publisher = join(version, &name(version, "again-publisher"));
    let mut first = stay(version, &client, false);
    first.subscribe(&client, 2);
    for (id, (flags, payload)) in (1..).zip([(QOS_1, b"1"), (QOS_2, b"2"), (QOS_2, b"3"), (QOS_1, b"4")]) {
        publisher.say(flags, &client, payload);
        first.expect_publish(flags, &client, id, &[], payload);
    }
    first.send(&ack(PUBREC, 2));
    first.expect(&ack(PUBREL, 2));
    first.expect_silence();
    drop(first);
    let mut second = stay(version, &client, true);
    second.expect_publish(QOS_1 | DUP, &client, 1, &[], b"1");
    second.expect(&ack(PUBREL, 2));
    second.expect_publish(QOS_2 | DUP, &client, 3, &[], b"3");
    second.expect_publish(QOS_1 | DUP, &client, 4, &[], b"4");
    second.expect_silence();
    // New messages get ids that are not in use, and go out the first time without DUP.
    publisher.say(QOS_1, &client, b"5");
    second.expect_publish(QOS_1, &client, 5, &[], b"5");
    // Acknowledgements in any order; PUBREL is not repeated once PUBCOMP came, PUBLISH not once PUBACK came.
    second.send(&[ack(PUBACK, 4), ack(PUBCOMP, 2), ack(PUBACK, 1)].concat());
    second.expect_silence();
    drop(second);
    let mut third = stay(version, &client, true);
    third.expect_publish(QOS_2 | DUP, &client, 3, &[], b"3");
    third.expect_publish(QOS_1 | DUP, &client, 5, &[], b"5");
    third.send(&[ack(PUBACK, 5), ack(PUBREC, 3)].concat());
    third.expect(&ack(PUBREL, 3));
    third.send(&ack(PUBCOMP, 3));
    third.goodbye();
    stay(version, &client, true).expect_silence();
}

/// A QoS 2 id that a publisher did not release is remembered over its reconnect: the message is not taken twice.
pub fn a_publishers_unreleased_ids_are_kept(version: Version) {
    let topic = name(version, "unreleased");
    let mut witness = join(version, &name(version, "unreleased-witness"));
    witness.subscribe(&topic, 2);
    let client = name(version, "unreleased-publisher");
    let mut first = stay(version, &client, false);
    first.publish(QOS_2, &topic, 77, &[], b"once");
    first.expect(&ack(PUBREC, 77));
    drop(first);
    let mut second = stay(version, &client, true);
    second.publish(QOS_2 | DUP, &topic, 77, &[], b"once");
    second.expect(&ack(PUBREC, 77));
    second.send(&ack(PUBREL, 77));
    second.expect(&ack(PUBCOMP, 77));
    assert_eq!(witness.take(&topic).1, b"once");
    witness.expect_silence();
}

/// While the connection is open its session is whole, whatever the expiry interval: it only counts from the end on.
pub fn a_session_lasts_as_long_as_its_connection(version: Version) {
    let client = name(version, "lasting");
    let mut publisher = join(version, &name(version, "lasting-publisher"));
    let mut lasting = join(version, &client);
    lasting.subscribe(&client, 1);
    // Another session with an interval of one second ends; the connected one, whose interval is shorter, does not.
    if version == Version::V5 {
        one_second_session(&mut publisher, &name(version, "lasting-other"));
    }
    publisher.say(QOS_1, &client, b"still here");
    assert_eq!(lasting.take(&client).1, b"still here");
}

/// Leaves a session of one second behind, and waits until its subscription is gone.
pub fn one_second_session(publisher: &mut Peer, client: &str) {
    let expiry = long(17, 1);
    let connect = Connect { properties: &expiry, ..staying(Version::V5, client) };
    let (mut short, _) = Peer::connect_with(plain(), &connect);
    short.subscribe(client, 1);
    short.goodbye();
    let mut id = 20_000;
    until("the end of a session of one second", PATIENCE, || {
        id += 1;
        publisher.publish(QOS_1, client, id, &[], b"is anybody there?");
        let answer = publisher.packet();
        let (taken, nobody) = (ack(PUBACK, id), ack_with(PUBACK, id, 0x10));
        assert!(answer == taken || answer == nobody, "{answer:02x?}");
        answer == nobody
    });
    let (_, connack) = Peer::connect_with(plain(), &connect);
    assert_eq!(connack[2], 0, "the session has ended: {connack:02x?}");
}
