//! Subscribers: what they get, how, and what happens when they do not take it.

use crate::ack::Outcome;
use crate::mqtt::testing::{Raw, Server, connect_with, publish, subscribe, unsubscribe, until};

/// Publishes one message, settles it, and reads the acknowledgement, if there is one.
async fn say(server: &Server, client: &mut Raw, packet: &[u8]) {
    client.send(packet).await;
    server.taken(1).await.remove(0).ack.settle(Outcome::Delivered);
    if packet[0] & 0x06 != 0 {
        let ack = client.packet().await;
        assert_eq!(ack.len(), 4, "{ack:x?}");
        if ack[0] == 0x50 {
            client.send(&[0x62, 2, ack[2], ack[3]]).await;
            client.expect(&[0x70, 2, ack[2], ack[3]]).await;
        }
    }
}

#[tokio::test]
async fn a_message_goes_out_with_the_lower_qos_and_without_what_3_1_1_cannot_carry() {
    let server = Server::new();
    let mut publisher = server.connect(5, "p", true).await;
    let mut old = server.connect(4, "old", true).await;
    old.send(&subscribe(&[], &[("a/+", 1), ("bad/#/x", 0)])).await;
    old.expect(&[0x90, 4, 0, 1, 1, 0x80]).await;
    let mut new = server.connect(5, "new", true).await;
    // Subscription identifier 300.
    new.send(&subscribe(&[3, 11, 0xac, 0x02], &[("a/#", 0), ("bad/#/x", 0)])).await;
    new.expect(&[0x90, 5, 0, 1, 0, 0, 0x8f]).await;

    let user = [7, 38, 0, 1, b'k', 0, 1, b'v'];
    publisher.send(&publish(0x04, "a/b", 9, &user, b"hi")).await;
    server.taken(1).await.remove(0).ack.settle(Outcome::Unmatched);
    old.expect(&publish(0x02, "a/b", 1, &[], b"hi")).await;
    new.expect(&publish(0x00, "a/b", 0, &[10, 11, 0xac, 0x02, 38, 0, 1, b'k', 0, 1, b'v'], b"hi")).await;
    // A subscriber has it, so "no matching subscribers" would be wrong.
    publisher.expect(&[0x50, 2, 0, 9]).await;
    old.send(&[0x40, 2, 0, 1]).await;
    old.expect_silence().await;
}

#[tokio::test]
async fn overlapping_filters_give_one_copy_with_all_identifiers() {
    let server = Server::new();
    let mut client = server.connect(5, "c", true).await;
    client.send(&subscribe(&[2, 11, 1], &[("a/#", 0)])).await;
    client.packet().await;
    client.send(&subscribe(&[2, 11, 2], &[("a/b", 1)])).await;
    client.packet().await;
    let mut publisher = server.connect(5, "p", true).await;
    say(&server, &mut publisher, &publish(0x02, "a/b", 5, &[0], b"x")).await;
    let packet = client.packet().await;
    assert_eq!((packet[0], packet.len()), (0x32, publish(0x02, "a/b", 5, &[4, 11, 1, 11, 2], b"x").len()));
    // Replacing a subscription replaces its options, and does not add another.
    client.send(&subscribe(&[0], &[("a/b", 0), ("a/#", 0)])).await;
    client.packet().await;
    assert_eq!(server.broker.metrics.subscriptions_current.get(), 2);
}

#[tokio::test]
async fn no_local_retain_as_published_and_unsubscribe() {
    let server = Server::new();
    let mut client = server.connect(5, "c", true).await;
    let mut other = server.connect(5, "o", true).await;
    client.send(&subscribe(&[0], &[("t", 0x04 | 0x08)])).await;
    client.packet().await;
    say(&server, &mut client, &publish(0x00, "t", 0, &[0], b"own")).await;
    say(&server, &mut other, &publish(0x01, "t", 0, &[0], b"other")).await;
    client.expect(&publish(0x01, "t", 0, &[0], b"other")).await;
    client.send(&unsubscribe(&[0], &["t", "t", "bad/#/x"])).await;
    client.expect(&[0xb0, 6, 0, 2, 0, 0x00, 0x11, 0x8f]).await;
    say(&server, &mut other, &publish(0x00, "t", 0, &[0], b"late")).await;
    client.expect_silence().await;
    assert!(server.broker.router.is_empty());
}

#[tokio::test]
async fn retained_messages_follow_the_retain_handling() {
    let server = Server::new();
    let mut client = server.connect(5, "c", true).await;
    say(&server, &mut client, &publish(0x01, "r/1", 0, &[0], b"one")).await;
    let retained = publish(0x01, "r/1", 0, &[0], b"one");
    // Send; if new (twice, the second time it is not); never.
    for (options, expected) in [(0x00, true), (0x00, true), (0x10, false), (0x20, false)] {
        client.send(&subscribe(&[0], &[("r/#", options)])).await;
        client.expect(&[0x90, 4, 0, 1, 0, 0]).await;
        if expected {
            client.expect(&retained).await;
        }
        client.expect_silence().await;
    }
    client.send(&unsubscribe(&[0], &["r/#"])).await;
    client.packet().await;
    client.send(&subscribe(&[0], &[("r/#", 0x10)])).await;
    client.expect(&[0x90, 4, 0, 1, 0, 0]).await;
    client.expect(&retained).await;
    // An empty payload clears, and still goes to those who are subscribed.
    say(&server, &mut client, &publish(0x01, "r/1", 0, &[0], b"")).await;
    client.expect(&publish(0x00, "r/1", 0, &[0], b"")).await;
    assert!(server.broker.retained.is_empty());
}

#[tokio::test]
async fn a_session_waits_for_its_client_and_resends_in_order() {
    let server = Server::new();
    let mut publisher = server.connect(4, "p", true).await;
    let mut client = server.connect(4, "c", false).await;
    client.send(&subscribe(&[], &[("t", 2)])).await;
    client.packet().await;
    say(&server, &mut publisher, &publish(0x02, "t", 1, &[], b"1")).await;
    say(&server, &mut publisher, &publish(0x04, "t", 2, &[], b"2")).await;
    client.expect(&publish(0x02, "t", 1, &[], b"1")).await;
    client.expect(&publish(0x04, "t", 2, &[], b"2")).await;
    client.send(&[0x50, 2, 0, 2]).await;
    client.expect(&[0x62, 2, 0, 2]).await;
    drop(client);
    until(|| server.broker.metrics.connections_current.get() == 1).await;
    say(&server, &mut publisher, &publish(0x02, "t", 3, &[], b"3")).await;

    let mut client = server.dial();
    client.send(&crate::mqtt::testing::connect(4, "c", false)).await;
    client.expect(&[0x20, 2, 1, 0]).await;
    client.expect(&publish(0x0a, "t", 1, &[], b"1")).await;
    client.expect(&[0x62, 2, 0, 2]).await;
    client.expect(&publish(0x02, "t", 3, &[], b"3")).await;
    client.send(&[0x40, 2, 0, 3, 0x70, 2, 0, 2, 0x40, 2, 0, 1]).await;
    client.expect_silence().await;
    // Clean: nothing of it is left.
    let mut clean = server.dial();
    clean.send(&crate::mqtt::testing::connect(4, "c", true)).await;
    clean.expect(&[0x20, 2, 0, 0]).await;
    clean.expect_silence().await;
    assert!(server.broker.router.is_empty());
}

#[tokio::test]
async fn the_clients_receive_maximum_and_packet_size_are_respected() {
    let server = Server::new();
    let mut client = server.dial();
    // Receive Maximum 1, Maximum Packet Size 20: CONNACK needs more.
    client.send(&connect_with(5, 2, &[8, 33, 0, 1, 39, 0, 0, 0, 20], &[b"c"])).await;
    assert!(client.packet().await.is_empty(), "nothing may come before CONNACK");
    let mut client = server.dial();
    client.send(&connect_with(5, 2, &[8, 33, 0, 1, 39, 0, 0, 0, 60], &[b"c"])).await;
    client.packet().await;
    client.send(&subscribe(&[0], &[("t", 1)])).await;
    client.packet().await;
    let mut publisher = server.connect(5, "p", true).await;
    for (id, payload) in [(1, vec![b'a'; 5]), (2, vec![b'b'; 100]), (3, vec![b'c'; 5])] {
        say(&server, &mut publisher, &publish(0x02, "t", id, &[0], &payload)).await;
    }
    client.expect(&publish(0x02, "t", 1, &[0], b"aaaaa")).await;
    client.expect_silence().await;
    client.send(&[0x40, 2, 0, 1]).await;
    let packet = client.packet().await;
    assert!(packet.ends_with(b"ccccc"));
    assert_eq!(server.broker.metrics.delivery_dropped_too_large.get(), 1);
}

/// MQTT-3.1.2-26 and -27: no alias above what the client allows, none if it allows none. MQTT-3.3.2-7: they end with the
/// connection.
#[tokio::test]
async fn a_client_that_allows_topic_aliases_gets_a_topic_once_for_each_connection() {
    let server = Server::new();
    let mut publisher = server.connect(5, "p", true).await;
    let mut plain = server.connect(5, "plain", true).await;
    plain.send(&subscribe(&[0], &[("topic/#", 0)])).await;
    plain.packet().await;
    for connection in 0..2 {
        let mut client = server.dial();
        // Topic Alias Maximum 1, Session Expiry Interval 9.
        client.send(&connect_with(5, 0, &[8, 34, 0, 1, 17, 0, 0, 0, 9], &[b"c"])).await;
        assert_eq!(client.packet().await[2], connection);
        client.send(&subscribe(&[0], &[("topic/#", 0)])).await;
        client.packet().await;
        for topic in ["topic/a", "topic/b", "topic/a"] {
            say(&server, &mut publisher, &publish(0x00, topic, 0, &[0], b"x")).await;
            plain.expect(&publish(0x00, topic, 0, &[0], b"x")).await;
        }
        client.expect(&publish(0x00, "topic/a", 0, &[3, 35, 0, 1], b"x")).await;
        client.expect(&publish(0x00, "topic/b", 0, &[0], b"x")).await;
        client.expect(&publish(0x00, "", 0, &[3, 35, 0, 1], b"x")).await;
        client.send(&[0xe0, 0]).await;
        client.expect(&[]).await;
    }
}

#[tokio::test]
async fn a_slow_subscriber_loses_its_own_messages_and_nobody_elses() {
    let server = Server::with(|config| config.max_mqueue_len = 10, "");
    let mut publisher = server.connect(4, "p", true).await;
    let mut slow = server.connect(4, "slow", true).await;
    slow.send(&subscribe(&[], &[("t", 1)])).await;
    slow.packet().await;
    let payload = vec![b'x'; 10_000];
    for n in 0..100 {
        publisher.send(&publish(0x02, "t", n + 1, &[], &payload)).await;
        server.taken(1).await.remove(0).ack.settle(Outcome::Delivered);
        publisher.expect(&[0x40, 2, 0, n as u8 + 1]).await;
    }
    let mut got = 0;
    let dropped = || server.broker.metrics.delivery_dropped_queue_full.get();
    assert!(dropped() > 0);
    while got + dropped() < 100 {
        let packet = slow.packet().await;
        let id = &packet[packet.len() - payload.len() - 2..][..2];
        slow.send(&[0x40, 2, id[0], id[1]]).await;
        got += 1;
    }
    slow.expect_silence().await;
    assert_eq!(server.broker.metrics.messages_sent.get(), got);
}

/// MQTT-3.14.4-3: DISCONNECT takes the will away, also from a client that does not read what is on the way to it.
#[tokio::test]
async fn a_client_that_takes_nothing_is_heard() {
    let server = Server::new();
    let mut publisher = server.connect(4, "p", true).await;
    let mut deaf = server.dial();
    deaf.send(&connect_with(4, 0x06, &[], &[b"deaf", b"will", b"gone"])).await;
    deaf.expect(&[0x20, 2, 0, 0]).await;
    deaf.send(&subscribe(&[], &[("t", 0)])).await;
    deaf.packet().await;
    // More than the stream between them holds.
    for _ in 0..50 {
        say(&server, &mut publisher, &publish(0x00, "t", 0, &[], &[b'x'; 10_000])).await;
    }
    deaf.send(&[0xe0, 0]).await;
    until(|| server.broker.metrics.connections_current.get() == 1).await;
    publisher.expect_silence().await;
    assert!(server.broker.ingress.drain_for_test().is_empty(), "no will");
}

#[tokio::test]
async fn a_shared_subscription_gives_each_message_to_one_member() {
    let server = Server::new();
    let mut publisher = server.connect(5, "p", true).await;
    let mut members = Vec::new();
    for id in ["a", "b"] {
        let mut member = server.connect(5, id, true).await;
        member.send(&subscribe(&[0], &[("$share/g/t/#", 1), ("$share//t", 1), ("$share/+/t", 1)])).await;
        member.expect(&[0x90, 6, 0, 1, 0, 1, 0x8f, 0x8f]).await;
        members.push(member);
    }
    for n in 1..=10 {
        say(&server, &mut publisher, &publish(0x02, "t/x", n, &[0], &n.to_be_bytes())).await;
    }
    let mut got = Vec::new();
    for member in &mut members {
        for _ in 0..5 {
            let packet = member.packet().await;
            got.push(packet[packet.len() - 1]);
        }
        member.expect_silence().await;
    }
    got.sort_unstable();
    assert_eq!(got, (1..=10).collect::<Vec<_>>());
    // What "a" did not acknowledge goes to "b" when it leaves; then "b" leaves, the last one, with everything in flight.
    drop(members.remove(0));
    for _ in 0..5 {
        assert_eq!(members[0].packet().await[0], 0x32);
    }
    drop(members);
    until(|| server.broker.router.is_empty()).await;
    publisher.expect_silence().await;
}

#[tokio::test]
async fn a_member_that_stalls_does_not_starve_its_group() {
    let server = Server::new();
    let mut publisher = server.connect(5, "p", true).await;
    let mut stalled = server.dial();
    // Receive Maximum 1, and it never acknowledges.
    stalled.send(&connect_with(5, 2, &[3, 33, 0, 1], &[b"stalled"])).await;
    stalled.packet().await;
    let mut good = server.connect(5, "good", true).await;
    for member in [&mut stalled, &mut good] {
        member.send(&subscribe(&[0], &[("$share/g/t", 1)])).await;
        member.packet().await;
    }
    let mut got = 0;
    for n in 1..=50_u16 {
        say(&server, &mut publisher, &publish(0x02, "t", n, &[0], b"x")).await;
        // Whoever is chosen has it in flight before the next one comes.
        until(|| server.broker.metrics.messages_sent.get() == u64::from(n)).await;
        if server.broker.metrics.messages_sent.get() > got + 1 {
            let packet = good.packet().await;
            good.send(&[0x40, 2, packet[5], packet[6]]).await;
            good.expect_silence().await;
            got += 1;
        }
    }
    assert_eq!(got, 49);
}

#[tokio::test]
async fn leaving_during_a_backlog_hurts_nobody() {
    let server = Server::new();
    let mut publisher = server.connect(4, "p", true).await;
    for version in [4, 5] {
        let none: &[u8] = if version == 5 { &[0] } else { &[] };
        for goodbye in [true, false] {
            let mut client = server.connect(version, "c", false).await;
            client.send(&subscribe(none, &[("t", 1)])).await;
            client.packet().await;
            for n in 1..=200 {
                say(&server, &mut publisher, &publish(0x02, "t", n, &[], &[b'x'; 2000])).await;
            }
            if goodbye {
                client.send(&[0xe0, 0]).await;
            } else {
                drop(server.connect(version, "c", false).await);
            }
        }
    }
    publisher.expect_silence().await;
}

#[tokio::test]
async fn message_expiry_is_counted_down_and_ends() {
    let server = Server::new();
    let mut client = server.connect(5, "c", false).await;
    client.send(&subscribe(&[0], &[("t", 1)])).await;
    client.packet().await;
    drop(client);
    until(|| server.broker.metrics.connections_current.get() == 0).await;
    let mut publisher = server.connect(5, "p", true).await;
    say(&server, &mut publisher, &publish(0x02, "t", 1, &[5, 2, 0, 0, 0, 0], b"gone")).await;
    say(&server, &mut publisher, &publish(0x02, "t", 2, &[5, 2, 0, 0, 0, 100], b"here")).await;
    let mut client = server.connect(5, "c", false).await;
    let packet = client.packet().await;
    assert!(packet.ends_with(b"here"));
    let left = u32::from_be_bytes(packet[9..13].try_into().unwrap());
    assert!((90..=100).contains(&left), "{left}");
    assert_eq!(server.broker.metrics.delivery_dropped_expired.get(), 1);
}
