//! Values to bytes and back by a schema that the configuration or a registry holds. The world has the schemas; here are
//! the functions over them.

use bytes::Bytes;

use super::args::{bytes, count, utf8};
use super::{Fault, Function};
use crate::rule::World;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::with_world(
        2..=3,
        "schema_encode(schema, any[, message]) -> text",
        "The bytes of a value by a schema of the configuration: Avro, JSON Schema, or Protobuf, for which the message has to \
         be named.",
        &[("schema_encode('nothing', map_new())", "!"), ("schema_encode(1, map_new())", "!")],
        |world, args| {
            let (schema, message) = (name(args, 0)?, message(args, 2)?);
            world.schemas().encode(schema, &args[1], message).map(Value::Str).map_err(Fault::failed)
        },
    ),
    Function::with_world(
        2..=3,
        "schema_decode(schema, text[, message]) -> any",
        "The value of bytes by a schema of the configuration. For Protobuf, the message has to be named.",
        &[("schema_decode('nothing', 'abc')", "!"), ("schema_decode('nothing', map_new())", "!")],
        |world, args| {
            let (schema, data, message) = (name(args, 0)?, bytes(args, 1)?, message(args, 2)?);
            world.schemas().decode(schema, data, message).map_err(Fault::failed)
        },
    ),
    Function::with_world(
        2..=3,
        "schema_check(schema, text or map[, message]) -> bool",
        "Whether text can be decoded, or a map encoded, by a schema of the configuration.",
        &[("schema_check('nothing', 'abc')", "!"), ("schema_check('nothing', 1)", "!")],
        check,
    ),
    Function::with_world(
        3..=3,
        "avro_encode(registry, any, id) -> text",
        "The bytes of a value by the Avro or JSON schema with this id in an external registry, without a tag.",
        &[("avro_encode('nothing', map_new(), 1)", "!"), ("avro_encode('nothing', map_new(), 'one')", "!")],
        |world, args| {
            let (registry, id) = (name(args, 0)?, id(args, 2)?);
            world.schemas().registry_encode(registry, id, &args[1]).map(Value::Str).map_err(Fault::failed)
        },
    ),
    Function::with_world(
        2..=3,
        "avro_decode(registry, text[, id]) -> any",
        "The value of bytes, without a tag, by the Avro or JSON schema with this id in an external registry; without an id, \
         of bytes with a tag.",
        &[("avro_decode('nothing', 'abc', 1)", "!"), ("avro_decode('nothing', 'abc', -1)", "!")],
        registry_decode,
    ),
    Function::with_world(
        4..=5,
        "schema_encode_and_tag(schema, registry, any, subject[, message]) -> text",
        "The bytes of a value by a schema of the configuration, behind the tag that readers with a registry expect: a zero \
         byte and the 4 bytes of the id that this schema has under the subject in the registry, where it is registered if \
         it was not. For Protobuf, the message has to be named, and the tag says which it is.",
        &[("schema_encode_and_tag('nothing', 'nothing', map_new(), 't-value')", "!")],
        |world, args| {
            let (schema, registry, subject) = (name(args, 0)?, name(args, 1)?, name(args, 3)?);
            let tagged = world.schemas().encode_and_tag(schema, registry, &args[2], subject, message(args, 4)?);
            tagged.map(Value::Str).map_err(Fault::failed)
        },
    ),
    Function::with_world(
        2..=3,
        "schema_decode_tagged(registry, text[, id]) -> any",
        "The value of bytes behind such a tag, by the schema that the tag names; with an id, of bytes without a tag.",
        &[("schema_decode_tagged('nothing', 'abc')", "!"), ("schema_decode_tagged('nothing', 1)", "!")],
        registry_decode,
    ),
];

fn name(args: &[Value], at: usize) -> Result<&str, Fault> {
    utf8(bytes(args, at)?)
}

fn id(args: &[Value], at: usize) -> Result<u32, Fault> {
    u32::try_from(count(args, at, 0)?).map_err(|_| Fault::argument(args, at, "a schema id of 32 bits"))
}

pub(super) fn message(args: &[Value], at: usize) -> Result<Option<&str>, Fault> {
    if args.len() > at { name(args, at).map(Some) } else { Ok(None) }
}

fn registry_decode(world: &dyn World, args: &[Value]) -> Result<Value, Fault> {
    let (registry, data) = (name(args, 0)?, bytes(args, 1)?);
    let decoded = match args.len() {
        2 => world.schemas().decode_tagged(registry, data),
        _ => world.schemas().registry_decode(registry, id(args, 2)?, data),
    };
    decoded.map_err(Fault::failed)
}

/// False is about the data; what is wrong with the call raises.
fn check(world: &dyn World, args: &[Value]) -> Result<Value, Fault> {
    let (schema, message, schemas) = (name(args, 0)?, message(args, 2)?, world.schemas());
    if let Some(missing) = schemas.missing(schema) {
        return Err(Fault::failed(missing));
    }
    let fits = match &args[1] {
        Value::Str(data) => schemas.decode(schema, data, message).map(drop),
        Value::Map(_) => schemas.encode(schema, &args[1], message).map(|_: Bytes| ()),
        _ => return Err(Fault::argument(args, 1, "text or a map")),
    };
    Ok(Value::Bool(fits.is_ok()))
}
