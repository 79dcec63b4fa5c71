//! How much a listener lets in, and whom it does not: rates, handshakes, topics, bans, the PROXY protocol, certificates
//! that change while clients stay.

use std::fs;
use std::path::Path;
use std::time::Duration;

use support::authority::{Authority, openssl};
use support::kafka::Kafka;
use support::millstream::{Millstream, NODE, action, connector};
use support::mqtt::{ANSWER_LIMIT, Client, Received, anybody};
use support::process::Process;
use support::scratch::Scratch;
use support::tools::{mosquitto_pub, run};
use support::wait::until;
use support::wire::{self, Connect, Packet, Publish, Version};

/// Long enough for an answer that could come, and short enough to wait for one that must not.
const NO_ANSWER: Duration = Duration::from_millis(700);

fn connect_bytes(version: Version, client: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::connect(&mut bytes, &Connect { client, ..anybody(version) });
    bytes
}

/// CONNECT is sent, and nothing waited for.
fn knock(host: &Millstream, listener: &str, client: &str) -> Client {
    let mut knocking = Client::open(host.listener(listener), Version::V5).expect("the system queues it");
    knocking.send(&connect_bytes(Version::V5, client)).expect("the system takes it");
    knocking
}

fn is_welcome(client: &mut Client) -> bool {
    matches!(client.expect(), Packet::ConnAck { code: 0, .. })
}

fn message<'a>(topic: &'a str, id: u16, payload: &'a [u8]) -> Publish<'a> {
    Publish { topic, payload, qos: 1, id, ..Publish::default() }
}

#[test]
fn above_max_conn_rate_connections_wait_and_none_is_refused() {
    let config = format!(
        "{NODE}[listeners.strict]\nbind = \"127.0.0.1:0\"\nmax_conn_rate = \"1/1h\"\nmax_conn_burst = \"2/1h\"\n\
         [listeners.brisk]\nbind = \"127.0.0.1:0\"\nmax_conn_rate = \"20/s\"\n"
    );
    let host = Millstream::start(&config);
    let mut clients: Vec<_> = (0..4).map(|n| knock(&host, "strict", &format!("strict-{n}"))).collect();
    let mut late = clients.pop().expect("four clients");
    assert!(clients.iter_mut().all(is_welcome), "the rate and its burst are three");
    assert_eq!(late.receive(NO_ANSWER), Received::Nothing);
    // Another listener has a rate of its own; who is over it waits and gets in.
    let mut many: Vec<_> = (0..50).map(|n| knock(&host, "brisk", &format!("brisk-{n}"))).collect();
    assert!(many.iter_mut().all(is_welcome));
    assert_eq!(late.receive(Duration::from_millis(1)), Received::Nothing);
    assert_eq!(host.metrics().sum("millstream_mqtt_connections_refused_total", &[]), 0);
}

#[test]
fn only_so_many_handshakes_are_in_progress() {
    let config = format!("{NODE}[listeners.narrow]\nbind = \"127.0.0.1:0\"\nmax_handshakes = 1\n");
    let host = Millstream::start(&config);
    let silent = Client::open(host.listener("narrow"), Version::V5).expect("a connection");
    let mut next = knock(&host, "narrow", "next");
    assert_eq!(next.receive(NO_ANSWER), Received::Nothing);
    drop(silent);
    assert!(is_welcome(&mut next));
    // Connected clients are no handshakes.
    assert!(is_welcome(&mut knock(&host, "narrow", "another")));
}

#[test]
fn silent_peers_in_every_place_keep_nobody_out() {
    let config = format!(
        "{NODE}[mqtt]\nidle_timeout = \"1h\"\n[listeners.narrow]\nbind = \"127.0.0.1:0\"\nmax_handshakes = 3\n"
    );
    let host = Millstream::start(&config);
    let mut silent: Vec<_> =
        (0..3).map(|_| Client::open(host.listener("narrow"), Version::V5).expect("a connection")).collect();
    let mut half = Vec::new();
    wire::connect(&mut half, &Connect { client: "half", ..anybody(Version::V5) });
    silent[0].send(&half[..half.len() - 1]).expect("the connection is open");
    for n in 0..3 {
        assert!(is_welcome(&mut knock(&host, "narrow", &format!("guest-{n}"))));
    }
    assert_eq!(silent[0].receive(ANSWER_LIMIT), Received::Closed, "the one that came first gives way first");
    assert_eq!(silent[2].receive(NO_ANSWER), Received::Nothing, "one place is enough for them all");
}

#[test]
fn a_client_above_messages_rate_is_not_read_and_loses_nothing() {
    let config = format!(
        "{NODE}[listeners.slow]\nbind = \"127.0.0.1:0\"\nmessages_rate = \"20/s\"\n\
         [listeners.stopped]\nbind = \"127.0.0.1:0\"\nmessages_rate = \"2/1h\"\nmessages_burst = \"3/1h\"\n"
    );
    let host = Millstream::start(&config);
    let mut subscriber = Client::connect(host.tcp(), Version::V5, "subscriber");
    assert_eq!(subscriber.subscribe("#", 0), 0);

    let mut stopped = Client::connect(host.listener("stopped"), Version::V5, "stopped");
    (1..=6).for_each(|id| stopped.publish(&message("stopped", id, b"x")));
    for id in 1..=5 {
        assert_eq!(stopped.expect(), Packet::PubAck { id, code: 0 });
        assert!(matches!(subscriber.expect(), Packet::Publish { topic, .. } if topic == "stopped"));
    }
    assert_eq!(stopped.receive(NO_ANSWER), Received::Nothing, "the sixth is not read");

    let mut slow = Client::connect(host.listener("slow"), Version::V5, "slow");
    (1..=60).for_each(|id| slow.publish(&message("slow", id, b"x")));
    for id in 1..=60 {
        assert_eq!(slow.expect(), Packet::PubAck { id, code: 0 });
        assert!(matches!(subscriber.expect(), Packet::Publish { topic, .. } if topic == "slow"));
    }
}

#[test]
fn a_client_above_bytes_rate_is_not_read() {
    let config = format!("{NODE}[listeners.thin]\nbind = \"127.0.0.1:0\"\nbytes_rate = \"64KB/1h\"\n");
    let host = Millstream::start(&config);
    let payload = vec![b'x'; 200_000];
    let mut client = Client::connect(host.listener("thin"), Version::V5, "thin");
    let small = Publish { payload: &payload[..60_000], ..message("t", 1, b"") };
    assert_eq!(client.at_least_once(&small), 0x10);
    // More than the rest of its bytes and one read together.
    client.publish(&Publish { payload: &payload, ..message("t", 2, b"") });
    assert_eq!(client.receive(NO_ANSWER), Received::Nothing);
    let mut other = Client::connect(host.listener("thin"), Version::V5, "other");
    assert_eq!(other.at_least_once(&small), 0x10, "each client has its own rate");
}

#[test]
fn topics_have_as_many_levels_and_bytes_as_the_configuration_allows() {
    let host = Millstream::start(&format!("{NODE}[mqtt]\nmax_topic_levels = 3\nmax_topic_length = 20\n"));
    for (topic, fits) in
        [("a/b/c", true), ("a/b/c/d", false), ("aaaaaaaaaa/bbbbbbbbb", true), ("aaaaaaaaaa/bbbbbbbbbb", false)]
    {
        let mut client = Client::connect(host.tcp(), Version::V5, "c");
        assert_eq!(client.subscribe(topic, 0), if fits { 0 } else { 0x8f }, "{topic}");
        client.publish(&message(topic, 1, b"x"));
        match client.expect() {
            Packet::PubAck { .. } | Packet::Publish { .. } => assert!(fits, "{topic}"),
            other => assert!(!fits && other == Packet::Disconnect { code: 0x90 }, "{topic}: {other:?}"),
        }
    }
}

const BANS: &str = r#"
[[banned]]
as = "clientid"
who = "mad"
reason = "it floods"
[[banned]]
as = "clientid"
who = "was-mad"
until = "2020-01-01T00:00:00Z"
[[banned]]
as = "username_re"
who = "^guest[0-9]*$"
until = "2999-01-01T00:00:00+02:00"
"#;

#[test]
fn banned_clients_are_refused_and_those_that_are_connected_are_told_to_go() {
    let config = format!("{NODE}{BANS}");
    let host = Millstream::start(&config);
    let file = host.folder().join("millstream.toml");
    let code = |version, client, user| {
        let connect = Connect { client, user, ..anybody(version) };
        Client::try_connect(host.tcp(), &connect).expect("an answer").1
    };
    assert_eq!(code(Version::V5, "mad", None), 0x8a);
    assert_eq!(code(Version::V4, "mad", None), 5);
    assert_eq!(code(Version::V5, "c", Some("guest7")), 0x8a);
    assert_eq!((code(Version::V5, "was-mad", None), code(Version::V5, "c", Some("a guest7"))), (0, 0));

    let mut soon = Client::connect(host.tcp(), Version::V5, "soon");
    let mut quiet = Client::connect(host.tcp(), Version::V5, "quiet");
    fs::write(&file, format!("{config}[[banned]]\nas = \"clientid_re\"\nwho = \"^soo\"\n")).expect("a file");
    assert_eq!(soon.expect(), Packet::Disconnect { code: 0x98 });
    assert_eq!(code(Version::V5, "soon", None), 0x8a);
    assert_eq!(quiet.at_least_once(&message("t", 1, b"x")), 0x10, "nobody else notices");

    fs::write(&file, NODE).expect("a file");
    until("the end of the ban", Duration::from_secs(60), || code(Version::V5, "soon", None) == 0);
    assert_eq!(code(Version::V5, "mad", None), 0);
}

/// A version 2 header: PROXY, TCP over IPv4, from 203.0.113.9 port 4660.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\x7f\0\0\x01\x12\x34\x07\x5b";

fn through_a_proxy(host: &Millstream, listener: &str, header: &[u8], client: &str) -> Received {
    let mut bytes = header.to_vec();
    bytes.extend(connect_bytes(Version::V5, client));
    let mut connection = Client::open(host.listener(listener), Version::V5).expect("a connection");
    connection.send(&bytes).expect("the system takes it");
    connection.receive(support::mqtt::ANSWER_LIMIT)
}

fn code_of(received: &Received) -> Option<u8> {
    match received {
        Received::Packet(Packet::ConnAck { code, .. }) => Some(*code),
        _ => None,
    }
}

#[test]
fn behind_a_proxy_bans_rules_and_permissions_see_the_real_peer() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("proxied", 1);
    let sink = action("sink", "kafka", &topic).replace("${payload}", "${peerhost} ${peername}");
    let config = format!(
        r#"{NODE}{connector}{sink}
[rules.all]
sql = 'SELECT * FROM "t/#"'
actions = ["sink"]
[listeners.proxied]
bind = "127.0.0.1:0"
proxy_protocol = true
proxy_protocol_timeout = "500ms"
[authorization]
rules = [{{ permission = "deny", action = "publish", ipaddr = "203.0.113.0/24", topics = ["t/secret"] }}]
[[banned]]
as = "peerhost_net"
who = "198.51.100.0/24"
"#,
        connector = connector("kafka", &kafka.plaintext),
    );
    let host = Millstream::start(&config);
    let banned = through_a_proxy(&host, "proxied", b"PROXY TCP4 198.51.100.7 127.0.0.1 4711 1883\r\n", "c");
    assert_eq!(code_of(&banned), Some(0x8a));
    for header in [b"PROXY TCP6 2001:db8::7 ::1 4711 1883\r\n".as_slice(), b"PROXY UNKNOWN\r\n", BINARY] {
        assert_eq!(code_of(&through_a_proxy(&host, "proxied", header, "c")), Some(0), "{header:?}");
    }
    // No header, a wrong one, none in time: no connection.
    for header in [b"".as_slice(), b"PROXY TCP4 198.51.100.7\r\n", b"PROXY TCP4 10.0.0.1 127.0.0.1 1 99999\r\n"] {
        assert_eq!(through_a_proxy(&host, "proxied", header, "c"), Received::Closed, "{header:?}");
    }
    let mut silent = Client::open(host.listener("proxied"), Version::V5).expect("a connection");
    assert_eq!(silent.receive(support::mqtt::ANSWER_LIMIT), Received::Closed);

    let mut client = Client::open(host.listener("proxied"), Version::V5).expect("a connection");
    client.send(&[BINARY, &connect_bytes(Version::V5, "real")].concat()).expect("the system takes it");
    assert!(is_welcome(&mut client));
    assert_eq!(client.at_least_once(&message("t/1", 1, b"x")), 0);
    assert_eq!(client.at_least_once(&message("t/secret", 2, b"x")), 0x87);
    // Where none is expected, a header is not believed.
    assert_eq!(through_a_proxy(&host, "tcp", BINARY, "c"), Received::Closed);
    assert_eq!(kafka.read(&topic)[0].text(), "203.0.113.9 203.0.113.9:4660");
}

/// The common name of the certificate that a handshake shows.
fn shown(host: &Millstream, authority: &str) -> String {
    let address = host.listener("ssl").to_string();
    let ended = run("openssl", &["s_client", "-connect", &address, "-CAfile", authority, "-verify_return_error"]);
    let scratch = Scratch::new("shown");
    let file = scratch.write("shown.pem", &ended.stdout);
    let subject = ["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", file.to_str().expect("UTF-8")];
    openssl(&subject).trim().trim_start_matches("subject=").to_string()
}

#[test]
fn new_certificates_are_shown_to_new_clients_and_drop_nobody() {
    let scratch = Scratch::new("certificates");
    let authority = Authority::new(scratch.path(), "ca");
    let _ = authority.issue("server", "/CN=first", "IP:127.0.0.1");
    let config = format!(
        "{NODE}[listeners.ssl]\nbind = \"127.0.0.1:0\"\n[listeners.ssl.ssl_options]\n\
         certfile = \"server.pem\"\nkeyfile = \"server.key\"\n"
    );
    let ca = authority.file();
    let host = Millstream::start_in(scratch, &config);
    assert_eq!(shown(&host, &ca), "CN=first");

    let port = host.listener("ssl").port().to_string();
    let arguments = format!("-oL mosquitto_sub -d -h 127.0.0.1 -p {port} -V mqttv5 --cafile {ca} -t t/# -C 2 -F");
    let arguments: Vec<_> = arguments.split(' ').chain(["got %p"]).collect();
    let log = host.folder().join("subscriber.log");
    let mut subscriber = Process::spawn("mosquitto_sub", Path::new("stdbuf"), &arguments, &log);
    until("the subscription", Duration::from_secs(30), || subscriber.output().contains("Subscribed"));
    mosquitto_pub(host.tcp(), &["-q", "1", "-t", "t/1", "-m", "before"]);

    let _ = authority.issue("server", "/CN=second", "IP:127.0.0.1");
    until("the new certificate", Duration::from_secs(60), || shown(&host, &ca) == "CN=second");
    // A certificate that does not fit its key changes nothing.
    fs::write(host.folder().join("server.pem"), "nonsense").expect("a file");
    host.await_log("no certificate in PEM form");
    assert_eq!(shown(&host, &ca), "CN=second");

    mosquitto_pub(host.tcp(), &["-q", "1", "-t", "t/1", "-m", "after"]);
    assert_eq!(subscriber.wait(Duration::from_secs(30)).code(), Some(0));
    let got: Vec<_> = subscriber.output().lines().filter(|line| line.starts_with("got")).map(str::to_owned).collect();
    assert_eq!(got, ["got before", "got after"]);
    assert_eq!(subscriber.output().matches("CONNACK").count(), 1, "it never had to connect again");
}
