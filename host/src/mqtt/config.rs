//! What the MQTT front is told: listeners, limits, who may connect, who may do what. Names are EMQX's.
//!
//! Only data and its checks; nothing here opens a file or a socket.

mod access;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::message::QoS;
use crate::units::{ByteRate, ByteSize, Millis, Rate};

pub use access::{
    Action, AuthenticationConfig, AuthenticatorConfig, AuthorizationConfig, BanConfig, BanKind, CacheConfig,
    DenyAction, HookConfig, HookMethod, HookSsl, JwtConfig, PasswordBackend, Permission, RuleConfig, SourceConfig,
    TokenFrom, Until,
};

/// One `[listeners.NAME]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Default: the listener's name, if it is one of the types; otherwise `tcp`.
    #[serde(rename = "type", default)]
    pub kind: Option<ListenerKind>,
    #[serde(deserialize_with = "bind_address")]
    pub bind: SocketAddr,
    /// Connections at the same time, handshakes included; one more is closed at once.
    #[serde(default = "default_max_connections")]
    pub max_connections: usize,
    /// Connections that are accepted in a time, before TLS; more wait in the system's queue (EMQX: Rate Limit).
    #[serde(default)]
    pub max_conn_rate: Option<Rate>,
    /// As many more once, refilled in its own time.
    #[serde(default)]
    pub max_conn_burst: Option<Rate>,
    /// Connections that have not finished TLS, WebSocket and CONNECT; while there are so many, the next waits until one
    /// is through or has said no whole CONNECT for two seconds. A reconnect storm then passes in the order in which it
    /// came, silent peers keep nobody out, and memory for handshakes is bounded. Ours.
    #[serde(default = "default_max_handshakes")]
    pub max_handshakes: NonZeroUsize,
    /// PUBLISH packets that one client may send in a time; over it, its socket is not read. Nothing is lost.
    #[serde(default)]
    pub messages_rate: Option<Rate>,
    #[serde(default)]
    pub messages_burst: Option<Rate>,
    /// Bytes that one client may send in a time, all packets counted; over it, its socket is not read.
    #[serde(default)]
    pub bytes_rate: Option<ByteRate>,
    #[serde(default)]
    pub bytes_burst: Option<ByteRate>,
    /// Every connection begins with a PROXY protocol header (version 1 or 2) that says who the peer is. Only for
    /// listeners that nobody but a proxy can reach: whoever can connect can claim any address.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// How long that header may take; then the connection is closed.
    #[serde(default = "default_proxy_protocol_timeout")]
    pub proxy_protocol_timeout: Millis,
    #[serde(default)]
    pub ssl_options: Option<SslOptions>,
    #[serde(default)]
    pub websocket: WebSocketOptions,
}

impl ListenerConfig {
    /// A plain TCP listener, all else default.
    #[must_use]
    pub fn tcp(bind: SocketAddr) -> ListenerConfig {
        ListenerConfig {
            kind: Some(ListenerKind::Tcp),
            bind,
            max_connections: default_max_connections(),
            max_conn_rate: None,
            max_conn_burst: None,
            max_handshakes: default_max_handshakes(),
            messages_rate: None,
            messages_burst: None,
            bytes_rate: None,
            bytes_burst: None,
            proxy_protocol: false,
            proxy_protocol_timeout: default_proxy_protocol_timeout(),
            ssl_options: None,
            websocket: WebSocketOptions::default(),
        }
    }

    /// What is wrong with the values taken together, by key.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let lonely = [
            ("max_conn_burst", self.max_conn_burst.is_some() && self.max_conn_rate.is_none(), "max_conn_rate"),
            ("messages_burst", self.messages_burst.is_some() && self.messages_rate.is_none(), "messages_rate"),
            ("bytes_burst", self.bytes_burst.is_some() && self.bytes_rate.is_none(), "bytes_rate"),
        ];
        let lonely = lonely.into_iter().filter(|(_, lonely, _)| *lonely);
        lonely
            .map(|(key, _, rate)| (key.to_owned(), format!("a burst is on top of a rate; set `{rate}` too")))
            .collect()
    }

    /// What this listener speaks, its name `name` being the default.
    #[must_use]
    pub fn kind(&self, name: &str) -> ListenerKind {
        self.kind.unwrap_or(match name {
            "ssl" => ListenerKind::Ssl,
            "ws" => ListenerKind::Ws,
            "wss" => ListenerKind::Wss,
            _ => ListenerKind::Tcp,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenerKind {
    Tcp,
    Ssl,
    Ws,
    Wss,
}

impl ListenerKind {
    #[must_use]
    pub fn is_tls(self) -> bool {
        self == ListenerKind::Ssl || self == ListenerKind::Wss
    }

    #[must_use]
    pub fn is_websocket(self) -> bool {
        self == ListenerKind::Ws || self == ListenerKind::Wss
    }
}

/// TLS of an `ssl` or `wss` listener. Files are PEM.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SslOptions {
    pub certfile: PathBuf,
    pub keyfile: PathBuf,
    /// Certificates of the authorities that may sign client certificates.
    #[serde(default)]
    pub cacertfile: Option<PathBuf>,
    #[serde(default)]
    pub verify: Verify,
    /// With `verify_peer`: refuse a client that shows no certificate.
    #[serde(default)]
    pub fail_if_no_peer_cert: bool,
    #[serde(default = "default_versions")]
    pub versions: Vec<TlsVersion>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    #[default]
    VerifyNone,
    VerifyPeer,
}

/// What of a verified client certificate takes the place of the user name or client id in CONNECT. EMQX's `crt` and `pem`
/// are not offered: a whole certificate is no name (DER is not even text).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerCertAs {
    #[default]
    Disabled,
    /// The common name.
    Cn,
    /// The whole subject as RFC 4514 writes it: `CN=device-7,O=Plant,C=DE`.
    Dn,
    /// MD5 of the certificate in DER form, in lower-case hexadecimal digits.
    Md5,
    /// The first name of that kind among the subject alternative names. Ours.
    SanDns,
    SanUri,
    SanEmail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    #[serde(rename = "tlsv1.2")]
    V12,
    #[serde(rename = "tlsv1.3")]
    V13,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSocketOptions {
    pub mqtt_path: String,
}

impl Default for WebSocketOptions {
    fn default() -> WebSocketOptions {
        WebSocketOptions { mqtt_path: "/mqtt".to_owned() }
    }
}

/// `[mqtt]`: limits for every listener.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MqttConfig {
    /// How long a client may take from connecting until its CONNECT is complete, TLS and WebSocket included.
    pub idle_timeout: Millis,
    /// The largest packet that is taken, whole.
    pub max_packet_size: ByteSize,
    /// Bytes.
    pub max_clientid_len: usize,
    /// At most 128, the limit of every topic index of this process.
    pub max_topic_levels: usize,
    /// Bytes of a topic or filter. Ours: the protocol's own limit is the default.
    pub max_topic_length: usize,
    /// What of a client certificate becomes the user name. A certificate without it is refused.
    pub peer_cert_as_username: PeerCertAs,
    /// What of a client certificate becomes the client id. A certificate without it is refused.
    pub peer_cert_as_clientid: PeerCertAs,
    #[serde(deserialize_with = "qos")]
    pub max_qos_allowed: QoS,
    /// Topic aliases that one client may use; towards a client that allows them, as many are used at most.
    pub max_topic_alias: u16,
    pub retain_available: bool,
    pub wildcard_subscription: bool,
    pub shared_subscription: bool,
    /// 3.1.1 has no No Local; `true` treats every 3.1.1 subscription as if it had it.
    pub ignore_loop_deliver: bool,
    /// Seconds that clients must use instead of their own keep-alive, if set.
    pub server_keepalive: Option<u16>,
    /// A client is gone after its keep-alive times this without a packet.
    #[serde(deserialize_with = "multiplier")]
    pub keepalive_multiplier: f64,
    /// How long a 3.1.1 session with `clean_session = 0` outlives its connection; 5.0 clients say it themselves.
    pub session_expiry_interval: Millis,
    /// Sessions in memory, connected or not; one more is refused with 0x97.
    pub max_sessions: usize,
    /// Filters of one client.
    pub max_subscriptions: usize,
    /// Unacknowledged messages in each direction: announced as Receive Maximum, and the window towards subscribers.
    pub max_inflight: u16,
    /// Messages of one client, of any QoS, that may be unsettled before its socket is not read any more ...
    pub max_outstanding: usize,
    /// ... and their bytes.
    pub max_outstanding_bytes: ByteSize,
    /// Messages that wait for one subscriber; the oldest QoS 0 message, else the oldest of all, makes room.
    pub max_mqueue_len: usize,
    /// ... and their bytes.
    pub max_mqueue_bytes: ByteSize,
    /// Whether QoS 0 messages wait for an absent subscriber.
    pub mqueue_store_qos0: bool,
    pub max_retained_messages: usize,
    /// Topics and payloads of all retained messages.
    pub max_retained_bytes: ByteSize,
    /// A client that takes nothing of what waits for it for so long is closed.
    pub send_timeout: Millis,
}

impl Default for MqttConfig {
    fn default() -> MqttConfig {
        MqttConfig {
            idle_timeout: Millis::from_secs(15),
            max_packet_size: ByteSize::mib(1),
            max_clientid_len: 65_535,
            max_topic_levels: 128,
            max_topic_length: 65_535,
            peer_cert_as_username: PeerCertAs::Disabled,
            peer_cert_as_clientid: PeerCertAs::Disabled,
            max_qos_allowed: QoS::ExactlyOnce,
            max_topic_alias: 256,
            retain_available: true,
            wildcard_subscription: true,
            shared_subscription: true,
            ignore_loop_deliver: false,
            server_keepalive: None,
            keepalive_multiplier: 1.5,
            session_expiry_interval: Millis::from_secs(7200),
            max_sessions: 1_000_000,
            max_subscriptions: 10_000,
            max_inflight: 1024,
            max_outstanding: 4096,
            max_outstanding_bytes: ByteSize::mib(8),
            max_mqueue_len: 1000,
            max_mqueue_bytes: ByteSize::mib(16),
            mqueue_store_qos0: true,
            max_retained_messages: 1_000_000,
            max_retained_bytes: ByteSize::mib(256),
            send_timeout: Millis::from_secs(15),
        }
    }
}

fn default_max_connections() -> usize {
    1_024_000
}

fn default_max_handshakes() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(4095)
}

fn default_proxy_protocol_timeout() -> Millis {
    Millis::from_secs(3)
}

fn default_versions() -> Vec<TlsVersion> {
    vec![TlsVersion::V13, TlsVersion::V12]
}

/// `"127.0.0.1:1883"`, or as in EMQX only the port: `1883` or `":1883"`, which means all addresses.
fn bind_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Bind {
        Port(u16),
        Text(String),
    }
    let all = |port| SocketAddr::from(([0, 0, 0, 0], port));
    let text = match Bind::deserialize(deserializer)? {
        Bind::Port(port) => return Ok(all(port)),
        Bind::Text(text) => text,
    };
    let port = text.strip_prefix(':').unwrap_or(&text);
    match (text.parse(), port.parse()) {
        (Ok(address), _) => Ok(address),
        (_, Ok(port)) => Ok(all(port)),
        _ => Err(de::Error::custom(format!(
            "`{text}` is not an address to listen on; write \"IP:PORT\", like \"0.0.0.0:1883\", or only the port"
        ))),
    }
}

fn qos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<QoS, D::Error> {
    let n = u8::deserialize(deserializer)?;
    QoS::from_u8(n).ok_or_else(|| de::Error::custom(format!("{n} is not a QoS; write 0, 1 or 2")))
}

fn multiplier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let factor = f64::deserialize(deserializer)?;
    if (1.0..=100.0).contains(&factor) {
        return Ok(factor);
    }
    Err(de::Error::custom(format!(
        "{factor} is not a keep-alive multiplier; write 1.5, or another number from 1 to 100"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_takes_its_type_from_its_name() {
        let config: ListenerConfig = toml::from_str(r#"bind = "0.0.0.0:1883""#).unwrap();
        assert_eq!(config.kind("wss"), ListenerKind::Wss);
        assert_eq!(config.kind("factory"), ListenerKind::Tcp);
        for (text, port) in [("bind = 1884", 1884), (r#"bind = ":1885""#, 1885), (r#"bind = "[::1]:1""#, 1)] {
            assert_eq!(toml::from_str::<ListenerConfig>(text).unwrap().bind.port(), port);
        }
    }

    #[test]
    fn emqx_names_are_read_and_others_are_not() {
        let config: MqttConfig =
            toml::from_str("max_packet_size = \"2MB\"\nidle_timeout = \"3s\"\nmax_qos_allowed = 1").unwrap();
        assert_eq!(config.max_packet_size, ByteSize::mib(2));
        assert_eq!(config.max_qos_allowed, QoS::AtLeastOnce);
        for bad in ["max_paket_size = 1", "max_qos_allowed = 3", "keepalive_multiplier = 0.1", "idle_timeout = 3"] {
            assert!(toml::from_str::<MqttConfig>(bad).is_err(), "{bad}");
        }
        let ssl = "certfile = \"a\"\nkeyfile = \"b\"\nverify = \"verify_peer\"\nversions = [\"tlsv1.3\"]";
        let ssl: SslOptions = toml::from_str(ssl).unwrap();
        assert_eq!((ssl.verify, ssl.versions.len()), (Verify::VerifyPeer, 1));
        assert!(toml::from_str::<ListenerConfig>("bind = \"nowhere\"").is_err());
        let limits = "bind = 1883\nmax_conn_rate = \"1000/s\"\nbytes_rate = \"1MB/s\"\nbytes_burst = \"100MB/60m\"";
        let limits: ListenerConfig = toml::from_str(limits).unwrap();
        assert_eq!(limits.bytes_rate.unwrap().0.amount, 1 << 20);
        assert_eq!(limits.check(), []);
        let lonely: ListenerConfig = toml::from_str("bind = 1883\nmessages_burst = \"1/s\"").unwrap();
        assert_eq!(lonely.check()[0].0, "messages_burst");
        let certificate: MqttConfig = toml::from_str("peer_cert_as_username = \"san_dns\"").unwrap();
        assert_eq!(certificate.peer_cert_as_username, PeerCertAs::SanDns);
    }
}
