//! From Protobuf's bytes to values ("Encoding" of the language's guide). Data is read straight into values, so that what
//! it costs is bounded by what is counted here, in depth and in values, whatever its lengths claim.

use bytes::{Buf, Bytes, BytesMut};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Value as Field};
use rustc_hash::FxHashMap;

use super::super::{MAX_LEVELS, Nodes, varint};
use super::Protobuf;
use crate::value::{Map, Value};

impl Protobuf {
    pub(in super::super) fn decode(&self, data: &Bytes, message: &MessageDescriptor) -> Result<Value, String> {
        let value = Reader { nodes: Nodes::default() }.message(message, data.clone(), MAX_LEVELS);
        value.map_err(|why| format!("the data is not this schema's: {why}"))
    }
}

struct Reader {
    nodes: Nodes,
}

/// What was read of one field so far.
enum Found {
    Scalar(Value),
    /// The last piece, or all of them: messages one after the other are one message.
    Piece(Bytes),
    Pieces(BytesMut),
    List(Vec<Value>),
    Map(Map),
}

impl Reader {
    fn message(&mut self, of: &MessageDescriptor, data: Bytes, levels: usize) -> Result<Value, String> {
        let levels = levels.checked_sub(1).ok_or_else(|| format!("it has more than {MAX_LEVELS} levels"))?;
        // Every field is looked at in the end.
        self.nodes.spend_map(of.fields().len())?;
        let (mut found, mut wire) = (FxHashMap::default(), Wire(data));
        while let Some((number, form)) = wire.key()? {
            let Some(field) = of.get_field(number) else {
                wire.skip(number, form, MAX_LEVELS)?;
                continue;
            };
            self.field(&field, form, &mut wire, &mut found, levels)?;
            // Of the fields of a `oneof`, the last one counts.
            for other in field.containing_oneof().iter().flat_map(|group| group.fields()) {
                if other.number() != number {
                    found.remove(&other.number());
                }
            }
        }
        let mut map = Map::new();
        for field in of.fields() {
            let value = match found.remove(&field.number()) {
                Some(found) => self.finish(found, &field.kind(), levels)?,
                None if field.supports_presence() => continue,
                None => {
                    self.nodes.spend()?;
                    absent(&field)
                }
            };
            map.insert(Bytes::copy_from_slice(field.name().as_bytes()), value);
        }
        Ok(Value::map(map))
    }

    /// Reads one occurrence of a field into what was found before.
    fn field(
        &mut self,
        field: &FieldDescriptor,
        form: u8,
        wire: &mut Wire,
        found: &mut FxHashMap<u32, Found>,
        levels: usize,
    ) -> Result<(), String> {
        let (number, kind) = (field.number(), field.kind());
        let entry = found.entry(number);
        if field.is_map() {
            let (key, value) = self.entry(&kind, wire.piece(number, form, field)?, levels)?;
            let Found::Map(map) = entry.or_insert_with(|| Found::Map(Map::new())) else { return Ok(()) };
            map.insert(key, value);
        } else if field.is_list() {
            let Found::List(list) = entry.or_insert_with(|| Found::List(Vec::new())) else { return Ok(()) };
            match &kind {
                Kind::Message(of) => list.push(self.message(of, wire.piece(number, form, field)?, levels)?),
                // Numbers may come all in one piece.
                _ if form == LENGTH && form_of(&kind) != LENGTH => {
                    let mut packed = Wire(wire.piece(number, form, field)?);
                    while packed.0.has_remaining() {
                        list.push(self.scalar(&kind, form_of(&kind), &mut packed, field)?);
                    }
                }
                _ => list.push(self.scalar(&kind, form, wire, field)?),
            }
        } else if let Kind::Message(_) = kind {
            let piece = wire.piece(number, form, field)?;
            let joined = match found.remove(&number) {
                Some(Found::Piece(first)) => {
                    let mut all = BytesMut::from(&first[..]);
                    all.extend_from_slice(&piece);
                    Found::Pieces(all)
                }
                Some(Found::Pieces(mut all)) => {
                    all.extend_from_slice(&piece);
                    Found::Pieces(all)
                }
                _ => Found::Piece(piece),
            };
            found.insert(number, joined);
        } else {
            let value = self.scalar(&kind, form, wire, field)?;
            found.insert(number, Found::Scalar(value));
        }
        Ok(())
    }

    fn finish(&mut self, found: Found, kind: &Kind, levels: usize) -> Result<Value, String> {
        let piece = match found {
            Found::Scalar(value) => return Ok(value),
            Found::List(list) => return Ok(Value::list(list)),
            Found::Map(map) => return Ok(Value::map(map)),
            Found::Piece(piece) => piece,
            Found::Pieces(all) => all.freeze(),
        };
        match kind {
            Kind::Message(of) => self.message(of, piece, levels),
            _ => Err(String::from("a field is no message")),
        }
    }

    /// One entry of a map: a message of a key and a value, both of which may be absent.
    fn entry(&mut self, kind: &Kind, data: Bytes, levels: usize) -> Result<(Bytes, Value), String> {
        let of = kind.as_message().ok_or("a map has no entries")?;
        let Value::Map(entry) = self.message(of, data, levels)? else {
            return Err(String::from("a map has no entries"));
        };
        let (key, value) = (of.map_entry_key_field(), of.map_entry_value_field());
        let key = entry.get(key.name().as_bytes()).cloned().unwrap_or_else(|| absent(&key));
        let value = match (entry.get(value.name().as_bytes()), value.kind()) {
            (Some(value), _) => value.clone(),
            (None, Kind::Message(of)) => self.message(&of, Bytes::new(), levels)?,
            (None, _) => absent(&value),
        };
        Ok((key.text().unwrap_or_default(), value))
    }

    fn scalar(&mut self, kind: &Kind, form: u8, wire: &mut Wire, field: &FieldDescriptor) -> Result<Value, String> {
        self.nodes.spend()?;
        if form != form_of(kind) {
            return Err(misfit(field));
        }
        Ok(match kind {
            Kind::Double => from_float(f64::from_bits(wire.fixed64()?)),
            Kind::Float => from_float(f64::from(f32::from_bits(wire.fixed32()?))),
            Kind::Int32 => Value::Int(i64::from(wire.varint()? as i32)),
            Kind::Int64 => Value::Int(wire.varint()? as i64),
            Kind::Uint32 => Value::Int(i64::from(wire.varint()? as u32)),
            Kind::Uint64 => Value::big(wire.varint()?.into()),
            Kind::Sint32 => Value::Int(i64::from(varint::signed(u64::from(wire.varint()? as u32)) as i32)),
            Kind::Sint64 => Value::Int(varint::signed(wire.varint()?)),
            Kind::Fixed32 => Value::Int(i64::from(wire.fixed32()?)),
            Kind::Fixed64 => Value::big(wire.fixed64()?.into()),
            Kind::Sfixed32 => Value::Int(i64::from(wire.fixed32()? as i32)),
            Kind::Sfixed64 => Value::Int(wire.fixed64()? as i64),
            Kind::Bool => Value::Bool(wire.varint()? != 0),
            Kind::Enum(_) => named(kind, wire.varint()? as i32),
            Kind::Bytes => Value::Str(wire.length()?),
            Kind::String => {
                let text = wire.length()?;
                std::str::from_utf8(&text).map_err(|_| format!("`{}` is not UTF-8", field.full_name()))?;
                Value::Str(text)
            }
            Kind::Message(_) => return Err(misfit(field)),
        })
    }
}

/// The forms in which a field may stand in the data.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const START: u8 = 3;
const END: u8 = 4;
const FIXED32: u8 = 5;

fn form_of(kind: &Kind) -> u8 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => FIXED64,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => FIXED32,
        Kind::String | Kind::Bytes | Kind::Message(_) => LENGTH,
        _ => VARINT,
    }
}

/// The rest of the data.
struct Wire(Bytes);

impl Wire {
    /// Number and form of the next field.
    fn key(&mut self) -> Result<Option<(u32, u8)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        Ok(Some((number.ok_or_else(|| format!("there is no field {}", key >> 3))?, (key & 7) as u8)))
    }

    fn varint(&mut self) -> Result<u64, String> {
        varint::take(&mut self.0)
    }

    fn fixed32(&mut self) -> Result<u32, String> {
        self.0.try_get_u32_le().map_err(|_| early())
    }

    fn fixed64(&mut self) -> Result<u64, String> {
        self.0.try_get_u64_le().map_err(|_| early())
    }

    fn length(&mut self) -> Result<Bytes, String> {
        let length = usize::try_from(self.varint()?).ok().filter(|length| *length <= self.0.len());
        Ok(self.0.split_to(length.ok_or_else(early)?))
    }

    /// The bytes of a message or of packed numbers.
    fn piece(&mut self, number: u32, form: u8, field: &FieldDescriptor) -> Result<Bytes, String> {
        match form {
            LENGTH if !field.is_group() => self.length(),
            START if field.is_group() => self.group(number, MAX_LEVELS),
            _ => Err(misfit(field)),
        }
    }

    fn skip(&mut self, number: u32, form: u8, levels: usize) -> Result<(), String> {
        match form {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            LENGTH => self.length().map(drop),
            START => self.group(number, levels).map(drop),
            FIXED32 => self.fixed32().map(drop),
            _ => Err(format!("field {number} has the form {form}")),
        }
    }

    /// All up to the end of a group, and that end.
    fn group(&mut self, number: u32, levels: usize) -> Result<Bytes, String> {
        let levels = levels.checked_sub(1).ok_or_else(|| format!("it has more than {MAX_LEVELS} levels"))?;
        let mut whole = self.0.clone();
        loop {
            let read = whole.len() - self.0.len();
            match self.key()?.ok_or_else(early)? {
                (end, END) if end == number => return Ok(whole.split_to(read)),
                (other, form) => self.skip(other, form, levels)?,
            }
        }
    }
}

fn early() -> String {
    String::from("the data ends early")
}

fn misfit(field: &FieldDescriptor) -> String {
    format!("`{}` has the form of another type", field.full_name())
}

/// What stands for a field that is not there and cannot say so.
fn absent(field: &FieldDescriptor) -> Value {
    match field.default_value() {
        Field::Bool(value) => Value::Bool(value),
        Field::I32(number) => Value::Int(i64::from(number)),
        Field::I64(number) => Value::Int(number),
        Field::U32(number) => Value::Int(i64::from(number)),
        Field::U64(number) => Value::big(number.into()),
        Field::F32(number) => from_float(f64::from(number)),
        Field::F64(number) => from_float(number),
        Field::String(text) => Value::str(&text),
        Field::Bytes(bytes) => Value::Str(bytes),
        Field::EnumNumber(number) => named(&field.kind(), number),
        Field::List(_) => Value::list(Vec::new()),
        Field::Map(_) | Field::Message(_) => Value::map(Map::new()),
    }
}

fn named(kind: &Kind, number: i32) -> Value {
    let name = kind.as_enum().and_then(|of| of.get_value(number).map(|value| Value::str(value.name())));
    name.unwrap_or(Value::Int(i64::from(number)))
}

/// What no value can be has a symbol, as in EMQX.
fn from_float(number: f64) -> Value {
    Value::float(number).unwrap_or_else(|| {
        Value::sym(if number.is_nan() {
            "nan"
        } else if number > 0.0 {
            "infinity"
        } else {
            "-infinity"
        })
    })
}
