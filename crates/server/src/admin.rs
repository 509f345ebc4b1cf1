//! The admin listener: `/metrics`, `/healthz`, `/readyz` and `/info` over HTTP, on a thread and a small runtime of its own.
//!
//! **Invariant:** it only reads. It never waits for a client's thread and no client's thread waits for it.

mod metrics;
#[cfg(test)]
mod tests;

use crate::info::{self, Facts};
use crate::log::Level;
use crate::server::Shared;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Json, Router, routing};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// The running listener. Dropping it stops it.
pub(crate) struct Admin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Starts it where the settings say, if they do. A default address that is taken (by another server on this machine)
    /// leaves it off; one that was asked for is an error.
    pub(crate) fn start_as_configured(shared: &Arc<Shared>) -> std::io::Result<Option<Admin>> {
        let Some(address) = shared.config.admin_address().map_err(std::io::Error::other)? else { return Ok(None) };
        match Admin::start(address, Arc::clone(shared)) {
            Ok(admin) => Ok(Some(admin)),
            Err(error) if !shared.config.is_admin_given() => {
                shared.log(Level::Warning, format_args!("the admin listener is off: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn start(address: SocketAddr, shared: Arc<Shared>) -> std::io::Result<Admin> {
        let listener = std::net::TcpListener::bind(address).map_err(|error| {
            let text = format!("admin-bind, admin-port: cannot listen on {address}: {error}");
            std::io::Error::new(error.kind(), text)
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("admin".into()).spawn(move || {
            runtime.block_on(async {
                let served = axum::serve(listener, router(shared)).into_future();
                // Requests under way are dropped: a reader of metrics asks again.
                tokio::select! {
                    _ = served => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Admin { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported where it happened.
            let _ = thread.join();
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", routing::get(index))
        .route("/metrics", routing::get(metrics_text))
        .route("/healthz", routing::get(healthz))
        .route("/readyz", routing::get(readyz))
        .route("/info", routing::get(info_json))
        .with_state(shared)
}

async fn index() -> &'static str {
    "scrubjay: /metrics /healthz /readyz /info\n"
}

async fn metrics_text(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render(&Facts::gather(&shared)))
}

/// The process is alive.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Clients are served: data is loaded and no stop was asked for.
async fn readyz(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    match shared.why_not_ready() {
        None => (StatusCode::OK, "ready\n"),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

async fn info_json(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    Json(info::json(&Facts::gather(&shared)))
}
