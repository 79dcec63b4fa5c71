//! When a plugin keeps failing: stop calling it for a while, and try again with growing pauses.
//!
//! One device that sends what the plugin cannot digest must not switch it off for all: traps count only when they come
//! from more than one client. What costs the worker its time (deadline, memory) counts from anybody.
//!
//! This file reads no clock; `now` is an argument.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::error::PluginError;
use crate::message::ClientId;

/// Failures in a row that open it.
const THRESHOLD: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Shared by all instances of a plugin. A healthy plugin costs one relaxed load a batch.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: AtomicU32,
    open: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Whose messages failed first in this row, and whether others' did too.
    first: Option<ClientId>,
    several: bool,
    pause: Duration,
    until: Option<Instant>,
    last: String,
}

/// As the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CircuitState {
    Closed,
    /// It is called again after `retry_in`.
    Open {
        failures: u32,
        retry_in: Duration,
        last: String,
    },
}

impl Circuit {
    /// Whether the plugin may be called. When the pause is over one caller gets through, and the next pause begins.
    /// The clock is read only if it matters.
    pub(super) fn admit(&self, now: impl FnOnce() -> Instant) -> Result<(), PluginError> {
        if !self.open.load(Ordering::Relaxed) {
            return Ok(());
        }
        let now = now();
        let mut inner = self.inner.lock();
        match inner.until {
            Some(until) if now < until => Err(PluginError::CircuitOpen {
                failures: self.failures.load(Ordering::Relaxed),
                retry_in: until - now,
                last: inner.last.clone(),
            }),
            _ => {
                inner.until = Some(now + inner.pause);
                Ok(())
            }
        }
    }

    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut inner = self.inner.lock();
        *inner = Inner::default();
        self.failures.store(0, Ordering::Relaxed);
        if self.open.swap(false, Ordering::Relaxed) {
            tracing::info!("a plugin works again; its circuit is closed");
        }
    }

    /// A call that gave nothing at all; `client` sent what it was about.
    pub(super) fn failed(&self, error: &PluginError, client: Option<&ClientId>, now: Instant) {
        let mut inner = self.inner.lock();
        let failures = self.failures.load(Ordering::Relaxed).saturating_add(1);
        self.failures.store(failures, Ordering::Relaxed);
        inner.last = error.to_string();
        match (&inner.first, client) {
            (None, Some(client)) => inner.first = Some(client.clone()),
            (Some(first), Some(client)) if first == client => {}
            _ => inner.several = true,
        }
        let costly = matches!(error, PluginError::Deadline { .. } | PluginError::MemoryLimit { .. });
        if failures < THRESHOLD || !(inner.several || costly) {
            return;
        }
        inner.pause = if inner.pause.is_zero() { FIRST_PAUSE } else { (inner.pause * 2).min(LONGEST_PAUSE) };
        inner.until = Some(now + inner.pause);
        if !self.open.swap(true, Ordering::Relaxed) {
            tracing::error!(failures, %error, "a plugin keeps failing; its circuit is open");
        }
    }

    pub(super) fn state(&self, now: Instant) -> CircuitState {
        if !self.open.load(Ordering::Relaxed) {
            return CircuitState::Closed;
        }
        let inner = self.inner.lock();
        CircuitState::Open {
            failures: self.failures.load(Ordering::Relaxed),
            retry_in: inner.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)),
            last: inner.last.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trap() -> PluginError {
        PluginError::Trap { cause: "boom".into(), stderr: String::new() }
    }

    fn late() -> PluginError {
        PluginError::Deadline { limit: crate::units::Millis(20) }
    }

    fn clients() -> [ClientId; 2] {
        [ClientId::new("a"), ClientId::new("b")]
    }

    #[test]
    fn it_opens_after_some_failures_and_closes_at_the_first_success() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        for client in clients().iter().cycle().take(THRESHOLD as usize) {
            assert!(circuit.admit(|| now).is_ok());
            circuit.failed(&trap(), Some(client), now);
        }
        let error = circuit.admit(|| now).unwrap_err();
        assert!(
            matches!(error, PluginError::CircuitOpen { failures: THRESHOLD, retry_in, .. } if retry_in == FIRST_PAUSE)
        );
        assert!(matches!(circuit.state(now), CircuitState::Open { last, .. } if last.contains("boom")));

        let later = now + FIRST_PAUSE;
        assert!(circuit.admit(|| later).is_ok());
        assert!(circuit.admit(|| later).is_err(), "one caller at a time tries it");
        circuit.succeeded();
        assert!(circuit.admit(|| later).is_ok());
        assert_eq!(circuit.state(later), CircuitState::Closed);
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let (circuit, mut now) = (Circuit::default(), Instant::now());
        for _ in 0..THRESHOLD {
            circuit.failed(&late(), Some(&clients()[0]), now);
        }
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let CircuitState::Open { retry_in, .. } = circuit.state(now) else { panic!("closed") };
            pauses.push(retry_in.as_secs());
            now += retry_in;
            assert!(circuit.admit(|| now).is_ok());
            circuit.failed(&late(), Some(&clients()[0]), now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn one_client_alone_opens_it_only_when_that_costs_time() {
        let now = Instant::now();
        let alone = Circuit::default();
        for _ in 0..10 * THRESHOLD {
            alone.failed(&trap(), Some(&clients()[0]), now);
        }
        assert!(alone.admit(|| now).is_ok());
        alone.failed(&trap(), Some(&clients()[1]), now);
        assert!(alone.admit(|| now).is_err());
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        for client in clients().iter().cycle().take(20) {
            circuit.failed(&trap(), Some(client), now);
            circuit.succeeded();
        }
        assert!(circuit.admit(|| now).is_ok());
    }
}
