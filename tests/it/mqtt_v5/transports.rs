//! The flows of `it/mqtt/transports.rs` in 5.0.

use support::transport::Transport;

use super::V5;
use crate::it::mqtt::transports;

/// MQTT-4.2-1.
#[test]
fn a_life_over_tcp() {
    transports::a_life(Transport::Tcp, V5);
}

/// MQTT-4.2-1.
#[test]
fn a_life_over_tls() {
    transports::a_life(Transport::Tls, V5);
}

/// MQTT-4.2-1, MQTT-6.0.0-1, MQTT-6.0.0-2.
#[test]
fn a_life_over_websocket() {
    transports::a_life(Transport::WebSocket, V5);
}

/// MQTT-4.2-1, MQTT-6.0.0-1, MQTT-6.0.0-2.
#[test]
fn a_life_over_secure_websocket() {
    transports::a_life(Transport::SecureWebSocket, V5);
}

/// MQTT-6.0.0-2.
#[test]
fn frames_are_not_packets() {
    transports::frames_are_not_packets(V5);
}

/// MQTT-6.0.0-1.
#[test]
fn other_frames_close() {
    transports::other_frames_close(V5);
}

/// MQTT-6.0.0-3, MQTT-6.0.0-4.
#[test]
fn the_subprotocol_is_mqtt() {
    transports::the_subprotocol_is_mqtt();
}
