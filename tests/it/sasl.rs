//! TLS, a user and a password towards Kafka, as Confluent has it; the password never shows.

use std::fs;
use std::time::Duration;

use support::kafka::{API_KEY, API_SECRET, Kafka};
use support::millstream::{Millstream, NODE};
use support::mqtt::Client;
use support::scratch::Scratch;
use support::wait::until;
use support::wire::{Publish, Version};

fn confluent(kafka: &Kafka, topic: &str, scratch: &Scratch, secret: &str) -> String {
    let secrets = scratch.path().join("secrets");
    fs::create_dir_all(&secrets).expect("a folder");
    fs::write(secrets.join("api_secret"), format!("{secret}\n")).expect("a file");
    format!(
        r#"{NODE}
[connectors.my-confluent]
type = "confluent_producer"
bootstrap_hosts = "{hosts}"
authentication = {{ username = "{API_KEY}", password = "file://secrets/api_secret" }}
ssl = {{ enable = true, cacertfile = "{ca}" }}

[actions.to-confluent]
type = "confluent_producer"
connector = "my-confluent"
ack = "delivered"
[actions.to-confluent.parameters]
topic = "{topic}"
message = {{ key = "${{clientid}}", value = "${{payload}}" }}
partition_strategy = "key_dispatch"
compression = "lz4"

[rules.my_rule]
sql = 'SELECT * FROM "t/#"'
actions = ["to-confluent"]
"#,
        hosts = kafka.sasl_ssl,
        ca = kafka.ca_file().display(),
    )
}

#[test]
fn confluent_producer_speaks_tls_and_sasl_with_a_password_from_a_file() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("confluent", 2);
    let scratch = Scratch::new("confluent");
    let config = confluent(kafka, &topic, &scratch, API_SECRET);
    let host = Millstream::start_in(scratch, &config);
    let mut client = Client::connect(host.tcp(), Version::V5, "device-1");
    let message = Publish { topic: "t/1", payload: b"sealed", qos: 1, id: 1, ..Publish::default() };
    assert_eq!(client.at_least_once(&message), 0);
    let records = kafka.read(&topic);
    assert_eq!(records.iter().map(|record| record.text()).collect::<Vec<_>>(), ["sealed"]);
    assert!(!host.log().contains(API_SECRET), "the secret is in the log");
}

#[test]
fn a_wrong_password_is_shown_as_a_status_and_never_as_the_password() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("refused", 1);
    let scratch = Scratch::new("confluent");
    let config = confluent(kafka, &topic, &scratch, "a-wrong-secret");
    let host = Millstream::start_in(scratch, &config);
    // The reason is the password, not a broker that would be down.
    let named = |line: &str| line.contains("Kafka") && line.to_lowercase().contains("authentication");
    until("authentication as the reason in the log", Duration::from_secs(30), || host.log().lines().any(named));
    let connected = [("connector", "my-confluent"), ("status", "connected")];
    assert_eq!(host.metrics().sum("millstream_connector_status", &connected), 0);
    assert!(!host.log().contains("a-wrong-secret"), "the secret is in the log");
}
