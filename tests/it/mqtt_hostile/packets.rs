//! Packets that are strange, wrong, large, damaged or random.

use std::net::Shutdown;

use support::mqtt::{Client, Received, anybody};
use support::wire::{self, Connect, Packet, Publish, Version};

use super::{BOTH, assert_alive, assert_closed, assert_serves, host, lasting, resident_kib, take};

#[test]
fn a_topic_may_begin_with_any_character() {
    let host = host("");
    for version in BOTH {
        for first in ["ü", "日本", "😀", "\u{feff}", "\u{ffff}", " ", "é", ""] {
            let (topic, filter) = (format!("{first}/x"), format!("{first}/+"));
            let mut subscriber = Client::connect(host.tcp(), version, "subscriber");
            for filter in [topic.as_str(), &filter, "+/x", "#"] {
                assert_eq!(subscriber.subscribe(filter, 1), 1, "{filter:?}");
            }
            let mut publisher = Client::connect(host.tcp(), version, "publisher");
            // The last one clears what was retained.
            for (retain, payload) in [(false, &b"x"[..]), (true, b"x"), (true, b"")] {
                let publish = Publish { topic: &topic, payload, qos: 1, id: 1, retain, ..Publish::default() };
                assert_eq!(publisher.at_least_once(&publish), 0, "{topic:?}");
                let Packet::Publish { topic: got, payload: came, .. } = subscriber.expect() else {
                    panic!("{topic:?}")
                };
                assert_eq!((got.as_str(), &came[..]), (topic.as_str(), payload));
                if retain && !payload.is_empty() {
                    let mut late = Client::connect(host.tcp(), version, "late");
                    assert_eq!(late.subscribe(&filter, 0), 0);
                    assert_eq!(take(&mut late), payload, "{filter:?}");
                }
            }
        }
    }
    assert_serves(&host);
}

#[test]
fn packets_that_only_a_server_sends_end_the_connection_and_not_the_session() {
    let host = host("");
    let packets: [(&str, &[u8]); 6] = [
        ("CONNACK", &[0x20, 2, 0, 0]),
        ("CONNACK of 5.0", &[0x20, 3, 0, 0, 0]),
        ("SUBACK", &[0x90, 3, 0, 1, 0]),
        ("UNSUBACK", &[0xb0, 2, 0, 1]),
        ("UNSUBACK of 5.0", &[0xb0, 4, 0, 1, 0, 0]),
        ("PINGRESP", &[0xd0, 0]),
    ];
    for version in BOTH {
        let mut present = false;
        for (what, packet) in packets {
            for _ in 0..2 {
                let (mut client, had) = Client::connect_with(host.tcp(), &lasting(version, "confused"));
                assert_eq!(had, present, "{what}");
                assert_eq!(client.subscribe("t", 1), 1);
                client.send(packet).expect("the connection is open");
                assert_closed(&mut client, version, 0x82, what);
                present = true;
            }
        }
        assert_serves(&host);
        Client::connect(host.tcp(), version, "confused").disconnect();
    }
}

#[test]
fn properties_of_every_kind_do_not_reach_a_3_1_1_subscriber() {
    let host = host("");
    let mut old = Client::connect(host.tcp(), Version::V4, "old");
    assert_eq!(old.subscribe("prop/#", 2), 2);
    let mut properties = vec![0x01, 1, 0x02, 0, 0, 0, 99, 0x23, 0, 1];
    for (id, text) in [(0x03, "text/plain"), (0x08, "re/ply"), (0x09, "\u{1}")] {
        properties.push(id);
        wire::field(&mut properties, text.as_bytes());
    }
    for value in ["plant-7", "", "plant-7"] {
        wire::user_property(&mut properties, "site", value);
    }
    let mut publisher = Client::connect(host.tcp(), Version::V5, "new");
    for (qos, retain) in [(0, false), (1, true), (2, false), (2, true)] {
        let publish = Publish {
            topic: "prop/x",
            payload: b"payload",
            qos,
            id: 1,
            retain,
            properties: &properties,
            ..Publish::default()
        };
        match qos {
            0 => publisher.publish(&publish),
            1 => assert_eq!(publisher.at_least_once(&publish), 0),
            _ => assert_eq!(publisher.exactly_once(&publish), 0),
        }
        // With properties in between the payload would be another.
        assert_eq!(take(&mut old), b"payload");
        if qos == 2 {
            assert!(matches!(old.expect(), Packet::PubRel { .. }));
        }
    }
    let mut late = Client::connect(host.tcp(), Version::V4, "late");
    assert_eq!(late.subscribe("prop/x", 2), 2);
    assert_eq!(take(&mut late), b"payload");
    assert_serves(&host);
}

#[test]
fn what_is_announced_and_not_sent_costs_nothing() {
    let host = host("");
    assert_serves(&host);
    let before = resident_kib(&host);
    let mut peers = Vec::new();
    for number in 0..500 {
        // One MiB, which is allowed, of which a few bytes come.
        let mut out = Vec::new();
        let mut peer = if number % 2 == 0 {
            out.extend([0x10, 0xf8, 0xff, 0x3f, 0, 4, b'M']);
            Client::open(host.tcp(), Version::V4).expect("a connection")
        } else {
            out.extend([0x30, 0xf8, 0xff, 0x3f, 0, 1, b't']);
            Client::connect(host.tcp(), Version::V4, &format!("announcer-{number}"))
        };
        peer.send(&out).expect("the connection is open");
        peers.push(peer);
    }
    assert_serves(&host);
    let grown = resident_kib(&host).saturating_sub(before);
    assert!(grown < 50 << 10, "500 MiB were announced, {grown} KiB were taken");
}

#[test]
fn topics_of_many_levels_and_many_filters_are_answered() {
    let host = host("");
    let deep = "a/".repeat(32_767);
    let wild = "+/".repeat(32_767);
    for version in BOTH {
        let mut client = Client::connect(host.tcp(), version, "deep");
        let refused = if version == Version::V5 { 0x8f } else { 0x80 };
        for filter in [deep.as_str(), &wild, &format!("{}#", &deep[..60_000])] {
            assert_eq!(client.subscribe(filter, 0), refused);
        }
        client.publish(&Publish { topic: &deep, payload: b"x", ..Publish::default() });
        assert_closed(&mut client, version, 0x90, "a topic of 32,768 levels");

        // `max_subscriptions` is 10,000.
        let mut client = Client::connect(host.tcp(), version, "many");
        let mut body = vec![0, 7];
        body.extend_from_slice(if version == Version::V5 { &[0] } else { &[] });
        for number in 0..12_000 {
            wire::field(&mut body, format!("many/{number}").as_bytes());
            body.push(0);
        }
        let mut out = Vec::new();
        wire::frame(&mut out, 0x82, &body);
        client.send(&out).expect("the connection is open");
        let Packet::SubAck { id: 7, codes } = client.expect() else { panic!("not the SUBACK") };
        assert_eq!(codes.len(), 12_000);
        assert!(codes[..10_000].iter().all(|code| *code == 0) && codes[10_000..].iter().all(|code| *code >= 0x80));
        assert_alive(&mut client);
    }
    assert_serves(&host);
}

/// A generator (xorshift) that gives the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n
    }

    /// Damages `bytes` in one to seven places.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(7) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at.max(1)),
                3 => bytes.insert(at, self.below(256) as u8),
                _ => {
                    let copied: Vec<u8> = bytes[at..].iter().take(9).copied().collect();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, copied);
                }
            }
        }
    }
}

/// Packets of every type that a client may send.
fn conversation(version: Version) -> Vec<u8> {
    let v5 = version == Version::V5;
    let mut out = Vec::new();
    let properties: &[u8] = if v5 { &[0x01, 1, 0x02, 0, 0, 0, 9, 0x26, 0, 1, b'k', 0, 1, b'v'] } else { &[] };
    for (qos, topic) in [(0, "ü"), (1, "a/b"), (2, "a/b/c")] {
        let publish = Publish { topic, payload: b"payload", qos, id: 7, properties, ..Publish::default() };
        wire::publish(&mut out, version, &publish);
    }
    for (id, filter) in [(1, "a/#"), (2, "+/b"), (3, "$share/g/a/#")] {
        wire::subscribe(&mut out, version, id, filter, 2);
    }
    for first in [0x40, 0x50, 0x62, 0x70] {
        wire::answer(&mut out, first, 7);
    }
    wire::ping(&mut out);
    let mut body = vec![0, 4];
    body.extend_from_slice(if v5 { &[0] } else { &[] });
    wire::field(&mut body, b"a/#");
    wire::frame(&mut out, 0xa2, &body);
    wire::disconnect(&mut out);
    out
}

#[test]
fn five_thousand_random_or_damaged_conversations_end_and_nobody_else_notices() {
    let host = host("");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..5_000 {
        let version = BOTH[random.below(2)];
        let mut wire = Vec::new();
        let ids = ["random", "", "a+b", "$x"];
        wire::connect(&mut wire, &Connect { client: ids[random.below(4)], ..anybody(version) });
        let mut rest = conversation(version);
        match random.below(10) {
            // Noise instead of a conversation, or instead of everything.
            0 => rest = (0..random.below(300)).map(|_| random.below(256) as u8).collect(),
            1 => {
                wire = (0..=random.below(300)).map(|_| random.below(256) as u8).collect();
                rest.clear();
            }
            2 => random.mutate(&mut wire),
            _ => random.mutate(&mut rest),
        }
        wire.extend(rest);
        let mut client = Client::open(host.tcp(), version).expect("a connection");
        // It may be closed on us at any byte.
        let _ = client.send(&wire);
        let mut stream = client.into_stream();
        let _ = stream.shutdown(Shutdown::Write);
        let ended = std::io::copy(&mut stream, &mut std::io::sink());
        assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
        if round % 500 == 0 {
            assert_serves(&host);
        }
    }
    assert_serves(&host);
    assert_eq!(host.probe("/health/live"), 200);
}

#[test]
fn a_client_that_is_still_sending_learns_why_it_is_closed() {
    let host = host("");
    // Three times the largest packet, all of it sent before anything is read.
    let payload = vec![b'x'; 3 << 20];
    let mut large = Vec::new();
    wire::publish(&mut large, Version::V5, &Publish { topic: "t", payload: &payload, ..Publish::default() });
    let mut client = Client::connect(host.tcp(), Version::V5, "large");
    client.send(&large).expect("the connection is open until it is read");
    assert_closed(&mut client, Version::V5, 0x95, "a packet that is too large");

    let mut refused = Vec::new();
    wire::connect(&mut refused, &Connect { properties: &[0x21, 0, 0], ..anybody(Version::V5) });
    refused.extend(&large);
    let mut client = Client::open(host.tcp(), Version::V5).expect("a connection");
    client.send(&refused).expect("the connection is open until it is read");
    assert!(matches!(client.expect(), Packet::ConnAck { code: 0x82, .. }), "a Receive Maximum of 0");
    assert_serves(&host);
}

#[test]
fn a_second_connect_and_an_unknown_protocol_are_refused() {
    let host = host("");
    for version in BOTH {
        let mut client = Client::connect(host.tcp(), version, "twice");
        let mut again = Vec::new();
        wire::connect(&mut again, &Connect { client: "twice", ..anybody(version) });
        client.send(&again).expect("the connection is open");
        assert_closed(&mut client, version, 0x82, "a second CONNECT");
    }
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x00\xa5\x01\x00\x00", b"\x00", b"\xff\xff\xff\xff\xff"]
    {
        let mut client = Client::open(host.tcp(), Version::V4).expect("a connection");
        client.send(noise).expect("the connection is open");
        assert_eq!(client.receive(support::mqtt::ANSWER_LIMIT), Received::Closed, "{noise:x?}");
    }
    assert_serves(&host);
}
