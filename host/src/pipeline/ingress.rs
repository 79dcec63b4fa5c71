//! The bounded way in: what connections hand over and workers take, a batch at a time.
//!
//! A client always uses the shard that its id picks, so its messages stay in order. A full shard makes the connection
//! wait, which stops it from reading its socket. Handing over never blocks a thread, and wakes the worker at most once
//! for all that arrives while it is busy.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::ack::AckHandle;
use crate::message::{ClientId, Message};

/// One message on its way into the pipeline, with the promise to its publisher.
#[derive(Debug)]
pub struct Inbound {
    pub message: Message,
    pub ack: AckHandle,
}

impl Inbound {
    /// What it holds in memory, roughly, in bytes.
    fn weight(&self) -> usize {
        self.message.payload.len() + self.message.topic.as_str().len() + size_of::<Inbound>()
    }
}

/// Which worker a client's messages go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardId(usize);

/// What may wait in one shard before connections have to.
#[derive(Clone, Copy, Debug)]
pub struct IngressLimits {
    pub messages: usize,
    pub bytes: usize,
}

impl Default for IngressLimits {
    fn default() -> IngressLimits {
        IngressLimits { messages: 16_384, bytes: 64 << 20 }
    }
}

/// The pipeline does not take messages any more: the process is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pipeline is closed")]
pub struct Closed;

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Inbound>,
    bytes: usize,
    worker_sleeps: bool,
    nudged: bool,
    closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    queue: Mutex<Queue>,
    arrived: Condvar,
    room: Notify,
}

/// What a worker found when it looked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Something arrived, or somebody nudged, or the time was up.
    Look,
    /// Nothing is waiting and nothing will come.
    Closed,
}

impl Shard {
    /// Moves all that waits into `batch` (which must be empty); waits up to `patience` for something to come.
    pub(super) fn take(&self, batch: &mut Vec<Inbound>, patience: Duration) -> Taken {
        let mut queue = self.queue.lock();
        if queue.waiting.is_empty() && !queue.nudged && !queue.closed {
            queue.worker_sleeps = true;
            self.arrived.wait_for(&mut queue, patience);
            queue.worker_sleeps = false;
        }
        queue.nudged = false;
        if queue.waiting.is_empty() {
            return if queue.closed { Taken::Closed } else { Taken::Look };
        }
        std::mem::swap(&mut queue.waiting, batch);
        queue.bytes = 0;
        drop(queue);
        self.room.notify_waiters();
        Taken::Look
    }

    /// Makes the worker look again: room in a send window, a new pipeline.
    pub(super) fn nudge(&self) {
        let mut queue = self.queue.lock();
        queue.nudged = true;
        if queue.worker_sleeps {
            self.arrived.notify_one();
        }
    }
}

/// The handle that connections hold.
#[derive(Clone, Debug)]
pub struct Ingress {
    shards: Arc<[Arc<Shard>]>,
    limits: IngressLimits,
}

impl Ingress {
    /// `workers` shards (at least one), each bounded by `limits`.
    #[must_use]
    pub fn new(workers: usize, limits: IngressLimits) -> Ingress {
        Ingress { shards: (0..workers.max(1)).map(|_| Arc::default()).collect(), limits }
    }

    pub(super) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// The shard of a client; the same for the same id as long as the process lives.
    #[must_use]
    pub fn shard_of(&self, client: &ClientId) -> ShardId {
        let hash = rustc_hash::FxBuildHasher.hash_one(client.as_str());
        ShardId((hash >> 32) as usize % self.shards.len())
    }

    /// Hands over all of `batch`, in order, or none of it: `Ok(false)` when the shard is full ([`Self::room`] waits).
    /// A batch that is larger than the limits is taken when the shard is empty.
    pub fn try_submit(&self, shard: ShardId, batch: &mut Vec<Inbound>) -> Result<bool, Closed> {
        let shard = &self.shards[shard.0];
        let bytes: usize = batch.iter().map(Inbound::weight).sum();
        let mut queue = shard.queue.lock();
        if queue.closed {
            return Err(Closed);
        }
        let fits =
            queue.waiting.len() + batch.len() <= self.limits.messages && queue.bytes + bytes <= self.limits.bytes;
        if !fits && !queue.waiting.is_empty() {
            return Ok(false);
        }
        queue.waiting.append(batch);
        queue.bytes += bytes;
        if queue.worker_sleeps {
            shard.arrived.notify_one();
        }
        Ok(true)
    }

    /// Hands over all of `batch`; waits while the shard is full. On `Closed` the batch is untouched.
    pub async fn submit(&self, shard: ShardId, batch: &mut Vec<Inbound>) -> Result<(), Closed> {
        loop {
            let room = self.shards[shard.0].room.notified();
            tokio::pin!(room);
            // Registered before the look, so that room made in between is not missed.
            room.as_mut().enable();
            if self.try_submit(shard, batch)? {
                return Ok(());
            }
            room.await;
        }
    }

    /// Messages that wait in all shards, for metrics.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shards.iter().map(|shard| shard.queue.lock().waiting.len()).sum()
    }

    /// Takes all that waits in all shards, without waiting: the tests of other modules play the worker with it.
    #[cfg(test)]
    pub fn drain_for_test(&self) -> Vec<Inbound> {
        let mut taken = Vec::new();
        for shard in self.shards.iter() {
            let mut batch = Vec::new();
            shard.take(&mut batch, Duration::ZERO);
            taken.append(&mut batch);
        }
        taken
    }

    pub(super) fn nudge_all(&self) {
        self.shards.iter().for_each(|shard| shard.nudge());
    }

    /// Takes nothing more; workers end when they have done what waits.
    pub fn close(&self) {
        for shard in self.shards.iter() {
            shard.queue.lock().closed = true;
            shard.arrived.notify_one();
            shard.room.notify_waiters();
        }
    }
}
