//! The task of a load: calls the loader, then ends every lease that it was given.
//!
//! It holds the cache by a weak reference while the loader runs, so that a loader which never returns does not keep a cache
//! alive that nobody has any more.

use super::super::Shared;
use super::Loading;
use super::call::call;
use super::lead::{Lead, lead};
use super::settle::{Ready, Settled};
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::options::Loaded;
use crate::remote::Filled;
use crate::stats::Rare;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Starts the load of these keys, which `loading` answers in their order. Where there is no runtime any more, or the cache
    /// is closed, the leases are dropped: that tells those who wait.
    pub(in crate::cache) fn start(self: &Arc<Self>, mut leads: Vec<Lead<K, V>>, loading: Loading<V>) {
        let span = tracing::debug_span!("cache_load", cache = &*self.name, keys = leads.len());
        let (shared, tasks) = (Arc::downgrade(self), self.tasks.clone());
        let (clock, limit, has_far) = (self.clock.clone(), self.settings.hard_timeout, self.has_far());
        let task = async move {
            if has_far {
                leads = Box::pin(lead(&shared, leads)).await;
                if leads.is_empty() {
                    return;
                }
            }
            let begin = clock.instant();
            let result = call(&tasks, limit, loading).await;
            let took = clock.instant().saturating_duration_since(begin);
            if let Some(shared) = shared.upgrade() {
                match shared.ended(&leads, flat(result), took) {
                    Ok(loaded) if has_far => Box::pin(shared.settle_all_far(leads, loaded, took)).await,
                    Ok(loaded) => shared.settle_all(leads, loaded, took),
                    Err(error) => leads.into_iter().for_each(|lead| shared.settle_failed(lead, &error)),
                }
            }
        };
        // Refused only if the cache is closed; the leases went with the task then.
        let _ = self.tasks.spawn(task.instrument(span));
    }

    /// Counts the end of a load, and says in the log if it failed.
    fn ended(
        &self,
        leads: &[Lead<K, V>],
        result: Result<Vec<Loaded<V>>, Error>,
        took: Duration,
    ) -> Result<Vec<Loaded<V>>, Error> {
        let result = result.and_then(|loaded| right_number(loaded, leads.len()));
        self.counters.load_ended(took, result.is_ok());
        if let Err(error) = &result {
            if error.kind() == ErrorKind::Timeout {
                self.counters.count_rare(Rare::HardTimeout);
            }
            let (cache, keys, outcome) = (&*self.name, leads.len(), outcome(error));
            tracing::warn!(cache, keys, outcome, took_ms = took.as_millis(), %error, "a load ended");
        }
        result
    }

    fn settle_all(&self, leads: Vec<Lead<K, V>>, loaded: Vec<Loaded<V>>, took: Duration) {
        let settled = leads.into_iter().zip(loaded).map(|(lead, loaded)| self.settle(lead, loaded, took));
        self.say(settled, took);
    }

    /// The same where other processes are to have it too: they first.
    async fn settle_all_far(&self, leads: Vec<Lead<K, V>>, loaded: Vec<Loaded<V>>, took: Duration) {
        let mut readies: Vec<Ready<K, V>> =
            leads.into_iter().zip(loaded).map(|(lead, loaded)| self.ready(lead, loaded, took)).collect();
        let filled = self.fill(&mut readies).await;
        let settled = readies.into_iter().zip(filled).map(|(ready, filled)| match filled {
            Some(Filled::Revoked) => self.revoked(ready),
            Some(Filled::Stored | Filled::Unknown) | None => self.conclude(ready, filled),
        });
        self.say(settled, took);
    }

    fn say(&self, settled: impl Iterator<Item = Settled>, took: Duration) {
        let (mut keys, mut stored, mut revoked) = (0_u32, 0_u32, 0_u32);
        for settled in settled {
            keys += 1;
            stored += u32::from(settled == Settled::Stored);
            revoked += u32::from(settled == Settled::Revoked);
        }
        let (cache, took_ms) = (&*self.name, took.as_millis());
        tracing::debug!(cache, keys, outcome = "loaded", stored, revoked, took_ms, "a load ended");
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
