//! What the tests of this folder share: messages, a pipeline that does what the test says, and a raw client.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::acl::Authorizer;
use super::auth::Authenticator;
use super::banned::Banned;
use super::broker::{Broker, Now};
use super::codec::cut;
use super::config::{AuthenticationConfig, MqttConfig};
use super::connection::{self, Peer};
use super::links::Registered;
use super::queue::{Delivery, SubscriptionIds};
use super::sys::{SysTopics, SysTopicsConfig};
use crate::event::Connection as About;
use crate::message::{Client, ClientId, Message, MessageId, ProtocolVersion, QoS};
use crate::pipeline::{Inbound, Ingress, IngressLimits};
use crate::telemetry::metrics::Metrics;
use crate::topic::TopicName;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn client(id: &str, username: Option<&str>, peer: &str) -> Client {
    Client {
        id: ClientId::new(id),
        username: username.map(Arc::from),
        peer: peer.parse().unwrap(),
        version: ProtocolVersion::V5,
        attrs: BTreeMap::new(),
        hops: 0,
    }
}

/// A connection of that client.
pub fn about(id: &str) -> Arc<About> {
    Arc::new(About {
        client: Arc::new(client(id, None, "127.0.0.1:1")),
        local: SocketAddr::from(([127, 0, 0, 1], 1883)),
        keep_alive: 0,
        clean_start: true,
        receive_maximum: 10,
        session_expiry: 0,
        properties: None,
        connected_at: Some(0),
    })
}

/// A simulated moment.
pub fn at(instant: Instant) -> Now {
    Now { instant, unix_millis: 0 }
}

pub fn message(topic: &str, payload: &str, qos: QoS) -> Message {
    Message {
        id: MessageId::next(0),
        client: Arc::new(client("publisher", None, "127.0.0.1:1")),
        topic: TopicName::new(topic).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos,
        retain: false,
        dup: false,
        properties: None,
        received_at: 0,
    }
}

pub fn delivery(topic: &str, qos: u8) -> Delivery {
    let qos = QoS::from_u8(qos).unwrap();
    Delivery {
        message: Arc::new(message(topic, "payload", qos)),
        qos,
        retain: false,
        subscription_ids: SubscriptionIds::None,
        group: None,
    }
}

/// A broker whose pipeline is the test.
pub struct Server {
    pub broker: Arc<Broker>,
}

impl Server {
    pub fn new() -> Server {
        Server::with(|_| {}, "")
    }

    /// `rules`: an `[authorization]` table.
    pub fn with(change: impl FnOnce(&mut MqttConfig), rules: &str) -> Server {
        let mut config = MqttConfig::default();
        change(&mut config);
        let metrics = Arc::new(Metrics::default());
        let authenticator = Authenticator::load(&AuthenticationConfig::default(), &metrics).unwrap();
        let authorizer = Authorizer::new(&toml::from_str(rules).unwrap(), &metrics).unwrap();
        let ingress = Ingress::new(1, IngressLimits { messages: 64, bytes: 1 << 20 });
        let sys = SysTopics::new(SysTopicsConfig::default(), "edge-1", Instant::now());
        let broker = Broker::new(config, ingress, metrics, authenticator, authorizer, Banned::default(), sys);
        Server { broker: Arc::new(broker) }
    }

    pub fn register(&self) -> Registered {
        self.broker.links.register().unwrap()
    }

    /// A connection that has said nothing yet.
    pub fn dial(&self) -> Raw {
        self.dial_from("127.0.0.1:4711".parse().unwrap())
    }

    /// [`Server::dial`] from another address.
    pub fn dial_from(&self, address: SocketAddr) -> Raw {
        let (near, far) = tokio::io::duplex(1 << 16);
        let broker = self.broker.clone();
        let registered = self.register();
        tokio::spawn(async move {
            let peer = Peer::plain(near, address);
            if let Ok(connection) = connection::open(peer, &broker, registered.link()).await {
                connection.run().await;
            }
        });
        Raw { stream: Box::new(far), read: BytesMut::new() }
    }

    /// A connected client; its CONNACK has been read.
    pub async fn connect(&self, version: u8, id: &str, clean: bool) -> Raw {
        let mut raw = self.dial();
        raw.send(&connect(version, id, clean)).await;
        assert_eq!(raw.packet().await[0], 0x20);
        raw
    }

    /// What came down the pipeline: exactly `n` messages.
    pub async fn taken(&self, n: usize) -> Vec<Inbound> {
        let mut taken = Vec::new();
        let all = async {
            while taken.len() < n {
                taken.append(&mut self.broker.ingress.drain_for_test());
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, all).await;
        assert!(waited.is_ok() && taken.len() == n, "{} of {n} messages", taken.len());
        taken
    }

    pub fn drain(&self) {
        self.broker.links.drain();
    }

    pub async fn empty(&self) {
        tokio::time::timeout(PATIENCE, self.broker.links.empty()).await.unwrap();
    }
}

/// Waits until `condition` holds.
pub async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the condition never came true");
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// The client's end of a connection: bytes, not packets.
pub struct Raw {
    stream: Box<dyn Wire>,
    read: BytesMut,
}

impl Raw {
    pub fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Raw {
        Raw { stream: Box::new(stream), read: BytesMut::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        tokio::time::timeout(PATIENCE, self.stream.write_all(bytes)).await.unwrap().unwrap();
    }

    /// Sends what may not be taken any more.
    pub async fn send_anyway(&mut self, bytes: &[u8]) {
        let _ = tokio::time::timeout(PATIENCE, self.stream.write_all(bytes)).await.unwrap();
    }

    /// The next whole packet; empty at the end of the stream.
    pub async fn packet(&mut self) -> Vec<u8> {
        loop {
            if let Some(frame) = cut(&self.read, usize::MAX).unwrap() {
                let len = frame.bytes.len();
                return self.read.split_to(len).to_vec();
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            if read.expect("no packet came").unwrap_or(0) == 0 {
                return Vec::new();
            }
        }
    }

    pub async fn expect(&mut self, packet: &[u8]) {
        assert_eq!(self.packet().await, packet);
    }

    /// Sends PINGREQ and expects its answer next: nothing else was on the way.
    pub async fn expect_silence(&mut self) {
        self.send(&[0xc0, 0]).await;
        self.expect(&[0xd0, 0]).await;
    }
}

/// CONNECT without anything special: keep-alive 0, session expiry 100 s when not `clean` (5.0).
pub fn connect(version: u8, id: &str, clean: bool) -> Vec<u8> {
    let properties: &[u8] = match (version, clean) {
        (5, true) => &[0],
        (5, false) => &[5, 17, 0, 0, 0, 100],
        _ => &[],
    };
    connect_with(version, u8::from(clean) << 1, properties, &[id.as_bytes()])
}

/// CONNECT of `version`: flags, the block of properties, then the fields of the payload.
pub fn connect_with(version: u8, flags: u8, properties: &[u8], fields: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', version, flags, 0, 0];
    body.extend(properties);
    fields.iter().for_each(|field| put(&mut body, field));
    frame(0x10, &body)
}

/// A packet around `body`.
pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut len = body.len();
    while len >= 0x80 {
        packet.push(len as u8 | 0x80);
        len >>= 7;
    }
    packet.push(len as u8);
    packet.extend(body);
    packet
}

fn put(body: &mut Vec<u8>, field: &[u8]) {
    body.extend((field.len() as u16).to_be_bytes());
    body.extend(field);
}

/// PUBLISH; `flags` are those of the first byte, `id` 0 is none. `properties` is the whole block, empty in 3.1.1.
pub fn publish(flags: u8, topic: &str, id: u16, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    put(&mut body, topic.as_bytes());
    if id > 0 {
        body.extend(id.to_be_bytes());
    }
    body.extend(properties);
    body.extend(payload);
    frame(0x30 | flags, &body)
}

/// SUBSCRIBE with packet id 1; `properties` is the whole block, empty in 3.1.1.
pub fn subscribe(properties: &[u8], filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = vec![0, 1];
    body.extend(properties);
    for (filter, options) in filters {
        put(&mut body, filter.as_bytes());
        body.push(*options);
    }
    frame(0x82, &body)
}

/// UNSUBSCRIBE with packet id 2.
pub fn unsubscribe(properties: &[u8], filters: &[&str]) -> Vec<u8> {
    let mut body = vec![0, 2];
    body.extend(properties);
    filters.iter().for_each(|filter| put(&mut body, filter.as_bytes()));
    frame(0xa2, &body)
}
