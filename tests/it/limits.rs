//! What is too much is answered with a reason, not with silence.

mod memory;

use support::kafka::Kafka;
use support::millstream::{Millstream, pass_through};
use support::mqtt::{Client, Received};
use support::wire::{Packet, Publish, Version};

#[test]
fn a_packet_above_the_announced_maximum_is_answered_with_0x95_and_the_end_of_the_connection() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("limits", 1);
    let host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    let mut client = Client::connect(host.tcp(), Version::V5, "large");
    let payload = vec![b'x'; 1_100_000];
    let mut bytes = Vec::new();
    let large = Publish { topic: "t/1", payload: &payload, qos: 1, id: 1, ..Publish::default() };
    support::wire::publish(&mut bytes, Version::V5, &large);
    // The length alone decides; the rest is never sent, so that no reset can overtake the answer.
    client.send(&bytes[..1_000]).expect("the connection is open");
    assert_eq!(client.expect(), Packet::Disconnect { code: 0x95 });
    assert_eq!(client.receive(support::mqtt::ANSWER_LIMIT), Received::Closed);
    assert_eq!(host.ledger("sink").accepted, 0);
}

#[test]
fn more_messages_than_the_receive_maximum_are_answered_with_0x93() {
    let mut kafka = Kafka::start();
    let topic = kafka.topic("limits", 1);
    let host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    let mut client = Client::connect(host.tcp(), Version::V5, "greedy");
    let message = Publish { topic: "t/1", payload: b"{}", qos: 1, id: 1, ..Publish::default() };
    assert_eq!(client.at_least_once(&message), 0);
    // Nothing is acknowledged while Kafka is frozen, so the places run out.
    kafka.freeze();
    let allowed = client.receive_maximum;
    assert!(allowed < u16::MAX, "the server announces no limit");
    for id in 1..=allowed + 1 {
        client.publish(&Publish { id, ..message });
    }
    assert_eq!(client.expect(), Packet::Disconnect { code: 0x93 });
    kafka.thaw();
}
