//! Questions of one connection to others (`acl::Sources`) about what no rule decides.
//!
//! A packet that needs an answer is put back untouched, and the socket is not read until the answer is there; then the packet
//! is decoded again and finds it. So nothing is lost, nothing is reordered, and nobody else waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::message::{Client, QoS};
use crate::mqtt::acl::{Answered, Answers, ClientRules, Kinds, Permits, Question, Sources};
use crate::mqtt::broker::Broker;

type Asked = Vec<(Question, Answered)>;
type Waiting = Pin<Box<dyn Future<Output = Asked> + Send>>;

/// What is asked, and what was answered.
pub(super) struct Asking {
    sources: Arc<Sources>,
    waiting: Option<Waiting>,
    /// For the packet that asked, whatever is remembered.
    fresh: Asked,
    answers: Answers,
}

impl Asking {
    /// `None` when there is nobody to ask.
    pub(super) fn new(broker: &Broker) -> Option<Box<Asking>> {
        let sources = broker.authorizer.load().sources.clone()?;
        let answers = Answers::new(sources.cache);
        Some(Box::new(Asking { sources, waiting: None, fresh: Vec::new(), answers }))
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Forgets answers that have ended; `true` when what was judged by them has to be judged again.
    pub(super) fn shrink(&mut self, now: Instant) -> bool {
        self.answers.shrink(now)
    }

    /// The packet that asked has been taken; `true` when its answers were for it alone.
    pub(super) fn packet_taken(&mut self) -> bool {
        let once = self.fresh.iter().any(|(question, _)| self.answers.get(question).is_none());
        self.fresh.clear();
        once
    }

    fn answer(&self, question: &Question) -> Option<bool> {
        let fresh = self.fresh.iter().find(|(asked, _)| asked == question).map(|(_, answer)| answer.allowed);
        fresh.or_else(|| self.answers.get(question))
    }
}

/// What the rules and the answers together say about a topic.
pub(super) fn permits(rules: &ClientRules, asking: &Option<Box<Asking>>, topic: &str) -> Permits {
    let mut permits = rules.may_publish(topic);
    let Some(asking) = asking.as_ref().filter(|_| permits.open != Kinds::NONE) else { return permits };
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for retain in [false, true] {
            let question = || Question { publish: true, topic: topic.to_owned(), qos, retain };
            let answer = permits.open.has(qos, retain).then(|| asking.answer(&question())).flatten();
            let kind = Kinds::of(qos, retain);
            match answer {
                None => continue,
                Some(true) => permits.allowed = permits.allowed.or(kind),
                Some(false) => {}
            }
            permits.open = permits.open.without(kind);
        }
    }
    permits
}

/// One after another; a service that gives no answer is not asked the others of the packet.
async fn ask_all(sources: Arc<Sources>, client: Arc<Client>, questions: Vec<Question>) -> Asked {
    let mut answers: Asked = Vec::with_capacity(questions.len());
    for question in questions {
        let answer = match answers.last() {
            Some((_, Answered { heard: false, .. })) => sources.unheard(false),
            _ => sources.ask(&client, &question).await,
        };
        answers.push((question, answer));
    }
    answers
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Begins to ask; [`Connection::poll_answers`] goes on.
    pub(super) fn ask(&mut self, questions: Vec<Question>) {
        if let Some(asking) = &mut self.asking {
            let (sources, client) = (asking.sources.clone(), self.client.clone());
            asking.waiting = Some(Box::pin(ask_all(sources, client, questions)));
        }
    }

    /// `true` when the answers have come: what was put back can be taken.
    pub(super) fn poll_answers(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(asking) = &mut self.asking else { return false };
        let Some(waiting) = &mut asking.waiting else { return false };
        let Poll::Ready(answers) = waiting.as_mut().poll(cx) else { return false };
        asking.waiting = None;
        // The client could not send meanwhile.
        let now = Instant::now();
        self.patience.heard(now);
        for (question, answer) in answers.iter().filter(|(_, answer)| answer.heard) {
            asking.answers.insert(question.clone(), answer.allowed, now);
        }
        asking.fresh = answers;
        // What was judged to be open is decided now.
        self.topics.forget();
        true
    }

    /// What was answered to a question that was asked.
    pub(super) fn answer(&self, question: &Question) -> Option<bool> {
        self.asking.as_ref().and_then(|asking| asking.answer(question))
    }
}
