//! Schemas: from files, from a registry that answers, is away, hangs or comes back; the cache in front of it; Sparkplug B.
//! What the registry is asked is counted by the registry.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::kafka::Kafka;
use support::millstream::{Millstream, NODE, action, connector};
use support::mqtt::Client;
use support::scratch::Scratch;
use support::service::{Reply, Request, Service};
use support::tools::{Ended, millstream};
use support::wait;
use support::wire::{Publish, Version};

const SCHEMAS: &str = "
[schema_registry.schemas.reading]
type = 'avro'
source = 'file://reading.avsc'
[schema_registry.schemas.frame]
type = 'protobuf'
source = 'file://frame.proto'
[schema_registry.external.away]
type = 'confluent'
url = 'http://127.0.0.1:1'
auth = { username = 'u', password = 'p4ssw0rd' }
";

const AVRO: &str = r#"{"type": "record", "name": "Reading", "fields": [
  {"name": "id", "type": "string"}, {"name": "t", "type": ["null", "double"]}]}"#;

#[test]
fn schemas_from_files_and_a_registry_that_is_away() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("schemas", 1);
    let rules = "
[rules.avro]
sql = '''SELECT json_encode(schema_decode('reading', payload)) AS payload, clientid FROM \"avro\"'''
actions = ['sink']
[rules.frame]
sql = '''SELECT json_encode(schema_decode('frame', payload, 'Frame')) AS payload, clientid FROM \"frame\"'''
actions = ['sink']
[rules.away]
sql = '''SELECT json_encode(schema_decode_tagged('away', payload)) AS payload, clientid FROM \"away\"'''
actions = ['sink']
";
    let config =
        [NODE, SCHEMAS, &connector("kafka", &kafka.plaintext), &action("sink", "kafka", &topic), rules].concat();
    let scratch = Scratch::new("schemas");
    scratch.write("reading.avsc", AVRO);
    scratch.write("unit.proto", "syntax = \"proto3\";\nenum Unit { NONE = 0; KELVIN = 1; }\n");
    let frame = "syntax = \"proto3\";\nimport \"unit.proto\";\nmessage Frame { uint32 n = 1; Unit unit = 2; }\n";
    scratch.write("frame.proto", frame);
    let host = Millstream::start_in(scratch, &config);
    let mut client = Client::connect(host.tcp(), Version::V5, "c");
    let mut publish = |id: u16, topic: &str, payload: &[u8]| {
        client.at_least_once(&Publish { topic, payload, qos: 1, id, ..Publish::default() })
    };
    assert_eq!(publish(1, "avro", b"\x04p7\x02\0\0\0\0\0\0\xF8\x3F"), 0);
    assert_eq!(publish(2, "avro", b"\x04p7"), 0x83);
    assert_eq!(publish(3, "frame", b"\x08\x05\x10\x01"), 0);
    assert_eq!(publish(4, "away", b"\0\0\0\0\x01abc"), 0x83);
    assert_eq!(publish(5, "away", b"abc"), 0x83);
    assert_eq!(kafka.read_at_least(&topic, 2).len(), 2);
    let values: Vec<String> = kafka.read(&topic).iter().map(|record| record.text().to_owned()).collect();
    assert_eq!(values, [r#"{"t":1.5,"id":"p7"}"#, r#"{"unit":"KELVIN","n":5}"#]);
    let failed = |rule| host.metrics().sum("millstream_rule_failed_total", &[("rule", rule), ("cause", "exception")]);
    assert_eq!([failed("avro"), failed("frame"), failed("away")], [1, 0, 2]);
    assert!(!host.log().contains("p4ssw0rd"));
}

#[test]
fn a_bad_schema_is_refused_with_its_place() {
    let check = |avro: &str, schemas: &str| -> Ended {
        let scratch = Scratch::new("schemas");
        scratch.write("reading.avsc", avro);
        scratch.write("frame.proto", "syntax = \"proto3\";\nmessage Frame { uint32 n = 1; }\n");
        let file = scratch.write("edge.toml", &[NODE, schemas].concat());
        millstream(&["check", file.to_str().expect("a path in UTF-8")], "")
    };
    let good = check(AVRO, SCHEMAS);
    assert_eq!(good.code, Some(0), "{good:?}");
    for (avro, from, to, part) in [
        ("{\n \"type\" }", "", "", "line 2, column 9 of the schema"),
        (AVRO, "frame.proto", "gone.proto", "gone.proto"),
        (AVRO, "'file://frame.proto'", "'message Frame { uint32 n = ; }'", "schema.proto:1:"),
        (AVRO, "'avro'", "'arvo'", "avro"),
        (AVRO, "http://127.0.0.1:1", "127.0.0.1:1", "expected http://HOST:PORT"),
        (AVRO, "schema_registry.external", "schema_registry.externals", "external"),
    ] {
        let ended = check(avro, &SCHEMAS.replace(from, to));
        assert_eq!(ended.code, Some(1), "{to}: {ended:?}");
        assert!((ended.stdout.clone() + &ended.stderr).contains(part), "{to}: no `{part}` in {ended:?}");
    }
}

/// A registry with an Avro, a Protobuf and a JSON schema, where new ones get the id 9.
fn answer(request: &Request) -> Reply {
    let schema = |text: &str, kind: Value| (200, json!({"schema": text, "schemaType": kind}).to_string());
    let missing = |code: u32, what: &str| (404, json!({"error_code": code, "message": what}).to_string());
    match (request.method.as_str(), request.target.as_str()) {
        ("GET", "/schemas/ids/1") => (200, json!({"schema": AVRO}).to_string()),
        ("GET", "/schemas/ids/2") => schema(FRAME, json!("PROTOBUF")),
        ("GET", "/schemas/ids/3") => schema(r#"{"properties": {"t": {"maximum": 100}}}"#, json!("JSON")),
        ("GET", "/schemas/ids/4") => (200, String::from("<html>")),
        ("GET", "/schemas/ids/5") => (500, String::new()),
        ("GET", _) => missing(40403, "Schema not found"),
        ("POST", "/subjects/known-value") => {
            (200, json!({"subject": "known-value", "version": 2, "id": 8}).to_string())
        }
        ("POST", "/subjects/new-value") => missing(40401, "Subject not found"),
        ("POST", "/subjects/new-value/versions") => (200, json!({"id": 9}).to_string()),
        _ => (409, json!({"error_code": 409, "message": "Schema being registered is incompatible"}).to_string()),
    }
}

const FRAME: &str = "syntax = \"proto3\"; message Other { string s = 1; } message Frame { uint32 n = 1; }";

const RULES: &str = r#"
[rules.read]
sql = '''SELECT json_encode(schema_decode_tagged('registry', payload)) AS payload, clientid FROM "read"'''
actions = ["sink"]
[rules.write]
sql = '''SELECT bin2hexstr(schema_encode_and_tag('reading', 'registry', json_decode(payload), nth(2, split(topic, '/'))))
  AS payload, clientid FROM "write/+"'''
actions = ["sink"]
[rules.frame]
sql = '''SELECT bin2hexstr(schema_encode_and_tag('frame', 'registry', json_decode(payload), 'new-value', 'Frame')) AS payload,
  clientid FROM "frame"'''
actions = ["sink"]
[rules.plain]
sql = '''SELECT payload, clientid FROM "plain"'''
actions = ["sink"]
"#;

/// A node with these rules and a registry at this address.
fn node(kafka: &Kafka, topic: &str, registry: SocketAddr) -> Millstream {
    let schemas = SCHEMAS.replace("external.away", "external.registry").replace("127.0.0.1:1", &registry.to_string());
    let schemas = schemas.replace("'file://frame.proto'", &format!("'{FRAME}'"));
    let scratch = Scratch::new("schemas");
    scratch.write("reading.avsc", AVRO);
    let config =
        [NODE, &schemas, &connector("kafka", &kafka.plaintext), &action("sink", "kafka", topic), RULES].concat();
    Millstream::start_in(scratch, &config)
}

/// Publishes one message after the other; gives the reason codes.
fn publish(client: &mut Client, messages: &[(&str, &[u8])]) -> Vec<u8> {
    let send = |(at, (topic, payload)): (usize, &(&str, &[u8]))| {
        client.at_least_once(&Publish { topic, payload, qos: 1, id: at as u16 + 1, ..Publish::default() })
    };
    messages.iter().enumerate().map(send).collect()
}

fn values(kafka: &Kafka, topic: &str, count: u64) -> Vec<String> {
    assert_eq!(kafka.read_at_least(topic, count).len() as u64, count);
    kafka.read(topic).iter().map(|record| record.text().to_owned()).collect()
}

/// For a failure that is believed for some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

const READING: &[u8] = b"\0\0\0\0\x01\x04p7\x02\0\0\0\0\0\0\xF8\x3F";

#[test]
fn a_registry_is_asked_once_for_each_schema() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("registry", 1);
    let registry = Service::start(answer);
    let host = node(kafka, &topic, registry.address);
    let mut client = Client::connect(host.tcp(), Version::V5, "c");
    let round: &[(&str, &[u8])] = &[
        ("read", READING),
        ("read", b"\0\0\0\0\x02\x02\x02\x08\x05"),
        ("read", b"\0\0\0\0\x03{\"t\":5}"),
        ("write/known-value", br#"{"id":"p7","t":1.5}"#),
        ("write/new-value", br#"{"id":"p7","t":null}"#),
        ("frame", br#"{"n":5}"#),
    ];
    for _ in 0..3 {
        assert_eq!(publish(&mut client, round), [0; 6]);
    }
    let expected = [
        r#"{"t":1.5,"id":"p7"}"#,
        r#"{"n":5}"#,
        r#"{"t":5}"#,
        "0000000008047037020000 00000000F83F",
        "000000000904703700",
        "000000000902020805",
    ];
    let expected: Vec<String> = expected.iter().map(|text| text.replace(' ', "")).collect();
    for round in values(kafka, &topic, 18).chunks(6) {
        assert_eq!(round, expected);
    }
    let asked = registry.asked();
    // Three schemas, an id that is there, and two that are looked for and made.
    let targets: Vec<&str> = asked.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/schemas/ids/1",
            "/schemas/ids/2",
            "/schemas/ids/3",
            "/subjects/known-value",
            "/subjects/new-value",
            "/subjects/new-value/versions",
            "/subjects/new-value",
            "/subjects/new-value/versions"
        ]
    );
    assert!(asked.iter().all(|request| request.header("authorization") == Some("Basic dTpwNHNzdzByZA==")));
    let bodies: Vec<Value> = asked[3..].iter().map(|request| request.body.parse().expect("JSON")).collect();
    assert_eq!(bodies[0], json!({"schema": AVRO}));
    assert_eq!(bodies[4], json!({"schema": FRAME, "schemaType": "PROTOBUF"}));
}

#[test]
fn what_a_registry_refuses_or_says_wrong_is_a_counted_failure() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("registry-refuses", 1);
    let registry = Service::start(answer);
    let host = node(kafka, &topic, registry.address);
    let mut client = Client::connect(host.tcp(), Version::V5, "c");
    let messages: &[(&str, &[u8])] = &[
        // Not JSON, an error of the server, no such schema; asked for again at once, nobody is.
        ("read", b"\0\0\0\0\x04abc"),
        ("read", b"\0\0\0\0\x05abc"),
        ("read", b"\0\0\0\0\x06abc"),
        ("read", b"\0\0\0\0\x06abc"),
        // No such place in the schema; a number above its limit; no tag; half a tag; too few bytes.
        ("read", b"\0\0\0\0\x02\x02\x04\x08\x05"),
        ("read", b"\0\0\0\0\x03{\"t\":101}"),
        ("read", b"\x01\0\0\0\x01"),
        ("read", b"\0\0\0"),
        ("read", &READING[..9]),
        // The registry does not want it; it does not fit, so the registry is not asked.
        ("write/other-value", br#"{"id":"p7","t":1.5}"#),
        ("write/another-value", br#"{"id":7,"t":1.5}"#),
    ];
    assert_eq!(publish(&mut client, messages), [0x83; 11]);
    assert_eq!(publish(&mut client, &[("read", READING)]), [0]);
    assert_eq!(values(kafka, &topic, 1), [r#"{"t":1.5,"id":"p7"}"#]);
    let failed = |rule| host.metrics().sum("millstream_rule_failed_total", &[("rule", rule), ("cause", "exception")]);
    assert_eq!([failed("read"), failed("write")], [9, 2]);
    let asked = registry.asked();
    let targets: Vec<&str> = asked.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/schemas/ids/4",
            "/schemas/ids/5",
            "/schemas/ids/6",
            "/schemas/ids/2",
            "/schemas/ids/3",
            "/schemas/ids/1",
            "/subjects/other-value"
        ]
    );
}

#[test]
fn a_registry_may_be_away_at_the_start_and_later() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("registry-away", 1);
    // A port where nobody is.
    let gone = Service::start(answer);
    let address = gone.address;
    drop(gone);
    let host = node(kafka, &topic, address);
    let mut client = Client::connect(host.tcp(), Version::V5, "c");
    assert_eq!(publish(&mut client, &[("read", READING), ("plain", b"1")]), [0x83, 0]);
    let registry = Service::start_at(address, answer);
    // The failure is believed for a while; then the registry is asked again, and the schema is there.
    wait::until("the schema comes", PATIENCE, || publish(&mut client, &[("read", READING)]) == [0]);
    drop(registry);
    assert_eq!(publish(&mut client, &[("read", READING)]), [0]);
    assert_eq!(values(kafka, &topic, 3), ["1", r#"{"t":1.5,"id":"p7"}"#, r#"{"t":1.5,"id":"p7"}"#]);
}

#[test]
fn a_registry_that_hangs_holds_nobody_up_for_long() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("registry-hangs", 1);
    let registry = Service::start(answer);
    let host = node(kafka, &topic, registry.address);
    let mut client = Client::connect(host.tcp(), Version::V5, "c");
    registry.set_silent(true);
    let began = Instant::now();
    // A client that asks for a schema after the other; all of one client are on one worker.
    for id in 0..60 {
        let payload = [0, 0, 0, 0, id];
        assert_eq!(publish(&mut client, &[("read", &payload), ("plain", b"1")]), [0x83, 0]);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(registry.asked().len() <= 8, "{}", registry.asked().len());
    registry.set_silent(false);
    wait::until("the schema comes", PATIENCE, || publish(&mut client, &[("read", READING)]) == [0]);
}

#[test]
fn a_birth_that_no_rule_reads_names_what_follows() {
    let kafka = Kafka::shared();
    for (mapping, name) in
        [("", r#""name":"temp","#), ("[schema_registry.sparkplugb]\nenable_alias_mapping = false\n", "")]
    {
        let topic = kafka.topic(if mapping.is_empty() { "births" } else { "no-births" }, 1);
        let rule = r#"
[rules.data]
sql = '''SELECT json_encode(spb_decode(payload)) AS payload, clientid FROM "spBv1.0/+/NDATA/+"'''
actions = ["sink"]
"#;
        let sink = action("sink", "kafka", &topic);
        let config = [NODE, mapping, &connector("kafka", &kafka.plaintext), &sink, rule].concat();
        let host = Millstream::start_in(Scratch::new("births"), &config);
        let mut client = Client::connect(host.tcp(), Version::V5, "edge");
        // The name and the alias; then the alias with a value. Nobody wants the first one: 0x10.
        let messages: &[(&str, &[u8])] = &[
            ("spBv1.0/g/NBIRTH/n", b"\x12\x08\x0A\x04temp\x10\x07"),
            ("spBv1.0/g/NDATA/n", b"\x12\x04\x10\x07\x50\x06"),
            ("spBv1.0/g/NDATA/other", b"\x12\x04\x10\x07\x50\x06"),
        ];
        assert_eq!(publish(&mut client, messages), [0x10, 0, 0]);
        let data = |name: &str| format!(r#"{{"metrics":[{{{name}"int_value":6,"alias":7}}]}}"#);
        assert_eq!(values(kafka, &topic, 2), [data(name), data("")]);
    }
}
