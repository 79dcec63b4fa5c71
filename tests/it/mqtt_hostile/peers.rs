//! Peers that say nothing, half of something, or leave without a word, in and after every handshake.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use support::millstream::Millstream;
use support::mqtt::{ANSWER_LIMIT, Client, Received, anybody};
use support::tools::python;
use support::wire::{self, Connect, Packet, Version};

use super::{BOTH, assert_alive, assert_closed, assert_serves, await_connections, await_metric, host, lasting};

/// Listeners of every kind, with the certificate of the front's own tests (it is for localhost).
fn every_listener() -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../host/src/mqtt/front/testdata");
    let tls = |name: &str| {
        format!(
            "[listeners.{name}]\nbind = \"127.0.0.1:0\"\n[listeners.{name}.ssl_options]\ncertfile = '{}'\nkeyfile = '{}'\n",
            folder.join("server.pem").display(),
            folder.join("server.key").display()
        )
    };
    format!("[listeners.ws]\nbind = \"127.0.0.1:0\"\n{}{}", tls("ssl"), tls("wss"))
}

/// Publishes to itself over each listener: arguments are the authority's file, then kind and port of each.
const PAHO: &str = r#"
import queue
import sys
import paho.mqtt.client as mqtt

for kind, port in zip(sys.argv[2::2], sys.argv[3::2]):
    come = queue.Queue()
    transport = "websockets" if kind in ("ws", "wss") else "tcp"
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=kind, transport=transport)
    if kind in ("ssl", "wss"):
        client.tls_set(sys.argv[1])
    client.on_connect = lambda client, *rest: client.subscribe("over/" + kind, 1)
    client.on_subscribe = lambda client, *rest: client.publish("over/" + kind, kind, 1)
    client.on_message = lambda client, data, message: come.put(message.payload.decode())
    client.connect("localhost", int(port))
    client.loop_start()
    print(come.get(timeout=60))
    client.disconnect()
    client.loop_stop()
"#;

fn assert_every_listener_serves(host: &Millstream) {
    let authority = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../host/src/mqtt/front/testdata/ca.pem");
    let kinds = ["tcp", "ssl", "ws", "wss"];
    let ports = kinds.map(|kind| host.listener(kind).port().to_string());
    let mut arguments = vec![authority.to_str().expect("a path in UTF-8")];
    for (kind, port) in kinds.iter().zip(&ports) {
        arguments.extend([*kind, port]);
    }
    assert_eq!(python(PAHO, &arguments), "tcp\nssl\nws\nwss\n");
}

const UPGRADE: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

#[test]
fn a_peer_that_is_silent_in_a_handshake_holds_nobody_up_and_goes() {
    // Long enough that all of them are still there while others are served.
    let host = host(&format!("[mqtt]\nidle_timeout = \"20s\"\n{}", every_listener()));
    let mut connect = Vec::new();
    wire::connect(&mut connect, &Connect { client: "half", ..anybody(Version::V5) });
    let client_hello = [0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3];
    let said: [(&str, &[u8]); 10] = [
        ("tcp", &[]),
        ("tcp", &connect[..1]),
        ("tcp", &connect[..connect.len() - 1]),
        ("ws", &[]),
        ("ws", &UPGRADE[..UPGRADE.len() - 2]),
        ("ws", UPGRADE),
        ("ssl", &[]),
        ("ssl", &client_hello),
        ("wss", &[]),
        ("wss", &client_hello),
    ];
    let mut silent = Vec::new();
    for (listener, bytes) in said {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(host.listener(listener)).expect("a connection");
            stream.write_all(bytes).expect("the connection is open");
            silent.push((listener, stream));
        }
    }
    assert_serves(&host);
    assert_every_listener_serves(&host);
    let refused = host.metrics().sum("millstream_mqtt_connections_refused_total", &[]);
    assert_eq!(refused, 0, "they went before the others were served: nothing is shown");
    for (listener, stream) in &mut silent {
        stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("a read timeout above zero");
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(ended.is_ok() || ended.as_ref().is_err_and(reset), "{listener}: {ended:?}");
    }
    // Counted when the connection is over, which the last of them may have learned before.
    await_metric(&host, "connections_refused_total", silent.len() as u64);
    assert_serves(&host);
    assert_every_listener_serves(&host);
}

#[test]
fn a_peer_that_is_gone_without_a_word_is_missed_after_its_keep_alive() {
    let host = host("");
    for version in BOTH {
        let mut heir = Client::connect(host.tcp(), version, "heir");
        assert_eq!(heir.subscribe("will/#", 0), 0);
        // With a will: flags 0x04, topic and payload behind the client id.
        let mut connect = Vec::new();
        wire::connect(&mut connect, &Connect { keep_alive: 1, ..lasting(version, "mortal") });
        connect[9] |= 0x04;
        if version == Version::V5 {
            connect.push(0);
        }
        wire::field(&mut connect, b"will/mortal");
        wire::field(&mut connect, b"gone");
        connect[1] = (connect.len() - 2) as u8;
        let mut mortal = Client::open(host.tcp(), version).expect("a connection");
        mortal.send(&connect).expect("the connection is open");
        assert!(matches!(mortal.expect(), Packet::ConnAck { code: 0, .. }));
        assert_eq!(mortal.subscribe("t", 1), 1);
        // The socket stays open on this side, as it does when a network is cut.
        let Packet::Publish { topic, payload, .. } = heir.expect() else { panic!("no will") };
        assert_eq!((topic.as_str(), &payload[..]), ("will/mortal", &b"gone"[..]));
        assert_closed(&mut mortal, version, 0x8d, "keep-alive");
        assert_serves(&host);
        let (mut back, present) = Client::connect_with(host.tcp(), &lasting(version, "mortal"));
        assert!(present, "the session is not the connection");
        assert_alive(&mut back);
        Client::connect(host.tcp(), version, "mortal").disconnect();
    }
}

#[test]
fn a_half_closed_connection_is_over() {
    let host = host("");
    for version in BOTH {
        let mut clients: Vec<_> =
            (0..20).map(|number| Client::connect(host.tcp(), version, &format!("half-{number}"))).collect();
        assert_eq!(clients[0].subscribe("t", 1), 1);
        for client in clients {
            let mut stream = client.into_stream();
            stream.shutdown(Shutdown::Write).expect("the connection is open");
            stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("a read timeout above zero");
            assert_eq!(stream.read(&mut [0; 64]).expect("the end"), 0, "nothing is said to one that has gone");
        }
        await_connections(&host, 0);
        assert_serves(&host);
    }
    await_metric(&host, "sessions", 0);
}

#[test]
fn a_peer_that_never_reads_its_answers_is_closed_and_holds_nobody_up() {
    let host = host("[mqtt]\nsend_timeout = \"1s\"\n");
    let mut deaf = Client::connect(host.tcp(), Version::V4, "deaf");
    let mut pings = Vec::new();
    (0..50_000).for_each(|_| wire::ping(&mut pings));
    // Until the answers fill every buffer, it is not read any more, and then closed.
    while deaf.send(&pings).is_ok() {}
    await_connections(&host, 0);
    assert_serves(&host);
    while let Received::Packet(_) = deaf.receive(Duration::from_secs(1)) {}
}
