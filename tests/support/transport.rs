//! The four ways to a listener, each as one blocking stream of bytes: TCP, TLS, WebSocket and WebSocket over TLS.
//!
//! TLS and WebSocket are rustls and tungstenite as a client uses them; what crosses a frame's border is the test's to say.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::{Error, Message, WebSocket};

/// What a test needs of a connection.
pub trait Wire: Read + Write + Send {
    /// No read waits longer than `limit`, which is above zero.
    fn limit_reads(&mut self, limit: Duration) -> io::Result<()>;
}

/// How to reach a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Tls,
    WebSocket,
    SecureWebSocket,
}

impl Transport {
    /// The name of the listener of this kind in a configuration.
    #[must_use]
    pub fn listener(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Tls => "ssl",
            Transport::WebSocket => "ws",
            Transport::SecureWebSocket => "wss",
        }
    }

    /// A connection that has shaken hands and said nothing of MQTT.
    pub fn open(self, address: SocketAddr) -> io::Result<Box<dyn Wire>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(match self {
            Transport::Tcp => Box::new(stream),
            Transport::Tls => Box::new(tls(stream)?),
            Transport::WebSocket => Box::new(Framed::over(stream)?),
            Transport::SecureWebSocket => Box::new(Framed::over(tls(stream)?)?),
        })
    }
}

impl Wire for TcpStream {
    fn limit_reads(&mut self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))
    }
}

/// A stream under TLS.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

impl Wire for Tls {
    fn limit_reads(&mut self, limit: Duration) -> io::Result<()> {
        self.sock.set_read_timeout(Some(limit))
    }
}

/// The folder with the certificates that the host's own tests use: `ca.pem`, `server.pem`, `server.key`.
#[must_use]
pub fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src/mqtt/front/testdata")
}

fn tls(stream: TcpStream) -> io::Result<Tls> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(certificates().join("ca.pem")).expect("a certificate");
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.expect("versions of TLS").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

/// A WebSocket: each write is one binary frame, and reads join the frames that come.
#[derive(Debug)]
pub struct Framed<S> {
    pub socket: WebSocket<S>,
    unread: Vec<u8>,
}

impl<S: Wire> Framed<S> {
    /// Shakes hands at `/mqtt`, offering the subprotocol `mqtt`.
    pub fn over(stream: S) -> io::Result<Framed<S>> {
        Framed::shake_hands(stream, Some("mqtt")).map(|(framed, _)| framed)
    }

    /// Shakes hands at `/mqtt`; gives the subprotocol that the server chose as well.
    pub fn shake_hands(stream: S, offered: Option<&str>) -> io::Result<(Framed<S>, Option<String>)> {
        let mut request = "ws://localhost/mqtt".into_client_request().map_err(io::Error::other)?;
        if let Some(offered) = offered {
            let value = offered.parse().map_err(io::Error::other)?;
            request.headers_mut().insert("sec-websocket-protocol", value);
        }
        let (socket, response) = tungstenite::client(request, stream).map_err(|error| match error {
            HandshakeError::Failure(error) => io::Error::other(error),
            HandshakeError::Interrupted(_) => io::Error::from(ErrorKind::TimedOut),
        })?;
        let chosen = response.headers().get("sec-websocket-protocol");
        let chosen = chosen.and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok((Framed { socket, unread: Vec::new() }, chosen))
    }
}

impl<S: Wire> Read for Framed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(data)) => self.unread = data.to_vec(),
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(0),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => panic!("the server sent {other:?} (MQTT-6.0.0-1)"),
                Err(Error::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let count = self.unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Ok(count)
    }
}

impl<S: Wire> Write for Framed<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let message = Message::Binary(data.to_vec().into());
        self.socket.send(message).map_err(io::Error::other)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io::Error::other)
    }
}

impl<S: Wire> Wire for Framed<S> {
    fn limit_reads(&mut self, limit: Duration) -> io::Result<()> {
        self.socket.get_mut().limit_reads(limit)
    }
}
