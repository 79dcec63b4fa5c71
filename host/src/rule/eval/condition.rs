//! WHERE, INCASE and CASE WHEN (rule-sql 2.8). Only some forms are conditions; any other raises rather than being false.

use super::super::plan::Node;
use super::{EvalError, Evaluator, Result, Scope, Value, View};

/// What a condition evaluates to. A call may give something that is no boolean, which matters only to some callers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    NoBoolean,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Truth {
        if value { Truth::True } else { Truth::False }
    }
}

impl Evaluator<'_> {
    /// Whether the condition, if there is one, is true over `map`.
    pub(super) fn holds(&self, condition: Option<&Node>, map: View<'_>) -> Result<bool> {
        condition.map_or(Ok(true), |condition| boolean(self.truth(condition, Scope::condition(map))?))
    }

    pub(super) fn truth(&self, node: &Node, scope: Scope<'_>) -> Result<Truth> {
        match node {
            Node::Compare(compare, left, right) => {
                let (left, right) = (self.value(left, scope)?, self.value(right, scope)?);
                super::compare::compare(*compare, &left, &right).map(Truth::from)
            }
            Node::And(operands) => self.joined(operands, scope, false),
            Node::Or(operands) => self.joined(operands, scope, true),
            Node::Not(operand) => match &**operand {
                Node::And(_) | Node::Or(_) | Node::Not(_) | Node::In(..) => Err(EvalError::other(
                    "NOT cannot negate AND, OR, NOT or IN; negate each comparison instead, such as `a != 1 AND a != 2`",
                )),
                operand => match self.value(operand, scope)?.into_value() {
                    Value::Bool(value) => Ok(Truth::from(!value)),
                    _ => Ok(Truth::False),
                },
            },
            Node::In(value, items) => {
                let value = self.value(value, scope)?.into_value();
                let mut found = false;
                for item in items {
                    found |= self.value(item, scope)?.into_value().strict_eq(&value);
                }
                Ok(Truth::from(found))
            }
            Node::Builtin(..) | Node::Plugin { .. } | Node::Attribute(..) => {
                match self.value(node, scope)?.into_value() {
                    Value::Bool(value) => Ok(Truth::from(value)),
                    _ => Ok(Truth::NoBoolean),
                }
            }
            Node::Const(Value::Bool(value)) => Ok(Truth::from(*value)),
            // `div(a, b)` is a call too, though never a boolean.
            Node::Raise(..) => self.value(node, scope).map(|_| Truth::NoBoolean),
            _ => Err(EvalError::other("a value alone is no condition; compare it, such as `payload.flag = true`")),
        }
    }

    /// Left to right, up to the operand that decides. Only the last one may be no boolean.
    fn joined(&self, operands: &[Node], scope: Scope<'_>, decides: bool) -> Result<Truth> {
        let Some((last, others)) = operands.split_last() else { return Ok(Truth::from(!decides)) };
        for operand in others {
            if boolean(self.truth(operand, scope)?)? == decides {
                return Ok(Truth::from(decides));
            }
        }
        self.truth(last, scope)
    }
}

fn boolean(truth: Truth) -> Result<bool> {
    match truth {
        Truth::True => Ok(true),
        Truth::False => Ok(false),
        Truth::NoBoolean => Err(EvalError::other("the function in the condition gives no boolean; compare its result")),
    }
}
