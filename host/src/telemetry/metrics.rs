//! Every metric of the process in one table: field, Prometheus name, type, help.
//!
//! Counters are plain atomics; whoever counts batches adds once per batch. Rendering reads them without stopping anybody.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls; never below zero.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Gauge {
    pub fn add(&self, n: u64) {
        let now = self.now.fetch_add(n, Ordering::Relaxed) + n;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    pub fn sub(&self, n: u64) {
        self.now.fetch_sub(n, Ordering::Relaxed);
    }

    pub fn set(&self, n: u64) {
        self.now.store(n, Ordering::Relaxed);
        self.peak.fetch_max(n, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The most that it ever was.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

macro_rules! metrics {
    ($($field:ident: $type:ident = $name:literal, $help:literal;)*) => {
        /// The process-wide metrics; one value, shared by reference. Per-action and per-rule figures are rendered by
        /// the pipeline from its ledgers.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: $type,)*
        }

        impl Metrics {
            /// Appends all metrics in Prometheus' text format.
            pub fn render(&self, out: &mut String) {
                $(metric(out, $name, $help, stringify!($type), self.$field.get());)*
            }
        }
    };
}

fn metric(out: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    let kind = kind.to_ascii_lowercase();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}

metrics! {
    connections_accepted: Counter = "millstream_mqtt_connections_accepted_total", "Connections that sent an accepted CONNECT.";
    connections_refused: Counter = "millstream_mqtt_connections_refused_total", "Connections that were refused or closed before CONNACK success.";
    connections_current: Gauge = "millstream_mqtt_connections", "Connected clients.";
    sessions_current: Gauge = "millstream_mqtt_sessions", "Sessions in memory, connected or not.";
    subscriptions_current: Gauge = "millstream_mqtt_subscriptions", "Subscriptions of all sessions.";
    subscriptions_shared: Gauge = "millstream_mqtt_subscriptions_shared", "Of these, the shared ones.";
    retained_current: Gauge = "millstream_mqtt_retained_messages", "Retained messages in memory.";
    bytes_received: Counter = "millstream_mqtt_bytes_received_total", "Bytes read from clients, before TLS.";
    bytes_sent: Counter = "millstream_mqtt_bytes_sent_total", "Bytes written to clients, before TLS.";
    messages_received: Counter = "millstream_mqtt_messages_received_total", "PUBLISH packets accepted from clients.";
    messages_sent: Counter = "millstream_mqtt_messages_sent_total", "PUBLISH packets sent to subscribers.";
    acks_sent: Counter = "millstream_mqtt_acks_sent_total", "PUBACK and PUBREC sent with success or 0x10.";
    acks_refused: Counter = "millstream_mqtt_acks_refused_total", "PUBACK and PUBREC sent with an error, and connections closed instead of one.";
    unauthorized: Counter = "millstream_mqtt_unauthorized_total", "Publications and subscriptions that authorization denied.";
    unauthorized_publish: Counter = "millstream_mqtt_unauthorized_publish_total", "Of these, the publications.";
    hook_requests: Counter = "millstream_mqtt_hook_requests_total", "Questions to HTTP services about who may connect or do what.";
    hook_failures: Counter = "millstream_mqtt_hook_failures_total", "Of these, those without an answer that says anything.";
    protocol_errors: Counter = "millstream_mqtt_protocol_errors_total", "Connections closed for malformed packets or protocol errors.";
    delivery_dropped_queue_full: Counter = "millstream_mqtt_delivery_dropped_queue_full_total", "Messages dropped because a subscriber's queue was full.";
    delivery_dropped_too_large: Counter = "millstream_mqtt_delivery_dropped_too_large_total", "Messages larger than the subscriber's maximum packet size.";
    delivery_dropped_expired: Counter = "millstream_mqtt_delivery_dropped_expired_total", "Messages whose expiry interval passed before delivery.";
    delivery_dropped_session_ended: Counter = "millstream_mqtt_delivery_dropped_session_ended_total", "Messages that waited for a subscriber whose session ended.";
    retained_dropped: Counter = "millstream_mqtt_retained_dropped_total", "Messages that were not retained because the store was full.";
    delivery_dropped_qos0: Counter = "millstream_mqtt_delivery_dropped_qos0_total", "QoS 0 messages dropped for an absent or slow subscriber.";
}
