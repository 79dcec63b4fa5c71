//! The total order over all values and the two equalities (rule-sql 0.5). Never converts text to a number.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_traits::FromPrimitive;

use super::{Map, Value};

impl Value {
    /// Numbers < symbols < maps < the empty list < lists < text. Integers and floats compare by value.
    #[must_use]
    pub fn cmp_total(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Str(a), Value::Str(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            _ => rank(self).cmp(&rank(other)).then_with(|| within_rank(self, other)),
        }
    }

    /// `=`: an integer equals the float of the same value, also inside lists and maps.
    #[must_use]
    pub fn loose_eq(&self, other: &Value) -> bool {
        self.cmp_total(other) == Ordering::Equal
    }

    /// `IN`, `CASE x WHEN y`, `contains()`: an integer never equals a float.
    #[must_use]
    pub fn strict_eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.strict_eq(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|((ka, a), (kb, b))| ka == kb && a.strict_eq(b))
            }
            _ => match (self.spelling(), other.spelling()) {
                (Some(a), Some(b)) => a == b,
                _ => self == other,
            },
        }
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Int(_) | Value::Big(_) | Value::Float(_) => 0,
        Value::Undefined | Value::Null | Value::Bool(_) | Value::Sym(_) => 1,
        Value::Map(_) => 2,
        Value::List(items) if items.is_empty() => 3,
        Value::List(_) => 4,
        Value::Str(_) | Value::Bits { .. } => 5,
    }
}

fn within_rank(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Map(a), Value::Map(b)) => cmp_maps(a, b),
        (Value::List(a), Value::List(b)) => {
            let differing = a.iter().zip(b.iter()).map(|(a, b)| a.cmp_total(b)).find(|order| order.is_ne());
            differing.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ if a.is_number() => cmp_numbers(a, b),
        _ => match (a.spelling(), b.spelling()) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => cmp_bits(a, b),
        },
    }
}

fn cmp_maps(a: &Map, b: &Map) -> Ordering {
    let values = || a.values().zip(b.values()).map(|(a, b)| a.cmp_total(b)).find(|order| order.is_ne());
    a.len().cmp(&b.len()).then_with(|| a.keys().cmp(b.keys())).then_with(|| values().unwrap_or(Ordering::Equal))
}

/// Exact, also where an integer is too large for a float to tell it from its neighbours.
fn cmp_numbers(a: &Value, b: &Value) -> Ordering {
    const EXACT: i64 = 1 << 53;
    match (a, b) {
        (Value::Int(a), Value::Float(b)) if (-EXACT..=EXACT).contains(a) => {
            (*a as f64).partial_cmp(b).unwrap_or(Ordering::Equal)
        }
        (Value::Float(_), Value::Int(_)) => cmp_numbers(b, a).reverse(),
        (Value::Float(float), other) => match other.to_big() {
            Some(integer) => cmp_big_float(&integer, *float).reverse(),
            None => Ordering::Equal,
        },
        (integer, Value::Float(float)) => match integer.to_big() {
            Some(integer) => cmp_big_float(&integer, *float),
            None => Ordering::Equal,
        },
        _ => a.to_big().cmp(&b.to_big()),
    }
}

fn cmp_big_float(integer: &BigInt, float: f64) -> Ordering {
    let Some(whole) = BigInt::from_f64(float.trunc()) else { return Ordering::Equal };
    integer.cmp(&whole).then_with(|| 0.0f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal))
}

/// Text is a bit string too; the shorter one comes first when one begins with the other.
fn cmp_bits(a: &Value, b: &Value) -> Ordering {
    fn parts(value: &Value) -> (&[u8], usize) {
        match value {
            Value::Str(bytes) => (bytes, bytes.len() * 8),
            Value::Bits { bytes, len } => (bytes, *len),
            _ => (&[], 0),
        }
    }
    let ((a, a_len), (b, b_len)) = (parts(a), parts(b));
    let shared = a_len.min(b_len);
    let (whole, tail) = (shared / 8, shared % 8);
    let last = |bytes: &[u8]| match tail {
        0 => 0,
        _ => bytes.get(whole).map_or(0, |byte| byte >> (8 - tail)),
    };
    let head = |bytes: &'_ [u8]| bytes.len().min(whole);
    a[..head(a)].cmp(&b[..head(b)]).then_with(|| last(a).cmp(&last(b))).then_with(|| a_len.cmp(&b_len))
}
