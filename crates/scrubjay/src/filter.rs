//! An existence filter: "certainly not here" in some twenty nanoseconds, for a set of keys that this process knows wholly.
//!
//! A Bloom filter with atomic bits. What it owes its users beyond that is that its error rate does not drift: bits are
//! only ever set, so it counts what came since it was built and says when it [has to be rebuilt](ExistenceFilter::needs_rebuild),
//! and a rebuild goes on beside readers and writers.
//!
//! Invariant: a key whose [`insert`](ExistenceFilter::insert) has returned is found, as long as the set that rebuilds read
//! holds it. While a rebuild runs there are two filters, and every insert goes to both. What an insert put into one filter
//! only, because the rebuild began meanwhile, it notices when it looks again, and repeats. What was complete before the
//! rebuild began is in the set that the rebuild reads, because the set is written first.
//!
//! It does not stand before the compressed tier. Measured there in one run with 100,000 keys and one thread: a miss takes
//! 38 ns and the filter's answer 20, so that each miss would gain 18 ns, each hit lose 20 and each insert 37, and the
//! rebuilds would come on top. It is worth its place before whatever asks a device or a network.

#[cfg(test)]
mod tests;

use crate::error::Error;
use arc_swap::ArcSwap;
use fastbloom::AtomicBloomFilter;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

/// The filter is built for this part of the error rate that it promises: the number of its hashes is rounded down.
const RATE_MARGIN: f64 = 0.8;
/// Removed keys may be this part of those that the filter is planned for, before a rebuild is due.
const REMOVED_SHARE: usize = 4;
const ERROR_RATE_MIN: f64 = 1e-9;
const ERROR_RATE_MAX: f64 = 0.5;
const KEYS_MAX: usize = 1 << 32;

/// Answers whether a key may be in a set, or is certainly not.
///
/// For a set of keys that this process knows wholly: its own files, a table that only it writes.
///
/// **Not before a shared tier.** A filter of this process knows nothing of the keys that other processes wrote, and would
/// answer "certainly not" for them: misses that are not, and loads of what is there.
///
/// ```
/// use scrubjay::ExistenceFilter;
/// use std::collections::BTreeSet;
///
/// let filter = ExistenceFilter::new(1_000, 0.01)?;
/// let mut files = BTreeSet::new();
/// for id in 0..500 {
///     // The set first, then the filter: a rebuild between the two finds the key in the set.
///     files.insert(format!("file {id}"));
///     filter.insert(&format!("file {id}"));
/// }
/// assert!(filter.may_contain("file 7"));
///
/// files.retain(|name| name.ends_with('7'));
/// filter.note_removed(450);
/// assert!(filter.needs_rebuild());
/// filter.rebuild(files.len(), |add| files.iter().for_each(|name| add(name.as_bytes())));
/// assert!(filter.may_contain("file 7") && !filter.needs_rebuild());
/// # Ok::<(), scrubjay::Error>(())
/// ```
pub struct ExistenceFilter {
    state: ArcSwap<State>,
    keys_min: usize,
    error_rate: f64,
    rebuilding: Mutex<()>,
    rebuilds: AtomicU64,
}

/// What is asked, and what will be asked next.
struct State {
    current: Arc<Bits>,
    next: Option<Arc<Bits>>,
}

/// One build of the filter.
struct Bits {
    bloom: AtomicBloomFilter<ahash::RandomState>,
    planned: usize,
    /// Keys that set a bit which was not set before: how full it is.
    inserted: AtomicUsize,
    removed: AtomicUsize,
}

/// How full a filter is, and how often it was rebuilt.
///
/// ```
/// let filter = scrubjay::ExistenceFilter::new(1_000, 0.01)?;
/// (0..1_000_u32).for_each(|key| filter.insert(key.to_be_bytes()));
/// let stats = filter.stats();
/// assert_eq!((stats.keys_planned, stats.rebuilds), (1_000, 0));
/// assert!(stats.error_rate < 0.015 && stats.bytes < 2_000);
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterStats {
    /// Keys that it can hold at the error rate that it was made for.
    pub keys_planned: usize,
    /// Different keys inserted since it was built.
    pub keys_inserted: usize,
    /// Keys removed since it was built, for which it still answers that they may be there.
    pub keys_removed: usize,
    /// How often it was rebuilt.
    pub rebuilds: u64,
    /// What it takes in memory; twice that during a rebuild.
    pub bytes: usize,
    /// How often it is expected to say "may be there" of a key that never was, 0 to 1, as full as it is now.
    pub error_rate: f64,
}

impl ExistenceFilter {
    /// A filter for so many keys, that errs for at most so great a part of the keys which it never saw: 0.01 takes 10
    /// bits per key, 0.001 takes 15.
    ///
    /// # Errors
    /// No keys or more than 2^32, or an error rate that is not within 1e-9..=0.5.
    pub fn new(keys: usize, error_rate: f64) -> Result<ExistenceFilter, Error> {
        if keys == 0 || keys > KEYS_MAX {
            return Err(Error::invalid(format!("filter.keys is {keys}, must be 1..={KEYS_MAX}")));
        }
        if !(ERROR_RATE_MIN..=ERROR_RATE_MAX).contains(&error_rate) {
            let limits = format!("must be {ERROR_RATE_MIN}..={ERROR_RATE_MAX}");
            return Err(Error::invalid(format!("filter.error_rate is {error_rate}, {limits}")));
        }
        let state = State { current: Arc::new(Bits::new(keys, error_rate)), next: None };
        Ok(ExistenceFilter {
            state: ArcSwap::from_pointee(state),
            keys_min: keys,
            error_rate,
            rebuilding: Mutex::new(()),
            rebuilds: AtomicU64::new(0),
        })
    }

    /// Whether the key may be in the set. `false` is certain. Waits for nobody.
    pub fn may_contain(&self, key: impl AsRef<[u8]>) -> bool {
        self.state.load().current.bloom.contains(key.as_ref())
    }

    /// Notes that the key is in the set now: write the set first. Waits for nobody.
    pub fn insert(&self, key: impl AsRef<[u8]>) {
        let key = key.as_ref();
        let mut state = self.state.load();
        loop {
            state.each(|bits| bits.insert(key));
            // Pairs with the fence of `rebuild`: either this sees that it began, or its reader sees the key in the set.
            fence(Ordering::SeqCst);
            let now = self.state.load();
            if Arc::ptr_eq(&now, &state) {
                return;
            }
            state = now;
        }
    }

    /// Notes that so many keys have left the set. The filter cannot forget them, but it knows when there are too many.
    pub fn note_removed(&self, keys: usize) {
        self.state.load().each(|bits| {
            bits.removed.fetch_add(keys, Ordering::Relaxed);
        });
    }

    /// Whether more keys came than it was planned for, or so many left (a quarter of those planned) that it says "may be
    /// there" of too much that is not.
    pub fn needs_rebuild(&self) -> bool {
        let state = self.state.load();
        let bits = &state.current;
        bits.inserted.load(Ordering::Relaxed) > bits.planned
            || bits.removed.load(Ordering::Relaxed) > bits.planned / REMOVED_SHARE
    }

    /// Builds the filter anew, for half as many keys again as `keys`, from those that `scan` adds: everything that is in the
    /// set when `scan` is called. Readers and writers go on meanwhile; another rebuild waits.
    ///
    /// If `scan` panics, the filter stays as it was.
    pub fn rebuild(&self, keys: usize, scan: impl FnOnce(&mut dyn FnMut(&[u8]))) {
        let _alone = self.rebuilding.lock();
        let current = Arc::clone(&self.state.load().current);
        let planned = keys.saturating_add(keys / 2).clamp(self.keys_min, KEYS_MAX);
        let next = Arc::new(Bits::new(planned, self.error_rate));
        self.state.store(Arc::new(State { current: Arc::clone(&current), next: Some(Arc::clone(&next)) }));
        fence(Ordering::SeqCst);
        let mut swap = Swap { state: &self.state, to: current };
        scan(&mut |key| next.insert(key));
        swap.to = next;
        drop(swap);
        self.rebuilds.fetch_add(1, Ordering::Relaxed);
    }

    /// How full it is.
    pub fn stats(&self) -> FilterStats {
        let state = self.state.load();
        let bits = &state.current;
        FilterStats {
            keys_planned: bits.planned,
            keys_inserted: bits.inserted.load(Ordering::Relaxed),
            keys_removed: bits.removed.load(Ordering::Relaxed),
            rebuilds: self.rebuilds.load(Ordering::Relaxed),
            bytes: bits.bloom.num_bits() / 8,
            error_rate: bits.error_rate(),
        }
    }
}

impl std::fmt::Debug for ExistenceFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ExistenceFilter").field(&self.stats()).finish()
    }
}

/// Ends a rebuild, also one that panics.
struct Swap<'a> {
    state: &'a ArcSwap<State>,
    to: Arc<Bits>,
}

impl Drop for Swap<'_> {
    fn drop(&mut self) {
        self.state.store(Arc::new(State { current: Arc::clone(&self.to), next: None }));
    }
}

impl State {
    fn each(&self, mut f: impl FnMut(&Bits)) {
        f(&self.current);
        if let Some(next) = &self.next {
            f(next);
        }
    }
}

impl Bits {
    fn new(planned: usize, error_rate: f64) -> Bits {
        // A seed of its own: nobody chooses keys that all set the same bits, and no two builds err on the same keys.
        let hasher = ahash::RandomState::new();
        let builder = AtomicBloomFilter::with_false_pos(error_rate * RATE_MARGIN).hasher(hasher);
        let bloom = builder.expected_items(planned);
        Bits { bloom, planned, inserted: AtomicUsize::new(0), removed: AtomicUsize::new(0) }
    }

    fn insert(&self, key: &[u8]) {
        if !self.bloom.insert(key) {
            self.inserted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The probability that all bits of a key are set, if as large a part of the bits is set as is now.
    fn error_rate(&self) -> f64 {
        let words = self.bloom.as_slice();
        let set: f64 = words.iter().map(|word| f64::from(word.load(Ordering::Relaxed).count_ones())).sum();
        let hashes = i32::try_from(self.bloom.num_hashes()).unwrap_or(i32::MAX);
        let bits = words.iter().map(|_| f64::from(u64::BITS)).sum::<f64>();
        (set / bits).powi(hashes)
    }
}
