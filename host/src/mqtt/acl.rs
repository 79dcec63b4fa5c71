//! Authorization: ordered rules, the first that fits decides.
//!
//! Rules are resolved once for each connection: what is left is what concerns that client, with its own names filled in.
//! A filled-in name is literal text; a client named `#` gains nothing. A denied topic is denied to every subscription
//! that would also receive it, so `deny secret/#` cannot be had by subscribing to `#`.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::config::{Action, AuthorizationConfig, Permission, RuleConfig};
use crate::message::Client;

/// A rule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("authorization rule {rule}: `{text}` is not an address or a network; write one like \"10.0.0.0/8\"")]
    Address { rule: usize, text: String },
    #[error(
        "authorization rule {rule}: `{text}` is not a topic filter: `#` must be the last level, `+` and `#` stand alone"
    )]
    Topic { rule: usize, text: String },
}

/// The rules of this node.
#[derive(Debug)]
pub struct Authorizer {
    generation: u64,
    rules: Vec<Rule>,
    no_match: Permission,
}

#[derive(Debug)]
struct Rule {
    permission: Permission,
    action: Action,
    clientid: Option<String>,
    username: Option<String>,
    network: Option<Network>,
    topics: Vec<Vec<Level>>,
}

/// One level of a rule's filter. `Text` may hold placeholders until it is resolved.
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
    rules: Vec<(Permission, Action, Vec<Vec<Level>>)>,
    no_match: Permission,
}

impl Authorizer {
    pub fn new(config: &AuthorizationConfig) -> Result<Authorizer, RuleError> {
        let rules = config.rules.iter().enumerate().map(|(index, rule)| Rule::new(index + 1, rule));
        static GENERATION: AtomicU64 = AtomicU64::new(0);
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        Ok(Authorizer { generation, rules: rules.collect::<Result<_, _>>()?, no_match: config.no_match })
    }

    /// The rules that concern `client`.
    #[must_use]
    pub fn resolve(&self, client: &Client) -> Arc<ClientRules> {
        let rules = self.rules.iter().filter(|rule| rule.concerns(client)).map(|rule| {
            let topics = rule.topics.iter().filter_map(|levels| fill_in(levels, client));
            (rule.permission, rule.action, topics.collect())
        });
        let generation = self.generation;
        Arc::new(ClientRules { generation, rules: rules.collect(), no_match: self.no_match })
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
            .map(|text| parse(text).ok_or_else(|| RuleError::Topic { rule: number, text: text.clone() }));
        Ok(Rule {
            permission: config.permission,
            action: config.action,
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

    /// No rule at all, and everything allowed: nothing to look up.
    #[must_use]
    pub fn allow_all(&self) -> bool {
        self.rules.is_empty() && self.no_match == Permission::Allow
    }

    #[must_use]
    pub fn may_publish(&self, topic: &str) -> bool {
        self.allow_all() || self.allows(self.publish_rule(topic))
    }

    /// What the first rule that fits this topic says.
    #[must_use]
    pub fn publish_rule(&self, topic: &str) -> Option<Permission> {
        self.decide(Action::Publish, |rule, _| covers(rule, topic.split('/').map(Asked::Text)))
    }

    /// `filter`: without a `$share/name/` prefix. Allowed when all that it can receive is allowed by one rule; denied
    /// when any of it is denied before.
    #[must_use]
    pub fn may_subscribe(&self, filter: &str) -> bool {
        self.allow_all() || self.allows(self.subscribe_rule(filter))
    }

    /// What the first rule that fits this filter says.
    #[must_use]
    pub fn subscribe_rule(&self, filter: &str) -> Option<Permission> {
        let asked = || filter.split('/').map(Asked::of_filter);
        self.decide(Action::Subscribe, |rule, permission| match permission {
            Permission::Allow => covers(rule, asked()),
            Permission::Deny => overlaps(rule, &asked().collect::<Vec<_>>()),
        })
    }

    fn allows(&self, said: Option<Permission>) -> bool {
        said.unwrap_or(self.no_match) == Permission::Allow
    }

    fn decide(&self, action: Action, fits: impl Fn(&[Level], Permission) -> bool) -> Option<Permission> {
        let decided = self.rules.iter().find(|(permission, of, topics)| {
            (*of == Action::All || *of == action) && topics.iter().any(|levels| fits(levels, *permission))
        });
        decided.map(|(permission, ..)| *permission)
    }
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

fn parse(text: &str) -> Option<Vec<Level>> {
    // Checked as a filter, with the placeholders out of the way.
    crate::topic::TopicFilter::new(text).ok()?;
    Some(
        text.split('/')
            .map(|level| match level {
                "+" => Level::Any,
                "#" => Level::Rest,
                text => Level::Text(text.to_owned()),
            })
            .collect(),
    )
}

/// Puts the client's names in. `None` when the rule names something that this client has not got.
fn fill_in(levels: &[Level], client: &Client) -> Option<Vec<Level>> {
    let mut filled = Vec::with_capacity(levels.len());
    for level in levels {
        match level {
            Level::Text(text) if text.contains("${") => {
                if text.contains("${username}") && client.username.is_none() {
                    return None;
                }
                // Both at once, so that a name which looks like a placeholder is not filled in again.
                let parts = text.split("${clientid}").map(|part| match &client.username {
                    Some(name) => part.replace("${username}", name),
                    None => part.to_owned(),
                });
                let text = parts.collect::<Vec<_>>().join(client.id.as_str());
                filled.extend(text.split('/').map(|level| Level::Text(level.to_owned())));
            }
            level => filled.push(level.clone()),
        }
    }
    Some(filled)
}

/// An address with the number of its leading bits that count.
#[derive(Clone, Copy, Debug)]
struct Network(IpAddr, u32);

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let all = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        (bits <= all).then_some(Network(address, bits))
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.0, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                (net.to_bits() ^ ip.to_bits()).checked_shr(32 - self.1).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                (net.to_bits() ^ ip.to_bits()).checked_shr(128 - self.1).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::testing::client;

    fn rules(text: &str) -> Authorizer {
        Authorizer::new(&toml::from_str(text).unwrap()).unwrap()
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
        let plain = rules.resolve(&client("dev1", None, "127.0.0.1:1"));
        let root = rules.resolve(&client("dev1", Some("root"), "127.0.0.1:1"));
        let inside = rules.resolve(&client("dev1", Some("joe"), "10.9.8.7:1"));
        for (topic, expected) in [
            ("a/b", true),
            ("a", true),
            ("a/secret", false),
            ("a/secret/x", false),
            ("dev1/x/up", true),
            ("dev2/x/up", false),
            ("b", false),
        ] {
            assert_eq!(plain.may_publish(topic), expected, "{topic}");
        }
        assert!(root.may_publish("b") && !root.may_publish("$SYS/x") && root.may_subscribe("b/#"));
        assert!(
            inside.may_subscribe("down/joe") && !inside.may_subscribe("down/jim") && !inside.may_subscribe("down/+")
        );
        assert!(!plain.may_subscribe("down/joe"));
    }

    #[test]
    fn a_wider_subscription_does_not_go_round_a_denial() {
        let rules = rules(r##"rules = [{ permission = "deny", action = "subscribe", topics = ["secret/#"] }]"##);
        let rules = rules.resolve(&client("c", None, "127.0.0.1:1"));
        for filter in ["#", "+/x", "secret", "secret/x", "+/#", "secret/+"] {
            assert!(!rules.may_subscribe(filter), "{filter}");
        }
        assert!(rules.may_subscribe("public/#") && rules.may_publish("secret/x"));
    }

    #[test]
    fn wildcards_and_dollar_topics_do_not_meet() {
        let rules = rules(r##"rules = [{ permission = "deny", topics = ["$SYS/#"] }]"##);
        let rules = rules.resolve(&client("c", None, "127.0.0.1:1"));
        assert!(rules.may_subscribe("#") && rules.may_subscribe("+/x"));
        assert!(!rules.may_subscribe("$SYS/+") && !rules.may_publish("$SYS/x"));
    }

    #[test]
    fn names_are_literal_text() {
        let text = r##"
            no_match = "deny"
            rules = [{ permission = "allow", topics = ["d/${clientid}/#"] }, { permission = "allow", topics = ["u/${username}"] }]"##;
        let rules = rules(text);
        for evil in ["#", "+"] {
            let rules = rules.resolve(&client(evil, None, "127.0.0.1:1"));
            assert!(!rules.may_publish("d/other/x") && !rules.may_subscribe("d/+/x") && !rules.may_subscribe("d/#"));
            assert!(!rules.may_publish("u/") && !rules.may_publish("u/${username}"));
        }
        let nested = rules.resolve(&client("${username}", Some("joe"), "127.0.0.1:1"));
        assert!(nested.may_publish("d/${username}/x") && !nested.may_publish("d/joe/x"));
        let slashed = rules.resolve(&client("a/b", None, "127.0.0.1:1"));
        assert!(slashed.may_publish("d/a/b/x"));
    }

    #[test]
    fn networks_are_compared_by_their_leading_bits() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.8", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("fd00::/8", "fd12::1", true),
            ("::/0", "1.2.3.4", false),
        ] {
            let contains = Network::parse(network).unwrap().contains(address.parse().unwrap());
            assert_eq!(contains, expected, "{network} {address}");
        }
        assert!(Network::parse("10.0.0.0/33").is_none() && Network::parse("x").is_none());
    }

    #[test]
    fn bad_rules_are_named() {
        for bad in [
            r##"rules = [{ permission = "allow", topics = ["a/#/b"] }]"##,
            r##"rules = [{ permission = "allow", ipaddr = "10.0.0.0/99", topics = ["a"] }]"##,
        ] {
            let error = Authorizer::new(&toml::from_str(bad).unwrap()).unwrap_err();
            assert!(error.to_string().starts_with("authorization rule 1"), "{error}");
        }
        assert!(toml::from_str::<AuthorizationConfig>("no_match = \"maybe\"").is_err());
    }
}
