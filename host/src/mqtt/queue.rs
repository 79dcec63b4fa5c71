//! What waits for one subscriber: a queue bounded in messages and bytes, and the bell that wakes its connection.
//!
//! Whoever publishes puts in and rings; the subscriber's connection takes out. A full queue drops by a stated policy and
//! says so; it never makes a publisher wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::events::dropped;
use super::shared::SharedGroup;
use crate::message::{Message, QoS};

/// One message for one subscriber. Topic, payload and properties are shared by all that get it.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub message: Arc<Message>,
    /// The lower of what was published and what was granted (MQTT-3.8.4-8).
    pub qos: QoS,
    pub retain: bool,
    pub subscription_ids: SubscriptionIds,
    /// The shared subscription that chose this subscriber, which may choose another if this one goes.
    pub group: Option<Arc<SharedGroup>>,
}

/// The identifiers of the subscriptions that matched; nearly always none or one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionIds {
    #[default]
    None,
    One(u32),
    Many(Box<[u32]>),
}

impl SubscriptionIds {
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        match self {
            SubscriptionIds::None => &[],
            SubscriptionIds::One(id) => std::slice::from_ref(id),
            SubscriptionIds::Many(ids) => ids,
        }
    }

    pub fn push(&mut self, id: u32) {
        *self = match std::mem::take(self) {
            SubscriptionIds::None => SubscriptionIds::One(id),
            ids => SubscriptionIds::Many(ids.as_slice().iter().copied().chain([id]).collect()),
        };
    }
}

impl Delivery {
    fn weight(&self) -> usize {
        self.message.payload.len() + self.message.topic.as_str().len()
    }
}

/// What may wait.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    pub messages: usize,
    pub bytes: usize,
    /// Retained messages that one subscriber may have waiting, beside the queue.
    pub retained: usize,
    /// Whether QoS 0 messages wait for a subscriber that is not connected.
    pub store_qos0: bool,
}

/// What became of a message that was put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Pushed {
    pub queued: bool,
    /// Messages of QoS 1 and 2 that were dropped, this one perhaps among them.
    pub dropped: usize,
    /// Messages of QoS 0 that were dropped.
    pub dropped_qos0: usize,
}

/// The queue of one session.
#[derive(Debug)]
pub struct Queue {
    limits: QueueLimits,
    waiting: VecDeque<Delivery>,
    /// Retained messages for new subscriptions go first and are bounded by the store, not by the queue's limits.
    retained: VecDeque<Delivery>,
    bytes: usize,
    /// QoS 0 messages in `waiting`.
    qos0: usize,
}

/// Capacity, in messages, that an empty queue may keep.
const IDLE_CAPACITY: usize = 16;

impl Queue {
    #[must_use]
    pub fn new(limits: QueueLimits) -> Queue {
        Queue { limits, waiting: VecDeque::new(), retained: VecDeque::new(), bytes: 0, qos0: 0 }
    }

    /// Puts a message in. When the queue is full, the oldest QoS 0 message makes room; if there is none, a new QoS 0
    /// message is dropped, and for any other the oldest message is. `gone` is shown what was dropped, and why.
    pub fn push(&mut self, delivery: Delivery, online: bool, mut gone: impl FnMut(&Delivery, &'static str)) -> Pushed {
        let mut pushed = Pushed::default();
        let weight = delivery.weight();
        let qos0 = delivery.qos == QoS::AtMostOnce;
        let absent = qos0 && !online && !self.limits.store_qos0;
        if absent || self.limits.messages == 0 || weight > self.limits.bytes {
            pushed.count(qos0);
            gone(&delivery, if absent { dropped::QOS0 } else { dropped::QUEUE_FULL });
            return pushed;
        }
        while self.waiting.len() >= self.limits.messages || self.bytes + weight > self.limits.bytes {
            if self.qos0 == 0 && qos0 {
                pushed.count(true);
                gone(&delivery, dropped::QUEUE_FULL);
                return pushed;
            }
            let victim = match self.qos0 {
                0 => 0,
                _ => self.waiting.iter().position(|waiting| waiting.qos == QoS::AtMostOnce).unwrap_or(0),
            };
            let Some(oldest) = self.waiting.remove(victim) else { break };
            self.forget(&oldest);
            gone(&oldest, dropped::QUEUE_FULL);
            pushed.count(oldest.qos == QoS::AtMostOnce);
        }
        self.bytes += weight;
        self.qos0 += usize::from(qos0);
        self.waiting.push_back(delivery);
        pushed.queued = true;
        pushed
    }

    /// Puts a retained message in, or gives it back when too many wait already.
    // It comes back by value on purpose: whoever counts it wants to look at it.
    #[allow(clippy::result_large_err)]
    pub fn push_retained(&mut self, delivery: Delivery) -> Result<(), Delivery> {
        if self.retained.len() >= self.limits.retained {
            return Err(delivery);
        }
        self.retained.push_back(delivery);
        Ok(())
    }

    pub fn pop(&mut self) -> Option<Delivery> {
        if let Some(delivery) = self.retained.pop_front() {
            return Some(delivery);
        }
        let delivery = self.waiting.pop_front()?;
        self.forget(&delivery);
        if self.waiting.is_empty() {
            self.retained = VecDeque::new();
            if self.waiting.capacity() > IDLE_CAPACITY {
                self.waiting = VecDeque::new();
            }
        }
        Some(delivery)
    }

    /// Takes out the messages that shared subscriptions gave to this subscriber.
    pub fn take_shared(&mut self, of: impl Fn(&Arc<SharedGroup>) -> bool) -> Vec<Delivery> {
        let theirs = |delivery: &Delivery| delivery.group.as_ref().is_some_and(&of);
        if !self.waiting.iter().any(theirs) {
            return Vec::new();
        }
        let (taken, kept): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting).into_iter().partition(theirs);
        self.waiting = kept;
        let taken = Vec::from(taken);
        taken.iter().for_each(|delivery| self.forget(delivery));
        taken
    }

    /// Takes a message that left `waiting` out of the sums.
    fn forget(&mut self, delivery: &Delivery) {
        self.bytes -= delivery.weight();
        self.qos0 -= usize::from(delivery.qos == QoS::AtMostOnce);
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len() + self.retained.len()
    }
}

impl Pushed {
    fn count(&mut self, qos0: bool) {
        if qos0 {
            self.dropped_qos0 += 1;
        } else {
            self.dropped += 1;
        }
    }
}

/// Wakes one connection: something waits for it, or it has to go.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// Rings once, however often it is called before the connection looks.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(waker) = self.waker.lock().take()
        {
            waker.wake();
        }
    }

    /// Ready when it rang since the last `Ready`.
    pub fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.rung.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        let mut waker = self.waker.lock();
        match waker.as_ref() {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
        drop(waker);
        // It may have rung between the first look and the registration.
        if self.rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::testing::message;

    fn queue(messages: usize, bytes: usize) -> Queue {
        Queue::new(QueueLimits { messages, bytes, retained: 2, store_qos0: false })
    }

    fn delivery(name: &str, qos: u8) -> Delivery {
        let qos = QoS::from_u8(qos).unwrap();
        Delivery {
            message: Arc::new(message(name, "payload", qos)),
            qos,
            retain: false,
            subscription_ids: SubscriptionIds::None,
            group: None,
        }
    }

    fn push(queue: &mut Queue, delivery: Delivery, online: bool) -> Pushed {
        let mut gone = 0;
        let pushed = queue.push(delivery, online, |_, _| gone += 1);
        assert_eq!(pushed.dropped + pushed.dropped_qos0, gone, "shown is what is counted");
        pushed
    }

    fn names(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|delivery| delivery.message.topic.to_string()).collect()
    }

    #[test]
    fn a_full_queue_drops_qos_0_first_and_then_the_oldest() {
        let mut queue = queue(3, 1000);
        for (name, qos) in [("a", 1), ("b", 0), ("c", 1)] {
            assert!(push(&mut queue, delivery(name, qos), true).queued);
        }
        assert_eq!(push(&mut queue, delivery("d", 1), true), Pushed { queued: true, dropped: 0, dropped_qos0: 1 });
        assert_eq!(push(&mut queue, delivery("e", 0), true), Pushed { queued: false, dropped: 0, dropped_qos0: 1 });
        assert_eq!(push(&mut queue, delivery("f", 2), true), Pushed { queued: true, dropped: 1, dropped_qos0: 0 });
        assert_eq!(names(&mut queue), ["c", "d", "f"]);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut queue = queue(100, 20);
        let pushed: Vec<_> = ["a", "b", "c"].iter().map(|name| push(&mut queue, delivery(name, 1), true)).collect();
        assert_eq!(pushed.iter().map(|pushed| pushed.dropped).sum::<usize>(), 1);
        assert_eq!(names(&mut queue), ["b", "c"]);
        let tiny = Queue::new(QueueLimits { messages: 9, bytes: 5, retained: 0, store_qos0: true });
        let mut tiny = tiny;
        assert_eq!(push(&mut tiny, delivery("a", 1), true), Pushed { queued: false, dropped: 1, dropped_qos0: 0 });
    }

    #[test]
    fn qos_0_does_not_wait_for_the_absent_unless_asked() {
        let mut queue = queue(3, 1000);
        assert!(!push(&mut queue, delivery("a", 0), false).queued);
        assert!(push(&mut queue, delivery("a", 1), false).queued);
    }

    #[test]
    fn retained_messages_go_first_and_are_bounded() {
        let mut queue = queue(3, 1000);
        assert!(push(&mut queue, delivery("live", 1), true).queued);
        assert!(queue.push_retained(delivery("r1", 1)).is_ok() && queue.push_retained(delivery("r2", 1)).is_ok());
        assert!(queue.push_retained(delivery("r3", 1)).is_err());
        assert_eq!(names(&mut queue), ["r1", "r2", "live"]);
    }

    #[test]
    fn subscription_identifiers_add_up() {
        let mut ids = SubscriptionIds::None;
        for id in [7, 300, 2] {
            ids.push(id);
        }
        assert_eq!(ids.as_slice(), [7, 300, 2]);
    }

    #[test]
    fn the_bell_wakes_once_and_loses_no_ring() {
        let bell = Bell::default();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(bell.poll_rung(&mut cx).is_pending());
        bell.ring();
        bell.ring();
        assert!(bell.poll_rung(&mut cx).is_ready());
        assert!(bell.poll_rung(&mut cx).is_pending());
    }
}
