//! Many keys at once: one call of the loader for all that no tier has and nobody loads already.
//!
//! Every key goes its own way up to there, as in `load.rs`: served, joined, led. The loads that are left over go to one task.
//! The loader can be called once only, so a key joins no flight whose result it might have to refuse.

use super::far::Fetched;
use super::load::{Below, Boarded, Fallback, JOINS_MAX, Lead, Loading, Weighed};
use super::{Cache, Found, Outcome, Shared, Stale};
use crate::error::BoxError;
use crate::flight::{Answer, Waiter};
use crate::key::Key;
use crate::options::Loaded;
use crate::stats::Rare;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Makes the one load of the keys that need one.
type Begin<K, V> = Box<dyn FnOnce(Vec<K>) -> Loading<V> + Send>;

/// What has become of one of the keys.
enum Way<K, V> {
    Answered(Outcome<V>),
    /// For another's load of this key.
    Follows(Waiter<Answer<V>>, Option<Stale<V>>, K),
    /// For the load of this call.
    Leads(Waiter<Answer<V>>, Option<Stale<V>>),
}

impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The values of many keys, in their order: from the tiers, from loads that are under way, and from one call of `loader`
    /// with all the others (and with those whose refresh is due). The loader returns as many results as it was given keys, in
    /// their order. `Ok(None)` is a key without a value.
    ///
    /// Everything said of [`get_or_load`](Cache::get_or_load) holds for each of the keys. A key that is asked for twice is
    /// loaded once.
    ///
    /// # Errors
    /// Each key has a result of its own. If the one call fails, panics or takes too long, all who needed it get the same error;
    /// the wrong number of results is `Invalid`.
    ///
    /// ```
    /// # use scrubjay::{Cache, Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let squares: Cache<u64, u64> =
    ///     Cache::builder("squares").memory(Memory::bytes(1 << 20)).build().await?;
    /// let loader = async |keys: Vec<u64>| {
    ///     Ok::<Vec<u64>, std::io::Error>(keys.iter().map(|n| n * n).collect())
    /// };
    /// let results = squares.get_or_load_many(&[3, 4], loader).await;
    /// assert_eq!(results.into_iter().flatten().collect::<Vec<_>>(), [Some(9), Some(16)]);
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn get_or_load_many<F, Fut, T, E>(&self, keys: &[K], loader: F) -> Vec<Outcome<V>>
    where
        F: FnOnce(Vec<K>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Vec<T>, E>> + Send + 'static,
        T: Into<Loaded<V>>,
        E: Into<BoxError>,
    {
        let found = self.shared.find_many_in_memory(keys);
        if found.iter().all(|found| matches!(found, Found::Fresh(_))) {
            return found
                .into_iter()
                .map(|found| if let Found::Fresh(value) = found { Ok(value) } else { Ok(None) })
                .collect();
        }
        let begin: Begin<K, V> = Box::new(|keys| {
            Box::pin(async move {
                let loaded = loader(keys).await.map_err(Into::into)?;
                Ok(loaded.into_iter().map(Into::into).collect())
            })
        });
        let load: Pin<Box<dyn Future<Output = Vec<Outcome<V>>> + Send>> =
            Box::pin(Arc::clone(&self.shared).load_many(keys.to_vec(), found, begin));
        load.await
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Looks in memory alone, for every key, and counts hits.
    fn find_many_in_memory(&self, keys: &[K]) -> Vec<Found<V>> {
        let mut found: Vec<Found<V>> = keys.iter().map(|_| Found::Miss).collect();
        let mut outdated = Vec::new();
        self.memory.get_many(keys, |index, _, stored| match self.judge(stored) {
            Some(judged) => found[index] = judged,
            None => outdated.push(index),
        });
        self.bury_each(keys, &outdated);
        found.iter().for_each(|found| self.count_hit(found));
        found
    }

    async fn load_many(self: Arc<Self>, keys: Vec<K>, found: Vec<Found<V>>, begin: Begin<K, V>) -> Vec<Outcome<V>> {
        if let Some(disk) = &self.disk {
            let missed = keys.iter().zip(&found).filter(|(_, found)| matches!(found, Found::Miss));
            self.read_ahead(disk, missed.map(|(key, _)| key)).await;
        }
        let mut fetched = self.fetch_ahead(&keys, &found).await.into_iter();
        let mut leads = Vec::new();
        let mut ways = Vec::with_capacity(keys.len());
        for (key, found) in keys.into_iter().zip(found) {
            ways.push(self.way(key, found, fetched.next().flatten(), &mut leads).await);
        }
        if !leads.is_empty() {
            let keys = leads.iter().map(|lead| lead.key().clone()).collect();
            // The loader itself runs in the task, not here.
            self.start(leads, Box::pin(async move { begin(keys).await }));
        }
        // One call that waits, for however many keys.
        let waits = ways.iter().any(|way| !matches!(way, Way::Answered(_)));
        let _waiting = waits.then(|| self.counters.wait());
        let mut results = Vec::with_capacity(ways.len());
        for way in ways {
            results.push(match way {
                Way::Answered(result) => result,
                Way::Leads(waiter, spare) => self.wait(waiter, Fallback::of_leader(spare.as_ref())).await,
                Way::Follows(waiter, spare, key) => {
                    self.wait(waiter, self.fallback_of_follower(spare.as_ref(), &key)).await
                }
            });
        }
        results
    }

    /// What the shared tiers have of the keys of which memory has nothing, in one request; none for the others.
    async fn fetch_ahead(&self, keys: &[K], found: &[Found<V>]) -> Vec<Option<Fetched<K>>> {
        if !self.has_far() {
            return Vec::new();
        }
        let missed = keys.iter().zip(found).map(|(key, found)| matches!(found, Found::Miss).then_some(key));
        Box::pin(self.fetch_each(missed.collect())).await
    }

    /// One key's way. A load that is left over goes into `leads`.
    async fn way(
        &self,
        key: K,
        found: Found<V>,
        fetched: Option<Fetched<K>>,
        leads: &mut Vec<Lead<K, V>>,
    ) -> Way<K, V> {
        let hash = self.memory.hash(&key);
        let mut spare = match self.weigh_found(found) {
            Err(closed) => return Way::Answered(Err(closed)),
            Ok(Weighed::Serves(value, is_due)) => {
                let lease = is_due.then(|| self.lead_behind(hash, key)).flatten();
                leads.extend(lease.map(|lease| Lead::behind(lease, None)));
                return Way::Answered(Ok(value));
            }
            Ok(Weighed::Lacks(spare)) => spare,
        };
        match self.board(hash, &key, spare.as_ref(), JOINS_MAX) {
            Boarded::Answered(result) => Way::Answered(result),
            Boarded::Follows(waiter, _) => {
                if let Some(value) = self.served_below(&key).await {
                    return Way::Answered(Ok(Some(value)));
                }
                self.counters.count_rare(Rare::Joined);
                Way::Follows(waiter, spare, key)
            }
            Boarded::Leads(lease, waiter) => match self.look_below(lease, fetched, &mut spare).await {
                Below::Answered(result) => Way::Answered(result),
                Below::Behind(value, lead) => {
                    self.counters.count_rare(Rare::Refresh);
                    leads.push(lead);
                    Way::Answered(Ok(Some(value)))
                }
                Below::Nothing(lead) => {
                    leads.push(lead);
                    Way::Leads(waiter, spare)
                }
            },
        }
    }
}
