//! `serve --dev`: a Kafka inside the process, a configuration that uses it, and two lines to type. Its data is in memory
//! only; it must never be used by a configuration that somebody wrote.

use std::fmt::Write;

use anyhow::Context;

use crate::app::Addresses;
use crate::config::{Loader, Override};
use crate::kafka::EmbeddedKafka;

/// The configuration, but for the address of the Kafka.
pub const TEXT: &str = include_str!("dev.toml");
/// Where its rule writes to.
pub const TOPIC: &str = "testtopic-in";

/// A running Kafka; dropping it ends it.
pub fn start_kafka() -> anyhow::Result<EmbeddedKafka> {
    EmbeddedKafka::start(&[TOPIC]).context("cannot start the Kafka inside this process")
}

/// The built-in configuration with this Kafka.
#[must_use]
pub fn loader(bootstrap_hosts: &str) -> Loader {
    let kafka = Override::flag("--dev", &["connectors", "dev", "bootstrap_hosts"], bootstrap_hosts);
    Loader::text("the built-in configuration of --dev", TEXT).with([kafka])
}

/// What to type to see a message go through.
#[must_use]
pub fn banner(addresses: &Addresses) -> String {
    let mut text =
        "\nMillstream is ready. Its Kafka is inside this process: what is in there ends with it.\n".to_owned();
    // Writing to a String cannot fail.
    if let Some(mqtt) = addresses.listeners.get("tcp") {
        let (host, port) = (mqtt.ip(), mqtt.port());
        let _ = write!(
            text,
            "\nSend a message; it returns when Kafka has it:\n  \
             mosquitto_pub -h {host} -p {port} -V 5 -q 1 -t t/1 -m '{{\"temp\": 21}}' -D publish user-property line 3\n"
        );
    }
    if let Some(kafka) = &addresses.kafka {
        let _ = write!(
            text,
            "\nSee what became of it:\n  kcat -C -b {kafka} -t {TOPIC} -o beginning -f 'key %k, headers %h, value %s\\n'\n"
        );
    }
    if let Some(api) = addresses.api {
        let _ = write!(text, "\nMetrics and health: http://{api}/metrics http://{api}/health/ready\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_names_the_real_ports() {
        let addresses = Addresses {
            listeners: [("tcp".to_owned(), "127.0.0.1:11883".parse().unwrap())].into(),
            api: "127.0.0.1:28083".parse().ok(),
            kafka: Some("127.0.0.1:29092".to_owned()),
        };
        let banner = banner(&addresses);
        for part in [
            "\n  mosquitto_pub -h 127.0.0.1 -p 11883 -V 5 -q 1 -t t/1 -m '{\"temp\": 21}' ",
            "\n  kcat -C -b 127.0.0.1:29092 -t testtopic-in -o beginning -f 'key %k, headers %h, value %s\\n'\n",
            "http://127.0.0.1:28083/health/ready",
            "ends with it",
        ] {
            assert!(banner.contains(part), "{banner}");
        }
    }
}
