//! Events as sources of rules: each kind reaches Kafka with its fields, and only for rules that ask; what a client
//! publishes to an event's topic is no event.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use support::kafka::Kafka;
use support::millstream::{Millstream, NODE, connector};
use support::mqtt::{ANSWER_LIMIT, Client, Received, anybody};
use support::wait::eventually;
use support::wire::{self, Connect, Packet, Publish, Version, user_property};

/// An action `sink` that writes the whole row.
fn sink(topic: &str) -> String {
    format!(
        "\n[actions.sink]\ntype = \"kafka_producer\"\nconnector = \"kafka\"\n[actions.sink.parameters]\n\
         topic = \"{topic}\"\nmessage = {{ key = \"${{clientid}}\", value = \"${{.}}\" }}\n"
    )
}

fn rule(name: &str, sql: &str, actions: &str) -> String {
    format!("\n[rules.{name}]\nsql = '{sql}'\nactions = [{actions}]\n")
}

/// The events in `topic` by name, as soon as there are `count`.
fn events(kafka: &Kafka, topic: &str, count: u64) -> BTreeMap<String, Vec<Value>> {
    let mut events: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in kafka.read_at_least(topic, count) {
        let event: Value = serde_json::from_str(record.text()).expect("a row as JSON");
        let name = event["event"].as_str().expect("every event has a name").to_string();
        events.entry(name).or_default().push(event);
    }
    events
}

/// Fails unless `event` has all of `expected`, columns that are times aside.
fn assert_has(event: &Value, expected: &Value) {
    for (name, value) in expected.as_object().expect("columns") {
        assert_eq!(&event[name], value, "{name} of {event}");
    }
}

fn properties(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    pairs.iter().for_each(|(key, value)| user_property(&mut out, key, value));
    out
}

#[test]
fn every_kind_of_event_reaches_kafka_with_its_fields() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("events", 1);
    let users = "authorization = { rules = [{ permission = \"deny\", topics = [\"secret\"] }] }\n";
    let all = rule("all", r##"SELECT * FROM "$events/#""##, "\"sink\"");
    let host = Millstream::start(&[users, NODE, &connector("kafka", &kafka.plaintext), &sink(&topic), &all].concat());

    // Session Expiry Interval 60 and a user property.
    let given = [&[17, 0, 0, 0, 60][..], &properties(&[("site", "a")])].concat();
    let connect = Connect { client: "sub", clean: false, keep_alive: 30, properties: &given, ..anybody(Version::V5) };
    let (mut subscriber, _) = Client::connect_with(host.tcp(), &connect);
    assert_eq!(subscriber.subscribe("plant/#", 1), 1);
    // No Local.
    assert_eq!(subscriber.subscribe("own", 1 | 0x04), 1);
    assert_eq!(subscriber.subscribe("secret", 1), 0x87);

    let mut publisher = Client::connect(host.tcp(), Version::V4, "pub");
    let message = Publish { topic: "plant/a", payload: br#"{"bar":4.2}"#, qos: 1, id: 1, ..Publish::default() };
    assert_eq!(publisher.at_least_once(&message), 0);
    let Packet::Publish { id, .. } = subscriber.expect() else { panic!("no message") };
    let mut out = Vec::new();
    // PUBACK with a user property.
    let reason = properties(&[("why", "stored")]);
    wire::frame(&mut out, 0x40, &[&id.to_be_bytes()[..], &[0, reason.len() as u8], &reason].concat());
    wire::ping(&mut out);
    // UNSUBSCRIBE.
    wire::frame(&mut out, 0xa2, &[0, 9, 0, 0, 7, b'p', b'l', b'a', b'n', b't', b'/', b'#']);
    subscriber.send(&out).expect("the connection is open");
    assert_eq!(subscriber.expect(), Packet::PingResp);
    assert!(matches!(subscriber.expect(), Packet::UnsubAck { id: 9, .. }));
    let own = Publish { topic: "own", payload: b"echo", qos: 1, id: 2, ..Publish::default() };
    // No subscriber but itself, which does not want it.
    subscriber.publish(&own);
    assert!(matches!(subscriber.expect(), Packet::PubAck { id: 2, .. }));
    let nobody = Publish { topic: "nobody/here", payload: b"x", qos: 1, id: 3, ..Publish::default() };
    assert_eq!(publisher.at_least_once(&nobody), 0);
    publisher.disconnect();
    // DISCONNECT with 0x04.
    let mut out = Vec::new();
    wire::frame(&mut out, 0xe0, &[4]);
    subscriber.send(&out).expect("the connection is open");
    assert_eq!(subscriber.receive(ANSWER_LIMIT), Received::Closed);

    // Two of each: connected, connack, authentication, disconnected, subscribed; six checks; five others.
    let events = events(kafka, &topic, 2 * 5 + 6 + 6);
    let of = |name: &str, client: &str| {
        let all = events.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", events.keys()));
        let found: Vec<_> = all.iter().filter(|event| event["clientid"] == client).collect();
        assert!(!found.is_empty(), "no {name} of {client} in {all:?}");
        found
    };
    let node = json!({"node": "edge-1", "metadata": {"rule_id": "all", "namespace": "global"}});
    events.values().flatten().for_each(|event| assert_has(event, &node));
    let given = json!({"User-Property": {"site": "a"}, "User-Property-Pairs": [{"key": "site", "value": "a"}],
        "Session-Expiry-Interval": 60});
    let tcp = host.tcp().to_string();
    let connected = of("client.connected", "sub")[0];
    assert_has(
        connected,
        &json!({"proto_ver": 5, "keepalive": 30, "clean_start": false, "expiry_interval": 60, "conn_props": given,
            "sockname": tcp, "username": "undefined", "mountpoint": "undefined", "is_bridge": false}),
    );
    assert!(connected["connected_at"].as_i64().is_some_and(|at| at > 1_700_000_000_000), "{connected}");
    assert_has(of("client.connected", "pub")[0], &json!({"proto_ver": 4, "conn_props": {"User-Property": {}}}));
    let connack = json!({"reason_code": "success", "expiry_interval": 60_000, "conn_props": given});
    assert_has(of("client.connack", "sub")[0], &connack);
    let authn = json!({"reason_code": "success", "is_anonymous": true, "is_superuser": false});
    assert_has(of("client.check_authn_complete", "sub")[0], &authn);
    let checks: Vec<_> = of("client.check_authz_complete", "sub")
        .into_iter()
        .map(|event| [&event["action"], &event["topic"], &event["result"], &event["authz_source"]])
        .map(|parts| parts.map(|part| part.as_str().unwrap_or_default().to_string()).join(" "))
        .collect();
    let expected = [
        "subscribe plant/# allow default",
        "subscribe own allow default",
        "subscribe secret deny file",
        "publish own allow default",
    ];
    assert_eq!(checks, expected);
    assert_has(of("session.subscribed", "sub")[0], &json!({"topic": "plant/#", "qos": 1, "peerhost": "127.0.0.1"}));
    assert_has(of("session.unsubscribed", "sub")[0], &json!({"topic": "plant/#", "qos": 1}));
    let delivered = json!({"from_clientid": "pub", "topic": "plant/a", "payload": "{\"bar\":4.2}", "qos": 1});
    assert_has(of("message.delivered", "sub")[0], &delivered);
    let acked = of("message.acked", "sub")[0];
    assert_has(acked, &delivered);
    assert_eq!(acked["puback_props"]["User-Property"], json!({"why": "stored"}));
    assert_eq!(acked["id"], of("message.delivered", "sub")[0]["id"], "one message, one id");
    assert_has(of("message.dropped", "pub")[0], &json!({"topic": "nobody/here", "reason": "no_subscribers", "qos": 1}));
    let echo = json!({"from_clientid": "sub", "topic": "own", "reason": "no_local", "payload": "echo"});
    assert_has(of("delivery.dropped", "sub")[0], &echo);
    assert_has(of("client.ping", "sub")[0], &json!({"keepalive": 30, "expiry_interval": 60_000}));
    assert_has(of("client.disconnected", "sub")[0], &json!({"reason": "disconnect_with_will_message"}));
    assert_has(of("client.disconnected", "pub")[0], &json!({"reason": "normal", "proto_ver": 4}));
    let dropped = host.metrics().sum("millstream_events_dropped_total", &[]);
    assert_eq!(dropped, 0);
}

#[test]
fn a_refused_client_is_told_of_and_a_publication_to_an_event_topic_is_no_event() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("events", 1);
    let connack = concat!(
        "\n[rules.connack]\nactions = [\"sink\"]\n",
        r#"sql = """SELECT event, clientid, reason_code, connected_at FROM "$events/client_connack" "#,
        r#"WHERE reason_code != 'success' """"#
    );
    let host = Millstream::start(&[NODE, &connector("kafka", &kafka.plaintext), &sink(&topic), connack].concat());
    let mut client = Client::connect(host.tcp(), Version::V5, "forger");
    let forged = Publish {
        topic: "$events/client_connack",
        payload: br#"{"reason_code":"banned"}"#,
        qos: 1,
        id: 1,
        ..Publish::default()
    };
    assert_eq!(client.at_least_once(&forged), 0x10, "nobody wants it");
    // 3.1.1 without a client id must have a clean session.
    let connect = Connect { clean: false, ..anybody(Version::V4) };
    let (_, code, _) = Client::try_connect(host.tcp(), &connect).expect("a CONNACK");
    assert_eq!(code, 2);
    let events = events(kafka, &topic, 1);
    assert_eq!(events.values().map(Vec::len).sum::<usize>(), 1, "{events:?}");
    let refused = &events["client.connack"][0];
    assert_has(refused, &json!({"reason_code": "client_identifier_not_valid", "connected_at": "undefined"}));
    eventually("the rule's own count", Duration::from_secs(30), || {
        let of = |name: &str| host.metrics().sum(name, &[("rule", "connack")]);
        // The forger was let in: matched, and left out by WHERE.
        let counted = ("millstream_rule_matched_total", "millstream_rule_no_result_total");
        ((of(counted.0), of(counted.1)) == (2, 1)).then_some(())
    });
}
