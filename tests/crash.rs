//! Processes killed with -9 under load. Whatever was acknowledged is in Kafka afterwards, in order for each client.

use std::net::TcpListener;
use std::time::Duration;

use support::kafka::Kafka;
use support::millstream::{Millstream, pass_through};
use support::publisher::{Load, OnLoss};
use support::wait::until;

const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn kafka_killed_in_the_middle_of_200_000_messages_and_started_again_has_every_acknowledged_one_once_and_in_order() {
    let mut kafka = Kafka::start();
    let topic = kafka.topic("killed", 4);
    let host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    let load = Load { clients: 8, messages: 25_000, window: 200, on_loss: OnLoss::Stop }.start(host.tcp());
    until("a part of the load", LIMIT, || load.acked() > 60_000);
    kafka.kill();
    host.await_ledger("messages to wait", "sink", |ledger| ledger.pending > 0);
    assert!(!load.ended(), "the load was over before Kafka was killed");
    kafka.run();
    until("the end of the load", LIMIT, || load.ended());
    let report = load.join();
    assert_eq!(report.acked(), 200_000, "no client lost its connection, so all of them got all acknowledgements");
    let records = kafka.read(&topic);
    report.verify(&records);
    assert_eq!(records.len(), 200_000);
    let ledger = host.ledger("sink");
    assert_eq!((ledger.accepted, ledger.delivered, ledger.pending), (200_000, 200_000, 0), "{ledger:?}");
}

#[test]
fn the_host_killed_under_load_has_put_every_acknowledged_message_into_kafka() {
    let kafka = Kafka::start();
    for round in 1..=3 {
        let topic = kafka.topic("host", 4);
        let mut host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
        let load = Load { clients: 4, messages: 1_000_000, window: 200, on_loss: OnLoss::Stop }.start(host.tcp());
        until("load", LIMIT, || load.acked() > 5_000 * round);
        host.kill();
        let report = load.join();
        assert!(report.acked() > u64::from(5_000 * round));
        report.verify(&kafka.read(&topic));
    }
}

#[test]
fn clients_that_send_again_after_the_host_was_killed_get_every_message_into_kafka() {
    let kafka = Kafka::start();
    let topic = kafka.topic("again", 4);
    let port = free_port();
    let bind = format!("[listeners.tcp]\nbind = \"127.0.0.1:{port}\"");
    let config = pass_through(&kafka.plaintext, &topic).replace("[listeners.tcp]\nbind = \"127.0.0.1:0\"", &bind);
    let mut host = Millstream::start(&config);
    let load = Load { clients: 4, messages: 20_000, window: 100, on_loss: OnLoss::Resend }.start(host.tcp());
    until("a part of the load", LIMIT, || load.acked() > 20_000);
    host.kill();
    let again = Millstream::start(&config);
    assert_eq!(again.tcp(), host.tcp());
    let report = load.join();
    assert_eq!(report.acked(), 80_000);
    report.verify(&kafka.read(&topic));
}

/// A port that nobody listens on and that the system does not hand out to outgoing connections by itself.
fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let start = 12_000 + (std::process::id() % 7_000) as u16;
    (start..20_000).find(free).expect("a free port below 20000")
}
