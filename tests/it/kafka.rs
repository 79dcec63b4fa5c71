//! Kafka that is not there at first, and what a record looks like when it is.

use std::time::Duration;

use support::kafka::Kafka;
use support::millstream::{Millstream, NODE, connector, pass_through};
use support::mqtt::{Client, Received};
use support::wait::throughout;
use support::wire::{Packet, Publish, Version, user_property};

#[test]
fn kafka_that_is_absent_at_start_gets_everything_when_it_appears() {
    let mut kafka = Kafka::prepare();
    // The topic has to exist on the disk of a Kafka that then goes away.
    kafka.run();
    let topic = kafka.topic("absent", 1);
    kafka.kill();

    let host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    let mut client = Client::connect(host.tcp(), Version::V4, "patient");
    for id in 1..=20 {
        client.publish(&Publish { topic: "t/1", payload: id.to_string().as_bytes(), qos: 1, id, ..Publish::default() });
    }
    host.await_ledger("the messages to be taken in", "sink", |ledger| ledger.pending == 20);
    throughout("no acknowledgement", Duration::from_secs(1), || {
        client.receive(Duration::from_millis(1)) == Received::Nothing
    });
    assert_eq!(host.probe("/health/live"), 200);
    let connected = [("connector", "kafka"), ("status", "connected")];
    assert_eq!(host.metrics().sum("millstream_connector_status", &connected), 0);

    kafka.run();
    for id in 1..=20 {
        assert_eq!(client.expect(), Packet::PubAck { id, code: 0 });
    }
    let texts: Vec<_> = kafka.read(&topic).iter().map(|record| record.text().to_string()).collect();
    assert_eq!(texts, (1..=20).map(|id| id.to_string()).collect::<Vec<_>>());
    support::wait::until("the status to be connected", Duration::from_secs(60), || {
        host.metrics().sum("millstream_connector_status", &connected) == 1
    });
}

#[test]
fn topic_key_value_headers_and_timestamp_come_from_templates() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("templates", 3);
    let action = format!(
        r#"
[actions.sink]
type = "kafka_producer"
connector = "kafka"
[actions.sink.parameters]
topic = "{topic}"
message = {{ key = "k-${{payload.id}}", value = "${{.}}", timestamp = "${{payload.at}}" }}
kafka_headers = "${{pairs}}"
kafka_ext_headers = [{{ kafka_ext_header_key = "device", kafka_ext_header_value = "${{clientid}}" }}]
compression = "zstd"
"#
    );
    let rule = concat!(
        "[rules.all]\nactions = [\"sink\"]\n",
        r#"sql = """SELECT payload, clientid, pub_props.'User-Property-Pairs' as pairs FROM "t/#" """"#
    );
    let host = Millstream::start(&[NODE, &connector("kafka", &kafka.plaintext), &action, rule].concat());
    let mut client = Client::connect(host.tcp(), Version::V5, "device-9");
    let mut properties = Vec::new();
    user_property(&mut properties, "b", "1");
    user_property(&mut properties, "a", "2");
    user_property(&mut properties, "b", "3");
    let payload = br#"{"id": 7, "at": 1700000000123}"#;
    let message = Publish { topic: "t/1", payload, qos: 1, id: 1, properties: &properties, ..Publish::default() };
    assert_eq!(client.at_least_once(&message), 0);

    let records = kafka.read(&topic);
    assert_eq!(records.len(), 1, "{records:?}");
    let record = &records[0];
    assert_eq!(record.key.as_deref(), Some(&b"k-7"[..]));
    assert_eq!(record.timestamp, Some(1_700_000_000_123));
    let value: serde_json::Value = serde_json::from_str(record.text()).expect("the whole row as JSON");
    assert_eq!(value["clientid"], "device-9");
    let headers: Vec<_> = record.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
    let expected = [("b", "1"), ("a", "2"), ("b", "3"), ("device", "device-9")];
    assert_eq!(headers, expected.map(|(key, value)| (key, Some(value.as_bytes()))));
}

#[test]
fn a_record_that_kafka_will_not_take_is_refused_and_the_next_one_goes_on() {
    let kafka = Kafka::shared();
    kafka.create_topic("toolarge", 1, &[("max.message.bytes", "1000")]);
    let host = Millstream::start(&pass_through(&kafka.plaintext, "toolarge"));
    let mut client = Client::connect(host.tcp(), Version::V5, "large");
    let large = [b'x'; 10_000];
    let code = client.at_least_once(&Publish { topic: "t/1", payload: &large, qos: 1, id: 1, ..Publish::default() });
    assert!(code >= 0x80, "0x{code:02x}");
    let small = Publish { topic: "t/1", payload: b"small", qos: 1, id: 2, ..Publish::default() };
    assert_eq!(client.at_least_once(&small), 0);
    let ledger = host.ledger("sink");
    assert_eq!((ledger.accepted, ledger.delivered, ledger.failed), (2, 1, 1), "{ledger:?}");
}
