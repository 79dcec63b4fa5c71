//! The walk of the product page, with the tools that a user would take.

use support::kafka::Kafka;
use support::millstream::{Millstream, NODE, action, connector};
use support::mqtt::Client;
use support::tools::{kcat, mosquitto_pub};
use support::wire::{Publish, Version};

const MESSAGE: &str = r#"{ "msg": "Hello Confluent" }"#;

#[test]
fn a_message_published_by_mosquitto_pub_is_read_by_kcat_and_counted_once_in_and_once_out() {
    let kafka = Kafka::shared();
    kafka.create_topic("testtopic-in", 1, &[]);
    let config = [
        NODE,
        &connector("my-kafka", &kafka.plaintext),
        &action("to-testtopic-in", "my-kafka", "testtopic-in"),
        "[rules.my_rule]\nsql = 'SELECT * FROM \"t/#\"'\nactions = [\"to-testtopic-in\"]\n",
    ];
    let mut host = Millstream::start(&config.concat());

    mosquitto_pub(host.tcp(), &["-i", "device-1", "-q", "1", "-t", "t/1", "-m", MESSAGE]);

    assert_eq!(kcat(&kafka.plaintext, "testtopic-in", "%k|%s\n"), format!("device-1|{MESSAGE}\n"));
    let ledger = host.ledger("to-testtopic-in");
    assert_eq!((ledger.accepted, ledger.delivered, ledger.pending), (1, 1, 0), "{ledger:?}");
    let metrics = host.metrics();
    for name in ["millstream_rule_matched_total", "millstream_rule_passed_total"] {
        assert_eq!(metrics.sum(name, &[("rule", "my_rule")]), 1, "{name}");
    }
    assert_eq!(metrics.sum("millstream_connector_status", &[("connector", "my-kafka"), ("status", "connected")]), 1);
    assert_eq!((host.probe("/health/live"), host.probe("/health/ready")), (200, 200));
    assert_eq!(host.stop().code(), Some(0));
}

#[test]
fn the_rule_of_the_product_page_filters_by_a_payload_field() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("filtered", 1);
    let config = [
        NODE,
        &connector("my-kafka", &kafka.plaintext),
        &action("sink", "my-kafka", &topic),
        "[rules.hot]\nsql = 'SELECT * FROM \"t/#\" WHERE payload.temp > 20'\nactions = [\"sink\"]\n",
    ];
    let host = Millstream::start(&config.concat());
    for payload in [r#"{"temp": 19.5}"#, r#"{"temp": 21}"#, r#"{"temp": 22}"#, "{}"] {
        mosquitto_pub(host.tcp(), &["-q", "1", "-t", "t/a/b", "-m", payload]);
    }
    // What the rule cannot compute is refused, and the device is told.
    let mut client = Client::connect(host.tcp(), Version::V5, "broken");
    let broken = Publish { topic: "t/a/b", payload: b"not json", qos: 1, id: 1, ..Publish::default() };
    let code = client.at_least_once(&broken);
    assert!(code >= 0x80, "0x{code:02x}");
    assert_eq!(kcat(&kafka.plaintext, &topic, "%s\n"), "{\"temp\": 21}\n{\"temp\": 22}\n");
    let metrics = host.metrics();
    let of = |name: &str| metrics.sum(name, &[("rule", "hot")]);
    assert_eq!(of("millstream_rule_matched_total"), 5);
    assert_eq!(of("millstream_rule_passed_total"), 2);
    assert_eq!(of("millstream_rule_no_result_total"), 2);
    assert_eq!(of("millstream_rule_failed_total"), 1);
}
