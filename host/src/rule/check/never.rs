//! What can never hold: comparisons whose outcome is known before any message, and FROM entries that no topic matches.
//! A part that may be true for one message is never complained of.

use super::super::ast::{Body, Compare, Expr, Field, Kind, Sign, Statement};
use super::super::diagnostic::{Code, Diagnostic};
use super::super::eval::compare_values;
use super::super::event::Column;
use super::super::print::print_path;
use crate::event::EventKind;
use crate::topic::TopicFilter;
use crate::value::Value;

/// FROM entries that no publication and no event matches, though they are topic filters.
pub(super) fn sources(statement: &Statement, warnings: &mut Vec<Diagnostic>) {
    for (topic, span) in &statement.sources {
        let (message, hint) = match topic.split('/').next() {
            Some("$share" | "$queue") => (
                String::from("no message has such a topic: a rule sees every message once, without sharing"),
                "leave out everything before the topic filter",
            ),
            Some("$SYS") => {
                (String::from("the broker's own messages are not given to rules"), "for events write $events/…")
            }
            Some("$event") => (String::from("no message has such a topic"), "did you mean `$events/…`?"),
            Some("$events") => match event(topic) {
                Some(found) => found,
                None => continue,
            },
            _ => continue,
        };
        warnings.push(Diagnostic::new(Code::NeverFires, span.clone(), message).with_hint(hint));
    }
}

/// What is wrong with an entry that names no event, or only events that never happen.
fn event(topic: &str) -> Option<(String, &'static str)> {
    let entry = TopicFilter::new(topic).ok()?;
    let mut named = EventKind::ALL.iter().filter(|kind| kind.is_named_by(&entry));
    let happens = named.clone().any(|kind| kind.happens());
    match named.next() {
        None if topic == "$events/message_publish" => Some((
            String::from("publications have no event topic; the rule never runs for this"),
            "name the topics of the messages, such as \"t/#\"",
        )),
        None => Some((
            format!("no event is called `{topic}`; the rule never runs for this"),
            "such as $events/client/connected, $events/session/subscribed, $events/message/delivered",
        )),
        Some(_) if happens => None,
        Some(_) => Some((format!("`{topic}` never happens in this version"), "take it out")),
    }
}

/// Comparisons that are false, or raise, whatever comes.
pub(super) fn comparisons(statement: &Statement, warnings: &mut Vec<Diagnostic>) {
    let filters = statement.sources.iter().map(|(topic, _)| TopicFilter::new(topic).ok()).collect::<Option<Vec<_>>>();
    let publications = statement.sources.iter().all(|(topic, _)| !topic.starts_with('$'));
    let mut never = Never { filters: filters.filter(|_| publications), aliases: Vec::new(), warnings };
    match &statement.body {
        Body::Select(fields) => never.fields(fields),
        Body::Foreach { fields, each, incase } => {
            never.fields(fields);
            incase.iter().for_each(|condition| never.expr(condition));
            each.iter().for_each(|fields| never.fields(fields));
        }
    }
    statement.condition.iter().for_each(|condition| never.expr(condition));
}

struct Never<'a> {
    /// All of FROM, if only publications fire the rule.
    filters: Option<Vec<TopicFilter>>,
    /// Names that may stand for something else than the column.
    aliases: Vec<String>,
    warnings: &'a mut Vec<Diagnostic>,
}

impl Never<'_> {
    fn warn(&mut self, at: &Expr, message: String, hint: &str) {
        self.warnings.push(Diagnostic::new(Code::NeverTrue, at.span.clone(), message).with_hint(hint));
    }

    fn fields(&mut self, fields: &[Field]) {
        for field in fields {
            let Field::Expr { expr, alias } = field else { continue };
            self.expr(expr);
            if let Some(Kind::Path(path)) = alias.as_ref().map(|alias| &alias.kind) {
                self.aliases.push(path.name.clone());
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Compare(compare, left, right) => self.comparison(expr, *compare, left, right),
            Kind::And(parts) => {
                parts.iter().for_each(|part| self.expr(part));
                self.contradiction(expr, parts);
            }
            _ => expr.for_each_part(|part| self.expr(part)),
        }
    }

    fn comparison(&mut self, expr: &Expr, compare: Compare, left: &Expr, right: &Expr) {
        if compare == Compare::Unsupported {
            return;
        }
        if let (Some(left), Some(right)) = (constant(left), constant(right)) {
            match compare_values(compare, &left, &right) {
                Ok(true) => {}
                Ok(false) => self.warn(
                    expr,
                    String::from("both sides are constants; this is always false"),
                    "compare with a column",
                ),
                Err(error) => {
                    let message =
                        format!("both sides are constants, and this raises for every message: {}", error.message);
                    let hint = "a number is compared with a number, or with a text that is one";
                    self.warnings.push(Diagnostic::new(Code::AlwaysRaises, expr.span.clone(), message).with_hint(hint));
                }
            }
            return;
        }
        let (column, value, swapped) = match (self.column(left), self.column(right), constant(left), constant(right)) {
            (Some(column), _, _, Some(value)) => (column, value, false),
            (_, Some(column), Some(value), _) => (column, value, true),
            _ => return,
        };
        let holds = |candidate: &Value| match swapped {
            false => compare_values(compare, candidate, &value).unwrap_or(false),
            true => compare_values(compare, &value, candidate).unwrap_or(false),
        };
        match column {
            Column::Qos if !(0..3).any(|level| holds(&Value::Int(level))) => {
                self.warn(expr, String::from("qos is 0, 1 or 2; this never holds"), "an integer from 0 to 2");
            }
            Column::Event if self.filters.is_some() && !holds(&Value::sym("message.publish")) => {
                let hint = "other events are chosen in FROM: \"$events/client/connected\"";
                self.warn(expr, String::from("the event of these topics is message.publish; this never holds"), hint);
            }
            Column::Topic if !swapped || compare == Compare::Equal => self.topic(expr, compare, &value),
            _ => {}
        }
    }

    /// `topic = 'x'`, `topic =~ 'f'`.
    fn topic(&mut self, expr: &Expr, compare: Compare, value: &Value) {
        let Value::Str(text) = value else { return };
        let Ok(text) = std::str::from_utf8(text) else { return };
        match compare {
            Compare::Equal => {
                let Some(filters) = &self.filters else { return };
                if text.contains(['+', '#']) || !filters.iter().any(|filter| filter.matches(text)) {
                    let message = format!("FROM lets no message with the topic '{text}' in; this never holds");
                    self.warn(expr, message, "a filter is matched with `=~`, its wildcards are no topic");
                }
            }
            Compare::TopicMatch => {
                if let Err(error) = TopicFilter::new(text) {
                    let message = format!("'{text}' is no topic filter and matches nothing: {error}");
                    self.warn(expr, message, "the filter stands on the right of `=~`");
                }
            }
            _ => {}
        }
    }

    /// `payload.x = 1 AND payload.x = 2`
    fn contradiction(&mut self, expr: &Expr, parts: &[Expr]) {
        let mut seen: Vec<(String, Value)> = Vec::new();
        for part in parts {
            let Kind::Compare(Compare::Equal, left, right) = &part.kind else { continue };
            let (path, value) = match (&left.kind, &right.kind, constant(left), constant(right)) {
                (Kind::Path(path), _, _, Some(value)) | (_, Kind::Path(path), Some(value), _) => {
                    (print_path(path), value)
                }
                _ => continue,
            };
            let clash = |(known, other): &&(String, Value)| *known == path && !may_both_equal(other, &value);
            if let Some((_, other)) = seen.iter().find(clash) {
                let text = |value: &Value| String::from_utf8_lossy(&value.text().unwrap_or_default()).into_owned();
                let message =
                    format!("`{path}` cannot be {} and {} at once; this never holds", text(other), text(&value));
                return self.warn(expr, message, "join the alternatives with OR");
            }
            seen.push((path, value));
        }
    }

    /// The column that an expression is, unless an alias may hide it.
    fn column(&self, expr: &Expr) -> Option<Column> {
        match &expr.kind {
            Kind::Path(path) if path.steps.is_empty() && !self.aliases.contains(&path.name) => {
                Column::of(path.name.as_bytes())
            }
            _ => None,
        }
    }
}

/// Whether one value can be equal to both; text and numbers can, by conversion.
fn may_both_equal(a: &Value, b: &Value) -> bool {
    let both = |kind: fn(&Value) -> bool| kind(a) && kind(b);
    let same_kind = both(Value::is_number) || both(|value| matches!(value, Value::Str(_)));
    !same_kind || compare_values(Compare::Equal, a, b).unwrap_or(true)
}

/// The value of a constant, its sign included.
fn constant(expr: &Expr) -> Option<Value> {
    match &expr.kind {
        Kind::Const(value) => Some(value.clone()),
        Kind::Unary(sign, operand) => match (constant(operand)?, sign) {
            (Value::Int(number), Sign::Minus) => number.checked_neg().map(Value::Int),
            (Value::Float(number), Sign::Minus) => Some(Value::Float(-number)),
            (_, Sign::Minus) => None,
            (value, Sign::Plus) => Some(value),
        },
        _ => None,
    }
}
