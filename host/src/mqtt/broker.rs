//! What all connections of this node share, and how the broker itself publishes (wills).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::acl::{Authorizer, ClientRules};
use super::auth::{Authenticator, Grant};
use super::banned::Banned;
use super::config::MqttConfig;
use super::events::{Events, dropped};
use super::links::Links;
use super::queue::QueueLimits;
use super::retained::{Retained, RetainedLimits};
use super::router::Router;
use super::sessions::{LastWill, Sessions};
use super::sys::SysTopics;
use crate::ack::AckHandle;
use crate::message::{Client, Message, MessageId};
use crate::pipeline::{Inbound, Ingress};
use crate::telemetry::metrics::Metrics;

/// Both clocks, read once for each socket read.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    /// Milliseconds since 1970-01-01 UTC.
    pub unix_millis: i64,
}

impl Now {
    #[must_use]
    pub fn read() -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { instant: Instant::now(), unix_millis: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) }
    }
}

/// The shared parts.
#[derive(Debug)]
pub struct Broker {
    pub config: MqttConfig,
    pub ingress: Ingress,
    pub events: Arc<Events>,
    pub links: Arc<Links>,
    pub sys: SysTopics,
    pub metrics: Arc<Metrics>,
    pub router: Arc<Router>,
    pub retained: Retained,
    pub sessions: Sessions,
    pub authenticator: ArcSwap<Authenticator>,
    pub authorizer: ArcSwap<Authorizer>,
    pub banned: ArcSwap<Banned>,
}

impl Broker {
    #[must_use]
    pub fn new(
        config: MqttConfig,
        ingress: Ingress,
        metrics: Arc<Metrics>,
        authenticator: Authenticator,
        authorizer: Authorizer,
        banned: Banned,
        sys: SysTopics,
    ) -> Broker {
        let router = Arc::new(Router::default());
        let events = Events::new(ingress.clone());
        let queue = QueueLimits {
            messages: config.max_mqueue_len,
            bytes: config.max_mqueue_bytes.as_usize(),
            retained: config.max_retained_messages,
            store_qos0: config.mqueue_store_qos0,
        };
        let retained =
            RetainedLimits { messages: config.max_retained_messages, bytes: config.max_retained_bytes.as_usize() };
        Broker {
            sessions: Sessions::new(router.clone(), metrics.clone(), events.clone(), queue, config.max_sessions),
            retained: Retained::new(retained),
            router,
            authenticator: ArcSwap::from_pointee(authenticator),
            authorizer: ArcSwap::from_pointee(authorizer),
            banned: ArcSwap::from_pointee(banned),
            ingress,
            events,
            links: Links::new(),
            sys,
            metrics,
            config,
        }
    }

    /// Whether `rules` come from the authorizer that is in force.
    #[must_use]
    pub fn are_current(&self, rules: &ClientRules) -> bool {
        rules.generation() == self.authorizer.load().generation()
    }

    #[must_use]
    pub fn resolve_rules(&self, client: &Client, grant: Option<&Grant>) -> Arc<ClientRules> {
        self.authorizer.load().resolve(client, grant, Now::read().unix_millis / 1000)
    }

    /// Whether this client must not connect now.
    #[must_use]
    pub fn bans(&self, client_id: &str, username: Option<&str>, host: IpAddr) -> bool {
        let banned = self.banned.load();
        !banned.is_empty() && banned.bans(client_id, username, host, Now::read().unix_millis / 1000)
    }

    /// Gives a message to this node's subscribers, and retains it if it says so and may be.
    pub fn publish_here(&self, message: &Message, may_retain: bool) {
        if message.retain && may_retain {
            self.retained.put(message, &self.metrics);
        }
        if !self.router.route(message, &message.client.id, &self.metrics).matched {
            self.events.dropped(message, dropped::NO_SUBSCRIBERS);
        }
    }

    /// Publishes a will as its client would have: retained, to subscribers, and down the pipeline. Nobody waits for
    /// its acknowledgement. Waits while the pipeline is full.
    pub async fn publish_will(&self, last: LastWill) {
        let LastWill { client, will } = last;
        let received_at = Now::read().unix_millis;
        let message = Message {
            id: MessageId::next(received_at),
            topic: will.topic,
            payload: will.payload,
            qos: will.qos,
            retain: will.retain,
            dup: false,
            properties: will.properties,
            received_at,
            client,
        };
        self.publish_here(&message, true);
        let shard = self.ingress.shard_of(&message.client.id);
        let mut batch = vec![Inbound::new(message, AckHandle::detached())];
        if self.ingress.submit(shard, &mut batch).await.is_err() {
            tracing::warn!("a will was not published: the pipeline is closed");
        }
    }
}
