//! Events as sources of rules: each kind reaches Kafka with its fields, and only for rules that ask; what a client
//! publishes to an event's topic is no event.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use support::kafka::Kafka;
use support::millstream::{Millstream, NODE, connector};
use support::mqtt::{ANSWER_LIMIT, Client, Received, anybody};
use support::scratch::Scratch;
use support::tools::millstream;
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

/// A subscriber in 5.0; `options` are those of SUBSCRIBE, granted QoS in the lowest bits.
fn subscriber(host: &Millstream, client: &str, filter: &str, options: u8) -> Client {
    let mut subscriber = Client::connect(host.tcp(), Version::V5, client);
    assert_eq!(subscriber.subscribe(filter, options), options & 3);
    subscriber
}

#[test]
fn republish_reaches_a_subscriber_with_qos_retain_and_properties_and_its_rules_hold_the_acknowledgement() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("republished", 1);
    let again = r#"
[actions.again]
type = "republish"
[actions.again.parameters]
topic = "out/${clientid}"
payload = "${payload.v}"
qos = 1
retain = true
user_properties = "${pub_props.'User-Property'}"
mqtt_properties = { Content-Type = "text/plain", Message-Expiry-Interval = 600 }
"#;
    let rules =
        rule("first", r#"SELECT * FROM "in/#""#, "\"again\"") + &rule("second", r#"SELECT * FROM "out/#""#, "\"sink\"");
    let host = Millstream::start(&[NODE, &connector("kafka", &kafka.plaintext), &sink(&topic), again, &rules].concat());
    // Retain As Published.
    let mut listener = subscriber(&host, "listener", "out/#", 2 | 0x08);
    let mut publisher = Client::connect(host.tcp(), Version::V5, "p1");
    let given = properties(&[("site", "a")]);
    let message =
        Publish { topic: "in/1", payload: br#"{"v":"hi"}"#, qos: 1, id: 1, properties: &given, ..Publish::default() };
    assert_eq!(publisher.at_least_once(&message), 0);
    // Acknowledged, so the second rule's record is in Kafka.
    let records = kafka.read(&topic);
    let rows: Vec<Value> = records.iter().map(|record| serde_json::from_str(record.text()).expect("JSON")).collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_has(
        &rows[0],
        &json!({"clientid": "first", "topic": "out/p1", "payload": "hi", "qos": 1, "peerhost": "undefined",
            "username": "undefined", "flags": {"retain": true, "dup": false}}),
    );
    let Packet::Publish { qos: 1, retain: true, topic: out, payload, properties: found, .. } = listener.expect() else {
        panic!("not as it was republished")
    };
    assert_eq!((out.as_str(), &payload[..]), ("out/p1", &b"hi"[..]));
    let has = |part: &[u8]| found.windows(part.len()).any(|window| window == part);
    assert!(has(&given) && has(b"\x03\x00\x0atext/plain"), "{found:02x?}");
    // It was retained: a later subscriber has it.
    let mut late = subscriber(&host, "late", "out/p1", 1);
    assert!(matches!(late.expect(), Packet::Publish { retain: true, payload, .. } if payload == b"hi"));
    let of = |name: &str, rule: &str| host.metrics().sum(name, &[("rule", rule)]);
    for rule in ["first", "second"] {
        let counted = ["actions_total", "actions_success_total", "actions_failed_total", "actions_discarded_total"];
        let counted = counted.map(|name| of(&format!("millstream_rule_{name}"), rule));
        assert_eq!(counted, [1, 1, 0, 0], "{rule}");
    }
    assert_eq!(host.ledger("again").delivered, 1);
}

#[test]
fn a_loop_is_cut_and_counted_and_console_prints() {
    let rules = [
        "\n[rules.own]\nsql = 'SELECT * FROM \"t2\"'\n\
         actions = [{ function = \"console\" }, { function = \"republish\", args = { topic = \"t2\" } }]\n",
        "\n[rules.ping]\nsql = 'SELECT * FROM \"ping\"'\nactions = [\"to-pong\"]\n",
        "\n[rules.pong]\nsql = 'SELECT * FROM \"pong\"'\nactions = [\"republish:to-ping\"]\n",
        "\n[actions.to-pong]\ntype = \"republish\"\nparameters = { topic = \"pong\" }\n",
        "\n[actions.to-ping]\ntype = \"republish\"\nparameters = { topic = \"ping\" }\n",
    ];
    let host = Millstream::start(&[NODE, &rules.concat()].concat());
    let mut listener = subscriber(&host, "listener", "#", 1);
    let mut publisher = Client::connect(host.tcp(), Version::V4, "p");
    let message = Publish { topic: "t2", payload: b"once", qos: 1, id: 1, ..Publish::default() };
    assert_eq!(publisher.at_least_once(&message), 0);
    let message = Publish { topic: "ping", payload: b"go", qos: 1, id: 2, ..Publish::default() };
    assert_eq!(publisher.at_least_once(&message), 0);
    let last = Publish { topic: "last", payload: b"", qos: 1, id: 3, ..Publish::default() };
    assert_eq!(publisher.at_least_once(&last), 0);
    let mut topics: BTreeMap<String, usize> = BTreeMap::new();
    while !topics.contains_key("last") {
        let Packet::Publish { topic, id, .. } = listener.expect() else { panic!("something else came") };
        *topics.entry(topic).or_default() += 1;
        let mut out = Vec::new();
        wire::answer(&mut out, 0x40, id);
        listener.send(&out).expect("the connection is open");
    }
    // As published and once more; sixteen republished after the first ping.
    let expected = [("last", 1), ("ping", 9), ("pong", 8), ("t2", 2)];
    assert_eq!(topics, expected.map(|(topic, n)| (topic.to_string(), n)).into());
    let cut = |action: &str| {
        host.ledger(action);
        host.metrics().sum("millstream_action_dropped_total", &[("action", action), ("cause", "loop")])
    };
    assert_eq!((cut("own:republish:1"), cut("to-pong"), cut("to-ping")), (1, 1, 0));
    let success = host.metrics().sum("millstream_rule_actions_success_total", &[("rule", "own")]);
    assert_eq!(success, 4, "two outputs, two actions each");
    host.await_log("console");
    let log = host.log();
    let line = log.lines().find(|line| line.contains("console")).expect("a line of the console");
    for part in ["own", "t2", "once"] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn sql_test_knows_the_types_of_events_and_fills_in_samples_when_asked() {
    let scratch = Scratch::new("sql");
    let file = scratch.write("event.json", r#"{"event_type": "client_connected", "username": "ops"}"#);
    let file = file.to_str().expect("a path in UTF-8");
    let sql = r#"SELECT username, proto_ver, clientid FROM "$events/client_connected""#;
    let run = |more: &[&str]| {
        let arguments = [&["sql", "test", "--json", "--sql", sql, "--event", file], more].concat();
        serde_json::from_str::<Value>(&millstream(&arguments, "").ok()).expect("an answer in JSON")
    };
    let plain = json!({"username": "ops", "proto_ver": "undefined", "clientid": "undefined"});
    assert_eq!(run(&[]), json!({ "outputs": [plain] }));
    let filled = json!({"username": "ops", "proto_ver": 5, "clientid": "c_sample"});
    assert_eq!(run(&["--samples"]), json!({ "outputs": [filled] }));
}
