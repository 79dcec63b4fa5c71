//! The session of one client as the standards describe it: what must be remembered, and what each packet calls for.
//!
//! Pure: packets and acknowledgements go in, [`Effect`]s come out. It reads no clock, takes no lock and knows no socket;
//! what survives a connection and what does not is decided in [`Session::connected`].

use std::collections::BTreeMap;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::acks::{Owed, Promise, Released, Verdict};
use super::packet::{Ack, PacketId, Reason};
use super::router::SubscriptionOptions;
use super::window::Window;
use crate::ack::{Outcome, Refusal};
use crate::message::{ProtocolVersion, QoS};

/// What the connection must now do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Effect {
    Nothing,
    PubAck(PacketId, Reason),
    PubRec(PacketId, Reason),
    PubRel(PacketId, Reason),
    PubComp(PacketId, Reason),
    /// End the connection; a 5.0 client is told why.
    Close(Reason),
}

/// What to do with a PUBLISH of QoS 1 or 2.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Admission {
    /// New: it goes down the pipeline.
    Take,
    /// QoS 2, taken by a connection before this one and not settled then: that promise is for this copy.
    Carry(Promise),
    /// QoS 2, and already taken and acknowledged: say so again, in its turn (MQTT-4.3.3-10).
    AcknowledgeAgain,
    /// QoS 2, and its first copy is not settled yet: that one's acknowledgement is for both.
    Wait,
    /// More than the Receive Maximum (MQTT-3.3.4-7).
    Exceeded,
}

/// How long a session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    After(Duration),
    Never,
}

impl Expiry {
    /// As MQTT 5 writes it: seconds, and 0xFFFFFFFF for never.
    #[must_use]
    pub fn from_secs(seconds: u32) -> Expiry {
        match seconds {
            u32::MAX => Expiry::Never,
            seconds => Expiry::After(Duration::from_secs(seconds.into())),
        }
    }

    /// As [`Expiry::from_secs`] reads it; parts of a second are left out.
    #[must_use]
    pub fn as_secs(self) -> u32 {
        match self {
            Expiry::Never => u32::MAX,
            Expiry::After(after) => u32::try_from(after.as_secs()).unwrap_or(u32::MAX),
        }
    }

    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Expiry::After(Duration::ZERO)
    }
}

/// What a connection agreed on.
#[derive(Clone, Copy, Debug)]
pub struct Agreement {
    pub version: ProtocolVersion,
    pub expiry: Expiry,
    /// What the client may have unacknowledged towards us.
    pub receive_maximum: u16,
    /// What we may have unacknowledged towards the client.
    pub send_maximum: u16,
}

/// A QoS 2 message between its PUBLISH and its PUBREC.
#[derive(Debug, Default)]
struct Unsettled {
    /// `None` only between [`Session::handle_publish`] and [`Session::promised`].
    promise: Option<Promise>,
    /// An acknowledgement of a connection that is gone would have answered it.
    carried: bool,
}

/// The state of one client.
#[derive(Debug)]
pub struct Session {
    /// QoS 2 ids that were acknowledged with PUBREC and not released with PUBREL; `true` when they count against the
    /// Receive Maximum of this connection.
    received: FxHashMap<PacketId, bool>,
    counted: usize,
    /// QoS 2 ids that went down the pipeline and whose outcome is not known yet, or was not when their connection
    /// ended. The client sends those again, and must not thereby send them twice.
    unsettled: FxHashMap<PacketId, Unsettled>,
    /// Messages to the client.
    pub window: Window,
    /// By filter as it was subscribed, `$share/` included.
    pub subscriptions: BTreeMap<String, SubscriptionOptions>,
    pub expiry: Expiry,
    version: ProtocolVersion,
    receive_maximum: usize,
}

impl Session {
    #[must_use]
    pub fn new(agreement: &Agreement) -> Session {
        let mut session = Session {
            received: FxHashMap::default(),
            counted: 0,
            unsettled: FxHashMap::default(),
            window: Window::default(),
            subscriptions: BTreeMap::new(),
            expiry: agreement.expiry,
            version: agreement.version,
            receive_maximum: 0,
        };
        session.connected(agreement);
        session
    }

    /// A connection begins. What counted against the limits of the one before does no more; its promises stand.
    pub fn connected(&mut self, agreement: &Agreement) {
        self.received.values_mut().for_each(|counts| *counts = false);
        self.counted = 0;
        self.unsettled.values_mut().for_each(|unsettled| unsettled.carried = true);
        self.window.connected(agreement.send_maximum);
        self.expiry = agreement.expiry;
        self.version = agreement.version;
        self.receive_maximum = usize::from(agreement.receive_maximum);
    }

    /// PUBLISH of QoS 1 or 2. `owed`: messages of QoS 1 and 2 that this connection has not been answered.
    pub fn handle_publish(&mut self, id: PacketId, qos: QoS, owed: usize) -> Admission {
        if qos == QoS::ExactlyOnce {
            if self.received.contains_key(&id) {
                return Admission::AcknowledgeAgain;
            }
            if self.unsettled.get(&id).is_some_and(|unsettled| !unsettled.carried) {
                return Admission::Wait;
            }
        }
        // A 3.1.1 client knows no Receive Maximum; its socket is not read instead.
        if self.version == ProtocolVersion::V5 && owed + self.counted >= self.receive_maximum {
            return Admission::Exceeded;
        }
        if qos == QoS::ExactlyOnce {
            let carried = self.unsettled.remove(&id).and_then(|unsettled| unsettled.promise);
            let standing = carried.filter(|promise| promise.outcome().is_none_or(|outcome| self.can_tell(outcome)));
            self.unsettled.insert(id, Unsettled { promise: standing.clone(), carried: false });
            if let Some(promise) = standing {
                return Admission::Carry(promise);
            }
        }
        Admission::Take
    }

    /// The promise of a QoS 2 message that was told to [`Admission::Take`]: to be said before the session is unlocked.
    pub fn promised(&mut self, id: PacketId, promise: Promise) {
        if let Some(unsettled) = self.unsettled.get_mut(&id) {
            unsettled.promise = Some(promise);
        }
    }

    /// An acknowledgement whose turn has come.
    pub fn handle_released(&mut self, released: Released) -> Effect {
        let (id, exactly_once) = match released.owed {
            Owed::Nothing => return Effect::Nothing,
            Owed::PubAck(id) => (id, false),
            Owed::PubRec(id) => (id, true),
        };
        let reason = match released.verdict {
            // The client has released the id meanwhile, and may have used it for another message already, which an
            // acknowledgement now would be taken for.
            Verdict::Decided(Reason::Success) if exactly_once && !self.received.contains_key(&id) => {
                return Effect::Nothing;
            }
            Verdict::Decided(reason) => reason,
            Verdict::Settled(outcome) => {
                self.settled(id, exactly_once);
                match told(outcome) {
                    Ok(reason) => reason,
                    Err(reason) => return Effect::Close(reason),
                }
            }
        };
        // 3.1.1 has no way to say no: the connection ends, and the message is the client's again.
        if self.version == ProtocolVersion::V4 && reason.is_error() {
            return Effect::Close(reason);
        }
        if !exactly_once {
            return Effect::PubAck(id, reason);
        }
        // A repeated acknowledgement remembers nothing: PUBREL may have come since.
        let taken = matches!(released.verdict, Verdict::Settled(_)) && !reason.is_error();
        if taken && self.received.insert(id, true) != Some(true) {
            self.counted += 1;
        }
        Effect::PubRec(id, reason)
    }

    fn settled(&mut self, id: PacketId, exactly_once: bool) {
        if exactly_once && self.unsettled.remove(&id).is_some() {
            give_back(&mut self.unsettled);
        }
    }

    /// Whether the client can be told of this outcome; if not, it keeps the message and its next copy is a new try.
    fn can_tell(&self, outcome: Outcome) -> bool {
        told(outcome).is_ok_and(|reason| self.version == ProtocolVersion::V5 || !reason.is_error())
    }

    /// QoS 2 messages of the client that it has not released.
    #[must_use]
    pub fn awaiting_release(&self) -> usize {
        self.received.len()
    }

    /// PUBREL: the id is free again. Repeated or unknown: answered too (0x92 in 5.0).
    pub fn handle_pubrel(&mut self, ack: Ack) -> Effect {
        match self.received.remove(&ack.id) {
            Some(counts) => {
                self.counted -= usize::from(counts);
                give_back(&mut self.received);
                Effect::PubComp(ack.id, Reason::Success)
            }
            None => Effect::PubComp(ack.id, Reason::PacketIdNotFound),
        }
    }

    /// PUBACK for a message that we sent. One that we do not know of is ignored, as it may be late.
    pub fn handle_puback(&mut self, ack: Ack) -> Effect {
        self.window.acknowledge(ack.id, QoS::AtLeastOnce);
        Effect::Nothing
    }

    /// PUBREC for a message that we sent.
    pub fn handle_pubrec(&mut self, ack: Ack) -> Effect {
        if ack.failed {
            self.window.acknowledge(ack.id, QoS::ExactlyOnce);
            return Effect::Nothing;
        }
        match self.window.received(ack.id) {
            true => Effect::PubRel(ack.id, Reason::Success),
            false => Effect::PubRel(ack.id, Reason::PacketIdNotFound),
        }
    }

    /// PUBCOMP for a message that we sent.
    pub fn handle_pubcomp(&mut self, ack: Ack) -> Effect {
        self.window.complete(ack.id);
        Effect::Nothing
    }

    /// DISCONNECT may change how long the session lives, but not from zero (5.0, section 3.14.2.2.2).
    pub fn handle_disconnect(&mut self, expiry: Option<u32>) -> Effect {
        match expiry.map(Expiry::from_secs) {
            None => Effect::Nothing,
            Some(expiry) if self.expiry.is_zero() && !expiry.is_zero() => Effect::Close(Reason::ProtocolError),
            Some(expiry) => {
                self.expiry = expiry;
                Effect::Nothing
            }
        }
    }
}

/// An emptied table gives its memory back.
fn give_back<V>(table: &mut FxHashMap<PacketId, V>) {
    if table.is_empty() && table.capacity() > 64 {
        *table = FxHashMap::default();
    }
}

/// What the publisher is told of an outcome, or why its connection ends without an acknowledgement.
fn told(outcome: Outcome) -> Result<Reason, Reason> {
    match outcome {
        Outcome::Delivered => Ok(Reason::Success),
        Outcome::Unmatched => Ok(Reason::NoMatchingSubscribers),
        Outcome::Refused(Refusal::ImplementationSpecific) => Ok(Reason::ImplementationSpecific),
        Outcome::Refused(Refusal::NotAuthorized) => Ok(Reason::NotAuthorized),
        Outcome::Refused(Refusal::QuotaExceeded) => Ok(Reason::QuotaExceeded),
        Outcome::Refused(Refusal::PayloadFormatInvalid) => Ok(Reason::PayloadFormatInvalid),
        Outcome::Failed => Err(Reason::ImplementationSpecific),
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
