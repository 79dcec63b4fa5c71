//! What the sections mean together: references, names, things used twice or never, SQL. It looks at what was written,
//! so that a section that does not read well is still checked for the rest.

use std::collections::BTreeSet;

use crate::plugin::PluginConfig;
use crate::rule::Template;

use super::Config;
use super::diagnostic::Complaint;
use super::document::{At, Document, Node, Value};

/// One thing that is wrong with a rule's SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlProblem {
    /// Bytes of the SQL.
    pub span: std::ops::Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

/// Tries what this module cannot: loading plugins and compiling SQL, which may call their functions.
pub trait Compiler {
    /// Called first, once, with what is known of the configuration so far; the error says why nothing can be tried.
    fn start(&mut self, _config: &Config) -> Result<(), String> {
        Ok(())
    }

    /// Called once for each plugin that reads well, before any SQL; the error says why it cannot be loaded.
    fn plugin(&mut self, name: &str, config: &PluginConfig) -> Result<(), String>;

    /// Why this plugin cannot stand at a step of a rule; called only for plugins that were loaded.
    fn step(&mut self, _plugin: &str) -> Result<(), String> {
        Ok(())
    }

    /// What is wrong with a rule's SQL; empty when all is well.
    fn sql(&mut self, sql: &str) -> Vec<SqlProblem>;

    /// What is only suspicious about SQL that is right; the rule runs all the same.
    fn suspicions(&mut self, _sql: &str) -> Vec<SqlProblem> {
        Vec::new()
    }

    /// The names in the output of SQL that is right; `None` when they cannot be told before a message comes.
    fn output(&mut self, _sql: &str) -> Option<Vec<String>> {
        None
    }
}

/// Takes everything as it is: for a look at the configuration alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unchecked;

impl Compiler for Unchecked {
    fn plugin(&mut self, _name: &str, _config: &PluginConfig) -> Result<(), String> {
        Ok(())
    }

    fn sql(&mut self, _sql: &str) -> Vec<SqlProblem> {
        Vec::new()
    }
}

/// Top-level sections.
const SECTIONS: [&str; 15] = [
    "node",
    "listeners",
    "mqtt",
    "authentication",
    "authorization",
    "sys_topics",
    "banned",
    "api",
    "log",
    "plugins",
    "connectors",
    "actions",
    "rules",
    "rule_engine",
    "schema_registry",
];
/// Sections whose entries have names of the user's choice.
const NAMED: [&str; 5] = ["listeners", "plugins", "connectors", "actions", "rules"];

/// Finds everything that is wrong across sections.
pub fn check(document: &Document, config: &Config, compiler: &mut dyn Compiler, complaints: &mut Vec<Complaint>) {
    let mut check = Check { document, complaints, used: BTreeSet::new(), loaded: BTreeSet::new() };
    check.sections();
    NAMED.iter().for_each(|section| check.names(section));
    check.binds();
    check.actions();
    match compiler.start(config) {
        Ok(()) => {
            check.plugins(config, compiler);
            check.rules(compiler);
        }
        Err(why) => {
            check.complain_at(&["node", "data_dir"], why);
            check.rules(&mut Unchecked);
        }
    }
    check.unused();
}

struct Check<'a> {
    document: &'a Document,
    complaints: &'a mut Vec<Complaint>,
    /// Section and name of all that something refers to.
    used: BTreeSet<(&'static str, &'a str)>,
    /// Plugins that were tried, and work.
    loaded: BTreeSet<String>,
}

impl<'a> Check<'a> {
    fn complain_at(&mut self, path: &[&str], message: String) {
        self.complaints.push(Complaint::error(self.document.locate(path), path.join("."), message));
    }

    fn sections(&mut self) {
        for (name, entry) in self.document.root.table().into_iter().flatten() {
            if !SECTIONS.contains(&name.as_str()) {
                self.complaints.push(Complaint::error(entry.key_at, name, "unknown section").suggest(name, SECTIONS));
            }
        }
        if self.document.entries("listeners").next().is_none() {
            let message =
                "there is no listener, so no client can connect; add [listeners.tcp] with bind = \"0.0.0.0:1883\"";
            self.complaints.push(Complaint::warning(At::default(), "listeners", message));
        }
    }

    fn names(&mut self, section: &str) {
        for (name, entry) in self.document.entries(section) {
            if !is_name(name) {
                let message =
                    "not a name; expected a letter or digit, then letters, digits, `_` and `-`, less than 255 in all";
                self.complaints.push(Complaint::error(entry.key_at, format!("{section}.{name}"), message));
            }
        }
    }

    /// Two servers on one address.
    fn binds(&mut self) {
        let mut taken: Vec<(Address<'a>, String)> = Vec::new();
        let listeners = self.document.entries("listeners").map(|(name, _)| vec!["listeners", name, "bind"]);
        for path in listeners.chain([vec!["api", "bind"]]) {
            let Some(bind) = self.document.find(&path).and_then(Address::of) else { continue };
            let dotted = path.join(".");
            if let Some((_, first)) = taken.iter().find(|(other, _)| other.collides(&bind)) {
                let message = format!("this address is taken by `{first}`; give each its own port");
                self.complaints.push(Complaint::error(self.document.locate(&path), &dotted, message));
            }
            taken.push((bind, dotted));
        }
    }

    fn actions(&mut self) {
        for (name, _) in self.document.entries("actions") {
            let path = ["actions", name, "connector"];
            let (Some(connector), Some(node)) = (self.document.text(&path), self.document.find(&path)) else {
                continue;
            };
            let dotted = path.join(".");
            if !self.refer("connectors", "connector", connector, node.at, &dotted) {
                continue;
            }
            self.refuse_disabled(("actions", name), "connectors", "connector", connector, node.at, &dotted);
            let ours = self.document.text(&["actions", name, "type"]);
            let theirs = self.document.text(&["connectors", connector, "type"]);
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && ours != theirs
            {
                let message = format!(
                    "the action has type `{ours}`, but connector `{connector}` has type `{theirs}`; they must be the same"
                );
                self.complaints.push(Complaint::error(
                    self.document.locate(&["actions", name, "type"]),
                    format!("actions.{name}.type"),
                    message,
                ));
            }
        }
    }

    fn plugins(&mut self, config: &Config, compiler: &mut dyn Compiler) {
        for (name, plugin) in &config.plugins {
            let path = ["plugins", name.as_str(), "path"];
            let at = self.document.locate(&path);
            // A file that cannot be read has its complaint already.
            if self.complaints.iter().any(|complaint| complaint.at == at) {
                continue;
            }
            match compiler.plugin(name, plugin) {
                Ok(()) => drop(self.loaded.insert(name.clone())),
                Err(why) => self.complaints.push(Complaint::error(at, path.join("."), why)),
            }
        }
    }

    fn rules(&mut self, compiler: &mut dyn Compiler) {
        for (name, entry) in self.document.entries("rules") {
            self.rule_actions(name);
            for step in ["decode", "transform"] {
                self.plugin_uses(name, step, compiler);
            }
            let path = ["rules", name, "sql"];
            let (Some(text), Some(node)) = (self.document.text(&path), self.document.find(&path)) else { continue };
            let problems = compiler.sql(text);
            let fine = problems.is_empty();
            for problem in problems {
                let at = self.inside_string(node, text, &problem.span);
                self.complaints.push(Complaint::error(at, path.join("."), problem.message).hint(problem.hint));
            }
            if fine {
                for problem in compiler.suspicions(text) {
                    let at = self.inside_string(node, text, &problem.span);
                    self.complaints.push(Complaint::warning(at, path.join("."), problem.message).hint(problem.hint));
                }
                if let Some(output) = compiler.output(text) {
                    self.templates(name, &output);
                }
            }
            let has_actions = |node: &Node| matches!(&node.value, Value::Array(items) if !items.is_empty());
            if !self.document.find(&["rules", name, "actions"]).is_some_and(has_actions) {
                let message = "the rule has no actions, so what it selects goes nowhere";
                self.complaints.push(Complaint::warning(entry.key_at, format!("rules.{name}"), message));
            }
        }
    }

    /// Placeholders of a rule's actions that its output has nothing for.
    fn templates(&mut self, rule: &str, output: &[String]) {
        for said in self.items(&["rules", rule, "actions"]).iter().filter_map(Node::text) {
            let action = action_name(said);
            let parameters = ["actions", action, "parameters"];
            let single = [
                &["topic"][..],
                &["message", "key"],
                &["message", "value"],
                &["message", "timestamp"],
                &["kafka_headers"],
            ];
            let mut written: Vec<(String, &Node)> = Vec::new();
            for keys in single {
                let path = [&parameters, keys].concat();
                written.extend(self.document.find(&path).map(|node| (path.join("."), node)));
            }
            let list = [&parameters[..], &["kafka_ext_headers"]].concat();
            for (index, header) in self.items(&list).iter().enumerate() {
                for key in ["kafka_ext_header_key", "kafka_ext_header_value"] {
                    let entry = header.table().and_then(|table| table.get(key));
                    written.extend(entry.map(|entry| (format!("{}[{index}].{key}", list.join(".")), &entry.node)));
                }
            }
            for (path, node) in written {
                let Some(text) = node.text() else { continue };
                let template = if path.ends_with("kafka_headers") {
                    Template::wide_placeholder(text)
                } else {
                    Template::parse(text).ok()
                };
                let Some(template) = template else { continue };
                let Some(missing) = template.names().find(|name| !output.iter().any(|known| known == name)) else {
                    continue;
                };
                let start = text.find(missing).unwrap_or_default();
                let at = self.inside_string(node, text, &(start..start + missing.len()));
                let message =
                    format!("rule `{rule}` puts no field `{missing}` into its output, so this placeholder is empty");
                self.complaints
                    .push(Complaint::warning(at, path, message).suggest(missing, output.iter().map(String::as_str)));
            }
        }
    }

    fn rule_actions(&mut self, rule: &str) {
        let mut seen = BTreeSet::new();
        for (index, node) in self.items(&["rules", rule, "actions"]).iter().enumerate() {
            let Some(said) = node.text() else { continue };
            let dotted = format!("rules.{rule}.actions[{index}]");
            let name = action_name(said);
            if !self.refer("actions", "action", name, node.at, &dotted) {
                continue;
            }
            self.refuse_disabled(("rules", rule), "actions", "action", name, node.at, &dotted);
            let kind = said.strip_suffix(name).and_then(|kind| kind.strip_suffix(':'));
            let real = self.document.text(&["actions", name, "type"]);
            if let (Some(kind), Some(real)) = (kind, real)
                && kind != real
            {
                let message = format!("action `{name}` has type `{real}`, not `{kind}`");
                self.complaints.push(Complaint::error(node.at, &dotted, message));
            }
            if !seen.insert(name) {
                let message = format!("action `{name}` is listed twice; every message would be written twice");
                self.complaints.push(Complaint::error(node.at, dotted, message));
            }
        }
    }

    fn plugin_uses(&mut self, rule: &str, step: &str, compiler: &mut dyn Compiler) {
        for (index, item) in self.items(&["rules", rule, step]).iter().enumerate() {
            let entry = |key: &str| item.table().and_then(|table| table.get(key)).map(|entry| &entry.node);
            let dotted = format!("rules.{rule}.{step}[{index}]");
            let named = entry("plugin").unwrap_or(item);
            if let Some(plugin) = named.text() {
                let dotted = if item.table().is_some() { format!("{dotted}.plugin") } else { dotted.clone() };
                if self.refer("plugins", "plugin", plugin, named.at, &dotted)
                    && self.loaded.contains(plugin)
                    && let Err(why) = compiler.step(plugin)
                {
                    self.complaints.push(Complaint::error(named.at, dotted, why));
                }
            }
            if let Some(policy) = entry("on_error").filter(|policy| policy.text() == Some("dead_letter")) {
                let message = "`dead_letter` needs a dead letter target, which this version does not have; \
                               use \"refuse\", \"drop\" or \"pass\"";
                self.complaints.push(Complaint::error(policy.at, format!("{dotted}.on_error"), message));
            }
        }
    }

    fn is_disabled(&self, section: &str, name: &str) -> bool {
        let enable = self.document.find(&[section, name, "enable"]);
        enable.is_some_and(|node| matches!(node.value, Value::Boolean(false)))
    }

    /// What is enabled cannot use what is not.
    fn refuse_disabled(&mut self, user: (&str, &str), section: &str, noun: &str, name: &str, at: At, path: &str) {
        if self.is_disabled(section, name) && !self.is_disabled(user.0, user.1) {
            let message =
                format!("{noun} `{name}` is disabled; enable it, or set `enable = false` in {}.{} too", user.0, user.1);
            self.complaints.push(Complaint::error(at, path, message));
        }
    }

    /// Notes that `name` is used; complains if there is no such thing.
    fn refer(&mut self, section: &'static str, noun: &str, name: &'a str, at: At, path: &str) -> bool {
        if self.document.find(&[section, name]).is_some() {
            self.used.insert((section, name));
            return true;
        }
        let names: Vec<&str> = self.document.entries(section).map(|(name, _)| name).collect();
        let complaint = match names.is_empty() {
            true => Complaint::error(at, path, format!("there is no {noun} `{name}`; add [{section}.{name}]")),
            false => Complaint::error(at, path, format!("there is no {noun} `{name}`")).suggest(name, names),
        };
        self.complaints.push(complaint);
        false
    }

    fn unused(&mut self) {
        // Functions of a plugin are used from SQL, by their own names: a plugin without a step may well be in use.
        for (section, noun, user) in [("connectors", "connector", "action"), ("actions", "action", "rule")] {
            for (name, entry) in self.document.entries(section) {
                if !self.used.contains(&(section, name)) {
                    let message = format!("no {user} uses this {noun}");
                    self.complaints.push(Complaint::warning(entry.key_at, format!("{section}.{name}"), message));
                }
            }
        }
    }

    fn items(&self, path: &[&str]) -> &'a [Node] {
        match self.document.find(path).map(|node| &node.value) {
            Some(Value::Array(items)) => items,
            _ => &[],
        }
    }

    /// The place of a part of a string, if the string is written without escapes; else of the whole string.
    fn inside_string(&self, node: &Node, text: &str, span: &std::ops::Range<usize>) -> At {
        let source = self.document.sources.get(node.at.source).map_or("", |source| source.text.as_str());
        let Some(raw) = source.get(node.at.start..node.at.end) else { return node.at };
        let Some(offset) = raw.find(text).filter(|_| !text.is_empty()) else { return node.at };
        let start = node.at.start + offset + span.start.min(text.len());
        let end = (node.at.start + offset + span.end.min(text.len())).max(start);
        At { start, end, ..node.at }
    }
}

/// Where a server listens, as far as it can be told from the text.
struct Address<'a> {
    host: &'a str,
    port: u16,
}

impl<'a> Address<'a> {
    /// `host:port`, `:port` or a bare port; port 0 is any free one, and collides with nothing.
    fn of(node: &'a Node) -> Option<Address<'a>> {
        let (host, port) = match (&node.value, node.text()) {
            (Value::Integer(port), _) => ("", u16::try_from(*port).ok()?),
            (_, Some(text)) => {
                let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
                (host, port.parse().ok()?)
            }
            _ => return None,
        };
        (port != 0).then_some(Address { host, port })
    }

    fn collides(&self, other: &Address<'_>) -> bool {
        let all = |host: &str| matches!(host, "" | "0.0.0.0" | "[::]");
        self.port == other.port && (self.host == other.host || all(self.host) || all(other.host))
    }
}

/// EMQX's rule for names: a letter or digit, then letters, digits, `_` and `-`; shorter than 255 bytes.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric();
    name.len() < 255 && name.starts_with(letters) && name.chars().all(|c| letters(c) || c == '_' || c == '-')
}

/// The name in EMQX's `type:name`; a plain name stays.
#[must_use]
pub fn action_name(said: &str) -> &str {
    said.rsplit_once(':').map_or(said, |(_, name)| name)
}
