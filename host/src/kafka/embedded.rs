//! The Kafka of `serve --dev`: librdkafka's mock cluster in this process. Any Kafka client can read it; its records are
//! in memory only and end with the process.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::error::KafkaError;

/// A running mock cluster; dropping it ends it.
pub struct EmbeddedKafka(pub(super) MockCluster<'static, DefaultProducerContext>);

impl EmbeddedKafka {
    /// One broker on a loopback port of the system's choice, with these topics of one partition each.
    pub fn start(topics: &[&str]) -> Result<EmbeddedKafka, KafkaError> {
        let embedded = |error: rdkafka::error::KafkaError| KafkaError::Embedded { reason: error.to_string() };
        let cluster = MockCluster::new(1).map_err(embedded)?;
        for topic in topics {
            cluster.create_topic(topic, 1, 1).map_err(embedded)?;
        }
        Ok(EmbeddedKafka(cluster))
    }

    /// `host:port`, for any Kafka client on this machine.
    #[must_use]
    pub fn bootstrap_hosts(&self) -> String {
        self.0.bootstrap_servers()
    }
}
