//! Runs the load program against Millstream and against mosquitto, and prints what a message costs each of them.
//!
//! The figures of one run belong together: same machine, same minute, same load. Mosquitto has no subscriber, so it
//! throws the messages away; Millstream puts them through a rule into a real Kafka.

#[path = "mosquitto.rs"]
mod mosquitto;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::Value;
use support::kafka::Kafka;
use support::millstream::{Millstream, NODE, action, connector, plugin};

/// Connections of each load.
const CONNECTIONS: &str = "50";
/// Unacknowledged messages of each connection at full load.
const IN_FLIGHT: &str = "200";
/// Messages a second of the paced load.
const PACE: u64 = 20_000;

/// Millstream with and without a plugin beside mosquitto. Run it through tests/benches/compare.
#[derive(Debug, Parser)]
struct Args {
    /// Messages of a run at full load.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Seconds of a paced run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// `max_linger_time` of the action, such as 5ms; the product's default without it.
    #[arg(long)]
    linger: Option<String>,
    /// Only the loads whose name contains this, such as "QoS 1" or "paced".
    #[arg(long, default_value = "")]
    only: String,
}

/// One load that every broker gets.
#[derive(Clone, Copy)]
struct Case {
    qos: u8,
    payload: u32,
    paced: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Case> {
        let payloads = |qos| [256, 1024].map(|payload| (qos, payload));
        let pairs = [1, 0].into_iter().flat_map(payloads);
        pairs.flat_map(|(qos, payload)| [false, true].map(|paced| Case { qos, payload, paced }))
    }

    fn name(self) -> String {
        let load = if self.paced { format!("paced {PACE}/s") } else { "full".to_string() };
        format!("QoS {}, {} B, {load}", self.qos, self.payload)
    }
}

/// What stands at the other end of the load.
struct Broker {
    name: &'static str,
    address: SocketAddr,
    pid: u32,
    /// Brokers of Kafka and topic to count the records in.
    verify: Option<(String, String)>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let kafka = Kafka::start();
    let topics = ["plain", "plugin"].map(|name| kafka.topic(name, 4));
    let plain = Millstream::start(&config(&args, &kafka, &topics[0], false));
    let with_plugin = Millstream::start(&config(&args, &kafka, &topics[1], true));
    let (mosquitto, _folder, mosquitto_address) = mosquitto::start()?;
    let into = |topic: &String| Some((kafka.plaintext.clone(), topic.clone()));
    let host =
        |name, host: &Millstream, topic| Broker { name, address: host.tcp(), pid: host.id(), verify: into(topic) };
    let brokers = [
        host("millstream: SQL", &plain, &topics[0]),
        host("millstream: SQL, plugin", &with_plugin, &topics[1]),
        Broker { name: "mosquitto", address: mosquitto_address, pid: mosquitto.id(), verify: None },
    ];

    for broker in &brokers {
        eprintln!("warming up {}", broker.name);
        load(broker, Case { qos: 1, payload: 256, paced: false }, &["--messages", "100000"])?;
    }
    let mut table = String::from(
        "| load | broker | messages/s | CPU us/message | of mosquitto's | ack p50 / p95 / p99 / p99.9 ms |\n",
    );
    table += "|---|---|---:|---:|---:|---|\n";
    for case in Case::all().filter(|case| case.name().contains(&args.only)) {
        let amount = if case.paced { PACE * args.seconds } else { args.messages }.to_string();
        let results = brokers
            .iter()
            .map(|broker| {
                eprintln!("{}: {}", case.name(), broker.name);
                load(broker, case, &["--messages", &amount])
            })
            .collect::<Result<Vec<_>>>()?;
        let base = cpu(&results[brokers.len() - 1]);
        for (broker, result) in brokers.iter().zip(&results) {
            row(&mut table, case, broker, result, base);
        }
    }
    print!("{table}");
    Ok(())
}

fn cpu(result: &Value) -> f64 {
    result["cpu_us_per_message"].as_f64().unwrap_or(f64::NAN)
}

fn row(table: &mut String, case: Case, broker: &Broker, result: &Value, base: f64) {
    let ms = |part: &str| result["ack_us"][part].as_f64().unwrap_or(f64::NAN) / 1000.0;
    let acks = match case.qos {
        0 => "-".to_string(),
        _ => ["p50", "p95", "p99", "p999"].map(|part| format!("{:.1}", ms(part))).join(" / "),
    };
    let rate = result["messages_per_second"].as_f64().unwrap_or(f64::NAN);
    let (name, cpu) = (case.name(), cpu(result));
    let ratio = cpu / base;
    writeln!(table, "| {name} | {} | {rate:.0} | {cpu:.2} | {ratio:.2} | {acks} |", broker.name)
        .expect("a String takes everything");
}

/// One run of the load program; fails unless everything was acknowledged and is in Kafka.
fn load(broker: &Broker, case: Case, more: &[&str]) -> Result<Value> {
    let program = std::env::current_exe()?.with_file_name("load");
    let mut command = Command::new(program);
    command.args(["--json", "--host", &broker.address.to_string(), "--pid", &broker.pid.to_string()]);
    command.args(["-n", CONNECTIONS, "--in-flight", IN_FLIGHT]);
    command.args(["--qos", &case.qos.to_string(), "--payload", &case.payload.to_string()]).args(more);
    if case.paced {
        command.args(["--rate", &PACE.to_string()]);
    }
    if let Some((brokers, topic)) = &broker.verify {
        command.args(["--verify", brokers, topic]);
    }
    let output = command.output().context("the load program does not start")?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{}, {}: {out}{err}", broker.name, case.name());
    serde_json::from_str(&out).with_context(|| format!("not a report: {out}"))
}

fn config(args: &Args, kafka: &Kafka, topic: &str, with_plugin: bool) -> String {
    let mut text = [NODE, &connector("kafka", &kafka.plaintext), &action("sink", "kafka", topic)].concat();
    if let Some(linger) = &args.linger {
        text += &format!("max_linger_time = \"{linger}\"\n");
    }
    text += "[rules.all]\nsql = 'SELECT * FROM \"t/#\" WHERE payload.temp > 20'\nactions = [\"sink\"]\n";
    if with_plugin {
        text += "transform = [\"site-tags\"]\n";
        text += &format!("[plugins.site-tags]\npath = \"{}\"\n", plugin("site-tags").display());
        text += "config = { site = \"plant-7\" }\n";
    }
    text
}
