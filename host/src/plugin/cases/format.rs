//! The file of cases, as `plugins/README.md` describes it. Unknown keys are errors.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::super::LimitsConfig;
use crate::message::{Client, ClientId, Message, MessageId, Properties, ProtocolVersion, QoS, Record};
use crate::topic::TopicName;
use crate::value::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    pub(super) config: Option<Json>,
    #[serde(default)]
    pub(super) limits: LimitsConfig,
    pub(super) cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    /// Instead of the file's.
    pub(super) config: Option<Json>,
    pub(super) message: Option<MessageCase>,
    pub(super) call: Option<Call>,
    #[serde(default)]
    pub(super) args: Vec<Json>,
    pub(super) expect: Expect,
}

/// The name of a function.
pub(super) type Call = String;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expect {
    Keep,
    Replace(Vec<RecordCase>),
    /// The reason contains this.
    Drop(String),
    Refuse(String),
    /// The kind of failure, like `trap` or `deadline`.
    Failed(String),
    /// What a function returns.
    Value(Json),
    /// What a function's error contains.
    Error(String),
    /// What the error of `init` contains.
    InitError(String),
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Keep => f.write_str("keep"),
            Expect::Replace(records) => write!(f, "replace by {} records", records.len()),
            Expect::Drop(text) => write!(f, "drop with `{text}`"),
            Expect::Refuse(text) => write!(f, "refuse with `{text}`"),
            Expect::Failed(kind) => write!(f, "a failure ({kind})"),
            Expect::Value(value) => write!(f, "{value}"),
            Expect::Error(text) => write!(f, "the error `{text}`"),
            Expect::InitError(text) => write!(f, "init to fail with `{text}`"),
        }
    }
}

/// Bytes: text, `{"hex": "00ff"}` or `{"json": {...}}`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Blob {
    Text(String),
    Hex { hex: String },
    Json { json: Json },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageCase {
    #[serde(default)]
    value: Option<Blob>,
    #[serde(default)]
    key: Option<Blob>,
    #[serde(default = "topic")]
    topic: String,
    #[serde(default)]
    headers: Vec<(String, Option<Blob>)>,
    timestamp: Option<i64>,
    #[serde(default = "rule")]
    pub(super) rule: String,
    #[serde(default = "mqtt_topic")]
    mqtt_topic: String,
    #[serde(default = "client_id")]
    client_id: String,
    username: Option<String>,
    #[serde(default = "peer")]
    peer: String,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    user_properties: Vec<(String, String)>,
}

/// What a record should be; what is not given should be as it was in the message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordCase {
    topic: Option<String>,
    #[serde(default, deserialize_with = "given")]
    key: Option<Option<Blob>>,
    #[serde(default, deserialize_with = "given")]
    value: Option<Option<Blob>>,
    headers: Option<Vec<(String, Option<Blob>)>>,
    #[serde(default, deserialize_with = "given")]
    timestamp: Option<Option<i64>>,
}

/// Tells `null` from absent.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn topic() -> String {
    "out".into()
}

fn rule() -> String {
    "test".into()
}

fn mqtt_topic() -> String {
    "t/1".into()
}

fn client_id() -> String {
    "client".into()
}

fn peer() -> String {
    "127.0.0.1:50000".into()
}

impl Blob {
    fn bytes(&self) -> Result<Bytes, String> {
        match self {
            Blob::Text(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            Blob::Json { json } => Ok(json.to_string().into()),
            Blob::Hex { hex } => from_hex(hex),
        }
    }

    /// JSON is compared as JSON, all else byte by byte.
    fn equals(&self, got: &[u8]) -> Result<bool, String> {
        match self {
            Blob::Json { json } => {
                let parse = |text: &[u8]| Value::from_json(text).ok();
                Ok(parse(got)
                    .zip(parse(json.to_string().as_bytes()))
                    .is_some_and(|(got, expected)| got.loose_eq(&expected)))
            }
            _ => Ok(*self.bytes()? == *got),
        }
    }

    fn optional(blob: &Option<Blob>) -> Result<Option<Bytes>, String> {
        blob.as_ref().map(Blob::bytes).transpose()
    }

    fn optional_equals(expected: &Option<Blob>, got: &Option<Bytes>) -> Result<bool, String> {
        match (expected, got) {
            (None, None) => Ok(true),
            (Some(expected), Some(got)) => expected.equals(got),
            _ => Ok(false),
        }
    }
}

fn from_hex(text: &str) -> Result<Bytes, String> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(|| format!("`{text}` is not hexadecimal"));
    if !digits.len().is_multiple_of(2) {
        return Err(format!("`{text}` has an odd number of digits"));
    }
    digits.chunks_exact(2).map(|pair| Ok((digit(pair[0])? << 4 | digit(pair[1])?) as u8)).collect()
}

impl MessageCase {
    pub(super) fn message(&self) -> Result<Message, String> {
        let client = Client {
            id: ClientId::new(&self.client_id),
            username: self.username.as_deref().map(Arc::from),
            peer: self.peer.parse().map_err(|e| format!("peer `{}`: {e}", self.peer))?,
            version: ProtocolVersion::V5,
            attrs: BTreeMap::new(),
            hops: 0,
        };
        let properties = Properties { user_properties: self.user_properties.clone(), ..Properties::default() };
        Ok(Message {
            id: MessageId::next(0),
            client: Arc::new(client),
            topic: TopicName::new(&self.mqtt_topic).map_err(|e| format!("mqtt_topic `{}`: {e}", self.mqtt_topic))?,
            payload: Bytes::new(),
            qos: QoS::from_u8(self.qos).ok_or_else(|| format!("qos {} is not 0, 1 or 2", self.qos))?,
            retain: self.retain,
            dup: false,
            properties: (!self.user_properties.is_empty()).then(|| Box::new(properties)),
            received_at: 0,
        })
    }

    pub(super) fn record(&self) -> Result<Record, String> {
        Ok(Record {
            topic: self.topic.as_str().into(),
            key: Blob::optional(&self.key)?,
            value: Blob::optional(&self.value)?,
            headers: self
                .headers
                .iter()
                .map(|(name, value)| Ok((name.as_str().into(), Blob::optional(value)?)))
                .collect::<Result<_, String>>()?,
            timestamp: self.timestamp,
        })
    }
}

impl RecordCase {
    /// What is different from the expected, if anything.
    pub(super) fn difference(&self, before: &Record, got: &Record) -> Result<Option<String>, String> {
        let topic = self.topic.as_deref().unwrap_or(&before.topic);
        if *got.topic != *topic {
            return Ok(Some(format!("expected the topic `{topic}`, got `{}`", got.topic)));
        }
        let fields = [("key", &self.key, &before.key, &got.key), ("value", &self.value, &before.value, &got.value)];
        for (name, expected, before, got) in fields {
            let same =
                expected.as_ref().map_or_else(|| Ok(before == got), |expected| Blob::optional_equals(expected, got))?;
            if !same {
                return Ok(Some(format!("the {name} is {}, not as expected", shown(got))));
            }
        }
        let same = match &self.headers {
            None => before.headers == got.headers,
            Some(expected) if expected.len() != got.headers.len() => false,
            Some(expected) => expected
                .iter()
                .zip(&got.headers)
                .map(|(expected, got)| Ok(*expected.0 == *got.0 && Blob::optional_equals(&expected.1, &got.1)?))
                .collect::<Result<Vec<bool>, String>>()?
                .into_iter()
                .all(|same| same),
        };
        if !same {
            let headers: Vec<String> =
                got.headers.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect();
            return Ok(Some(format!("the headers are [{}], not as expected", headers.join(", "))));
        }
        let timestamp = self.timestamp.unwrap_or(before.timestamp);
        let wrong = format!("expected the timestamp {timestamp:?}, got {:?}", got.timestamp);
        Ok((timestamp != got.timestamp).then_some(wrong))
    }
}

fn shown(bytes: &Option<Bytes>) -> String {
    match bytes {
        None => "null".into(),
        Some(bytes) => format!("`{}`", bytes.escape_ascii()),
    }
}

/// A function's argument or result: JSON, where `{"hex": "00ff"}` stands for bytes and `{"undefined": true}` for nothing.
pub(super) fn argument(json: &Json) -> Result<Value, String> {
    let special = json.as_object().filter(|object| object.len() == 1);
    if let Some(hex) = special.and_then(|object| object.get("hex")).and_then(Json::as_str) {
        return Ok(Value::Str(from_hex(hex)?));
    }
    if special.and_then(|object| object.get("undefined")) == Some(&Json::Bool(true)) {
        return Ok(Value::Undefined);
    }
    Value::from_json(json.to_string().as_bytes()).map_err(|e| e.to_string())
}
