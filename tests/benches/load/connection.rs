//! One publisher: a socket that never blocks, a window of unacknowledged messages, and when each of them was sent.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use support::mqtt::{Client, anybody};
use support::wire::{self, Connect, Packet, Version};

use super::args::Args;
use super::drive::Stats;
use super::template::Template;

/// What is written to a socket at once at full speed.
const CHUNK: usize = 64 * 1024;

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    version: Version,
    qos: u8,
    template: Template,
    /// Not yet taken by the socket: `out[written..]`.
    out: Vec<u8>,
    written: usize,
    /// The start of a packet whose end has not come yet.
    input: Vec<u8>,
    pub writable: bool,
    quota: u64,
    pub sent: u64,
    in_flight: u32,
    window: u32,
    /// By packet id, modulo the length: when the message was sent.
    sent_at: Box<[Instant]>,
    /// The window was full when a message was due.
    held_up: bool,
    ponged: bool,
}

impl Connection {
    pub fn open(args: &Args, number: u32) -> Result<Connection> {
        let client = format!("load-{}-{number}", std::process::id());
        let connect = Connect { client: &client, ..anybody(args.version()) };
        let (client, code, _) = Client::try_connect(args.address()?, &connect).context("no CONNACK")?;
        ensure!(code == 0, "CONNACK 0x{code:02x}");
        let window = args.in_flight.min(u32::from(client.receive_maximum));
        let stream = client.into_stream();
        stream.set_nonblocking(true)?;
        let topic = args.topic.replace("{n}", &number.to_string());
        Ok(Connection {
            stream: TcpStream::from_std(stream),
            version: args.version(),
            qos: args.qos,
            template: Template::new(args.version(), &topic, args.qos, args.payload),
            out: Vec::with_capacity(CHUNK + args.payload + 64),
            written: 0,
            input: Vec::new(),
            writable: true,
            quota: args.quota(number),
            sent: 0,
            in_flight: 0,
            window,
            sent_at: vec![Instant::now(); window.next_power_of_two() as usize].into(),
            held_up: false,
            ponged: false,
        })
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Has all of its quota been sent?
    pub fn exhausted(&self) -> bool {
        self.sent >= self.quota
    }

    /// Is nothing left to be written or acknowledged?
    pub fn settled(&self) -> bool {
        self.in_flight == 0 && self.written == self.out.len() && (self.qos > 0 || self.ponged)
    }

    /// Could it send another message now?
    pub fn ready(&self) -> bool {
        self.writable && !self.exhausted() && self.has_room()
    }

    fn has_room(&self) -> bool {
        self.qos == 0 || self.in_flight < self.window
    }

    /// Sends as much as the window and the socket take.
    pub fn flood(&mut self, now: Instant) -> Result<()> {
        if self.out.len() < CHUNK {
            while self.out.len() < CHUNK && !self.exhausted() && self.has_room() {
                self.push(now);
            }
        }
        self.flush()
    }

    /// Sends the message that was due at `due` in a packet of its own; false when window or socket have no room.
    pub fn send_due(&mut self, due: Instant, now: Instant) -> Result<bool> {
        if !self.ready() || self.written < self.out.len() {
            self.held_up = true;
            return Ok(false);
        }
        // A message that had to wait has been on its way since it was due.
        self.push(if self.held_up { due } else { now });
        self.held_up = false;
        self.flush()?;
        Ok(true)
    }

    /// In QoS 0 nothing else tells that all was read.
    pub fn ping(&mut self) -> Result<()> {
        wire::ping(&mut self.out);
        self.flush()
    }

    fn push(&mut self, at: Instant) {
        let id = (self.sent % 65_535 + 1) as u16;
        self.template.write(&mut self.out, id, self.sent);
        self.sent += 1;
        if self.qos > 0 {
            self.in_flight += 1;
            let slot = self.slot(id);
            self.sent_at[slot] = at;
        }
    }

    /// Ids count up and wrap at 65,535, which no power of two divides: two ids of one window that share a slot are
    /// possible around the wrap, and then one of 65,535 times is that of its neighbour.
    fn slot(&self, id: u16) -> usize {
        usize::from(id) & (self.sent_at.len() - 1)
    }

    pub fn flush(&mut self) -> Result<()> {
        while self.writable && self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => bail!("the broker takes nothing more"),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing"),
            }
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        Ok(())
    }

    /// Reads all that is there.
    pub fn read(&mut self, buffer: &mut [u8], stats: &mut Stats) -> Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("the broker closed the connection"),
                Ok(count) => self.take(&buffer[..count], stats)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("reading"),
            }
        }
        self.flush()
    }

    fn take(&mut self, mut bytes: &[u8], stats: &mut Stats) -> Result<()> {
        let now = Instant::now();
        if self.input.is_empty() {
            // Nearly all that ever comes: PUBACKs of four bytes, whole and in a row.
            while let [0x40, 2, high, low, rest @ ..] = bytes {
                self.done(u16::from_be_bytes([*high, *low]), 0, now, stats);
                bytes = rest;
            }
        }
        self.input.extend_from_slice(bytes);
        while let Some(packet) = wire::take(&mut self.input, self.version) {
            match packet {
                Packet::PubAck { id, code } | Packet::PubComp { id, code } => self.done(id, code, now, stats),
                Packet::PubRec { id, code } if code >= 0x80 => self.done(id, code, now, stats),
                Packet::PubRec { id, .. } => wire::answer(&mut self.out, 0x62, id),
                Packet::PingResp => self.ponged = true,
                other => bail!("the broker sent {other:?}"),
            }
        }
        Ok(())
    }

    fn done(&mut self, id: u16, code: u8, now: Instant, stats: &mut Stats) {
        let sent_at = self.sent_at[self.slot(id)];
        self.in_flight = self.in_flight.saturating_sub(1);
        stats.answered(code, now.checked_duration_since(sent_at).unwrap_or(Duration::ZERO));
    }
}
