//! A serde deserializer over [`Node`] whose errors know their place: any plain struct with `deny_unknown_fields` gets
//! line, column, dotted path and the names that would have been right. It never guesses a type, except in overrides.

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::document::{At, Entry, Node, Table, Value};
use super::problem::{Problem, Step};

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let result = match &self.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(n) => match (i64::try_from(*n), u64::try_from(*n)) {
                (Ok(n), _) => visitor.visit_i64(n),
                (_, Ok(n)) => visitor.visit_u64(n),
                _ => Err(Problem::custom("this number is too large")),
            },
            Value::Float(n) => visitor.visit_f64(*n),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Datetime(text) => visitor.visit_map(Date { text, key_given: false }).map_err(Problem::found_a_date),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Table(table) => visitor.visit_map(Entries { entries: table.iter(), pending: None }),
        };
        result.map_err(|problem| problem.inside(self))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self).map_err(|problem| problem.inside(self))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match (&self.value, &self.raw) {
            (Value::String(_), _) | (_, None) => self.deserialize_any(visitor),
            (_, Some(raw)) => visitor.visit_borrowed_str(raw).map_err(|problem: Problem| problem.inside(self)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let result = match (&self.value, self.text()) {
            (_, Some(text)) => visitor.visit_enum(IntoDeserializer::<Problem>::into_deserializer(text)),
            (Value::Table(table), _) if table.len() == 1 => visitor.visit_enum(Variant(table)),
            _ => Err(Problem::invalid_type(self.unexpected(), &one_of(names).as_str())),
        };
        result.map_err(|problem| problem.inside(self))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

impl Node {
    fn unexpected(&self) -> Unexpected<'_> {
        match self.value {
            Value::Array(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
            Value::Boolean(value) => Unexpected::Bool(value),
            Value::Float(n) => Unexpected::Float(n),
            Value::Integer(_) => Unexpected::Signed(0),
            Value::String(_) | Value::Datetime(_) => Unexpected::Str(""),
        }
    }
}

/// "`a`, `b` or `c`".
pub fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

struct Items<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let Some((index, node)) = self.items.next() else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|problem| problem.inside(node).under(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'de> {
    entries: std::collections::btree_map::Iter<'de, String, Entry>,
    pending: Option<(&'de str, &'de Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some((key, entry)) = self.entries.next() else { return Ok(None) };
        self.pending = Some((key, &entry.node));
        seed.deserialize(Key { key, at: entry.key_at }).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let Some((key, node)) = self.pending.take() else {
            return Err(Problem::custom("a value was asked for before its key"));
        };
        seed.deserialize(node).map_err(|problem| problem.inside(node).under(Step::Key(key.to_owned())))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A key, as the thing to deserialize: an unknown one is reported where it stands.
struct Key<'de> {
    key: &'de str,
    at: At,
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let result = visitor.visit_borrowed_str(self.key);
        result
            .map_err(|problem: Problem| Problem { at: Some(self.at), ..problem }.under(Step::Key(self.key.to_owned())))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A date, as the toml crate hands it to serde: a map with one private key. What wants a string does not get a date.
struct Date<'de> {
    text: &'de str,
    key_given: bool,
}

impl<'de> MapAccess<'de> for Date<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        if std::mem::replace(&mut self.key_given, true) {
            return Ok(None);
        }
        seed.deserialize(BorrowedStrDeserializer::new("$__toml_private_datetime")).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        seed.deserialize(BorrowedStrDeserializer::new(self.text))
    }
}

/// `{ name = value }` where the name picks what the value is.
struct Variant<'de>(&'de Table);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Problem;
    type Variant = VariantValue<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, VariantValue<'de>), Problem> {
        let Some((key, entry)) = self.0.first_key_value() else {
            return Err(Problem::custom("expected a table with one key"));
        };
        let name = StrDeserializer::<Problem>::new(key);
        let name = seed
            .deserialize(name)
            .map_err(|problem: Problem| Problem { at: Some(entry.key_at), ..problem }.under(Step::Key(key.clone())))?;
        Ok((name, VariantValue { key, node: &entry.node }))
    }
}

struct VariantValue<'de> {
    key: &'de str,
    node: &'de Node,
}

impl VariantValue<'_> {
    fn within(&self, problem: Problem) -> Problem {
        problem.inside(self.node).under(Step::Key(self.key.to_owned()))
    }
}

impl<'de> VariantAccess<'de> for VariantValue<'de> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        Err(self.within(Problem::custom("this name stands alone, as a string")))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        seed.deserialize(self.node).map_err(|problem| self.within(problem))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Problem> {
        self.node.deserialize_any(visitor).map_err(|problem| self.within(problem))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.node.deserialize_any(visitor).map_err(|problem| self.within(problem))
    }
}
