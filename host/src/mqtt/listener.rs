//! Accepts connections on one address, and gives each a task of its own, in which TLS and WebSocket shake hands too.
//!
//! Accepting waits for no single client, only for what the operator has bounded: connections in a time
//! (`max_conn_rate`) and handshakes in progress (`max_handshakes`, see `handshakes.rs`); those behind it wait in the
//! system's queue. A full listener closes new connections at once instead of leaving them hanging.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::broker::Broker;
use super::certificate::PeerCertificate;
use super::config::{ListenerConfig, ListenerKind};
use super::connection::{self, Connection, Peer, Refused};
use super::handshakes::{self, Handshakes, Place};
use super::links::Registered;
use super::mailbox::Link;
use super::proxy::{self, ProxyError};
use super::stream::Transport;
use super::throttle::{Limit, Throttle};
use super::websocket;

/// One bound listener.
#[derive(Debug)]
pub struct Listener {
    pub name: String,
    pub address: SocketAddr,
    /// Kept for reading certificates again.
    pub config: ListenerConfig,
    kind: ListenerKind,
    socket: TcpListener,
    tls: Arc<ArcSwapOption<ServerConfig>>,
}

/// What each connection task needs of its listener.
#[derive(Debug)]
struct Shared {
    kind: ListenerKind,
    config: ListenerConfig,
    tls: Arc<ArcSwapOption<ServerConfig>>,
    broker: Arc<Broker>,
}

/// How long to leave the system alone when it cannot accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Room for what WebSocket puts around packets.
const WEBSOCKET_MESSAGE: usize = 1 << 20;

impl Listener {
    /// Binds `config.bind`. `tls` must be set for the kinds that need it.
    pub async fn bind(
        name: &str,
        config: &ListenerConfig,
        tls: Option<Arc<ServerConfig>>,
    ) -> std::io::Result<Listener> {
        let socket = TcpListener::bind(config.bind).await?;
        Ok(Listener {
            name: name.to_owned(),
            address: socket.local_addr()?,
            kind: config.kind(name),
            config: config.clone(),
            socket,
            tls: Arc::new(ArcSwapOption::new(tls)),
        })
    }

    /// Where a new TLS configuration goes; handshakes from then on use it.
    #[must_use]
    pub fn tls(&self) -> Arc<ArcSwapOption<ServerConfig>> {
        self.tls.clone()
    }

    /// Accepts until it is dropped.
    pub async fn run(self, broker: Arc<Broker>) {
        let mut rate = Limit::new(self.config.max_conn_rate, self.config.max_conn_burst, Instant::now());
        let mut handshakes = Handshakes::new(self.config.max_handshakes.get(), handshakes::PATIENCE);
        let permits = Arc::new(Semaphore::new(self.config.max_connections.min(Semaphore::MAX_PERMITS)));
        let shared = Arc::new(Shared { kind: self.kind, config: self.config, tls: self.tls, broker });
        loop {
            if let Some(until) = rate.as_ref().and_then(|rate| rate.full_until(Instant::now())) {
                tokio::time::sleep_until(until.into()).await;
                continue;
            }
            let (stream, address) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(listener = %self.name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Some(rate) = &mut rate {
                rate.take(1, Instant::now());
            }
            let Ok(permit) = permits.clone().try_acquire_owned() else {
                shared.broker.metrics.connections_refused.add(1);
                continue;
            };
            // One that has connected waits here, the others in the system's queue.
            let Some(place) = handshakes.place().await else { return };
            let Some(registered) = shared.broker.links.register() else { return };
            let accepted = Accepted { stream, address, place, permit, registered };
            tokio::spawn(serve(shared.clone(), accepted));
        }
    }
}

/// A new connection, with what it holds of the listener's bounds.
struct Accepted {
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
    permit: OwnedSemaphorePermit,
    registered: Registered,
}

async fn serve(shared: Arc<Shared>, accepted: Accepted) {
    let Accepted { stream, address, place, permit, registered } = accepted;
    let link = registered.link().clone();
    let limit = shared.broker.config.idle_timeout.duration();
    // Boxed, so that the memory of the handshake goes when it is over.
    let opening = Box::pin(tokio::time::timeout(limit, open(&shared, stream, address, &place, &link)));
    let opened = tokio::select! {
        opened = opening => opened,
        () = registered.closing() => return,
        () = place.lost() => {
            shared.broker.metrics.connections_refused.add(1);
            tracing::debug!(%address, "no CONNECT yet, and its place is needed");
            return;
        }
    };
    drop(place);
    match opened {
        Ok(Ok(connection)) => {
            drop(shared);
            connection.run().await;
        }
        Ok(Err(refused)) => {
            shared.broker.metrics.connections_refused.add(1);
            tracing::debug!(%address, error = %refused, "no connection");
        }
        Err(_) => {
            shared.broker.metrics.connections_refused.add(1);
            tracing::debug!(%address, "no CONNECT in time");
        }
    }
    drop(permit);
}

async fn open(
    shared: &Shared,
    mut stream: TcpStream,
    address: SocketAddr,
    place: &Place,
    link: &Arc<Link>,
) -> Result<Box<Connection<Transport>>, Refused> {
    // Acknowledgements are small and must not wait for each other.
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let header = match shared.config.proxy_protocol {
        true => {
            let limit = shared.config.proxy_protocol_timeout.duration();
            tokio::time::timeout(limit, proxy::read(&mut stream)).await.map_err(|_| ProxyError::Late)??
        }
        false => proxy::Header::default(),
    };
    let (transport, certificate) = shake_hands(shared, stream).await?;
    let peer = Peer {
        stream: transport,
        address: header.source.unwrap_or(address),
        local,
        certificate: if certificate.verified { certificate } else { PeerCertificate::of_proxy(header.common_name) },
        throttle: Throttle::new(&shared.config, Instant::now()),
        waiting: place.waiting(),
    };
    connection::open(peer, &shared.broker, link).await
}

async fn shake_hands(shared: &Shared, stream: TcpStream) -> std::io::Result<(Transport, PeerCertificate)> {
    let path = &shared.config.websocket.mqtt_path;
    let max_message = shared.broker.config.max_packet_size.as_usize().max(WEBSOCKET_MESSAGE);
    let plain = PeerCertificate::default;
    match shared.kind {
        ListenerKind::Tcp => Ok((Transport::Tcp(stream), plain())),
        ListenerKind::Ssl => {
            let (stream, certificate) = accept_tls(shared, stream).await?;
            Ok((Transport::Tls(Box::new(stream)), certificate))
        }
        ListenerKind::Ws => {
            let socket = websocket::accept(stream, path, max_message).await.map_err(std::io::Error::other)?;
            Ok((Transport::Ws(Box::new(socket)), plain()))
        }
        ListenerKind::Wss => {
            let (stream, certificate) = accept_tls(shared, stream).await?;
            let socket = websocket::accept(stream, path, max_message).await.map_err(std::io::Error::other)?;
            Ok((Transport::Wss(Box::new(socket)), certificate))
        }
    }
}

async fn accept_tls(shared: &Shared, stream: TcpStream) -> std::io::Result<(TlsStream<TcpStream>, PeerCertificate)> {
    let config = shared.tls.load_full().ok_or_else(|| std::io::Error::other("the listener has no certificate"))?;
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let certificate = PeerCertificate::of_chain(stream.get_ref().1.peer_certificates());
    Ok((stream, certificate))
}
