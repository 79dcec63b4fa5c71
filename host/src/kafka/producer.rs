//! One action's way to Kafka: its window, its librdkafka producer and the threads that serve them.
//!
//! Workers call [`Sink::send`] with batches and never wait: what does not fit waits in the window. The delivery thread
//! (`delivery.rs`) settles what Kafka answered and sends what waited. Each action has a producer of its own, so that a
//! topic that Kafka refuses, or an idempotent producer that died, is nobody else's trouble.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;

use super::config::{AckLevel, ActionConfig, ConnectorConfig, OnFull};
use super::delivery;
use super::draft::Draft;
use super::error::{KafkaError, cause_of, describe, outcome_of, was_given_back};
use super::health::{Health, Status};
use super::native::{Code, NativeProducer, Outgoing, Ticket};
use super::options::{WINDOW_BYTES, WINDOW_MESSAGES, gate, producer_settings};
use super::window::{Admission, Departure, InFlight, Limits, Window};
use crate::ack::{self, Outcome};
use crate::ledger::{DropCause, FailCause, Ledger};

/// What a producer calls for reports that its own drop finds.
pub(super) type LateReport = Box<dyn Fn(Ticket, Code) + Send + Sync>;
pub(super) type ActionProducer = NativeProducer<LateReport>;

/// A running action's sink; shared by the workers.
pub struct Sink {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    delivery: JoinHandle<u64>,
    probe: JoinHandle<()>,
}

/// What the sink and its threads share.
pub(super) struct Shared {
    pub(super) books: Arc<Books>,
    pub(super) health: Health,
    pub(super) producer: ArcSwap<ActionProducer>,
    pub(super) stop_by: Mutex<Option<Instant>>,
    settings: ClientConfig,
}

/// Who is owed what; outlives every producer of the action.
pub(super) struct Books {
    pub(super) name: String,
    pub(super) window: Mutex<Window>,
    pub(super) ledger: Arc<Ledger>,
    on_full: OnFull,
    timeout: Option<Duration>,
}

impl Sink {
    /// Starts the producer and its threads. Kafka need not be there: records wait for it.
    pub fn start(
        name: &str,
        connector: &ConnectorConfig,
        action: &ActionConfig,
        ledger: Arc<Ledger>,
    ) -> Result<Sink, KafkaError> {
        let settings = producer_settings(name, connector, action);
        let limits = Limits {
            in_flight: WINDOW_MESSAGES,
            in_flight_bytes: WINDOW_BYTES,
            waiting_bytes: action.parameters.buffer.per_partition_limit.as_usize(),
            on_full: action.on_full,
            received_is_enough: action.ack_level() == AckLevel::Received,
            strategy: action.parameters.partition_strategy,
            gate: gate(action),
        };
        let books = Arc::new(Books {
            name: name.to_owned(),
            window: Mutex::new(Window::new(limits)),
            ledger,
            on_full: action.on_full,
            timeout: action.delivery_timeout().map(|limit| limit.duration()),
        });
        let producer = new_producer(&settings, &books)
            .map_err(|reason| KafkaError::Settings { action: name.to_owned(), reason })?;
        let shared = Arc::new(Shared {
            books,
            health: Health::new(name, connector, action),
            producer: ArcSwap::from_pointee(producer),
            stop_by: Mutex::new(None),
            settings,
        });
        let thread = |source| KafkaError::Thread { action: name.to_owned(), source };
        let delivery = std::thread::Builder::new().name(format!("kafka-{name}")).spawn({
            let shared = shared.clone();
            move || delivery::run(&shared)
        });
        let probe = std::thread::Builder::new().name(format!("probe-{name}")).spawn({
            let shared = shared.clone();
            move || {
                let learn = |available: &[bool]| shared.books.window.lock().set_partitions(available);
                shared.health.run(&shared.producer, learn);
            }
        });
        let threads = Threads { delivery: delivery.map_err(thread)?, probe: probe.map_err(thread)? };
        Ok(Sink { shared, threads: Mutex::new(Some(threads)) })
    }

    /// Takes all of `drafts`, in order. Each draft's charge and acknowledgement end here, now or later.
    pub fn send(&self, drafts: impl ExactSizeIterator<Item = Draft>) {
        ack::run(|| self.shared.books.take(drafts, &self.shared.producer.load()));
    }

    /// Connection state and its reason, as the last probe or error event left it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.health.status()
    }

    /// (in flight in librdkafka, waiting in front of it, bytes waiting)
    #[must_use]
    pub fn depths(&self) -> (usize, usize, usize) {
        let window = self.shared.books.window.lock();
        (window.in_flight(), window.waiting(), window.waiting_bytes())
    }

    /// Asks the sink to end by `deadline`; [`Self::join`] waits for it. Nothing may be sent any more.
    pub fn stop(&self, deadline: Instant) {
        self.shared.stop_by.lock().get_or_insert(deadline);
        self.shared.health.stop();
    }

    /// Blocks until the sink has ended; gives the number of records that Kafka had not answered by the deadline.
    pub fn join(&self) -> u64 {
        let Some(threads) = self.threads.lock().take() else { return 0 };
        let late = threads.delivery.join().unwrap_or_default();
        let _ = threads.probe.join();
        late
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop(Instant::now());
        self.join();
    }
}

fn new_producer(settings: &ClientConfig, books: &Arc<Books>) -> Result<ActionProducer, String> {
    let books = books.clone();
    let late: LateReport = Box::new(move |ticket, code| books.settle(&mut std::iter::once((ticket, code))));
    NativeProducer::new(settings, late)
}

impl Shared {
    /// Replaces a producer that died; what it held comes back as delivery reports first.
    pub(super) fn replace_producer(&self) -> Result<(), String> {
        let fresh = new_producer(&self.settings, &self.books)?;
        self.producer.store(Arc::new(fresh));
        Ok(())
    }
}

impl Books {
    fn take(&self, drafts: impl ExactSizeIterator<Item = Draft>, producer: &ActionProducer) {
        let now = Instant::now();
        let mut departures = Vec::with_capacity(drafts.len());
        let mut window = self.window.lock();
        for draft in drafts {
            match window.take(draft, now, &mut departures) {
                Admission::Taken => {}
                Admission::Full(draft) if self.on_full == OnFull::DropNewest => drop_for_room(draft),
                Admission::Full(draft) => fail(draft, FailCause::QueueFull),
                Admission::Displaced(victims) => victims.into_iter().for_each(drop_for_room),
            }
        }
        drop(window);
        let gone = departures.iter().take_while(|departure| self.hand_over(producer, departure)).count();
        if gone < departures.len() {
            let mut window = self.window.lock();
            departures.drain(gone..).rev().for_each(|departure| window.put_back(departure, now));
        }
    }

    /// Sends what waited, as far as there is room, and fails what waited too long.
    pub(super) fn send_waiting(&self, producer: &ActionProducer) {
        if let Some(limit) = self.timeout {
            let now = Instant::now();
            let late = self.window.lock().take_overdue(|since| now.duration_since(since) >= limit);
            late.into_iter().for_each(|draft| fail(draft, FailCause::Timeout));
        }
        loop {
            let now = Instant::now();
            // Handing over is done without the lock; the run keeps others from passing it.
            let Some(mut run) = self.window.lock().begin_run(now) else { return };
            let gone = run.departures.iter().take_while(|departure| self.hand_over(producer, departure)).count();
            run.departures.drain(..gone);
            let refused = !run.departures.is_empty();
            self.window.lock().end_run(run, now);
            if refused {
                return;
            }
        }
    }

    /// Gives one record to librdkafka. False when no record can be taken at the moment; a record that is itself to blame
    /// is settled here.
    fn hand_over(&self, producer: &ActionProducer, departure: &Departure) -> bool {
        let Departure { ticket, record, partition } = departure;
        let outgoing = Outgoing {
            topic: &record.topic,
            partition: *partition,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
            timestamp: record.timestamp,
            ticket: *ticket,
        };
        match producer.produce(&outgoing) {
            Ok(()) => true,
            Err(Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) if partition.is_some() => {
                // The topic was made anew with fewer; until the next probe librdkafka chooses.
                self.window.lock().set_partitions(&[]);
                false
            }
            Err(code) if is_passing(code) => false,
            Err(code) => {
                self.settle(&mut std::iter::once((*ticket, code)));
                true
            }
        }
    }

    /// Ends the records of a run of delivery reports.
    pub(super) fn settle(&self, reports: &mut dyn Iterator<Item = (Ticket, Code)>) {
        self.settle_with(reports, FailCause::Shutdown);
    }

    /// Ends the records of a run of delivery reports: the ledger first, so that whoever sees the acknowledgement also
    /// sees it counted; then the acknowledgements, waking each connection once. `given_back` is the cause for records
    /// that librdkafka was told to give up; their publishers hear nothing, and send them again.
    pub(super) fn settle_with(&self, reports: &mut dyn Iterator<Item = (Ticket, Code)>, given_back: FailCause) {
        let mut window = self.window.lock();
        let landed: Vec<(InFlight, Code)> = reports
            .filter_map(|(ticket, code)| match window.land(ticket) {
                Some(landed) => Some((landed, code)),
                None => {
                    tracing::error!(action = self.name, ?ticket, "Kafka client reported an unknown record");
                    None
                }
            })
            .collect();
        drop(window);
        let mut delivered = 0;
        let mut acks = Vec::with_capacity(landed.len());
        for (InFlight { ack, charge, .. }, code) in landed {
            if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                delivered += 1;
                charge.settled();
                acks.push((ack, Outcome::Delivered));
            } else {
                let (cause, outcome) = match was_given_back(code) {
                    true => (given_back, Outcome::Failed),
                    false => (cause_of(code), outcome_of(cause_of(code))),
                };
                tracing::debug!(
                    action = self.name,
                    cause = cause.label(),
                    error = describe(code),
                    "record not delivered"
                );
                charge.fail(cause);
                acks.push((ack, outcome));
            }
        }
        if delivered > 0 {
            self.ledger.delivered(delivered);
        }
        ack::run(|| acks.into_iter().for_each(|(ack, outcome)| ack.settle(outcome)));
    }

    /// Gives up what still waits, at the end of the process.
    pub(super) fn give_up_waiting(&self) {
        let waiting = self.window.lock().take_waiting();
        ack::run(|| waiting.into_iter().for_each(|draft| fail(draft, FailCause::Shutdown)));
    }
}

/// The client cannot take any record at the moment; this one is not to blame.
fn is_passing(code: Code) -> bool {
    matches!(code, Code::RD_KAFKA_RESP_ERR__QUEUE_FULL | Code::RD_KAFKA_RESP_ERR__FATAL)
}

/// The operator chose to lose it for newer ones, or for older ones; its publisher is not asked to send it again.
fn drop_for_room(draft: Draft) {
    draft.charge.drop_for(DropCause::QueueFull);
    draft.ack.settle(Outcome::Delivered);
}

fn fail(draft: Draft, cause: FailCause) {
    draft.charge.fail(cause);
    draft.ack.settle(outcome_of(cause));
}
