//! The clock of the deadlines: a thread that advances the engine's epoch every millisecond while guests run.
//!
//! It sleeps when no guest has been called for a while, so an idle process is not woken a thousand times a second, and
//! it holds the engine weakly, so it ends with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::EngineWeak;

use super::error::PluginError;
use crate::units::Millis;

/// One step of the epoch.
const TICK: Duration = Duration::from_millis(1);
/// Steps without a call after which the thread sleeps until the next call.
const IDLE_TICKS: u32 = 100;

/// The running thread; ends when this is dropped.
#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    /// Guest calls under way.
    running: AtomicUsize,
    /// Guest calls ever begun.
    calls: AtomicU64,
    sleeping: AtomicBool,
    ended: AtomicBool,
}

/// While this lives, the epoch advances.
#[must_use]
pub(super) struct Running<'a>(&'a Shared);

impl Ticker {
    pub(super) fn start(engine: EngineWeak) -> Result<Ticker, PluginError> {
        let shared = Arc::<Shared>::default();
        let for_thread = shared.clone();
        let spawned = thread::Builder::new().name("plugin-epoch".into()).spawn(move || run(&engine, &for_thread));
        let handle = spawned.map_err(|e| PluginError::Engine(format!("no thread for the deadlines: {e}")))?;
        Ok(Ticker { shared, thread: handle.thread().clone() })
    }

    /// To be held around every call into a guest.
    pub(super) fn running(&self) -> Running<'_> {
        // Sequentially consistent, as in `run`: either this sees `sleeping`, or the thread sees `running`.
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        if self.shared.sleeping.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Steps that a deadline stands for: one more, because the first step may come at once.
pub(super) fn ticks(deadline: Millis) -> u64 {
    deadline.0.saturating_add(1)
}

fn run(engine: &EngineWeak, shared: &Shared) {
    let (mut seen, mut idle) = (0, 0);
    while !shared.ended.load(Ordering::SeqCst) {
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        drop(engine);
        thread::sleep(TICK);

        let calls = shared.calls.load(Ordering::Relaxed);
        let quiet = calls == seen && shared.running.load(Ordering::SeqCst) == 0;
        idle = if quiet { idle + 1 } else { 0 };
        seen = calls;
        if idle >= IDLE_TICKS {
            idle = 0;
            shared.sleeping.store(true, Ordering::SeqCst);
            if shared.running.load(Ordering::SeqCst) == 0 && !shared.ended.load(Ordering::SeqCst) {
                thread::park();
            }
            shared.sleeping.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_after_a_long_pause_still_has_its_deadline() {
        let mut settings = wasmtime::Config::new();
        settings.epoch_interruption(true);
        let engine = wasmtime::Engine::new(&settings).unwrap();
        let ticker = Ticker::start(engine.weak()).unwrap();
        let module =
            wasmtime::Module::new(&engine, wat::parse_str("(module (func (export \"spin\") (loop br 0)))").unwrap())
                .unwrap();
        let mut store = wasmtime::Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let spin = {
            let _running = ticker.running();
            let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
            instance.get_typed_func::<(), ()>(&mut store, "spin").unwrap()
        };
        while !ticker.shared.sleeping.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        for _ in 0..3 {
            store.set_epoch_deadline(ticks(Millis(5)));
            let _running = ticker.running();
            let error = spin.call(&mut store, ()).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&wasmtime::Trap::Interrupt));
        }
    }
}
