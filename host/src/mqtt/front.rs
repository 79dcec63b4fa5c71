//! The front as a whole: binds every listener, runs them, reloads what can be reloaded, and ends in order.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use tokio::task::JoinSet;

use super::acl::{Authorizer, RuleError};
use super::auth::{AuthError, Authenticator};
use super::banned::{BanError, Banned};
use super::broker::Broker;
use super::config::{
    AuthenticationConfig, AuthorizationConfig, BanConfig, ListenerConfig, MqttConfig, SslOptions, Verify,
};
use super::listener::Listener;
use super::mailbox::Kick;
use super::sys::{self, SysTopics};
use super::tls::{self, TlsError};
use super::wills;
use crate::control::sessions::SessionTable;
use crate::message::Message;
use crate::pipeline::Ingress;
use crate::task::Drain;
use crate::telemetry::metrics::Metrics;

/// Why the front cannot start, or cannot take a change.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    #[error("listener `{listener}`: cannot bind {address}: {source}")]
    Bind { listener: String, address: SocketAddr, source: std::io::Error },
    #[error(
        "listener `{listener}`: {address} is reachable from outside, but nobody is asked who they are; set \
         `authentication.users_file`, `verify = \"verify_peer\"` with `fail_if_no_peer_cert = true`, or \
         `authentication.allow_anonymous = true`, or bind 127.0.0.1"
    )]
    Unprotected { listener: String, address: SocketAddr },
    #[error("listener `{listener}`: TLS needs `ssl_options` with `certfile` and `keyfile`")]
    NoCertificate { listener: String },
    #[error("listener `{listener}`: {source}")]
    Tls { listener: String, source: Box<TlsError> },
    #[error(transparent)]
    Authentication(#[from] AuthError),
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error(transparent)]
    Banned(#[from] BanError),
}

/// What the front is told, beside its listeners.
#[derive(Clone, Debug, Default)]
pub struct FrontConfig {
    pub mqtt: MqttConfig,
    pub authentication: AuthenticationConfig,
    pub authorization: AuthorizationConfig,
    pub banned: Vec<BanConfig>,
}

/// All listeners, bound and not yet running.
#[derive(Debug)]
pub struct Front {
    broker: Arc<Broker>,
    listeners: Vec<Listener>,
    addresses: Vec<(String, SocketAddr)>,
    handle: FrontHandle,
}

impl Front {
    /// Reads what is needed and binds every listener; the first failure ends it.
    pub async fn bind(
        listeners: &BTreeMap<String, ListenerConfig>,
        config: FrontConfig,
        sys: SysTopics,
        ingress: Ingress,
        metrics: Arc<Metrics>,
    ) -> Result<Front, FrontError> {
        let FrontConfig { mqtt, authentication, authorization, banned } = config;
        let authenticator = Authenticator::load(&authentication, &metrics)?;
        let authorizer = Authorizer::new(&authorization, &metrics)?;
        let banned = Banned::new(&banned)?;
        let asked = authentication.asks();
        let mut bound = Vec::with_capacity(listeners.len());
        for (name, config) in listeners {
            let mut config = config.clone();
            if !asked && !asks_for_certificates(name, &config) {
                config.bind = this_machine_only(name, config.bind)?;
            }
            let tls = tls_of(name, &config)?;
            let listener = Listener::bind(name, &config, tls).await.map_err(|source| FrontError::Bind {
                listener: name.clone(),
                address: config.bind,
                source,
            })?;
            bound.push(listener);
        }
        let addresses = bound.iter().map(|listener| (listener.name.clone(), listener.address)).collect();
        let broker = Arc::new(Broker::new(mqtt, ingress, metrics, authenticator, authorizer, banned, sys));
        let certificates = bound.iter().filter_map(|listener| {
            let ssl = listener.config.ssl_options.clone()?;
            Some(Certificate { listener: listener.name.clone(), ssl, tls: listener.tls() })
        });
        let handle = FrontHandle { broker: broker.clone(), certificates: certificates.collect() };
        Ok(Front { broker, listeners: bound, addresses, handle })
    }

    /// The address of each listener, with the port that the system chose if 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// For looking at and changing what runs.
    #[must_use]
    pub fn handle(&self) -> FrontHandle {
        self.handle.clone()
    }

    /// Serves until the drain is announced. Then: no new connection, no more reading, outstanding acknowledgements
    /// settled and written as long as the deadline allows, DISCONNECT 0x8B.
    pub async fn run(self, mut drain: Drain) {
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            tracing::info!(listener = %listener.name, address = %listener.address, "listening");
            accepting.spawn(listener.run(self.broker.clone()));
        }
        let later = tokio::spawn(wills::run(self.broker.clone()));
        let topics = tokio::spawn(sys::run(self.broker.clone()));
        let links = &self.broker.links;
        let deadline = drain.requested().await;
        accepting.shutdown().await;
        links.drain();
        let patience = deadline.saturating_duration_since(Instant::now());
        if tokio::time::timeout(patience, links.empty()).await.is_err() {
            tracing::warn!(connections = links.len(), "closing with acknowledgements outstanding");
            links.abort();
            // They only have their last word to say, which is limited in time.
            let _ = tokio::time::timeout(LAST_WORDS, links.empty()).await;
        }
        later.abort();
        topics.abort();
    }
}

/// How long closing connections get after the deadline.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(3);

/// A certificate of a listener, and where its successor goes.
#[derive(Clone, Debug)]
struct Certificate {
    listener: String,
    ssl: SslOptions,
    tls: Arc<ArcSwapOption<ServerConfig>>,
}

/// A cheap handle to the running front.
#[derive(Clone, Debug)]
pub struct FrontHandle {
    broker: Arc<Broker>,
    certificates: Arc<[Certificate]>,
}

impl FrontHandle {
    /// Reads the users file again. Who is connected stays so.
    pub fn reload_authentication(&self, config: &AuthenticationConfig) -> Result<(), FrontError> {
        self.broker.authenticator.store(Arc::new(Authenticator::load(config, &self.broker.metrics)?));
        Ok(())
    }

    /// Puts new rules in force, for the next packet of every connection. Subscriptions that stand are kept.
    pub fn reload_authorization(&self, config: &AuthorizationConfig) -> Result<(), FrontError> {
        self.broker.authorizer.store(Arc::new(Authorizer::new(config, &self.broker.metrics)?));
        Ok(())
    }

    /// Puts a new table of banned clients in force. Whoever it bans and is connected is told to go (0x98 in MQTT 5).
    pub fn reload_banned(&self, banned: &[BanConfig]) -> Result<(), FrontError> {
        self.broker.banned.store(Arc::new(Banned::new(banned)?));
        let mut found = Vec::new();
        self.broker.sessions.for_each(|view| {
            let client = &view.about.client;
            if view.connected && self.broker.bans(client.id.as_str(), client.username.as_deref(), client.peer.ip()) {
                found.push(client.id.clone());
            }
        });
        for client in found {
            tracing::info!(%client, "closing the connection of a banned client");
            self.broker.sessions.kick(&client, Kick::Administrative);
        }
        Ok(())
    }

    /// Reads all certificates and keys again; if one cannot be used, none is changed.
    pub fn reload_certificates(&self) -> Result<(), FrontError> {
        let fresh = self.certificates.iter().map(|certificate| {
            tls::server_config(&certificate.ssl)
                .map_err(|source| FrontError::Tls { listener: certificate.listener.clone(), source: source.into() })
        });
        let fresh: Vec<_> = fresh.collect::<Result<_, _>>()?;
        for (certificate, config) in self.certificates.iter().zip(fresh) {
            certificate.tls.store(Some(config));
        }
        Ok(())
    }

    /// The clients and subscriptions of this node.
    #[must_use]
    pub fn table(&self) -> Arc<dyn SessionTable> {
        self.broker.clone()
    }

    /// Gives a message that no client sent to all that subscribe to its topic; it becomes the retained one of its topic if
    /// it says so and `may_retain`. Never waits.
    pub fn publish(&self, message: &Message, may_retain: bool) {
        self.broker.publish_here(message, may_retain);
    }
}

fn asks_for_certificates(name: &str, config: &ListenerConfig) -> bool {
    let ssl = config.ssl_options.as_ref().filter(|_| config.kind(name).is_tls());
    ssl.is_some_and(|ssl| ssl.verify == Verify::VerifyPeer && ssl.fail_if_no_peer_cert)
}

fn tls_of(name: &str, config: &ListenerConfig) -> Result<Option<Arc<ServerConfig>>, FrontError> {
    if !config.kind(name).is_tls() {
        return Ok(None);
    }
    let ssl = config.ssl_options.as_ref().ok_or_else(|| FrontError::NoCertificate { listener: name.to_owned() })?;
    tls::server_config(ssl)
        .map(Some)
        .map_err(|source| FrontError::Tls { listener: name.to_owned(), source: source.into() })
}

/// Nobody is asked who they are: only this machine may connect.
fn this_machine_only(name: &str, bind: SocketAddr) -> Result<SocketAddr, FrontError> {
    let ip = match bind.ip() {
        ip if ip.is_loopback() => ip,
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        _ => return Err(FrontError::Unprotected { listener: name.to_owned(), address: bind }),
    };
    let address = SocketAddr::new(ip, bind.port());
    tracing::warn!(
        listener = name,
        %address,
        "no authentication is configured: anybody on this machine may connect, nobody else"
    );
    Ok(address)
}

#[cfg(test)]
mod tests;
