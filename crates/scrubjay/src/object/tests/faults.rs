//! A store that does not do what it should, at moments drawn from a seed.

use super::*;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// It fails, and nothing was done.
    Fails,
    /// It is done, and fails all the same.
    FailsAfter,
    /// Nobody ever answers.
    Hangs,
    /// A write leaves a part of the object, and fails; a read gives a part, or another byte.
    Tears,
}

/// A store in memory, of which one request in so many goes wrong.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) inner: Arc<InMemory>,
    chance: AtomicU64,
    one_in: AtomicU64,
    tears: bool,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

impl Faulty {
    pub(super) fn new(inner: Arc<InMemory>, seed: u64, one_in: u64, tears: bool) -> Arc<Faulty> {
        Arc::new(Faulty { inner, chance: AtomicU64::new(seed), one_in: AtomicU64::new(one_in), tears })
    }

    /// From now on one request in so many goes wrong; none for 0.
    pub(super) fn one_in(&self, requests: u64) {
        self.one_in.store(requests, Ordering::Relaxed);
    }

    fn draw(&self) -> u64 {
        let drawn = self.chance.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        hash::hash_of(&drawn.to_le_bytes())
    }

    fn fault(&self) -> Fault {
        let (one_in, drawn) = (self.one_in.load(Ordering::Relaxed), self.draw());
        if one_in == 0 || drawn % one_in != 0 {
            return Fault::None;
        }
        match (drawn >> 32) % 4 {
            0 => Fault::Fails,
            1 => Fault::FailsAfter,
            2 if self.tears => Fault::Tears,
            _ => Fault::Hangs,
        }
    }
}

fn failed<T>() -> Result<T> {
    Err(object_store::Error::Generic { store: "Faulty", source: "it is one of those days".into() })
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl ObjectStore for Faulty {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Answer<'c, PutResult>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        async move {
            match self.fault() {
                Fault::None => self.inner.put_opts(location, payload, opts).await,
                Fault::Fails => failed(),
                Fault::FailsAfter => {
                    self.inner.put_opts(location, payload, opts).await?;
                    failed()
                }
                Fault::Hangs => pending().await,
                Fault::Tears => {
                    let bytes: Bytes = Bytes::from(payload);
                    let part = bytes.slice(..bytes.len() / 2);
                    self.inner.put_opts(location, part.into(), opts).await?;
                    failed()
                }
            }
        }
        .boxed()
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        opts: PutMultipartOptions,
    ) -> Answer<'c, Box<dyn MultipartUpload>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.put_multipart_opts(location, opts)
    }

    fn get_opts<'a, 'b, 'c>(&'a self, location: &'b Path, options: GetOptions) -> Answer<'c, GetResult>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        async move {
            let fault = self.fault();
            let result = self.inner.get_opts(location, options).await?;
            match fault {
                Fault::None => Ok(result),
                Fault::Fails | Fault::FailsAfter => failed(),
                Fault::Hangs => pending().await,
                Fault::Tears => {
                    let (meta, range, attributes) =
                        (result.meta.clone(), result.range.clone(), result.attributes.clone());
                    let mut bytes = result.bytes().await?.to_vec();
                    let drawn = self.draw();
                    let at = usize::try_from(drawn >> 8).unwrap() % bytes.len().max(1);
                    if drawn.is_multiple_of(2) {
                        bytes.truncate(at);
                    } else if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1;
                    }
                    let part = futures_util::stream::iter([Ok(Bytes::from(bytes))]).boxed();
                    let payload = GetResultPayload::Stream(part);
                    Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
                }
            }
        }
        .boxed()
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.fault() {
            Fault::None => self.inner.delete_stream(locations),
            Fault::Hangs => futures_util::stream::pending().boxed(),
            _ => futures_util::stream::iter([failed()]).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listing = self.inner.list(prefix);
        match self.fault() {
            Fault::None => listing,
            Fault::Hangs => futures_util::stream::pending().boxed(),
            _ => listing.take(1).chain(futures_util::stream::iter([failed()])).boxed(),
        }
    }

    fn list_with_delimiter<'a, 'b, 'c>(&'a self, prefix: Option<&'b Path>) -> Answer<'c, ListResult>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 'd>(&'a self, from: &'b Path, to: &'c Path, options: CopyOptions) -> Answer<'d, ()>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        self.inner.copy_opts(from, to, options)
    }
}

/// A tier on a store that goes wrong when it is told to.
struct Failing {
    inner: Arc<InMemory>,
    faulty: Arc<Faulty>,
    clock: Clock,
    tier: Arc<ObjectTier>,
}

async fn failing() -> Failing {
    let (inner, clock) = (store(), Clock::tokio());
    let faulty = Faulty::new(Arc::clone(&inner), 1, 0, false);
    let tier = open(limited(&faulty), &clock).await;
    Failing { inner, faulty, clock, tier }
}

fn limited(store: &Arc<Faulty>) -> Object {
    on(store).read_timeout(SECOND / 2).write_timeout(SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_loses_nothing_that_waits() {
    let Failing { inner, faulty, clock, tier } = failing().await;
    put(&tier, "42", "old");
    tier.flush().await.unwrap();
    faulty.one_in(1);
    put(&tier, "42", "new");
    tier.remove(b"43");
    assert_eq!(tier.settle().await, Settled::Deferred);
    assert!(tier.flush().await.is_err());
    assert_eq!(tier.health().0, TierState::Degraded);
    assert_eq!(get(&tier, "42").await.as_deref(), Some("new"));
    assert!(tier.stats().1.removals_waiting > 0 && tier.stats().1.queued_bytes > 0);
    faulty.one_in(0);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(tier.settle().await, Settled::Gone);
    tier.flush().await.unwrap();
    tier.refresh().await.unwrap();
    assert_eq!(tier.health(), (TierState::Serving, None));
    let next = open(on(&inner), &clock).await;
    assert_eq!(get(&next, "42").await.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn reads_that_fail_open_the_breaker_and_one_that_is_well_closes_it() {
    let Failing { faulty, tier, .. } = failing().await;
    put(&tier, "42", "Ada");
    tier.flush().await.unwrap();
    faulty.one_in(1);
    for _ in 0..20 {
        assert_eq!(get(&tier, "42").await, None);
    }
    let (stats, object) = tier.stats();
    assert!(stats.drops.skipped >= 10 && object.reads < 10, "{stats:?} {object:?}");
    assert_eq!(tier.health().0, TierState::Unavailable);
    faulty.one_in(0);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(get(&tier, "42").await.as_deref(), Some("Ada"));
    assert_eq!(tier.health().0, TierState::Serving);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_learns_no_news_for_long_reads_nothing_until_it_does() {
    let Failing { faulty, tier, .. } = failing().await;
    put(&tier, "42", "Ada");
    tier.flush().await.unwrap();
    faulty.one_in(1);
    tokio::time::sleep(11 * 60 * SECOND).await;
    faulty.one_in(0);
    assert_eq!(get(&tier, "42").await, None);
    assert_eq!(tier.health().0, TierState::Unavailable);
    tier.refresh().await.unwrap();
    assert_eq!(get(&tier, "42").await.as_deref(), Some("Ada"));
}

#[tokio::test(start_paused = true)]
async fn entries_that_could_not_be_written_for_ten_minutes_are_dropped_and_no_older_value_comes_to_light() {
    let Failing { inner, faulty, clock, tier } = failing().await;
    put(&tier, "42", "old");
    tier.flush().await.unwrap();
    put(&tier, "42", "new");
    faulty.one_in(1);
    tokio::time::sleep(12 * 60 * SECOND).await;
    faulty.one_in(0);
    tokio::time::sleep(60 * SECOND).await;
    tier.refresh().await.unwrap();
    assert_eq!(get(&tier, "42").await, None);
    assert!(tier.stats().0.drops.failed > 0);
    assert_eq!(get(&open(on(&inner), &clock).await, "42").await, None);
}

#[tokio::test(start_paused = true)]
async fn more_removals_than_can_wait_give_up_the_whole_cache() {
    let Failing { inner, faulty, clock, tier } = failing().await;
    put(&tier, "42", "Ada");
    tier.flush().await.unwrap();
    faulty.one_in(1);
    (0..=pending::REMOVALS_MAX).for_each(|number| _ = tier.remove(&number.to_le_bytes()));
    assert_eq!(tier.stats().1.forgotten, 1);
    assert_eq!(get(&tier, "42").await, None);
    faulty.one_in(0);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(tier.settle().await, Settled::Gone);
    assert_eq!(get(&open(on(&inner), &clock).await, "42").await, None);
}
