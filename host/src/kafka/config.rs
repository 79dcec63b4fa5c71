//! Connectors and actions as a configuration says them, with EMQX's names; each checked value has one meaning here.
//!
//! A field of EMQX that Millstream cannot honour yet is refused by name ([`ConnectorConfig::check`],
//! [`ActionConfig::check`]), never accepted and ignored.

use serde::Deserialize;

use crate::units::{ByteSize, Millis, Secret};

/// Which schema a connector or action follows; the code below is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProducerType {
    KafkaProducer,
    ConfluentProducer,
}

/// How to reach one Kafka cluster.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorConfig {
    #[serde(rename = "type")]
    pub kind: ProducerType,
    #[serde(default = "yes")]
    pub enable: bool,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<String>,
    /// `host:port`, separated by commas; the port defaults to 9092.
    pub bootstrap_hosts: String,
    /// TCP connect with TLS and SASL. 1 s to 1000 s.
    #[serde(default = "seconds::<5>")]
    pub connect_timeout: Millis,
    #[serde(default = "seconds::<3>")]
    pub min_metadata_refresh_interval: Millis,
    #[serde(default = "seconds::<5>")]
    pub metadata_request_timeout: Millis,
    #[serde(default = "seconds::<30>")]
    pub request_timeout: Millis,
    #[serde(default)]
    pub authentication: Authentication,
    #[serde(default)]
    pub socket_opts: SocketOpts,
    /// A topic whose metadata must be readable for the connector to count as connected.
    pub health_check_topic: Option<String>,
    #[serde(default)]
    pub allow_auto_topic_creation: bool,
    /// TLS; off for `kafka_producer`, on for `confluent_producer` when absent.
    pub ssl: Option<Ssl>,
    #[serde(default)]
    pub resource_opts: ResourceOpts,
}

/// `"none"`, or user name and password.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Authentication {
    #[default]
    None,
    Password(PasswordAuthentication),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordAuthentication {
    #[serde(default)]
    pub mechanism: Mechanism,
    pub username: String,
    pub password: Secret,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    #[default]
    Plain,
    #[serde(rename = "scram_sha_256")]
    ScramSha256,
    #[serde(rename = "scram_sha_512")]
    ScramSha512,
}

impl<'de> Deserialize<'de> for Authentication {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Authentication, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Authentication;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"none\" or a table with `mechanism` (plain, scram_sha_256, scram_sha_512), `username` and `password`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Authentication, E> {
                match text {
                    "none" => Ok(Authentication::None),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Other("another word"), &self)),
                }
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Authentication, A::Error> {
                PasswordAuthentication::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(Authentication::Password)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SocketOpts {
    pub sndbuf: ByteSize,
    pub recbuf: ByteSize,
    pub nodelay: bool,
    /// `none`, or anything else for the system's own keep-alive times.
    pub tcp_keepalive: String,
}

impl Default for SocketOpts {
    fn default() -> SocketOpts {
        SocketOpts {
            sndbuf: ByteSize::mib(1),
            recbuf: ByteSize::mib(1),
            nodelay: true,
            tcp_keepalive: "none".to_owned(),
        }
    }
}

/// TLS towards Kafka. Unlike in EMQX the server is verified unless told otherwise.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ssl {
    #[serde(default = "yes")]
    pub enable: bool,
    /// PEM file of the authorities to trust; absent: those of the operating system.
    pub cacertfile: Option<String>,
    pub certfile: Option<String>,
    pub keyfile: Option<String>,
    /// Of the key file.
    pub password: Option<Secret>,
    #[serde(default)]
    pub verify: Verify,
    /// Only `auto`: each broker's own host name.
    #[serde(default = "auto")]
    pub server_name_indication: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    #[default]
    VerifyPeer,
    VerifyNone,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceOpts {
    pub health_check_interval: Millis,
    pub health_check_timeout: Millis,
}

impl Default for ResourceOpts {
    fn default() -> ResourceOpts {
        ResourceOpts { health_check_interval: Millis::from_secs(15), health_check_timeout: Millis::from_secs(60) }
    }
}

/// When the device is told that its message is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckLevel {
    /// It is queued in memory.
    Received,
    /// It is on disk.
    Persisted,
    /// Kafka answered as `required_acks` asks.
    #[default]
    Delivered,
}

/// What to do with a record that finds the buffer full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// Keep it unacknowledged; its client's socket is not read while too much of that client waits.
    #[default]
    Block,
    /// Refuse it: 0x97 in MQTT 5.
    Reject,
    DropOldest,
    DropNewest,
}

/// What a rule writes where.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionConfig {
    #[serde(rename = "type")]
    pub kind: ProducerType,
    pub connector: String,
    #[serde(default = "yes")]
    pub enable: bool,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<String>,
    /// Absent: what `parameters.query_mode` says, and `delivered` without that.
    pub ack: Option<AckLevel>,
    #[serde(default)]
    pub on_full: OnFull,
    pub parameters: Parameters,
    #[serde(default)]
    pub resource_opts: ResourceOpts,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Template; without a placeholder it is a fixed topic.
    pub topic: String,
    #[serde(default)]
    pub message: MessageTemplates,
    #[serde(default)]
    pub max_linger_time: Millis,
    #[serde(default = "ten_mb")]
    pub max_linger_bytes: ByteSize,
    #[serde(default = "default_batch_bytes")]
    pub max_batch_bytes: ByteSize,
    #[serde(default)]
    pub compression: Compression,
    #[serde(default)]
    pub partition_strategy: PartitionStrategy,
    #[serde(default)]
    pub required_acks: RequiredAcks,
    /// One placeholder whose value is an object, an array of `{key, value}`, or JSON text of either.
    pub kafka_headers: Option<String>,
    #[serde(default)]
    pub kafka_ext_headers: Vec<ExtHeader>,
    #[serde(default)]
    pub kafka_header_value_encode_mode: HeaderEncodeMode,
    #[serde(default = "seconds::<60>")]
    pub partition_count_refresh_interval: Millis,
    /// Requests in flight to one broker; at most 5 with `required_acks = "all_isr"`, which is idempotent.
    pub max_inflight: Option<u32>,
    /// A record that Kafka has not confirmed after this long fails with cause `timeout`.
    pub max_batch_age: Option<Age>,
    pub query_mode: Option<QueryMode>,
    #[serde(default = "seconds::<5>")]
    pub sync_query_timeout: Millis,
    #[serde(default)]
    pub buffer: Buffer,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageTemplates {
    pub key: String,
    pub value: String,
    pub timestamp: String,
}

impl Default for MessageTemplates {
    fn default() -> MessageTemplates {
        let [key, value, timestamp] = ["${.clientid}", "${.}", "${.timestamp}"].map(str::to_owned);
        MessageTemplates { key, value, timestamp }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtHeader {
    pub kafka_ext_header_key: String,
    pub kafka_ext_header_value: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    #[default]
    #[serde(rename = "no_compression", alias = "none")]
    Off,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Which partition a record goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionStrategy {
    /// By murmur2 of the key, as a Java producer does; records without a key are spread.
    #[default]
    KeyDispatch,
    /// Any partition, whatever the key.
    Random,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequiredAcks {
    /// All in-sync replicas; the producer is idempotent.
    #[default]
    AllIsr,
    LeaderOnly,
    None,
}

/// How header values that are not text are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderEncodeMode {
    /// Text as it is; other values are left out (EMQX).
    #[default]
    None,
    /// Every value as JSON, text in quotes (EMQX).
    Json,
    /// Text as it is, other values as JSON.
    Auto,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryMode {
    Sync,
    Async,
}

/// A duration or `infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    Infinity,
    Limit(Millis),
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Age, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "infinity" {
            return Ok(Age::Infinity);
        }
        Millis::deserialize(serde::de::value::StringDeserializer::new(text)).map(Age::Limit)
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Buffer {
    pub mode: BufferMode,
    /// Bytes of records that wait in memory, for the whole action.
    pub per_partition_limit: ByteSize,
    pub segment_bytes: Option<ByteSize>,
    pub memory_overload_protection: Option<bool>,
}

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer {
            mode: BufferMode::Memory,
            per_partition_limit: ByteSize::mib(256),
            segment_bytes: None,
            memory_overload_protection: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BufferMode {
    #[default]
    Memory,
    Disk,
    Hybrid,
}

fn yes() -> bool {
    true
}

fn auto() -> String {
    "auto".to_owned()
}

fn seconds<const N: u64>() -> Millis {
    Millis::from_secs(N)
}

fn ten_mb() -> ByteSize {
    ByteSize::mib(10)
}

fn default_batch_bytes() -> ByteSize {
    ByteSize::kib(896)
}

/// A value that was understood but cannot be honoured, by the dotted name of its key inside the connector or action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Unsupported {
    pub key: &'static str,
    pub problem: &'static str,
}

impl ConnectorConfig {
    /// All that is wrong with the values taken together.
    #[must_use]
    pub fn check(&self) -> Vec<Unsupported> {
        let mut found = Vec::new();
        let mut complain = |wrong: bool, key, problem| {
            if wrong {
                found.push(Unsupported { key, problem });
            }
        };
        complain(
            self.bootstrap_hosts.trim().is_empty(),
            "bootstrap_hosts",
            "expected `host:port`, separated by commas",
        );
        complain(
            self.kind == ProducerType::ConfluentProducer && self.authentication == Authentication::None,
            "authentication",
            "a confluent_producer needs `{ username = API key, password = API secret }`",
        );
        complain(!(1000..=1_000_000).contains(&self.connect_timeout.0), "connect_timeout", "expected 1s to 1000s");
        if let Some(ssl) = &self.ssl {
            complain(
                ssl.server_name_indication != "auto",
                "ssl.server_name_indication",
                "only \"auto\" is supported: librdkafka always sends the broker's own name",
            );
            complain(
                ssl.certfile.is_some() != ssl.keyfile.is_some(),
                "ssl.certfile",
                "`certfile` and `keyfile` go together",
            );
        }
        found
    }

    /// Whether connections are encrypted: as `ssl.enable` says, else as the type's habit is.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.ssl.as_ref().map_or(self.kind == ProducerType::ConfluentProducer, |ssl| ssl.enable)
    }
}

impl ActionConfig {
    /// All that is wrong with the values taken together.
    #[must_use]
    pub fn check(&self) -> Vec<Unsupported> {
        let parameters = &self.parameters;
        let mut found = Vec::new();
        let mut complain = |wrong: bool, key, problem| {
            if wrong {
                found.push(Unsupported { key, problem });
            }
        };
        complain(
            self.ack == Some(AckLevel::Persisted),
            "ack",
            "\"persisted\" needs the disk buffer, which this version does not have; use \"delivered\" or \"received\"",
        );
        complain(
            parameters.buffer.mode != BufferMode::Memory,
            "parameters.buffer.mode",
            "this version has the memory buffer only; use \"memory\" with ack = \"delivered\" so that nothing acknowledged can be lost",
        );
        complain(
            self.ack == Some(AckLevel::Received) && parameters.query_mode == Some(QueryMode::Sync),
            "parameters.query_mode",
            "\"sync\" means that the publisher waits for Kafka, `ack = \"received\"` that it does not; leave one out",
        );
        complain(
            parameters.required_acks == RequiredAcks::AllIsr && parameters.max_inflight.is_some_and(|n| n > 5),
            "parameters.max_inflight",
            "an idempotent producer (required_acks = \"all_isr\") has at most 5 requests in flight",
        );
        complain(parameters.max_inflight == Some(0), "parameters.max_inflight", "expected at least 1");
        complain(parameters.topic.trim().is_empty(), "parameters.topic", "expected a topic name or a template");
        complain(parameters.max_linger_time.0 > 900_000, "parameters.max_linger_time", "expected at most 15m");
        complain(
            parameters.buffer.per_partition_limit < ByteSize::mib(1),
            "parameters.buffer.per_partition_limit",
            "expected at least 1MB",
        );
        complain(
            !(1024..=1_000_000_000).contains(&parameters.max_batch_bytes.0),
            "parameters.max_batch_bytes",
            "expected 1KB to 953MB",
        );
        found
    }

    /// The level that holds, from `ack` or EMQX's `query_mode`.
    #[must_use]
    pub fn ack_level(&self) -> AckLevel {
        match (self.ack, self.parameters.query_mode) {
            (Some(level), _) => level,
            (None, Some(QueryMode::Async)) => AckLevel::Received,
            (None, _) => AckLevel::Delivered,
        }
    }

    /// How long a record may take until Kafka's answer; `None` is for ever.
    #[must_use]
    pub fn delivery_timeout(&self) -> Option<Millis> {
        let age = match self.parameters.max_batch_age {
            Some(Age::Limit(limit)) => Some(limit),
            _ => None,
        };
        let sync = (self.parameters.query_mode == Some(QueryMode::Sync)).then_some(self.parameters.sync_query_timeout);
        age.into_iter().chain(sync).min()
    }
}
