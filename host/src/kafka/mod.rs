//! Records to Kafka, and Kafka's answers back to their publishers.
//!
//! What a sink promises: a record that [`Sink::send`] took ends in exactly one counter of its action's ledger, and its
//! acknowledgement is settled as `ack` says: with Kafka's answer, or as soon as it is queued. Order per client holds.
//! While Kafka is away records wait, up to the buffer's limit; beyond it `on_full` decides. Nothing here knows rules,
//! plugins or MQTT, and nothing but this folder knows rdkafka.

mod config;
mod delivery;
mod draft;
mod embedded;
mod error;
mod health;
mod lane;
mod native;
mod options;
mod partition;
mod producer;
#[cfg(test)]
mod tests;
mod window;

pub use config::{
    AckLevel, ActionConfig, Authentication, ConnectorConfig, HeaderEncodeMode, OnFull, Parameters, ProducerType,
    Unsupported,
};
pub use draft::Draft;
pub use embedded::EmbeddedKafka;
pub use error::KafkaError;
pub use health::{State, Status};
pub use producer::Sink;
