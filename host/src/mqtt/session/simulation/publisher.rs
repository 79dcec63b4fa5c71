//! From a publisher to the pipeline: QoS 1 and 2, acknowledgements in order, promises that outlive their connection.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::ack::{AckGroup, AckHandle, AckSignal};
use crate::mqtt::acks::Acks;

/// Packet ids that the client uses: few, so that they come round soon.
const IDS: u16 = 5;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The client publishes a new message, if its window allows.
    Publish(QoS),
    /// A 3.1.1 client sends a QoS 2 message again on the same connection; either sends a PUBREL again.
    Repeat(usize),
    /// The broker reads one packet.
    Up,
    /// The pipeline ends one of its open messages.
    Settle(usize, Outcome),
    /// The broker writes the acknowledgements whose turn has come.
    Release,
    /// The client reads one packet.
    Down,
    /// The connection breaks; what was on the way is lost, and the client is back on a new one.
    Break,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Published,
    Released,
    Done,
    Refused,
}

/// A message as its publisher sees it.
#[derive(Debug)]
struct Sent {
    qos: QoS,
    id: PacketId,
    stage: Stage,
    /// Its PUBLISH went out on this connection.
    here: bool,
}

impl Sent {
    fn in_flight(&self) -> bool {
        matches!(self.stage, Stage::Published | Stage::Released)
    }
}

/// What went down the pipeline.
#[derive(Debug)]
struct Copy {
    message: usize,
    handle: Option<AckHandle>,
    outcome: Option<Outcome>,
}

enum Up {
    Publish(usize),
    PubRel(PacketId),
}

struct Simulation {
    agreement: Agreement,
    session: Session,
    acks: Acks,
    messages: Vec<Sent>,
    copies: Vec<Copy>,
    up: VecDeque<Up>,
    down: VecDeque<Effect>,
    /// What the broker owes on this connection, in the order of receipt.
    owed: VecDeque<Owed>,
}

impl Simulation {
    fn new(version: ProtocolVersion, receive_maximum: u16) -> Simulation {
        let agreement = Agreement { version, expiry: Expiry::Never, receive_maximum, send_maximum: 10 };
        Simulation {
            agreement,
            session: Session::new(&agreement),
            acks: Acks::default(),
            messages: Vec::new(),
            copies: Vec::new(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            owed: VecDeque::new(),
        }
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(*step);
            self.check();
        }
        self.finish();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish(qos) => self.publish(qos),
            Step::Repeat(which) => self.repeat(which),
            Step::Up => self.read(),
            Step::Settle(which, outcome) => self.settle(which, outcome),
            Step::Release => self.release(),
            Step::Down => self.answer(),
            Step::Break => self.reconnect(),
        }
    }

    fn publish(&mut self, qos: QoS) {
        let out = self.messages.iter().filter(|sent| sent.here && sent.in_flight()).count();
        let full = out >= usize::from(self.agreement.receive_maximum);
        let used = |id| self.messages.iter().any(|sent| sent.id == id && sent.in_flight());
        let Some(id) = (1..=IDS).map(id).find(|id| !used(*id)) else { return };
        if full {
            return;
        }
        self.up.push_back(Up::Publish(self.messages.len()));
        self.messages.push(Sent { qos, id, stage: Stage::Published, here: true });
    }

    fn repeat(&mut self, which: usize) {
        let repeatable = |sent: &Sent| match sent.stage {
            // MQTT-4.4.0-1 of 5.0 forbids it; and a second PUBACK could be taken for another message's.
            Stage::Published => sent.qos == QoS::ExactlyOnce && self.agreement.version == ProtocolVersion::V4,
            stage => stage == Stage::Released,
        };
        let all: Vec<_> = (0..self.messages.len()).filter(|n| repeatable(&self.messages[*n])).collect();
        let Some(n) = pick(&all, which) else { return };
        match self.messages[n].stage {
            Stage::Published => self.up.push_back(Up::Publish(n)),
            _ => self.up.push_back(Up::PubRel(self.messages[n].id)),
        }
    }

    fn read(&mut self) {
        match self.up.pop_front() {
            None => {}
            Some(Up::PubRel(id)) => self.down.push_back(self.session.handle_pubrel(Ack { id, failed: false })),
            Some(Up::Publish(message)) => self.receive(message),
        }
    }

    fn receive(&mut self, message: usize) {
        let Sent { qos, id, .. } = self.messages[message];
        let owed = if qos == QoS::ExactlyOnce { Owed::PubRec(id) } else { Owed::PubAck(id) };
        match self.session.handle_publish(id, qos, self.acks.owed()) {
            Admission::Wait => return,
            Admission::Exceeded => panic!("message {message}: the client kept to the Receive Maximum"),
            Admission::AcknowledgeAgain => self.acks.decide(owed, Reason::Success),
            Admission::Carry(promise) => self.acks.carry(owed, promise),
            Admission::Take => {
                let group = AckGroup::open(1, &AckSignal::new());
                self.copies.push(Copy { message, handle: Some(group.handle(0)), outcome: None });
                self.acks.expect(owed, 1);
                if qos == QoS::ExactlyOnce {
                    self.session.promised(id, Promise::new(&group, 0));
                }
                self.acks.open(group);
            }
        }
        self.owed.push_back(owed);
    }

    fn settle(&mut self, which: usize, outcome: Outcome) {
        let open: Vec<_> = (0..self.copies.len()).filter(|n| self.copies[*n].handle.is_some()).collect();
        let Some(copy) = pick(&open, which).map(|n| &mut self.copies[n]) else { return };
        copy.outcome = Some(outcome);
        if let Some(handle) = copy.handle.take() {
            // Losing the handle is how a failure looks.
            if outcome != Outcome::Failed {
                handle.settle(outcome);
            }
        }
    }

    fn release(&mut self) {
        while let Some(released) = self.acks.release() {
            assert_eq!(Some(released.owed), self.owed.pop_front(), "out of turn");
            let effect = self.session.handle_released(released);
            match effect {
                Effect::Nothing => {}
                Effect::Close(_) => return self.reconnect(),
                Effect::PubAck(id, reason) | Effect::PubRec(id, reason) => {
                    let n = self.in_flight(id);
                    if !reason.is_error() {
                        assert!(self.reached(n) > 0, "message {n} is acknowledged and nowhere");
                    }
                    self.down.push_back(effect);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn answer(&mut self) {
        match self.down.pop_front() {
            None => {}
            Some(Effect::PubAck(id, reason)) => {
                let n = self.in_flight(id);
                assert_eq!((self.messages[n].qos, self.messages[n].stage), (QoS::AtLeastOnce, Stage::Published));
                self.messages[n].stage = if reason.is_error() { Stage::Refused } else { Stage::Done };
            }
            Some(Effect::PubRec(id, reason)) => {
                let n = self.in_flight(id);
                assert_eq!(self.messages[n].qos, QoS::ExactlyOnce);
                if reason.is_error() {
                    self.messages[n].stage = Stage::Refused;
                } else {
                    self.messages[n].stage = Stage::Released;
                    self.up.push_back(Up::PubRel(id));
                }
            }
            Some(Effect::PubComp(id, _)) => {
                // The second answer to a repeated PUBREL finds nothing.
                let released = |sent: &&mut Sent| sent.id == id && sent.stage == Stage::Released;
                if let Some(sent) = self.messages.iter_mut().find(released) {
                    sent.stage = Stage::Done;
                }
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    fn reconnect(&mut self) {
        self.acks = Acks::default();
        (self.up, self.down, self.owed) = Default::default();
        self.session.connected(&self.agreement);
        for (n, sent) in self.messages.iter_mut().enumerate() {
            sent.here = sent.stage == Stage::Published;
            match sent.stage {
                Stage::Published => self.up.push_back(Up::Publish(n)),
                Stage::Released => self.up.push_back(Up::PubRel(sent.id)),
                Stage::Done | Stage::Refused => {}
            }
        }
    }

    /// The message that uses this id, which the client must know of.
    fn in_flight(&self, id: PacketId) -> usize {
        let found = self.messages.iter().position(|sent| sent.id == id && sent.in_flight());
        found.unwrap_or_else(|| panic!("{id:?} is not in use"))
    }

    /// Copies of a message that the pipeline has, or may still have, for good.
    fn alive(&self, message: usize) -> usize {
        let lost = |copy: &Copy| matches!(copy.outcome, Some(Outcome::Failed | Outcome::Refused(_)));
        self.copies.iter().filter(|copy| copy.message == message && !lost(copy)).count()
    }

    /// Copies of a message that came through.
    fn reached(&self, message: usize) -> usize {
        let through = |copy: &Copy| matches!(copy.outcome, Some(Outcome::Delivered | Outcome::Unmatched));
        self.copies.iter().filter(|copy| copy.message == message && through(copy)).count()
    }

    fn check(&self) {
        for (n, sent) in self.messages.iter().enumerate() {
            assert!(sent.qos == QoS::AtLeastOnce || self.alive(n) <= 1, "message {n} is taken twice");
        }
        let owed = self.owed.iter().filter(|owed| **owed != Owed::Nothing).count();
        assert_eq!((self.acks.len(), self.acks.owed()), (self.owed.len(), owed));
        assert_eq!(self.session.counted, self.session.received.values().filter(|counts| **counts).count());
    }

    /// Everything comes to its end: each message has, then, and nothing is left over.
    fn finish(&mut self) {
        for round in 0.. {
            assert!(round < 100, "no end: {:?}", self.messages);
            while self.copies.iter().any(|copy| copy.handle.is_some()) {
                self.settle(0, Outcome::Delivered);
            }
            self.release();
            while !(self.up.is_empty() && self.down.is_empty()) {
                self.read();
                self.answer();
                self.check();
            }
            if self.acks.is_empty() && !self.messages.iter().any(Sent::in_flight) {
                break;
            }
        }
        for (n, sent) in self.messages.iter().enumerate() {
            let reached = self.reached(n);
            match (sent.stage, sent.qos) {
                (Stage::Done, QoS::ExactlyOnce) => assert_eq!(reached, 1, "message {n}"),
                (Stage::Done, _) => assert!(reached >= 1, "message {n}"),
                (stage, _) => assert_eq!(stage, Stage::Refused, "message {n}"),
            }
        }
        let Session { received, counted, unsettled, .. } = &self.session;
        assert_eq!((received.len(), *counted, unsettled.len()), (0, 0, 0));
    }
}

fn pick(all: &[usize], which: usize) -> Option<usize> {
    all.get(which.checked_rem(all.len())?).copied()
}

const QOS: [QoS; 2] = [QoS::AtLeastOnce, QoS::ExactlyOnce];
const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::V4, ProtocolVersion::V5];
const OUTCOMES: [Outcome; 4] =
    [Outcome::Delivered, Outcome::Unmatched, Outcome::Refused(Refusal::QuotaExceeded), Outcome::Failed];

#[test]
fn an_exchange_survives_a_break_at_any_two_points() {
    for version in VERSIONS {
        for qos in QOS {
            for outcome in OUTCOMES {
                let script = [
                    Step::Publish(qos),
                    Step::Publish(qos),
                    Step::Up,
                    Step::Up,
                    Step::Settle(0, outcome),
                    Step::Release,
                    Step::Settle(0, Outcome::Delivered),
                    Step::Release,
                    Step::Down,
                    Step::Up,
                    Step::Down,
                    Step::Down,
                    Step::Up,
                    Step::Down,
                ];
                for steps in interrupted(&script, &Step::Break) {
                    Simulation::new(version, 2).run(&steps);
                }
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::sample::select(&QOS[..]).prop_map(Step::Publish),
        1 => any::<usize>().prop_map(Step::Repeat),
        4 => Just(Step::Up),
        4 => (any::<usize>(), prop::sample::select(&OUTCOMES[..])).prop_map(|(n, outcome)| Step::Settle(n, outcome)),
        2 => any::<usize>().prop_map(|n| Step::Settle(n, Outcome::Delivered)),
        3 => Just(Step::Release),
        4 => Just(Step::Down),
        1 => Just(Step::Break),
    ]
}

proptest! {
    #[test]
    fn no_message_is_lost_doubled_or_acknowledged_early(
        version in prop::sample::select(&VERSIONS[..]),
        receive_maximum in 1..4_u16,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        Simulation::new(version, receive_maximum).run(&steps);
    }
}
