//! Where messages for one session are put: its queue, and the link to the connection that empties it, if there is one.
//!
//! Lock order: the router's index before a mailbox; of other locks only the pipeline's, for an event, is taken while a
//! mailbox is locked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::events::{Events, dropped};
use super::queue::{Bell, Delivery, Queue, QueueLimits};
use super::shared::SharedGroup;
use super::traffic::Traffic;
use crate::event::EventKind;
use crate::message::{Client, ClientId};
use crate::telemetry::metrics::Metrics;

/// Why a connection has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kick {
    /// Another connection has the session now (MQTT-3.1.4-3).
    TakenOver = 1,
    /// The process ends: answer what is outstanding, then go.
    Drain = 2,
    /// The time for that is up.
    Abort = 3,
    /// An operator said so.
    Administrative = 4,
    /// As `TakenOver`, by a connection that began the session anew.
    Discarded = 5,
}

/// How others reach a connection.
#[derive(Debug, Default)]
pub struct Link {
    pub bell: Bell,
    pub traffic: Traffic,
    kick: AtomicU8,
}

impl Link {
    /// Tells the connection to go. A stronger word than the one before wins: nothing overrides the loss of the session.
    pub fn kick(&self, kick: Kick) {
        let _ = self.kick.fetch_update(Ordering::AcqRel, Ordering::Acquire, |known| {
            (known == 0 || (known == Kick::Drain as u8)).then_some(kick as u8)
        });
        self.bell.ring();
    }

    #[must_use]
    pub fn kicked(&self) -> Option<Kick> {
        match self.kick.load(Ordering::Acquire) {
            1 => Some(Kick::TakenOver),
            2 => Some(Kick::Drain),
            3 => Some(Kick::Abort),
            4 => Some(Kick::Administrative),
            5 => Some(Kick::Discarded),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Inner {
    /// As it connected last.
    owner: Arc<Client>,
    queue: Queue,
    link: Option<Arc<Link>>,
    closed: bool,
    /// Messages that found no room, or lost theirs.
    dropped: u64,
}

/// The mailbox of one session.
#[derive(Debug)]
pub struct Mailbox {
    client: ClientId,
    inner: Mutex<Inner>,
    online: AtomicBool,
    waiting: AtomicUsize,
    in_flight: AtomicUsize,
    events: Arc<Events>,
}

impl Mailbox {
    #[must_use]
    pub fn new(client: &Arc<Client>, limits: QueueLimits, events: &Arc<Events>) -> Arc<Mailbox> {
        Arc::new(Mailbox {
            client: client.id.clone(),
            inner: Mutex::new(Inner {
                owner: client.clone(),
                queue: Queue::new(limits),
                link: None,
                closed: false,
                dropped: 0,
            }),
            events: events.clone(),
            online: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
        })
    }

    #[must_use]
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// The session goes on with another connection, of the same client id.
    pub fn belongs_to(&self, client: &Arc<Client>) {
        self.inner.lock().owner = client.clone();
    }

    /// A message was left out on purpose.
    pub fn left_out(&self, delivery: &Delivery, reason: &'static str) {
        let owner = self.inner.lock().owner.clone();
        self.events.delivery_dropped(&owner, delivery, reason);
    }

    /// Whether anybody asks what became of deliveries that were dropped.
    #[must_use]
    pub fn explains_drops(&self) -> bool {
        self.events.wants(EventKind::DeliveryDropped)
    }

    /// From now on `link` is rung; `None` when nobody is connected.
    pub fn connect(&self, link: Option<Arc<Link>>) {
        self.online.store(link.is_some(), Ordering::Release);
        self.inner.lock().link = link;
    }

    /// Puts a message in; `false` when it was dropped at once (which is counted, unless the session is over).
    pub fn deliver(&self, delivery: Delivery, metrics: &Metrics) -> bool {
        let mut inner = self.inner.lock();
        if inner.closed {
            return false;
        }
        let online = inner.link.is_some();
        let Inner { queue, owner, .. } = &mut *inner;
        let pushed = queue.push(delivery, online, |gone, why| self.events.delivery_dropped(owner, gone, why));
        inner.dropped += (pushed.dropped + pushed.dropped_qos0) as u64;
        self.waiting.store(inner.queue.len(), Ordering::Relaxed);
        if pushed.dropped > 0 {
            metrics.delivery_dropped_queue_full.add(pushed.dropped as u64);
        }
        if pushed.dropped_qos0 > 0 {
            metrics.delivery_dropped_qos0.add(pushed.dropped_qos0 as u64);
        }
        if let Some(link) = &inner.link {
            link.bell.ring();
        }
        pushed.queued
    }

    /// Puts retained messages in, ahead of all others.
    pub fn deliver_retained(&self, deliveries: impl Iterator<Item = Delivery>, metrics: &Metrics) {
        let mut inner = self.inner.lock();
        if inner.closed {
            return;
        }
        for delivery in deliveries {
            let Inner { queue, owner, .. } = &mut *inner;
            if let Err(refused) = queue.push_retained(delivery) {
                self.events.delivery_dropped(owner, &refused, dropped::QUEUE_FULL);
                metrics.delivery_dropped_queue_full.add(1);
            }
        }
        self.waiting.store(inner.queue.len(), Ordering::Relaxed);
        if let Some(link) = &inner.link {
            link.bell.ring();
        }
    }

    /// Messages that wait, and how many were dropped for want of room.
    #[must_use]
    pub fn depth(&self) -> (usize, u64) {
        let inner = self.inner.lock();
        (inner.queue.len(), inner.dropped)
    }

    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// The next message for the client.
    pub fn pop(&self) -> Option<Delivery> {
        if !self.has_waiting() {
            return None;
        }
        let mut inner = self.inner.lock();
        let delivery = inner.queue.pop();
        self.waiting.store(inner.queue.len(), Ordering::Relaxed);
        delivery
    }

    /// Messages that were sent and not acknowledged, for [`Mailbox::strain`].
    pub fn note_in_flight(&self, n: usize) {
        self.in_flight.store(n, Ordering::Relaxed);
    }

    /// How badly off this session is: the absent come last, then by what waits and what is unacknowledged.
    #[must_use]
    pub fn strain(&self) -> (bool, usize) {
        let online = self.online.load(Ordering::Acquire);
        (!online, self.waiting.load(Ordering::Relaxed) + self.in_flight.load(Ordering::Relaxed))
    }

    /// Takes out what shared subscriptions put here.
    pub fn take_shared(&self, of: impl Fn(&Arc<SharedGroup>) -> bool) -> Vec<Delivery> {
        let mut inner = self.inner.lock();
        let taken = inner.queue.take_shared(of);
        self.waiting.store(inner.queue.len(), Ordering::Relaxed);
        taken
    }

    /// The session is over: nothing more goes in, and what waits is dropped. Returns how many messages that were.
    pub fn close(&self) -> usize {
        self.online.store(false, Ordering::Release);
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.link = None;
        self.waiting.store(0, Ordering::Relaxed);
        let mut dropped = 0;
        while inner.queue.pop().is_some() {
            dropped += 1;
        }
        dropped
    }
}
