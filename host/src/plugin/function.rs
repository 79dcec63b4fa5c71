//! Host side of the function world: rule SQL calls a guest.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;
use wasmtime::Store;

use super::error::PluginError;
use super::guest::{Exports, Guest, Instance};
use super::pool::Warm;
use super::store::State;
use super::world::function::Function;
use super::world::function::exports::millstream::plugin::functions as wire;
use crate::value::Value;

const MAX_ARGS: u32 = 16;
const MAX_NAME_BYTES: usize = 64;
const MAX_SUMMARY_BYTES: usize = 512;
const MAX_FUNCTIONS: usize = 256;

/// One function of a plugin; its place in [`Guest::functions`] is its index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionInfo {
    pub name: String,
    pub min_args: u32,
    pub max_args: u32,
    pub summary: String,
}

impl Warm {
    /// Calls the function with this index in [`Guest::functions`]. The caller has checked the number of arguments when it
    /// compiled the rule. Blocks for up to the deadline.
    pub fn call(&mut self, index: usize, args: &[Value]) -> Result<Value, PluginError> {
        self.guest().circuit.admit(Instant::now)?;
        let result = self.with_instance(|instance| instance.function(index, args));
        let guest = self.guest();
        guest.counts.calls.fetch_add(1, Ordering::Relaxed);
        match &result {
            Ok(_) => guest.circuit.succeeded(),
            Err(error) => {
                guest.counts.failed_calls.fetch_add(1, Ordering::Relaxed);
                if error.poisons_instance() {
                    guest.circuit.failed(error, None, Instant::now());
                } else {
                    guest.circuit.succeeded();
                }
            }
        }
        result
    }
}

impl Instance {
    fn function(&mut self, index: usize, args: &[Value]) -> Result<Value, PluginError> {
        let guest = self.guest().clone();
        let Exports::Function(world) = &self.exports else {
            return Err(PluginError::WrongKind { is: guest.kind().noun(), wanted: "function plugin" });
        };
        let Some(function) = guest.functions().get(index) else {
            return Err(PluginError::NoSuchFunction(format!("#{index}")));
        };
        let args = args.iter().map(lower).collect::<Result<Vec<_>, _>>()?;
        let count = args.len();
        if count < function.min_args as usize || count > function.max_args as usize {
            return Err(PluginError::BadArgument(format!("`{}` does not take {count} arguments", function.name)));
        }
        let exports = world.millstream_plugin_functions();
        let answer = guest
            .call(&mut self.store, guest.limits().deadline, |store| exports.call_call(store, index as u32, &args))?;
        lift(answer.map_err(PluginError::GuestFailed)?)
    }
}

/// Asks a fresh instance what it offers.
pub(super) fn signatures(
    store: &mut Store<State>,
    world: &Function,
    guest: &Guest,
) -> Result<Vec<FunctionInfo>, PluginError> {
    let exports = world.millstream_plugin_functions();
    let signatures = guest.call(store, guest.limits().start_deadline(), |store| exports.call_signatures(store))?;
    check(signatures)
}

fn check(signatures: Vec<wire::Signature>) -> Result<Vec<FunctionInfo>, PluginError> {
    let bad = |text: String| Err(PluginError::BadSignatures(text));
    if signatures.is_empty() || signatures.len() > MAX_FUNCTIONS {
        return bad(format!("there are {}; a plugin has 1 to {MAX_FUNCTIONS} functions", signatures.len()));
    }
    let mut names = BTreeSet::new();
    for signature in &signatures {
        let name = &signature.name;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase())
            || !name.chars().all(allowed)
            || name.len() > MAX_NAME_BYTES
        {
            return bad(format!(
                "`{}` is no name; write a lower case letter, then letters, digits and `_`",
                name.escape_debug()
            ));
        }
        if signature.min_args > signature.max_args || signature.max_args > MAX_ARGS {
            return bad(format!(
                "`{name}` takes {} to {} arguments; at most {MAX_ARGS}",
                signature.min_args, signature.max_args
            ));
        }
        if signature.summary.len() > MAX_SUMMARY_BYTES {
            return bad(format!("the summary of `{name}` is longer than {MAX_SUMMARY_BYTES} bytes"));
        }
        if !names.insert(name) {
            return bad(format!("`{name}` is there twice"));
        }
    }
    let info = |s: wire::Signature| FunctionInfo {
        name: s.name,
        min_args: s.min_args,
        max_args: s.max_args,
        summary: s.summary,
    };
    Ok(signatures.into_iter().map(info).collect())
}

fn lower(value: &Value) -> Result<wire::Value, PluginError> {
    Ok(match value {
        Value::Undefined => wire::Value::Undefined,
        Value::Null => wire::Value::Null,
        Value::Bool(value) => wire::Value::Boolean(*value),
        Value::Int(number) => wire::Value::Integer(*number),
        Value::Float(number) => wire::Value::Float(*number),
        Value::Sym(word) => wire::Value::Bytes(word.as_bytes().to_vec()),
        Value::Str(bytes) => wire::Value::Bytes(bytes.to_vec()),
        Value::Big(_) | Value::List(_) | Value::Map(_) | Value::Bits { .. } => {
            let mut text = Vec::new();
            value
                .encode_json(&mut text)
                .map_err(|_| PluginError::BadArgument("a bit string has no JSON form".into()))?;
            let text = String::from_utf8(text);
            wire::Value::Json(text.map_err(|_| PluginError::BadArgument("its JSON form is not UTF-8".into()))?)
        }
    })
}

fn lift(value: wire::Value) -> Result<Value, PluginError> {
    Ok(match value {
        wire::Value::Undefined => Value::Undefined,
        wire::Value::Null => Value::Null,
        wire::Value::Boolean(value) => Value::Bool(value),
        wire::Value::Integer(number) => Value::Int(number),
        wire::Value::Float(number) => {
            let finite = Value::float(number);
            finite.ok_or_else(|| {
                PluginError::GuestFailed(format!("the function returned {number}, which is no number here"))
            })?
        }
        wire::Value::Bytes(bytes) => Value::Str(bytes.into()),
        wire::Value::Json(text) => {
            let value = Value::from_json_shared(&Bytes::from(text));
            value.map_err(|e| PluginError::GuestFailed(format!("the function returned JSON that is {e}")))?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(name: &str, min_args: u32, max_args: u32) -> wire::Signature {
        wire::Signature { name: name.into(), min_args, max_args, summary: String::new() }
    }

    #[test]
    fn signatures_are_checked() {
        assert_eq!(check(vec![signature("can_decode", 1, 2)]).unwrap()[0].name, "can_decode");
        for (signatures, says) in [
            (vec![], "there are 0"),
            (vec![signature("", 0, 0)], "is no name"),
            (vec![signature("Upper", 0, 0)], "is no name"),
            (vec![signature("a b", 0, 0)], "is no name"),
            (vec![signature("a", 2, 1)], "takes 2 to 1"),
            (vec![signature("a", 0, MAX_ARGS + 1)], "at most 16"),
            (vec![signature("a", 0, 0), signature("a", 1, 1)], "there twice"),
        ] {
            let error = check(signatures).unwrap_err();
            assert!(matches!(&error, PluginError::BadSignatures(text) if text.contains(says)), "{error}");
        }
    }

    #[test]
    fn values_cross_both_ways() {
        let map = Value::from_json(br#"{"b":[1,2.5,"x",null],"a":true}"#).unwrap();
        let big = Value::from_json(b"123456789012345678901234567890").unwrap();
        for value in [
            Value::Undefined,
            Value::Null,
            Value::Bool(true),
            Value::Int(-1),
            Value::Float(1.5),
            Value::str("\u{e9}"),
            map,
            big,
        ] {
            assert_eq!(lift(lower(&value).unwrap()).unwrap(), value);
        }
        let bytes = Value::Str(Bytes::from_static(b"\xff\x00"));
        assert_eq!(lift(lower(&bytes).unwrap()).unwrap(), bytes);
    }

    #[test]
    fn what_has_no_form_is_an_error() {
        let bits = Value::Bits { bytes: Bytes::from_static(b"\x80"), len: 1 };
        assert!(matches!(lower(&bits), Err(PluginError::BadArgument(_))));
        assert!(matches!(lift(wire::Value::Float(f64::NAN)), Err(PluginError::GuestFailed(_))));
        assert!(matches!(lift(wire::Value::Json("{".into())), Err(PluginError::GuestFailed(_))));
    }
}
