//! What the fuzzers of `tests/fuzz` call: bytes of a peer, into the codec alone and into whole connections.
//!
//! Built for them and for the unit tests, which run the seeds; never part of the program. Nothing here waits: a
//! connection that neither goes on nor arranges to be woken is a finding.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Runtime;

use super::codec::{Decoder, Encoder, OutgoingPublish, cut, decode_connect};
use super::connection::{self, Peer};
use super::packet::{Packet, Publish};
use super::testing::{Server, connect_with};
use crate::ack::{Outcome, Refusal};
use crate::message::{ProtocolVersion, QoS};
use crate::pipeline::Inbound;
use crate::topic::TopicName;

/// The largest packet that the codec is told to take, in bytes.
const MAX_PACKET: usize = 1 << 20;

/// Any bytes, as CONNECT and as what may follow it: packets or an error, and what was a PUBLISH can be written and read
/// again. The first byte picks the version.
pub fn frames(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    if let Ok(Some(frame)) = cut(data, MAX_PACKET) {
        assert!(frame.bytes.len() <= data.len());
        let _ = decode_connect(&frame);
    }
    let decoder = Decoder { version: version(*first), max_packet_size: MAX_PACKET };
    let mut at = 0;
    while let Ok(Some((packet, len))) = decoder.decode(&data[at..]) {
        assert!(len >= 2 && at + len <= data.len(), "a packet of {len} bytes");
        at += len;
        if let Packet::Publish(publish) = packet {
            write_again(decoder, &publish);
        }
    }
}

fn version(byte: u8) -> ProtocolVersion {
    if byte & 1 == 0 { ProtocolVersion::V4 } else { ProtocolVersion::V5 }
}

fn write_again(decoder: Decoder, publish: &Publish<'_>) {
    let Some(topic) = std::str::from_utf8(publish.topic).ok().and_then(|topic| TopicName::new(topic).ok()) else {
        return;
    };
    let mut out = BytesMut::new();
    let outgoing = OutgoingPublish {
        dup: publish.dup,
        retain: publish.retain,
        qos: publish.qos,
        id: publish.id,
        topic: topic.as_str(),
        topic_alias: publish.topic_alias,
        properties: publish.properties.as_deref(),
        message_expiry_interval: publish.properties.as_ref().and_then(|known| known.message_expiry_interval),
        subscription_ids: &[],
        payload: publish.payload,
    };
    assert!(Encoder::unlimited(decoder.version).publish(&mut out, &outgoing));
    let decoder = Decoder { max_packet_size: usize::MAX, ..decoder };
    let Ok(Some((Packet::Publish(again), len))) = decoder.decode(&out) else {
        panic!("{publish:?} was written as {out:?}, which is no PUBLISH");
    };
    assert_eq!(len, out.len());
    assert_eq!(*publish, again);
}

/// A client over one or two connections, with a pipeline that does with each message what its payload says.
///
/// Byte 0: bit 0 the version, bit 1 a clean start, bit 7 that the bytes bring their own CONNECT; bits 2 to 4 how many
/// bytes come at once. Byte 1: where the first connection ends and the second begins, in 256ths.
pub fn session(data: &[u8]) {
    let [control, split, wire @ ..] = data else { return };
    let limits = |config: &mut super::config::MqttConfig| {
        (config.max_inflight, config.max_outstanding, config.max_mqueue_len) = (8, 16, 8);
    };
    let rules = r#"rules = [{ permission = "deny", topics = ["no/#"] }]"#;
    let server = Server::with(limits, rules);
    let (first, second) = wire.split_at(wire.len() * usize::from(*split) / 256);
    let mut pipeline = Pipeline { server: &server, held: Vec::new(), took: 0 };
    for wire in [first, second] {
        let mut bytes = Vec::new();
        if control & 0x80 == 0 {
            bytes = greeting(version(*control), control & 2 != 0);
        }
        bytes.extend_from_slice(wire);
        run(&mut pipeline, bytes, 1 << (control >> 2 & 7));
        // What is open settles behind the connection's back.
        pipeline.settle_held();
    }
    assert_eq!(server.broker.metrics.connections_current.get(), 0);
}

/// CONNECT for ten seconds of session after the connection.
fn greeting(version: ProtocolVersion, clean: bool) -> Vec<u8> {
    let flags = u8::from(clean) << 1;
    match version {
        ProtocolVersion::V4 => connect_with(4, flags, &[], &[b"c"]),
        ProtocolVersion::V5 => connect_with(5, flags, &[5, 17, 0, 0, 0, 10], &[b"c"]),
    }
}

/// Settles what comes down, some of it late.
struct Pipeline<'s> {
    server: &'s Server,
    held: Vec<Inbound>,
    /// QoS 1 messages that were settled as taken.
    took: usize,
}

impl Pipeline<'_> {
    /// Whether there was anything to do.
    fn work(&mut self) -> bool {
        let taken = self.server.broker.ingress.drain_for_test();
        let any = !taken.is_empty();
        for inbound in taken {
            match inbound.message.payload.first().copied().unwrap_or(0) & 0x40 {
                0 => self.settle(inbound),
                _ => self.held.push(inbound),
            }
        }
        any
    }

    /// The latest first.
    fn settle_held(&mut self) -> bool {
        let any = !self.held.is_empty();
        while let Some(inbound) = self.held.pop() {
            self.settle(inbound);
        }
        any
    }

    fn settle(&mut self, inbound: Inbound) {
        let outcome = match inbound.message.payload.first().copied().unwrap_or(0) & 7 {
            6 => Outcome::Refused(Refusal::QuotaExceeded),
            7 => return,
            5 => Outcome::Unmatched,
            _ => Outcome::Delivered,
        };
        let good = matches!(outcome, Outcome::Delivered | Outcome::Unmatched);
        self.took += usize::from(inbound.message.qos == QoS::AtLeastOnce && good);
        inbound.ack.settle(outcome);
    }
}

/// The peer's end: what it sends, in pieces, and what it was sent.
struct Tape {
    wire: Vec<u8>,
    at: usize,
    piece: usize,
    /// The peer waits once before it closes, so that it can be answered.
    lingered: bool,
    written: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tape {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = self.wire.len() - self.at;
        if rest == 0 && !self.lingered {
            self.lingered = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = rest.min(self.piece).min(buf.remaining());
        buf.put_slice(&self.wire[self.at..self.at + len]);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tape {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.lock().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Timers need one to be made; nobody lets it run.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));

#[derive(Default)]
struct Alarm(AtomicBool);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

fn run(pipeline: &mut Pipeline<'_>, wire: Vec<u8>, piece: usize) {
    let _entered = RUNTIME.enter();
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(alarm.clone());
    let mut cx = Context::from_waker(&waker);
    let written = Arc::new(Mutex::new(Vec::new()));
    let stream = Tape { wire, at: 0, piece, lingered: false, written: written.clone() };
    let took = pipeline.took;

    let (broker, registered) = (pipeline.server.broker.clone(), pipeline.server.register());
    let mut life = pin!(async move {
        let peer = Peer::plain(stream, "127.0.0.1:4711".parse().expect("an address"));
        if let Ok(connection) = connection::open(peer, &broker, registered.link()).await {
            connection.run().await;
        }
    });
    // Each piece takes a few turns; many more are turns for nothing.
    for turn in 0.. {
        assert!(turn < 200_000, "it runs and runs");
        if life.as_mut().poll(&mut cx).is_ready() {
            break;
        }
        let worked = pipeline.work();
        let woken = alarm.0.swap(false, Ordering::AcqRel);
        assert!(worked || woken || pipeline.settle_held(), "it waits for nothing");
    }
    while pipeline.work() {}
    look_at(&written.lock(), pipeline.took - took);
}

/// What was written is whole packets, CONNACK first, and no more successful PUBACKs than messages that were taken.
fn look_at(mut written: &[u8], took: usize) {
    let (mut first, mut acknowledged) = (true, 0);
    while !written.is_empty() {
        let Ok(Some(frame)) = cut(written, usize::MAX) else { panic!("not a packet: {written:?}") };
        assert_eq!(frame.bytes[0] == 0x20, first, "CONNACK comes once and first");
        if frame.bytes[0] == 0x40 {
            let code = frame.bytes.get(4).copied().unwrap_or(0);
            acknowledged += usize::from(code < 0x80);
        }
        first = false;
        written = &written[frame.bytes.len()..];
    }
    assert!(acknowledged <= took, "{acknowledged} acknowledged of {took} taken");
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    /// The seeds of a fuzzer.
    fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds").join(target);
        let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let paths = files.map(|file| file.unwrap().path());
        let seeds: Vec<_> = paths.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect();
        assert!(!seeds.is_empty(), "{}", folder.display());
        seeds
    }

    /// Each seed, and each with one byte changed or its end cut off: a small and repeatable taste of the fuzzers.
    fn taste(target: &str, run: fn(&[u8])) {
        for (path, seed) in seeds(target) {
            println!("{}", path.display());
            run(&seed);
            for at in 0..seed.len().min(200) {
                run(&seed[..at]);
                let mut changed = seed.clone();
                changed[at] ^= 1 << (at % 8);
                run(&changed);
            }
        }
    }

    #[test]
    fn the_codec_stands_the_seeds() {
        taste("frames", super::frames);
    }

    #[test]
    fn a_connection_stands_the_seeds() {
        taste("session", super::session);
    }
}
