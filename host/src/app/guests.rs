//! The plugins of one configuration: loaded, compiled, known to the SQL checker by their functions.
//!
//! A reload works on a fork; a plugin whose content, settings and limits are the same is not loaded again. What a bad
//! reload loaded is dropped with the fork.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::check::{Compiler, SqlProblem};
use crate::config::{Config, EMBEDDED};
use crate::plugin::{Engine, Guest, Kind, PluginConfig, PluginError, Registry, SITE_TAGS};
use crate::rule::{self, FunctionCatalog, FunctionId, Source};

/// Loaded plugins by name.
pub struct Plugins {
    /// What runs; only [`Plugins::install`] changes it.
    registry: Arc<Registry>,
    /// What this configuration asks for.
    guests: BTreeMap<String, Arc<Guest>>,
    schemas: Vec<String>,
}

impl Plugins {
    /// Starts the WebAssembly engine; compiled code is kept below `data_dir`.
    pub fn new(data_dir: &Path) -> Result<Plugins, PluginError> {
        let engine = Engine::new(Some(&data_dir.join("plugin-cache")))?;
        Ok(Plugins { registry: Arc::new(Registry::new(engine)), guests: BTreeMap::new(), schemas: Vec::new() })
    }

    /// The guests of the configuration that was loaded last.
    #[must_use]
    pub fn guests(&self) -> &BTreeMap<String, Arc<Guest>> {
        &self.guests
    }

    /// An empty set that takes over from what runs whatever its configuration still asks for.
    #[must_use]
    pub fn fork(&self) -> Plugins {
        Plugins { registry: self.registry.clone(), guests: BTreeMap::new(), schemas: Vec::new() }
    }

    /// From now on these are the ones that run.
    pub fn install(&self) {
        for gone in self.registry.all().iter().filter(|guest| !self.guests.contains_key(guest.name())) {
            self.registry.remove(gone.name());
        }
        self.guests.values().for_each(|guest| drop(self.registry.install(guest.clone())));
    }

    fn load(&self, name: &str, config: &PluginConfig) -> Result<Arc<Guest>, PluginError> {
        match config.path.to_str().and_then(|path| path.strip_prefix(EMBEDDED)) {
            Some("site-tags") => {
                self.registry.prepare_bytes(name, SITE_TAGS, &config.config_json(), config.limits.into())
            }
            _ => self.registry.prepare(name, config),
        }
    }
}

impl Compiler for Plugins {
    fn start(&mut self, config: &Config) -> Result<(), String> {
        self.schemas = config.schema_registry.schemas.keys().cloned().collect();
        Ok(())
    }

    fn plugin(&mut self, name: &str, config: &PluginConfig) -> Result<(), String> {
        let guest = self.load(name, config).map_err(|error| error.to_string())?;
        self.guests.insert(name.to_owned(), guest);
        Ok(())
    }

    fn step(&mut self, plugin: &str) -> Result<(), String> {
        match self.guests.get(plugin).map(|guest| guest.kind()) {
            Some(kind @ Kind::Function) => {
                Err(format!("`{plugin}` is a {}; its functions are called in SQL, it cannot stand here", kind.noun()))
            }
            _ => Ok(()),
        }
    }

    fn sql(&mut self, sql: &str) -> Vec<SqlProblem> {
        let diagnostics = match rule::compile(sql, self) {
            Ok(plan) => return plan.sources().iter().filter_map(|source| source_problem(sql, source)).collect(),
            Err(diagnostics) => diagnostics,
        };
        diagnostics.iter().map(problem).collect()
    }

    fn suspicions(&mut self, sql: &str) -> Vec<SqlProblem> {
        let plan = rule::compile(sql, self);
        plan.map(|plan| plan.warnings().iter().map(problem).collect()).unwrap_or_default()
    }

    fn output(&mut self, sql: &str) -> Option<Vec<String>> {
        rule::compile(sql, self).ok()?.output()
    }
}

fn problem(diagnostic: &rule::Diagnostic) -> SqlProblem {
    SqlProblem {
        span: diagnostic.span.clone(),
        message: format!("{} [{}]", diagnostic.message, diagnostic.code.as_str()),
        hint: diagnostic.hint.clone(),
    }
}

/// Data sources are understood by the language, but there are none yet.
fn source_problem(sql: &str, source: &Source) -> Option<SqlProblem> {
    let Source::Data(name) = source else { return None };
    let start = sql.find(name.as_str()).unwrap_or_default();
    let message = format!("this version has no data sources like `{name}`");
    let hint = Some("FROM takes topic filters and `$events/...`".to_owned());
    Some(SqlProblem { span: start..start + name.len(), message, hint })
}

/// What plugins export, by name only: enough to check SQL, not to run it.
impl FunctionCatalog for Plugins {
    fn resolve(&self, name: &str) -> Option<FunctionId> {
        let mut functions = self.guests.values().flat_map(|guest| guest.functions());
        functions.position(|function| function.name == name).map(FunctionId)
    }

    fn schemas(&self) -> Option<Vec<&str>> {
        Some(self.schemas.iter().map(String::as_str).collect())
    }
}
