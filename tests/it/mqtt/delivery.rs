//! PUBLISH towards a subscriber: ids, and the acknowledgements that end a delivery.

use support::peer::{DUP, PUBACK, PUBCOMP, PUBREC, PUBREL, QOS_0, QOS_1, QOS_2, ack};
use support::wire::Version;

use super::{join, name, stay};

/// QoS 0 has no id and no DUP; QoS 1 and 2 have DUP 0 and an id that nothing else in flight has.
pub fn ids_in_flight_are_unused_ones(version: Version) {
    let topic = name(version, "ids");
    let mut subscriber = join(version, &name(version, "ids-subscriber"));
    subscriber.subscribe(&topic, 2);
    let mut peer = join(version, &name(version, "ids-publisher"));
    for (id, flags) in [(0, QOS_0), (1, QOS_1), (2, QOS_2), (3, QOS_1), (0, QOS_0), (4, QOS_2)] {
        peer.say(flags, &topic, b"x");
        subscriber.expect_publish(flags, &topic, id, &[], b"x");
    }
    // Only what is acknowledged is free; what is not stays out of use while the counter goes once around.
    subscriber.send(&[ack(PUBACK, 1), ack(PUBREC, 2)].concat());
    subscriber.expect(&ack(PUBREL, 2));
    subscriber.send(&ack(PUBACK, 3));
    peer.say(QOS_1, &topic, b"y");
    subscriber.expect_publish(QOS_1, &topic, 5, &[], b"y");
    subscriber.expect_silence();
}

/// PUBREC is answered with PUBREL and the same id, each time it comes; PUBCOMP ends it.
pub fn pubrec_is_answered_with_pubrel(version: Version) {
    let topic = name(version, "pubrel");
    let mut subscriber = join(version, &name(version, "pubrel-subscriber"));
    subscriber.subscribe(&topic, 2);
    join(version, &name(version, "pubrel-publisher")).say(QOS_2, &topic, b"x");
    subscriber.expect_publish(QOS_2, &topic, 1, &[], b"x");
    for _ in 0..3 {
        subscriber.send(&ack(PUBREC, 1));
        subscriber.expect(&ack(PUBREL, 1));
    }
    subscriber.send(&ack(PUBCOMP, 1));
    subscriber.expect_silence();
}

/// An acknowledgement of the wrong kind ends nothing: QoS 1 waits for PUBACK, QoS 2 for PUBREC and then PUBCOMP.
pub fn only_its_own_acknowledgement_ends_a_delivery(version: Version) {
    let client = name(version, "own-ack");
    let mut first = stay(version, &client, false);
    first.subscribe(&client, 2);
    let mut peer = join(version, &name(version, "own-ack-publisher"));
    peer.say(QOS_1, &client, b"1");
    peer.say(QOS_2, &client, b"2");
    first.expect_publish(QOS_1, &client, 1, &[], b"1");
    first.expect_publish(QOS_2, &client, 2, &[], b"2");
    first.send(&[ack(PUBCOMP, 1), ack(PUBACK, 2), ack(PUBCOMP, 2)].concat());
    first.expect_silence();
    drop(first);
    let mut second = stay(version, &client, true);
    second.expect_publish(QOS_1 | DUP, &client, 1, &[], b"1");
    second.expect_publish(QOS_2 | DUP, &client, 2, &[], b"2");
    second.send(&[ack(PUBACK, 1), ack(PUBREC, 2)].concat());
    second.expect(&ack(PUBREL, 2));
    second.send(&ack(PUBCOMP, 2));
    second.goodbye();
    stay(version, &client, true).expect_silence();
}

/// UNSUBSCRIBE stops what is new; what had begun is finished, over a reconnect as well.
pub fn what_began_is_finished_after_unsubscribe(version: Version) {
    let client = name(version, "finished");
    let mut first = stay(version, &client, false);
    first.subscribe(&client, 2);
    let mut peer = join(version, &name(version, "finished-publisher"));
    peer.say(QOS_1, &client, b"1");
    peer.say(QOS_2, &client, b"2");
    first.expect_publish(QOS_1, &client, 1, &[], b"1");
    first.expect_publish(QOS_2, &client, 2, &[], b"2");
    first.unsubscribe(&[&client]);
    first.expect_unsuback(&[0]);
    peer.say(QOS_1, &client, b"too late");
    first.send(&ack(PUBREC, 2));
    first.expect(&ack(PUBREL, 2));
    drop(first);
    let mut second = stay(version, &client, true);
    second.expect_publish(QOS_1 | DUP, &client, 1, &[], b"1");
    second.expect(&ack(PUBREL, 2));
    second.send(&[ack(PUBACK, 1), ack(PUBCOMP, 2)].concat());
    second.expect_silence();
}
