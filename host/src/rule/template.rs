//! `${…}` placeholders over a row (rule-sql 6.1, 6.2). A template computes nothing and changes nothing.

use std::borrow::Cow;

use bytes::Bytes;

use super::diagnostic::{Code, Diagnostic};
use super::row::{Datum, Name, Row};
use crate::value::Value;
use crate::value::scan::PathSet;

/// The longest template, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;

/// A text with placeholders, cut into parts once.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    /// `${.}` or `${}`: the whole row as JSON.
    Whole,
    Variable(Variable),
}

#[derive(Clone, Debug)]
struct Variable {
    /// As written, for messages.
    text: String,
    name: Name,
    keys: Vec<Bytes>,
    /// Reads `keys` out of JSON text.
    scan: PathSet,
}

/// What a placeholder without a value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The word `undefined`, as in most of EMQX.
    Text,
    /// Nothing, as in Kafka keys and values.
    Empty,
    /// An error, as in Kafka topics.
    Error,
}

/// A placeholder has no value, and one was needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the placeholder ${{{name}}} has no value in the rule's output")]
pub struct MissingVariable {
    pub name: String,
}

impl Template {
    /// Cuts a template. What only looks like a placeholder (`${a[1]}`, `${ a }`) is literal text.
    ///
    /// # Errors
    /// The text is longer than 64 KiB.
    pub fn parse(text: &str) -> Result<Template, Diagnostic> {
        if text.len() > MAX_TEMPLATE_BYTES {
            let message = format!("the template has {} bytes; at most {MAX_TEMPLATE_BYTES} are allowed", text.len());
            return Err(Diagnostic::new(Code::Template, 0..0, message));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            let inner = &from[2..];
            let end =
                inner.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_')).count();
            if let Some(after) = inner.strip_prefix("$}") {
                literal.push('$');
                rest = after;
            } else if let Some(after) = inner[end..].strip_prefix('}') {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(placeholder(&inner[..end]));
                rest = after;
            } else {
                literal.push_str("${");
                rest = inner;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Template { parts })
    }

    /// A template that is one placeholder and nothing else, by the older and wider rule that EMQX keeps for Kafka
    /// headers: any characters up to `}`, a key also in quotes (`${pub_props.User-Property}`).
    #[must_use]
    pub fn wide_placeholder(text: &str) -> Option<Template> {
        let inner = text.trim().strip_prefix("${")?.strip_suffix('}')?;
        if inner.len() > MAX_TEMPLATE_BYTES || inner.contains('}') {
            return None;
        }
        Some(Template { parts: vec![placeholder(&inner.replace(['\'', '"'], ""))] })
    }

    /// The text itself if nothing in it depends on the row.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The names that placeholders begin with, in their order; the whole row is none.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable.text.split('.').next().unwrap_or_default()),
            Part::Literal(_) | Part::Whole => None,
        })
    }

    /// Whether the template is one placeholder and nothing else.
    #[must_use]
    pub fn is_single_placeholder(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Whole | Part::Variable(_)])
    }

    /// Appends the text for `row`. After an error `out` may hold a part of it.
    ///
    /// # Errors
    /// A placeholder has no value and `missing` says that this is an error.
    pub fn render(&self, row: &Row<'_>, missing: Missing, out: &mut Vec<u8>) -> Result<(), MissingVariable> {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Whole => row.write_json(out),
                Part::Variable(variable) => variable.render(row, missing, out)?,
            }
        }
        Ok(())
    }

    /// The bytes of a Kafka key or value: what is missing renders empty, and an empty result is Kafka's null. A single
    /// placeholder for text shares that text.
    #[must_use]
    pub fn render_bytes(&self, row: &Row<'_>) -> Option<Bytes> {
        let bytes = match self.parts.as_slice() {
            [Part::Variable(variable)] => match variable.find(row) {
                Datum::Own(Value::Undefined) | Datum::Ref(Value::Undefined) => return None,
                Datum::Text(text) => Bytes::copy_from_slice(text),
                Datum::Ref(value) => value.text().unwrap_or_default(),
                Datum::Own(value) => value.text().unwrap_or_default(),
            },
            _ => {
                let mut out = Vec::new();
                self.render(row, Missing::Empty, &mut out).ok()?;
                Bytes::from(out)
            }
        };
        (!bytes.is_empty()).then_some(bytes)
    }

    /// The value of a single placeholder as it is; `None` when it is missing, or the template is something else.
    #[must_use]
    pub fn value(&self, row: &Row<'_>) -> Option<Value> {
        match self.parts.as_slice() {
            [Part::Whole] => Some(row.to_value()),
            [Part::Variable(variable)] => Some(variable.find(row).into_value()).filter(|value| !value.is_undefined()),
            _ => None,
        }
    }
}

fn placeholder(text: &str) -> Part {
    let path = text.strip_prefix('.').unwrap_or(text);
    if path.is_empty() {
        return Part::Whole;
    }
    let mut segments = path.split('.');
    let name = Name::new(segments.next().unwrap_or_default());
    let keys: Vec<Bytes> = segments.map(|key| Bytes::copy_from_slice(key.as_bytes())).collect();
    let steps: Vec<&[u8]> = keys.iter().map(|key| &**key).collect();
    let scan = PathSet::new(false, [steps.as_slice()]);
    Part::Variable(Variable { text: path.to_string(), name, keys, scan })
}

impl Variable {
    fn render(&self, row: &Row<'_>, missing: Missing, out: &mut Vec<u8>) -> Result<(), MissingVariable> {
        let start = out.len();
        let printed = match self.find(row) {
            Datum::Own(Value::Undefined) | Datum::Ref(Value::Undefined) => false,
            Datum::Text(text) => {
                out.extend_from_slice(text);
                true
            }
            Datum::Ref(value) => value.write_text(out).is_ok(),
            Datum::Own(value) => value.write_text(out).is_ok(),
        };
        if printed {
            return Ok(());
        }
        // Undefined, or a bit string, which has no text.
        out.truncate(start);
        match missing {
            Missing::Text => out.extend_from_slice(b"undefined"),
            Missing::Empty => {}
            Missing::Error => return Err(MissingVariable { name: self.text.clone() }),
        }
        Ok(())
    }

    fn find<'r>(&self, row: &'r Row<'_>) -> Datum<'r> {
        let Some(start) = row.view().get(&self.name) else { return Datum::UNDEFINED };
        if self.keys.is_empty() {
            return start;
        }
        match start {
            Datum::Ref(value) => self.walk(Cow::Borrowed(value)),
            other => self.walk(Cow::Owned(other.into_value())),
        }
    }

    /// The first text on the way is decoded as JSON, a second one inside it is not.
    fn walk<'r>(&self, start: Cow<'r, Value>) -> Datum<'r> {
        let mut here = start;
        for (depth, key) in self.keys.iter().enumerate() {
            if let Value::Str(text) = &*here {
                return Datum::Own(self.decoded(text, depth));
            }
            let next = match here {
                Cow::Borrowed(value) => value.get(key).map(Cow::Borrowed),
                Cow::Owned(value) => value.get(key).cloned().map(Cow::Owned),
            };
            match next {
                Some(next) => here = next,
                None => return Datum::UNDEFINED,
            }
        }
        match here {
            Cow::Borrowed(value) => Datum::Ref(value),
            Cow::Owned(value) => Datum::Own(value),
        }
    }

    fn decoded(&self, text: &Bytes, depth: usize) -> Value {
        if depth == 0 {
            let mut found = [Value::Undefined];
            return match self.scan.extract(text, &mut found) {
                Ok(()) => std::mem::take(&mut found[0]),
                Err(_) => Value::Undefined,
            };
        }
        let Ok(document) = Value::from_json_shared(text) else { return Value::Undefined };
        let mut here = &document;
        for key in &self.keys[depth..] {
            match here.get(key) {
                Some(next) => here = next,
                None => return Value::Undefined,
            }
        }
        here.clone()
    }
}
