//! The function `jq`. The world runs the program, behind a fence; here only arguments and results are converted.

use std::time::Duration;

use bytes::Bytes;

use super::args::{bytes, count, json};
use super::{Fault, Function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[Function::with_world(
    2..=3,
    "jq(program, any[, milliseconds]) -> list",
    "All outputs of a jq program over a JSON text, or over the JSON of any other value. A program that needs longer than \
     the given time (10 seconds by default) or too much memory is stopped, and the call raises. Unlike in jq, an \
     assignment below null or beyond a list's end is an error.",
    &[
        (r#"jq('.a,.b', '{"a":1,"b":2}')"#, "[1,2]"),
        (r#"jq('.items[] | select(.v > 1) | .id', '{"items":[{"id":"p","v":1},{"id":"q","v":2}]}')"#, r#"["q"]"#),
        ("jq('map(. * 2)', [1, 2.5])", "[[2,5]]"),
        ("jq('.', nope)", r#"["undefined"]"#),
        ("jq('empty', '1')", "[]"),
        ("jq('.a', '1')", "!"),
        ("jq('.', 'oops')", "!"),
        ("jq('', '1')", "!"),
        ("jq('.[', '1')", "!"),
        ("jq(1, '1')", "!"),
        ("jq('.', '1', 'soon')", "!"),
    ],
    |world, args| {
        let program = bytes(args, 0)?;
        let limit = match args.get(2) {
            Some(_) => Some(Duration::from_millis(count(args, 2, 0)? as u64)),
            None => None,
        };
        let input = match &args[1] {
            Value::Str(text) => text.clone(),
            other => Bytes::from(json(other)?),
        };
        let outputs =
            world.jq(program, &input, limit).map_err(|error| Fault::failed(format!("jq_exception: {error}")))?;
        Value::from_json_shared(&outputs).map_err(|error| Fault::failed(format!("jq_exception: the output is {error}")))
    },
)];
