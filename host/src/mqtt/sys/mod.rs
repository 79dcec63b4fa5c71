//! The broker's own topics, `$SYS/brokers/...`: what this node is, who comes and goes, how much went through. Topics,
//! payloads and intervals are EMQX's (its page "System Topic"), as far as there is such a thing here.
//!
//! They go to subscribers of this node only, with QoS 0, and never down the pipeline: EMQX's rules do not see them
//! either unless they are told to (`rule_engine.ignore_sys_message`). Nobody may publish here but the broker. Who may
//! subscribe is for the authorization rules to say; where they say nothing, only clients of this machine may, as in EMQX.
//! A topic that nobody subscribes to costs a look and nothing is built for it.

mod config;
mod figures;
mod presence;

pub use config::SysTopicsConfig;

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval_at};

use self::figures::datetime;
use super::broker::{Broker, Now};
use crate::message::{Client, ClientId, Message, MessageId, ProtocolVersion, QoS};
use crate::topic::TopicName;

/// Publishes the broker's own topics.
#[derive(Debug)]
pub struct SysTopics {
    config: SysTopicsConfig,
    node: String,
    /// `$SYS/brokers/NODE/`
    prefix: String,
    started: Instant,
    from: Arc<Client>,
}

/// Whether a filter can only match topics of the broker.
#[must_use]
pub fn is_sys_filter(filter: &str) -> bool {
    filter == "$SYS" || filter.starts_with("$SYS/")
}

impl SysTopics {
    #[must_use]
    pub fn new(config: SysTopicsConfig, node: &str, now: Instant) -> SysTopics {
        SysTopics {
            config,
            node: node.to_owned(),
            prefix: format!("$SYS/brokers/{node}/"),
            started: now,
            from: Arc::new(Client {
                id: ClientId::new("$SYS"),
                username: None,
                peer: SocketAddr::from(([0, 0, 0, 0], 0)),
                version: ProtocolVersion::V5,
                attrs: BTreeMap::new(),
                hops: 0,
            }),
        }
    }

    /// What changes all the time: every `sys_heartbeat_interval`.
    fn heartbeat(&self, broker: &Broker, now: Now) {
        let uptime = now.instant.saturating_duration_since(self.started).as_millis();
        self.publish(broker, "uptime", now, || uptime.to_string());
        self.publish(broker, "datetime", now, || datetime(now.unix_millis));
    }

    /// What the node is: retained, so that whoever subscribes later knows it.
    fn announce(&self, broker: &Broker, now: Now) {
        let facts = [
            ("$SYS/brokers".to_owned(), self.node.as_str()),
            (format!("{}version", self.prefix), env!("CARGO_PKG_VERSION")),
            (format!("{}sysdescr", self.prefix), "Millstream"),
        ];
        for (topic, payload) in facts {
            let Some(message) = self.message(&topic, payload.to_owned(), true, now) else { continue };
            if broker.config.retain_available {
                broker.retained.put(&message, &broker.metrics);
            }
            broker.router.route(&message, &self.from.id, &broker.metrics);
        }
    }

    /// How much there is and how much went through: every `sys_msg_interval`.
    fn count(&self, broker: &Broker, now: Now) {
        // Summed over all connections, so only when there may be somebody who listens.
        if broker.router.is_empty() {
            return;
        }
        figures::stats(broker, |name, value| self.publish(broker, &format!("stats/{name}"), now, || value.to_string()));
        figures::metrics(broker, |name, value| {
            self.publish(broker, &format!("metrics/{name}"), now, || value.to_string());
        });
    }

    /// To whoever subscribes to it; the payload is made only then.
    fn publish(&self, broker: &Broker, name: &str, now: Now, payload: impl FnOnce() -> String) {
        let topic = format!("{}{name}", self.prefix);
        if !broker.router.is_wanted(&topic) {
            return;
        }
        if let Some(message) = self.message(&topic, payload(), false, now) {
            broker.router.route(&message, &self.from.id, &broker.metrics);
        }
    }

    /// `None` when the topic cannot be one: a client id may have a wildcard in it.
    fn message(&self, topic: &str, payload: String, retain: bool, now: Now) -> Option<Message> {
        Some(Message {
            id: MessageId::next(now.unix_millis),
            client: self.from.clone(),
            topic: TopicName::new(topic).ok()?,
            payload: Bytes::from(payload),
            qos: QoS::AtMostOnce,
            retain,
            dup: false,
            properties: None,
            received_at: now.unix_millis,
        })
    }
}

/// Publishes at the configured intervals. Never returns; whoever spawned it ends it.
pub async fn run(broker: Arc<Broker>) {
    let sys = &broker.sys;
    sys.announce(&broker, Now::read());
    let heartbeats = every(sys.config.sys_heartbeat_interval.0, || sys.heartbeat(&broker, Now::read()));
    let counts = every(sys.config.sys_msg_interval.0, || {
        let now = Now::read();
        sys.announce(&broker, now);
        sys.count(&broker, now);
    });
    tokio::join!(heartbeats, counts);
}

async fn every(period: Option<Duration>, mut work: impl FnMut()) {
    let Some(period) = period else { return pending().await };
    let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        work();
    }
}

#[cfg(test)]
mod tests;
