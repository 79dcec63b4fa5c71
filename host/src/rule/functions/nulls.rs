//! Absent values, equality without conversion, and identifiers.

use super::args::{list, str_value};
use super::{Fault, Function};
use crate::rule::World;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        0..=0,
        "null() -> undefined",
        "The undefined value. It is not JSON's null.",
        &[("null()", r#""undefined""#), ("is_null(null())", "true"), ("null(1)", "!")],
        |_| Ok(Value::Undefined),
    ),
    Function::new(
        1..=2,
        "coalesce(any, any) or coalesce(list) -> any",
        "The first value that is not undefined. JSON's null, '' and 0 count as values.",
        &[
            ("coalesce(nope, 7)", "7"),
            ("coalesce(json_decode('null'), 7)", "null"),
            ("coalesce('', 7)", r#""""#),
            ("coalesce(0, 7)", "0"),
            ("coalesce([nope, nope, 3])", "3"),
            ("coalesce([])", r#""undefined""#),
            ("coalesce(nope, nope)", r#""undefined""#),
            ("coalesce(1)", "!"),
            ("coalesce(1, 2, 3)", "!"),
        ],
        |args| first_of(args, |value| !matches!(value, Value::Undefined)),
    ),
    Function::new(
        1..=2,
        "coalesce_ne(any, any) or coalesce_ne(list) -> any",
        "Like coalesce, and skips '' and [] too.",
        &[
            ("coalesce_ne('', 7)", "7"),
            ("coalesce_ne([], 7)", "7"),
            ("coalesce_ne(0, 1)", "0"),
            ("coalesce_ne(['', [], nope, 'x'])", r#""x""#),
            ("coalesce_ne('x')", "!"),
        ],
        |args| {
            first_of(args, |value| match value {
                Value::Undefined => false,
                Value::Str(text) => !text.is_empty(),
                Value::List(items) => !items.is_empty(),
                _ => true,
            })
        },
    ),
    Function::new(
        2..=2,
        "eq(any, any) -> bool",
        "Whether two values are equal without conversion; an integer may equal a float.",
        &[
            ("eq(1, 1.0)", "true"),
            ("eq(1, '1')", "false"),
            ("eq([1], [1.0])", "true"),
            ("eq(nope, null())", "true"),
            ("eq(nope, json_decode('null'))", "false"),
            ("eq('a', 'a')", "true"),
        ],
        |args| Ok(Value::Bool(args[0].loose_eq(&args[1]))),
    ),
    Function::with_world(
        0..=0,
        "uuid_v4() -> text",
        "A random UUID of 36 characters, in lower case.",
        &[
            ("strlen(uuid_v4())", "36"),
            ("regex_match(uuid_v4(), '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$')", "true"),
        ],
        |world, _| Ok(str_value(uuid(world, true))),
    ),
    Function::with_world(
        0..=0,
        "uuid_v4_no_hyphen() -> text",
        "A random UUID of 32 hexadecimal digits, in lower case.",
        &[("strlen(uuid_v4_no_hyphen())", "32"), ("regex_match(uuid_v4_no_hyphen(), '^[0-9a-f]{12}4')", "true")],
        |world, _| Ok(str_value(uuid(world, false))),
    ),
];

fn first_of(args: &[Value], wanted: fn(&Value) -> bool) -> Result<Value, Fault> {
    let candidates = if args.len() == 1 { list(args, 0)? } else { args };
    Ok(candidates.iter().find(|value| wanted(value)).cloned().unwrap_or_default())
}

/// Version 4, variant 1 (RFC 9562).
fn uuid(world: &dyn World, hyphens: bool) -> String {
    let random = (u128::from(world.random()) << 64) | u128::from(world.random());
    let bits = random & !(0xF << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{bits:032x}");
    if !hyphens {
        return digits;
    }
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
