//! The only way to the store: each request has a time limit, a place among so many at once, and a counter.
//!
//! Requests run as tasks of the runtime, whoever waits for them: a caller that goes away leaves one that ends in its time,
//! and a caller on another executor needs no timers of its own. The breaker for reads is asked by who reads for a
//! caller; what is done behind has pauses of its own.

use super::counters::{Count, Counters};
use super::options::Object;
use super::place::Made;
use crate::breaker::Breaker;
use crate::clock::Clock;
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload,
};
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Characters of an error of the store that are shown.
const SAID_LEN_MAX: usize = 300;
/// Objects that one listing may find.
const LISTED_MAX: usize = 4 << 20;
/// Objects per request of a listing, for the counter.
const PAGE: usize = 1000;

/// Why a request did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no such object.
    NotFound,
    /// There is one already.
    Exists,
    TimedOut,
    /// What came is not what was asked for.
    Odd(&'static str),
    /// What the store, or the way to it, says.
    Failed(String),
}

#[derive(Debug)]
pub(super) struct Reach {
    store: Arc<dyn ObjectStore>,
    runtime: Handle,
    clock: Clock,
    permits: Arc<Semaphore>,
    pub(super) counters: Arc<Counters>,
    pub(super) reads: Breaker,
    read_timeout: Duration,
    write_timeout: Duration,
    /// A folder has none.
    has_attributes: AtomicBool,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NotFound => f.write_str("there is no such object"),
            Trouble::Exists => f.write_str("there is such an object already"),
            Trouble::TimedOut => f.write_str("the store took too long"),
            Trouble::Odd(what) => f.write_str(what),
            Trouble::Failed(said) => f.write_str(said),
        }
    }
}

impl From<object_store::Error> for Trouble {
    fn from(error: object_store::Error) -> Trouble {
        match error {
            object_store::Error::NotFound { .. } => Trouble::NotFound,
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => Trouble::Exists,
            other => Trouble::Failed(said(&other.to_string())),
        }
    }
}

/// What may be shown of an error: one line, not long, and nothing of a query, where signatures are.
fn said(text: &str) -> String {
    let mut shown = String::new();
    let mut is_query = false;
    for character in text.chars().take(4 * SAID_LEN_MAX) {
        let ends = character.is_whitespace() || matches!(character, '"' | '\'' | ')' | '>');
        is_query = (is_query || character == '?') && !ends;
        if !is_query && shown.len() < SAID_LEN_MAX {
            shown.push(if character.is_control() { ' ' } else { character });
        }
    }
    shown
}

impl Reach {
    pub(super) fn new(made: &Made, object: &Object, runtime: Handle, clock: Clock, counters: Arc<Counters>) -> Reach {
        Reach {
            store: Arc::clone(&made.store),
            runtime,
            clock,
            permits: Arc::new(Semaphore::new(object.requests_max.min(Semaphore::MAX_PERMITS))),
            counters,
            reads: Breaker::default(),
            read_timeout: object.read_timeout,
            write_timeout: object.write_timeout,
            has_attributes: AtomicBool::new(true),
        }
    }

    /// Runs a request: as a task, in its time, and counted if it fails.
    async fn run<R, F>(&self, limit: Duration, request: F) -> Result<R, Trouble>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Trouble>> + Send + 'static,
    {
        let permits = Arc::clone(&self.permits);
        let limited = async move {
            let permit = permits.acquire_owned().await.map_err(|_| Trouble::Failed("closed".to_owned()))?;
            let result = request.await;
            drop(permit);
            result
        };
        let task = self.runtime.spawn(async move { tokio::time::timeout(limit, limited).await });
        let result = match task.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Trouble::TimedOut),
            Err(_) => {
                Err(Trouble::Failed("the request was given up: its runtime goes away, or it panicked".to_owned()))
            }
        };
        if matches!(result, Err(Trouble::TimedOut | Trouble::Failed(_) | Trouble::Odd(_))) {
            self.counters.one(Count::Failures);
        }
        result
    }

    /// A part of an object, or all of it if that is at most `len_max` bytes.
    pub(super) async fn get(&self, path: Path, range: Option<Range<u64>>, len_max: u64) -> Result<Bytes, Trouble> {
        let (store, counters) = (Arc::clone(&self.store), Arc::clone(&self.counters));
        let request = async move {
            counters.one(Count::Reads);
            let options = GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
            let result = store.get_opts(&path, options).await?;
            let wanted = range.unwrap_or(0..result.meta.size);
            let wanted_len = wanted.end.saturating_sub(wanted.start);
            if wanted_len > len_max {
                return Err(Trouble::Odd("an object is larger than it may be"));
            }
            if result.range != wanted {
                return Err(Trouble::Odd("the store gave another part of an object than was asked for"));
            }
            let mut stream = result.into_stream();
            let mut parts: Vec<Bytes> = Vec::new();
            let mut len = 0_u64;
            while let Some(part) = stream.next().await {
                let part = part?;
                len += u64::try_from(part.len()).unwrap_or(u64::MAX);
                if len > wanted_len {
                    return Err(Trouble::Odd("the store gave more of an object than was asked for"));
                }
                parts.push(part);
            }
            if len != wanted_len {
                return Err(Trouble::Odd("the store gave less of an object than was asked for"));
            }
            counters.add(Count::ReadBytes, len);
            Ok(if parts.len() == 1 { parts.swap_remove(0) } else { parts.concat().into() })
        };
        self.run(self.read_timeout, request).await
    }

    /// The same for a caller, if the store is not left alone just now.
    pub(super) async fn get_for_caller(
        &self,
        path: Path,
        range: Option<Range<u64>>,
        len_max: u64,
    ) -> Result<Bytes, Trouble> {
        if !self.reads.allows(self.clock.now_ms()) {
            self.counters.one(Count::Skipped);
            return Err(Trouble::Failed("the store is left alone for a while".to_owned()));
        }
        let result = self.get(path, range, len_max).await;
        match &result {
            Err(Trouble::TimedOut | Trouble::Failed(_)) => {
                let why = if matches!(result, Err(Trouble::TimedOut)) { Count::TimedOut } else { Count::Failed };
                self.counters.one(why);
                self.reads.failed(self.clock.now_ms());
            }
            _ => self.reads.succeeded(),
        }
        result
    }

    /// Writes an object whole, saying when nothing in it is of use any more; 0 for never. If it must be new, one that is there
    /// stays as it is.
    pub(super) async fn put(
        &self,
        path: Path,
        bytes: Bytes,
        expires_ms: u64,
        must_be_new: bool,
    ) -> Result<(), Trouble> {
        let mode = if must_be_new { PutMode::Create } else { PutMode::Overwrite };
        let says_when = expires_ms != 0 && self.has_attributes.load(Ordering::Relaxed);
        let result = self.put_with(path.clone(), bytes.clone(), mode.clone(), says_when.then_some(expires_ms)).await;
        match result {
            Err(None) => {
                self.has_attributes.store(false, Ordering::Relaxed);
                self.put_with(path, bytes, mode, None).await.map_err(|trouble| {
                    trouble.unwrap_or_else(|| Trouble::Failed("the store does not do what is asked of it".to_owned()))
                })
            }
            Err(Some(trouble)) => Err(trouble),
            Ok(()) => Ok(()),
        }
    }

    /// `Err(None)`: the store has no attributes.
    async fn put_with(
        &self,
        path: Path,
        bytes: Bytes,
        mode: PutMode,
        expires_ms: Option<u64>,
    ) -> Result<(), Option<Trouble>> {
        let (store, counters) = (Arc::clone(&self.store), Arc::clone(&self.counters));
        let attributes: Attributes = expires_ms
            .map(|expires_ms| (Attribute::Metadata("scrubjay-expires-ms".into()), expires_ms.to_string()))
            .into_iter()
            .collect();
        let request = async move {
            counters.one(Count::Writes);
            let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let has_attributes = !attributes.is_empty();
            let options = PutOptions { mode, attributes, ..PutOptions::default() };
            match store.put_opts(&path, PutPayload::from(bytes), options).await {
                Ok(_) => {
                    counters.add(Count::WrittenBytes, len);
                    Ok(true)
                }
                Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. })
                    if has_attributes =>
                {
                    Ok(false)
                }
                Err(error) => Err(error.into()),
            }
        };
        match self.run(self.write_timeout, request).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(None),
            Err(trouble) => Err(Some(trouble)),
        }
    }

    /// Deletes an object, or finds it deleted.
    pub(super) async fn delete(&self, path: Path) -> Result<(), Trouble> {
        let (store, counters) = (Arc::clone(&self.store), Arc::clone(&self.counters));
        let request = async move {
            counters.one(Count::Deletes);
            match store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            }
        };
        self.run(self.write_timeout, request).await
    }

    /// Shows `take` every object below `prefix`.
    pub(super) async fn list<R: Send + 'static>(
        &self,
        prefix: Path,
        mut found: R,
        mut take: impl FnMut(&mut R, ObjectMeta) + Send + 'static,
    ) -> Result<R, Trouble> {
        let (store, counters) = (Arc::clone(&self.store), Arc::clone(&self.counters));
        let request = async move {
            let mut listing = store.list(Some(&prefix));
            let mut count = 0_usize;
            counters.one(Count::Lists);
            while let Some(meta) = listing.next().await {
                match meta {
                    Ok(meta) => take(&mut found, meta),
                    // A folder that was never written to; or a file that was deleted meanwhile.
                    Err(object_store::Error::NotFound { .. }) => continue,
                    Err(error) => return Err(error.into()),
                }
                count += 1;
                if count.is_multiple_of(PAGE) {
                    counters.one(Count::Lists);
                }
                if count >= LISTED_MAX {
                    return Err(Trouble::Odd("there are more objects than can be listed"));
                }
            }
            Ok(found)
        };
        self.run(self.write_timeout, request).await
    }
}
