//! How many peers may be between connecting and CONNECT at one time, and who gives way when there are more.
//!
//! A full house is no reason to let nobody in: whoever has kept a place for [`PATIENCE`] without a whole CONNECT loses it
//! to the next. A peer whose CONNECT is there keeps its place, for it may be us, or a service that we ask, who take long.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long a place is safe without CONNECT. TLS and WebSocket over a satellite take less.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The places of one listener.
#[derive(Debug)]
pub struct Handshakes {
    free: Arc<Semaphore>,
    most: usize,
    patience: Duration,
    /// Who has a place, in the order of coming; some are through.
    order: VecDeque<(Instant, Weak<Wait>)>,
}

/// The state of one that has a place.
#[derive(Debug, Default)]
struct Wait {
    /// CONNECT is there, or the place was given away: whatever came first.
    over: AtomicBool,
    leave: Notify,
}

/// A place; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    waiting: Waiting,
    _permit: OwnedSemaphorePermit,
}

/// What the reader of CONNECT knows of its place.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Wait>);

impl Handshakes {
    #[must_use]
    pub fn new(most: usize, patience: Duration) -> Handshakes {
        let most = most.min(Semaphore::MAX_PERMITS);
        Handshakes { free: Arc::new(Semaphore::new(most)), most, patience, order: VecDeque::new() }
    }

    /// A place for one that has just connected, as soon as there is one.
    pub async fn place(&mut self) -> Option<Place> {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.next_free().await?,
        };
        let waiting = Waiting::default();
        if self.order.len() >= self.most.saturating_mul(2) {
            self.order.retain(|(_, wait)| wait.strong_count() > 0);
        }
        self.order.push_back((Instant::now(), Arc::downgrade(&waiting.0)));
        Some(Place { waiting, _permit: permit })
    }

    /// `None` never comes: nobody closes the semaphore.
    async fn next_free(&mut self) -> Option<OwnedSemaphorePermit> {
        let next = self.free.clone().acquire_owned();
        tokio::pin!(next);
        while let Some((since, oldest)) = self.order.front() {
            if let Some(oldest) = oldest.upgrade().filter(|oldest| !oldest.is_over()) {
                tokio::select! {
                    biased;
                    permit = &mut next => return permit.ok(),
                    () = tokio::time::sleep_until((*since + self.patience).into()) => {}
                }
                if oldest.end() {
                    oldest.leave.notify_one();
                    self.order.pop_front();
                    break;
                }
            }
            self.order.pop_front();
        }
        next.await.ok()
    }
}

impl Wait {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether it was waiting until now.
    fn end(&self) -> bool {
        !self.over.swap(true, Ordering::Relaxed)
    }
}

impl Place {
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.waiting.clone()
    }

    /// Resolves when the place is wanted for another; then it is to be dropped.
    pub async fn lost(&self) {
        self.waiting.0.leave.notified().await;
    }
}

impl Waiting {
    /// CONNECT is there.
    pub fn heard(&self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn the_one_that_waits_longest_gives_way() {
        let mut all = Handshakes::new(2, SOON);
        let first = all.place().await.unwrap();
        let second = all.place().await.unwrap();
        let (third, ()) = tokio::join!(all.place(), async {
            first.lost().await;
            drop(first);
        });
        let third = third.unwrap();
        assert!(!second.waiting.0.is_over() && !third.waiting.0.is_over());
    }

    #[tokio::test]
    async fn nobody_gives_way_before_its_time_or_after_its_connect() {
        for (patience, heard) in [(NEVER, false), (Duration::ZERO, true)] {
            let mut all = Handshakes::new(1, patience);
            let first = all.place().await.unwrap();
            if heard {
                first.waiting().heard();
            }
            assert!(tokio::time::timeout(SOON, all.place()).await.is_err());
            assert!(tokio::time::timeout(Duration::ZERO, first.lost()).await.is_err());
            drop(first);
            assert!(all.place().await.is_some());
        }
    }

    #[tokio::test]
    async fn those_that_are_through_are_forgotten() {
        let mut all = Handshakes::new(4, NEVER);
        let _stays = all.place().await.unwrap();
        for _ in 0..1000 {
            drop(all.place().await.unwrap());
        }
        assert!(all.order.len() <= 8, "{}", all.order.len());
    }
}
