//! The other end of a connection, for tests of the protocol itself: whole packets as bytes, over any transport.
//!
//! What comes is compared byte for byte, so reserved bits, lengths and properties that nobody asked for are seen. A wrong
//! packet is sent as readily as a right one. Nothing is answered by itself.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::mqtt::{ANSWER_LIMIT, anybody};
use crate::transport::{Transport, Wire};
use crate::wire::{self, Connect, Publish, Version};

/// The flags of a PUBLISH.
pub const QOS_0: u8 = 0x00;
pub const QOS_1: u8 = 0x02;
pub const QOS_2: u8 = 0x04;
pub const RETAIN: u8 = 0x01;
pub const DUP: u8 = 0x08;

/// The first bytes of the acknowledgements.
pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;

/// The packet id of each SUBSCRIBE and UNSUBSCRIBE that is sent here.
const REQUEST: u16 = 0x1234;

/// One connection.
pub struct Peer {
    stream: Box<dyn Wire>,
    pub version: Version,
    input: Vec<u8>,
    /// Came while something else was awaited; next in line.
    aside: VecDeque<Vec<u8>>,
    next_id: u16,
}

impl Peer {
    /// A TCP connection without CONNECT.
    #[must_use]
    pub fn open(address: SocketAddr, version: Version) -> Peer {
        Peer::over(Transport::Tcp.open(address).expect("a connection"), version)
    }

    /// A connection without CONNECT over a stream that is there.
    #[must_use]
    pub fn over(stream: Box<dyn Wire>, version: Version) -> Peer {
        Peer { stream, version, input: Vec::new(), aside: VecDeque::new(), next_id: 0 }
    }

    /// Connected with a clean session.
    #[must_use]
    pub fn connect(address: SocketAddr, version: Version, client: &str) -> Peer {
        Peer::connect_with(address, &Connect { client, ..anybody(version) }).0
    }

    /// Connected and accepted; with the CONNACK.
    #[must_use]
    pub fn connect_with(address: SocketAddr, connect: &Connect<'_>) -> (Peer, Vec<u8>) {
        let mut peer = Peer::open(address, connect.version);
        let connack = peer.greet(connect);
        (peer, connack)
    }

    /// Sends CONNECT on this connection and takes the CONNACK, which must accept.
    pub fn greet(&mut self, connect: &Connect<'_>) -> Vec<u8> {
        self.send(&packet(|out| wire::connect(out, connect)));
        let connack = self.packet();
        let head: &[u8] = connack.get(1 + length_bytes(&connack)..).unwrap_or_default();
        assert!(connack.first() == Some(&0x20) && head.get(1) == Some(&0), "refused with {connack:02x?}: {connect:?}");
        connack
    }

    /// Sends all of it; the server must still be there.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).expect("the connection is open");
    }

    /// Sends what the server may close upon before it has it all.
    pub fn send_anyway(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// The next packet, whole; empty when the connection has ended.
    pub fn packet(&mut self) -> Vec<u8> {
        match self.aside.pop_front() {
            Some(packet) => packet,
            None => self.read_packet(),
        }
    }

    fn read_packet(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + ANSWER_LIMIT;
        loop {
            if let Some(length) = whole(&self.input) {
                return self.input.drain(..length).collect();
            }
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.limit_reads(left).expect("a time limit above zero");
            let mut chunk = [0; 16_384];
            match self.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => self.input.extend(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    assert!(Instant::now() < deadline, "no packet and no end in {ANSWER_LIMIT:?}");
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Reset, because the server closed before it had read all: an end like any.
                Err(_) => break,
            }
        }
        assert!(self.input.is_empty(), "the connection ended inside of a packet: {:02x?}", self.input);
        Vec::new()
    }

    /// The next packet must be this one.
    #[track_caller]
    pub fn expect(&mut self, packet: &[u8]) {
        let came = self.packet();
        assert!(came == packet, "came     {came:02x?}\ninstead of {packet:02x?}");
    }

    /// The server must close now, in 5.0 after a DISCONNECT with `code`.
    #[track_caller]
    pub fn expect_close(&mut self, code: u8) {
        if self.version == Version::V5 {
            self.expect(&[0xe0, 2, code, 0]);
        }
        self.expect(&[]);
    }

    /// Nothing else is on its way: two PINGREQ are answered by two PINGRESP. (What was ready before the first goes out
    /// with its answer, at the latest.)
    #[track_caller]
    pub fn expect_silence(&mut self) {
        for _ in 0..2 {
            self.send(&[0xc0, 0]);
            self.expect(&[0xd0, 0]);
        }
    }

    /// Sends one PUBLISH. `id` is left out with QoS 0, `properties` in 3.1.1.
    pub fn publish(&mut self, flags: u8, topic: &str, id: u16, properties: &[u8], payload: &[u8]) {
        self.send(&publish(self.version, flags, topic, id, properties, payload));
    }

    /// The next packet must be this PUBLISH.
    #[track_caller]
    pub fn expect_publish(&mut self, flags: u8, topic: &str, id: u16, properties: &[u8], payload: &[u8]) {
        let packet = publish(self.version, flags, topic, id, properties, payload);
        self.expect(&packet);
    }

    /// Publishes and waits until the server owns the message, so that whoever subscribes has it in the queue.
    pub fn say(&mut self, flags: u8, topic: &str, payload: &[u8]) {
        self.say_with(flags, topic, &[], payload);
    }

    /// [`Peer::say`] with properties.
    #[track_caller]
    pub fn say_with(&mut self, flags: u8, topic: &str, properties: &[u8], payload: &[u8]) {
        self.next_id += 1;
        let id = self.next_id;
        self.publish(flags, topic, id, properties, payload);
        let first = match flags & 0x06 {
            QOS_0 => return self.expect_silence(),
            QOS_1 => PUBACK,
            _ => PUBREC,
        };
        let answer = self.packet();
        let good = answer == ack(first, id) || answer == ack_with(first, id, 0x10);
        assert!(good, "PUBLISH {id} was answered with {answer:02x?}");
        if first == PUBREC {
            self.send(&ack(PUBREL, id));
            self.expect(&ack(PUBCOMP, id));
        }
    }

    /// Subscribes to one filter and expects it to be granted as asked for. In 3.1.1 `options` is the QoS.
    #[track_caller]
    pub fn subscribe(&mut self, filter: &str, options: u8) {
        self.subscribe_all(&[], &[(filter, options)]);
        self.expect_suback(&[options & 3]);
    }

    /// Sends one SUBSCRIBE.
    pub fn subscribe_all(&mut self, properties: &[u8], filters: &[(&str, u8)]) {
        self.send(&packet(|out| wire::subscribe_all(out, self.version, REQUEST, properties, filters)));
    }

    /// The next packet must be the SUBACK for what was sent last, with these codes.
    #[track_caller]
    pub fn expect_suback(&mut self, codes: &[u8]) {
        self.expect(&answer(self.version, 0x90, codes));
    }

    /// Sends one UNSUBSCRIBE.
    pub fn unsubscribe(&mut self, filters: &[&str]) {
        self.send(&packet(|out| wire::unsubscribe(out, self.version, REQUEST, filters)));
    }

    /// The next packet must be the UNSUBACK for what was sent last; in 5.0 with these codes.
    #[track_caller]
    pub fn expect_unsuback(&mut self, codes: &[u8]) {
        let codes = if self.version == Version::V5 { codes } else { &[] };
        self.expect(&answer(self.version, 0xb0, codes));
    }

    /// Takes a PUBLISH of QoS 1 or 2 and acknowledges it to the end; gives its flags and payload.
    pub fn take(&mut self, topic: &str) -> (u8, Vec<u8>) {
        let packet = self.packet();
        let at = 1 + length_bytes(&packet) + 2 + topic.len();
        assert!(packet.first().is_some_and(|first| first >> 4 == 3), "{packet:02x?} instead of a PUBLISH");
        assert_eq!(packet.get(at - topic.len()..at), Some(topic.as_bytes()), "{packet:02x?}");
        let flags = packet[0] & 0x0f;
        let mut rest = at;
        if flags & 0x06 != 0 {
            let id = u16::from_be_bytes([packet[at], packet[at + 1]]);
            rest += 2;
            if flags & 0x06 == QOS_1 {
                self.send(&ack(PUBACK, id));
            } else {
                self.send(&ack(PUBREC, id));
                // More messages may be on their way before the answer.
                loop {
                    let next = self.read_packet();
                    if next == ack(PUBREL, id) {
                        break;
                    }
                    assert!(!next.is_empty(), "the connection ended before PUBREL {id}");
                    self.aside.push_back(next);
                }
                self.send(&ack(PUBCOMP, id));
            }
        }
        if self.version == Version::V5 {
            // No test has more properties than one byte can say.
            rest += 1 + usize::from(packet[rest]);
        }
        (flags, packet[rest..].to_vec())
    }

    /// DISCONNECT, and waits for the server's close.
    pub fn goodbye(mut self) {
        self.send(&[0xe0, 0]);
        self.expect(&[]);
    }
}

/// What `write` appends to nothing.
#[must_use]
pub fn packet(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// A packet around `body`.
#[must_use]
pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    packet(|out| wire::frame(out, first, body))
}

#[must_use]
pub fn publish(version: Version, flags: u8, topic: &str, id: u16, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let (qos, dup, retain) = (flags >> 1 & 3, flags & DUP != 0, flags & RETAIN != 0);
    packet(|out| wire::publish(out, version, &Publish { topic, payload, qos, id, dup, retain, properties }))
}

/// An acknowledgement of success.
#[must_use]
pub fn ack(first: u8, id: u16) -> Vec<u8> {
    packet(|out| wire::answer(out, first, id))
}

/// An acknowledgement of 5.0 with a reason code and no properties.
#[must_use]
pub fn ack_with(first: u8, id: u16, code: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![first, 4, high, low, code, 0]
}

fn answer(version: Version, first: u8, codes: &[u8]) -> Vec<u8> {
    let mut body = REQUEST.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    body.extend(codes);
    frame(first, &body)
}

/// A property of one byte.
#[must_use]
pub fn byte(kind: u8, value: u8) -> Vec<u8> {
    vec![kind, value]
}

/// A property of two bytes.
#[must_use]
pub fn word(kind: u8, value: u16) -> Vec<u8> {
    [&[kind][..], &value.to_be_bytes()].concat()
}

/// A property of four bytes.
#[must_use]
pub fn long(kind: u8, value: u32) -> Vec<u8> {
    [&[kind][..], &value.to_be_bytes()].concat()
}

/// A property that is a string or binary data.
#[must_use]
pub fn text(kind: u8, value: &[u8]) -> Vec<u8> {
    packet(|out| {
        out.push(kind);
        wire::field(out, value);
    })
}

/// A User Property.
#[must_use]
pub fn user(key: &str, value: &str) -> Vec<u8> {
    packet(|out| wire::user_property(out, key, value))
}

/// The length of the packet that `input` begins with, when it is all there.
fn whole(input: &[u8]) -> Option<usize> {
    let width = length_bytes(input);
    let bytes = input.get(1..1 + width)?;
    let last = bytes.last()?;
    assert!(last & 0x80 == 0 || width < 4, "a length of more than four bytes: {bytes:02x?}");
    let value = bytes.iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
    let total = 1 + width + value;
    (last & 0x80 == 0 && input.len() >= total).then_some(total)
}

/// How many bytes the remaining length of `packet` takes, as far as it is there.
fn length_bytes(packet: &[u8]) -> usize {
    let more = packet.iter().skip(1).take(3).take_while(|byte| **byte & 0x80 != 0).count();
    (1 + more).min(packet.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_whole_when_its_last_byte_is_there() {
        for length in [0, 1, 127, 128, 300, 20_000] {
            let all = frame(0x30, &vec![b'x'; length]);
            for cut in [0, 1, 2, 3, all.len() - 1] {
                let cut = cut.min(all.len() - 1);
                assert_eq!(whole(&all[..cut]), None, "{cut} of {}", all.len());
            }
            assert_eq!(whole(&[&all[..], &[0x40, 2]].concat()), Some(all.len()));
        }
    }
}
