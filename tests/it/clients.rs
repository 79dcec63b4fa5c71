//! Stock clients on both sides: paho for Python in 3.1.1 and 5.0, mosquitto_sub.

use std::path::Path;
use std::time::Duration;

use support::kafka::{Kafka, Record};
use support::millstream::{Millstream, NODE, action, connector, pass_through};
use support::process::Process;
use support::scratch::Scratch;
use support::tools::{mosquitto_pub, python};
use support::wait::until;

/// Publishes ten messages in each QoS, waits until each is acknowledged, and prints how many were.
const PAHO: &str = r#"
import sys
import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.packettypes import PacketTypes

host, port, version = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"paho-{version}", protocol=version)
client.connect(host, port)
client.loop_start()
properties = None
if version == mqtt.MQTTv5:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("site", "plant-7"), ("site", "plant-8"), ("unit", "C")]
done = 0
for qos in 0, 1, 2:
    for number in range(10):
        info = client.publish(f"t/paho/{qos}", f'{{"qos": {qos}, "number": {number}}}', qos, properties=properties)
        info.wait_for_publish(30)
        done += info.is_published()
client.disconnect()
client.loop_stop()
print(done)
"#;

fn publish_by_paho(version: u8) -> Vec<Record> {
    let kafka = Kafka::shared();
    let topic = kafka.topic("paho", 4);
    let action = action("sink", "kafka", &topic) + "kafka_headers = \"${pub_props.User-Property-Pairs}\"\n";
    let rule = "[rules.all]\nsql = 'SELECT * FROM \"t/#\"'\nactions = [\"sink\"]\n";
    let host = Millstream::start(&[NODE, &connector("kafka", &kafka.plaintext), &action, rule].concat());
    let (ip, port) = (host.tcp().ip().to_string(), host.tcp().port().to_string());
    assert_eq!(python(PAHO, &[&ip, &port, &version.to_string()]), "30\n");
    // QoS 0 promises nothing about the moment; the others are there already.
    let ledger = host.await_ledger("30 messages delivered", "sink", |ledger| ledger.delivered == 30);
    assert_eq!(ledger.accepted, 30, "{ledger:?}");
    kafka.read(&topic)
}

fn assert_thirty_in_order(records: &[Record], client: &str) {
    let texts: Vec<_> = records.iter().map(|record| record.text().to_string()).collect();
    let all = (0..3).flat_map(|qos| (0..10).map(move |number| format!(r#"{{"qos": {qos}, "number": {number}}}"#)));
    assert_eq!(texts, all.collect::<Vec<_>>());
    assert!(records.iter().all(|record| record.key.as_deref() == Some(client.as_bytes())));
    assert!(records.iter().all(|record| record.partition == records[0].partition), "one client, one partition");
}

/// A stock client needs nothing that is not in the standard (MQTT-7.0.0-2 of 3.1.1).
#[test]
fn paho_publishes_in_3_1_1_with_every_qos() {
    let records = publish_by_paho(4);
    assert_thirty_in_order(&records, "paho-4");
    assert!(records.iter().all(|record| record.headers.is_empty()));
}

#[test]
fn paho_publishes_in_5_0_with_every_qos_and_its_user_properties_become_ordered_headers() {
    let records = publish_by_paho(5);
    assert_thirty_in_order(&records, "paho-5");
    let expected = [("site", "plant-7"), ("site", "plant-8"), ("unit", "C")];
    let expected = expected.map(|(key, value)| (key.to_string(), Some(value.as_bytes().to_vec())));
    for record in records {
        assert_eq!(record.headers, expected);
    }
}

#[test]
fn mosquitto_sub_receives_what_goes_to_kafka_too() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("subscribed", 1);
    let host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    let port = host.tcp().port().to_string();
    let scratch = Scratch::new("sub");
    let log = scratch.path().join("log");
    // Its output would stay in its own buffer until it ends.
    let arguments = format!("-oL mosquitto_sub -d -h 127.0.0.1 -p {port} -V mqttv5 -q 2 -t t/+/x -C 3 -F");
    let arguments: Vec<_> = arguments.split(' ').chain(["got %q %t %p"]).collect();
    let mut subscriber = Process::spawn("mosquitto_sub", Path::new("stdbuf"), &arguments, &log);
    until("the subscription", Duration::from_secs(30), || subscriber.output().contains("Subscribed"));
    for qos in ["0", "1", "2"] {
        mosquitto_pub(host.tcp(), &["-q", qos, "-t", "t/a/x", "-m", &format!("m{qos}")]);
        mosquitto_pub(host.tcp(), &["-q", qos, "-t", "t/a/y", "-m", "nobody here wants it"]);
    }
    assert_eq!(subscriber.wait(Duration::from_secs(30)).code(), Some(0));
    let output = subscriber.output();
    let got: Vec<_> = output.lines().filter(|line| line.starts_with("got")).collect();
    assert_eq!(got, ["got 0 t/a/x m0", "got 1 t/a/x m1", "got 2 t/a/x m2"]);
    host.await_ledger("six messages in Kafka", "sink", |ledger| ledger.delivered == 6);
}

#[test]
fn a_retained_message_reaches_a_subscriber_that_comes_later() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("retained", 1);
    let host = Millstream::start(&pass_through(&kafka.plaintext, &topic));
    mosquitto_pub(host.tcp(), &["-q", "1", "-r", "-t", "t/state", "-m", "on"]);
    let port = host.tcp().port().to_string();
    let late = ["-h", "127.0.0.1", "-p", &port, "-t", "t/state", "-C", "1", "-W", "30", "-F", "%r %p"];
    assert_eq!(support::tools::run("mosquitto_sub", &late).ok(), "1 on\n");
}
