//! Messages on their way to one subscriber that it has not acknowledged: QoS 1 and 2, in the order of sending.
//!
//! Bounded by the client's Receive Maximum. Survives the connection: what is left goes out again, in order, first thing on
//! the next one (MQTT-4.4.0-1). Pure: it decides what to send and never sends.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::packet::PacketId;
use super::queue::Delivery;
use crate::message::QoS;

#[derive(Debug)]
struct InFlight {
    id: PacketId,
    /// `None` once PUBREC has come: from then on only the id counts.
    delivery: Option<Delivery>,
    /// Sent on this connection.
    sent: bool,
    /// Takes one of the client's Receive Maximum on this connection.
    counts: bool,
}

/// What has to go out again.
#[derive(Clone, Debug)]
pub enum Resend {
    /// PUBLISH with DUP set.
    Publish(PacketId, Delivery),
    PubRel(PacketId),
}

/// The packets in flight to one client.
#[derive(Debug)]
pub struct Window {
    in_flight: VecDeque<InFlight>,
    used: FxHashSet<PacketId>,
    last_id: u16,
    /// Entries that were not sent on this connection yet.
    unsent: usize,
    /// Entries that count against `limit`.
    counted: usize,
    limit: usize,
}

impl Default for Window {
    fn default() -> Window {
        Window { in_flight: VecDeque::new(), used: FxHashSet::default(), last_id: 0, unsent: 0, counted: 0, limit: 1 }
    }
}

impl Window {
    /// A new connection, which takes `limit` (at least one) unacknowledged messages: everything left goes out again.
    pub fn connected(&mut self, limit: u16) {
        self.limit = usize::from(limit.max(1));
        self.counted = 0;
        self.unsent = self.in_flight.len();
        for entry in &mut self.in_flight {
            (entry.sent, entry.counts) = (false, false);
        }
    }

    /// The next packet that the connection before left unacknowledged, while there is room.
    pub fn next_resend(&mut self) -> Option<Resend> {
        if self.unsent == 0 {
            return None;
        }
        let entry = self.in_flight.iter_mut().find(|entry| !entry.sent)?;
        let resend = match &entry.delivery {
            Some(_) if self.counted >= self.limit => return None,
            Some(delivery) => {
                entry.counts = true;
                self.counted += 1;
                Resend::Publish(entry.id, delivery.clone())
            }
            None => Resend::PubRel(entry.id),
        };
        entry.sent = true;
        self.unsent -= 1;
        Some(resend)
    }

    /// Whether something of the connection before still has to go out again.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.unsent > 0
    }

    /// Whether a new message may be sent: what is old goes first.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.unsent == 0 && self.counted < self.limit && self.used.len() < usize::from(u16::MAX)
    }

    /// Takes a message in and gives it the next id that is free; only when there is room.
    pub fn admit(&mut self, delivery: Delivery) -> Option<PacketId> {
        if !self.has_room() {
            return None;
        }
        let id = self.next_id()?;
        self.used.insert(id);
        self.counted += 1;
        self.in_flight.push_back(InFlight { id, delivery: Some(delivery), sent: true, counts: true });
        Some(id)
    }

    fn next_id(&mut self) -> Option<PacketId> {
        for _ in 0..=u16::MAX {
            self.last_id = self.last_id.wrapping_add(1);
            match PacketId::new(self.last_id) {
                Some(id) if !self.used.contains(&id) => return Some(id),
                _ => {}
            }
        }
        None
    }

    /// The message that the client has not acknowledged under this id.
    #[must_use]
    pub fn delivery(&self, id: PacketId) -> Option<&Delivery> {
        let index = self.position(id, |_| true)?;
        self.in_flight.get(index)?.delivery.as_ref()
    }

    /// PUBACK, or a PUBREC with an error: done. `false` for an id that is not in flight so.
    pub fn acknowledge(&mut self, id: PacketId, qos: QoS) -> bool {
        let found = self.position(id, |entry| entry.delivery.as_ref().is_some_and(|delivery| delivery.qos == qos));
        self.remove(found)
    }

    /// PUBREC: the client has it; only the id is kept. `false` for an id that is not in flight with QoS 2.
    pub fn received(&mut self, id: PacketId) -> bool {
        let known = |entry: &InFlight| entry.delivery.as_ref().is_none_or(|delivery| delivery.qos == QoS::ExactlyOnce);
        let Some(entry) = self.position(id, known).and_then(|index| self.in_flight.get_mut(index)) else {
            return false;
        };
        entry.delivery = None;
        if !entry.sent {
            entry.sent = true;
            self.unsent -= 1;
        }
        true
    }

    /// PUBCOMP: done. `false` for an id that waits for none.
    pub fn complete(&mut self, id: PacketId) -> bool {
        let found = self.position(id, |entry| entry.delivery.is_none());
        self.remove(found)
    }

    /// Gives the place of a message back that turned out to be undeliverable.
    pub fn withdraw(&mut self, id: PacketId) {
        let found = self.position(id, |_| true);
        self.remove(found);
    }

    fn position(&self, id: PacketId, fits: impl Fn(&InFlight) -> bool) -> Option<usize> {
        if !self.used.contains(&id) {
            return None;
        }
        self.in_flight.iter().position(|entry| entry.id == id).filter(|index| fits(&self.in_flight[*index]))
    }

    fn remove(&mut self, index: Option<usize>) -> bool {
        let Some(entry) = index.and_then(|index| self.in_flight.remove(index)) else { return false };
        self.used.remove(&entry.id);
        self.unsent -= usize::from(!entry.sent);
        self.counted -= usize::from(entry.counts);
        if self.in_flight.is_empty() && self.in_flight.capacity() > 8 {
            self.in_flight = VecDeque::new();
            self.used = FxHashSet::default();
        }
        true
    }

    /// Takes out the QoS 1 messages of shared subscriptions, for another member (MQTT 5.0, 4.8.2).
    pub fn take_shared(&mut self) -> Vec<Delivery> {
        let (mut taken, mut kept) = (Vec::new(), VecDeque::new());
        for mut entry in self.in_flight.drain(..) {
            match entry.delivery.take_if(|delivery| delivery.qos == QoS::AtLeastOnce && delivery.group.is_some()) {
                Some(delivery) => {
                    self.used.remove(&entry.id);
                    self.unsent -= usize::from(!entry.sent);
                    self.counted -= usize::from(entry.counts);
                    taken.push(delivery);
                }
                None => kept.push_back(entry),
            }
        }
        self.in_flight = kept;
        taken
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.in_flight.len()
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::testing::delivery;

    fn id(n: u16) -> PacketId {
        PacketId::new(n).unwrap()
    }

    fn window(limit: u16) -> Window {
        let mut window = Window::default();
        window.connected(limit);
        window
    }

    #[test]
    fn no_more_than_the_limit_is_out_and_acks_come_in_any_order() {
        let mut window = window(3);
        let ids: Vec<_> = std::iter::from_fn(|| window.admit(delivery("t", 1))).collect();
        assert_eq!(ids, [id(1), id(2), id(3)]);
        assert!(window.acknowledge(ids[1], QoS::AtLeastOnce));
        assert!(!window.acknowledge(ids[1], QoS::AtLeastOnce), "twice");
        assert!(!window.acknowledge(ids[0], QoS::ExactlyOnce), "wrong packet for this QoS");
        assert_eq!(window.admit(delivery("t", 1)), Some(id(4)));
        assert_eq!(window.admit(delivery("t", 1)), None);
    }

    /// MQTT-2.2.1-4, MQTT-4.3.2-1, MQTT-4.3.3-1; MQTT-2.3.1-4 of 3.1.1.
    #[test]
    fn ids_are_not_reused_before_they_are_free_even_after_wrapping() {
        let mut window = window(2);
        let stuck = window.admit(delivery("t", 1)).unwrap();
        for n in 0..70_000_u32 {
            let id = window.admit(delivery("t", 1)).unwrap();
            assert_ne!(id, stuck, "{n}");
            assert!(window.acknowledge(id, QoS::AtLeastOnce));
        }
    }

    #[test]
    fn a_qos_2_message_keeps_its_place_until_pubcomp() {
        let mut window = window(1);
        let first = window.admit(delivery("t", 2)).unwrap();
        assert!(!window.complete(first), "no PUBREC yet");
        assert!(window.received(first) && window.received(first), "a repeated PUBREC is answered again");
        assert!(!window.acknowledge(first, QoS::AtLeastOnce));
        assert!(!window.has_room());
        assert!(window.complete(first) && window.has_room() && window.is_empty());
    }

    #[test]
    fn a_new_connection_gets_what_is_left_in_order_and_within_its_own_limit() {
        let mut window = window(5);
        let ids: Vec<_> = (0..4).map(|n| window.admit(delivery("t", 1 + (n == 1) as u8)).unwrap()).collect();
        assert!(window.received(ids[1]));
        window.connected(2);
        assert!(window.admit(delivery("new", 1)).is_none(), "the old goes first");
        let next = |window: &mut Window| match window.next_resend() {
            Some(Resend::Publish(id, _)) => Some((id, false)),
            Some(Resend::PubRel(id)) => Some((id, true)),
            None => None,
        };
        assert_eq!(next(&mut window), Some((ids[0], false)));
        assert_eq!(next(&mut window), Some((ids[1], true)));
        assert_eq!(next(&mut window), Some((ids[2], false)));
        assert_eq!(next(&mut window), None, "two are out");
        assert!(window.acknowledge(ids[2], QoS::AtLeastOnce));
        assert_eq!(next(&mut window), Some((ids[3], false)));
        assert!(window.complete(ids[1]) && window.acknowledge(ids[0], QoS::AtLeastOnce));
        assert!(window.acknowledge(ids[3], QoS::AtLeastOnce) && window.is_empty());
        assert_eq!((window.counted, window.unsent, window.used.len()), (0, 0, 0));
    }

    #[test]
    fn an_acknowledgement_for_what_is_still_to_be_resent_counts() {
        let mut window = window(2);
        let id = window.admit(delivery("t", 2)).unwrap();
        window.connected(2);
        assert!(window.received(id));
        assert!(window.next_resend().is_none());
        assert!(window.complete(id));
        assert_eq!((window.counted, window.unsent), (0, 0));
    }
}
