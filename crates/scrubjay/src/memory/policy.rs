//! Admission and eviction: which entries a shard keeps.
//!
//! # The idea
//!
//! S3-FIFO: a new key enters a *small* queue, first in, first out. Hit there, it moves on to the *main* queue when its
//! turn comes; not hit, it is evicted and leaves a *ghost*, its fingerprint. The main queue is a clock: its first entry
//! goes if it was not hit since the last look, and to the end of the queue if it was. A hit does nothing but count up
//! to [`HITS_MAX`] in the entry, which is why reads need no lock. Everything else happens on a miss.
//!
//! Plain S3-FIFO has three weaknesses: a loop longer than the cache turns everything over and hits nothing; the small
//! queue's size suits some loads and not others; and one hit soon after the first says "popular" in one load and "same
//! request, twice" in another. Three rules answer them, with nothing to go by but the counters of hits, the ghosts, and
//! the time, which is counted in inserts.
//!
//! **A challenge is decided by equal spans.** A key that returns while its ghost is known was absent for `t`. It gets a
//! place in the main queue only from an entry that was not hit in `t` or longer: over the same span, one was asked for
//! and the other was not. If the main queue's first entry was hit, it goes to the end and the next is challenged; if it
//! was not, but is younger than `t`, then nothing can be said against it, and the challenger stays in the small queue.
//! In a loop, whoever returns was absent for a whole turn, in which every resident was hit: nobody is replaced, and the
//! part of the loop that fits is hit each time. Where interest moves on, the old entries age unhit and go at the first
//! challenge.
//!
//! **The small queue grows where its evicted entries return more often** than those of the main queue, and shrinks
//! where they return less (`balance.rs`). Loops and scans shrink it to a hundredth. Where only what is new is asked for
//! again, it takes nearly all, and the policy is a FIFO with a second chance, close to LRU.
//!
//! **Whether one hit promotes is learned** in the same way: entries that were hit once and evicted all the same must
//! return clearly more often than those of the main queue. While they do, one in eight is still evicted, to see whether
//! it stays true.
//!
//! # Awkward cases
//!
//! - The main queue must be full to be worth anything, but nothing is promoted in a loop that never hits. So while it
//!   has room, the small queue passes on its overflow unseen.
//! - Loops of more than the ghosts remember teach nothing, and need not: nothing challenges the main queue. A tiny
//!   cache still has 1,024 ghosts.
//! - A main queue that gives nothing away has no evicted entries to watch. Its hits stand for them (`Balance::kept`).
//! - Weights: queues are measured by weight, ghosts and times by count. The main queue may exceed its share by less
//!   than an entry, and takes overflow only up to it; otherwise entries of different weights would push it to and fro
//!   around its share and wear it out. A challenge does not compare weights: it is hits that count, not bytes.
//! - Costs: an entry of cost class `c` is spared at all but one of `2^c` times that it would go, and in a challenge
//!   spans are scaled by the difference of the classes. Equal classes leave the outcome as it is.
//! - Times err to one side. A ghost's absence is rounded up and a resident's age down; if it were the other way round,
//!   a loop would wear its residents out a rounding error at a time.
//! - One eviction looks at `PATIENCE` entries at most, however hot they are. Then the next goes, hit or not.
//!
//! # Limits
//!
//! - A pattern that reverses again and again (0..n, n..0, ...) is LRU's best case. The small queue grows until we are
//!   close, but that takes a few turns.
//! - What returns later than the small queue's size plus about the cache's is not seen to return soon. If all does, and
//!   nothing is ever asked for a third time, the small queue does not grow.
//! - In caches of a few dozen entries, a sketch that counts every request of the past tells frequencies more finely
//!   than ghosts do: up to 1.5 points of hit ratio there.
//!
//! # Price
//!
//! Per entry 4 bytes of position (in the entry), about 5 of ring and 6 of ghosts. An insert with its eviction touches
//! two buckets of ghosts, the entry that comes and the one that goes, and seldom others.
//!
//! # References
//!
//! Yang, Zhang, Qiu, Yue, Vinayak: FIFO queues are all you need for cache eviction (SOSP 2023). Megiddo, Modha: ARC
//! (FAST 2003), for ghosts that steer sizes. Bansal, Modha: CAR (FAST 2004), the same on clocks. Jiang, Zhang: LIRS
//! (SIGMETRICS 2002), for comparing the absence of one with the age of another.

mod balance;
mod ghosts;
mod queue;
#[cfg(test)]
mod tests;

use balance::Balance;
use ghosts::{Ghosts, Left};
use queue::Queue;

/// Where reads may stop counting: more than this the policy does not distinguish.
pub(crate) const HITS_MAX: u8 = 3;
/// Bytes that the policy takes for an entry, besides its position: ring and ghosts at their usual fill.
pub(crate) const BYTES_PER_ENTRY: usize = 12;
/// Added to the positions of entries of the main queue.
const MAIN: u32 = 1 << 31;
/// Entries of the main queue that a returning key may challenge.
const TRIES: usize = 6;
/// Entries that one eviction spares at most.
const PATIENCE: usize = 128;

/// What the policy may know and write of an entry. The slots implement it. All calls happen under the shard's lock;
/// `hits` races benignly with readers.
pub(crate) trait Entry {
    /// Hits since the policy last set them, bumped by reads up to [`HITS_MAX`].
    fn hits(&self) -> u8;
    /// Sets the hits.
    fn set_hits(&self, hits: u8);
    /// 32 bits of the key's hash, well mixed.
    fn hash(&self) -> u32;
    /// What the entry takes of the capacity. **Invariant:** it does not change while the policy knows the slot.
    fn weight(&self) -> u32;
    /// What a miss costs, 0 (ordinary) to 3; each class stands for twice the cost of the one below.
    fn cost(&self) -> u8;
    /// Where the policy keeps the entry; the policy's to choose.
    fn position(&self) -> u32;
    /// Sets the position.
    fn set_position(&self, position: u32);
}

/// The entries by the slots that the policy keeps.
pub(crate) trait Entries {
    type Entry<'a>: Entry
    where
        Self: 'a;
    fn at(&self, slot: u32) -> Self::Entry<'_>;
    /// The policy will look at the entry soon.
    fn prefetch(&self, _slot: u32) {}
}

/// Decides what a shard keeps. It knows slots and never touches what is in them.
pub(crate) struct Policy {
    small: Queue,
    main: Queue,
    ghosts: Ghosts,
    balance: Balance,
    capacity: u64,
    /// What the small queue may weigh before it has to give.
    small_target: u64,
    /// Inserts so far, modulo 2^32.
    clock: u32,
    /// The entry that was inserted last, if its key was known, and for how many ticks it had not been asked for.
    /// **Invariant:** it is in the small queue.
    challenger: Option<(u32, u32)>,
    random: u32,
}

impl Policy {
    /// A policy for entries that weigh no more than `capacity` together.
    pub(crate) fn new(capacity: u64) -> Policy {
        let balance = Balance::new();
        Policy {
            small: Queue::new(0),
            main: Queue::new(MAIN),
            ghosts: Ghosts::new(),
            small_target: balance.small_target(capacity, 1),
            balance,
            capacity,
            clock: 0,
            challenger: None,
            random: 0x9e37_79b9,
        }
    }

    /// Changes the capacity. The caller evicts what is too much.
    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.retarget();
    }

    /// What all entries weigh.
    pub(crate) fn weight(&self) -> u64 {
        self.small.weight() + self.main.weight()
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.small.len() + self.main.len()
    }

    /// A new key has come, without hits. If that is too much weight, the caller evicts until it is not.
    pub(crate) fn insert(&mut self, entries: &impl Entries, slot: u32) {
        self.clock = self.clock.wrapping_add(1);
        let entry = entries.at(slot);
        let full = self.weight() + u64::from(entry.weight()) > self.capacity;
        let absence = self.returned(entry.hash());
        self.challenger = absence.filter(|_| full).map(|absence| (slot, absence));
        if absence.is_some() && !full {
            self.main.push(entries, slot, self.clock);
        } else {
            self.small.push(entries, slot, self.clock);
        }
        if !full && self.small.weight() > self.small_target {
            self.pass_on(entries);
        }
        if self.balance.tick(self.len()) {
            self.retarget();
            self.small.fit(entries);
            self.main.fit(entries);
            if self.ghosts.in_use() {
                self.ghosts.fit(self.len(), self.clock);
            }
        }
    }

    /// If the key was evicted not long ago: for how many ticks nobody had asked for it.
    fn returned(&mut self, hash: u32) -> Option<u32> {
        let (left, ago) = self.ghosts.take(hash, self.clock)?;
        let (absence, since_evicted) = match left {
            // Its ghost remembers when it came.
            Left::Fresh | Left::Once => (ago, ago.saturating_sub(self.small.age_at_most(self.clock))),
            // Its ghost remembers when it left.
            Left::Main => (ago.saturating_add(self.main.age_at_most(self.clock)), ago),
        };
        self.balance.returned(left, since_evicted, self.len());
        Some(absence)
    }

    fn retarget(&mut self) {
        let mean = self.weight() / (self.len() as u64).max(1);
        self.small_target = self.balance.small_target(self.capacity, mean.max(1));
    }

    /// Moves the first entry of the small queue to the main queue, if that has room for it within its own share.
    /// (Were it allowed to exceed that, it would have to evict for the next entry, and never keep what a loop needs.)
    fn pass_on(&mut self, entries: &impl Entries) {
        let room = self.capacity.saturating_sub(self.small_target).saturating_sub(self.main.weight());
        if let Some(slot) = self.small.first()
            && u64::from(entries.at(slot).weight()) <= room
        {
            self.small.pop(entries);
            self.main.push(entries, slot, self.clock);
        }
    }

    /// An entry is gone, by the caller's wish or by time.
    pub(crate) fn remove(&mut self, entries: &impl Entries, slot: u32) {
        self.challenger = self.challenger.filter(|challenger| challenger.0 != slot);
        self.queue_of(&entries.at(slot)).remove(entries, slot);
    }

    /// The value of a key has moved to another slot. The new one takes the old one's place; that counts as a hit.
    pub(crate) fn replace(&mut self, entries: &impl Entries, old: u32, new: u32) {
        if let Some(challenger) = &mut self.challenger
            && challenger.0 == old
        {
            challenger.0 = new;
        }
        let (from, to) = (entries.at(old), entries.at(new));
        to.set_hits((from.hits() + 1).min(HITS_MAX));
        self.queue_of(&from).replace(&from, new, &to);
    }

    fn queue_of(&mut self, entry: &impl Entry) -> &mut Queue {
        if entry.position() & MAIN == 0 { &mut self.small } else { &mut self.main }
    }

    /// Chooses an entry to go and forgets it but for its ghost. It may be the one that was inserted last. `None` if
    /// there is no entry.
    pub(crate) fn evict(&mut self, entries: &impl Entries) -> Option<u32> {
        if !self.ghosts.in_use() {
            self.ghosts.fit(self.len(), self.clock);
        }
        if let Some((slot, absence)) = self.challenger.take()
            && let Some(loser) = self.challenge(entries, slot, absence)
        {
            return Some(loser);
        }
        let mut spared = 0;
        while self.len() > 0 {
            let gone = if self.main_must_give(entries) {
                self.evict_main(entries, spared < PATIENCE)
            } else {
                self.evict_small(entries, spared < PATIENCE)
            };
            if gone.is_some() {
                return gone;
            }
            spared += 1;
        }
        None
    }

    /// Whether the main queue exceeds its share by more than its first entry. Less is left alone, or entries of
    /// different weights would push the queue to and fro around its share, and it would lose one each time.
    fn main_must_give(&mut self, entries: &impl Entries) -> bool {
        let share = self.capacity.saturating_sub(self.small_target);
        let Some(first) = self.main.first() else { return false };
        let exceeds = self.main.weight() >= share + u64::from(entries.at(first).weight());
        self.small.len() == 0 || (exceeds && self.small.weight() <= self.small_target)
    }

    /// A returning key asks for a place in the main queue. It gets that of an entry which was not hit for as long as
    /// the key itself was not asked for.
    fn challenge(&mut self, entries: &impl Entries, slot: u32, absence: u32) -> Option<u32> {
        let mut rate = f64::MAX;
        for _ in 0..TRIES {
            let holder = self.main.first()?;
            let hits = entries.at(holder).hits().min(HITS_MAX);
            if hits == 0 {
                let (worth, price) = (entries.at(slot).cost(), entries.at(holder).cost());
                let bar = u64::from(absence) << price.saturating_sub(worth) >> worth.saturating_sub(price);
                if u64::from(self.main.age_at_least(self.clock)) < bar {
                    return None;
                }
                self.small.remove(entries, slot);
                self.main.pop(entries);
                self.main.push(entries, slot, self.clock);
                self.lay(&entries.at(holder), Left::Main, self.clock);
                return Some(holder);
            }
            rate = rate.min(f64::from(hits) / f64::from(self.main.age_at_most(self.clock).max(1)));
            self.turn(entries, hits - 1);
        }
        self.balance.kept(rate, self.len());
        None
    }

    /// A key with this hash will be inserted.
    pub(crate) fn prepare_insert(&self, hash: u32) {
        self.ghosts.prefetch(hash);
    }

    /// Begins to fetch what the next eviction will look at. Answers with the hash of the entry that probably goes then.
    pub(crate) fn prepare_next(&self, entries: &impl Entries) -> Option<u32> {
        let from_main = self.main.weight() > self.capacity.saturating_sub(self.small_target);
        let next = if from_main { self.main.next() } else { self.small.next() }?;
        let hash = entries.at(next).hash();
        self.ghosts.prefetch(hash);
        Some(hash)
    }

    /// Moves the first entry of the main queue to its end.
    fn turn(&mut self, entries: &impl Entries, hits: u8) {
        if let Some(slot) = self.main.pop(entries) {
            entries.at(slot).set_hits(hits);
            self.main.push(entries, slot, self.clock);
        }
    }

    /// Evicts the first entry of the small queue or moves it elsewhere.
    fn evict_small(&mut self, entries: &impl Entries, patient: bool) -> Option<u32> {
        let first = self.small.first()?;
        if self.small.weight() > self.small_target + u64::from(entries.at(first).weight()) {
            // The small queue shrinks: the main queue takes what it can get.
            self.pass_on(entries);
        }
        self.small.first()?;
        let came = self.clock.wrapping_sub(self.small.age_at_most(self.clock));
        let slot = self.small.pop(entries)?;
        let entry = entries.at(slot);
        let hits = entry.hits().min(HITS_MAX);
        if hits >= self.balance.hits_to_promote(hits) && patient {
            entry.set_hits(0);
            self.main.push(entries, slot, self.clock);
            return None;
        }
        if patient && self.spared_for_cost(&entry) {
            self.small.push(entries, slot, self.clock);
            return None;
        }
        self.lay(&entry, if hits == 0 { Left::Fresh } else { Left::Once }, came);
        Some(slot)
    }

    /// Evicts the first entry of the main queue or gives it another round.
    fn evict_main(&mut self, entries: &impl Entries, patient: bool) -> Option<u32> {
        let slot = self.main.first()?;
        let entry = entries.at(slot);
        let hits = entry.hits().min(HITS_MAX);
        if patient && (hits > 0 || self.spared_for_cost(&entry)) {
            self.turn(entries, hits.saturating_sub(1));
            return None;
        }
        self.main.pop(entries);
        self.lay(&entry, Left::Main, self.clock);
        Some(slot)
    }

    /// An entry of cost class `c` goes at one of `2^c` times that it is chosen.
    fn spared_for_cost(&mut self, entry: &impl Entry) -> bool {
        let cost = entry.cost();
        if cost == 0 {
            return false;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random & ((1 << cost.min(3)) - 1) != 0
    }

    /// Bytes of memory that the policy holds beside itself.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.small.bytes() + self.main.bytes() + self.ghosts.bytes()
    }

    /// Notes an eviction.
    fn lay(&mut self, entry: &impl Entry, left: Left, time: u32) {
        self.ghosts.put(entry.hash(), left, time, self.clock);
        self.balance.evicted(left);
    }
}
