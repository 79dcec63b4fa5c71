//! Statements tried out as a pipeline would run them: with its schemas, its plugins' functions and the world around it.
//! Nothing is sent anywhere but to a schema registry.

use std::cell::RefCell;
use std::sync::Arc;

use super::build::{self, Blueprint, BuildError};
use super::stage::{PluginFunction, PluginFunctions, WarmGuests};
use super::world::{Local, Supplies, Surroundings};
use crate::rule::explain::{Explanation, explain};
use crate::rule::{Context, Diagnostic, FunctionCatalog, FunctionId, tester};

/// What statements are tried out with.
pub struct Trial {
    functions: Vec<PluginFunction>,
    supplies: Supplies,
    world: Local,
    warm: WarmGuests,
    /// Whether a configuration says what there is.
    configured: bool,
}

impl Trial {
    /// As on a node that has no schemas and no plugins.
    #[must_use]
    pub fn bare(surroundings: Surroundings) -> Trial {
        Trial { configured: false, ..Trial::with(surroundings, Vec::new(), Supplies::default()) }
    }

    /// As on a node with this configuration; its actions and rules count for nothing here.
    ///
    /// # Errors
    /// A schema does not compile, or two plugins have a function of the same name.
    pub fn new(surroundings: Surroundings, wanted: &Blueprint<'_>) -> Result<Trial, Vec<BuildError>> {
        let mut errors = Vec::new();
        let functions = build::functions(wanted.guests, &mut errors);
        let supplies = build::supplies(wanted, None, &mut errors);
        if errors.is_empty() { Ok(Trial::with(surroundings, functions, supplies)) } else { Err(errors) }
    }

    fn with(surroundings: Surroundings, functions: Vec<PluginFunction>, supplies: Supplies) -> Trial {
        let (world, warm) = (Local::new(Arc::new(surroundings)), WarmGuests::default());
        Trial { functions, supplies, world, warm, configured: true }
    }

    /// The answer to one line, as [`tester::run_line`] gives it.
    pub fn answer(&mut self, line: impl AsRef<[u8]>) -> String {
        let functions = PluginFunctions { functions: &self.functions, warm: RefCell::new(&mut self.warm) };
        let world = self.world.here(&self.supplies, None);
        tester::run_line(
            line,
            &self.functions,
            Context { functions: &functions, world: &world, limit: self.supplies.engine.evaluation_limit() },
        )
    }

    /// What a statement reads, calls and costs.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn explain(&self, sql: &str) -> Result<Explanation, Vec<Diagnostic>> {
        explain(sql, self)
    }
}

impl FunctionCatalog for Trial {
    fn resolve(&self, name: &str) -> Option<FunctionId> {
        self.functions.resolve(name)
    }

    fn schemas(&self) -> Option<Vec<&str>> {
        self.configured.then(|| self.supplies.schemas.names().collect())
    }
}
