//! The books add up at every moment: accepted = delivered + failed + dropped + pending, also while it rains.

use std::time::Duration;

use support::kafka::Kafka;
use support::millstream::{Millstream, NODE, action, connector};
use support::mqtt::Client;
use support::publisher::{Load, OnLoss};
use support::wait::until;
use support::wire::{Publish, Version};

#[test]
fn at_each_scrape_under_load_every_message_is_explained() {
    let kafka = Kafka::shared();
    let (good, other) = (kafka.topic("ledger", 4), kafka.topic("ledger", 4));
    let config = [
        NODE,
        &connector("kafka", &kafka.plaintext),
        &action("good", "kafka", &good),
        &action("other", "kafka", &other),
        &action("nowhere", "kafka", "${payload.absent}"),
        "[rules.both]\nsql = 'SELECT * FROM \"t/#\"'\nactions = [\"good\", \"other\"]\n",
        "[rules.bad]\nsql = 'SELECT * FROM \"bad/#\"'\nactions = [\"nowhere\"]\n",
    ];
    let host = Millstream::start(&config.concat());
    let load = Load { clients: 4, messages: 5_000, window: 50, on_loss: OnLoss::Stop }.start(host.tcp());
    let mut bad = Client::connect(host.tcp(), Version::V5, "bad");
    let mut scrapes = 0;
    until("the end of the load", Duration::from_secs(120), || {
        let id = scrapes % 1_000 + 1;
        // A topic that cannot be rendered: refused, and on the books.
        assert!(
            bad.at_least_once(&Publish { topic: "bad/1", payload: b"{}", qos: 1, id, ..Publish::default() }) >= 0x80
        );
        for action in ["good", "other", "nowhere"] {
            host.ledger(action);
        }
        scrapes += 1;
        load.ended()
    });
    let report = load.join();
    assert_eq!(report.acked(), 20_000);
    for (action, topic) in [("good", &good), ("other", &other)] {
        let ledger = host.ledger(action);
        assert_eq!((ledger.accepted, ledger.delivered, ledger.pending), (20_000, 20_000, 0), "{action}: {ledger:?}");
        assert_eq!(kafka.count(topic), 20_000);
    }
    let ledger = host.ledger("nowhere");
    assert_eq!((ledger.delivered, ledger.pending), (0, 0), "{ledger:?}");
    let refused = ledger.failed + host.metrics().sum("millstream_rule_failed_total", &[("rule", "bad")]);
    assert_eq!(refused, u64::from(scrapes), "{ledger:?}");
}
