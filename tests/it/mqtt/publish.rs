//! PUBLISH from a client: how it is answered, and whom it reaches.

use support::peer::{DUP, PUBACK, PUBCOMP, PUBREC, PUBREL, QOS_0, QOS_1, QOS_2, ack, ack_with, publish};
use support::wire::Version;

use super::{RECEIVE_MAXIMUM, join, name, stay};

/// Nothing for QoS 0, PUBACK for 1, PUBREC and PUBCOMP for 2, each with the id of the PUBLISH, and in the order of receipt.
pub fn each_qos_has_its_answer(version: Version) {
    let topic = name(version, "answers");
    let mut witness = join(version, &name(version, "answers-witness"));
    witness.subscribe(&topic, 2);
    let mut peer = join(version, &name(version, "answers-publisher"));
    let bytes = [(QOS_1, 0xffff), (QOS_0, 0), (QOS_2, 1), (QOS_1, 300)]
        .map(|(flags, id)| publish(version, flags, &topic, id, &[], b"x"));
    peer.send(&bytes.concat());
    peer.expect(&ack(PUBACK, 0xffff));
    peer.expect(&ack(PUBREC, 1));
    peer.expect(&ack(PUBACK, 300));
    peer.send(&ack(PUBREL, 1));
    peer.expect(&ack(PUBCOMP, 1));
    peer.expect_silence();
    for flags in [QOS_1, QOS_0, QOS_2, QOS_1] {
        assert_eq!(witness.take(&topic), (flags, b"x".to_vec()));
    }
}

/// Once PUBACK went out, the same id is a new message, whatever DUP says; and DUP is not passed on.
pub fn an_id_is_new_after_its_puback(version: Version) {
    let topic = name(version, "new-after-puback");
    let mut witness = join(version, &name(version, "puback-witness"));
    witness.subscribe(&topic, 1);
    let mut peer = join(version, &name(version, "puback-publisher"));
    for flags in [QOS_1, QOS_1 | DUP, QOS_1 | DUP] {
        peer.publish(flags, &topic, 5, &[], b"same");
        peer.expect(&ack(PUBACK, 5));
        assert_eq!(witness.take(&topic), (QOS_1, b"same".to_vec()));
    }
}

/// From PUBREC to PUBREL the same id is the same message: acknowledged again, delivered once. After PUBCOMP it is new.
pub fn a_qos_2_message_is_delivered_once(version: Version) {
    let topic = name(version, "delivered-once");
    let mut witness = join(version, &name(version, "once-witness"));
    witness.subscribe(&topic, 2);
    let mut peer = join(version, &name(version, "once-publisher"));
    for round in [&b"first"[..], b"second"] {
        for flags in [QOS_2, QOS_2 | DUP, QOS_2] {
            peer.publish(flags, &topic, 9, &[], round);
            peer.expect(&ack(PUBREC, 9));
        }
        assert_eq!(witness.take(&topic), (QOS_2, round.to_vec()));
        witness.expect_silence();
        peer.send(&ack(PUBREL, 9));
        peer.expect(&ack(PUBCOMP, 9));
    }
    // A PUBREL that comes again, because its PUBCOMP was lost, is answered again.
    peer.send(&ack(PUBREL, 9));
    peer.expect(&if version == Version::V5 { ack_with(PUBCOMP, 9, 0x92) } else { ack(PUBCOMP, 9) });
}

/// As many QoS 2 messages as the server takes are open at once, and released in any order.
pub fn many_qos_2_messages_are_open_at_once(version: Version) {
    let topic = name(version, "open-at-once");
    let mut peer = join(version, &name(version, "open-publisher"));
    let mut witness = join(version, &name(version, "open-witness"));
    witness.subscribe(&topic, 0);
    for id in 1..=RECEIVE_MAXIMUM {
        peer.publish(QOS_2, &topic, id, &[], &id.to_be_bytes());
    }
    for id in 1..=RECEIVE_MAXIMUM {
        peer.expect(&ack(PUBREC, id));
        assert_eq!(witness.take(&topic), (QOS_0, id.to_be_bytes().to_vec()));
    }
    for id in (1..=RECEIVE_MAXIMUM).rev() {
        peer.send(&ack(PUBREL, id));
        peer.expect(&ack(PUBCOMP, id));
    }
}

/// Messages of one client to one topic arrive in their order, for each QoS, at a subscriber that is there and at one
/// that comes later.
pub fn messages_keep_their_order(version: Version) {
    let topic = name(version, "order");
    let late = name(version, "order-late");
    let mut absent = stay(version, &late, false);
    absent.subscribe(&topic, 2);
    absent.goodbye();
    let mut present = join(version, &name(version, "order-present"));
    present.subscribe(&topic, 2);
    let mut peer = join(version, &name(version, "order-publisher"));
    for number in 0..60_u16 {
        peer.say([QOS_0, QOS_1, QOS_2][usize::from(number % 3)], &topic, &number.to_be_bytes());
    }
    let mut back = stay(version, &late, true);
    for subscriber in [&mut present, &mut back] {
        for number in 0..60_u16 {
            let flags = [QOS_0, QOS_1, QOS_2][usize::from(number % 3)];
            assert_eq!(subscriber.take(&topic), (flags, number.to_be_bytes().to_vec()));
        }
        subscriber.expect_silence();
    }
}

/// A message goes to every session with a matching subscription, connected or not, and to no other.
pub fn a_message_goes_to_all_that_subscribe(version: Version) {
    let topic = name(version, "everybody");
    let deeper = format!("{topic}/deeper");
    let absent = name(version, "everybody-absent");
    let mut away = stay(version, &absent, false);
    away.subscribe(&deeper, 1);
    away.goodbye();
    let filters = [deeper.clone(), format!("{topic}/+"), format!("{topic}/#"), format!("+/deeper/../{topic}"), topic];
    let mut there: Vec<_> = filters.iter().map(|filter| join(version, &name(version, filter))).collect();
    for (subscriber, filter) in there.iter_mut().zip(&filters) {
        subscriber.subscribe(filter, 1);
    }
    join(version, &name(version, "everybody-publisher")).say(QOS_1, &deeper, b"all");
    let (matching, others) = there.split_at_mut(3);
    for subscriber in matching {
        assert_eq!(subscriber.take(&deeper).1, b"all");
        subscriber.expect_silence();
    }
    others.iter_mut().for_each(support::peer::Peer::expect_silence);
    assert_eq!(stay(version, &absent, true).take(&deeper).1, b"all");
}

/// QoS towards the subscriber: the lower of what was published and what was granted.
pub fn the_lower_qos_counts(version: Version) {
    let mut peer = join(version, &name(version, "lower-publisher"));
    for granted in 0..=2_u8 {
        let topic = name(version, &format!("lower-{granted}"));
        let mut subscriber = join(version, &name(version, "lower-subscriber"));
        subscriber.subscribe(&topic, granted);
        for published in 0..=2_u8 {
            peer.say(published << 1, &topic, b"x");
            assert_eq!(subscriber.take(&topic).0, published.min(granted) << 1, "{published} {granted}");
        }
    }
}
