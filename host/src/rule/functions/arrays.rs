//! Lists: positions count from one, and a position outside the list raises.

use super::args::{count, list};
use super::{Fault, Function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        2..=2,
        "nth(position, list) -> any",
        "The element at a position, counted from one.",
        &[
            ("nth(1, [7,8])", "7"),
            ("nth(4, [1,2,3])", "!"),
            ("nth(0, [1])", "!"),
            ("nth(1, 'a')", "!"),
            ("nth('1', [1])", "!"),
        ],
        |args| {
            let items = list(args, 1)?;
            let at = count(args, 0, 1)?;
            items.get(at - 1).cloned().ok_or_else(|| outside(items, at))
        },
    ),
    Function::new(
        1..=1,
        "length(list) -> integer",
        "The number of elements. For text, see strlen.",
        &[("length([1,2])", "2"), ("length([])", "0"), ("length('ab')", "!"), ("length(nope)", "!")],
        |args| list(args, 0).map(|items| Value::Int(items.len() as i64)),
    ),
    Function::new(
        2..=3,
        "sublist([start, ]length, list) -> list",
        "That many elements from a position on, counted from one; fewer where the list ends.",
        &[
            ("sublist(2, [1,2,3])", "[1,2]"),
            ("sublist(9, [1,2,3])", "[1,2,3]"),
            ("sublist(0, [1])", "[]"),
            ("sublist(-1, [1])", "!"),
            ("sublist(2, 2, [1,2,3])", "[2,3]"),
            ("sublist(5, 2, [1])", "[]"),
            ("sublist(0, 1, [1])", "!"),
            ("sublist(1, -1, [1])", "!"),
            ("sublist(1, 'x')", "!"),
        ],
        sublist,
    ),
    Function::new(
        1..=1,
        "first(list) -> any",
        "The first element of a list that is not empty.",
        &[("first([7,8])", "7"), ("first([])", "!"), ("first('ab')", "!")],
        |args| list(args, 0)?.first().cloned().ok_or_else(empty),
    ),
    Function::new(
        1..=1,
        "last(list) -> any",
        "The last element of a list that is not empty.",
        &[("last([7,8])", "8"), ("last([])", "!")],
        |args| list(args, 0)?.last().cloned().ok_or_else(empty),
    ),
    Function::new(
        2..=2,
        "contains(any, list) -> bool",
        "Whether an element is the same value. An integer is never the same as a float.",
        &[
            ("contains(2, [1,2])", "true"),
            ("contains(2.0, [2])", "false"),
            ("contains([2], [[2]])", "true"),
            ("contains([2.0], [[2]])", "false"),
            ("contains('2', [2])", "false"),
            ("contains('a', 'abc')", "!"),
        ],
        |args| list(args, 1).map(|items| Value::Bool(items.iter().any(|item| item.strict_eq(&args[0])))),
    ),
    Function::new(
        2..=3,
        "contains_topic(list, topic[, qos]) -> bool",
        "Kept for old rules. EMQX looks for symbol keys, which decoded data never has: always false.",
        &[
            ("contains_topic(['t'], 't')", "false"),
            ("contains_topic([], 't', 1)", "false"),
            ("contains_topic('t', 't')", "!"),
        ],
        |args| list(args, 0).map(|_| Value::Bool(false)),
    ),
    Function::new(
        2..=3,
        "contains_topic_match(list, topic[, qos]) -> bool",
        "Kept for old rules. Always false, for the reason given at contains_topic; use the operator `=~`.",
        &[("contains_topic_match(['t/#'], 't/1')", "false"), ("contains_topic_match([], 't', 1)", "false")],
        |args| list(args, 0).map(|_| Value::Bool(false)),
    ),
];

fn sublist(args: &[Value]) -> Result<Value, Fault> {
    let from_start = args.len() == 2;
    let start = if from_start { 1 } else { count(args, 0, 1)? };
    let len = count(args, args.len() - 2, 0)?;
    let items = list(args, args.len() - 1)?;
    let from = (start - 1).min(items.len());
    let to = from.saturating_add(len).min(items.len());
    Ok(Value::list(items[from..to].to_vec()))
}

fn outside(items: &[Value], at: usize) -> Fault {
    Fault::failed(format!("there is no element {at} in a list of {}", items.len()))
}

fn empty() -> Fault {
    Fault::failed("the list is empty")
}
