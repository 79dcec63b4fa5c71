//! Things to do later, in order of time, each of which can be cancelled: delayed wills, ends of sessions.
//!
//! Pure: whoever runs it brings the clock. A cancelled entry leaves nothing behind.

use std::collections::BTreeMap;
use std::time::Instant;

/// Names one entry, for cancelling it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadlineKey(Instant, u64);

/// Entries by time.
#[derive(Debug)]
pub struct Deadlines<T> {
    entries: BTreeMap<DeadlineKey, T>,
    sequence: u64,
}

impl<T> Default for Deadlines<T> {
    fn default() -> Deadlines<T> {
        Deadlines { entries: BTreeMap::new(), sequence: 0 }
    }
}

impl<T> Deadlines<T> {
    pub fn schedule(&mut self, at: Instant, entry: T) -> DeadlineKey {
        self.sequence += 1;
        let key = DeadlineKey(at, self.sequence);
        self.entries.insert(key, entry);
        key
    }

    pub fn cancel(&mut self, key: DeadlineKey) {
        self.entries.remove(&key);
    }

    /// The next entry that is due at `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        let first = self.entries.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When to look again.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|(key, _)| key.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn entries_come_in_order_and_cancelled_ones_never() {
        let start = Instant::now();
        let at = |n| start + Duration::from_secs(n);
        let mut deadlines = Deadlines::default();
        deadlines.schedule(at(3), "c");
        let cancelled = deadlines.schedule(at(1), "x");
        deadlines.schedule(at(1), "a");
        deadlines.schedule(at(1), "b");
        deadlines.cancel(cancelled);
        assert_eq!(deadlines.next(), Some(at(1)));
        assert_eq!(deadlines.pop_due(at(0)), None);
        let due: Vec<_> = std::iter::from_fn(|| deadlines.pop_due(at(2))).collect();
        assert_eq!(due, ["a", "b"]);
        assert_eq!(deadlines.next(), Some(at(3)));
    }
}
