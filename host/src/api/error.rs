//! What can go wrong with the API, and the one shape in which HTTP clients are told (RFC 9457). It never shows more of a
//! request than its method and path.

use std::io;

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why the API does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the API cannot listen on `{addr}`: {source}; change `bind` in [api], or stop what listens there")]
    Bind { addr: String, source: io::Error },
    #[error("the API cannot have a thread: {0}")]
    Thread(#[source] io::Error),
    #[error("the API stopped serving: {0}")]
    Serve(#[source] io::Error),
    #[error("the API's thread died")]
    Died,
}

/// A problem, as `application/problem+json`.
#[derive(Debug, Serialize)]
struct Problem {
    status: u16,
    title: &'static str,
    detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

/// The answer to a path that leads nowhere.
pub async fn not_found(uri: Uri) -> Response {
    let detail = format!("there is nothing at {}; try /metrics, /health/live or /health/ready", uri.path());
    Problem { status: 404, title: "Not Found", detail }.into_response()
}

/// The answer to a method that this path does not have; axum adds the `Allow` header.
pub async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let detail = format!("{} can be read with GET or HEAD, not {method}", uri.path());
    Problem { status: 405, title: "Method Not Allowed", detail }.into_response()
}
