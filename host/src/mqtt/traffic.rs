//! What went over one connection, counted where it happens.
//!
//! Only the connection itself writes, so a step is a load and a store and takes no lock; anybody may read, and sees each
//! number as it was a moment ago.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::control::sessions::TrafficInfo;
use crate::message::QoS;

/// A number with one writer.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// To be called by the one writer.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// Packets that are told apart, with EMQX's names for them (`$SYS/brokers/NODE/metrics/packets/NAME`). CONNECT,
        /// CONNACK and DISCONNECT come once for a connection and are counted by the broker.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$kind,)*];

            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    PubAck = "puback",
    PubRec = "pubrec",
    PubRel = "pubrel",
    PubComp = "pubcomp",
    /// SUBSCRIBE from a client, SUBACK to it.
    Subscribe = "subscribe",
    /// UNSUBSCRIBE from a client, UNSUBACK to it.
    Unsubscribe = "unsubscribe",
    /// PINGREQ from a client, PINGRESP to it.
    Ping = "pingreq",
}

const KINDS: usize = Kind::ALL.len();

/// Packets in one direction.
#[derive(Debug, Default)]
pub struct Packets {
    kinds: [Tally; KINDS],
    publish: [Tally; 3],
}

impl Packets {
    pub fn count(&self, kind: Kind) {
        self.kinds[kind as usize].add(1);
    }

    pub fn publish(&self, qos: QoS) {
        self.publish[qos as usize].add(1);
    }
}

/// The counters of one connection.
#[derive(Debug, Default)]
pub struct Traffic {
    pub received: Packets,
    pub sent: Packets,
    pub bytes_received: Tally,
    pub bytes_sent: Tally,
    pub reads: Tally,
    pub writes: Tally,
    /// PUBLISH packets that were not let in.
    pub denied: Tally,
    pub expired: Tally,
    pub too_large: Tally,
}

/// The sums of many connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    received: [u64; KINDS],
    sent: [u64; KINDS],
    pub publish_received: [u64; 3],
    pub publish_sent: [u64; 3],
}

impl Totals {
    pub fn add(&mut self, traffic: &Traffic) {
        let sum = |totals: &mut [u64], tallies: &[Tally]| {
            totals.iter_mut().zip(tallies).for_each(|(total, tally)| *total = total.wrapping_add(tally.get()));
        };
        sum(&mut self.received, &traffic.received.kinds);
        sum(&mut self.sent, &traffic.sent.kinds);
        sum(&mut self.publish_received, &traffic.received.publish);
        sum(&mut self.publish_sent, &traffic.sent.publish);
    }

    #[must_use]
    pub fn received(&self, kind: Kind) -> u64 {
        self.received[kind as usize]
    }

    #[must_use]
    pub fn sent(&self, kind: Kind) -> u64 {
        self.sent[kind as usize]
    }

    /// All packets of both lists.
    #[must_use]
    pub fn all_received(&self) -> u64 {
        self.received.iter().chain(&self.publish_received).sum()
    }

    #[must_use]
    pub fn all_sent(&self) -> u64 {
        self.sent.iter().chain(&self.publish_sent).sum()
    }
}

impl Traffic {
    /// As the management interface shows it.
    #[must_use]
    pub fn info(&self) -> TrafficInfo {
        let mut totals = Totals::default();
        totals.add(self);
        TrafficInfo {
            recv_oct: self.bytes_received.get(),
            recv_cnt: self.reads.get(),
            recv_pkt: totals.all_received(),
            recv_msg_qos: totals.publish_received,
            recv_msg_dropped: self.denied.get(),
            send_oct: self.bytes_sent.get(),
            send_cnt: self.writes.get(),
            send_pkt: totals.all_sent(),
            send_msg_qos: totals.publish_sent,
            send_msg_dropped_expired: self.expired.get(),
            send_msg_dropped_too_large: self.too_large.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_of_what_was_counted() {
        let traffic = [Traffic::default(), Traffic::default()];
        for one in &traffic {
            one.received.publish(QoS::ExactlyOnce);
            one.received.count(Kind::PubRel);
            one.received.count(Kind::Ping);
            one.sent.count(Kind::PubComp);
            one.bytes_received.add(7);
        }
        let mut totals = Totals::default();
        traffic.iter().for_each(|one| totals.add(one));
        assert_eq!(
            (totals.received(Kind::PubRel), totals.received(Kind::PubAck), totals.sent(Kind::PubComp)),
            (2, 0, 2)
        );
        assert_eq!((totals.all_received(), totals.all_sent(), totals.publish_received), (6, 2, [0, 0, 2]));
        let info = traffic[0].info();
        assert_eq!((info.recv_oct, info.recv_pkt, info.send_pkt, info.recv_msg_qos), (7, 3, 1, [0, 0, 1]));
    }
}
