//! What happens around messages: clients that come and go, subscriptions, deliveries, decisions. Plain facts as the MQTT
//! front saw them; which columns a rule reads of them is `rule::event`'s business (rule-sql 3).
//!
//! Nothing here is built unless some rule asks for that kind ([`EventKind`], [`EventSet`]); nothing here reads a clock.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::message::{Client, Message, MessageId, QoS};
use crate::topic::{TopicFilter, TopicName};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $topic:literal, $legacy:expr;)*) => {
        /// The events of the rule language besides publications (rule-sql 3.3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventKind { $($(#[$doc])* $kind,)* }

        impl EventKind {
            pub const ALL: &[EventKind] = &[$(EventKind::$kind,)*];

            /// The column `event`, such as `client.connected`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(EventKind::$kind => $name,)* }
            }

            /// What FROM names it by, such as `$events/client/connected`.
            #[must_use]
            pub fn topic(self) -> &'static str {
                match self { $(EventKind::$kind => $topic,)* }
            }

            /// The older name in FROM, such as `$events/client_connected`.
            #[must_use]
            pub fn legacy_topic(self) -> Option<&'static str> {
                match self { $(EventKind::$kind => $legacy,)* }
            }
        }
    };
}

kinds! {
    MessageDelivered = "message.delivered", "$events/message/delivered", Some("$events/message_delivered");
    MessageAcked = "message.acked", "$events/message/acked", Some("$events/message_acked");
    /// Nobody subscribes to it, or it was not let in.
    MessageDropped = "message.dropped", "$events/message/dropped", Some("$events/message_dropped");
    /// It was on its way to one subscriber.
    DeliveryDropped = "delivery.dropped", "$events/message/delivery_dropped", Some("$events/delivery_dropped");
    /// Never happens here: there is no such check before the rules.
    TransformationFailed = "message.transformation_failed", "$events/message_transformation/failed",
        Some("$events/message_transformation_failed");
    /// Never happens here, as above.
    ValidationFailed = "schema.validation_failed", "$events/schema_validation/failed",
        Some("$events/schema_validation_failed");
    ClientConnected = "client.connected", "$events/client/connected", Some("$events/client_connected");
    ClientDisconnected = "client.disconnected", "$events/client/disconnected", Some("$events/client_disconnected");
    ClientConnack = "client.connack", "$events/client/connack", Some("$events/client_connack");
    ClientPing = "client.ping", "$events/client/ping", None;
    CheckAuthnComplete = "client.check_authn_complete", "$events/auth/check_authn_complete",
        Some("$events/client_check_authn_complete");
    CheckAuthzComplete = "client.check_authz_complete", "$events/auth/check_authz_complete",
        Some("$events/client_check_authz_complete");
    SessionSubscribed = "session.subscribed", "$events/session/subscribed", Some("$events/session_subscribed");
    SessionUnsubscribed = "session.unsubscribed", "$events/session/unsubscribed", Some("$events/session_unsubscribed");
    /// Never happens here: there are metrics, but no alarms.
    AlarmActivated = "alarm.activated", "$events/sys/alarm_activated", None;
    /// Never happens here, as above.
    AlarmDeactivated = "alarm.deactivated", "$events/sys/alarm_deactivated", None;
}

impl EventKind {
    /// The kind of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<EventKind> {
        EventKind::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether an entry of FROM that begins with `$events/` names this kind, by its current or its older name. The entry
    /// may be a filter, such as `$events/client/+`.
    #[must_use]
    pub fn is_named_by(self, entry: &TopicFilter) -> bool {
        entry.matches(self.topic()) || self.legacy_topic().is_some_and(|topic| entry.matches(topic))
    }

    /// Whether this broker ever raises it.
    #[must_use]
    pub fn happens(self) -> bool {
        !matches!(
            self,
            EventKind::TransformationFailed
                | EventKind::ValidationFailed
                | EventKind::AlarmActivated
                | EventKind::AlarmDeactivated
        )
    }

    /// The current topic as a name, which is made once.
    fn topic_name(self) -> Option<TopicName> {
        static NAMES: OnceLock<Vec<Option<TopicName>>> = OnceLock::new();
        let names = NAMES.get_or_init(|| EventKind::ALL.iter().map(|kind| TopicName::new(kind.topic()).ok()).collect());
        names.get(self as usize).cloned().flatten()
    }
}

/// Some kinds of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventSet(u32);

impl EventSet {
    pub fn insert(&mut self, kind: EventKind) {
        self.0 |= 1 << kind as u32;
    }

    #[must_use]
    pub fn contains(self, kind: EventKind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }

    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    #[must_use]
    pub fn from_bits(bits: u32) -> EventSet {
        EventSet(bits)
    }
}

/// The MQTT 5 properties of a packet other than PUBLISH, under the standard's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketProperties {
    pub named: Vec<(&'static str, PropertyValue)>,
    /// In the order of the packet, duplicates kept.
    pub user: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyValue {
    Number(u32),
    Text(String),
    Binary(Bytes),
}

/// One connection, as far as its events tell of it; kept as long as it lasts.
#[derive(Debug)]
pub struct Connection {
    pub client: Arc<Client>,
    /// The address that the client connected to.
    pub local: SocketAddr,
    /// Seconds, as agreed.
    pub keep_alive: u16,
    pub clean_start: bool,
    /// What the client takes unacknowledged, as agreed.
    pub receive_maximum: u16,
    /// Seconds that the session outlives the connection; `u32::MAX` is for ever.
    pub session_expiry: u32,
    /// Of CONNECT; `None` when it had none.
    pub properties: Option<Box<PacketProperties>>,
    /// Milliseconds since 1970-01-01 UTC; `None` for one that was refused.
    pub connected_at: Option<i64>,
}

/// One message on its way to one subscriber.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub message: Arc<Message>,
    /// As delivered, not as published.
    pub qos: QoS,
    pub retain: bool,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Fact {
    Connected(Arc<Connection>),
    Disconnected {
        connection: Arc<Connection>,
        reason: &'static str,
        properties: Option<Box<PacketProperties>>,
    },
    Connack {
        connection: Arc<Connection>,
        /// The standard's name in MQTT 5, for every version.
        reason_code: &'static str,
    },
    Ping(Arc<Connection>),
    Authenticated {
        reason_code: &'static str,
        is_superuser: bool,
        is_anonymous: bool,
    },
    Authorized {
        /// A topic name or a filter.
        topic: Arc<str>,
        /// `publish` or `subscribe`.
        action: &'static str,
        source: &'static str,
        allowed: bool,
    },
    Subscribed {
        /// As it was asked for, `$share/` included.
        topic: Arc<str>,
        qos: QoS,
        properties: Option<Arc<PacketProperties>>,
    },
    Unsubscribed {
        topic: Arc<str>,
        qos: QoS,
        properties: Option<Arc<PacketProperties>>,
    },
    Delivered(Delivery),
    Acked {
        delivery: Delivery,
        /// Of PUBACK or PUBREC.
        properties: Option<Box<PacketProperties>>,
    },
    Dropped {
        message: Arc<Message>,
        reason: &'static str,
    },
    DeliveryDropped {
        delivery: Delivery,
        reason: &'static str,
    },
}

/// One event.
#[derive(Clone, Debug)]
pub struct Occurrence {
    /// Milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Whom it is about: of a delivery, who receives it; of a dropped message, who published it.
    pub client: Arc<Client>,
    pub fact: Fact,
}

impl Occurrence {
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self.fact {
            Fact::Connected(_) => EventKind::ClientConnected,
            Fact::Disconnected { .. } => EventKind::ClientDisconnected,
            Fact::Connack { .. } => EventKind::ClientConnack,
            Fact::Ping(_) => EventKind::ClientPing,
            Fact::Authenticated { .. } => EventKind::CheckAuthnComplete,
            Fact::Authorized { .. } => EventKind::CheckAuthzComplete,
            Fact::Subscribed { .. } => EventKind::SessionSubscribed,
            Fact::Unsubscribed { .. } => EventKind::SessionUnsubscribed,
            Fact::Delivered(_) => EventKind::MessageDelivered,
            Fact::Acked { .. } => EventKind::MessageAcked,
            Fact::Dropped { .. } => EventKind::MessageDropped,
            Fact::DeliveryDropped { .. } => EventKind::DeliveryDropped,
        }
    }

    /// The message that it is about, if it is about one.
    #[must_use]
    pub fn message(&self) -> Option<&Arc<Message>> {
        match &self.fact {
            Fact::Dropped { message, .. } => Some(message),
            _ => self.delivery().map(|delivery| &delivery.message),
        }
    }

    /// The delivery that it is about, if it is about one.
    #[must_use]
    pub fn delivery(&self) -> Option<&Delivery> {
        match &self.fact {
            Fact::Delivered(delivery) | Fact::Acked { delivery, .. } | Fact::DeliveryDropped { delivery, .. } => {
                Some(delivery)
            }
            _ => None,
        }
    }

    /// The event in the form of a message, which is how plugins see it and what stands in for one where a rule's actions
    /// need one: from the client that it is about, at the time of the event, on the event's topic; with the payload and
    /// the properties of the message that it is about, or none.
    #[must_use]
    pub fn as_message(&self) -> Option<Message> {
        let about = self.message();
        Some(Message {
            id: about.map_or_else(|| MessageId::next(self.at), |message| message.id),
            client: self.client.clone(),
            topic: self.kind().topic_name()?,
            payload: about.map_or_else(Bytes::new, |message| message.payload.clone()),
            qos: about.map_or(QoS::AtMostOnce, |message| message.qos),
            retain: about.is_some_and(|message| message.retain),
            dup: about.is_some_and(|message| message.dup),
            properties: about.and_then(|message| message.properties.clone()),
            received_at: self.at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_names_of_its_own_and_is_found_by_them() {
        let mut set = EventSet::default();
        for (position, kind) in EventKind::ALL.iter().copied().enumerate() {
            assert_eq!((EventKind::of_name(kind.name()), kind as usize), (Some(kind), position));
            assert_eq!(kind.topic_name().unwrap().as_str(), kind.topic());
            assert!(!set.contains(kind));
            set.insert(kind);
            assert!(EventSet::from_bits(set.bits()).contains(kind));
            for topic in [Some(kind.topic()), kind.legacy_topic()].into_iter().flatten() {
                let entry = TopicFilter::new(topic).unwrap();
                let named: Vec<_> = EventKind::ALL.iter().filter(|kind| kind.is_named_by(&entry)).collect();
                assert_eq!(named, [&kind], "{topic}");
            }
        }
        assert_eq!(EventKind::of_name("message.publish"), None);
    }

    #[test]
    fn an_entry_may_be_a_filter_over_both_forms_of_the_names() {
        let named = |entry: &str| {
            let entry = TopicFilter::new(entry).unwrap();
            EventKind::ALL.iter().filter(|kind| kind.is_named_by(&entry)).count()
        };
        assert_eq!(named("$events/#"), 16);
        assert_eq!(named("$events/sys/+"), 2);
        assert_eq!(named("$events/client/+"), 4);
        assert_eq!(named("$events/+"), 13);
        for nothing in ["$events/foo", "$events/message_publish", "#", "+/client/connected"] {
            assert_eq!(named(nothing), 0, "{nothing}");
        }
    }
}
