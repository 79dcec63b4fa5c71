//! One publisher, many subscribers, nothing lost: as many messages are under way as keep everybody busy and no queue full.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use support::mqtt::Client;
use support::wire::{self, Packet, Publish, Version};

use super::brokers::Broker;

/// Deliveries under way at one time, as near as whole messages allow.
const UNDER_WAY: usize = 20_000;
/// Messages under way at one time.
const MESSAGES: usize = 500;
/// Filters in one SUBSCRIBE.
const AT_ONCE: usize = 500;
const PATIENCE: Duration = Duration::from_secs(60);

/// `subscribers` of one topic; one of them has `filters` more that do not match.
pub fn run(broker: &Broker, subscribers: usize, filters: usize, deliveries: usize) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut streams = Vec::with_capacity(subscribers);
    for number in 0..subscribers {
        let mut client = Client::connect(broker.address, Version::V4, &format!("subscriber-{number}"));
        ensure!(client.subscribe("fan/out", 0) == 0, "the subscription is refused");
        if number == 0 {
            subscribe_more(&mut client, filters)?;
        }
        let stream = client.into_stream();
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        streams.push(stream);
    }
    let mut publisher = Client::connect(broker.address, Version::V4, "publisher").into_stream();
    let mut packet = Vec::new();
    let publish = Publish { topic: "fan/out", payload: &[b'x'; 256], ..Publish::default() };
    wire::publish(&mut packet, Version::V4, &publish);

    let mut wave = |messages: usize| -> Result<()> {
        publisher.write_all(&packet.repeat(messages))?;
        receive(&mut poll, &mut streams, packet.len() * messages)
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
fn receive(poll: &mut Poll, streams: &mut [TcpStream], each: usize) -> Result<()> {
    let mut missing = vec![each; streams.len()];
    let mut waiting = streams.len();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 256 << 10];
    let start = Instant::now();
    while waiting > 0 {
        ensure!(start.elapsed() < PATIENCE, "{waiting} subscribers wait for messages since {PATIENCE:?}");
        match poll.poll(&mut events, Some(Duration::from_millis(100))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in events.iter() {
            let Token(number) = event.token();
            loop {
                match streams[number].read(&mut buffer) {
                    Ok(0) => bail!("subscriber {number} was closed"),
                    Ok(n) => {
                        let left = &mut missing[number];
                        *left = left.checked_sub(n).context("more than was published")?;
                        waiting -= usize::from(*left == 0);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    Ok(())
}
