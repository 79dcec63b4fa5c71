//! Releases acknowledgements in the order of receipt (MQTT-4.6.0-2, -3).
//!
//! One entry for each PUBLISH that a connection took in, in order; an entry leaves when everything before it has left and
//! its own outcome is known. Pure: no packet is written and nothing waits here.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ack::{AckGroup, Outcome};
use crate::mqtt::packet::{PacketId, Reason};

/// What a PUBLISH is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// QoS 0: nothing, it is only counted off.
    Nothing,
    PubAck(PacketId),
    PubRec(PacketId),
}

/// Where the outcome of an entry comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The next slot of the groups.
    Slot,
    /// Decided at receipt: denied, or a duplicate.
    Decided(Reason),
    /// The next of `carried`: the promise is older than this connection.
    Carried,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    owed: Owed,
    source: Source,
    bytes: u32,
}

/// The open promise of one message, which may outlive the connection that it was made on.
#[derive(Clone, Debug)]
pub struct Promise {
    group: Arc<AckGroup>,
    slot: usize,
}

impl Promise {
    #[must_use]
    pub fn new(group: &Arc<AckGroup>, slot: usize) -> Promise {
        Promise { group: group.clone(), slot }
    }

    /// `None` while it is open.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.group.outcome(self.slot)
    }
}

impl PartialEq for Promise {
    fn eq(&self, other: &Promise) -> bool {
        Arc::ptr_eq(&self.group, &other.group) && self.slot == other.slot
    }
}

/// One entry that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Released {
    pub owed: Owed,
    pub verdict: Verdict,
}

/// What the publisher is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Was decided at receipt, without the pipeline.
    Decided(Reason),
    Settled(Outcome),
}

/// The promises of one connection that are not released yet.
#[derive(Debug, Default)]
pub struct Acks {
    entries: VecDeque<Entry>,
    groups: VecDeque<Arc<AckGroup>>,
    /// Slots of the front group that have left.
    front: usize,
    carried: VecDeque<Promise>,
    /// Payload and topic bytes of all entries.
    bytes: usize,
    /// Entries of QoS 1 and 2.
    owed: usize,
}

/// Capacity, in entries, that an idle connection may keep.
const IDLE_CAPACITY: usize = 32;

impl Acks {
    /// A message whose outcome will come from the next slot of the group that [`Acks::open`] adds.
    pub fn expect(&mut self, owed: Owed, bytes: usize) {
        self.push(owed, Source::Slot, bytes);
    }

    /// A message that a connection before this one took in, and that is not settled yet: its promise stands.
    pub fn carry(&mut self, owed: Owed, promise: Promise) {
        self.carried.push_back(promise);
        self.push(owed, Source::Carried, 0);
    }

    /// An acknowledgement that is decided already but must wait for its turn.
    pub fn decide(&mut self, owed: Owed, reason: Reason) {
        self.push(owed, Source::Decided(reason), 0);
    }

    fn push(&mut self, owed: Owed, source: Source, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes += bytes as usize;
        self.owed += usize::from(owed != Owed::Nothing);
        self.entries.push_back(Entry { owed, source, bytes });
    }

    /// Adds the group of one socket read; it has one slot for each [`Acks::expect`] since the group before it.
    pub fn open(&mut self, group: Arc<AckGroup>) {
        if !group.is_empty() {
            self.groups.push_back(group);
        }
    }

    /// The next entry in order, if its outcome is known.
    pub fn release(&mut self) -> Option<Released> {
        let entry = *self.entries.front()?;
        let verdict = match entry.source {
            Source::Decided(reason) => Verdict::Decided(reason),
            Source::Carried => {
                let outcome = self.carried.front()?.outcome()?;
                self.carried.pop_front();
                Verdict::Settled(outcome)
            }
            Source::Slot => {
                let group = self.groups.front()?;
                let outcome = group.outcome(self.front)?;
                self.front += 1;
                if self.front == group.len() {
                    self.front = 0;
                    self.groups.pop_front();
                }
                Verdict::Settled(outcome)
            }
        };
        self.entries.pop_front();
        self.bytes -= entry.bytes as usize;
        self.owed -= usize::from(entry.owed != Owed::Nothing);
        if self.entries.is_empty() {
            if self.entries.capacity() > IDLE_CAPACITY {
                self.entries = VecDeque::new();
            }
            if self.groups.capacity() > IDLE_CAPACITY {
                self.groups = VecDeque::new();
            }
            self.carried = VecDeque::new();
        }
        Some(Released { owed: entry.owed, verdict })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries, of every QoS.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries of QoS 1 and 2, which count against the receive maximum.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.owed
    }

    /// Topic and payload bytes of all entries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::{AckHandle, AckSignal, Refusal};

    fn id(n: u16) -> PacketId {
        PacketId::new(n).unwrap()
    }

    fn open(acks: &mut Acks, owed: &[Owed]) -> Vec<AckHandle> {
        let group = AckGroup::open(owed.len(), &AckSignal::new());
        for owed in owed {
            acks.expect(*owed, 10);
        }
        let handles = (0..owed.len()).map(|slot| group.handle(slot)).collect();
        acks.open(group);
        handles
    }

    #[test]
    fn nothing_overtakes_what_came_before_it() {
        let mut acks = Acks::default();
        let mut handles = open(&mut acks, &[Owed::PubAck(id(1)), Owed::Nothing, Owed::PubRec(id(2))]);
        acks.decide(Owed::PubAck(id(3)), Reason::NotAuthorized);
        let later = open(&mut acks, &[Owed::PubAck(id(4))]);
        assert_eq!((acks.len(), acks.owed(), acks.bytes()), (5, 4, 40));

        later.into_iter().for_each(|handle| handle.settle(Outcome::Delivered));
        handles.pop().unwrap().settle(Outcome::Unmatched);
        assert_eq!(acks.release(), None);
        handles.remove(0).settle(Outcome::Refused(Refusal::QuotaExceeded));
        let refused = Verdict::Settled(Outcome::Refused(Refusal::QuotaExceeded));
        assert_eq!(acks.release(), Some(Released { owed: Owed::PubAck(id(1)), verdict: refused }));
        assert_eq!(acks.release(), None);
        drop(handles);
        let verdicts: Vec<_> = std::iter::from_fn(|| acks.release()).map(|released| released.verdict).collect();
        assert_eq!(
            verdicts,
            [
                Verdict::Settled(Outcome::Failed),
                Verdict::Settled(Outcome::Unmatched),
                Verdict::Decided(Reason::NotAuthorized),
                Verdict::Settled(Outcome::Delivered),
            ]
        );
        assert_eq!((acks.len(), acks.owed(), acks.bytes()), (0, 0, 0));
        assert!(acks.groups.is_empty());
    }

    /// Groups of all sizes, settled in a scrambled order: ids come out in order, each once, each with its own outcome.
    #[test]
    fn any_order_of_settling_gives_the_order_of_receipt() {
        let mut random = 0x2545_f491_u64;
        let mut next = move |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) as usize % below
        };
        for _ in 0..200 {
            let mut acks = Acks::default();
            let mut open_handles = Vec::new();
            let mut expected = Vec::new();
            let mut seen = Vec::new();
            let mut number = 0;
            for _ in 0..20 {
                let owed: Vec<_> = (0..next(4))
                    .map(|_| {
                        number += 1;
                        Owed::PubAck(id(number))
                    })
                    .collect();
                expected.extend(owed.clone());
                open_handles.extend(open(&mut acks, &owed));
                if next(3) == 0 {
                    number += 1;
                    expected.push(Owed::PubAck(id(number)));
                    acks.decide(Owed::PubAck(id(number)), Reason::Success);
                }
                for _ in 0..next(4) {
                    if !open_handles.is_empty() {
                        open_handles.swap_remove(next(open_handles.len())).settle(Outcome::Delivered);
                    }
                }
                seen.extend(std::iter::from_fn(|| acks.release()).map(|released| released.owed));
            }
            drop(open_handles);
            seen.extend(std::iter::from_fn(|| acks.release()).map(|released| released.owed));
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_promise_of_the_connection_before_keeps_its_turn() {
        let (mut before, mut acks) = (Acks::default(), Acks::default());
        let group = AckGroup::open(2, &AckSignal::new());
        let (first, second) = (group.handle(0), group.handle(1));
        before.expect(Owed::PubRec(id(1)), 1);
        before.expect(Owed::PubRec(id(2)), 1);
        before.open(group.clone());
        drop(before);
        let new = open(&mut acks, &[Owed::PubAck(id(9))]);
        acks.carry(Owed::PubRec(id(2)), Promise::new(&group, 1));
        acks.carry(Owed::PubRec(id(1)), Promise::new(&group, 0));
        first.settle(Outcome::Unmatched);
        second.settle(Outcome::Delivered);
        assert_eq!(acks.release(), None);
        drop(new);
        let released: Vec<_> = std::iter::from_fn(|| acks.release()).collect();
        let settled = |owed, outcome| Released { owed, verdict: Verdict::Settled(outcome) };
        assert_eq!(
            released,
            [
                settled(Owed::PubAck(id(9)), Outcome::Failed),
                settled(Owed::PubRec(id(2)), Outcome::Delivered),
                settled(Owed::PubRec(id(1)), Outcome::Unmatched),
            ]
        );
        assert_eq!((acks.len(), acks.owed(), acks.carried.len()), (0, 0, 0));
    }

    #[test]
    fn a_drained_queue_gives_its_memory_back() {
        let mut acks = Acks::default();
        drop(open(&mut acks, &vec![Owed::Nothing; 1000]));
        while acks.release().is_some() {}
        assert!(acks.entries.capacity() <= IDLE_CAPACITY);
    }
}
