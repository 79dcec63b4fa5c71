//! Live and ready. Live: this thread answers. Ready: every part that said it would report has released its latch, and
//! the node is not stopping. A part that dies without releasing its latch stays late for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Serialize;

use super::ApiState;

#[derive(Debug, Default)]
struct Parts {
    /// Latches of each name that are not released.
    late: BTreeMap<&'static str, usize>,
    stopping: bool,
}

/// Who is ready; cheap to clone. Take all latches before the API runs: without any it is ready.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Parts>>);

/// The duty of one part to say that it is ready.
#[derive(Debug)]
#[must_use = "the node is not ready before every latch is released"]
pub struct Latch {
    name: &'static str,
    parts: Readiness,
}

impl Latch {
    /// This part is ready.
    pub fn release(self) {
        let mut parts = self.parts.0.lock();
        if let Some(count) = parts.late.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                parts.late.remove(self.name);
            }
        }
    }
}

impl Readiness {
    /// A latch for the part with this name.
    pub fn part(&self, name: &'static str) -> Latch {
        *self.0.lock().late.entry(name).or_default() += 1;
        Latch { name, parts: self.clone() }
    }

    /// From now on the node is not ready: it is being drained.
    pub fn stopping(&self) {
        self.0.lock().stopping = true;
    }

    /// Names of the parts that are late, in alphabetical order.
    #[must_use]
    pub fn late(&self) -> Vec<&'static str> {
        self.0.lock().late.keys().copied().collect()
    }

    /// Whether this node should get traffic.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let parts = self.0.lock();
        parts.late.is_empty() && !parts.stopping
    }

    fn status(&self) -> Status {
        let parts = self.0.lock();
        let late: Vec<&'static str> = parts.late.keys().copied().collect();
        let status = match (parts.stopping, late.is_empty()) {
            (true, _) => "stopping",
            (false, false) => "starting",
            (false, true) => "ready",
        };
        Status { status, late }
    }
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    late: Vec<&'static str>,
}

/// `GET /health/live`
pub async fn live() -> Response {
    json(StatusCode::OK, &Status { status: "live", late: Vec::new() })
}

/// `GET /health/ready`: 200, or 503 with the names of those that are late.
pub async fn ready(State(state): State<ApiState>) -> Response {
    let status = state.readiness.status();
    json(if status.status == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &status)
}

fn json(code: StatusCode, status: &Status) -> Response {
    let body = serde_json::to_string(status).unwrap_or_default();
    (code, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_all_are() {
        let readiness = Readiness::default();
        let (kafka, tcp, tls) = (readiness.part("kafka"), readiness.part("listeners"), readiness.part("listeners"));
        tcp.release();
        assert_eq!(readiness.late(), ["kafka", "listeners"]);
        tls.release();
        assert!(!readiness.is_ready());
        kafka.release();
        assert!(readiness.is_ready());
        readiness.stopping();
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_latch_that_is_lost_is_late() {
        let readiness = Readiness::default();
        drop(readiness.part("kafka"));
        assert_eq!(readiness.late(), ["kafka"]);
    }
}
