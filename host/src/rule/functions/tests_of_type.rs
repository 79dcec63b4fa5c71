//! Questions about a value's kind. They take any value; only `is_empty` may raise.

use super::{Fault, Function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        1..=1,
        "is_null(any) -> bool",
        "Whether the value is undefined. JSON's null is not; see is_null_var.",
        &[
            ("is_null(nope)", "true"),
            ("is_null(null())", "true"),
            ("is_null(json_decode('null'))", "false"),
            ("is_null('')", "false"),
        ],
        |args| Ok(Value::Bool(matches!(args, [Value::Undefined]))),
    ),
    Function::new(
        1..=1,
        "is_not_null(any) -> bool",
        "Whether the value is not undefined.",
        &[("is_not_null(nope)", "false"), ("is_not_null(0)", "true"), ("is_not_null(json_decode('null'))", "true")],
        |args| Ok(Value::Bool(!matches!(args, [Value::Undefined]))),
    ),
    Function::new(
        1..=1,
        "is_null_var(any) -> bool",
        "Whether the value is undefined or JSON's null.",
        &[("is_null_var(nope)", "true"), ("is_null_var(json_decode('null'))", "true"), ("is_null_var(0)", "false")],
        |args| Ok(Value::Bool(matches!(args, [Value::Undefined | Value::Null]))),
    ),
    Function::new(
        1..=1,
        "is_not_null_var(any) -> bool",
        "Whether the value is neither undefined nor JSON's null.",
        &[("is_not_null_var(json_decode('null'))", "false"), ("is_not_null_var('')", "true")],
        |args| Ok(Value::Bool(!matches!(args, [Value::Undefined | Value::Null]))),
    ),
    Function::new(
        1..=1,
        "is_str(any) -> bool",
        "Whether the value is text. A symbol, such as the column `event`, is not.",
        &[("is_str('a')", "true"), ("is_str(1)", "false"), ("is_str(nope)", "false"), ("is_str(true)", "false")],
        |args| Ok(Value::Bool(matches!(args, [Value::Str(_)]))),
    ),
    Function::new(
        1..=1,
        "is_bool(any) -> bool",
        "Whether the value is true or false.",
        &[("is_bool(true)", "true"), ("is_bool('true')", "false"), ("is_bool(1)", "false")],
        |args| Ok(Value::Bool(matches!(args, [Value::Bool(_)]))),
    ),
    Function::new(
        1..=1,
        "is_int(any) -> bool",
        "Whether the value is an integer.",
        &[("is_int(1)", "true"), ("is_int(99999999999999999999)", "true"), ("is_int(1.0)", "false")],
        |args| Ok(Value::Bool(matches!(args, [Value::Int(_) | Value::Big(_)]))),
    ),
    Function::new(
        1..=1,
        "is_float(any) -> bool",
        "Whether the value is a float.",
        &[("is_float(1.0)", "true"), ("is_float(1)", "false"), ("is_float('1.0')", "false")],
        |args| Ok(Value::Bool(matches!(args, [Value::Float(_)]))),
    ),
    Function::new(
        1..=1,
        "is_num(any) -> bool",
        "Whether the value is an integer or a float.",
        &[("is_num(1)", "true"), ("is_num(1.5)", "true"), ("is_num('1')", "false"), ("is_num(nope)", "false")],
        |args| Ok(Value::Bool(matches!(args, [Value::Int(_) | Value::Big(_) | Value::Float(_)]))),
    ),
    Function::new(
        1..=1,
        "is_map(any) -> bool",
        "Whether the value is a map. Text holding a JSON object is not.",
        &[("is_map(map_new())", "true"), ("is_map('{}')", "false"), ("is_map([])", "false")],
        |args| Ok(Value::Bool(matches!(args, [Value::Map(_)]))),
    ),
    Function::new(
        1..=1,
        "is_array(any) -> bool",
        "Whether the value is a list.",
        &[("is_array([1])", "true"), ("is_array([])", "true"), ("is_array('[]')", "false")],
        |args| Ok(Value::Bool(matches!(args, [Value::List(_)]))),
    ),
    Function::new(
        1..=1,
        "is_empty(text or list or map) -> bool",
        "Whether a text, list or map holds nothing. A text that is not empty has to be a JSON object.",
        &[
            ("is_empty('')", "true"),
            ("is_empty([])", "true"),
            ("is_empty(map_new())", "true"),
            ("is_empty([0])", "false"),
            ("is_empty('{}')", "true"),
            (r#"is_empty('{"a":1}')"#, "false"),
            ("is_empty('abc')", "!"),
            ("is_empty('[]')", "!"),
            ("is_empty(0)", "!"),
            ("is_empty(nope)", "!"),
        ],
        is_empty,
    ),
];

fn is_empty(args: &[Value]) -> Result<Value, Fault> {
    let empty = match args {
        [Value::Str(text)] if text.is_empty() => true,
        [Value::List(items)] => items.is_empty(),
        _ => super::args::map(args, 0)?.is_empty(),
    };
    Ok(Value::Bool(empty))
}
