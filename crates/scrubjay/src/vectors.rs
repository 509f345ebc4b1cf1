//! Vectors of floats by namespace and key, on disk: what a service keeps that computes embeddings of texts.
//!
//! Not a tier: nothing is loaded, nothing goes up or down. [`VectorStore`] puts raw floats into the disk engine
//! (`scrubjay-disk`) and takes them out again. `vectors/format.rs` is a vector as bytes, `spaces.rs` what is known of
//! each namespace, `name.rs` how namespaces should be named, `options.rs` what callers say, `vector.rs` what they get, `list.rs` the walk, `stats.rs` the
//! counters.
//!
//! **Invariants**
//! - What a get returns was put under that very key and namespace, bit by bit, and has not expired. It may be gone at any time.
//! - All vectors of a namespace have the same dimensions, until it is cleared.
//! - A removal or a clear that returned has survived what the options say, the end of the process unless they say something.

mod format;
mod list;
mod name;
mod options;
mod spaces;
mod stats;
#[cfg(test)]
mod tests;
mod vector;

use crate::clock::Clock;
use crate::disk::Durability;
use crate::error::{Error, ErrorKind};
use crate::limits::milliseconds;
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use scrubjay_disk::{Device, Put, PutOptions, State, Store, Value};
use spaces::{Space, Spaces};
use stats::Counters;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::runtime::Handle;

pub use list::Vectors;
pub use name::VectorNamespace;
pub use options::{NewVector, VectorOptions};
pub use stats::VectorStats;
pub use vector::Vector;

/// Keys of a batch whose records are in memory at a time.
const BATCH: usize = 1024;
/// A key is at most so long.
const KEY_LEN_MAX: usize = 65_535;

/// Embeddings by namespace and key, in a folder: they are there again after a restart.
///
/// ```
/// use scrubjay::{VectorNamespace, VectorOptions, VectorStore};
///
/// # fn embed(texts: &[&str]) -> Vec<Vec<f32>> { texts.iter().map(|text| vec![text.len() as f32; 1536]).collect() }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path();
/// let store = VectorStore::open(path, VectorOptions::bytes(1 << 30))?;
/// let namespace = VectorNamespace::of_tenant("bge-m3", "1.5", "acme")?;
///
/// let texts = ["blue jay", "grey jay", "magpie"];
/// let mut vectors = store.get_batch(&namespace, &texts)?;
/// let missing: Vec<usize> = (0..texts.len()).filter(|at| vectors[*at].is_none()).collect();
/// assert_eq!(missing.len(), 3, "nothing is there yet");
///
/// // The model is asked for those alone.
/// let made = embed(&missing.iter().map(|at| texts[*at]).collect::<Vec<_>>());
/// store.put_batch(&namespace, missing.iter().map(|at| texts[*at]).zip(&made))?;
/// # for (at, floats) in missing.into_iter().zip(made) { vectors[at] = Some(floats.into()) }
/// assert_eq!(store.get_batch(&namespace, &texts)?, vectors);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// **Names.** A vector means something only beside others of the same model and version: let the namespace say both, best by
/// [`VectorNamespace`]. Then a new version begins with misses, and the old one is cleared when nobody asks for it any more.
/// Keys are bytes of any kind, 65,535 at most: the texts themselves, since a record holds its key and nothing is
/// mistaken for another. Longer texts need a hash, 256 bits of it.
///
/// **Cost.** A vector of 1,536 dimensions takes 6,156 bytes, its key, and 32 bytes of record; the index takes about 34
/// bytes of memory for each. A get from the operating system's cache is 2.3 us of CPU, a put 2.1; with JSON instead, in the
/// same run, 69 and 56. A `get_batch` of 100 is 0.28 ms, with JSON 8.7. (One core of a small cloud machine, busy with other things;
/// `cargo run --release --example embeddings -- --measure` measures yours.)
///
/// **Blocking.** Calls block while the device works: reads of what is not in the operating system's cache, writes when they come
/// faster than the device takes them, removals until they have reached the operating system. They need no runtime; on one,
/// make them inside of [`call`](VectorStore::call).
///
/// **What survives.** What was put is written within a second, and survives the process from then on, or from
/// [`flush`](VectorStore::flush) on; a power failure from [`sync`](VectorStore::sync) on. A put over another vector of the key is
/// no different: what is lost of it brings the other back. Removals and clears have survived the process when their
/// call returns, or what [`removals`](VectorOptions::removals) says. One store has the folder at a time.
#[derive(Clone)]
pub struct VectorStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// Nothing once it was closed: the engine lets the folder go with its last handle.
    open: ArcSwapOption<Open>,
    /// What the counters said then.
    last: Mutex<VectorStats>,
    counters: Counters,
    dimensions: Option<usize>,
    time_to_live_ms: Option<u64>,
    removals: Durability,
    clock: Clock,
}

struct Open {
    store: Store,
    spaces: Spaces,
}

/// # Opening and closing
impl VectorStore {
    /// Opens the store in the folder `path`, which is made if it is not there. The folder is for this store alone.
    ///
    /// Reads what the engine wrote about its segments, not the vectors: some 0.2 s for a million.
    ///
    /// # Errors
    /// `Invalid` for options out of their limits, or a folder of something else or of a newer version; `Corrupt` if it is
    /// damaged as a whole; `Unavailable` if the folder is in use, or cannot be made, read or written.
    pub fn open(path: impl AsRef<Path>, options: VectorOptions) -> Result<VectorStore, Error> {
        options.validate()?;
        let store = Store::open(path, engine_options(&options)).map_err(error_of)?;
        VectorStore::of(store, options)
    }

    /// The same on a device of one's own: for tests, with the one that fails as it is told.
    ///
    /// # Errors
    /// As [`open`](VectorStore::open).
    pub fn open_on(device: Arc<dyn Device>, options: VectorOptions) -> Result<VectorStore, Error> {
        options.validate()?;
        let store = Store::open_on(device, engine_options(&options)).map_err(error_of)?;
        VectorStore::of(store, options)
    }

    fn of(store: Store, options: VectorOptions) -> Result<VectorStore, Error> {
        let time_to_live_ms = options.time_to_live.map(|time| milliseconds("time_to_live", time)).transpose()?;
        let VectorOptions { dimensions, removals, clock, .. } = options;
        let open = ArcSwapOption::from_pointee(Open { spaces: Spaces::open(&store)?, store });
        let (last, counters) = (Mutex::default(), Counters::default());
        let inner = Inner { open, last, counters, dimensions, time_to_live_ms, removals, clock };
        Ok(VectorStore { inner: Arc::new(inner) })
    }

    /// Hands everything put before to the operating system: it survives the end of this process.
    ///
    /// # Errors
    /// `Unavailable` if the device fails or does not answer, `Closed`.
    pub fn flush(&self) -> Result<(), Error> {
        self.inner.open()?.store.flush().map_err(error_of)
    }

    /// Makes everything put, removed and cleared before durable: it survives a power failure.
    ///
    /// # Errors
    /// As [`flush`](VectorStore::flush).
    pub fn sync(&self) -> Result<(), Error> {
        self.inner.open()?.store.sync().map_err(error_of)
    }

    /// Whether it does what it is for: what a readiness probe asks. Does not wait for the device.
    ///
    /// # Errors
    /// `Unavailable` says what the device does not do; what can be read is still served. `Closed`.
    pub fn check(&self) -> Result<(), Error> {
        match self.inner.open()?.store.state() {
            State::Failing(message) | State::Stalled(message) => Err(Error::new(ErrorKind::Unavailable, message)),
            _ => Ok(()),
        }
    }

    /// Writes everything down, makes it durable, and lets the folder go, with the end of the calls and walks that are under way.
    /// Other handles find the store closed. The last handle that is dropped does the same, but nobody hears its error.
    ///
    /// # Errors
    /// `Unavailable` if something could not be written: it is lost.
    pub fn close(&self) -> Result<(), Error> {
        let Some(open) = self.inner.open.swap(None) else { return Ok(()) };
        let closed = open.store.close().map_err(error_of);
        *self.inner.last.lock() = self.inner.stats(&open);
        closed
    }
}

/// # Writing
impl VectorStore {
    /// Stores a vector under a key, in place of what is there. Whether it is stored: it is not if the device fails, and
    /// then neither is what was there before.
    ///
    /// # Errors
    /// `Invalid`: no dimensions, too many, or others than the namespace's first vector; metadata, key or namespace too long.
    /// `Closed`; `Unavailable` if a new namespace cannot be written.
    pub fn put<'a>(
        &self,
        namespace: impl AsRef<str>,
        key: impl AsRef<[u8]>,
        vector: impl Into<NewVector<'a>>,
    ) -> Result<bool, Error> {
        let stored = self.inner.put_batch(namespace.as_ref(), &[(key.as_ref(), vector.into())])?;
        Ok(stored == 1)
    }

    /// Stores several vectors. How many are stored: the others are counted as dropped, see [`put`](VectorStore::put).
    ///
    /// # Errors
    /// As [`put`](VectorStore::put). If it is `Invalid` for one vector, none is stored.
    pub fn put_batch<'a, K: AsRef<[u8]>, V: Into<NewVector<'a>>>(
        &self,
        namespace: impl AsRef<str>,
        vectors: impl IntoIterator<Item = (K, V)>,
    ) -> Result<usize, Error> {
        let vectors: Vec<(K, NewVector<'a>)> = vectors.into_iter().map(|(key, vector)| (key, vector.into())).collect();
        let vectors: Vec<(&[u8], NewVector<'a>)> =
            vectors.iter().map(|(key, vector)| (key.as_ref(), *vector)).collect();
        self.inner.put_batch(namespace.as_ref(), &vectors)
    }

    /// Removes a key. Whether it was there. When this returns, it has survived what [`removals`](VectorOptions::removals) says.
    ///
    /// # Errors
    /// `Invalid` if the key is too long, `Closed`. `Unavailable`: it is gone, and may be there again after a restart.
    pub fn delete(&self, namespace: impl AsRef<str>, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.delete_batch(namespace, &[key])? == 1)
    }

    /// Removes several keys. How many were there. When this returns, it has survived what [`removals`](VectorOptions::removals)
    /// says.
    ///
    /// # Errors
    /// As [`delete`](VectorStore::delete).
    pub fn delete_batch(&self, namespace: impl AsRef<str>, keys: &[impl AsRef<[u8]>]) -> Result<usize, Error> {
        let open = self.inner.open()?;
        let Some((space, _)) = open.spaces.find(namespace.as_ref()) else { return Ok(0) };
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        let removed = space.entries.remove_many(&keys).map_err(error_of)?;
        self.inner.settle(&open)?;
        Ok(removed)
    }

    /// Takes everything out of a namespace, at a cost that does not depend on how much that is; its next vector may have
    /// other dimensions. When this returns, it has survived what [`removals`](VectorOptions::removals) says.
    ///
    /// # Errors
    /// `Unavailable`: it is empty as long as the store is open, and may not be after a restart. `Closed`.
    pub fn clear_namespace(&self, namespace: impl AsRef<str>) -> Result<(), Error> {
        let open = self.inner.open()?;
        let Some((space, _)) = open.spaces.find(namespace.as_ref()) else { return Ok(()) };
        open.spaces.clear(&space)?;
        self.inner.settle(&open)
    }
}

/// # Reading
impl VectorStore {
    /// The vector of a key.
    ///
    /// # Errors
    /// `Closed`. A device that fails is a miss, and counted.
    pub fn get(&self, namespace: impl AsRef<str>, key: impl AsRef<[u8]>) -> Result<Option<Vector>, Error> {
        let open = self.inner.open()?;
        let Some((space, dimensions)) = self.inner.find(&open, namespace.as_ref(), 1) else { return Ok(None) };
        let value = space.entries.get(key.as_ref()).map_err(error_of)?;
        Ok(value.and_then(|value| self.inner.found(&space, dimensions, &value)))
    }

    /// The vectors of several keys, in the order of the keys. Reads in the order in which they lie on the device.
    ///
    /// # Errors
    /// As [`get`](VectorStore::get).
    pub fn get_batch(
        &self,
        namespace: impl AsRef<str>,
        keys: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Option<Vector>>, Error> {
        let open = self.inner.open()?;
        let Some((space, dimensions)) = self.inner.find(&open, namespace.as_ref(), keys.len() as u64) else {
            return Ok(vec![None; keys.len()]);
        };
        let mut vectors = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            let batch: Vec<&[u8]> = batch.iter().map(AsRef::as_ref).collect();
            let values = space.entries.get_many(&batch).map_err(error_of)?;
            vectors.extend(values.into_iter().map(|value| self.inner.found(&space, dimensions, &value?)));
        }
        Ok(vectors)
    }

    /// All vectors of a namespace with their keys, in the order in which they were put: those that are there when this is
    /// called, but what goes before the walk comes to it. Walks through the index once, about 10 ns for each vector of
    /// the whole store. Counts neither as hits nor as use.
    pub fn get_all(&self, namespace: impl AsRef<str>) -> Vectors {
        Vectors::new(&self.inner, self.inner.space(namespace.as_ref()))
    }

    /// Whether a key is there. Asks the index alone, not the device.
    pub fn contains(&self, namespace: impl AsRef<str>, key: impl AsRef<[u8]>) -> bool {
        let space = self.inner.space(namespace.as_ref());
        space.is_some_and(|(space, _)| space.entries.contains(key.as_ref()))
    }

    /// How many vectors a namespace has. Walks through the index, about 10 ns for each vector of the whole store.
    pub fn len(&self, namespace: impl AsRef<str>) -> usize {
        self.inner.space(namespace.as_ref()).map_or(0, |(space, _)| space.entries.len())
    }

    /// Whether a namespace has no vectors. Walks through the index.
    pub fn is_empty(&self, namespace: impl AsRef<str>) -> bool {
        self.len(namespace) == 0
    }

    /// The namespaces that were put to since they were cleared, in alphabetical order. Those are among them whose vectors
    /// all were removed, expired or had to make room.
    pub fn namespaces(&self) -> Vec<String> {
        self.inner.open().map_or_else(|_| Vec::new(), |open| open.spaces.names())
    }

    /// How many dimensions the vectors of a namespace have; `None` if it was not put to since it was cleared.
    pub fn dimensions(&self, namespace: impl AsRef<str>) -> Option<usize> {
        self.inner.space(namespace.as_ref()).map(|(_, dimensions)| dimensions)
    }

    /// What it holds and has done. Once it is closed, what that was then.
    pub fn stats(&self) -> VectorStats {
        self.inner.open().map_or_else(|_| self.inner.last.lock().clone(), |open| self.inner.stats(&open))
    }
}

/// # On a runtime
impl VectorStore {
    /// Makes calls on a blocking thread of the tokio runtime on which this is polled, and waits for what they return. They are
    /// made to their end even if the caller is cancelled. Costs some 10 us more than the calls themselves: several belong
    /// into one. A panic of theirs goes on in the caller.
    ///
    /// ```
    /// # use scrubjay::{VectorOptions, VectorStore};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = VectorStore::open(folder.path(), VectorOptions::bytes(4 << 20))?;
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let texts = vec!["blue jay", "grey jay"];
    /// let vectors = store.call(move |store| store.get_batch("bge-m3@1.5", &texts)).await?;
    /// assert_eq!(vectors, [None, None]);
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of the calls; `Unavailable` where there is no runtime, or it shuts down.
    pub async fn call<R: Send + 'static>(
        &self,
        act: impl FnOnce(&VectorStore) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let gone = |why: &str| Error::new(ErrorKind::Unavailable, why);
        let runtime = Handle::try_current().map_err(|_| gone("there is no tokio runtime here"))?;
        let store = self.clone();
        match runtime.spawn_blocking(move || act(&store)).await {
            Ok(result) => result,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => Err(gone("the runtime shuts down")),
        }
    }
}

impl Inner {
    /// Everything that is there while it is open.
    fn open(&self) -> Result<Arc<Open>, Error> {
        self.open.load_full().ok_or_else(|| Error::new(ErrorKind::Closed, "the store is closed"))
    }

    /// Waits until what was removed has survived what it is to.
    fn settle(&self, open: &Open) -> Result<(), Error> {
        match self.removals {
            Durability::Buffered => Ok(()),
            Durability::Written => open.store.flush().map_err(error_of),
            Durability::Synced => open.store.sync().map_err(error_of),
        }
    }

    fn stats(&self, open: &Open) -> VectorStats {
        VectorStats::new(&open.store.stats(), &self.counters, &open.spaces)
    }

    fn put_batch(&self, namespace: &str, vectors: &[(&[u8], NewVector<'_>)]) -> Result<usize, Error> {
        let open = self.open()?;
        let Some(dimensions) = self.check_batch(vectors)? else { return Ok(0) };
        let space = open.spaces.find_or_declare(&open.store, namespace)?;
        let _gate = open.spaces.enter(&space, dimensions)?;
        let (mut stored, mut value) = (0, Vec::new());
        for (key, vector) in vectors {
            value.clear();
            format::encode(vector.floats, vector.metadata, &mut value);
            let options = PutOptions { expires_ms: self.expires_ms(vector)?, ..PutOptions::default() };
            let put = space.entries.put_with(key, &value, options).map_err(error_of)?;
            stored += usize::from(put == Put::Stored);
        }
        Ok(stored)
    }

    /// How many dimensions all of them have; `None` if there are no vectors.
    fn check_batch(&self, vectors: &[(&[u8], NewVector<'_>)]) -> Result<Option<usize>, Error> {
        let Some((_, first)) = vectors.first() else { return Ok(None) };
        for (key, vector) in vectors {
            vector.check()?;
            if key.len() > KEY_LEN_MAX {
                return Err(Error::invalid(format!("key is {} bytes, must be at most {KEY_LEN_MAX}", key.len())));
            }
            let dimensions = vector.floats.len();
            let (fixed, why) = match self.dimensions {
                Some(fixed) => (fixed, "the store's options say"),
                None => (first.floats.len(), "the first of the batch"),
            };
            if dimensions != fixed {
                return Err(Error::invalid(format!("vector has {dimensions} dimensions, must have {fixed} as {why}")));
            }
        }
        Ok(Some(first.floats.len()))
    }

    /// When it expires, in Unix milliseconds; 0 for never.
    fn expires_ms(&self, vector: &NewVector<'_>) -> Result<u64, Error> {
        let time_ms = vector.check()?.or(self.time_to_live_ms);
        Ok(time_ms.map_or(0, |time_ms| unix_ms(&self.clock).saturating_add(time_ms)))
    }

    /// The namespace that so many keys are asked of, and its dimensions; misses if there is none.
    fn find(&self, open: &Open, namespace: &str, keys: u64) -> Option<(Arc<Space>, usize)> {
        let space = open.spaces.find(namespace);
        if space.is_none() {
            self.counters.nowhere.fetch_add(keys, Ordering::Relaxed);
        }
        space
    }

    /// The same for questions that are not counted; nothing is there once it was closed.
    fn space(&self, namespace: &str) -> Option<(Arc<Space>, usize)> {
        self.open().ok()?.spaces.find(namespace)
    }

    /// The vector in a value that a get found.
    fn found(&self, space: &Space, dimensions: usize, value: &Value) -> Option<Vector> {
        let vector = self.decode(space, dimensions, value);
        if vector.is_none() {
            self.counters.undecodable_gets.fetch_add(1, Ordering::Relaxed);
        }
        vector
    }

    /// The vector in a value, if it has the dimensions that the namespace had before it was read, or has now: it may have been
    /// cleared between.
    fn decode(&self, space: &Space, dimensions: usize, value: &Value) -> Option<Vector> {
        let why = match format::decode(value) {
            Ok(format::Decoded { floats, metadata }) => {
                let found = floats.len();
                if found == dimensions || Some(found) == space.dimensions() {
                    return Some(Vector::new(floats, metadata, value.expires_ms()));
                }
                format!("the vector has {found} dimensions, not {dimensions}")
            }
            Err(why) => why.to_string(),
        };
        self.counters.undecodable.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(namespace = space.entries.name(), why, "a value does not decode: a miss");
        None
    }
}

impl fmt::Debug for VectorStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VectorStore").field("is_open", &self.inner.open.load().is_some()).finish_non_exhaustive()
    }
}

fn engine_options(options: &VectorOptions) -> scrubjay_disk::Options {
    let clock = options.clock.clone();
    scrubjay_disk::Options::bytes(options.bytes).clock(move || unix_ms(&clock))
}

/// Unix time by that clock, in milliseconds.
fn unix_ms(clock: &Clock) -> u64 {
    clock.unix_ms_at_zero().saturating_add(clock.now_ms())
}

/// What the engine says, by what a caller can do about it.
fn error_of(error: scrubjay_disk::Error) -> Error {
    use scrubjay_disk::ErrorKind as Engine;
    let kind = match error.kind() {
        Engine::Invalid | Engine::Newer => ErrorKind::Invalid,
        Engine::Corrupt => ErrorKind::Corrupt,
        Engine::Closed => ErrorKind::Closed,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, error.to_string())
}
