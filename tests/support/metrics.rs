//! Reads /metrics as Prometheus would, and keeps the books: the ledger of each action must add up at each scrape.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::http;

/// One sample: name, labels, value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// All samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub samples: Vec<Sample>,
}

impl Metrics {
    /// Scrapes; `None` when nobody answers. Panics on a line that Prometheus would not take.
    #[must_use]
    pub fn scrape(api: SocketAddr) -> Option<Metrics> {
        match http::get(api, "/metrics")? {
            (200, body) => Some(Metrics::parse(&body)),
            (status, body) => panic!("/metrics answered {status}: {body}"),
        }
    }

    fn parse(text: &str) -> Metrics {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Metrics { samples: lines.map(|line| sample(line).unwrap_or_else(|| panic!("no sample: {line}"))).collect() }
    }

    /// The sum of all samples of `name` whose labels include `labels`; 0 when there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let fits = |sample: &&Sample| {
            let has = |(key, value): &(&str, &str)| sample.labels.get(*key).is_some_and(|found| found == value);
            sample.name == name && labels.iter().all(has)
        };
        self.samples.iter().filter(fits).map(|sample| sample.value as u64).sum()
    }

    /// The books of one action.
    #[must_use]
    pub fn ledger(&self, action: &str) -> Ledger {
        let of = |what: &str| self.sum(&format!("millstream_action_{what}"), &[("action", action)]);
        Ledger {
            accepted: of("accepted_total"),
            delivered: of("delivered_total"),
            failed: of("failed_total"),
            dropped: of("dropped_total"),
            pending: of("pending"),
        }
    }
}

/// What an action took, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub accepted: u64,
    pub delivered: u64,
    pub failed: u64,
    pub dropped: u64,
    pub pending: u64,
}

impl Ledger {
    /// Panics unless every message is explained.
    pub fn check(&self) {
        let explained = self.delivered + self.failed + self.dropped + self.pending;
        assert_eq!(self.accepted, explained, "a message that no counter explains: {self:?}");
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        None => (series, BTreeMap::new()),
        Some((name, rest)) => (name, labels(rest.strip_suffix('}')?)?),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    (!name.is_empty() && name.chars().all(legal)).then_some(())?;
    Some(Sample { name: name.to_string(), labels, value: value.parse().ok()? })
}

fn labels(mut rest: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (key, tail) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = tail.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, c) => value.push(c),
            }
        };
        labels.insert(key.to_string(), value);
        let tail = &tail[end + 1..];
        rest = tail.strip_prefix(',').unwrap_or(tail);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_over_the_labels_that_were_not_asked_for() {
        let metrics = Metrics::parse(concat!(
            "# HELP millstream_action_failed_total Why.\n",
            "millstream_action_accepted_total{action=\"a\"} 9\n",
            "millstream_action_failed_total{action=\"a\",cause=\"x \\\"y\\\",z\"} 2\n",
            "millstream_action_failed_total{action=\"a\",cause=\"\"} 3\n",
            "millstream_action_failed_total{action=\"b\",cause=\"\"} 100\n",
            "millstream_action_delivered_total{action=\"a\"} 4\n",
            "up 1\n",
        ));
        let ledger = metrics.ledger("a");
        assert_eq!(ledger, Ledger { accepted: 9, delivered: 4, failed: 5, dropped: 0, pending: 0 });
        ledger.check();
        assert_eq!(metrics.sum("millstream_action_failed_total", &[("cause", "x \"y\",z")]), 2);
    }

    #[test]
    #[should_panic(expected = "a message that no counter explains")]
    fn a_message_that_no_counter_explains_is_a_bug() {
        Ledger { accepted: 2, delivered: 1, ..Ledger::default() }.check();
    }
}
