//! The front on real sockets: every kind of listener, who is let in, silent peers, reload and drain.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::{Sink, Stream};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::*;
use crate::mqtt::sys::SysTopicsConfig;
use crate::mqtt::testing::{PATIENCE, Raw, connect, connect_with, until};
use crate::pipeline::IngressLimits;
use crate::task::{self, DrainTrigger};

fn file(name: &str) -> String {
    let folder = PathBuf::from(file!()).with_file_name("testdata");
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    // `file!()` is relative to the workspace, or absolute.
    let found = [folder.clone(), manifest.join(&folder), manifest.join("..").join(&folder)];
    found.into_iter().find(|path| path.exists()).expect("testdata").join(name).display().to_string()
}

struct Running {
    addresses: BTreeMap<String, SocketAddr>,
    handle: FrontHandle,
    metrics: Arc<Metrics>,
    trigger: DrainTrigger,
    task: tokio::task::JoinHandle<()>,
}

async fn bind(text: &str) -> Result<(Front, Arc<Metrics>), FrontError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        listeners: BTreeMap<String, ListenerConfig>,
        #[serde(default)]
        mqtt: MqttConfig,
        #[serde(default)]
        authentication: AuthenticationConfig,
        #[serde(default)]
        authorization: AuthorizationConfig,
        #[serde(default)]
        banned: Vec<BanConfig>,
    }
    let config: Config = toml::from_str(text).unwrap();
    let metrics = Arc::new(Metrics::default());
    let ingress = Ingress::new(1, IngressLimits::default());
    let Config { listeners, mqtt, authentication, authorization, banned } = config;
    let config = FrontConfig { mqtt, authentication, authorization, banned };
    let sys = SysTopics::new(SysTopicsConfig::default(), "edge-1", Instant::now());
    let front = Front::bind(&listeners, config, sys, ingress, metrics.clone()).await?;
    Ok((front, metrics))
}

async fn start(text: &str) -> Running {
    let (front, metrics) = bind(text).await.unwrap();
    let (trigger, drain) = task::drain();
    Running {
        addresses: front.addresses().iter().cloned().collect(),
        handle: front.handle(),
        metrics,
        trigger,
        task: tokio::spawn(front.run(drain)),
    }
}

impl Running {
    async fn tcp(&self, listener: &str) -> TcpStream {
        TcpStream::connect(self.addresses[listener]).await.unwrap()
    }

    async fn stop(self) {
        self.trigger.announce(Duration::from_secs(5));
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

fn tls_listener(name: &str, more: &str) -> String {
    format!(
        "[listeners.{name}]\nbind = \"127.0.0.1:0\"\n[listeners.{name}.ssl_options]\ncertfile = '{}'\nkeyfile = '{}'\n\
         cacertfile = '{}'\n{more}\n",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    )
}

async fn tls(stream: TcpStream, certified: bool) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = if certified {
        let chain = vec![CertificateDer::from_pem_file(file("client.pem")).unwrap()];
        builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(file("client.key")).unwrap()).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn websocket<S>(stream: S, path: &str, protocol: Option<&str>) -> Result<WebSocketStream<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("ws://localhost{path}").into_client_request()?;
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| socket)
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, message: Message) {
    let mut socket = Pin::new(socket);
    std::future::poll_fn(|cx| socket.as_mut().poll_ready(cx)).await.unwrap();
    socket.as_mut().start_send(message).unwrap();
    std::future::poll_fn(|cx| socket.as_mut().poll_flush(cx)).await.unwrap();
}

async fn hear<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Option<Message> {
    let next = std::future::poll_fn(|cx| Pin::new(&mut *socket).poll_next(cx));
    tokio::time::timeout(PATIENCE, next).await.unwrap().and_then(Result::ok)
}

#[tokio::test]
async fn every_kind_of_listener_serves_both_versions() {
    let text = format!(
        "[listeners.tcp]\nbind = \"127.0.0.1:0\"\n[listeners.ws]\nbind = \"127.0.0.1:0\"\n{}{}",
        tls_listener("ssl", ""),
        tls_listener("wss", "")
    );
    let running = start(&text).await;
    for version in [4, 5] {
        let packet = connect(version, "c", true);
        let encrypted = tls(running.tcp("ssl").await, false).await.unwrap();
        for mut client in [Raw::over(running.tcp("tcp").await), Raw::over(encrypted)] {
            client.send(&packet).await;
            assert_eq!(client.packet().await[0], 0x20);
            client.expect_silence().await;
        }
        let plain = websocket(running.tcp("ws").await, "/mqtt", Some("mqtt")).await.unwrap();
        talk_in_pieces(plain, &packet).await;
        let encrypted = tls(running.tcp("wss").await, false).await.unwrap();
        talk_in_pieces(websocket(encrypted, "/mqtt", Some("mqttv3.1, mqtt")).await.unwrap(), &packet).await;
    }
    running.stop().await;
}

/// Two packets in three messages, split where no packet ends.
async fn talk_in_pieces<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>, connect: &[u8]) {
    say(&mut socket, Message::binary(connect[..3].to_vec())).await;
    say(&mut socket, Message::Ping(Vec::new().into())).await;
    let mut rest = connect[3..].to_vec();
    rest.push(0xc0);
    say(&mut socket, Message::binary(rest)).await;
    say(&mut socket, Message::binary(vec![0])).await;
    let mut heard = Vec::new();
    while !heard.ends_with(&[0xd0, 0]) {
        match hear(&mut socket).await {
            Some(Message::Binary(data)) => heard.extend_from_slice(&data),
            Some(Message::Pong(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(heard[0], 0x20);
    // Text is not MQTT (MQTT-6.0.0-1).
    say(&mut socket, Message::text("hello")).await;
    assert!(!matches!(hear(&mut socket).await, Some(Message::Binary(_) | Message::Text(_))));
}

#[tokio::test]
async fn a_websocket_needs_the_path_and_the_subprotocol() {
    let running = start("[listeners.ws]\nbind = \"127.0.0.1:0\"\nwebsocket = { mqtt_path = \"/iot\" }\n").await;
    for (path, protocol, expected) in
        [("/iot", Some("mqtt"), 101), ("/mqtt", Some("mqtt"), 404), ("/iot", None, 400), ("/iot", Some("chat"), 400)]
    {
        let status = match websocket(running.tcp("ws").await, path, protocol).await {
            Ok(_) => 101,
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(status, expected, "{path} {protocol:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn silent_and_rude_peers_hold_nobody_up_and_go() {
    let text = format!(
        "mqtt = {{ idle_timeout = \"300ms\" }}\n[listeners.tcp]\nbind = \"127.0.0.1:0\"\n\
         [listeners.ws]\nbind = \"127.0.0.1:0\"\n{}",
        tls_listener("ssl", "")
    );
    let running = start(&text).await;
    let mut silent = Vec::new();
    for listener in ["tcp", "ws", "ssl"] {
        for _ in 0..20 {
            silent.push(Raw::over(running.tcp(listener).await));
        }
        let mut rude = Raw::over(running.tcp(listener).await);
        rude.send_anyway(&[0x16; 100]).await;
        silent.push(rude);
    }
    // Served at once, although those above are still shaking hands.
    let mut client = Raw::over(running.tcp("tcp").await);
    client.send(&connect(5, "c", true)).await;
    assert_eq!(client.packet().await[0], 0x20);
    until(|| running.metrics.connections_refused.get() == 63).await;
    client.expect_silence().await;
    running.stop().await;
}

#[tokio::test]
async fn a_client_certificate_says_who_it_is() {
    let names = "mqtt = { peer_cert_as_username = \"cn\", peer_cert_as_clientid = \"cn\" }\n";
    let more = "verify = \"verify_peer\"\nfail_if_no_peer_cert = true";
    let running = start(&format!("{names}{}", tls_listener("ssl", more))).await;
    let mut client = Raw::over(tls(running.tcp("ssl").await, true).await.unwrap());
    client.send(&connect_with(5, 0x82, &[0], &[b"claimed", b"root"])).await;
    assert_eq!(client.packet().await[..4], [0x20, 22, 0, 0]);
    let table = running.handle.table();
    let row = table.client("device-7").expect("its row");
    assert_eq!((row.username.as_deref(), row.local), (Some("device-7"), running.addresses["ssl"]));
    // Without one, TLS ends it: at the latest when the first bytes are read.
    if let Ok(stream) = tls(running.tcp("ssl").await, false).await {
        let mut client = Raw::over(stream);
        client.send_anyway(&connect(5, "c", true)).await;
        assert!(client.packet().await.is_empty());
    }
    assert!(running.handle.reload_certificates().is_ok());
    assert!(table.kick("device-7"));
    client.expect(&[0xe0, 2, 0x98, 0]).await;
    running.stop().await;
}

#[tokio::test]
async fn without_authentication_only_this_machine_is_served() {
    let (front, _) =
        bind("[listeners.tcp]\nbind = \"0.0.0.0:0\"\n[listeners.six]\nbind = \"[::1]:0\"\n").await.unwrap();
    assert!(front.addresses().iter().all(|(_, address)| address.ip().is_loopback()));
    let (front, _) =
        bind("authentication = { allow_anonymous = true }\n[listeners.tcp]\nbind = \"0.0.0.0:0\"\n").await.unwrap();
    assert!(front.addresses()[0].1.ip().is_unspecified());
    let error = bind("[listeners.tcp]\nbind = \"192.0.2.1:0\"\n").await.unwrap_err();
    assert!(matches!(error, FrontError::Unprotected { .. }), "{error}");
}

#[tokio::test]
async fn what_cannot_start_says_what_and_where() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let missing = tls_listener("ssl", "").replace("server.pem", "none.pem");
    let mixed = tls_listener("ssl", "").replace("server.key", "client.key");
    for (text, parts) in [
        (format!("[listeners.first]\nbind = \"{address}\"\n"), ["first", "127.0.0.1"]),
        ("[listeners.ssl]\nbind = \"127.0.0.1:0\"\n".to_owned(), ["ssl", "certfile"]),
        (missing, ["ssl", "none.pem"]),
        (mixed, ["ssl", "client.key"]),
        (tls_listener("ssl", "verify = \"verify_peer\"").replace("ca.pem", "server.key"), ["ssl", "authorities"]),
        (
            "authentication = { users_file = \"no.users\" }\n[listeners.tcp]\nbind = \"127.0.0.1:0\"".into(),
            ["users", "no.users"],
        ),
    ] {
        let error = bind(&text).await.unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[tokio::test]
async fn a_full_listener_closes_what_is_too_much() {
    let running = start("[listeners.tcp]\nbind = \"127.0.0.1:0\"\nmax_connections = 1\n").await;
    let mut first = Raw::over(running.tcp("tcp").await);
    first.send(&connect(4, "a", true)).await;
    first.expect(&[0x20, 2, 0, 0]).await;
    let mut second = Raw::over(running.tcp("tcp").await);
    assert!(second.packet().await.is_empty());
    first.expect_silence().await;
    running.stop().await;
    assert!(first.packet().await.is_empty());
}
