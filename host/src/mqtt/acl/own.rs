//! Rules that a client brings along: the `acl` of a JWT or of an HTTP answer, in both of EMQX's forms (EMQX: Access Control
//! List).
//!
//! The new form is a list of rules; what none of them fits goes on to the rules of the node. The old form names topics
//! under `pub`, `sub` and `all`; what is not named is denied.

use serde_json::{Map, Value};

use super::{Kinds, Pattern, Rule};
use crate::message::QoS;
use crate::mqtt::config::{Action, Permission};
use crate::mqtt::network::Network;

/// Rules of one client.
#[derive(Clone, Debug)]
pub struct OwnRules {
    pub(super) rules: Vec<Rule>,
    /// Nothing but them counts.
    pub(super) whole: bool,
}

/// Rules that cannot be used. Whoever brings them does not get in: leaving one out could allow too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnRulesError {
    #[error("`acl` is neither a list of rules nor an object with `pub`, `sub` and `all`")]
    Shape,
    #[error("`{0}` of a rule is missing or not what it can be")]
    Key(&'static str),
    #[error("`{0}` in a rule is not known here")]
    Unsupported(&'static str),
}

/// More rules than this help nobody and cost every new topic.
const MAX_RULES: usize = 10_000;
/// What EMQX knows in such a rule and we do not; to pass it over would make the rule wider.
const UNSUPPORTED: [&str; 6] = ["clientid_re", "username_re", "zone", "zone_re", "listener", "listener_re"];

impl OwnRules {
    /// Reads either form.
    pub fn parse(acl: &Value) -> Result<OwnRules, OwnRulesError> {
        match acl {
            Value::Array(rules) if rules.len() <= MAX_RULES => {
                Ok(OwnRules { rules: rules.iter().map(rule).collect::<Result<_, _>>()?, whole: false })
            }
            Value::Object(lists) => {
                let lists = [("pub", Action::Publish), ("sub", Action::Subscribe), ("all", Action::All)]
                    .map(|(key, action)| allow_list(lists, key, action));
                let mut rules = Vec::new();
                for list in lists {
                    rules.extend(list?);
                }
                Ok(OwnRules { rules, whole: true })
            }
            _ => Err(OwnRulesError::Shape),
        }
    }
}

fn allow_list(lists: &Map<String, Value>, key: &'static str, action: Action) -> Result<Option<Rule>, OwnRulesError> {
    let Some(list) = lists.get(key) else { return Ok(None) };
    let topics = topics(list).ok_or(OwnRulesError::Key(key))?;
    Ok(Some(about(Permission::Allow, action, Kinds::ALL, topics)))
}

fn about(permission: Permission, action: Action, kinds: Kinds, topics: Vec<Pattern>) -> Rule {
    Rule { permission, action, kinds, clientid: None, username: None, network: None, topics }
}

fn rule(rule: &Value) -> Result<Rule, OwnRulesError> {
    let rule = rule.as_object().ok_or(OwnRulesError::Shape)?;
    let text = |key: &'static str| rule.get(key).and_then(Value::as_str).ok_or(OwnRulesError::Key(key));
    if let Some(key) = UNSUPPORTED.into_iter().find(|key| rule.contains_key(*key)) {
        return Err(OwnRulesError::Unsupported(key));
    }
    let permission = match text("permission")? {
        "allow" => Permission::Allow,
        "deny" => Permission::Deny,
        _ => return Err(OwnRulesError::Key("permission")),
    };
    let action = match text("action")? {
        "publish" | "pub" => Action::Publish,
        "subscribe" | "sub" => Action::Subscribe,
        "all" => Action::All,
        _ => return Err(OwnRulesError::Key("action")),
    };
    let filters = match (rule.get("topic"), rule.get("topics")) {
        (Some(topic), _) => Pattern::parse(topic.as_str().unwrap_or_default()).map(|pattern| vec![pattern]),
        (None, Some(list)) => topics(list),
        (None, None) => None,
    };
    let qos = match rule.get("qos") {
        None | Some(Value::Null) => None,
        Some(value) => Some(levels(value).ok_or(OwnRulesError::Key("qos"))?),
    };
    let retain = match rule.get("retain") {
        None | Some(Value::Null) => None,
        Some(value) => flag(value).ok_or(OwnRulesError::Key("retain"))?,
    };
    let kinds = Kinds::among(qos.as_deref(), retain);
    let mut rule_read = about(permission, action, kinds, filters.ok_or(OwnRulesError::Key("topic"))?);
    if let Some(network) = rule.get("ipaddr") {
        let network = network.as_str().and_then(Network::parse);
        rule_read.network = Some(network.ok_or(OwnRulesError::Key("ipaddr"))?);
    }
    Ok(rule_read)
}

fn topics(list: &Value) -> Option<Vec<Pattern>> {
    list.as_array()?.iter().map(|topic| Pattern::parse(topic.as_str()?)).collect()
}

/// `1`, `[0, 1]`, `"1"` or `"0,1"`.
fn levels(value: &Value) -> Option<Vec<QoS>> {
    let one = |value: &Value| match value {
        Value::Number(number) => u8::try_from(number.as_u64()?).ok().and_then(QoS::from_u8),
        Value::String(text) => text.trim().parse().ok().and_then(QoS::from_u8),
        _ => None,
    };
    match value {
        Value::Array(items) => items.iter().map(one).collect(),
        Value::String(text) => text.split(',').map(|level| level.trim().parse().ok().and_then(QoS::from_u8)).collect(),
        value => Some(vec![one(value)?]),
    }
}

/// `true`, `0`, `"false"`; `"all"` is both. The outer `None` is an error.
fn flag(value: &Value) -> Option<Option<bool>> {
    match value {
        Value::Bool(value) => Some(Some(*value)),
        Value::Number(number) if number.as_u64() == Some(0) => Some(Some(false)),
        Value::Number(number) if number.as_u64() == Some(1) => Some(Some(true)),
        Value::String(text) => match text.as_str() {
            "true" | "1" => Some(Some(true)),
            "false" | "0" => Some(Some(false)),
            "all" => Some(None),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<OwnRules, OwnRulesError> {
        OwnRules::parse(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn both_forms_are_read() {
        let old = parse(r#"{"pub": ["a"], "all": ["b/#", "eq c/+"]}"#).unwrap();
        assert!(old.whole && old.rules.len() == 2 && old.rules[1].topics.len() == 2 && old.rules[1].topics[1].exact);
        let new = parse(
            r#"[{"permission": "deny", "action": "pub", "topic": "a", "qos": "0,2", "retain": 1, "ipaddr": "10.0.0.0/8"},
                {"permission": "allow", "action": "all", "topics": ["b", "c"], "qos": [1], "retain": "all"}]"#,
        );
        let new = new.unwrap();
        assert!(!new.whole && new.rules[0].network.is_some());
        assert_eq!(new.rules[0].kinds, Kinds::among(Some(&[QoS::AtMostOnce, QoS::ExactlyOnce]), Some(true)));
        assert_eq!(new.rules[1].kinds, Kinds::of_qos(QoS::AtLeastOnce));
    }

    #[test]
    fn what_cannot_be_used_is_an_error_and_never_left_out() {
        for (text, error) in [
            ("\"all\"", OwnRulesError::Shape),
            ("[1]", OwnRulesError::Shape),
            (r#"{"pub": "a"}"#, OwnRulesError::Key("pub")),
            (r#"{"sub": ["a/#/b"]}"#, OwnRulesError::Key("sub")),
            (r#"[{"action": "all", "topic": "a"}]"#, OwnRulesError::Key("permission")),
            (r#"[{"permission": "allow", "action": "any", "topic": "a"}]"#, OwnRulesError::Key("action")),
            (r#"[{"permission": "allow", "action": "all"}]"#, OwnRulesError::Key("topic")),
            (r#"[{"permission": "allow", "action": "all", "topic": 1}]"#, OwnRulesError::Key("topic")),
            (r#"[{"permission": "deny", "action": "all", "topic": "a", "qos": 3}]"#, OwnRulesError::Key("qos")),
            (r#"[{"permission": "deny", "action": "all", "topic": "a", "qos": "0,x"}]"#, OwnRulesError::Key("qos")),
            (
                r#"[{"permission": "deny", "action": "all", "topic": "a", "retain": "no"}]"#,
                OwnRulesError::Key("retain"),
            ),
            (r#"[{"permission": "deny", "action": "all", "topic": "a", "ipaddr": "x"}]"#, OwnRulesError::Key("ipaddr")),
            (
                r#"[{"permission": "allow", "action": "all", "topic": "a", "clientid_re": "^b"}]"#,
                OwnRulesError::Unsupported("clientid_re"),
            ),
        ] {
            assert_eq!(parse(text).err(), Some(error), "{text}");
        }
    }
}
