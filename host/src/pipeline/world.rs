//! The world that rules see on this node: its clock and zone, chance, the variables meant for rules, what rules keep, and
//! the helper process for jq. [`Surroundings`] is the node's, [`Local`] one worker's, [`Here`] one message's.
//!
//! A worker waits for nothing here but jq, and that no longer than its limit. What rules keep never grows without bound.

mod jq;
mod memory;
mod schemas;

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustc_hash::FxHashMap;

use super::config::RuleEngineConfig;
use crate::message::{Client, Message};
use crate::rule::{self, Memory, World};
use crate::schema::Schemas;
use jq::Helper;
pub use jq::serve as serve_jq;
use memory::{Dictionaries, Shared};

/// What all workers of a node share. Outlives every pipeline: a reload forgets nothing.
pub struct Surroundings {
    kept: Shared,
    variables: FxHashMap<Vec<u8>, Bytes>,
    zone: TimeZone,
}

impl Surroundings {
    /// `variables` is what `getenv` gives, by the names that rules use.
    #[must_use]
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Surroundings {
        let variables = variables.into_iter().map(|(name, value)| (name.into_bytes(), Bytes::from(value))).collect();
        Surroundings { kept: Shared::default(), variables, zone: TimeZone::system() }
    }
}

/// What a configuration gives to its rules.
#[derive(Default)]
pub struct Supplies {
    pub schemas: Schemas,
    pub engine: RuleEngineConfig,
}

/// One thread's part of the world.
pub struct Local {
    surroundings: Arc<Surroundings>,
    dictionaries: RefCell<Dictionaries>,
    jq: RefCell<Helper>,
    /// A keyed hash of a counter: nobody who sees some of its numbers can guess the others.
    chance: RandomState,
    drawn: Cell<u64>,
}

impl Local {
    #[must_use]
    pub fn new(surroundings: Arc<Surroundings>) -> Local {
        Local {
            surroundings,
            dictionaries: RefCell::default(),
            jq: RefCell::default(),
            chance: RandomState::new(),
            drawn: Cell::new(0),
        }
    }

    /// The world as one event sees it, which is about this message.
    #[must_use]
    pub fn here<'a>(&'a self, supplies: &'a Supplies, message: Option<&'a Message>) -> Here<'a> {
        Here { local: self, supplies, message }
    }
}

/// The world of one event.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    local: &'a Local,
    supplies: &'a Supplies,
    message: Option<&'a Message>,
}

impl Here<'_> {
    fn client(&self) -> Option<&Arc<Client>> {
        self.message.map(|message| &message.client)
    }
}

impl World for Here<'_> {
    fn now(&self) -> i64 {
        // A clock before 1970 or after 2262 is none.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    fn utc_offset(&self, unix_seconds: i64) -> i64 {
        let offset = |at| i64::from(self.local.surroundings.zone.to_offset(at).seconds());
        Timestamp::from_second(unix_seconds).map(offset).unwrap_or_default()
    }

    fn random(&self) -> u64 {
        let number = self.local.drawn.get();
        self.local.drawn.set(number.wrapping_add(1));
        self.local.chance.hash_one(number)
    }

    fn variable(&self, name: &[u8]) -> Option<Bytes> {
        self.local.surroundings.variables.get(name).cloned()
    }

    fn recall(&self, memory: Memory, key: &[u8]) -> Option<Bytes> {
        match memory {
            Memory::Node => self.local.surroundings.kept.get(key),
            Memory::Connection => self.local.dictionaries.borrow().get(self.client(), key),
        }
    }

    fn remember(&self, memory: Memory, key: &[u8], content: Option<&[u8]>) -> Result<Option<Bytes>, String> {
        match memory {
            Memory::Node => self.local.surroundings.kept.put(key, content),
            Memory::Connection => self.local.dictionaries.borrow_mut().put(self.client(), key, content),
        }
    }

    fn topic(&self) -> Option<&str> {
        self.message.map(|message| message.topic.as_str())
    }

    fn jq(&self, program: &[u8], input: &[u8], limit: Option<Duration>) -> Result<Bytes, String> {
        let mut helper = self.local.jq.try_borrow_mut().map_err(|_| "jq cannot call itself")?;
        let usual = self.supplies.engine.jq_function_default_timeout;
        helper.ask(program, input, limit.unwrap_or(usual.duration()))
    }

    fn schemas(&self) -> &dyn rule::Schemas {
        &self.supplies.schemas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_drawn_by_two_workers_differ() {
        let surroundings = Arc::new(Surroundings::new([("SITE".to_owned(), "plant-7".to_owned())]));
        let (a, b) = (Local::new(surroundings.clone()), Local::new(surroundings));
        let supplies = Supplies::default();
        let drawn: std::collections::BTreeSet<u64> =
            (0..1000).flat_map(|_| [a.here(&supplies, None).random(), b.here(&supplies, None).random()]).collect();
        assert_eq!(drawn.len(), 2000);
        assert_eq!(a.here(&supplies, None).variable(b"SITE"), Some(Bytes::from_static(b"plant-7")));
        assert_eq!(a.here(&supplies, None).variable(b"PATH"), None);
    }

    #[test]
    fn the_clock_runs() {
        let (local, supplies) = (Local::new(Arc::new(Surroundings::new([]))), Supplies::default());
        let (before, after) = (local.here(&supplies, None).now(), local.here(&supplies, None).now());
        assert!(before > 1_700_000_000_000_000_000 && after >= before);
        assert!(local.here(&supplies, None).utc_offset(0).abs() <= 26 * 3600);
        assert_eq!(local.here(&supplies, None).utc_offset(i64::MAX), 0);
    }
}
