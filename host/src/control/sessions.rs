//! The tables of clients and subscriptions: the MQTT front has them, the management interface reads them, and neither
//! knows the other. Fields carry the names of EMQX's `GET /api/v5/clients` and `/subscriptions`.
//!
//! Left out is what only an Erlang process has (`heap_size`, `reductions`, `mailbox_len`) and the node's name, which
//! whoever answers knows. A row is a copy of one moment; nothing is locked while it is looked at.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::message::{ClientId, ProtocolVersion, QoS};

/// One session, connected or not.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientInfo {
    pub clientid: ClientId,
    pub username: Option<Arc<str>>,
    pub connected: bool,
    /// `ip_address` and `port`.
    pub peer: SocketAddr,
    /// Where it connected to; EMQX's `sockport` is its port.
    pub local: SocketAddr,
    /// `proto_ver` is 4 or 5; `proto_name` is always `MQTT`.
    pub version: ProtocolVersion,
    /// Seconds, as agreed; 0 is off.
    pub keepalive: u16,
    pub clean_start: bool,
    /// Seconds that the session outlives its connection; `u32::MAX` is for ever.
    pub expiry_interval: u32,
    /// Milliseconds since 1970-01-01 UTC, as are the two below: when the session began.
    pub created_at: i64,
    pub connected_at: i64,
    /// Of a client that is not connected.
    pub disconnected_at: Option<i64>,
    pub subscriptions_cnt: usize,
    pub subscriptions_max: usize,
    /// Messages to the client that it has not acknowledged.
    pub inflight_cnt: usize,
    pub inflight_max: usize,
    /// Messages that wait for the client.
    pub mqueue_len: usize,
    pub mqueue_max: usize,
    /// Messages that found the queue full, since the session began.
    pub mqueue_dropped: u64,
    /// QoS 2 messages of the client that it has not released.
    pub awaiting_rel_cnt: usize,
    pub awaiting_rel_max: usize,
    /// Of this connection, or of the last one.
    pub traffic: TrafficInfo,
}

/// What went over one connection. `recv` is from the client, `send` to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficInfo {
    /// Bytes, before TLS.
    pub recv_oct: u64,
    /// Reads of the socket.
    pub recv_cnt: u64,
    /// MQTT packets; CONNECT is not counted, nor is CONNACK below.
    pub recv_pkt: u64,
    /// PUBLISH packets by QoS; `recv_msg` is their sum.
    pub recv_msg_qos: [u64; 3],
    /// PUBLISH packets that were not let in.
    pub recv_msg_dropped: u64,
    pub send_oct: u64,
    /// Writes to the socket.
    pub send_cnt: u64,
    pub send_pkt: u64,
    pub send_msg_qos: [u64; 3],
    /// Messages that expired while they waited.
    pub send_msg_dropped_expired: u64,
    /// Messages that were larger than the client takes.
    pub send_msg_dropped_too_large: u64,
}

/// One subscription of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionInfo {
    pub clientid: ClientId,
    /// The filter as it was subscribed, `$share/` included.
    pub topic: String,
    pub qos: QoS,
    /// No Local.
    pub nl: bool,
    /// Retain As Published.
    pub rap: bool,
    /// Retain Handling: 0, 1 or 2.
    pub rh: u8,
    /// The Subscription Identifier of MQTT 5, if there is one.
    pub subid: Option<u32>,
}

/// Looks at the sessions of this node and ends their connections.
pub trait SessionTable: fmt::Debug + Send + Sync {
    /// Shows every session, in no order. Sessions that come or go meanwhile may be shown or not.
    fn each_client(&self, see: &mut dyn FnMut(ClientInfo));

    fn client(&self, id: &str) -> Option<ClientInfo>;

    /// The subscriptions of one session, in the order of their filters; `None` when there is no such session.
    fn subscriptions(&self, id: &str) -> Option<Vec<SubscriptionInfo>>;

    /// Shows the subscriptions of every session.
    fn each_subscription(&self, see: &mut dyn FnMut(SubscriptionInfo));

    /// Closes a client's connection (0x98 in MQTT 5); `false` when it is not connected.
    fn kick(&self, id: &str) -> bool;
}
