//! The built-in functions of rule SQL: what each is called, takes, says and answers, family by family.
//!
//! A function is pure: no clock, no files, no message; what depends on those belongs to the evaluator. None may
//! panic, and whatever grows with an argument's value (padding, shifts, patterns) has a limit here.

mod args;
mod arrays;
mod bits;
mod codec;
mod conversion;
mod date;
mod hashing;
mod integer;
mod join;
mod maps;
mod math;
mod nulls;
mod pattern;
mod regex;
mod search;
mod sprintf;
mod term_text;
mod tests_of_type;
mod text;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::value::Value;

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
    /// Takes between `min_args` and `max_args` arguments; go through [`Function::call`], which checks.
    pub run: fn(&[Value]) -> Result<Value, Fault>,
}

impl Function {
    const fn new(
        arity: RangeInclusive<usize>,
        signature: &'static str,
        doc: &'static str,
        examples: &'static [(&'static str, &'static str)],
        run: fn(&[Value]) -> Result<Value, Fault>,
    ) -> Function {
        let (min_args, max_args) = (*arity.start(), *arity.end());
        Function { name: name_in(signature), min_args, max_args, signature, doc, examples, run }
    }

    /// Checks the number of arguments, runs, and puts the function's name into a fault.
    ///
    /// # Errors
    /// The fault: too many or too few arguments, one of the wrong kind, or no result for these.
    pub fn call(&self, arguments: &[Value]) -> Result<Value, Fault> {
        if !(self.min_args..=self.max_args).contains(&arguments.len()) {
            return Err(Fault::Arity { signature: self.signature, given: arguments.len() });
        }
        (self.run)(arguments).map_err(|fault| fault.within(self.name))
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

/// Finds a function for the plan; not meant for the time of evaluation.
#[must_use]
pub fn lookup(name: &str) -> Option<&'static Function> {
    static BY_NAME: LazyLock<FxHashMap<&'static str, &'static Function>> =
        LazyLock::new(|| all().map(|function| (function.name, function)).collect());
    BY_NAME.get(name).copied()
}

/// Every name, family by family.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|function| function.name)
}

/// Every function, family by family: for the reference page, and for the tests of all examples.
pub fn all() -> impl Iterator<Item = &'static Function> {
    static FAMILIES: [&[Function]; 16] = [
        math::FUNCTIONS,
        integer::FUNCTIONS,
        tests_of_type::FUNCTIONS,
        conversion::FUNCTIONS,
        text::FUNCTIONS,
        search::FUNCTIONS,
        join::FUNCTIONS,
        regex::FUNCTIONS,
        sprintf::FUNCTIONS,
        maps::FUNCTIONS,
        arrays::FUNCTIONS,
        bits::FUNCTIONS,
        codec::FUNCTIONS,
        hashing::FUNCTIONS,
        date::FUNCTIONS,
        nulls::FUNCTIONS,
    ];
    FAMILIES.iter().copied().flatten()
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
