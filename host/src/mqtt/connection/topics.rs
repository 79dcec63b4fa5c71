//! The topics that one connection publishes to: the latest ones, so that a known topic costs no allocation and no check,
//! and the aliases that the client has set.

use crate::mqtt::acl::Permits;
use crate::mqtt::config::MqttConfig;
use crate::mqtt::packet::Reason;
use crate::topic::{TopicError, TopicName};

/// A topic that was used lately, and what is known of it.
#[derive(Debug)]
pub(super) struct Known {
    pub name: TopicName,
    pub permits: Permits,
    /// The generation of the subscriptions in which nobody subscribed to it.
    pub unrouted_in: Option<u64>,
}

/// The topics of one connection.
#[derive(Debug)]
pub(super) struct Topics {
    recent: Vec<Known>,
    /// Where the next new topic goes when `recent` is full.
    oldest: usize,
    aliases: Vec<Option<TopicName>>,
    max_alias: u16,
    max_levels: usize,
    max_length: usize,
}

/// Whether a topic or filter is as short and as flat as the configuration asks.
pub(super) fn fits_limits(topic: &str, config: &MqttConfig) -> bool {
    topic.len() <= config.max_topic_length && topic.split('/').count() <= config.max_topic_levels
}

/// How many are remembered.
const RECENT: usize = 8;

impl Topics {
    pub(super) fn new(config: &MqttConfig) -> Topics {
        Topics {
            recent: Vec::new(),
            oldest: 0,
            aliases: Vec::new(),
            max_alias: config.max_topic_alias,
            max_levels: config.max_topic_levels,
            max_length: config.max_topic_length,
        }
    }

    /// The topic of a PUBLISH; `judge` decides about one that is not remembered.
    pub(super) fn resolve(
        &mut self,
        raw: &[u8],
        alias: Option<u16>,
        judge: impl FnOnce(&TopicName) -> Permits,
    ) -> Result<&mut Known, Reason> {
        let Some(alias) = alias else { return self.remember(raw, judge) };
        if alias > self.max_alias {
            return Err(Reason::TopicAliasInvalid);
        }
        let index = usize::from(alias) - 1;
        if raw.is_empty() {
            // An alias that was never set (MQTT-3.3.2-8).
            let name = self.aliases.get(index).cloned().flatten().ok_or(Reason::ProtocolError)?;
            return self.remember(name.as_str().as_bytes(), judge);
        }
        let name = self.remember(raw, judge)?.name.clone();
        if self.aliases.len() <= index {
            self.aliases.resize(index + 1, None);
        }
        self.aliases[index] = Some(name);
        self.remember(raw, |_| Permits::NONE)
    }

    /// What was judged has to be judged again.
    pub(super) fn forget(&mut self) {
        self.recent.clear();
        self.oldest = 0;
    }

    fn remember(&mut self, raw: &[u8], judge: impl FnOnce(&TopicName) -> Permits) -> Result<&mut Known, Reason> {
        let index = match self.recent.iter().position(|known| known.name.as_str().as_bytes() == raw) {
            Some(index) => index,
            None => {
                let name = self.check(raw)?;
                let known = Known { permits: judge(&name), name, unrouted_in: None };
                if self.recent.len() < RECENT {
                    self.recent.push(known);
                    self.recent.len() - 1
                } else {
                    self.oldest = (self.oldest + 1) % RECENT;
                    self.recent[self.oldest] = known;
                    self.oldest
                }
            }
        };
        Ok(&mut self.recent[index])
    }

    fn check(&self, raw: &[u8]) -> Result<TopicName, Reason> {
        let text = std::str::from_utf8(raw).map_err(|_| Reason::MalformedPacket)?;
        let name = TopicName::new(text).map_err(|error| match error {
            TopicError::NullCharacter => Reason::MalformedPacket,
            _ => Reason::TopicNameInvalid,
        })?;
        if text.len() > self.max_length || text.split('/').count() > self.max_levels {
            return Err(Reason::TopicNameInvalid);
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(max_topic_alias: u16, max_topic_levels: usize) -> Topics {
        Topics::new(&MqttConfig { max_topic_alias, max_topic_levels, max_topic_length: 20, ..MqttConfig::default() })
    }

    fn resolve(topics: &mut Topics, raw: &str, alias: Option<u16>) -> Result<String, Reason> {
        topics.resolve(raw.as_bytes(), alias, |_| Permits::NONE).map(|known| known.name.to_string())
    }

    #[test]
    fn aliases_stand_for_the_topic_that_set_them_last() {
        let mut topics = topics(2, 128);
        let ok = |name: &str| Ok(name.to_owned());
        assert_eq!(resolve(&mut topics, "", Some(1)), Err(Reason::ProtocolError));
        assert_eq!(resolve(&mut topics, "a", Some(1)), ok("a"));
        assert_eq!(resolve(&mut topics, "b", Some(2)), ok("b"));
        assert_eq!(resolve(&mut topics, "", Some(1)), ok("a"));
        assert_eq!(resolve(&mut topics, "c", Some(1)), ok("c"));
        assert_eq!(resolve(&mut topics, "", Some(1)), ok("c"));
        assert_eq!(resolve(&mut topics, "", Some(2)), ok("b"));
        assert_eq!(resolve(&mut topics, "d", Some(3)), Err(Reason::TopicAliasInvalid));
    }

    #[test]
    fn any_number_of_topics_is_resolved_and_few_are_kept() {
        let mut topics = topics(0, 3);
        for round in 0..3 {
            for n in 0..50 {
                let name = format!("t/{n}");
                assert_eq!(resolve(&mut topics, &name, None), Ok(name), "{round}");
            }
        }
        assert_eq!(topics.recent.len(), RECENT);
        assert_eq!(resolve(&mut topics, "a/b/c/d", None), Err(Reason::TopicNameInvalid));
        assert_eq!(resolve(&mut topics, "a/+", None), Err(Reason::TopicNameInvalid));
        assert!(resolve(&mut topics, &"a".repeat(20), None).is_ok());
        assert_eq!(resolve(&mut topics, &"a".repeat(21), None), Err(Reason::TopicNameInvalid));
        assert_eq!(resolve(&mut topics, "a\0", None), Err(Reason::MalformedPacket));
        assert_eq!(topics.resolve(&[0xff], None, |_| Permits::NONE).err(), Some(Reason::MalformedPacket));
    }
}
