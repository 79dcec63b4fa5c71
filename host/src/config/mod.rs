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
use crate::mqtt::{
    self, AuthenticationConfig, AuthorizationConfig, BanConfig, ListenerConfig, MqttConfig, SysTopicsConfig,
};
use crate::pipeline::{
    ActionTemplates, ActionUse, BuiltIn, ConsoleAction, Function, RepublishAction, RuleConfig, RuleEngineConfig,
    check_republish,
};
use crate::plugin::PluginConfig;
use crate::schema::{SchemaRegistryConfig, Schemas};
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
    pub banned: Vec<BanConfig>,
    pub api: Option<ApiConfig>,
    pub log: LogConfig,
    pub plugins: BTreeMap<String, PluginConfig>,
    pub connectors: BTreeMap<String, ConnectorConfig>,
    /// Those that write to Kafka.
    pub actions: BTreeMap<String, ActionConfig>,
    /// Those of type `republish` and `console`.
    pub built_ins: BTreeMap<String, BuiltIn>,
    pub rules: BTreeMap<String, RuleConfig>,
    pub schema_registry: SchemaRegistryConfig,
    pub rule_engine: RuleEngineConfig,
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
            listeners: reader.entries("listeners", ListenerConfig::check),
            mqtt: reader.section("mqtt", fine),
            authentication: reader.section("authentication", mqtt::check_authentication),
            authorization: reader.section("authorization", mqtt::check_authorization),
            banned: reader.section("banned", |banned: &Vec<BanConfig>| mqtt::check_banned(banned)),
            sys_topics: reader.section("sys_topics", fine),
            api: reader.optional("api", ApiConfig::check),
            log: reader.section("log", |log: &LogConfig| log.check().map(objection).into_iter().collect()),
            plugins: reader.entries("plugins", fine),
            connectors: reader.entries("connectors", connector),
            actions: reader.entries_where("actions", |kind| !BUILT_IN.contains(&kind), action),
            built_ins: BTreeMap::new(),
            rules: reader.entries("rules", rule),
            rule_engine: reader.section("rule_engine", |engine: &RuleEngineConfig| {
                engine.check().map(objection).into_iter().collect()
            }),
            schema_registry: reader
                .section("schema_registry", |config| Schemas::compile(config, None).err().unwrap_or_default()),
            files: Vec::new(),
            warnings: Vec::new(),
        };
        let republish = reader.entries_where("actions", |kind| kind == BUILT_IN[0], republish);
        let console = reader.entries_where("actions", |kind| kind == BUILT_IN[1], fine::<ConsoleAction>);
        config.built_ins.extend(republish.into_iter().map(|(name, action)| (name, action.into())));
        config.built_ins.extend(console.into_iter().map(|(name, action)| (name, action.into())));
        for action in config.rules.values_mut().flat_map(|rule| &mut rule.actions) {
            if let ActionUse::Named(name) = action {
                *name = check::action_name(name).to_owned();
            }
        }
        config
    }
}

/// Types of actions that are no producer's.
const BUILT_IN: [&str; 2] = ["republish", "console"];

fn republish(action: &RepublishAction) -> Vec<Objection> {
    let wrong = check_republish(&action.parameters);
    wrong.into_iter().map(|(key, message)| objection((format!("parameters.{key}"), message))).collect()
}

fn rule(config: &RuleConfig) -> Vec<Objection> {
    let inline = config.actions.iter().enumerate().filter_map(|(position, action)| match action {
        ActionUse::Inline(Function::Republish(said)) => Some((position, check_republish(said)?)),
        _ => None,
    });
    // The place is the whole list: its items have no names to find them by.
    inline
        .map(|(position, (key, message))| objection(("actions", format!("[{position}].args.{key}: {message}"))))
        .collect()
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
