//! What the choice is worth: a log of segments in memory, with the index, the allowance and the choice that the store uses.
//!
//! Hit ratios against LRU over entries on skewed requests, and write amplification under overwrites. All of it is the same
//! in every run. `cargo test -p scrubjay-disk simulation -- --nocapture` prints the figures.

use super::allowance::Allowance;
use super::choice::{Histogram, cooled};
use crate::index::{Entry, Index};
use crate::place::{Place, UNIT};
use std::collections::{BTreeMap, VecDeque};

/// Draws that are the same in every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn mix(bits: u64) -> u64 {
    let mixed = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// Keys by their rank, the likelier the lower.
struct Zipf {
    summed: Vec<f64>,
}

impl Zipf {
    fn new(keys: u32, skew: f64) -> Zipf {
        let mut sum = 0.0;
        let mut summed: Vec<f64> = (1..=keys)
            .map(|rank| {
                sum += f64::from(rank).powf(-skew);
                sum
            })
            .collect();
        summed.iter_mut().for_each(|share| *share /= sum);
        Zipf { summed }
    }

    fn key(&self, draw: &mut Draw) -> u64 {
        let share = draw.share();
        self.summed.partition_point(|summed| *summed < share) as u64
    }
}

/// The length of a key's record: 128 bytes to 8 KiB.
fn len(key: u64) -> u64 {
    (8 + mix(key) % 505) * UNIT
}

fn place(seq: u64, offset: u64) -> Place {
    Place { seq16: u16::try_from(seq % 65_536).unwrap(), offset_units: u32::try_from(offset / UNIT).unwrap() }
}

/// The store without a device.
struct Log {
    index: Index,
    segment_len: u64,
    segments_max: usize,
    /// From the oldest on; of each segment what was appended: key and offset.
    segments: VecDeque<Vec<(u64, u64)>>,
    oldest: u64,
    end: u64,
    allowance: Allowance,
    put_bytes: u64,
    reinserted_bytes: u64,
}

impl Log {
    fn new(capacity: u64, segments: u64, ratio: f64) -> Log {
        let segment_len = capacity / segments;
        Log {
            index: Index::new(4),
            segment_len,
            // One is always being made ready.
            segments_max: usize::try_from(segments).unwrap() - 1,
            segments: VecDeque::from([Vec::new()]),
            oldest: 0,
            end: 0,
            allowance: Allowance::new(ratio, capacity / 16, 0),
            put_bytes: 0,
            reinserted_bytes: 0,
        }
    }

    fn get(&self, key: u64) -> bool {
        self.index.get_touched(mix(key)).is_some()
    }

    fn put(&mut self, key: u64) {
        self.put_bytes += len(key);
        self.append(key, 0);
    }

    fn append(&mut self, key: u64, heat: u8) {
        let mut waiting = vec![(key, heat)];
        while let Some((key, heat)) = waiting.pop() {
            if self.end + len(key) > self.segment_len {
                self.segments.push_back(Vec::new());
                self.end = 0;
                if self.segments.len() > self.segments_max {
                    self.reclaim(&mut waiting);
                }
            }
            let seq = self.oldest + self.segments.len() as u64 - 1;
            self.segments.back_mut().unwrap().push((key, self.end));
            let place = place(seq, self.end);
            let len_units = u32::try_from(len(key) / UNIT).unwrap();
            let entry = Entry { place, len_units, expires_ms: 0, heat, namespace: 1 };
            self.index.shard(mix(key)).insert(mix(key), entry);
            self.end += len(key);
        }
    }

    fn reclaim(&mut self, waiting: &mut Vec<(u64, u8)>) {
        let seq = self.oldest;
        let segment = self.segments.pop_front().unwrap();
        self.oldest += 1;
        let mut live = Vec::new();
        let mut histogram = Histogram::default();
        for (key, offset) in segment {
            if let Some(entry) = self.index.shard(mix(key)).remove_at(mix(key), place(seq, offset)) {
                histogram.add(entry.heat, len(key));
                live.push((key, entry.heat));
            }
        }
        let mut cut = histogram.cut(self.allowance.available(self.put_bytes));
        for (key, heat) in live {
            if cut.takes(heat, len(key)) {
                self.allowance.spend(len(key));
                self.reinserted_bytes += len(key);
                waiting.push((key, cooled(heat)));
            }
        }
    }

    fn write_amplification(&self) -> f64 {
        1.0 + self.reinserted_bytes as f64 / self.put_bytes as f64
    }
}

/// Hits in the latter half of the requests.
fn hit_ratio(requests: &[u64], mut is_hit: impl FnMut(u64) -> bool) -> f64 {
    let (before, counted) = requests.split_at(requests.len() / 2);
    before.iter().for_each(|key| _ = is_hit(*key));
    let hits = counted.iter().filter(|key| is_hit(**key)).count();
    100.0 * hits as f64 / counted.len() as f64
}

fn hit_ratio_of_log(requests: &[u64], log: &mut Log) -> f64 {
    hit_ratio(requests, |key| {
        let is_hit = log.get(key);
        if !is_hit {
            log.put(key);
        }
        is_hit
    })
}

fn hit_ratio_of_lru(requests: &[u64], capacity: u64) -> f64 {
    let mut last_used: BTreeMap<u64, u64> = BTreeMap::new();
    let mut by_use: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut now, mut used) = (0, 0);
    hit_ratio(requests, |key| {
        now += 1;
        let before = last_used.insert(key, now);
        match before {
            Some(before) => _ = by_use.remove(&before),
            None => used += len(key),
        }
        by_use.insert(now, key);
        while used > capacity {
            let (_, key) = by_use.pop_first().unwrap();
            last_used.remove(&key);
            used -= len(key);
        }
        before.is_some()
    })
}

const KEYS: u32 = 20_000;

/// So many percent of what the keys take.
fn capacity_for(keys: u32, percent: u64) -> u64 {
    (0..u64::from(keys)).map(len).sum::<u64>() * percent / 100
}

fn zipf_requests(skew: f64) -> Vec<u64> {
    let (zipf, mut draw) = (Zipf::new(KEYS, skew), Draw(1));
    (0..1_000_000).map(|_| zipf.key(&mut draw)).collect()
}

#[test]
fn the_hit_ratio_is_within_two_points_of_lru_on_keys_twice_the_capacity() {
    let capacity = capacity_for(KEYS, 50);
    for skew in [0.99, 0.8] {
        let requests = zipf_requests(skew);
        let lru = hit_ratio_of_lru(&requests, capacity);
        println!("zipf {skew}: LRU {lru:.2} %");
        let mut ratios = Vec::new();
        for ratio in [0.0, 0.15, 0.25] {
            let mut log = Log::new(capacity, 64, ratio);
            let hits = hit_ratio_of_log(&requests, &mut log);
            let amplification = log.write_amplification();
            println!("  reinsert {ratio}: {hits:.2} % ({:+.2}), write amplification {amplification:.3}", hits - lru);
            assert!(amplification <= 1.0 + ratio);
            ratios.push(hits);
        }
        assert!(ratios.is_sorted(), "more is written again, and less is found: {ratios:?}");
        assert!(ratios[2] > lru - 1.5, "{:.2} of {lru:.2}", ratios[2]);
        assert!(ratios[1] > lru - 2.5, "{:.2} of {lru:.2}", ratios[1]);
    }
}

#[test]
fn requests_that_move_on_are_followed_as_by_lru() {
    let capacity = capacity_for(KEYS, 50);
    let mut requests = zipf_requests(0.99);
    // Every 100,000 requests another part of the keys is hot.
    for (number, key) in requests.iter_mut().enumerate() {
        *key = (*key + 3_000 * (number as u64 / 100_000)) % u64::from(KEYS);
    }
    let lru = hit_ratio_of_lru(&requests, capacity);
    let hits = hit_ratio_of_log(&requests, &mut Log::new(capacity, 64, 0.25));
    println!("zipf 0.99 that moves on: LRU {lru:.2} %, log {hits:.2} %");
    assert!(hits > lru - 2.5, "{hits:.2} of {lru:.2}");
}

/// Uniform overwrites of keys that take four fifths of the space, each followed by so many reads: write amplification, and
/// the share of keys that is there at the end.
fn overwrite(reads: u64) -> (f64, f64) {
    let mut log = Log::new(capacity_for(KEYS, 125), 64, 0.25);
    let mut draw = Draw(2);
    for _ in 0..20 * u64::from(KEYS) {
        log.put(draw.below(u64::from(KEYS)));
        for _ in 0..reads {
            log.get(draw.below(u64::from(KEYS)));
        }
    }
    let present = (0..u64::from(KEYS)).filter(|key| log.index.get(mix(*key)).is_some()).count();
    (log.write_amplification(), present as f64 / f64::from(KEYS))
}

#[test]
fn uniform_overwrites_of_four_fifths_of_the_space_are_written_at_most_one_and_a_quarter_times() {
    for reads in [0, 1, 4] {
        let (amplification, present) = overwrite(reads);
        println!(
            "overwrites, {reads} reads each: write amplification {amplification:.3}, {:.1} % there",
            present * 100.0
        );
        assert!(amplification <= 1.25);
        if reads == 0 {
            assert!(amplification <= 1.0 + 1e-9, "what nobody reads was written again");
        } else {
            assert!(present > 0.77);
        }
    }
}

#[test]
fn the_index_stays_sound() {
    let mut log = Log::new(capacity_for(2_000, 50), 16, 0.25);
    let mut draw = Draw(3);
    for _ in 0..50_000 {
        let key = draw.below(2_000);
        if !log.get(key) {
            log.put(key);
        }
    }
    log.index.validate();
    let there = (0..2_000).filter(|key| log.index.get(mix(*key)).is_some()).count();
    assert_eq!(there, log.index.len(), "an entry is in the index without a key");
}
