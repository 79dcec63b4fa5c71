//! One publisher, many subscribers, nothing lost: as many messages are under way as keep everybody busy and no queue full.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use support::mqtt::Client;
use support::wire::{self, Packet, Publish, Version};

use super::brokers::Broker;
use super::crowd::Crowd;

/// Deliveries under way at one time, as near as whole messages allow.
const UNDER_WAY: usize = 20_000;
/// Messages under way at one time.
const MESSAGES: usize = 500;
/// Filters in one SUBSCRIBE.
const AT_ONCE: usize = 500;
const PATIENCE: Duration = Duration::from_secs(60);

/// `subscribers` of one topic; one of them has `filters` more that do not match.
pub fn run(broker: &Broker, subscribers: usize, filters: usize, deliveries: usize) -> Result<()> {
    let mut crowd = Crowd::gather(broker.address, subscribers, "subscriber", |number, client| {
        ensure!(client.subscribe("fan/out", 0) == 0, "the subscription is refused");
        if number == 0 { subscribe_more(client, filters) } else { Ok(()) }
    })?;
    let mut publisher = Client::connect(broker.address, Version::V4, "publisher").into_stream();
    let mut packet = Vec::new();
    let publish = Publish { topic: "fan/out", payload: &[b'x'; 256], ..Publish::default() };
    wire::publish(&mut packet, Version::V4, &publish);

    let mut wave = |messages: usize| -> Result<()> {
        publisher.write_all(&packet.repeat(messages))?;
        receive(&mut crowd, subscribers, packet.len() * messages)
    };
    let messages = (UNDER_WAY / subscribers).clamp(1, MESSAGES);
    wave(messages)?;
    let waves = (deliveries / subscribers).div_ceil(messages);
    let (cpu, start) = (broker.cpu()?, Instant::now());
    for _ in 0..waves {
        wave(messages)?;
    }
    let n = waves * messages * subscribers;
    let rate = n as f64 / start.elapsed().as_secs_f64();
    let what = if filters > 0 { format!("{filters} filters") } else { format!("1 to {subscribers}") };
    println!("| {what} | {} | {rate:.0} | {:.2} |", broker.name, broker.micros_each(cpu, n)?);
    Ok(())
}

fn subscribe_more(client: &mut Client, filters: usize) -> Result<()> {
    for first in (0..filters).step_by(AT_ONCE) {
        let mut body = vec![0, 2];
        for n in first..filters.min(first + AT_ONCE) {
            wire::field(&mut body, format!("other/{n}/+").as_bytes());
            body.push(0);
        }
        let mut out = Vec::new();
        wire::frame(&mut out, 0x82, &body);
        client.send(&out)?;
        match client.expect() {
            Packet::SubAck { codes, .. } if codes.iter().all(|code| *code == 0) => {}
            other => bail!("{other:?} instead of a SUBACK"),
        }
    }
    Ok(())
}

/// Reads until every subscriber has `each` bytes more.
fn receive(crowd: &mut Crowd, subscribers: usize, each: usize) -> Result<()> {
    let mut missing = vec![each; subscribers];
    let mut waiting = subscribers;
    let start = Instant::now();
    while waiting > 0 {
        ensure!(start.elapsed() < PATIENCE, "{waiting} subscribers wait for messages since {PATIENCE:?}");
        crowd.read(Duration::from_millis(100), |number, _, bytes| {
            let left = &mut missing[number];
            *left = left.checked_sub(bytes.len()).context("more than was published")?;
            waiting -= usize::from(*left == 0);
            Ok(())
        })?;
    }
    Ok(())
}
