//! What the tests stand on: processes that cannot outlive them, a real Kafka, a Millstream, an MQTT client that is
//! written from the standard alone. Nothing here may use the host's code: a test that shares the codec shares its bugs.

pub mod scratch;
pub mod wait;

pub mod process;
pub mod resources;

pub mod http;
pub mod kafka;
pub mod metrics;
pub mod millstream;
pub mod service;

pub mod mqtt;
pub mod peer;
pub mod publisher;
pub mod transport;
pub mod wire;

pub mod authority;
pub mod tools;
