//! Runs what is due later: delayed wills, ends of sessions, expired retained messages.
//!
//! One task for the whole front; it sleeps until the next thing is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::broker::{Broker, Now};

/// How often expired retained messages are swept away.
const SWEEP: Duration = Duration::from_secs(10);

/// Never returns; whoever spawned it ends it.
pub async fn run(broker: Arc<Broker>) {
    let mut swept = Instant::now();
    loop {
        let now = Now::read();
        let mut due = Vec::new();
        let next = broker.sessions.run_due(now.instant, |will| due.push(will));
        for will in due {
            broker.publish_will(will).await;
        }
        if now.instant.duration_since(swept) >= SWEEP {
            broker.retained.sweep(now.unix_millis, &broker.metrics);
            swept = now.instant;
        }
        let sleep = next.map_or(SWEEP, |next| next.saturating_duration_since(Instant::now()).min(SWEEP));
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = broker.sessions.sooner() => {}
        }
    }
}
