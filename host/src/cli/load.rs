//! A configuration file as the running node reads it, with its plugins loaded, for commands that start nothing.

use std::path::Path;

use crate::app::Plugins;
use crate::config::check::{Compiler, SqlProblem};
use crate::config::{Config, LoadError, Loader, from_environment};
use crate::plugin::PluginConfig;

/// # Errors
/// The file cannot be read, or something in it is wrong.
pub fn load(file: &Path) -> Result<(Config, Loaded), LoadError> {
    let mut loaded = Loaded(None);
    let config = Loader::file(file).with(from_environment()).load(&mut loaded)?;
    Ok((config, loaded))
}

/// The plugins of a configuration; none before it is known where their compiled code is kept.
pub struct Loaded(pub Option<Plugins>);

impl Compiler for Loaded {
    fn start(&mut self, config: &Config) -> Result<(), String> {
        let mut plugins = Plugins::new(&config.node.data_dir).map_err(|error| error.to_string())?;
        plugins.start(config)?;
        self.0 = Some(plugins);
        Ok(())
    }

    fn plugin(&mut self, name: &str, config: &PluginConfig) -> Result<(), String> {
        self.0.as_mut().map_or(Ok(()), |plugins| plugins.plugin(name, config))
    }

    fn sql(&mut self, sql: &str) -> Vec<SqlProblem> {
        self.0.as_mut().map(|plugins| plugins.sql(sql)).unwrap_or_default()
    }

    fn suspicions(&mut self, sql: &str) -> Vec<SqlProblem> {
        self.0.as_mut().map(|plugins| plugins.suspicions(sql)).unwrap_or_default()
    }

    fn output(&mut self, sql: &str) -> Option<Vec<String>> {
        self.0.as_mut()?.output(sql)
    }
}
