//! Subscribers that read and acknowledge all they get, many on one thread.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use support::mqtt::Client;
use support::wire::{self, Packet, Version};

#[derive(Debug)]
pub struct Readers {
    poll: Poll,
    all: Vec<(TcpStream, Vec<u8>)>,
}

impl Readers {
    /// `count` of them with QoS 1, none of which reads yet.
    pub fn subscribe(address: SocketAddr, topic: &str, count: usize) -> Result<Readers> {
        let poll = Poll::new()?;
        let mut all = Vec::with_capacity(count);
        for number in 0..count {
            let mut client = Client::connect(address, Version::V4, &format!("reader-{number}"));
            ensure!(client.subscribe(topic, 1) == 1, "the subscription is refused");
            let stream = client.into_stream();
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
            all.push((stream, Vec::new()));
        }
        Ok(Readers { poll, all })
    }

    /// Until it is `over`.
    pub fn acknowledge_all(&mut self, over: &AtomicBool) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let (mut buffer, mut out) = (vec![0; 64 << 10], Vec::new());
        while !over.load(Ordering::Relaxed) {
            match self.poll.poll(&mut events, Some(Duration::from_millis(10))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in events.iter() {
                let Token(number) = event.token();
                let (stream, input) = &mut self.all[number];
                loop {
                    match stream.read(&mut buffer) {
                        Ok(0) => bail!("reader {number} was closed"),
                        Ok(count) => input.extend(&buffer[..count]),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                out.clear();
                while let Some(packet) = wire::take(input, Version::V4) {
                    if let Packet::Publish { id, qos: 1, .. } = packet {
                        wire::answer(&mut out, 0x40, id);
                    }
                }
                // A few bytes for each message fit into any buffer.
                stream.write_all(&out)?;
            }
        }
        Ok(())
    }
}
