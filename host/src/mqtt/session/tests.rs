//! The session against tables and against a simulated peer that loses its connection at random.

use super::*;
use crate::ack::{AckGroup, AckHandle, AckSignal};
use crate::mqtt::acks::Acks;

fn id(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

fn agreement(version: ProtocolVersion, receive_maximum: u16) -> Agreement {
    Agreement { version, expiry: Expiry::Never, receive_maximum, send_maximum: 10 }
}

fn released(owed: Owed, outcome: Outcome) -> Released {
    Released { owed, verdict: Verdict::Settled(outcome) }
}

fn pubrel(n: u16) -> Ack {
    Ack { id: id(n), failed: false }
}

#[test]
fn outcomes_become_acknowledgements_or_closes() {
    let quota = Outcome::Refused(Refusal::QuotaExceeded);
    for (version, outcome, expected) in [
        (ProtocolVersion::V5, Outcome::Delivered, Effect::PubAck(id(1), Reason::Success)),
        (ProtocolVersion::V5, Outcome::Unmatched, Effect::PubAck(id(1), Reason::NoMatchingSubscribers)),
        (ProtocolVersion::V5, quota, Effect::PubAck(id(1), Reason::QuotaExceeded)),
        (ProtocolVersion::V5, Outcome::Failed, Effect::Close(Reason::ImplementationSpecific)),
        (ProtocolVersion::V4, Outcome::Delivered, Effect::PubAck(id(1), Reason::Success)),
        (ProtocolVersion::V4, Outcome::Unmatched, Effect::PubAck(id(1), Reason::NoMatchingSubscribers)),
        (ProtocolVersion::V4, quota, Effect::Close(Reason::QuotaExceeded)),
        (ProtocolVersion::V4, Outcome::Failed, Effect::Close(Reason::ImplementationSpecific)),
    ] {
        let mut session = Session::new(&agreement(version, 9));
        assert_eq!(
            session.handle_released(released(Owed::PubAck(id(1)), outcome)),
            expected,
            "{version:?} {outcome:?}"
        );
        assert_eq!(session.handle_released(released(Owed::Nothing, outcome)), Effect::Nothing);
    }
}

#[test]
fn a_refused_qos_2_id_is_free_at_once() {
    let mut session = Session::new(&agreement(ProtocolVersion::V5, 1));
    assert_eq!(session.handle_publish(id(1), QoS::ExactlyOnce, 0), Admission::Take);
    let refused = released(Owed::PubRec(id(1)), Outcome::Refused(Refusal::QuotaExceeded));
    assert_eq!(session.handle_released(refused), Effect::PubRec(id(1), Reason::QuotaExceeded));
    assert_eq!(session.handle_publish(id(1), QoS::ExactlyOnce, 0), Admission::Take);
}

#[test]
fn a_repeated_acknowledgement_after_pubrel_does_not_bring_the_id_back() {
    let mut session = Session::new(&agreement(ProtocolVersion::V5, 9));
    assert_eq!(session.handle_publish(id(1), QoS::ExactlyOnce, 0), Admission::Take);
    let _ = session.handle_released(released(Owed::PubRec(id(1)), Outcome::Delivered));
    assert_eq!(session.handle_publish(id(1), QoS::ExactlyOnce, 0), Admission::AcknowledgeAgain);
    assert_eq!(session.handle_pubrel(pubrel(1)), Effect::PubComp(id(1), Reason::Success));
    let again = Released { owed: Owed::PubRec(id(1)), verdict: Verdict::Decided(Reason::Success) };
    assert_eq!(session.handle_released(again), Effect::PubRec(id(1), Reason::Success));
    assert_eq!(session.handle_publish(id(1), QoS::ExactlyOnce, 0), Admission::Take);
}

#[test]
fn the_receive_maximum_counts_this_connection_only() {
    let agreement = agreement(ProtocolVersion::V5, 2);
    let mut session = Session::new(&agreement);
    for n in 1..=2 {
        assert_eq!(session.handle_publish(id(n), QoS::ExactlyOnce, 0), Admission::Take);
        let _ = session.handle_released(released(Owed::PubRec(id(n)), Outcome::Delivered));
    }
    assert_eq!(session.handle_publish(id(3), QoS::AtLeastOnce, 0), Admission::Exceeded);
    session.connected(&agreement);
    assert_eq!(session.handle_publish(id(1), QoS::ExactlyOnce, 0), Admission::AcknowledgeAgain);
    assert_eq!(session.handle_publish(id(3), QoS::AtLeastOnce, 1), Admission::Take);
    assert_eq!(session.handle_publish(id(4), QoS::AtLeastOnce, 2), Admission::Exceeded);
    assert_eq!(session.handle_pubrel(pubrel(1)), Effect::PubComp(id(1), Reason::Success));
    assert_eq!(session.handle_pubrel(pubrel(1)), Effect::PubComp(id(1), Reason::PacketIdNotFound));
    assert_eq!(session.counted, 0);
}

#[test]
fn the_expiry_changes_at_disconnect_but_not_from_zero() {
    let mut session = Session::new(&agreement(ProtocolVersion::V5, 2));
    assert_eq!(session.handle_disconnect(Some(0)), Effect::Nothing);
    assert!(session.expiry.is_zero());
    assert_eq!(session.handle_disconnect(Some(1)), Effect::Close(Reason::ProtocolError));
    assert_eq!(session.handle_disconnect(None), Effect::Nothing);
}

/// A publisher that follows the standard over connections that break at any moment: each QoS 2 message whose PUBREC it
/// saw was taken, and after a PUBREC no message is taken twice.
#[test]
fn qos_2_holds_over_broken_connections() {
    let mut random = 0x1357_9bdf_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) % below
    };
    for _ in 0..300 {
        let agreement = agreement(ProtocolVersion::V5, 100);
        let mut session = Session::new(&agreement);
        let (mut acks, mut open): (Acks, Vec<AckHandle>) = Default::default();
        // What the client knows of message n (packet id n): not sent, sent, PUBREC seen, done.
        let mut state = [0_u8; 21];
        let mut settled_after_pubrec = [0_u32; 21];
        for _ in 0..400 {
            let n = 1 + next(20) as u16;
            let index = usize::from(n);
            match next(10) {
                0 => {
                    // The connection breaks; the new one resends what the standard says.
                    acks = Acks::default();
                    open.clear();
                    session.connected(&agreement);
                    for n in 1..=20_u16 {
                        match state[usize::from(n)] {
                            1 => publish(&mut session, &mut acks, &mut open, n),
                            2 => {
                                let _ = session.handle_pubrel(pubrel(n));
                                state[usize::from(n)] = 3;
                            }
                            _ => {}
                        }
                    }
                }
                1..=4 if state[index] == 0 => {
                    state[index] = 1;
                    publish(&mut session, &mut acks, &mut open, n);
                }
                5..=7 if !open.is_empty() => {
                    open.swap_remove(next(open.len() as u64) as usize).settle(Outcome::Delivered);
                }
                8 => {
                    while let Some(released) = acks.release() {
                        let Effect::PubRec(acked, Reason::Success) = session.handle_released(released) else {
                            panic!("{released:?}");
                        };
                        let index = usize::from(acked.get());
                        settled_after_pubrec[index] += u32::from(matches!(released.verdict, Verdict::Settled(_)));
                        state[index] = state[index].max(2);
                    }
                }
                9 if state[index] == 2 => {
                    assert_eq!(session.handle_pubrel(pubrel(n)), Effect::PubComp(id(n), Reason::Success));
                    state[index] = 3;
                }
                _ => {}
            }
        }
        for n in 1..=20 {
            let acknowledged = state[n] >= 2;
            assert_eq!(settled_after_pubrec[n], u32::from(acknowledged), "message {n}");
        }
    }
}

fn publish(session: &mut Session, acks: &mut Acks, open: &mut Vec<AckHandle>, n: u16) {
    match session.handle_publish(id(n), QoS::ExactlyOnce, acks.owed()) {
        Admission::Take => {
            let group = AckGroup::open(1, &AckSignal::new());
            acks.expect(Owed::PubRec(id(n)), 1);
            open.push(group.handle(0));
            acks.open(group);
        }
        Admission::AcknowledgeAgain => acks.decide(Owed::PubRec(id(n)), Reason::Success),
        Admission::Wait | Admission::Exceeded => panic!("message {n}"),
    }
}
