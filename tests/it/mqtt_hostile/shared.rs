//! Shared subscriptions whose members stall or leave at the wrong moment.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use support::millstream::Millstream;
use support::mqtt::Client;
use support::wait::throughout;
use support::wire::{self, Packet, Publish, Version};

use super::{BOTH, assert_alive, assert_serves, await_connections, host, lasting, take};

const GROUP: &str = "$share/g/job/#";

fn publish(publisher: &mut Client, payload: &[u8]) {
    let publish = Publish { topic: "job/1", payload, qos: 1, id: 1, ..Publish::default() };
    assert!(publisher.at_least_once(&publish) < 0x80);
}

/// How a member leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leave {
    Unsubscribe,
    Disconnect,
    Vanish,
}

#[test]
fn the_only_member_leaves_with_a_message_in_flight() {
    let host = host("");
    for version in BOTH {
        for leave in [Leave::Unsubscribe, Leave::Disconnect, Leave::Vanish] {
            let mut publisher = Client::connect(host.tcp(), version, "publisher");
            let mut member = Client::connect(host.tcp(), version, "member");
            assert_eq!(member.subscribe(GROUP, 1), 1);
            publish(&mut publisher, b"unacknowledged");
            assert!(matches!(member.expect(), Packet::Publish { .. }));
            let mut staying = None;
            match leave {
                Leave::Unsubscribe => {
                    let mut body = vec![0, 2];
                    body.extend_from_slice(if version == Version::V5 { &[0] } else { &[] });
                    wire::field(&mut body, GROUP.as_bytes());
                    let mut out = Vec::new();
                    wire::frame(&mut out, 0xa2, &body);
                    member.send(&out).expect("the connection is open");
                    assert!(matches!(member.expect(), Packet::UnsubAck { id: 2, .. }));
                    staying = Some(member);
                }
                Leave::Disconnect => member.disconnect(),
                Leave::Vanish => drop(member),
            }
            await_connections(&host, 1 + u64::from(staying.is_some()));
            // For nobody.
            publish(&mut publisher, b"lost");
            assert_serves(&host);
            let mut next = Client::connect(host.tcp(), version, "next");
            assert_eq!(next.subscribe(GROUP, 1), 1);
            publish(&mut publisher, b"for the next");
            assert_eq!(take(&mut next), b"for the next", "{leave:?}");
            assert_alive(&mut next);
            if let Some(mut staying) = staying {
                assert_alive(&mut staying);
            }
            next.disconnect();
            publisher.disconnect();
            await_connections(&host, 0);
        }
    }
    assert_serves(&host);
}

#[test]
fn the_only_member_comes_back_and_gets_what_was_in_flight() {
    let host = host("");
    for version in BOTH {
        let mut publisher = Client::connect(host.tcp(), version, "publisher");
        let (mut member, _) = Client::connect_with(host.tcp(), &lasting(version, "member"));
        assert_eq!(member.subscribe(GROUP, 1), 1);
        publish(&mut publisher, b"first");
        assert!(matches!(member.expect(), Packet::Publish { dup: false, .. }));
        drop(member);
        await_connections(&host, 1);
        publish(&mut publisher, b"second");
        assert_serves(&host);
        let (mut member, present) = Client::connect_with(host.tcp(), &lasting(version, "member"));
        assert!(present);
        assert_eq!((take(&mut member), take(&mut member)), (b"first".to_vec(), b"second".to_vec()));
        assert_alive(&mut member);
        Client::connect(host.tcp(), version, "member").disconnect();
        publisher.disconnect();
        await_connections(&host, 0);
    }
}

/// Ticks (of 10 ms) of processor time that the host has used.
fn ticks(host: &Millstream) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", host.id())).expect("the host runs");
    let fields: Vec<_> = stat.rsplit(')').next().expect("a line").split_whitespace().collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum()
}

/// What has come for `client` by now. The second PINGRESP is behind everything that was queued before the first PINGREQ.
fn come_by_now(client: &mut Client) -> Vec<Packet> {
    let mut come = Vec::new();
    for _ in 0..2 {
        let mut out = Vec::new();
        wire::ping(&mut out);
        client.send(&out).expect("the connection is open");
        loop {
            match client.expect() {
                Packet::PingResp => break,
                packet => come.push(packet),
            }
        }
    }
    come
}

#[test]
fn a_member_that_never_acknowledges_starves_nobody_and_spins_no_core() {
    const SENT: usize = 200;
    let host = host("");
    let mut silent = Client::connect(host.tcp(), Version::V5, "silent");
    let mut busy = Client::connect(host.tcp(), Version::V4, "busy");
    for member in [&mut silent, &mut busy] {
        assert_eq!(member.subscribe(GROUP, 1), 1);
    }
    let mut publisher = Client::connect(host.tcp(), Version::V4, "publisher");
    let mut seen = BTreeSet::new();
    for number in 0..SENT {
        publish(&mut publisher, format!("{number}").as_bytes());
        for packet in come_by_now(&mut busy) {
            let Packet::Publish { id, payload, .. } = packet else { panic!("{packet:?}") };
            assert!(seen.insert(payload));
            let mut out = Vec::new();
            wire::answer(&mut out, 0x40, id);
            busy.send(&out).expect("the connection is open");
        }
        assert_alive(&mut busy);
    }
    let held = SENT - seen.len();
    assert!((1..10).contains(&held), "{held} of {SENT} went to a member that acknowledges nothing");
    assert_serves(&host);
    let before = ticks(&host);
    throughout("an idle host uses no half core", Duration::from_secs(1), || ticks(&host) - before < 50);
    // What the silent one held goes to the other when it is gone.
    drop(silent);
    while seen.len() < SENT {
        assert!(seen.insert(take(&mut busy)));
    }
    assert_alive(&mut busy);
    assert_serves(&host);
}
