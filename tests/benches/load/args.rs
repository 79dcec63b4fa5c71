//! What the load is to be.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use support::wire::Version;

use super::template::PAYLOAD_MIN;

/// MQTT load with timed acknowledgements.
///
/// Example: load --host 127.0.0.1:1883 -n 50 --payload 256 --qos 1 --in-flight 100 --messages 1000000
#[derive(Debug, Parser)]
pub struct Args {
    /// host:port of the broker.
    #[arg(long)]
    pub host: String,
    /// Connections.
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub connections: u32,
    /// Bytes of a payload, a JSON object.
    #[arg(long, default_value_t = 256)]
    pub payload: usize,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// Messages of one connection that may wait for their acknowledgement.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub in_flight: u32,
    /// Messages a second, of all connections together, each in a packet of its own; 0 is full speed.
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// Seconds to publish; ends earlier when --messages are sent.
    #[arg(long)]
    pub duration: Option<u64>,
    /// Messages of all connections together.
    #[arg(long)]
    pub messages: Option<u64>,
    /// 4 is MQTT 3.1.1.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=5))]
    pub protocol: u8,
    /// `{n}` is the number of the connection.
    #[arg(long, default_value = "t/{n}")]
    pub topic: String,
    /// A process whose CPU time is measured.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Counts the records that came into a Kafka topic.
    #[arg(long, num_args = 2, value_names = ["BROKERS", "TOPIC"])]
    pub verify: Option<Vec<String>>,
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

impl Args {
    pub fn check(&self) -> Result<()> {
        ensure!(self.duration.is_some() || self.messages.is_some(), "give --duration or --messages");
        ensure!(self.payload >= PAYLOAD_MIN, "--payload must be at least {PAYLOAD_MIN}");
        Ok(())
    }

    pub fn address(&self) -> Result<SocketAddr> {
        let mut found =
            self.host.to_socket_addrs().with_context(|| format!("--host {} is not host:port", self.host))?;
        found.next().with_context(|| format!("--host {} has no address", self.host))
    }

    pub fn version(&self) -> Version {
        if self.protocol == 5 { Version::V5 } else { Version::V4 }
    }

    pub fn duration(&self) -> Option<Duration> {
        self.duration.map(Duration::from_secs)
    }

    pub fn verify(&self) -> Option<(&str, &str)> {
        match self.verify.as_deref() {
            Some([brokers, topic]) => Some((brokers, topic)),
            _ => None,
        }
    }

    /// Messages of connection `number`, when they are limited.
    pub fn quota(&self, number: u32) -> u64 {
        let all = u64::from(self.connections);
        self.messages.map_or(u64::MAX, |messages| messages / all + u64::from(u64::from(number) < messages % all))
    }
}
