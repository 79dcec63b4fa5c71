//! The bounded way in: what connections hand over and workers take, a batch at a time.
//!
//! A client always uses the shard that its id picks, so its messages stay in order. A full shard makes the connection
//! wait, which stops it from reading its socket. Handing over never blocks a thread, and wakes the worker at most once
//! for all that arrives while it is busy.
//!
//! Events take the same way, behind what their client published before. Nobody could be made to wait for an event (a
//! publisher is not to blame that a subscriber acknowledges), so one never waits: a shard holds as many events as it
//! holds messages, counted apart, and what comes beyond that is dropped and counted by kind. Events that no rule of the
//! running pipeline asks for are not even made: whoever could raise one asks [`Ingress::wants`] first. Messages that rules
//! republish come back through the shard of their origin, with a share of their own as well.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::ack::AckHandle;
use crate::event::{EventKind, EventSet, Occurrence};
use crate::message::{ClientId, Message};

/// One message on its way into the pipeline, with the promise to its publisher; or an event, which promises nothing.
#[derive(Debug)]
pub struct Inbound {
    /// Of an event, [`Occurrence::as_message`].
    pub message: Message,
    pub ack: AckHandle,
    /// Set when it is an event and not a publication.
    pub event: Option<Box<Occurrence>>,
}

impl Inbound {
    #[must_use]
    pub fn new(message: Message, ack: AckHandle) -> Inbound {
        Inbound { message, ack, event: None }
    }

    /// The message that it is, or that the event is about; for an event about none, the event as a message.
    pub(super) fn original(&self) -> &Message {
        self.event.as_ref().and_then(|event| event.message()).map_or(&self.message, |message| message)
    }

    /// `None` for an event that has no topic of its own, which no kind is.
    fn of_event(occurrence: Occurrence) -> Option<Inbound> {
        let message = occurrence.as_message()?;
        Some(Inbound { message, ack: AckHandle::detached(), event: Some(Box::new(occurrence)) })
    }

    /// What it holds in memory, roughly, in bytes.
    fn weight(&self) -> usize {
        self.message.payload.len() + self.message.topic.as_str().len() + size_of::<Inbound>()
    }
}

/// Which worker a client's messages go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardId(usize);

/// What may wait in one shard before connections have to; as much again in events, and in republished messages.
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

/// What waits of one sort. Each sort has the limits for itself, so that none takes the room of another.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    count: usize,
    bytes: usize,
}

impl Share {
    /// Takes so much in, or says no. What is larger than the limits is taken when nothing of its sort waits.
    fn take(&mut self, count: usize, bytes: usize, limits: &IngressLimits) -> bool {
        let fits = self.count + count <= limits.messages && self.bytes + bytes <= limits.bytes;
        let takes = fits || self.count == 0;
        if takes {
            self.count += count;
            self.bytes += bytes;
        }
        takes
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Inbound>,
    messages: Share,
    events: Share,
    republished: Share,
    worker_sleeps: bool,
    nudged: bool,
    closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    limits: IngressLimits,
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
        (queue.messages, queue.events, queue.republished) = (Share::default(), Share::default(), Share::default());
        drop(queue);
        self.room.notify_waiters();
        Taken::Look
    }

    /// Takes a message that this shard's own worker made, behind all that waits; gives the promise back when too many of those wait. Also
    /// while the shard is closing: the worker goes on until nothing waits.
    pub(super) fn take_republished(&self, inbound: Inbound) -> Result<(), AckHandle> {
        let mut queue = self.queue.lock();
        if !queue.republished.take(1, inbound.weight(), &self.limits) {
            return Err(inbound.ack);
        }
        queue.waiting.push(inbound);
        Ok(())
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
    events: Arc<Events>,
}

/// Which events are asked for, and how many could not be taken.
#[derive(Debug)]
struct Events {
    wanted: AtomicU32,
    dropped: [AtomicU64; EventKind::ALL.len()],
}

impl Ingress {
    /// `workers` shards (at least one), each bounded by `limits`.
    #[must_use]
    pub fn new(workers: usize, limits: IngressLimits) -> Ingress {
        let events = Events { wanted: AtomicU32::new(0), dropped: std::array::from_fn(|_| AtomicU64::new(0)) };
        let shards = (0..workers.max(1)).map(|_| Arc::new(Shard { limits, ..Shard::default() })).collect();
        Ingress { shards, limits, events: Arc::new(events) }
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
        if !queue.messages.take(batch.len(), bytes, &self.limits) {
            return Ok(false);
        }
        queue.waiting.append(batch);
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

    /// Whether some rule of the running pipeline asks for events of this kind: one relaxed load.
    #[must_use]
    pub fn wants(&self, kind: EventKind) -> bool {
        EventSet::from_bits(self.events.wanted.load(Ordering::Relaxed)).contains(kind)
    }

    /// Says which events are asked for from now on.
    pub(super) fn want(&self, kinds: EventSet) {
        self.events.wanted.store(kinds.bits(), Ordering::Relaxed);
    }

    /// Hands an event over, to the shard of the client that it is about. Never waits: an event that finds its share of
    /// the shard full, or the pipeline closed, is dropped and counted ([`Ingress::dropped_events`]).
    pub fn raise(&self, occurrence: Occurrence) {
        let kind = occurrence.kind();
        if !self.take_event(occurrence) {
            self.events.dropped[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take_event(&self, occurrence: Occurrence) -> bool {
        let shard = &self.shards[self.shard_of(&occurrence.client.id).0];
        let Some(inbound) = Inbound::of_event(occurrence) else { return false };
        let weight = inbound.weight();
        let mut queue = shard.queue.lock();
        if queue.closed || !queue.events.take(1, weight, &self.limits) {
            return false;
        }
        queue.waiting.push(inbound);
        if queue.worker_sleeps {
            shard.arrived.notify_one();
        }
        true
    }

    /// How many events of this kind were dropped because their share of a shard was full.
    #[must_use]
    pub fn dropped_events(&self, kind: EventKind) -> u64 {
        self.events.dropped[kind as usize].load(Ordering::Relaxed)
    }

    /// Lets the tests of other modules ask for all events.
    #[cfg(test)]
    pub fn want_all_for_test(&self) {
        let mut all = EventSet::default();
        EventKind::ALL.iter().for_each(|kind| all.insert(*kind));
        self.want(all);
    }

    #[cfg(test)]
    pub fn want_for_test(&self, kinds: EventSet) {
        self.want(kinds);
    }

    /// Messages and events that wait in all shards, for metrics.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shards.iter().map(|shard| shard.queue.lock().waiting.len()).sum()
    }

    /// Takes all that waits in all shards, without waiting: the tests of other modules play the worker with it.
    #[cfg(any(test, fuzzing))]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Fact;
    use crate::message::{Client, MessageId, QoS};
    use crate::topic::TopicName;

    fn occurrence() -> Occurrence {
        let fact = Fact::Authenticated { reason_code: "success", is_superuser: false, is_anonymous: true };
        Occurrence { at: 1, client: Arc::new(Client::rule("c", 1)), fact }
    }

    fn message() -> Inbound {
        let message = Message {
            id: MessageId::next(0),
            client: Arc::new(Client::rule("c", 1)),
            topic: TopicName::new("t").unwrap(),
            payload: bytes::Bytes::new(),
            qos: QoS::AtLeastOnce,
            retain: false,
            dup: false,
            properties: None,
            received_at: 0,
        };
        Inbound::new(message, AckHandle::detached())
    }

    #[test]
    fn events_and_messages_do_not_take_each_others_room_and_a_dropped_event_is_counted() {
        let ingress = Ingress::new(1, IngressLimits { messages: 2, bytes: 1 << 20 });
        let kind = EventKind::CheckAuthnComplete;
        for dropped in [0, 0, 1, 2] {
            ingress.raise(occurrence());
            assert_eq!(ingress.dropped_events(kind), dropped);
        }
        let shard = ingress.shard_of(&ClientId::new("c"));
        assert_eq!(ingress.try_submit(shard, &mut vec![message(), message()]), Ok(true));
        assert_eq!(ingress.try_submit(shard, &mut vec![message()]), Ok(false));
        let taken = ingress.drain_for_test();
        assert_eq!(taken.iter().map(|inbound| inbound.event.is_some()).collect::<Vec<_>>(), [true, true, false, false]);
        ingress.raise(occurrence());
        assert_eq!((ingress.depth(), ingress.dropped_events(kind)), (1, 2));
        ingress.close();
        ingress.raise(occurrence());
        assert_eq!(ingress.dropped_events(kind), 3);
    }

    #[test]
    fn only_what_was_asked_for_is_wanted() {
        let ingress = Ingress::new(1, IngressLimits::default());
        assert!(!ingress.wants(EventKind::ClientPing));
        let mut set = EventSet::default();
        set.insert(EventKind::ClientPing);
        ingress.want(set);
        assert!(ingress.wants(EventKind::ClientPing) && !ingress.wants(EventKind::ClientConnected));
    }
}
