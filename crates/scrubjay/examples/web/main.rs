//! A web service that survives its database going away.
//!
//! `cargo run --release --example web` serves on 127.0.0.1:3000; what to try it prints itself. With `-- --demo` it serves on a
//! free port, drives itself over HTTP, takes its own database away in between, shows what the users see, and ends.
//!
//! | request | answer |
//! |---|---|
//! | `GET /users/1` | the user, through the cache |
//! | `PUT /users/1`, the name as the body | changes it; the next read sees it |
//! | `POST /database/on`, `off`, `hangs` | what becomes of the database |
//! | `GET /metrics` | Prometheus' text |
//! | `GET /health` | 200 while every tier serves, else 503 |

mod database;
mod demo;
#[cfg(test)]
mod tests;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use database::{Database, User};
use scrubjay::{Cache, Clock, Compressed, Error, ErrorKind, FailSafe, Memory, PROMETHEUS_CONTENT_TYPE};
use std::future::Future;
use std::time::Duration;
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What every request handler has at hand.
#[derive(Clone)]
struct Site {
    users: Cache<u64, User>,
    database: Database,
}

impl Site {
    async fn new(clock: Clock) -> Result<Site, Error> {
        let users = Cache::builder("users")
            .memory(Memory::bytes(64 << 20))
            .compressed(Compressed::bytes(256 << 20))
            .clock(clock)
            .time_to_live(Duration::from_secs(60))
            // That there is no such user is remembered, but not for long.
            .negative_ttl(Duration::from_secs(5))
            // For five minutes more a user is served at once, while one query runs behind.
            .stale_while_revalidate(Duration::from_secs(300))
            // For a day it is served when the database fails or hangs, which then is left alone for ten seconds.
            .fail_safe(FailSafe { max_stale: Duration::from_secs(86_400), throttle: Duration::from_secs(10) })
            .soft_timeout(Duration::from_millis(100))
            .hard_timeout(Duration::from_secs(1))
            .error_backoff(Duration::from_secs(1))
            .build()
            .await?;
        Ok(Site { users, database: Database::default() })
    }

    fn routes(self) -> Router {
        Router::new()
            .route("/users/{id}", get(user).put(rename))
            .route("/database/{state}", post(switch))
            .route("/metrics", get(metrics))
            .route("/health", get(health))
            .with_state(self)
    }
}

/// The whole of what a handler has to do with the cache.
async fn user(State(site): State<Site>, Path(id): Path<u64>) -> Result<Json<User>, Refusal> {
    let database = site.database.clone();
    let user = site.users.get_or_load_optional(&id, async move |id| database.user(id).await).await?;
    user.map(Json).ok_or(Refusal { status: StatusCode::NOT_FOUND, text: format!("there is no user {id}") })
}

/// The database first, then the cache: a load that read the old name meanwhile is not stored.
async fn rename(State(site): State<Site>, Path(id): Path<u64>, name: String) -> Result<StatusCode, Refusal> {
    let renamed = site.database.rename(id, name).await;
    renamed.map_err(|gone| Refusal { status: StatusCode::SERVICE_UNAVAILABLE, text: gone.to_string() })?;
    site.users.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn switch(State(site): State<Site>, Path(state): Path<String>) -> Result<String, Refusal> {
    let text = format!("{state:?} must be on, off or hangs");
    let state = state.parse().map_err(|()| Refusal { status: StatusCode::BAD_REQUEST, text })?;
    site.database.switch(state);
    Ok(format!("the database is {state:?}, and was asked {} times\n", site.database.queries()))
}

async fn metrics(State(site): State<Site>) -> impl IntoResponse {
    let text = site.users.stats().to_prometheus(site.users.name());
    ([(header::CONTENT_TYPE, PROMETHEUS_CONTENT_TYPE)], text)
}

async fn health(State(site): State<Site>) -> impl IntoResponse {
    let health = site.users.health();
    let status = if health.is_serving() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health))
}

/// What a request is refused with.
struct Refusal {
    status: StatusCode,
    text: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let status = match error.kind() {
            ErrorKind::Absent => StatusCode::NOT_FOUND,
            ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Loader | ErrorKind::Unavailable | ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal { status, text: error.to_string() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, self.text + "\n").into_response()
    }
}

/// Answers requests until `stop`, then closes the cache.
async fn serve(
    site: Site,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let users = site.users.clone();
    axum::serve(listener, site.routes()).with_graceful_shutdown(stop).await?;
    users.close().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    if std::env::args().any(|argument| argument == "--demo") {
        return demo::run().await;
    }
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("serving on {url}; try");
    println!("    curl {url}/users/1");
    println!("    curl -X POST {url}/database/off    # and the same user again, now and in two minutes");
    println!("    curl {url}/metrics");
    let stop = async {
        // Without a signal handler, the default one ends the program just as well.
        let _ = tokio::signal::ctrl_c().await;
        println!("\nstopping");
    };
    serve(Site::new(Clock::system()).await?, listener, stop).await
}
