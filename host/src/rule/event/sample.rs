//! What the tester takes for columns that nobody gave (rule-sql 5.1): EMQX's shapes, neutral names. The times are fixed,
//! because nothing here reads a clock.

use super::json::EventType;
use super::publish::map;
use super::{Bytes, Column, Value, columns};
use crate::event::EventKind;

/// 2025-12-11, in milliseconds.
const AT: i64 = 1_765_432_100_000;

/// The columns of an event of this type, in the order of their names.
pub(super) fn columns(kind: EventType) -> Vec<(&'static str, Value)> {
    let with_value = |name: &'static str| (name, value(kind, name));
    match kind {
        EventType::Publication => Column::ALL.iter().map(|column| with_value(column.name())).collect(),
        EventType::Event(kind) => columns::of(kind).iter().copied().map(with_value).collect(),
        EventType::Data => columns::DATA.iter().copied().map(with_value).collect(),
    }
}

fn value(kind: EventType, name: &str) -> Value {
    let delivery = matches!(
        kind,
        EventType::Event(EventKind::MessageDelivered | EventKind::MessageAcked | EventKind::DeliveryDropped)
    );
    match name {
        "event" => match kind {
            EventType::Publication => Value::sym("message.publish"),
            EventType::Event(kind) => Value::sym(kind.name()),
            EventType::Data => Value::sym("$bridges/mqtt:*"),
        },
        "metadata" => {
            map([("namespace", Value::sym("global")), ("rule_id", Value::str("sql_tester:0000000000000000"))])
        }
        "node" => Value::sym("millstream@127.0.0.1"),
        "id" => Value::str("00064C1F2A9B7D30A1F4000005D10002"),
        "clientid" if delivery => Value::str("c_sample_2"),
        "username" if delivery => Value::str("u_sample_2"),
        "from_clientid" => Value::str("c_sample_1"),
        "from_username" => Value::str("u_sample_1"),
        "clientid" => Value::str("c_sample"),
        "username" => Value::str("u_sample"),
        "payload" => Value::str(r#"{"msg": "hello"}"#),
        "topic" => Value::str("t/a"),
        "qos" => Value::Int(1),
        "flags" => map([]),
        "peerhost" => Value::str("192.168.0.10"),
        "peername" if kind == EventType::Event(EventKind::ClientConnected) => Value::str("192.168.0.10:56431"),
        "peername" => Value::str("192.168.0.10:32781"),
        "sockname" => Value::str("0.0.0.0:1883"),
        "pub_props" | "sub_props" | "unsub_props" | "puback_props" | "disconn_props" => {
            properties([("Payload-Format-Indicator", 0), ("Message-Expiry-Interval", 30)])
        }
        "conn_props" => properties([("Session-Expiry-Interval", 7200), ("Receive-Maximum", 32)]),
        "client_attrs" => map([("test", Value::str("example"))]),
        "reason" => Value::sym(match kind {
            EventType::Event(EventKind::MessageDropped) => "no_subscribers",
            EventType::Event(EventKind::DeliveryDropped) => "queue_full",
            _ => "normal",
        }),
        "reason_code" if kind == EventType::Event(EventKind::CheckAuthnComplete) => Value::str("success"),
        "reason_code" => Value::sym("success"),
        "proto_name" => Value::str("MQTT"),
        "proto_ver" => Value::Int(5),
        "keepalive" => Value::Int(60),
        "receive_maximum" => Value::Int(32),
        "expiry_interval" => Value::Int(3600),
        "clean_start" | "is_superuser" => Value::Bool(true),
        "is_bridge" | "is_anonymous" | "dup" | "retain" => Value::Bool(false),
        "action" => Value::sym("publish"),
        "authz_source" => Value::sym("cache"),
        "result" => Value::sym("allow"),
        "validation" => Value::str("my_validation"),
        "name" => Value::str("alarm_name"),
        "message" => Value::str("something is wrong"),
        "details" => map([("extra", Value::str("details"))]),
        "activated_at" => Value::Int(1_736_512_728_666),
        "deactivated_at" => Value::Int(1_736_512_728_999),
        "server" => Value::str("192.168.0.10:1883"),
        "timestamp" | "publish_received_at" | "connected_at" | "disconnected_at" | "message_received_at" => {
            Value::Int(AT)
        }
        // There are no mount points.
        _ => Value::Undefined,
    }
}

/// Its pairs have one entry each, which no event that happened has: the sample is so in EMQX.
fn properties<const N: usize>(numbers: [(&'static str, i64); N]) -> Value {
    let mut entries = crate::value::Map::new();
    let user = map([("foo", Value::str("bar"))]);
    let pairs = Value::list(vec![map([("key", Value::str("foo"))]), map([("value", Value::str("bar"))])]);
    entries.insert(Bytes::from_static(b"User-Property"), user);
    entries.insert(Bytes::from_static(b"User-Property-Pairs"), pairs);
    for (name, number) in numbers {
        entries.insert(Bytes::from_static(name.as_bytes()), Value::Int(number));
    }
    Value::map(entries)
}
