//! Retained messages: stored, replaced, removed, and who gets them.

use support::peer::{QOS_0, QOS_1, QOS_2, RETAIN};
use support::wire::Version;

use super::{join, name, stay};

/// The last retained message of each topic, with the lower QoS and RETAIN, for every new subscription that matches.
pub fn the_last_one_is_kept_for_new_subscribers(version: Version) {
    let topic = name(version, "retained");
    let (one, two) = (format!("{topic}/1"), format!("{topic}/2"));
    let mut peer = join(version, &name(version, "retainer"));
    peer.say(QOS_1 | RETAIN, &one, b"old");
    peer.say(QOS_2 | RETAIN, &one, b"new");
    peer.say(QOS_1 | RETAIN, &two, b"other");
    for (granted, filter) in [(0, format!("{topic}/#")), (1, format!("{topic}/+")), (2, format!("+/+/../{topic}"))] {
        let mut subscriber = join(version, &name(version, "retained-subscriber"));
        subscriber.subscribe(&filter, granted);
        if granted < 2 {
            assert_eq!(subscriber.take(&one), (granted << 1 | RETAIN, b"new".to_vec()));
            assert_eq!(subscriber.take(&two), (granted << 1 | RETAIN, b"other".to_vec()));
        }
        subscriber.expect_silence();
    }
    let mut exact = join(version, &name(version, "retained-exact"));
    exact.subscribe(&one, 2);
    assert_eq!(exact.take(&one), (QOS_2 | RETAIN, b"new".to_vec()));
    exact.expect_silence();
}

/// A retained message of QoS 0 takes the place of one with a higher QoS.
pub fn qos_0_replaces_what_was_retained(version: Version) {
    let topic = name(version, "retained-qos-0");
    let mut peer = join(version, &name(version, "qos-0-retainer"));
    peer.say(QOS_1 | RETAIN, &topic, b"old");
    peer.say(QOS_0 | RETAIN, &topic, b"new");
    let mut subscriber = join(version, &name(version, "qos-0-subscriber"));
    subscriber.subscribe(&topic, 1);
    assert_eq!(subscriber.take(&topic), (QOS_0 | RETAIN, b"new".to_vec()));
    subscriber.expect_silence();
}

/// Without RETAIN nothing is stored, and what is stored stays: an empty payload removes nothing then.
pub fn without_retain_nothing_stored_changes(version: Version) {
    let topic = name(version, "retained-not");
    let mut peer = join(version, &name(version, "not-retainer"));
    peer.say(QOS_1, &topic, b"passing");
    let mut early = join(version, &name(version, "not-early"));
    early.subscribe(&topic, 1);
    early.expect_silence();
    peer.say(QOS_1 | RETAIN, &topic, b"kept");
    peer.say(QOS_1, &topic, b"passing");
    peer.say(QOS_1, &topic, b"");
    for payload in [&b"kept"[..], b"passing", b""] {
        // For a subscription that stands, RETAIN is 0.
        assert_eq!(early.take(&topic), (QOS_1, payload.to_vec()));
    }
    let mut late = join(version, &name(version, "not-late"));
    late.subscribe(&topic, 1);
    assert_eq!(late.take(&topic), (QOS_1 | RETAIN, b"kept".to_vec()));
    late.expect_silence();
}

/// An empty retained payload goes to subscribers like any message, removes what was stored, and is not stored itself.
pub fn an_empty_payload_removes(version: Version) {
    let topic = name(version, "retained-empty");
    let mut peer = join(version, &name(version, "empty-retainer"));
    peer.say(QOS_1 | RETAIN, &topic, b"kept");
    let mut early = join(version, &name(version, "empty-early"));
    early.subscribe(&topic, 1);
    assert_eq!(early.take(&topic).1, b"kept");
    for _ in 0..2 {
        peer.say(QOS_1 | RETAIN, &topic, b"");
        assert_eq!(early.take(&topic), (QOS_1, Vec::new()));
        let mut late = join(version, &name(version, "empty-late"));
        late.subscribe(&topic, 1);
        late.expect_silence();
    }
}

/// Retained messages belong to the server: the end of the session that published them changes nothing.
pub fn they_outlive_the_session_that_published_them(version: Version) {
    let (topic, client) = (name(version, "outlives"), name(version, "outlived"));
    let mut clean = join(version, &client);
    clean.say(QOS_1 | RETAIN, &topic, b"kept");
    clean.goodbye();
    // The session has ended when another one of the same client id begins without it.
    stay(version, &client, false).goodbye();
    let mut late = join(version, &name(version, "outlives-late"));
    late.subscribe(&topic, 1);
    assert_eq!(late.take(&topic), (QOS_1 | RETAIN, b"kept".to_vec()));
}
