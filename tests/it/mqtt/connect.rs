//! CONNECT and CONNACK in both versions.

use support::mqtt::{ANSWER_LIMIT, anybody};
use support::peer::{PUBREL, Peer, QOS_1, ack, frame, packet, publish};
use support::wait::until;
use support::wire::{self, Connect, Version, Will};

use super::{fields, hello, join, name, plain, refusal, refused, stay, strict};

/// Anything but CONNECT gets no answer at all: no CONNACK, no DISCONNECT.
pub fn only_connect_comes_first(version: Version) {
    let topic = name(version, "before-connect");
    let mut witness = join(version, &name(version, "before-connect-witness"));
    witness.subscribe(&topic, 1);
    for first in [
        vec![0xc0, 0],
        publish(version, QOS_1, &topic, 1, &[], b"x"),
        packet(|out| wire::subscribe(out, version, 1, &topic, 0)),
        ack(PUBREL, 1),
        vec![0xe0, 0],
        vec![0xf0, 0],
        vec![0x20, 2, 0, 0],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        refused(plain(), version, &first, &[]);
    }
    witness.expect_silence();
}

pub fn a_second_connect_closes(version: Version) {
    let client = name(version, "second-connect");
    let mut peer = join(version, &client);
    peer.send_anyway(&packet(|out| wire::connect(out, &Connect { client: &client, ..anybody(version) })));
    peer.expect_close(0x82);
}

/// CONNECTs that break a rule of their format: 0x81 in 5.0 (0x82 where it is named), and never a CONNACK in 3.1.1.
pub fn broken_connects(version: Version) {
    let hello = |flags, parts: &[&[u8]]| hello(b"MQTT", version as u8, flags, &fields(version, parts));
    // In 5.0 the block of the will's properties stands before its topic, here as the first byte of its length.
    let will = |topic: &[u8], payload: &[u8]| {
        packet(|out| {
            if version == Version::V5 {
                out.push(0);
            }
            wire::field(out, topic);
            wire::field(out, payload);
        })
    };
    let with_will = |flags, tail: &[u8]| {
        let head = fields(version, &[b"broken"]);
        super::hello(b"MQTT", version as u8, flags, &[&head, tail].concat())
    };
    let table = [
        ("reserved flag", hello(0x03, &[b"broken"])),
        ("will QoS 3", with_will(0x1e, &will(b"t", b"x"))),
        ("will QoS 1 without a will", hello(0x0a, &[b"broken"])),
        ("will QoS 2 without a will", hello(0x12, &[b"broken"])),
        ("will retain without a will", hello(0x22, &[b"broken"])),
        ("a will that is not there", hello(0x06, &[b"broken"])),
        ("a will without a payload", with_will(0x06, &will(b"t", b"")[..fields(version, &[b"t"]).len()])),
        ("a will topic that is not UTF-8", with_will(0x06, &will(&[0xff, b't'], b"x"))),
        ("a will topic with U+0000", with_will(0x06, &will(b"a\0", b"x"))),
        ("a will that no flag announces", with_will(0x02, &will(b"t", b"x"))),
        ("a user name that no flag announces", hello(0x02, &[b"broken", b"user"])),
        ("a user name that is not there", hello(0x82, &[b"broken"])),
        ("a user name that is not UTF-8", hello(0x82, &[b"broken", &[0xc3, 0x28]])),
        ("a password that no flag announces", hello(0x82, &[b"broken", b"user", b"secret"])),
        ("a password that is not there", hello(0xc2, &[b"broken", b"user"])),
        ("no client id", super::hello(b"MQTT", version as u8, 2, &fields(version, &[]))),
        ("a client id that is not UTF-8", hello(0x02, &[&[b'c', 0x80]])),
        ("a client id with a surrogate", hello(0x02, &[&[b'c', 0xed, 0xa0, 0x80]])),
        ("a client id with U+0000", hello(0x02, &[b"c\0"])),
        ("a client id cut off", hello(0x02, &[b"broken"]).split_at(15).0.to_vec()),
    ];
    for (what, mut packet) in table {
        // The one that was cut says so in its length.
        packet[1] = (packet.len() - 2) as u8;
        let answer = if version == Version::V5 { refusal(version, 0x81) } else { Vec::new() };
        eprintln!("{what}: {packet:02x?}");
        refused(plain(), version, &packet, &answer);
    }
    // Flags in the first byte: not CONNECT as either standard writes it.
    let mut flagged = hello(0x02, &[b"broken"]);
    flagged[0] = 0x11;
    refused(plain(), version, &flagged, &[]);
}

/// Every field at once, in the order of the standard: each arrives where it belongs.
pub fn all_fields_in_their_order(version: Version) {
    let (client, topic) = (name(version, "all-fields"), name(version, "all-fields-will"));
    let mut witness = Peer::connect(strict(), version, &name(version, "fields-witness"));
    witness.subscribe(&topic, 1);
    let will = Will { topic: &topic, payload: b"gone", qos: 1, ..Will::default() };
    let connect = Connect {
        client: &client,
        user: Some("user"),
        password: Some(b"secret"),
        will: Some(will),
        ..anybody(version)
    };
    drop(Peer::connect_with(strict(), &connect));
    witness.expect_publish(QOS_1, &topic, 1, &[], b"gone");
}

/// What a client may not do is refused with the code that the version knows for it, and closed.
pub fn refusals_are_told_and_close(version: Version) {
    let send = |connect: Connect<'_>, code: u8| {
        let packet = packet(|out| wire::connect(out, &connect));
        let answer = if code == 0 { Vec::new() } else { refusal(version, code) };
        refused(strict(), version, &packet, &answer);
    };
    let client = name(version, "refused");
    let connect = Connect { client: &client, ..anybody(version) };
    let (bad_password, bad_id) = if version == Version::V5 { (0x86, 0x85) } else { (4, 2) };
    send(Connect { user: Some("user"), password: Some(b"guess"), ..connect }, bad_password);
    send(Connect { user: Some("nobody"), password: Some(b"secret"), ..connect }, bad_password);
    send(Connect { client: "a-client-id-of-24-bytes-", ..connect }, bad_id);
    let will = Will { topic: "denied/will", ..Will::default() };
    send(Connect { will: Some(will), ..connect }, if version == Version::V5 { 0x87 } else { 5 });
    // What 3.1.1 has no code for is closed without a word.
    let unknown = |code| if version == Version::V5 { code } else { 0 };
    let will = Will { topic: "t", qos: 2, ..Will::default() };
    send(Connect { will: Some(will), ..connect }, unknown(0x9b));
    let will = Will { topic: "t", retain: true, ..Will::default() };
    send(Connect { will: Some(will), ..connect }, unknown(0x9a));
    let will = Will { topic: "a/#", ..Will::default() };
    send(Connect { will: Some(will), ..connect }, unknown(0x90));
    // And the same client is welcome when it behaves.
    let connect = Connect { user: Some("user"), password: Some(b"secret"), ..connect };
    Peer::connect_with(strict(), &connect).0.expect_silence();
}

/// A refused client's next packets are on the wire already; nobody acts on them.
pub fn nothing_after_a_refused_connect_counts(version: Version) {
    let topic = name(version, "after-refusal");
    let mut witness = Peer::connect(strict(), version, &name(version, "after-witness"));
    witness.subscribe(&topic, 1);
    let connect = Connect { client: "x", user: Some("user"), password: Some(b"guess"), ..anybody(version) };
    let mut bytes = packet(|out| wire::connect(out, &connect));
    bytes.extend(publish(version, QOS_1, &topic, 1, &[], b"x"));
    let code = if version == Version::V5 { 0x86 } else { 4 };
    refused(strict(), version, &bytes, &refusal(version, code));
    witness.expect_silence();
    // While behind a CONNECT that is accepted the same bytes do count.
    let mut bytes = packet(|out| wire::connect(out, &Connect { client: "x", ..anybody(version) }));
    bytes.extend(publish(version, QOS_1, &topic, 1, &[], b"y"));
    let mut peer = Peer::open(strict(), version);
    peer.send(&bytes);
    assert_eq!(peer.packet()[0], 0x20, "CONNACK comes first");
    peer.expect(&ack(support::peer::PUBACK, 1));
    assert_eq!(witness.take(&topic).1, b"y");
}

/// Every letter and digit, and every length from 1 to 23.
pub fn ordinary_client_ids_are_accepted(version: Version) {
    let alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let lengths = (1..=23).map(|length| &alphabet[10..10 + length]);
    let rest = ["0123456789", "ABCDEFGHIJKLMNOPQRSTUVW", "XYZxyz"];
    for client in lengths.chain(rest) {
        Peer::connect(strict(), version, client).goodbye();
    }
}

/// A second connection with the same client id ends the first, which is told in 5.0.
pub fn a_client_id_is_connected_once(version: Version) {
    let client = name(version, "once");
    let mut first = join(version, &client);
    let mut second = join(version, &client);
    first.expect_close(0x8e);
    let other = name(version, "Once");
    let mut third = join(version, &other);
    second.expect_silence();
    third.expect_silence();
}

/// A client that says nothing for one and a half keep-alives is cut off as if the network had failed: with its will.
/// One with the same keep-alive that pings stays.
pub fn a_silent_client_is_cut_off(version: Version) {
    let topic = name(version, "keep-alive");
    let mut witness = join(version, &name(version, "keep-alive-witness"));
    witness.subscribe(&topic, 1);
    let will = Will { topic: &topic, payload: b"silent", qos: 1, ..Will::default() };
    let silent = name(version, "keep-alive-silent");
    let connect = Connect { client: &silent, keep_alive: 2, will: Some(will), ..anybody(version) };
    let (mut peer, connack) = Peer::connect_with(plain(), &connect);
    // No keep-alive of the server's own (property 19) takes the place of the client's.
    assert!(version == Version::V4 || !properties(&connack).iter().any(|(kind, _)| *kind == 19));
    let busy = name(version, "keep-alive-busy");
    let (mut busy, _) = Peer::connect_with(plain(), &Connect { client: &busy, keep_alive: 2, ..anybody(version) });
    let closed = std::thread::spawn(move || peer.expect_close(0x8d));
    until("the end of the silent connection", ANSWER_LIMIT, || {
        busy.expect_silence();
        closed.is_finished()
    });
    closed.join().expect("closed as it should be");
    assert_eq!(witness.take(&topic).1, b"silent");
    busy.expect_silence();
}

/// The first packet of the server is CONNACK, it comes once, and its flags are Session Present alone.
pub fn connack_comes_first_and_once(version: Version) {
    let client = name(version, "connack");
    let mut stays = stay(version, &client, false);
    stays.subscribe(&client, 1);
    let mut publisher = join(version, &name(version, "connack-publisher"));
    stays.goodbye();
    publisher.say(QOS_1, &client, b"waits");
    let (mut back, connack) = Peer::connect_with(plain(), &super::staying(version, &client));
    assert_eq!((connack[0], connack[2], connack[3]), (0x20, 1, 0), "{connack:02x?}");
    assert_eq!(back.take(&client).1, b"waits");
    back.expect_silence();
    let (_, connack) = Peer::connect_with(plain(), &Connect { client: &client, ..anybody(version) });
    assert_eq!((connack[0], connack[2], connack[3]), (0x20, 0, 0), "{connack:02x?}");
    assert!(version == Version::V5 || connack.len() == 4);
}

/// The properties of a CONNACK of 5.0: each with its kind and the bytes of its value.
pub fn properties(connack: &[u8]) -> Vec<(u8, Vec<u8>)> {
    // No CONNACK of these tests is longer than one byte can say.
    assert_eq!(usize::from(connack[4]) + 5, connack.len(), "{connack:02x?}");
    let mut rest = &connack[5..];
    let mut found = Vec::new();
    while let Some(kind) = rest.split_off_first() {
        let string = |rest: &[u8]| 2 + usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let length = match kind {
            0x24 | 0x25 | 0x28 | 0x29 | 0x2a => 1,
            0x13 | 0x21 | 0x22 => 2,
            0x11 | 0x27 => 4,
            0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => string(rest),
            0x26 => string(rest) + string(&rest[string(rest)..]),
            other => panic!("not a property of CONNACK: {other:#x}"),
        };
        found.push((*kind, rest.split_off(..length).expect("the whole value").to_vec()));
    }
    found
}

/// Frames that no packet of the standard has.
pub fn frames_without_a_meaning(version: Version) {
    for (what, bytes, code) in [
        ("type 0", frame(0x00, &[]), 0x81),
        ("CONNACK", vec![0x20, 2, 0, 0], 0x82),
        ("SUBACK", frame(0x90, &[0, 1, 0, 0]), 0x82),
        ("UNSUBACK", frame(0xb0, &[0, 1, 0, 0]), 0x82),
        ("PINGRESP", vec![0xd0, 0], 0x82),
        ("AUTH, which nobody asked for", vec![0xf0, 0], 0x82),
        ("a length of five bytes", vec![0x30, 0xff, 0xff, 0xff, 0xff, 1], 0x81),
    ] {
        let mut peer = join(version, &name(version, "no-meaning"));
        peer.send_anyway(&bytes);
        eprintln!("{what}");
        peer.expect_close(code);
    }
}
