//! The built-in functions of rule SQL: what each is called, takes, says and answers, family by family.
//!
//! A function reads its arguments and, if it says so, asks the [`World`] of its evaluation; it reaches nothing else, no
//! clock, no file. None may panic, and whatever grows with an argument's value (padding, shifts, patterns) has a limit.

mod args;
mod arrays;
mod attributes;
mod bits;
mod clock;
mod codec;
mod compression;
mod conversion;
mod date;
mod hashing;
mod integer;
mod join;
mod jq;
mod maps;
mod math;
mod nulls;
mod pattern;
mod regex;
mod schemas;
mod search;
mod sparkplug;
mod sprintf;
mod state;
mod term_codec;
mod term_text;
mod tests_of_type;
mod text;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::World;
use crate::value::Value;
pub use sparkplug::learn_birth;

/// The longest text and the longest list that a function may build, in bytes and in elements.
pub const MAX_BUILT: usize = 16 << 20;

/// One built-in. The name is case-sensitive, as in EMQX.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    pub min_args: usize,
    pub max_args: usize,
    /// For people: `pad(text, length[, where[, filler]]) -> text`.
    pub signature: &'static str,
    pub doc: &'static str,
    /// An SQL expression, and its result as JSON or `!` where it raises. Every one runs as a test.
    pub examples: &'static [(&'static str, &'static str)],
    /// Takes between `min_args` and `max_args` arguments; [`Function::call`] checks that.
    run: Run,
}

/// How a function comes to its result.
#[derive(Debug)]
enum Run {
    /// From its arguments alone: the same ones always give the same.
    Pure(fn(&[Value]) -> Result<Value, Fault>),
    /// Also from the world, or with an effect on it.
    World(fn(&dyn World, &[Value]) -> Result<Value, Fault>),
    /// From the event's columns: the evaluator does it, this is its documentation.
    Columns,
}

impl Function {
    const fn new(
        arity: RangeInclusive<usize>,
        signature: &'static str,
        doc: &'static str,
        examples: &'static [(&'static str, &'static str)],
        run: fn(&[Value]) -> Result<Value, Fault>,
    ) -> Function {
        Function::made(arity, signature, doc, examples, Run::Pure(run))
    }

    const fn with_world(
        arity: RangeInclusive<usize>,
        signature: &'static str,
        doc: &'static str,
        examples: &'static [(&'static str, &'static str)],
        run: fn(&dyn World, &[Value]) -> Result<Value, Fault>,
    ) -> Function {
        Function::made(arity, signature, doc, examples, Run::World(run))
    }

    const fn made(
        arity: RangeInclusive<usize>,
        signature: &'static str,
        doc: &'static str,
        examples: &'static [(&'static str, &'static str)],
        run: Run,
    ) -> Function {
        let (min_args, max_args) = (*arity.start(), *arity.end());
        Function { name: name_in(signature), min_args, max_args, signature, doc, examples, run }
    }

    /// Whether the same arguments always give the same result and nothing else happens.
    #[must_use]
    pub fn is_pure(&self) -> bool {
        matches!(self.run, Run::Pure(_))
    }

    /// Checks the number of arguments, runs, and puts the function's name into a fault.
    ///
    /// # Errors
    /// The fault: too many or too few arguments, one of the wrong kind, or no result for these.
    pub fn call(&self, world: &dyn World, arguments: &[Value]) -> Result<Value, Fault> {
        if !(self.min_args..=self.max_args).contains(&arguments.len()) {
            return Err(Fault::Arity { signature: self.signature, given: arguments.len() });
        }
        let answer = match self.run {
            Run::Pure(run) => run(arguments),
            Run::World(run) => run(world, arguments),
            Run::Columns => Err(Fault::failed("it reads the event's columns and can only be called in a rule")),
        };
        answer.map_err(|fault| fault.within(self.name))
    }
}

/// Why a call has no result; the rule's outcome is *exception*.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("`{signature}` was called with {given} argument(s)")]
    Arity { signature: &'static str, given: usize },
    /// `position` counts from one.
    #[error("`{function}`: argument {position} must be {expected}, but is {found}")]
    Argument { function: &'static str, position: usize, expected: Cow<'static, str>, found: String },
    #[error("`{function}`: {problem}")]
    Failed { function: &'static str, problem: Cow<'static, str> },
}

impl Fault {
    /// An argument of the wrong kind; `at` counts from zero.
    fn argument(arguments: &[Value], at: usize, expected: impl Into<Cow<'static, str>>) -> Fault {
        let found = arguments.get(at).map_or_else(|| String::from("missing"), args::describe);
        Fault::Argument { function: "", position: at + 1, expected: expected.into(), found }
    }

    fn failed(problem: impl Into<Cow<'static, str>>) -> Fault {
        Fault::Failed { function: "", problem: problem.into() }
    }

    fn within(mut self, name: &'static str) -> Fault {
        if let Fault::Argument { function, .. } | Fault::Failed { function, .. } = &mut self {
            *function = name;
        }
        self
    }
}

/// Functions that belong together.
#[derive(Debug)]
pub struct Family {
    /// For people, in one or two words.
    pub name: &'static str,
    pub functions: &'static [Function],
}

/// Every family, in the order of the reference page.
pub static FAMILIES: [Family; 23] = [
    Family { name: "message", functions: attributes::FUNCTIONS },
    Family { name: "mathematics", functions: math::FUNCTIONS },
    Family { name: "integers", functions: integer::FUNCTIONS },
    Family { name: "kinds of value", functions: tests_of_type::FUNCTIONS },
    Family { name: "conversion", functions: conversion::FUNCTIONS },
    Family { name: "text", functions: text::FUNCTIONS },
    Family { name: "search in text", functions: search::FUNCTIONS },
    Family { name: "joining text", functions: join::FUNCTIONS },
    Family { name: "regular expressions", functions: regex::FUNCTIONS },
    Family { name: "formatted text", functions: sprintf::FUNCTIONS },
    Family { name: "maps", functions: maps::FUNCTIONS },
    Family { name: "lists", functions: arrays::FUNCTIONS },
    Family { name: "bits", functions: bits::FUNCTIONS },
    Family { name: "codecs", functions: codec::FUNCTIONS },
    Family { name: "digests", functions: hashing::FUNCTIONS },
    Family { name: "compression", functions: compression::FUNCTIONS },
    Family { name: "clock", functions: clock::FUNCTIONS },
    Family { name: "date and time", functions: date::FUNCTIONS },
    Family { name: "absent values and identifiers", functions: nulls::FUNCTIONS },
    Family { name: "state and environment", functions: state::FUNCTIONS },
    Family { name: "jq", functions: jq::FUNCTIONS },
    Family { name: "schemas", functions: schemas::FUNCTIONS },
    Family { name: "Sparkplug B", functions: sparkplug::FUNCTIONS },
];

/// Finds a function for the plan; not meant for the time of evaluation. Those that read columns are the planner's own.
#[must_use]
pub fn lookup(name: &str) -> Option<&'static Function> {
    static BY_NAME: LazyLock<FxHashMap<&'static str, &'static Function>> =
        LazyLock::new(|| all().map(|function| (function.name, function)).collect());
    BY_NAME.get(name).copied()
}

/// Every name once, family by family.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|function| function.name)
}

/// Every function that is called with its arguments alone, family by family.
pub fn all() -> impl Iterator<Item = &'static Function> {
    FAMILIES.iter().flat_map(|family| family.functions).filter(|function| !matches!(function.run, Run::Columns))
}

/// The part of a signature before its parenthesis.
const fn name_in(signature: &'static str) -> &'static str {
    let bytes = signature.as_bytes();
    let mut end = 0;
    while end < bytes.len() && bytes[end] != b'(' {
        end += 1;
    }
    signature.split_at(end).0
}

#[cfg(test)]
mod tests;
