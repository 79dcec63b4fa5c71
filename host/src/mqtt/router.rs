//! Finds who subscribed to a topic and puts the message into their mailboxes. Never waits for any of them.
//!
//! One message reaches a session once, however many of its filters match: with the highest granted QoS and the
//! identifiers of all of them (MQTT 5.0, 3.3.4).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;

use super::events::dropped;
use super::mailbox::Mailbox;
use super::packet::RetainHandling;
use super::queue::{Delivery, SubscriptionIds};
use super::shared::{Member, SharedGroup};
use crate::message::{ClientId, Message, QoS};
use crate::telemetry::metrics::Metrics;
use crate::topic::{FilterIndex, TopicFilter, TopicName};

/// What a client asked for with one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionOptions {
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
    pub subscription_id: Option<u32>,
}

#[derive(Debug)]
enum Entry {
    Own(Arc<Mailbox>, SubscriptionOptions),
    Shared(Arc<SharedGroup>),
}

/// A filter as subscribed, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// The name of `$share/name/filter`.
    pub share: Option<Arc<str>>,
    pub filter: TopicFilter,
}

impl Subscribed {
    /// `None` when the filter, or the name of its group, is not valid (MQTT-4.7.1, MQTT-4.8.2-1, -2).
    #[must_use]
    pub fn parse(text: &str) -> Option<Subscribed> {
        let Some(shared) = text.strip_prefix("$share/") else {
            return Some(Subscribed { share: None, filter: TopicFilter::new(text).ok()? });
        };
        let (name, filter) = shared.split_once('/')?;
        if name.is_empty() || name.contains(['+', '#']) {
            return None;
        }
        Some(Subscribed { share: Some(Arc::from(name)), filter: TopicFilter::new(filter).ok()? })
    }
}

/// Payloads up to this size are copied for subscribers, so that a small one does not hold a whole read buffer.
const COPY_PAYLOAD: usize = 32 << 10;

/// All subscriptions of this node.
#[derive(Debug, Default)]
pub struct Router {
    index: RwLock<FilterIndex<Entry>>,
    entries: AtomicUsize,
    generation: AtomicU64,
}

impl Router {
    /// No subscription at all: nothing to look up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.load(Ordering::Acquire) == 0
    }

    /// Changes with every change of the subscriptions, so that "nobody subscribes to this" can be remembered.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Subscribes, replacing what the same session had for the same filter.
    pub fn subscribe(&self, subscribed: &Subscribed, mailbox: &Arc<Mailbox>, options: SubscriptionOptions) {
        let mut index = self.index.write();
        match &subscribed.share {
            None => {
                Self::remove_own(&mut index, &subscribed.filter, mailbox);
                index.insert(&subscribed.filter, Entry::Own(mailbox.clone(), options));
            }
            Some(name) => {
                let member = Member { mailbox: mailbox.clone(), options };
                let group = match Self::group(&mut index, &subscribed.filter, name) {
                    Some(group) => group,
                    None => SharedGroup::new(name.clone()),
                };
                group.join(member);
                index.insert(&subscribed.filter, Entry::Shared(group));
            }
        }
        self.changed(&index);
    }

    /// Ends a subscription. For a shared one, the group that was left.
    pub fn unsubscribe(&self, subscribed: &Subscribed, mailbox: &Arc<Mailbox>) -> Option<Arc<SharedGroup>> {
        let mut index = self.index.write();
        let mut left = None;
        match &subscribed.share {
            None => Self::remove_own(&mut index, &subscribed.filter, mailbox),
            Some(name) => {
                if let Some(group) = Self::group(&mut index, &subscribed.filter, name) {
                    if !group.leave(mailbox) {
                        index.insert(&subscribed.filter, Entry::Shared(group.clone()));
                    }
                    left = Some(group);
                }
            }
        }
        self.changed(&index);
        left
    }

    fn remove_own(index: &mut FilterIndex<Entry>, filter: &TopicFilter, mailbox: &Arc<Mailbox>) {
        index.remove(filter, |entry| matches!(entry, Entry::Own(owner, _) if Arc::ptr_eq(owner, mailbox)));
    }

    /// Takes the group of that name out of the index.
    fn group(index: &mut FilterIndex<Entry>, filter: &TopicFilter, name: &Arc<str>) -> Option<Arc<SharedGroup>> {
        let removed =
            index.remove(filter, |entry| matches!(entry, Entry::Shared(group) if group.name() == name.as_ref()));
        removed.into_iter().find_map(|entry| match entry {
            Entry::Shared(group) => Some(group),
            Entry::Own(..) => None,
        })
    }

    fn changed(&self, index: &FilterIndex<Entry>) {
        self.entries.store(index.len(), Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether any filter matches this topic.
    #[must_use]
    pub fn is_wanted(&self, topic: &str) -> bool {
        let mut wanted = false;
        self.index.read().for_each_match(topic, |_| wanted = true);
        wanted
    }

    /// Puts a message into the mailboxes of all that subscribed to its topic. `from`: the publishing client, which No
    /// Local leaves out.
    pub fn route(&self, message: &Message, from: &ClientId, metrics: &Metrics) -> Routed {
        let index = self.index.read();
        let mut own: Vec<(&Arc<Mailbox>, &SubscriptionOptions)> = Vec::new();
        let mut groups: Vec<&Arc<SharedGroup>> = Vec::new();
        let mut routed = Routed::default();
        index.for_each_match(message.topic.as_str(), |entry| {
            routed.matched = true;
            match entry {
                Entry::Own(mailbox, options) => {
                    if !(options.no_local && mailbox.client() == from) {
                        own.push((mailbox, options));
                    } else if mailbox.explains_drops() {
                        let message = Arc::new(shareable(message));
                        mailbox.left_out(&combine(&message, &[(mailbox, options)]), dropped::NO_LOCAL);
                    }
                }
                Entry::Shared(group) => groups.push(group),
            }
        });
        if own.is_empty() && groups.is_empty() {
            return routed;
        }
        let message = Arc::new(shareable(message));
        if own.len() > 1 {
            own.sort_unstable_by_key(|(mailbox, _)| Arc::as_ptr(mailbox));
        }
        for same in own.chunk_by(|(one, _), (other, _)| Arc::ptr_eq(one, other)) {
            let Some((mailbox, _)) = same.first() else { continue };
            routed.queued += usize::from(mailbox.deliver(combine(&message, same), metrics));
        }
        for group in groups {
            routed.queued += usize::from(group.deliver(&message, metrics));
        }
        routed
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Routed {
    /// Some filter matches this topic, even if nobody got the message.
    pub matched: bool,
    /// Sessions that have it now.
    pub queued: usize,
}

fn combine(message: &Arc<Message>, same: &[(&Arc<Mailbox>, &SubscriptionOptions)]) -> Delivery {
    let mut delivery = Delivery {
        message: message.clone(),
        qos: QoS::AtMostOnce,
        retain: false,
        subscription_ids: SubscriptionIds::None,
        group: None,
    };
    for (_, options) in same {
        delivery.qos = delivery.qos.max(options.qos.min(message.qos));
        delivery.retain |= options.retain_as_published && message.retain;
        if let Some(id) = options.subscription_id {
            delivery.subscription_ids.push(id);
        }
    }
    delivery
}

/// The message for keeping: a small payload gets memory of its own.
pub(super) fn shareable(message: &Message) -> Message {
    let mut message = message.clone();
    if message.payload.len() <= COPY_PAYLOAD {
        message.payload = Bytes::copy_from_slice(&message.payload);
    }
    message
}

/// A retained message for a new subscription (MQTT-3.3.1-8 of 3.1.1: it goes out with RETAIN set).
pub(super) fn retained_delivery(message: Arc<Message>, options: &SubscriptionOptions) -> Delivery {
    let qos = options.qos.min(message.qos);
    let subscription_ids = options.subscription_id.map_or(SubscriptionIds::None, SubscriptionIds::One);
    Delivery { message, qos, retain: true, subscription_ids, group: None }
}

/// Topics that clients must not publish to: the server's own (MQTT-4.7.2-1). Other `$` topics are like any.
#[must_use]
pub fn is_reserved(topic: &TopicName) -> bool {
    topic.as_str() == "$SYS" || topic.as_str().starts_with("$SYS/")
}
