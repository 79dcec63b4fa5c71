//! Wills: when they are published, how, and when they are not.

use support::peer::{Peer, QOS_0, QOS_1, QOS_2, RETAIN};
use support::wire::{Version, Will};

use super::{join, name, plain, stay, staying};

/// Connected with this will, in a session that may stay.
pub fn with_will(version: Version, client: &str, will: Will<'_>) -> Peer {
    let connect = support::wire::Connect { will: Some(will), ..staying(version, client) };
    Peer::connect_with(plain(), &connect).0
}

/// Leaves a will with this payload: what comes before it came before, so it shows that something else did not.
pub fn sentinel(version: Version, topic: &str, payload: &[u8]) {
    let client = name(version, &format!("{topic}-sentinel"));
    drop(with_will(version, &client, Will { topic, payload, qos: 1, ..Will::default() }));
}

/// A connection that breaks has its will published, with its QoS, not retained.
pub fn a_lost_connection_publishes_the_will(version: Version) {
    for (qos, flags) in [(0, QOS_0), (1, QOS_1), (2, QOS_2)] {
        let topic = name(version, &format!("will-lost-{qos}"));
        let mut witness = join(version, &name(version, "will-lost-witness"));
        witness.subscribe(&topic, 2);
        let will = Will { topic: &topic, payload: b"lost", qos, ..Will::default() };
        drop(with_will(version, &name(version, "will-lost"), will));
        assert_eq!(witness.take(&topic), (flags, b"lost".to_vec()));
        witness.unsubscribe(&[&topic]);
        witness.expect_unsuback(&[0]);
        witness.subscribe(&topic, 2);
        witness.expect_silence();
    }
}

/// With Will Retain it is stored as any retained message.
pub fn a_retained_will_is_retained(version: Version) {
    let topic = name(version, "will-retained");
    let mut witness = join(version, &name(version, "will-retained-witness"));
    witness.subscribe(&topic, 1);
    let will = Will { topic: &topic, payload: b"kept", qos: 1, retain: true, ..Will::default() };
    drop(with_will(version, &name(version, "will-retainer"), will));
    assert_eq!(witness.take(&topic), (QOS_1, b"kept".to_vec()));
    let mut late = join(version, &name(version, "will-retained-late"));
    late.subscribe(&topic, 1);
    assert_eq!(late.take(&topic), (QOS_1 | RETAIN, b"kept".to_vec()));
}

/// DISCONNECT deletes the will. So does its publication: the session that stays does not leave it twice. And a client
/// without a will leaves none.
pub fn a_will_is_published_at_most_once(version: Version) {
    let topic = name(version, "will-once");
    let mut witness = join(version, &name(version, "will-once-witness"));
    witness.subscribe(&topic, 1);
    let client = name(version, "will-once-client");
    let will = |payload| Will { topic: &topic, payload, qos: 1, ..Will::default() };
    with_will(version, &client, will(b"never")).goodbye();
    drop(stay(version, &client, true));
    sentinel(version, &topic, b"first");
    assert_eq!(witness.take(&topic).1, b"first");
    drop(with_will(version, &client, will(b"once")));
    assert_eq!(witness.take(&topic).1, b"once");
    drop(stay(version, &client, true));
    sentinel(version, &topic, b"second");
    assert_eq!(witness.take(&topic).1, b"second");
    witness.expect_silence();
}

/// Every end without a DISCONNECT counts: a protocol error, and a second connection with the same client id.
pub fn every_other_end_publishes_the_will(version: Version) {
    let topic = name(version, "will-ends");
    let mut witness = join(version, &name(version, "will-ends-witness"));
    witness.subscribe(&topic, 1);
    let client = name(version, "will-ends-client");
    let will = |payload| Will { topic: &topic, payload, qos: 1, ..Will::default() };
    let mut wrong = with_will(version, &client, will(b"error"));
    wrong.send_anyway(&[0x00, 0x00]);
    wrong.expect_close(0x81);
    assert_eq!(witness.take(&topic).1, b"error");
    let mut displaced = with_will(version, &client, will(b"displaced"));
    let mut heir = with_will(version, &client, will(b"heir"));
    displaced.expect_close(0x8e);
    assert_eq!(witness.take(&topic).1, b"displaced");
    heir.expect_silence();
    witness.expect_silence();
}
