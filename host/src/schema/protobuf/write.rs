//! From values to Protobuf's bytes.

use std::collections::HashMap;

use num_traits::ToPrimitive;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value as Field};

use super::super::{MAX_DATA, describe};
use super::Protobuf;
use crate::value::Value;

impl Protobuf {
    pub(in super::super) fn encode(&self, value: &Value, message: &MessageDescriptor) -> Result<Vec<u8>, String> {
        let message = to_message(value, message.clone())?;
        if message.encoded_len() > MAX_DATA {
            return Err(format!("the data is longer than {MAX_DATA} bytes"));
        }
        Ok(message.encode_to_vec())
    }
}

fn to_message(value: &Value, of: MessageDescriptor) -> Result<DynamicMessage, String> {
    let Value::Map(map) = value else {
        return Err(format!("expected a map for the message `{}`, found {}", of.full_name(), describe(value)));
    };
    let mut message = DynamicMessage::new(of.clone());
    for (key, value) in map.iter() {
        let name = String::from_utf8_lossy(key);
        let field = of.get_field_by_name(&name);
        let field = field.ok_or_else(|| format!("the message `{}` has no field `{name:.100}`", of.full_name()))?;
        // Nothing and null are the absence of a field.
        if matches!(value, Value::Undefined | Value::Null) {
            continue;
        }
        let others = field.containing_oneof();
        if let Some(other) = others.iter().flat_map(|group| group.fields()).find(|other| message.has_field(other)) {
            return Err(format!("`{}` and `{}` exclude each other", other.full_name(), field.full_name()));
        }
        message.set_field(&field, to_field(value, &field)?);
    }
    if let Some(missing) = of.fields().find(|field| field.is_required() && !message.has_field(field)) {
        return Err(format!("the required field `{}` of `{}` is missing", missing.name(), of.full_name()));
    }
    Ok(message)
}

fn to_field(value: &Value, field: &FieldDescriptor) -> Result<Field, String> {
    let misfit = |expected: &str| format!("`{}`: expected {expected}, found {}", field.full_name(), describe(value));
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let Value::Map(map) = value else { return Err(misfit("a map")) };
        let (of_key, of_value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        let mut entries = HashMap::new();
        for (key, value) in map.iter() {
            let key = to_key(key, &of_key.kind()).ok_or_else(|| misfit("keys of the map's type"))?;
            entries.insert(key, to_single(value, &of_value)?);
        }
        return Ok(Field::Map(entries));
    }
    if field.is_list() {
        let Value::List(items) = value else { return Err(misfit("a list")) };
        return Ok(Field::List(items.iter().map(|item| to_single(item, field)).collect::<Result<_, _>>()?));
    }
    to_single(value, field)
}

fn to_key(key: &[u8], kind: &Kind) -> Option<MapKey> {
    let text = std::str::from_utf8(key).ok()?;
    Some(match kind {
        Kind::String => MapKey::String(text.to_owned()),
        Kind::Bool => MapKey::Bool(text.parse().ok()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(text.parse().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(text.parse().ok()?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(text.parse().ok()?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(text.parse().ok()?),
        _ => return None,
    })
}

fn to_single(value: &Value, field: &FieldDescriptor) -> Result<Field, String> {
    let misfit = |expected: &str| format!("`{}`: expected {expected}, found {}", field.full_name(), describe(value));
    let big = value.to_big();
    let field = match field.kind() {
        Kind::Message(of) => return to_message(value, of).map(Field::Message),
        Kind::Enum(of) => {
            let number = match value {
                Value::Int(number) => i32::try_from(*number).ok(),
                Value::Str(name) => {
                    std::str::from_utf8(name).ok().and_then(|name| Some(of.get_value_by_name(name)?.number()))
                }
                other => other.spelling().and_then(|name| Some(of.get_value_by_name(name)?.number())),
            };
            number.map(Field::EnumNumber).ok_or_else(|| misfit(&format!("a name of the enum `{}`", of.full_name())))?
        }
        Kind::Bool => match value {
            Value::Bool(value) => Field::Bool(*value),
            _ => return Err(misfit("a boolean")),
        },
        Kind::String => match value {
            Value::Str(text) => match std::str::from_utf8(text) {
                Ok(text) => Field::String(text.to_owned()),
                Err(_) => return Err(misfit("text in UTF-8")),
            },
            Value::Sym(word) => Field::String(word.to_string()),
            _ => return Err(misfit("text")),
        },
        Kind::Bytes => match value {
            Value::Str(bytes) => Field::Bytes(bytes.clone()),
            _ => return Err(misfit("text")),
        },
        Kind::Float => Field::F32(to_float(value).ok_or_else(|| misfit("a number"))? as f32),
        Kind::Double => Field::F64(to_float(value).ok_or_else(|| misfit("a number"))?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Field::I32(big.and_then(|n| n.to_i32()).ok_or_else(|| misfit("an integer of 32 bits"))?)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Field::I64(big.and_then(|n| n.to_i64()).ok_or_else(|| misfit("an integer of 64 bits"))?)
        }
        Kind::Uint32 | Kind::Fixed32 => {
            Field::U32(big.and_then(|n| n.to_u32()).ok_or_else(|| misfit("an integer of 32 bits without a sign"))?)
        }
        Kind::Uint64 | Kind::Fixed64 => {
            Field::U64(big.and_then(|n| n.to_u64()).ok_or_else(|| misfit("an integer of 64 bits without a sign"))?)
        }
    };
    Ok(field)
}

fn to_float(value: &Value) -> Option<f64> {
    match value.spelling() {
        Some("infinity") => Some(f64::INFINITY),
        Some("-infinity") => Some(f64::NEG_INFINITY),
        Some("nan") => Some(f64::NAN),
        _ => value.to_float(),
    }
}
