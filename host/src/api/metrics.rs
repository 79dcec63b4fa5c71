//! `GET /metrics`: everything that is counted, in Prometheus' text format. Reading stops nobody who counts.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::ApiState;

/// The page as a scraper gets it.
pub async fn metrics(State(state): State<ApiState>) -> Response {
    let mut page = String::with_capacity(16 << 10);
    state.metrics.render(&mut page);
    (state.figures)(&mut page);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}
