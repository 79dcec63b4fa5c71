//! The send window of one action: what librdkafka holds, what waits in front of it, and who is owed an answer.
//!
//! Pure bookkeeping, without locks, clocks or Kafka. A record is in exactly one place: `in_flight`, under its ticket, or
//! `waiting`, in order. Once something waits, everything that comes later waits behind it, so order per client holds.

use std::collections::VecDeque;
use std::time::Instant;

use super::config::OnFull;
use super::native::Ticket;
use crate::ack::{AckHandle, Outcome};
use crate::ledger::Charge;
use crate::message::Record;

/// A record with all that hangs on it.
#[derive(Debug)]
pub struct Draft {
    pub record: Record,
    pub ack: AckHandle,
    pub charge: Charge,
}

impl Draft {
    /// Bytes that Kafka gets of it.
    pub(super) fn weight(&self) -> usize {
        let part = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
        let headers: usize = self.record.headers.iter().map(|(name, value)| name.len() + part(value)).sum();
        part(&self.record.key) + part(&self.record.value) + headers
    }
}

/// What is kept of a record while Kafka has it.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) ack: AckHandle,
    pub(super) charge: Charge,
    weight: usize,
}

/// A record in front of librdkafka.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) draft: Draft,
    pub(super) since: Instant,
    weight: usize,
}

/// The bounds of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) in_flight: usize,
    pub(super) in_flight_bytes: usize,
    /// Beyond this `on_full` decides.
    pub(super) waiting_bytes: usize,
    pub(super) on_full: OnFull,
    /// `ack = received`: the promise is kept as soon as the record is within the limits.
    pub(super) received_is_enough: bool,
}

/// What became of a record that came when the window was full.
#[derive(Debug)]
pub(super) enum Admission {
    Waits,
    /// It does not fit; `on_full` says what its publisher hears.
    Full(Draft),
    /// It waits, and these older ones had to go for it.
    Displaced(Vec<Draft>),
}

#[derive(Debug)]
pub(super) struct Window {
    limits: Limits,
    in_flight: Vec<Option<InFlight>>,
    free: Vec<u32>,
    in_flight_bytes: usize,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
}

impl Window {
    pub(super) fn new(limits: Limits) -> Window {
        Window {
            limits,
            in_flight: Vec::new(),
            free: Vec::new(),
            in_flight_bytes: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Records that Kafka has and has not answered.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len() - self.free.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight() == 0
    }

    /// Whether a record of `weight` bytes may go to Kafka now; one record may, whatever its size.
    fn has_room(&self, weight: usize) -> bool {
        let count = self.in_flight();
        count == 0 || (count < self.limits.in_flight && self.in_flight_bytes + weight <= self.limits.in_flight_bytes)
    }

    /// Takes a place for `draft` in flight and gives its record to send; or gives it back when it has to wait.
    // The draft comes back by value on purpose: boxing it would cost an allocation where records wait.
    #[allow(clippy::result_large_err)]
    pub(super) fn reserve(&mut self, draft: Draft) -> Result<(Ticket, Record), Draft> {
        let weight = draft.weight();
        if !self.waiting.is_empty() || !self.has_room(weight) {
            return Err(draft);
        }
        Ok(self.place(draft, weight))
    }

    fn place(&mut self, mut draft: Draft, weight: usize) -> (Ticket, Record) {
        self.in_flight_bytes += weight;
        self.keep_promise(&mut draft);
        let entry = Some(InFlight { ack: draft.ack, charge: draft.charge, weight });
        let index = match self.free.pop() {
            Some(index) => {
                self.in_flight[index as usize] = entry;
                index as usize
            }
            None => {
                self.in_flight.push(entry);
                self.in_flight.len() - 1
            }
        };
        // Zero would be librdkafka's null.
        (Ticket(index + 1), draft.record)
    }

    fn keep_promise(&self, draft: &mut Draft) {
        if self.limits.received_is_enough {
            std::mem::replace(&mut draft.ack, AckHandle::detached()).settle(Outcome::Delivered);
        }
    }

    /// Ends the flight of `ticket`. `None` for one that is not in flight, which says that librdkafka reported twice.
    pub(super) fn land(&mut self, ticket: Ticket) -> Option<InFlight> {
        let index = ticket.0.checked_sub(1)?;
        let entry = self.in_flight.get_mut(index)?.take()?;
        self.free.push(index as u32);
        self.in_flight_bytes -= entry.weight;
        if self.free.len() == self.in_flight.len() && self.in_flight.len() > 1024 {
            self.in_flight = Vec::new();
            self.free = Vec::new();
        }
        Some(entry)
    }

    /// Lines `draft` up behind what waits, as far as `on_full` lets it.
    /// Beyond the limit with `on_full = block` a record waits unacknowledged, which is what stops its client.
    pub(super) fn admit(&mut self, mut draft: Draft, now: Instant) -> Admission {
        let weight = draft.weight();
        let buffered = self.waiting_bytes + weight <= self.limits.waiting_bytes || self.waiting.is_empty();
        let mut displaced = Vec::new();
        if !buffered {
            match self.limits.on_full {
                // Nobody waits for an event or a will, so that nothing would stop more of them from coming.
                OnFull::Block if draft.ack.is_detached() => return Admission::Full(draft),
                OnFull::Block => {}
                OnFull::Reject | OnFull::DropNewest => return Admission::Full(draft),
                OnFull::DropOldest => {
                    while self.waiting_bytes + weight > self.limits.waiting_bytes
                        && let Some(oldest) = self.pop_waiting()
                    {
                        displaced.push(oldest.draft);
                    }
                }
            }
        }
        if buffered || !displaced.is_empty() {
            self.keep_promise(&mut draft);
        }
        self.waiting_bytes += weight;
        self.waiting.push_back(Waiting { draft, since: now, weight });
        if displaced.is_empty() { Admission::Waits } else { Admission::Displaced(displaced) }
    }

    /// Takes a record that librdkafka would not have at the moment back to the head of the line. To be called for the
    /// last of several first, so that they keep their order. Nothing happens for a ticket that is not in flight.
    pub(super) fn put_back(&mut self, ticket: Ticket, record: Record, now: Instant) {
        let Some(InFlight { ack, charge, weight }) = self.land(ticket) else { return };
        self.waiting_bytes += weight;
        self.waiting.push_front(Waiting { draft: Draft { record, ack, charge }, since: now, weight });
    }

    fn pop_waiting(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        self.waiting_bytes -= first.weight;
        Some(first)
    }

    /// The next waiting record if there is room for it in flight, or if `overdue` says that it waited too long.
    pub(super) fn next(&mut self, overdue: impl FnOnce(Instant) -> bool) -> Option<Next> {
        let first = self.waiting.front()?;
        if overdue(first.since) {
            return self.pop_waiting().map(|waiting| Next::Overdue(waiting.draft));
        }
        if !self.has_room(first.weight) {
            return None;
        }
        let Waiting { draft, weight, .. } = self.pop_waiting()?;
        let (ticket, record) = self.place(draft, weight);
        Some(Next::Send(ticket, record))
    }

    /// Everything that waits, for the end.
    pub(super) fn take_waiting(&mut self) -> Vec<Draft> {
        self.waiting_bytes = 0;
        self.waiting.drain(..).map(|waiting| waiting.draft).collect()
    }
}

/// What to do with the first waiting record.
pub(super) enum Next {
    Send(Ticket, Record),
    Overdue(Draft),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::{AckGroup, AckSignal};
    use crate::ledger::Ledger;
    use std::sync::Arc;

    fn draft(ledger: &Arc<Ledger>, name: &str, bytes: usize) -> Draft {
        ledger.accept(1);
        let record = Record { topic: name.into(), value: Some(vec![0; bytes].into()), ..Record::default() };
        Draft { record, ack: AckHandle::detached(), charge: ledger.charge() }
    }

    fn window(on_full: OnFull) -> (Window, Arc<Ledger>) {
        let limits =
            Limits { in_flight: 2, in_flight_bytes: 100, waiting_bytes: 50, on_full, received_is_enough: false };
        (Window::new(limits), Arc::default())
    }

    fn topics(drafts: &[Draft]) -> Vec<&str> {
        drafts.iter().map(|draft| &*draft.record.topic).collect()
    }

    #[test]
    fn order_holds_over_the_edge_of_the_window() {
        let (mut window, ledger) = window(OnFull::Block);
        let (first, _) = window.reserve(draft(&ledger, "a", 1)).unwrap();
        window.reserve(draft(&ledger, "b", 1)).unwrap();
        for name in ["c", "d"] {
            let waits = window.reserve(draft(&ledger, name, 1)).unwrap_err();
            assert!(matches!(window.admit(waits, Instant::now()), Admission::Waits));
        }
        assert!(window.next(|_| false).is_none());
        window.land(first).unwrap();
        // There is room again, but `e` must not overtake `c`.
        assert!(window.reserve(draft(&ledger, "e", 1)).is_err());
        let Some(Next::Send(_, record)) = window.next(|_| false) else { panic!("c has room") };
        assert_eq!(&*record.topic, "c");
        assert!(window.land(first).is_some(), "the freed place was used again");
        assert!(window.land(first).is_none(), "a second report of one ticket is noticed");
    }

    #[test]
    fn bytes_bound_the_window_but_one_record_always_goes() {
        let (mut window, ledger) = window(OnFull::Block);
        window.reserve(draft(&ledger, "large", 1000)).unwrap();
        assert!(window.reserve(draft(&ledger, "small", 1)).is_err());
    }

    #[test]
    fn each_policy_has_its_own_victim() {
        for policy in [OnFull::Block, OnFull::Reject, OnFull::DropNewest, OnFull::DropOldest] {
            let (mut window, ledger) = window(policy);
            let now = Instant::now();
            let group = AckGroup::open(1, &AckSignal::new());
            assert!(matches!(window.admit(draft(&ledger, "old", 40), now), Admission::Waits));
            let new = Draft { ack: group.handle(0), ..draft(&ledger, "new", 40) };
            match (policy, window.admit(new, now)) {
                (OnFull::Block, Admission::Waits) => assert_eq!(window.waiting(), 2),
                (OnFull::Reject | OnFull::DropNewest, Admission::Full(victim)) => {
                    assert_eq!(&*victim.record.topic, "new")
                }
                (OnFull::DropOldest, Admission::Displaced(victims)) => {
                    assert_eq!(topics(&victims), ["old"]);
                    assert_eq!(window.waiting_bytes(), 40);
                }
                (policy, other) => panic!("{policy:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_nobody_waits_for_does_not_pile_up_beyond_the_limit() {
        let (mut window, ledger) = window(OnFull::Block);
        let now = Instant::now();
        assert!(matches!(window.admit(draft(&ledger, "event", 40), now), Admission::Waits));
        assert!(matches!(window.admit(draft(&ledger, "another", 40), now), Admission::Full(_)));
        assert_eq!(window.waiting(), 1);
    }

    #[test]
    fn what_librdkafka_would_not_take_keeps_its_place() {
        let (mut window, ledger) = window(OnFull::Block);
        let sent: Vec<_> = ["a", "b"].map(|name| window.reserve(draft(&ledger, name, 1)).unwrap()).into();
        assert!(matches!(window.admit(draft(&ledger, "c", 1), Instant::now()), Admission::Waits));
        for (ticket, record) in sent.into_iter().rev() {
            window.put_back(ticket, record, Instant::now());
        }
        assert_eq!(topics(&window.take_waiting()), ["a", "b", "c"]);
    }

    #[test]
    fn received_is_told_within_the_limit_only() {
        let limits = Limits {
            in_flight: 1,
            in_flight_bytes: 100,
            waiting_bytes: 50,
            on_full: OnFull::Block,
            received_is_enough: true,
        };
        let (mut window, ledger) = (Window::new(limits), Arc::default());
        let group = AckGroup::open(4, &AckSignal::new());
        for (slot, bytes) in [(0, 10), (1, 40), (2, 40), (3, 1)] {
            let draft = Draft { ack: group.handle(slot), ..draft(&ledger, "t", bytes) };
            if let Err(draft) = window.reserve(draft) {
                assert!(matches!(window.admit(draft, Instant::now()), Admission::Waits));
            }
        }
        let told: Vec<_> = (0..4).map(|slot| group.outcome(slot)).collect();
        assert_eq!(told, [Some(Outcome::Delivered), Some(Outcome::Delivered), None, None]);
    }

    #[test]
    fn what_waited_too_long_is_not_sent() {
        let (mut window, ledger) = window(OnFull::Block);
        assert!(matches!(window.admit(draft(&ledger, "late", 1), Instant::now()), Admission::Waits));
        assert!(matches!(window.next(|_| true), Some(Next::Overdue(_))));
        assert!(window.is_idle());
    }
}
