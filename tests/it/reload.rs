//! A changed configuration file is taken in while messages flow; a bad one changes nothing.

use std::fs;
use std::time::Duration;

use support::kafka::Kafka;
use support::millstream::{Millstream, pass_through};
use support::mqtt::Client;
use support::publisher::{Load, OnLoss};
use support::wait::until;
use support::wire::{Publish, Version};

#[test]
fn a_new_rule_is_taken_in_under_load_without_a_lost_or_doubled_message() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("reload", 4);
    let config = pass_through(&kafka.plaintext, &topic);
    let host = Millstream::start(&config);
    let load = Load { clients: 4, messages: 10_000, window: 50, on_loss: OnLoss::Stop }.start(host.tcp());
    until("load", Duration::from_secs(60), || load.acked() > 1_000);

    let more = format!("{config}\n[rules.more]\nsql = 'SELECT * FROM \"u/#\"'\nactions = [\"sink\"]\n");
    fs::write(host.folder().join("millstream.toml"), more).expect("the configuration can be written");
    let mut client = Client::connect(host.tcp(), Version::V5, "u");
    until("the new rule", Duration::from_secs(30), || {
        client.at_least_once(&Publish { topic: "u/1", payload: b"{}", qos: 1, id: 1, ..Publish::default() }) == 0
    });

    let report = load.join();
    assert_eq!(report.acked(), 40_000);
    let records: Vec<_> = kafka.read(&topic).into_iter().filter(|r| r.key.as_deref() != Some(b"u")).collect();
    assert_eq!(records.len(), 40_000);
    report.verify(&records);
}

#[test]
fn a_bad_change_is_named_in_the_log_and_changes_nothing() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("badreload", 1);
    let config = pass_through(&kafka.plaintext, &topic);
    let host = Millstream::start(&config);
    let bad = config.replace("SELECT * FROM", "SELEKT * FROM");
    fs::write(host.folder().join("millstream.toml"), bad).expect("the configuration can be written");
    host.await_log("SELEKT");
    let mut client = Client::connect(host.tcp(), Version::V4, "still");
    let message = Publish { topic: "t/1", payload: b"still here", qos: 1, id: 1, ..Publish::default() };
    assert_eq!(client.at_least_once(&message), 0);
    assert_eq!(kafka.read(&topic)[0].text(), "still here");
}
