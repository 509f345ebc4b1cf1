//! The load path: what a caller does who has a loader.
//!
//! A fresh hit never gets here beyond the first lines of [`Cache::get_or_load`]. Everything else goes on in
//! [`Shared::load`], in this order: what memory has past its time, and may serve; the flight of the key, joined or led; under
//! the lease the tiers below; the loader, in a task of its own (`task.rs`). Who waits, waits in `wait.rs`; a load that nobody
//! waits for is `refresh.rs`; many keys at once are `load_many.rs`.
//!
//! **Who may take which result.** A caller remembers the sequence at which it asked. If no stamp was set between the begin of
//! the load and that moment, the result is for it, whatever happens later. Otherwise it is only if none of the stamps set
//! meanwhile concerns it; else the caller sets out again. (A `remove` or `insert` of the key needs none of this: it takes the
//! flight away.)
//!
//! **Whatever is cancelled.** Until the task runs, the lease is the caller's: dropped, it hands the load over to those who
//! wait, each of whom has a loader of its own. From then on the load does not need the caller any more.

mod call;
mod lead;
mod settle;
mod task;
#[cfg(test)]
mod tests;
mod wait;

pub(super) use lead::Lead;
pub(super) use wait::Fallback;

use super::far::{Fetched, FoundFar};
use super::{Cache, Found, Outcome, Shared, Stale, Start};
use crate::error::{BoxError, Error, ErrorKind};
use crate::flight::{Answer, Begun, Joined, Lease, Scope, Trouble, WAITERS_MAX, Waiter};
use crate::key::Key;
use crate::options::Loaded;
use crate::stats::{Frequent, Rare};
use std::borrow::Borrow;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A load that was not begun: nothing of the loader has run yet.
pub(super) type Loading<V> = Pin<Box<dyn Future<Output = Result<Vec<Loaded<V>>, BoxError>> + Send>>;

/// How often a caller sets out again since stamps overtook what it waited for. Then it waits for nothing but a load that
/// began when it asked.
pub(super) const JOINS_MAX: usize = 3;

/// What asking for a flight came to.
pub(super) enum Boarded<K: Key, V> {
    /// The key failed lately, or too many wait: this is the answer for now.
    Answered(Outcome<V>),
    /// Somebody loads the key; what the caller asked at.
    Follows(Waiter<Answer<V>>, u64),
    /// The caller is to.
    Leads(Lease<K, Answer<V>>, Waiter<Answer<V>>),
}

/// What looking below the flight came to.
pub(super) enum Below<K: Key, V> {
    /// An answer, and nothing to load.
    Answered(Outcome<V>),
    /// A stale one, to be loaded behind.
    Behind(V, Lead<K, V>),
    /// Nothing, unless what is past its time.
    Nothing(Lead<K, V>),
}

/// # Loading
///
/// The loader runs as a task of its own, on the cache's runtime. So whoever goes away, the load goes on, for those who wait and
/// to be stored; only its hard timeout and [`close`](Cache::close) end it early.
impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The value of `key`: from the tiers, or else from `loader`, which is called once however many ask meanwhile.
    ///
    /// The loader may answer with a plain value, an `Option` (`None`: the key has no value) or a
    /// [`Loaded`], which says how to keep it. A `remove`, `insert`, `clear` or removal by tag during the load wins: the result
    /// goes to those who asked before, and is not stored.
    ///
    /// A fresh hit is found at the first poll, takes no lock and allocates nothing. Dropping the future at any point is harmless:
    /// a load that it has begun goes on. A loader that asks the cache for its own key waits for itself, until its hard timeout.
    ///
    /// # Errors
    /// `Loader` if it failed or panicked, `Timeout` if it took longer than the hard timeout, `Absent` if it found no value;
    /// `Unavailable` if the cache's runtime has shut down or too many wait for the key already; `Closed`.
    ///
    /// ```
    /// # use scrubjay::{Cache, Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let squares: Cache<u64, u64> =
    ///     Cache::builder("squares").memory(Memory::bytes(1 << 20)).build().await?;
    /// let square = squares.get_or_load(&7, async |n| Ok::<_, std::io::Error>(n * n)).await?;
    /// assert_eq!(square, 49);
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn get_or_load<'a, Q, F, Fut, T, E>(&'a self, key: &'a Q, loader: F) -> impl Future<Output = Result<V, Error>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: FnOnce(K) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Loaded<V>>,
        E: Into<BoxError>,
    {
        let mut asking = Asking::new(self, key, loader);
        poll_fn(move |context| {
            let hit = asking.hit(Ok);
            if hit.is_ready() { hit } else { asking.poll_value(context) }
        })
    }

    /// The same where a key may well have no value: that is `Ok(None)`, not an error.
    ///
    /// # Errors
    /// Those of [`get_or_load`](Cache::get_or_load) but `Absent`.
    #[inline]
    pub fn get_or_load_optional<'a, Q, F, Fut, T, E>(
        &'a self,
        key: &'a Q,
        loader: F,
    ) -> impl Future<Output = Outcome<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: FnOnce(K) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Loaded<V>>,
        E: Into<BoxError>,
    {
        let mut asking = Asking::new(self, key, loader);
        poll_fn(move |context| {
            let hit = asking.hit(|value| Ok(Some(value)));
            if hit.is_ready() { hit } else { asking.poll(context) }
        })
    }
}

/// A call that may load. Written by hand and not as an `async` block for the sake of a hit: that leaves no more to do than
/// to copy the value out, once, and what is left of the call is a few words.
struct Asking<'a, K, V, Q: ?Sized, F> {
    cache: &'a Cache<K, V>,
    key: &'a Q,
    /// Until memory has had no hit.
    loader: Option<F>,
    /// From then on.
    load: Option<Pin<Box<dyn Future<Output = Outcome<V>> + Send>>>,
}

impl<'a, K, V, Q, F> Asking<'a, K, V, Q, F>
where
    K: Key + Borrow<Q>,
    V: Clone + Send + Sync + 'static,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
{
    #[inline]
    fn new(cache: &'a Cache<K, V>, key: &'a Q, loader: F) -> Asking<'a, K, V, Q, F> {
        Asking { cache, key, loader: Some(loader), load: None }
    }

    /// Before the load begins: the caller's answer, if memory has a plain hit.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the hit path: the answer is written where the caller wants it")]
    fn hit<R>(&self, answer: impl FnOnce(V) -> R) -> Poll<R> {
        if self.load.is_some() {
            return Poll::Pending;
        }
        let shared = &*self.cache.shared;
        let hash = shared.memory.hash(self.key);
        shared.hit_in_memory(hash, self.key, |value| Poll::Ready(answer(value)), || Poll::Pending)
    }

    /// What is no hit. Never inlined, so that the compiler leaves the result of a hit in one piece.
    #[cold]
    #[inline(never)]
    fn poll_value<Fut, T, E>(&mut self, context: &mut Context<'_>) -> Poll<Result<V, Error>>
    where
        F: FnOnce(K) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Loaded<V>>,
        E: Into<BoxError>,
    {
        let absent = || Error::new(ErrorKind::Absent, "the loader found no value for the key");
        self.poll(context).map(|outcome| outcome?.ok_or_else(absent))
    }

    /// The same where absence is an answer.
    #[cold]
    #[inline(never)]
    fn poll<Fut, T, E>(&mut self, context: &mut Context<'_>) -> Poll<Outcome<V>>
    where
        F: FnOnce(K) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Loaded<V>>,
        E: Into<BoxError>,
    {
        if let Some(loader) = self.loader.take() {
            let shared = &self.cache.shared;
            let hash = shared.memory.hash(self.key);
            let found = match shared.find_in_memory(hash, self.key) {
                Found::Fresh(value) => return Poll::Ready(Ok(value)),
                found => found,
            };
            if let Some(value) = shared.served_behind(hash, self.key, &found) {
                return Poll::Ready(Ok(value));
            }
            let key = self.key.to_owned();
            let asked = key.clone();
            let loading: Loading<V> = Box::pin(async move {
                let loaded = loader(asked).await.map_err(Into::into)?;
                Ok(vec![loaded.into()])
            });
            self.load = Some(Box::pin(Arc::clone(shared).load(hash, key, found, loading)));
        }
        match &mut self.load {
            Some(load) => load.as_mut().poll(context),
            // Asked again after its answer, which nobody does.
            None => Poll::Pending,
        }
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// What memory has is not fresh, or not for long.
    async fn load(self: Arc<Self>, hash: u64, key: K, found: Found<V>, loading: Loading<V>) -> Outcome<V> {
        let mut spare = match self.weigh_found(found)? {
            Weighed::Serves(value, is_due) => {
                if is_due {
                    self.refresh(hash, key, loading);
                }
                return Ok(value);
            }
            Weighed::Lacks(spare) => spare,
        };
        let (mut joins, mut waiting) = (0, None);
        loop {
            match self.board(hash, &key, spare.as_ref(), joins) {
                Boarded::Answered(result) => return result,
                Boarded::Follows(waiter, asked) => {
                    if let Some(value) = self.served_below(&key).await {
                        return Ok(Some(value));
                    }
                    self.counters.count_rare(Rare::Joined);
                    waiting.get_or_insert_with(|| self.counters.wait());
                    let fallback = self.fallback_of_follower(spare.as_ref(), &key);
                    if let Some(result) = self.wait_with_a_loader(waiter, asked, fallback).await {
                        return result;
                    }
                    joins += 1;
                }
                Boarded::Leads(lease, waiter) => {
                    return match self.look_below(lease, None, &mut spare).await {
                        Below::Answered(result) => result,
                        Below::Behind(value, lead) => {
                            self.counters.count_rare(Rare::Refresh);
                            self.start(vec![lead], loading);
                            Ok(Some(value))
                        }
                        Below::Nothing(lead) => {
                            self.start(vec![lead], loading);
                            waiting.get_or_insert_with(|| self.counters.wait());
                            self.wait(waiter, Fallback::of_leader(spare.as_ref())).await
                        }
                    };
                }
            }
        }
    }

    /// What a lookup in memory is good for here, and counts what is no hit.
    pub(super) fn weigh_found(&self, found: Found<V>) -> Result<Weighed<V>, Error> {
        Ok(match found {
            Found::Fresh(value) => Weighed::Serves(value, false),
            Found::RefreshDue(value) => Weighed::Serves(value, true),
            Found::Stale(stale) if stale.is_served_at_once => {
                self.counters.count(Frequent::MemoryStaleHit);
                Weighed::Serves(Some(stale.value), true)
            }
            found => {
                self.tasks.check_open()?;
                self.counters.count(Frequent::MemoryMiss);
                Weighed::Lacks(if let Found::Stale(stale) = found { Some(stale) } else { None })
            }
        })
    }

    /// Joins the flight of the key, or leads one. Not before a failure's time is over. From the `joins_max`-th time on only a
    /// flight is joined which no stamp may concern.
    pub(super) fn board(&self, hash: u64, key: &K, spare: Option<&Stale<V>>, joins: usize) -> Boarded<K, V> {
        let mut stripe = self.leases.lock(hash);
        let at_ms = self.clock.now_ms();
        let trouble = if self.may_be_stale_below(spare) { None } else { stripe.trouble(key).cloned() };
        if let Some(trouble) = trouble {
            // A spare value is cloned, which is the user's code: not under the lock.
            drop(stripe);
            if let Some(result) = self.left_alone(&trouble, at_ms, spare) {
                return Boarded::Answered(result);
            }
            stripe = self.leases.lock(hash);
        }
        let born = self.stamps.born();
        let may_join =
            |other: Begun| self.stamps.is_valid(other.born, None) && (joins < JOINS_MAX || other.born == born);
        match self.leases.join_or_lead(&mut stripe, hash, key, Begun { born, at_ms }, may_join) {
            Joined::Follows(waiter) => Boarded::Follows(waiter, born),
            Joined::Leads(lease, waiter) => Boarded::Leads(lease, waiter),
            Joined::Full => {
                self.counters.count_rare(Rare::WaiterRefused);
                let text = format!("{WAITERS_MAX} callers wait for this key already");
                Boarded::Answered(Err(Error::new(ErrorKind::Unavailable, text)))
            }
        }
    }

    /// What a leader does before it asks the loader: looks again in memory, where another load may have ended before this one
    /// began, and in the tiers below; in those that others share it may have looked already. What is past its time goes into
    /// `spare`.
    pub(super) async fn look_below(
        &self,
        lease: Lease<K, Answer<V>>,
        fetched: Option<Fetched<K>>,
        spare: &mut Option<Stale<V>>,
    ) -> Below<K, V> {
        let mut found = self.peek_in_memory(lease.hash(), lease.key());
        let mut seen = None;
        if matches!(found, Found::Miss) {
            found = self.find_near(lease.hash(), lease.key(), Start::BelowFlight).await;
        }
        if self.has_far() && matches!(found, Found::Miss) {
            FoundFar { found, seen, .. } = Box::pin(self.find_fetched(lease.hash(), lease.key(), fetched)).await;
        }
        let trouble = self.leases.lock(lease.hash()).trouble(lease.key()).cloned();
        let at_ms = self.clock.now_ms();
        match found {
            Found::Fresh(value) | Found::RefreshDue(value) => return Below::Answered(answer(lease, Ok(value))),
            Found::Stale(stale) if stale.is_served_at_once => {
                return match trouble {
                    Some(trouble) if !trouble.is_over(at_ms) => Below::Answered(answer(lease, Ok(Some(stale.value)))),
                    _ => Below::Behind(stale.value, Lead::behind(lease, seen)),
                };
            }
            Found::Stale(stale) => *spare = Some(stale),
            Found::Miss => {}
        }
        match trouble.and_then(|trouble| self.left_alone(&trouble, at_ms, spare.as_ref())) {
            Some(result) => Below::Answered(answer(lease, result)),
            None => Below::Nothing(Lead::new(lease, seen)),
        }
    }

    /// Whether a value past its time that is of use may lie in a tier that was not asked yet.
    fn may_be_stale_below(&self, spare: Option<&Stale<V>>) -> bool {
        let is_of_use = self.settings.fail_safe.is_some() || self.settings.stale_while_revalidate_ms > 0;
        is_of_use && spare.is_none() && self.has_below()
    }

    /// What a caller that is about to wait for another's load need not wait for: a value below memory that is past its time
    /// and served at once.
    pub(super) async fn served_below(&self, key: &K) -> Option<V> {
        if self.settings.stale_while_revalidate_ms == 0 || !self.has_below() {
            return None;
        }
        let (stale, place) = self.stale_below(key).await.filter(|(stale, _)| stale.is_served_at_once)?;
        self.count_stale_below(place);
        Some(stale.value)
    }

    /// What somebody falls back on who waits for another's load, and so has not looked below memory.
    pub(super) fn fallback_of_follower<'a>(&self, spare: Option<&'a Stale<V>>, key: &'a K) -> Fallback<'a, K, V> {
        match spare {
            Some(spare) => Fallback::Stale(spare),
            None if self.has_below() && self.settings.fail_safe.is_some() => Fallback::Below(key),
            None => Fallback::Nothing,
        }
    }

    /// The answer if the loader failed lately and is to be left alone.
    fn left_alone(&self, trouble: &Trouble, at_ms: u64, spare: Option<&Stale<V>>) -> Option<Outcome<V>> {
        if at_ms < trouble.throttle_until_ms
            && let Some(value) = spare.and_then(|stale| self.value_of(stale))
        {
            self.counters.count_rare(Rare::FailSafeHit);
            return Some(Ok(Some(value)));
        }
        (at_ms < trouble.back_off_until_ms).then(|| {
            self.counters.count_rare(Rare::BackedOff);
            Err(trouble.error.clone())
        })
    }

    /// A value past its time, for want of a better one.
    pub(super) async fn served_for_safety(&self, fallback: Fallback<'_, K, V>) -> Option<V> {
        let value = self.fall_back(fallback).await?;
        self.counters.count_rare(Rare::FailSafeHit);
        Some(value)
    }
}

/// Ends the flight with what the leader has found, without a load.
fn answer<K: Key, V: Clone>(lease: Lease<K, Answer<V>>, result: Outcome<V>) -> Outcome<V> {
    lease.land(Answer { result: result.clone(), scope: Scope::Unknown });
    result
}

/// What memory's answer is to a caller with a loader.
pub(super) enum Weighed<V> {
    /// It serves; whether a refresh is due behind it.
    Serves(Option<V>, bool),
    /// It does not, unless the load fails or is slow.
    Lacks(Option<Stale<V>>),
}
