//! `[schema_registry]`: EMQX's section of the same name. Reads the files that it names, and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::units::Secret;

/// Longest source of a schema, in bytes.
const MAX_SOURCE: u64 = 1 << 20;

/// What stands before a path instead of a schema's text.
const FILE: &str = "file://";

/// `[schema_registry]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchemaRegistryConfig {
    /// By the name that rules use.
    pub schemas: BTreeMap<String, SchemaConfig>,
    /// Registries elsewhere, by the name that rules use.
    pub external: BTreeMap<String, ExternalConfig>,
    pub sparkplugb: SparkplugConfig,
}

/// `[schema_registry.sparkplugb]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SparkplugConfig {
    /// Whether `spb_decode` gives metrics that have only an alias the names that births gave them.
    pub enable_alias_mapping: bool,
}

impl Default for SparkplugConfig {
    fn default() -> SparkplugConfig {
        SparkplugConfig { enable_alias_mapping: true }
    }
}

/// `[schema_registry.schemas.NAME]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaConfig {
    #[serde(rename = "type")]
    pub kind: SchemaKind,
    /// The schema, or `file://PATH`; a Protobuf file may import others from its folder.
    pub source: String,
    #[serde(default)]
    pub description: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaKind {
    Avro,
    Protobuf,
    Json,
}

/// `[schema_registry.external.NAME]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalConfig {
    /// Only `confluent` so far, as in EMQX.
    #[serde(rename = "type", default)]
    pub kind: ExternalKind,
    /// `http://HOST:PORT` or `https://HOST:PORT`, and a path if there is one.
    pub url: String,
    /// Basic authentication; without it, none.
    pub auth: Option<Authentication>,
    /// Certificates (PEM) that an https server's must come from; those of the system by default.
    pub cacertfile: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalKind {
    #[default]
    Confluent,
}

/// `auth`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authentication {
    #[serde(default)]
    pub mechanism: Mechanism,
    pub username: String,
    pub password: Secret,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    #[default]
    Basic,
}

impl SchemaConfig {
    /// The schema's text, and the folder that it lies in if it is a file.
    pub(super) fn read(&self) -> Result<(String, Option<PathBuf>), String> {
        let Some(path) = self.source.strip_prefix(FILE).map(Path::new) else { return Ok((self.source.clone(), None)) };
        let unreadable = |error: std::io::Error| format!("cannot read the schema from `{}`: {error}", path.display());
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > MAX_SOURCE {
            return Err(format!("`{}` has {size} bytes; a schema has at most {MAX_SOURCE}", path.display()));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Ok((text, path.parent().map(Path::to_path_buf)))
    }
}
