//! One loaded version of a plugin, and its instances.
//!
//! A [`Guest`] is immutable and shared; an [`Instance`] belongs to one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use wasmtime::Store;

use super::cache::ContentHash;
use super::capability::logging::GuestLog;
use super::circuit::{Circuit, CircuitState};
use super::config::Limits;
use super::engine::Engine;
use super::error::PluginError;
use super::function::{self, FunctionInfo};
use super::store::{self, State};
use super::transform::Item;
use super::verdict::Verdict;
use super::world::{self, Kind, Linked};
use super::{flat, plain};
use crate::units::{ByteSize, Millis};

/// One version of one plugin with its configuration: compiled, checked, proven to start.
pub struct Guest {
    name: String,
    pub(super) engine: Arc<Engine>,
    linked: Linked,
    kind: Kind,
    functions: Vec<FunctionInfo>,
    content: ContentHash,
    config_json: String,
    limits: Limits,
    log: Arc<GuestLog>,
    instances: AtomicUsize,
    description: Description,
    pub(super) circuit: Circuit,
    pub(super) counts: Counts,
}

/// What `millstream plugin inspect` shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Description {
    pub name: String,
    pub world: &'static str,
    pub exports: Vec<String>,
    pub imports: Vec<String>,
    pub functions: Vec<FunctionInfo>,
    /// SHA-256 of the component file.
    pub content: String,
    pub component_bytes: usize,
    /// Linear memory of one instance after `init`, in bytes.
    pub memory_bytes: usize,
    #[serde(serialize_with = "as_millis")]
    pub compile_time: Duration,
    /// The compiled form came from the cache; `compile_time` is then the time to load it.
    pub from_cache: bool,
    /// Instantiation and `init`.
    #[serde(serialize_with = "as_millis")]
    pub start_time: Duration,
}

/// What a plugin has done since it was loaded.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) messages: AtomicU64,
    /// Messages that the plugin failed on, whatever became of them.
    pub(super) failed: AtomicU64,
    pub(super) calls: AtomicU64,
    pub(super) failed_calls: AtomicU64,
    pub(super) restarts: AtomicU64,
}

/// A moment of a plugin's life, for the API and metrics.
#[derive(Clone, Debug)]
pub struct GuestStatus {
    pub messages: u64,
    pub failed_messages: u64,
    /// Function calls.
    pub calls: u64,
    pub failed_calls: u64,
    /// Instances that were thrown away after a failure.
    pub restarts: u64,
    pub instances: usize,
    pub circuit: CircuitState,
}

impl Guest {
    /// Compiles (or takes from the cache), checks against the worlds, and proves that `init` accepts the configuration.
    /// Takes from a millisecond to seconds, and runs guest code: not for a thread that serves anybody.
    pub fn load(
        engine: &Arc<Engine>,
        name: &str,
        bytes: &[u8],
        config_json: &str,
        limits: Limits,
    ) -> Result<Arc<Guest>, PluginError> {
        let content = ContentHash::of(bytes);
        let compiled = engine.compile(content, bytes)?;
        let (kind, linked) = world::link(&engine.linker, &compiled.component)?;
        let mut guest = Guest {
            name: name.to_owned(),
            engine: engine.clone(),
            linked,
            kind,
            functions: Vec::new(),
            content,
            config_json: config_json.to_owned(),
            limits,
            log: Arc::new(GuestLog::new(name)),
            instances: AtomicUsize::new(0),
            description: Description::default(),
            circuit: Circuit::default(),
            counts: Counts::default(),
        };
        let start = Instant::now();
        let (mut store, exports) = guest.start()?;
        let start_time = start.elapsed();
        if let Exports::Function(exports) = &exports {
            guest.functions = function::signatures(&mut store, exports, &guest)?;
        }
        guest.description = Description {
            name: name.to_owned(),
            world: kind.world(),
            exports: world::exports(&compiled.component),
            imports: world::imports(&compiled.component),
            functions: guest.functions.clone(),
            content: content.to_string(),
            component_bytes: bytes.len(),
            memory_bytes: store.data().memory.used,
            compile_time: compiled.took,
            from_cache: compiled.from_cache,
            start_time,
        };
        Ok(Arc::new(guest))
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Empty for a transform.
    #[must_use]
    pub fn functions(&self) -> &[FunctionInfo] {
        &self.functions
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    #[must_use]
    pub fn describe(&self) -> &Description {
        &self.description
    }

    /// Whether loading the same again would make no difference.
    #[must_use]
    pub fn is_same(&self, content: ContentHash, config_json: &str, limits: &Limits) -> bool {
        self.content == content && self.config_json == config_json && self.limits == *limits
    }

    #[must_use]
    pub fn status(&self) -> GuestStatus {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        GuestStatus {
            messages: read(&self.counts.messages),
            failed_messages: read(&self.counts.failed),
            calls: read(&self.counts.calls),
            failed_calls: read(&self.counts.failed_calls),
            restarts: read(&self.counts.restarts),
            instances: self.instances.load(Ordering::Relaxed),
            circuit: self.circuit.state(Instant::now()),
        }
    }

    /// A fresh instance, initialised.
    pub fn instantiate(self: &Arc<Self>) -> Result<Instance, PluginError> {
        let place = Place::take(self)?;
        let (store, exports) = self.start()?;
        Ok(Instance { store, exports, scratch: flat::Scratch::default(), place })
    }

    fn start(&self) -> Result<(Store<State>, Exports), PluginError> {
        let deadline = self.limits.start_deadline();
        let mut store = store::new(&self.engine.wasm, &self.limits, self.log.clone());
        let (exports, answer) = self.call(&mut store, deadline, |store| {
            let config = self.config_json.as_str();
            Ok(match &self.linked {
                Linked::Plain(pre) => {
                    let world = pre.instantiate(&mut *store)?;
                    let answer = world.millstream_plugin_plugin().call_init(store, config)?;
                    (Exports::Plain(world), answer)
                }
                Linked::Flat(pre) => {
                    let world = pre.instantiate(&mut *store)?;
                    let answer = world.millstream_plugin_plugin_flat().call_init(store, config)?;
                    (Exports::Flat(world), answer)
                }
                Linked::Function(pre) => {
                    let world = pre.instantiate(&mut *store)?;
                    let answer = world.millstream_plugin_functions().call_init(store, config)?;
                    (Exports::Function(world), answer)
                }
            })
        })?;
        match answer {
            Ok(()) => Ok((store, exports)),
            Err(reason) => Err(PluginError::GuestRefusedInit(reason)),
        }
    }

    /// The one way into a guest: with a deadline, and with the failure classified.
    pub(super) fn call<T>(
        &self,
        store: &mut Store<State>,
        deadline: Millis,
        body: impl FnOnce(&mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<T, PluginError> {
        store::arm(store, deadline);
        let running = self.engine.ticker.running();
        let result = body(store);
        drop(running);
        result.map_err(|error| store::classify(store, &error, deadline, &self.limits))
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}

pub(super) enum Exports {
    Plain(world::plain::Transform),
    Flat(world::flat::TransformFlat),
    Function(world::function::Function),
}

/// One running instance. After an error that [`PluginError::poisons_instance`] it must be dropped.
pub struct Instance {
    pub(super) store: Store<State>,
    pub(super) exports: Exports,
    scratch: flat::Scratch,
    place: Place,
}

impl Instance {
    pub(super) fn guest(&self) -> &Arc<Guest> {
        &self.place.0
    }

    /// Appends one verdict for each item. After an error `verdicts` may hold some of them.
    pub(super) fn transform(&mut self, items: &[Item<'_>], verdicts: &mut Vec<Verdict>) -> Result<(), PluginError> {
        let guest = &self.place.0;
        let deadline = guest.limits.deadline;
        match &self.exports {
            Exports::Flat(world) => {
                self.scratch.encode(items);
                let exports = world.millstream_plugin_plugin_flat();
                let messages = &self.scratch.messages;
                let answer = guest.call(&mut self.store, deadline, |store| exports.call_transform(store, messages))?;
                let size = answer.arena.len() + answer.words.len() * 4;
                if size as u64 > guest.limits.output.0 {
                    return Err(PluginError::OutputTooLarge { limit: guest.limits.output });
                }
                flat::verdicts(&mut self.scratch, answer, items.len(), verdicts)
            }
            Exports::Plain(world) => {
                let lent = plain::lend(items);
                let messages = plain::messages(items, &lent);
                let exports = world.millstream_plugin_plugin();
                let answer = guest.call(&mut self.store, deadline, |store| exports.call_transform(store, &messages))?;
                plain::verdicts(answer, items.len(), verdicts)
            }
            Exports::Function(_) => Err(PluginError::WrongKind { is: guest.kind.noun(), wanted: "transform" }),
        }
    }

    /// Linear memory in use, in bytes.
    #[must_use]
    pub fn memory(&self) -> ByteSize {
        ByteSize(self.store.data().memory.used as u64)
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("guest", self.guest()).finish_non_exhaustive()
    }
}

/// One of the allowed instances, given back when dropped.
struct Place(Arc<Guest>);

impl Place {
    fn take(guest: &Arc<Guest>) -> Result<Place, PluginError> {
        let limit = guest.limits.instances;
        if guest.instances.fetch_add(1, Ordering::Relaxed) >= limit {
            guest.instances.fetch_sub(1, Ordering::Relaxed);
            return Err(PluginError::TooManyInstances { limit });
        }
        Ok(Place(guest.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.instances.fetch_sub(1, Ordering::Relaxed);
    }
}

fn as_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e5).round() / 100.0)
}
