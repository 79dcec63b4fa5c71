//! What an action accepted and what became of it: every record ends in exactly one counter.
//!
//! `accepted = delivered + failed (by cause) + dropped (by cause) + pending` holds in every [`Counts`] that
//! [`Ledger::counts`] gives, because each change is one step under one short lock; callers count whole batches, not
//! records. `pending` is counted on its own, not computed from the others, so the equation can be checked.
//!
//! A record in transit carries a [`Charge`]; losing the charge counts the record as failed with cause `lost`.

use std::sync::Arc;

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
    pub fn accept(self: &Arc<Self>, n: usize) {
        let mut counts = self.0.lock();
        counts.accepted += n as u64;
        counts.pending += n as u64;
    }

    /// The guard of one record that [`Self::accept`] has counted.
    pub fn charge(self: &Arc<Self>) -> Charge {
        Charge(Some(self.clone()))
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
pub struct Charge(Option<Arc<Ledger>>);

impl Charge {
    /// For a record that no ledger knows yet.
    pub fn none() -> Charge {
        Charge(None)
    }

    /// The caller counts this record itself, with others of its run.
    pub fn settled(mut self) {
        self.0 = None;
    }

    /// One more record from this one (a plugin replaced one by many): accepted and pending too.
    pub fn split(&self) -> Charge {
        if let Some(ledger) = &self.0 {
            ledger.accept(1);
        }
        Charge(self.0.clone())
    }

    pub fn fail(mut self, cause: FailCause) {
        if let Some(ledger) = self.0.take() {
            ledger.failed(cause, 1);
        }
    }

    pub fn drop_for(mut self, cause: DropCause) {
        if let Some(ledger) = self.0.take() {
            ledger.dropped(cause, 1);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(ledger) = self.0.take() {
            ledger.failed(FailCause::Lost, 1);
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
}
