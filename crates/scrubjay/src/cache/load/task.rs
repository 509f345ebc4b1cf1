//! The task of a load: calls the loader, then ends every lease that it was given.
//!
//! It holds the cache by a weak reference while the loader runs, so that a loader which never returns does not keep a cache
//! alive that nobody has any more.

use super::super::Shared;
use super::Loading;
use super::call::call;
use super::settle::Settled;
use crate::error::{Error, ErrorKind};
use crate::flight::{Answer, Lease};
use crate::key::Key;
use crate::options::Loaded;
use crate::stats::Rare;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Starts the load of these keys, which `loading` answers in their order. Where there is no runtime any more, or the cache
    /// is closed, the leases are dropped: that tells those who wait.
    pub(in crate::cache) fn start(self: &Arc<Self>, leases: Vec<Lease<K, Answer<V>>>, loading: Loading<V>) {
        let span = tracing::debug_span!("cache_load", cache = &*self.name, keys = leases.len());
        let (shared, tasks) = (Arc::downgrade(self), self.tasks.clone());
        let (clock, limit) = (self.clock.clone(), self.settings.hard_timeout);
        let task = async move {
            let begin = clock.instant();
            let result = call(&tasks, limit, loading).await;
            let took = clock.instant().saturating_duration_since(begin);
            if let Some(shared) = shared.upgrade() {
                shared.end(leases, flat(result), took);
            }
        };
        // Refused only if the cache is closed; the leases went with the task then.
        let _ = self.tasks.spawn(task.instrument(span));
    }

    fn end(&self, leases: Vec<Lease<K, Answer<V>>>, result: Result<Vec<Loaded<V>>, Error>, took: Duration) {
        let result = result.and_then(|loaded| right_number(loaded, leases.len()));
        self.counters.load_ended(took, result.is_ok());
        let took_ms = took.as_millis();
        match result {
            Ok(loaded) => {
                let keys = leases.len();
                let settled = leases.into_iter().zip(loaded).map(|(lease, loaded)| self.settle(lease, loaded, took));
                let (mut stored, mut revoked) = (0_u32, 0_u32);
                for settled in settled {
                    stored += u32::from(settled == Settled::Stored);
                    revoked += u32::from(settled == Settled::Revoked);
                }
                let cache = &*self.name;
                tracing::debug!(cache, keys, outcome = "loaded", stored, revoked, took_ms, "a load ended");
            }
            Err(error) => {
                if error.kind() == ErrorKind::Timeout {
                    self.counters.count_rare(Rare::HardTimeout);
                }
                let (cache, keys, outcome) = (&*self.name, leases.len(), outcome(&error));
                tracing::warn!(cache, keys, outcome, took_ms, %error, "a load ended");
                for lease in leases {
                    self.settle_failed(lease, &error);
                }
            }
        }
    }
}

/// What became of a load, as the log names it.
fn outcome(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Timeout => "timed out",
        ErrorKind::Loader if error.source().is_none() => "panicked",
        ErrorKind::Loader => "failed",
        ErrorKind::Invalid => "invalid",
        _ => "aborted",
    }
}

fn flat<T>(result: Result<Result<T, crate::error::BoxError>, Error>) -> Result<T, Error> {
    result?.map_err(|source| Error::with_source(ErrorKind::Loader, "the loader failed", source))
}

fn right_number<V>(loaded: Vec<Loaded<V>>, keys: usize) -> Result<Vec<Loaded<V>>, Error> {
    if loaded.len() == keys {
        return Ok(loaded);
    }
    Err(Error::invalid(format!("the loader returned {} results for {keys} keys, must be one for each", loaded.len())))
}
