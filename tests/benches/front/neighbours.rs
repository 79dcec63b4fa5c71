//! What clients notice of their company: the time of a round trip alone, beside others that behave, and beside as many
//! that do not, by turns in one run, so that whatever else changes on the machine changes for all three.

use std::collections::VecDeque;
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
use super::readers::Readers;

/// Turns of the three.
const TURNS: usize = 5;
/// Round trips of each in a turn.
const TRIPS: usize = 2000;
/// Between the starts of two round trips.
const PACE: Duration = Duration::from_millis(1);
/// What the company does in a second.
const ACTS: u32 = 500;
/// Subscribers of one topic.
const READERS: usize = 100;
/// How long one that connects stays.
const STAY: Duration = Duration::from_millis(1000);

/// What the company does, [`ACTS`] times a second: as one does it, and as one should not.
#[derive(Clone, Copy, Debug)]
pub enum Company {
    /// A message of 1 KiB, QoS 1, to a hundred subscribers, who read and acknowledge it; or never do.
    Readers,
    /// A client with a will and a keep-alive of a second, which says goodbye in time; or is never heard of again.
    Leaving,
    /// A client that connects and goes; or says nothing, or half a CONNECT, and stays.
    Handshakes,
    /// A client that connects and subscribes, with a name of its own; or with the same as all, taking over the session.
    Names,
}

impl Company {
    pub const ALL: [Company; 4] = [Company::Readers, Company::Leaving, Company::Handshakes, Company::Names];

    fn names(self) -> &'static str {
        match self {
            Company::Readers => "readers / slow readers",
            Company::Leaving => "goodbyes / half-open peers",
            Company::Handshakes => "handshakes / silent handshakes",
            Company::Names => "newcomers / takeovers",
        }
    }

    /// Keeps it up until it is `over`.
    fn act(self, address: SocketAddr, behaves: bool, over: &AtomicBool) -> Result<()> {
        match self {
            Company::Readers => messages(address, behaves, over),
            Company::Leaving => leaving(address, behaves, over),
            Company::Handshakes => handshakes(address, behaves, over),
            Company::Names => newcomers(address, behaves, over),
        }
    }
}

pub fn run(broker: &Broker, company: Company) -> Result<()> {
    let mut pair = Pair::new(broker.address);
    let mut times: [Histogram; 3] = Default::default();
    pair.measure(&mut Histogram::default());
    for _ in 0..TURNS {
        let [alone, good, bad] = &mut times;
        pair.measure(alone);
        for (behaves, times) in [(true, good), (false, bad)] {
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                let acting = scope.spawn(|| company.act(broker.address, behaves, &over));
                pair.measure(times);
                over.store(true, Ordering::Relaxed);
                acting.join().expect("the company could be made")
            })?;
        }
    }
    let [alone, good, bad] = times.each_ref().map(|times| (times.percentile(0.5), times.percentile(0.99)));
    let cells = [alone, good, bad].map(|(median, tail)| format!("{median}, {tail}")).join(" | ");
    println!("| {} | {} | {cells} | {:.2} |", company.names(), broker.name, bad.1 as f64 / good.1 as f64);
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

fn messages(address: SocketAddr, behaves: bool, over: &AtomicBool) -> Result<()> {
    let mut readers = Readers::subscribe(address, "company/topic", READERS)?;
    let mut publisher = Client::connect(address, Version::V4, "company-publisher");
    let publish = Publish { topic: "company/topic", payload: &[b'x'; 1024], qos: 1, id: 1, ..Publish::default() };
    thread::scope(|scope| {
        let reading = behaves.then(|| scope.spawn(|| readers.acknowledge_all(over)));
        paced(over, |_| {
            publisher.at_least_once(&publish);
            Ok(())
        })?;
        reading.map_or(Ok(()), |reading| reading.join().expect("the messages could be read"))
    })
}

fn leaving(address: SocketAddr, behaves: bool, over: &AtomicBool) -> Result<()> {
    let will = Some(Will { topic: "wills", payload: b"gone", ..Will::default() });
    let mut here = VecDeque::new();
    paced(over, |number| {
        let client = format!("leaving-{number}");
        let connect = Connect { client: &client, keep_alive: 1, will, ..anybody(Version::V4) };
        here.push_back((Instant::now(), Client::connect_with(address, &connect).0));
        // Who is not told goodbye stays open on this side.
        while behaves && here.front().is_some_and(|(since, _)| since.elapsed() > STAY) {
            if let Some((_, client)) = here.pop_front() {
                client.disconnect();
            }
        }
        Ok(())
    })
}

fn handshakes(address: SocketAddr, behaves: bool, over: &AtomicBool) -> Result<()> {
    let mut half = Vec::new();
    wire::connect(&mut half, &Connect { client: "half", ..anybody(Version::V4) });
    half.pop();
    let mut silent = Vec::new();
    paced(over, |number| {
        if behaves {
            Client::connect(address, Version::V4, &format!("passing-{number}")).disconnect();
            return Ok(());
        }
        let mut stream = TcpStream::connect(address)?;
        if number % 2 == 0 {
            stream.write_all(&half)?;
        }
        silent.push(stream);
        Ok(())
    })
}

fn newcomers(address: SocketAddr, behaves: bool, over: &AtomicBool) -> Result<()> {
    let mut last: Option<Client> = None;
    paced(over, |number| {
        let name = if behaves { format!("newcomer-{number}") } else { "contested".to_owned() };
        let connect = Connect { client: &name, clean: behaves, ..anybody(Version::V4) };
        let (mut client, _) = Client::connect_with(address, &connect);
        assert_eq!(client.subscribe("company/topic", 1), 1);
        if let Some(before) = last.replace(client).filter(|_| behaves) {
            before.disconnect();
        }
        Ok(())
    })
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
