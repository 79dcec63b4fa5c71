//! What a rule did, in EMQX's terms (rule-sql 7): `matched = passed + failed` once it is quiet, where `failed` is
//! `no_result` and `exception` (and here also what decode plugins kept from the SQL); then, for each output and action,
//! what came of it ([`Results`]).
//!
//! They begin at zero with a rule, and again when its settings change; a reload that leaves the rule as it is keeps them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ledger::{ResultCounts, Results};
use crate::telemetry::throttle::Throttle;

/// The counters of one rule. Workers add a batch at a time ([`Tally`]).
#[derive(Debug, Default)]
pub struct RuleCounters {
    matched: AtomicU64,
    passed: AtomicU64,
    no_result: AtomicU64,
    exception: AtomicU64,
    decode_dropped: AtomicU64,
    decode_refused: AtomicU64,
    results: Arc<Results>,
    /// For what the log says about single messages of the rule.
    pub(super) remarks: Throttle,
}

/// One batch's share of a rule's counters, or a reading of all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// FROM matched.
    pub matched: u64,
    /// SELECT gave something.
    pub passed: u64,
    /// WHERE said no.
    pub no_result: u64,
    /// SQL raised.
    pub exception: u64,
    /// A decode plugin dropped the message on purpose, or failed with `on_error = "drop"`.
    pub decode_dropped: u64,
    /// A decode plugin refused it, or failed with `on_error = "refuse"`.
    pub decode_refused: u64,
}

impl RuleCounters {
    pub(super) fn add(&self, tally: Tally) {
        let pairs = [
            (&self.matched, tally.matched),
            (&self.passed, tally.passed),
            (&self.no_result, tally.no_result),
            (&self.exception, tally.exception),
            (&self.decode_dropped, tally.decode_dropped),
            (&self.decode_refused, tally.decode_refused),
        ];
        for (counter, n) in pairs {
            if n > 0 {
                counter.fetch_add(n, Ordering::Relaxed);
            }
        }
    }

    /// Where what becomes of the rule's records is counted.
    pub(super) fn results(&self) -> &Arc<Results> {
        &self.results
    }

    /// What became of the rule's records so far.
    #[must_use]
    pub fn read_results(&self) -> ResultCounts {
        self.results.read()
    }

    /// A reading; each figure is exact, the set of them is not one moment.
    #[must_use]
    pub fn read(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            matched: read(&self.matched),
            passed: read(&self.passed),
            no_result: read(&self.no_result),
            exception: read(&self.exception),
            decode_dropped: read(&self.decode_dropped),
            decode_refused: read(&self.decode_refused),
        }
    }
}
