//! Token buckets: how much may come in a time, and when there is room again. Whoever asks brings the time.
//!
//! Nothing is ever refused or lost here: over its limit a client's socket is not read, a listener does not accept. A limit
//! that is not configured is not there, so it costs one look at an empty option.

use std::time::{Duration, Instant};

use super::config::ListenerConfig;
use crate::units::Rate;

/// One limit: EMQX's `..._rate` all the time, and its `..._burst` on top while that lasts.
#[derive(Clone, Debug)]
pub struct Limit {
    steady: Bucket,
    burst: Option<Bucket>,
}

impl Limit {
    /// `None` when there is nothing to limit. It begins full.
    #[must_use]
    pub fn new(rate: Option<Rate>, burst: Option<Rate>, now: Instant) -> Option<Limit> {
        let bucket = |rate: Option<Rate>| Some(Bucket::new(rate.filter(|rate| rate.is_limited())?, now));
        Some(Limit { steady: bucket(rate)?, burst: bucket(burst) })
    }

    /// Takes `n` out: what was done is done, so this may take more than there is. The debt is waited for afterwards.
    pub fn take(&mut self, n: u64, now: Instant) {
        let (mut steady, mut burst) = self.levels(now);
        steady -= n as f64;
        if steady < 0.0 {
            let paid = burst.min(-steady);
            (steady, burst) = (steady + paid, burst - paid);
        }
        self.steady.set(steady, now);
        if let Some(bucket) = &mut self.burst {
            bucket.set(burst, now);
        }
    }

    /// When there is room for at least one more; `None` means now.
    #[must_use]
    pub fn full_until(&self, now: Instant) -> Option<Instant> {
        let steady = self.steady.level(now);
        let burst = self.burst.as_ref().map_or(0.0, |bucket| bucket.level(now));
        let missing = 1.0 - steady - burst;
        if missing <= 0.0 {
            return None;
        }
        let seconds = match &self.burst {
            None => missing / self.steady.per_second,
            Some(bucket) => {
                // Both fill; but a small burst is full before a large debt is paid, and then adds nothing.
                let both = missing / (self.steady.per_second + bucket.per_second);
                match burst + both * bucket.per_second > bucket.capacity {
                    true => (1.0 - steady - bucket.capacity) / self.steady.per_second,
                    false => both,
                }
            }
        };
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST);
        // A moment more, so that rounding never wakes anybody too early.
        Some(now + wait + Duration::from_micros(1))
    }

    /// What is in both; the burst is for the debts of the other one first.
    fn levels(&self, now: Instant) -> (f64, f64) {
        let (steady, burst) = (self.steady.level(now), self.burst.as_ref().map_or(0.0, |bucket| bucket.level(now)));
        let paid = burst.min((-steady).max(0.0));
        (steady + paid, burst - paid)
    }
}

#[derive(Clone, Debug)]
struct Bucket {
    capacity: f64,
    per_second: f64,
    /// Below zero is a debt.
    level: f64,
    at: Instant,
}

/// Nobody waits longer than this in one go.
const LONGEST: Duration = Duration::from_secs(3600);

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Bucket {
        let capacity = rate.amount as f64;
        Bucket { capacity, per_second: capacity / rate.per.duration().as_secs_f64(), level: capacity, at: now }
    }

    fn level(&self, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        (self.level + gained).min(self.capacity)
    }

    fn set(&mut self, level: f64, now: Instant) {
        (self.level, self.at) = (level, self.at.max(now));
    }
}

/// The limits of one client on what it publishes: `messages_rate` and `bytes_rate` of its listener.
#[derive(Debug)]
pub struct Throttle {
    messages: Option<Limit>,
    bytes: Option<Limit>,
    paused_until: Option<Instant>,
}

impl Throttle {
    /// `None` when the listener limits neither.
    #[must_use]
    pub fn new(listener: &ListenerConfig, now: Instant) -> Option<Box<Throttle>> {
        let messages = Limit::new(listener.messages_rate, listener.messages_burst, now);
        let bytes = listener.bytes_rate.map(|rate| rate.0);
        let bytes = Limit::new(bytes, listener.bytes_burst.map(|rate| rate.0), now);
        (messages.is_some() || bytes.is_some()).then(|| Box::new(Throttle { messages, bytes, paused_until: None }))
    }

    /// A PUBLISH was taken.
    pub fn count_message(&mut self, now: Instant) {
        if let Some(limit) = &mut self.messages {
            limit.take(1, now);
            self.paused_until = self.paused_until.max(limit.full_until(now));
        }
    }

    /// So many bytes were read.
    pub fn count_bytes(&mut self, n: usize, now: Instant) {
        if let Some(limit) = &mut self.bytes {
            limit.take(n as u64, now);
            self.paused_until = self.paused_until.max(limit.full_until(now));
        }
    }

    /// Until then nothing may be read or taken.
    #[must_use]
    pub fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Ends the pause if its time has come.
    pub fn resume(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Millis;
    use proptest::prelude::*;

    fn rate(amount: u64, millis: u64) -> Option<Rate> {
        Some(Rate { amount, per: Millis(millis) })
    }

    #[test]
    fn a_full_bucket_empties_and_fills_again() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut limit = Limit::new(rate(10, 1000), None, start).unwrap();
        for _ in 0..10 {
            assert_eq!(limit.full_until(start), None);
            limit.take(1, start);
        }
        let until = limit.full_until(start).unwrap();
        assert!(until > at(99) && until < at(102), "{:?}", until - start);
        assert_eq!(limit.full_until(at(101)), None);
        // A long quiet gives no more than one bucket.
        limit.take(10, at(60_000));
        assert!(limit.full_until(at(60_000)).is_some());
    }

    #[test]
    fn a_debt_is_waited_for_and_a_burst_comes_first() {
        let start = Instant::now();
        let mut limit = Limit::new(rate(100, 1000), None, start).unwrap();
        limit.take(300, start);
        let until = limit.full_until(start).unwrap() - start;
        assert!(until > Duration::from_millis(2000) && until < Duration::from_millis(2020), "{until:?}");

        let mut limit = Limit::new(rate(100, 1000), rate(200, 3_600_000), start).unwrap();
        limit.take(299, start);
        assert_eq!(limit.full_until(start), None, "one is left of the burst");
        limit.take(1, start);
        let until = limit.full_until(start).unwrap() - start;
        assert!(until < Duration::from_millis(20), "the steady rate goes on: {until:?}");
    }

    #[test]
    fn a_burst_that_is_full_pays_no_more_of_a_debt() {
        let start = Instant::now();
        let mut limit = Limit::new(rate(1, 9), rate(1, 1), start).unwrap();
        limit.take(7, start);
        let until = limit.full_until(start).unwrap();
        assert_eq!(limit.full_until(until), None, "{:?}", until - start);
    }

    #[test]
    fn no_limit_is_none() {
        let now = Instant::now();
        assert!(Limit::new(None, rate(1, 1), now).is_none());
        assert!(Limit::new(Some(Rate { amount: u64::MAX, per: Millis(1000) }), None, now).is_none());
    }

    proptest! {
        /// Whoever waits as told gets through, and never more than one bucket, one burst and the rate together.
        #[test]
        fn what_passes_is_bounded_and_nobody_starves(
            amount in 1_u64..1000,
            millis in 1_u64..10_000,
            burst in proptest::option::of((1_u64..1000, 1_u64..100_000)),
            steps in proptest::collection::vec((0_u64..2000, 1_u64..50), 1..200),
        ) {
            let start = Instant::now();
            let mut limit = Limit::new(rate(amount, millis), burst.and_then(|(n, ms)| rate(n, ms)), start).unwrap();
            let (mut now, mut passed, mut largest) = (start, 0_u64, 0_u64);
            for (pause, n) in steps {
                now += Duration::from_millis(pause);
                if let Some(until) = limit.full_until(now) {
                    prop_assert!(until > now);
                    now = until;
                    prop_assert_eq!(limit.full_until(now), None);
                }
                limit.take(n, now);
                passed += n;
                largest = largest.max(n);
            }
            let time = (now - start).as_secs_f64() * 1000.0;
            let allowed = |n: u64, per: u64| n as f64 * (1.0 + time / per as f64);
            let bound = allowed(amount, millis) + burst.map_or(0.0, |(n, per)| allowed(n, per)) + largest as f64;
            prop_assert!(passed as f64 <= bound + 1.0, "{passed} passed, {bound} allowed");
        }
    }
}
