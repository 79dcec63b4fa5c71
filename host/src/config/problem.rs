//! What serde finds wrong in one value, kept as data: kind, place, path. It never keeps the text of a value.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::document::{At, Node, Value};

/// One step from a table or list to what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// Why a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    UnknownKey { name: String, expected: &'static [&'static str] },
    UnknownVariant { name: String, expected: &'static [&'static str] },
    MissingKey(&'static str),
    WrongType { expected: String, found: String },
    Custom(String),
}

/// The error type of [`super::de`]. Place and path are filled in while it travels up.
#[derive(Clone, Debug)]
pub struct Problem {
    pub kind: Kind,
    pub at: Option<At>,
    /// From the outside in, once it has arrived at the top.
    pub path: Vec<Step>,
}

impl Problem {
    fn new(kind: Kind) -> Problem {
        Problem { kind, at: None, path: Vec::new() }
    }

    /// The problem as seen from one level up: it is at `node`, unless it already knows better.
    #[must_use]
    pub fn inside(mut self, node: &Node) -> Problem {
        if self.at.is_none() {
            self.at = Some(node.at);
            // Tagged and untagged enums are read from a copy that knows no places: find the key again.
            if let Some((path, at)) = find_culprit(&self.kind, node) {
                self.path.splice(0..0, path);
                self.at = Some(at);
            }
        }
        self
    }

    /// The same, from something that got a date and took it for a table.
    #[must_use]
    pub fn found_a_date(mut self) -> Problem {
        match &mut self.kind {
            Kind::WrongType { found, .. } => *found = "a date".to_owned(),
            kind => *kind = Kind::Custom("a date cannot stand here".to_owned()),
        }
        self
    }

    /// The problem as seen from the table or list that holds it.
    #[must_use]
    pub fn under(mut self, step: Step) -> Problem {
        self.path.insert(0, step);
        self
    }
}

/// The only place in `node` that can be meant, if there is exactly one.
fn find_culprit(kind: &Kind, node: &Node) -> Option<(Vec<Step>, At)> {
    let mut found = Vec::new();
    if matches!(kind, Kind::UnknownKey { .. } | Kind::UnknownVariant { .. }) {
        collect(kind, node, &mut Vec::new(), &mut found);
    }
    (found.len() == 1).then(|| found.remove(0))
}

fn collect(kind: &Kind, node: &Node, path: &mut Vec<Step>, found: &mut Vec<(Vec<Step>, At)>) {
    match (&node.value, kind) {
        (Value::Table(table), _) => {
            for (key, entry) in table {
                path.push(Step::Key(key.clone()));
                match kind {
                    Kind::UnknownKey { name, .. } if name == key => found.push((path.clone(), entry.key_at)),
                    _ => collect(kind, &entry.node, path, found),
                }
                path.pop();
            }
        }
        (Value::Array(items), _) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                collect(kind, item, path, found);
                path.pop();
            }
        }
        (_, Kind::UnknownVariant { name, .. }) if node.text() == Some(name) => found.push((path.clone(), node.at)),
        _ => {}
    }
}

impl Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Problem {
        Problem::new(Kind::Custom(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Problem {
        let found = match found {
            Unexpected::Bool(_) => "a boolean",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
            Unexpected::Float(_) => "a decimal number",
            Unexpected::Str(_) | Unexpected::Char(_) => "a string",
            Unexpected::Seq => "a list",
            Unexpected::Map | Unexpected::StructVariant => "a table",
            _ => "something else",
        };
        Problem::new(Kind::WrongType { expected: in_words(&expected.to_string()), found: found.to_owned() })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Problem {
        let found = match found {
            Unexpected::Bool(value) => format!("`{value}`"),
            Unexpected::Unsigned(n) => format!("`{n}`"),
            Unexpected::Signed(n) => format!("`{n}`"),
            Unexpected::Float(n) => format!("`{n}`"),
            Unexpected::Str(_) => "another string".to_owned(),
            _ => "something else".to_owned(),
        };
        Problem::new(Kind::WrongType { expected: in_words(&expected.to_string()), found })
    }

    fn invalid_length(found: usize, expected: &dyn Expected) -> Problem {
        Problem::new(Kind::WrongType { expected: in_words(&expected.to_string()), found: format!("{found} items") })
    }

    fn unknown_variant(name: &str, expected: &'static [&'static str]) -> Problem {
        Problem::new(Kind::UnknownVariant { name: name.to_owned(), expected })
    }

    fn unknown_field(name: &str, expected: &'static [&'static str]) -> Problem {
        Problem::new(Kind::UnknownKey { name: name.to_owned(), expected })
    }

    fn missing_field(name: &'static str) -> Problem {
        Problem::new(Kind::MissingKey(name))
    }

    fn duplicate_field(name: &'static str) -> Problem {
        Problem::new(Kind::Custom(format!("`{name}` is given twice")))
    }
}

/// serde names Rust's types; people write numbers, tables and lists.
fn in_words(expected: &str) -> String {
    let range = |low: i128, high: i128| format!("a whole number from {low} to {high}");
    match expected {
        "u8" => range(0, u8::MAX.into()),
        "u16" => range(0, u16::MAX.into()),
        "u32" => range(0, u32::MAX.into()),
        "i32" => range(i32::MIN.into(), i32::MAX.into()),
        "u64" | "usize" | "u128" => "a whole number, 0 or more".to_owned(),
        "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "bool" => "a boolean".to_owned(),
        "a map" => "a table".to_owned(),
        "a sequence" => "a list".to_owned(),
        _ if expected.starts_with("a nonzero ") => "a whole number, 1 or more".to_owned(),
        _ if expected.starts_with("struct ") => "a table".to_owned(),
        _ if expected.starts_with("enum ") => "one of its names".to_owned(),
        _ => expected.to_owned(),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::UnknownKey { .. } => f.write_str("unknown key"),
            Kind::UnknownVariant { .. } => f.write_str("unknown value"),
            Kind::MissingKey(name) => write!(f, "missing key `{name}`"),
            Kind::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            Kind::Custom(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Problem {}
