//! The registry's client against a server that says what the test wants, or nothing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::*;
use crate::value::Value;

/// Answers requests one by one with what `answer` says to them.
fn server(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (mut request, mut byte) = (Vec::new(), [0]);
            let mut read = |request: &mut Vec<u8>| {
                let more = stream.read(&mut byte).is_ok_and(|read| read == 1);
                request.extend_from_slice(&byte[..usize::from(more)]);
                more
            };
            while !request.ends_with(b"\r\n\r\n") && read(&mut request) {}
            let head = String::from_utf8_lossy(&request).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
            for _ in 0..length.unwrap_or(0) {
                read(&mut request);
            }
            counted.fetch_add(1, Ordering::SeqCst);
            if let Some(answer) = answer(&String::from_utf8_lossy(&request)) {
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    (url, asked)
}

fn ok(body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn refuse(status: u16, body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 {status} No\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn registry(url: &str) -> Registry {
    let config = format!("url = \"{url}\"\nauth = {{ username = \"u\", password = \"p\" }}");
    Registry::new("r", &toml::from_str(&config).expect("a configuration"))
        .unwrap_or_else(|(key, why)| panic!("{key}: {why}"))
}

fn sourced(kind: SchemaKind, source: &str) -> Sourced {
    let schema = Schema::compile(kind, source, None).unwrap_or_else(|why| panic!("{why}"));
    Sourced { kind, source: source.into(), schema }
}

impl Registry {
    /// As if the time for which failures are believed were over.
    fn forget_failures(&self) {
        self.0.schemas.known.lock().retain(|_, answer| !matches!(answer, Answer::Failed(..)));
    }
}

fn error(registry: &Registry, id: u32) -> String {
    registry.by_id(id).err().expect("no schema")
}

#[test]
fn a_schema_is_fetched_once_with_authentication() {
    let (url, asked) = server(|request| {
        assert!(request.contains("\r\nAuthorization: Basic dTpw\r\n"), "{request}");
        if request.starts_with("GET /schemas/ids/7 ") {
            return ok(r#"{"schema":"\"long\""}"#);
        }
        refuse(404, r#"{"error_code":40403,"message":"Schema 8 not found"}"#)
    });
    let registry = registry(&url);
    for _ in 0..3 {
        let encoded = registry.by_id(7).and_then(|schema| schema.encode(&Value::Int(1), None));
        assert_eq!(encoded, Ok(vec![2]));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    for _ in 0..3 {
        let error = error(&registry, 8);
        assert!(error.contains("404") && error.contains("Schema 8 not found"), "{error}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn a_schema_of_ours_is_looked_up_and_registered_if_it_is_new() {
    let (url, asked) = server(|request| {
        assert!(request.contains("\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\n"), "{request}");
        let body = request.rsplit("\r\n\r\n").next().unwrap_or_default();
        let body: Json = serde_json::from_str(body).expect("JSON");
        let (known, kind) = (request.starts_with("POST /subjects/known "), body.get("schemaType").is_some());
        match (known, request.starts_with("POST /subjects/t%2F1-value/versions ")) {
            (true, _) if kind => ok(r#"{"id":5}"#),
            (true, _) if body["schema"] == "\"long\"" => ok(r#"{"subject":"known","version":3,"id":4}"#),
            (_, true) => ok(r#"{"id":6}"#),
            _ => refuse(404, r#"{"error_code":40401,"message":"Subject not found"}"#),
        }
    });
    let registry = registry(&url);
    let long = sourced(SchemaKind::Avro, "\"long\"");
    let json = sourced(SchemaKind::Json, "{}");
    for _ in 0..3 {
        assert_eq!(registry.id_of("known", &long), Ok(4));
        assert_eq!(registry.id_of("known", &json), Ok(5));
        assert_eq!(registry.id_of("t/1-value", &long), Ok(6));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    // Another text is another schema.
    let other = registry.id_of("known", &sourced(SchemaKind::Avro, "\"int\"")).expect_err("the server knows no int");
    assert!(other.contains("`known`") && other.contains("404 Subject not found"), "{other}");
}

#[test]
fn what_is_no_schema_is_refused_with_the_reason() {
    for (answer, part) in [
        (ok("<html>"), "not JSON"),
        (ok("[]"), "no `schema`"),
        (ok(r#"{"schema":7}"#), "no `schema`"),
        (ok(r#"{"schema":"{"}"#), "line 1, column 1"),
        (ok(r#"{"schema":"{}"}"#), "no Avro schema"),
        (ok(r#"{"schema":"","schemaType":"THRIFT"}"#), "THRIFT"),
        (ok(r#"{"schema":"message A { strin a = 1; }","schemaType":"PROTOBUF"}"#), "label"),
        (ok(r#"{"schema":"{\"type\":7}","schemaType":"JSON"}"#), "no JSON Schema"),
        (ok(r#"{"schema":"\"a.B\"","references":[{"name":"a.B","subject":"b","version":1}]}"#), "refers to other"),
        (refuse(500, "oh"), "answers 500"),
        (refuse(401, r#"{"message":"Unauthorized"}"#), "answers 401 Unauthorized"),
        (Some(String::from("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")), "cut off"),
        (Some(String::from("220 mail.example ESMTP\r\n\r\n")), "not HTTP"),
        (Some(String::new()), "not HTTP"),
        (Some(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(5 << 20))), "longer than"),
        (Some(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(5 << 20))), "not HTTP"),
    ] {
        let (url, _) = server(move |_| answer.clone());
        let error = fetch_schema(&registry(&url).0, &1).err().expect("no schema");
        assert!(error.contains(part), "{error}");
        assert!(error.len() < 1_000, "{}", error.len());
    }
}

#[test]
fn what_was_learned_stays_while_the_registry_is_away_and_the_rest_comes_when_it_is_back() {
    let away = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let of_server = away.clone();
    let (url, asked) =
        server(move |_| if of_server.load(Ordering::SeqCst) { None } else { ok(r#"{"schema":"\"string\""}"#) });
    let registry = registry(&url);
    assert!(registry.by_id(1).is_ok());
    away.store(true, Ordering::SeqCst);
    assert!(registry.by_id(1).is_ok());
    assert!(error(&registry, 2).contains("not HTTP"));
    away.store(false, Ordering::SeqCst);
    assert!(error(&registry, 2).contains("not HTTP"), "a failure is believed for a while");
    registry.forget_failures();
    assert!(registry.by_id(2).is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[test]
fn a_registry_that_is_away_or_silent_stalls_nobody() {
    let away = registry("http://127.0.0.1:1");
    let why = error(&away, 1);
    assert!(why.contains("`r`") && why.contains("127.0.0.1:1"), "{why}");
    // It takes the connection and says nothing.
    let (url, _) = server(|_| {
        std::thread::park();
        None
    });
    let silent = registry(&url);
    let began = Instant::now();
    // The same schema again and again, and a flood of others.
    for id in (0..400).map(|n| n % 50) {
        let why = error(&silent, id);
        assert!(why.contains("has not answered") || why.contains("busy"), "{why}");
    }
    assert!(began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
    assert!(*silent.0.fetches.lock() <= MAX_FETCHES);
    let waited = silent.0.waits.lock().spent;
    assert!(waited >= PATIENCE, "the first one did not wait: {waited:?}");
}

#[test]
fn waits_are_granted_anew_in_the_next_window() {
    let (mut waits, now) = (Waits::default(), Instant::now());
    assert_eq!(waits.left(now), PATIENCE);
    waits.spent = PATIENCE * 2;
    assert_eq!(waits.left(now + WINDOW / 2), Duration::ZERO);
    assert_eq!(waits.left(now + WINDOW), PATIENCE);
}

#[test]
fn failures_make_room_and_what_is_known_stays() {
    let now = Instant::now();
    let old = |id: u32| id.is_multiple_of(2);
    let mut known: HashMap<u32, Answer<Bytes>> = (0..MAX_KEPT as u32 - 1)
        .map(|id| (id, Answer::Failed(String::new(), if old(id) { now } else { now + FAILURE })))
        .collect();
    known.insert(u32::MAX, Answer::Known(Bytes::new()));
    assert_eq!(make_room(&mut known, now), Ok(()));
    assert_eq!(known.len(), MAX_KEPT / 2);
    assert!(known.keys().all(|id| !old(*id)));
    for id in (0..MAX_KEPT as u32 - 1).filter(|id| old(*id)) {
        known.insert(id, Answer::Failed(String::new(), now + FAILURE));
    }
    assert_eq!(make_room(&mut known, now), Ok(()));
    assert_eq!(known.len(), 1);
    for id in 0..MAX_KEPT as u32 {
        known.insert(id, Answer::Known(Bytes::new()));
    }
    assert!(make_room(&mut known, now).is_err());
}

#[test]
fn a_panic_over_a_schema_leaves_no_question_open() {
    let registry = registry("http://127.0.0.1:1");
    for id in 0..10 {
        let answer = ask(&registry.0, |inner| &inner.schemas, id, |_, _| std::panic::resume_unwind(Box::new("oh")));
        assert_eq!(answer.err().as_deref(), Some("the schema cannot be read"));
    }
}
