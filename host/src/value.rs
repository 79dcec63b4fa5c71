//! The dynamic value that rules, templates and guests compute on.
//!
//! Cloning is cheap: everything large is shared. Floats are never NaN or infinite; whoever computes one checks.
//! Nothing here knows a rule, a message or a clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use num_bigint::BigInt;
use num_traits::ToPrimitive;

pub mod json;
pub mod number;
mod order;
mod print;
pub mod scan;

pub use json::JsonError;
pub use print::{NoText, write_integer, write_json_text};

/// Keys are byte strings in ascending order; JSON prints them in descending order, as EMQX does.
pub type Map = BTreeMap<Bytes, Value>;

/// One value of the rule language. `Undefined` (nothing there) and `Null` (JSON's null) differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Undefined,
    Null,
    Bool(bool),
    /// An interned word: event names, reasons. Text of the same spelling compares as equal to it.
    Sym(Arc<str>),
    Int(i64),
    /// An integer beyond `i64`; never one that would fit.
    Big(Arc<BigInt>),
    Float(f64),
    /// A byte string, usually but not necessarily UTF-8.
    Str(Bytes),
    /// A bit string whose length is not a multiple of eight; the last byte is filled up with zero bits.
    Bits {
        bytes: Bytes,
        len: usize,
    },
    List(Arc<Vec<Value>>),
    Map(Arc<Map>),
}

impl Value {
    /// A text value; copies `text`.
    #[must_use]
    pub fn str(text: &str) -> Value {
        Value::Str(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// A symbol. The spellings of the four symbols with an own kind give that kind.
    #[must_use]
    pub fn sym(spelling: &str) -> Value {
        match spelling {
            "undefined" => Value::Undefined,
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::Sym(Arc::from(spelling)),
        }
    }

    /// An integer of any size, as `Int` whenever it fits.
    #[must_use]
    pub fn big(number: BigInt) -> Value {
        number.to_i64().map_or_else(|| Value::Big(Arc::new(number)), Value::Int)
    }

    /// A float; `None` for NaN and the infinities, which no value may be.
    #[must_use]
    pub fn float(number: f64) -> Option<Value> {
        number.is_finite().then_some(Value::Float(number))
    }

    #[must_use]
    pub fn list(items: Vec<Value>) -> Value {
        Value::List(Arc::new(items))
    }

    #[must_use]
    pub fn map(entries: Map) -> Value {
        Value::Map(Arc::new(entries))
    }

    /// The spelling of a symbol; undefined, null and the booleans are symbols too (rule-sql 0.1).
    #[must_use]
    pub fn spelling(&self) -> Option<&str> {
        match self {
            Value::Undefined => Some("undefined"),
            Value::Null => Some("null"),
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            Value::Sym(word) => Some(word),
            _ => None,
        }
    }

    /// What kind of value this is, for messages to people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Undefined => "undefined",
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Sym(_) => "symbol",
            Value::Int(_) | Value::Big(_) => "integer",
            Value::Float(_) => "float",
            Value::Str(_) => "text",
            Value::Bits { .. } => "bit string",
            Value::List(_) => "list",
            Value::Map(_) => "map",
        }
    }

    #[must_use]
    pub fn is_undefined(&self) -> bool {
        matches!(self, Value::Undefined)
    }

    #[must_use]
    pub fn is_number(&self) -> bool {
        matches!(self, Value::Int(_) | Value::Big(_) | Value::Float(_))
    }

    /// The integer as a big one, for arithmetic that may overflow.
    #[must_use]
    pub fn to_big(&self) -> Option<BigInt> {
        match self {
            Value::Int(number) => Some(BigInt::from(*number)),
            Value::Big(number) => Some(number.as_ref().clone()),
            _ => None,
        }
    }

    /// The number as a float; `None` when it is no number or beyond the range of floats.
    #[must_use]
    pub fn to_float(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Big(number) => number.to_f64().filter(|float| float.is_finite()),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// What is stored under `key`; `None` when this is no map or has no such key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Value> {
        match self {
            Value::Map(entries) => entries.get(key),
            _ => None,
        }
    }

    /// Whether this value stays within `nodes` and `levels`. Each value counts as a node, each 64 bytes of a text as one
    /// more. Costs at most `nodes` steps, also for a small value that shares its parts so often that it would print very
    /// large.
    #[must_use]
    pub fn fits(&self, nodes: usize, levels: usize) -> bool {
        self.fits_into(&mut { nodes }, levels)
    }

    /// Takes the nodes of this value out of `room`; `false` when they do not fit or go deeper than `levels`.
    #[must_use]
    pub fn fits_into(&self, room: &mut usize, levels: usize) -> bool {
        let own = match self {
            Value::Str(text) => 1 + text.len() / NODE_BYTES,
            Value::Bits { bytes, .. } => 1 + bytes.len() / NODE_BYTES,
            _ => 1,
        };
        let Some(rest) = room.checked_sub(own) else { return false };
        *room = rest;
        match self {
            Value::List(items) => levels > 0 && items.iter().all(|item| item.fits_into(room, levels - 1)),
            Value::Map(entries) => levels > 0 && entries.values().all(|item| item.fits_into(room, levels - 1)),
            _ => true,
        }
    }
}

/// Bytes of a text that count as much as a value in [`Value::fits`].
const NODE_BYTES: usize = 64;

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Value {
        Value::Str(value)
    }
}

#[cfg(test)]
mod tests;
