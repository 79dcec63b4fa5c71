//! The promise to publishers: when an acknowledgement goes out, in which order, and what it says.

use crate::ack::{Outcome, Refusal};
use crate::mqtt::testing::{Server, connect, connect_with, publish, subscribe, until};
use crate::units::Millis;

/// No acknowledgement before the message is owned: MQTT-4.3.2-4, MQTT-4.3.3-8; MQTT-4.3.2-2 of 3.1.1, MQTT-4.3.3-2 of 3.1.1.
#[tokio::test]
async fn acknowledgements_wait_for_the_pipeline_and_keep_the_order_of_receipt() {
    let server = Server::new();
    for version in [4, 5] {
        let none: &[u8] = if version == 5 { &[0] } else { &[] };
        let mut client = server.connect(version, "c", true).await;
        let mut wire = publish(0x02, "ü/x", 1, none, b"one");
        wire.extend(publish(0x00, "t", 0, none, b"zero"));
        wire.extend(publish(0x04, "t", 2, none, b"two"));
        wire.extend(publish(0x02, "t", 3, none, b"three"));
        client.send(&wire).await;
        let mut taken = server.taken(4).await;
        assert_eq!(taken[0].message.topic.as_str(), "ü/x");
        assert_eq!(&taken[2].message.payload[..], b"two");
        client.expect_silence().await;
        taken.pop().unwrap().ack.settle(Outcome::Delivered);
        taken.pop().unwrap().ack.settle(Outcome::Delivered);
        taken.pop().unwrap().ack.settle(Outcome::Delivered);
        client.expect_silence().await;
        taken.pop().unwrap().ack.settle(Outcome::Delivered);
        client.expect(&[0x40, 2, 0, 1]).await;
        client.expect(&[0x50, 2, 0, 2]).await;
        client.expect(&[0x40, 2, 0, 3]).await;
        client.send(&[0x62, 2, 0, 2]).await;
        client.expect(&[0x70, 2, 0, 2]).await;
    }
}

/// In 5.0 each has its reason code (MQTT-3.4.2-1, MQTT-3.5.2-1); 3.1.1 cannot be told of a failure, so there it closes
/// (MQTT-4.8.0-2 of 3.1.1).
#[tokio::test]
async fn every_outcome_is_told_as_the_version_can_tell_it() {
    let table = [
        (Outcome::Delivered, Some(0x00), true),
        (Outcome::Unmatched, Some(0x10), true),
        (Outcome::Refused(Refusal::ImplementationSpecific), Some(0x83), false),
        (Outcome::Refused(Refusal::NotAuthorized), Some(0x87), false),
        (Outcome::Refused(Refusal::QuotaExceeded), Some(0x97), false),
        (Outcome::Refused(Refusal::PayloadFormatInvalid), Some(0x99), false),
        (Outcome::Failed, None, false),
    ];
    let server = Server::new();
    for (flags, ack) in [(0x02, 0x40), (0x04, 0x50)] {
        for (outcome, v5, v4) in table {
            let mut client = server.connect(5, "five", true).await;
            client.send(&publish(flags, "t", 9, &[0], b"x")).await;
            server.taken(1).await.remove(0).ack.settle(outcome);
            match v5 {
                Some(0x00) => client.expect(&[ack, 2, 0, 9]).await,
                Some(code) => client.expect(&[ack, 4, 0, 9, code, 0]).await,
                None => client.expect(&[0xe0, 2, 0x83, 0]).await,
            }
            let mut client = server.connect(4, "four", true).await;
            client.send(&publish(flags, "t", 9, &[], b"x")).await;
            server.taken(1).await.remove(0).ack.settle(outcome);
            let acknowledged = [ack, 2, 0, 9];
            client.expect(if v4 { &acknowledged } else { &[] }).await;
        }
    }
}

#[tokio::test]
async fn a_promise_that_is_lost_is_never_kept() {
    let server = Server::new();
    let mut client = server.connect(4, "c", true).await;
    client.send(&publish(0x02, "t", 1, &[], b"x")).await;
    drop(server.taken(1).await);
    client.expect(&[]).await;
}

#[tokio::test]
async fn a_qos_2_message_is_taken_once() {
    let server = Server::new();
    let mut client = server.connect(4, "c", false).await;
    let message = publish(0x04, "t", 7, &[], b"x");
    client.send(&message).await;
    let taken = server.taken(1).await;
    // Again while the first is open: one message, one PUBREC.
    client.send(&publish(0x0c, "t", 7, &[], b"x")).await;
    client.expect_silence().await;
    taken.into_iter().for_each(|inbound| inbound.ack.settle(Outcome::Delivered));
    client.expect(&[0x50, 2, 0, 7]).await;
    // Again after PUBREC, and over a reconnect: acknowledged, not taken.
    client.send(&publish(0x0c, "t", 7, &[], b"x")).await;
    client.expect(&[0x50, 2, 0, 7]).await;
    drop(client);
    let mut client = server.connect(4, "c", false).await;
    client.send(&publish(0x0c, "t", 7, &[], b"x")).await;
    client.expect(&[0x50, 2, 0, 7]).await;
    assert!(server.broker.ingress.drain_for_test().is_empty());
    // Released, any number of times; then the id is new again.
    client.send(&[0x62, 2, 0, 7, 0x62, 2, 0, 7]).await;
    client.expect(&[0x70, 2, 0, 7]).await;
    client.expect(&[0x70, 2, 0, 7]).await;
    client.send(&message).await;
    assert_eq!(server.taken(1).await.len(), 1);
}

/// How a connection ends whose QoS 2 message is not settled, and when it settles then (MQTT-4.3.3-10; MQTT-4.3.3-2 of 3.1.1).
#[tokio::test]
async fn the_promise_of_a_qos_2_message_outlives_its_connection() {
    let server = Server::new();
    for (version, takeover, early) in [(5, true, true), (5, true, false), (4, false, true), (4, false, false)] {
        let none: &[u8] = if version == 5 { &[0] } else { &[] };
        let mut first = server.connect(version, "c", false).await;
        first.send(&publish(0x04, "t", 7, none, b"x")).await;
        let taken = server.taken(1).await.remove(0);
        let mut second = if takeover {
            let second = server.connect(version, "c", false).await;
            first.expect(&[0xe0, 2, 0x8e, 0]).await;
            second
        } else {
            drop(first);
            until(|| server.broker.metrics.connections_current.get() == 0).await;
            server.connect(version, "c", false).await
        };
        // The same message, sent again because nobody has acknowledged it.
        let again = publish(0x0c, "t", 7, none, b"x");
        if early {
            taken.ack.settle(Outcome::Delivered);
            second.send(&again).await;
        } else {
            second.send(&again).await;
            second.send(&again).await;
            second.expect_silence().await;
            taken.ack.settle(Outcome::Delivered);
        }
        second.expect(&[0x50, 2, 0, 7]).await;
        second.send(&[0x62, 2, 0, 7]).await;
        second.expect(&[0x70, 2, 0, 7]).await;
        assert!(server.broker.ingress.drain_for_test().is_empty(), "one message, whatever was sent");
        drop(second);
        until(|| server.broker.metrics.connections_current.get() == 0).await;
    }
}

#[tokio::test]
async fn a_qos_2_message_that_failed_behind_its_connection_is_taken_again() {
    let server = Server::new();
    let refused = Outcome::Refused(Refusal::QuotaExceeded);
    for (version, outcome) in [(5, Outcome::Failed), (4, Outcome::Failed), (4, refused)] {
        let none: &[u8] = if version == 5 { &[0] } else { &[] };
        let mut client = server.connect(version, "c", false).await;
        client.send(&publish(0x04, "t", 7, none, b"x")).await;
        let taken = server.taken(1).await.remove(0);
        drop(client);
        until(|| server.broker.metrics.connections_current.get() == 0).await;
        taken.ack.settle(outcome);
        let mut client = server.connect(version, "c", false).await;
        client.send(&publish(0x0c, "t", 7, none, b"x")).await;
        server.taken(1).await.remove(0).ack.settle(Outcome::Delivered);
        client.expect(&[0x50, 2, 0, 7]).await;
        client.send(&[0x62, 2, 0, 7]).await;
        client.expect(&[0x70, 2, 0, 7]).await;
        drop(client);
        until(|| server.broker.metrics.connections_current.get() == 0).await;
    }
}

#[tokio::test]
async fn an_id_that_was_never_used_is_not_found() {
    let server = Server::new();
    let mut client = server.connect(5, "c", false).await;
    client.send(&[0x62, 2, 0, 8]).await;
    client.expect(&[0x70, 4, 0, 8, 0x92, 0]).await;
}

#[tokio::test]
async fn more_than_the_receive_maximum_is_an_error_in_5_and_back_pressure_in_3() {
    let server = Server::with(|config| config.max_inflight = 2, "");
    let mut five = server.connect(5, "five", true).await;
    for id in 1..=3 {
        five.send_anyway(&publish(0x02, "t", id, &[0], b"x")).await;
    }
    five.expect(&[0xe0, 2, 0x93, 0]).await;
    drop(server.taken(2).await);

    let mut three = server.connect(4, "three", true).await;
    let wire: Vec<u8> = (1..=5).flat_map(|id| publish(0x02, "t", id, &[], b"x")).collect();
    three.send(&wire).await;
    for ids in [&[1, 2][..], &[3, 4], &[5]] {
        for inbound in server.taken(ids.len()).await {
            inbound.ack.settle(Outcome::Delivered);
        }
        for id in ids {
            three.expect(&[0x40, 2, 0, *id]).await;
        }
    }
}

#[tokio::test]
async fn limits_of_zero_still_let_one_message_in() {
    let zero = |config: &mut crate::mqtt::config::MqttConfig| {
        (config.max_inflight, config.max_outstanding) = (0, 0);
        config.max_outstanding_bytes = crate::units::ByteSize(0);
    };
    let server = Server::with(zero, "");
    for version in [4, 5] {
        let none: &[u8] = if version == 5 { &[0] } else { &[] };
        let mut client = server.connect(version, "c", true).await;
        for id in 1..=3 {
            client.send(&publish(0x02, "t", id, none, b"x")).await;
            server.taken(1).await.remove(0).ack.settle(Outcome::Delivered);
            client.expect(&[0x40, 2, 0, id as u8]).await;
        }
    }
}

#[tokio::test]
async fn unreleased_qos_2_ids_count_against_the_receive_maximum() {
    let server = Server::with(|config| config.max_inflight = 2, "");
    let mut client = server.connect(5, "c", true).await;
    for id in 1..=2 {
        client.send(&publish(0x04, "t", id, &[0], b"x")).await;
        server.taken(1).await.remove(0).ack.settle(Outcome::Delivered);
        client.expect(&[0x50, 2, 0, id as u8]).await;
    }
    client.send(&[0x62, 2, 0, 1]).await;
    client.expect(&[0x70, 2, 0, 1]).await;
    client.send(&publish(0x02, "t", 3, &[0], b"x")).await;
    drop(server.taken(1).await);
}

#[tokio::test]
async fn a_full_pipeline_stops_the_socket_and_loses_nothing() {
    let server = Server::with(|config| config.max_outstanding = 1000, "");
    let mut client = server.connect(4, "c", true).await;
    // Far more than the 64 messages that the test's pipeline holds.
    let wire: Vec<u8> = (0..500).flat_map(|n: u16| publish(0x00, "t", 0, &[], &n.to_be_bytes())).collect();
    client.send(&wire).await;
    client.send(&[0xe0, 0]).await;
    let taken = server.taken(500).await;
    for (n, inbound) in taken.into_iter().enumerate() {
        assert_eq!(&inbound.message.payload[..], &(n as u16).to_be_bytes());
        inbound.ack.settle(Outcome::Delivered);
    }
}

#[tokio::test]
async fn what_is_denied_is_told_or_ends_the_connection_and_is_never_acknowledged() {
    let rules = r#"rules = [{ permission = "deny", topics = ["no/#"] }]"#;
    let server = Server::with(|_| {}, rules);
    let mut five = server.connect(5, "five", true).await;
    let mut wire = publish(0x00, "no/x", 0, &[0], b"x");
    wire.extend(publish(0x02, "no/x", 1, &[0], b"x"));
    wire.extend(publish(0x04, "$SYS/x", 2, &[0], b"x"));
    wire.extend(subscribe(&[0], &[("no/x", 1), ("yes", 1), ("#", 0)]));
    five.send(&wire).await;
    // The SUBACK is not held behind acknowledgements; those two are decided at once.
    let mut packets = vec![five.packet().await, five.packet().await, five.packet().await];
    packets.sort();
    assert_eq!(
        packets,
        [vec![0x40, 4, 0, 1, 0x87, 0], vec![0x50, 4, 0, 2, 0x87, 0], vec![0x90, 6, 0, 1, 0, 0x87, 1, 0x87],]
    );
    let mut four = server.connect(4, "four", true).await;
    four.send(&publish(0x00, "no/x", 0, &[], b"x")).await;
    four.expect_silence().await;
    four.send(&publish(0x02, "no/x", 1, &[], b"x")).await;
    four.expect(&[]).await;
    assert!(server.broker.ingress.drain_for_test().is_empty());
    assert_eq!(server.broker.metrics.unauthorized.get(), 7);
}

#[tokio::test]
async fn new_rules_are_in_force_for_the_next_packet() {
    let server = Server::new();
    let mut client = server.connect(5, "c", true).await;
    client.send(&publish(0x02, "t", 1, &[0], b"x")).await;
    server.taken(1).await.remove(0).ack.settle(Outcome::Delivered);
    client.expect(&[0x40, 2, 0, 1]).await;
    let rules = toml::from_str(r#"no_match = "deny""#).unwrap();
    let rules = crate::mqtt::acl::Authorizer::new(&rules, &server.broker.metrics).unwrap();
    server.broker.authorizer.store(std::sync::Arc::new(rules));
    client.send(&publish(0x02, "t", 2, &[0], b"x")).await;
    client.expect(&[0x40, 4, 0, 2, 0x87, 0]).await;
}

#[tokio::test]
async fn aliases_and_properties_reach_the_pipeline() {
    let server = Server::new();
    let mut client = server.connect(5, "c", true).await;
    // Topic alias 1, and a user property twice.
    let properties = [17, 35, 0, 1, 38, 0, 1, b'k', 0, 1, b'v', 38, 0, 1, b'k', 0, 1, b'w'];
    let mut wire = publish(0x00, "a/b", 0, &properties, b"one");
    wire.extend(publish(0x00, "", 0, &[3, 35, 0, 1], b"two"));
    client.send(&wire).await;
    let taken = server.taken(2).await;
    let users = &taken[0].message.properties.as_ref().unwrap().user_properties;
    assert_eq!(users[..], [("k".into(), "v".into()), ("k".into(), "w".into())]);
    assert_eq!((taken[1].message.topic.as_str(), &taken[1].message.payload[..]), ("a/b", &b"two"[..]));
    assert!(taken[1].message.properties.is_none());
    client.send(&publish(0x00, "", 0, &[3, 35, 0, 2], b"x")).await;
    client.expect(&[0xe0, 2, 0x82, 0]).await;
}

/// Not before, either: MQTT-3.1.2-22; MQTT-3.1.2-24 of 3.1.1.
#[tokio::test]
async fn a_client_that_says_nothing_is_gone_after_one_and_a_half_keep_alives() {
    let server = Server::new();
    let mut packet = connect(5, "c", true);
    packet[11] = 1;
    let mut client = server.dial();
    client.send(&packet).await;
    client.packet().await;
    let begun = std::time::Instant::now();
    client.expect(&[0xe0, 2, 0x8d, 0]).await;
    assert!(begun.elapsed() >= std::time::Duration::from_millis(1490));
}

#[tokio::test]
async fn wills_are_published_when_they_should_be() {
    let server = Server::new();
    let will = |delay: u8, expiry: u8, clean: u8| {
        let properties = [5, 17, 0, 0, 0, expiry];
        let fields: [&[u8]; 3] = [b"c", b"will", b"gone"];
        let mut packet = connect_with(5, 0x0c | clean, &properties, &fields);
        // The will's own properties stand between the client id and its topic.
        let at = packet.len() - b"will".len() - b"gone".len() - 4;
        packet.splice(at..at, [5, 24, 0, 0, 0, delay]);
        packet[1] += 6;
        packet
    };
    let connected = async |packet: &[u8]| {
        let mut client = server.dial();
        client.send(packet).await;
        assert_eq!(client.packet().await[0], 0x20);
        client
    };
    // Lost connection, and DISCONNECT with 0x04.
    drop(connected(&will(0, 9, 2)).await);
    assert_eq!(server.taken(1).await[0].message.topic.as_str(), "will");
    connected(&will(0, 9, 2)).await.send(&[0xe0, 1, 0x04]).await;
    server.taken(1).await;
    // DISCONNECT with 0x00: none. The connection is over when its table entry is.
    let mut client = connected(&will(0, 0, 2)).await;
    client.send(&[0xe0, 0]).await;
    client.expect(&[]).await;
    // A delayed will and a client that comes back: none. One that starts clean: now.
    drop(connected(&will(99, 99, 0)).await);
    until(|| server.broker.metrics.connections_current.get() == 0).await;
    let back = connected(&will(99, 99, 0)).await;
    assert!(server.broker.ingress.drain_for_test().is_empty());
    let taken_over = connected(&will(0, 0, 2)).await;
    server.taken(1).await;
    drop((back, taken_over));
    // A session that ends with its connection does not wait for the delay.
    server.taken(1).await;
}

/// DISCONNECT says why (MQTT-3.14.2-1), and comes after the acknowledgements that were owed (MQTT-3.14.4-1).
#[tokio::test]
async fn draining_answers_what_is_outstanding_and_reads_no_more() {
    let server = Server::with(|config| config.send_timeout = Millis::from_secs(5), "");
    let mut client = server.connect(5, "c", true).await;
    let mut idle = server.connect(5, "idle", true).await;
    client.send(&publish(0x02, "t", 1, &[0], b"x")).await;
    let taken = server.taken(1).await;
    server.drain();
    idle.expect(&[0xe0, 2, 0x8b, 0]).await;
    client.send_anyway(&publish(0x02, "t", 2, &[0], b"x")).await;
    taken.into_iter().for_each(|inbound| inbound.ack.settle(Outcome::Delivered));
    client.expect(&[0x40, 2, 0, 1]).await;
    client.expect(&[0xe0, 2, 0x8b, 0]).await;
    drop((client, idle));
    server.empty().await;
    assert!(server.broker.ingress.drain_for_test().is_empty());
}
