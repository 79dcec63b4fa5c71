//! Maps: read and changed by key or by dotted path, taken apart, listed.
//!
//! Nothing is changed in place: a function answers with a new map.

use std::sync::Arc;

use bytes::Bytes;

use super::args::{bytes, map, str_value};
use super::{Fault, Function};
use crate::value::{Map, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(0..=0, "map_new() -> map", "The empty map.", &[("map_new()", "{}")], |_| {
        Ok(Value::Map(Arc::default()))
    }),
    Function::new(
        2..=3,
        "map_get(path, map[, default]) -> any",
        "What stands at a dotted path; text on the way is decoded as JSON. A missing one gives the default, or else \
         undefined. A key with a dot in it is out of reach: see mget.",
        &[
            (r#"map_get('a', json_decode('{"a":1}'))"#, "1"),
            (r#"map_get('a.b', '{"a":{"b":2}}')"#, "2"),
            (r#"map_get('a.b', '{"a":"{\"b\":7}"}')"#, "7"),
            (r#"map_get('a.x', '{"a":1}', 'none')"#, r#""none""#),
            (r#"map_get('a', '{"a":null}', 5)"#, "null"),
            (r#"map_get('d.e', '{"d.e":5}')"#, r#""undefined""#),
            (r#"map_get('a.1', '{"a":[5]}')"#, r#""undefined""#),
            ("map_get('a', 'oops', 3)", "3"),
            ("map_get('a', 5, 3)", "3"),
            ("map_get('a', nope)", r#""undefined""#),
            ("map_get(1, 1)", "!"),
            ("map_get(['a'], map_new())", "!"),
        ],
        |args| {
            let found = walk(&args[1], bytes(args, 0)?);
            Ok(found.unwrap_or_else(|| args.get(2).cloned().unwrap_or_default()))
        },
    ),
    Function::new(
        3..=3,
        "map_put(path, any, map) -> map",
        "With a value stored at a dotted path. Whatever is not a map on the way is replaced by one; that includes text \
         holding JSON, so use json_decode first.",
        &[
            (r#"map_put('b', 2, json_decode('{"a":1}'))"#, r#"{"b":2,"a":1}"#),
            (r#"map_put('a.c', 2, json_decode('{"a":{"b":1}}'))"#, r#"{"a":{"c":2,"b":1}}"#),
            (r#"map_put('a.b', 2, json_decode('{"a":5}'))"#, r#"{"a":{"b":2}}"#),
            (
                r#"map_put('a.b.d', 3, json_decode('{"a":"{\"b\":{\"c\":1},\"x\":2}"}'))"#,
                r#"{"a":{"b":{"d":3,"c":1}}}"#,
            ),
            (r#"map_put('z', 1, '{"x":5}')"#, r#"{"z":1}"#),
            (r#"map_put('a.c', 1, '{"a":{"b":7}}')"#, r#"{"a":{"c":1}}"#),
            ("map_put('z', 1, nope)", r#"{"z":1}"#),
            ("map_put(1, 1, map_new())", "!"),
        ],
        |args| put(&args[2], bytes(args, 0)?, &args[1]),
    ),
    Function::new(
        2..=3,
        "mget(key, map[, default]) -> any",
        "What stands under one key; dots in it mean nothing. The map may be text holding a JSON object.",
        &[
            (r#"mget('d.e', '{"d.e":5}')"#, "5"),
            (r#"mget('a', json_decode('{"a":null}'), 7)"#, "null"),
            (r#"mget('b', '{"a":1}')"#, r#""undefined""#),
            (r#"mget('b', '{"a":1}', 7)"#, "7"),
            (r#"mget(['a','b'], '{"a":{"b":1}}', 7)"#, "7"),
            ("mget('a', [])", r#""undefined""#),
            ("mget('a', 'oops')", "!"),
            ("mget('a', nope)", "!"),
            ("mget('a', [1])", "!"),
        ],
        |args| {
            let found = match key(&args[0]) {
                Some(key) => map(args, 1)?.get(&key).cloned(),
                None => map(args, 1).map(|_| None)?,
            };
            Ok(found.unwrap_or_else(|| args.get(2).cloned().unwrap_or_default()))
        },
    ),
    Function::new(
        3..=3,
        "mput(key, any, map) -> map",
        "With a value stored under one key; dots in it mean nothing. The map may be text holding a JSON object.",
        &[
            (r#"mput('a.c', 2, '{"a":1}')"#, r#"{"a.c":2,"a":1}"#),
            ("mput('a', 1, [])", r#"{"a":1}"#),
            ("mput('a', 1, 'oops')", "!"),
            ("mput('a', 1, nope)", "!"),
        ],
        |args| {
            let mut map = map(args, 2)?;
            let key = key(&args[0]).ok_or_else(|| Fault::argument(args, 0, "text"))?;
            Arc::make_mut(&mut map).insert(key, args[1].clone());
            Ok(Value::Map(map))
        },
    ),
    Function::new(
        1..=1,
        "map_keys(map) -> list",
        "The keys, in ascending order.",
        &[(r#"map_keys('{"b":1,"a":2}')"#, r#"["a","b"]"#), ("map_keys([])", "[]"), ("map_keys(nope)", "!")],
        |args| Ok(Value::list(map(args, 0)?.keys().cloned().map(Value::Str).collect())),
    ),
    Function::new(
        1..=1,
        "map_values(map) -> list",
        "The values, in ascending order of their keys.",
        &[(r#"map_values('{"b":1,"a":2}')"#, "[2,1]"), ("map_values('[1]')", "!")],
        |args| Ok(Value::list(map(args, 0)?.values().cloned().collect())),
    ),
    Function::new(
        1..=1,
        "map_size(map) -> integer",
        "The number of keys.",
        &[(r#"map_size('{"b":1,"a":2}')"#, "2"), ("map_size([])", "0"), ("map_size(5)", "!")],
        |args| Ok(Value::Int(map(args, 0)?.len() as i64)),
    ),
    Function::new(
        1..=1,
        "map_to_entries(map) -> list",
        "A list of maps with `key` and `value`, in ascending order of the keys.",
        &[
            (r#"map_to_entries('{"b":1,"a":2}')"#, r#"[{"value":2,"key":"a"},{"value":1,"key":"b"}]"#),
            ("map_to_entries([])", "[]"),
            ("map_to_entries(1)", "!"),
        ],
        |args| Ok(Value::list(map(args, 0)?.iter().map(|(key, value)| entry(key, value)).collect())),
    ),
    Function::new(
        1..=1,
        "map_to_redis_hset_args(map) -> list",
        "The arguments of Redis HSET: a marker, then fields and values in turn. Only text, numbers and booleans.",
        &[
            (
                r#"map_to_redis_hset_args('{"a":1,"b":"x","c":null,"d":true}')"#,
                r#"["map_to_redis_hset_args","d","true","b","x","a","1"]"#,
            ),
            (r#"map_to_redis_hset_args('{"a":1.5}')"#, r#"["map_to_redis_hset_args","a","1.5"]"#),
            ("map_to_redis_hset_args('oops')", r#"["map_to_redis_hset_args"]"#),
            ("map_to_redis_hset_args(nope)", r#"["map_to_redis_hset_args"]"#),
        ],
        redis_hset,
    ),
];

/// The longest path to store at: what is nested deeper than a decoder goes could not be dropped safely either.
const MAX_STEPS: usize = 64;

/// The value at a dotted path, or `None`; every text on the way is read as JSON.
fn walk(root: &Value, path: &[u8]) -> Option<Value> {
    path.split(|byte| *byte == b'.').try_fold(root.clone(), |at, step| step_into(&at, step))
}

fn step_into(at: &Value, step: &[u8]) -> Option<Value> {
    match at {
        Value::Map(map) => map.get(step).cloned(),
        Value::Str(json) => match Value::from_json_shared(json) {
            Ok(Value::Map(map)) => map.get(step).cloned(),
            _ => None,
        },
        _ => None,
    }
}

/// Stores along a dotted path. Reads through text, but what it writes into is a map or becomes a fresh one.
fn put(target: &Value, path: &[u8], value: &Value) -> Result<Value, Fault> {
    let mut steps: Vec<&[u8]> = path.split(|byte| *byte == b'.').take(MAX_STEPS + 1).collect();
    if steps.len() > MAX_STEPS {
        return Err(Fault::failed(format!("the path has more than {MAX_STEPS} steps")));
    }
    let last = steps.pop().unwrap_or_default();
    // Down: each level as it stands, and as it reads.
    let whole = if matches!(target, Value::Map(_)) { target.clone() } else { Value::Undefined };
    let mut levels = vec![whole];
    for step in &steps {
        let next = levels.last().and_then(|at| step_into(at, step)).unwrap_or_default();
        levels.push(next);
    }
    // Up: each level with its new content.
    let mut new = value.clone();
    for step in steps.iter().copied().chain([last]).rev() {
        let mut map = match levels.pop() {
            Some(Value::Map(map)) => map,
            _ => Arc::default(),
        };
        Arc::make_mut(&mut map).insert(Bytes::copy_from_slice(step), new);
        new = Value::Map(map);
    }
    Ok(new)
}

fn key(value: &Value) -> Option<Bytes> {
    match value {
        Value::Str(text) => Some(text.clone()),
        Value::Sym(word) => Some(Bytes::copy_from_slice(word.as_bytes())),
        _ => None,
    }
}

fn entry(key: &Bytes, value: &Value) -> Value {
    let pairs = [(Bytes::from_static(b"key"), Value::Str(key.clone())), (Bytes::from_static(b"value"), value.clone())];
    Value::Map(Arc::new(Map::from(pairs)))
}

fn redis_hset(args: &[Value]) -> Result<Value, Fault> {
    let mut out = vec![Value::Sym(Arc::from("map_to_redis_hset_args"))];
    let map = match &args[0] {
        Value::List(_) => Arc::default(),
        _ => map(args, 0).unwrap_or_default(),
    };
    for (key, value) in map.iter().rev() {
        let text = match value {
            Value::Str(text) => text.clone(),
            Value::Int(_) | Value::Big(_) | Value::Bool(_) => super::args::text_form(value)?,
            Value::Float(x) => super::conversion::compact(*x, 6).into(),
            _ => continue,
        };
        out.extend([Value::Str(key.clone()), str_value(text)]);
    }
    Ok(Value::list(out))
}
