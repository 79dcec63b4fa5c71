//! Authorization by somebody else's HTTP service (EMQX: HTTP Authorization): what no rule decides is asked, and the answer
//! is remembered for a while. An answer that says nothing is `ignore`: the next service decides, at the end `no_match`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::message::{Client, QoS};
use crate::mqtt::auth::{Facts, REQUEST};
use crate::mqtt::config::{AuthorizationConfig, CacheConfig, Permission, SourceConfig};
use crate::mqtt::hook::{Answer, Hook, HookError};
use crate::telemetry::metrics::Metrics;

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub publish: bool,
    /// The topic, or the filter as it was asked for.
    pub topic: String,
    pub qos: QoS,
    pub retain: bool,
}

/// The services that are asked, in their order.
#[derive(Debug)]
pub struct Sources {
    hooks: Vec<Hook>,
    no_match: Permission,
    pub cache: CacheConfig,
}

impl Sources {
    /// `None` when none is configured.
    pub fn new(
        config: &AuthorizationConfig,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Arc<Sources>>, (usize, HookError)> {
        let mut hooks = Vec::new();
        for (index, source) in config.sources.iter().enumerate() {
            let SourceConfig::Http(hook) = source;
            if hook.enable {
                hooks.push(Hook::new(hook, REQUEST, metrics.clone()).map_err(|error| (index + 1, error))?);
            }
        }
        let sources = Sources { hooks, no_match: config.no_match, cache: config.cache };
        Ok((!sources.hooks.is_empty()).then(|| Arc::new(sources)))
    }

    /// Whether `client` may do this.
    pub async fn ask(&self, client: &Client, question: &Question) -> Answered {
        let facts = Facts {
            client_id: client.id.as_str(),
            username: client.username.as_deref(),
            peerhost: Some(client.peer.ip()),
            attrs: Some(&client.attrs),
            action: Some(if question.publish { "publish" } else { "subscribe" }),
            topic: Some(&question.topic),
            qos: Some(question.qos as u8),
            retain: Some(question.retain),
            ..Facts::default()
        };
        let mut heard = true;
        for hook in &self.hooks {
            let said = match hook.ask(&facts).await {
                Some(Answer::NoContent) => Some(true),
                Some(Answer::Object(said)) => match said.get("result").and_then(Value::as_str) {
                    Some("allow") => Some(true),
                    Some("deny") => Some(false),
                    _ => None,
                },
                None => {
                    heard = false;
                    None
                }
            };
            if let Some(allowed) = said {
                return Answered { allowed, heard };
            }
        }
        self.unheard(heard)
    }

    /// What holds when nobody says anything.
    #[must_use]
    pub fn unheard(&self, heard: bool) -> Answered {
        Answered { allowed: self.no_match == Permission::Allow, heard }
    }
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    pub allowed: bool,
    /// Whoever was asked did answer. If not, the answer is for this once, and is not remembered.
    pub heard: bool,
}

/// Answers that one client got: the latest, for as long as they are valid.
#[derive(Debug)]
pub struct Answers {
    config: CacheConfig,
    known: FxHashMap<Question, bool>,
    /// In the order in which they end.
    ends: VecDeque<(Instant, Question)>,
}

impl Answers {
    #[must_use]
    pub fn new(config: CacheConfig) -> Answers {
        Answers { config, known: FxHashMap::default(), ends: VecDeque::new() }
    }

    /// Whether answers are remembered at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.config.enable && self.config.max_size > 0
    }

    #[must_use]
    pub fn get(&self, question: &Question) -> Option<bool> {
        self.known.get(question).copied()
    }

    pub fn insert(&mut self, question: Question, answer: bool, now: Instant) {
        if self.is_enabled() && self.known.insert(question.clone(), answer).is_none() {
            self.ends.push_back((now + self.config.ttl.duration(), question));
        }
    }

    /// Forgets what has ended and what is too much; `true` when there was something.
    pub fn shrink(&mut self, now: Instant) -> bool {
        let mut shrunk = false;
        while let Some((end, question)) = self.ends.front()
            && (*end <= now || self.ends.len() > self.config.max_size)
        {
            self.known.remove(question);
            self.ends.pop_front();
            shrunk = true;
        }
        shrunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn question(topic: &str) -> Question {
        Question { publish: true, topic: topic.to_owned(), qos: QoS::AtMostOnce, retain: false }
    }

    fn answers(text: &str) -> Answers {
        Answers::new(toml::from_str(text).unwrap())
    }

    #[test]
    fn answers_are_kept_for_a_while_and_only_so_many() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut answers = answers("max_size = 2\nttl = \"10s\"");
        for (topic, answer, when) in [("a", true, 0), ("b", false, 5)] {
            answers.insert(question(topic), answer, at(when));
        }
        assert!(!answers.shrink(at(9)));
        assert_eq!((answers.get(&question("a")), answers.get(&question("b"))), (Some(true), Some(false)));
        let retained = Question { retain: true, ..question("a") };
        assert_eq!(answers.get(&retained), None, "another question");
        assert!(answers.shrink(at(10)));
        assert_eq!((answers.get(&question("a")), answers.get(&question("b"))), (None, Some(false)));
        for topic in ["c", "d", "e"] {
            answers.insert(question(topic), true, at(11));
        }
        assert!(answers.shrink(at(11)));
        let left: Vec<_> = ["b", "c", "d", "e"].map(|topic| answers.get(&question(topic)).is_some()).into();
        assert_eq!(left, [false, false, true, true]);
    }

    #[test]
    fn nothing_is_kept_when_that_is_off() {
        for off in ["enable = false", "max_size = 0"] {
            let mut answers = answers(off);
            answers.insert(question("a"), true, Instant::now());
            assert!(!answers.is_enabled() && answers.get(&question("a")).is_none(), "{off}");
        }
    }
}
