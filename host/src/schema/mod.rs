//! Schemas for binary payloads, under EMQX's names: Avro, Protobuf and JSON Schema, from the configuration and from a
//! Confluent-compatible registry, and Sparkplug B.
//!
//! All that the configuration holds is compiled when it is loaded; a bad one is an error with its place. Reading data is
//! bounded in depth and in values, whatever its lengths claim. Nothing here knows a rule or a message.

mod avro;
mod config;
mod frame;
mod http;
mod json;
mod protobuf;
mod registry;
mod sparkplug;
mod varint;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::value::Value;
use avro::Avro;
pub use config::{Authentication, ExternalConfig, SchemaConfig, SchemaKind, SchemaRegistryConfig};
use json::Json;
use protobuf::Protobuf;
use registry::Registry;

/// Values of one piece of data, and its levels.
const MAX_NODES: usize = 1 << 20;
const MAX_LEVELS: usize = 100;
/// Longest data that is read or written, in bytes.
const MAX_DATA: usize = 16 << 20;

/// What a map costs, in values: one of a single entry is a node with room for eleven.
const MAP_COST: usize = 8;

/// Everything that `schema_encode` and its kin may name.
#[derive(Default)]
pub struct Schemas {
    compiled: BTreeMap<String, Sourced>,
    registries: BTreeMap<String, Registry>,
}

/// A schema of the configuration.
struct Sourced {
    kind: SchemaKind,
    source: Arc<str>,
    schema: Schema,
}

impl Sourced {
    fn compile(config: &SchemaConfig) -> Result<Sourced, String> {
        let (source, folder) = config.read()?;
        let schema = Schema::compile(config.kind, &source, folder.as_deref())?;
        Ok(Sourced { kind: config.kind, source: source.into(), schema })
    }
}

enum Schema {
    Avro(Avro),
    Protobuf(Protobuf),
    Json(Box<Json>),
}

impl Schema {
    /// `folder` is where a Protobuf source may import from.
    fn compile(kind: SchemaKind, source: &str, folder: Option<&Path>) -> Result<Schema, String> {
        Ok(match kind {
            SchemaKind::Avro => Schema::Avro(Avro::compile(source)?),
            SchemaKind::Protobuf => Schema::Protobuf(Protobuf::compile(source, folder)?),
            SchemaKind::Json => Schema::Json(Box::new(Json::compile(source)?)),
        })
    }

    fn encode(&self, value: &Value, message: Option<&str>) -> Result<Vec<u8>, String> {
        fits(value)?;
        match (self, message) {
            (Schema::Avro(avro), None) => avro.encode(value),
            (Schema::Json(json), None) => json.encode(value),
            (Schema::Protobuf(protobuf), Some(message)) => protobuf.encode(value, &protobuf.message(message)?),
            _ => Err(self.arity()),
        }
    }

    fn decode(&self, data: &Bytes, message: Option<&str>) -> Result<Value, String> {
        short_enough(data)?;
        match (self, message) {
            (Schema::Avro(avro), None) => avro.decode(data),
            (Schema::Json(json), None) => json.decode(data),
            (Schema::Protobuf(protobuf), Some(message)) => protobuf.decode(data, &protobuf.message(message)?),
            _ => Err(self.arity()),
        }
    }

    fn arity(&self) -> String {
        String::from(match self {
            Schema::Protobuf(_) => "a Protobuf schema needs the name of the message as a further argument",
            _ => "only a Protobuf schema takes the name of a message",
        })
    }
}

impl Schemas {
    /// Compiles the schemas of a configuration; registries are not asked anything yet. What `running` has learned from a
    /// registry whose settings are the same is kept.
    ///
    /// # Errors
    /// What is wrong, by key within the section.
    pub fn compile(config: &SchemaRegistryConfig, running: Option<&Schemas>) -> Result<Schemas, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let mut schemas = Schemas::default();
        for (name, schema) in &config.schemas {
            match Sourced::compile(schema) {
                Ok(compiled) => drop(schemas.compiled.insert(name.clone(), compiled)),
                Err(problem) => problems.push((format!("schemas.{name}.source"), problem)),
            }
        }
        for (name, external) in &config.external {
            let known =
                running.and_then(|running| running.registries.get(name)).filter(|known| known.is_from(external));
            match known.cloned().map_or_else(|| Registry::new(name, external), Ok) {
                Ok(registry) => drop(schemas.registries.insert(name.clone(), registry)),
                Err((key, problem)) => problems.push((format!("external.{name}.{key}"), problem)),
            }
        }
        if problems.is_empty() { Ok(schemas) } else { Err(problems) }
    }

    /// The names of the schemas of the configuration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.compiled.keys().map(String::as_str)
    }

    /// The complaint about a name that no schema of the configuration has.
    #[must_use]
    pub fn missing(&self, name: &str) -> Option<String> {
        self.schema(name).err()
    }

    fn schema(&self, name: &str) -> Result<&Sourced, String> {
        self.compiled
            .get(name)
            .ok_or_else(|| format!("there is no schema `{name}` (serde_not_found); see [schema_registry.schemas.NAME]"))
    }

    fn registry(&self, name: &str) -> Result<&Registry, String> {
        let missing = || format!("there is no schema registry `{name}`; see [schema_registry.external.NAME]");
        self.registries.get(name).ok_or_else(missing)
    }

    /// The bytes of a value. `message` names the message of a Protobuf schema, and only there must it be given.
    ///
    /// # Errors
    /// There is no such schema, or the value does not fit it.
    pub fn encode(&self, schema: &str, value: &Value, message: Option<&str>) -> Result<Bytes, String> {
        self.schema(schema)?.schema.encode(value, message).map(Bytes::from)
    }

    /// The value of the bytes. `message` is as for [`Schemas::encode`].
    ///
    /// # Errors
    /// There is no such schema, or the data is not its.
    pub fn decode(&self, schema: &str, data: &Bytes, message: Option<&str>) -> Result<Value, String> {
        self.schema(schema)?.schema.decode(data, message)
    }

    /// The bytes of a Sparkplug B message, `Payload` if no other is named.
    ///
    /// # Errors
    /// There is no such message, or the value does not fit it.
    pub fn sparkplug_encode(&self, value: &Value, message: Option<&str>) -> Result<Bytes, String> {
        sparkplug::schema()?.encode(value, Some(message.unwrap_or("Payload"))).map(Bytes::from)
    }

    /// The value of a Sparkplug B message.
    ///
    /// # Errors
    /// There is no such message, or the data is not its.
    pub fn sparkplug_decode(&self, data: &Bytes, message: Option<&str>) -> Result<Value, String> {
        sparkplug::schema()?.decode(data, Some(message.unwrap_or("Payload")))
    }

    /// The bytes of a value by the schema of this id in an external registry; not for Protobuf.
    ///
    /// # Errors
    /// The registry does not give the schema (in time), or the value does not fit it.
    pub fn registry_encode(&self, registry: &str, id: u32, value: &Value) -> Result<Bytes, String> {
        self.registry(registry)?.by_id(id)?.encode(value, None).map(Bytes::from)
    }

    /// The value of bytes by the schema of this id in an external registry; not for Protobuf.
    ///
    /// # Errors
    /// The registry does not give the schema (in time), or the data is not its.
    pub fn registry_decode(&self, registry: &str, id: u32, data: &Bytes) -> Result<Value, String> {
        self.registry(registry)?.by_id(id)?.decode(data, None)
    }

    /// The bytes of a value by a schema of the configuration, behind the tag with the id that this schema has under
    /// `subject` in an external registry, where it is registered if it was not. `message` is as for [`Schemas::encode`].
    ///
    /// # Errors
    /// As for [`Schemas::encode`], or the registry does not give the id (in time).
    pub fn encode_and_tag(
        &self,
        schema: &str,
        registry: &str,
        value: &Value,
        subject: &str,
        message: Option<&str>,
    ) -> Result<Bytes, String> {
        let (registry, sourced) = (self.registry(registry)?, self.schema(schema)?);
        // First, because what does not fit need not be registered.
        let body = sourced.schema.encode(value, message)?;
        let way = match (&sourced.schema, message) {
            (Schema::Protobuf(protobuf), Some(message)) => Some(protobuf.way_to(&protobuf.message(message)?)?),
            _ => None,
        };
        let mut out = frame::tag(registry.id_of(subject, sourced)?, way.as_deref());
        out.extend_from_slice(&body);
        Ok(out.into())
    }

    /// The value of bytes behind a tag, by the schema that it names.
    ///
    /// # Errors
    /// There is no tag; or as for [`Schemas::registry_decode`].
    pub fn decode_tagged(&self, registry: &str, data: &Bytes) -> Result<Value, String> {
        let registry = self.registry(registry)?;
        let (id, mut body) = frame::open(data)?;
        match &*registry.by_id(id)? {
            Schema::Protobuf(protobuf) => {
                short_enough(&body)?;
                let message = protobuf.message_at(&frame::take_way(&mut body)?)?;
                protobuf.decode(&body, &message)
            }
            schema => schema.decode(&body, None),
        }
    }
}

/// How many values reading one piece of data may still give.
struct Nodes(usize);

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes(MAX_NODES)
    }
}

impl Nodes {
    fn spend(&mut self) -> Result<(), String> {
        self.spend_many(1)
    }

    /// For a map of a type with this many fields.
    fn spend_map(&mut self, fields: usize) -> Result<(), String> {
        self.spend_many(MAP_COST + fields / MAP_COST)
    }

    fn spend_many(&mut self, values: usize) -> Result<(), String> {
        self.0 = self.0.checked_sub(values).ok_or_else(|| format!("the data has more than {MAX_NODES} values"))?;
        Ok(())
    }
}

fn fits(value: &Value) -> Result<(), String> {
    if value.fits(MAX_NODES, MAX_LEVELS) { Ok(()) } else { Err(String::from("the value is too large or too deep")) }
}

fn short_enough(data: &Bytes) -> Result<(), String> {
    if data.len() <= MAX_DATA { Ok(()) } else { Err(format!("the data is longer than {MAX_DATA} bytes")) }
}

/// A value for a person: its kind, and its beginning if it is short.
fn describe(value: &Value) -> String {
    match value {
        Value::Int(n) => format!("the integer {n}"),
        Value::Str(text) if text.len() <= 40 => format!("the text '{}'", String::from_utf8_lossy(text)),
        other => format!("{} {}", if other.kind() == "integer" { "an" } else { "a" }, other.kind()),
    }
}
