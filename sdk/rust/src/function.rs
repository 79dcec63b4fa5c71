//! Functions for rule SQL.

use std::ops::RangeInclusive;

use serde_json::Value as Json;

use crate::Error;
use crate::bindings::function::exports::millstream::plugin::functions as wire;

/// A set of functions: what [`crate::functions!`] exports.
///
/// ```
/// use millstream_sdk::{Error, Function, Functions, Value};
///
/// struct Units;
///
/// impl Functions for Units {
///     type Config = serde_json::Value;
///     const ALL: &'static [Function<Units>] = &[Function {
///         name: "to_celsius",
///         args: 1..=1,
///         summary: "to_celsius(f): degrees Fahrenheit to degrees Celsius",
///         call: |_, args| {
///             let degrees = args[0].number().ok_or_else(|| Error::new("to_celsius wants a number"))?;
///             Ok(Value::Float((degrees - 32.0) / 1.8))
///         },
///     }];
///
///     fn new(_: serde_json::Value) -> Result<Units, Error> {
///         Ok(Units)
///     }
/// }
///
/// millstream_sdk::functions!(Units);
/// ```
pub trait Functions: Sized + 'static {
    /// As [`crate::Plugin::Config`].
    type Config: serde::de::DeserializeOwned;

    /// Each function, under the name that SQL calls it by.
    const ALL: &'static [Function<Self>];

    /// Makes one instance. An error stops the plugin from being loaded.
    fn new(config: Self::Config) -> Result<Self, Error>;
}

/// One function. Its result must depend on the arguments and the configuration only.
#[derive(Debug)]
pub struct Function<P> {
    /// Lower case letters, digits and `_`.
    pub name: &'static str,
    /// How many arguments it takes; at most 16. `call` never gets another number of them.
    pub args: RangeInclusive<u32>,
    /// One line: arguments, result, meaning.
    pub summary: &'static str,
    /// An error is the rule's error for this message.
    pub call: fn(&mut P, &[Value]) -> Result<Value, Error>,
}

/// A value of the rule language.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The field does not exist.
    Undefined,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A string: bytes, usually UTF-8.
    Bytes(Vec<u8>),
    /// A list, a map, or an integer beyond 64 bits.
    Json(Json),
}

impl Value {
    /// An integer or a float, as a float.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(crate) fn from_wire(value: wire::Value) -> Result<Value, Error> {
        Ok(match value {
            wire::Value::Undefined => Value::Undefined,
            wire::Value::Null => Value::Null,
            wire::Value::Boolean(value) => Value::Bool(value),
            wire::Value::Integer(number) => Value::Int(number),
            wire::Value::Float(number) => Value::Float(number),
            wire::Value::Bytes(bytes) => Value::Bytes(bytes),
            wire::Value::Json(text) => Value::Json(serde_json::from_str(&text)?),
        })
    }

    pub(crate) fn into_wire(self) -> wire::Value {
        match self {
            Value::Undefined => wire::Value::Undefined,
            Value::Null => wire::Value::Null,
            Value::Bool(value) => wire::Value::Boolean(value),
            Value::Int(number) => wire::Value::Integer(number),
            Value::Float(number) => wire::Value::Float(number),
            Value::Bytes(bytes) => wire::Value::Bytes(bytes),
            Value::Json(json) => wire::Value::Json(json.to_string()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Bytes(text.as_bytes().to_vec())
    }
}
