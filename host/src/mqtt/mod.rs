//! The MQTT front: MQTT 3.1.1 and 5.0 on one port, over TCP, TLS and WebSocket.
//!
//! Packets in, [`Inbound`](crate::pipeline::Inbound) messages out, and each acknowledgement only when the pipeline has
//! settled it. Subscribers on this node are served from here as well.
//!
//! Invariants: only `codec/` names rumqttd; `session`, `window`, `acks`, `patience` and `queue` know no tokio and read no
//! clock; an acknowledgement that says success is written only for a settled handle; nothing a client sends can panic or
//! stall anybody else; every queue is bounded, and a dropped message is counted.
//!
//! In reading order: what is told (`config`), what goes over the wire (`packet`, `codec`), what decides (`session`,
//! `window`, `acks`, `patience`), what is shared (`queue`, `mailbox`, `router`, `shared`, `retained`, `sessions`,
//! `links`, `handshakes`, `traffic`, `broker`), who may (`auth`, `acl`, `banned`; others are asked by `hook`) and how much (`throttle`),
//! what is told of it to rules (`events`), to subscribers (`sys`) and to whoever manages the node (`table`), what runs
//! (`connection`, `listener`, `wills`, `front`).

mod config;
mod packet;

mod codec;

mod acks;
mod patience;
mod session;
mod window;

mod broker;
mod deadlines;
mod handshakes;
mod links;
mod mailbox;
mod queue;
mod retained;
mod router;
mod sessions;
mod shared;
mod traffic;

mod acl;
mod auth;
mod banned;
mod certificate;
mod events;
mod hook;
mod network;

mod sys;
mod table;

mod connection;
mod front;
mod listener;
mod proxy;
mod stream;
mod throttle;
mod tls;
mod websocket;
mod wills;

#[doc(hidden)]
pub mod measured;

#[cfg(any(test, fuzzing))]
#[allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "as in tests, whatever is wrong must be seen"
)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(test, fuzzing))]
#[allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "as above")]
mod testing;

pub use acl::check_authorization;
pub use auth::check_authentication;
pub use banned::check_banned;
pub use config::{
    Action, AuthenticationConfig, AuthenticatorConfig, AuthorizationConfig, BanConfig, BanKind, DenyAction, JwtConfig,
    ListenerConfig, ListenerKind, MqttConfig, PeerCertAs, Permission, RuleConfig, SslOptions, TlsVersion, Until,
    Verify, WebSocketOptions,
};
pub use front::{Front, FrontConfig, FrontError, FrontHandle};
pub use sys::{SysTopics, SysTopicsConfig};
