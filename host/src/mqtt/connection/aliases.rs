//! The topic aliases that we use towards one client: the first topics that go out get one, as many as the client allows.
//!
//! They belong to the connection (MQTT-3.3.2-7) and are forgotten with it. Holds nothing for a client that allows none.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::topic::TopicName;

/// Aliases by topic; numbers count from 1 and stay as they are.
#[derive(Debug)]
pub(super) struct Aliases {
    known: FxHashMap<Arc<str>, u16>,
    max: u16,
}

/// How the topic of one PUBLISH is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Alias {
    /// The topic alone.
    None,
    /// The topic, and the number that stands for it from then on.
    New(u16),
    /// The number alone.
    Known(u16),
}

/// An alias costs this many bytes in each packet, so shorter topics are better off without.
const COST: usize = 3;

impl Aliases {
    /// `max`: the client's Topic Alias Maximum, or less (MQTT-3.1.2-26, -27).
    pub(super) fn new(max: u16) -> Aliases {
        Aliases { known: FxHashMap::default(), max }
    }

    /// What to write for `topic`.
    pub(super) fn choose(&self, topic: &TopicName) -> Alias {
        if self.max == 0 || topic.as_str().len() <= COST {
            return Alias::None;
        }
        match self.known.get(topic.as_str()) {
            Some(number) => Alias::Known(*number),
            None if self.known.len() < usize::from(self.max) => Alias::New(self.known.len() as u16 + 1),
            None => Alias::None,
        }
    }

    /// A packet with this choice is on its way, so the client knows it from now on.
    pub(super) fn said(&mut self, alias: Alias, topic: &TopicName) {
        if let Alias::New(number) = alias {
            self.known.insert(topic.shared(), number);
        }
    }
}

impl Alias {
    /// The Topic Alias of the packet.
    pub(super) fn number(self) -> Option<u16> {
        match self {
            Alias::None => None,
            Alias::New(number) | Alias::Known(number) => Some(number),
        }
    }

    /// Whether the number stands for the topic.
    pub(super) fn is_known(self) -> bool {
        matches!(self, Alias::Known(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_topics_get_an_alias_and_what_was_not_sent_is_not_known() {
        let topic = |name: &str| TopicName::new(name).unwrap();
        let mut aliases = Aliases::new(2);
        assert_eq!(aliases.choose(&topic("topic/a")), Alias::New(1));
        assert_eq!(aliases.choose(&topic("topic/a")), Alias::New(1), "the packet did not go out");
        aliases.said(Alias::New(1), &topic("topic/a"));
        assert_eq!(aliases.choose(&topic("topic/a")), Alias::Known(1));
        assert_eq!(aliases.choose(&topic("t/1")), Alias::None, "too short to save anything");
        aliases.said(aliases.choose(&topic("topic/b")), &topic("topic/b"));
        assert_eq!(aliases.choose(&topic("topic/c")), Alias::None, "the client allows two");
        assert_eq!(aliases.choose(&topic("topic/b")), Alias::Known(2));
        assert_eq!(Aliases::new(0).choose(&topic("topic/a")), Alias::None);
    }
}
