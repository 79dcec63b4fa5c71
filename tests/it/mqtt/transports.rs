//! The flows that every transport must carry: TCP, TLS, WebSocket, WebSocket over TLS.

use std::io::{Read, Write};
use std::net::TcpStream;

use support::mqtt::anybody;
use support::peer::{DUP, PUBACK, PUBCOMP, PUBREC, PUBREL, Peer, QOS_0, QOS_1, QOS_2, RETAIN, ack, packet, publish};
use support::transport::{Framed, Transport, Wire};
use support::wire::{self, Connect, Version, Will};
use tungstenite::Message;

use super::{PLAIN, join, name, staying};

fn open(transport: Transport, version: Version) -> Peer {
    let address = PLAIN.listener(transport.listener());
    Peer::over(transport.open(address).expect("a handshake"), version)
}

/// One client's life: subscribe, publish in every QoS to itself, retained, a large message, a session over a reconnect,
/// a will, a takeover, an error.
pub fn a_life(transport: Transport, version: Version) {
    let client = name(version, &format!("life-{}", transport.listener()));
    let will_topic = format!("{client}/will");
    let will = Will { topic: &will_topic, payload: b"gone", qos: 1, ..Will::default() };
    let connect = Connect { will: Some(will), ..staying(version, &client) };
    let mut peer = open(transport, version);
    peer.greet(&connect);
    peer.subscribe(&format!("{client}/+"), 2);
    let topic = format!("{client}/own");
    for flags in [QOS_0, QOS_1 | RETAIN, QOS_2] {
        peer.publish(flags, &topic, 7, &[], b"x");
        // The message and its acknowledgement may come in either order, so another one looks at the message.
        if flags & QOS_1 != 0 {
            acknowledged_among(&mut peer, &topic, PUBACK);
        } else if flags == QOS_2 {
            acknowledged_among(&mut peer, &topic, PUBREC);
            peer.send(&ack(PUBREL, 7));
            peer.expect(&ack(PUBCOMP, 7));
        } else {
            peer.expect_publish(QOS_0, &topic, 0, &[], b"x");
        }
    }
    // Larger than any buffer on the way, and cut into many frames.
    let large = vec![b'l'; 300_000];
    let mut publisher = join(version, &name(version, &format!("{client}-publisher")));
    publisher.say(QOS_1, &topic, &large);
    assert_eq!(take_large(&mut peer, &topic), large);
    publisher.say(QOS_1, &topic, b"unacknowledged");
    assert!(peer.packet().ends_with(b"unacknowledged"));
    drop(peer);
    let mut back = open(transport, version);
    assert_eq!(back.greet(&connect)[2], 1, "the session is there");
    // Its own will, published when the connection broke, and what it had not acknowledged; that one first.
    let again = back.packet();
    assert!(again[0] == 0x30 | QOS_1 | DUP && again.ends_with(b"unacknowledged"), "{again:02x?}");
    let mut heir = open(transport, version);
    assert_eq!(heir.greet(&staying(version, &client))[2], 1);
    let mut seen = back.packet();
    while seen.first().is_some_and(|first| first >> 4 == 3) {
        seen = back.packet();
    }
    if version == Version::V5 {
        assert_eq!(seen, [0xe0, 2, 0x8e, 0]);
        seen = back.packet();
    }
    assert!(seen.is_empty(), "closed: {seen:02x?}");
    let mut wrong = open(transport, version);
    wrong.greet(&Connect { client: &format!("{client}-wrong"), ..anybody(version) });
    wrong.send_anyway(&[0x00, 0x00]);
    wrong.expect_close(0x81);
}

/// Takes the message itself, acknowledging it, and the acknowledgement of its publication, in whatever order.
fn acknowledged_among(peer: &mut Peer, topic: &str, first: u8) {
    let (mut message, mut answer) = (false, false);
    while !(message && answer) {
        let packet = peer.packet();
        if packet == ack(first, 7) {
            answer = true;
        } else if packet[0] >> 4 == 3 {
            assert!(packet.ends_with(b"x"), "{packet:02x?}");
            let at = 4 + topic.len();
            let id = u16::from_be_bytes([packet[at], packet[at + 1]]);
            if packet[0] & 0x06 == QOS_1 {
                peer.send(&ack(PUBACK, id));
                message = true;
            } else {
                peer.send(&ack(PUBREC, id));
            }
        } else {
            assert_eq!(packet[0], PUBREL, "{packet:02x?}");
            peer.send(&ack(PUBCOMP, u16::from_be_bytes([packet[2], packet[3]])));
            message = true;
        }
    }
}

fn take_large(peer: &mut Peer, topic: &str) -> Vec<u8> {
    let (flags, payload) = peer.take(topic);
    assert_eq!(flags, QOS_1);
    payload
}

/// Packets one byte a frame, many in a frame, and cut anywhere: the server sees the same packets.
pub fn frames_are_not_packets(version: Version) {
    let address = PLAIN.listener("ws");
    let topic = name(version, "frames");
    let mut wire = packet(|out| wire::connect(out, &Connect { client: &topic, ..anybody(version) }));
    wire.extend(packet(|out| wire::subscribe(out, version, 1, &topic, 0)));
    wire.extend(publish(version, QOS_1, &topic, 1, &[], &[b'x'; 200]));
    for size in [1, 2, 7, 64, wire.len()] {
        let mut framed = Framed::over(TcpStream::connect(address).expect("a connection")).expect("a handshake");
        for piece in wire.chunks(size) {
            framed.write_all(piece).expect("the connection is open");
        }
        let mut peer = Peer::over(Box::new(framed), version);
        assert_eq!(peer.packet()[0], 0x20, "{size}");
        assert_eq!(peer.packet()[0], 0x90, "{size}");
        let (mut message, mut answer) = (false, false);
        while !(message && answer) {
            match peer.packet()[..] {
                [0x30, ..] => message = true,
                [PUBACK, 2, 0, 1] => answer = true,
                ref other => panic!("{other:02x?}"),
            }
        }
    }
}

/// A text frame closes; before CONNECT and after it.
pub fn other_frames_close(version: Version) {
    let client = name(version, "text-frame");
    for connected in [false, true] {
        let stream = TcpStream::connect(PLAIN.listener("ws")).expect("a connection");
        let mut framed = Framed::over(stream).expect("a handshake");
        if connected {
            let connect = packet(|out| wire::connect(out, &Connect { client: &client, ..anybody(version) }));
            framed.write_all(&connect).expect("the connection is open");
            let mut first = [0];
            framed.read_exact(&mut first).expect("a CONNACK");
            assert_eq!(first, [0x20]);
        }
        framed.socket.send(Message::text("\u{c0}\u{0}")).expect("the connection is open");
        framed.limit_reads(support::mqtt::ANSWER_LIMIT).expect("a time limit above zero");
        // The rest of CONNACK and, perhaps, a DISCONNECT; then the end, never a wait.
        let mut rest = Vec::new();
        if let Err(error) = framed.read_to_end(&mut rest) {
            assert!(!matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{error}");
        }
    }
}

/// The server answers with the subprotocol `mqtt`, also from a list, and takes nobody who does not offer it.
pub fn the_subprotocol_is_mqtt() {
    let offer = |offered: Option<&str>| {
        Framed::shake_hands(TcpStream::connect(PLAIN.listener("ws")).expect("a connection"), offered)
    };
    assert_eq!(offer(Some("mqtt")).expect("a handshake").1.as_deref(), Some("mqtt"));
    for refused in [None, Some("chat"), Some("mqttv3.1"), Some("mqtt2, amqp")] {
        assert!(offer(refused).is_err(), "{refused:?}");
    }
}
