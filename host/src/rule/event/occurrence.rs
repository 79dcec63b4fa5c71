//! The values of the columns of events besides publications, straight from what happened. One is built when somebody
//! asks for it.

use std::net::SocketAddr;

use super::publish::{client_attrs, copied, host, map, peer_name, properties};
use super::{Bytes, Column, Event, OccurredEvent, Value, columns};
use crate::event::{Connection, Fact, PacketProperties, PropertyValue};
use crate::message::{Client, ProtocolVersion};
use crate::value::Map;

impl Event for OccurredEvent<'_> {
    fn column(&self, column: Column) -> Option<Value> {
        self.has(column.name().as_bytes()).then(|| self.value(column.name()))
    }

    fn other(&self, name: &[u8]) -> Option<Value> {
        let name = std::str::from_utf8(name).ok()?;
        self.names_of().binary_search(&name).is_ok().then(|| self.value(name))
    }

    fn text(&self, column: Column) -> Option<&[u8]> {
        match column {
            Column::ClientId => Some(self.occurrence.client.id.as_str().as_bytes()),
            Column::Payload => self.payload().map(|payload| &**payload),
            Column::Topic => self.topic().map(str::as_bytes),
            _ => None,
        }
    }

    fn payload(&self) -> Option<&Bytes> {
        self.occurrence.message().is_some().then_some(&self.message.payload)
    }

    fn names(&self, visit: &mut dyn FnMut(&str)) {
        self.names_of().iter().for_each(|name| visit(name));
    }

    fn has(&self, name: &[u8]) -> bool {
        std::str::from_utf8(name).is_ok_and(|name| self.names_of().binary_search(&name).is_ok())
    }
}

impl OccurredEvent<'_> {
    fn names_of(&self) -> &'static [&'static str] {
        columns::that_happen(self.occurrence.kind())
    }

    fn topic(&self) -> Option<&str> {
        match &self.occurrence.fact {
            Fact::Authorized { topic, .. } | Fact::Subscribed { topic, .. } | Fact::Unsubscribed { topic, .. } => {
                Some(topic)
            }
            _ => self.occurrence.message().map(|message| message.topic.as_str()),
        }
    }

    fn connection(&self) -> Option<&Connection> {
        match &self.occurrence.fact {
            Fact::Connected(connection)
            | Fact::Disconnected { connection, .. }
            | Fact::Connack { connection, .. }
            | Fact::Ping(connection) => Some(connection),
            _ => None,
        }
    }

    /// The value of a column that this kind has.
    fn value(&self, name: &str) -> Value {
        let occurrence = self.occurrence;
        match name {
            "event" => Value::sym(occurrence.kind().name()),
            "metadata" => map([("namespace", Value::sym("global")), ("rule_id", Value::str(self.rule_id))]),
            "node" => Value::sym(self.node),
            "timestamp" | "disconnected_at" => Value::Int(occurrence.at),
            "clientid" => Value::str(occurrence.client.id.as_str()),
            "username" => user(&occurrence.client),
            "client_attrs" => client_attrs(&occurrence.client),
            "peerhost" => host(&occurrence.client),
            "peername" => peer_name(&occurrence.client),
            "topic" => self.topic().map_or(Value::Undefined, Value::str),
            _ if self.connection().is_some() => self.of_connection(name),
            _ if occurrence.message().is_some() => self.of_message(name),
            _ => self.of_decision(name),
        }
    }

    fn of_connection(&self, name: &str) -> Value {
        let Some(connection) = self.connection() else { return Value::Undefined };
        match (name, &self.occurrence.fact) {
            ("reason", Fact::Disconnected { reason, .. }) => Value::sym(reason),
            ("reason_code", Fact::Connack { reason_code, .. }) => Value::sym(reason_code),
            ("disconn_props", Fact::Disconnected { properties, .. }) => packet_properties(properties.as_deref()),
            ("clean_start", _) => Value::Bool(connection.clean_start),
            ("conn_props", _) => packet_properties(connection.properties.as_deref()),
            ("connected_at", _) => connection.connected_at.map_or(Value::Undefined, Value::Int),
            // Seconds here, milliseconds in the other two (rule-sql 3.11, 3.13, 3.14).
            ("expiry_interval", Fact::Connected(_)) => Value::Int(i64::from(connection.session_expiry)),
            ("expiry_interval", _) => Value::Int(i64::from(connection.session_expiry) * 1000),
            ("is_bridge", _) => Value::Bool(false),
            ("keepalive", _) => Value::Int(i64::from(connection.keep_alive)),
            ("proto_name", _) => Value::str("MQTT"),
            ("proto_ver", _) => Value::Int(match connection.client.version {
                ProtocolVersion::V4 => 4,
                ProtocolVersion::V5 => 5,
            }),
            ("receive_maximum", _) => Value::Int(i64::from(connection.receive_maximum)),
            ("sockname", _) => address(connection.local),
            // There are no mount points.
            _ => Value::Undefined,
        }
    }

    fn of_message(&self, name: &str) -> Value {
        let (Some(message), delivery) = (self.occurrence.message(), self.occurrence.delivery()) else {
            return Value::Undefined;
        };
        let (qos, retain) = delivery.map_or((message.qos, message.retain), |delivery| (delivery.qos, delivery.retain));
        match (name, &self.occurrence.fact) {
            ("reason", Fact::Dropped { reason, .. } | Fact::DeliveryDropped { reason, .. }) => Value::sym(reason),
            ("puback_props", Fact::Acked { properties, .. }) => packet_properties(properties.as_deref()),
            ("flags", _) => map([("dup", Value::Bool(message.dup)), ("retain", Value::Bool(retain))]),
            ("from_clientid", _) => Value::str(message.client.id.as_str()),
            ("from_username", _) => user(&message.client),
            ("id", _) => Value::str(&message.id.to_string()),
            ("payload", _) => Value::Str(self.message.payload.clone()),
            ("pub_props", _) => properties(message.properties.as_deref()),
            ("publish_received_at", _) => Value::Int(message.received_at),
            ("qos", _) => Value::Int(qos as i64),
            _ => Value::Undefined,
        }
    }

    fn of_decision(&self, name: &str) -> Value {
        match (name, &self.occurrence.fact) {
            ("reason_code", Fact::Authenticated { reason_code, .. }) => Value::str(reason_code),
            ("is_anonymous", Fact::Authenticated { is_anonymous, .. }) => Value::Bool(*is_anonymous),
            ("is_superuser", Fact::Authenticated { is_superuser, .. }) => Value::Bool(*is_superuser),
            ("action", Fact::Authorized { action, .. }) => Value::sym(action),
            ("authz_source", Fact::Authorized { source, .. }) => Value::sym(source),
            ("result", Fact::Authorized { allowed, .. }) => Value::sym(if *allowed { "allow" } else { "deny" }),
            ("qos", Fact::Subscribed { qos, .. } | Fact::Unsubscribed { qos, .. }) => Value::Int(*qos as i64),
            ("sub_props", Fact::Subscribed { properties, .. })
            | ("unsub_props", Fact::Unsubscribed { properties, .. }) => packet_properties(properties.as_deref()),
            _ => Value::Undefined,
        }
    }
}

fn user(client: &Client) -> Value {
    client.username.as_deref().map_or(Value::Undefined, Value::str)
}

/// `ip:port`; IPv6 addresses are not put in brackets (rule-sql 3.1).
fn address(address: SocketAddr) -> Value {
    Value::str(&format!("{}:{}", address.ip().to_canonical(), address.port()))
}

fn packet_properties(properties: Option<&PacketProperties>) -> Value {
    let none = PacketProperties::default();
    let given = properties.unwrap_or(&none);
    let mut entries = Map::new();
    super::publish::user_properties(&given.user, &mut entries);
    for (name, value) in &given.named {
        let value = match value {
            PropertyValue::Number(n) => Value::Int(i64::from(*n)),
            PropertyValue::Text(text) => Value::str(text),
            PropertyValue::Binary(data) => Value::Str(data.clone()),
        };
        entries.insert(copied(name), value);
    }
    Value::map(entries)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::event::{Delivery, Occurrence};
    use crate::message::{ClientId, Message, MessageId, Properties, QoS};
    use crate::topic::TopicName;

    fn client(id: &str, username: Option<&str>, peer: &str) -> Arc<Client> {
        Arc::new(Client {
            id: ClientId::new(id),
            username: username.map(Arc::from),
            peer: peer.parse().unwrap(),
            version: ProtocolVersion::V5,
            attrs: [("site".to_owned(), "a".to_owned())].into(),
            hops: 0,
        })
    }

    fn connection() -> Arc<Connection> {
        let named = vec![("Session-Expiry-Interval", PropertyValue::Number(60))];
        Arc::new(Connection {
            client: client("hmi-1", Some("ops"), "192.0.2.90:40222"),
            local: "[::ffff:10.0.0.5]:1883".parse().unwrap(),
            keep_alive: 30,
            clean_start: false,
            receive_maximum: 32,
            session_expiry: 60,
            properties: Some(Box::new(PacketProperties { named, user: Vec::new() })),
            connected_at: Some(1_765_432_000_000),
        })
    }

    fn message() -> Arc<Message> {
        Arc::new(Message {
            id: MessageId::next(0),
            client: client("press-7", None, "[2001:db8::14]:50712"),
            topic: TopicName::new("plant/a/press").unwrap(),
            payload: Bytes::from_static(b"{\"bar\":4.2}"),
            qos: QoS::ExactlyOnce,
            retain: true,
            dup: false,
            properties: Some(Box::new(Properties { content_type: Some("x".to_owned()), ..Properties::default() })),
            received_at: 1_765_432_100_100,
        })
    }

    fn user(key: &str, value: &str) -> Option<Box<PacketProperties>> {
        let user = vec![(key.to_owned(), value.to_owned())];
        Some(Box::new(PacketProperties { named: Vec::new(), user }))
    }

    /// Everything that a rule with `SELECT *` sees of it but id, time, node and metadata, which are the same for all.
    fn seen(fact: Fact, client: &Arc<Client>) -> serde_json::Value {
        let occurrence = Occurrence { at: 5, client: client.clone(), fact };
        let message = occurrence.as_message().unwrap();
        let event = OccurredEvent { occurrence: &occurrence, message: &message, node: "edge-1", rule_id: "r" };
        let (mut names, mut json) = (Vec::new(), Vec::new());
        event.names(&mut |name| names.push(name.to_owned()));
        assert!(names.is_sorted(), "{names:?}");
        event.write_all(&mut json);
        let mut all: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let columns = all.as_object_mut().unwrap();
        assert_eq!(columns.len(), names.len());
        for name in &names {
            assert!(event.has(name.as_bytes()));
            // What is borrowed is what is built.
            if let Some(text) = Column::of(name.as_bytes()).and_then(|column| event.text(column)) {
                assert_eq!(event.get(name.as_bytes()), Some(Value::Str(Bytes::copy_from_slice(text))));
            }
        }
        assert_eq!((event.has(b"nope"), event.get(b"nope")), (false, None));
        let common = [("timestamp", json!(5)), ("node", json!("edge-1"))];
        for (name, value) in common {
            assert_eq!(columns.remove(name), Some(value));
        }
        assert_eq!(columns.remove("metadata"), Some(json!({"rule_id": "r", "namespace": "global"})));
        if let Some(id) = columns.remove("id") {
            assert_eq!(id, json!(message.id.to_string()));
        }
        all
    }

    #[test]
    fn connections() {
        let about = connection();
        let of = |fact: Fact| seen(fact, &about.client);
        let common = json!({"clientid": "hmi-1", "username": "ops", "peername": "192.0.2.90:40222",
            "sockname": "10.0.0.5:1883", "proto_name": "MQTT", "proto_ver": 5});
        let with = |more: serde_json::Value| {
            let mut all = common.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let given = json!({"User-Property": {}, "Session-Expiry-Interval": 60});
        let connected = json!({"event": "client.connected", "mountpoint": "undefined", "keepalive": 30,
            "clean_start": false, "receive_maximum": 32, "expiry_interval": 60, "is_bridge": false,
            "conn_props": given, "connected_at": 1_765_432_000_000_i64, "client_attrs": {"site": "a"}});
        assert_eq!(of(Fact::Connected(about.clone())), with(connected));
        let connack = json!({"event": "client.connack", "reason_code": "success", "keepalive": 30,
            "clean_start": false, "expiry_interval": 60_000, "conn_props": given,
            "connected_at": 1_765_432_000_000_i64});
        assert_eq!(of(Fact::Connack { connection: about.clone(), reason_code: "success" }), with(connack));
        let ping = json!({"event": "client.ping", "keepalive": 30, "clean_start": false, "expiry_interval": 60_000,
            "conn_props": given});
        assert_eq!(of(Fact::Ping(about.clone())), with(ping));
        let (reason, properties) = ("keepalive_timeout", user("k", "v"));
        let disconnected = json!({"event": "client.disconnected", "reason": "keepalive_timeout",
            "disconn_props": {"User-Property": {"k": "v"}, "User-Property-Pairs": [{"key": "k", "value": "v"}]},
            "connected_at": 1_765_432_000_000_i64, "disconnected_at": 5, "client_attrs": {"site": "a"}});
        assert_eq!(of(Fact::Disconnected { connection: about.clone(), reason, properties }), with(disconnected));
    }

    #[test]
    fn deliveries() {
        let receiver = client("hmi-1", Some("ops"), "192.0.2.90:40222");
        let delivery = Delivery { message: message(), qos: QoS::AtLeastOnce, retain: false };
        let common = json!({"from_clientid": "press-7", "from_username": "undefined", "clientid": "hmi-1",
            "username": "ops", "payload": "{\"bar\":4.2}", "peerhost": "192.0.2.90", "peername": "192.0.2.90:40222",
            "topic": "plant/a/press", "qos": 1, "flags": {"retain": false, "dup": false},
            "pub_props": {"User-Property": {}, "Content-Type": "x"}, "publish_received_at": 1_765_432_100_100_i64});
        let with = |more: serde_json::Value| {
            let mut all = common.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let delivered = seen(Fact::Delivered(delivery.clone()), &receiver);
        assert_eq!(delivered, with(json!({"event": "message.delivered"})));
        let acked = seen(Fact::Acked { delivery: delivery.clone(), properties: None }, &receiver);
        assert_eq!(acked, with(json!({"event": "message.acked", "puback_props": {"User-Property": {}}})));
        let dropped = seen(Fact::DeliveryDropped { delivery, reason: "queue_full" }, &receiver);
        assert_eq!(dropped, with(json!({"event": "delivery.dropped", "reason": "queue_full"})));
    }

    #[test]
    fn dropped_messages_are_as_published() {
        let message = message();
        let fact = Fact::Dropped { message: message.clone(), reason: "no_subscribers" };
        let expected = json!({"event": "message.dropped", "reason": "no_subscribers", "clientid": "press-7",
            "username": "undefined", "payload": "{\"bar\":4.2}", "peerhost": "2001:db8::14",
            "peername": "2001:db8::14:50712", "topic": "plant/a/press", "qos": 2,
            "flags": {"retain": true, "dup": false}, "pub_props": {"User-Property": {}, "Content-Type": "x"},
            "publish_received_at": 1_765_432_100_100_i64});
        assert_eq!(seen(fact, &message.client), expected);
    }

    #[test]
    fn decisions_and_subscriptions() {
        let who = client("hmi-1", Some("ops"), "192.0.2.90:40222");
        let common = json!({"clientid": "hmi-1", "username": "ops", "peername": "192.0.2.90:40222",
            "client_attrs": {"site": "a"}});
        let with = |more: serde_json::Value| {
            let mut all = common.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let fact = Fact::Authenticated { reason_code: "not_authorized", is_superuser: false, is_anonymous: false };
        let authn = json!({"event": "client.check_authn_complete", "reason_code": "not_authorized",
            "is_superuser": false, "is_anonymous": false});
        assert_eq!(seen(fact, &who), with(authn));
        let topic: Arc<str> = "plant/#".into();
        let fact = Fact::Authorized { topic: topic.clone(), action: "subscribe", source: "file", allowed: true };
        let authz = json!({"event": "client.check_authz_complete", "peerhost": "192.0.2.90", "topic": "plant/#",
            "action": "subscribe", "authz_source": "file", "result": "allow"});
        assert_eq!(seen(fact, &who), with(authz));
        let properties = user("why", "hmi").map(Arc::from);
        let fact = Fact::Subscribed { topic: topic.clone(), qos: QoS::AtLeastOnce, properties };
        let subscribed = json!({"event": "session.subscribed", "peerhost": "192.0.2.90", "topic": "plant/#", "qos": 1,
            "sub_props": {"User-Property": {"why": "hmi"}, "User-Property-Pairs": [{"key": "why", "value": "hmi"}]}});
        assert_eq!(seen(fact, &who), with(subscribed));
        let fact = Fact::Unsubscribed { topic, qos: QoS::AtLeastOnce, properties: None };
        let unsubscribed = json!({"event": "session.unsubscribed", "peerhost": "192.0.2.90", "topic": "plant/#",
            "qos": 1, "unsub_props": {"User-Property": {}}});
        assert_eq!(seen(fact, &who), with(unsubscribed));
    }
}
