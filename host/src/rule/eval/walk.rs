//! Walking a path through values (rule-sql 2.3). A text on the way is decoded as JSON at every level; what cannot be
//! followed is undefined, never an error.

use std::borrow::Cow;

use super::super::plan::{Path, Step};
use super::{Datum, Value, View};

/// The map that a path started from: names used as an index are looked up in it.
#[derive(Clone, Copy)]
pub(super) enum Root<'a> {
    Map(View<'a>),
    Value(&'a Value),
}

impl<'a> Root<'a> {
    /// A plain path from the root, without the payload rule.
    pub(super) fn follow(self, path: &Path) -> Cow<'a, Value> {
        let start = match self {
            Root::Map(view) => match view.get(&path.name) {
                Some(Datum::Ref(value)) => Cow::Borrowed(value),
                Some(other) => Cow::Owned(other.into_value()),
                None => return Cow::Owned(Value::Undefined),
            },
            Root::Value(value) => match value.get(&path.name.key) {
                Some(value) => Cow::Borrowed(value),
                None => return Cow::Owned(Value::Undefined),
            },
        };
        walk(start, &path.steps, self)
    }

    /// The index that a name stands for.
    pub(super) fn index(self, path: &Path) -> Option<i64> {
        match *self.follow(path) {
            Value::Int(index) => Some(index),
            _ => None,
        }
    }
}

pub(super) fn walk<'a>(start: Cow<'a, Value>, steps: &[Step], root: Root<'_>) -> Cow<'a, Value> {
    let mut here = start;
    for step in steps {
        // What a text holds may be a text again; each is shorter than the one before.
        while let Value::Str(text) = &*here {
            match Value::from_json_shared(text) {
                Ok(inner) => here = Cow::Owned(inner),
                Err(_) => return Cow::Owned(Value::Undefined),
            }
        }
        let next = match &here {
            Cow::Borrowed(value) => part(value, step, root).map(Cow::Borrowed),
            Cow::Owned(value) => part(value, step, root).cloned().map(Cow::Owned),
        };
        match next {
            Some(next) => here = next,
            None => return Cow::Owned(Value::Undefined),
        }
    }
    here
}

fn part<'v>(value: &'v Value, step: &Step, root: Root<'_>) -> Option<&'v Value> {
    match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => element(value, *index),
        Step::Variable(path) => element(value, root.index(path)?),
        Step::Head | Step::Tail => None,
    }
}

fn element(value: &Value, index: i64) -> Option<&Value> {
    match value {
        Value::List(items) => items.get(position(index, items.len())?),
        _ => None,
    }
}

/// From one, or from the end if negative, to from zero; `None` outside of the list.
pub(super) fn position(index: i64, len: usize) -> Option<usize> {
    let at = match index {
        1.. => usize::try_from(index - 1).ok()?,
        0 => return None,
        _ => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    (at < len).then_some(at)
}
