//! The HTTP side for operators: metrics and health. It reads what others publish and changes nothing, and it runs on a
//! thread of its own, so that it answers while the data threads are busy.

mod error;
pub mod health;
mod listener;
mod metrics;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

pub use error::ApiError;
use health::Readiness;
use listener::LimitedListener;

use crate::task::Drain;
use crate::telemetry::metrics::Metrics;

/// Appends the figures of actions and rules in Prometheus' text format.
pub type Figures = Arc<dyn Fn(&mut String) + Send + Sync>;

/// What the API shows.
#[derive(Clone)]
pub struct ApiState {
    pub metrics: Arc<Metrics>,
    pub figures: Figures,
    pub readiness: Readiness,
}

/// A bound address that does not answer yet; [`ApiServer::run`] it.
#[derive(Debug)]
pub struct ApiServer {
    listener: std::net::TcpListener,
    addr: SocketAddr,
}

/// Takes the address, `host:port`, now, so that a taken port is known before anything is started.
pub async fn bind(addr: &str) -> Result<ApiServer, ApiError> {
    let refused = |source| ApiError::Bind { addr: addr.to_owned(), source };
    let listener = tokio::net::TcpListener::bind(addr).await.map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    Ok(ApiServer { listener: listener.into_std().map_err(refused)?, addr })
}

impl ApiServer {
    /// The address that was taken, with its real port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until the drain; then finishes what is being answered, within the drain's deadline.
    pub async fn run(self, state: ApiState, drain: Drain) -> Result<(), ApiError> {
        let (done, finished) = oneshot::channel();
        let serve = move || {
            let _ = done.send(serve_here(self.listener, state, drain));
        };
        std::thread::Builder::new().name("api".to_owned()).spawn(serve).map_err(ApiError::Thread)?;
        finished.await.map_err(|_| ApiError::Died)?
    }
}

/// Serves on a small runtime on this thread.
fn serve_here(listener: std::net::TcpListener, state: ApiState, mut drain: Drain) -> Result<(), ApiError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ApiError::Thread)?;
    let served = runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut ending = drain.clone();
        let server = axum::serve(LimitedListener::new(listener), router(state)).with_graceful_shutdown(async move {
            ending.requested().await;
        });
        tokio::select! {
            served = server => served,
            () = overdue(&mut drain) => Ok(()),
        }
    });
    // Connections that did not end in time are cut with the runtime.
    runtime.shutdown_timeout(Duration::ZERO);
    served.map_err(ApiError::Serve)
}

/// Resolves at the deadline of the drain.
async fn overdue(drain: &mut Drain) {
    let deadline = Instant::from_std(drain.requested().await);
    let _ = timeout_at(deadline, std::future::pending::<()>()).await;
}

/// All routes. Tests call it without a socket.
fn router(state: ApiState) -> Router {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .with_state(state)
}
