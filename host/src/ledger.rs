//! What an action accepted and what became of it: every record ends in exactly one counter.
//!
//! `accepted = delivered + failed (by cause) + dropped (by cause) + pending` holds in every [`Counts`] that
//! [`Ledger::counts`] gives, because each change is one step under one short lock; callers count whole batches, not
//! records. `pending` is counted on its own, not computed from the others, so the equation can be checked.
//!
//! A record in transit carries a [`Charge`]; losing the charge counts the record as failed with cause `lost`. The charge
//! knows the rule as well ([`Account`]), so that each end is counted for the action and for the rule, once each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

macro_rules! causes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The value of the metric label `cause`.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $($name::$variant => $label,)* }
            }
        }
    };
}

causes! {
    /// Why a record could not be delivered; its publisher was told so (or will send it again).
    FailCause {
        /// A template of the action found no topic, or headers of the wrong kind.
        Template = "template",
        /// A plugin refused it.
        PluginRefused = "plugin_refused",
        /// A plugin trapped, was late or broke its contract, and `on_error` is `refuse`.
        PluginError = "plugin_error",
        /// The buffer is full and `on_full` is `reject`.
        QueueFull = "queue_full",
        /// `sync_query_timeout` or `max_batch_age` passed.
        Timeout = "timeout",
        /// The Kafka topic does not exist.
        UnknownTopic = "unknown_topic",
        /// Larger than Kafka or the topic takes.
        TooLarge = "too_large",
        /// Kafka's access control said no.
        NotAuthorized = "not_authorized",
        /// Another answer of Kafka; the log has its code.
        Kafka = "kafka",
        /// The process stopped before Kafka answered; the publisher has no acknowledgement.
        Shutdown = "shutdown",
        /// A defect in Millstream: the record was lost on the way. The publisher has no acknowledgement.
        Lost = "lost",
    }
}

causes! {
    /// Why a record was dropped on purpose.
    DropCause {
        /// A plugin said so.
        Plugin = "plugin",
        /// A plugin failed, and `on_error` is `drop`.
        PluginError = "plugin_error",
        /// The buffer is full and `on_full` is `drop_oldest` or `drop_newest`.
        QueueFull = "queue_full",
        /// A rule would have republished what it made itself, or rules feed each other.
        Loop = "loop",
    }
}

impl FailCause {
    /// Whether EMQX would say `out_of_service` (the target is not there, or takes nothing) and not `unknown`.
    #[must_use]
    pub fn is_out_of_service(self) -> bool {
        match self {
            FailCause::QueueFull | FailCause::Timeout | FailCause::UnknownTopic | FailCause::Shutdown => true,
            FailCause::Template
            | FailCause::PluginRefused
            | FailCause::PluginError
            | FailCause::TooLarge
            | FailCause::NotAuthorized
            | FailCause::Kafka
            | FailCause::Lost => false,
        }
    }
}

/// What came of the actions of one rule, in EMQX's terms (rule-sql 7): `total = success + failed + discarded` and what is
/// still on its way. Each figure is exact; a reading of all is not one moment.
#[derive(Debug, Default)]
pub struct Results {
    total: AtomicU64,
    success: AtomicU64,
    out_of_service: AtomicU64,
    unknown: AtomicU64,
    discarded: AtomicU64,
}

/// A reading of [`Results`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultCounts {
    /// Records that the rule gave to its actions, and what plugins made more of them.
    pub total: u64,
    /// Delivered, handed to the router, printed; and in EMQX's way a republishing that was left out as a loop.
    pub success: u64,
    /// Failed because the action's target is away or full.
    pub out_of_service: u64,
    /// Failed for any other cause.
    pub unknown: u64,
    /// Dropped on purpose, by a plugin or by `on_full`: neither success nor failure.
    pub discarded: u64,
}

impl ResultCounts {
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.out_of_service + self.unknown
    }
}

impl Results {
    #[must_use]
    pub fn read(&self) -> ResultCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ResultCounts {
            success: read(&self.success),
            out_of_service: read(&self.out_of_service),
            unknown: read(&self.unknown),
            discarded: read(&self.discarded),
            total: read(&self.total),
        }
    }

    fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    fn failed(&self, cause: FailCause) {
        Results::add(if cause.is_out_of_service() { &self.out_of_service } else { &self.unknown }, 1);
    }
}

/// What one rule gives to one action, on the books of both.
#[derive(Debug)]
pub struct Account {
    ledger: Arc<Ledger>,
    results: Arc<Results>,
}

impl Account {
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, results: Arc<Results>) -> Arc<Account> {
        Arc::new(Account { ledger, results })
    }

    /// Takes `n` records in, each of which needs a [`Self::charge`].
    pub fn accept(&self, n: usize) {
        if n > 0 {
            self.ledger.accept(n);
            Results::add(&self.results.total, n as u64);
        }
    }

    /// The guard of one record that [`Self::accept`] has counted.
    pub fn charge(self: &Arc<Self>) -> Charge {
        Charge(Some(self.clone()))
    }
}

/// One consistent reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub accepted: u64,
    pub delivered: u64,
    failed: [u64; FailCause::ALL.len()],
    dropped: [u64; DropCause::ALL.len()],
    pub pending: u64,
}

impl Counts {
    #[must_use]
    pub fn failed(&self, cause: FailCause) -> u64 {
        self.failed[cause as usize]
    }

    #[must_use]
    pub fn dropped(&self, cause: DropCause) -> u64 {
        self.dropped[cause as usize]
    }

    /// Whether every accepted record is explained.
    #[must_use]
    pub fn balanced(&self) -> bool {
        let ended = self.delivered + self.failed.iter().sum::<u64>() + self.dropped.iter().sum::<u64>();
        self.accepted == ended + self.pending
    }
}

/// The counters of one action; shared.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Counts>);

impl Ledger {
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.lock().clone()
    }

    /// Takes `n` records in; each gets its [`Charge`] from the iterator.
    pub fn accept(&self, n: usize) {
        let mut counts = self.0.lock();
        counts.accepted += n as u64;
        counts.pending += n as u64;
    }

    /// The guard of one record that [`Self::accept`] has counted, which came from no rule.
    #[cfg(test)]
    pub fn charge(self: &Arc<Self>) -> Charge {
        Account::new(self.clone(), Arc::default()).charge()
    }

    /// Ends `n` records whose charges were taken off with [`Charge::settled`].
    pub fn delivered(&self, n: u64) {
        let mut counts = self.0.lock();
        counts.delivered += n;
        counts.pending -= n;
    }

    /// As [`Self::delivered`], for failures.
    pub fn failed(&self, cause: FailCause, n: u64) {
        let mut counts = self.0.lock();
        counts.failed[cause as usize] += n;
        counts.pending -= n;
    }

    /// As [`Self::delivered`], for drops.
    pub fn dropped(&self, cause: DropCause, n: u64) {
        let mut counts = self.0.lock();
        counts.dropped[cause as usize] += n;
        counts.pending -= n;
    }
}

/// Holds one accepted record in `pending` until somebody says what became of it.
#[derive(Debug)]
#[must_use = "a charge that is dropped counts its record as lost"]
pub struct Charge(Option<Arc<Account>>);

impl Charge {
    /// For a record that no ledger knows yet.
    pub fn none() -> Charge {
        Charge(None)
    }

    /// Delivered; the caller counts this record in the ledger itself, with others of its run.
    pub fn settled(mut self) {
        if let Some(account) = self.0.take() {
            Results::add(&account.results.success, 1);
        }
    }

    /// Delivered, on its own.
    pub fn delivered(mut self) {
        if let Some(account) = self.0.take() {
            account.ledger.delivered(1);
            Results::add(&account.results.success, 1);
        }
    }

    /// One more record from this one (a plugin replaced one by many): accepted and pending too.
    pub fn split(&self) -> Charge {
        if let Some(account) = &self.0 {
            account.accept(1);
        }
        Charge(self.0.clone())
    }

    pub fn fail(mut self, cause: FailCause) {
        if let Some(account) = self.0.take() {
            account.ledger.failed(cause, 1);
            account.results.failed(cause);
        }
    }

    pub fn drop_for(mut self, cause: DropCause) {
        if let Some(account) = self.0.take() {
            account.ledger.dropped(cause, 1);
            let Results { success, discarded, .. } = &*account.results;
            Results::add(if cause == DropCause::Loop { success } else { discarded }, 1);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(account) = self.0.take() {
            account.ledger.failed(FailCause::Lost, 1);
            account.results.failed(FailCause::Lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_equation_holds_after_every_step() {
        let ledger = Arc::new(Ledger::default());
        ledger.accept(5);
        let mut charges: Vec<_> = (0..5).map(|_| ledger.charge()).collect();
        assert!(ledger.counts().balanced());
        charges.pop().unwrap().fail(FailCause::Timeout);
        charges.pop().unwrap().drop_for(DropCause::Plugin);
        let twin = charges[0].split();
        drop(twin);
        charges.pop().unwrap().settled();
        ledger.delivered(1);
        drop(charges.pop());
        let counts = ledger.counts();
        assert!(counts.balanced());
        assert_eq!((counts.accepted, counts.delivered, counts.pending), (6, 1, 1));
        assert_eq!((counts.failed(FailCause::Timeout), counts.failed(FailCause::Lost)), (1, 2));
        assert_eq!(counts.dropped(DropCause::Plugin), 1);
    }

    #[test]
    fn every_end_is_counted_for_the_rule_as_well() {
        let (ledger, results) = (Arc::new(Ledger::default()), Arc::new(Results::default()));
        let account = Account::new(ledger.clone(), results.clone());
        account.accept(0);
        account.accept(7);
        let mut charges: Vec<_> = (0..7).map(|_| account.charge()).collect();
        let mut next = || charges.pop().unwrap();
        next().settled();
        ledger.delivered(1);
        next().delivered();
        next().fail(FailCause::Timeout);
        next().fail(FailCause::TooLarge);
        next().drop_for(DropCause::Plugin);
        next().drop_for(DropCause::Loop);
        let last = next();
        drop(last.split());
        let counts = results.read();
        let expected = ResultCounts { total: 8, success: 3, out_of_service: 1, unknown: 2, discarded: 1 };
        assert_eq!((counts, counts.failed()), (expected, 3));
        assert!(ledger.counts().balanced());
        assert_eq!(counts.total, counts.success + counts.failed() + counts.discarded + ledger.counts().pending);
        last.settled();
        ledger.delivered(1);
        assert_eq!(results.read().success, 4);
    }
}
