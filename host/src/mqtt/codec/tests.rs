//! What goes in comes out, and whatever else goes in is an error: never a panic, whatever the bytes.

use bytes::{Bytes, BytesMut};

use super::*;
use crate::message::{Properties, ProtocolVersion, QoS};
use crate::mqtt::packet::{Ack, Disconnect, PacketId, RetainHandling};
use crate::mqtt::testing::{connect, connect_with, frame, publish, subscribe, unsubscribe};

const V4: Decoder = Decoder { version: ProtocolVersion::V4, max_packet_size: 1 << 20 };
const V5: Decoder = Decoder { version: ProtocolVersion::V5, max_packet_size: 1 << 20 };

fn id(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

fn decode(decoder: Decoder, bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let (packet, len) = decoder.decode(bytes)?.expect("a whole packet");
    assert_eq!(len, bytes.len());
    Ok(packet)
}

#[test]
fn a_publish_survives_encoding_and_decoding() {
    let properties = Properties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(77),
        content_type: Some("text".into()),
        response_topic: Some("re/ply".into()),
        correlation_data: Some(Bytes::from_static(b"\x00\xff")),
        user_properties: vec![("b".into(), "1".into()), ("a".into(), "2".into()), ("b".into(), "".into())],
    };
    for version in [ProtocolVersion::V4, ProtocolVersion::V5] {
        for (qos, packet_id) in
            [(QoS::AtMostOnce, None), (QoS::AtLeastOnce, Some(id(1))), (QoS::ExactlyOnce, Some(id(65535)))]
        {
            for (properties, payload) in
                [(None, vec![]), (Some(&properties), vec![7; 200]), (Some(&properties), vec![7; 20_000])]
            {
                let outgoing = OutgoingPublish {
                    dup: qos != QoS::AtMostOnce,
                    retain: true,
                    qos,
                    id: packet_id,
                    topic: "ü/x",
                    topic_alias: None,
                    properties,
                    message_expiry_interval: properties.and_then(|properties| properties.message_expiry_interval),
                    subscription_ids: &[],
                    payload: &payload,
                };
                let mut out = BytesMut::new();
                assert!(Encoder::unlimited(version).publish(&mut out, &outgoing));
                let decoder = Decoder { version, max_packet_size: 1 << 20 };
                let Ok(Packet::Publish(read)) = decode(decoder, &out) else { panic!() };
                assert_eq!((read.dup, read.retain, read.qos, read.id), (outgoing.dup, true, qos, packet_id));
                assert_eq!((read.topic, read.payload), ("ü/x".as_bytes(), &payload[..]));
                let expected = properties.filter(|_| version == ProtocolVersion::V5);
                assert_eq!(read.properties.as_deref(), expected);
                // One byte less than it needs, and nothing is written.
                let small = Encoder { version, max_packet_size: out.len() - 1 };
                let mut none = BytesMut::new();
                assert!(!small.publish(&mut none, &outgoing) && none.is_empty());
            }
        }
    }
}

#[test]
fn subscription_identifiers_are_written_with_their_true_length() {
    let outgoing = OutgoingPublish {
        dup: false,
        retain: false,
        qos: QoS::AtMostOnce,
        id: None,
        topic: "t",
        topic_alias: None,
        properties: None,
        message_expiry_interval: None,
        subscription_ids: &[1, 300, 268_435_455],
        payload: b"x",
    };
    let mut out = BytesMut::new();
    assert!(Encoder::unlimited(ProtocolVersion::V5).publish(&mut out, &outgoing));
    assert_eq!(out[..], [0x30, 15, 0, 1, b't', 10, 11, 1, 11, 0xac, 2, 11, 0xff, 0xff, 0xff, 0x7f, b'x'][..]);
}

#[test]
fn control_packets_are_read_in_their_long_and_short_forms() {
    let ok = |n| Ack { id: id(n), failed: false };
    for (bytes, expected) in [
        (&[0x40, 2, 0, 9][..], Packet::PubAck(ok(9))),
        (&[0x40, 3, 0, 9, 0x10], Packet::PubAck(ok(9))),
        (&[0x50, 4, 0, 9, 0x87, 0], Packet::PubRec(Ack { id: id(9), failed: true })),
        (&[0x62, 4, 1, 0, 0x92, 0], Packet::PubRel(Ack { id: id(256), failed: true })),
        (&[0x70, 11, 0, 9, 0, 7, 38, 0, 1, b'k', 0, 1, b'v'], Packet::PubComp(ok(9))),
        (&[0xc0, 0], Packet::PingReq),
        (&[0xe0, 0], Packet::Disconnect(Disconnect { normal: true, session_expiry_interval: None })),
        (&[0xe0, 1, 4], Packet::Disconnect(Disconnect { normal: false, session_expiry_interval: None })),
        (
            &[0xe0, 7, 0, 5, 17, 0, 0, 0, 9],
            Packet::Disconnect(Disconnect { normal: true, session_expiry_interval: Some(9) }),
        ),
    ] {
        assert_eq!(decode(V5, bytes), Ok(expected), "{bytes:x?}");
    }
    assert_eq!(decode(V4, &[0x40, 2, 0, 9]), Ok(Packet::PubAck(ok(9))));
    assert_eq!(
        decode(V4, &[0xe0, 0]),
        Ok(Packet::Disconnect(Disconnect { normal: true, session_expiry_interval: None }))
    );

    // Identifier 300 and a user property.
    let bytes = subscribe(&[10, 11, 0xac, 2, 38, 0, 1, b'k', 0, 1, b'v'], &[("a/+", 0x2e), ("ü", 0)]);
    let Ok(Packet::Subscribe(read)) = decode(V5, &bytes) else { panic!() };
    assert_eq!((read.id, read.subscription_id, read.filters.len()), (id(1), Some(300), 2));
    let first = &read.filters[0];
    assert_eq!((first.filter.as_str(), first.qos, first.no_local), ("a/+", QoS::ExactlyOnce, true));
    assert_eq!((first.retain_as_published, first.retain_handling), (true, RetainHandling::DoNotSend));
    let bytes = unsubscribe(&[], &["a", "b/#"]);
    let Ok(Packet::Unsubscribe(read)) = decode(V4, &bytes) else { panic!() };
    assert_eq!((read.id, &read.filters[..]), (id(2), &["a".to_owned(), "b/#".to_owned()][..]));
}

#[test]
fn illegal_packets_are_refused() {
    let long = |first: u8, body: &[u8]| frame(first, body);
    for (what, decoder, bytes) in [
        ("flags of PUBACK", V5, vec![0x41, 2, 0, 1]),
        ("flags of SUBSCRIBE", V4, vec![0x80, 6, 0, 1, 0, 1, b'a', 0]),
        ("PINGREQ with content", V4, vec![0xc0, 1, 0]),
        ("DISCONNECT with content", V4, vec![0xe0, 1, 0]),
        ("DISCONNECT with a server's reason", V5, vec![0xe0, 1, 0x8b]),
        ("PUBACK with reason", V4, vec![0x40, 3, 0, 1, 0]),
        ("PUBACK with PUBREL's reason", V5, vec![0x40, 3, 0, 1, 0x92]),
        ("PUBACK id 0", V4, vec![0x40, 2, 0, 0]),
        ("PUBACK too short", V4, vec![0x40, 1, 0]),
        ("bytes after properties", V5, vec![0x40, 5, 0, 1, 0, 0, 7]),
        ("SUBSCRIBE id 0", V4, vec![0x82, 6, 0, 0, 0, 1, b'a', 0]),
        ("SUBSCRIBE options", V4, subscribe(&[], &[("a", 4)])),
        ("SUBSCRIBE QoS 3", V5, subscribe(&[0], &[("a", 3)])),
        ("SUBSCRIBE retain handling 3", V5, subscribe(&[0], &[("a", 0x30)])),
        ("SUBSCRIBE reserved bits", V5, subscribe(&[0], &[("a", 0x40)])),
        ("SUBSCRIBE empty filter", V4, subscribe(&[], &[("", 0)])),
        ("SUBSCRIBE null in filter", V4, subscribe(&[], &[("a\0", 0)])),
        ("SUBSCRIBE identifier 0", V5, subscribe(&[2, 11, 0], &[("a", 0)])),
        ("SUBSCRIBE identifier twice", V5, subscribe(&[4, 11, 1, 11, 2], &[("a", 0)])),
        ("SUBSCRIBE without options", V4, long(0x82, &[0, 1, 0, 1, b'a'])),
        ("UNSUBSCRIBE of nothing", V4, vec![0xa2, 2, 0, 1]),
        ("UNSUBSCRIBE cut", V4, long(0xa2, &[0, 1, 0, 9, b'a'])),
        ("DUP with QoS 0", V4, publish(0x08, "a", 0, &[], b"")),
        ("PUBLISH without topic", V4, publish(0, "", 0, &[], b"")),
        ("PUBLISH topic cut", V4, long(0x30, &[0, 9, b'a'])),
        ("PUBLISH properties overrun", V5, publish(0, "a", 0, &[9, 1, 0], b"")),
        ("PUBLISH property cut by its block", V5, publish(0, "a", 0, &[2, 2, 0], b"\0\0\0")),
        ("PUBLISH unknown property", V5, publish(0, "a", 0, &[2, 99, 0], b"")),
        ("PUBLISH with a subscription identifier", V5, publish(0, "a", 0, &[2, 11, 1], b"")),
        ("PUBLISH indicator 2", V5, publish(0, "a", 0, &[2, 1, 2], b"")),
        ("PUBLISH wildcard response topic", V5, publish(0, "a", 0, &[4, 8, 0, 1, b'#'], b"")),
        ("PUBLISH bad UTF-8 in a property", V5, publish(0, "a", 0, &[4, 3, 0, 1, 0xff], b"")),
        ("length of five bytes", V4, vec![0x30, 0xff, 0xff, 0xff, 0xff, 1]),
    ] {
        assert!(decoder.decode(&bytes).is_err(), "{what}");
    }
}

#[test]
fn a_packet_that_is_not_complete_is_waited_for_but_not_beyond_the_limit() {
    let bytes = publish(0x02, "topic", 1, &[0], &[1; 300]);
    for len in 0..bytes.len() {
        assert_eq!(V5.decode(&bytes[..len]), Ok(None), "{len}");
    }
    let small = Decoder { version: ProtocolVersion::V5, max_packet_size: bytes.len() - 1 };
    assert_eq!(small.decode(&bytes[..3]), Err(DecodeError::TooLarge { limit: bytes.len() - 1 }));
    let exact = Decoder { version: ProtocolVersion::V5, max_packet_size: bytes.len() };
    assert!(exact.decode(&bytes).unwrap().is_some());
}

#[test]
fn connect_is_read_with_all_its_parts() {
    let mut packet = connect_with(5, 0xee, &[3, 33, 0, 7], &[b"cl\xc3\xbc", b"w", b"bye", b"user", b"\xff\x00"]);
    packet.splice(22..22, [5, 24, 0, 0, 0, 9]);
    packet[1] += 6;
    let frame = cut(&packet, 1000).unwrap().unwrap();
    let connect = decode_connect(&frame).unwrap();
    assert_eq!((connect.client_id.as_str(), connect.receive_maximum, connect.clean_start), ("clü", 7, true));
    assert_eq!((connect.username.as_deref(), connect.password.as_deref()), (Some("user"), Some(&b"\xff\x00"[..])));
    let will = connect.will.unwrap();
    assert_eq!(
        (will.topic.as_str(), &will.payload[..], will.qos, will.retain),
        ("w", &b"bye"[..], QoS::AtLeastOnce, true)
    );
    assert_eq!(will.delay.as_secs(), 9);
}

#[test]
fn written_control_packets_are_the_bytes_of_the_standard() {
    let mut out = BytesMut::new();
    let (v4, v5) = (Encoder::unlimited(ProtocolVersion::V4), Encoder::unlimited(ProtocolVersion::V5));
    let written = [
        v4.ack(&mut out, AckKind::PubAck, id(1), Reason::NoMatchingSubscribers),
        v5.ack(&mut out, AckKind::PubAck, id(1), Reason::NoMatchingSubscribers),
        v5.ack(&mut out, AckKind::PubRec, id(1), Reason::QuotaExceeded),
        v5.ack(&mut out, AckKind::PubComp, id(1), Reason::PacketIdNotFound),
        v4.suback(&mut out, id(1), &[Ok(QoS::ExactlyOnce), Err(Reason::NotAuthorized)]),
        v5.suback(&mut out, id(1), &[Ok(QoS::AtMostOnce), Err(Reason::NotAuthorized)]),
        v4.unsuback(&mut out, id(1), &[Reason::NoSubscriptionExisted]),
        v5.unsuback(&mut out, id(1), &[Reason::NoSubscriptionExisted]),
        v4.disconnect(&mut out, Reason::SessionTakenOver),
        v5.disconnect(&mut out, Reason::SessionTakenOver),
        v4.refuse(&mut out, Reason::BadUserNameOrPassword),
        v5.refuse(&mut out, Reason::BadUserNameOrPassword),
    ];
    assert_eq!(written, [true; 12]);
    let expected: [&[u8]; 11] = [
        &[0x40, 2, 0, 1],
        &[0x40, 4, 0, 1, 0x10, 0],
        &[0x50, 4, 0, 1, 0x97, 0],
        &[0x70, 4, 0, 1, 0x92, 0],
        &[0x90, 4, 0, 1, 2, 0x80],
        &[0x90, 5, 0, 1, 0, 0, 0x87],
        &[0xb0, 2, 0, 1],
        &[0xb0, 4, 0, 1, 0, 0x11],
        &[0xe0, 2, 0x8e, 0],
        &[0x20, 2, 0, 4],
        &[0x20, 3, 0, 0x86, 0],
    ];
    assert_eq!(out[..], expected.concat()[..]);
}

/// A million mutations of valid packets and of noise. Nothing is asserted but that it returns, and that what it says it
/// took is there.
#[test]
fn any_bytes_give_a_packet_or_an_error() {
    let mut random = 0x0123_4567_89ab_cdef_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % below
    };
    let seeds = [
        connect(4, "client", true),
        connect_with(5, 0xee, &[8, 33, 0, 1, 39, 0, 0, 0, 30], &[b"\0\0c", b"\0w", b"x", b"u", b"p"]),
        publish(0x0d, "a/b", 7, &[14, 1, 1, 2, 0, 0, 0, 9, 35, 0, 1, 8, 0, 1, b'r', 3], b"\0\0payload"),
        publish(0x02, "a", 1, &[19, 38, 0, 1, b'k', 0, 1, b'v', 9, 0, 2, 1, 2, 38, 0, 1, b'k', 0, 1, b'w'], b"x"),
        subscribe(&[3, 11, 0xac, 2], &[("a/+/#", 0x2e), ("$share/g/x", 1)]),
        unsubscribe(&[7, 38, 0, 1, b'k', 0, 1, b'v'], &["a", "b"]),
        vec![0x62, 11, 0, 9, 0, 7, 31, 0, 4, b't', b'e', b'x', b't'],
        vec![0xe0, 7, 0, 5, 17, 0, 0, 0, 9],
    ];
    for round in 0..1_000_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(5) {
                0 => bytes[at] = next(256) as u8,
                1 => bytes[at] ^= 1 << next(8),
                2 => bytes.truncate(at.max(1)),
                3 => bytes.insert(at, next(256) as u8),
                _ => bytes[1] = bytes[1].wrapping_add(next(3) as u8).wrapping_sub(1),
            }
            if bytes.len() < 2 {
                break;
            }
        }
        for decoder in [V4, V5] {
            if let Ok(Some((_, len))) = decoder.decode(&bytes) {
                assert!(len <= bytes.len() && len >= 2);
            }
        }
        if let Ok(Some(frame)) = cut(&bytes, 1000) {
            let _ = decode_connect(&frame);
        }
    }
}
