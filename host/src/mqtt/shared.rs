//! One shared subscription: of each message, one member gets it.
//!
//! The member with the least waiting is chosen, connected ones first, taking turns among equals; so a member that stalls
//! is passed over as soon as any other is better off. What a leaving member had not acknowledged goes to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::mailbox::Mailbox;
use super::queue::{Delivery, SubscriptionIds};
use super::router::SubscriptionOptions;
use crate::message::Message;
use crate::telemetry::metrics::Metrics;

/// One session in a group.
#[derive(Clone, Debug)]
pub struct Member {
    pub mailbox: Arc<Mailbox>,
    pub options: SubscriptionOptions,
}

/// The members of `$share/name/filter`.
#[derive(Debug)]
pub struct SharedGroup {
    name: Arc<str>,
    members: RwLock<Vec<Member>>,
    turn: AtomicUsize,
}

/// Members that are looked at for one message; in a larger group, the next ones in turn.
const LOOK_AT: usize = 16;

impl SharedGroup {
    #[must_use]
    pub fn new(name: Arc<str>) -> Arc<SharedGroup> {
        Arc::new(SharedGroup { name, members: RwLock::default(), turn: AtomicUsize::new(0) })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a member, or replaces its options.
    pub fn join(&self, member: Member) {
        let mut members = self.members.write();
        match members.iter_mut().find(|known| Arc::ptr_eq(&known.mailbox, &member.mailbox)) {
            Some(known) => *known = member,
            None => members.push(member),
        }
    }

    /// Removes a member; `true` when nobody is left.
    #[must_use]
    pub fn leave(&self, mailbox: &Arc<Mailbox>) -> bool {
        let mut members = self.members.write();
        members.retain(|member| !Arc::ptr_eq(&member.mailbox, mailbox));
        members.is_empty()
    }

    /// Gives the message to one member; whether that member has it now.
    pub fn deliver(self: &Arc<Self>, message: &Arc<Message>, metrics: &Metrics) -> bool {
        let members = self.members.read();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let candidates = (0..members.len().min(LOOK_AT)).filter_map(|step| {
            let member = members.get((turn + step) % members.len())?;
            Some((member, member.mailbox.strain()))
        });
        let Some((chosen, _)) = candidates.min_by_key(|(_, strain)| *strain) else { return false };
        let delivery = Delivery {
            message: message.clone(),
            qos: chosen.options.qos.min(message.qos),
            retain: chosen.options.retain_as_published && message.retain,
            subscription_ids: chosen.options.subscription_id.map_or(SubscriptionIds::None, SubscriptionIds::One),
            group: Some(self.clone()),
        };
        chosen.mailbox.deliver(delivery, metrics)
    }
}

/// Gives messages that a member had not acknowledged to the members that are left; for nobody, they are counted.
pub fn hand_on(deliveries: Vec<Delivery>, metrics: &Metrics) {
    for delivery in deliveries {
        let handed = delivery.group.as_ref().is_some_and(|group| group.deliver(&delivery.message, metrics));
        if !handed {
            metrics.delivery_dropped_queue_full.add(1);
        }
    }
}
