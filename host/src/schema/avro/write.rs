//! From values to Avro's bytes.

use num_traits::ToPrimitive;

use super::super::{MAX_DATA, MAX_NODES, describe, varint};
use super::{Avro, Id, Type};
use crate::value::Value;

impl Avro {
    pub(in super::super) fn encode(&self, value: &Value) -> Result<Vec<u8>, String> {
        let mut writer = Writer { avro: self, out: Vec::new(), nodes: MAX_NODES };
        writer.value(self.root, value)?;
        Ok(writer.out)
    }
}

struct Writer<'a> {
    avro: &'a Avro,
    out: Vec<u8>,
    /// Values that may still be tried: a union tries its branches, and may be within others.
    nodes: usize,
}

impl Writer<'_> {
    fn value(&mut self, id: Id, value: &Value) -> Result<(), String> {
        self.nodes = self.nodes.checked_sub(1).ok_or("too many branches of unions have to be tried")?;
        if self.out.len() > MAX_DATA {
            return Err(format!("the data is longer than {MAX_DATA} bytes"));
        }
        let avro = self.avro;
        let misfit = |expected: &str| Err(format!("expected {expected}, found {}", describe(value)));
        match (avro.of(id), value) {
            (Type::Open, _) => return Err(String::from("the schema is incomplete")),
            (Type::Null, Value::Null | Value::Undefined) => {}
            (Type::Null, _) => return misfit("null"),
            (Type::Boolean, Value::Bool(value)) => self.out.push(u8::from(*value)),
            (Type::Boolean, _) => return misfit("a boolean"),
            (Type::Int, Value::Int(number)) if i32::try_from(*number).is_ok() => self.long(*number),
            (Type::Int, _) => return misfit("an integer of 32 bits"),
            (Type::Long, Value::Int(number)) => self.long(*number),
            (Type::Long, _) => return misfit("an integer of 64 bits"),
            (Type::Float, number) => {
                match number.to_float().and_then(|number| number.to_f32()).filter(|n| n.is_finite()) {
                    Some(number) => self.out.extend_from_slice(&number.to_le_bytes()),
                    None => return misfit("a number in the range of floats of 32 bits"),
                }
            }
            (Type::Double, number) => match number.to_float() {
                Some(number) => self.out.extend_from_slice(&number.to_le_bytes()),
                None => return misfit("a number"),
            },
            (Type::Bytes, Value::Str(text)) => self.text(text),
            (Type::Bytes, _) => return misfit("text"),
            (Type::String, Value::Str(text)) if std::str::from_utf8(text).is_ok() => self.text(text),
            (Type::String, Value::Sym(word)) => self.text(word.as_bytes()),
            (Type::String, _) => return misfit("text in UTF-8"),
            (Type::Fixed(size), Value::Str(text)) if text.len() == *size => self.out.extend_from_slice(text),
            (Type::Fixed(size), _) => return misfit(&format!("text of {size} bytes")),
            (Type::Enum(symbols), symbol) => {
                let spelling = match symbol {
                    Value::Str(text) => Some(&text[..]),
                    other => other.spelling().map(str::as_bytes),
                };
                match symbols.iter().position(|symbol| Some(&symbol[..]) == spelling) {
                    Some(place) => self.long(place as i64),
                    None => return misfit(&format!("one of {}", listed(symbols))),
                }
            }
            (Type::Union(branches), _) => return self.union(branches, value),
            (Type::Array(items), Value::List(list)) => {
                if !list.is_empty() {
                    self.long(list.len() as i64);
                }
                list.iter().try_for_each(|item| self.value(*items, item))?;
                self.long(0);
            }
            (Type::Array(_), _) => return misfit("a list"),
            (Type::Map(values), Value::Map(map)) => {
                if !map.is_empty() {
                    self.long(map.len() as i64);
                }
                for (key, value) in map.iter() {
                    self.text(key);
                    self.value(*values, value)?;
                }
                self.long(0);
            }
            (Type::Map(_), _) => return misfit("a map"),
            (Type::Record { name, fields }, Value::Map(map)) => {
                for field in fields {
                    let shown = String::from_utf8_lossy(&field.name);
                    let given = map.get(&field.name).filter(|value| !value.is_undefined()).or(field.default.as_ref());
                    let given = given.ok_or_else(|| format!("the field `{shown}` of `{name}` is missing"))?;
                    self.value(field.of, given).map_err(|problem| within(&shown, problem))?;
                }
            }
            (Type::Record { name, .. }, _) => return misfit(&format!("a map for the record `{name}`")),
        }
        Ok(())
    }

    fn union(&mut self, branches: &[Id], value: &Value) -> Result<(), String> {
        let start = self.out.len();
        let mut last = String::from("the union has no branches");
        for (place, branch) in branches.iter().enumerate() {
            self.long(place as i64);
            match self.value(*branch, value) {
                Ok(()) => return Ok(()),
                Err(problem) => last = problem,
            }
            self.out.truncate(start);
            if self.nodes == 0 {
                return Err(last);
            }
        }
        Err(format!("no branch of the union fits; the last one: {last:.300}"))
    }

    fn text(&mut self, text: &[u8]) {
        self.long(text.len() as i64);
        self.out.extend_from_slice(text);
    }

    fn long(&mut self, number: i64) {
        varint::put_signed(&mut self.out, number);
    }
}

/// Names the way to a problem, up to a length that a log can take.
fn within(field: &str, problem: String) -> String {
    if problem.len() > 300 { problem } else { format!("`{field}`: {problem}") }
}

fn listed(symbols: &[bytes::Bytes]) -> String {
    let shown = symbols.iter().take(10).map(|symbol| String::from_utf8_lossy(symbol));
    shown.collect::<Vec<_>>().join(", ")
}
