//! Sets of kinds of publication: a rule may be about some QoS levels only, or about retained messages.

use crate::message::QoS;

/// Some of the six kinds: three QoS levels, retained or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    pub const NONE: Kinds = Kinds(0);
    pub const ALL: Kinds = Kinds(0b111_111);

    /// One kind.
    #[must_use]
    pub fn of(qos: QoS, retain: bool) -> Kinds {
        Kinds(1 << (qos as u8 + if retain { 3 } else { 0 }))
    }

    /// Both kinds of one QoS.
    #[must_use]
    pub fn of_qos(qos: QoS) -> Kinds {
        Kinds::of(qos, false).or(Kinds::of(qos, true))
    }

    /// Those with one of these levels and this flag; what is not given is all.
    #[must_use]
    pub fn among(qos: Option<&[QoS]>, retain: Option<bool>) -> Kinds {
        let levels = match qos {
            None => Kinds::ALL,
            Some(levels) => levels.iter().fold(Kinds::NONE, |all, qos| all.or(Kinds::of_qos(*qos))),
        };
        match retain {
            None => levels,
            Some(false) => levels.and(Kinds(0b000_111)),
            Some(true) => levels.and(Kinds(0b111_000)),
        }
    }

    /// Whether this kind is in it.
    #[must_use]
    pub fn has(self, qos: QoS, retain: bool) -> bool {
        self.and(Kinds::of(qos, retain)) != Kinds::NONE
    }

    #[must_use]
    pub fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 & other.0)
    }

    #[must_use]
    pub fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    #[must_use]
    pub fn without(self, other: Kinds) -> Kinds {
        Kinds(self.0 & !other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_six_kinds_are_six() {
        let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
        let all = levels.iter().flat_map(|qos| [false, true].map(|retain| (*qos, retain)));
        for (qos, retain) in all.clone() {
            let one = Kinds::of(qos, retain);
            assert_eq!(all.clone().filter(|(qos, retain)| one.has(*qos, *retain)).count(), 1);
            assert_eq!(Kinds::among(Some(&[qos]), Some(retain)), one);
            assert!(!Kinds::ALL.without(one).has(qos, retain));
        }
        assert_eq!(Kinds::among(None, None), Kinds::ALL);
        assert_eq!(Kinds::among(Some(&levels), None), Kinds::ALL);
        assert_eq!(Kinds::among(None, Some(true)).or(Kinds::among(None, Some(false))), Kinds::ALL);
    }
}
