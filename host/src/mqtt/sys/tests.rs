//! What is published below `$SYS/`, to whom, and that nothing of it goes down the pipeline.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::mqtt::testing::{Raw, Server, connect, publish, subscribe};

/// Topic and payload of the next packet, which must be a PUBLISH of QoS 0 to a 3.1.1 client, and whether it is retained.
async fn next(client: &mut Raw) -> (String, String, bool) {
    let packet = client.packet().await;
    assert_eq!(packet.first().map(|first| first & 0xf6), Some(0x30), "{packet:?}");
    let header = if packet[1] & 0x80 == 0 { 2 } else { 3 };
    let (length, rest) = packet[header..].split_at(2);
    let (topic, payload) = rest.split_at(usize::from(u16::from_be_bytes([length[0], length[1]])));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(topic), text(payload), packet[0] & 1 == 1)
}

async fn watch(server: &Server, filters: &[(&str, u8)]) -> Raw {
    let mut client = server.connect(4, "watcher", true).await;
    client.send(&subscribe(&[], filters)).await;
    assert_eq!(client.packet().await[0], 0x90);
    client
}

#[tokio::test]
async fn the_node_says_what_it_is_now_and_to_whoever_comes_later() {
    let server = Server::new();
    let sys = &server.broker.sys;
    sys.announce(&server.broker, Now::read());
    let mut watcher = watch(&server, &[("$SYS/#", 2)]).await;
    let mut facts = vec![next(&mut watcher).await, next(&mut watcher).await, next(&mut watcher).await];
    facts.sort();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let fact = |topic: &str, payload: String, retained| (topic.to_owned(), payload, retained);
    assert_eq!(
        facts,
        [
            fact("$SYS/brokers", "edge-1".into(), true),
            fact("$SYS/brokers/edge-1/sysdescr", "Millstream".into(), true),
            fact("$SYS/brokers/edge-1/version", version, true),
        ]
    );
    let later = Now { instant: Instant::now() + Duration::from_secs(100), unix_millis: 1_700_000_000_123 };
    sys.heartbeat(&server.broker, later);
    let (topic, uptime, retained) = next(&mut watcher).await;
    assert_eq!((topic.as_str(), retained), ("$SYS/brokers/edge-1/uptime", false));
    assert!((100_000..200_000).contains(&uptime.parse::<u64>().unwrap()), "{uptime} ms");
    assert_eq!(next(&mut watcher).await.1, "2023-11-14T22:13:20.123+00:00");
    watcher.expect_silence().await;
    assert!(server.broker.ingress.drain_for_test().is_empty(), "rules do not see any of it");
}

#[tokio::test]
async fn clients_that_come_and_go_are_told_of_as_emqx_does() {
    let server = Server::new();
    let mut watcher = watch(&server, &[("$SYS/brokers/+/clients/+/connected", 0), ("$SYS/+/+/clients/#", 0)]).await;
    let mut other = server.connect(5, "other", false).await;
    let (topic, payload, _) = next(&mut watcher).await;
    assert_eq!(topic, "$SYS/brokers/edge-1/clients/other/connected");
    let connected: Value = serde_json::from_str(&payload).unwrap();
    for (field, expected) in [
        ("clientid", Value::from("other")),
        ("username", Value::from("undefined")),
        ("ipaddress", Value::from("127.0.0.1")),
        ("sockport", Value::from(1883)),
        ("protocol", Value::from("mqtt")),
        ("proto_name", Value::from("MQTT")),
        ("proto_ver", Value::from(5)),
        ("keepalive", Value::from(0)),
        ("clean_start", Value::from(false)),
        ("expiry_interval", Value::from(100_000)),
    ] {
        assert_eq!(connected[field], expected, "{field}");
    }
    assert!(connected["ts"].as_i64() >= connected["connected_at"].as_i64() && connected["connected_at"].is_i64());
    other.send(&[0xe0, 0]).await;
    let (topic, payload, _) = next(&mut watcher).await;
    assert_eq!(topic, "$SYS/brokers/edge-1/clients/other/disconnected");
    let gone: Value = serde_json::from_str(&payload).unwrap();
    assert_eq!((&gone["reason"], &gone["connected_at"]), (&Value::from("normal"), &connected["connected_at"]));
    assert!(gone["disconnected_at"].is_i64() && gone.get("keepalive").is_none());
    watcher.expect_silence().await;
}

#[tokio::test]
async fn figures_are_of_all_connections_those_that_are_gone_too() {
    let server = Server::new();
    let mut gone = server.connect(4, "gone", true).await;
    gone.send(&publish(0x00, "t", 0, &[], b"x")).await;
    gone.send(&[0xc0, 0, 0xe0, 0]).await;
    gone.expect(&[0xd0, 0]).await;
    gone.expect(&[]).await;
    let mut here = server.connect(4, "here", true).await;
    here.send(&publish(0x00, "t", 0, &[], b"x")).await;
    here.expect_silence().await;
    let mut watcher = watch(&server, &[("$SYS/brokers/edge-1/metrics/#", 0), ("$SYS/brokers/+/stats/#", 0)]).await;
    server.broker.sys.count(&server.broker, Now::read());
    let mut seen = std::collections::BTreeMap::new();
    // The last of them.
    while !seen.contains_key("metrics/delivery/dropped/session_ended") {
        let (topic, payload, _) = next(&mut watcher).await;
        let name = topic.strip_prefix("$SYS/brokers/edge-1/").expect("a topic of the node").to_owned();
        assert_eq!(seen.insert(name, payload.parse::<u64>().unwrap()), None, "{topic} twice");
    }
    for (name, expected) in [
        ("metrics/packets/publish/received", 2),
        ("metrics/packets/pingreq/received", 2),
        ("metrics/packets/pingresp/sent", 2),
        ("metrics/packets/subscribe/received", 1),
        ("metrics/packets/connect/received", 3),
        ("metrics/messages/qos0/received", 2),
        ("metrics/messages/qos1/received", 0),
        ("stats/live_connections/count", 2),
        ("stats/live_connections/max", 2),
        ("stats/subscriptions/count", 2),
    ] {
        assert_eq!(seen.get(name), Some(&expected), "{name} in {seen:?}");
    }
}

#[tokio::test]
async fn only_the_broker_publishes_here_and_strangers_do_not_listen() {
    let server = Server::new();
    let mut local = server.connect(5, "local", true).await;
    local.send(&publish(0x02, "$SYS/brokers", 1, &[0], b"me")).await;
    local.expect(&[0x40, 4, 0, 1, 0x87, 0]).await;
    let ask = subscribe(&[0], &[("$SYS/#", 0), ("$share/g/$SYS/#", 0), ("t", 0)]);
    local.send(&ask).await;
    local.expect(&[0x90, 6, 0, 1, 0, 0, 0, 0]).await;
    let stranger = |server: &Server| server.dial_from("192.0.2.1:4711".parse().unwrap());
    let mut remote = stranger(&server);
    remote.send(&connect(5, "remote", true)).await;
    assert_eq!(remote.packet().await[0], 0x20);
    remote.send(&ask).await;
    remote.expect(&[0x90, 6, 0, 1, 0, 0x87, 0x87, 0]).await;
    // Unless a rule says so.
    let rules = r#"rules = [{ permission = "allow", action = "subscribe", topics = ["$SYS/#"] }]"#;
    let open = Server::with(|_| {}, rules);
    let mut remote = stranger(&open);
    remote.send(&connect(5, "remote", true)).await;
    assert_eq!(remote.packet().await[0], 0x20);
    remote.send(&ask).await;
    remote.expect(&[0x90, 6, 0, 1, 0, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_client_id_that_cannot_be_in_a_topic_is_passed_over() {
    let server = Server::new();
    let mut watcher = watch(&server, &[("$SYS/#", 0)]).await;
    let odd = server.connect(4, "a+b/#", true).await;
    drop(odd);
    watcher.expect_silence().await;
}
