//! The names of the columns of each kind of event besides publications (rule-sql 3.5 to 3.17), in ascending order: they
//! are looked up by halves.

use crate::event::EventKind;

/// The columns of any kind, in ascending order.
pub(super) fn of(kind: EventKind) -> &'static [&'static str] {
    match kind {
        EventKind::TransformationFailed | EventKind::ValidationFailed => FAILED,
        EventKind::AlarmActivated => ALARM,
        EventKind::AlarmDeactivated => ALARM_OVER,
        kind => that_happen(kind),
    }
}

/// The columns of a kind, in ascending order; none for kinds that never happen here.
pub(super) fn that_happen(kind: EventKind) -> &'static [&'static str] {
    match kind {
        EventKind::MessageDelivered => DELIVERY,
        EventKind::MessageAcked => ACKED,
        EventKind::MessageDropped => DROPPED,
        EventKind::DeliveryDropped => DELIVERY_DROPPED,
        EventKind::ClientConnected => CONNECTED,
        EventKind::ClientDisconnected => DISCONNECTED,
        EventKind::ClientConnack => CONNACK,
        EventKind::ClientPing => PING,
        EventKind::CheckAuthnComplete => AUTHENTICATED,
        EventKind::CheckAuthzComplete => AUTHORIZED,
        EventKind::SessionSubscribed => SUBSCRIBED,
        EventKind::SessionUnsubscribed => UNSUBSCRIBED,
        EventKind::TransformationFailed
        | EventKind::ValidationFailed
        | EventKind::AlarmActivated
        | EventKind::AlarmDeactivated => &[],
    }
}

const DELIVERY: &[&str] = &[
    "clientid",
    "event",
    "flags",
    "from_clientid",
    "from_username",
    "id",
    "metadata",
    "node",
    "payload",
    "peerhost",
    "peername",
    "pub_props",
    "publish_received_at",
    "qos",
    "timestamp",
    "topic",
    "username",
];

const ACKED: &[&str] = &[
    "clientid",
    "event",
    "flags",
    "from_clientid",
    "from_username",
    "id",
    "metadata",
    "node",
    "payload",
    "peerhost",
    "peername",
    "pub_props",
    "puback_props",
    "publish_received_at",
    "qos",
    "timestamp",
    "topic",
    "username",
];

const DELIVERY_DROPPED: &[&str] = &[
    "clientid",
    "event",
    "flags",
    "from_clientid",
    "from_username",
    "id",
    "metadata",
    "node",
    "payload",
    "peerhost",
    "peername",
    "pub_props",
    "publish_received_at",
    "qos",
    "reason",
    "timestamp",
    "topic",
    "username",
];

const DROPPED: &[&str] = &[
    "clientid",
    "event",
    "flags",
    "id",
    "metadata",
    "node",
    "payload",
    "peerhost",
    "peername",
    "pub_props",
    "publish_received_at",
    "qos",
    "reason",
    "timestamp",
    "topic",
    "username",
];

const CONNECTED: &[&str] = &[
    "clean_start",
    "client_attrs",
    "clientid",
    "conn_props",
    "connected_at",
    "event",
    "expiry_interval",
    "is_bridge",
    "keepalive",
    "metadata",
    "mountpoint",
    "node",
    "peername",
    "proto_name",
    "proto_ver",
    "receive_maximum",
    "sockname",
    "timestamp",
    "username",
];

const DISCONNECTED: &[&str] = &[
    "client_attrs",
    "clientid",
    "connected_at",
    "disconn_props",
    "disconnected_at",
    "event",
    "metadata",
    "node",
    "peername",
    "proto_name",
    "proto_ver",
    "reason",
    "sockname",
    "timestamp",
    "username",
];

const CONNACK: &[&str] = &[
    "clean_start",
    "clientid",
    "conn_props",
    "connected_at",
    "event",
    "expiry_interval",
    "keepalive",
    "metadata",
    "node",
    "peername",
    "proto_name",
    "proto_ver",
    "reason_code",
    "sockname",
    "timestamp",
    "username",
];

const PING: &[&str] = &[
    "clean_start",
    "clientid",
    "conn_props",
    "event",
    "expiry_interval",
    "keepalive",
    "metadata",
    "node",
    "peername",
    "proto_name",
    "proto_ver",
    "sockname",
    "timestamp",
    "username",
];

const AUTHENTICATED: &[&str] = &[
    "client_attrs",
    "clientid",
    "event",
    "is_anonymous",
    "is_superuser",
    "metadata",
    "node",
    "peername",
    "reason_code",
    "timestamp",
    "username",
];

const AUTHORIZED: &[&str] = &[
    "action",
    "authz_source",
    "client_attrs",
    "clientid",
    "event",
    "metadata",
    "node",
    "peerhost",
    "peername",
    "result",
    "timestamp",
    "topic",
    "username",
];

const SUBSCRIBED: &[&str] = &[
    "client_attrs",
    "clientid",
    "event",
    "metadata",
    "node",
    "peerhost",
    "peername",
    "qos",
    "sub_props",
    "timestamp",
    "topic",
    "username",
];

const UNSUBSCRIBED: &[&str] = &[
    "client_attrs",
    "clientid",
    "event",
    "metadata",
    "node",
    "peerhost",
    "peername",
    "qos",
    "timestamp",
    "topic",
    "unsub_props",
    "username",
];

/// EMQX's sample says `validation` for both.
const FAILED: &[&str] = &[
    "clientid",
    "event",
    "flags",
    "id",
    "metadata",
    "node",
    "payload",
    "peerhost",
    "peername",
    "pub_props",
    "publish_received_at",
    "qos",
    "timestamp",
    "topic",
    "username",
    "validation",
];

const ALARM: &[&str] = &["activated_at", "details", "event", "message", "metadata", "name"];
const ALARM_OVER: &[&str] = &["activated_at", "deactivated_at", "details", "event", "message", "metadata", "name"];

/// Of what another broker sends over a bridge; only the tester knows them.
pub(super) const DATA: &[&str] = &[
    "dup",
    "event",
    "id",
    "message_received_at",
    "metadata",
    "node",
    "payload",
    "pub_props",
    "qos",
    "retain",
    "server",
    "timestamp",
    "topic",
];
