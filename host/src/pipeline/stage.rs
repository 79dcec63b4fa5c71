//! Plugins at work in a worker: its own warm instances, and what their verdicts mean for records.

use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::config::OnError;
use super::republish::Publication;
use crate::ack::{Outcome, Refusal};
use crate::kafka::Draft;
use crate::ledger::{DropCause, FailCause};
use crate::message::{Message, Record};
use crate::plugin::{Guest, Item, Patch, Verdict, Warm};
use crate::rule::{FunctionId, Functions};
use crate::value::Value;

/// One use of a plugin by a rule.
pub(super) struct Stage {
    pub(super) guest: Arc<Guest>,
    pub(super) on_error: OnError,
}

/// A draft with its place in the chunk and its action within the rule.
pub(super) struct Routed {
    pub(super) message: usize,
    pub(super) action: usize,
    pub(super) draft: Draft,
    /// Set when the record is a message to republish.
    pub(super) publication: Option<Arc<Publication>>,
}

/// A worker's instances, one for each plugin version in use.
#[derive(Default)]
pub(super) struct WarmGuests(FxHashMap<*const Guest, Warm>);

impl WarmGuests {
    /// Ends the instances of guests that `in_use` does not know any more.
    pub(super) fn keep(&mut self, in_use: impl Fn(*const Guest) -> bool) {
        self.0.retain(|guest, _| in_use(*guest));
    }

    fn of(&mut self, guest: &Arc<Guest>) -> &mut Warm {
        self.0.entry(Arc::as_ptr(guest)).or_insert_with(|| Warm::new(guest.clone()))
    }

    /// Runs every draft of a rule through one plugin. Afterwards `routed` holds what goes on, in order.
    pub(super) fn transform<'m>(
        &mut self,
        stage: &Stage,
        rule: &str,
        message: impl Fn(usize) -> &'m Message,
        routed: &mut Vec<Routed>,
    ) {
        let items = routed.iter();
        let items = items.map(|entry| Item { record: &entry.draft.record, message: message(entry.message), rule });
        let mut verdicts = Vec::new();
        self.of(&stage.guest).transform(&items.collect::<Vec<_>>(), &mut verdicts);
        if verdicts.iter().all(|verdict| matches!(verdict, Verdict::Keep | Verdict::Change(_))) {
            // Nothing goes and nothing comes: the usual case, without moving a draft.
            for (entry, verdict) in routed.iter_mut().zip(verdicts) {
                if let Verdict::Change(patch) = verdict {
                    patch.apply(&mut entry.draft.record);
                }
            }
            return;
        }
        for (entry, verdict) in std::mem::take(routed).into_iter().zip(verdicts) {
            conclude(stage, rule, entry, verdict, routed);
        }
    }

    /// Runs raw messages through one decode plugin; one answer for each.
    pub(super) fn decode(&mut self, stage: &Stage, rule: &str, messages: &[&Message]) -> Vec<Decoded> {
        let raw = |message: &&Message| Record {
            topic: message.topic.shared(),
            value: Some(message.payload.clone()),
            timestamp: Some(message.received_at),
            ..Record::default()
        };
        let records: Vec<Record> = messages.iter().map(raw).collect();
        let items: Vec<Item<'_>> =
            records.iter().zip(messages).map(|(record, message)| Item { record, message, rule }).collect();
        let mut verdicts = Vec::new();
        self.of(&stage.guest).transform(&items, &mut verdicts);
        let each = records.iter().zip(messages).zip(verdicts);
        each.map(|((record, message), verdict)| decoded(stage, rule, record, message, verdict)).collect()
    }
}

/// What a decode plugin made of a message.
pub(super) enum Decoded {
    /// These go on to the SQL: one, or several in its place.
    Messages(Vec<Message>),
    Dropped,
    Refused,
}

fn decoded(stage: &Stage, rule: &str, raw: &Record, message: &Message, verdict: Verdict) -> Decoded {
    let changed = |patch: Patch| {
        let mut record = raw.clone();
        patch.apply(&mut record);
        Message { payload: record.value.unwrap_or_default(), ..message.clone() }
    };
    match verdict {
        Verdict::Keep => Decoded::Messages(vec![message.clone()]),
        Verdict::Change(patch) => Decoded::Messages(vec![changed(patch)]),
        Verdict::Split(patches) => Decoded::Messages(patches.into_iter().map(changed).collect()),
        Verdict::Drop(reason) => {
            tracing::debug!(rule, reason, "decode plugin dropped a message");
            Decoded::Dropped
        }
        Verdict::Refuse(reason) => {
            tracing::debug!(rule, reason, "decode plugin refused a message");
            Decoded::Refused
        }
        Verdict::Failed(error) => {
            tracing::debug!(rule, %error, "decode plugin failed");
            match stage.on_error {
                OnError::Refuse | OnError::DeadLetter => Decoded::Refused,
                OnError::Drop => Decoded::Dropped,
                OnError::Pass => Decoded::Messages(vec![message.clone()]),
            }
        }
    }
}

fn conclude(stage: &Stage, rule: &str, mut entry: Routed, verdict: Verdict, on: &mut Vec<Routed>) {
    match verdict {
        Verdict::Keep => on.push(entry),
        Verdict::Change(patch) => {
            patch.apply(&mut entry.draft.record);
            on.push(entry);
        }
        Verdict::Split(patches) => {
            let mut patches = patches.into_iter();
            let Some(first) = patches.next() else {
                return drop_draft(entry.draft, DropCause::Plugin);
            };
            let more = patches.map(|patch| {
                let mut record = entry.draft.record.clone();
                patch.apply(&mut record);
                let draft = Draft { record, ack: entry.draft.ack.branch(), charge: entry.draft.charge.split() };
                Routed { message: entry.message, action: entry.action, draft, publication: entry.publication.clone() }
            });
            let more: Vec<_> = more.collect();
            first.apply(&mut entry.draft.record);
            on.push(entry);
            on.extend(more);
        }
        Verdict::Drop(reason) => {
            tracing::debug!(rule, reason, "plugin dropped a record");
            drop_draft(entry.draft, DropCause::Plugin);
        }
        Verdict::Refuse(reason) => {
            tracing::debug!(rule, reason, "plugin refused a record");
            refuse_draft(entry.draft, FailCause::PluginRefused);
        }
        Verdict::Failed(error) => {
            tracing::debug!(rule, %error, "plugin failed");
            match stage.on_error {
                OnError::Refuse | OnError::DeadLetter => refuse_draft(entry.draft, FailCause::PluginError),
                OnError::Drop => drop_draft(entry.draft, DropCause::PluginError),
                OnError::Pass => on.push(entry),
            }
        }
    }
}

/// Dropped on purpose: the publisher has done its part.
fn drop_draft(draft: Draft, cause: DropCause) {
    draft.charge.drop_for(cause);
    draft.ack.settle(Outcome::Delivered);
}

fn refuse_draft(draft: Draft, cause: FailCause) {
    draft.charge.fail(cause);
    draft.ack.settle(Outcome::Refused(Refusal::ImplementationSpecific));
}

/// The functions that plugins give to rule SQL, as one worker calls them.
pub(super) struct PluginFunctions<'a> {
    pub(super) functions: &'a [PluginFunction],
    pub(super) warm: RefCell<&'a mut WarmGuests>,
}

/// One exported function; its position in the pipeline's list is its [`FunctionId`].
pub(super) struct PluginFunction {
    pub(super) name: String,
    pub(super) guest: Arc<Guest>,
    /// Its place among the functions of the guest.
    pub(super) index: usize,
}

impl Functions for PluginFunctions<'_> {
    fn call(&self, id: FunctionId, args: &[Value]) -> Result<Value, String> {
        let function = self.functions.get(id.0).ok_or("the function is gone")?;
        let mut warm = self.warm.try_borrow_mut().map_err(|_| "a plugin function cannot call another")?;
        warm.of(&function.guest).call(function.index, args).map_err(|error| error.to_string())
    }
}
