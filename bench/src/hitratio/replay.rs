//! A trace through a cache, by one thread or by two.

use super::bound;
use super::trace::Trace;
#[cfg(feature = "peers")]
use crate::library::{FoyerLfu, FoyerS3Fifo, Moka, QuickCache};
use crate::library::{Sharded, Store};
use scrubjay::MemoryCache;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Whoever can be asked for its hits on a trace at a capacity.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) hits: fn(&Trace, usize) -> anyhow::Result<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ours,
    Peer,
    /// No cache to compare with, but what to compare caches with.
    Bound,
}

/// Everyone. foyer is measured in one part, since its parts are not made for capacities of a few dozen.
pub(super) const SUBJECTS: &[Subject] = &[
    Subject { name: "scrubjay", kind: Kind::Ours, hits: read_through::<MemoryCache<u64, ()>> },
    Subject { name: "scrubjay/2", kind: Kind::Ours, hits: in_turns::<MemoryCache<u64, ()>> },
    Subject { name: "scrubjay/sharded", kind: Kind::Ours, hits: read_through::<Sharded<u64, ()>> },
    #[cfg(feature = "peers")]
    Subject { name: "quick_cache", kind: Kind::Peer, hits: read_through::<QuickCache<u64, ()>> },
    #[cfg(feature = "peers")]
    Subject { name: "moka", kind: Kind::Peer, hits: read_through::<Moka<u64, ()>> },
    #[cfg(feature = "peers")]
    Subject { name: "foyer-lfu", kind: Kind::Peer, hits: read_through::<FoyerLfu<u64, ()>> },
    #[cfg(feature = "peers")]
    Subject { name: "foyer-s3fifo", kind: Kind::Peer, hits: read_through::<FoyerS3Fifo<u64, (), 1>> },
    Subject {
        name: "lru",
        kind: Kind::Bound,
        hits: |trace, capacity| Ok(bound::lru_hits(&trace.requests, trace.distinct, capacity)),
    },
    Subject {
        name: "opt",
        kind: Kind::Bound,
        hits: |trace, capacity| Ok(bound::optimal_hits(&trace.requests, trace.distinct, capacity)),
    },
];

/// Requests that a thread takes at a time: the order is nearly kept.
const TURN: usize = 16;

fn read_through<S: Store<u64, ()>>(trace: &Trace, capacity: usize) -> anyhow::Result<u64> {
    let store = S::with_room(capacity)?;
    let hits = trace.requests.iter().filter(|object| access(&store, **object)).count();
    check_room(&store, capacity)?;
    Ok(hits as u64)
}

/// Two threads, each of which takes the next few requests whenever it is done with its last.
fn in_turns<S: Store<u64, ()>>(trace: &Trace, capacity: usize) -> anyhow::Result<u64> {
    let store = S::with_room(capacity)?;
    let (next, hits) = (AtomicUsize::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(rest) = trace.requests.get(next.fetch_add(TURN, Ordering::Relaxed)..) {
                    let found = rest.iter().take(TURN).filter(|object| access(&store, **object)).count();
                    hits.fetch_add(found as u64, Ordering::Relaxed);
                    if rest.len() <= TURN {
                        break;
                    }
                }
            });
        }
    });
    check_room(&store, capacity)?;
    Ok(hits.into_inner())
}

/// A cache that holds more than it was asked to is not compared with those that do not. The parts of a cache may round up.
fn check_room<S: Store<u64, ()>>(store: &S, capacity: usize) -> anyhow::Result<()> {
    store.settle();
    anyhow::ensure!(store.len() <= capacity + capacity / 50 + 1, "{} entries at a capacity of {capacity}", store.len());
    Ok(())
}

fn access<S: Store<u64, ()>>(store: &S, object: u32) -> bool {
    let key = u64::from(object);
    let is_hit = store.read(&key);
    if !is_hit {
        store.insert(key, ());
        store.settle();
    }
    is_hit
}
