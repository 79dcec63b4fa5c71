//! The one loop that drives all connections: publish what is due, read what came, until all is acknowledged.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mio::{Events, Interest, Poll, Token};

use super::args::Args;
use super::connection::Connection;
use super::histogram::Histogram;

/// How long the last acknowledgements may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// The longest sleep; it bounds how late the end of the time is seen.
const TICK: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub struct Stats {
    pub qos: u8,
    pub sent: u64,
    pub acked: u64,
    /// Answered with a reason code of 0x80 or more.
    pub refused: u64,
    /// From the first message to the last acknowledgement.
    pub elapsed: Duration,
    pub latency: Histogram,
}

impl Stats {
    pub fn answered(&mut self, code: u8, latency: Duration) {
        if code < 0x80 {
            self.acked += 1;
            self.latency.record(latency);
        } else {
            self.refused += 1;
        }
    }

    /// Messages that the broker took responsibility for; of QoS 0, all.
    pub fn taken(&self) -> u64 {
        if self.qos == 0 { self.sent } else { self.acked }
    }
}

/// Opens the connections, publishes, and waits for the last answer.
pub fn run(args: &Args) -> Result<Stats> {
    let mut poll = Poll::new()?;
    let mut connections = (0..args.connections)
        .map(|number| Connection::open(args, number).with_context(|| format!("connection {number} of {}", args.host)))
        .collect::<Result<Vec<_>>>()?;
    for (number, connection) in connections.iter_mut().enumerate() {
        poll.registry().register(connection.stream(), Token(number), Interest::READABLE | Interest::WRITABLE)?;
    }
    let mut run = Run { stats: Stats { qos: args.qos, ..Stats::default() }, connections, buffer: vec![0; 64 * 1024] };
    let mut events = Events::with_capacity(1024);
    let start = Instant::now();
    let end = args.duration().map(|duration| start + duration);
    loop {
        let now = Instant::now();
        if end.is_some_and(|end| now >= end) || run.connections.iter().all(Connection::exhausted) {
            break;
        }
        let sleep = if args.rate > 0 { run.pace(start, args.rate)? } else { run.flood(now)? };
        run.wait(&mut poll, &mut events, sleep)?;
    }
    run.drain(&mut poll, &mut events, args.qos)?;
    run.stats.elapsed = start.elapsed();
    run.stats.sent = run.connections.iter().map(|connection| connection.sent).sum();
    Ok(run.stats)
}

struct Run {
    stats: Stats,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

impl Run {
    /// Full speed. Gives how long there is nothing to do unless a socket says so.
    fn flood(&mut self, now: Instant) -> Result<Duration> {
        for connection in &mut self.connections {
            connection.flood(now)?;
        }
        Ok(if self.connections.iter().any(Connection::ready) { Duration::ZERO } else { TICK })
    }

    /// Message j of connection k of n is due (j * n + k) / rate after the start. Gives the time to the next.
    fn pace(&mut self, start: Instant, rate: u64) -> Result<Duration> {
        let count = self.connections.len() as u64;
        let mut next = TICK;
        for (number, connection) in self.connections.iter_mut().enumerate() {
            while !connection.exhausted() {
                let turn = u128::from(connection.sent * count + number as u64);
                let due = start + Duration::from_nanos((turn * 1_000_000_000 / u128::from(rate)) as u64);
                let now = Instant::now();
                if due > now {
                    next = next.min(due - now);
                    break;
                }
                if !connection.send_due(due, now)? {
                    break;
                }
            }
        }
        Ok(next)
    }

    /// Reads and writes what the sockets are ready for, after at most `sleep`.
    fn wait(&mut self, poll: &mut Poll, events: &mut Events, sleep: Duration) -> Result<()> {
        match poll.poll(events, Some(sleep)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in events.iter() {
            let connection = &mut self.connections[event.token().0];
            if event.is_writable() {
                connection.writable = true;
                connection.flush()?;
            }
            if event.is_readable() {
                connection.read(&mut self.buffer, &mut self.stats)?;
            }
        }
        Ok(())
    }

    fn drain(&mut self, poll: &mut Poll, events: &mut Events, qos: u8) -> Result<()> {
        if qos == 0 {
            for connection in &mut self.connections {
                connection.ping()?;
            }
        }
        let start = Instant::now();
        while !self.connections.iter().all(Connection::settled) {
            let open = self.connections.iter().filter(|connection| !connection.settled()).count();
            ensure!(start.elapsed() < DRAIN_LIMIT, "{open} connections wait for answers since {DRAIN_LIMIT:?}");
            self.wait(poll, events, TICK)?;
        }
        Ok(())
    }
}
