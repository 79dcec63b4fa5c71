//! A chunk at work: what each rule has to do of it, in whose turn, and what each message's publisher is owed meanwhile.

use std::collections::VecDeque;

use super::super::Rule;
use super::super::counters::Tally;
use super::super::ingress::Inbound;
use super::super::stage::Routed;
use crate::ack::{AckHandle, Outcome, Refusal};
use crate::message::Message;
use crate::rule::{EvalError, EvalErrorKind};

/// A message of the chunk on its way through one rule: as it came, or as a decode plugin made it.
pub(super) struct Input {
    pub(super) index: usize,
    pub(super) decoded: Option<Message>,
}

/// One rule's part of a chunk.
pub(super) struct Lot<'p> {
    pub(super) rule: &'p Rule,
    /// In the order of their messages.
    pub(super) inputs: VecDeque<Input>,
    pub(super) tally: Tally,
    /// What SQL has given so far and plugins have not seen yet.
    pub(super) routed: Vec<Routed>,
}

impl Input {
    pub(super) fn message<'a>(&'a self, chunk: &'a [Inbound]) -> &'a Message {
        self.decoded.as_ref().unwrap_or(&chunk[self.index].message)
    }
}

/// Whose turn it is: each lot as often as it has messages, all in the order of the messages.
pub(super) fn turns(lots: &[Lot<'_>]) -> Vec<usize> {
    if let [only] = lots {
        return vec![0; only.inputs.len()];
    }
    let each = lots.iter().enumerate();
    let mut turns: Vec<(usize, usize)> =
        each.flat_map(|(lot, Lot { inputs, .. })| inputs.iter().map(move |input| (input.index, lot))).collect();
    turns.sort_unstable();
    turns.into_iter().map(|(_, lot)| lot).collect()
}

impl Lot<'_> {
    /// Counts a message that the rule could not handle, and tells its publisher.
    #[cold]
    pub(super) fn fail(&mut self, message: &Message, error: &EvalError, promise: &Promise) {
        self.tally.exception += 1;
        if let Some(more) = self.rule.counters.remarks.admit() {
            let (rule, client, topic) = (&self.rule.name, &message.client.id, &message.topic);
            tracing::warn!(rule, %client, %topic, more, "the rule failed for a message; the level debug says why");
        }
        tracing::debug!(rule = self.rule.name, client = %message.client.id, topic = %message.topic, %error, "rule failed");
        promise.refuse(match error.kind {
            EvalErrorKind::PayloadNotJson => Refusal::PayloadFormatInvalid,
            EvalErrorKind::Other => Refusal::ImplementationSpecific,
        });
    }

    /// Gives up the records from this one on: they are part of a message that failed.
    #[cold]
    pub(super) fn take_back(&mut self, from: usize) {
        for entry in self.routed.drain(from..) {
            entry.draft.ack.settle(Outcome::Refused(Refusal::ImplementationSpecific));
        }
    }
}

/// The promise of one message of the chunk while its rules run.
pub(super) struct Promise {
    /// `None` when it went along with the only record.
    pub(super) ack: Option<AckHandle>,
    /// How many rules the message matches.
    pub(super) rules: usize,
}

impl Promise {
    pub(super) fn take(&mut self) -> AckHandle {
        self.ack.take().unwrap_or_else(AckHandle::detached)
    }

    pub(super) fn branch(&self) -> AckHandle {
        self.ack.as_ref().map_or_else(AckHandle::detached, AckHandle::branch)
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        self.branch().settle(Outcome::Refused(refusal));
    }

    /// The worker's own share ends: branches that are out decide from now on.
    pub(super) fn finish(self) {
        if let Some(ack) = self.ack {
            ack.settle(if self.rules == 0 { Outcome::Unmatched } else { Outcome::Delivered });
        }
    }
}
