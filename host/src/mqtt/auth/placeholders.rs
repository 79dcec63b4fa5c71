//! `${...}` in what authentication and authorization are configured with: expected claims, URLs, headers, bodies, topics.
//!
//! A text is cut once; what may stand in it is checked then. Filling in never looks at what it filled in, so a client
//! whose name looks like a placeholder gains nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is known of a client when a text is filled in; what is not given is empty text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    pub client_id: &'a str,
    pub username: Option<&'a str>,
    pub password: Option<&'a str>,
    pub peerhost: Option<IpAddr>,
    pub cert_common_name: Option<&'a str>,
    pub cert_subject: Option<&'a str>,
    pub attrs: Option<&'a BTreeMap<String, String>>,
    /// `publish` or `subscribe`, with the topic and what else is asked for.
    pub action: Option<&'a str>,
    pub topic: Option<&'a str>,
    pub qos: Option<u8>,
    pub retain: Option<bool>,
}

/// The placeholders of EMQX that are known here, by the group of texts that may use them.
pub const NAMES: &[&str] = &["clientid", "username"];
pub const CONNECT: &[&str] = &["clientid", "username", "password", "peerhost", "cert_common_name", "cert_subject"];
pub const REQUEST: &[&str] = &[
    "clientid",
    "username",
    "peerhost",
    "cert_common_name",
    "cert_subject",
    "client_attrs",
    "action",
    "topic",
    "qos",
    "retain",
];

/// A placeholder that cannot stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`${{{name}}}` cannot stand here; known are {known}")]
pub struct UnknownPlaceholder {
    name: String,
    known: String,
}

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Fact(String),
}

impl Text {
    /// Cuts a text in which the placeholders `known` may stand.
    pub fn parse(text: &str, known: &[&str]) -> Result<Text, UnknownPlaceholder> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            let name = &rest[start + 2..start + length];
            let group = name.split_once('.').map_or(name, |(group, _)| group);
            let whole =
                group == "client_attrs" && name.len() > group.len() + 1 || group == name && group != "client_attrs";
            if !whole || !known.contains(&group) {
                let known: Vec<String> = known.iter().map(|name| format!("`${{{name}}}`")).collect();
                let known = known.join(", ").replace("client_attrs}", "client_attrs.NAME}");
                return Err(UnknownPlaceholder { name: name.to_owned(), known });
            }
            parts.push(Part::Literal(rest[..start].to_owned()));
            parts.push(Part::Fact(name.to_owned()));
            rest = &rest[start + length + 1..];
        }
        parts.push(Part::Literal(rest.to_owned()));
        parts.retain(|part| *part != Part::Literal(String::new()));
        Ok(Text(parts))
    }

    /// The text for one client, each fact passed through `encode`.
    #[must_use]
    pub fn fill(&self, facts: &Facts<'_>, encode: impl Fn(&str) -> String) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Fact(name) => encode(&facts.get(name)),
        });
        parts.collect()
    }
}

impl Facts<'_> {
    fn get(&self, name: &str) -> String {
        let text = |fact: Option<&str>| fact.unwrap_or_default().to_owned();
        match name {
            "clientid" => self.client_id.to_owned(),
            "username" => text(self.username),
            "password" => text(self.password),
            "peerhost" => self.peerhost.map(|host| host.to_canonical().to_string()).unwrap_or_default(),
            "cert_common_name" => text(self.cert_common_name),
            "cert_subject" => text(self.cert_subject),
            "action" => text(self.action),
            "topic" => text(self.topic),
            "qos" => self.qos.map(|qos| qos.to_string()).unwrap_or_default(),
            "retain" => self.retain.map(|retain| retain.to_string()).unwrap_or_default(),
            name => {
                let name = name.strip_prefix("client_attrs.").unwrap_or_default();
                self.attrs.and_then(|attrs| attrs.get(name)).cloned().unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_filled_in_once() {
        let attrs = BTreeMap::from([("site".to_owned(), "p7".to_owned())]);
        let facts = Facts {
            client_id: "${username}",
            username: Some("joe"),
            peerhost: Some("::ffff:10.0.0.1".parse().unwrap()),
            attrs: Some(&attrs),
            qos: Some(1),
            ..Facts::default()
        };
        for (text, expected) in [
            ("plain", "plain"),
            ("${clientid}", "${username}"),
            ("a/${username}/${clientid}/b", "a/joe/${username}/b"),
            ("${peerhost}-${client_attrs.site}-${client_attrs.none}-${qos}${retain}", "10.0.0.1-p7--1"),
            ("$ {x} ${", "$ {x} ${"),
            ("", ""),
        ] {
            let parsed = Text::parse(text, REQUEST).unwrap();
            assert_eq!(parsed.fill(&facts, str::to_owned), expected, "{text}");
        }
        let encoded = Text::parse("?a=${username}&b=1", REQUEST).unwrap().fill(&facts, |fact| format!("<{fact}>"));
        assert_eq!(encoded, "?a=<joe>&b=1");
    }

    #[test]
    fn what_is_not_known_is_named() {
        for text in ["${password}", "${client_attrs}", "${client_attrs.}", "${username.x}", "${}", "${ clientid }"] {
            assert!(Text::parse(text, REQUEST).is_err(), "{text}");
        }
        let error = Text::parse("x ${pasword}", CONNECT).unwrap_err().to_string();
        assert!(
            error.starts_with("`${pasword}` cannot stand here; known are `${clientid}`, `${username}`, `${password}`"),
            "{error}"
        );
    }
}
