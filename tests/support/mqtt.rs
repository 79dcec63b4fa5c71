//! A blocking MQTT client that does what it is told, one packet at a time. It never answers by itself: a test that
//! wants a PUBREL or a reconnect says so.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::wire::{self, Connect, Packet, Publish, Version};

/// How long an answer may take that must come.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What came, or did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    Packet(Packet),
    /// Nothing whole within the time.
    Nothing,
    /// The server closed or reset the connection.
    Closed,
}

#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    version: Version,
    input: Vec<u8>,
    /// How many messages of QoS 1 and 2 the server lets wait for their acknowledgement (MQTT-3.3.4-9).
    pub receive_maximum: u16,
}

impl Client {
    /// A connection without CONNECT.
    pub fn open(address: SocketAddr, version: Version) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, version, input: Vec::new(), receive_maximum: u16::MAX })
    }

    /// A connection with a clean session, accepted.
    #[must_use]
    pub fn connect(address: SocketAddr, version: Version, client: &str) -> Client {
        Client::connect_with(address, &Connect { client, ..anybody(version) }).0
    }

    /// A connection, accepted, and whether the server had a session.
    #[must_use]
    pub fn connect_with(address: SocketAddr, connect: &Connect<'_>) -> (Client, bool) {
        let (client, code, session_present) = Client::try_connect(address, connect).expect("a CONNACK");
        assert_eq!(code, 0, "CONNACK refused {connect:?}");
        (client, session_present)
    }

    /// A connection, the code of its CONNACK, and whether the server had a session.
    pub fn try_connect(address: SocketAddr, connect: &Connect<'_>) -> io::Result<(Client, u8, bool)> {
        let mut client = Client::open(address, connect.version)?;
        let mut out = Vec::new();
        wire::connect(&mut out, connect);
        client.send(&out)?;
        match client.receive(ANSWER_LIMIT) {
            Received::Packet(Packet::ConnAck { session_present, code, properties }) => {
                client.receive_maximum = wire::receive_maximum(&properties);
                Ok((client, code, session_present))
            }
            Received::Closed => Err(ErrorKind::ConnectionReset.into()),
            other => Err(io::Error::other(format!("{other:?} instead of a CONNACK"))),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends `publish` without waiting for anything.
    pub fn publish(&mut self, publish: &Publish<'_>) {
        let mut out = Vec::new();
        wire::publish(&mut out, self.version, publish);
        self.send(&out).expect("the connection is open");
    }

    /// Subscribes, and gives the code of the SUBACK.
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> u8 {
        let mut out = Vec::new();
        wire::subscribe(&mut out, self.version, 1, filter, qos);
        self.send(&out).expect("the connection is open");
        match self.expect() {
            Packet::SubAck { id: 1, codes } if codes.len() == 1 => codes[0],
            other => panic!("{other:?} instead of a SUBACK"),
        }
    }

    /// Publishes with QoS 2 up to PUBCOMP; gives the code of the PUBREC.
    pub fn exactly_once(&mut self, publish: &Publish<'_>) -> u8 {
        self.publish(publish);
        let code = match self.expect() {
            Packet::PubRec { id, code } if id == publish.id => code,
            other => panic!("{other:?} instead of PUBREC {}", publish.id),
        };
        if code < 0x80 {
            let mut out = Vec::new();
            wire::answer(&mut out, 0x62, publish.id);
            self.send(&out).expect("the connection is open");
            assert_eq!(self.expect(), Packet::PubComp { id: publish.id, code: 0 });
        }
        code
    }

    /// Publishes with QoS 1; gives the code of the PUBACK.
    pub fn at_least_once(&mut self, publish: &Publish<'_>) -> u8 {
        self.publish(publish);
        match self.expect() {
            Packet::PubAck { id, code } if id == publish.id => code,
            other => panic!("{other:?} instead of PUBACK {}", publish.id),
        }
    }

    /// The next packet, which must come.
    pub fn expect(&mut self) -> Packet {
        match self.receive(ANSWER_LIMIT) {
            Received::Packet(packet) => packet,
            other => panic!("{other:?} instead of a packet"),
        }
    }

    /// The next packet, if it comes within `limit`.
    pub fn receive(&mut self, limit: Duration) -> Received {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(packet) = wire::take(&mut self.input, self.version) {
                return Received::Packet(packet);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // A timeout of zero would mean none.
            let left = left.max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).expect("a read timeout above zero");
            let mut chunk = [0; 16_384];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Received::Closed,
                Ok(count) => self.input.extend(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() >= deadline {
                        return Received::Nothing;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Received::Closed,
            }
        }
    }

    /// The socket, for a program that drives it by itself. Nothing may have come that was not received.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        assert!(self.input.is_empty(), "the server sent more than was asked for");
        self.stream
    }

    /// Says goodbye.
    pub fn disconnect(mut self) {
        let mut out = Vec::new();
        wire::disconnect(&mut out);
        // A server that is gone already needs no goodbye.
        let _ = self.send(&out);
    }
}

/// A CONNECT with a clean session, without keep-alive and without a user; the client id is empty.
#[must_use]
pub fn anybody(version: Version) -> Connect<'static> {
    Connect { version, client: "", clean: true, keep_alive: 0, user: None, password: None, properties: &[], will: None }
}
