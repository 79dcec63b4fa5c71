//! What the MQTT front costs by itself, without rules and Kafka: packets, filters, fan-out, connections that come, stay
//! idle and go, and what clients notice of their company. Beside Debian's mosquitto where that does the same
//! work. Run it through tests/benches/measure-front.
//!
//! CPU and memory are the broker's, as the kernel counts them. Figures of one run belong together.

#[path = "front/alone.rs"]
mod alone;
#[path = "front/brokers.rs"]
mod brokers;
#[path = "front/connections.rs"]
mod connections;
#[path = "load/cpu.rs"]
mod cpu;
#[path = "front/crowd.rs"]
mod crowd;
#[path = "front/fan_out.rs"]
mod fan_out;
#[path = "load/histogram.rs"]
mod histogram;
#[path = "mosquitto.rs"]
mod mosquitto;
#[path = "front/neighbours.rs"]
mod neighbours;
#[path = "front/readers.rs"]
mod readers;

use anyhow::Result;
use clap::Parser;
use support::resources::allow_files;

use self::brokers::Broker;
use self::neighbours::Company;

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Args {
    /// Only the parts whose name contains this: alone, fan-out, filters, connect, idle, churn, neighbours.
    #[arg(long, default_value = "")]
    only: String,
    /// Deliveries of each fan-out.
    #[arg(long, default_value_t = 400_000)]
    deliveries: usize,
    /// Connections that come and go.
    #[arg(long, default_value_t = 20_000)]
    connects: usize,
    /// Connections that stay.
    #[arg(long, default_value_t = 20_000)]
    idle: usize,
    /// Clients, filters and topics that come and go.
    #[arg(long, default_value_t = 100_000)]
    churn: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let wanted = |name: &str| name.contains(&args.only);
    let files = allow_files(args.idle as u64 + 1000);
    if wanted("alone") {
        alone::run();
    }
    let brokers: &[fn() -> Result<Broker>] = &[brokers::millstream, brokers::mosquitto];
    if wanted("fan-out") {
        println!("\n| fan-out, QoS 0, 256 B | broker | deliveries/s | CPU us/delivery |\n|---|---|---:|---:|");
        for subscribers in [1, 10, 100, 1000] {
            for start in brokers {
                fan_out::run(&start()?, subscribers, 0, args.deliveries)?;
            }
        }
    }
    if wanted("filters") {
        println!("\n| filters, 1 matches, QoS 0, 256 B | broker | messages/s | CPU us/message |\n|---|---|---:|---:|");
        for filters in [10, 100_000] {
            for start in brokers {
                fan_out::run(&start()?, 1, filters, args.deliveries)?;
            }
        }
    }
    if wanted("connect") {
        println!("\n| connect, CONNACK, goodbye | broker | connections/s | CPU us each |\n|---|---|---:|---:|");
        for start in brokers {
            connections::rate(&start()?, args.connects)?;
        }
    }
    if wanted("idle") {
        let idle = args.idle.min(usize::try_from(files)?.saturating_sub(500));
        println!("\n| idle, keep-alive 600 s | broker | connections | resident bytes each |\n|---|---|---:|---:|");
        for start in brokers {
            connections::idle(&start()?, idle)?;
        }
    }
    if wanted("churn") {
        println!("\n| clients, filters, topics gone | broker | resident before, MB | after, MB |\n|---|---|---:|---:|");
        for start in brokers {
            connections::churn(&start()?, args.churn)?;
        }
    }
    if wanted("neighbours") {
        println!(
            "\n| company, 500 acts/s | broker | p50, p99 of a round trip alone, us | good company | bad | p99 bad to good |"
        );
        println!("|---|---|---:|---:|---:|---:|");
        for company in Company::ALL {
            for start in brokers {
                neighbours::run(&start()?, company)?;
            }
        }
    }
    Ok(())
}
