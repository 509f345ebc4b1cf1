//! Waiting for a load: for the result, for the soft timeout, and what becomes of an error.

use super::super::{Outcome, Shared, Stale};
use super::call::abandoned;
use crate::error::Error;
use crate::flight::{Answer, Landing, Scope, Waiter};
use crate::key::Key;
use crate::stats::Rare;
use std::sync::Arc;
use std::time::Duration;

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Waits for a load that may be taken: one's own, or one that began when one asked.
    pub(in crate::cache) async fn wait(&self, waiter: Waiter<Answer<V>>, spare: Option<&Stale<V>>) -> Outcome<V> {
        match self.landing(waiter, spare).await {
            Ok(landing) => match &*landing {
                Landing::Done(answer) => self.or_spare(answer.result.clone(), spare),
                Landing::Abandoned { is_panic } => self.or_spare(Err(self.abandoned(*is_panic)), spare),
            },
            Err(spare) => Ok(Some(spare)),
        }
    }

    /// Waits for another's load, with a loader at hand. `None`: it has to be used, since the load was given up or stamps have
    /// overtaken it.
    pub(super) async fn wait_with_a_loader(
        &self,
        waiter: Waiter<Answer<V>>,
        asked: u64,
        spare: Option<&Stale<V>>,
    ) -> Option<Outcome<V>> {
        let born = waiter.begun().born;
        let landing = match self.landing(waiter, spare).await {
            Ok(landing) => landing,
            Err(spare) => return Some(Ok(Some(spare))),
        };
        match &*landing {
            Landing::Done(answer) => {
                let is_taken = asked == born || answer.result.is_err() || self.is_valid(&answer.scope, born);
                is_taken.then(|| self.or_spare(answer.result.clone(), spare))
            }
            Landing::Abandoned { is_panic: true } => Some(self.or_spare(Err(self.abandoned(true)), spare)),
            Landing::Abandoned { is_panic: false } => match self.tasks.check_open() {
                Ok(()) => None,
                Err(closed) => Some(Err(closed)),
            },
        }
    }

    /// What the load ended with; or the spare value, if that takes longer than the soft timeout.
    async fn landing(
        &self,
        mut waiter: Waiter<Answer<V>>,
        spare: Option<&Stale<V>>,
    ) -> Result<Arc<Landing<Answer<V>>>, V> {
        let _waiting = self.counters.wait();
        let (Some(limit), Some(spare)) = (self.settings.soft_timeout, spare) else { return Ok(waiter.await) };
        // Counted from the begin of the load, so that who joins a late one does not wait as long again.
        let since_ms = self.clock.now_ms().saturating_sub(waiter.begun().at_ms);
        let left = limit.saturating_sub(Duration::from_millis(since_ms));
        if !left.is_zero() {
            let waiting = {
                let _runtime = self.tasks.runtime().enter();
                tokio::time::timeout(left, &mut waiter)
            };
            if let Ok(landing) = waiting.await {
                return Ok(landing);
            }
        }
        // It may have become too old meanwhile.
        if self.clock.is_past(spare.fail_safe_until_ms) {
            return Ok(waiter.await);
        }
        self.counters.count_rare(Rare::SoftTimeout);
        Err(spare.value.clone())
    }

    fn or_spare(&self, result: Outcome<V>, spare: Option<&Stale<V>>) -> Outcome<V> {
        result.or_else(|error| self.served_for_safety(spare).map(Some).ok_or(error))
    }

    fn is_valid(&self, scope: &Scope, born: u64) -> bool {
        match scope {
            Scope::Tags(tags) => self.stamps.is_valid(born, tags.as_deref()),
            Scope::Unknown => false,
        }
    }

    fn abandoned(&self, is_panic: bool) -> Error {
        self.tasks.check_open().err().unwrap_or_else(|| abandoned(is_panic))
    }
}
