//! One worker thread: take what waits, find the rules, run them, hand the records on, settle.
//!
//! Work goes chunk by chunk, so that plugins and sinks see batches: every rule's decode plugins first, then each message
//! through all its rules, then every rule's transform plugins. A batch that grows large goes on early. Records reach each
//! sink in the order of their messages. A worker never waits for Kafka. A panic costs the chunk that it happened in: its
//! promises are dropped, which tells the publishers that nothing was delivered.

mod lot;
mod outbox;
mod product;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

use super::counters::Tally;
use super::ingress::{Inbound, Shard, Taken};
use super::republish::Subscribers;
use super::stage::{Decoded, PluginFunctions, Routed, WarmGuests};
use super::world::{Local, Surroundings};
use super::{Pipeline, Rule, RuleAction};
use crate::ack::{self, AckHandle, Outcome, Refusal};
use crate::kafka::Draft;
use crate::ledger::{Charge, DropCause, FailCause};
use crate::message::Message;
use crate::rule::{self, Context, EvalError, Event, OccurredEvent, PublishEvent};
use lot::{Input, Lot, Promise, turns};
use outbox::Outbox;
use product::{Product, product};

/// Messages that go through the stages together.
const CHUNK: usize = 256;
/// Bytes of records that a worker gathers before it hands them on, whether or not the chunk is done.
const MAX_GATHERED: usize = 16 << 20;
/// Bytes of the records that one rule may make of one message: many, each with much of the message in it, grow with the
/// square of the message.
const MAX_MADE: usize = 64 << 20;
/// What a record counts besides its bytes.
const RECORD_OVERHEAD: usize = 512;
/// Topics whose rules a worker remembers; beyond that it forgets all and starts again.
const MAX_CACHED_TOPICS: usize = 10_000;
/// How often an idle worker looks whether the pipeline was replaced, so that an old one can end.
const PATIENCE: Duration = Duration::from_millis(250);

/// The thread's whole life.
pub(super) fn run(
    shard: &Shard,
    current: &ArcSwap<Pipeline>,
    surroundings: Arc<Surroundings>,
    subscribers: &dyn Subscribers,
) {
    let mut worker = Worker::new(current.load_full(), Local::new(surroundings), shard, subscribers);
    let mut batch = Vec::new();
    loop {
        let taken = shard.take(&mut batch, PATIENCE);
        worker.follow(current);
        batch.chunks_mut(CHUNK).for_each(|chunk| worker.run_chunk(chunk));
        batch.clear();
        if taken == Taken::Closed {
            return;
        }
    }
}

struct Worker<'a> {
    pipeline: Arc<Pipeline>,
    /// Where republished messages go: to the rules, and to whoever subscribes.
    shard: &'a Shard,
    subscribers: &'a dyn Subscribers,
    warm: WarmGuests,
    /// What this worker's rules see of the world.
    world: Local,
    /// Indices into the pipeline's rules, by topic.
    cache: FxHashMap<Arc<str>, Arc<[usize]>>,
}

impl<'a> Worker<'a> {
    fn new(pipeline: Arc<Pipeline>, world: Local, shard: &'a Shard, subscribers: &'a dyn Subscribers) -> Worker<'a> {
        let (warm, cache) = (WarmGuests::default(), FxHashMap::default());
        Worker { pipeline, shard, subscribers, warm, world, cache }
    }

    /// Moves on to the current pipeline between batches; a batch ends on the one that it started on.
    fn follow(&mut self, current: &ArcSwap<Pipeline>) {
        if Arc::as_ptr(&current.load()) == Arc::as_ptr(&self.pipeline) {
            return;
        }
        self.pipeline = current.load_full();
        self.cache.clear();
        let pipeline = &self.pipeline;
        self.warm.keep(|guest| pipeline.uses(guest));
    }

    fn run_chunk(&mut self, chunk: &mut [Inbound]) {
        let panicked = ack::run(|| catch_unwind(AssertUnwindSafe(|| self.process(chunk)))).is_err();
        // After a panic the instances may be in the middle of anything.
        if panicked {
            tracing::error!(
                messages = chunk.len(),
                "a worker panicked; the batch is not acknowledged (this is a defect)"
            );
            self.warm = WarmGuests::default();
        }
    }

    fn process(&mut self, chunk: &mut [Inbound]) {
        let pipeline = self.pipeline.clone();
        // Promises apart from messages: the former are moved and branched, the latter only read.
        let mut promises: Vec<Promise> = chunk
            .iter_mut()
            .map(|inbound| Promise { ack: Some(std::mem::replace(&mut inbound.ack, AckHandle::detached())), rules: 0 })
            .collect();
        // Pairs of rule and message instead of a list for each rule: the number of rules must not cost anything.
        let mut work: Vec<(usize, usize)> = Vec::with_capacity(chunk.len());
        for (index, inbound) in chunk.iter().enumerate() {
            let rules = match &inbound.event {
                None => rules_of(&mut self.cache, &pipeline, &inbound.message),
                Some(event) => pipeline.events.of(event.kind()).clone(),
            };
            promises[index].rules = rules.len();
            work.extend(rules.iter().map(|rule| (*rule, index)));
        }
        work.sort_unstable();
        if pipeline.births {
            self.learn_births(&pipeline, chunk);
        }
        let by_rule = work.chunk_by(|(a, _), (b, _)| a == b);
        let mut lots: Vec<Lot> = by_rule
            .map(|messages| self.decode(&pipeline.rules[messages[0].0], chunk, messages, &mut promises))
            .collect();
        let mut gathered = 0;
        for lot in turns(&lots) {
            gathered += self.evaluate(&pipeline, &mut lots[lot], chunk, &mut promises);
            if gathered > MAX_GATHERED {
                self.hand_on(&pipeline, chunk, &mut lots);
                gathered = 0;
            }
        }
        self.hand_on(&pipeline, chunk, &mut lots);
        for promise in promises {
            promise.finish();
        }
    }

    /// Keeps what the births of Sparkplug's devices say, whether or not a rule reads them.
    fn learn_births(&self, pipeline: &Pipeline, chunk: &[Inbound]) {
        for Inbound { message, .. } in chunk.iter().filter(|inbound| inbound.event.is_none()) {
            if let Err(error) = rule::learn_birth(&self.world.here(&pipeline.supplies, Some(message)), &message.payload)
            {
                tracing::debug!(client = %message.client.id, topic = %message.topic, %error, "the names of a birth are not kept");
            }
        }
    }

    /// What one rule has to do: its messages, as its decode plugins see them.
    fn decode<'p>(
        &mut self,
        rule: &'p Rule,
        chunk: &[Inbound],
        messages: &[(usize, usize)],
        promises: &mut [Promise],
    ) -> Lot<'p> {
        let mut inputs: Vec<Input> = messages.iter().map(|(_, index)| Input { index: *index, decoded: None }).collect();
        let mut tally = Tally { matched: inputs.len() as u64, ..Tally::default() };
        if rule.decode.is_empty() {
            return Lot { rule, inputs: inputs.into(), tally, routed: Vec::new() };
        }
        // An event that is about no message has nothing to decode.
        let empty =
            |input: &mut Input| chunk[input.index].event.as_ref().is_some_and(|event| event.message().is_none());
        let untouched: Vec<Input> = inputs.extract_if(.., empty).collect();
        for stage in &rule.decode {
            let seen: Vec<&Message> = inputs.iter().map(|input| input.message(chunk)).collect();
            let answers = self.warm.decode(stage, &rule.name, &seen);
            let mut next = Vec::with_capacity(inputs.len());
            for (Input { index, .. }, answer) in inputs.iter().zip(answers) {
                match answer {
                    Decoded::Messages(list) => {
                        next.extend(list.into_iter().map(|message| Input { index: *index, decoded: Some(message) }));
                    }
                    Decoded::Dropped => tally.decode_dropped += 1,
                    Decoded::Refused => {
                        tally.decode_refused += 1;
                        promises[*index].refuse(Refusal::PayloadFormatInvalid);
                    }
                }
            }
            inputs = next;
        }
        inputs.extend(untouched);
        inputs.sort_by_key(|input| input.index);
        Lot { rule, inputs: inputs.into(), tally, routed: Vec::new() }
    }

    /// Runs a rule over the next of its messages; gives what the records of it weigh, in bytes.
    fn evaluate(
        &mut self,
        pipeline: &Pipeline,
        lot: &mut Lot<'_>,
        chunk: &[Inbound],
        promises: &mut [Promise],
    ) -> usize {
        let Some(input) = lot.inputs.pop_front() else { return 0 };
        let (rule, message, promise) = (lot.rule, input.message(chunk), &mut promises[input.index]);
        let (node, rule_id) = (pipeline.node.as_str(), rule.name.as_str());
        let (publication, occurred);
        let event: &dyn Event = match &chunk[input.index].event {
            None => {
                publication = PublishEvent { message, node, rule_id };
                &publication
            }
            Some(occurrence) => {
                occurred = OccurredEvent { occurrence, message, node, rule_id };
                &occurred
            }
        };
        let functions = PluginFunctions { functions: &pipeline.functions, warm: RefCell::new(&mut self.warm) };
        let world = self.world.here(&pipeline.supplies, Some(message));
        let limit = pipeline.supplies.engine.evaluation_limit();
        let mut rows = Vec::new();
        if let Err(error) =
            rule.plan.evaluate(event, Context { functions: &functions, world: &world, limit }, &mut rows)
        {
            lot.fail(message, &error, promise);
            return 0;
        }
        if rows.is_empty() {
            lot.tally.no_result += 1;
            return 0;
        }
        let (before, mut weight) = (lot.routed.len(), 0);
        // One record in all, from an undivided message: the promise itself goes along, nothing is branched.
        let whole = promise.rules == 1 && rows.len() == 1 && rule.actions.len() == 1 && input.decoded.is_none();
        for row in &rows {
            for (position, RuleAction { index, account }) in rule.actions.iter().enumerate() {
                let action = &pipeline.actions[*index];
                let ack = if whole { promise.take() } else { promise.branch() };
                match product(action, rule, &chunk[input.index], message, event, row) {
                    Ok(Product::Record(record, publication)) => {
                        weight += RECORD_OVERHEAD + record.bytes();
                        let draft = Draft { record, ack, charge: Charge::none() };
                        lot.routed.push(Routed { message: input.index, action: position, draft, publication });
                    }
                    Ok(Product::Printed(bytes)) => {
                        weight += bytes;
                        account.accept(1);
                        account.charge().delivered();
                        ack.settle(Outcome::Delivered);
                    }
                    Ok(Product::Loop) => {
                        account.accept(1);
                        account.charge().drop_for(DropCause::Loop);
                        if let Some(more) = rule.counters.remarks.admit() {
                            tracing::warn!(rule = rule.name, action = action.name, more, "a loop was cut");
                        }
                        ack.settle(Outcome::Delivered);
                    }
                    Err(error) => {
                        account.accept(1);
                        account.charge().fail(FailCause::Template);
                        let (rule, action) = (&rule.name, &action.name);
                        if let Some(more) = lot.rule.counters.remarks.admit() {
                            tracing::warn!(rule, action, more, "a record could not be made; the level debug says why");
                        }
                        tracing::debug!(rule, action, %error, "record not rendered");
                        ack.settle(Outcome::Refused(Refusal::ImplementationSpecific));
                    }
                }
                if weight > MAX_MADE {
                    lot.take_back(before);
                    lot.fail(message, &EvalError::too_large(), promise);
                    return 0;
                }
            }
        }
        lot.tally.passed += 1;
        weight
    }

    /// Sends what the rules have made so far through their transform plugins and on to the actions.
    fn hand_on(&mut self, pipeline: &Pipeline, chunk: &[Inbound], lots: &mut [Lot<'_>]) {
        let mut outbox = Outbox::default();
        for lot in lots {
            let (rule, mut routed) = (lot.rule, std::mem::take(&mut lot.routed));
            // Accepted first, all of an action in one step: nothing is charged that the ledger does not know.
            for (position, action) in rule.actions.iter().enumerate() {
                let n = routed.iter().filter(|entry| entry.action == position).count();
                action.account.accept(n);
            }
            for entry in &mut routed {
                entry.draft.charge = rule.actions[entry.action].account.charge();
            }
            if !routed.is_empty() {
                for stage in &rule.transform {
                    self.warm.transform(stage, &rule.name, |index| &chunk[index].message, &mut routed);
                }
            }
            rule.counters.add(std::mem::take(&mut lot.tally));
            outbox.push(&rule.actions, routed);
        }
        outbox.send(pipeline, |entries| self.republish(pipeline, entries));
    }

    /// Publishes what rules republish, in the order of the messages that it came from.
    fn republish(&mut self, pipeline: &Pipeline, entries: Vec<Routed>) {
        for Routed { draft: Draft { record, ack, charge }, publication, .. } in entries {
            let Some(publication) = publication else { continue };
            let message = match publication.message(record) {
                Ok(message) => message,
                Err(error) => {
                    tracing::debug!(%error, "a message was not republished");
                    charge.fail(FailCause::Template);
                    ack.settle(Outcome::Refused(Refusal::ImplementationSpecific));
                    continue;
                }
            };
            if publication.direct || rules_of(&mut self.cache, pipeline, &message).is_empty() {
                self.subscribers.publish(&message, !publication.direct);
                charge.delivered();
                ack.settle(Outcome::Delivered);
                continue;
            }
            // The rules first: what they have no room for must not have reached anybody.
            match self.shard.take_republished(Inbound::new(message.clone(), ack)) {
                Ok(()) => {
                    self.subscribers.publish(&message, true);
                    charge.delivered();
                }
                Err(ack) => {
                    charge.fail(FailCause::QueueFull);
                    ack.settle(Outcome::Refused(Refusal::QuotaExceeded));
                }
            }
        }
    }
}

fn rules_of(cache: &mut FxHashMap<Arc<str>, Arc<[usize]>>, pipeline: &Pipeline, message: &Message) -> Arc<[usize]> {
    if let Some(rules) = cache.get(message.topic.as_str()) {
        return rules.clone();
    }
    let rules: Arc<[usize]> = pipeline.rules_for(message.topic.as_str()).into();
    if cache.len() >= MAX_CACHED_TOPICS {
        cache.clear();
    }
    cache.insert(message.topic.shared(), rules.clone());
    rules
}
