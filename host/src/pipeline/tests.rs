//! Whole snapshots over the in-process Kafka: what is acknowledged, what is counted, what a change of snapshot keeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::ack::testing::outcomes;
use crate::ack::{AckGroup, AckSignal, Outcome, Refusal};
use crate::event::{EventKind, Fact, Occurrence};
use crate::kafka::{ActionConfig, ConnectorConfig, EmbeddedKafka};
use crate::ledger::{Counts, DropCause, FailCause, ResultCounts};
use crate::message::testing::{client, message};
use crate::message::{Client, Message, QoS};

/// Nothing here takes that long; only a test that fails does.
const LONG: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Wanted {
    connectors: BTreeMap<String, ConnectorConfig>,
    actions: BTreeMap<String, ActionConfig>,
    built_ins: BTreeMap<String, BuiltIn>,
    rules: BTreeMap<String, RuleConfig>,
}

impl Wanted {
    fn new(kafka: &EmbeddedKafka) -> Wanted {
        let mut wanted = Wanted::default();
        let connector = format!("type = \"kafka_producer\"\nbootstrap_hosts = \"{}\"", kafka.bootstrap_hosts());
        wanted.connectors.insert("kafka".to_owned(), toml::from_str(&connector).unwrap());
        wanted
    }

    fn action(self, name: &str, topic: &str) -> Wanted {
        self.action_of(name, topic, "${payload}")
    }

    fn action_of(mut self, name: &str, topic: &str, value: &str) -> Wanted {
        let action = format!(
            "type = \"kafka_producer\"\nconnector = \"kafka\"\n[parameters]\ntopic = \"{topic}\"\n\
             message = {{ key = \"${{clientid}}\", value = \"{value}\" }}"
        );
        self.actions.insert(name.to_owned(), toml::from_str(&action).unwrap());
        self
    }

    fn rule(mut self, name: &str, sql: &str, actions: &[&str]) -> Wanted {
        let actions = actions.iter().map(|action| ActionUse::from(*action)).collect();
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
        let Wanted { connectors, actions, built_ins, rules } = self;
        let (guests, schema_registry, rule_engine) = (&BTreeMap::new(), &Default::default(), &Default::default());
        let node = "test";
        let wanted = Blueprint { node, connectors, actions, built_ins, rules, guests, schema_registry, rule_engine };
        Pipeline::build(&wanted, running)
    }

    fn start(&self) -> Bench {
        self.start_with(IngressLimits::default())
    }

    fn start_with(&self, limits: IngressLimits) -> Bench {
        let ingress = Ingress::new(2, limits);
        let subscribers = Arc::new(Heard::default());
        let (pipeline, surroundings) = (self.build(None).unwrap(), Surroundings::new([]));
        let running = Running::start(pipeline, ingress.clone(), surroundings, subscribers.clone()).unwrap();
        Bench { running, ingress, signal: AckSignal::new(), subscribers }
    }
}

struct Bench {
    running: Running,
    ingress: Ingress,
    signal: Arc<AckSignal>,
    subscribers: Arc<Heard>,
}

/// Everybody who subscribes to everything.
#[derive(Default)]
struct Heard(Mutex<Vec<(Message, bool)>>);

impl Subscribers for Heard {
    fn publish(&self, message: &Message, may_retain: bool) {
        self.0.lock().push((message.clone(), may_retain));
    }
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
fn what_rules_make_of_one_message_has_a_limit() {
    let kafka = EmbeddedKafka::start(&["a", "b"]).unwrap();
    let whole = r#"SELECT * FROM "t""#;
    let bench = Wanted::new(&kafka)
        .action_of("a", "a", "${.}")
        .action("b", "b")
        .rule("each", r#"FOREACH payload FROM "t""#, &["a"])
        .rule("whole", whole, &["b"])
        .rule("many", r#"FOREACH payload DO item FROM "u""#, &["b"])
        .start();
    let list = |elements: usize| format!("[{}]", vec!["1234567"; elements].join(","));
    let refused = Outcome::Refused(Refusal::ImplementationSpecific);
    // 20 rows of 16 times 20 bytes; 6,000 of 16 times 6,000.
    let outcomes = bench.publish(&[("t", &list(20)), ("t", &list(6_000)), ("t", &list(20))]);
    assert_eq!(outcomes, [Outcome::Delivered, refused, Outcome::Delivered]);
    assert_eq!(bench.tally("each"), Tally { matched: 3, passed: 2, exception: 1, ..Tally::default() });
    assert_eq!((bench.counts("a").accepted, bench.counts("a").delivered), (40, 40));
    assert_eq!((bench.counts("b").accepted, bench.counts("b").delivered), (3, 3), "the other rule knows nothing of it");
    // As many small records as there is room for, and more.
    assert_eq!(bench.publish(&[("u", &list(70_000)), ("u", &list(140_000))]), [Outcome::Delivered, refused]);
    assert_eq!(bench.counts("b").delivered, 70_003);
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
        let fact = Fact::Authenticated { reason_code: "success", is_superuser: false, is_anonymous: true };
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

fn republish(arguments: &str) -> BuiltIn {
    let action = format!("type = \"republish\"\n[parameters]\n{arguments}");
    toml::from_str::<builtin::RepublishAction>(&action).unwrap().into()
}

impl Wanted {
    fn built_in(mut self, name: &str, action: BuiltIn) -> Wanted {
        self.built_ins.insert(name.to_owned(), action);
        self
    }
}

impl Bench {
    fn results(&self, rule: &str) -> ResultCounts {
        self.running.current().rules.iter().find(|known| known.name == rule).unwrap().counters.read_results()
    }

    fn heard(&self) -> Vec<(Message, bool)> {
        std::mem::take(&mut *self.subscribers.0.lock())
    }
}

#[test]
fn a_republished_message_goes_to_subscribers_and_rules_and_the_acknowledgement_waits_for_both() {
    let kafka = EmbeddedKafka::start(&["a", "x-1"]).unwrap();
    let arguments = "topic = \"u/${clientid}\"\nqos = 1\nretain = true\npayload = \"<${payload}>\"\n\
                     user_properties = \"${user}\"\nmqtt_properties = { Message-Expiry-Interval = 60, \
                     Content-Type = \"${kind}\", Payload-Format-Indicator = \"${kind}\" }";
    let bench = Wanted::new(&kafka)
        .action("a", "x-${payload.site}")
        .built_in("again", republish(arguments))
        .built_in("to-bad", republish("topic = \"bad\""))
        .rule("first", r#"SELECT *, 'json' as kind, map_put('k', 'v', map_new()) as user FROM "t/#""#, &["again"])
        .rule("second", r#"SELECT clientid, json_decode('{"site":1}') as payload FROM "u/#""#, &["a"])
        .rule("third", r#"SELECT * FROM "in-bad""#, &["to-bad"])
        .rule("fourth", r#"SELECT payload.site as s FROM "bad""#, &["a"])
        .start();
    assert_eq!(bench.publish(&[("t/1", "hi")]), [Outcome::Delivered]);
    assert_eq!(bench.counts("a").delivered, 1, "the acknowledgement waited for the second rule's record");
    let heard = bench.heard();
    let [(message, true)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((message.topic.as_str(), &message.payload[..], message.qos), ("u/c1", &b"<hi>"[..], QoS::AtLeastOnce));
    assert!(message.retain && message.client.is_rule());
    assert_eq!((message.client.id.as_str(), message.client.hops), ("first", 1));
    let properties = message.properties.as_deref().unwrap();
    assert_eq!(properties.user_properties, [("k".to_owned(), "v".to_owned())]);
    assert_eq!((properties.message_expiry_interval, properties.content_type.as_deref()), (Some(60), Some("json")));
    assert_eq!(properties.payload_format_indicator, None, "not a number");
    let done = ResultCounts { total: 1, success: 1, ..ResultCounts::default() };
    assert_eq!((bench.results("first"), bench.results("second"), bench.counts("again").delivered), (done, done, 1));
    // What the second generation meets is told as well.
    assert_eq!(bench.publish(&[("in-bad", "not json")]), [Outcome::Refused(Refusal::PayloadFormatInvalid)]);
    assert_eq!(bench.heard().len(), 1);
}

#[test]
fn defaults_of_republish_are_what_the_rule_selects() {
    let kafka = EmbeddedKafka::start(&[]).unwrap();
    let bench = Wanted::new(&kafka)
        .built_in("plain", republish("topic = \"${to}\""))
        .built_in("whole", republish("topic = \"w\"\npayload = \"\"\nqos = \"${nope}\""))
        .built_in("direct", republish("topic = \"t/again\"\ndirect_dispatch = true"))
        .rule("a", r#"SELECT *, 'a/b' as to FROM "t/1""#, &["plain"])
        .rule("b", r#"SELECT 1 as one FROM "t/2""#, &["whole"])
        .rule("c", r#"SELECT * FROM "t/#" WHERE topic = 't/3'"#, &["direct"])
        .rule("bad", r#"SELECT 'a/+' as to FROM "t/4""#, &["plain"])
        .rule("odd", r#"SELECT 'a' as to, 5 as qos FROM "t/5""#, &["plain"])
        .start();
    let refused = Outcome::Refused(Refusal::ImplementationSpecific);
    let published = [("t/1", "x"), ("t/2", "x"), ("t/3", "x"), ("t/4", "x"), ("t/5", "x")];
    let fine = Outcome::Delivered;
    assert_eq!(bench.publish(&published), [fine, fine, fine, refused, refused]);
    let mut heard: Vec<_> = bench
        .heard()
        .into_iter()
        .map(|(message, may_retain)| {
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            format!("{} {payload} {} {} {may_retain}", message.topic, message.qos as u8, message.retain)
        })
        .collect();
    heard.sort();
    assert_eq!(heard, ["a/b x 1 false true", "t/again x 1 false false", r#"w {"one":1} 0 false true"#]);
    assert_eq!(bench.tally("c").matched, 5, "no rule saw what was dispatched directly");
    let failed = ResultCounts { total: 1, unknown: 1, ..ResultCounts::default() };
    assert_eq!((bench.results("bad"), bench.results("odd")), (failed, failed));
    assert_eq!(bench.counts("plain").failed(FailCause::Template), 2);
}

#[test]
fn a_batch_that_grows_large_goes_on_early_and_in_order() {
    let kafka = EmbeddedKafka::start(&["a"]).unwrap();
    let numbered = |letter: &str| format!(r#"SELECT *, concat(payload.n, '{letter}') as note FROM "t""#);
    let bench = Wanted::new(&kafka)
        .action("a", "a")
        .built_in("again", republish("topic = \"u/${note}\""))
        .rule("one", &numbered("x"), &["again", "a"])
        .rule("two", &numbered("y"), &["again"])
        .start();
    let filler = "0".repeat(1 << 20);
    let payloads: Vec<String> = (0..40).map(|n| format!(r#"{{"n": {n}, "l": "{filler}"}}"#)).collect();
    let messages: Vec<(&str, &str)> = payloads.iter().map(|payload| ("t", payload.as_str())).collect();
    assert_eq!(bench.publish(&messages), vec![Outcome::Delivered; 40]);
    let heard = bench.heard();
    let topics: Vec<&str> = heard.iter().map(|(message, _)| message.topic.as_str()).collect();
    let expected: Vec<String> = (0..40).flat_map(|n| [format!("u/{n}x"), format!("u/{n}y")]).collect();
    assert_eq!(topics, expected);
    assert_eq!((bench.counts("a").delivered, bench.tally("one").passed), (40, 40));
}

#[test]
fn loops_are_cut_counted_and_no_failure() {
    let kafka = EmbeddedKafka::start(&[]).unwrap();
    let bench = Wanted::new(&kafka)
        .built_in("self", republish("topic = \"own\""))
        .built_in("to-y", republish("topic = \"y\""))
        .built_in("to-x", republish("topic = \"x\""))
        .rule("own", r#"SELECT * FROM "own""#, &["self"])
        .rule("x", r#"SELECT * FROM "x""#, &["to-y"])
        .rule("y", r#"SELECT * FROM "y""#, &["to-x"])
        .start();
    assert_eq!(bench.publish(&[("own", "1")]), [Outcome::Delivered]);
    assert_eq!(bench.heard().len(), 1, "one republished message beside the published one");
    assert_eq!(bench.tally("own"), Tally { matched: 2, passed: 2, ..Tally::default() });
    assert_eq!(bench.results("own"), ResultCounts { total: 2, success: 2, ..ResultCounts::default() });
    let counts = bench.counts("self");
    assert_eq!((counts.accepted, counts.delivered, counts.dropped(DropCause::Loop)), (2, 1, 1));

    assert_eq!(bench.publish(&[("x", "1")]), [Outcome::Delivered]);
    assert_eq!(bench.heard().len(), usize::from(republish::MAX_HOPS));
    let (x, y) = (bench.counts("to-y"), bench.counts("to-x"));
    assert_eq!((x.delivered, y.delivered, x.dropped(DropCause::Loop)), (8, 8, 1));
}

#[test]
fn an_event_about_what_a_rule_republished_does_not_make_it_republish_again() {
    let kafka = EmbeddedKafka::start(&[]).unwrap();
    let bench = Wanted::new(&kafka)
        .built_in("tell", republish("topic = \"told\""))
        .rule("told", r#"SELECT payload, qos FROM "$events/message/dropped""#, &["tell"])
        .start();
    let lost = |client: Client| {
        let client = Arc::new(client);
        let message = message(&client, "nobody", "lost");
        let fact = Fact::Dropped { message: Arc::new(message), reason: "no_subscribers" };
        let accepted = bench.counts("tell").accepted;
        bench.ingress.raise(Occurrence { at: 1, client, fact });
        let until = Instant::now() + LONG;
        while bench.counts("tell").accepted == accepted || bench.counts("tell").pending > 0 {
            assert!(Instant::now() < until, "the event was not taken");
            std::thread::yield_now();
        }
        bench.heard().len()
    };
    assert_eq!(lost(Client { hops: 0, ..Client::rule("c", 1) }), 1);
    // Nobody subscribes to that one either.
    assert_eq!(lost(Client::rule("told", 1)), 0);
    assert_eq!(bench.counts("tell").dropped(DropCause::Loop), 1);
}

#[test]
fn more_republished_messages_than_fit_are_refused_and_reach_nobody() {
    let kafka = EmbeddedKafka::start(&[]).unwrap();
    let each = r#"FOREACH payload.l as i DO i as payload, 0 as qos FROM "t""#;
    let bench = Wanted::new(&kafka)
        .built_in("again", republish("topic = \"u\""))
        .rule("each", each, &["again"])
        .rule("u", r#"SELECT * FROM "u""#, &[])
        .start_with(IngressLimits { messages: 2, bytes: 1 << 20 });
    assert_eq!(bench.publish(&[("t", r#"{"l":[1,2,3]}"#)]), [Outcome::Refused(Refusal::QuotaExceeded)]);
    assert_eq!(bench.heard().len(), 2);
    let results = ResultCounts { total: 3, success: 2, out_of_service: 1, ..ResultCounts::default() };
    assert_eq!((bench.results("each"), bench.counts("again").failed(FailCause::QueueFull)), (results, 1));
    assert_eq!(bench.tally("u").matched, 2);
}

#[test]
fn a_rule_may_bring_its_own_actions_and_console_always_succeeds() {
    let kafka = EmbeddedKafka::start(&[]).unwrap();
    let mut wanted = Wanted::new(&kafka).rule("r", r#"SELECT * FROM "t""#, &[]);
    let own: Vec<ActionUse> = vec![
        ActionUse::Inline(Function::Console),
        ActionUse::Inline(Function::Republish(toml::from_str("topic = \"u\"").unwrap())),
    ];
    wanted.rules.get_mut("r").unwrap().actions = own;
    let bench = wanted.start();
    assert_eq!(bench.publish(&[("t", "1"), ("t", "2")]), [Outcome::Delivered, Outcome::Delivered]);
    assert_eq!((bench.counts("r:console:0").delivered, bench.counts("r:republish:1").delivered), (2, 2));
    assert_eq!(bench.results("r"), ResultCounts { total: 4, success: 4, ..ResultCounts::default() });
    assert_eq!(bench.heard().len(), 2);
    let mut page = String::new();
    bench.running.render_metrics(&mut page);
    for line in [
        "millstream_rule_actions_total{rule=\"r\"} 4",
        "millstream_rule_actions_success_total{rule=\"r\"} 4",
        "millstream_rule_actions_failed_total{rule=\"r\",cause=\"unknown\"} 0",
        "millstream_rule_actions_discarded_total{rule=\"r\"} 0",
        "millstream_action_delivered_total{action=\"r:console:0\"} 2",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }

    wanted.rules.get_mut("r").unwrap().actions =
        vec![ActionUse::Inline(Function::Republish(toml::from_str("topic = \"a/#\"").unwrap()))];
    let errors = wanted.build(None).err().unwrap();
    assert!(matches!(&errors[..], [BuildError::Template { key, .. }] if key == "topic"), "{errors:?}");
}
