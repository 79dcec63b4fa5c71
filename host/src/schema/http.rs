//! One blocking question at a time, for the schema registry: HTTP/1.1 on a connection of its own. Bounded in time and in
//! size; follows no redirection.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::config::ExternalConfig;

/// For connecting, and for each wait after that.
const STEP: Duration = Duration::from_secs(3);
/// For a whole request.
const TOTAL: Duration = Duration::from_secs(10);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 4 << 20;
/// Longest status line and header of one, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Where systems keep the certificates that they trust.
const SYSTEM_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What the registry speaks.
const KIND: &str = "application/vnd.schemaregistry.v1+json";

/// Why there is no answer of use; with the status, if the server gave one.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: Option<u16>,
    pub(super) why: String,
}

/// Asks one server.
pub(super) struct Client {
    host: String,
    port: u16,
    /// What stands before each path.
    prefix: String,
    authorization: Option<String>,
    tls: Option<Arc<ClientConfig>>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Client {
    /// The key and what is wrong with it.
    pub(super) fn new(config: &ExternalConfig) -> Result<Client, (&'static str, String)> {
        let wrong =
            || ("url", String::from("expected http://HOST:PORT or https://HOST:PORT, and a path if there is one"));
        let (scheme, rest) = config.url.split_once("://").ok_or_else(wrong)?;
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (authority, if secure { 443 } else { 80 }),
        };
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || host.contains('@') || !visible(host) || !visible(path) {
            return Err(wrong());
        }
        let authorization = config.auth.as_ref().map(|auth| {
            let pair = format!("{}:{}", auth.username, auth.password.expose());
            format!("Authorization: Basic {}\r\n", base64(pair.as_bytes()))
        });
        let tls =
            if secure { Some(trust(config.cacertfile.as_deref()).map_err(|why| ("cacertfile", why))?) } else { None };
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Client { host: host.to_owned(), port, prefix, authorization, tls })
    }

    /// The JSON answer to a GET of `path`, or with a body to a POST.
    pub(super) fn ask(&self, path: &str, body: Option<&serde_json::Value>) -> Result<serde_json::Value, Refused> {
        let place = format!("{}:{}", self.host, self.port);
        let failed = |why: String| Refused { status: None, why };
        let answer = self.exchange(path, body).map_err(|error| failed(format!("{place}: {error}")))?;
        let json = serde_json::from_slice::<serde_json::Value>(&answer.body);
        if answer.status != 200 {
            let said = json.ok().and_then(|json| Some(cut(json.get("message")?.as_str()?))).unwrap_or_default();
            let why = format!("{place} answers {} {said}", answer.status);
            return Err(Refused { status: Some(answer.status), why });
        }
        json.map_err(|error| failed(format!("the answer of {place} is not JSON: {error}")))
    }

    fn exchange(&self, path: &str, body: Option<&serde_json::Value>) -> std::io::Result<Answer> {
        let deadline = Instant::now() + TOTAL;
        let mut stream = self.connect()?;
        stream.write_all(self.request(path, body).as_bytes())?;
        stream.flush()?;
        let (mut answer, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let read = match stream.read(&mut chunk) {
                // Some servers end TLS without saying so; whether the answer is whole shows in its length.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
                other => other?,
            };
            answer.extend_from_slice(&chunk[..read]);
            if let Some(answer) = parse(&answer, read == 0).map_err(std::io::Error::other)? {
                return Ok(answer);
            }
            if answer.len() > MAX_ANSWER {
                return Err(std::io::Error::other(format!("the answer is longer than {MAX_ANSWER} bytes")));
            }
            if Instant::now() > deadline {
                return Err(std::io::Error::other(format!("the answer takes longer than {TOTAL:?}")));
            }
        }
    }

    fn request(&self, path: &str, body: Option<&serde_json::Value>) -> String {
        let authorization = self.authorization.as_deref().unwrap_or_default();
        let (method, body) = match body {
            None => ("GET", String::from("\r\n")),
            Some(body) => {
                let text = body.to_string();
                ("POST", format!("Content-Type: {KIND}\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
            }
        };
        format!(
            "{method} {}{path} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\nAccept: {KIND}, application/json\r\n\
             {authorization}{body}",
            self.prefix, self.host, self.port
        )
    }

    fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut last = std::io::Error::other("the name has no address");
        for address in (host, self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, STEP) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(STEP))?;
                    stream.set_write_timeout(Some(STEP))?;
                    let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
                    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
                    let session = ClientConnection::new(tls.clone(), name).map_err(std::io::Error::other)?;
                    return Ok(Box::new(StreamOwned::new(session, stream)));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The certificates that a server's must come from.
fn trust(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let file = match file {
        Some(file) => file,
        None => SYSTEM_CERTIFICATES
            .map(Path::new)
            .into_iter()
            .find(|file| file.exists())
            .ok_or("the system has no list of certificates; name a file")?,
    };
    let unreadable = |why: String| format!("cannot read certificates from `{}`: {why}", file.display());
    let text = fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(&text).flatten();
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(unreadable(String::from("there is none in it")));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// An answer that is all there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Nothing while more has to come; `ended` is that nothing does.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<Answer>, &'static str> {
    const FOREIGN: &str = "the answer is not HTTP";
    let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if ended || bytes.len() > MAX_HEAD { Err(FOREIGN) } else { Ok(None) };
    };
    let (head, rest) = (std::str::from_utf8(&bytes[..at]).map_err(|_| FOREIGN)?, &bytes[at + 4..]);
    let mut lines = head.lines();
    let status = lines.next().filter(|line| line.starts_with("HTTP/1.")).and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|code| code.parse().ok()).ok_or(FOREIGN)?;
    let header = |name: &str| {
        let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let body = if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        joined(rest)
    } else if let Some(length) = header("content-length") {
        rest.get(..length.parse().map_err(|_| FOREIGN)?).map(<[u8]>::to_vec)
    } else {
        ended.then(|| rest.to_vec())
    };
    match body {
        Some(body) => Ok(Some(Answer { status, body })),
        None if ended => Err("the answer is cut off"),
        None => Ok(None),
    }
}

/// A body that comes in chunks, once the last one is there; what is no chunk never is.
fn joined(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let at = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..at]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let end = (at + 2).checked_add(size)?;
        body.extend_from_slice(rest.get(at + 2..end)?);
        rest = rest.get(end + 2..)?;
    }
}

/// Of what a server says, the beginning is enough.
fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

/// A name as one part of a path.
pub(super) fn path_segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn base64(data: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = data.chunks(3).flat_map(|group| {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        (0..4).map(move |place| match place <= group.len() {
            true => char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]),
            false => '=',
        })
    });
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Result<Client, (&'static str, String)> {
        Client::new(&toml::from_str(&format!("type = \"confluent\"\nurl = \"{url}\"")).expect("a configuration"))
    }

    #[test]
    fn urls() {
        for (url, host, port, prefix) in [
            ("http://a:8081", "a", 8081, ""),
            ("http://a.example", "a.example", 80, ""),
            ("http://[::1]:8081/api/", "[::1]", 8081, "/api"),
            ("http://[::1]", "[::1]", 80, ""),
        ] {
            let client = client(url).unwrap_or_else(|(_, why)| panic!("{url}: {why}"));
            assert_eq!((client.host.as_str(), client.port, client.prefix.as_str()), (host, port, prefix));
        }
        for url in
            ["a:8081", "ftp://a", "http://", "http://a:port", "http://user@a", "http://a b", "http://a/\\r\\nX: y"]
        {
            assert_eq!(client(url).err().map(|(key, _)| key), Some("url"), "{url}");
        }
    }

    #[test]
    fn texts() {
        assert_eq!([base64(b""), base64(b"a"), base64(b"ab"), base64(b"abc")], ["", "YQ==", "YWI=", "YWJj"]);
        assert_eq!(path_segment("t/ä-1"), "t%2F%C3%A4-1");
    }

    #[test]
    fn answers_are_whole_or_not_there() {
        let whole = |body: &[u8]| Ok(Some(Answer { status: 200, body: body.to_vec() }));
        let (cut_off, foreign) = (Err("the answer is cut off"), Err("the answer is not HTTP"));
        for (bytes, open, ended) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", whole(b"{}"), whole(b"{}")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", Ok(None), cut_off.clone()),
            ("HTTP/1.0 200 OK\r\n\r\n{}", Ok(None), whole(b"{}")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\nA;x=y\r\n\"a\":  true\r\n1\r\n}\r\n0\r\n\r\n",
                whole(b"{\"a\":  true}"),
                whole(b"{\"a\":  true}"),
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", Ok(None), cut_off.clone()),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n{}", Ok(None), cut_off.clone()),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}", Ok(None), cut_off),
            ("HTTP/1.1 200 OK\r\nContent-Length: much\r\n\r\n{}", foreign.clone(), foreign.clone()),
            ("HTTP/1.1 two hundred\r\n\r\n", foreign.clone(), foreign.clone()),
            ("SSH-2.0-OpenSSH\r\n\r\n", foreign.clone(), foreign.clone()),
            ("HTTP/1.1 200", Ok(None), foreign.clone()),
            ("", Ok(None), foreign),
        ] {
            assert_eq!(parse(bytes.as_bytes(), false), open, "{bytes}");
            assert_eq!(parse(bytes.as_bytes(), true), ended, "{bytes}");
        }
    }
}
