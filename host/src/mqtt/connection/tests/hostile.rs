//! Input that is wrong, cut, mixed up or random: an answer or a close, never a panic, never a stall.

use crate::ack::Outcome;
use crate::mqtt::testing::{Server, connect, connect_with, frame, publish, subscribe, until};

#[tokio::test]
async fn bad_connects_get_the_answer_that_their_standard_knows() {
    let server = Server::with(|config| config.max_clientid_len = 10, "");
    let mut mqisdp = frame(0x10, &[0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, 2, 0, 0, 0, 1, b'c']);
    mqisdp.truncate(17);
    let reserved = {
        let mut packet = connect(5, "c", true);
        packet[9] |= 1;
        packet
    };
    let table: [(&str, Vec<u8>, &[u8]); 15] = [
        ("3.1", mqisdp, &[0x20, 2, 0, 1]),
        // Of a level that nobody knows: in the format that the packet has (MQTT-3.1.2-2 of each version).
        ("level 6, as 5.0", connect_with(6, 2, &[0], &[b"c"]), &[0x20, 3, 0, 0x84, 0]),
        ("level 6, as 5.0, id empty", connect_with(6, 0xc2, &[0], &[b"", b"u", b"p"]), &[0x20, 3, 0, 0x84, 0]),
        ("level 6, as 3.1.1", connect(6, "c", true), &[0x20, 2, 0, 1]),
        ("level 6, as 3.1.1, all fields", connect_with(6, 0xc6, &[], &[b"c", b"w", b"", b"u", b"p"]), &[0x20, 2, 0, 1]),
        ("level 2", connect(2, "c", true), &[0x20, 2, 0, 1]),
        ("other protocol", frame(0x10, &[0, 4, b'H', b'T', b'T', b'P', 4, 2, 0, 0, 0, 0]), &[]),
        ("not CONNECT", publish(0, "t", 0, &[], b""), &[]),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec(), &[]),
        ("no id, kept session, 3.1.1", connect(4, "", false), &[0x20, 2, 0, 2]),
        ("long id", connect(5, "0123456789A", true), &[0x20, 3, 0, 0x85, 0]),
        ("reserved flag", reserved, &[0x20, 3, 0, 0x81, 0]),
        ("receive maximum 0", connect_with(5, 2, &[3, 33, 0, 0], &[b"c"]), &[0x20, 3, 0, 0x82, 0]),
        ("enhanced authentication", connect_with(5, 2, &[4, 21, 0, 1, b'x'], &[b"c"]), &[0x20, 3, 0, 0x8c, 0]),
        ("password alone, 3.1.1", connect_with(4, 0x42, &[], &[b"c", b"pw"]), &[]),
    ];
    for (what, packet, answer) in table {
        let mut client = server.dial();
        client.send_anyway(&packet).await;
        assert_eq!(client.packet().await, answer, "{what}");
        assert!(client.packet().await.is_empty(), "{what}");
    }
    assert!(server.broker.sessions.is_empty());
    let mut assigned = server.dial();
    assigned.send(&connect(5, "", true)).await;
    let connack = assigned.packet().await;
    assert!(connack.windows(5).any(|window| window == b"auto-"));
}

#[tokio::test]
async fn mistakes_after_connect_are_named_in_5_and_close_in_3() {
    let server = Server::with(|config| config.max_packet_size = crate::units::ByteSize(200), "");
    let table: [(&str, Vec<u8>, u8); 16] = [
        ("second CONNECT", connect(5, "c", true), 0x82),
        ("CONNACK", vec![0x20, 2, 0, 0], 0x82),
        ("UNSUBACK", vec![0xb0, 2, 0, 1], 0x82),
        ("SUBACK", vec![0x90, 3, 0, 1, 0], 0x82),
        ("reserved type", vec![0x00, 0], 0x81),
        ("AUTH", vec![0xf0, 0], 0x82),
        ("PUBREL flags", vec![0x60, 2, 0, 1], 0x81),
        ("QoS 3", publish(0x06, "t", 1, &[0], b""), 0x81),
        ("packet id 0", frame(0x32, &[0, 1, b't', 0, 0, 0]), 0x82),
        ("wildcard topic", publish(0, "a/#", 0, &[0], b""), 0x90),
        ("null in topic", publish(0, "a\0", 0, &[0], b""), 0x81),
        ("alias 0", publish(0, "t", 0, &[3, 35, 0, 0], b""), 0x94),
        ("alias too large", publish(0, "t", 0, &[3, 35, 0xff, 0xff], b""), 0x94),
        ("property twice", publish(0, "t", 0, &[4, 1, 0, 1, 0], b""), 0x82),
        ("too large", publish(0, "t", 0, &[0], &[0; 300]), 0x95),
        ("no filter", vec![0x82, 3, 0, 1, 0], 0x82),
    ];
    for (what, packet, reason) in table {
        let mut client = server.connect(5, "c", true).await;
        client.send_anyway(&packet).await;
        assert_eq!(client.packet().await, [0xe0, 2, reason, 0], "{what}");
        let mut client = server.connect(4, "c", true).await;
        client.send_anyway(&packet).await;
        // What is an error in 5.0 only may pass in 3.1.1: no answer but a close is right for an error.
        client.send_anyway(&[0xc0, 0]).await;
        let answer = client.packet().await;
        assert!(answer.is_empty() || answer == [0xd0, 0], "{what}: {answer:x?}");
    }
    server.broker.ingress.drain_for_test();
}

#[tokio::test]
async fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let server = Server::new();
    for version in [4, 5] {
        let none: &[u8] = if version == 5 { &[0] } else { &[] };
        let mut wire = connect(version, "c", true);
        wire.extend(subscribe(none, &[("a", 1)]));
        wire.extend(publish(0x02, "ü/y", 300, none, &[b'x'; 200]));
        wire.extend([0xc0, 0]);
        let mut client = server.dial();
        for byte in wire {
            client.send(&[byte]).await;
            tokio::task::yield_now().await;
        }
        for first in [0x20, 0x90, 0xd0] {
            assert_eq!(client.packet().await[0], first);
        }
        server.taken(1).await.remove(0).ack.settle(Outcome::Delivered);
        client.expect(&[0x40, 2, 1, 44]).await;
    }
}

#[tokio::test]
async fn what_came_before_a_mistake_is_taken() {
    let server = Server::new();
    let mut client = server.connect(5, "c", true).await;
    let mut wire = publish(0x02, "t", 1, &[0], b"good");
    wire.extend([0x00, 0x00]);
    client.send(&wire).await;
    assert_eq!(&server.taken(1).await[0].message.payload[..], b"good");
    client.expect(&[0xe0, 2, 0x81, 0]).await;
}

#[tokio::test]
async fn strange_client_ids_are_ids_like_any() {
    let server = Server::new();
    for id in ["a+b", "$x", "#", "a/b", "ü", " "] {
        let mut first = server.connect(5, id, true).await;
        let mut second = server.connect(5, id, true).await;
        first.expect(&[0xe0, 2, 0x8e, 0]).await;
        second.expect_silence().await;
    }
}

#[tokio::test]
async fn quick_reconnects_leave_one_session_and_no_trace() {
    let server = Server::new();
    let mut last = server.connect(5, "c", false).await;
    for _ in 0..60 {
        last = server.connect(5, "c", false).await;
        last.send(&subscribe(&[0], &[("t", 1)])).await;
    }
    last.packet().await;
    last.expect_silence().await;
    until(|| server.broker.metrics.connections_current.get() == 1).await;
    assert_eq!((server.broker.sessions.len(), server.broker.metrics.subscriptions_current.get()), (1, 1));
    drop(server.connect(5, "c", true).await);
    until(|| server.broker.sessions.is_empty()).await;
    assert!(server.broker.router.is_empty());
    assert_eq!(server.broker.metrics.subscriptions_current.get(), 0);
}

/// 5,000 connections, each with valid packets that were damaged, or with noise: another client notices nothing.
#[tokio::test]
async fn random_and_mutated_packets_end_in_an_answer_or_a_close() {
    let server = Server::new();
    let mut witness = server.connect(5, "witness", true).await;
    let mut random = 0x9e37_79b9_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % below
    };
    for round in 0..5000 {
        let version = 4 + (round % 2) as u8;
        let none: &[u8] = if version == 5 { &[0] } else { &[] };
        let mut wire = [
            publish(0x03, "a/b", 7, none, b"payload"),
            subscribe(none, &[("a/#", 1), ("$share/g/x", 2)]),
            publish(0x04, "ü", 8, none, b""),
            vec![0x62, 2, 0, 8],
            frame(0xe0, &[]),
        ]
        .concat();
        for _ in 0..=next(6) {
            let at = next(wire.len());
            match next(4) {
                0 => wire[at] = next(256) as u8,
                1 => wire[at] ^= 1 << next(8),
                2 => wire.truncate(at.max(1)),
                _ => wire.insert(at, next(256) as u8),
            }
        }
        if round % 10 == 0 {
            wire = (0..next(300)).map(|_| next(256) as u8).collect();
        }
        let mut client = server.connect(version, "random", next(2) == 0).await;
        client.send_anyway(&wire).await;
        server.broker.ingress.drain_for_test();
        if round % 100 == 0 {
            witness.expect_silence().await;
        }
    }
    witness.expect_silence().await;
}
