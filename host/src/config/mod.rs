//! The configuration: one TOML tree, every field under EMQX's name. Said (a file, the environment, flags) becomes meant
//! (a [`Config`] of each part's own checked struct) in one step that reports everything wrong at once, with file, line,
//! what was expected and the nearest right name. A secret never appears in any of it.
//!
//! The way: [`document`] parses and keeps places, [`overrides`] replaces values, [`secret`] and [`files`] resolve what
//! stands in files, [`reader`] and [`de`] make typed sections, [`check`] compares sections, [`diagnostic`] prints.
//! [`load`] does all of it; [`watch`] says when to do it again.

pub mod check;
mod de;
mod diagnostic;
mod document;
mod files;
mod load;
mod nearest;
mod overrides;
mod problem;
mod reader;
mod secret;
mod sections;
#[cfg(test)]
mod tests;
pub mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use diagnostic::{Diagnostic, Report, Severity};
pub use files::EMBEDDED;
pub use load::{LoadError, Loader};
pub use overrides::{Override, from_environment, variables_for_rules};
pub use sections::{ApiConfig, NodeConfig};

use crate::kafka::{ActionConfig, ConnectorConfig};
use crate::mqtt::{AuthenticationConfig, AuthorizationConfig, ListenerConfig, MqttConfig, SysTopicsConfig};
use crate::pipeline::{ActionTemplates, RuleConfig};
use crate::plugin::PluginConfig;
use crate::telemetry::LogConfig;
use diagnostic::Complaint;
use document::Document;
use reader::{Objection, Reader};

/// What was asked for, checked. All paths are as seen from the working directory, all secrets are read.
#[derive(Clone, Debug)]
pub struct Config {
    pub node: NodeConfig,
    pub listeners: BTreeMap<String, ListenerConfig>,
    pub mqtt: MqttConfig,
    pub authentication: AuthenticationConfig,
    pub authorization: AuthorizationConfig,
    pub sys_topics: SysTopicsConfig,
    pub api: Option<ApiConfig>,
    pub log: LogConfig,
    pub plugins: BTreeMap<String, PluginConfig>,
    pub connectors: BTreeMap<String, ConnectorConfig>,
    pub actions: BTreeMap<String, ActionConfig>,
    pub rules: BTreeMap<String, RuleConfig>,
    /// Every file that it was made from, or that it names: a change of one means a reload.
    pub files: Vec<PathBuf>,
    /// What is odd, but not wrong.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// All sections that read well; the rest is in `complaints`, and then the result must not be used.
    fn read(document: &Document, complaints: &mut Vec<Complaint>) -> Config {
        let mut reader = Reader { document, complaints };
        let mut config = Config {
            node: reader.section("node", NodeConfig::check),
            listeners: reader.entries("listeners", fine),
            mqtt: reader.section("mqtt", fine),
            authentication: reader.section("authentication", fine),
            authorization: reader.section("authorization", fine),
            sys_topics: reader.section("sys_topics", fine),
            api: reader.optional("api", ApiConfig::check),
            log: reader.section("log", |log: &LogConfig| log.check().map(objection).into_iter().collect()),
            plugins: reader.entries("plugins", fine),
            connectors: reader.entries("connectors", connector),
            actions: reader.entries("actions", action),
            rules: reader.entries("rules", fine),
            files: Vec::new(),
            warnings: Vec::new(),
        };
        for rule in config.rules.values_mut() {
            rule.actions.iter_mut().for_each(|action| *action = check::action_name(action).to_owned());
        }
        config
    }
}

fn fine<T>(_: &T) -> Vec<Objection> {
    Vec::new()
}

fn connector(config: &ConnectorConfig) -> Vec<Objection> {
    config.check().into_iter().map(|wrong| objection((wrong.key, wrong.problem))).collect()
}

fn action(config: &ActionConfig) -> Vec<Objection> {
    let mut wrong: Vec<Objection> =
        config.check().into_iter().map(|wrong| objection((wrong.key, wrong.problem))).collect();
    match ActionTemplates::compile(config) {
        Err((key, diagnostic)) => wrong.push((format!("parameters.{key}"), diagnostic.message)),
        Ok(templates) if !templates.headers_are_well_formed() => {
            let message = "expected exactly one placeholder, like \"${pub_props.User-Property-Pairs}\"";
            wrong.push(objection(("parameters.kafka_headers", message)));
        }
        Ok(_) => {}
    }
    wrong
}

fn objection((key, message): (impl Into<String>, impl Into<String>)) -> Objection {
    (key.into(), message.into())
}
