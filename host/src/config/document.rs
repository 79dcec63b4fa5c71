//! A configuration as it was written: values that know where they stand. It decides nothing, and it must never print
//! itself, because it holds secrets.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secret::Masks;

/// Where a value stands: bytes `start..end` of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub source: usize,
    pub start: usize,
    pub end: usize,
}

/// One text that the configuration was put together from: the file, or the value of one override.
pub struct Source {
    /// As it is shown to people: a path, or the name of the environment variable.
    pub name: String,
    pub text: String,
}

/// One value.
#[derive(Clone)]
pub struct Node {
    pub at: At,
    pub value: Value,
    /// The text of an override: there nobody writes quotes, so `value` is only what the text looks like.
    pub raw: Option<String>,
}

/// What a value can be. Dates are kept as their text: nothing here is a date.
#[derive(Clone)]
pub enum Value {
    String(String),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

/// Entries by key.
pub type Table = BTreeMap<String, Entry>;

#[derive(Clone)]
pub struct Entry {
    pub key_at: At,
    pub node: Node,
}

/// The whole: the sources and the tree that they give together.
pub struct Document {
    /// The file first.
    pub sources: Vec<Source>,
    pub root: Node,
    /// What of the sources must not be shown.
    pub masks: Masks,
}

/// A text that is not TOML: what is wrong and where.
#[derive(Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub at: At,
    pub message: String,
}

impl Document {
    /// Reads the file's text; all syntax errors of it, if there are any.
    pub fn parse(name: &str, text: &str) -> (Document, Vec<SyntaxError>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let errors = errors.into_iter().map(|error| syntax_error(0, text, &error)).collect();
        let root = Node { at: at(0, &table), value: table_value(0, table.into_inner()), raw: None };
        let source = Source { name: name.to_owned(), text: text.to_owned() };
        (Document { sources: vec![source], root, masks: Masks::default() }, errors)
    }

    /// The value under a path of keys.
    #[must_use]
    pub fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, key| Some(&node.table()?.get(*key)?.node))
    }

    /// The string under a path of keys.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        self.find(path)?.text()
    }

    /// The entries of a section; none if it is absent or no table.
    pub fn entries(&self, section: &str) -> impl Iterator<Item = (&str, &Entry)> {
        self.find(&[section]).and_then(Node::table).into_iter().flatten().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Where the path stands, or the nearest part of it that exists.
    #[must_use]
    pub fn locate(&self, path: &[&str]) -> At {
        let mut at = self.root.at;
        let mut node = &self.root;
        for key in path {
            if let Some(item) = node.item(key) {
                (at, node) = (item.at, item);
                continue;
            }
            let Some(entry) = node.table().and_then(|table| table.get(*key)) else { break };
            // A table is shown by its key: its own span may be the whole of its lines.
            at = if entry.node.table().is_some() { entry.key_at } else { entry.node.at };
            node = &entry.node;
        }
        at
    }
}

impl Node {
    #[must_use]
    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The item of a list that `[0]` names.
    fn item(&self, key: &str) -> Option<&Node> {
        let index: usize = key.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
        match &self.value {
            Value::Array(items) => items.get(index),
            _ => None,
        }
    }

    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => self.raw.as_deref(),
        }
    }

    /// The value of an override: read as TOML where that works, else as the text that it is.
    pub fn from_override(source: usize, text: &str) -> Node {
        let (value, errors) = DeValue::parse_recoverable(text);
        let whole = At { source, start: 0, end: text.len() };
        if !errors.is_empty() {
            return Node { at: whole, value: Value::String(text.to_owned()), raw: None };
        }
        let mut node = node(source, value);
        node.raw = (!matches!(node.value, Value::String(_))).then(|| text.to_owned());
        node.at = whole;
        node
    }

    /// What it is, for an error; never its content.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::String(_) => "a string",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a decimal number",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.sources.iter().map(|source| source.name.as_str()).collect();
        f.debug_struct("Document").field("sources", &names).finish_non_exhaustive()
    }
}

fn at<T>(source: usize, spanned: &Spanned<T>) -> At {
    let span = spanned.span();
    At { source, start: span.start, end: span.end }
}

fn node(source: usize, spanned: Spanned<DeValue<'_>>) -> Node {
    let at = at(source, &spanned);
    let value = match spanned.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(value) => Value::Datetime(value.to_string()),
        // Out of range saturates: whoever asks for the number finds it too large, and says where.
        DeValue::Integer(n) => Value::Integer(i128::from_str_radix(n.as_str(), n.radix()).unwrap_or(i128::MAX)),
        DeValue::Float(n) => Value::Float(n.as_str().parse().unwrap_or(f64::INFINITY)),
        DeValue::Array(items) => Value::Array(items.into_iter().map(|item| node(source, item)).collect()),
        DeValue::Table(table) => table_value(source, table),
    };
    Node { at, value, raw: None }
}

fn table_value(source: usize, table: DeTable<'_>) -> Value {
    let entries = table.into_iter().map(|(key, value)| {
        let key_at = at(source, &key);
        (key.into_inner().into_owned(), Entry { key_at, node: node(source, value) })
    });
    Value::Table(entries.collect())
}

fn syntax_error(source: usize, text: &str, error: &toml::de::Error) -> SyntaxError {
    let span = error.span().unwrap_or(text.len()..text.len());
    let message = error.message();
    // The parser lists its alternatives even where its first words say all.
    let message = message.strip_suffix(", expected literal string").unwrap_or(message).to_owned();
    SyntaxError { at: At { source, start: span.start, end: span.end }, message }
}
