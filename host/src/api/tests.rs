//! The API over a real socket on this machine.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::task::{DrainTrigger, drain};

struct Running {
    addr: SocketAddr,
    readiness: Readiness,
    trigger: DrainTrigger,
    task: tokio::task::JoinHandle<Result<(), ApiError>>,
}

async fn start() -> Running {
    let server = bind("127.0.0.1:0").await.unwrap();
    let addr = server.addr();
    let readiness = Readiness::default();
    let (trigger, drain) = drain();
    let figures: Figures = Arc::new(|page| page.push_str("millstream_action_pending{action=\"a\"} 3\n"));
    let state = ApiState { metrics: Arc::default(), figures, readiness: readiness.clone() };
    state.metrics.messages_received.add(7);
    let task = tokio::spawn(server.run(state, drain));
    Running { addr, readiness, trigger, task }
}

async fn ask(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn answers() {
    let api = start().await;
    let latch = api.readiness.part("kafka");
    let late = ask(api.addr, "GET /health/ready").await;
    latch.release();
    for (answer, parts) in [
        (late, &["HTTP/1.1 503", r#"{"status":"starting","late":["kafka"]}"#][..]),
        (ask(api.addr, "GET /health/ready").await, &["HTTP/1.1 200", "application/json", r#"{"status":"ready"}"#]),
        (ask(api.addr, "GET /health/live").await, &["HTTP/1.1 200", r#"{"status":"live"}"#]),
        (
            ask(api.addr, "GET /metrics").await,
            &[
                "HTTP/1.1 200",
                "version=0.0.4",
                "\nmillstream_mqtt_messages_received_total 7\n",
                "action_pending{action=\"a\"} 3",
            ],
        ),
        (
            ask(api.addr, "GET /nothing?token=hunter2").await,
            &["HTTP/1.1 404", "application/problem+json", r#""status":404"#],
        ),
        (ask(api.addr, "POST /metrics").await, &["HTTP/1.1 405", "allow: GET,HEAD", r#""title":"Method Not Allowed""#]),
    ] {
        for part in parts {
            assert!(answer.contains(part), "{part} is not in: {answer}");
        }
        assert!(!answer.contains("hunter2"));
    }
    api.trigger.announce(Duration::from_secs(5));
    timeout(Duration::from_secs(20), api.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = bind("127.0.0.1:0").await.unwrap();
    let error = bind(&taken.addr().to_string()).await.unwrap_err().to_string();
    assert!(error.contains(&taken.addr().to_string()) && error.contains("[api]"), "{error}");
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_hold_the_drain() {
    let api = start().await;
    let mut silent = TcpStream::connect(api.addr).await.unwrap();
    silent.write_all(b"GET /metr").await.unwrap();
    ask(api.addr, "GET /health/live").await;
    api.trigger.announce(Duration::from_millis(100));
    timeout(Duration::from_secs(20), api.task).await.unwrap().unwrap().unwrap();
}
