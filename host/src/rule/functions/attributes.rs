//! The message attributes: documentation of functions that the evaluator answers from the event's columns (rule-sql 4.1).
//!
//! They work in the fields of SELECT, FOREACH and DO; in WHERE and INCASE they are undefined, as in EMQX.

use std::ops::RangeInclusive;

use super::{Function, Run};

pub(super) const FUNCTIONS: &[Function] = &[
    column(
        0..=0,
        "msgid() -> text",
        "The message's id: the column `id`.",
        &[("msgid()", r#""0005""#), ("msgid(1)", "!")],
    ),
    column(0..=0, "qos() -> integer", "The column `qos`: 0, 1 or 2.", &[("qos()", "1")]),
    column(
        0..=1,
        "topic([level]) -> text",
        "The topic of the message, or one of its levels, counted from one.",
        &[
            ("topic()", r#""plant/7/press""#),
            ("topic(2)", r#""7""#),
            ("topic(0)", "!"),
            ("topic(4)", "!"),
            ("topic('1')", "!"),
        ],
    ),
    column(0..=0, "clientid() -> text", "The column `clientid`.", &[("clientid()", r#""press-7""#)]),
    column(
        0..=0,
        "username() -> text",
        "The column `username`; undefined without one.",
        &[("username()", r#""undefined""#)],
    ),
    column(
        0..=1,
        "payload([path]) -> any",
        "The payload as it came, or what stands at a dotted path of plain keys in the JSON that it holds.",
        &[
            ("payload()", r#""{\"a\":{\"b\":5}}""#),
            ("payload('a.b')", "5"),
            ("payload('a.c')", r#""undefined""#),
            ("payload(1)", "!"),
        ],
    ),
    column(
        0..=0,
        "flags() -> map",
        "The column `flags`; the empty map without one.",
        &[("flags()", r#"{"retain":true,"dup":false}"#)],
    ),
    column(
        1..=1,
        "flag(name) -> bool",
        "One of the message's flags: 'retain' or 'dup'. Undefined if there is none of that name.",
        &[("flag('retain')", "true"), ("flag('sys')", r#""undefined""#)],
    ),
    column(
        0..=0,
        "peerhost() -> text",
        "The client's address: the column `peerhost`.",
        &[("peerhost()", r#""192.0.2.14""#)],
    ),
    column(0..=0, "clientip() -> text", "Like peerhost.", &[("clientip()", r#""192.0.2.14""#)]),
];

const fn column(
    arity: RangeInclusive<usize>,
    signature: &'static str,
    doc: &'static str,
    examples: &'static [(&'static str, &'static str)],
) -> Function {
    Function::made(arity, signature, doc, examples, Run::Columns)
}
