//! Storing a field's value under its alias (rule-sql 2.7). What stands in the way is replaced, as in EMQX.

use std::sync::Arc;

use super::super::plan::{Step, Target};
use super::walk::{Root, position, walk};
use super::{EvalError, Evaluator, MAX_LEVELS, MAX_NODES, Result, Row, Space, Value, View};
use crate::value::Map;

impl Evaluator<'_> {
    pub(super) fn put(&self, row: &mut Row<'_>, target: &Target, value: Value, columns: View<'_>) -> Result<()> {
        let name = &target.name;
        if target.steps.is_empty() {
            row.store(Space::Text, name, value);
            return Ok(());
        }
        // A payload path without an alias is stored under the column's own key, if the event has that column.
        let symbol = !target.explicit && name.is_payload() && columns.symbol(name).is_some();
        let (space, other) = if symbol { (Space::Symbol, Space::Text) } else { (Space::Text, Space::Symbol) };
        let current = match row.held(space, name) {
            Some(Value::Str(text)) if name.is_payload() => self.document(&text)?.clone(),
            Some(current) => current,
            None => row.held(other, name).unwrap_or_default(),
        };
        let grows = matches!(value, Value::List(_) | Value::Map(_));
        let changed = stored(current, &target.steps, value, Root::Map(row.view()));
        if grows && !changed.fits(MAX_NODES, MAX_LEVELS) {
            return Err(EvalError::other("the value that an alias builds is too large"));
        }
        row.store(space, name, changed);
        Ok(())
    }
}

/// `current` with `value` at the end of `steps`.
fn stored(current: Value, steps: &[Step], value: Value, root: Root<'_>) -> Value {
    let Some((step, rest)) = steps.split_first() else { return value };
    let inner = match rest {
        [] => Value::Undefined,
        _ => walk(std::borrow::Cow::Borrowed(&current), std::slice::from_ref(step), root).into_owned(),
    };
    match step {
        Step::Key(key) => {
            let mut entries = match current {
                Value::Map(entries) => entries,
                _ => Arc::new(Map::new()),
            };
            Arc::make_mut(&mut entries).insert(key.clone(), stored(inner, rest, value, root));
            Value::Map(entries)
        }
        _ => {
            let Value::List(mut items) = current else { return Value::list(vec![stored(inner, rest, value, root)]) };
            let index = match step {
                Step::Index(index) => position(*index, items.len()),
                Step::Variable(path) => root.index(path).and_then(|index| position(index, items.len())),
                _ => None,
            };
            match (step, index) {
                (Step::Head, _) => Arc::make_mut(&mut items).insert(0, stored(inner, rest, value, root)),
                (Step::Tail, _) => Arc::make_mut(&mut items).push(stored(inner, rest, value, root)),
                (_, Some(index)) => Arc::make_mut(&mut items)[index] = stored(inner, rest, value, root),
                (_, None) => {}
            }
            Value::List(items)
        }
    }
}
