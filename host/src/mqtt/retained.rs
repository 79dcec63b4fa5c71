//! The last retained message of each topic, bounded in messages and bytes.
//!
//! Kept in the order of topic names, so that a filter only looks at names that share its literal beginning. Expired
//! messages are never handed out and are swept away.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;

use super::router::shareable;
use crate::message::Message;
use crate::telemetry::metrics::Metrics;
use crate::topic::TopicFilter;

/// What the store may hold.
#[derive(Clone, Copy, Debug)]
pub struct RetainedLimits {
    pub messages: usize,
    pub bytes: usize,
}

#[derive(Debug, Default)]
struct Store {
    by_topic: BTreeMap<Arc<str>, Arc<Message>>,
    /// Milliseconds since 1970 at which a message expires, and its topic.
    expiring: BTreeSet<(i64, Arc<str>)>,
    bytes: usize,
}

/// All retained messages of this node.
#[derive(Debug)]
pub struct Retained {
    store: RwLock<Store>,
    limits: RetainedLimits,
}

/// When a message expires, in milliseconds since 1970; `None` is never.
#[must_use]
pub fn expires_at(message: &Message) -> Option<i64> {
    let seconds = message.properties.as_ref()?.message_expiry_interval?;
    Some(message.received_at.saturating_add(i64::from(seconds) * 1000))
}

impl Retained {
    #[must_use]
    pub fn new(limits: RetainedLimits) -> Retained {
        Retained { store: RwLock::default(), limits }
    }

    /// Takes a message that was published with RETAIN: it replaces the one before; an empty payload only clears
    /// (MQTT-3.3.1-6, -7). When the store is full the message is not retained, and counted.
    pub fn put(&self, message: &Message, metrics: &Metrics) {
        let mut store = self.store.write();
        store.remove(message.topic.as_str());
        if !message.payload.is_empty() {
            let weight = weight(message);
            if store.by_topic.len() < self.limits.messages && store.bytes + weight <= self.limits.bytes {
                let message = Arc::new(shareable(message));
                if let Some(at) = expires_at(&message) {
                    store.expiring.insert((at, message.topic.shared()));
                }
                store.bytes += weight;
                store.by_topic.insert(message.topic.shared(), message);
            } else {
                metrics.retained_dropped.add(1);
            }
        }
        metrics.retained_current.set(store.by_topic.len() as u64);
    }

    /// All that `filter` matches and that is not expired at `now` (milliseconds since 1970).
    #[must_use]
    pub fn matching(&self, filter: &TopicFilter, now: i64) -> Vec<Arc<Message>> {
        let store = self.store.read();
        let fresh = |message: &&Arc<Message>| expires_at(message).is_none_or(|at| at > now);
        if !filter.has_wildcard() {
            return store.by_topic.get(filter.as_str()).filter(fresh).cloned().into_iter().collect();
        }
        // "a/b/#" also matches "a/b", so the shared beginning ends before the separator.
        let literal = filter.as_str().find(['+', '#']).unwrap_or(0);
        let prefix = filter.as_str()[..literal].trim_end_matches('/');
        store
            .by_topic
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(topic, _)| topic.starts_with(prefix))
            .filter(|(topic, _)| filter.matches(topic))
            .map(|(_, message)| message)
            .filter(fresh)
            .cloned()
            .collect()
    }

    /// Forgets what is expired at `now`.
    pub fn sweep(&self, now: i64, metrics: &Metrics) {
        let mut store = self.store.write();
        while let Some((at, topic)) = store.expiring.first().cloned() {
            if at > now {
                break;
            }
            store.remove(&topic);
        }
        metrics.retained_current.set(store.by_topic.len() as u64);
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.store.read().by_topic.is_empty()
    }
}

impl Store {
    fn remove(&mut self, topic: &str) {
        let Some((topic, message)) = self.by_topic.remove_entry(topic) else { return };
        self.bytes -= weight(&message);
        if let Some(at) = expires_at(&message) {
            self.expiring.remove(&(at, topic));
        }
    }
}

fn weight(message: &Message) -> usize {
    message.topic.as_str().len() + message.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Properties, QoS};
    use crate::mqtt::testing::message;

    fn store(messages: usize, bytes: usize) -> (Retained, Metrics) {
        (Retained::new(RetainedLimits { messages, bytes }), Metrics::default())
    }

    fn topics(retained: &Retained, filter: &str) -> Vec<String> {
        let found = retained.matching(&TopicFilter::new(filter).unwrap(), 0);
        found.iter().map(|message| message.topic.to_string()).collect()
    }

    #[test]
    fn filters_find_what_they_match_and_nothing_else() {
        let (retained, metrics) = store(100, 10_000);
        let names = ["a", "a/b", "a/b/c", "a/bc", "ab", "$SYS/x", "ü/x"];
        for name in names {
            retained.put(&message(name, "x", QoS::AtMostOnce), &metrics);
        }
        for filter in ["#", "+", "a/#", "a/b/#", "a/+", "+/+", "a/b", "$SYS/#", "ü/+", "a/+/c", "/", "/+"] {
            let matches = |name: &&&str| TopicFilter::new(filter).unwrap().matches(name);
            let mut expected: Vec<_> = names.iter().filter(matches).map(ToString::to_string).collect();
            expected.sort();
            assert_eq!(topics(&retained, filter), expected, "{filter}");
        }
    }

    #[test]
    fn an_empty_payload_clears_and_the_store_is_bounded() {
        let (retained, metrics) = store(2, 12);
        for (name, payload) in [("a", "1"), ("b", "1"), ("c", "1")] {
            retained.put(&message(name, payload, QoS::AtMostOnce), &metrics);
        }
        assert_eq!((retained.store.read().by_topic.len(), metrics.retained_dropped.get()), (2, 1));
        retained.put(&message("a", "2", QoS::AtMostOnce), &metrics);
        retained.put(&message("b", "", QoS::AtMostOnce), &metrics);
        retained.put(&message("c", "12345678901", QoS::AtMostOnce), &metrics);
        assert_eq!(topics(&retained, "#"), ["a"]);
        assert_eq!((metrics.retained_dropped.get(), metrics.retained_current.get()), (2, 1));
        retained.put(&message("a", "", QoS::AtMostOnce), &metrics);
        assert_eq!(retained.store.read().bytes, 0);
    }

    #[test]
    fn expired_messages_are_not_handed_out_and_go() {
        let (retained, metrics) = store(9, 999);
        let mut short = message("a", "x", QoS::AtMostOnce);
        short.received_at = 1000;
        short.properties = Some(Box::new(Properties { message_expiry_interval: Some(2), ..Properties::default() }));
        retained.put(&short, &metrics);
        let filter = TopicFilter::new("a").unwrap();
        assert_eq!(retained.matching(&filter, 2999).len(), 1);
        assert_eq!(retained.matching(&filter, 3000).len(), 0);
        retained.sweep(2999, &metrics);
        assert_eq!(retained.store.read().by_topic.len(), 1);
        retained.sweep(3000, &metrics);
        assert!(retained.is_empty() && retained.store.read().expiring.is_empty());
    }
}
