//! The promise to a publisher, as a value that travels with its message.
//!
//! A connection opens one [`AckGroup`] for the messages of one socket read and gives each message an [`AckHandle`].
//! Whoever sends the message down several ways branches the handle; whoever knows what became of a branch settles it.
//! When the last branch of a message is settled the slot holds the worst outcome, and the connection is woken.
//!
//! Invariants:
//! - A handle that is dropped unsettled means [`Outcome::Failed`]: losing a promise never looks like keeping it.
//! - A slot settles exactly once, after all its branches; it is never reopened.
//! - Inside [`run`] wake-ups are held back to the end, so a batch of delivery reports wakes each connection once.
//!
//! This module must never wait, allocate per message, or know what a packet is.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Why a message was refused. The device is told, in MQTT 5, by the PUBACK or PUBREC reason code of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Refusal {
    /// 0x83 Implementation specific error: a rule, a plugin or Kafka would not take it.
    ImplementationSpecific = 0,
    /// 0x87 Not authorized.
    NotAuthorized = 1,
    /// 0x97 Quota exceeded: a buffer is full and its policy is to reject.
    QuotaExceeded = 2,
    /// 0x99 Payload format invalid.
    PayloadFormatInvalid = 3,
}

impl Refusal {
    const ALL: [Refusal; 4] = [
        Refusal::ImplementationSpecific,
        Refusal::NotAuthorized,
        Refusal::QuotaExceeded,
        Refusal::PayloadFormatInvalid,
    ];
}

/// What became of one branch of a message, or, from [`AckGroup::outcome`], of all its branches together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Outcome {
    /// Nobody wanted it: no rule and no subscriber (0x10 in MQTT 5).
    Unmatched,
    /// It is where the action's `ack` level asks for.
    Delivered,
    /// It will not be taken, and the device should know why.
    Refused(Refusal),
    /// Nobody knows; the device must keep it and send it again.
    Failed,
}

/// A slot: 24 bits of open branches, 8 of the worst rank so far.
const COUNT_MASK: u32 = 0x00ff_ffff;
const RANK_SHIFT: u32 = 24;
const RANK_REFUSED: u32 = 2;
const RANK_FAILED: u32 = 0xff;

impl Outcome {
    /// Outcomes are ordered by how bad they are for the publisher; of several branches the worst counts.
    fn rank(self) -> u32 {
        match self {
            Outcome::Unmatched => 0,
            Outcome::Delivered => 1,
            Outcome::Refused(refusal) => RANK_REFUSED + refusal as u32,
            Outcome::Failed => RANK_FAILED,
        }
    }

    fn from_rank(rank: u32) -> Outcome {
        match rank {
            0 => Outcome::Unmatched,
            1 => Outcome::Delivered,
            _ => match Refusal::ALL.get((rank - RANK_REFUSED) as usize) {
                Some(refusal) => Outcome::Refused(*refusal),
                None => Outcome::Failed,
            },
        }
    }
}

/// Wakes the connection that waits for its acknowledgements; one for each connection.
#[derive(Debug, Default)]
pub struct AckSignal {
    raised: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl AckSignal {
    #[must_use]
    pub fn new() -> Arc<AckSignal> {
        Arc::new(AckSignal::default())
    }

    /// Ready when something settled since the last `Ready`. The caller then looks at its groups from the oldest on.
    pub fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.raised.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        let mut waker = self.waker.lock();
        match waker.as_ref() {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
        drop(waker);
        // Raised between the first look and the registration: without this second look the wake-up would be lost.
        if self.raised.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn wake(&self) {
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn raise(self: &Arc<Self>) {
        if self.raised.swap(true, Ordering::AcqRel) {
            return;
        }
        let deferred = RUN.with_borrow_mut(|held| match held {
            Some(held) => {
                held.push(self.clone());
                true
            }
            None => false,
        });
        if !deferred {
            self.wake();
        }
    }
}

thread_local! {
    static RUN: RefCell<Option<Vec<Arc<AckSignal>>>> = const { RefCell::new(None) };
}

/// Does `work`, and wakes the connections that it settled something for once, at its end (also when it panics).
pub fn run<R>(work: impl FnOnce() -> R) -> R {
    struct Flush(bool);
    impl Drop for Flush {
        fn drop(&mut self) {
            if self.0 {
                for signal in RUN.take().unwrap_or_default() {
                    signal.wake();
                }
            }
        }
    }
    let outermost = RUN.with_borrow_mut(|held| {
        let outermost = held.is_none();
        held.get_or_insert_default();
        outermost
    });
    let _flush = Flush(outermost);
    work()
}

/// The promises for the messages of one socket read, in the order of receipt.
#[derive(Debug)]
pub struct AckGroup {
    signal: Arc<AckSignal>,
    slots: Box<[AtomicU32]>,
}

impl AckGroup {
    /// Opens `len` promises; `signal` is raised as they settle. Take each handle once, with [`AckGroup::handle`].
    #[must_use]
    pub fn open(len: usize, signal: &Arc<AckSignal>) -> Arc<AckGroup> {
        Arc::new(AckGroup { signal: signal.clone(), slots: (0..len).map(|_| AtomicU32::new(1)).collect() })
    }

    /// The handle of message `slot`. To be called once for each slot; a slot out of range gives a detached handle.
    pub fn handle(self: &Arc<Self>, slot: usize) -> AckHandle {
        debug_assert!(slot < self.slots.len());
        AckHandle { group: (slot < self.slots.len()).then(|| self.clone()), slot: slot as u32 }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What became of message `slot`; `None` while a branch of it is open.
    #[must_use]
    pub fn outcome(&self, slot: usize) -> Option<Outcome> {
        let state = self.slots.get(slot)?.load(Ordering::Acquire);
        (state & COUNT_MASK == 0).then(|| Outcome::from_rank(state >> RANK_SHIFT))
    }
}

/// One branch of a promise to the publisher. Settle it; dropping it says that the message was not delivered.
#[derive(Debug)]
#[must_use = "an AckHandle that is dropped unsettled tells the publisher that its message was not delivered"]
pub struct AckHandle {
    /// `None` when nobody waits: settled, or detached from the start.
    group: Option<Arc<AckGroup>>,
    slot: u32,
}

impl AckHandle {
    /// A promise that nobody waits for: a will, an event, a message of the broker itself.
    pub fn detached() -> AckHandle {
        AckHandle { group: None, slot: 0 }
    }

    /// Whether nobody waits for it, so that nobody would be stopped by leaving it open.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.group.is_none()
    }

    /// One more way that the message takes; it must be settled too. At most 16,777,214 branches: one more is
    /// detached and fails the message, because a count that wrapped would acknowledge what is still open.
    pub fn branch(&self) -> AckHandle {
        let Some(group) = &self.group else { return AckHandle::detached() };
        let slot = &group.slots[self.slot as usize];
        let mut state = slot.load(Ordering::Relaxed);
        loop {
            let full = state & COUNT_MASK == COUNT_MASK - 1;
            let next = if full { state | (RANK_FAILED << RANK_SHIFT) } else { state + 1 };
            match slot.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if full => return AckHandle::detached(),
                Ok(_) => return AckHandle { group: Some(group.clone()), slot: self.slot },
                Err(seen) => state = seen,
            }
        }
    }

    /// Ends this branch. The last branch of a message releases its acknowledgement.
    pub fn settle(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        let Some(group) = self.group.take() else { return };
        let slot = &group.slots[self.slot as usize];
        let mut state = slot.load(Ordering::Relaxed);
        loop {
            let rank = (state >> RANK_SHIFT).max(outcome.rank());
            let next = (rank << RANK_SHIFT) | ((state & COUNT_MASK) - 1);
            match slot.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    if next & COUNT_MASK == 0 {
                        group.signal.raise();
                    }
                    return;
                }
                Err(seen) => state = seen,
            }
        }
    }
}

impl Drop for AckHandle {
    fn drop(&mut self) {
        self.finish(Outcome::Failed);
    }
}

/// For the tests of whoever settles: waits as a connection does.
#[cfg(test)]
pub mod testing {
    use std::time::{Duration, Instant};

    use super::*;

    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    /// Every outcome of `group`, as soon as all are settled; panics after half a minute.
    pub fn outcomes(group: &AckGroup) -> Vec<Outcome> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let settled: Option<Vec<_>> = (0..group.len()).map(|slot| group.outcome(slot)).collect();
            if let Some(settled) = settled {
                return settled;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not settled");
            if group.signal.poll_settled(&mut Context::from_waker(&waker)).is_pending() {
                std::thread::park_timeout(left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Counter(AtomicUsize);
    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_worst_branch_counts_and_only_the_last_one_releases() {
        let refused = Outcome::Refused(Refusal::QuotaExceeded);
        let table = [
            (vec![Outcome::Unmatched], Outcome::Unmatched),
            (vec![Outcome::Unmatched, Outcome::Delivered], Outcome::Delivered),
            (vec![refused, Outcome::Delivered], refused),
            (vec![Outcome::Failed, refused, Outcome::Delivered], Outcome::Failed),
        ];
        for (settled, expected) in table {
            let group = AckGroup::open(1, &AckSignal::new());
            let first = group.handle(0);
            let mut handles: Vec<_> = (1..settled.len()).map(|_| first.branch()).collect();
            handles.push(first);
            for (handle, outcome) in handles.into_iter().zip(settled) {
                assert_eq!(group.outcome(0), None);
                handle.settle(outcome);
            }
            assert_eq!(group.outcome(0), Some(expected));
        }
    }

    #[test]
    fn every_refusal_survives_the_slot() {
        for refusal in Refusal::ALL {
            let group = AckGroup::open(1, &AckSignal::new());
            group.handle(0).settle(Outcome::Refused(refusal));
            assert_eq!(group.outcome(0), Some(Outcome::Refused(refusal)));
        }
    }

    #[test]
    fn a_dropped_handle_is_a_failure() {
        let group = AckGroup::open(2, &AckSignal::new());
        let (lost, kept) = (group.handle(0), group.handle(1));
        drop(lost);
        kept.settle(Outcome::Delivered);
        assert_eq!((group.outcome(0), group.outcome(1)), (Some(Outcome::Failed), Some(Outcome::Delivered)));
    }

    #[test]
    fn more_branches_than_can_be_counted_fail_instead_of_wrapping() {
        for (open_before, expected) in [(0, Outcome::Delivered), (COUNT_MASK - 4, Outcome::Failed)] {
            let group = AckGroup::open(1, &AckSignal::new());
            let first = group.handle(0);
            group.slots[0].fetch_add(open_before, Ordering::Relaxed);
            let branches: Vec<_> = (0..70_000).map(|_| first.branch()).collect();
            group.slots[0].fetch_sub(open_before, Ordering::Relaxed);
            first.settle(Outcome::Delivered);
            for branch in branches {
                branch.settle(Outcome::Delivered);
            }
            assert_eq!(group.outcome(0), Some(expected));
        }
    }

    #[test]
    fn a_run_wakes_each_connection_once_and_at_its_end() {
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(counter.clone());
        let signal = AckSignal::new();
        let group = AckGroup::open(100, &signal);
        assert!(signal.poll_settled(&mut Context::from_waker(&waker)).is_pending());
        run(|| {
            for slot in 0..100 {
                run(|| group.handle(slot).settle(Outcome::Delivered));
            }
            assert_eq!(counter.0.load(Ordering::Relaxed), 0);
        });
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
        assert!(signal.poll_settled(&mut Context::from_waker(&waker)).is_ready());
        assert!(signal.poll_settled(&mut Context::from_waker(&waker)).is_pending());
    }

    #[test]
    fn settling_on_many_threads_loses_no_wake_up() {
        for _ in 0..200 {
            let counter = Arc::new(Counter::default());
            let waker = Waker::from(counter.clone());
            let signal = AckSignal::new();
            let group = AckGroup::open(4, &signal);
            let threads: Vec<_> = (0..4)
                .map(|slot| {
                    let handle = group.handle(slot);
                    std::thread::spawn(move || handle.settle(Outcome::Delivered))
                })
                .collect();
            let mut woken = 0;
            while (0..4).any(|slot| group.outcome(slot).is_none()) {
                if signal.poll_settled(&mut Context::from_waker(&waker)).is_pending() {
                    while counter.0.load(Ordering::Relaxed) == woken && (0..4).any(|s| group.outcome(s).is_none()) {
                        std::thread::yield_now();
                    }
                    woken = counter.0.load(Ordering::Relaxed);
                }
            }
            for thread in threads {
                thread.join().unwrap();
            }
            // All settled and the signal not yet taken: it must be raised, or have woken us.
            let raised = signal.poll_settled(&mut Context::from_waker(&waker)).is_ready();
            assert!(raised || counter.0.load(Ordering::Relaxed) > 0);
        }
    }
}
