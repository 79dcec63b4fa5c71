//! The session against tables; `simulation` has it against peers.

use super::*;

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
fn a_repeated_acknowledgement_is_not_sent_once_the_id_is_released() {
    let mut session = Session::new(&agreement(ProtocolVersion::V5, 9));
    assert_eq!(session.handle_publish(id(1), QoS::ExactlyOnce, 0), Admission::Take);
    let _ = session.handle_released(released(Owed::PubRec(id(1)), Outcome::Delivered));
    assert_eq!(session.handle_publish(id(1), QoS::ExactlyOnce, 0), Admission::AcknowledgeAgain);
    assert_eq!(session.handle_pubrel(pubrel(1)), Effect::PubComp(id(1), Reason::Success));
    let again = Released { owed: Owed::PubRec(id(1)), verdict: Verdict::Decided(Reason::Success) };
    // The next message has the id now, and this would look like its acknowledgement.
    assert_eq!(session.handle_publish(id(1), QoS::ExactlyOnce, 0), Admission::Take);
    assert_eq!(session.handle_released(again), Effect::Nothing);
    assert_eq!(session.handle_publish(id(1), QoS::ExactlyOnce, 0), Admission::Wait);
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
