//! Authorization: ordered rules, the first that fits decides. A client's own rules (`own`) come before those of the node.
//!
//! Rules are resolved once for each connection: what is left is what concerns that client, with its own names filled in.
//! A filled-in name is literal text; a client named `#` gains nothing. A denied topic is denied to every subscription
//! that would also receive it, so `deny secret/#` cannot be had by subscribing to `#`.

mod ask;
mod kinds;
mod own;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use ask::{Answered, Answers, Question, Sources};
pub use kinds::Kinds;
pub use own::{OwnRules, OwnRulesError};

use super::auth::{Grant, REQUEST};
use super::config::{Action, AuthorizationConfig, DenyAction, Permission, RuleConfig};
use super::hook::Hook;
use super::network::Network;
use crate::message::{Client, QoS};
use crate::telemetry::metrics::Metrics;

/// A rule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("authorization rule {rule}: `{text}` is not an address or a network; write one like \"10.0.0.0/8\"")]
    Address { rule: usize, text: String },
    #[error(
        "authorization rule {rule}: `{text}` is not a topic filter: `#` must be the last level, `+` and `#` stand alone"
    )]
    Topic { rule: usize, text: String },
    #[error("authorization source {source_number}: {error}")]
    Source { source_number: usize, error: String },
}

/// What is wrong with a configuration, by key. Files are not read.
#[must_use]
pub fn check_authorization(config: &AuthorizationConfig) -> Vec<(String, String)> {
    config.check(|hook| Hook::check(hook, REQUEST))
}

/// The rules of this node.
#[derive(Debug)]
pub struct Authorizer {
    generation: u64,
    rules: Vec<Rule>,
    no_match: Permission,
    pub deny_action: DenyAction,
    /// Who is asked about what no rule decides.
    pub sources: Option<Arc<Sources>>,
}

/// One rule: what it says, and whom and what it is about.
#[derive(Clone, Debug)]
struct Rule {
    permission: Permission,
    action: Action,
    kinds: Kinds,
    clientid: Option<String>,
    username: Option<String>,
    network: Option<Network>,
    topics: Vec<Pattern>,
}

/// A filter in a rule, with placeholders until it is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    levels: Vec<Level>,
    /// EMQX's `eq `: the very text, wildcards being text too.
    exact: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Text(String),
    Any,
    Rest,
}

/// What one client may do.
#[derive(Debug)]
pub struct ClientRules {
    generation: u64,
    rules: Vec<(Permission, Action, Kinds, Vec<Pattern>)>,
    /// So many of them are the client's own.
    own: usize,
    superuser: bool,
    otherwise: Otherwise,
}

/// When no rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Otherwise {
    Allow,
    Deny,
    Ask,
}

/// What may be published to one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permits {
    pub allowed: Kinds,
    /// No rule decides about these; somebody has to be asked.
    pub open: Kinds,
}

impl Permits {
    pub const NONE: Permits = Permits { allowed: Kinds::NONE, open: Kinds::NONE };
}

/// Whether a filter may be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    Deny,
    Ask,
}

impl Authorizer {
    pub fn new(config: &AuthorizationConfig, metrics: &Arc<Metrics>) -> Result<Authorizer, RuleError> {
        let sources = Sources::new(config, metrics)
            .map_err(|(source_number, error)| RuleError::Source { source_number, error: error.to_string() })?;
        let rules = config.rules.iter().enumerate().map(|(index, rule)| Rule::new(index + 1, rule));
        static GENERATION: AtomicU64 = AtomicU64::new(0);
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        Ok(Authorizer {
            generation,
            rules: rules.collect::<Result<_, _>>()?,
            no_match: config.no_match,
            deny_action: config.deny_action,
            sources,
        })
    }

    /// The rules that concern `client`: its own, if authentication brought some, then those of this node. A superuser
    /// has none and may do everything. After `now` has passed the end of its own rules, it may do nothing.
    #[must_use]
    pub fn resolve(&self, client: &Client, grant: Option<&Grant>, now: i64) -> Arc<ClientRules> {
        let generation = self.generation;
        let superuser = grant.is_some_and(|grant| grant.superuser);
        let all = |otherwise| Arc::new(ClientRules { generation, rules: Vec::new(), own: 0, superuser, otherwise });
        let own = grant.and_then(|grant| grant.acl.as_ref());
        if superuser {
            return all(Otherwise::Allow);
        }
        if own.is_some() && grant.and_then(|grant| grant.expires_at).is_some_and(|at| at <= now) {
            return all(Otherwise::Deny);
        }
        let whole = own.is_some_and(|own| own.whole);
        let nodes = self.rules.iter().filter(|_| !whole);
        let resolve = |rule: &Rule| {
            let topics = rule.topics.iter().filter_map(|pattern| pattern.fill_in(client));
            (rule.permission, rule.action, rule.kinds, topics.collect())
        };
        let own = own.into_iter().flat_map(|own| &own.rules).filter(|rule| rule.concerns(client)).map(resolve);
        let mut rules: Vec<_> = own.collect();
        let own = rules.len();
        rules.extend(nodes.filter(|rule| rule.concerns(client)).map(resolve));
        let otherwise = match (whole, &self.sources, self.no_match) {
            (true, ..) | (false, None, Permission::Deny) => Otherwise::Deny,
            (false, Some(_), _) => Otherwise::Ask,
            (false, None, Permission::Allow) => Otherwise::Allow,
        };
        Arc::new(ClientRules { generation, rules, own, superuser, otherwise })
    }

    /// Tells one set of rules from another that replaced it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl Rule {
    fn new(number: usize, config: &RuleConfig) -> Result<Rule, RuleError> {
        let network = match &config.ipaddr {
            None => None,
            Some(text) => {
                let network = Network::parse(text);
                Some(network.ok_or_else(|| RuleError::Address { rule: number, text: text.clone() })?)
            }
        };
        let topics = config
            .topics
            .iter()
            .map(|text| Pattern::parse(text).ok_or_else(|| RuleError::Topic { rule: number, text: text.clone() }));
        Ok(Rule {
            permission: config.permission,
            action: config.action,
            kinds: Kinds::among(config.qos.as_deref(), config.retain),
            clientid: config.clientid.clone(),
            username: config.username.clone(),
            network,
            topics: topics.collect::<Result<_, _>>()?,
        })
    }

    fn concerns(&self, client: &Client) -> bool {
        self.clientid.as_deref().is_none_or(|id| id == client.id.as_str())
            && self.username.as_deref().is_none_or(|name| client.username.as_deref() == Some(name))
            && self.network.is_none_or(|network| network.contains(client.peer.ip()))
    }
}

impl ClientRules {
    /// The generation of the [`Authorizer`] that they come from.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Which kinds of publication to `topic` are allowed.
    #[must_use]
    pub fn may_publish(&self, topic: &str) -> Permits {
        let (mut allowed, mut open) = (Kinds::NONE, Kinds::ALL);
        for (permission, _, kinds, topics) in self.rules.iter().filter(|rule| rule.1 != Action::Subscribe) {
            let decided = open.and(*kinds);
            if decided == Kinds::NONE || !topics.iter().any(|pattern| pattern.fits_topic(topic)) {
                continue;
            }
            if *permission == Permission::Allow {
                allowed = allowed.or(decided);
            }
            open = open.without(decided);
            if open == Kinds::NONE {
                break;
            }
        }
        match self.otherwise {
            Otherwise::Allow => Permits { allowed: allowed.or(open), open: Kinds::NONE },
            Otherwise::Deny => Permits { allowed, open: Kinds::NONE },
            Otherwise::Ask => Permits { allowed, open },
        }
    }

    /// Where the decision about a publication comes from, in EMQX's words (`authz_source`).
    #[must_use]
    pub fn publish_source(&self, topic: &str, qos: QoS, retain: bool) -> &'static str {
        let kind = Kinds::of(qos, retain);
        self.source(self.rules.iter().position(|(_, action, kinds, topics)| {
            *action != Action::Subscribe
                && kinds.and(kind) != Kinds::NONE
                && topics.iter().any(|pattern| pattern.fits_topic(topic))
        }))
    }

    /// The same of a subscription.
    #[must_use]
    pub fn subscribe_source(&self, filter: &str, qos: QoS) -> &'static str {
        self.source(self.subscribe_rule(filter, qos))
    }

    fn source(&self, rule: Option<usize>) -> &'static str {
        match (rule, self.otherwise) {
            _ if self.superuser => "superuser",
            (Some(rule), _) if rule < self.own => "client_info",
            (Some(_), _) => "file",
            (None, Otherwise::Ask) => "http",
            (None, _) => "default",
        }
    }

    fn subscribe_rule(&self, filter: &str, qos: QoS) -> Option<usize> {
        let asked = Kinds::of_qos(qos);
        self.rules.iter().position(|(permission, action, kinds, topics)| {
            *action != Action::Publish
                && kinds.and(asked) != Kinds::NONE
                && topics.iter().any(|pattern| match permission {
                    Permission::Allow => pattern.fits_filter(filter),
                    Permission::Deny => pattern.overlaps(filter),
                })
        })
    }

    /// `filter`: without a `$share/name/` prefix. Allowed when all that it can receive is allowed by one rule; denied
    /// when any of it is denied before.
    #[must_use]
    pub fn may_subscribe(&self, filter: &str, qos: QoS) -> Decision {
        let decided = self.subscribe_rule(filter, qos).map(|rule| self.rules[rule].0);
        match (decided, self.otherwise) {
            (Some(Permission::Allow), _) | (None, Otherwise::Allow) => Decision::Allow,
            (Some(Permission::Deny), _) | (None, Otherwise::Deny) => Decision::Deny,
            (None, Otherwise::Ask) => Decision::Ask,
        }
    }
}

impl Pattern {
    /// Checked as a filter, placeholders and all.
    fn parse(text: &str) -> Option<Pattern> {
        let (text, exact) = match text.strip_prefix("eq ") {
            Some(text) => (text, true),
            None => (text, false),
        };
        crate::topic::TopicFilter::new(text).ok()?;
        let levels = text.split('/').map(|level| match level {
            "+" if !exact => Level::Any,
            "#" if !exact => Level::Rest,
            text => Level::Text(text.to_owned()),
        });
        Some(Pattern { levels: levels.collect(), exact })
    }

    fn fits_topic(&self, topic: &str) -> bool {
        covers(&self.levels, topic.split('/').map(Asked::Text))
    }

    fn fits_filter(&self, filter: &str) -> bool {
        match self.exact {
            true => covers(&self.levels, filter.split('/').map(Asked::Text)),
            false => covers(&self.levels, filter.split('/').map(Asked::of_filter)),
        }
    }

    fn overlaps(&self, filter: &str) -> bool {
        match self.exact {
            true => self.fits_filter(filter),
            false => overlaps(&self.levels, &filter.split('/').map(Asked::of_filter).collect::<Vec<_>>()),
        }
    }

    /// Puts the client's names in, as literal text. `None` when the rule names something that this client has not got.
    fn fill_in(&self, client: &Client) -> Option<Pattern> {
        let mut levels = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            match level {
                Level::Text(text) if text.contains("${") => {
                    let text = fill_in(text, client)?;
                    levels.extend(text.split('/').map(|level| Level::Text(level.to_owned())));
                }
                level => levels.push(level.clone()),
            }
        }
        Some(Pattern { levels, exact: self.exact })
    }
}

/// From left to right and once, so that a name which looks like a placeholder is not filled in again.
fn fill_in(text: &str, client: &Client) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("${") {
        filled.push_str(before);
        let Some((name, after)) = from.split_once('}') else {
            rest = &rest[before.len()..];
            break;
        };
        match (name, name.strip_prefix("client_attrs.")) {
            ("clientid", _) => filled.push_str(client.id.as_str()),
            ("username", _) => filled.push_str(client.username.as_deref()?),
            (_, Some(attribute)) => filled.push_str(client.attrs.get(attribute)?),
            _ => filled.extend(["${", name, "}"]),
        }
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// One level of what a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked<'a> {
    Text(&'a str),
    Any,
    Rest,
}

impl<'a> Asked<'a> {
    fn of_filter(level: &'a str) -> Asked<'a> {
        match level {
            "+" => Asked::Any,
            "#" => Asked::Rest,
            text => Asked::Text(text),
        }
    }
}

/// Whether every topic that is asked for fits the rule.
fn covers<'a>(rule: &[Level], mut asked: impl Iterator<Item = Asked<'a>>) -> bool {
    let mut first = true;
    for level in rule {
        if *level == Level::Rest {
            // Wildcards in the first level do not reach `$` topics, in rules as in filters.
            return !(first && asked.next().is_some_and(is_dollar));
        }
        let fits = match (level, asked.next()) {
            (Level::Any, Some(Asked::Rest)) | (_, None) | (Level::Text(_), Some(Asked::Any | Asked::Rest)) => false,
            (Level::Any, Some(asked)) => !(first && is_dollar(asked)),
            (Level::Text(text), Some(Asked::Text(asked))) => text == asked,
            (Level::Rest, _) => true,
        };
        if !fits {
            return false;
        }
        first = false;
    }
    asked.next().is_none()
}

fn is_dollar(asked: Asked<'_>) -> bool {
    matches!(asked, Asked::Text(text) if text.starts_with('$'))
}

/// Whether some topic fits both.
fn overlaps(rule: &[Level], asked: &[Asked<'_>]) -> bool {
    let hidden = match (rule.first(), asked.first()) {
        (Some(Level::Text(text)), Some(Asked::Any | Asked::Rest)) => text.starts_with('$'),
        (Some(Level::Any | Level::Rest), Some(asked)) => is_dollar(*asked),
        _ => false,
    };
    !hidden && overlaps_below(rule, asked)
}

fn overlaps_below(rule: &[Level], asked: &[Asked<'_>]) -> bool {
    match (rule, asked) {
        ([Level::Rest, ..], _) | (_, [Asked::Rest, ..]) => true,
        ([], []) => true,
        ([], _) | (_, []) => false,
        ([Level::Text(text), rule @ ..], [Asked::Text(other), asked @ ..]) => {
            text == other && overlaps_below(rule, asked)
        }
        ([_, rule @ ..], [_, asked @ ..]) => overlaps_below(rule, asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::testing::client;

    trait Simple {
        fn publishes(&self, topic: &str) -> bool;
        fn subscribes(&self, filter: &str) -> bool;
    }

    impl Simple for ClientRules {
        fn publishes(&self, topic: &str) -> bool {
            self.may_publish(topic).allowed == Kinds::ALL
        }

        fn subscribes(&self, filter: &str) -> bool {
            self.may_subscribe(filter, QoS::AtMostOnce) == Decision::Allow
        }
    }

    fn rules(text: &str) -> Authorizer {
        Authorizer::new(&toml::from_str(text).unwrap(), &Arc::default()).unwrap()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = rules(
            r##"
            no_match = "deny"
            rules = [
                { permission = "deny", action = "publish", topics = ["a/secret/#"] },
                { permission = "allow", action = "publish", topics = ["a/#", "${clientid}/+/up"] },
                { permission = "allow", action = "all", username = "root", topics = ["#"] },
                { permission = "allow", action = "subscribe", ipaddr = "10.0.0.0/8", topics = ["down/${username}"] },
            ]"##,
        );
        let plain = rules.resolve(&client("dev1", None, "127.0.0.1:1"), None, 0);
        let root = rules.resolve(&client("dev1", Some("root"), "127.0.0.1:1"), None, 0);
        let inside = rules.resolve(&client("dev1", Some("joe"), "10.9.8.7:1"), None, 0);
        for (topic, expected) in [
            ("a/b", true),
            ("a", true),
            ("a/secret", false),
            ("a/secret/x", false),
            ("dev1/x/up", true),
            ("dev2/x/up", false),
            ("b", false),
        ] {
            assert_eq!(plain.publishes(topic), expected, "{topic}");
        }
        assert!(root.publishes("b") && !root.publishes("$SYS/x") && root.subscribes("b/#"));
        assert!(inside.subscribes("down/joe") && !inside.subscribes("down/jim") && !inside.subscribes("down/+"));
        assert!(!plain.subscribes("down/joe"));
    }

    #[test]
    fn a_wider_subscription_does_not_go_round_a_denial() {
        let rules = rules(r##"rules = [{ permission = "deny", action = "subscribe", topics = ["secret/#"] }]"##);
        let rules = rules.resolve(&client("c", None, "127.0.0.1:1"), None, 0);
        for filter in ["#", "+/x", "secret", "secret/x", "+/#", "secret/+"] {
            assert!(!rules.subscribes(filter), "{filter}");
        }
        assert!(rules.subscribes("public/#") && rules.publishes("secret/x"));
    }

    #[test]
    fn wildcards_and_dollar_topics_do_not_meet() {
        let rules = rules(r##"rules = [{ permission = "deny", topics = ["$SYS/#"] }]"##);
        let rules = rules.resolve(&client("c", None, "127.0.0.1:1"), None, 0);
        assert!(rules.subscribes("#") && rules.subscribes("+/x"));
        assert!(!rules.subscribes("$SYS/+") && !rules.publishes("$SYS/x"));
    }

    #[test]
    fn names_are_literal_text() {
        let text = r##"
            no_match = "deny"
            rules = [{ permission = "allow", topics = ["d/${clientid}/#"] }, { permission = "allow", topics = ["u/${username}"] }]"##;
        let rules = rules(text);
        for evil in ["#", "+"] {
            let rules = rules.resolve(&client(evil, None, "127.0.0.1:1"), None, 0);
            assert!(!rules.publishes("d/other/x") && !rules.subscribes("d/+/x") && !rules.subscribes("d/#"));
            assert!(!rules.publishes("u/") && !rules.publishes("u/${username}"));
        }
        let nested = rules.resolve(&client("${username}", Some("joe"), "127.0.0.1:1"), None, 0);
        assert!(nested.publishes("d/${username}/x") && !nested.publishes("d/joe/x"));
        let slashed = rules.resolve(&client("a/b", None, "127.0.0.1:1"), None, 0);
        assert!(slashed.publishes("d/a/b/x"));
    }

    #[test]
    fn bad_rules_are_named() {
        for bad in [
            r##"rules = [{ permission = "allow", topics = ["a/#/b"] }]"##,
            r##"rules = [{ permission = "allow", ipaddr = "10.0.0.0/99", topics = ["a"] }]"##,
        ] {
            let error = Authorizer::new(&toml::from_str(bad).unwrap(), &Arc::default()).unwrap_err();
            assert!(error.to_string().starts_with("authorization rule 1"), "{error}");
        }
        assert!(toml::from_str::<AuthorizationConfig>("no_match = \"maybe\"").is_err());
    }

    #[test]
    fn a_rule_may_be_about_some_qos_and_about_retained_messages() {
        let rules = rules(
            r##"
            no_match = "deny"
            rules = [
                { permission = "deny", action = "publish", topics = ["t"], retain = true },
                { permission = "allow", action = "publish", topics = ["t"], qos = [0, 1] },
                { permission = "allow", action = "subscribe", topics = ["t"], qos = [1] },
            ]"##,
        );
        let rules = rules.resolve(&client("c", None, "127.0.0.1:1"), None, 0);
        let kinds = rules.may_publish("t").allowed;
        for (qos, retain, expected) in [(0, false, true), (1, false, true), (2, false, false), (0, true, false)] {
            assert_eq!(kinds.has(QoS::from_u8(qos).unwrap(), retain), expected, "{qos} {retain}");
        }
        assert_eq!(rules.may_subscribe("t", QoS::AtLeastOnce), Decision::Allow);
        assert_eq!(rules.may_subscribe("t", QoS::AtMostOnce), Decision::Deny);
    }

    #[test]
    fn eq_means_the_very_text() {
        let rules = rules(
            r##"
            no_match = "allow"
            rules = [
                { permission = "deny", action = "subscribe", topics = ["eq #", "eq ${clientid}/+"] },
                { permission = "deny", action = "publish", topics = ["eq a/b"] },
            ]"##,
        );
        let rules = rules.resolve(&client("c", None, "127.0.0.1:1"), None, 0);
        assert!(!rules.subscribes("#") && !rules.subscribes("c/+") && !rules.publishes("a/b"));
        assert!(
            rules.subscribes("a/#") && rules.subscribes("c/x") && rules.subscribes("+/+") && rules.publishes("a/c")
        );
    }

    #[test]
    fn attributes_are_names_too() {
        let rules = rules(
            r##"
            no_match = "deny"
            rules = [{ permission = "allow", topics = ["${client_attrs.site}/up", "${client_attrs.none}/x", "${other}"] }]"##,
        );
        let mut someone = client("c", None, "127.0.0.1:1");
        someone.attrs.insert("site".to_owned(), "p7".to_owned());
        let rules = rules.resolve(&someone, None, 0);
        assert!(rules.publishes("p7/up") && rules.publishes("${other}") && !rules.publishes("/x"));
    }

    fn own(rules: &str) -> Option<OwnRules> {
        Some(OwnRules::parse(&serde_json::from_str(rules).unwrap()).unwrap())
    }

    #[test]
    fn rules_of_its_own_come_first_and_may_be_all_there_is() {
        let rules = rules(r##"rules = [{ permission = "deny", topics = ["a/#"] }]"##);
        let someone = client("c", None, "127.0.0.1:1");
        let resolve = |grant: Grant, now| rules.resolve(&someone, Some(&grant), now);
        let list = own(r#"[{"permission": "allow", "action": "publish", "topic": "a/${clientid}"}]"#);
        let listed = resolve(Grant { acl: list, ..Grant::default() }, 0);
        assert!(
            listed.publishes("a/c") && !listed.publishes("a/d") && listed.publishes("b") && !listed.subscribes("a/c")
        );
        let old = own(r#"{"pub": ["a/c"], "sub": ["b/#"], "all": ["c"]}"#);
        let grant = Grant { acl: old, expires_at: Some(100), ..Grant::default() };
        let whole = resolve(grant.clone(), 99);
        assert!(whole.publishes("a/c") && whole.publishes("c") && whole.subscribes("b/x") && whole.subscribes("c"));
        assert!(!whole.publishes("b") && !whole.subscribes("a/c") && !whole.subscribes("#"));
        assert!(!resolve(grant, 100).publishes("a/c"), "they have ended");
        let superuser = resolve(Grant { superuser: true, ..Grant::default() }, 0);
        assert!(superuser.publishes("a/x") && superuser.subscribes("#"));
    }

    #[test]
    fn what_no_rule_decides_is_asked_and_only_that() {
        let rules = rules(
            r##"
            no_match = "deny"
            rules = [
                { permission = "allow", topics = ["a"] },
                { permission = "deny", topics = ["b"] },
                { permission = "deny", action = "publish", topics = ["c"], retain = true },
            ]
            sources = [{ type = "http", method = "get", url = "http://127.0.0.1:1/" }]"##,
        );
        let asked = rules.resolve(&client("c", None, "127.0.0.1:1"), None, 0);
        let retained = Kinds::among(None, Some(true));
        for (topic, allowed, open) in [
            ("a", Kinds::ALL, Kinds::NONE),
            ("b", Kinds::NONE, Kinds::NONE),
            ("c", Kinds::NONE, Kinds::ALL.without(retained)),
            ("d", Kinds::NONE, Kinds::ALL),
        ] {
            assert_eq!(asked.may_publish(topic), Permits { allowed, open }, "{topic}");
        }
        let source = |topic, retain| asked.publish_source(topic, QoS::AtMostOnce, retain);
        assert_eq!((source("a", false), source("c", true), source("c", false)), ("file", "file", "http"));
        assert_eq!(asked.subscribe_source("c", QoS::AtMostOnce), "http");
        let decisions = ["a", "b", "c", "a/#"].map(|filter| asked.may_subscribe(filter, QoS::AtMostOnce));
        assert_eq!(decisions, [Decision::Allow, Decision::Deny, Decision::Ask, Decision::Ask]);
        let superuser = Grant { superuser: true, ..Grant::default() };
        let superuser = rules.resolve(&client("c", None, "127.0.0.1:1"), Some(&superuser), 0);
        assert_eq!(superuser.may_publish("b").open, Kinds::NONE, "nobody is asked about a superuser");
        assert_eq!(superuser.publish_source("b", QoS::AtMostOnce, false), "superuser");
    }
}
