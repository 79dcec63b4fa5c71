//! Raises the events of the front: the one place where what happens here becomes an event of the rule language.
//!
//! Each function asks first whether a rule wants such an event, and does nothing else if none does. None ever waits; an
//! event that finds no room is counted by the pipeline. Of the broker's own messages (`$SYS/`) nothing is told (rule-sql
//! 2.1, EMQX's `ignore_sys_message`).

use std::sync::Arc;

use super::broker::Now;
use super::queue::Delivery;
use super::router::{is_reserved, shareable};
use crate::event::{self, Connection, EventKind, Fact, Occurrence, PacketProperties};
use crate::message::{Client, Message, QoS};
use crate::pipeline::Ingress;

/// User properties of one packet that an event tells of, in bytes: more are left out, so that a client's own words
/// cannot fill the memory.
pub const MAX_USER_PROPERTIES: usize = 16 << 10;

/// Why a message was not delivered to a subscriber, in EMQX's words (rule-sql 3.8); `too_large` is our own.
pub mod dropped {
    pub const QUEUE_FULL: &str = "queue_full";
    pub const NO_LOCAL: &str = "no_local";
    pub const EXPIRED: &str = "expired";
    pub const QOS0: &str = "qos0_msg";
    pub const TOO_LARGE: &str = "too_large";
    /// Of a message, not of a delivery.
    pub const NO_SUBSCRIBERS: &str = "no_subscribers";
}

/// Raises events.
#[derive(Clone, Debug)]
pub struct Events(Ingress);

impl Events {
    #[must_use]
    pub fn new(ingress: Ingress) -> Arc<Events> {
        Arc::new(Events(ingress))
    }

    #[must_use]
    pub fn wants(&self, kind: EventKind) -> bool {
        self.0.wants(kind)
    }

    /// Whether anybody wants to know of connections as such, and with it what they said in CONNECT.
    #[must_use]
    pub fn wants_connections(&self) -> bool {
        use EventKind::{ClientConnack, ClientConnected, ClientDisconnected, ClientPing};
        [ClientConnected, ClientConnack, ClientDisconnected, ClientPing].into_iter().any(|kind| self.wants(kind))
    }

    fn raise_at(&self, at: i64, client: &Arc<Client>, fact: Fact) {
        self.0.raise(Occurrence { at, client: client.clone(), fact });
    }

    fn raise(&self, client: &Arc<Client>, fact: Fact) {
        self.raise_at(Now::read().unix_millis, client, fact);
    }

    pub fn connected(&self, connection: &Arc<Connection>) {
        if self.wants(EventKind::ClientConnected) {
            self.raise(&connection.client, Fact::Connected(connection.clone()));
        }
    }

    pub fn connack(&self, connection: &Arc<Connection>, code: u8) {
        if self.wants(EventKind::ClientConnack) {
            let reason_code = reason_name(code);
            self.raise(&connection.client, Fact::Connack { connection: connection.clone(), reason_code });
        }
    }

    /// `at`: when it ended, in milliseconds since 1970.
    pub fn disconnected(
        &self,
        connection: &Arc<Connection>,
        reason: &'static str,
        properties: Option<Box<PacketProperties>>,
        at: i64,
    ) {
        if self.wants(EventKind::ClientDisconnected) {
            let fact = Fact::Disconnected { connection: connection.clone(), reason, properties };
            self.raise_at(at, &connection.client, fact);
        }
    }

    pub fn ping(&self, connection: &Arc<Connection>) {
        if self.wants(EventKind::ClientPing) {
            self.raise(&connection.client, Fact::Ping(connection.clone()));
        }
    }

    /// `identified`: the client proved who it is; another that is let in is anonymous.
    pub fn authenticated(&self, client: &Arc<Client>, code: u8, identified: bool, is_superuser: bool) {
        if self.wants(EventKind::CheckAuthnComplete) {
            let is_anonymous = code == 0 && !identified;
            self.raise(client, Fact::Authenticated { reason_code: reason_name(code), is_superuser, is_anonymous });
        }
    }

    /// A topic or filter was checked; to be called only when such events are wanted.
    pub fn authorized(
        &self,
        client: &Arc<Client>,
        action: &'static str,
        topic: &str,
        source: &'static str,
        allowed: bool,
    ) {
        self.raise(client, Fact::Authorized { topic: topic.into(), action, source, allowed });
    }

    pub fn subscribed(&self, client: &Arc<Client>, topic: &str, qos: QoS, properties: &Option<Arc<PacketProperties>>) {
        if self.wants(EventKind::SessionSubscribed) {
            self.raise(client, Fact::Subscribed { topic: topic.into(), qos, properties: properties.clone() });
        }
    }

    pub fn unsubscribed(
        &self,
        client: &Arc<Client>,
        topic: &str,
        qos: QoS,
        properties: &Option<Arc<PacketProperties>>,
    ) {
        if self.wants(EventKind::SessionUnsubscribed) {
            self.raise(client, Fact::Unsubscribed { topic: topic.into(), qos, properties: properties.clone() });
        }
    }

    /// A PUBLISH for `client` was written.
    pub fn delivered(&self, client: &Arc<Client>, delivery: &Delivery) {
        if self.wants(EventKind::MessageDelivered) && !is_reserved(&delivery.message.topic) {
            self.raise(client, Fact::Delivered(told(delivery)));
        }
    }

    /// `client` has it: PUBACK or PUBREC came.
    pub fn acked(&self, client: &Arc<Client>, delivery: &Delivery, properties: Option<Box<PacketProperties>>) {
        if self.wants(EventKind::MessageAcked) && !is_reserved(&delivery.message.topic) {
            self.raise(client, Fact::Acked { delivery: told(delivery), properties });
        }
    }

    pub fn delivery_dropped(&self, client: &Arc<Client>, delivery: &Delivery, reason: &'static str) {
        if self.wants(EventKind::DeliveryDropped) && !is_reserved(&delivery.message.topic) {
            self.raise(client, Fact::DeliveryDropped { delivery: told(delivery), reason });
        }
    }

    /// A message went to no subscriber, or was not let in.
    pub fn dropped(&self, message: &Message, reason: &'static str) {
        if self.wants(EventKind::MessageDropped) && !is_reserved(&message.topic) {
            let message = Arc::new(shareable(message));
            self.raise(&message.client.clone(), Fact::Dropped { message, reason });
        }
    }
}

fn told(delivery: &Delivery) -> event::Delivery {
    event::Delivery { message: delivery.message.clone(), qos: delivery.qos, retain: delivery.retain }
}

/// EMQX's word for a reason code of MQTT 5.0 (section 2.4).
#[must_use]
pub fn reason_name(code: u8) -> &'static str {
    match code {
        0x00 => "success",
        0x04 => "disconnect_with_will_message",
        0x10 => "no_matching_subscribers",
        0x11 => "no_subscription_existed",
        0x81 => "malformed_packet",
        0x82 => "protocol_error",
        0x83 => "implementation_specific_error",
        0x84 => "unsupported_protocol_version",
        0x85 => "client_identifier_not_valid",
        0x86 => "bad_username_or_password",
        0x87 => "not_authorized",
        0x88 => "server_unavailable",
        0x89 => "server_busy",
        0x8a => "banned",
        0x8b => "server_shutting_down",
        0x8c => "bad_authentication_method",
        0x8d => "keepalive_timeout",
        0x8e => "session_taken_over",
        0x8f => "topic_filter_invalid",
        0x90 => "topic_name_invalid",
        0x91 => "packet_identifier_inuse",
        0x92 => "packet_identifier_not_found",
        0x93 => "receive_maximum_exceeded",
        0x94 => "topic_alias_invalid",
        0x95 => "packet_too_large",
        0x96 => "message_rate_too_high",
        0x97 => "quota_exceeded",
        0x98 => "administrative_action",
        0x99 => "payload_format_invalid",
        0x9a => "retain_not_supported",
        0x9b => "qos_not_supported",
        0x9c => "use_another_server",
        0x9d => "server_moved",
        0x9e => "shared_subscriptions_not_supported",
        0x9f => "connection_rate_exceeded",
        0xa0 => "maximum_connect_time",
        0xa1 => "subscription_identifiers_not_supported",
        0xa2 => "wildcard_subscriptions_not_supported",
        _ => "unspecified_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::testing::{client, delivery};
    use crate::pipeline::IngressLimits;

    #[test]
    fn of_the_broker_s_own_messages_nothing_is_told() {
        let ingress = Ingress::new(1, IngressLimits::default());
        ingress.want_all_for_test();
        let events = Events::new(ingress.clone());
        let receiver = Arc::new(client("c", None, "127.0.0.1:1"));
        for (topic, told) in [("$SYS/brokers/n/uptime", 0), ("sensors/1", 4), ("$SYS", 4)] {
            let delivery = delivery(topic, 1);
            events.delivered(&receiver, &delivery);
            events.acked(&receiver, &delivery, None);
            events.delivery_dropped(&receiver, &delivery, dropped::QUEUE_FULL);
            events.dropped(&delivery.message, dropped::NO_SUBSCRIBERS);
            // What was told of a topic before stays in the queues: nobody empties them here.
            assert_eq!(ingress.depth(), told, "{topic}");
        }
    }
}
