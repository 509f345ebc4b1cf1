//! One call of a loader: in a task of its own, under a time limit, its panic an error.
//!
//! A task of its own, so that a loader that blocks its thread cannot keep the limit from being noticed elsewhere, and that a
//! panic stays in it.

use super::super::tasks::Tasks;
use crate::error::{Error, ErrorKind};
use std::any::Any;
use std::future::Future;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument;

/// Aborts the task when nobody waits for it any more.
struct Aborting<R>(JoinHandle<R>);

impl<R> Drop for Aborting<R> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `load` to its end, or until `limit` is over. Cancelled, it aborts the load.
///
/// # Errors
/// `Timeout`; `Loader` for a panic; `Unavailable` if the runtime shuts down; `Closed`.
pub(super) async fn call<R: Send + 'static>(
    tasks: &Tasks,
    limit: Option<Duration>,
    load: impl Future<Output = R> + Send + 'static,
) -> Result<R, Error> {
    let mut task = Aborting(tasks.start(load.in_current_span())?);
    let joined = match limit {
        None => (&mut task.0).await,
        Some(limit) => match tokio::time::timeout(limit, &mut task.0).await {
            Ok(joined) => joined,
            Err(_) => return Err(late(limit)),
        },
    };
    joined.map_err(failure)
}

fn late(limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("the load took longer than hard_timeout, {limit:?}"))
}

fn failure(error: JoinError) -> Error {
    match error.try_into_panic() {
        Ok(payload) => Error::new(ErrorKind::Loader, format!("the loader panicked: {}", message(&*payload))),
        Err(_) => abandoned(false),
    }
}

/// The load did not come to an end.
pub(super) fn abandoned(is_panic: bool) -> Error {
    if is_panic {
        let text = "the load panicked outside of the loader: a weigher, a codec, a clone, or a runtime without timers";
        return Error::new(ErrorKind::Loader, text);
    }
    Error::new(ErrorKind::Unavailable, "the runtime that ran the load has shut down")
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
