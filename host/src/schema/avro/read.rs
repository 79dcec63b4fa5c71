//! From Avro's bytes to values.

use bytes::Bytes;

use super::super::{MAX_LEVELS, Nodes, varint};
use super::{Avro, Id, Type};
use crate::value::{Map, Value};

impl Avro {
    pub(in super::super) fn decode(&self, data: &Bytes) -> Result<Value, String> {
        let mut reader = Reader { avro: self, rest: data.clone(), nodes: Nodes::default() };
        let value = reader.value(self.root, MAX_LEVELS)?;
        match reader.rest.len() {
            0 => Ok(value),
            left => Err(format!("the data goes on for {left} bytes after its end")),
        }
    }
}

struct Reader<'a> {
    avro: &'a Avro,
    rest: Bytes,
    nodes: Nodes,
}

impl Reader<'_> {
    fn value(&mut self, id: Id, levels: usize) -> Result<Value, String> {
        self.nodes.spend()?;
        let levels = levels.checked_sub(1).ok_or_else(|| format!("the data has more than {MAX_LEVELS} levels"))?;
        let avro = self.avro;
        match avro.of(id) {
            Type::Open => Err(String::from("the schema is incomplete")),
            Type::Null => Ok(Value::Null),
            Type::Boolean => match self.take(1)?[0] {
                byte @ (0 | 1) => Ok(Value::Bool(byte == 1)),
                other => Err(foreign(&format!("a boolean is {other}"))),
            },
            Type::Int => {
                let number = self.long()?;
                i32::try_from(number).map_err(|_| foreign("an int has more than 32 bits"))?;
                Ok(Value::Int(number))
            }
            Type::Long => self.long().map(Value::Int),
            Type::Float => {
                let bytes = self.take(4)?;
                let number = <[u8; 4]>::try_from(&bytes[..]).map(f32::from_le_bytes).unwrap_or_default();
                finite(f64::from(number))
            }
            Type::Double => {
                let bytes = self.take(8)?;
                finite(<[u8; 8]>::try_from(&bytes[..]).map(f64::from_le_bytes).unwrap_or_default())
            }
            Type::Bytes | Type::String => self.text().map(Value::Str),
            Type::Fixed(size) => self.take(*size).map(Value::Str),
            Type::Enum(symbols) => {
                let place = usize::try_from(self.long()?).ok();
                let symbol = place.and_then(|place| symbols.get(place));
                symbol.cloned().map(Value::Str).ok_or_else(|| foreign("an enum has no symbol of this number"))
            }
            Type::Union(branches) => {
                let place = usize::try_from(self.long()?).ok();
                let branch = place.and_then(|place| branches.get(place));
                self.value(*branch.ok_or_else(|| foreign("a union has no branch of this number"))?, levels)
            }
            Type::Array(items) => {
                let mut list = Vec::new();
                self.blocks(|reader| {
                    list.push(reader.value(*items, levels)?);
                    Ok(())
                })?;
                Ok(Value::list(list))
            }
            Type::Map(values) => {
                self.nodes.spend_map(0)?;
                let mut map = Map::new();
                self.blocks(|reader| {
                    let key = reader.text()?;
                    map.insert(key, reader.value(*values, levels)?);
                    Ok(())
                })?;
                Ok(Value::map(map))
            }
            Type::Record { fields, .. } => {
                self.nodes.spend_map(0)?;
                let mut map = Map::new();
                for field in fields {
                    map.insert(field.name.clone(), self.value(field.of, levels)?);
                }
                Ok(Value::map(map))
            }
        }
    }

    /// Items in blocks, the last of which is empty; a negative count is followed by the block's size.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
        }
    }

    fn take(&mut self, len: usize) -> Result<Bytes, String> {
        if self.rest.len() < len {
            return Err(String::from("the data ends early"));
        }
        Ok(self.rest.split_to(len))
    }

    fn text(&mut self) -> Result<Bytes, String> {
        let len = usize::try_from(self.long()?).map_err(|_| foreign("a length is negative"))?;
        self.take(len)
    }

    fn long(&mut self) -> Result<i64, String> {
        varint::take_signed(&mut self.rest)
    }
}

fn finite(number: f64) -> Result<Value, String> {
    Value::float(number).ok_or_else(|| String::from("a float is not a finite number"))
}

fn foreign(why: &str) -> String {
    format!("the data is not this schema's: {why}")
}
