//! The rule language: SQL text to a plan, a plan over an event to rows, `${}` templates over a row to text.
//!
//! EMQX's language, including its traps: every result that a working rule can have is the same. No clock, no file, no
//! socket: what a rule may know of them is asked of the [`World`] that its evaluation brings. Nothing here panics on any
//! text or message, and everything that can grow has a limit, an evaluation's time too.
//!
//! The way of a rule: `lexer` cuts the text into tokens, `parser` makes the tree of `ast`, `plan` resolves names once and
//! collects the payload paths, `check` warns of what would surely fail; `eval` then runs the plan over an `event` and
//! yields `row`s, which `template` renders. `explain` says what a plan does, `print` writes a tree as text again.

mod ast;
mod check;
mod diagnostic;
mod eval;
mod event;
pub mod explain;
pub mod functions;
pub mod jq;
mod lexer;
mod parser;
mod plan;
mod print;
mod row;
mod template;
pub mod tester;
mod world;

#[cfg(test)]
mod tests;

pub use diagnostic::{Code, Diagnostic, Span, nearest};
pub use eval::{EvalError, EvalErrorKind};
pub use event::{Column, Event, EventType, JsonEvent, JsonEventError, OccurredEvent, PublishEvent};
pub use functions::learn_birth;
pub use lexer::MAX_SQL_BYTES;
pub use plan::{Plan, Source};
pub use row::Row;
pub use template::{Missing, MissingVariable, Template};
#[cfg(any(test, fuzzing))]
pub use world::still::Still;
pub use world::{Context, EVALUATION_LIMIT, Memory, Schemas, World};

use crate::value::Value;

/// The longest list that a range gives, in elements.
pub const MAX_RANGE: i64 = 65_536;

/// Compiles a rule.
///
/// # Errors
/// All that is wrong with the text, in its order. What is only suspicious is in [`Plan::warnings`].
pub fn compile(sql: &str, catalog: &dyn FunctionCatalog) -> Result<Plan, Vec<Diagnostic>> {
    let statement = parser::parse(sql)?;
    let mut plan = plan::plan(&statement, catalog)?;
    plan.warnings = check::check(&statement, catalog);
    Ok(plan)
}

/// A function that is not built in, as its owner numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionId(pub usize);

/// Which functions there are besides the built-in ones; asked when a rule is compiled.
pub trait FunctionCatalog {
    fn resolve(&self, name: &str) -> Option<FunctionId>;

    /// The names of the schemas that rules may use, to warn of others; `None` when that is not known here.
    fn schemas(&self) -> Option<Vec<&str>> {
        None
    }
}

/// Runs functions that are not built in; asked when a rule is evaluated.
pub trait Functions {
    /// # Errors
    /// Why the call failed; the rule's evaluation then fails with it.
    fn call(&self, id: FunctionId, args: &[Value]) -> Result<Value, String>;
}

/// No functions besides the built-in ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFunctions;

impl FunctionCatalog for NoFunctions {
    fn resolve(&self, _: &str) -> Option<FunctionId> {
        None
    }
}

impl Functions for NoFunctions {
    fn call(&self, _: FunctionId, _: &[Value]) -> Result<Value, String> {
        Err(String::from("there is no such function"))
    }
}

/// The digits of an integer constant as a value; `None` when there are too many.
fn value_of_integer(digits: &str) -> Option<Value> {
    crate::value::number::parse_integer(digits.as_bytes())
}
