//! What a plugin costs: batches of 1 and of 64 through one warm instance, 256 bytes of payload, on one thread.
//!
//!     cargo run --release --bin plugin-cost -- COMPONENT CONFIG [VALUE]
//!
//! It measures the host's library itself, so figures hold the whole way: encode, call, decode, apply.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use millstream::message::{Client, ClientId, Message, MessageId, ProtocolVersion, QoS, Record};
use millstream::plugin::{Engine, Guest, Item, Limits, Verdict, Warm};
use millstream::topic::TopicName;

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let component = args.next().context("name a component")?;
    let config = args.next().unwrap_or_else(|| "{}".into());
    let value = args.next().unwrap_or_else(|| format!("{{\"temp\": 21.5, \"pad\": \"{}\"}}", "x".repeat(232)));
    let bytes = std::fs::read(&component).with_context(|| component.clone())?;

    let guest = Guest::load(&Engine::new(None)?, "bench", &bytes, &config, Limits::default())?;
    let about = guest.describe();
    println!(
        "{}: {}, compiled in {:.1?}, started in {:.1?}",
        component, about.world, about.compile_time, about.start_time
    );
    let start = Instant::now();
    const STARTS: u32 = 200;
    for _ in 0..STARTS {
        black_box(guest.instantiate()?);
    }
    println!("instantiate and init  {:9.1} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(STARTS));
    for batch in [1, 64] {
        println!("batch of {batch:3}          {:9.3} us a message", micros_a_message(&guest, &value, batch));
    }
    Ok(())
}

/// The median over many calls: what else the machine does meets few of them.
fn micros_a_message(guest: &Arc<Guest>, value: &str, batch: usize) -> f64 {
    let messages: Vec<Message> = (0..batch).map(message).collect();
    let value = Bytes::copy_from_slice(value.as_bytes());
    let topic: Arc<str> = "testtopic-in".into();
    let (mut warm, mut verdicts) = (Warm::new(guest.clone()), Vec::new());
    let mut times = Vec::new();
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        let start = Instant::now();
        let record = || Record { topic: topic.clone(), value: Some(value.clone()), ..Record::default() };
        let mut records: Vec<_> = messages.iter().map(|_| record()).collect();
        let item = |(record, message)| Item { record, message, rule: "bench" };
        let items: Vec<_> = records.iter().zip(&messages).map(item).collect();
        warm.transform(&items, &mut verdicts);
        for (record, verdict) in records.iter_mut().zip(verdicts.drain(..)) {
            match verdict {
                Verdict::Change(patch) => patch.apply(record),
                Verdict::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }
        black_box(&records);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6 / batch as f64
}

/// Each from another client and to another topic, as it is in the field.
fn message(n: usize) -> Message {
    let peer = SocketAddr::from(([192, 0, 2, 1], 40_000 + n as u16));
    let client = Client {
        id: ClientId::new(&format!("device-{n}")),
        username: None,
        peer,
        version: ProtocolVersion::V5,
        attrs: Default::default(),
        hops: 0,
    };
    Message {
        id: MessageId::next(0),
        client: Arc::new(client),
        topic: TopicName::new(&format!("t/{n}")).unwrap_or_else(|_| unreachable!("a plain topic")),
        payload: Bytes::new(),
        qos: QoS::AtLeastOnce,
        retain: false,
        dup: false,
        properties: None,
        received_at: 0,
    }
}
