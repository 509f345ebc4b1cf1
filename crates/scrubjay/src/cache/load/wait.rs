//! Waiting for a load: for the result, for the soft timeout, and what becomes of an error.

use super::super::{Outcome, Shared, Stale};
use super::call::abandoned;
use crate::error::Error;
use crate::flight::{Answer, Landing, Scope, Waiter};
use crate::key::Key;
use crate::stats::Rare;
use std::sync::Arc;
use std::time::Duration;

/// What a caller gets if the load fails or is slow: a value past its time.
pub(in crate::cache) enum Fallback<'a, K, V> {
    /// It was found already.
    Stale(&'a Stale<V>),
    /// It may lie below memory, where nobody has looked for this caller. That is done when it is wanted, since most loads
    /// succeed, and a crowd that waits would have to decode the value once for each.
    Below(&'a K),
    Nothing,
}

impl<'a, K, V> Fallback<'a, K, V> {
    /// Of somebody who has looked everywhere.
    pub(in crate::cache) fn of_leader(spare: Option<&'a Stale<V>>) -> Fallback<'a, K, V> {
        spare.map_or(Fallback::Nothing, Fallback::Stale)
    }
}

impl<K, V> Clone for Fallback<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Fallback<'_, K, V> {}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Waits for a load that may be taken: one's own, or one that began when one asked.
    pub(in crate::cache) async fn wait(&self, waiter: Waiter<Answer<V>>, fallback: Fallback<'_, K, V>) -> Outcome<V> {
        match self.landing(waiter, fallback).await {
            Ok(landing) => match &*landing {
                Landing::Done(answer) => self.or_fallback(answer.result.clone(), fallback).await,
                Landing::Abandoned { is_panic } => self.or_fallback(Err(self.abandoned(*is_panic)), fallback).await,
            },
            Err(value) => Ok(Some(value)),
        }
    }

    /// Waits for another's load, with a loader at hand. `None`: it has to be used, since the load was given up or stamps have
    /// overtaken it.
    pub(super) async fn wait_with_a_loader(
        &self,
        waiter: Waiter<Answer<V>>,
        asked: u64,
        fallback: Fallback<'_, K, V>,
    ) -> Option<Outcome<V>> {
        let born = waiter.begun().born;
        let landing = match self.landing(waiter, fallback).await {
            Ok(landing) => landing,
            Err(value) => return Some(Ok(Some(value))),
        };
        match &*landing {
            Landing::Done(answer) => {
                let is_taken = asked == born || answer.result.is_err() || self.is_valid(&answer.scope, born);
                if is_taken { Some(self.or_fallback(answer.result.clone(), fallback).await) } else { None }
            }
            Landing::Abandoned { is_panic: true } => Some(self.or_fallback(Err(self.abandoned(true)), fallback).await),
            Landing::Abandoned { is_panic: false } => match self.tasks.check_open() {
                Ok(()) => None,
                Err(closed) => Some(Err(closed)),
            },
        }
    }

    /// What the load ended with; or a value past its time, if that takes longer than the soft timeout.
    async fn landing(
        &self,
        mut waiter: Waiter<Answer<V>>,
        fallback: Fallback<'_, K, V>,
    ) -> Result<Arc<Landing<Answer<V>>>, V> {
        let Some(limit) = self.settings.soft_timeout else { return Ok(waiter.await) };
        if let Fallback::Nothing = fallback {
            return Ok(waiter.await);
        }
        // Counted from the begin of the load, so that who joins a late one does not wait as long again.
        let since_ms = self.clock.now_ms().saturating_sub(waiter.begun().at_ms);
        let left = limit.saturating_sub(Duration::from_millis(since_ms));
        if !left.is_zero()
            && let Some(landing) = self.tasks.timers().limit(left, &mut waiter).await
        {
            return Ok(landing);
        }
        // It may have become too old meanwhile, or never have been there.
        let Some(value) = self.fall_back(fallback).await else { return Ok(waiter.await) };
        self.counters.count_rare(Rare::SoftTimeout);
        Err(value)
    }

    async fn or_fallback(&self, result: Outcome<V>, fallback: Fallback<'_, K, V>) -> Outcome<V> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => self.served_for_safety(fallback).await.map(Some).ok_or(error),
        }
    }

    /// The value past its time, if there is one and it may serve still.
    pub(super) async fn fall_back(&self, fallback: Fallback<'_, K, V>) -> Option<V> {
        match fallback {
            Fallback::Stale(stale) => self.value_of(stale),
            Fallback::Below(key) => self.stale_below(key).await.and_then(|(stale, _)| self.value_of(&stale)),
            Fallback::Nothing => None,
        }
    }

    /// A value past its time, unless even that is over.
    pub(super) fn value_of(&self, stale: &Stale<V>) -> Option<V> {
        (!self.clock.is_past(stale.fail_safe_until_ms)).then(|| stale.value.clone())
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
