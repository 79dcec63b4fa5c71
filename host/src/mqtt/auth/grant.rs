//! What an authenticated client may do beyond connecting, as a JWT or an HTTP answer says it: EMQX's `is_superuser`,
//! `client_attrs`, `acl` and the end of it all.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::mqtt::acl::{OwnRules, OwnRulesError};

/// The rights of one connection.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// The client has proved who it is; otherwise it is let in as anybody.
    pub identified: bool,
    /// Authorization is not asked.
    pub superuser: bool,
    pub attrs: BTreeMap<String, String>,
    /// Rules of its own, before all others.
    pub acl: Option<OwnRules>,
    /// When that ends, in seconds since 1970-01-01 UTC.
    pub expires_at: Option<i64>,
    /// At that moment the client is disconnected; otherwise its own rules deny everything from then on.
    pub disconnect: bool,
}

impl Grant {
    /// Reads what is common to JWT claims and HTTP answers; `acl` is the name of the rules in it.
    pub fn read(said: &Map<String, Value>, acl: &str) -> Result<Grant, OwnRulesError> {
        let acl = said.get(acl).map(OwnRules::parse).transpose()?;
        Ok(Grant { superuser: is_superuser(said), attrs: attributes(said), acl, ..Grant::default() })
    }

    /// Nothing that a connection would have to remember.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.superuser && self.acl.is_none() && self.expires_at.is_none()
    }
}

/// As in EMQX: true, a number from 1, and both as text.
fn is_superuser(said: &Map<String, Value>) -> bool {
    match said.get("is_superuser") {
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_i64().is_some_and(|number| number >= 1),
        Some(Value::String(text)) => text == "true" || text == "1",
        _ => false,
    }
}

/// As in EMQX, an attribute whose name or value cannot be used is left out.
fn attributes(said: &Map<String, Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(attributes)) = said.get("client_attrs") else { return BTreeMap::new() };
    let good = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    let attributes = attributes.iter().filter_map(|(name, value)| match value {
        Value::String(text) if good(name) => Some((name.clone(), text.clone())),
        _ => None,
    });
    attributes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Grant {
        Grant::read(&serde_json::from_str(text).unwrap(), "acl").unwrap()
    }

    #[test]
    fn superusers_are_told_in_many_ways() {
        for (value, expected) in [
            ("true", true),
            ("false", false),
            ("1", true),
            ("2", true),
            ("0", false),
            ("-1", false),
            ("\"true\"", true),
            ("\"1\"", true),
            ("\"yes\"", false),
            ("null", false),
            ("[true]", false),
        ] {
            assert_eq!(read(&format!("{{\"is_superuser\": {value}}}")).superuser, expected, "{value}");
        }
        assert!(!read("{}").superuser && read("{}").is_plain());
    }

    #[test]
    fn attributes_are_names_with_texts() {
        let attrs =
            read(r#"{"client_attrs": {"site": "plant-7", "n": 1, "a b": "x", "": "x", "-x": "y", "x-1_y": "z"}}"#);
        let attrs: Vec<_> = attrs.attrs.into_iter().collect();
        assert_eq!(attrs, [("site".into(), "plant-7".into()), ("x-1_y".into(), "z".into())] as [(String, String); 2]);
        assert!(read(r#"{"client_attrs": "site"}"#).attrs.is_empty());
    }

    #[test]
    fn rules_that_cannot_be_read_are_no_grant() {
        let said = serde_json::from_str(r#"{"acl": [{"permission": "maybe"}]}"#).unwrap();
        assert!(Grant::read(&said, "acl").is_err());
        assert!(Grant::read(&said, "rules").unwrap().is_plain());
    }
}
