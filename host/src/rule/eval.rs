//! A plan over an event gives rows (rule-sql 2). Decodes the payload at most once, and only when a path needs it.
//!
//! Never changes the event, never lets one evaluation see another's state.

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;

use super::Context;
use super::ast::Compare;
use super::event::Event;
use super::plan::{Body, Field, Foreach, Item, Node, Plan};
use super::row::{Datum, Name, Row, Space, View};
use crate::value::Value;

mod arith;
mod budget;
mod compare;
mod condition;
mod expression;
mod payload;
mod store;
mod walk;

use budget::{Budget, ELEMENT};
use payload::Decoded;

/// What kind of failure an evaluation met; the message's publisher may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalErrorKind {
    /// The rule reads parts of a payload that is not JSON (EMQX: `decode_json_failed`).
    PayloadNotJson,
    Other,
}

/// Why an evaluation has no result: EMQX's outcome *exception* (rule-sql 2.15).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    pub kind: EvalErrorKind,
    pub message: String,
}

impl EvalError {
    /// What is made of one message has passed its limit: in a rule, or where its rows become records.
    #[cold]
    #[must_use]
    pub fn too_large() -> EvalError {
        EvalError::other("the rule makes too much of the message: more than 64 MiB")
    }

    #[cold]
    pub(super) fn other(message: impl Into<String>) -> EvalError {
        EvalError { kind: EvalErrorKind::Other, message: message.into() }
    }
}

type Result<T> = std::result::Result<T, EvalError>;

/// Nodes and levels ([`Value::fits`]) of one value that a rule builds, and of all that it keeps: 64 MiB of text.
pub(super) const MAX_NODES: usize = 1 << 20;
pub(super) const MAX_LEVELS: usize = 256;

/// A comparison of two values, outside of any evaluation.
pub(super) fn compare_values(operator: Compare, left: &Value, right: &Value) -> Result<bool> {
    compare::compare(operator, &Datum::Ref(left), &Datum::Ref(right))
}

/// The state of one evaluation.
struct Evaluator<'p> {
    plan: &'p Plan,
    context: Context<'p>,
    /// The first payload text that was decoded; every later one is taken for it, as in EMQX (rule-sql 2.4).
    decoded: OnceCell<Decoded>,
    budget: Budget,
}

/// Where names are looked up: in `first`, and in `second` what is undefined there.
#[derive(Clone, Copy)]
struct Scope<'s> {
    first: View<'s>,
    second: Option<View<'s>>,
    /// What the message attribute functions read; nothing in WHERE and INCASE.
    attributes: Option<View<'s>>,
}

impl<'s> Scope<'s> {
    fn fields(action: View<'s>, columns: View<'s>) -> Scope<'s> {
        Scope { first: action, second: Some(columns), attributes: Some(columns) }
    }

    fn condition(map: View<'s>) -> Scope<'s> {
        Scope { first: map, second: None, attributes: None }
    }
}

impl Plan {
    /// Evaluates the rule over one event and appends its rows; none is EMQX's *no result*.
    ///
    /// # Errors
    /// EMQX's *exception*; then no row is appended.
    pub fn evaluate<'e>(
        &self,
        event: &'e dyn Event,
        context: Context<'_>,
        rows: &mut Vec<Row<'e>>,
    ) -> std::result::Result<(), EvalError> {
        let budget = Budget::new(context.limit);
        let evaluator = Evaluator { plan: self, context, decoded: OnceCell::new(), budget };
        let before = rows.len();
        let done = match &self.body {
            Body::Select(fields) => evaluator.select_where(fields, event, rows),
            Body::Foreach(foreach) => evaluator.foreach(foreach, event, rows),
        };
        if done.is_err() {
            rows.truncate(before);
        }
        done
    }
}

impl Evaluator<'_> {
    /// The fields first and WHERE after them: WHERE sees the aliases, and a failing field fails the rule.
    fn select_where<'e>(&self, fields: &[Field], event: &'e dyn Event, rows: &mut Vec<Row<'e>>) -> Result<()> {
        let action = self.select(fields, &Row { event: Some(event), entries: Vec::new() }, false)?;
        if self.holds(self.plan.condition.as_ref(), View { event: Some(event), entries: &action.entries })? {
            rows.push(action);
        }
        Ok(())
    }

    /// One row. What it builds takes room if it is one of many.
    fn select<'e>(&self, fields: &[Field], columns: &Row<'e>, one_of_many: bool) -> Result<Row<'e>> {
        let mut action = Row::default();
        for field in fields {
            match field {
                Field::Star => action.merge(columns),
                Field::Expr { node, target } => {
                    let found = self.value(node, Scope::fields(action.view(), columns.view()))?;
                    let kept = one_of_many && !is_shared(node, &found);
                    let value = found.into_value();
                    if kept {
                        self.budget.keep(&value)?;
                    }
                    self.put(&mut action, target, value, columns.view())?;
                }
            }
        }
        Ok(action)
    }

    fn foreach<'e>(&self, foreach: &Foreach, event: &'e dyn Event, rows: &mut Vec<Row<'e>>) -> Result<()> {
        let columns = View { event: Some(event), entries: &[] };
        let mut selected = Row::default();
        // The columns, overlaid with the helpers that have an alias.
        let mut seen = Row { event: Some(event), entries: Vec::new() };
        for field in &foreach.helpers {
            let Field::Expr { node, target } = field else { continue };
            let value = self.value(node, Scope::fields(selected.view(), seen.view()))?.into_value();
            if target.explicit {
                self.put(&mut seen, target, value.clone(), columns)?;
            }
            self.put(&mut selected, target, value, columns)?;
        }
        let Field::Expr { node, target } = &foreach.last else { return Ok(()) };
        let collection = self.value(node, Scope::fields(selected.view(), seen.view()))?.into_value();
        self.put(&mut selected, target, collection.clone(), columns)?;
        let items = self.items(foreach, collection)?;

        // One element after the other takes its place in the same map.
        let mut context = Row { event: Some(event), entries: selected.entries };
        if !self.holds(self.plan.condition.as_ref(), context.view())? {
            return Ok(());
        }
        for item in items.iter() {
            self.budget.work(ELEMENT)?;
            match &foreach.item {
                Item::Default(name) => context.set(Space::Symbol, &name.key, item.clone()),
                Item::Alias(name) => context.set(Space::Text, &name.key, item.clone()),
                Item::None => {}
            }
            if !self.holds(foreach.incase.as_ref(), context.view())? {
                continue;
            }
            let row = match &foreach.each {
                Some(fields) => self.select(fields, &context, true)?,
                None => context.clone(),
            };
            self.budget.row(row.entries.len())?;
            for name in &foreach.nested {
                let mut built = row.entries.iter().filter(|entry| entry.key == name.key);
                built.try_for_each(|entry| self.budget.keep(&entry.value))?;
            }
            rows.push(row);
        }
        Ok(())
    }

    fn items(&self, foreach: &Foreach, collection: Value) -> Result<Arc<Vec<Value>>> {
        let collection = match collection {
            Value::Str(text) if foreach.over_payload => self.document(&text)?.clone(),
            other => other,
        };
        match collection {
            Value::List(items) => Ok(items),
            _ => Ok(Arc::default()),
        }
    }
}

/// Whether all rows that show this value have it in common, and not each its own.
fn is_shared(node: &Node, found: &Datum<'_>) -> bool {
    matches!(found, Datum::Ref(_)) || matches!(node, Node::Variable(name) if name.is_payload())
}
