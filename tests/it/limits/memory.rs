//! What clients cost while they are idle, and what is left of them when they are gone. The bounds are generous: this is a
//! debug build, and other tests run beside it; `tests/benches/measure-front` measures.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use support::millstream::{Millstream, NODE};
use support::mqtt::{Client, anybody};
use support::resources::{allow_files, resident};
use support::wait::until;
use support::wire::{Connect, Packet, Publish, Version};

/// Nothing but the front.
fn start() -> Millstream {
    allow_files(8192);
    Millstream::start(NODE)
}

#[test]
fn an_idle_connection_costs_kilobytes() {
    const CLIENTS: usize = 3000;
    const BYTES_EACH: u64 = 8 << 10;
    let host = start();
    let connect = |number: usize| {
        let version = if number.is_multiple_of(2) { Version::V4 } else { Version::V5 };
        let client = format!("idle-{number}");
        Client::connect_with(host.tcp(), &Connect { client: &client, keep_alive: 600, ..anybody(version) }).0
    };
    // What is only made once is made.
    let first: Vec<_> = (0..100).map(connect).collect();
    let before = resident(host.id());
    let idle: Vec<_> = (100..100 + CLIENTS).map(connect).collect();
    let after = resident(host.id());
    let each = after.saturating_sub(before) / CLIENTS as u64;
    assert!(each < BYTES_EACH, "{each} bytes for an idle connection");
    assert_eq!(host.metrics().sum("millstream_mqtt_connections", &[]), (first.len() + idle.len()) as u64);
}

#[test]
fn clients_filters_and_topics_that_are_gone_leave_nothing() {
    const GROWTH: u64 = 10 << 20;
    let host = start();
    // The allocator keeps some of what the first ones used.
    churn(host.tcp(), "warm", 4000);
    let before = resident(host.id());
    churn(host.tcp(), "churn", 12_000);
    until("the end of all sessions", Duration::from_secs(30), || {
        let metrics = host.metrics();
        metrics.sum("millstream_mqtt_sessions", &[]) == 0 && metrics.sum("millstream_mqtt_subscriptions", &[]) == 0
    });
    let grown = resident(host.id()).saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes more than after a third as many");
}

/// Clients that each use a name, a filter and topics of their own, publish to themselves, and go; every other one
/// without a goodbye.
fn churn(address: SocketAddr, name: &str, clients: usize) {
    const THREADS: usize = 4;
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in (thread..clients).step_by(THREADS) {
                    one_life(address, &format!("{name}/{number}"), number.is_multiple_of(2));
                }
            });
        }
    });
}

fn one_life(address: SocketAddr, name: &str, goodbye: bool) {
    let mut client = Client::connect(address, Version::V5, name);
    assert_eq!(client.subscribe(&format!("{name}/+"), 1), 1);
    let topic = format!("{name}/topic");
    client.publish(&Publish { topic: &topic, payload: b"x", qos: 1, id: 1, ..Publish::default() });
    // One is the message, the other its acknowledgement.
    let (one, other) = (client.expect(), client.expect());
    let is_message = |packet: &Packet| matches!(packet, Packet::Publish { topic: found, .. } if *found == topic);
    assert!(is_message(&one) || is_message(&other), "{one:?}, {other:?}");
    if goodbye {
        client.disconnect();
    }
}
