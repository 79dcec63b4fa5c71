//! Sizes, durations and secrets as people write them in a configuration.
//!
//! A size or a duration never travels as a bare integer, and a secret is never printed.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A number of bytes: `"896KB"`, `"16MB"`, `"2GB"` (powers of 1024, as in EMQX) or a plain integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    #[must_use]
    pub const fn kib(n: u64) -> ByteSize {
        ByteSize(n << 10)
    }

    #[must_use]
    pub const fn mib(n: u64) -> ByteSize {
        ByteSize(n << 20)
    }

    /// The value for an interface that counts in `usize`; saturates on 32-bit hosts.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn parse(text: &str) -> Result<ByteSize, String> {
        let units = [("", 0), ("B", 0), ("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40)];
        let (number, unit) = split_number(text);
        let shift = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, shift)| *shift);
        match (number.parse::<u64>(), shift) {
            (Ok(n), Some(shift)) if n <= u64::MAX >> shift => Ok(ByteSize(n << shift)),
            _ => {
                Err(format!("`{text}` is not a size; write bytes, or a whole number with KB, MB or GB, like \"16MB\""))
            }
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = [(30, "GB"), (20, "MB"), (10, "KB")]
            .into_iter()
            .find(|(shift, _)| self.0 != 0 && self.0.trailing_zeros() >= *shift);
        match unit {
            Some((shift, name)) => write!(f, "{}{name}", self.0 >> shift),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A length of time: `"20ms"`, `"5s"`, `"3m"`, `"1h"`, `"7d"`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    #[must_use]
    pub const fn from_secs(n: u64) -> Millis {
        Millis(n * 1000)
    }

    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    fn parse(text: &str) -> Result<Millis, String> {
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let (number, unit) = split_number(text);
        let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        match (number.parse::<u64>().ok().zip(factor)).and_then(|(n, factor)| n.checked_mul(factor)) {
            Some(n) => Ok(Millis(n)),
            None => {
                Err(format!("`{text}` is not a duration; write a whole number with ms, s, m, h or d, like \"20ms\""))
            }
        }
    }
}

impl fmt::Debug for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n.is_multiple_of(3_600_000) => write!(f, "{}h", n / 3_600_000),
            n if n > 0 && n.is_multiple_of(60_000) => write!(f, "{}m", n / 60_000),
            n if n > 0 && n.is_multiple_of(1000) => write!(f, "{}s", n / 1000),
            n => write!(f, "{n}ms"),
        }
    }
}

/// So many in such a time, as EMQX writes a limit: `"1000/s"`, `"10000/60m"`, `"10/500ms"`; `"infinity"` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Never zero; `u64::MAX` is no limit.
    pub amount: u64,
    /// Never zero.
    pub per: Millis,
}

impl Rate {
    const UNLIMITED: Rate = Rate { amount: u64::MAX, per: Millis(1000) };

    #[must_use]
    pub fn is_limited(self) -> bool {
        self.amount != u64::MAX
    }

    fn parse(text: &str) -> Result<Rate, String> {
        Rate::parse_with(text, |number| number.parse().ok()).ok_or_else(|| {
            format!(
                "`{text}` is not a rate; write how many in which time, like \"1000/s\", \"100/10s\", or \"infinity\""
            )
        })
    }

    fn parse_with(text: &str, amount: impl Fn(&str) -> Option<u64>) -> Option<Rate> {
        if text.trim() == "infinity" {
            return Some(Rate::UNLIMITED);
        }
        let (number, time) = text.split_once('/')?;
        let (amount, time) = (amount(number.trim())?, time.trim());
        let per = match time.starts_with(|c: char| c.is_ascii_digit()) {
            true => Millis::parse(time).ok()?,
            false => Millis::parse(&format!("1{time}")).ok()?,
        };
        (amount > 0 && per.0 > 0).then_some(Rate { amount, per })
    }
}

/// A [`Rate`] of bytes: `"1MB/s"`, `"500KB/10s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRate(pub Rate);

impl ByteRate {
    fn parse(text: &str) -> Result<ByteRate, String> {
        let rate = Rate::parse_with(text, |number| ByteSize::parse(number).ok().map(|size| size.0));
        rate.map(ByteRate).ok_or_else(|| {
            format!("`{text}` is not a rate of bytes; write a size in a time, like \"1MB/s\", \"500KB/10s\", or \"infinity\"")
        })
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

macro_rules! from_text {
    ($type:ident, $expecting:literal, $integer:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $type::parse(text).map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, n: i64) -> Result<$type, E> {
                        let integer: fn(i64) -> Option<$type> = $integer;
                        integer(n).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(n), &self))
                    }
                    fn visit_u64<E: de::Error>(self, n: u64) -> Result<$type, E> {
                        i64::try_from(n).map_err(E::custom).and_then(|n| self.visit_i64(n))
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
    };
}

from_text!(ByteSize, "a size like \"16MB\"", |n| u64::try_from(n).ok().map(ByteSize));
// A bare number could mean seconds or milliseconds: ask instead of guessing.
from_text!(Millis, "a duration with its unit, like \"20ms\" or \"5s\"", |_| None);

from_text!(Rate, "how many in which time, like \"1000/s\"", |_| None);
from_text!(ByteRate, "how many bytes in which time, like \"1MB/s\"", |_| None);

/// A password, key or token. Printing it in any way shows `******`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, for the one place that hands it to whoever must have it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_emqx_reads_them() {
        for (text, bytes) in [("896KB", 896 << 10), ("16MB", 16 << 20), ("2gb", 2 << 30), ("10", 10), ("7 B", 7)] {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize(bytes)));
        }
        for bad in ["", "MB", "1.5MB", "-1", "10XB", "99999999999999999TB"] {
            assert!(ByteSize::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, millis) in [("20ms", 20), ("5s", 5000), ("3m", 180_000), ("1h", 3_600_000), ("0ms", 0)] {
            assert_eq!(Millis::parse(text), Ok(Millis(millis)));
        }
        for bad in ["", "5", "5 sec", "1.5s", "99999999999999999d"] {
            assert!(Millis::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn rates_read_as_emqx_reads_them() {
        for (text, amount, millis) in [
            ("1000/s", 1000, 1000),
            ("10000/60m", 10_000, 3_600_000),
            ("10 / 500ms", 10, 500),
            ("1/d", 1, 86_400_000),
            ("infinity", u64::MAX, 1000),
        ] {
            assert_eq!(Rate::parse(text), Ok(Rate { amount, per: Millis(millis) }), "{text}");
        }
        assert_eq!(ByteRate::parse("1MB/10s"), Ok(ByteRate(Rate { amount: 1 << 20, per: Millis(10_000) })));
        for bad in ["", "1000", "0/s", "1/0s", "1/", "/s", "1KB/s", "-1/s", "1/week", "infinity/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
        assert!(ByteRate::parse("fast/s").is_err() && ByteRate::parse("0KB/s").is_err());
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        for n in [0, 1, 999, 1000, 61_000, 3_600_000] {
            assert_eq!(Millis::parse(&Millis(n).to_string()), Ok(Millis(n)));
        }
        for n in [0, 1, 1024, 1 << 20, 3 << 30] {
            assert_eq!(ByteSize::parse(&ByteSize(n).to_string()), Ok(ByteSize(n)));
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "******");
    }
}
