//! Values of expressions. Arguments are evaluated left to right, all of them, before a call.

use std::borrow::Cow;

use super::super::event::Column;
use super::super::plan::{Attribute, Node, Path, Step};
use super::arith::{arith, negate};
use super::condition::Truth;
use super::walk::{Root, walk};
use super::{Datum, EvalError, Evaluator, MAX_LEVELS, MAX_NODES, Name, Result, Scope, Value, View};

impl Evaluator<'_> {
    pub(super) fn value<'s>(&'s self, node: &'s Node, scope: Scope<'s>) -> Result<Datum<'s>> {
        match node {
            Node::Const(value) => Ok(Datum::Ref(value)),
            Node::Variable(name) => Ok(variable(name, scope)),
            Node::Payload { number, steps } => self.payload(*number, steps, scope),
            Node::Path(path) => Ok(follow(path, scope)),
            Node::Compare(compare, left, right) => {
                let (left, right) = (self.value(left, scope)?, self.value(right, scope)?);
                super::compare::compare(*compare, &left, &right).map(|holds| Datum::Own(Value::Bool(holds)))
            }
            Node::Arith(operator, left, right) => {
                let (left, right) = (self.value(left, scope)?, self.value(right, scope)?);
                arith(*operator, &left.into_value(), &right.into_value()).map(Datum::Own)
            }
            _ => self.rarer(node, scope),
        }
    }

    /// Kept apart so that the frequent forms have a small stack frame.
    fn rarer<'s>(&'s self, node: &'s Node, scope: Scope<'s>) -> Result<Datum<'s>> {
        let value = match node {
            Node::Range(from, to) => range(*from, *to)?,
            Node::Slice(base, from, to) => slice(&self.value(base, scope)?.into_value(), *from, *to)?,
            Node::List(items) => self.list(items, scope)?,
            Node::Builtin(function, args) => {
                let args = self.values(args, scope)?;
                self.budget.call(function, &args)?;
                function.call(self.context.world, &args).map_err(|fault| EvalError::other(fault.to_string()))?
            }
            Node::Plugin { id, name, args } => {
                let args = self.values(args, scope)?;
                self.budget.foreign_call()?;
                let failed = |reason| EvalError::other(format!("`{name}`: {reason}"));
                self.context.functions.call(*id, &args).map_err(failed)?
            }
            Node::Attribute(attribute, args) => self.attribute(*attribute, args, scope)?,
            Node::Negate(operand) => negate(&self.value(operand, scope)?.into_value())?,
            Node::Plus(operand) => return self.value(operand, scope),
            Node::Case { subject, branches, otherwise } => {
                return self.case(subject.as_deref(), branches, otherwise.as_deref(), scope);
            }
            Node::Raise(reason, args) => {
                self.values(args, scope)?;
                return Err(EvalError::other(reason.clone()));
            }
            _ => return Err(EvalError::other("a condition is no value")),
        };
        Ok(Datum::Own(value))
    }

    fn values(&self, nodes: &[Node], scope: Scope<'_>) -> Result<Vec<Value>> {
        nodes.iter().map(|node| self.value(node, scope).map(Datum::into_value)).collect()
    }

    fn list(&self, items: &[Node], scope: Scope<'_>) -> Result<Value> {
        let items = self.values(items, scope)?;
        let nested = items.iter().any(|item| matches!(item, Value::List(_) | Value::Map(_)));
        let list = Value::list(items);
        if nested && !list.fits(MAX_NODES, MAX_LEVELS) {
            return Err(EvalError::other("the list is too large"));
        }
        Ok(list)
    }

    /// A path into the payload, tried in both maps of the scope (rule-sql 2.4).
    fn payload<'s>(&'s self, number: usize, steps: &'s [Step], scope: Scope<'s>) -> Result<Datum<'s>> {
        let found = self.payload_in(scope.first, number, steps)?;
        match scope.second {
            Some(second) if found.is_undefined() => self.payload_in(second, number, steps),
            _ => Ok(found),
        }
    }

    fn payload_in<'s>(&'s self, map: View<'s>, number: usize, steps: &'s [Step]) -> Result<Datum<'s>> {
        // The frequent case, without building anything: the event's own payload.
        if let (Some(event), []) = (map.event, map.entries)
            && let Some(text) = event.payload()
        {
            return self.payload_text(text, number, steps);
        }
        let name = Name::of(Column::Payload);
        match map.symbol(name).or_else(|| map.get(name)) {
            None => Ok(Datum::UNDEFINED),
            Some(Datum::Ref(Value::Str(text))) => self.payload_text(text, number, steps),
            Some(Datum::Own(Value::Str(text))) => self.payload_text(&text, number, steps),
            Some(Datum::Ref(value)) => Ok(datum(walk(Cow::Borrowed(value), steps, Root::Value(value)))),
            Some(other) => {
                let value = other.into_value();
                Ok(Datum::Own(walk(Cow::Borrowed(&value), steps, Root::Value(&value)).into_owned()))
            }
        }
    }

    fn payload_text<'s>(&'s self, text: &bytes::Bytes, number: usize, steps: &'s [Step]) -> Result<Datum<'s>> {
        let decoded = self.decoded(text)?;
        let Some(location) = self.plan.locations.get(number).copied() else { return Ok(Datum::UNDEFINED) };
        let rest = steps.get(location.keys..).unwrap_or_default();
        let start = decoded.at(location);
        if rest.is_empty() {
            return Ok(Datum::Ref(start));
        }
        let by_name = rest.iter().any(|step| matches!(step, Step::Variable(_)));
        let root = if by_name { self.document(text)? } else { start };
        Ok(datum(walk(Cow::Borrowed(start), rest, Root::Value(root))))
    }

    fn case<'s>(
        &'s self,
        subject: Option<&'s Node>,
        branches: &'s [(Node, Node)],
        otherwise: Option<&'s Node>,
        scope: Scope<'s>,
    ) -> Result<Datum<'s>> {
        for (when, then) in branches {
            let taken = match subject {
                Some(subject) => {
                    let subject = self.value(subject, scope)?.into_value();
                    self.value(when, scope)?.into_value().strict_eq(&subject)
                }
                None => self.truth(when, scope)? == Truth::True,
            };
            if taken {
                return self.value(then, scope);
            }
        }
        otherwise.map_or(Ok(Datum::UNDEFINED), |otherwise| self.value(otherwise, scope))
    }

    /// The message attribute functions read the columns, never the output (rule-sql 4.1); in conditions they are blind.
    fn attribute(&self, attribute: Attribute, args: &[Node], scope: Scope<'_>) -> Result<Value> {
        let args = self.values(args, scope)?;
        let column =
            |column| scope.attributes.and_then(|columns| columns.symbol(Name::of(column))).map(Datum::into_value);
        match attribute {
            Attribute::Column(name) => Ok(column(name).unwrap_or_default()),
            Attribute::Flags => Ok(column(Column::Flags).unwrap_or_else(|| Value::map(crate::value::Map::new()))),
            Attribute::Flag => match (column(Column::Flags), args.as_slice()) {
                (Some(flags), [Value::Str(name)]) => Ok(flags.get(name).cloned().unwrap_or_default()),
                _ => Ok(Value::Undefined),
            },
            Attribute::TopicLevel => match (column(Column::Topic), args.as_slice()) {
                (None, _) => Ok(Value::Undefined),
                (Some(Value::Str(topic)), [Value::Int(level)]) => {
                    let nth = usize::try_from(*level).ok().and_then(|level| level.checked_sub(1));
                    let found = nth.and_then(|nth| topic.split(|byte| *byte == b'/').nth(nth));
                    let found = found.ok_or_else(|| EvalError::other("`topic(n)`: the topic has no such level"))?;
                    Ok(Value::Str(topic.slice_ref(found)))
                }
                _ => Err(EvalError::other("`topic(n)`: n must be an integer")),
            },
            Attribute::PayloadPath => match (column(Column::Payload), args.as_slice()) {
                (Some(Value::Str(text)), [Value::Str(path)]) => {
                    let document = self.separate_document(&text)?;
                    let steps: Vec<Step> =
                        path.split(|byte| *byte == b'.').map(|key| Step::Key(path.slice_ref(key))).collect();
                    Ok(walk(Cow::Borrowed(&document), &steps, Root::Value(&document)).into_owned())
                }
                (Some(Value::Str(_)), _) => Err(EvalError::other("`payload(path)`: the path must be text")),
                _ => Ok(Value::Undefined),
            },
        }
    }
}

fn datum(value: Cow<'_, Value>) -> Datum<'_> {
    match value {
        Cow::Borrowed(value) => Datum::Ref(value),
        Cow::Owned(value) => Datum::Own(value),
    }
}

/// First the output built so far; what is undefined there is looked up in the columns.
fn variable<'s>(name: &Name, scope: Scope<'s>) -> Datum<'s> {
    match (scope.first.get(name), scope.second) {
        (Some(found), None) => found,
        (Some(found), Some(_)) if !found.is_undefined() => found,
        (_, Some(second)) => second.get(name).unwrap_or(Datum::UNDEFINED),
        (None, None) => Datum::UNDEFINED,
    }
}

fn follow<'s>(path: &Path, scope: Scope<'s>) -> Datum<'s> {
    let found = datum(Root::Map(scope.first).follow(path));
    match scope.second {
        Some(second) if found.is_undefined() => datum(Root::Map(second).follow(path)),
        _ => found,
    }
}

/// The parser has limited the length.
fn range(from: i64, to: i64) -> Result<Value> {
    if to < from.saturating_sub(1) {
        return Err(EvalError::other(format!("the range [{from}..{to}] ends before it begins")));
    }
    Ok(Value::list((from..=to).map(Value::Int).collect()))
}

/// Both ends are included; from one, or from the end if negative; what is beyond the end is left out (rule-sql 2.12).
fn slice(list: &Value, from: i64, to: i64) -> Result<Value> {
    let Value::List(items) = list else {
        return Err(EvalError::other(format!("a range of {} cannot be taken; it must be a list", list.kind())));
    };
    let len = items.len() as i64;
    let place = |bound: i64| if bound < 0 { len.saturating_add(bound).saturating_add(1) } else { bound };
    let (first, last) = (place(from), place(to));
    let count = last.saturating_sub(first).saturating_add(1);
    if from == 0 || to == 0 || first < 1 || count < 0 {
        return Err(EvalError::other(format!("the range [{from}..{to}] is not within the list of {len}")));
    }
    let taken = items.iter().skip(first as usize - 1).take(count as usize);
    Ok(Value::list(taken.cloned().collect()))
}
