//! A worker's warm instance of one plugin: made at the first need, kept while it behaves, replaced when it fails.
//!
//! Every item that goes in comes out with a verdict. A failed batch is tried again message by message on a fresh
//! instance, so that one bad message fails alone; the time for that is bounded, and what it does not reach fails with
//! the batch's error. Transforms should therefore not depend on being called once for each message.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::error::PluginError;
use super::function::FunctionInfo;
use super::guest::{Guest, Instance};
use super::transform::{Item, Verdict};
use crate::units::ByteSize;

/// Messages in one call; more gain nothing.
const MAX_BATCH: usize = 256;
/// Deadlines that trying a failed batch again may cost.
const RETRY_DEADLINES: u32 = 4;

/// One per worker and plugin; not shared.
#[derive(Debug)]
pub struct Warm {
    guest: Arc<Guest>,
    instance: Option<Instance>,
}

impl Warm {
    #[must_use]
    pub fn new(guest: Arc<Guest>) -> Warm {
        Warm { guest, instance: None }
    }

    #[must_use]
    pub fn guest(&self) -> &Arc<Guest> {
        &self.guest
    }

    #[must_use]
    pub fn functions(&self) -> &[FunctionInfo] {
        self.guest.functions()
    }

    /// Takes all `items` and appends exactly one verdict for each to `out`, in order. Blocks for up to the deadline for
    /// each part of 256 messages, and up to five times that for a part that fails.
    pub fn transform(&mut self, items: &mut Vec<Item<'_>>, out: &mut Vec<Verdict>) {
        let counts = &self.guest.counts;
        counts.messages.fetch_add(items.len() as u64, Ordering::Relaxed);
        let before = out.len();
        // A part must fit the guest's memory with room for its work.
        let budget = self.guest.limits().memory.as_usize() / 8;
        let mut items = items.drain(..).peekable();
        let mut part = Vec::with_capacity(items.len().min(MAX_BATCH));
        while let Some(first) = items.next() {
            let mut weight = first.weight();
            part.push(first);
            while let Some(item) = items.next_if(|item| part.len() < MAX_BATCH && weight + item.weight() <= budget) {
                weight += item.weight();
                part.push(item);
            }
            self.part(&mut part, out);
        }
        let failed = out[before..].iter().filter(|verdict| matches!(verdict, Verdict::Failed { .. })).count();
        if failed > 0 {
            self.guest.counts.failed.fetch_add(failed as u64, Ordering::Relaxed);
        }
    }

    fn part(&mut self, part: &mut Vec<Item<'_>>, out: &mut Vec<Verdict>) {
        if let Err(error) = self.guest.circuit.admit(Instant::now()) {
            return fail_all(part, &Arc::new(error), out);
        }
        match self.try_transform(part) {
            Ok(outcomes) => {
                self.guest.circuit.succeeded();
                out.extend(part.drain(..).zip(outcomes).map(|(item, outcome)| outcome.apply(item.record)));
            }
            Err(error) => self.retry(part, Arc::new(error), out),
        }
    }

    /// One by one, for as long as the patience lasts.
    fn retry(&mut self, part: &mut Vec<Item<'_>>, error: Arc<PluginError>, out: &mut Vec<Verdict>) {
        let client = part.first().map(|item| item.message.client.id.clone());
        let one_client = part.iter().all(|item| Some(&item.message.client.id) == client.as_ref());
        let give_up = Instant::now() + self.guest.limits().deadline.duration() * RETRY_DEADLINES;
        let mut survivors = 0_u32;
        if part.len() > 1 && error.poisons_instance() {
            for item in part.drain(..) {
                if Instant::now() >= give_up {
                    out.push(Verdict::Failed { record: item.record, error: error.clone() });
                    continue;
                }
                match self.try_transform(std::slice::from_ref(&item)) {
                    Ok(mut outcomes) if outcomes.len() == 1 => {
                        survivors += 1;
                        out.extend(outcomes.pop().map(|outcome| outcome.apply(item.record)));
                    }
                    Ok(_) => out.push(Verdict::Failed { record: item.record, error: error.clone() }),
                    Err(own) => out.push(Verdict::Failed { record: item.record, error: Arc::new(own) }),
                }
            }
        } else {
            fail_all(part, &error, out);
        }
        if survivors > 0 {
            self.guest.circuit.succeeded();
        } else {
            self.guest.circuit.failed(&error, client.as_ref().filter(|_| one_client), Instant::now());
        }
    }

    fn try_transform(&mut self, items: &[Item<'_>]) -> Result<Vec<super::outcome::Outcome>, PluginError> {
        if let [item] = items {
            let (size, limit) = (item.weight(), self.guest.limits().memory);
            if size > limit.as_usize() / 2 {
                return Err(PluginError::MessageTooLarge { size: ByteSize(size as u64), limit });
            }
        }
        self.with_instance(|instance| instance.transform(items))
    }

    /// Runs `body` on the warm instance; makes one if there is none, and throws it away if `body` fails in it.
    pub(super) fn with_instance<T>(&mut self, body: impl FnOnce(&mut Instance) -> Result<T, PluginError>) -> Result<T, PluginError> {
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => none.insert(self.guest.instantiate()?),
        };
        let result = body(instance);
        if let Err(error) = &result
            && error.poisons_instance()
        {
            self.instance = None;
            self.guest.counts.restarts.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(plugin = self.guest.name(), %error, "an instance is thrown away");
        }
        result
    }
}

fn fail_all(items: &mut Vec<Item<'_>>, error: &Arc<PluginError>, out: &mut Vec<Verdict>) {
    out.extend(items.drain(..).map(|item| Verdict::Failed { record: item.record, error: error.clone() }));
}
