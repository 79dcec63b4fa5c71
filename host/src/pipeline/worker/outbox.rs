//! What a chunk's rules give to the actions, gathered so that each sink is called once and gets its records in the order of
//! their messages.

use super::super::action::Target;
use super::super::stage::Routed;
use super::super::{Pipeline, RuleAction};

/// What goes to each action, by its index.
#[derive(Default)]
pub(super) struct Outbox(Vec<Parcel>);

struct Parcel {
    sink: usize,
    entries: Vec<Routed>,
    /// Entries of several rules, each rule's in the order of the messages.
    mixed: bool,
}

impl Outbox {
    /// Takes what one rule gives to its `actions`.
    pub(super) fn push(&mut self, actions: &[RuleAction], routed: Vec<Routed>) {
        if let [only] = actions {
            return self.add(only.index, routed);
        }
        let mut by_action: Vec<Vec<Routed>> = actions.iter().map(|_| Vec::new()).collect();
        for entry in routed {
            by_action[entry.action].push(entry);
        }
        for (action, entries) in actions.iter().zip(by_action) {
            self.add(action.index, entries);
        }
    }

    fn add(&mut self, sink: usize, entries: Vec<Routed>) {
        match self.0.iter_mut().find(|parcel| parcel.sink == sink) {
            Some(parcel) => {
                parcel.mixed = true;
                parcel.entries.extend(entries);
            }
            None => self.0.push(Parcel { sink, entries, mixed: false }),
        }
    }

    /// Each sink gets its records in the order of their messages; so does `republish` what is to be published here.
    pub(super) fn send(self, pipeline: &Pipeline, mut republish: impl FnMut(Vec<Routed>)) {
        for Parcel { sink, mut entries, mixed } in self.0 {
            if mixed {
                entries.sort_by_key(|entry| entry.message);
            }
            match &pipeline.actions[sink].target {
                Target::Kafka(kafka) => kafka.sink.send(entries.into_iter().map(|entry| entry.draft)),
                Target::Republish(_) | Target::Console => republish(entries),
            }
        }
    }
}
