//! The pipeline: what a message meets between its client and Kafka.
//!
//! A [`Pipeline`] is one immutable, compiled snapshot of rules, actions and plugins. A change of the configuration builds
//! a new one aside and swaps it in between batches ([`Running::swap`]); a batch ends on the one that it started on. The
//! stages of a message stand in one place, `worker.rs`.

mod action;
mod build;
mod builtin;
mod config;
mod console;
mod counters;
mod headers;
pub mod ingress;
mod render;
mod republish;
mod stage;
#[cfg(test)]
mod tests;
mod trial;
mod worker;
mod world;

use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

pub use action::ActionTemplates;
pub use build::{Blueprint, BuildError};
pub use builtin::{ActionUse, BuiltIn, ConsoleAction, Function, Republish, RepublishAction};
pub use config::{OnError, PluginUse, RuleConfig, RuleEngineConfig};
pub use counters::{RuleCounters, Tally};
pub use ingress::{Closed, Inbound, Ingress, IngressLimits, ShardId};
pub use republish::{Subscribers, check_republish};
pub use trial::Trial;
pub use world::{Here, Local, Supplies, Surroundings, serve_jq};

use crate::event::{EventKind, EventSet};
use crate::kafka::Sink;
use crate::ledger::Account;
use crate::plugin::Guest;
use crate::rule::{FunctionCatalog, FunctionId, Plan};
use crate::topic::FilterIndex;
use action::Action;
use stage::{PluginFunction, Stage};

/// A compiled snapshot.
pub struct Pipeline {
    node: String,
    rules: Vec<Rule>,
    /// Filters of all FROM clauses to indices of `rules`.
    index: FilterIndex<usize>,
    events: EventRules,
    actions: Vec<Action>,
    functions: Vec<PluginFunction>,
    supplies: Supplies,
    /// Whether rules want the births of Sparkplug's devices to be remembered.
    births: bool,
}

struct Rule {
    name: String,
    plan: Plan,
    decode: Vec<Stage>,
    transform: Vec<Stage>,
    actions: Vec<RuleAction>,
    counters: Arc<RuleCounters>,
    made_from: RuleConfig,
}

/// One action of a rule.
struct RuleAction {
    /// Index into the pipeline's actions.
    index: usize,
    account: Arc<Account>,
}

impl Pipeline {
    /// Indices of the rules that a topic matches, each once, in the order of their names.
    fn rules_for(&self, topic: &str) -> Vec<usize> {
        let mut found = Vec::new();
        self.index.for_each_match(topic, |rule| found.push(*rule));
        found.sort_unstable();
        found.dedup();
        found
    }

    fn uses(&self, guest: *const Guest) -> bool {
        let stages = self.rules.iter().flat_map(|rule| rule.decode.iter().chain(&rule.transform));
        let guests = stages.map(|stage| &stage.guest).chain(self.functions.iter().map(|function| &function.guest));
        guests.into_iter().any(|used| Arc::as_ptr(used) == guest)
    }

    /// The sinks of this snapshot, for status and the end.
    fn sinks(&self) -> impl Iterator<Item = (&str, &Arc<Sink>)> {
        self.actions.iter().filter_map(|action| Some((action.name.as_str(), &action.kafka()?.sink)))
    }
}

impl FunctionCatalog for Vec<PluginFunction> {
    fn resolve(&self, name: &str) -> Option<FunctionId> {
        self.iter().position(|function| function.name == name).map(FunctionId)
    }
}

/// Which rules read which events: indices of `rules`, by kind. A rule is there once for each entry of its FROM that names
/// the kind, because that is how often it runs (rule-sql 2.1).
#[derive(Default)]
struct EventRules([Arc<[usize]>; EventKind::ALL.len()]);

impl EventRules {
    fn of(&self, kind: EventKind) -> &Arc<[usize]> {
        &self.0[kind as usize]
    }

    fn wanted(&self) -> EventSet {
        let mut wanted = EventSet::default();
        EventKind::ALL.iter().filter(|kind| !self.of(**kind).is_empty()).for_each(|kind| wanted.insert(*kind));
        wanted
    }
}

/// The running pipeline: its workers, and the snapshot that they follow.
pub struct Running {
    current: Arc<ArcSwap<Pipeline>>,
    ingress: Ingress,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Running {
    /// Starts one thread for each shard of `ingress`; rules see and keep things in `surroundings`. Republished messages go
    /// to `subscribers`, and to the rules.
    pub fn start(
        pipeline: Pipeline,
        ingress: Ingress,
        surroundings: Surroundings,
        subscribers: Arc<dyn Subscribers>,
    ) -> std::io::Result<Running> {
        let surroundings = Arc::new(surroundings);
        ingress.want(pipeline.events.wanted());
        let current = Arc::new(ArcSwap::from_pointee(pipeline));
        let spawn = |(index, shard): (usize, &Arc<ingress::Shard>)| {
            let (shard, current, subscribers) = (shard.clone(), current.clone(), subscribers.clone());
            let surroundings = surroundings.clone();
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || worker::run(&shard, &current, surroundings, &*subscribers))
        };
        let workers = ingress.shards().iter().enumerate().map(spawn).collect::<Result<_, _>>()?;
        Ok(Running { current, ingress, workers: Mutex::new(workers) })
    }

    /// The snapshot that new batches use.
    #[must_use]
    pub fn current(&self) -> Arc<Pipeline> {
        self.current.load_full()
    }

    /// Puts `next` in place; gives the sinks that it does not use any more. They may be stopped when nobody else holds
    /// them: a worker may be in the middle of a batch for them.
    #[must_use = "the sinks given back still hold records; stop them when they are idle"]
    pub fn swap(&self, next: Pipeline) -> Vec<(String, Arc<Sink>)> {
        let next = Arc::new(next);
        let old = self.current.swap(next.clone());
        self.ingress.want(next.events.wanted());
        self.ingress.nudge_all();
        old.sinks()
            .filter(|(_, sink)| !next.sinks().any(|(_, kept)| Arc::ptr_eq(kept, sink)))
            .map(|(name, sink)| (name.to_owned(), sink.clone()))
            .collect()
    }

    /// Takes nothing more in, does what waits, and ends the workers. Blocks; sinks go on.
    pub fn finish_workers(&self) {
        self.ingress.close();
        for worker in self.workers.lock().drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker thread ended by a panic (this is a defect)");
            }
        }
    }

    /// The sinks that run, by action.
    #[must_use]
    pub fn sinks(&self) -> Vec<(String, Arc<Sink>)> {
        self.current.load().sinks().map(|(name, sink)| (name.to_owned(), sink.clone())).collect()
    }

    /// Appends the figures of all rules and actions in Prometheus' text format.
    pub fn render_metrics(&self, out: &mut String) {
        render::metrics(&self.current.load(), &self.ingress, out);
    }
}
