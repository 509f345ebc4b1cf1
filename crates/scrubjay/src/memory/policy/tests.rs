//! The policy against a model of what its queues must hold, and against the access patterns that break others.

use super::ghosts::{Ghosts, Left};
use super::{Entries, Entry, HITS_MAX, MAIN, Policy};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

#[derive(Clone, Default)]
struct Slot {
    hits: Cell<u8>,
    hash: Cell<u32>,
    weight: Cell<u32>,
    cost: Cell<u8>,
    position: Cell<u32>,
}

struct Slots(Vec<Slot>);

impl Entry for &Slot {
    fn hits(&self) -> u8 {
        self.hits.get()
    }
    fn set_hits(&self, hits: u8) {
        self.hits.set(hits);
    }
    fn hash(&self) -> u32 {
        self.hash.get()
    }
    fn weight(&self) -> u32 {
        self.weight.get()
    }
    fn cost(&self) -> u8 {
        self.cost.get()
    }
    fn position(&self) -> u32 {
        self.position.get()
    }
    fn set_position(&self, position: u32) {
        self.position.set(position);
    }
}

impl Entries for Slots {
    type Entry<'a> = &'a Slot;

    fn at(&self, slot: u32) -> &Slot {
        &self.0[slot as usize]
    }
}

/// A read-through cache without values.
struct Cache {
    policy: Policy,
    slots: Slots,
    free: Vec<u32>,
    resident: HashMap<u32, u32>,
    keys: HashMap<u32, u32>,
    capacity: u64,
}

fn mixed(key: u32) -> u32 {
    let wide = (u64::from(key) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u32::try_from((wide ^ wide >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32).unwrap()
}

impl Cache {
    fn new(capacity: u64) -> Cache {
        Cache {
            policy: Policy::new(capacity),
            slots: Slots(Vec::new()),
            free: Vec::new(),
            resident: HashMap::new(),
            keys: HashMap::new(),
            capacity,
        }
    }

    fn slot(&mut self, key: u32, weight: u32, cost: u8) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.0.push(Slot::default());
            u32::try_from(self.slots.0.len() - 1).unwrap()
        });
        let entry = self.slots.at(slot);
        entry.hits.set(0);
        entry.hash.set(mixed(key));
        entry.weight.set(weight);
        entry.cost.set(cost);
        self.resident.insert(key, slot);
        self.keys.insert(slot, key);
        slot
    }

    fn release(&mut self, slot: u32) {
        let key = self.keys.remove(&slot).expect("only resident slots are released");
        if self.resident.get(&key) == Some(&slot) {
            self.resident.remove(&key);
        }
        self.free.push(slot);
    }

    /// True for a hit.
    fn read(&mut self, key: u32, weight: u32, cost: u8) -> bool {
        if let Some(&slot) = self.resident.get(&key) {
            let hits = &self.slots.at(slot).hits;
            hits.set((hits.get() + 1).min(HITS_MAX));
            return true;
        }
        let slot = self.slot(key, weight, cost);
        self.policy.insert(&self.slots, slot);
        self.shrink();
        false
    }

    fn shrink(&mut self) {
        while self.policy.weight() > self.capacity {
            let gone = self.policy.evict(&self.slots).expect("what weighs something can be evicted");
            self.release(gone);
        }
    }

    fn remove(&mut self, key: u32) {
        if let Some(&slot) = self.resident.get(&key) {
            self.policy.remove(&self.slots, slot);
            self.release(slot);
        }
    }

    fn update(&mut self, key: u32, weight: u32) {
        if let Some(&old) = self.resident.get(&key) {
            let new = self.slot(key, weight, 0);
            self.policy.replace(&self.slots, old, new);
            self.release(old);
            self.shrink();
        }
    }

    fn check(&self) {
        let small = self.policy.small.slots();
        let main = self.policy.main.slots();
        assert!(small.iter().all(|&slot| self.slots.at(slot).position() & MAIN == 0));
        assert!(main.iter().all(|&slot| self.slots.at(slot).position() & MAIN != 0));
        let weigh = |slots: &[u32]| slots.iter().map(|&slot| u64::from(self.slots.at(slot).weight())).sum::<u64>();
        assert_eq!(weigh(&small), self.policy.small.weight());
        assert_eq!(weigh(&main), self.policy.main.weight());
        let all: HashSet<u32> = small.iter().chain(&main).copied().collect();
        assert_eq!(all.len(), small.len() + main.len(), "a slot is queued twice");
        assert_eq!(all, self.resident.values().copied().collect(), "queued is not what is resident");
        assert_eq!(self.policy.len(), all.len());
        assert!(self.policy.weight() <= self.capacity);
    }
}

/// Numbers that differ enough, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 33).unwrap() % sides
    }
}

fn hits(cache: &mut Cache, keys: impl Iterator<Item = u32>) -> usize {
    keys.filter(|&key| cache.read(key, 1, 0)).count()
}

#[test]
fn every_slot_is_in_exactly_one_queue_whatever_is_done() {
    for (capacity, heaviest, seed) in [(1, 1, 1), (20, 1, 2), (300, 1, 3), (5000, 40, 4), (400, 300, 5), (6000, 1, 6)] {
        let mut cache = Cache::new(capacity);
        let mut dice = Dice(seed);
        for step in 0..20_000 {
            let key = dice.roll(if step % 7 == 0 { 100_000 } else { u32::try_from(capacity).unwrap() + 50 });
            match dice.roll(20) {
                0..=1 => cache.remove(key),
                2 => cache.update(key, 1 + dice.roll(heaviest)),
                3 if step % 400 == 0 => {
                    cache.capacity = 1 + u64::from(dice.roll(u32::try_from(2 * capacity).unwrap()));
                    cache.policy.set_capacity(cache.capacity);
                    cache.shrink();
                }
                _ => {
                    let cost = u8::try_from(dice.roll(30)).unwrap().saturating_sub(26);
                    cache.read(key, 1 + dice.roll(heaviest), cost);
                }
            }
            if step % 197 == 0 {
                cache.check();
            }
        }
        cache.check();
        while let Some(slot) = cache.policy.evict(&cache.slots) {
            cache.release(slot);
        }
        assert_eq!((cache.policy.len(), cache.policy.weight(), cache.resident.len()), (0, 0, 0));
    }
}

#[test]
fn an_entry_heavier_than_the_capacity_leaves_nothing_behind() {
    let mut cache = Cache::new(10);
    cache.read(1, 4, 0);
    cache.read(2, 1000, 0);
    cache.check();
    cache.read(3, u32::MAX, 0);
    cache.check();
    assert!(cache.read(4, 5, 0) || cache.resident.contains_key(&4));
}

#[test]
fn a_loop_twice_as_long_as_the_cache_still_hits_nearly_half() {
    let mut cache = Cache::new(500);
    let found = hits(&mut cache, (0..100_000).map(|request| request % 1000));
    assert!(found > 47_000, "{found} of 100,000");
}

#[test]
fn a_loop_ten_times_as_long_as_the_cache_hits_nearly_a_tenth() {
    let mut cache = Cache::new(100);
    let found = hits(&mut cache, (0..200_000).map(|request| request % 1000));
    assert!(found > 17_500, "{found} of 200,000");
}

#[test]
fn a_loop_of_entries_of_different_weights_is_kept_in_part() {
    let mut cache = Cache::new(25_000);
    let found = (0..100_000).filter(|request| cache.read(request % 1000, 1 + mixed(request % 1000) % 99, 0)).count();
    assert!(found > 42_000, "{found} of 100,000");
}

#[test]
fn a_scan_does_not_wash_out_what_is_used() {
    let mut cache = Cache::new(1000);
    for _ in 0..20 {
        hits(&mut cache, 0..800);
    }
    hits(&mut cache, 1_000_000..1_020_000);
    let found = hits(&mut cache, 0..800);
    assert!(found > 700, "{found} of 800");
}

#[test]
fn where_only_what_was_just_used_is_used_again_the_small_queue_takes_over() {
    let mut cache = Cache::new(200);
    // Every key is read again after 60 others have come, and never after that.
    let mut found = 0;
    for request in 0..60_000_u32 {
        found += usize::from(cache.read(request, 1, 0));
        found += usize::from(request >= 60 && cache.read(request - 60, 1, 0));
    }
    assert!(cache.policy.balance.share() > 0.5, "share {}", cache.policy.balance.share());
    assert!(found > 45_000, "{found} of 60,000 second reads");
}

#[test]
fn a_new_favourite_set_replaces_the_old_one() {
    let mut cache = Cache::new(1000);
    let mut dice = Dice(9);
    hits(&mut cache, (0..50_000).map(|_| dice.roll(900)));
    hits(&mut cache, (0..20_000).map(|_| 5000 + dice.roll(900)));
    let found = hits(&mut cache, (0..10_000).map(|_| 5000 + dice.roll(900)));
    assert!(found > 8500, "{found} of 10,000");
}

#[test]
fn costly_entries_live_longer_and_equal_costs_change_nothing() {
    let mut dice = Dice(3);
    let keys: Vec<u32> = (0..200_000).map(|_| dice.roll(60).min(dice.roll(60)) * 50 + dice.roll(50)).collect();
    let run = |cost: fn(u32) -> u8| {
        let mut cache = Cache::new(400);
        let mut found = [0_u32; 2];
        for &key in &keys {
            found[(key % 2) as usize] += u32::from(cache.read(key, 1, cost(key)));
        }
        found
    };
    let plain = run(|_| 0);
    let odd_are_costly = run(|key| u8::try_from(key % 2 * 3).unwrap());
    assert!(odd_are_costly[1] > plain[1] + plain[1] / 20, "{odd_are_costly:?} {plain:?}");
    let all_are_costly = run(|_| 2);
    let (all, none) = (all_are_costly[0] + all_are_costly[1], plain[0] + plain[1]);
    assert!(all.abs_diff(none) < none / 20, "{all} {none}");
}

#[test]
fn a_replaced_entry_keeps_its_place_and_gains_a_hit() {
    let mut cache = Cache::new(10);
    for key in 0..5 {
        cache.read(key, 1, 0);
    }
    let old = cache.resident[&3];
    let position = cache.slots.at(old).position();
    cache.update(3, 2);
    let new = cache.resident[&3];
    assert_ne!(new, old);
    assert_eq!((cache.slots.at(new).position(), cache.slots.at(new).hits()), (position, 1));
    assert_eq!(cache.policy.weight(), 6);
    cache.check();
}

#[test]
fn the_policy_takes_at_most_sixteen_bytes_per_entry() {
    let mut cache = Cache::new(100_000);
    let mut dice = Dice(5);
    for _ in 0..600_000 {
        cache.read(dice.roll(300).min(dice.roll(300)) * 1000 + dice.roll(1000), 1, 0);
    }
    // Four more are the position that the entry keeps.
    let bytes = cache.policy.bytes() + 4 * cache.policy.len();
    assert!(bytes <= 16 * cache.policy.len(), "{bytes} bytes for {} entries", cache.policy.len());
}

#[test]
fn the_same_requests_have_the_same_outcome() {
    let run = || {
        let mut cache = Cache::new(300);
        let mut dice = Dice(8);
        (0..50_000).map(|_| cache.read(dice.roll(900), 1 + dice.roll(3), 1)).collect::<Vec<bool>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_ghost_remembers_how_and_when_its_entry_left() {
    let mut ghosts = Ghosts::new();
    ghosts.fit(1000, 0);
    ghosts.put(mixed(1), Left::Fresh, 90, 100);
    ghosts.put(mixed(2), Left::Once, 95, 100);
    ghosts.put(mixed(3), Left::Main, 100, 100);
    assert_eq!(ghosts.take(mixed(1), 150), Some((Left::Fresh, 60)));
    assert_eq!(ghosts.take(mixed(1), 150), None);
    assert_eq!(ghosts.take(mixed(2), 150), Some((Left::Once, 55)));
    assert_eq!(ghosts.take(mixed(3), 150), Some((Left::Main, 50)));
    assert_eq!(ghosts.take(mixed(4), 150), None);
}

#[test]
fn ghosts_survive_growing_and_shrinking_and_the_clock_running_over() {
    for start in [0, u32::MAX - 20_000] {
        let mut ghosts = Ghosts::new();
        ghosts.fit(2000, start);
        let mut now = start;
        for key in 0..1500 {
            now = now.wrapping_add(1);
            ghosts.put(mixed(key), Left::Fresh, now, now);
        }
        ghosts.fit(4500, now);
        ghosts.fit(4500, now);
        ghosts.fit(1900, now);
        let found: Vec<u32> = (1000..1500)
            .filter_map(|key| ghosts.take(mixed(key), now).map(|ghost| ghost.1.abs_diff(1499 - key)))
            .collect();
        assert!(found.len() > 480, "{} of 500", found.len());
        assert!(found.iter().filter(|&&error| error > 4).count() < 5, "{found:?}");
    }
}

#[test]
fn the_oldest_ghosts_are_forgotten_first() {
    let mut ghosts = Ghosts::new();
    ghosts.fit(10_000, 0);
    for key in 0..60_000 {
        ghosts.put(mixed(key), Left::Main, key, key);
    }
    let known = |ghosts: &mut Ghosts, keys: std::ops::Range<u32>| {
        keys.filter(|&key| ghosts.take(mixed(key), 60_000).is_some()).count()
    };
    assert!(known(&mut ghosts, 52_000..60_000) > 7800);
    assert!(known(&mut ghosts, 20_000..30_000) < 100);
}
