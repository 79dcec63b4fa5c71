//! Runs the examples of every function, read from the small part of SQL that they are written in.

use std::collections::BTreeSet;

use super::*;
use crate::rule::{JsonEvent, Still, compile};
use crate::value::number::{parse_float, parse_integer};

/// Calls, lists, numbers, 'texts', true, false; any other bare word is unbound, that is undefined.
struct Reader<'a> {
    rest: &'a str,
    world: Still,
}

impl<'a> Reader<'a> {
    fn evaluate(expression: &'a str) -> Result<Value, Fault> {
        let mut reader = Reader { rest: expression, world: Still::default() };
        let value = reader.value();
        assert!(value.is_err() || reader.rest.trim().is_empty(), "left over in `{expression}`: `{}`", reader.rest);
        value
    }

    fn skip(&mut self, token: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn items(&mut self, close: char) -> Result<Vec<Value>, Fault> {
        let mut items = Vec::new();
        while !self.skip(close) {
            items.push(self.value()?);
            self.skip(',');
        }
        Ok(items)
    }

    fn take(&mut self, part: impl Fn(char) -> bool) -> &'a str {
        self.rest = self.rest.trim_start();
        let (taken, rest) = self.rest.split_at(self.rest.find(|c| !part(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn value(&mut self) -> Result<Value, Fault> {
        if self.skip('\'') {
            let (text, rest) = self.rest.split_once('\'').expect("a closing quote");
            self.rest = rest;
            return Ok(Value::str(text));
        }
        if self.skip('[') {
            return self.items(']').map(Value::list);
        }
        let word = self.take(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        assert!(!word.is_empty(), "no value at `{}`", self.rest);
        if let Some(number) = parse_integer(word.as_bytes()).or_else(|| parse_float(word.as_bytes())) {
            return Ok(number);
        }
        if self.skip('(') {
            let arguments = self.items(')')?;
            return lookup(word).unwrap_or_else(|| panic!("no function `{word}`")).call(&self.world, &arguments);
        }
        Ok(if matches!(word, "true" | "false") { Value::sym(word) } else { Value::Undefined })
    }
}

#[test]
fn every_example_gives_what_it_says() {
    let mut wrong = Vec::new();
    for (expression, expected) in all().flat_map(|function| function.examples) {
        let got = match Reader::evaluate(expression) {
            Ok(value) => {
                args::json(&value).map_or_else(|f| f.to_string(), |json| String::from_utf8(json).expect("UTF-8"))
            }
            Err(fault) if *expected == "!" => {
                assert!(!fault.to_string().starts_with("``"), "{expression}: a fault without a name");
                continue;
            }
            Err(fault) => format!("a fault: {fault}"),
        };
        if got != *expected {
            wrong.push(format!("{expression}\n  is {got}\n  not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} examples:\n{}", wrong.len(), wrong.join("\n"));
}

/// What reads columns is called as rules call it.
#[test]
fn every_example_of_an_attribute_gives_what_it_says() {
    let columns = r#"{"id":"0005","qos":1,"topic":"plant/7/press","clientid":"press-7","payload":"{\"a\":{\"b\":5}}",
        "flags":{"retain":true,"dup":false},"peerhost":"192.0.2.14"}"#;
    let event = JsonEvent::new(Value::from_json(columns.as_bytes()).expect("JSON")).expect("an event");
    let world = Still::default();
    for (expression, expected) in attributes::FUNCTIONS.iter().flat_map(|function| function.examples) {
        let plan = compile(&format!("SELECT {expression} AS x FROM t"), &crate::rule::NoFunctions).expect("SQL");
        let mut rows = Vec::new();
        let got = match plan.evaluate(&event, world.context(), &mut rows) {
            Ok(()) => {
                args::json(&rows[0].get("x").expect("a column")).map(|json| String::from_utf8(json).expect("UTF-8"))
            }
            Err(_) => Ok(String::from("!")),
        };
        assert_eq!(got.as_deref(), Ok(*expected), "{expression}");
    }
}

#[test]
fn entries_are_complete_and_names_unique() {
    let mut seen = BTreeSet::new();
    for function in all() {
        assert!(seen.insert(function.name), "`{}` stands twice", function.name);
        assert!(function.doc.ends_with('.'), "`{}`: the documentation ends with a full stop", function.name);
        assert!(function.signature.contains(") -> "), "`{}`: the signature says what comes back", function.name);
        assert!(function.min_args <= function.max_args);
        let called = function.examples.iter().any(|(sql, _)| sql.contains(&format!("{}(", function.name)));
        assert!(called, "`{}` has no example", function.name);
        assert!(std::ptr::eq(lookup(function.name).expect("found by its name"), function));
    }
    assert_eq!(names().count(), seen.len());
    let families: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(families.len(), families.iter().collect::<BTreeSet<_>>().len());
    for function in attributes::FUNCTIONS {
        let known = crate::rule::plan::Attribute::NAMES.iter().find(|(name, _)| *name == function.name);
        let (_, arities) = known.expect(function.name);
        let range = [function.min_args, function.max_args];
        assert_eq!([arities.first(), arities.last()].map(|n| *n.expect("arities")), range, "{}", function.name);
        assert!(lookup(function.name).is_none());
    }
    assert_eq!(attributes::FUNCTIONS.len(), crate::rule::plan::Attribute::NAMES.len());
    assert!(lookup("LOWER").is_none(), "names are case-sensitive");
}

#[test]
fn a_wrong_number_of_arguments_is_refused_before_the_function_sees_it() {
    for function in all() {
        if let Some(fewer) = function.min_args.checked_sub(1) {
            let fault = function.call(&Still::default(), &vec![Value::Null; fewer]).expect_err(function.name);
            assert_eq!(fault, Fault::Arity { signature: function.signature, given: fewer });
        }
        if function.max_args < 10 {
            function.call(&Still::default(), &vec![Value::Null; function.max_args + 1]).expect_err(function.name);
        }
    }
}

/// Every function with every combination of up to three odd values: an answer or a fault, never a panic.
#[test]
fn nothing_panics() {
    let odd = [
        Value::Undefined,
        Value::Null,
        Value::Bool(true),
        Value::sym("message.publish"),
        Value::Int(0),
        Value::Int(-1),
        Value::Int(i64::MIN),
        Value::Int(i64::MAX),
        Value::big(num_bigint::BigInt::from(1) << 9000),
        Value::Float(-0.0),
        Value::Float(f64::MAX),
        Value::Float(5e-324),
        Value::str(""),
        Value::str("a\\1&{[~s"),
        Value::str("日e\u{301}\r\n"),
        Value::Str(bytes::Bytes::from_static(b"\xFF\xE6\x97")),
        Value::Bits { bytes: bytes::Bytes::from_static(b"\xFE"), len: 7 },
        Value::list(vec![Value::Int(104), Value::Undefined]),
        Value::list(Vec::new()),
        Value::map(Default::default()),
    ];
    let world = Still::default();
    for function in all() {
        let fewest = function.min_args.min(3);
        for n in fewest..=function.max_args.min(3) {
            for combination in 0..odd.len().pow(n as u32) {
                let pick = |place: usize| odd[combination / odd.len().pow(place as u32) % odd.len()].clone();
                let arguments: Vec<Value> = (0..n).map(pick).collect();
                if let Ok(Value::Float(x)) = function.call(&world, &arguments) {
                    assert!(x.is_finite(), "{} of {arguments:?}", function.name);
                }
            }
        }
    }
}

#[test]
fn a_fault_says_where_what_was_expected_and_what_came() {
    let fault = lookup("pad")
        .expect("exists")
        .call(&Still::default(), &[Value::str("a"), Value::str("b")])
        .expect_err("no number");
    assert_eq!(fault.to_string(), "`pad`: argument 2 must be an integer, but is the text 'b'");
    let fault = lookup("map_get").expect("exists").call(&Still::default(), &[]).expect_err("too few");
    assert_eq!(fault.to_string(), "`map_get(path, map[, default]) -> any` was called with 0 argument(s)");
}
