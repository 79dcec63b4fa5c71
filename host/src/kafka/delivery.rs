//! The thread that hears Kafka's answers for one action, settles them a run at a time and sends what waited.
//!
//! It is the only caller of the producer's poll. It ends when it was asked to and nothing is owed any more, or at the
//! deadline; what is late then is counted, and its publishers are left without an acknowledgement.

use std::time::{Duration, Instant};

use rdkafka::producer::{Producer, PurgeConfig};

use super::error::{describe, is_fatal};
use super::native::{Code, Event};
use super::producer::{ActionProducer, Shared};
use crate::ledger::FailCause;

/// How long to wait for an event before looking at the clock and at what waits.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long librdkafka may take to give back what was purged.
const PURGE_PATIENCE: Duration = Duration::from_secs(2);

/// Runs until the sink is stopped; gives the number of records that were late then.
pub(super) fn run(shared: &Shared) -> u64 {
    loop {
        let producer = shared.producer.load_full();
        let mut died = false;
        producer.poll(PATIENCE, |event| died = handle(shared, event));
        if died {
            revive(shared, &producer);
            continue;
        }
        if shared.books.window.lock().waiting() > 0 {
            shared.books.send_waiting(&producer);
        }
        let Some(stop_by) = *shared.stop_by.lock() else { continue };
        if shared.books.window.lock().is_idle() {
            return 0;
        }
        if Instant::now() >= stop_by {
            return give_up(shared, &producer);
        }
        // Flushing for no time at all tells librdkafka to stop lingering; the answers still come through poll.
        let _ = producer.producer().flush(Duration::ZERO);
    }
}

/// True when the producer has died.
fn handle(shared: &Shared, event: Event<'_>) -> bool {
    match event {
        Event::Reports(reports) => {
            shared.books.settle(reports);
            false
        }
        Event::Error(code, reason) if is_fatal(code) => {
            tracing::error!(action = shared.books.name, reason, "the Kafka producer died and is replaced");
            true
        }
        Event::Error(code, reason) => {
            shared.health.note_error(code, &reason);
            false
        }
        Event::Log(level, line) => {
            tracing::debug!(action = shared.books.name, level, "{line}");
            false
        }
    }
}

/// A fatal error leaves an idempotent producer unusable: its records come back unsettled, so that their publishers
/// send them again, and a fresh producer takes over.
fn revive(shared: &Shared, dead: &ActionProducer) {
    purge(shared, dead, FailCause::Kafka);
    if let Err(reason) = shared.replace_producer() {
        tracing::error!(action = shared.books.name, reason, "no new Kafka producer could be made; trying again");
        std::thread::park_timeout(PATIENCE);
    }
}

fn give_up(shared: &Shared, producer: &ActionProducer) -> u64 {
    let window = shared.books.window.lock();
    let late = window.in_flight() + window.waiting();
    drop(window);
    shared.books.give_up_waiting();
    purge(shared, producer, FailCause::Shutdown);
    tracing::warn!(
        action = shared.books.name,
        late,
        "records that Kafka had not confirmed when the time to stop was up"
    );
    late as u64
}

fn purge(shared: &Shared, producer: &ActionProducer, cause: FailCause) {
    producer.producer().purge(PurgeConfig::default().queue().inflight());
    let until = Instant::now() + PURGE_PATIENCE;
    while producer.producer().in_flight_count() > 0 && Instant::now() < until {
        producer.poll(PATIENCE, |event| {
            if let Event::Reports(reports) = event {
                shared.books.settle_with(reports, cause);
            }
        });
    }
}

/// For logs: Kafka's words for a code, with its number.
pub(super) fn words(code: Code) -> String {
    format!("{} ({})", describe(code), code as i32)
}
