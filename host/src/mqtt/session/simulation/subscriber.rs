//! From a queue to a subscriber: packet ids, the client's Receive Maximum, redelivery in order, QoS 2 once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::mqtt::queue::{Queue, QueueLimits};
use crate::mqtt::testing::delivery;
use crate::mqtt::window::Resend;

/// Messages that may wait.
const QUEUE: usize = 6;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody publishes; `large` is more than the client takes.
    Offer {
        qos: u8,
        large: bool,
    },
    /// The broker writes all that it may.
    Send,
    /// The client reads one packet.
    Down,
    /// The client answers one of the packets that it has read; QoS 2 with an error, if `refuse`.
    Answer {
        which: usize,
        refuse: bool,
    },
    /// The client sends an acknowledgement that makes no sense.
    Stray(usize),
    /// The broker reads one packet.
    Up,
    Lose,
    /// The client is back, with this Receive Maximum.
    Connect(u16),
}

#[derive(Clone, Copy, Debug)]
enum Down {
    Publish { message: usize, qos: QoS, id: Option<PacketId>, dup: bool },
    PubRel(PacketId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::enum_variant_names, reason = "the packets' names in the standard")]
enum Up {
    PubAck(PacketId),
    PubRec(PacketId, bool),
    PubComp(PacketId),
}

/// A message as the test knows it.
#[derive(Debug, Default)]
struct Offered {
    qos: u8,
    large: bool,
    /// Times that it went out.
    sent: usize,
    /// Times that the client's application got it.
    seen: usize,
    /// The client did not want it, and may not have got word of that through.
    refused: bool,
}

struct Simulation {
    session: Session,
    queue: Queue,
    connected: bool,
    limit: usize,
    offered: Vec<Offered>,
    down: VecDeque<Down>,
    up: VecDeque<Up>,
    /// PUBLISH packets of this connection that the broker has no final answer to; `true` for QoS 2 after its PUBREC.
    out: BTreeMap<PacketId, (QoS, bool)>,
    /// The client: QoS 2 ids that it has and that were not released yet. Kept over reconnects.
    held: BTreeSet<PacketId>,
    /// The client: what it has read and not answered.
    unanswered: Vec<Up>,
    /// The client: ids that it takes to be in use, with their message.
    in_use: BTreeMap<PacketId, usize>,
    /// The newest message that the application has seen.
    newest: Option<usize>,
    dropped: usize,
    too_large: usize,
    /// QoS 0 messages that went with their connection.
    lost: usize,
}

impl Simulation {
    fn new(limit: u16) -> Simulation {
        let agreement = agreement(limit);
        let limits = QueueLimits { messages: QUEUE, bytes: 10_000, retained: 0, store_qos0: true };
        Simulation {
            session: Session::new(&agreement),
            queue: Queue::new(limits),
            connected: true,
            limit: limit.into(),
            offered: Vec::new(),
            down: VecDeque::new(),
            up: VecDeque::new(),
            out: BTreeMap::new(),
            held: BTreeSet::new(),
            unanswered: Vec::new(),
            in_use: BTreeMap::new(),
            newest: None,
            dropped: 0,
            too_large: 0,
            lost: 0,
        }
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(*step);
        }
        self.finish();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Offer { qos, large } => self.offer(qos, large),
            Step::Send if self.connected => self.send(),
            Step::Down => self.read(),
            Step::Answer { which, refuse } => self.answer(which, refuse),
            Step::Stray(which) if self.connected => self.stray(which),
            Step::Up => self.receive(),
            Step::Lose => self.lose(),
            Step::Connect(limit) if !self.connected => self.connect(limit),
            Step::Send | Step::Stray(_) | Step::Connect(_) => {}
        }
    }

    fn offer(&mut self, qos: u8, large: bool) {
        let (new, mut gone) = (delivery(&self.offered.len().to_string(), qos), 0);
        let pushed = self.queue.push(new, self.connected, |_, _| gone += 1);
        assert_eq!(pushed.dropped + pushed.dropped_qos0, gone, "counted is what was shown");
        self.dropped += gone;
        self.offered.push(Offered { qos, large, ..Offered::default() });
    }

    /// What `connection::deliver` does, with the test as the wire.
    fn send(&mut self) {
        while let Some(resend) = self.session.window.next_resend() {
            match resend {
                Resend::PubRel(id) => self.down.push_back(Down::PubRel(id)),
                Resend::Publish(id, delivery) => {
                    let message = number(&delivery.message.topic);
                    self.sent(message, delivery.qos, Some(id), true);
                }
            }
        }
        while self.session.window.has_room() {
            let Some(delivery) = self.queue.pop() else { break };
            let (message, qos) = (number(&delivery.message.topic), delivery.qos);
            let id = (qos != QoS::AtMostOnce).then(|| self.session.window.admit(delivery).expect("there is room"));
            if self.offered[message].large {
                self.too_large += 1;
                if let Some(id) = id {
                    self.session.window.withdraw(id);
                }
            } else {
                self.sent(message, qos, id, false);
            }
        }
    }

    fn sent(&mut self, message: usize, qos: QoS, id: Option<PacketId>, dup: bool) {
        self.offered[message].sent += 1;
        assert_eq!(dup, self.offered[message].sent > 1, "DUP of message {message}");
        if let Some(id) = id {
            assert_eq!(self.out.insert(id, (qos, false)), None, "{id:?} is out already");
            assert!(self.out.len() <= self.limit, "more than the Receive Maximum of {}", self.limit);
        }
        self.down.push_back(Down::Publish { message, qos, id, dup });
    }

    fn read(&mut self) {
        match self.down.pop_front() {
            None => {}
            Some(Down::PubRel(id)) => {
                self.held.remove(&id);
                self.unanswered.push(Up::PubComp(id));
            }
            Some(Down::Publish { message, qos, id, dup }) => {
                if let Some(id) = id {
                    let known = self.in_use.insert(id, message);
                    assert!(dup || known.is_none(), "{id:?} is in use for {known:?}");
                }
                match (qos, id) {
                    (QoS::AtLeastOnce, Some(id)) => {
                        self.unanswered.push(Up::PubAck(id));
                        self.seen(message);
                    }
                    (QoS::ExactlyOnce, Some(id)) => {
                        self.unanswered.push(Up::PubRec(id, false));
                        if self.held.insert(id) {
                            self.seen(message);
                        }
                    }
                    _ => self.seen(message),
                }
            }
        }
    }

    fn seen(&mut self, message: usize) {
        let offered = &mut self.offered[message];
        offered.seen += 1;
        assert!(offered.qos == 1 || offered.seen == 1 || offered.refused, "message {message} comes again");
        if offered.seen == 1 {
            assert!(self.newest < Some(message), "message {message} comes after {:?}", self.newest);
            self.newest = Some(message);
        }
    }

    fn answer(&mut self, which: usize, refuse: bool) {
        let Some(index) = which.checked_rem(self.unanswered.len()) else { return };
        let mut answer = self.unanswered.remove(index);
        match &mut answer {
            Up::PubAck(id) | Up::PubComp(id) => {
                self.in_use.remove(id);
            }
            Up::PubRec(id, failed) if refuse => {
                *failed = true;
                self.held.remove(id);
                if let Some(message) = self.in_use.remove(id) {
                    self.offered[message].refused = true;
                }
            }
            Up::PubRec(..) => {}
        }
        self.up.push_back(answer);
    }

    /// The wrong packet for an id that is in use, or one for an id that is not.
    fn stray(&mut self, which: usize) {
        let Some((id, message)) = which.checked_rem(self.in_use.len()).and_then(|n| self.in_use.iter().nth(n)) else {
            self.up.push_back(Up::PubAck(super::id(60_000)));
            return;
        };
        let wrong = if self.offered[*message].qos == 1 { Up::PubComp(*id) } else { Up::PubAck(*id) };
        self.up.push_back(wrong);
    }

    fn receive(&mut self) {
        let Some(up) = self.up.pop_front() else { return };
        match up {
            Up::PubAck(id) => {
                assert_eq!(self.session.handle_puback(Ack { id, failed: false }), Effect::Nothing);
                if self.out.get(&id) == Some(&(QoS::AtLeastOnce, false)) {
                    self.out.remove(&id);
                }
            }
            Up::PubRec(id, failed) => match self.session.handle_pubrec(Ack { id, failed }) {
                Effect::PubRel(id, Reason::Success) => {
                    self.out.insert(id, (QoS::ExactlyOnce, true));
                    self.down.push_back(Down::PubRel(id));
                }
                effect => assert_eq!((effect, failed, self.out.remove(&id).is_some()), (Effect::Nothing, true, true)),
            },
            Up::PubComp(id) => {
                assert_eq!(self.session.handle_pubcomp(Ack { id, failed: false }), Effect::Nothing);
                if self.out.get(&id) == Some(&(QoS::ExactlyOnce, true)) {
                    self.out.remove(&id);
                }
            }
        }
    }

    fn lose(&mut self) {
        self.connected = false;
        self.lost += self.down.iter().filter(|down| matches!(down, Down::Publish { id: None, .. })).count();
        (self.down, self.up, self.unanswered, self.out) = Default::default();
        self.in_use.retain(|id, _| self.held.contains(id));
    }

    fn connect(&mut self, limit: u16) {
        self.connected = true;
        self.limit = limit.into();
        self.session.connected(&agreement(limit));
    }

    fn finish(&mut self) {
        if !self.connected {
            self.connect(2);
        }
        loop {
            self.send();
            if self.down.is_empty() && self.up.is_empty() && self.unanswered.is_empty() {
                break;
            }
            while !self.down.is_empty() {
                self.read();
            }
            while !self.unanswered.is_empty() {
                self.answer(0, false);
            }
            while !self.up.is_empty() {
                self.receive();
            }
        }
        let seen = self.offered.iter().filter(|offered| offered.seen > 0).count();
        assert_eq!(seen + self.dropped + self.too_large + self.lost, self.offered.len(), "unaccounted");
        assert_eq!((self.queue.len(), self.session.window.len()), (0, 0));
        assert!(self.held.is_empty() && self.in_use.is_empty());
    }
}

fn agreement(send_maximum: u16) -> Agreement {
    Agreement { version: ProtocolVersion::V5, expiry: Expiry::Never, receive_maximum: 10, send_maximum }
}

fn number(topic: &crate::topic::TopicName) -> usize {
    topic.as_str().parse().unwrap()
}

#[test]
fn an_exchange_survives_a_break_at_any_two_points() {
    for qos in [1, 2] {
        let answer = Step::Answer { which: 0, refuse: false };
        let round = [Step::Down, answer, Step::Up];
        let mut script = vec![Step::Offer { qos, large: false }, Step::Offer { qos, large: false }, Step::Send];
        for _ in 0..4 {
            script.extend(round);
        }
        for mut steps in interrupted(&script, &Step::Lose) {
            // Back at once, and what is left goes out again.
            for at in (0..steps.len()).rev() {
                if matches!(steps[at], Step::Lose) {
                    steps.splice(at + 1..at + 1, [Step::Connect(1), Step::Send]);
                }
            }
            Simulation::new(2).run(&steps);
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, prop::bool::weighted(0.1)).prop_map(|(qos, large)| Step::Offer { qos, large }),
        4 => Just(Step::Send),
        5 => Just(Step::Down),
        5 => (any::<usize>(), prop::bool::weighted(0.1)).prop_map(|(which, refuse)| Step::Answer { which, refuse }),
        1 => any::<usize>().prop_map(Step::Stray),
        5 => Just(Step::Up),
        1 => Just(Step::Lose),
        2 => (1..4_u16).prop_map(Step::Connect),
    ]
}

proptest! {
    #[test]
    fn no_message_is_lost_doubled_or_out_of_order(
        limit in 1..4_u16,
        steps in prop::collection::vec(step(), 0..160),
    ) {
        Simulation::new(limit).run(&steps);
    }
}
