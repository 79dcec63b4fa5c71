//! Subscribers that read and acknowledge all they get, many on one thread.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use support::wire::{self, Packet, Version};

use super::crowd::Crowd;

#[derive(Debug)]
pub struct Readers {
    crowd: Crowd,
    /// What has come and is no whole packet yet, of each.
    inputs: Vec<Vec<u8>>,
}

impl Readers {
    /// `count` of them with QoS 1, none of which reads yet.
    pub fn subscribe(address: SocketAddr, topic: &str, count: usize) -> Result<Readers> {
        let crowd = Crowd::gather(address, count, "reader", |_, client| {
            ensure!(client.subscribe(topic, 1) == 1, "the subscription is refused");
            Ok(())
        })?;
        Ok(Readers { crowd, inputs: vec![Vec::new(); count] })
    }

    /// Until it is `over`.
    pub fn acknowledge_all(&mut self, over: &AtomicBool) -> Result<()> {
        let mut out = Vec::new();
        while !over.load(Ordering::Relaxed) {
            self.crowd.read(Duration::from_millis(10), |number, stream, bytes| {
                let input = &mut self.inputs[number];
                input.extend(bytes);
                out.clear();
                while let Some(packet) = wire::take(input, Version::V4) {
                    if let Packet::Publish { id, qos: 1, .. } = packet {
                        wire::answer(&mut out, 0x40, id);
                    }
                }
                // A few bytes for each message fit into any buffer.
                Ok(stream.write_all(&out)?)
            })?;
        }
        Ok(())
    }
}
