//! SIGTERM under load: what was acknowledged is in Kafka, what was not is not counted on, and the exit code is 0.

use std::time::{Duration, Instant};

use support::kafka::Kafka;
use support::millstream::{Millstream, pass_through};
use support::mqtt::Client;
use support::publisher::{Load, OnLoss};
use support::wait::until;
use support::wire::{Publish, Version};

#[test]
fn a_graceful_stop_under_load_loses_nothing_that_was_acknowledged() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("graceful", 4);
    let mut host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    let load = Load { clients: 4, messages: 1_000_000, window: 100, on_loss: OnLoss::Stop }.start(host.tcp());
    until("load", Duration::from_secs(60), || load.acked() > 5_000);
    assert_eq!(host.stop().code(), Some(0));
    let report = load.join();
    assert!(report.acked() > 5_000);
    report.verify(&kafka.read(&topic));
}

#[test]
fn a_stop_while_kafka_is_frozen_ends_by_its_deadline_and_names_what_is_late() {
    let mut kafka = Kafka::start();
    let topic = kafka.topic("late", 1);
    let config = pass_through(&kafka.plaintext, &topic).replace("[node]\n", "[node]\nshutdown_timeout = \"2s\"\n");
    let mut host = Millstream::start(&config);
    let mut client = Client::connect(host.tcp(), Version::V4, "late");
    let message = Publish { topic: "t/1", payload: b"1", qos: 1, id: 1, ..Publish::default() };
    assert_eq!(client.at_least_once(&message), 0);
    kafka.freeze();
    client.publish(&Publish { id: 2, ..message });
    host.await_ledger("the message to be taken in", "sink", |ledger| ledger.pending == 1);
    let start = Instant::now();
    host.stop();
    assert!(start.elapsed() < Duration::from_secs(10), "the deadline of 2 s was passed by {:?}", start.elapsed());
    assert!(host.log().contains("sink") || host.log().contains("kafka"), "the late part is not named:\n{}", host.log());
    kafka.thaw();
}
