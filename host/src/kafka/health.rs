//! Whether an action's Kafka can be reached: a metadata probe at intervals, and what error events say in between.
//!
//! Health is only shown. It never decides about a record: those wait in the window until Kafka answers.

use std::fmt;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use rdkafka::producer::Producer;

use super::config::{ActionConfig, ConnectorConfig};
use super::delivery::words;
use super::native::Code;
use super::producer::ActionProducer;

/// A topic that nobody has: asking for it shows whether a broker answers, without listing a large cluster.
const PROBE_TOPIC: &str = "millstream-connectivity-probe";
/// While not connected, the probe looks this often.
const RETRY: Duration = Duration::from_secs(1);

/// EMQX's states of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not yet, or not any more; records wait.
    Connecting,
    Connected,
    /// The last probe failed before any had succeeded.
    Disconnected,
}

impl State {
    /// All states, for whoever shows one line for each.
    pub const ALL: [State; 3] = [State::Connecting, State::Connected, State::Disconnected];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Connecting => "connecting",
            State::Connected => "connected",
            State::Disconnected => "disconnected",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// Why it is not connected, in words; empty when connected.
    pub reason: String,
}

pub(super) struct Health {
    action: String,
    topic: String,
    /// The topic that all records of the action go to; `None` when a template names it.
    fixed: Option<String>,
    must_exist: bool,
    interval: Duration,
    timeout: Duration,
    inner: Mutex<Inner>,
    wake: Condvar,
}

struct Inner {
    status: Status,
    was_connected: bool,
    /// What the client said last while it was not connected; the probe only knows that nobody answers.
    last_error: Option<String>,
    /// A refused login or certificate was logged.
    refused: bool,
    stopping: bool,
}

impl Health {
    pub(super) fn new(action: &str, connector: &ConnectorConfig, config: &ActionConfig) -> Health {
        let fixed = (!config.parameters.topic.contains("${")).then(|| config.parameters.topic.clone());
        let wanted = connector.health_check_topic.clone().or_else(|| fixed.clone());
        Health {
            action: action.to_owned(),
            must_exist: wanted.is_some(),
            topic: wanted.unwrap_or_else(|| PROBE_TOPIC.to_owned()),
            fixed,
            interval: config.resource_opts.health_check_interval.duration().max(Duration::from_millis(100)),
            timeout: connector.metadata_request_timeout.duration(),
            inner: Mutex::new(Inner {
                status: Status { state: State::Connecting, reason: "not yet connected".to_owned() },
                was_connected: false,
                last_error: None,
                refused: false,
                stopping: false,
            }),
            wake: Condvar::new(),
        }
    }

    pub(super) fn status(&self) -> Status {
        self.inner.lock().status.clone()
    }

    pub(super) fn stop(&self) {
        self.inner.lock().stopping = true;
        self.wake.notify_all();
    }

    /// The probe thread. `learn` hears for each partition of the action's topic whether it has a leader.
    pub(super) fn run(&self, producer: &ArcSwap<ActionProducer>, learn: impl Fn(&[bool])) {
        loop {
            let producer = producer.load_full();
            let problem = self.probe(&producer);
            if problem.is_none()
                && let Some(available) = self.partitions(&producer)
            {
                learn(&available);
            }
            drop(producer);
            let connected = problem.is_none();
            self.note(problem);
            let mut inner = self.inner.lock();
            if !inner.stopping {
                self.wake.wait_for(&mut inner, if connected { self.interval } else { RETRY.min(self.interval) });
            }
            if inner.stopping {
                return;
            }
        }
    }

    fn probe(&self, producer: &ActionProducer) -> Option<String> {
        let metadata = match producer.producer().client().fetch_metadata(Some(&self.topic), self.timeout) {
            Ok(metadata) => metadata,
            Err(error) => return Some(self.with_last_error(&format!("no broker answers: {error}"))),
        };
        let error = metadata.topics().iter().find_map(|topic| topic.error())?;
        self.must_exist.then(|| format!("topic `{}`: {}", self.topic, words(error)))
    }

    /// The partitions of the action's topic, as far as a broker answers.
    fn partitions(&self, producer: &ActionProducer) -> Option<Vec<bool>> {
        let metadata = producer.producer().client().fetch_metadata(Some(self.fixed.as_ref()?), self.timeout).ok()?;
        let topic = metadata.topics().iter().find(|topic| Some(topic.name()) == self.fixed.as_deref())?;
        Some(topic.partitions().iter().map(|partition| partition.leader() >= 0).collect())
    }

    fn with_last_error(&self, problem: &str) -> String {
        match &self.inner.lock().last_error {
            Some(last) => format!("{problem}; last error: {last}"),
            None => problem.to_owned(),
        }
    }

    /// An error event: kept for the reason while not connected. All brokers down is a reason to look again at once.
    pub(super) fn note_error(&self, code: Code, reason: &str) {
        tracing::debug!(action = self.action, code = code as i32, reason, "Kafka client error");
        if code == Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN {
            self.note(Some(self.with_last_error("all brokers are down")));
            self.wake.notify_all();
            return;
        }
        let state = {
            let mut inner = self.inner.lock();
            inner.last_error = Some(reason.to_owned());
            let refusal = matches!(code, Code::RD_KAFKA_RESP_ERR__AUTHENTICATION | Code::RD_KAFKA_RESP_ERR__SSL);
            // A refused login does not pass by itself: say so, once.
            if refusal && !std::mem::replace(&mut inner.refused, true) {
                tracing::warn!(action = self.action, reason, "Kafka refuses the connection");
            }
            inner.status.state
        };
        if state != State::Connected {
            self.note(Some(reason.to_owned()));
        }
    }

    fn note(&self, problem: Option<String>) {
        let mut inner = self.inner.lock();
        let state = match (&problem, inner.was_connected) {
            (None, _) => State::Connected,
            (Some(_), true) => State::Connecting,
            (Some(_), false) => State::Disconnected,
        };
        let changed = inner.status.state != state;
        if problem.is_none() {
            inner.was_connected = true;
            inner.last_error = None;
            inner.refused = false;
        }
        let reason = problem.unwrap_or_default();
        inner.status = Status { state, reason };
        if changed {
            let (action, reason) = (&self.action, &inner.status.reason);
            match state {
                State::Connected => tracing::info!(action, "Kafka is connected"),
                _ => tracing::warn!(action, %state, reason, "Kafka is not connected; records wait"),
            }
        }
    }
}
