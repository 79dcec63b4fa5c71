//! Who is banned: by client id, user name or address, exactly or by a pattern, until a moment.
//!
//! Pure: it is told the time. Exact entries cost one lookup each, patterns are tried one after another, and none of it is
//! asked more often than once for each CONNECT.

use std::net::IpAddr;

use fancy_regex::Regex;
use rustc_hash::FxHashMap;

use super::config::{BanConfig, BanKind, Until};
use super::network::Network;

/// An entry that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    #[error("banned entry {entry}: `{who}` is not an address")]
    Address { entry: usize, who: String },
    #[error("banned entry {entry}: `{who}` is not a network; write one like \"10.0.0.0/8\"")]
    Network { entry: usize, who: String },
    #[error("banned entry {entry}: `{who}` is not a regular expression: {why}")]
    Pattern { entry: usize, who: String, why: String },
}

impl BanError {
    fn entry(&self) -> usize {
        match self {
            BanError::Address { entry, .. } | BanError::Network { entry, .. } | BanError::Pattern { entry, .. } => {
                *entry
            }
        }
    }
}

/// What is wrong with the entries of a configuration, by key.
#[must_use]
pub fn check_banned(entries: &[BanConfig]) -> Vec<(String, String)> {
    let mut banned = Banned::default();
    let tried = entries.iter().enumerate().map(|(index, entry)| banned.add(index + 1, entry));
    let wrong: Vec<BanError> = tried.filter_map(Result::err).collect();
    wrong.into_iter().map(|error| (format!("[{}].who", error.entry() - 1), error.to_string())).collect()
}

/// The table of banned clients.
#[derive(Debug, Default)]
pub struct Banned {
    client_ids: FxHashMap<String, Until>,
    usernames: FxHashMap<String, Until>,
    hosts: FxHashMap<IpAddr, Until>,
    patterns: Vec<(Pattern, Until)>,
}

#[derive(Debug)]
enum Pattern {
    ClientId(Regex),
    Username(Regex),
    Host(Network),
}

impl Banned {
    /// Of two entries for the same, the one that ends later counts.
    pub fn new(entries: &[BanConfig]) -> Result<Banned, BanError> {
        let mut banned = Banned::default();
        for (index, entry) in entries.iter().enumerate() {
            banned.add(index + 1, entry)?;
        }
        Ok(banned)
    }

    fn add(&mut self, number: usize, entry: &BanConfig) -> Result<(), BanError> {
        let (who, until) = (entry.who.clone(), entry.until);
        let pattern = |who: &str| {
            Regex::new(who).map_err(|error| BanError::Pattern {
                entry: number,
                who: who.to_owned(),
                why: error.to_string(),
            })
        };
        match entry.kind {
            BanKind::Clientid => extend(&mut self.client_ids, who, until),
            BanKind::Username => extend(&mut self.usernames, who, until),
            BanKind::Peerhost => {
                let host: IpAddr = who.parse().map_err(|_| BanError::Address { entry: number, who })?;
                extend(&mut self.hosts, host.to_canonical(), until);
            }
            BanKind::ClientidRe => self.patterns.push((Pattern::ClientId(pattern(&who)?), until)),
            BanKind::UsernameRe => self.patterns.push((Pattern::Username(pattern(&who)?), until)),
            BanKind::PeerhostNet => {
                let network = Network::parse(&who).ok_or(BanError::Network { entry: number, who })?;
                self.patterns.push((Pattern::Host(network), until));
            }
        }
        Ok(())
    }

    /// Nobody is, so there is nothing to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.client_ids.is_empty() && self.usernames.is_empty() && self.hosts.is_empty() && self.patterns.is_empty()
    }

    /// Whether this client is banned at `now`, in seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn bans(&self, client_id: &str, username: Option<&str>, host: IpAddr, now: i64) -> bool {
        let holds = |until: Option<&Until>| until.is_some_and(|until| until.is_after(now));
        holds(self.client_ids.get(client_id))
            || holds(username.and_then(|name| self.usernames.get(name)))
            || holds(self.hosts.get(&host.to_canonical()))
            || self.patterns.iter().any(|(pattern, until)| {
                until.is_after(now)
                    && match pattern {
                        Pattern::ClientId(pattern) => fits(pattern, client_id),
                        Pattern::Username(pattern) => username.is_some_and(|name| fits(pattern, name)),
                        Pattern::Host(network) => network.contains(host),
                    }
            })
    }
}

/// An expression that gives up (its backtracking is bounded) bans: a name made to exhaust it is no honest one.
fn fits(pattern: &Regex, text: &str) -> bool {
    pattern.is_match(text).unwrap_or(true)
}

fn extend<K: std::hash::Hash + Eq>(table: &mut FxHashMap<K, Until>, key: K, until: Until) {
    let known = table.entry(key).or_insert(until);
    let later = match (*known, until) {
        (Until::At(a), Until::At(b)) => Until::At(a.max(b)),
        _ => Until::Infinity,
    };
    *known = later;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<BanConfig> {
        #[derive(serde::Deserialize)]
        struct Table {
            banned: Vec<BanConfig>,
        }
        toml::from_str::<Table>(text).unwrap().banned
    }

    #[test]
    fn each_kind_of_entry_bans_what_it_names_and_no_more() {
        let banned = entries(
            r#"banned = [
                { as = "clientid", who = "mad" },
                { as = "username", who = "joe", until = 1000 },
                { as = "peerhost", who = "192.0.2.7", by = "ops", reason = "flood", at = "2023-11-14T22:13:20Z" },
                { as = "clientid_re", who = "^bot-[0-9]+$" },
                { as = "username_re", who = "guest" },
                { as = "peerhost_net", who = "198.51.100.0/24", until = "infinity" },
            ]"#,
        );
        let banned = Banned::new(&banned).unwrap();
        for (id, name, host, now, expected) in [
            ("mad", None, "10.0.0.1", 0, true),
            ("Mad", None, "10.0.0.1", 0, false),
            ("x", Some("mad"), "10.0.0.1", 0, false),
            ("x", Some("joe"), "10.0.0.1", 999, true),
            ("x", Some("joe"), "10.0.0.1", 1000, false),
            ("joe", None, "10.0.0.1", 0, false),
            ("x", None, "192.0.2.7", 0, true),
            ("x", None, "::ffff:192.0.2.7", 0, true),
            ("x", None, "192.0.2.8", 0, false),
            ("bot-17", None, "10.0.0.1", 0, true),
            ("my-bot-17", None, "10.0.0.1", 0, false),
            ("x", Some("a guest here"), "10.0.0.1", 0, true),
            ("guest", None, "10.0.0.1", 0, false),
            ("x", None, "198.51.100.200", 0, true),
            ("x", None, "198.51.101.1", 0, false),
        ] {
            assert_eq!(banned.bans(id, name, host.parse().unwrap(), now), expected, "{id} {name:?} {host} {now}");
        }
        assert!(!banned.is_empty() && Banned::new(&[]).unwrap().is_empty());
    }

    #[test]
    fn of_two_entries_the_longer_counts() {
        let twice =
            r#"banned = [{ as = "clientid", who = "x", until = 9 }, { as = "clientid", who = "x", until = 5 }]"#;
        let banned = Banned::new(&entries(twice)).unwrap();
        let host = "10.0.0.1".parse().unwrap();
        assert!(banned.bans("x", None, host, 8) && !banned.bans("x", None, host, 9));
    }

    #[test]
    fn a_name_made_to_exhaust_a_pattern_is_banned() {
        let pattern = r#"banned = [{ as = "clientid_re", who = "(a|b|ab)*(?>c)" }]"#;
        let banned = Banned::new(&entries(pattern)).unwrap();
        let host = "10.0.0.1".parse().unwrap();
        assert!(!banned.bans("ab", None, host, 0));
        assert!(banned.bans(&"ab".repeat(30), None, host, 0), "it does not fit, but nobody can wait to know");
    }

    #[test]
    fn wrong_entries_are_named() {
        for (kind, who) in
            [("peerhost", "10.0.0.0/8"), ("peerhost_net", "x"), ("clientid_re", "("), ("username_re", "[")]
        {
            let text =
                format!("banned = [{{ as = \"clientid\", who = \"x\" }}, {{ as = \"{kind}\", who = \"{who}\" }}]");
            let error = Banned::new(&entries(&text)).unwrap_err().to_string();
            assert!(error.contains("entry 2") && error.contains(who), "{error}");
        }
    }
}
