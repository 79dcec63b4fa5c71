//! A sink against librdkafka's in-process Kafka: the protocol is real, the broker is not. What a real broker adds is
//! tested in the `tests` package.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message as _};
use rdkafka::types::RDKafkaApiKey;
use rdkafka::{Offset, TopicPartitionList};

use super::*;
use crate::ack::testing::outcomes;
use crate::ack::{AckGroup, AckSignal, Outcome, Refusal};
use crate::ledger::{FailCause, Ledger};
use crate::message::Record;

const TOPIC: &str = "out";
/// Nothing here takes that long; only a test that fails does.
const LONG: Duration = Duration::from_secs(30);

/// A sink, its promises, and what it counts.
struct Bench {
    sink: Sink,
    ledger: Arc<Ledger>,
    signal: Arc<AckSignal>,
}

impl Bench {
    fn start(bootstrap: &str, extra: &str) -> Bench {
        let connector = format!("type = \"kafka_producer\"\nbootstrap_hosts = \"{bootstrap}\"\n");
        let action =
            format!("type = \"kafka_producer\"\nconnector = \"c\"\n{extra}\n[parameters]\ntopic = \"{TOPIC}\"\n");
        Bench::with(&connector, &action)
    }

    fn with(connector: &str, action: &str) -> Bench {
        let (connector, action): (ConnectorConfig, ActionConfig) =
            (toml::from_str(connector).unwrap(), toml::from_str(action).unwrap());
        assert_eq!((connector.check(), action.check()), (vec![], vec![]));
        let ledger = Arc::new(Ledger::default());
        let sink = Sink::start("test", &connector, &action, ledger.clone()).unwrap();
        Bench { sink, ledger, signal: AckSignal::new() }
    }

    fn send(&self, records: Vec<Record>) -> Arc<AckGroup> {
        let group = AckGroup::open(records.len(), &self.signal);
        self.ledger.accept(records.len());
        let draft = |(slot, record)| Draft { record, ack: group.handle(slot), charge: self.ledger.charge() };
        self.sink.send(records.into_iter().enumerate().map(draft));
        group
    }
}

fn record(n: usize) -> Record {
    Record {
        topic: TOPIC.into(),
        key: Some(Bytes::from(format!("key-{}", n % 7))),
        value: Some(Bytes::from(n.to_string())),
        headers: vec![
            ("n".into(), Some(Bytes::from(n.to_string()))),
            ("none".into(), None),
            ("n".into(), Some(Bytes::new())),
        ],
        timestamp: Some(1_700_000_000_000 + n as i64),
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn records_arrive_as_they_were_and_in_order_and_are_acknowledged() {
    let kafka = EmbeddedKafka::start(&[TOPIC]).unwrap();
    let bench = Bench::start(&kafka.bootstrap_hosts(), "");
    let tombstone = Record { topic: TOPIC.into(), ..Record::default() };
    let empty = Record { topic: TOPIC.into(), key: Some(Bytes::new()), value: Some(Bytes::new()), ..Record::default() };
    let mut sent: Vec<Record> = (0..5000).map(record).collect();
    sent.extend([tombstone, empty]);
    let group = bench.send(sent.clone());
    assert!(outcomes(&group).iter().all(|outcome| *outcome == Outcome::Delivered));
    let counts = bench.ledger.counts();
    assert!(counts.balanced());
    assert_eq!((counts.accepted, counts.delivered, counts.pending), (5002, 5002, 0));

    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_hosts())
        .set("group.id", "test")
        .create()
        .unwrap();
    let mut from_start = TopicPartitionList::new();
    from_start.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&from_start).unwrap();
    for expected in &sent {
        let mut polled = None;
        wait_for("the next record", || {
            // `None` also stands for an event that is no record.
            polled = consumer.poll(Duration::from_millis(100));
            polled.is_some()
        });
        let message = polled.unwrap().unwrap();
        assert_eq!(message.key(), expected.key.as_deref());
        assert_eq!(message.payload(), expected.value.as_deref());
        if expected.timestamp.is_some() {
            assert_eq!(message.timestamp().to_millis(), expected.timestamp);
        }
        let headers: Vec<_> = message.headers().map(|headers| headers.iter().collect()).unwrap_or_default();
        assert_eq!(headers.len(), expected.headers.len());
        for (got, (name, value)) in headers.iter().zip(&expected.headers) {
            assert_eq!((got.key, got.value), (&**name, value.as_deref()));
        }
    }
}

#[test]
fn nothing_is_acknowledged_while_kafka_is_away_and_nothing_is_lost_when_it_comes_back() {
    let kafka = EmbeddedKafka::start(&[TOPIC]).unwrap();
    kafka.0.broker_down(1).unwrap();
    let bench = Bench::start(&kafka.bootstrap_hosts(), "");
    let group = bench.send((0..100).map(record).collect());
    wait_for("the loss is noticed", || bench.sink.status().state == State::Disconnected);
    assert!((0..100).all(|slot| group.outcome(slot).is_none()));
    assert_eq!(bench.ledger.counts().pending, 100);
    kafka.0.broker_up(1).unwrap();
    assert!(outcomes(&group).iter().all(|outcome| *outcome == Outcome::Delivered));
    wait_for("the return is noticed", || bench.sink.status().state == State::Connected);
}

#[test]
fn what_kafka_refuses_is_refused_to_the_publisher_and_counted_by_cause() {
    let kafka = EmbeddedKafka::start(&[TOPIC]).unwrap();
    let bench = Bench::start(&kafka.bootstrap_hosts(), "");
    let fine = bench.send(vec![record(0)]);
    assert_eq!(outcomes(&fine), [Outcome::Delivered]);
    kafka.0.request_errors(RDKafkaApiKey::Produce, &[Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let refused = bench.send(vec![record(1)]);
    assert_eq!(outcomes(&refused), [Outcome::Refused(Refusal::NotAuthorized)]);
    let counts = bench.ledger.counts();
    assert_eq!((counts.failed(FailCause::NotAuthorized), counts.delivered), (1, 1));
    assert!(counts.balanced());
}

#[test]
fn passing_errors_of_kafka_are_nobodys_business() {
    let kafka = EmbeddedKafka::start(&[TOPIC]).unwrap();
    let bench = Bench::start(&kafka.bootstrap_hosts(), "");
    kafka.0.request_errors(
        RDKafkaApiKey::Produce,
        &[Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS],
    );
    let group = bench.send((0..10).map(record).collect());
    assert!(outcomes(&group).iter().all(|outcome| *outcome == Outcome::Delivered));
}

#[test]
fn a_sync_query_that_takes_too_long_is_refused() {
    let kafka = EmbeddedKafka::start(&[TOPIC]).unwrap();
    kafka.0.broker_down(1).unwrap();
    let connector = format!("type = \"kafka_producer\"\nbootstrap_hosts = \"{}\"\n", kafka.bootstrap_hosts());
    let action = "type = \"kafka_producer\"\nconnector = \"c\"\n[parameters]\ntopic = \"out\"\nquery_mode = \"sync\"\nsync_query_timeout = \"300ms\"\n";
    let bench = Bench::with(&connector, action);
    let group = bench.send(vec![record(0)]);
    assert_eq!(outcomes(&group), [Outcome::Refused(Refusal::ImplementationSpecific)]);
    assert_eq!(bench.ledger.counts().failed(FailCause::Timeout), 1);
}

#[test]
fn received_is_acknowledged_without_kafka() {
    let kafka = EmbeddedKafka::start(&[TOPIC]).unwrap();
    kafka.0.broker_down(1).unwrap();
    let bench = Bench::start(&kafka.bootstrap_hosts(), "ack = \"received\"");
    let group = bench.send(vec![record(0)]);
    assert_eq!(outcomes(&group), [Outcome::Delivered]);
    assert_eq!(bench.ledger.counts().pending, 1);
}

#[test]
fn at_the_end_what_is_late_is_named_and_not_acknowledged() {
    let kafka = EmbeddedKafka::start(&[TOPIC]).unwrap();
    kafka.0.broker_down(1).unwrap();
    let bench = Bench::start(&kafka.bootstrap_hosts(), "");
    let group = bench.send((0..50).map(record).collect());
    bench.sink.stop(Instant::now() + Duration::from_millis(100));
    assert_eq!(bench.sink.join(), 50);
    assert!(outcomes(&group).iter().all(|outcome| *outcome == Outcome::Failed));
    let counts = bench.ledger.counts();
    assert_eq!((counts.failed(FailCause::Shutdown), counts.pending), (50, 0));
    assert!(counts.balanced());
}

#[test]
fn a_long_linger_does_not_hold_up_the_end() {
    let kafka = EmbeddedKafka::start(&[TOPIC]).unwrap();
    let connector = format!("type = \"kafka_producer\"\nbootstrap_hosts = \"{}\"\n", kafka.bootstrap_hosts());
    let action =
        "type = \"kafka_producer\"\nconnector = \"c\"\n[parameters]\ntopic = \"out\"\nmax_linger_time = \"10m\"\n";
    let bench = Bench::with(&connector, action);
    let group = bench.send(vec![record(0)]);
    bench.sink.stop(Instant::now() + LONG);
    assert_eq!(bench.sink.join(), 0);
    assert_eq!(outcomes(&group), [Outcome::Delivered]);
}
