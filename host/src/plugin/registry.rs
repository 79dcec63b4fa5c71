//! The plugins that are in use, by name.
//!
//! Nothing is edited in place: a new version is loaded aside ([`Registry::prepare`]) and becomes current in one step
//! ([`Registry::install`]). Whoever holds the old version keeps it until the batch is done.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;

use super::cache::ContentHash;
use super::config::{Limits, PluginConfig};
use super::engine::Engine;
use super::error::PluginError;
use super::guest::Guest;
use crate::units::ByteSize;

/// The largest component that is read; a Python one has about 18 MB.
const MAX_COMPONENT: ByteSize = ByteSize::mib(256);

/// Current versions, and the engine that they run on.
#[derive(Debug)]
pub struct Registry {
    engine: Arc<Engine>,
    current: RwLock<BTreeMap<String, Arc<Guest>>>,
}

impl Registry {
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Registry {
        Registry { engine, current: RwLock::default() }
    }

    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The plugin as the configuration wants it: the current one if neither file, configuration nor limits changed, else
    /// one that is loaded now. Changes nothing. May take seconds and runs guest code.
    pub fn prepare(&self, name: &str, config: &PluginConfig) -> Result<Arc<Guest>, PluginError> {
        self.prepare_bytes(name, &read_component(&config.path)?, &config.config_json(), config.limits.into())
    }

    /// The same for a component in memory, like [`super::SITE_TAGS`].
    pub fn prepare_bytes(&self, name: &str, bytes: &[u8], config_json: &str, limits: Limits) -> Result<Arc<Guest>, PluginError> {
        match self.get(name) {
            Some(current) if current.is_same(ContentHash::of(bytes), config_json, &limits) => Ok(current),
            _ => Guest::load(&self.engine, name, bytes, config_json, limits),
        }
    }

    /// Makes a prepared version the current one, and gives back the one before.
    pub fn install(&self, guest: Arc<Guest>) -> Option<Arc<Guest>> {
        self.current.write().insert(guest.name().to_owned(), guest)
    }

    pub fn remove(&self, name: &str) -> Option<Arc<Guest>> {
        self.current.write().remove(name)
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Guest>> {
        self.current.read().get(name).cloned()
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Guest>> {
        self.current.read().values().cloned().collect()
    }
}

/// Reads a component file, bounded in size.
pub fn read_component(path: &Path) -> Result<Vec<u8>, PluginError> {
    let fail = |source| PluginError::Read { path: path.to_path_buf(), source };
    let size = ByteSize(fs::metadata(path).map_err(fail)?.len());
    if size > MAX_COMPONENT {
        return Err(PluginError::FileTooLarge { path: path.to_path_buf(), size, limit: MAX_COMPONENT });
    }
    fs::read(path).map_err(fail)
}
