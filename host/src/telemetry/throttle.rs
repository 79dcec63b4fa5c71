//! One remark in a while: what may go wrong with every message must be seen in the log, and must not fill it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Between two remarks, in milliseconds.
const EVERY: u64 = 10_000;

/// Lets the first remark through, then one in ten seconds.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When the last one went through, in milliseconds; zero for never.
    last: AtomicU64,
    held_back: AtomicU64,
}

impl Throttle {
    #[must_use]
    pub const fn new() -> Throttle {
        Throttle { last: AtomicU64::new(0), held_back: AtomicU64::new(0) }
    }

    /// How many remarks were held back before this one, if this one may be made.
    pub fn admit(&self) -> Option<u64> {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        self.admit_at(START.elapsed().as_millis() as u64 + 1)
    }

    fn admit_at(&self, now: u64) -> Option<u64> {
        let last = self.last.load(Ordering::Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= EVERY;
        if due && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return Some(self.held_back.swap(0, Ordering::Relaxed));
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_through_in_a_while_and_says_how_many_did_not() {
        let throttle = Throttle::new();
        let admitted = [1, 2, 9_000, EVERY, EVERY + 1, EVERY + 2, 3 * EVERY].map(|now| throttle.admit_at(now));
        assert_eq!(admitted, [Some(0), None, None, None, Some(3), None, Some(1)]);
    }
}
