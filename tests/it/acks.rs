//! The truth of the acknowledgement: it comes when Kafka has the message, and not before.

use std::time::Duration;

use support::kafka::Kafka;
use support::millstream::{Millstream, pass_through};
use support::mqtt::{Client, Received};
use support::wait::throughout;
use support::wire::{Packet, Publish, Version};

const MESSAGES: u16 = 10;

fn message(id: u16, qos: u8) -> Publish<'static> {
    Publish { topic: "t/held", payload: b"{\"held\": true}", qos, id, ..Publish::default() }
}

#[test]
fn while_kafka_is_frozen_there_is_no_puback_and_no_pubrec_and_afterwards_they_come_in_order() {
    let mut kafka = Kafka::start();
    let topic = kafka.topic("held", 1);
    let host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    let mut first = Client::connect(host.tcp(), Version::V4, "first");
    let mut second = Client::connect(host.tcp(), Version::V5, "second");
    // The producer is at work before the answers stop: it is the answer that is held back, not the connection.
    assert_eq!(first.at_least_once(&message(99, 1)), 0);

    kafka.freeze();
    for id in 1..=MESSAGES {
        first.publish(&message(id, 1));
        second.publish(&message(id, 2));
    }
    host.await_ledger("all messages to be taken in", "sink", |ledger| ledger.pending == 2 * u64::from(MESSAGES));
    throughout("no acknowledgement", Duration::from_secs(2), || {
        first.receive(Duration::from_millis(1)) == Received::Nothing
            && second.receive(Duration::from_millis(1)) == Received::Nothing
    });
    assert_eq!(host.ledger("sink").pending, 2 * u64::from(MESSAGES), "they still wait");

    kafka.thaw();
    for id in 1..=MESSAGES {
        assert_eq!(first.expect(), Packet::PubAck { id, code: 0 });
        assert_eq!(second.expect(), Packet::PubRec { id, code: 0 });
    }
    let ledger = host.ledger("sink");
    assert_eq!((ledger.delivered, ledger.pending), (2 * u64::from(MESSAGES) + 1, 0), "{ledger:?}");
    assert_eq!(kafka.count(&topic), 2 * u64::from(MESSAGES) + 1);
}

#[test]
fn a_message_that_is_acknowledged_as_received_does_not_wait_for_kafka() {
    let mut kafka = Kafka::start();
    let topic = kafka.topic("received", 1);
    let config =
        pass_through(&kafka.plaintext, &topic).replace("[actions.sink]\n", "[actions.sink]\nack = \"received\"\n");
    let host = Millstream::start(&config);
    let mut client = Client::connect(host.tcp(), Version::V4, "hasty");
    assert_eq!(client.at_least_once(&message(1, 1)), 0);
    host.await_ledger("the first message in Kafka", "sink", |ledger| ledger.delivered == 1);
    kafka.freeze();
    assert_eq!(client.at_least_once(&message(2, 1)), 0);
    assert_eq!(host.ledger("sink").pending, 1);
    kafka.thaw();
    host.await_ledger("the second message in Kafka", "sink", |ledger| ledger.delivered == 2);
}

#[test]
fn a_message_that_no_rule_and_no_subscriber_wants_is_acknowledged_with_0x10_in_5_0() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("unmatched", 1);
    let host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    let nobody = Publish { topic: "elsewhere", ..message(1, 1) };
    let mut new = Client::connect(host.tcp(), Version::V5, "new");
    assert_eq!(new.at_least_once(&nobody), 0x10);
    assert_eq!(new.exactly_once(&Publish { id: 2, qos: 2, ..nobody }), 0x10);
    let mut old = Client::connect(host.tcp(), Version::V4, "old");
    assert_eq!(old.at_least_once(&nobody), 0);
    assert_eq!(host.ledger("sink").accepted, 0);
}

#[test]
fn a_qos_2_message_sent_twice_before_its_pubrel_is_in_kafka_once() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("once", 1);
    let host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    let mut client = Client::connect(host.tcp(), Version::V5, "twice");
    client.publish(&message(7, 2));
    assert_eq!(client.expect(), Packet::PubRec { id: 7, code: 0 });
    client.publish(&Publish { dup: true, ..message(7, 2) });
    assert_eq!(client.expect(), Packet::PubRec { id: 7, code: 0 });
    assert_eq!(client.exactly_once(&Publish { topic: "t/last", ..message(8, 2) }), 0);
    assert_eq!(kafka.count(&topic), 2);
}

#[test]
fn a_message_cut_into_single_bytes_is_one_message() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("bytes", 1);
    let host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    for version in [Version::V4, Version::V5] {
        let mut client = Client::connect(host.tcp(), version, "slow");
        let mut bytes = Vec::new();
        support::wire::publish(&mut bytes, version, &message(1, 1));
        for byte in bytes {
            client.send(&[byte]).expect("the connection is open");
        }
        assert_eq!(client.expect(), Packet::PubAck { id: 1, code: 0 });
    }
    assert_eq!(kafka.count(&topic), 2);
}
