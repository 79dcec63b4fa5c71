//! Sessions: ids of any kind, reconnects and takeovers in any number, backlogs that nobody reads.

use std::thread;

use support::millstream::Millstream;
use support::mqtt::{Client, anybody};
use support::wire::{self, Connect, Publish, Version};

use super::{BOTH, assert_alive, assert_closed, assert_serves, await_connections, await_metric, host, lasting, take};

#[test]
fn a_client_id_with_characters_of_filters_is_an_id_like_any() {
    let host = host("");
    let long = "i".repeat(65_535);
    let ids = ["a+b", "$x", "#", "+", "/", "a/b", "$share/g/t", "$SYS", "${clientid}", "../x", "ü", "😀", " ", &long];
    for version in BOTH {
        for id in ids {
            let connect = Connect { client: id, ..anybody(version) };
            let (mut first, _) = Client::connect_with(host.tcp(), &connect);
            assert_eq!(first.subscribe("t", 1), 1, "{id}");
            let (mut second, present) = Client::connect_with(host.tcp(), &connect);
            assert!(!present, "{id}");
            assert_closed(&mut first, version, 0x8e, id);
            assert_alive(&mut second);
            let mut publisher = Client::connect(host.tcp(), version, "publisher");
            assert_eq!(second.subscribe("t", 0), 0);
            assert!(publisher.at_least_once(&Publish { topic: "t", qos: 1, id: 1, ..Publish::default() }) < 0x80);
            assert!(take(&mut second).is_empty());
        }
    }
    assert_serves(&host);
}

#[test]
fn sixty_quick_reconnects_of_one_id_leave_one_connection() {
    let host = host("");
    for version in BOTH {
        for connect in [lasting(version, "eager"), Connect { client: "eager", ..anybody(version) }] {
            // All at once: nobody waits for the CONNACK before the next one comes.
            let accepted = host.metrics().sum("millstream_mqtt_connections_accepted_total", &[]);
            let mut out = Vec::new();
            wire::connect(&mut out, &connect);
            let mut clients: Vec<_> = (0..60)
                .map(|_| {
                    let mut client = Client::open(host.tcp(), version).expect("a connection");
                    client.send(&out).expect("the connection is open");
                    client
                })
                .collect();
            // Not one of them may come late and take over from those that follow.
            await_metric(&host, "connections_accepted_total", accepted + 60);
            await_connections(&host, 1);
            assert_serves(&host);
            clients.clear();
            // One after the other, each of them served.
            for _ in 0..60 {
                let (mut client, _) = Client::connect_with(host.tcp(), &connect);
                assert_eq!(client.subscribe("t", 1), 1);
                clients.push(client);
            }
            let mut last = clients.pop().expect("sixty");
            assert_alive(&mut last);
            await_connections(&host, 1);
            await_metric(&host, "sessions", 1);
            await_metric(&host, "subscriptions", 1);
            Client::connect(host.tcp(), version, "eager").disconnect();
            await_connections(&host, 0);
        }
    }
    assert_serves(&host);
}

#[test]
fn a_storm_of_takeovers_ends_with_one_connection_and_its_session() {
    let host = host("");
    let (mut first, _) = Client::connect_with(host.tcp(), &lasting(Version::V5, "wanted"));
    assert_eq!(first.subscribe("wanted/t", 1), 1);
    thread::scope(|scope| {
        for number in 0..8 {
            let host = &host;
            scope.spawn(move || {
                for round in 0..50 {
                    let version = BOTH[(number + round) % 2];
                    let mut client = Client::open(host.tcp(), version).expect("a connection");
                    let mut out = Vec::new();
                    wire::connect(&mut out, &lasting(version, "wanted"));
                    let publish = Publish { topic: "wanted/t", payload: b"storm", ..Publish::default() };
                    wire::publish(&mut out, version, &publish);
                    // Another may have taken over before this is sent, or read.
                    let _ = client.send(&out);
                    let _ = client.receive(support::mqtt::ANSWER_LIMIT);
                }
            });
        }
    });
    assert_serves(&host);
    let (mut last, present) = Client::connect_with(host.tcp(), &lasting(Version::V5, "wanted"));
    assert!(present, "the session outlives any number of takeovers");
    await_connections(&host, 1);
    assert_serves(&host);
    // The subscription is still there: behind what the storm left, the last message comes.
    let mut publisher = Client::connect(host.tcp(), Version::V4, "publisher");
    let publish = Publish { topic: "wanted/t", payload: b"last", qos: 1, id: 1, ..Publish::default() };
    assert_eq!(publisher.at_least_once(&publish), 0);
    while take(&mut last) != b"last" {}
    assert_alive(&mut last);
}

/// Messages of a backlog, and how large each is: more than sockets hold, less than a queue may.
const BACKLOG: usize = 500;
const LARGE: usize = 24 << 10;

fn fill(host: &Millstream) {
    let mut publisher = Client::connect(host.tcp(), Version::V4, "publisher");
    for number in 0..BACKLOG {
        let mut payload = vec![b'x'; LARGE];
        payload[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let publish = Publish { topic: "backlog", payload: &payload, qos: 1, id: 1, ..Publish::default() };
        assert_eq!(publisher.at_least_once(&publish), 0);
    }
}

fn number_of(payload: &[u8]) -> usize {
    u64::from_be_bytes(payload[..8].try_into().expect("eight bytes")) as usize
}

#[test]
fn a_disconnect_or_a_takeover_in_the_middle_of_a_backlog_loses_nothing_of_it() {
    let host = host("");
    for version in BOTH {
        let connect = lasting(version, "behind");
        let (mut behind, _) = Client::connect_with(host.tcp(), &connect);
        assert_eq!(behind.subscribe("backlog", 1), 1);
        // It does not read while all this comes, and loses its session to another that does not read either.
        fill(&host);
        let (mut second, present) = Client::connect_with(host.tcp(), &connect);
        assert!(present);
        assert_serves(&host);
        assert_eq!(number_of(&take(&mut second)), 0);
        // Its goodbye is heard, though what is on the way to it fills every buffer.
        let mut out = Vec::new();
        wire::disconnect(&mut out);
        second.send(&out).expect("the connection is open");
        await_connections(&host, 0);
        drop(second);
        let (third, present) = Client::connect_with(host.tcp(), &connect);
        assert!(present);
        // Gone without a word.
        drop(third);
        assert_serves(&host);
        let (mut last, present) = Client::connect_with(host.tcp(), &connect);
        assert!(present);
        // What was acknowledged is gone, all else comes, in order.
        let got: Vec<_> = (1..BACKLOG).map(|_| number_of(&take(&mut last))).collect();
        assert_eq!(got, (1..BACKLOG).collect::<Vec<_>>());
        assert_alive(&mut last);
        assert_serves(&host);
        drop(behind);
        Client::connect(host.tcp(), version, "behind").disconnect();
    }
}

#[test]
fn what_a_slow_reader_does_not_get_is_counted_and_others_get_everything() {
    const SENT: u64 = 3_000;
    let host = host("[mqtt]\nmax_mqueue_len = 100\nsend_timeout = \"100s\"\n");
    let mut slow = Client::connect(host.tcp(), Version::V4, "slow");
    assert_eq!(slow.subscribe("flood", 1), 1);
    let mut prompt = Client::connect(host.tcp(), Version::V5, "prompt");
    assert_eq!(prompt.subscribe("flood", 1), 1);
    let mut publisher = Client::connect(host.tcp(), Version::V4, "publisher");
    let mut payload = vec![b'x'; 10_000];
    for number in 0..SENT {
        payload[..8].copy_from_slice(&number.to_be_bytes());
        let publish = Publish { topic: "flood", payload: &payload, qos: 1, id: 1, ..Publish::default() };
        assert_eq!(publisher.at_least_once(&publish), 0);
        assert_eq!(number_of(&take(&mut prompt)) as u64, number);
    }
    let dropped = host.metrics().sum("millstream_mqtt_delivery_dropped_queue_full_total", &[]);
    assert!(dropped > 0, "sockets hold more than was thought");
    assert_serves(&host);
    // Now it reads: each message that no counter explains, once and in order.
    let got: Vec<_> = (0..SENT - dropped).map(|_| number_of(&take(&mut slow))).collect();
    assert!(got.is_sorted_by(|one, next| one < next));
    assert_alive(&mut slow);
    assert_eq!(host.metrics().sum("millstream_mqtt_delivery_dropped_queue_full_total", &[]), dropped);
}

#[test]
fn a_session_that_ends_takes_its_backlog_with_it() {
    let host = host("");
    let (mut behind, _) = Client::connect_with(host.tcp(), &lasting(Version::V5, "behind"));
    assert_eq!(behind.subscribe("backlog", 2), 2);
    fill(&host);
    // Session Expiry Interval 0 in DISCONNECT.
    behind.send(&[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]).expect("the connection is open");
    await_connections(&host, 0);
    drop(behind);
    // Each message that was not acknowledged is counted.
    await_metric(&host, "delivery_dropped_session_ended_total", BACKLOG as u64);
    let (mut again, present) = Client::connect_with(host.tcp(), &lasting(Version::V5, "behind"));
    assert!(!present);
    assert_alive(&mut again);
    await_metric(&host, "subscriptions", 0);
    assert_serves(&host);
    let nobody = Publish { topic: "backlog", payload: b"x", qos: 1, id: 1, ..Publish::default() };
    let mut publisher = Client::connect(host.tcp(), Version::V5, "publisher");
    assert_eq!(publisher.at_least_once(&nobody), 0x10);
    assert_alive(&mut publisher);
}
