//! Plugins: WebAssembly components that change records, or give rule SQL new functions.
//!
//! A guest sees nothing but what it is handed. It has a memory limit, a time limit and an output limit for every call;
//! none can be switched off. Files, network, environment: none.
//!
//! Life of an instance: a worker instantiates its own ([`Guest::instantiate`], then `init`) at the first message that
//! needs it and keeps it for all that follow. It ends with the first call that fails in any way, because a guest may then
//! be in the middle of anything, or when the worker gets another version of the plugin. Instances are never shared, never
//! handed on and never counted out: a guest that leaks meets its memory limit, and the batch goes through a fresh one.
//!
//! Calls are synchronous and block their thread for up to the deadline: they belong on worker threads. A guest must not be
//! called on a thread that drives a tokio runtime (`spawn_blocking` is fine).
//!
//! This module knows no rule, no Kafka and no MQTT; it is the only one that names wasmtime.

mod cache;
mod capability;
pub mod cases;
mod circuit;
mod config;
mod embedded;
mod engine;
mod epoch;
mod error;
mod flat;
mod function;
mod guest;
mod plain;
mod pool;
mod registry;
mod store;
#[cfg(test)]
mod testing;
mod transform;
mod verdict;
mod world;

pub use cache::ContentHash;
pub use circuit::CircuitState;
pub use config::{Limits, LimitsConfig, PluginConfig};
pub use embedded::SITE_TAGS;
pub use engine::Engine;
pub use error::PluginError;
pub use function::FunctionInfo;
pub use guest::{Description, Guest, GuestStatus, Instance};
pub use pool::Warm;
pub use registry::Registry;
pub use transform::Item;
pub use verdict::{Patch, Verdict};
pub use world::Kind;
