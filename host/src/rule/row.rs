//! One output of a rule: the event's columns if `*` was selected, and what the fields put over them (rule-sql 2.3, 2.7).
//!
//! Columns have symbol keys and everything written in SQL has text keys; both kinds can stand side by side at the top.
//! A row never copies the columns that it shows.

use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;

use super::event::{Column, Event};
use crate::value::{Map, Value, write_json_text};

/// Which of the two kinds of key an entry has. Text goes before symbol wherever both are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    Symbol,
    Text,
}

/// A name with its column, resolved once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    pub key: Bytes,
    pub column: Option<Column>,
}

impl Name {
    pub(super) fn new(key: &str) -> Name {
        Name { key: Bytes::copy_from_slice(key.as_bytes()), column: Column::of(key.as_bytes()) }
    }

    /// The name of a column, made once.
    pub(super) fn of(column: Column) -> &'static Name {
        static NAMES: LazyLock<[Name; Column::ALL.len()]> =
            LazyLock::new(|| Column::ALL.map(|column| Name::new(column.name())));
        &NAMES[column as usize]
    }

    pub(super) fn is_payload(&self) -> bool {
        self.column == Some(Column::Payload)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub space: Space,
    pub key: Bytes,
    pub value: Value,
}

/// One output of a rule.
#[derive(Clone, Default)]
pub struct Row<'e> {
    pub(super) event: Option<&'e dyn Event>,
    pub(super) entries: Vec<Entry>,
}

/// A map that names are looked up in: columns, if any, under entries.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub event: Option<&'a dyn Event>,
    pub entries: &'a [Entry],
}

/// A value that need not have been built: borrowed, owned, or the text of a column.
#[derive(Clone, Debug)]
pub(super) enum Datum<'a> {
    Ref(&'a Value),
    Own(Value),
    Text(&'a [u8]),
}

impl Datum<'_> {
    pub(super) const UNDEFINED: Datum<'static> = Datum::Own(Value::Undefined);

    #[inline]
    pub(super) fn into_value(self) -> Value {
        match self {
            Datum::Ref(value) => value.clone(),
            Datum::Own(value) => value,
            Datum::Text(text) => Value::Str(Bytes::copy_from_slice(text)),
        }
    }

    #[inline]
    pub(super) fn is_undefined(&self) -> bool {
        matches!(self, Datum::Ref(Value::Undefined) | Datum::Own(Value::Undefined))
    }

    /// The bytes, if this is text.
    #[inline]
    pub(super) fn as_text(&self) -> Option<&[u8]> {
        match self {
            Datum::Text(text) => Some(text),
            Datum::Ref(Value::Str(text)) => Some(text),
            Datum::Own(Value::Str(text)) => Some(text),
            _ => None,
        }
    }
}

impl<'a> View<'a> {
    /// The entry under `key`: text key first, then symbol key.
    #[inline]
    fn entry(&self, key: &[u8]) -> Option<&'a Value> {
        let of = |space: Space| self.entries.iter().find(|entry| entry.space == space && entry.key == key);
        of(Space::Text).or_else(|| of(Space::Symbol)).map(|entry| &entry.value)
    }

    /// What `name` stands for; `None` when there is nothing of that name.
    #[inline]
    pub(super) fn get(&self, name: &Name) -> Option<Datum<'a>> {
        if let Some(value) = self.entry(&name.key) {
            return Some(Datum::Ref(value));
        }
        self.column(name)
    }

    /// Under a symbol key only.
    pub(super) fn symbol(&self, name: &Name) -> Option<Datum<'a>> {
        let entry = self.entries.iter().find(|entry| entry.space == Space::Symbol && entry.key == name.key);
        entry.map(|entry| Datum::Ref(&entry.value)).or_else(|| self.column(name))
    }

    #[inline]
    fn column(&self, name: &Name) -> Option<Datum<'a>> {
        let event = self.event?;
        match name.column {
            Some(column) => match event.text(column) {
                // A payload is shared, other text borrowed.
                Some(_) if column == Column::Payload => {
                    event.payload().map(|text| Datum::Own(Value::Str(text.clone())))
                }
                Some(text) => Some(Datum::Text(text)),
                None => event.column(column).map(Datum::Own),
            },
            None => event.other(&name.key).map(Datum::Own),
        }
    }
}

impl<'e> Row<'e> {
    /// The value of a field or column; `None` when there is none of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        self.view().get_bytes(name.as_bytes())
    }

    /// Appends the row as a JSON object, keys in descending order. Undefined prints as `"undefined"`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        if let (Some(event), []) = (self.event, self.entries.as_slice()) {
            return event.write_all(out);
        }
        out.push(b'{');
        let mut first = true;
        self.for_each_key(|space, key| {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            write_json_text(key, out);
            out.push(b':');
            match self.exact(space, key) {
                Some(value) => value.to_json(out),
                None => drop(self.event.map(|event| event.write_json(key, out))),
            }
        });
        out.push(b'}');
    }

    /// The row as a map. Where a text key and a symbol key are the same, the text key wins.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut entries = Map::new();
        self.for_each_key(|space, key| {
            let value = match self.exact(space, key) {
                Some(value) => value.clone(),
                None => self.event.and_then(|event| event.get(key)).unwrap_or_default(),
            };
            entries.entry(Bytes::copy_from_slice(key)).or_insert(value);
        });
        Value::map(entries)
    }

    /// A row with the entries of a map, for rendering templates over something that is no rule's output.
    #[must_use]
    pub fn of_map(entries: &Map) -> Row<'static> {
        let entry =
            |(key, value): (&Bytes, &Value)| Entry { space: Space::Text, key: key.clone(), value: value.clone() };
        Row { event: None, entries: entries.iter().map(entry).collect() }
    }

    pub(super) fn view(&self) -> View<'_> {
        View { event: self.event, entries: &self.entries }
    }

    fn exact(&self, space: Space, key: &[u8]) -> Option<&Value> {
        self.entries.iter().find(|entry| entry.space == space && entry.key == key).map(|entry| &entry.value)
    }

    /// Every key in descending order; text before symbol where both exist.
    fn for_each_key(&self, mut visit: impl FnMut(Space, &[u8])) {
        let mut own: Vec<(&[u8], Space)> = self.entries.iter().map(|entry| (&*entry.key, entry.space)).collect();
        own.sort_unstable();
        let mut columns: Vec<Column> = Vec::new();
        let mut others: Vec<String> = Vec::new();
        if let Some(event) = self.event {
            event.names(&mut |name| {
                if own.binary_search(&(name.as_bytes(), Space::Symbol)).is_err() {
                    match Column::of(name.as_bytes()) {
                        Some(column) => columns.push(column),
                        None => others.push(name.to_string()),
                    }
                }
            });
        }
        loop {
            // The greatest of the three sorted lists is next.
            let next = own.last().copied();
            let column = columns.last().map(|column| (column.name().as_bytes(), Space::Symbol));
            let other = others.last().map(|name| (name.as_bytes(), Space::Symbol));
            let Some((key, space)) = next.max(column).max(other) else { return };
            visit(space, key);
            if next == Some((key, space)) {
                own.pop();
            } else if column == Some((key, space)) {
                columns.pop();
            } else {
                others.pop();
            }
        }
    }

    /// Sets the entry of exactly this key.
    pub(super) fn set(&mut self, space: Space, key: &Bytes, value: Value) {
        match self.entries.iter_mut().find(|entry| entry.space == space && entry.key == key) {
            Some(entry) => entry.value = value,
            None => self.entries.push(Entry { space, key: key.clone(), value }),
        }
    }

    /// Stores under `name`: over the same kind of key, else over the other kind, else anew (rule-sql 2.3).
    pub(super) fn store(&mut self, space: Space, name: &Name, value: Value) {
        let space = match space {
            same if self.holds(same, name) => same,
            Space::Text if self.holds(Space::Symbol, name) => Space::Symbol,
            Space::Symbol if self.holds(Space::Text, name) => Space::Text,
            new => new,
        };
        self.set(space, &name.key, value);
    }

    /// Whether there is a key of exactly this kind.
    pub(super) fn holds(&self, space: Space, name: &Name) -> bool {
        self.exact(space, &name.key).is_some()
            || (space == Space::Symbol && self.event.is_some_and(|event| event.has(&name.key)))
    }

    /// The value under exactly this kind of key.
    pub(super) fn held(&self, space: Space, name: &Name) -> Option<Value> {
        match (self.exact(space, &name.key), space) {
            (Some(value), _) => Some(value.clone()),
            (None, Space::Symbol) => self.event.and_then(|event| event.get(&name.key)),
            (None, Space::Text) => None,
        }
    }

    /// Merges all of `other` into this row, as `*` does: equal keys of the same kind are overwritten.
    pub(super) fn merge(&mut self, other: &Row<'e>) {
        if let Some(event) = other.event {
            self.entries.retain(|entry| entry.space == Space::Text || !event.has(&entry.key));
            self.event = Some(event);
        }
        for entry in &other.entries {
            self.set(entry.space, &entry.key, entry.value.clone());
        }
    }
}

impl View<'_> {
    fn get_bytes(&self, key: &[u8]) -> Option<Value> {
        match self.entry(key) {
            Some(value) => Some(value.clone()),
            None => self.event.and_then(|event| event.get(key)),
        }
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut json = Vec::new();
        self.write_json(&mut json);
        f.write_str(&String::from_utf8_lossy(&json))
    }
}
