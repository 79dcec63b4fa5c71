//! The send window of one action: what librdkafka holds, what waits in front of it, and who is owed an answer.
//!
//! Pure bookkeeping, without locks, clocks or Kafka. A record is in exactly one place: in flight, under its ticket, or in
//! the line of its partition (`lane.rs`). Once something waits in a line, everything that comes later for the partition
//! waits behind it, so order per key, and per client, holds. A partition that has no leader holds up nobody else.
//!
//! Lane 0 is for records whose partition librdkafka chooses: of topics that a template names, and before the number of
//! partitions is known. Lane n + 1 is partition n.

use std::time::Instant;

use super::config::{OnFull, PartitionStrategy};
use super::draft::Draft;
use super::lane::{Gate, Lane, Waiting};
use super::native::Ticket;
use super::partition;
use crate::ack::{AckHandle, Outcome};
use crate::ledger::Charge;
use crate::message::Record;

/// What is kept of a record while Kafka has it.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) ack: AckHandle,
    pub(super) charge: Charge,
    weight: usize,
    lane: LaneId,
}

/// The index of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneId(u32);

impl LaneId {
    const UNASSIGNED: LaneId = LaneId(0);

    fn of_partition(partition: usize) -> LaneId {
        LaneId(partition as u32 + 1)
    }

    fn index(self) -> usize {
        self.0 as usize
    }

    /// The number of the partition; `None` when librdkafka chooses it.
    fn partition(self) -> Option<i32> {
        self.0.checked_sub(1).map(|partition| partition as i32)
    }
}

/// A record that librdkafka is to get now.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) ticket: Ticket,
    pub(super) record: Record,
    pub(super) partition: Option<i32>,
}

/// Records of one line to hand over, in order; nothing passes them until [`Window::end_run`].
#[derive(Debug)]
pub(super) struct Run {
    lane: LaneId,
    pub(super) departures: Vec<Departure>,
}

/// The bounds of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) in_flight: usize,
    pub(super) in_flight_bytes: usize,
    /// Of one partition. Beyond this `on_full` decides.
    pub(super) waiting_bytes: usize,
    pub(super) on_full: OnFull,
    /// `ack = received`: the promise is kept as soon as the record is within the limits.
    pub(super) received_is_enough: bool,
    pub(super) strategy: PartitionStrategy,
    pub(super) gate: Gate,
}

/// What became of a record that came.
#[derive(Debug)]
#[must_use]
pub(super) enum Admission {
    /// It goes now, or it waits.
    Taken,
    /// It does not fit; `on_full` says what its publisher hears.
    Full(Draft),
    /// It waits, and these older ones had to go for it.
    Displaced(Vec<Draft>),
}

/// Records of a run at most: between runs the clock is read, which ends the batch in time.
const RUN: usize = 512;
/// Records without a key that join a line whose batch is closed before another line is looked for.
const STICKY: usize = 16;

#[derive(Debug)]
pub(super) struct Window {
    limits: Limits,
    in_flight: Vec<Option<InFlight>>,
    free: Vec<u32>,
    in_flight_bytes: usize,
    /// Never empty.
    lanes: Vec<Lane>,
    /// Whether each partition has a leader.
    available: Vec<bool>,
    /// The lines are laid out anew for these partitions as soon as nothing is in flight; until then all wait.
    relay: Option<Vec<bool>>,
    waiting: usize,
    /// Where records without a key go, and how many more of them.
    sticky: (usize, usize),
    /// The line that is looked at first, so that none waits for the others forever.
    turn: usize,
}

impl Window {
    pub(super) fn new(limits: Limits) -> Window {
        Window {
            limits,
            in_flight: Vec::new(),
            free: Vec::new(),
            in_flight_bytes: 0,
            lanes: vec![Lane::default()],
            available: Vec::new(),
            relay: None,
            waiting: 0,
            sticky: (0, STICKY),
            turn: 0,
        }
    }

    /// Records that Kafka has and has not answered.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len() - self.free.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.lanes.iter().map(Lane::waiting_bytes).sum()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0 && self.in_flight() == 0
    }

    /// Says how many partitions the topic has and which of them have a leader; none when nobody knows.
    /// After a change of the number all records first wait for what is in flight, so that none of a key overtakes another.
    pub(super) fn set_partitions(&mut self, available: &[bool]) {
        if self.relay.is_none() && available.len() == self.available.len() {
            self.available = available.to_vec();
        } else {
            self.relay = Some(available.to_vec());
            self.lay_out();
        }
    }

    /// Lays the lines out anew if that was asked for and nothing is in flight.
    fn lay_out(&mut self) {
        if self.in_flight() > 0 {
            return;
        }
        let Some(available) = self.relay.take() else { return };
        // Lane 0 has what came last.
        self.lanes.rotate_left(1);
        let lanes = std::mem::take(&mut self.lanes);
        self.lanes.resize_with(available.len() + 1, Lane::default);
        self.available = available;
        for mut lane in lanes {
            while let Some(waiting) = lane.pop() {
                let to = self.lane_of(waiting.draft.record.key.as_deref(), waiting.since);
                self.lanes[to.index()].push(waiting);
            }
        }
    }

    /// The line for a record with this key.
    fn lane_of(&mut self, key: Option<&[u8]>, now: Instant) -> LaneId {
        let count = self.available.len();
        if count == 0 || self.relay.is_some() {
            return LaneId::UNASSIGNED;
        }
        match (self.limits.strategy, key) {
            (PartitionStrategy::KeyDispatch, Some(key)) => LaneId::of_partition(partition::of_key(key, count)),
            _ => self.any_lane(now),
        }
    }

    /// For a record without a key: the same line as the one before while its batch takes more, and a few beyond that;
    /// then the next that is free and has a leader, or else the next that has one.
    fn any_lane(&mut self, now: Instant) -> LaneId {
        let (count, gate) = (self.available.len(), Some(self.limits.gate));
        let (current, left) = self.sticky;
        let current = current % count;
        let usable = |partition: &usize| self.available[*partition];
        let free = |partition: &usize| {
            let lane = &self.lanes[partition + 1];
            lane.waiting() == 0 && lane.takes(gate, now)
        };
        self.sticky = if usable(&current) && free(&current) {
            (current, STICKY)
        } else if usable(&current) && left > 0 {
            (current, left - 1)
        } else {
            let others = (current + 1..=current + count).map(|partition| partition % count).filter(usable);
            (others.clone().find(free).or_else(|| others.clone().next()).unwrap_or(current), STICKY)
        };
        LaneId::of_partition(self.sticky.0)
    }

    fn gate(&self, lane: LaneId) -> Option<Gate> {
        lane.partition().map(|_| self.limits.gate)
    }

    /// Whether a record of `weight` bytes may go to Kafka now; one record may, whatever its size.
    fn has_room(&self, weight: usize) -> bool {
        let count = self.in_flight();
        count == 0 || (count < self.limits.in_flight && self.in_flight_bytes + weight <= self.limits.in_flight_bytes)
    }

    fn may_go(&self, lane: LaneId, weight: usize, now: Instant) -> bool {
        self.relay.is_none() && self.lanes[lane.index()].takes(self.gate(lane), now) && self.has_room(weight)
    }

    /// Takes `draft` in: it goes at once, and is pushed to `departures`, or it lines up as far as `on_full` lets it.
    /// Beyond the limit with `on_full = block` a record waits unacknowledged, which is what stops its client.
    pub(super) fn take(&mut self, draft: Draft, now: Instant, departures: &mut Vec<Departure>) -> Admission {
        let lane = self.lane_of(draft.record.key.as_deref(), now);
        let weight = draft.record.bytes();
        if self.lanes[lane.index()].waiting() == 0 && self.may_go(lane, weight, now) {
            departures.push(self.depart(lane, draft, weight, now));
            return Admission::Taken;
        }
        self.admit(lane, draft, weight, now)
    }

    fn depart(&mut self, lane: LaneId, mut draft: Draft, weight: usize, now: Instant) -> Departure {
        self.in_flight_bytes += weight;
        self.lanes[lane.index()].depart(weight, now);
        self.keep_promise(&mut draft);
        let entry = Some(InFlight { ack: draft.ack, charge: draft.charge, weight, lane });
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
        Departure { ticket: Ticket(index + 1), record: draft.record, partition: lane.partition() }
    }

    fn keep_promise(&self, draft: &mut Draft) {
        if self.limits.received_is_enough {
            std::mem::replace(&mut draft.ack, AckHandle::detached()).settle(Outcome::Delivered);
        }
    }

    fn admit(&mut self, lane: LaneId, mut draft: Draft, weight: usize, now: Instant) -> Admission {
        let limit = self.limits.waiting_bytes;
        let line = &mut self.lanes[lane.index()];
        let buffered = line.waiting_bytes() + weight <= limit || line.waiting() == 0;
        let mut displaced = Vec::new();
        if !buffered {
            match self.limits.on_full {
                // Nobody waits for an event or a will, so that nothing would stop more of them from coming.
                OnFull::Block if draft.ack.is_detached() => return Admission::Full(draft),
                OnFull::Block => {}
                OnFull::Reject | OnFull::DropNewest => return Admission::Full(draft),
                OnFull::DropOldest => {
                    while line.waiting_bytes() + weight > limit
                        && let Some(oldest) = line.pop()
                    {
                        displaced.push(oldest.draft);
                    }
                }
            }
        }
        self.waiting -= displaced.len();
        if buffered || !displaced.is_empty() {
            self.keep_promise(&mut draft);
        }
        self.waiting += 1;
        self.lanes[lane.index()].push(Waiting { draft, since: now, weight });
        if displaced.is_empty() { Admission::Taken } else { Admission::Displaced(displaced) }
    }

    /// Ends the flight of `ticket`. `None` for one that is not in flight, which says that librdkafka reported twice.
    pub(super) fn land(&mut self, ticket: Ticket) -> Option<InFlight> {
        let index = ticket.0.checked_sub(1)?;
        let entry = self.in_flight.get_mut(index)?.take()?;
        self.free.push(index as u32);
        self.in_flight_bytes -= entry.weight;
        if let Some(lane) = self.lanes.get_mut(entry.lane.index()) {
            lane.arrive();
        }
        if self.free.len() == self.in_flight.len() {
            if self.in_flight.len() > 1024 {
                self.in_flight = Vec::new();
                self.free = Vec::new();
            }
            self.lay_out();
        }
        Some(entry)
    }

    /// Takes a record that librdkafka would not have at the moment back to the head of its line. To be called for the
    /// last of several first, so that they keep their order. Nothing happens for a ticket that is not in flight.
    pub(super) fn put_back(&mut self, departure: Departure, now: Instant) {
        // The line first: landing the last record may lay the lines out anew.
        let Departure { ticket, record, .. } = departure;
        let relay = self.relay.take();
        let landed = self.land(ticket);
        self.relay = relay;
        if let Some(InFlight { ack, charge, weight, lane }) = landed {
            self.waiting += 1;
            self.lanes[lane.index()].put_back(Waiting { draft: Draft { record, ack, charge }, since: now, weight });
        }
        self.lay_out();
    }

    /// Takes those that `overdue` says waited too long out of the lines.
    pub(super) fn take_overdue(&mut self, overdue: impl Fn(Instant) -> bool) -> Vec<Draft> {
        let mut late = Vec::new();
        for lane in &mut self.lanes {
            while lane.first().is_some_and(|first| overdue(first.since)) {
                late.extend(lane.pop().map(|waiting| waiting.draft));
            }
        }
        self.waiting -= late.len();
        late
    }

    /// The next records that may go from one line, in order; `None` when no line may send.
    pub(super) fn begin_run(&mut self, now: Instant) -> Option<Run> {
        if self.waiting == 0 {
            return None;
        }
        for _ in 0..self.lanes.len() {
            self.turn = (self.turn + 1) % self.lanes.len();
            let lane = LaneId(self.turn as u32);
            let mut departures = Vec::new();
            while departures.len() < RUN
                && let Some(first) = self.lanes[lane.index()].first()
                && self.may_go(lane, first.weight, now)
                && let Some(Waiting { draft, weight, .. }) = self.lanes[lane.index()].pop()
            {
                self.waiting -= 1;
                departures.push(self.depart(lane, draft, weight, now));
            }
            if !departures.is_empty() {
                self.lanes[lane.index()].begin_hand_over();
                return Some(Run { lane, departures });
            }
        }
        None
    }

    /// Ends the hand-over of a run; what is left of it was not sent and goes back to the head of its line.
    pub(super) fn end_run(&mut self, mut run: Run, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(run.lane.index()) {
            lane.end_hand_over();
        }
        while let Some(departure) = run.departures.pop() {
            self.put_back(departure, now);
        }
    }

    /// Everything that waits, for the end.
    pub(super) fn take_waiting(&mut self) -> Vec<Draft> {
        self.waiting = 0;
        let mut all = Vec::new();
        for lane in &mut self.lanes {
            all.extend(std::iter::from_fn(|| lane.pop()).map(|waiting| waiting.draft));
        }
        all
    }
}

#[cfg(test)]
mod tests;
