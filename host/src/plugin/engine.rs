//! The one WebAssembly engine of the process: settings, what guests are linked to, deadlines, compiled code on disk.
//!
//! Instances are allocated on demand: a worker keeps its instance for as long as it behaves, so the few microseconds that
//! a pool saves at instantiation are not worth its fixed number of slots.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Component, Linker};

use super::cache::{Cache, ContentHash};
use super::capability::system;
use super::epoch::Ticker;
use super::error::PluginError;
use super::store::State;
use super::world;

/// Shared by all plugins of the process.
pub struct Engine {
    pub(super) wasm: wasmtime::Engine,
    pub(super) linker: Linker<State>,
    pub(super) ticker: Ticker,
    cache: Option<Cache>,
}

/// A component ready to be instantiated, and what it took.
pub(super) struct Compiled {
    pub(super) component: Component,
    pub(super) took: Duration,
    pub(super) from_cache: bool,
}

impl Engine {
    /// `cache` is the folder for compiled components; it is created if absent. Without one every start compiles.
    pub fn new(cache: Option<&Path>) -> Result<Arc<Engine>, PluginError> {
        let fail = |e: wasmtime::Error| PluginError::Engine(format!("{e:#}"));
        let wasm = wasmtime::Engine::new(&settings()).map_err(fail)?;
        let mut linker = Linker::new(&wasm);
        system::add_to_linker(&mut linker).map_err(fail)?;
        world::add_to_linker(&mut linker).map_err(fail)?;
        let ticker = Ticker::start(wasm.weak())?;
        let cache = cache.map(|folder| Cache::open(folder, &wasm)).transpose()?;
        Ok(Arc::new(Engine { wasm, linker, ticker, cache }))
    }

    pub(super) fn compile(&self, content: ContentHash, bytes: &[u8]) -> Result<Compiled, PluginError> {
        let start = Instant::now();
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.load(&self.wasm, content)) {
            return Ok(Compiled { component, took: start.elapsed(), from_cache: true });
        }
        check_preamble(bytes)?;
        let compiled = Component::from_binary(&self.wasm, bytes).map_err(|e| PluginError::Compile(format!("{e:#}")))?;
        if let Some(cache) = &self.cache {
            match compiled.serialize() {
                Ok(artefact) => cache.store(content, &artefact),
                Err(error) => tracing::warn!(%error, "a compiled plugin cannot be cached"),
            }
        }
        Ok(Compiled { component: compiled, took: start.elapsed(), from_cache: false })
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("cache", &self.cache).finish_non_exhaustive()
    }
}

fn settings() -> wasmtime::Config {
    let mut settings = wasmtime::Config::new();
    settings.epoch_interruption(true);
    // Calls are synchronous, on the worker's thread.
    settings.concurrency_support(false);
    settings.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8));
    settings
}

/// The mistake that everybody makes once: a core module, as `--target wasm32-wasip1` or `wasm32-unknown-unknown` gives.
fn check_preamble(bytes: &[u8]) -> Result<(), PluginError> {
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(PluginError::Compile(
            "it is a core WebAssembly module, not a component; in Rust build with `--target wasm32-wasip2`, elsewhere \
             componentize it (`wasm-tools component new`)"
                .into(),
        )),
        _ => Err(PluginError::Compile("the file does not begin like WebAssembly".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_component_is_named() {
        let engine = Engine::new(None).unwrap();
        for (bytes, says) in [
            (&b"\0asm\x01\0\0\0"[..], "wasm32-wasip2"),
            (b"#!/bin/sh", "does not begin like WebAssembly"),
            (b"\0asm\x0d\0\x01\0garbage", ""),
        ] {
            let Err(error) = engine.compile(ContentHash::of(bytes), bytes) else { panic!("{bytes:?} compiled") };
            assert!(matches!(&error, PluginError::Compile(text) if text.contains(says)), "{error}");
        }
    }
}
