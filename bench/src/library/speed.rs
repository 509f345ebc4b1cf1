//! Time per operation of the synchronous face: hits, misses, inserts, a mix, many keys at once.
//!
//! In the hit cases everything fits: whatever a subject does for eviction, it does for nothing. In `mixed` and `insert` a
//! tenth of the keys fits.

use super::Scale;
use super::keys::{self, Key, STEPS};
use super::race::{self, Contender, Course, Sample, timed};
use super::store::{Store, Value};
use crate::report::Report;
use scrubjay::MemoryCache;
use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The values of all cases here.
type Inline = [u8; 64];
type Shared = Arc<[u8; 64]>;

/// Ranks that no sequence draws.
const ABSENT: u64 = 1 << 32;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Hit,
    Miss,
    /// 90 % reads; 5 % inserts of keys that are read too, 5 % of keys that never were there.
    Mixed,
    /// Keys that never were there.
    Insert,
    /// Lookups of eight keys at once.
    GetMany,
    /// The same eight, one by one.
    Get8,
}

/// Runs every case that was asked for.
pub(crate) fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    for threads in [1, 2] {
        duel::<u64, Inline>("hit/u64", Act::Hit, threads, scale, report)?;
        duel::<String, Inline>("hit/string", Act::Hit, threads, scale, report)?;
        duel::<u64, Shared>("hit-arc/u64", Act::Hit, threads, scale, report)?;
        duel::<String, Shared>("hit-arc/string", Act::Hit, threads, scale, report)?;
        duel::<u64, Inline>("mixed/u64", Act::Mixed, threads, scale, report)?;
    }
    duel::<u64, Inline>("miss/u64", Act::Miss, 1, scale, report)?;
    duel::<u64, Inline>("insert/u64", Act::Insert, 1, scale, report)?;
    get_many(scale, report)
}

/// One case: every subject, one act.
fn duel<K: Key, V: Value>(
    name: &str,
    act: Act,
    threads: usize,
    scale: &Scale,
    report: &mut Report,
) -> anyhow::Result<()> {
    let case = format!("{name}/{threads}");
    if !scale.wants(&case) {
        return Ok(());
    }
    let keyspace = if act == Act::Mixed { scale.keyspace } else { scale.keys };
    let field = Arc::new(Field::<K> { act, keys: scale.keys, sequences: keys::sequences::<K>(keyspace, threads) });
    let mut contenders = vec![contender::<K, V, MemoryCache<K, V>>(&case, "scrubjay", &field)];
    #[cfg(feature = "peers")]
    {
        use super::peers::{FoyerS3Fifo, Moka, QuickCache, QuickCacheAhash};
        contenders.push(contender::<K, V, QuickCache<K, V>>(&case, "quick_cache", &field));
        if act == Act::Hit {
            contenders.push(contender::<K, V, QuickCacheAhash<K, V>>(&case, "quick_cache+ahash", &field));
        }
        contenders.push(contender::<K, V, Moka<K, V>>(&case, "moka", &field));
        contenders.push(contender::<K, V, FoyerS3Fifo<K, V>>(&case, "foyer", &field));
    }
    contenders.retain(|contender| scale.wants_subject(contender.subject));
    race::run(&contenders, threads, scale, report)
}

/// Ours against itself: the peers have no such call.
fn get_many(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let mut contenders = Vec::new();
    for (case, act) in [("get_many/8/1", Act::GetMany), ("get_8/8/1", Act::Get8)] {
        if !scale.wants(case) || !scale.wants_subject("scrubjay") {
            continue;
        }
        let field = Arc::new(Field::<u64> { act, keys: scale.keys, sequences: keys::sequences::<u64>(scale.keys, 1) });
        let prepare = move || -> anyhow::Result<Box<dyn Course>> {
            let store: MemoryCache<u64, Inline> = filled(&field)?;
            Ok(Box::new(Eights { store, field: Arc::clone(&field) }))
        };
        contenders.push(Contender {
            case: case.to_string(),
            subject: "scrubjay",
            hits_least: 0.999,
            prepare: Box::new(prepare),
        });
    }
    race::run(&contenders, 1, scale, report)
}

fn contender<K: Key, V: Value, S: Store<K, V>>(case: &str, subject: &'static str, field: &Arc<Field<K>>) -> Contender {
    let hits_least = if field.act == Act::Hit { 0.999 } else { 0.0 };
    let field = Arc::clone(field);
    let prepare = move || -> anyhow::Result<Box<dyn Course>> {
        let fresh = field.sequences.iter().map(|_| AtomicU64::new(0)).collect();
        Ok(Box::new(Singles {
            store: filled::<K, V, S>(&field)?,
            field: Arc::clone(&field),
            fresh,
            value: PhantomData,
        }))
    };
    Contender { case: case.to_string(), subject, hits_least, prepare: Box::new(prepare) }
}

/// What all contenders of a case share.
struct Field<K: Key> {
    act: Act,
    /// Keys that fit; twice as many entries have room where everything is to fit.
    keys: usize,
    /// What each thread asks for.
    sequences: Vec<K::Packed>,
}

/// A new store with what the act expects to find.
fn filled<K: Key, V: Value, S: Store<K, V>>(field: &Field<K>) -> anyhow::Result<S> {
    let keys = field.keys as u64;
    let store = match field.act {
        Act::Mixed | Act::Insert => S::with_room(field.keys)?,
        _ => S::with_room(field.keys * 2)?,
    };
    if field.act == Act::Mixed {
        // As it would be after a while: full, and of what is asked for often.
        for step in (0..STEPS).rev() {
            let key = K::at(&field.sequences[0], step);
            if !store.read(key) {
                store.insert(key.to_owned(), V::of(step as u64));
            }
        }
    } else {
        (0..keys).for_each(|rank| store.insert(K::of(rank), V::of(rank)));
    }
    store.settle();
    Ok(store)
}

/// One key at a time.
struct Singles<K: Key, V, S> {
    store: S,
    field: Arc<Field<K>>,
    /// How many keys that never were there each thread has used up.
    fresh: Vec<AtomicU64>,
    value: PhantomData<fn() -> V>,
}

impl<K: Key, V: Value, S: Store<K, V>> Course for Singles<K, V, S> {
    fn run(&self, thread: usize, duration: Duration) -> Sample {
        let sequence = &self.field.sequences[thread];
        let read = |step| u64::from(self.store.read(K::at(sequence, step)));
        let first = ABSENT * (1 + thread as u64) + self.fresh[thread].load(Ordering::Relaxed);
        let mut next = first;
        let sample = match self.field.act {
            Act::Miss => timed(duration, STEPS, |steps| {
                steps.map(|step| u64::from(self.store.read(K::of(ABSENT + step as u64).borrow()))).sum()
            }),
            Act::Insert => timed(duration, STEPS, |steps| {
                for _ in steps {
                    self.store.insert(K::of(next), V::of(next));
                    next += 1;
                }
                0
            }),
            Act::Mixed => timed(duration, STEPS, |steps| {
                let mut hits = 0;
                for step in steps {
                    match step % 20 {
                        9 => self.store.insert(K::at(sequence, step).to_owned(), V::of(step as u64)),
                        19 => {
                            self.store.insert(K::of(next), V::of(next));
                            next += 1;
                        }
                        _ => hits += read(step),
                    }
                }
                hits
            }),
            Act::Hit | Act::GetMany | Act::Get8 => timed(duration, STEPS, |steps| steps.map(read).sum()),
        };
        self.fresh[thread].fetch_add(next - first, Ordering::Relaxed);
        sample
    }
}

/// Eight keys at a time; an operation is one key of them.
struct Eights {
    store: MemoryCache<u64, Inline>,
    field: Arc<Field<u64>>,
}

impl Course for Eights {
    fn run(&self, thread: usize, duration: Duration) -> Sample {
        let sequence = &self.field.sequences[thread];
        let eights = |steps: std::ops::Range<usize>| sequence[steps].chunks_exact(8);
        let count = |found: &[Option<Inline>]| found.iter().flatten().count() as u64;
        if self.field.act == Act::GetMany {
            return timed(duration, STEPS, |steps| {
                eights(steps).map(|keys| count(&black_box(self.store.get_many(keys)))).sum()
            });
        }
        timed(duration, STEPS, |steps| {
            eights(steps).map(|keys| keys.iter().map(|key| u64::from(self.store.read(key))).sum::<u64>()).sum()
        })
    }
}
