//! A worker's warm instance of one plugin: made at the first need, kept while it behaves, replaced when it fails.
//!
//! Every item that goes in comes out with a verdict. A failed batch is tried again message by message on a fresh
//! instance, so that one bad message fails alone; the time for that is bounded, and what it does not reach fails with
//! the batch's error. A transform may therefore see a message twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::error::PluginError;
use super::function::FunctionInfo;
use super::guest::{Guest, Instance};
use super::transform::Item;
use super::verdict::Verdict;
use crate::message::ClientId;
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

    /// Appends exactly one verdict for each of `items`, in order. Blocks for up to the deadline for each part of 256
    /// messages, and up to five times that for a part that fails.
    pub fn transform(&mut self, items: &[Item<'_>], verdicts: &mut Vec<Verdict>) {
        self.guest.counts.messages.fetch_add(items.len() as u64, Ordering::Relaxed);
        let before = verdicts.len();
        verdicts.reserve(items.len());
        let mut rest = items;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(self.part_of(rest));
            self.decide(part, verdicts);
            rest = after;
        }
        let failed = verdicts[before..].iter().filter(|verdict| matches!(verdict, Verdict::Failed(_))).count();
        if failed > 0 {
            self.guest.counts.failed.fetch_add(failed as u64, Ordering::Relaxed);
        }
    }

    /// How many of `items`, at least one, make a part that fits the guest's memory with room for its work.
    fn part_of(&self, items: &[Item<'_>]) -> usize {
        let budget = self.guest.limits().memory.as_usize() / 8;
        let mut weight = 0;
        let fits = items.iter().take(MAX_BATCH).take_while(|item| {
            weight += item.weight();
            weight <= budget
        });
        fits.count().max(1)
    }

    /// Appends one verdict for each item.
    fn decide(&mut self, part: &[Item<'_>], verdicts: &mut Vec<Verdict>) {
        if let Err(error) = self.guest.circuit.admit(Instant::now) {
            return fail_all(part, &Arc::new(error), verdicts);
        }
        match self.try_transform(part, verdicts) {
            Ok(()) => self.guest.circuit.succeeded(),
            Err(error) => self.retry(part, &Arc::new(error), verdicts),
        }
    }

    /// One by one, for as long as the patience lasts.
    fn retry(&mut self, part: &[Item<'_>], error: &Arc<PluginError>, verdicts: &mut Vec<Verdict>) {
        let before = verdicts.len();
        if part.len() > 1 && error.poisons_instance() {
            let give_up = Instant::now() + self.guest.limits().deadline.duration() * RETRY_DEADLINES;
            for item in part {
                if Instant::now() >= give_up {
                    verdicts.push(Verdict::Failed(error.clone()));
                } else if let Err(own) = self.try_transform(std::slice::from_ref(item), verdicts) {
                    verdicts.push(Verdict::Failed(Arc::new(own)));
                }
            }
        } else {
            fail_all(part, error, verdicts);
        }
        if verdicts[before..].iter().any(|verdict| !matches!(verdict, Verdict::Failed(_))) {
            self.guest.circuit.succeeded();
        } else if error.poisons_instance() || matches!(**error, PluginError::GuestRefusedInit(_)) {
            self.guest.circuit.failed(error, only_client(part), Instant::now());
        }
    }

    /// Appends one verdict for each item, or none.
    fn try_transform(&mut self, items: &[Item<'_>], verdicts: &mut Vec<Verdict>) -> Result<(), PluginError> {
        if let [item] = items {
            let (size, limit) = (item.weight(), self.guest.limits().memory);
            if size > limit.as_usize() / 2 {
                return Err(PluginError::MessageTooLarge { size: ByteSize(size as u64), limit });
            }
        }
        let before = verdicts.len();
        self.with_instance(|instance| instance.transform(items, verdicts)).inspect_err(|_| verdicts.truncate(before))
    }

    /// Runs `body` on the warm instance; makes one if there is none, and throws it away if `body` fails in it.
    pub(super) fn with_instance<T>(
        &mut self,
        body: impl FnOnce(&mut Instance) -> Result<T, PluginError>,
    ) -> Result<T, PluginError> {
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

fn fail_all(items: &[Item<'_>], error: &Arc<PluginError>, verdicts: &mut Vec<Verdict>) {
    verdicts.extend(items.iter().map(|_| Verdict::Failed(error.clone())));
}

/// The client that sent all of these, if it is one.
fn only_client<'a>(items: &'a [Item<'_>]) -> Option<&'a ClientId> {
    let first = &items.first()?.message.client.id;
    items.iter().all(|item| item.message.client.id == *first).then_some(first)
}

#[cfg(test)]
mod tests;
