//! What the host keeps for one instance: its limits, its deadline, its (empty) system interface and its log.
//!
//! Nothing in here is shared between instances except the log's allowance.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, Trap};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::capability::logging::GuestLog;
use super::capability::system;
use super::config::Limits;
use super::epoch;
use super::error::PluginError;
use crate::units::Millis;

/// Table elements of one instance: function tables of interpreters have some ten thousand.
const MAX_TABLE_ELEMENTS: usize = 200_000;
/// Core instances, tables and memories of one component; a Python component has about twenty.
const MAX_CORE_ITEMS: usize = 256;
/// Handles (streams, pollables) that a guest may hold at once.
const MAX_HANDLES: usize = 1024;
/// What the guest may hand to the host beside its output, in bytes: a log line, a path.
const OUTPUT_SLACK: usize = 64 << 10;

/// The host's side of one instance.
pub(super) struct State {
    pub(super) table: ResourceTable,
    pub(super) wasi: WasiCtx,
    pub(super) memory: MemoryUse,
    /// When the running call must be over; host functions that wait look at it, because the epoch only stops guest code.
    pub(super) deadline: Instant,
    /// A host function was cut short by the deadline.
    pub(super) overslept: bool,
    pub(super) log: Arc<GuestLog>,
    pub(super) stderr: system::Lines,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Counts the memories of a store together: a component may have several.
#[derive(Debug)]
pub(super) struct MemoryUse {
    limit: usize,
    pub(super) used: usize,
    table_elements: usize,
    /// The guest asked for more than the limit. Usually it then gives up with a trap of its own.
    refused: bool,
}

impl ResourceLimiter for MemoryUse {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let allowed = used <= self.limit;
        if allowed {
            self.used = used;
        } else {
            self.refused = true;
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        let allowed = elements <= MAX_TABLE_ELEMENTS;
        if allowed {
            self.table_elements = elements;
        } else {
            self.refused = true;
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        MAX_CORE_ITEMS
    }

    fn tables(&self) -> usize {
        MAX_CORE_ITEMS
    }

    fn memories(&self) -> usize {
        MAX_CORE_ITEMS
    }
}

/// An empty store under these limits.
pub(super) fn new(engine: &wasmtime::Engine, limits: &Limits, log: Arc<GuestLog>) -> Store<State> {
    let (wasi, stderr) = system::context(&log);
    let memory = MemoryUse { limit: limits.memory.as_usize(), used: 0, table_elements: 0, refused: false };
    let state =
        State { table: ResourceTable::new(), wasi, memory, deadline: Instant::now(), overslept: false, log, stderr };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_max_component_handles(MAX_HANDLES);
    store.set_hostcall_fuel(limits.output.as_usize().saturating_add(OUTPUT_SLACK));
    store
}

/// Starts the time of one call.
pub(super) fn arm(store: &mut Store<State>, deadline: Millis) {
    store.set_epoch_deadline(epoch::ticks(deadline));
    let state = store.data_mut();
    state.deadline = Instant::now() + deadline.duration();
    state.overslept = false;
    state.memory.refused = false;
    state.stderr.forget();
}

/// What a failed call died of. The store is of no further use.
pub(super) fn classify(
    store: &mut Store<State>,
    error: &wasmtime::Error,
    deadline: Millis,
    limits: &Limits,
) -> PluginError {
    let state = store.data_mut();
    if state.overslept || error.downcast_ref() == Some(&Trap::Interrupt) {
        return PluginError::Deadline { limit: deadline };
    }
    if state.memory.refused {
        return PluginError::MemoryLimit { limit: limits.memory, stderr: state.stderr.last_words() };
    }
    let cause = error.root_cause().to_string();
    // The engine has no typed error for it; `an_output_over_the_limit_is_told_apart` fails if the words change.
    if cause.contains("fuel allocated for hostcalls") {
        return PluginError::OutputTooLarge { limit: limits.output };
    }
    let cause = match error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        Some(exit) => format!("it called exit({})", exit.0),
        None => cause,
    };
    PluginError::Trap { cause, stderr: state.stderr.last_words() }
}
