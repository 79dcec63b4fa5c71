//! When a client is gone: it says nothing for too long, or takes nothing for too long.
//!
//! Pure: it is told the time and never asks for it. A client is not blamed for silence while it is we who do not read.

use std::time::{Duration, Instant};

/// Why a client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// No packet for one and a half keep-alives (MQTT-3.1.2-22).
    Silent,
    /// What was written stayed where it is for `send_timeout`.
    Stuck,
}

/// The patience with one client.
#[derive(Debug)]
pub struct Patience {
    /// With the multiplier; `None` when the client asked for no check.
    keep_alive: Option<Duration>,
    send_timeout: Duration,
    /// When the client was last heard of, or could not have been.
    heard: Instant,
    /// Since when the socket takes nothing.
    stalled: Option<Instant>,
}

impl Patience {
    #[must_use]
    pub fn new(keep_alive: Option<Duration>, send_timeout: Duration, now: Instant) -> Patience {
        Patience { keep_alive, send_timeout, heard: now, stalled: None }
    }

    /// Something came from the client, or it could not send until now.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// The socket takes nothing; `now` is asked only when that is news.
    pub fn stalled(&mut self, now: impl FnOnce() -> Instant) {
        self.stalled.get_or_insert_with(now);
    }

    /// The socket took something.
    pub fn unstalled(&mut self) {
        self.stalled = None;
    }

    /// When to look again, if ever. `unread`: the socket is not being read, for whatever reason.
    #[must_use]
    pub fn look_again(&self, unread: bool, now: impl FnOnce() -> Instant) -> Option<Instant> {
        let stuck = self.stalled.map(|since| since + self.send_timeout);
        let silent = self.keep_alive.map(|after| match self.excused(unread) {
            true => now() + after,
            false => self.heard + after,
        });
        [stuck, silent].into_iter().flatten().min()
    }

    /// To be asked when the time of [`Patience::look_again`] has come. `None`: look again later.
    #[must_use]
    pub fn judge(&mut self, unread: bool, now: Instant) -> Option<Gone> {
        if self.stalled.is_some_and(|since| since + self.send_timeout <= now) {
            return Some(Gone::Stuck);
        }
        if self.excused(unread) {
            self.heard = now;
            return None;
        }
        self.keep_alive.filter(|after| self.heard + *after <= now).map(|_| Gone::Silent)
    }

    /// Its PINGREQ may lie in the socket; and who takes no PINGRESP has the other timeout.
    fn excused(&self, unread: bool) -> bool {
        unread || self.stalled.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(15);
    const SEND: Duration = Duration::from_secs(10);

    #[test]
    fn silence_and_standstill_have_a_time_each() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(Some(KEEP_ALIVE), SEND, start);
        assert_eq!(patience.look_again(false, Instant::now), Some(at(15)));
        patience.heard(at(4));
        assert_eq!((patience.judge(false, at(15)), patience.judge(false, at(19))), (None, Some(Gone::Silent)));
        patience.stalled(|| at(5));
        patience.stalled(|| at(6));
        assert_eq!(patience.look_again(false, || at(6)), Some(at(15)));
        assert_eq!((patience.judge(false, at(14)), patience.judge(false, at(15))), (None, Some(Gone::Stuck)));
        patience.unstalled();
        assert_eq!(patience.judge(false, at(16)), None, "excused at 14, when the socket took nothing");
        let mut endless = Patience::new(None, SEND, start);
        assert_eq!((endless.look_again(false, Instant::now), endless.judge(false, at(1_000_000))), (None, None));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Wait(u64),
        Packet,
        Unread(bool),
        Stall,
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..12_u64).prop_map(Step::Wait),
            2 => Just(Step::Packet),
            1 => any::<bool>().prop_map(Step::Unread),
            1 => Just(Step::Stall),
            1 => Just(Step::Take),
        ]
    }

    proptest! {
        /// A connection that looks when it was told to blames nobody for less than a keep-alive of silence, and lets
        /// nobody off who was silent for two of them while it read.
        #[test]
        fn a_silent_client_is_found_and_no_other(steps in prop::collection::vec(step(), 0..60)) {
            let start = Instant::now();
            let mut now = start;
            let mut patience = Patience::new(Some(KEEP_ALIVE), SEND, start);
            let (mut unread, mut stalled, mut timer) = (false, None, None::<Instant>);
            // When it was last heard of, or excused by a look; and when it was last excusable.
            let (mut known, mut excusable) = (start, start);
            for step in steps {
                match step {
                    Step::Packet if !unread => {
                        patience.heard(now);
                        known = now;
                    }
                    Step::Packet => {}
                    Step::Unread(is) => unread = is,
                    Step::Stall => {
                        patience.stalled(|| now);
                        stalled.get_or_insert(now);
                    }
                    Step::Take => {
                        patience.unstalled();
                        stalled = None;
                    }
                    Step::Wait(_) => {}
                }
                let Step::Wait(seconds) = step else { continue };
                let until = now + Duration::from_secs(seconds);
                loop {
                    let next = patience.look_again(unread, || now);
                    timer = next.map(|next| timer.map_or(next, |set| set.min(next)));
                    let Some(at) = timer.filter(|at| *at <= until) else { break };
                    (now, timer) = (now.max(at), None);
                    match patience.judge(unread, now) {
                        None if unread || stalled.is_some() => known = now,
                        None => {}
                        Some(Gone::Silent) => {
                            prop_assert!(!unread && stalled.is_none() && now - known >= KEEP_ALIVE);
                            return Ok(());
                        }
                        Some(Gone::Stuck) => {
                            prop_assert!(stalled.is_some_and(|since| now - since >= SEND));
                            return Ok(());
                        }
                    }
                }
                now = until;
                if unread || stalled.is_some() {
                    excusable = now;
                }
                prop_assert!(now - known.max(excusable) <= 2 * KEEP_ALIVE);
                prop_assert!(stalled.is_none_or(|since| now - since <= SEND));
            }
        }
    }
}
