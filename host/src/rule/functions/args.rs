//! Readers that turn arguments into what a function needs, and builders that keep a result within the limits.
//!
//! The readers never convert silently: what they accept besides the plain kind is stated at each.

use std::sync::Arc;

use bytes::Bytes;
use num_bigint::BigInt;
use num_traits::FromPrimitive;

use super::{Fault, MAX_BUILT};
use crate::value::{Map, Value};

/// The widest integer that a function may build, in bits.
pub const MAX_INTEGER_BITS: u64 = 16 << 10;

/// The largest value that a function prints: how many values it may hold, and how deep.
const MAX_PRINTED: usize = 1 << 20;
const MAX_DEPTH: usize = 256;

/// Text of the string family: a Str as it is, Bool and Sym by their spelling; Undefined and Null are refused.
pub fn text(args: &[Value], at: usize) -> Result<Bytes, Fault> {
    match args.get(at) {
        Some(Value::Str(bytes)) => Ok(bytes.clone()),
        Some(Value::Bool(true)) => Ok(Bytes::from_static(b"true")),
        Some(Value::Bool(false)) => Ok(Bytes::from_static(b"false")),
        Some(Value::Sym(word)) => Ok(Bytes::copy_from_slice(word.as_bytes())),
        _ => Err(Fault::argument(args, at, "text")),
    }
}

/// A Str and nothing else.
pub fn bytes(args: &[Value], at: usize) -> Result<&Bytes, Fault> {
    match args.get(at) {
        Some(Value::Str(bytes)) => Ok(bytes),
        _ => Err(Fault::argument(args, at, "text")),
    }
}

/// A Str that is one of a few words, such as a mode.
pub fn word(args: &[Value], at: usize) -> Result<&[u8], Fault> {
    bytes(args, at).map(AsRef::as_ref)
}

/// The characters of a text that has to be walked over.
pub fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::failed("the text is not valid UTF-8"))
}

/// An Int; one beyond `i64` saturates, which suits positions, lengths and counts.
pub fn int(args: &[Value], at: usize) -> Result<i64, Fault> {
    match args.get(at) {
        Some(Value::Int(n)) => Ok(*n),
        Some(Value::Big(n)) => Ok(if n.sign() == num_bigint::Sign::Minus { i64::MIN } else { i64::MAX }),
        _ => Err(Fault::argument(args, at, "an integer")),
    }
}

/// An Int of 64 bits, where a larger one must not be taken for the largest: a moment.
pub fn moment(args: &[Value], at: usize) -> Result<i64, Fault> {
    match args.get(at) {
        Some(Value::Int(n)) => Ok(*n),
        _ => Err(Fault::argument(args, at, "an integer of 64 bits")),
    }
}

/// A position, length or count: an Int of at least `least`.
pub fn count(args: &[Value], at: usize, least: i64) -> Result<usize, Fault> {
    match int(args, at)? {
        n if n >= least => Ok(usize::try_from(n).unwrap_or(usize::MAX)),
        _ => Err(Fault::argument(args, at, format!("an integer of at least {least}"))),
    }
}

/// An Int of any size.
pub fn big(args: &[Value], at: usize) -> Result<BigInt, Fault> {
    args.get(at).and_then(Value::to_big).ok_or_else(|| Fault::argument(args, at, "an integer"))
}

/// An Int or a Float, as a float.
pub fn number(args: &[Value], at: usize) -> Result<f64, Fault> {
    args.get(at).and_then(Value::to_float).ok_or_else(|| Fault::argument(args, at, "a number in the range of floats"))
}

pub fn list(args: &[Value], at: usize) -> Result<&[Value], Fault> {
    match args.get(at) {
        Some(Value::List(items)) => Ok(items),
        _ => Err(Fault::argument(args, at, "a list")),
    }
}

/// A Map, a Str holding a JSON object, or the empty list for the empty map.
pub fn map(args: &[Value], at: usize) -> Result<Arc<Map>, Fault> {
    let fault = || Fault::argument(args, at, "a map, or text holding a JSON object");
    match args.get(at) {
        Some(Value::Map(map)) => Ok(Arc::clone(map)),
        Some(Value::List(items)) if items.is_empty() => Ok(Arc::default()),
        Some(Value::Str(json)) => match Value::from_json_shared(json) {
            Ok(Value::Map(map)) => Ok(map),
            _ => Err(fault()),
        },
        _ => Err(fault()),
    }
}

/// The text form `T10` of any value but a bit string.
pub fn text_form(value: &Value) -> Result<Bytes, Fault> {
    printable_size(value)?;
    value.text().ok_or_else(no_text)
}

/// JSON of any value that holds no bit string.
pub fn json(value: &Value) -> Result<Vec<u8>, Fault> {
    printable_size(value)?;
    let mut out = Vec::new();
    value.encode_json(&mut out).map_err(|_| no_text())?;
    Ok(out)
}

/// A value may share its parts so often that its text would not fit into memory.
fn printable_size(value: &Value) -> Result<(), Fault> {
    if value.fits(MAX_PRINTED, MAX_DEPTH) { Ok(()) } else { Err(Fault::failed("the value is too large to print")) }
}

fn no_text() -> Fault {
    Fault::failed("a bit string has no text form; convert it first, for instance with bin2hexstr")
}

/// A float result; one that is not finite raises.
pub fn float(x: f64) -> Result<Value, Fault> {
    Value::float(x).ok_or_else(|| Fault::failed("the result is not a finite number"))
}

/// An integer result up to the limit.
pub fn integer(n: BigInt) -> Result<Value, Fault> {
    if n.bits() <= MAX_INTEGER_BITS {
        return Ok(Value::big(n));
    }
    Err(Fault::failed(format!("the result is wider than {MAX_INTEGER_BITS} bits")))
}

/// The integer that a float without a fraction stands for.
pub fn whole(x: f64) -> Result<Value, Fault> {
    BigInt::from_f64(x).ok_or_else(|| Fault::failed("the result is not a finite number")).and_then(integer)
}

/// A text result within the limit.
pub fn built(out: Vec<u8>) -> Result<Value, Fault> {
    within_limit(out.len())?;
    Ok(Value::Str(out.into()))
}

/// To be asked before something is built whose size an argument states.
pub fn within_limit(len: usize) -> Result<(), Fault> {
    if len <= MAX_BUILT { Ok(()) } else { Err(Fault::failed(format!("the result is longer than {MAX_BUILT} bytes"))) }
}

pub fn str_value(text: impl Into<Bytes>) -> Value {
    Value::Str(text.into())
}

/// What a value is, for a person: its kind and the beginning of its text.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Undefined => "undefined".into(),
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Sym(word) => format!("the symbol {word}"),
        Value::Int(n) => format!("the integer {n}"),
        Value::Big(n) => format!("an integer of {} bits", n.bits()),
        Value::Float(x) => format!("the float {x:?}"),
        Value::Str(bytes) => {
            let shown: String = String::from_utf8_lossy(&bytes[..bytes.len().min(160)]).chars().take(40).collect();
            format!("the text '{shown}'{}", if shown.len() < bytes.len() { " and so on" } else { "" })
        }
        Value::Bits { len, .. } => format!("a bit string of {len} bits"),
        Value::List(items) => format!("a list of {}", items.len()),
        Value::Map(map) => format!("a map of {}", map.len()),
    }
}
