//! Connections that come and go, connections that stay, and what is left of those that went.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use support::mqtt::{Client, anybody};
use support::wait::eventually;
use support::wire::{Connect, Packet, Publish, Version};

use super::brokers::Broker;

const THREADS: usize = 8;

/// Connects, waits for CONNACK and says goodbye, `n` times, eight at a time.
pub fn rate(broker: &Broker, n: usize) -> Result<()> {
    let address = broker.address;
    let (cpu, start) = (broker.cpu()?, Instant::now());
    on_threads(n, |number| Client::connect(address, Version::V4, &format!("guest-{number}")).disconnect());
    let rate = n as f64 / start.elapsed().as_secs_f64();
    println!("| {n} times | {} | {rate:.0} | {:.1} |", broker.name, broker.micros_each(cpu, n)?);
    Ok(())
}

/// Holds `n` connections that say nothing.
pub fn idle(broker: &Broker, n: usize) -> Result<()> {
    let connect = |number: usize| {
        let client = format!("idle-{number}");
        Client::connect_with(broker.address, &Connect { client: &client, keep_alive: 600, ..anybody(Version::V4) }).0
    };
    // What is only made once is made.
    let first: Vec<_> = (0..200).map(connect).collect();
    let before = broker.resident();
    let held: Vec<_> = (200..n).map(connect).collect();
    let each = broker.resident().saturating_sub(before) / held.len() as u64;
    println!("| held | {} | {} | {each} |", broker.name, first.len() + held.len());
    Ok(())
}

/// `n` clients with a filter and a topic of their own, each of which publishes to itself and goes; after a tenth as many,
/// whose memory the allocator may keep.
pub fn churn(broker: &Broker, n: usize) -> Result<()> {
    let life = |name: &str, number: usize| one_life(broker.address, &format!("{name}/{number}"));
    on_threads(n / 10, |number| life("warm", number));
    let before = settled(broker);
    on_threads(n, |number| life("churn", number));
    let after = settled(broker);
    let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("| {n} | {} | {:.1} | {:.1} |", broker.name, mb(before), mb(after));
    Ok(())
}

fn one_life(address: SocketAddr, name: &str) {
    let mut client = Client::connect(address, Version::V4, name);
    assert_eq!(client.subscribe(&format!("{name}/+"), 0), 0);
    let topic = format!("{name}/topic");
    client.publish(&Publish { topic: &topic, payload: b"x", ..Publish::default() });
    assert!(matches!(client.expect(), Packet::Publish { topic: found, .. } if found == topic));
    client.disconnect();
}

/// Resident memory once it stands still for a second.
fn settled(broker: &Broker) -> u64 {
    let (mut last, mut since) = (broker.resident(), Instant::now());
    eventually("the memory to stand still", Duration::from_secs(60), || {
        let now = broker.resident();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() > Duration::from_secs(1)).then_some(now)
    })
}

fn on_threads(n: usize, work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = &work;
            scope.spawn(move || (thread..n).step_by(THREADS).for_each(work));
        }
    });
}
