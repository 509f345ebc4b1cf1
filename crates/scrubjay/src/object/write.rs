//! What goes on behind: entries are gathered into packs and written, removals at once, in packs of their own.
//!
//! Three tasks, each doing one thing after another: one writes entries, one removals and clears, one looks for news and tidies.
//! They hold the tier only while they have something to do, and end when it is gone or closed. What fails is tried again,
//! after pauses that grow and are drawn by chance.

use super::counters::Count;
use super::pack::PackName;
use super::pending::Batch;
use super::reach::Trouble;
use super::tier::{ObjectTier, Settled};
use crate::error::{Error, ErrorKind};
use crate::remote::Removals;
use futures_util::StreamExt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The first pause after a failure, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Entries that could not be written for so long are dropped: others may have learned in the meantime that they are not there.
const BATCH_AGE_MAX_MS: u64 = 600_000;
/// Large entries written at a time.
const LARGE_AT_ONCE: usize = 4;

/// What wakes the tasks, and what they tell.
#[derive(Debug)]
pub(super) struct Wakes {
    pub(super) entries: Notify,
    pub(super) removals: Notify,
    pub(super) news: Notify,
    pub(super) is_ending: AtomicBool,
    ending: Notify,
    flushes_asked: AtomicU64,
    flushed: watch::Sender<u64>,
    settled: watch::Sender<u64>,
    pub(super) looked: watch::Sender<u64>,
    /// Judgements on suspected keys.
    pub(super) judged: watch::Sender<u64>,
}

impl Default for Wakes {
    fn default() -> Wakes {
        let number = || watch::Sender::new(0);
        Wakes {
            entries: Notify::new(),
            removals: Notify::new(),
            news: Notify::new(),
            is_ending: AtomicBool::new(false),
            ending: Notify::new(),
            flushes_asked: AtomicU64::new(0),
            flushed: number(),
            settled: number(),
            looked: number(),
            judged: number(),
        }
    }
}

impl Wakes {
    fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
        [&self.entries, &self.removals, &self.news].into_iter().for_each(Notify::notify_one);
        self.ending.notify_waiters();
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }
}

/// Pauses between tries.
#[derive(Debug, Default)]
struct Pauses {
    last: Duration,
}

impl Pauses {
    /// Waits, longer each time; not when the tier ends.
    async fn wait(&mut self, wakes: &Wakes) {
        self.last = (self.last * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        let chance = ahash::RandomState::new().hash_one(0) % 512;
        let half = self.last / 2;
        let pause = half + half * u32::try_from(chance).unwrap_or(0) / 512;
        let ending = wakes.ending.notified();
        if !wakes.is_ending() {
            let _ = tokio::time::timeout(pause, ending).await;
        }
    }
}

/// # The tasks
impl ObjectTier {
    /// Begins what goes on behind.
    pub(super) fn begin(self: &Arc<Self>) {
        let wakes = |tier: &Arc<ObjectTier>| Arc::clone(&tier.wakes);
        let (weak, flush, refresh) = (Arc::downgrade(self), self.object.flush_interval, self.object.refresh_interval);
        self.runtime.spawn(turns(wakes(self), weak.clone(), flush, |wakes| &wakes.entries, ObjectTier::write_entries));
        self.runtime.spawn(turns(
            wakes(self),
            weak.clone(),
            flush,
            |wakes| &wakes.removals,
            ObjectTier::write_removals,
        ));
        self.runtime.spawn(turns(wakes(self), weak, refresh, |wakes| &wakes.news, ObjectTier::look_and_tend));
        self.wakes.news.notify_one();
    }

    /// Writes all entries that gather by now.
    pub(super) async fn write_entries(self: Arc<Self>) {
        loop {
            let asked = self.wakes.flushes_asked.load(Ordering::Acquire);
            let batch = self.state.lock().pending.seal_entries(self.object.pack_bytes, self.clock.now_ms());
            let Some(batch) = batch else {
                self.wakes.flushed.send_replace(asked);
                return;
            };
            let mut pauses = Pauses::default();
            while let Err(trouble) = self.write_batch(&batch).await {
                self.wrote(Some(trouble));
                let age_ms = self.clock.now_ms().saturating_sub(batch.since_ms);
                if self.wakes.is_ending() || age_ms > BATCH_AGE_MAX_MS {
                    return self.give_up(&batch);
                }
                pauses.wait(&self.wakes).await;
            }
        }
    }

    /// Writes all removals that wait by now, and a clear.
    pub(super) async fn write_removals(self: Arc<Self>) {
        let mut pauses = Pauses::default();
        loop {
            let (asked, owed, batch) = {
                let mut state = self.state.lock();
                let owed = state.owed_clear;
                let batch = if owed.is_none() { state.pending.seal_removals(self.clock.now_ms()) } else { None };
                (state.asked, owed, batch)
            };
            if let Some(stamp) = owed {
                if let Err(trouble) = self.write_clear(stamp).await {
                    self.wrote(Some(trouble));
                    if self.wakes.is_ending() {
                        return;
                    }
                    pauses.wait(&self.wakes).await;
                }
                continue;
            }
            let Some(batch) = batch else {
                self.wakes.settled.send_replace(asked);
                return;
            };
            while let Err(trouble) = self.write_batch(&batch).await {
                self.wrote(Some(trouble));
                if self.wakes.is_ending() {
                    return;
                }
                pauses.wait(&self.wakes).await;
            }
        }
    }

    async fn look_and_tend(self: Arc<Self>) {
        let listing = self.look_for_news().await;
        if let Ok(listing) = listing
            && self.object.is_tended
        {
            self.tend(&listing).await;
        }
    }
}

/// Does one thing again and again: when woken, and when that much time has gone by.
async fn turns<F: Future<Output = ()>>(
    wakes: Arc<Wakes>,
    tier: Weak<ObjectTier>,
    every: Duration,
    on: fn(&Wakes) -> &Notify,
    turn: impl Fn(Arc<ObjectTier>) -> F,
) {
    loop {
        let _ = tokio::time::timeout(every, on(&wakes).notified()).await;
        let Some(tier) = tier.upgrade() else { return };
        turn(tier).await;
        if wakes.is_ending() {
            return;
        }
    }
}

/// # Writing
impl ObjectTier {
    /// Writes a batch: what is large first, then the pack that tells of it. Done as well if everything was cleared meanwhile.
    async fn write_batch(&self, batch: &Batch) -> Result<(), Trouble> {
        if !self.state.lock().pending.is_flying(batch.number) {
            return Ok(());
        }
        let mut larges = Vec::new();
        let sealed = batch.pack(self.next_stamp(), self.writer, self.object.large_bytes, |hash, change, entry, crc| {
            larges.push((self.names.large(hash, change.stamp, crc), entry.clone(), change.expires_ms));
        });
        let count = u64::try_from(larges.len()).unwrap_or(0);
        let write_large = async |(path, entry, expires_ms)| self.reach.put(path, entry, expires_ms, false).await;
        let mut writing =
            futures_util::stream::iter(larges.into_iter().map(write_large)).buffer_unordered(LARGE_AT_ONCE);
        while let Some(written) = writing.next().await {
            written?;
        }
        drop(writing);
        let path = self.names.pack(sealed.name);
        self.reach.put(path, sealed.bytes.clone(), batch.expires_ms(), false).await?;
        self.counters.add(Count::LargeWritten, count);
        self.counters.one(Count::PacksWritten);
        self.wrote(None);
        let mut state = self.state.lock();
        if state.pending.land(batch.number) {
            self.take_in(&mut state, sealed.name, &sealed.footer);
        }
        Ok(())
    }

    /// Takes a pack into the index.
    pub(super) fn take_in(&self, state: &mut super::tier::State, name: PackName, footer: &super::pack::Footer) {
        let own = self.writer;
        let (masks, floors, index) = (&state.masks, &mut state.floors, &mut state.index);
        let is_hidden = |row: &super::pack::Row| {
            // Of what this process gathered before it heard of a change, the pack may be later.
            let since = if name.writer == own { row.stamp } else { name.stamp };
            masks.get(&row.hash).is_some_and(|heard| since <= *heard)
        };
        index.offer(name, footer, self.clock.now_ms(), state.looks_begun, is_hidden);
        for row in &footer.rows {
            if let super::pack::What::Mark(place) = row.what {
                let floor = floors.entry(place).or_insert(0);
                *floor = row.stamp.max(*floor);
            }
        }
        let limit = usize::try_from(self.object.index_bytes).unwrap_or(usize::MAX);
        self.counters.add(Count::LeftOut, index.fit(limit));
    }

    /// Entries that could not be written are dropped. An older version must not come to light.
    fn give_up(&self, batch: &Batch) {
        let mut is_older_known = Vec::new();
        let mut state = self.state.lock();
        if !state.pending.land(batch.number) {
            return;
        }
        for hash in batch.changes.keys() {
            self.counters.one(Count::Failed);
            if state.index.find(*hash, 0).is_some_and(|known| known.located.is_some()) {
                is_older_known.push(*hash);
            }
        }
        for hash in is_older_known {
            self.remove_in(&mut state, hash);
        }
    }

    /// A clear goes into the store.
    async fn write_clear(&self, stamp: u64) -> Result<(), Trouble> {
        self.reach.put(self.names.clear(stamp), bytes::Bytes::new(), 0, false).await?;
        self.wrote(None);
        let mut state = self.state.lock();
        // Not if it was cleared once more meanwhile.
        if state.owed_clear == Some(stamp) {
            state.owed_clear = None;
        }
        Ok(())
    }

    /// How the last write went. Said in the log when that changes.
    pub(super) fn wrote(&self, trouble: Option<Trouble>) {
        let mut state = self.state.lock();
        if state.write_trouble.is_some() != trouble.is_some() {
            match &trouble {
                Some(why) => tracing::warn!(cache = &*self.name, %why, "the object store cannot be written to"),
                None => tracing::info!(cache = &*self.name, "the object store can be written to again"),
            }
        }
        state.write_trouble = trouble;
    }
}

/// # Waiting
impl ObjectTier {
    /// Waits until the store has every removal that was made before this call, or until it takes too long.
    pub(crate) async fn settle(&self) -> Settled {
        if self.object.removals == Removals::Deferred {
            return Settled::Gone;
        }
        let (asked, is_failing) = {
            let state = self.state.lock();
            (state.asked, state.write_trouble.is_some() || state.is_closed)
        };
        // While the store fails, one waits no longer than for a read.
        let limit = if is_failing { self.object.read_timeout } else { self.object.write_timeout };
        self.wakes.removals.notify_one();
        if self.reaches(&self.wakes.settled, asked, limit).await {
            return Settled::Gone;
        }
        self.counters.one(Count::RemovalsDeferred);
        Settled::Deferred
    }

    async fn reaches(&self, told: &watch::Sender<u64>, number: u64, limit: Duration) -> bool {
        let mut told = told.subscribe();
        let reached = async move { told.wait_for(|now| *now >= number).await.is_ok() };
        self.timers.limit(limit, reached).await.unwrap_or(false)
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// `Unavailable`: the store fails or takes too long; what waits is still tried.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let number = self.wakes.flushes_asked.fetch_add(1, Ordering::AcqRel) + 1;
        let asked = self.state.lock().asked;
        self.wakes.removals.notify_one();
        self.wakes.entries.notify_one();
        let limit = self.object.write_timeout;
        let is_done = self.reaches(&self.wakes.settled, asked, limit).await
            && self.reaches(&self.wakes.flushed, number, limit).await;
        if is_done { Ok(()) } else { Err(self.unavailable("what waits to be written is not written yet")) }
    }

    /// Looks now for what other processes have written.
    ///
    /// # Errors
    /// `Unavailable`: the store fails or takes too long.
    #[cfg(test)]
    pub(super) async fn refresh(&self) -> Result<(), Error> {
        let next = self.state.lock().looks_begun + 1;
        self.wakes.news.notify_one();
        // It lists, and reads what it found.
        if self.reaches(&self.wakes.looked, next, self.object.write_timeout * 2).await {
            return Ok(());
        }
        Err(self.unavailable("what is in the store is not known"))
    }

    fn unavailable(&self, what: &str) -> Error {
        let state = self.state.lock();
        let why = state.write_trouble.as_ref().or(state.look_trouble.as_ref());
        let why = why.map_or_else(|| Trouble::TimedOut.to_string(), Trouble::to_string);
        Error::new(ErrorKind::Unavailable, format!("object: {what}: {why}"))
    }

    /// Writes what waits, for as long as a write may take, and ends what goes on behind.
    pub(crate) async fn close(&self) {
        if std::mem::replace(&mut self.state.lock().is_closed, true) {
            return;
        }
        if let Err(error) = self.flush().await {
            let state = self.state.lock();
            let (bytes, removals) = (state.pending.bytes(), state.pending.removal_count());
            tracing::warn!(cache = &*self.name, %error, bytes, removals, "what waited to be written to the object store is lost");
        }
        self.wakes.end();
        self.let_lease_go().await;
    }
}

impl Drop for ObjectTier {
    fn drop(&mut self) {
        self.wakes.end();
    }
}
