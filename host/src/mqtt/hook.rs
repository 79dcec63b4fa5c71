//! The HTTP client that asks somebody else who may connect (`auth/http.rs`) and who may do what (`acl/ask.rs`).
//!
//! Every question has an end: one time limit covers the wait for a free connection, connecting, TLS, and the whole answer,
//! whose size is bounded. Nothing of a request or an answer is ever logged but the address and the kind of failure.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::auth::{Facts, Text, UnknownPlaceholder};
use super::config::{HookConfig, HookMethod, HookSsl};
use crate::telemetry::metrics::Metrics;

/// Why a hook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    #[error("`url`: expected \"http://\" or \"https://\", a host without placeholders, and a path")]
    Url,
    #[error("`{key}`: {source}")]
    Placeholder { key: String, source: UnknownPlaceholder },
    #[error("`headers.{0}` is not a header that can be sent")]
    Header(String),
    #[error("`ssl`: cannot read {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("`ssl`: {0}")]
    Tls(String),
}

/// What came back.
#[derive(Debug)]
pub enum Answer {
    /// 204.
    NoContent,
    /// 200 with a JSON object.
    Object(Map<String, Value>),
}

/// Why nothing came back that says anything.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("no answer within `request_timeout`")]
    Late,
    #[error("a client's name cannot stand in the request")]
    Unaskable,
    #[error("{0}")]
    Transport(String),
    #[error("the answer has status {0}; expected 200 or 204")]
    Status(StatusCode),
    #[error("the answer is not `application/json` with an object")]
    NotJson,
}

/// Asks one service.
#[derive(Debug)]
pub struct Hook {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    request: Template,
    config: HookConfig,
    slots: Semaphore,
    /// The last question failed; said once.
    away: AtomicBool,
    metrics: Arc<Metrics>,
}

/// Bytes of an answer; a list of rules may be long.
const MAX_ANSWER: usize = 256 << 10;

impl Hook {
    /// Cuts the texts, in which `known` may stand, and reads the files for TLS.
    pub fn new(config: &HookConfig, known: &[&str], metrics: Arc<Metrics>) -> Result<Hook, HookError> {
        let request = Template::new(config, known)?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(config.connect_timeout.duration()));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls(config)?).https_or_http().enable_http1();
        let size = config.pool_size.get();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(size)
            .build(connector.wrap_connector(http));
        let slots = Semaphore::new(size.min(Semaphore::MAX_PERMITS));
        Ok(Hook { client, request, config: config.clone(), slots, away: AtomicBool::new(false), metrics })
    }

    /// What is wrong with a configuration, by key; files are not read.
    #[must_use]
    pub fn check(config: &HookConfig, known: &[&str]) -> Vec<(String, String)> {
        let mut found = config.check();
        if let Err(error) = Template::new(config, known) {
            let key = match &error {
                HookError::Placeholder { key, .. } => key.clone(),
                HookError::Header(name) => format!("headers.{name}"),
                _ => "url".to_owned(),
            };
            found.push((key, error.to_string()));
        }
        found
    }

    /// The answer to a question about `facts`; `None` when there is none that says anything. That is counted, and logged
    /// when it begins and when it ends.
    pub async fn ask(&self, facts: &Facts<'_>) -> Option<Answer> {
        self.metrics.hook_requests.add(1);
        let limit = self.config.request_timeout.duration();
        let answer = tokio::time::timeout(limit, self.exchange(facts)).await.unwrap_or(Err(Failed::Late));
        match answer {
            Ok(answer) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!(url = self.config.url, "the HTTP hook answers again");
                }
                Some(answer)
            }
            Err(error) => {
                self.metrics.hook_failures.add(1);
                if !self.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(url = self.config.url, %error, "the HTTP hook gives no answer; it counts as `ignore`");
                }
                None
            }
        }
    }

    async fn exchange(&self, facts: &Facts<'_>) -> Result<Answer, Failed> {
        let transport = |error: &dyn std::fmt::Display| Failed::Transport(error.to_string());
        let request = self.request.fill(facts).ok_or(Failed::Unaskable)?;
        let _slot = self.slots.acquire().await.map_err(|error| transport(&error))?;
        let response = self.client.request(request).await.map_err(|error| transport(&chain(&error)))?;
        let status = response.status();
        let json = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let json = json.is_some_and(|value| value.trim_start().starts_with("application/json"));
        // Read to its end in any case, so that the connection can be used again.
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| Failed::Transport(error.to_string()))?.to_bytes();
        match status {
            StatusCode::NO_CONTENT => Ok(Answer::NoContent),
            StatusCode::OK if json => serde_json::from_slice(&body).map(Answer::Object).map_err(|_| Failed::NotJson),
            StatusCode::OK => Err(Failed::NotJson),
            status => Err(Failed::Status(status)),
        }
    }
}

/// An error with what caused it: the client's own text says only that something failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A request with placeholders.
#[derive(Debug)]
struct Template {
    method: Method,
    /// `https://host:port`.
    origin: String,
    path: Text,
    query: Option<Text>,
    headers: Vec<(HeaderName, Text)>,
    body: Vec<(String, Text)>,
    form: bool,
}

impl Template {
    fn new(config: &HookConfig, known: &[&str]) -> Result<Template, HookError> {
        let text = |key: &str, text: &str| {
            Text::parse(text, known).map_err(|source| HookError::Placeholder { key: key.to_owned(), source })
        };
        let scheme = ["http://", "https://"].into_iter().find(|scheme| config.url.starts_with(scheme));
        let scheme = scheme.ok_or(HookError::Url)?;
        let rest = &config.url[scheme.len()..];
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut headers = vec![];
        for (name, value) in &config.headers {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HookError::Header(name.clone()))?;
            headers.push((header, text(&format!("headers.{name}"), value.expose())?));
        }
        let given = |name: HeaderName| config.headers.iter().find(|(key, _)| name.as_str().eq_ignore_ascii_case(key));
        let form = given(CONTENT_TYPE).is_some_and(|(_, value)| value.expose().contains("x-www-form-urlencoded"));
        for (name, needed) in [(ACCEPT, true), (CONTENT_TYPE, config.method == HookMethod::Post)] {
            if needed && given(name.clone()).is_none() {
                headers.push((name, text("headers", "application/json")?));
            }
        }
        let body = config.body.iter().map(|(key, value)| Ok((key.clone(), text(&format!("body.{key}"), value)?)));
        let template = Template {
            method: if config.method == HookMethod::Get { Method::GET } else { Method::POST },
            origin: format!("{scheme}{host}"),
            path: text("url", path)?,
            query: query.map(|query| text("url", query)).transpose()?,
            headers,
            body: body.collect::<Result<_, HookError>>()?,
            form,
        };
        // What is wrong for everybody is wrong now.
        let host_is_fixed = !host.is_empty() && !host.contains("${");
        let tried = template.fill(&Facts::default());
        match (host_is_fixed, tried) {
            (true, Some(_)) => Ok(template),
            _ => Err(HookError::Url),
        }
    }

    /// `None` when a fact makes it no request: a line break in a header, for one.
    fn fill(&self, facts: &Facts<'_>) -> Option<Request<Full<Bytes>>> {
        let mut query: Vec<String> = self.query.iter().map(|query| query.fill(facts, percent)).collect();
        let fields = || self.body.iter().map(|(key, value)| (key, value.fill(facts, str::to_owned)));
        let pairs = || fields().map(|(key, value)| format!("{}={}", percent(key), percent(&value)));
        let body = if self.method == Method::GET {
            query.extend(pairs());
            Bytes::new()
        } else if self.form {
            Bytes::from(pairs().collect::<Vec<_>>().join("&"))
        } else {
            let object: Map<String, Value> = fields().map(|(key, value)| (key.clone(), Value::String(value))).collect();
            Bytes::from(Value::Object(object).to_string())
        };
        let path = self.path.fill(facts, percent);
        let slash = if path.is_empty() { "/" } else { "" };
        let mark = if query.is_empty() { "" } else { "?" };
        let uri: Uri = format!("{}{path}{slash}{mark}{}", self.origin, query.join("&")).parse().ok()?;
        let mut request = Request::builder().method(self.method.clone()).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, HeaderValue::from_bytes(value.fill(facts, str::to_owned).as_bytes()).ok()?);
        }
        request.body(Full::new(body)).ok()
    }
}

/// For a part of a URL or a form: all but letters, digits and `-._~` as `%XX`.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// TLS towards the service: its certificate is always verified, against the authorities that are given or the system's.
fn tls(config: &HookConfig) -> Result<ClientConfig, HookError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let broken = |error: &dyn std::fmt::Display| HookError::Tls(error.to_string());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| broken(&error))?;
    let HookSsl { cacertfile, certfile, keyfile, .. } = config.ssl.clone().unwrap_or_default();
    let builder = match &cacertfile {
        Some(path) => builder.with_root_certificates(authorities(path)?),
        None if config.url.starts_with("https") => builder.with_native_roots().map_err(|error| broken(&error))?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    let (Some(certfile), Some(keyfile)) = (certfile, keyfile) else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(&certfile)?;
    let key = PrivateKeyDer::from_pem_file(&keyfile).map_err(|error| unreadable(&keyfile, &error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| broken(&error))
}

fn authorities(path: &Path) -> Result<RootCertStore, HookError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unreadable(path, &error))?;
    }
    match roots.is_empty() {
        true => Err(unreadable(path, &"no certificate in PEM form in it")),
        false => Ok(roots),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, HookError> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> HookError {
    HookError::File { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::auth::CONNECT;

    fn config(text: &str) -> HookConfig {
        toml::from_str(text).unwrap()
    }

    fn facts() -> Facts<'static> {
        Facts {
            client_id: "a/b c",
            username: Some("jö&e"),
            password: Some("\"secret\""),
            peerhost: Some("10.0.0.1".parse().unwrap()),
            ..Facts::default()
        }
    }

    async fn filled(text: &str) -> (String, String, String) {
        let request = Template::new(&config(text), CONNECT).unwrap().fill(&facts()).unwrap();
        let headers: Vec<_> =
            request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        let (uri, headers) = (request.uri().to_string(), headers.join("\n"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        (uri, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn requests_are_filled_in_and_encoded_where_they_stand() {
        let post = r#"
            method = "post"
            url = "https://auth.example:8443/check/${clientid}?ip=${peerhost}"
            headers = { X-Device = "${clientid}" }
            body = { user = "${username}", pass = "p:${password}" }"#;
        let (uri, headers, body) = filled(post).await;
        assert_eq!(uri, "https://auth.example:8443/check/a%2Fb%20c?ip=10.0.0.1");
        assert_eq!(headers, "x-device: a/b c\naccept: application/json\ncontent-type: application/json");
        assert_eq!(body, r#"{"pass":"p:\"secret\"","user":"jö&e"}"#);

        let form = "headers = { content-type = \"application/x-www-form-urlencoded\" }\nbody = { u = \"${username}\", c = \"x\" }";
        let (uri, _, body) = filled(&format!("method = \"post\"\nurl = \"http://h\"\n{form}")).await;
        assert_eq!((uri.as_str(), body.as_str()), ("http://h/", "c=x&u=j%C3%B6%26e"));

        let get = "method = \"get\"\nurl = \"http://h/p?a=1\"\nbody = { u = \"${username}\" }";
        let (uri, headers, body) = filled(get).await;
        assert_eq!((uri.as_str(), body.as_str()), ("http://h/p?a=1&u=j%C3%B6%26e", ""));
        assert_eq!(headers, "accept: application/json");
    }

    #[test]
    fn a_client_cannot_write_its_own_headers() {
        let text = "method = \"get\"\nurl = \"http://h/\"\nheaders = { X = \"${clientid}\" }";
        let template = Template::new(&config(text), CONNECT).unwrap();
        assert!(template.fill(&Facts { client_id: "a\r\nX-Admin: 1", ..Facts::default() }).is_none());
        assert!(template.fill(&Facts { client_id: "a", ..Facts::default() }).is_some());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_key() {
        for (text, key) in [
            ("method = \"get\"\nurl = \"ftp://h/\"", "url"),
            ("method = \"get\"\nurl = \"http://${clientid}/\"", "url"),
            ("method = \"get\"\nurl = \"http:///x\"", "url"),
            ("method = \"get\"\nurl = \"http://h/ x\"", "url"),
            ("method = \"get\"\nurl = \"http://h/${topic}\"", "url"),
            ("method = \"post\"\nurl = \"http://h/\"\nbody = { a = \"${pasword}\" }", "body.a"),
            ("method = \"post\"\nurl = \"http://h/\"\nheaders = { \"a b\" = \"x\" }", "headers.a b"),
            ("method = \"get\"\nurl = \"http://h/\"\nheaders = { Content-Type = \"text/plain\" }", "headers"),
            ("method = \"get\"\nurl = \"https://h/\"\nssl = { enable = false }", "ssl.enable"),
            ("method = \"get\"\nurl = \"https://h/\"\nssl = { certfile = \"x\" }", "ssl.certfile"),
        ] {
            let found = Hook::check(&config(text), CONNECT);
            assert_eq!(found.first().map(|(key, _)| key.as_str()), Some(key), "{text}");
        }
        assert_eq!(Hook::check(&config("method = \"get\"\nurl = \"http://h/${username}\""), CONNECT), []);
        let shown = format!("{:?}", config("method = \"get\"\nurl = \"http://h/\"\nheaders = { a = \"hunter2\" }"));
        assert!(!shown.contains("hunter2"));
    }
}
