//! Shared subscriptions.

use support::mqtt::anybody;
use support::peer::{DUP, PUBACK, PUBCOMP, PUBREC, PUBREL, Peer, QOS_0, QOS_1, QOS_2, ack, ack_with};
use support::wire::Connect;

use super::V5;
use crate::it::mqtt::{join, plain, stay};

/// MQTT-4.8.2-1, MQTT-4.8.2-2.
#[test]
fn share_names_and_filters_are_checked() {
    let mut peer = join(V5, "v5-share-names");
    for bad in [
        "$share",
        "$share/",
        "$share//t",
        "$share/g",
        "$share/g/",
        "$share/+/t",
        "$share/#/t",
        "$share/g+/t",
        "$share/g#",
        "$share/g/a/#/b",
        "$share/g/a+",
    ] {
        peer.subscribe_all(&[], &[(bad, 1)]);
        eprintln!("{bad}");
        // `$share` alone is a topic like any; only `$share/` begins a group.
        peer.expect_suback(&[if bad == "$share" { 1 } else { 0x8f }]);
    }
    // Below a level of this test's own: a group gets what others publish as well.
    for good in ["g/t", "g/t/#", "g/t/+/x", "é /t/#", "$g/t", "g/t//"] {
        peer.subscribe(&format!("$share/{}", good.replace("/t", "/v5-share-names")), 1);
    }
    peer.unsubscribe(&["$share/g/v5-share-names", "$share/other/v5-share-names", "v5-share-names"]);
    peer.expect_unsuback(&[0x00, 0x11, 0x11]);
}

/// MQTT-4.8.2-3: each member gets what falls to it with the QoS that it was granted; every message goes to one.
#[test]
fn each_member_has_its_own_qos() {
    let filter = "$share/qos/v5-share-qos";
    let topic = "v5-share-qos";
    let mut members: Vec<Peer> = (0..3_u8)
        .map(|qos| {
            let mut member = join(V5, &format!("v5-share-qos-{qos}"));
            member.subscribe(filter, qos);
            member
        })
        .collect();
    let mut publisher = join(V5, "v5-share-qos-publisher");
    for number in 0..30_u8 {
        publisher.say(QOS_2, topic, &[number]);
    }
    let mut got = Vec::new();
    for (qos, member) in (0..).zip(&mut members) {
        // What has come for this member comes before the answer to a second ping; the acknowledgements are sent at the end.
        member.send(&[0xc0, 0]);
        let mut owed = Vec::new();
        let mut pongs = 0;
        while pongs < 2 {
            let packet = member.packet();
            if packet == [0xd0, 0] {
                pongs += 1;
                if pongs == 1 {
                    member.send(&[0xc0, 0]);
                }
                continue;
            }
            assert_eq!(packet[0], 0x30 | qos << 1, "{packet:02x?}");
            got.push(packet[packet.len() - 1]);
            let at = 4 + topic.len();
            if qos > 0 {
                owed.push(u16::from_be_bytes([packet[at], packet[at + 1]]));
            }
        }
        for id in owed {
            if qos == 1 {
                member.send(&ack(PUBACK, id));
            } else {
                member.send(&ack(PUBREC, id));
                member.expect(&ack(PUBREL, id));
                member.send(&ack(PUBCOMP, id));
            }
        }
    }
    got.sort_unstable();
    assert_eq!(got, (0..30).collect::<Vec<_>>(), "each message once");
}

/// MQTT-4.8.2-4: a QoS 2 message that was sent to a member which went is finished with that member when it is back, in
/// each state of its exchange; the other member gets none of it.
#[test]
fn a_qos_2_delivery_is_finished_with_its_member() {
    let (filter, topic) = ("$share/finish/v5-share-finish", "v5-share-finish");
    let mut first = stay(V5, "v5-share-first", false);
    first.subscribe(filter, 2);
    let mut publisher = join(V5, "v5-share-finish-publisher");
    publisher.say(QOS_2, topic, b"1");
    publisher.say(QOS_2, topic, b"2");
    first.expect_publish(QOS_2, topic, 1, &[], b"1");
    first.expect_publish(QOS_2, topic, 2, &[], b"2");
    first.send(&ack(PUBREC, 2));
    first.expect(&ack(PUBREL, 2));
    let mut other = join(V5, "v5-share-other");
    other.subscribe(filter, 2);
    drop(first);
    other.expect_silence();
    let mut back = stay(V5, "v5-share-first", true);
    back.expect_publish(QOS_2 | DUP, topic, 1, &[], b"1");
    back.expect(&ack(PUBREL, 2));
    back.send(&[ack(PUBREC, 1), ack(PUBCOMP, 2)].concat());
    back.expect(&ack(PUBREL, 1));
    back.send(&ack(PUBCOMP, 1));
    back.expect_silence();
    other.expect_silence();
}

/// MQTT-4.8.2-5: a QoS 2 message whose member's session ends goes to nobody else: it may have been processed already.
#[test]
fn a_qos_2_delivery_ends_with_its_members_session() {
    let (filter, topic) = ("$share/ends/v5-share-ends", "v5-share-ends");
    let mut first = join(V5, "v5-share-ends-first");
    first.subscribe(filter, 2);
    let mut publisher = join(V5, "v5-share-ends-publisher");
    publisher.say(QOS_2, topic, b"1");
    first.expect_publish(QOS_2, topic, 1, &[], b"1");
    let mut other = join(V5, "v5-share-ends-other");
    other.subscribe(filter, 2);
    first.goodbye();
    publisher.say(QOS_2, topic, b"2");
    assert_eq!(other.take(topic).1, b"2");
    other.expect_silence();
}

/// MQTT-4.8.2-6: a member's error ends the message; no other member gets it.
#[test]
fn an_error_of_a_member_ends_the_message() {
    let (filter, topic) = ("$share/error/v5-share-error", "v5-share-error");
    let mut first = join(V5, "v5-share-error-first");
    first.subscribe(filter, 2);
    let mut publisher = join(V5, "v5-share-error-publisher");
    publisher.say(QOS_1, topic, b"1");
    publisher.say(QOS_2, topic, b"2");
    first.expect_publish(QOS_1, topic, 1, &[], b"1");
    first.expect_publish(QOS_2, topic, 2, &[], b"2");
    let mut other = join(V5, "v5-share-error-other");
    other.subscribe(filter, 2);
    first.send(&[ack_with(PUBACK, 1, 0x80), ack_with(PUBREC, 2, 0x99)].concat());
    first.expect_silence();
    other.expect_silence();
    first.goodbye();
    other.expect_silence();
}

/// MQTT-4.8.2-1, MQTT-3.3.2-3: two groups and a subscription of one's own each get the message once.
#[test]
fn groups_are_told_apart_by_name_and_filter() {
    let topic = "v5-share-groups";
    let mut publisher = join(V5, "v5-share-groups-publisher");
    let filters = ["$share/a/v5-share-groups", "$share/b/v5-share-groups", "$share/a/v5-share-groups/#", topic];
    let mut members: Vec<Peer> = Vec::new();
    for (number, filter) in filters.iter().enumerate() {
        let client = format!("v5-share-groups-{number}");
        let (mut member, _) = Peer::connect_with(plain(), &Connect { client: &client, ..anybody(V5) });
        member.subscribe(filter, 0);
        members.push(member);
    }
    publisher.say(QOS_1, topic, b"x");
    for member in &mut members {
        member.expect_publish(QOS_0, topic, 0, &[], b"x");
        member.expect_silence();
    }
}
