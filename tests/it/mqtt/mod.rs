//! What the tests of MQTT 3.1.1 and 5.0 share: two brokers for all of them, and the flows that both versions have.
//!
//! A flow takes the version and says nothing of statements; the tests in `mqtt_v3/` and `mqtt_v5/` name those.
//! Client ids and topics are each flow's own, because all tests talk to the same brokers at the same time.

pub mod connect;
pub mod delivery;
pub mod malformed;
pub mod publish;
pub mod retained;
pub mod session;
pub mod subscribe;
pub mod topics;
pub mod transports;
pub mod will;

use std::net::SocketAddr;
use std::sync::LazyLock;

use support::millstream::{Millstream, NODE};
use support::mqtt::anybody;
use support::peer::{Peer, frame, packet};
use support::scratch::Scratch;
use support::transport::certificates;
use support::wire::{Connect, Version, field};

/// Session Expiry Interval: 100 seconds. In 3.1.1 it is not written.
pub const EXPIRY: &[u8] = &[17, 0, 0, 0, 100];

/// The Receive Maximum of [`plain`].
pub const RECEIVE_MAXIMUM: u16 = 20;
/// The Topic Alias Maximum of [`plain`].
pub const ALIAS_MAXIMUM: u16 = 10;

/// All four transports and all that MQTT has; nobody may publish below `denied/`.
pub static PLAIN: LazyLock<Millstream> = LazyLock::new(|| {
    let folder = certificates().canonicalize().expect("the folder with the certificates");
    let listener = |name: &str, tls: bool| {
        let ssl = format!(
            "[listeners.{name}.ssl_options]\ncertfile = '{0}/server.pem'\nkeyfile = '{0}/server.key'\n",
            folder.display()
        );
        format!("[listeners.{name}]\nbind = \"127.0.0.1:0\"\n{}", if tls { ssl.as_str() } else { "" })
    };
    let listeners = [listener("ssl", true), listener("ws", false), listener("wss", true)].concat();
    let limits = format!("[mqtt]\nmax_inflight = {RECEIVE_MAXIMUM}\nmax_topic_alias = {ALIAS_MAXIMUM}\n");
    let rules = "[authorization]\nrules = [{ permission = \"deny\", action = \"publish\", topics = [\"denied/#\"] }]\n";
    Millstream::start_shared(Scratch::new("mqtt"), &[NODE, &listeners, &limits, rules].concat())
});

/// The least that a server may offer, and one user: `user` with the password `secret`.
pub static STRICT: LazyLock<Millstream> = LazyLock::new(|| {
    let scratch = Scratch::new("mqtt-strict");
    scratch.write("users.txt", "user:$argon2id$v=19$m=8,t=1,p=1$/ANDZuThBt3v2/WrUBZ4JQ$q6PUYwHXwzPJ4eV+m4TS4w\n");
    let config = r#"
[mqtt]
max_qos_allowed = 1
retain_available = false
wildcard_subscription = false
shared_subscription = false
max_clientid_len = 23
max_packet_size = "1KB"
[authentication]
users_file = "users.txt"
allow_anonymous = true
[authorization]
rules = [{ permission = "deny", topics = ["denied/#"] }]
"#;
    Millstream::start_shared(scratch, &[NODE, config].concat())
});

pub fn plain() -> SocketAddr {
    PLAIN.tcp()
}

pub fn strict() -> SocketAddr {
    STRICT.tcp()
}

/// A name for a client or a topic that no other flow has, and not this one in the other version.
pub fn name(version: Version, what: &str) -> String {
    format!("{what}-{}", version as u8)
}

/// Connected to [`plain`] with a clean session.
pub fn join(version: Version, client: &str) -> Peer {
    Peer::connect(plain(), version, client)
}

/// A CONNECT whose session outlives the connection.
pub fn staying(version: Version, client: &str) -> Connect<'_> {
    Connect { client, clean: false, properties: EXPIRY, ..anybody(version) }
}

/// Connected to [`plain`] so, with the session that is there, if there is one as expected.
#[track_caller]
pub fn stay(version: Version, client: &str, present: bool) -> Peer {
    let (peer, connack) = Peer::connect_with(plain(), &staying(version, client));
    assert_eq!(connack[2], u8::from(present), "session present in {connack:02x?}");
    peer
}

/// A CONNECT put together by hand; `rest` is what follows the keep-alive, properties of 5.0 included.
pub fn hello(protocol: &[u8], level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    frame(0x10, &[&packet(|out| field(out, protocol))[..], &[level, flags, 0, 0], rest].concat())
}

/// The fields of a CONNECT's payload, behind an empty block of properties in 5.0.
pub fn fields(version: Version, fields: &[&[u8]]) -> Vec<u8> {
    packet(|out| {
        if version == Version::V5 {
            out.push(0);
        }
        fields.iter().for_each(|bytes| field(out, bytes));
    })
}

/// Sends a first packet and expects this answer, nothing if it is empty, and then the end.
#[track_caller]
pub fn refused(address: SocketAddr, version: Version, first: &[u8], answer: &[u8]) {
    let mut peer = Peer::open(address, version);
    peer.send_anyway(first);
    if !answer.is_empty() {
        peer.expect(answer);
    }
    peer.expect(&[]);
}

/// CONNACK that refuses; it never says that a session is present.
pub fn refusal(version: Version, code: u8) -> Vec<u8> {
    match version {
        Version::V4 => vec![0x20, 2, 0, code],
        Version::V5 => vec![0x20, 3, 0, code, 0],
    }
}
