//! Whole snapshots over the in-process Kafka: what is acknowledged, what is counted, what a change of snapshot keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::ack::testing::outcomes;
use crate::ack::{AckGroup, AckSignal, Outcome, Refusal};
use crate::event::{EventKind, Fact, Occurrence};
use crate::kafka::{ActionConfig, ConnectorConfig, EmbeddedKafka};
use crate::ledger::{Counts, FailCause};
use crate::message::Client;
use crate::message::testing::{client, message};

#[derive(Clone, Default)]
struct Wanted {
    connectors: BTreeMap<String, ConnectorConfig>,
    actions: BTreeMap<String, ActionConfig>,
    rules: BTreeMap<String, RuleConfig>,
}

impl Wanted {
    fn new(kafka: &EmbeddedKafka) -> Wanted {
        let mut wanted = Wanted::default();
        let connector = format!("type = \"kafka_producer\"\nbootstrap_hosts = \"{}\"", kafka.bootstrap_hosts());
        wanted.connectors.insert("kafka".to_owned(), toml::from_str(&connector).unwrap());
        wanted
    }

    fn action(mut self, name: &str, topic: &str) -> Wanted {
        let action = format!(
            "type = \"kafka_producer\"\nconnector = \"kafka\"\n[parameters]\ntopic = \"{topic}\"\n\
             message = {{ key = \"${{clientid}}\", value = \"${{payload}}\" }}"
        );
        self.actions.insert(name.to_owned(), toml::from_str(&action).unwrap());
        self
    }

    fn rule(mut self, name: &str, sql: &str, actions: &[&str]) -> Wanted {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        let rule = RuleConfig {
            sql: sql.to_owned(),
            decode: Vec::new(),
            transform: Vec::new(),
            actions,
            enable: true,
            description: String::new(),
            tags: Vec::new(),
        };
        self.rules.insert(name.to_owned(), rule);
        self
    }

    fn build(&self, running: Option<&Pipeline>) -> Result<Pipeline, Vec<BuildError>> {
        let Wanted { connectors, actions, rules } = self;
        let guests = &BTreeMap::new();
        Pipeline::build(&Blueprint { node: "test", connectors, actions, rules, guests }, running)
    }

    fn start(&self) -> Bench {
        let ingress = Ingress::new(2, IngressLimits::default());
        let running = Running::start(self.build(None).unwrap(), ingress.clone(), Surroundings::new([])).unwrap();
        Bench { running, ingress, signal: AckSignal::new() }
    }
}

struct Bench {
    running: Running,
    ingress: Ingress,
    signal: Arc<AckSignal>,
}

impl Bench {
    /// Publishes one message each and waits for what becomes of them.
    fn publish(&self, messages: &[(&str, &str)]) -> Vec<Outcome> {
        let group = AckGroup::open(messages.len(), &self.signal);
        let client = client("c1");
        let inbound = |(slot, (topic, payload)): (usize, &(&str, &str))| {
            Inbound::new(message(&client, topic, payload), group.handle(slot))
        };
        let mut batch = messages.iter().enumerate().map(inbound).collect();
        assert_eq!(self.ingress.try_submit(self.ingress.shard_of(&client.id), &mut batch), Ok(true));
        outcomes(&group)
    }

    fn counts(&self, action: &str) -> Counts {
        let current = self.running.current();
        let counts = current.actions.iter().find(|known| known.name == action).unwrap().ledger.counts();
        assert!(counts.balanced(), "{counts:?}");
        counts
    }

    fn tally(&self, rule: &str) -> Tally {
        self.running.current().rules.iter().find(|known| known.name == rule).unwrap().counters.read()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.running.finish_workers();
    }
}

#[test]
fn the_acknowledgement_waits_for_every_rule_and_action_and_tells_the_worst() {
    let kafka = EmbeddedKafka::start(&["a", "b"]).unwrap();
    let bench = Wanted::new(&kafka)
        .action("a", "a")
        .action("b", "b")
        .rule("both", r#"SELECT * FROM "t/#""#, &["a", "b"])
        .rule("warm", r#"SELECT * FROM "t/+" WHERE payload.temp > 20"#, &["a"])
        .start();
    let outcomes = bench.publish(&[
        ("elsewhere", "{}"),
        ("t/1", r#"{"temp": 21}"#),
        ("t/1", r#"{"temp": 19}"#),
        ("t/1", "not json"),
        ("t/1/deep", "not json"),
    ]);
    let not_json = Outcome::Refused(Refusal::PayloadFormatInvalid);
    assert_eq!(outcomes, [Outcome::Unmatched, Outcome::Delivered, Outcome::Delivered, not_json, Outcome::Delivered]);
    assert_eq!((bench.counts("a").delivered, bench.counts("b").delivered), (5, 4));
    let warm = Tally { matched: 3, passed: 1, no_result: 1, exception: 1, ..Tally::default() };
    assert_eq!(bench.tally("warm"), warm);
    assert_eq!(bench.tally("both"), Tally { matched: 4, passed: 4, ..Tally::default() });
}

#[test]
fn a_topic_that_cannot_be_rendered_is_refused_and_counted() {
    let kafka = EmbeddedKafka::start(&["x-1"]).unwrap();
    let bench = Wanted::new(&kafka)
        .action("dynamic", "x-${payload.site}")
        .rule("r", r#"SELECT * FROM "t""#, &["dynamic"])
        .start();
    let refused = Outcome::Refused(Refusal::ImplementationSpecific);
    assert_eq!(bench.publish(&[("t", r#"{"site": 1}"#), ("t", "{}")]), [Outcome::Delivered, refused]);
    let counts = bench.counts("dynamic");
    assert_eq!((counts.accepted, counts.delivered, counts.failed(FailCause::Template)), (2, 1, 1));
}

#[test]
fn a_new_snapshot_keeps_what_did_not_change() {
    let kafka = EmbeddedKafka::start(&["a", "b"]).unwrap();
    let wanted = Wanted::new(&kafka).action("a", "a").rule("r", r#"SELECT * FROM "t""#, &["a"]);
    let bench = wanted.start();
    assert_eq!(bench.publish(&[("t", "1")]), [Outcome::Delivered]);
    let (_, kept) = bench.running.sinks().remove(0);

    let next = wanted.clone().action("b", "b").rule("s", r#"SELECT * FROM "u""#, &["b"]);
    let retired = bench.running.swap(next.build(Some(&bench.running.current())).unwrap());
    assert!(retired.is_empty());
    assert!(Arc::ptr_eq(&bench.running.sinks()[0].1, &kept));
    assert_eq!(bench.publish(&[("t", "2"), ("u", "3")]), [Outcome::Delivered, Outcome::Delivered]);
    assert_eq!((bench.counts("a").delivered, bench.counts("b").delivered, bench.tally("r").matched), (2, 1, 2));

    let moved = Wanted::new(&kafka).action("a", "b").rule("r", r#"SELECT * FROM "t""#, &["a"]);
    let retired = bench.running.swap(moved.build(Some(&bench.running.current())).unwrap());
    assert_eq!(retired.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(bench.publish(&[("t", "4"), ("u", "5")]), [Outcome::Delivered, Outcome::Unmatched]);
    assert_eq!(bench.counts("a").delivered, 3, "the ledger outlives the connection");
}

#[test]
fn everything_that_is_wrong_is_named_at_once_and_nothing_is_started() {
    let kafka = EmbeddedKafka::start(&[]).unwrap();
    let wanted = Wanted::new(&kafka)
        .action("a", "a")
        .rule("bad-sql", "SELEC * FROM t", &["a"])
        .rule("no-action", r#"SELECT * FROM "t""#, &["nope"])
        .rule("source", r#"SELECT * FROM "$bridges/mqtt:x""#, &["a"]);
    let errors = wanted.build(None).err().unwrap();
    assert!(errors.iter().any(|error| matches!(error, BuildError::Sql { rule, .. } if rule == "bad-sql")));
    assert!(errors.iter().any(|error| matches!(error, BuildError::Missing { missing, .. } if missing == "nope")));
    assert!(errors.iter().any(|error| matches!(error, BuildError::DataSource { rule, .. } if rule == "source")));
    assert_eq!(errors.len(), 3);
}

#[test]
fn events_run_the_rules_that_name_them_and_publications_to_their_topics_do_not() {
    let kafka = EmbeddedKafka::start(&["e"]).unwrap();
    let wanted = Wanted::new(&kafka).action("e", "e");
    let bench = wanted
        .clone()
        .rule(
            "both",
            r#"SELECT * FROM "$events/auth/check_authn_complete", "$events/client_check_authn_complete""#,
            &["e"],
        )
        .rule("every", r##"SELECT event FROM "$events/#" WHERE reason_code = 'success'"##, &["e"])
        .rule("messages", r##"SELECT * FROM "#""##, &["e"])
        .start();
    let client = Arc::new(Client::rule("c1", 1));
    let raise = || {
        let fact = Fact::Authenticated { reason_code: "success", is_anonymous: true };
        bench.ingress.raise(Occurrence { at: 1_700_000_000_000, client: client.clone(), fact });
    };
    assert!(EventKind::ALL.iter().all(|kind| bench.ingress.wants(*kind)));
    raise();
    // The message comes behind the event of the same client, and its answer behind the event's records.
    let published = [("$events/auth/check_authn_complete", "{}"), ("$events/client/ping", "{}"), ("t", "{}")];
    assert_eq!(bench.publish(&published), [Outcome::Unmatched, Outcome::Unmatched, Outcome::Delivered]);
    assert_eq!(bench.tally("both"), Tally { matched: 2, passed: 2, ..Tally::default() });
    assert_eq!(bench.tally("every"), Tally { matched: 1, passed: 1, ..Tally::default() });
    assert_eq!(bench.tally("messages"), Tally { matched: 1, passed: 1, ..Tally::default() });
    assert_eq!(bench.counts("e").accepted, 4);

    let next = wanted.rule("one", r#"SELECT * FROM "$events/client/ping""#, &["e"]);
    drop(bench.running.swap(next.build(Some(&bench.running.current())).unwrap()));
    let wants = |kind: &&EventKind| bench.ingress.wants(**kind);
    assert_eq!(EventKind::ALL.iter().filter(wants).collect::<Vec<_>>(), [&EventKind::ClientPing]);
}
