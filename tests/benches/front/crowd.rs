//! Many clients on one thread: connected one after the other, read as soon as something has come.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use support::mqtt::Client;
use support::wire::Version;

#[derive(Debug)]
pub struct Crowd {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    streams: Vec<TcpStream>,
}

impl Crowd {
    /// `count` clients `NAME-0`, `NAME-1` and so on, each made ready by what it is given to while it still blocks.
    pub fn gather(
        address: SocketAddr,
        count: usize,
        name: &str,
        mut make_ready: impl FnMut(usize, &mut Client) -> Result<()>,
    ) -> Result<Crowd> {
        let poll = Poll::new()?;
        let mut streams = Vec::with_capacity(count);
        for number in 0..count {
            let mut client = Client::connect(address, Version::V4, &format!("{name}-{number}"));
            make_ready(number, &mut client)?;
            let stream = client.into_stream();
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
            streams.push(stream);
        }
        Ok(Crowd { poll, events: Events::with_capacity(1024), buffer: vec![0; 256 << 10], streams })
    }

    /// Waits no longer than `limit`, and hands over all that has come: whose it is, the stream, the bytes.
    pub fn read(
        &mut self,
        limit: Duration,
        mut take: impl FnMut(usize, &mut TcpStream, &[u8]) -> Result<()>,
    ) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(limit)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in self.events.iter() {
            let Token(number) = event.token();
            let stream = &mut self.streams[number];
            loop {
                match stream.read(&mut self.buffer) {
                    Ok(0) => bail!("client {number} was closed"),
                    Ok(count) => take(number, stream, &self.buffer[..count])?,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}
