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
    pub fn prepare_bytes(
        &self,
        name: &str,
        bytes: &[u8],
        config_json: &str,
        limits: Limits,
    ) -> Result<Arc<Guest>, PluginError> {
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

#[cfg(test)]
mod tests {
    use super::super::SITE_TAGS;
    use super::*;

    #[test]
    fn only_a_change_loads_again() {
        let registry = Registry::new(Engine::new(None).unwrap());
        let prepare = |site: &str, limits| {
            let config = format!(r#"{{"site": "{site}"}}"#);
            registry.prepare_bytes("site-tags", SITE_TAGS, &config, limits)
        };
        let first = prepare("a", Limits::default()).unwrap();
        assert!(registry.get("site-tags").is_none(), "preparing changes nothing");
        assert!(registry.install(first.clone()).is_none());
        assert!(Arc::ptr_eq(&prepare("a", Limits::default()).unwrap(), &first));

        let smaller = Limits { memory: ByteSize::mib(4), ..Limits::default() };
        assert!(!Arc::ptr_eq(&prepare("a", smaller).unwrap(), &first));
        let second = prepare("b", Limits::default()).unwrap();
        assert!(Arc::ptr_eq(&registry.install(second.clone()).unwrap(), &first));
        assert!(Arc::ptr_eq(&registry.get("site-tags").unwrap(), &second));

        assert!(matches!(prepare("", Limits::default()), Err(PluginError::GuestRefusedInit(_))));
        assert!(Arc::ptr_eq(&registry.get("site-tags").unwrap(), &second), "a bad change changes nothing");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_component(Path::new("no/such/plugin.wasm")).unwrap_err();
        assert!(error.to_string().contains("no/such/plugin.wasm"), "{error}");
    }
}
