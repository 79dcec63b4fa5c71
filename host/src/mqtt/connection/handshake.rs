//! From a byte stream to a session: reads CONNECT, decides, answers.
//!
//! Everything that waits happens before the session is attached, so that giving up in time (the caller does that) never
//! leaves a session with a connection that does not exist.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::asking::Asking;
use super::topics::fits_limits;
use super::{Connection, FAREWELL, read_out};
use crate::event::{Connection as About, EventKind, PacketProperties};
use crate::message::{Client, ClientId, ProtocolVersion};
use crate::mqtt::acl::{ClientRules, Question};
use crate::mqtt::auth::{self, Credentials, Grant};
use crate::mqtt::broker::{Broker, Now};
use crate::mqtt::certificate::PeerCertificate;
use crate::mqtt::codec::{self, ConnAck, ConnectError, Encoder};
use crate::mqtt::config::{MqttConfig, PeerCertAs};
use crate::mqtt::events::MAX_USER_PROPERTIES;
use crate::mqtt::handshakes::Waiting;
use crate::mqtt::mailbox::Link;
use crate::mqtt::packet::{Connect, Reason, Will};
use crate::mqtt::proxy::ProxyError;
use crate::mqtt::router::is_reserved;
use crate::mqtt::session::{Agreement, Expiry};
use crate::mqtt::sessions::Attach;
use crate::mqtt::throttle::Throttle;

/// A connected peer before CONNECT.
#[derive(Debug)]
pub struct Peer<S> {
    pub stream: S,
    /// Behind a proxy, the one that its header named.
    pub address: SocketAddr,
    /// Where it connected to.
    pub local: SocketAddr,
    pub certificate: PeerCertificate,
    /// The listener's limits on what the client may send.
    pub throttle: Option<Box<Throttle>>,
    /// Is told when CONNECT is there.
    pub waiting: Waiting,
}

#[cfg(any(test, fuzzing))]
impl<S> Peer<S> {
    /// A peer without a certificate.
    pub fn plain(stream: S, address: SocketAddr) -> Peer<S> {
        let (local, certificate) = (SocketAddr::from(([127, 0, 0, 1], 1883)), PeerCertificate::default());
        Peer { stream, address, local, certificate, throttle: None, waiting: Waiting::default() }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the connection was lost before CONNECT: {0}")]
    Lost(#[from] std::io::Error),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("refused with reason {0:?}")]
    Reason(Reason),
}

/// Reads CONNECT and answers it. The caller limits the time.
pub async fn open<S>(mut peer: Peer<S>, broker: &Arc<Broker>, link: &Arc<Link>) -> Result<Box<Connection<S>>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limit = broker.config.max_packet_size.as_usize();
    let (connect, given, rest) = match read_connect(&mut peer.stream, limit, broker).await {
        Ok(read) => read,
        Err(refused) => {
            if let Refused::Connect(error) = &refused
                && let Some((version, reason)) = error.answer()
            {
                refuse(&mut peer.stream, version, reason).await;
            }
            return Err(refused);
        }
    };
    peer.waiting.heard();
    let version = connect.version;
    let mut who = identify(&peer, &connect, &broker.config);
    match admit(&peer, &connect, broker, &mut who).await {
        Ok(admitted) => attach(peer, broker, link, connect, who, admitted, given, rest).await,
        Err(reason) => {
            // Before the farewell, which waits for the peer.
            let about = about(&peer, &connect, &who.client, given, &agreement(&connect, &broker.config), None);
            broker.events.connack(&Arc::new(about), reason as u8);
            refuse(&mut peer.stream, version, reason).await;
            Err(Refused::Reason(reason))
        }
    }
}

/// CONNECT, what it says beyond what we need of it, and what came behind it.
type Read = (Connect, Given, Bytes);
type Given = Option<Box<PacketProperties>>;

async fn read_connect<S: AsyncRead + Unpin>(stream: &mut S, limit: usize, broker: &Broker) -> Result<Read, Refused> {
    let mut buffer = BytesMut::with_capacity(512);
    loop {
        // Anything but CONNECT is not worth waiting for.
        if buffer.first().is_some_and(|first| *first != 0x10) {
            return Err(ConnectError::NotConnect.into());
        }
        match codec::cut(&buffer, limit) {
            Ok(Some(frame)) => {
                let connect = codec::decode_connect(&frame)?;
                let given = match connect.version {
                    // Kept as long as the connection, so only for whom it may concern.
                    ProtocolVersion::V5 if broker.events.wants_connections() => {
                        codec::properties_of(frame.bytes, MAX_USER_PROPERTIES)
                    }
                    _ => None,
                };
                let len = frame.bytes.len();
                return Ok((connect, given, buffer.split_off(len).freeze()));
            }
            Ok(None) => {}
            // Not even the version is known, so there is no answer that would surely be understood.
            Err(error) => return Err(ConnectError::Invalid(ProtocolVersion::V4, error).into()),
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Who it says that it is.
struct Identity {
    client: Arc<Client>,
    /// The client id is one that the broker made up.
    assigned: bool,
    name_from_certificate: bool,
    /// Names come from the certificate, and this one has none.
    nameless: bool,
}

/// What it may do.
struct Admitted {
    rules: Arc<ClientRules>,
    grant: Grant,
}

fn identify<S>(peer: &Peer<S>, connect: &Connect, config: &MqttConfig) -> Identity {
    let id = certified(&peer.certificate, config.peer_cert_as_clientid);
    let name = certified(&peer.certificate, config.peer_cert_as_username);
    // A certificate without the name is refused later: its owner must not choose one instead.
    let nameless = id.is_err() || name.is_err();
    let (id, name) = (id.unwrap_or_default(), name.unwrap_or_default());
    let asked = id.as_deref().unwrap_or(&connect.client_id);
    let assigned = asked.is_empty();
    let id = if assigned { ClientId::new(&made_up_id()) } else { ClientId::new(asked) };
    let name_from_certificate = name.is_some();
    let username = name.as_deref().or(connect.username.as_deref()).map(Arc::from);
    let (peer, version, attrs) = (peer.address, connect.version, BTreeMap::new());
    let client = Arc::new(Client { id, username, peer, version, attrs, hops: 0 });
    Identity { client, assigned, name_from_certificate, nameless }
}

/// The certificate has not the name that it should have.
struct Nameless;

/// The name that stands in the certificate, if there is one and names come from there.
fn certified(certificate: &PeerCertificate, kind: PeerCertAs) -> Result<Option<String>, Nameless> {
    if kind == PeerCertAs::Disabled || !certificate.verified {
        return Ok(None);
    }
    let name = certificate.name(kind).filter(|name| !name.is_empty() && !name.contains('\0'));
    name.map(Some).ok_or(Nameless)
}

/// Whether it may connect, and what it may do then.
async fn admit<S>(peer: &Peer<S>, connect: &Connect, broker: &Broker, who: &mut Identity) -> Result<Admitted, Reason> {
    let config = &broker.config;
    if connect.authentication_method {
        return Err(Reason::BadAuthenticationMethod);
    }
    if who.nameless {
        return Err(Reason::NotAuthorized);
    }
    if who.assigned && connect.version == ProtocolVersion::V4 && !connect.clean_start {
        // MQTT-3.1.3-8 of 3.1.1.
        return Err(Reason::ClientIdentifierNotValid);
    }
    if !who.assigned && who.client.id.as_str().len() > config.max_clientid_len {
        return Err(Reason::ClientIdentifierNotValid);
    }
    let username = who.client.username.as_deref();
    if broker.bans(who.client.id.as_str(), username, peer.address.ip()) {
        return Err(Reason::Banned);
    }
    let credentials = Credentials {
        client_id: who.client.id.as_str(),
        username,
        password: connect.password.as_ref(),
        peer: peer.address,
        certificate: &peer.certificate,
        name_from_certificate: who.name_from_certificate,
    };
    let now = Now::read().unix_millis / 1000;
    let checked = broker.authenticator.load_full().check(&credentials, now).await;
    let mut grant = match checked {
        Ok(grant) => grant,
        Err(reason) => {
            broker.events.authenticated(&who.client, reason as u8, false, false);
            return Err(reason);
        }
    };
    if !grant.attrs.is_empty() {
        let attrs = std::mem::take(&mut grant.attrs);
        let Client { id, username, peer, version, hops, .. } = &*who.client;
        let (id, username) = (id.clone(), username.clone());
        who.client = Arc::new(Client { id, username, peer: *peer, version: *version, attrs, hops: *hops });
    }
    broker.events.authenticated(&who.client, 0, grant.identified, grant.superuser);
    let client = &who.client;
    let rules = broker.resolve_rules(client, Some(&grant));
    if let Some(will) = &connect.will {
        if will.qos > config.max_qos_allowed {
            return Err(Reason::QoSNotSupported);
        }
        if will.retain && !config.retain_available {
            return Err(Reason::RetainNotSupported);
        }
        if !fits_limits(will.topic.as_str(), config) {
            return Err(Reason::TopicNameInvalid);
        }
        let allowed = !is_reserved(&will.topic) && may_leave(will, client, &rules, broker).await;
        if broker.events.wants(EventKind::CheckAuthzComplete) {
            let source = rules.publish_source(will.topic.as_str(), will.qos, will.retain);
            broker.events.authorized(client, "publish", will.topic.as_str(), source, allowed);
        }
        if !allowed {
            broker.metrics.unauthorized.add(1);
            return Err(Reason::NotAuthorized);
        }
    }
    Ok(Admitted { rules, grant })
}

/// Whether the client may have this published for it.
async fn may_leave(will: &Will, client: &Client, rules: &ClientRules, broker: &Broker) -> bool {
    let permits = rules.may_publish(will.topic.as_str());
    if !permits.open.has(will.qos, will.retain) {
        return permits.allowed.has(will.qos, will.retain);
    }
    let topic = will.topic.as_str().to_owned();
    let question = Question { publish: true, topic, qos: will.qos, retain: will.retain };
    let sources = broker.authorizer.load().sources.clone();
    match sources {
        Some(sources) => sources.ask(client, &question).await.allowed,
        None => false,
    }
}

fn agreement(connect: &Connect, config: &MqttConfig) -> Agreement {
    let expiry = match (connect.version, connect.clean_start) {
        (ProtocolVersion::V5, _) => Expiry::from_secs(connect.session_expiry_interval.unwrap_or(0)),
        (ProtocolVersion::V4, true) => Expiry::After(Duration::ZERO),
        (ProtocolVersion::V4, false) => Expiry::After(config.session_expiry_interval.duration()),
    };
    Agreement {
        version: connect.version,
        expiry,
        receive_maximum: config.max_inflight.max(1),
        send_maximum: connect.receive_maximum.min(config.max_inflight),
    }
}

fn about<S>(
    peer: &Peer<S>,
    connect: &Connect,
    client: &Arc<Client>,
    properties: Given,
    agreement: &Agreement,
    connected_at: Option<i64>,
) -> About {
    About {
        client: client.clone(),
        local: peer.local,
        keep_alive: connect.keep_alive,
        clean_start: connect.clean_start,
        receive_maximum: agreement.send_maximum,
        session_expiry: agreement.expiry.as_secs(),
        properties,
        connected_at,
    }
}

fn made_up_id() -> String {
    format!("auto-{:016X}", u64::from_be_bytes(auth::random()))
}

#[expect(clippy::too_many_arguments, reason = "the one place where all parts of a connection meet")]
async fn attach<S>(
    mut peer: Peer<S>,
    broker: &Arc<Broker>,
    link: &Arc<Link>,
    connect: Connect,
    who: Identity,
    admitted: Admitted,
    given: Given,
    rest: Bytes,
) -> Result<Box<Connection<S>>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Identity { client, assigned, .. } = who;
    let Admitted { rules, grant } = admitted;
    let config = &broker.config;
    let v5 = connect.version == ProtocolVersion::V5;
    let server_keep_alive = config.server_keepalive.filter(|_| v5);
    let keep_alive = server_keep_alive.unwrap_or(connect.keep_alive);
    let agreement = agreement(&connect, config);
    let now = Now::read();
    let mut about = about(&peer, &connect, &client, given, &agreement, Some(now.unix_millis));
    about.keep_alive = keep_alive;
    let about = Arc::new(about);
    let max_packet_size = connect.maximum_packet_size.map_or(usize::MAX, |n| n as usize);
    let encoder = Encoder { version: connect.version, max_packet_size };
    let attached = broker.sessions.attach(Attach {
        about: &about,
        clean_start: connect.clean_start,
        agreement,
        will: connect.will,
        link,
    });
    let Ok(attached) = attached else {
        if let Some(about) = Arc::into_inner(about) {
            broker.events.connack(&Arc::new(About { connected_at: None, ..about }), Reason::QuotaExceeded as u8);
        }
        refuse(&mut peer.stream, connect.version, Reason::QuotaExceeded).await;
        return Err(Refused::Reason(Reason::QuotaExceeded));
    };
    // Nothing below may wait: the session has a connection from here on.
    broker.events.connack(&about, Reason::Success as u8);
    broker.events.connected(&about);
    broker.sys.connected(broker, &about, now);
    let mut out = BytesMut::new();
    let connack = ConnAck {
        session_present: attached.session_present,
        assigned_client_id: assigned.then(|| client.id.as_str()),
        session_expiry_interval: None,
        server_keep_alive,
        receive_maximum: agreement.receive_maximum,
        maximum_packet_size: u32::try_from(config.max_packet_size.0).unwrap_or(u32::MAX),
        topic_alias_maximum: config.max_topic_alias,
        maximum_qos: config.max_qos_allowed,
        retain_available: config.retain_available,
        wildcard_subscription_available: config.wildcard_subscription,
        shared_subscription_available: config.shared_subscription,
    };
    let said = encoder.connack(&mut out, &connack);
    let keep_alive = match keep_alive {
        0 => None,
        seconds => Some(Duration::from_secs_f64(f64::from(seconds) * config.keepalive_multiplier)),
    };
    let aliases = connect.topic_alias_maximum;
    let mut connection = Connection::new(
        peer.stream,
        broker.clone(),
        link.clone(),
        attached,
        about,
        rules,
        encoder,
        aliases,
        keep_alive,
    );
    connection.throttle = peer.throttle;
    connection.asking = Asking::new(broker);
    connection.remember(grant);
    connection.begin(out, rest, said);
    Ok(connection)
}

async fn refuse<S>(stream: &mut S, version: ProtocolVersion, reason: Reason)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut out = BytesMut::new();
    if Encoder::unlimited(version).refuse(&mut out, reason) {
        let last_word = async {
            stream.write_all(&out).await?;
            stream.shutdown().await?;
            read_out(stream).await
        };
        // The peer may be gone; there is nobody else to tell.
        let _ = tokio::time::timeout(FAREWELL, last_word).await;
    }
}
