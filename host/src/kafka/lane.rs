//! One partition's line in front of librdkafka: one batch of it is on its way at a time, the next one gathers here.
//!
//! Why not hand everything over: an idempotent librdkafka producer keeps one request in flight for a partition, and while
//! more records wait behind it inside, its broker thread polls without pause until the answer is there. Gathering the next
//! batch here costs nothing and makes it larger.
//!
//! Pure bookkeeping: no lock, no clock, no Kafka.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::draft::Draft;

/// A record in front of librdkafka.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) draft: Draft,
    pub(super) since: Instant,
    pub(super) weight: usize,
}

/// What ends a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// How long after its first record a batch takes more: as long as librdkafka lingers.
    pub(super) open_for: Duration,
    /// Bytes of key, value and headers.
    pub(super) batch_bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    in_flight: usize,
    /// Of the batch on its way: when its first record was handed over, and its bytes.
    opened: Option<Instant>,
    batch_bytes: usize,
    /// Somebody hands waiting records over at this moment; nothing may pass them.
    handing_over: bool,
}

impl Lane {
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether another record may join the batch that gathers in librdkafka, or begin one. Without a gate: whenever
    /// nobody is ahead.
    pub(super) fn takes(&self, gate: Option<Gate>, now: Instant) -> bool {
        !self.handing_over
            && match (gate, self.opened) {
                (Some(gate), Some(opened)) => now <= opened + gate.open_for && self.batch_bytes < gate.batch_bytes,
                _ => true,
            }
    }

    /// Counts a record that is handed over.
    pub(super) fn depart(&mut self, weight: usize, now: Instant) {
        self.in_flight += 1;
        self.batch_bytes += weight;
        self.opened.get_or_insert(now);
    }

    /// Counts one that was answered, or did not go after all.
    pub(super) fn arrive(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.opened = None;
            self.batch_bytes = 0;
        }
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.waiting_bytes += waiting.weight;
        self.waiting.push_back(waiting);
    }

    /// Back to the head of the line.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.waiting_bytes += waiting.weight;
        self.waiting.push_front(waiting);
    }

    pub(super) fn first(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        self.waiting_bytes -= first.weight;
        Some(first)
    }

    pub(super) fn begin_hand_over(&mut self) {
        self.handing_over = true;
    }

    pub(super) fn end_hand_over(&mut self) {
        self.handing_over = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATE: Option<Gate> = Some(Gate { open_for: Duration::from_millis(5), batch_bytes: 100 });

    #[test]
    fn a_batch_takes_more_until_its_time_or_its_bytes_are_up() {
        let (mut lane, start) = (Lane::default(), Instant::now());
        lane.depart(60, start);
        assert!(lane.takes(GATE, start + Duration::from_millis(4)));
        assert!(!lane.takes(GATE, start + Duration::from_millis(6)));
        lane.depart(40, start + Duration::from_millis(1));
        assert!(!lane.takes(GATE, start + Duration::from_millis(2)), "the bytes are up");
        assert!(lane.takes(None, start + Duration::from_secs(1)), "without a gate nothing ends a batch");
    }

    #[test]
    fn the_next_batch_begins_when_the_last_record_is_answered() {
        let (mut lane, start) = (Lane::default(), Instant::now());
        let later = start + Duration::from_secs(1);
        lane.depart(1, start);
        lane.depart(1, start);
        lane.arrive();
        assert!(!lane.takes(GATE, later));
        lane.arrive();
        assert!(lane.takes(GATE, later));
    }

    #[test]
    fn nothing_passes_records_that_are_being_handed_over() {
        let mut lane = Lane::default();
        lane.begin_hand_over();
        assert!(!lane.takes(None, Instant::now()));
        lane.end_hand_over();
        assert!(lane.takes(None, Instant::now()));
    }
}
