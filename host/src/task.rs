//! How long-lived work ends: a drain is announced once, with a deadline, and everybody who holds it hears of it.
//!
//! Phases run from the door backwards (stop accepting, settle, flush, close); `app.rs` decides the order and gives each
//! part its own [`Drain`]. This module spawns nothing.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The announcing side; dropping it announces nothing, so keep it as long as the part should live.
#[derive(Debug)]
pub struct DrainTrigger(watch::Sender<Option<Instant>>);

/// The listening side; cheap to clone.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Option<Instant>>);

/// A fresh pair.
#[must_use]
pub fn drain() -> (DrainTrigger, Drain) {
    let (sender, receiver) = watch::channel(None);
    (DrainTrigger(sender), Drain(receiver))
}

impl DrainTrigger {
    /// Announces the end, to be reached within `patience`. The first call counts.
    pub fn announce(&self, patience: Duration) {
        self.0.send_if_modified(|deadline| {
            let first = deadline.is_none();
            deadline.get_or_insert(Instant::now() + patience);
            first
        });
    }
}

impl Drain {
    /// Resolves when the end is announced, with the instant by which to be done. If the trigger is gone, never.
    pub async fn requested(&mut self) -> Instant {
        let announced = self.0.wait_for(Option::is_some).await.map(|deadline| *deadline);
        match announced {
            Ok(Some(deadline)) => deadline,
            _ => std::future::pending().await,
        }
    }

    /// The deadline, if the end has been announced.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        *self.0.borrow()
    }
}
