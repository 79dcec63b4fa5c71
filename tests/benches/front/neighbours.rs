//! What clients that behave notice of clients that do not: the time of a round trip, quiet and in trouble by turns in one
//! run, so that whatever else changes on the machine changes for both.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use support::mqtt::{Client, anybody};
use support::wire::{self, Connect, Packet, Publish, Version, Will};

use super::brokers::Broker;
use super::histogram::Histogram;

/// Turns of quiet and trouble.
const TURNS: usize = 5;
/// Round trips of each half of a turn.
const TRIPS: usize = 3000;
/// Between the starts of two round trips.
const PACE: Duration = Duration::from_millis(1);
/// Troublesome acts in a second.
const ACTS: u32 = 500;
/// Subscribers that read nothing.
const SLOW: usize = 100;

/// A kind of bad company; each act is one of [`ACTS`] a second.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// Nothing: how much two quiet halves differ by themselves.
    None,
    /// A message of 1 KiB, QoS 1, to a hundred subscribers that never read.
    SlowReaders,
    /// A client with a will and a keep-alive of a second that is never heard of again.
    HalfOpen,
    /// A connection that says nothing, or half a CONNECT.
    SilentHandshakes,
    /// A client that takes over the session of the one before it, with a subscription to redeem.
    Takeovers,
}

impl Trouble {
    pub const ALL: [Trouble; 5] =
        [Trouble::None, Trouble::SlowReaders, Trouble::HalfOpen, Trouble::SilentHandshakes, Trouble::Takeovers];

    fn name(self) -> &'static str {
        match self {
            Trouble::None => "nothing",
            Trouble::SlowReaders => "slow readers",
            Trouble::HalfOpen => "half-open peers",
            Trouble::SilentHandshakes => "silent handshakes",
            Trouble::Takeovers => "takeover storm",
        }
    }
}

pub fn run(broker: &Broker, trouble: Trouble) -> Result<()> {
    let mut pair = Pair::new(broker.address);
    let (mut quiet, mut troubled) = (Histogram::default(), Histogram::default());
    pair.measure(&mut Histogram::default());
    for _ in 0..TURNS {
        pair.measure(&mut quiet);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let acting = scope.spawn(|| cause(broker.address, trouble, &over));
            pair.measure(&mut troubled);
            over.store(true, Ordering::Relaxed);
            acting.join().expect("the trouble could be made")
        })?;
    }
    let [before, after] = [&quiet, &troubled].map(|times| times.percentile(0.99));
    let [median, median_after] = [&quiet, &troubled].map(|times| times.percentile(0.5));
    let (name, ratio) = (trouble.name(), after as f64 / before as f64);
    println!("| {name} | {} | {median}, {before} | {median_after}, {after} | {ratio:.2} |", broker.name);
    Ok(())
}

/// A publisher and a subscriber that behave.
struct Pair {
    publisher: Client,
    subscriber: Client,
    packet: Vec<u8>,
}

impl Pair {
    fn new(address: SocketAddr) -> Pair {
        let mut subscriber = Client::connect(address, Version::V4, "good-subscriber");
        assert_eq!(subscriber.subscribe("good/topic", 0), 0);
        let publisher = Client::connect(address, Version::V4, "good-publisher");
        let mut packet = Vec::new();
        let publish = Publish { topic: "good/topic", payload: &[b'x'; 256], qos: 1, id: 1, ..Publish::default() };
        wire::publish(&mut packet, Version::V4, &publish);
        Pair { publisher, subscriber, packet }
    }

    /// [`TRIPS`] round trips: until the message is there and its PUBACK too.
    fn measure(&mut self, times: &mut Histogram) {
        let mut next = Instant::now();
        for _ in 0..TRIPS {
            next += PACE;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let start = Instant::now();
            self.publisher.send(&self.packet).expect("the connection is open");
            assert!(matches!(self.subscriber.expect(), Packet::Publish { .. }));
            assert!(matches!(self.publisher.expect(), Packet::PubAck { id: 1, code: 0 }));
            times.record(start.elapsed());
        }
    }
}

/// Makes `trouble` until it is `over`; connections that it opens stay open till then.
fn cause(address: SocketAddr, trouble: Trouble, over: &AtomicBool) -> Result<()> {
    match trouble {
        Trouble::None => Ok(()),
        Trouble::SlowReaders => {
            let slow: Vec<_> = (0..SLOW)
                .map(|number| {
                    let mut client = Client::connect(address, Version::V4, &format!("slow-{number}"));
                    assert_eq!(client.subscribe("slow/topic", 1), 1);
                    client
                })
                .collect();
            let mut publisher = Client::connect(address, Version::V4, "to-slow");
            let publish = Publish { topic: "slow/topic", payload: &[b'x'; 1024], qos: 1, id: 1, ..Publish::default() };
            paced(over, |_| {
                publisher.at_least_once(&publish);
                Ok(())
            })?;
            drop(slow);
            Ok(())
        }
        Trouble::HalfOpen => {
            let will = Some(Will { topic: "wills", payload: b"gone", ..Will::default() });
            let mut gone = Vec::new();
            paced(over, |number| {
                let client = format!("half-{number}");
                let connect = Connect { client: &client, keep_alive: 1, will, ..anybody(Version::V4) };
                gone.push(Client::connect_with(address, &connect).0);
                Ok(())
            })
        }
        Trouble::SilentHandshakes => {
            let mut half = Vec::new();
            wire::connect(&mut half, &Connect { client: "half", ..anybody(Version::V4) });
            half.pop();
            let mut silent = Vec::new();
            paced(over, |number| {
                let mut stream = TcpStream::connect(address)?;
                if number % 2 == 0 {
                    stream.write_all(&half)?;
                }
                silent.push(stream);
                Ok(())
            })
        }
        Trouble::Takeovers => {
            let mut last = None;
            paced(over, |_| {
                let connect = Connect { client: "contested", clean: false, ..anybody(Version::V4) };
                let (mut client, _) = Client::connect_with(address, &connect);
                assert_eq!(client.subscribe("contested/topic", 1), 1);
                last = Some(client);
                Ok(())
            })
        }
    }
}

/// `act` with its number, [`ACTS`] times a second; one that is late is not made up for.
fn paced(over: &AtomicBool, mut act: impl FnMut(u32) -> Result<()>) -> Result<()> {
    let mut next = Instant::now();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        act(number)?;
        number += 1;
        next = (next + Duration::from_secs(1) / ACTS).max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
