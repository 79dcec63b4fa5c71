//! Did it all come into Kafka? The offsets of the topic's partitions say how many records came.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

const ASK_LIMIT: Duration = Duration::from_secs(20);
/// QoS 0 promises no moment, so its records may still be on their way.
const ARRIVE_LIMIT: Duration = Duration::from_secs(60);

pub struct Topic {
    consumer: BaseConsumer,
    name: String,
    before: u64,
}

/// Records that came, and that should have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub came: u64,
    pub expected: u64,
}

impl Topic {
    pub fn open(brokers: &str, name: &str) -> Result<Topic> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", "load");
        let consumer = config.create().context("--verify")?;
        let mut topic = Topic { consumer, name: name.to_string(), before: 0 };
        topic.before = topic.end()?;
        Ok(topic)
    }

    /// Waits until `expected` records came; fewer, and more, are reported as they are.
    pub fn grown_by(&self, expected: u64) -> Result<Verified> {
        let start = Instant::now();
        loop {
            let came = self.end()? - self.before;
            if came >= expected || start.elapsed() > ARRIVE_LIMIT {
                return Ok(Verified { came, expected });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The sum of the offsets that the partitions have reached.
    fn end(&self) -> Result<u64> {
        let known = self.consumer.fetch_metadata(Some(&self.name), ASK_LIMIT).context("no answer from Kafka")?;
        let topic = known.topics().first().filter(|topic| !topic.partitions().is_empty());
        let topic = topic.with_context(|| format!("Kafka has no topic {}", self.name))?;
        let mut end = 0;
        for partition in topic.partitions() {
            let marks = self.consumer.fetch_watermarks(&self.name, partition.id(), ASK_LIMIT)?;
            end += marks.1.unsigned_abs();
        }
        Ok(end)
    }
}
