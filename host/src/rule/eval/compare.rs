//! Comparison operators (rule-sql 2.9). Text becomes a number only against a number.

use std::cmp::Ordering;

use super::super::ast::Compare;
use super::{Datum, EvalError, Result, Value};
use crate::value::number::parse_number;

pub(super) fn compare(operator: Compare, left: &Datum<'_>, right: &Datum<'_>) -> Result<bool> {
    if operator == Compare::Unsupported {
        return Err(EvalError::other("the operator `~=` is not supported; a topic matches a filter with `=~`"));
    }
    match (left.is_undefined(), right.is_undefined()) {
        (true, true) => return Ok(ordered(operator, Ordering::Equal)),
        (false, false) => {}
        _ => return Ok(false),
    }
    match (left.as_text(), right.as_text()) {
        (Some(left), Some(right)) if operator == Compare::TopicMatch => Ok(topic_matches(left, right)),
        (Some(left), Some(right)) => Ok(ordered(operator, left.cmp(right))),
        (None, Some(text)) => mixed(operator, value(left), text, false),
        (Some(text), None) => mixed(operator, value(right), text, true),
        (None, None) if operator == Compare::TopicMatch => Err(no_topic()),
        (None, None) => Ok(ordered(operator, value(left).cmp_total(value(right)))),
    }
}

/// A value that is no text against one that is; `swapped` when the text stands on the left.
fn mixed(operator: Compare, value: &Value, text: &[u8], swapped: bool) -> Result<bool> {
    let order = if value.is_number() {
        let number = parse_number(text).ok_or_else(|| {
            let shown: String = String::from_utf8_lossy(text).chars().take(32).collect();
            EvalError::other(format!("a number is compared with the text '{shown}', which is no number (badarg)"))
        })?;
        value.cmp_total(&number)
    } else if let Some(word) = value.spelling() {
        if operator == Compare::TopicMatch {
            let (topic, filter) = if swapped { (text, word.as_bytes()) } else { (word.as_bytes(), text) };
            return Ok(topic_matches(topic, filter));
        }
        word.as_bytes().cmp(text)
    } else {
        // Maps, lists and bit strings: by kind; only a bit string can share its place with text.
        match value {
            Value::Bits { .. } => value.cmp_total(&Value::Str(bytes::Bytes::copy_from_slice(text))),
            _ => Ordering::Less,
        }
    };
    if operator == Compare::TopicMatch {
        return Err(no_topic());
    }
    Ok(ordered(operator, if swapped { order.reverse() } else { order }))
}

fn value<'a>(datum: &'a Datum<'_>) -> &'a Value {
    match datum {
        Datum::Ref(value) => value,
        Datum::Own(value) => value,
        // The callers have looked at text before.
        Datum::Text(_) => &Value::Undefined,
    }
}

fn ordered(operator: Compare, order: Ordering) -> bool {
    match operator {
        Compare::Equal => order.is_eq(),
        Compare::NotEqual => order.is_ne(),
        Compare::Less => order.is_lt(),
        Compare::LessOrEqual => order.is_le(),
        Compare::Greater => order.is_gt(),
        Compare::GreaterOrEqual => order.is_ge(),
        Compare::TopicMatch | Compare::Unsupported => false,
    }
}

fn no_topic() -> EvalError {
    EvalError::other("`=~` takes a topic on its left and a filter on its right, both text")
}

/// MQTT's matching on any two texts: `+` and a last `#` as whole levels, neither at the first level of a `$` topic.
fn topic_matches(topic: &[u8], filter: &[u8]) -> bool {
    let hidden = topic.first() == Some(&b'$');
    let mut levels = topic.split(|byte| *byte == b'/');
    let mut filter = filter.split(|byte| *byte == b'/').enumerate().peekable();
    while let Some((depth, wanted)) = filter.next() {
        let wildcard = matches!(wanted, b"+" | b"#");
        if wildcard && hidden && depth == 0 {
            return false;
        }
        if wanted == b"#" {
            return filter.peek().is_none();
        }
        match levels.next() {
            Some(level) if wildcard || level == wanted => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
