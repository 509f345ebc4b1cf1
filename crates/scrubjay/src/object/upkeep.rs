//! Tidying: packs that are mostly dead are rewritten, and what is dead is deleted, by one process at a time.
//!
//! **The lease** is the object `lease-N` with the highest N. Who makes it first has it; who has seen the same N for ten
//! intervals takes the next. It only saves work: two who tidy at once write the same entries twice, with the stamps that they
//! had, and delete the same objects.
//!
//! **What may be deleted.** A pack when nothing in it counts, and has not for two intervals, so that everybody has seen the pack
//! that took its place. A removal goes along into the new pack as long as any pack has an older row of its key, and for
//! an hour at least, since an entry may be on its way for ten minutes. So does a tag's mark while any row is older than it.
//! A large entry when no row has spoken of it for an hour. Void packs, of before a clear, at once.

use super::counters::Count;
use super::index::{Located, Pack};
use super::news::{Listing, millis};
use super::pack::{Draft, Footer, Names, PackName, Row, What};
use super::reach::Trouble;
use super::read::{part_of, spans_of};
use super::tier::{ObjectTier, State};
use object_store::path::Path;
use std::collections::HashMap;

/// Intervals after which a lease that nobody renewed is taken, and after which its holder renews it.
const LEASE_INTERVALS: u64 = 10;
const RENEW_INTERVALS: u64 = 3;
/// How long a removal is kept at least, and an object of which nobody speaks.
const KEEP_MS: u64 = 3_600_000;
/// Objects deleted in one go.
const DELETES_MAX: usize = 256;
/// Packs rewritten in one go; and how many small ones make it worth while.
const REWRITES_MAX: usize = 64;
const SMALLS_MIN: usize = 8;
/// A rewrite that takes longer than this is given up: what it knows may be old.
const REWRITE_MS_MAX: u64 = 300_000;
/// Every so many turns, large entries are looked through.
const LARGE_TURNS: u64 = 30;
/// Large entries of which it is remembered since when nobody speaks of them.
const UNSPOKEN_MAX: usize = 1 << 16;

/// What is remembered between two turns.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// The lease that this process has, and since when.
    own: Option<(u64, u64)>,
    /// The highest lease that was seen, and since when.
    seen: (u64, u64),
    turns: u64,
    unspoken: HashMap<(u64, u64), u64, ahash::RandomState>,
}

impl ObjectTier {
    /// One turn, after a look for news that found all.
    pub(super) async fn tend(&self, listing: &Listing) {
        if !self.has_lease(listing).await {
            return;
        }
        let result = self.tend_with_lease(listing).await;
        if let Err(why) = result {
            tracing::debug!(cache = &*self.name, %why, "the object store is not tidied to the end");
        }
    }

    async fn tend_with_lease(&self, listing: &Listing) -> Result<(), Trouble> {
        self.delete_all(self.void_objects(listing)).await?;
        let (dead, rewrites, is_large_turn) = {
            let mut state = self.state.lock();
            state.upkeep.turns += 1;
            let expired = state.index.drop_expired(self.unix_ms());
            self.counters.add(Count::Expired, expired);
            let dead = self.dead_packs(&mut state);
            (dead, self.worth_rewriting(&state), state.upkeep.turns % LARGE_TURNS == 1)
        };
        for name in dead {
            self.delete_all(vec![self.names.pack(name)]).await?;
            self.state.lock().index.remove_pack(name);
        }
        if !rewrites.is_empty() {
            self.rewrite(rewrites).await?;
        }
        if is_large_turn {
            self.tidy_large().await?;
        }
        Ok(())
    }

    async fn delete_all(&self, paths: Vec<Path>) -> Result<(), Trouble> {
        for path in paths.into_iter().take(DELETES_MAX) {
            self.reach.delete(path).await?;
            self.counters.one(Count::Deleted);
        }
        Ok(())
    }

    /// Packs of before a clear, and all but the highest clear and lease.
    fn void_objects(&self, listing: &Listing) -> Vec<Path> {
        let cleared = listing.cleared();
        let lease = listing.leases.iter().copied().max().unwrap_or(0);
        let packs = listing.packs.iter().filter(|(name, _)| name.stamp <= cleared);
        let clears = listing.clears.iter().filter(|stamp| **stamp < cleared);
        let leases = listing.leases.iter().filter(|number| **number < lease);
        let packs = packs.map(|(name, _)| self.names.pack(*name));
        packs
            .chain(clears.map(|stamp| self.names.clear(*stamp)))
            .chain(leases.map(|number| self.names.lease(*number)))
            .collect()
    }
}

/// # The lease
impl ObjectTier {
    pub(super) async fn has_lease(&self, listing: &Listing) -> bool {
        let interval = millis(self.object.refresh_interval);
        let now_ms = self.clock.now_ms();
        let top = listing.leases.iter().copied().max().unwrap_or(0);
        let next = {
            let mut state = self.state.lock();
            let upkeep = &mut state.upkeep;
            match upkeep.own {
                Some((own, at_ms)) if own == top => {
                    if now_ms.saturating_sub(at_ms) < RENEW_INTERVALS * interval {
                        return true;
                    }
                }
                _ => {
                    upkeep.own = None;
                    if top != upkeep.seen.0 {
                        upkeep.seen = (top, now_ms);
                    }
                    if top != 0 && now_ms.saturating_sub(upkeep.seen.1) < LEASE_INTERVALS * interval {
                        return false;
                    }
                }
            }
            top + 1
        };
        let made = self.reach.put(self.names.lease(next), bytes::Bytes::new(), 0, true).await;
        let is_ours = made.is_ok();
        self.state.lock().upkeep.own = is_ours.then_some((next, now_ms));
        is_ours
    }

    /// So that the next process need not wait until it is clear that this one is gone.
    pub(super) async fn let_lease_go(&self) {
        let own = self.state.lock().upkeep.own.take();
        if let Some((number, _)) = own {
            // It runs out by itself if this fails.
            let _ = self.reach.delete(self.names.lease(number)).await;
        }
    }
}

/// # Packs
impl ObjectTier {
    /// Packs in which nothing has counted for long enough.
    fn dead_packs(&self, state: &mut State) -> Vec<PackName> {
        let now_ms = self.clock.now_ms();
        let grace_ms = 2 * millis(self.object.refresh_interval) + millis(self.object.read_timeout);
        let mut dead = Vec::new();
        for pack in state.index.packs_mut() {
            if pack.live > 0 || pack.gone > 0 || pack.marks > 0 {
                pack.dead_since_ms = 0;
            } else if pack.dead_since_ms == 0 {
                pack.dead_since_ms = now_ms;
            } else if now_ms - pack.dead_since_ms >= grace_ms {
                dead.push(pack.name);
            }
        }
        dead.truncate(DELETES_MAX);
        dead
    }

    /// Packs that are mostly dead, and small ones if there are many: as many as make one pack.
    fn worth_rewriting(&self, state: &State) -> Vec<(PackName, u32)> {
        let is_full = |pack: &Pack| u64::from(pack.data_len) >= self.object.pack_bytes / 4;
        let has_some = |pack: &&Pack| pack.live > 0 || pack.gone > 0 || pack.marks > 0;
        let is_wasteful = |pack: &Pack| u64::from(pack.live_bytes) * 2 < u64::from(pack.data_len);
        let mut wasteful: Vec<&Pack> = state.index.packs().filter(has_some).filter(|pack| is_wasteful(pack)).collect();
        let smalls: Vec<&Pack> =
            state.index.packs().filter(has_some).filter(|pack| !is_full(pack) && !is_wasteful(pack)).collect();
        if smalls.len() >= SMALLS_MIN {
            wasteful.extend(smalls);
        }
        wasteful.sort_by_key(|pack| pack.name);
        let mut bytes = 0;
        let fits = |pack: &&Pack| {
            bytes += u64::from(pack.live_bytes);
            bytes <= self.object.pack_bytes
        };
        wasteful.into_iter().take_while(fits).take(REWRITES_MAX).map(|pack| (pack.name, pack.data_len)).collect()
    }

    /// Writes what counts in these packs into one.
    async fn rewrite(&self, packs: Vec<(PackName, u32)>) -> Result<(), Trouble> {
        let began_ms = self.clock.now_ms();
        let mut draft = Draft::default();
        let mut emptied = Vec::new();
        let mut expires = Some(0_u64);
        for (name, data_len) in packs {
            let footer = match self.footer(name, u64::from(data_len) + u64::from(name.footer_len)).await {
                Ok(footer) => footer,
                Err(Trouble::NotFound) => continue,
                Err(trouble) => return Err(trouble),
            };
            let counting = self.counting(name, &footer);
            for (row, _) in &counting {
                let is_entry = matches!(row.what, What::Value { .. } | What::Large { .. });
                expires = expires.filter(|_| !is_entry || row.expires_ms != 0).map(|latest| latest.max(row.expires_ms));
            }
            self.copy(name, &counting, &mut draft).await?;
            emptied.push(name);
        }
        let is_late = self.clock.now_ms().saturating_sub(began_ms) > REWRITE_MS_MAX;
        if is_late || emptied.is_empty() {
            return Ok(());
        }
        let sealed = (!draft.is_empty()).then(|| draft.seal(self.next_stamp(), self.writer));
        if let Some(sealed) = &sealed {
            let path = self.names.pack(sealed.name);
            self.reach.put(path, sealed.bytes.clone(), expires.unwrap_or(0), false).await?;
        }
        let mut state = self.state.lock();
        if let Some(sealed) = &sealed {
            let rows = u64::try_from(sealed.footer.rows.len()).unwrap_or(0);
            self.counters.add(Count::Rewritten, rows);
            self.take_in(&mut state, sealed.name, &sealed.footer);
        }
        emptied.into_iter().for_each(|name| state.index.empty(name));
        Ok(())
    }

    /// The rows of a pack that go along, with their keys.
    fn counting(&self, name: PackName, footer: &Footer) -> Vec<(Row, Box<[u8]>)> {
        let state = self.state.lock();
        let age_ms = |pack: &Pack| self.clock.now_ms().saturating_sub(pack.since_ms);
        let is_young = state.index.packs().any(|pack| pack.name == name && age_ms(pack) < KEEP_MS);
        let keeps_all = is_young || state.has_left_out();
        let mut removals = HashMap::default();
        for row in footer.rows.iter().filter(|row| row.what == What::Gone) {
            removals.insert(row.hash & 0xffff_ffff_ffff, (row.stamp, false));
        }
        state.index.hides_something(&mut removals);
        let oldest =
            state.index.packs().filter(|pack| pack.name != name).map(|pack| pack.oldest).min().unwrap_or(u64::MAX);
        let mut living = state.index.living(name).into_iter();
        let mut keys = footer.keys.iter();
        let mut counting = Vec::new();
        for row in &footer.rows {
            let (is_living, key) = match row.what {
                What::Mark(place) => {
                    let is_latest = state.floors.get(&place).is_none_or(|floor| *floor <= row.stamp);
                    (is_latest && (keeps_all || oldest <= row.stamp), None)
                }
                What::Gone => {
                    let hides = removals.get(&(row.hash & 0xffff_ffff_ffff)).is_some_and(|(_, hides)| *hides);
                    (living.next().unwrap_or(false) && (keeps_all || hides), None)
                }
                What::Value { .. } | What::Large { .. } => (living.next().unwrap_or(false), keys.next()),
            };
            if is_living {
                counting.push((*row, key.cloned().unwrap_or_default()));
            }
        }
        counting
    }

    /// Copies rows and the entries that they speak of.
    async fn copy(&self, name: PackName, counting: &[(Row, Box<[u8]>)], draft: &mut Draft) -> Result<(), Trouble> {
        let mut values = Vec::new();
        for (at, (row, key)) in counting.iter().enumerate() {
            match row.what {
                What::Value { offset, len } => {
                    values.push((at, row.stamp, u64::from(offset)..u64::from(offset) + u64::from(len)));
                }
                What::Large { crc } => draft.large(row.hash, row.stamp, row.expires_ms, key, crc),
                What::Gone => draft.gone(row.hash, row.stamp),
                What::Mark(place) => draft.mark(place, row.stamp),
            }
        }
        for span in spans_of(name, values) {
            let len_max = span.range.end - span.range.start;
            let bytes = self.reach.get(self.names.pack(name), Some(span.range.clone()), len_max).await?;
            for (at, stamp, range) in span.wanted {
                let (row, key) = &counting[at];
                draft.value(row.hash, stamp, row.expires_ms, key, &part_of(&bytes, span.range.start, &range));
            }
        }
        Ok(())
    }
}

/// # Large entries
impl ObjectTier {
    /// Deletes large entries of which no row has spoken for long.
    async fn tidy_large(&self) -> Result<(), Trouble> {
        if self.state.lock().has_left_out() {
            // Rows that were left out may speak of them.
            return Ok(());
        }
        let take = |found: &mut Vec<(Path, u64, u64)>, meta: object_store::ObjectMeta| {
            if let Some((hash, stamp)) = Names::read_large(&meta.location) {
                found.push((meta.location, hash, stamp));
            }
        };
        let listed = self.reach.list(self.names.large.clone(), Vec::new(), take).await?;
        let now_ms = self.clock.now_ms();
        let unspoken = {
            let mut state = self.state.lock();
            let is_spoken_of = |state: &State, hash: u64, stamp: u64| {
                let known = state.index.find(hash, 0);
                let is_known = known
                    .is_some_and(|known| known.stamp == stamp && matches!(known.located, Some(Located::Large { .. })));
                is_known || state.pending.find(hash).is_some_and(|waiting| waiting.stamp == stamp)
            };
            let mut before = std::mem::take(&mut state.upkeep.unspoken);
            let mut now = HashMap::default();
            let mut unspoken = Vec::new();
            for (path, hash, stamp) in listed {
                if is_spoken_of(&state, hash, stamp) {
                    continue;
                }
                let since_ms = before.remove(&(hash, stamp)).unwrap_or(now_ms);
                if now_ms - since_ms >= KEEP_MS {
                    unspoken.push(path);
                } else if now.len() < UNSPOKEN_MAX {
                    now.insert((hash, stamp), since_ms);
                }
            }
            state.upkeep.unspoken = now;
            unspoken
        };
        self.delete_all(unspoken).await
    }
}
