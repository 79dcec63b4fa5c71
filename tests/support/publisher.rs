//! Load with a memory: each client numbers its QoS 1 messages and remembers which of them were acknowledged. What is
//! in Kafka afterwards is held against that.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::kafka::Record;
use crate::mqtt::{Client, Received, anybody};
use crate::wire::{self, Connect, Packet, Publish, Version};

/// How long a client goes without any progress before it says that something is stuck.
const STUCK_LIMIT: Duration = Duration::from_secs(120);

/// What a client does when its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// It remembers what was acknowledged until then.
    Stop,
    /// It resumes its session and sends again, with DUP, what was not acknowledged.
    Resend,
}

/// The load of each of the clients.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub clients: u32,
    /// Messages of each client.
    pub messages: u32,
    /// How many messages of a client may wait for their PUBACK.
    pub window: u32,
    pub on_loss: OnLoss,
}

/// The load while it runs.
#[derive(Debug)]
pub struct Running {
    clients: Vec<JoinHandle<Client1>>,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    acked: AtomicU32,
    stop: AtomicBool,
}

/// What the clients know at the end.
#[derive(Debug)]
pub struct Report {
    clients: Vec<Client1>,
}

#[derive(Debug)]
struct Client1 {
    name: String,
    acked: BTreeSet<u32>,
    sent: u32,
    lost_connections: u32,
}

impl Load {
    /// Starts the clients against `address`, publishing to `t/<client>`.
    #[must_use]
    pub fn start(self, address: SocketAddr) -> Running {
        let progress = Arc::new(Progress::default());
        let one = |number| {
            let progress = progress.clone();
            thread::spawn(move || Publisher::new(format!("c{number}"), address, self, &progress).run())
        };
        Running { clients: (0..self.clients).map(one).collect(), progress }
    }
}

impl Running {
    /// Messages acknowledged so far, of all clients.
    #[must_use]
    pub fn acked(&self) -> u32 {
        self.progress.acked.load(Ordering::Relaxed)
    }

    /// Has every client ended?
    #[must_use]
    pub fn ended(&self) -> bool {
        self.clients.iter().all(JoinHandle::is_finished)
    }

    /// Tells the clients to send nothing new; they still wait for the acknowledgements of what they sent.
    pub fn stop_sending(&self) {
        self.progress.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for all clients.
    #[must_use]
    pub fn join(self) -> Report {
        Report { clients: self.clients.into_iter().map(|client| client.join().expect("a client's thread")).collect() }
    }
}

impl Report {
    #[must_use]
    pub fn acked(&self) -> u64 {
        self.clients.iter().map(|client| client.acked.len() as u64).sum()
    }

    /// Holds Kafka against the clients' memory: every acknowledged message is there; each client's messages are in
    /// order; none is there twice unless its client lost a connection; none is there that was never sent.
    pub fn verify(&self, records: &[Record]) {
        let mut found: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let parsed: Vec<(String, u32)> = records.iter().map(parse).collect();
        for (client, number) in &parsed {
            found.entry(client).or_default().push(*number);
        }
        for client in &self.clients {
            let numbers = found.remove(client.name.as_str()).unwrap_or_default();
            client.verify(&numbers);
        }
        assert!(found.is_empty(), "messages of clients that do not exist: {:?}", found.keys());
    }
}

impl Client1 {
    fn verify(&self, numbers: &[u32]) {
        let name = &self.name;
        let present: BTreeSet<u32> = numbers.iter().copied().collect();
        let missing: Vec<_> = self.acked.difference(&present).take(10).collect();
        assert!(missing.is_empty(), "{name}: acknowledged and not in Kafka: {missing:?} ...");
        if let Some(last) = present.last() {
            assert!(*last < self.sent, "{name}: {last} is in Kafka, only {} were sent", self.sent);
        }
        if self.lost_connections == 0 {
            assert_eq!(numbers.len(), present.len(), "{name}: sent once, in Kafka twice");
        }
        let mut highest = None;
        let mut seen = BTreeSet::new();
        for number in numbers {
            if seen.insert(*number) {
                assert!(Some(*number) > highest, "{name}: {number} came after {highest:?}");
                highest = Some(*number);
            }
        }
    }
}

fn parse(record: &Record) -> (String, u32) {
    let value: serde_json::Value = serde_json::from_str(record.text()).expect("the payload that was sent");
    let client = value["client"].as_str().expect("a client").to_string();
    assert_eq!(record.key.as_deref(), Some(client.as_bytes()), "the key is the client id");
    (client, value["seq"].as_u64().expect("a number") as u32)
}

struct Publisher<'a> {
    name: String,
    address: SocketAddr,
    load: Load,
    progress: &'a Progress,
    acked: BTreeSet<u32>,
    /// Sent and not acknowledged are those from `oldest` to before `next`: acknowledgements come in order.
    oldest: u32,
    next: u32,
    highest: u32,
    lost_connections: u32,
}

impl<'a> Publisher<'a> {
    fn new(name: String, address: SocketAddr, load: Load, progress: &'a Progress) -> Publisher<'a> {
        let acked = BTreeSet::new();
        Publisher { name, address, load, progress, acked, oldest: 0, next: 0, highest: 0, lost_connections: 0 }
    }

    fn run(mut self) -> Client1 {
        let mut last_progress = Instant::now();
        while !self.done() {
            let before = self.oldest;
            let ended_well = self.connection();
            if self.oldest > before {
                last_progress = Instant::now();
            }
            assert!(last_progress.elapsed() < STUCK_LIMIT, "{}: stuck at {}", self.name, self.oldest);
            if ended_well || self.load.on_loss == OnLoss::Stop {
                break;
            }
            // Everything unacknowledged goes out again, from the oldest on (MQTT-4.4.0-1).
            self.lost_connections += 1;
            self.next = self.oldest;
            thread::sleep(Duration::from_millis(20));
        }
        let Publisher { name, acked, highest, lost_connections, .. } = self;
        Client1 { name, acked, sent: highest, lost_connections }
    }

    fn done(&self) -> bool {
        let stopped = self.progress.stop.load(Ordering::Relaxed) || self.next >= self.load.messages;
        stopped && self.oldest >= self.next && self.next >= self.highest.min(self.load.messages)
    }

    /// One connection until all is done (true) or it ends (false).
    fn connection(&mut self) -> bool {
        let connect = Connect { client: &self.name, clean: false, ..anybody(Version::V4) };
        let Ok((mut client, 0, _)) = Client::try_connect(self.address, &connect) else { return false };
        let mut last_progress = Instant::now();
        while !self.done() {
            if client.send(&self.fill()).is_err() {
                return false;
            }
            match client.receive(Duration::from_millis(100)) {
                Received::Packet(Packet::PubAck { id, code: 0 }) => {
                    assert_eq!(id, packet_id(self.oldest), "{}: acknowledged out of order", self.name);
                    self.acked.insert(self.oldest);
                    self.oldest += 1;
                    self.progress.acked.fetch_add(1, Ordering::Relaxed);
                    last_progress = Instant::now();
                }
                Received::Packet(other) => panic!("{}: unexpected {other:?}", self.name),
                Received::Nothing => {
                    assert!(last_progress.elapsed() < STUCK_LIMIT, "{}: no PUBACK for {}", self.name, self.oldest);
                }
                Received::Closed => return false,
            }
        }
        client.disconnect();
        true
    }

    /// As many new messages as the window has room for.
    fn fill(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let stopped = self.progress.stop.load(Ordering::Relaxed);
        let topic = format!("t/{}", self.name);
        while self.next < self.load.messages && self.next - self.oldest < self.load.window {
            let dup = self.next < self.highest;
            if stopped && !dup {
                break;
            }
            let payload = json!({ "client": self.name, "seq": self.next, "temp": 21.5 }).to_string();
            let id = packet_id(self.next);
            let publish = Publish { topic: &topic, payload: payload.as_bytes(), qos: 1, id, dup, ..Publish::default() };
            wire::publish(&mut out, Version::V4, &publish);
            self.next += 1;
            self.highest = self.highest.max(self.next);
        }
        out
    }
}

fn packet_id(number: u32) -> u16 {
    (number % 65_535 + 1) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(acked: &[u32], lost_connections: u32) -> Client1 {
        Client1 { name: "c0".into(), acked: acked.iter().copied().collect(), sent: 10, lost_connections }
    }

    #[test]
    fn what_is_right_passes() {
        client(&[0, 1, 2], 0).verify(&[0, 1, 2, 3]);
        client(&[0, 1], 1).verify(&[0, 1, 2, 1, 2, 3]);
    }

    #[test]
    #[should_panic(expected = "acknowledged and not in Kafka")]
    fn a_lost_message_is_found() {
        client(&[0, 1, 2], 0).verify(&[0, 2]);
    }

    #[test]
    #[should_panic(expected = "came after")]
    fn a_wrong_order_is_found() {
        client(&[], 1).verify(&[0, 2, 1]);
    }

    #[test]
    #[should_panic(expected = "in Kafka twice")]
    fn a_double_is_found() {
        client(&[], 0).verify(&[0, 1, 1]);
    }

    #[test]
    #[should_panic(expected = "only 10 were sent")]
    fn a_message_from_nowhere_is_found() {
        client(&[], 0).verify(&[10]);
    }
}
