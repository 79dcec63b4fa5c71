//! From what is wanted to a compiled snapshot, or to everything that stands in the way.
//!
//! Parts whose settings did not change are taken over from the running snapshot: a sink keeps its connection and its
//! records, a rule its counters. An action keeps its ledger even when its settings change.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::action::{Action, ActionTemplates, KafkaTarget, Target};
use super::builtin::{ActionUse, BuiltIn, Function};
use super::config::{PluginUse, RuleConfig, RuleEngineConfig};
use super::counters::RuleCounters;
use super::republish::RepublishTemplates;
use super::stage::{PluginFunction, Stage};
use super::world::Supplies;
use super::{EventRules, Pipeline, Rule, RuleAction};
use crate::event::EventKind;
use crate::kafka::{ActionConfig, ConnectorConfig, KafkaError, Sink};
use crate::ledger::{Account, Ledger};
use crate::plugin::{Guest, Kind};
use crate::rule::{self, Diagnostic, Source};
use crate::schema::{SchemaRegistryConfig, Schemas};
use crate::topic::FilterIndex;

/// What the pipeline is to be made of. Names that refer to nothing are errors here too, for callers without a file.
pub struct Blueprint<'a> {
    pub node: &'a str,
    pub connectors: &'a BTreeMap<String, ConnectorConfig>,
    /// Those that write to Kafka.
    pub actions: &'a BTreeMap<String, ActionConfig>,
    /// Those that are built in, by names that no other action has.
    pub built_ins: &'a BTreeMap<String, BuiltIn>,
    pub rules: &'a BTreeMap<String, RuleConfig>,
    pub guests: &'a BTreeMap<String, Arc<Guest>>,
    pub schema_registry: &'a SchemaRegistryConfig,
    pub rule_engine: &'a RuleEngineConfig,
}

/// One thing that keeps a pipeline from being built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("rule `{rule}`: {text}")]
    Sql { rule: String, text: String },
    #[error(
        "rule `{rule}` reads `{source_name}`; this version has no data sources; FROM takes topic filters and `$events/...`"
    )]
    DataSource { rule: String, source_name: String },
    #[error("{section} `{name}` refers to {what} `{missing}`, which does not exist or is disabled")]
    Missing { section: &'static str, name: String, what: &'static str, missing: String },
    #[error("rule `{rule}` uses plugin `{plugin}` as a transform, but it is a {kind}")]
    WrongKind { rule: String, plugin: String, kind: &'static str },
    #[error("action `{action}`, parameters.{key}: {message}")]
    Template { action: String, key: String, message: String },
    #[error(
        "action `{action}`, parameters.kafka_headers: expected exactly one placeholder, like \"${{pub_props.User-Property}}\""
    )]
    Headers { action: String },
    #[error("plugins `{first}` and `{second}` both have a function `{function}`")]
    FunctionTwice { function: String, first: String, second: String },
    #[error("schema_registry.{key}: {problem}")]
    Schema { key: String, problem: String },
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

impl Pipeline {
    /// Compiles `wanted`, taking over from `running` what stayed the same.
    pub fn build(wanted: &Blueprint<'_>, running: Option<&Pipeline>) -> Result<Pipeline, Vec<BuildError>> {
        let mut errors = Vec::new();
        let functions = functions(wanted.guests, &mut errors);
        let templates = compile_templates(wanted, &mut errors);
        let built_ins = compile_built_ins(wanted, &mut errors);
        let supplies = supplies(wanted, running, &mut errors);
        let mut drafts = Vec::new();
        for (name, config) in wanted.rules.iter().filter(|(_, config)| config.enable) {
            match RuleDraft::compile(name, config, wanted, &functions) {
                Ok(draft) => drafts.push(draft),
                Err(found) => errors.extend(found),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // Only now, with all of it known to be right, are connections made.
        let mut actions = Vec::new();
        for (name, config, templates) in templates {
            match start_action(name, config, templates, wanted, running) {
                Ok(action) => actions.push(action),
                Err(error) => errors.push(error.into()),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        actions.extend(built_ins.into_iter().map(|(name, target)| {
            let known = running.and_then(|running| running.actions.iter().find(|action| action.name == name));
            let ledger = known.map_or_else(Arc::default, |action| action.ledger.clone());
            Action { name, ledger, target }
        }));
        let mut index = FilterIndex::new();
        for (position, draft) in drafts.iter().enumerate() {
            for source in draft.plan.sources() {
                if let Source::Topic(filter) = source {
                    index.insert(filter, position);
                }
            }
        }
        let events = event_rules(&drafts);
        let births = wanted.schema_registry.sparkplugb.enable_alias_mapping
            && drafts.iter().any(|draft| draft.plan.wants_births());
        let rules = drafts.into_iter().map(|draft| draft.finish(&actions, running)).collect();
        Ok(Pipeline { node: wanted.node.to_owned(), rules, index, events, actions, functions, supplies, births })
    }
}

fn event_rules(drafts: &[RuleDraft]) -> EventRules {
    let mut rules: [Vec<usize>; EventKind::ALL.len()] = Default::default();
    for (position, draft) in drafts.iter().enumerate() {
        for kind in draft.plan.sources().iter().flat_map(Source::events) {
            rules[kind as usize].push(position);
        }
    }
    EventRules(rules.map(Arc::from))
}

/// A rule whose actions are still names.
struct RuleDraft {
    name: String,
    plan: rule::Plan,
    decode: Vec<Stage>,
    transform: Vec<Stage>,
    made_from: RuleConfig,
}

impl RuleDraft {
    fn compile(
        name: &str,
        config: &RuleConfig,
        wanted: &Blueprint<'_>,
        functions: &Vec<PluginFunction>,
    ) -> Result<RuleDraft, Vec<BuildError>> {
        let mut errors = Vec::new();
        let plan = rule::compile(&config.sql, functions).map_err(|diagnostics| {
            let text =
                diagnostics.iter().map(|diagnostic| diagnostic.render(&config.sql)).collect::<Vec<_>>().join("\n");
            vec![BuildError::Sql { rule: name.to_owned(), text }]
        })?;
        for source in plan.sources() {
            if let Source::Data(source_name) = source {
                errors.push(BuildError::DataSource { rule: name.to_owned(), source_name: source_name.clone() });
            }
        }
        let decode = stages(name, &config.decode, wanted, &mut errors);
        let transform = stages(name, &config.transform, wanted, &mut errors);
        for action in &config.actions {
            let ActionUse::Named(action) = action else { continue };
            let kafka = wanted.actions.get(action).is_some_and(|action| action.enable);
            if !kafka && !wanted.built_ins.get(action).is_some_and(|action| action.enable) {
                errors.push(missing("rule", name, "action", action));
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(RuleDraft { name: name.to_owned(), plan, decode, transform, made_from: config.clone() })
    }

    fn finish(self, actions: &[Action], running: Option<&Pipeline>) -> Rule {
        let known = running.and_then(|running| running.rules.iter().find(|rule| rule.name == self.name));
        let counters = known.filter(|rule| rule.made_from == self.made_from).map(|rule| rule.counters.clone());
        let counters = counters.unwrap_or_else(|| Arc::new(RuleCounters::default()));
        let named = self.made_from.actions.iter().enumerate().map(|(position, action)| match action {
            ActionUse::Named(name) => name.clone(),
            ActionUse::Inline(function) => inline_name(&self.name, function, position),
        });
        let found = named.filter_map(|name| {
            let index = actions.iter().position(|action| action.name == name)?;
            let account = Account::new(actions[index].ledger.clone(), counters.results().clone());
            Some(RuleAction { index, account })
        });
        Rule {
            actions: found.collect(),
            counters,
            name: self.name,
            plan: self.plan,
            decode: self.decode,
            transform: self.transform,
            made_from: self.made_from,
        }
    }
}

/// What a rule's own action is called in metrics and logs: no name in the configuration has a colon.
fn inline_name(rule: &str, function: &Function, position: usize) -> String {
    let function = match function {
        Function::Republish(_) => "republish",
        Function::Console => "console",
    };
    format!("{rule}:{function}:{position}")
}

/// All built-in actions that are in use: those with a name of their own, then those that stand in rules.
fn compile_built_ins(wanted: &Blueprint<'_>, errors: &mut Vec<BuildError>) -> Vec<(String, Target)> {
    let named = wanted.built_ins.iter().filter(|(_, action)| action.enable);
    let named = named.map(|(name, action)| (name.clone(), &action.function));
    let inline = wanted.rules.iter().filter(|(_, rule)| rule.enable).flat_map(|(name, rule)| {
        rule.actions.iter().enumerate().filter_map(move |(position, action)| match action {
            ActionUse::Inline(function) => Some((inline_name(name, function, position), function)),
            ActionUse::Named(_) => None,
        })
    });
    let mut compiled = Vec::new();
    for (name, function) in named.chain(inline) {
        match function {
            Function::Console => compiled.push((name, Target::Console)),
            Function::Republish(said) => match RepublishTemplates::compile(said) {
                Ok(templates) => compiled.push((name, Target::Republish(Box::new(templates)))),
                Err((key, message)) => errors.push(BuildError::Template { action: name, key, message }),
            },
        }
    }
    compiled
}

fn missing(section: &'static str, name: &str, what: &'static str, missing: &str) -> BuildError {
    BuildError::Missing { section, name: name.to_owned(), what, missing: missing.to_owned() }
}

fn stages(rule: &str, uses: &[PluginUse], wanted: &Blueprint<'_>, errors: &mut Vec<BuildError>) -> Vec<Stage> {
    let mut stages = Vec::new();
    for PluginUse { plugin, on_error } in uses {
        match wanted.guests.get(plugin) {
            Some(guest) if guest.kind() == Kind::Function => errors.push(BuildError::WrongKind {
                rule: rule.to_owned(),
                plugin: plugin.clone(),
                kind: guest.kind().noun(),
            }),
            Some(guest) => stages.push(Stage { guest: guest.clone(), on_error: *on_error }),
            None => errors.push(missing("rule", rule, "plugin", plugin)),
        }
    }
    stages
}

pub(super) fn supplies(wanted: &Blueprint<'_>, running: Option<&Pipeline>, errors: &mut Vec<BuildError>) -> Supplies {
    let known = running.map(|running| &running.supplies.schemas);
    let schemas = Schemas::compile(wanted.schema_registry, known).unwrap_or_else(|problems| {
        errors.extend(problems.into_iter().map(|(key, problem)| BuildError::Schema { key, problem }));
        Schemas::default()
    });
    Supplies { schemas, engine: wanted.rule_engine.clone() }
}

pub(super) fn functions(guests: &BTreeMap<String, Arc<Guest>>, errors: &mut Vec<BuildError>) -> Vec<PluginFunction> {
    let mut all: Vec<PluginFunction> = Vec::new();
    let mut owners: BTreeMap<String, &String> = BTreeMap::new();
    for (plugin, guest) in guests {
        for (index, function) in guest.functions().iter().enumerate() {
            if let Some(first) = owners.insert(function.name.clone(), plugin) {
                let (function, first) = (function.name.clone(), first.clone());
                errors.push(BuildError::FunctionTwice { function, first, second: plugin.clone() });
            }
            all.push(PluginFunction { name: function.name.clone(), guest: guest.clone(), index });
        }
    }
    all
}

type Compiled<'a> = (&'a String, &'a ActionConfig, ActionTemplates);

fn compile_templates<'a>(wanted: &Blueprint<'a>, errors: &mut Vec<BuildError>) -> Vec<Compiled<'a>> {
    let mut compiled = Vec::new();
    for (name, config) in wanted.actions.iter().filter(|(_, config)| config.enable) {
        if !wanted.connectors.get(&config.connector).is_some_and(|connector| connector.enable) {
            errors.push(missing("action", name, "connector", &config.connector));
        }
        match ActionTemplates::compile(config) {
            Ok(templates) if !templates.headers_are_well_formed() => {
                errors.push(BuildError::Headers { action: name.clone() });
            }
            Ok(templates) => compiled.push((name, config, templates)),
            Err((key, diagnostic)) => errors.push(template_error(name, key, &diagnostic)),
        }
    }
    compiled
}

fn template_error(action: &str, key: &'static str, diagnostic: &Diagnostic) -> BuildError {
    BuildError::Template { action: action.to_owned(), key: key.to_owned(), message: diagnostic.to_string() }
}

fn start_action(
    name: &str,
    config: &ActionConfig,
    templates: ActionTemplates,
    wanted: &Blueprint<'_>,
    running: Option<&Pipeline>,
) -> Result<Action, KafkaError> {
    let made_from = (wanted.connectors[&config.connector].clone(), config.clone());
    let known = running.and_then(|running| running.actions.iter().find(|action| action.name == name));
    let ledger = known.map_or_else(|| Arc::new(Ledger::default()), |action| action.ledger.clone());
    let same = known.and_then(Action::kafka).filter(|kafka| kafka.made_from == made_from);
    let sink = match same {
        Some(same) => same.sink.clone(),
        None => Arc::new(Sink::start(name, &made_from.0, &made_from.1, ledger.clone())?),
    };
    let target = Target::Kafka(KafkaTarget::new(sink, templates, made_from));
    Ok(Action { name: name.to_owned(), ledger, target })
}
