//! The events of the rule language: which, when, in which order, with what; and none that nobody asked for.

use crate::ack::Outcome;
use crate::event::{EventKind, Fact, Occurrence, PropertyValue};
use crate::message::QoS;
use crate::mqtt::testing::{Raw, Server, connect, connect_with, frame, publish, subscribe, unsubscribe};

fn server() -> Server {
    let server = Server::with(|_| {}, "rules = [{ permission = \"deny\", topics = [\"secret\"] }]");
    server.broker.ingress.want_all_for_test();
    server
}

/// The next `n` things that came down the pipeline, all of which are events.
async fn events(server: &Server, n: usize) -> Vec<Occurrence> {
    server.taken(n).await.into_iter().map(|inbound| *inbound.event.expect("an event")).collect()
}

fn names(events: &[Occurrence]) -> Vec<String> {
    events.iter().map(|event| format!("{} {}", event.client.id, event.kind().name())).collect()
}

/// A connected client whose events are out of the way.
async fn connected(server: &Server, id: &str) -> Raw {
    let client = server.connect(5, id, true).await;
    let told = events(server, 3).await;
    let expected = ["client.check_authn_complete", "client.connack", "client.connected"];
    assert_eq!(names(&told), expected.map(|name| format!("{id} {name}")));
    client
}

fn user(properties: Option<&crate::event::PacketProperties>) -> Vec<(&str, &str)> {
    let user = properties.map(|properties| &properties.user[..]).unwrap_or_default();
    user.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

const PAIR: [u8; 7] = [38, 0, 1, b'k', 0, 1, b'v'];

#[tokio::test]
async fn nothing_is_raised_that_no_rule_asks_for() {
    let server = Server::new();
    let mut client = server.connect(5, "c", true).await;
    client.send(&subscribe(&[0], &[("t", 1)])).await;
    client.packet().await;
    client.send(&publish(0x02, "t", 1, &[0], b"x")).await;
    client.packet().await;
    client.send(&[0x40, 2, 0, 1]).await;
    client.expect_silence().await;
    client.send(&[0xe0, 0]).await;
    client.expect(&[]).await;
    server.empty().await;
    let taken = server.taken(1).await;
    assert!(taken.iter().all(|inbound| inbound.event.is_none()));
}

#[tokio::test]
async fn a_connection_is_told_of_from_its_check_to_its_end() {
    let server = server();
    let mut client = server.dial();
    // Session Expiry Interval 60, Receive Maximum 32, a user property.
    let properties = [&[8 + 7, 17, 0, 0, 0, 60, 33, 0, 32], &PAIR[..]].concat();
    client.send(&connect_with(5, 0x80, &properties, &[b"c", b"joe"])).await;
    client.packet().await;
    let told = events(&server, 3).await;
    assert_eq!(names(&told), ["c client.check_authn_complete", "c client.connack", "c client.connected"]);
    assert_eq!(told[0].client.username.as_deref(), Some("joe"));
    let Fact::Authenticated { reason_code: "success", is_superuser: false, is_anonymous: true } = told[0].fact else {
        panic!("{told:?}")
    };
    let Fact::Connected(connection) = &told[2].fact else { panic!("{told:?}") };
    assert_eq!((connection.clean_start, connection.receive_maximum, connection.session_expiry), (false, 32, 60));
    assert!(connection.connected_at.is_some_and(|at| at <= told[2].at));
    assert_eq!(connection.local.port(), 1883);
    let given = connection.properties.as_deref().unwrap();
    assert_eq!(given.named[0], ("Session-Expiry-Interval", PropertyValue::Number(60)));
    assert_eq!(user(Some(given)), [("k", "v")]);
    let Fact::Connack { reason_code: "success", .. } = told[1].fact else { panic!("{told:?}") };

    client.expect_silence().await;
    assert_eq!(names(&events(&server, 1).await), ["c client.ping"]);
    client.send(&frame(0xe0, &[&[4, 7], &PAIR[..]].concat())).await;
    client.expect(&[]).await;
    let told = events(&server, 1).await;
    let Fact::Disconnected { reason, properties, .. } = &told[0].fact else { panic!("{told:?}") };
    assert_eq!((*reason, user(properties.as_deref())), ("disconnect_with_will_message", vec![("k", "v")]));
}

#[tokio::test]
async fn every_end_has_its_word() {
    let server = server();
    let ended = async |reason: &str| {
        let told = events(&server, 1).await;
        let Fact::Disconnected { reason: found, .. } = told[0].fact else { panic!("{told:?}") };
        assert_eq!(found, reason);
    };
    let mut client = connected(&server, "c").await;
    client.send(&[0xe0, 0]).await;
    ended("normal").await;
    drop(connected(&server, "c").await);
    ended("tcp_closed").await;
    let mut client = connected(&server, "c").await;
    client.send(&[0xff, 0]).await;
    ended("malformed_packet").await;
    let client = connected(&server, "c").await;
    server.broker.sessions.kick(&crate::message::ClientId::new("c"), crate::mqtt::mailbox::Kick::Administrative);
    ended("kicked").await;
    drop(client);

    for (clean, word) in [(false, "takenover"), (true, "discarded")] {
        let first = server.connect(5, "two", false).await;
        events(&server, 3).await;
        let second = server.connect(5, "two", clean).await;
        let told = events(&server, 4).await;
        let words: Vec<_> = told
            .iter()
            .filter_map(|event| match event.fact {
                Fact::Disconnected { reason, .. } => Some(reason),
                _ => None,
            })
            .collect();
        assert_eq!(words, [word]);
        drop((first, second));
        ended("tcp_closed").await;
    }
    let last = connected(&server, "last").await;
    server.drain();
    ended("server_shutting_down").await;
    drop(last);
}

#[tokio::test]
async fn a_refused_connection_has_a_connack_and_never_connected() {
    let server = server();
    let mut client = server.dial();
    // An authentication method.
    client.send(&connect_with(5, 2, &[4, 21, 0, 1, b'm'], &[b"c"])).await;
    client.packet().await;
    let told = events(&server, 1).await;
    let Fact::Connack { reason_code: "bad_authentication_method", connection } = &told[0].fact else {
        panic!("{told:?}")
    };
    assert_eq!((connection.client.id.as_str(), connection.connected_at), ("c", None));
    let mut client = server.dial();
    client.send(&connect(4, "", false)).await;
    client.packet().await;
    let told = events(&server, 1).await;
    let Fact::Connack { reason_code: "client_identifier_not_valid", .. } = told[0].fact else { panic!("{told:?}") };
}

#[tokio::test]
async fn subscriptions_are_told_one_by_one_with_the_check_before_each() {
    let server = server();
    let mut client = connected(&server, "c").await;
    let properties = [&[7], &PAIR[..]].concat();
    client.send(&subscribe(&properties, &[("$share/g/a/+", 1), ("secret", 2), ("b", 0)])).await;
    client.packet().await;
    let told = events(&server, 5).await;
    let expected = [
        "c client.check_authz_complete",
        "c session.subscribed",
        "c client.check_authz_complete",
        "c client.check_authz_complete",
        "c session.subscribed",
    ];
    assert_eq!(names(&told), expected);
    let checked: Vec<_> = told
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::Authorized { topic, action: "subscribe", source, allowed } => Some((&**topic, *source, *allowed)),
            _ => None,
        })
        .collect();
    assert_eq!(checked, [("a/+", "default", true), ("secret", "file", false), ("b", "default", true)]);
    let Fact::Subscribed { topic, qos, properties } = &told[1].fact else { panic!("{told:?}") };
    assert_eq!((&**topic, *qos, user(properties.as_deref())), ("$share/g/a/+", QoS::AtLeastOnce, vec![("k", "v")]));

    client.send(&unsubscribe(&[0], &["b", "never", "$share/g/a/+"])).await;
    client.packet().await;
    let told = events(&server, 2).await;
    let topics: Vec<_> = told
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::Unsubscribed { topic, qos, .. } => Some((&**topic, *qos)),
            _ => None,
        })
        .collect();
    assert_eq!(topics, [("b", QoS::AtMostOnce), ("$share/g/a/+", QoS::AtLeastOnce)]);
}

#[tokio::test]
async fn a_message_is_told_of_as_delivered_and_acked_or_as_dropped() {
    let server = server();
    let mut subscriber = connected(&server, "s").await;
    subscriber.send(&subscribe(&[0], &[("t/#", 2)])).await;
    subscriber.packet().await;
    events(&server, 2).await;
    let mut publisher = connected(&server, "p").await;

    for (flags, ack, code) in [(0x02, 0x40, "file"), (0x04, 0x50, "cache")] {
        let topic = if code == "file" { "t/1" } else { "t/2" };
        publisher.send(&publish(flags, topic, 9, &[0], b"hi")).await;
        let packet = subscriber.packet().await;
        let id = packet[2 + 2 + 3 + 1];
        assert_eq!(packet[0] & 0x06, flags);
        let mut told = server.taken(3).await;
        told.sort_by_key(|inbound| inbound.event.as_ref().map(|event| event.kind()));
        assert!(told[0].event.is_none(), "the message itself");
        let delivered = told[1].event.as_deref().unwrap();
        let Fact::Delivered(delivery) = &delivered.fact else { panic!("{delivered:?}") };
        assert_eq!((delivered.client.id.as_str(), delivery.message.client.id.as_str()), ("s", "p"));
        assert_eq!((delivery.message.topic.as_str(), &delivery.message.payload[..]), (topic, &b"hi"[..]));
        let checked = told[2].event.as_deref().unwrap();
        let Fact::Authorized { action: "publish", source: "default", allowed: true, .. } = checked.fact else {
            panic!("{checked:?}")
        };
        told.remove(0).ack.settle(Outcome::Delivered);

        // Reason code success and a Reason String.
        let answer = [&[0, id, 0, 5 + 7, 31, 0, 2, b'o', b'k'], &PAIR[..]].concat();
        subscriber.send(&frame(ack, &answer)).await;
        let told = events(&server, 1).await;
        let Fact::Acked { delivery, properties } = &told[0].fact else { panic!("{told:?}") };
        assert_eq!((told[0].client.id.as_str(), delivery.qos), ("s", QoS::from_u8(flags >> 1).unwrap()));
        let given = properties.as_deref().unwrap();
        assert_eq!(given.named, [("Reason-String", PropertyValue::Text("ok".to_owned()))]);
        // The same answer again acknowledges nothing.
        subscriber.send(&frame(ack, &[0, id])).await;
        subscriber.send(&[0xc0, 0]).await;
        assert_eq!(names(&events(&server, 1).await), ["s client.ping"]);
        while subscriber.packet().await != [0xd0, 0] {}
    }

    publisher.send(&publish(0x00, "nobody", 0, &[0], b"x")).await;
    let told = server.taken(3).await;
    let event = told.iter().filter_map(|inbound| inbound.event.as_deref()).find_map(|event| match &event.fact {
        Fact::Dropped { message, reason } => Some((message.topic.as_str(), *reason, event.client.id.as_str())),
        _ => None,
    });
    assert_eq!(event, Some(("nobody", "no_subscribers", "p")));
}

#[tokio::test]
async fn a_repeated_topic_is_checked_in_the_cache_and_a_repeated_qos_2_message_is_dropped() {
    let server = server();
    let mut client = connected(&server, "c").await;
    let mut sources = Vec::new();
    let mut dropped = Vec::new();
    for _ in 0..2 {
        client.send(&publish(0x04, "t", 7, &[0], b"x")).await;
        client.expect_silence().await;
    }
    // Twice a check, twice a ping, one message without a subscriber and one copy of it.
    for inbound in server.taken(7).await {
        match inbound.event.as_deref().map(|event| &event.fact) {
            Some(Fact::Authorized { source, .. }) => sources.push(*source),
            Some(Fact::Dropped { reason, .. }) => dropped.push(*reason),
            _ => {}
        }
    }
    assert_eq!((sources, dropped), (vec!["default", "cache"], vec!["no_subscribers", "packet_identifier_inuse"]));
}

#[tokio::test]
async fn a_dropped_delivery_says_why() {
    let server = Server::with(
        |config| {
            config.max_mqueue_len = 1;
            config.mqueue_store_qos0 = false;
        },
        "",
    );
    let reasons = async |n: usize| {
        let told = events(&server, n).await;
        let reason = |event: Occurrence| match event.fact {
            Fact::DeliveryDropped { delivery, reason } => {
                format!("{} {reason} {}", event.client.id, String::from_utf8_lossy(&delivery.message.payload))
            }
            other => panic!("{other:?}"),
        };
        told.into_iter().map(reason).collect::<Vec<_>>()
    };
    let mut client = server.connect(5, "c", false).await;
    // No Local on one filter; the other one is for later.
    client.send(&subscribe(&[0], &[("own", 0x04 | 1), ("t", 1)])).await;
    client.packet().await;
    let mut set = crate::event::EventSet::default();
    set.insert(EventKind::DeliveryDropped);
    server.broker.ingress.want_for_test(set);

    client.send(&publish(0x00, "own", 0, &[0], b"mine")).await;
    let mut taken = server.taken(2).await;
    taken.retain(|inbound| inbound.event.is_some());
    assert!(matches!(taken[0].event.as_deref().unwrap().fact, Fact::DeliveryDropped { reason: "no_local", .. }));
    drop(client);
    server.empty().await;

    let mut publisher = server.connect(5, "p", true).await;
    let mut say = async |flags, payload: &[u8]| {
        let properties: &[u8] = if payload == b"short" { &[5, 2, 0, 0, 0, 0] } else { &[0] };
        publisher.send(&publish(flags, "t", u16::from(flags > 0), properties, payload)).await;
        publisher.expect_silence().await;
        let settled = server.broker.ingress.drain_for_test().into_iter().filter_map(|inbound| {
            inbound.ack.settle(Outcome::Delivered);
            inbound.event
        });
        let told = settled.collect::<Vec<_>>();
        if flags > 0 {
            publisher.expect(&[0x40, 2, 0, 1]).await;
        }
        told
    };
    let told = |events: Vec<Box<Occurrence>>| {
        let reason = |event: Box<Occurrence>| match event.fact {
            Fact::DeliveryDropped { delivery, reason } => {
                format!("{} {reason} {}", event.client.id, String::from_utf8_lossy(&delivery.message.payload))
            }
            other => panic!("{other:?}"),
        };
        events.into_iter().map(reason).collect::<Vec<_>>()
    };
    assert_eq!(told(say(0x00, b"zero").await), ["c qos0_msg zero"]);
    assert!(say(0x02, b"old").await.is_empty());
    assert_eq!(told(say(0x02, b"short").await), ["c queue_full old"]);
    // An expiry of zero seconds is over when the subscriber comes.
    let mut client = server.connect(5, "c", false).await;
    client.expect_silence().await;
    assert_eq!(reasons(1).await, ["c expired short"]);
}
