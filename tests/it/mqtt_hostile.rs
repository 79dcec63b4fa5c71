//! Ordinary input that has taken brokers down, against the running program: after each, everybody else is served as if
//! nothing had been. What the offender is told is tested too, but what counts is the round trip afterwards.

mod packets;
mod peers;
mod sessions;
mod shared;

use std::fs;

use support::millstream::{Millstream, NODE};
use support::mqtt::{Client, Received, anybody};
use support::wait::until;
use support::wire::{self, Connect, Packet, Publish, Version};

const BOTH: [Version; 2] = [Version::V4, Version::V5];

/// An MQTT broker and nothing else; `more` follows on `[api]`.
fn host(more: &str) -> Millstream {
    Millstream::start(&format!("{NODE}{more}"))
}

/// A session that outlives its connection by at least 100 seconds.
fn lasting(version: Version, client: &str) -> Connect<'_> {
    let properties: &[u8] = match version {
        Version::V4 => &[],
        Version::V5 => &[0x11, 0, 0, 0, 100],
    };
    Connect { client, clean: false, properties, ..anybody(version) }
}

/// A plain subscriber gets what a plain publisher sends, in both versions, and nothing has panicked.
fn assert_serves(host: &Millstream) {
    for version in BOTH {
        let mut subscriber = Client::connect(host.tcp(), version, "witness");
        assert_eq!(subscriber.subscribe("round/trip", 0), 0);
        let mut publisher = Client::connect(host.tcp(), version, "publishing-witness");
        let publish = Publish { topic: "round/trip", payload: b"here", qos: 1, id: 1, ..Publish::default() };
        assert_eq!(publisher.at_least_once(&publish), 0);
        let Packet::Publish { topic, payload, .. } = subscriber.expect() else { panic!("not a PUBLISH") };
        assert_eq!((topic.as_str(), &payload[..]), ("round/trip", &b"here"[..]));
        publisher.disconnect();
        subscriber.disconnect();
    }
    assert!(!host.log().contains("panicked"), "{}", host.log());
}

/// A PINGRESP comes back, and nothing before it.
fn assert_alive(client: &mut Client) {
    let mut out = Vec::new();
    wire::ping(&mut out);
    client.send(&out).expect("the connection is open");
    assert_eq!(client.expect(), Packet::PingResp);
}

/// The server ends the connection; in 5.0 it says `code` first.
fn assert_closed(client: &mut Client, version: Version, code: u8, what: &str) {
    if version == Version::V5 {
        assert_eq!(client.expect(), Packet::Disconnect { code }, "{what}");
    }
    assert_eq!(client.receive(support::mqtt::ANSWER_LIMIT), Received::Closed, "{what}");
}

/// Waits until the metric `millstream_mqtt_NAME` is `value`: what a goodbye sets off happens behind the client's back.
fn await_metric(host: &Millstream, name: &str, value: u64) {
    let full = format!("millstream_mqtt_{name}");
    until(&format!("{name} to be {value}"), support::mqtt::ANSWER_LIMIT, || host.metrics().sum(&full, &[]) == value);
}

fn await_connections(host: &Millstream, count: u64) {
    await_metric(host, "connections", count);
}

/// What a PUBLISH carries, acknowledged if it asks for that (QoS 2 only up to PUBREC).
fn take(client: &mut Client) -> Vec<u8> {
    let Packet::Publish { qos, id, payload, .. } = client.expect() else { panic!("not a PUBLISH") };
    let mut out = Vec::new();
    match qos {
        0 => return payload,
        1 => wire::answer(&mut out, 0x40, id),
        _ => wire::answer(&mut out, 0x50, id),
    }
    client.send(&out).expect("the connection is open");
    payload
}

/// One number of `/proc/PID/status`, in KiB.
fn resident_kib(host: &Millstream) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.id())).expect("the host runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
