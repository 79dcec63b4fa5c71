//! SUBSCRIBE and UNSUBSCRIBE: what they answer, and what they change.

use support::peer::{Peer, QOS_0, QOS_1, QOS_2, RETAIN};
use support::wire::Version;

use super::{join, name, stay, strict};

/// One answer for many filters: a code for each, in their order, whatever becomes of the others; and each good one counts.
pub fn each_filter_has_its_code_in_order(version: Version) {
    let topic = name(version, "codes");
    let (deep, other) = (format!("{topic}/#"), format!("{topic}-other"));
    let mut subscriber = join(version, &name(version, "codes-subscriber"));
    let filters = [(&topic[..], 2), ("wrong/#/here", 1), (&deep, 0), ("wrong+", 1), (&other, 1)];
    subscriber.subscribe_all(&[], &filters);
    let (wrong, denied) = if version == Version::V5 { (0x8f, 0x87) } else { (0x80, 0x80) };
    subscriber.expect_suback(&[2, wrong, 0, wrong, 1]);
    let mut peer = join(version, &name(version, "codes-publisher"));
    for (to, flags) in [(&topic, QOS_2), (&format!("{topic}/x"), QOS_0), (&other, QOS_1)] {
        peer.say(QOS_2, to, b"x");
        assert_eq!(subscriber.take(to).0, flags, "{to}");
    }
    let mut restricted = Peer::connect(strict(), version, &name(version, "codes-denied"));
    restricted.subscribe_all(&[], &[("denied/x", 1), (&topic, 0)]);
    restricted.expect_suback(&[denied, 0]);
}

/// The same filter twice in one packet is as good as two packets: the second replaces the first, one message comes.
pub fn many_filters_are_as_many_packets(version: Version) {
    let topic = name(version, "sequence");
    let mut peer = join(version, &name(version, "sequence-publisher"));
    peer.say(QOS_1 | RETAIN, &topic, b"kept");
    let mut subscriber = join(version, &name(version, "sequence-subscriber"));
    subscriber.subscribe_all(&[], &[(&topic, 0), (&topic, 1)]);
    subscriber.expect_suback(&[0, 1]);
    assert_eq!(subscriber.take(&topic), (QOS_0 | RETAIN, b"kept".to_vec()));
    assert_eq!(subscriber.take(&topic), (QOS_1 | RETAIN, b"kept".to_vec()));
    peer.say(QOS_1, &topic, b"new");
    assert_eq!(subscriber.take(&topic), (QOS_1, b"new".to_vec()));
    subscriber.expect_silence();
    subscriber.unsubscribe(&[&topic, "never/subscribed", &topic]);
    subscriber.expect_unsuback(&[0x00, 0x11, 0x11]);
}

/// The same filter again: the new QoS counts, retained messages come again, and there is one subscription.
pub fn the_same_filter_replaces_the_subscription(version: Version) {
    let topic = name(version, "replaced");
    let mut peer = join(version, &name(version, "replaced-publisher"));
    peer.say(QOS_2 | RETAIN, &topic, b"kept");
    let mut subscriber = join(version, &name(version, "replaced-subscriber"));
    for granted in [1, 2, 0] {
        subscriber.subscribe(&topic, granted);
        assert_eq!(subscriber.take(&topic), (granted << 1 | RETAIN, b"kept".to_vec()));
        peer.say(QOS_2, &topic, b"new");
        assert_eq!(subscriber.take(&topic), (granted << 1, b"new".to_vec()));
        subscriber.expect_silence();
    }
    subscriber.unsubscribe(&[&topic]);
    subscriber.expect_unsuback(&[0]);
    peer.say(QOS_2, &topic, b"late");
    subscriber.expect_silence();
}

/// While one client publishes, the subscriber replaces its subscription again and again: every message comes, once, in
/// order.
pub fn replacing_loses_nothing(version: Version) {
    let topic = name(version, "uninterrupted");
    let mut subscriber = join(version, &name(version, "uninterrupted-subscriber"));
    subscriber.subscribe(&topic, 1);
    let (publishing, to) = (name(version, "uninterrupted-publisher"), topic.clone());
    let publisher = std::thread::spawn(move || {
        let mut peer = join(version, &publishing);
        (0..200_u16).for_each(|number| peer.say(QOS_1, &to, &number.to_be_bytes()));
    });
    let mut expected = 0_u16;
    while expected < 200 {
        // SUBACKs come between the messages: `subscribe_all` sends, and whatever comes next is sorted here.
        subscriber.subscribe_all(&[], &[(&topic, 1)]);
        loop {
            let packet = subscriber.packet();
            if packet[0] == 0x90 {
                break;
            }
            assert_eq!(packet[0], 0x30 | QOS_1, "{packet:02x?}");
            assert_eq!(packet[packet.len() - 2..], expected.to_be_bytes(), "the next one, once");
            let id = &packet[4 + topic.len()..][..2];
            subscriber.send(&[0x40, 2, id[0], id[1]]);
            expected += 1;
        }
    }
    publisher.join().expect("the publisher's thread");
    subscriber.expect_silence();
}

/// Two filters of one client that match: one message, with the higher of the granted QoS.
pub fn overlapping_filters_deliver_with_the_highest_qos(version: Version) {
    let topic = name(version, "overlap");
    let mut subscriber = join(version, &name(version, "overlap-subscriber"));
    for (filter, granted) in [(format!("{topic}/#"), 0), (format!("{topic}/x"), 2), (format!("{topic}/+"), 1)] {
        subscriber.subscribe(&filter, granted);
    }
    let mut peer = join(version, &name(version, "overlap-publisher"));
    for flags in [QOS_2, QOS_1, QOS_0] {
        let to = format!("{topic}/x");
        peer.say(flags, &to, b"x");
        assert_eq!(subscriber.take(&to).0, flags);
        subscriber.expect_silence();
    }
}

/// A filter ends the subscription that has its very characters, never one that only matches the same topics.
pub fn unsubscribe_compares_characters(version: Version) {
    let topic = name(version, "characters");
    let (wide, narrow) = (format!("{topic}/+"), format!("{topic}/x"));
    let mut subscriber = join(version, &name(version, "characters-subscriber"));
    subscriber.subscribe(&wide, 1);
    let others = [narrow.clone(), format!("{topic}/#"), topic.to_uppercase() + "/+", format!("{topic}/+/"), "#".into()];
    subscriber.unsubscribe(&others.each_ref().map(String::as_str));
    subscriber.expect_unsuback(&[0x11; 5]);
    let mut peer = join(version, &name(version, "characters-publisher"));
    peer.say(QOS_1, &narrow, b"still");
    assert_eq!(subscriber.take(&narrow).1, b"still");
    subscriber.unsubscribe(&[&wide]);
    subscriber.expect_unsuback(&[0x00]);
    peer.say(QOS_1, &narrow, b"not any more");
    subscriber.expect_silence();
    // Also for a session that is away.
    let client = name(version, "characters-away");
    let mut away = stay(version, &client, false);
    away.subscribe(&wide, 1);
    away.unsubscribe(&[&wide]);
    away.expect_unsuback(&[0x00]);
    away.goodbye();
    peer.say(QOS_1, &narrow, b"not stored");
    stay(version, &client, true).expect_silence();
}

/// A server that offers less than QoS 2 grants less, and refuses wildcards where it has none.
pub fn a_strict_server_grants_what_it_can(version: Version) {
    let topic = name(version, "granted");
    let mut subscriber = Peer::connect(strict(), version, &name(version, "granted-subscriber"));
    let filters = [(&topic[..], 2), ("granted/+", 1), ("#", 0), ("granted/plain", 0)];
    subscriber.subscribe_all(&[], &filters);
    let refused = if version == Version::V5 { 0xa2 } else { 0x80 };
    subscriber.expect_suback(&[1, refused, refused, 0]);
    Peer::connect(strict(), version, &name(version, "granted-publisher")).say(QOS_1, &topic, b"x");
    assert_eq!(subscriber.take(&topic), (QOS_1, b"x".to_vec()));
}
