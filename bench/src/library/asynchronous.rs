//! What a hit costs through the asynchronous face, beside the same hit through the synchronous one.
//!
//! The loop is one task on a runtime of one thread; nothing in it ever waits, since everything fits.

use super::Scale;
use super::keys::{self, Key, STEPS};
use super::race::{self, Contender, Course, Sample, timed};
use super::store::{Store, Value};
use crate::report::Report;
use scrubjay::{Cache, MemoryCache};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

pub(crate) type Inline = [u8; 64];
const CASE: &str = "async-hit/u64/1";

/// A cache whose lookup may load, and may wait.
pub(crate) trait AsyncStore: Send + Sync + Sized + 'static {
    /// With room for so many entries. Runs inside the runtime.
    async fn with_room(entries: usize) -> anyhow::Result<Self>;

    async fn insert(&self, key: u64, value: Inline);

    /// Reads or loads, and uses the value. Whether it was there: where the face allows it, the loader fails.
    async fn read(&self, key: &u64) -> bool;
}

pub(super) fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    if !scale.wants(CASE) {
        return Ok(());
    }
    let field = Arc::new(Field { keys: scale.keys, sequence: keys::sequences::<u64>(scale.keys, 1).remove(0) });
    let mut contenders = vec![
        contender::<Cache<u64, Inline>>("scrubjay", &field),
        contender::<Synchronous<MemoryCache<u64, Inline>>>("scrubjay-sync", &field),
    ];
    #[cfg(feature = "peers")]
    {
        use super::peers::{AsyncFoyer, AsyncMoka, QuickCache};
        contenders.push(contender::<QuickCache<u64, Inline>>("quick_cache", &field));
        contenders.push(contender::<AsyncMoka>("moka", &field));
        contenders.push(contender::<AsyncFoyer>("foyer", &field));
    }
    contenders.retain(|contender| scale.wants_subject(contender.subject));
    race::run(&contenders, 1, scale, report)
}

fn contender<S: AsyncStore>(subject: &'static str, field: &Arc<Field>) -> Contender {
    let field = Arc::clone(field);
    let prepare = move || -> anyhow::Result<Box<dyn Course>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let store = runtime.block_on(filled::<S>(field.keys))?;
        Ok(Box::new(Hits { store, runtime, field: Arc::clone(&field) }))
    };
    Contender { case: CASE.to_string(), subject, hits_least: 0.999, prepare: Box::new(prepare) }
}

async fn filled<S: AsyncStore>(keys: usize) -> anyhow::Result<S> {
    let store = S::with_room(keys * 2).await?;
    for rank in 0..keys as u64 {
        store.insert(u64::of(rank), Inline::of(rank)).await;
    }
    Ok(store)
}

struct Field {
    keys: usize,
    sequence: Vec<u64>,
}

struct Hits<S> {
    store: S,
    runtime: Runtime,
    field: Arc<Field>,
}

impl<S: AsyncStore> Course for Hits<S> {
    fn run(&self, _thread: usize, duration: Duration) -> Sample {
        timed(duration, STEPS, |steps| {
            self.runtime.block_on(async {
                let mut hits = 0;
                for key in &self.field.sequence[steps] {
                    hits += u64::from(self.store.read(key).await);
                }
                hits
            })
        })
    }
}

/// A synchronous store in the same loop.
pub(crate) struct Synchronous<S>(S);

impl<S: Store<u64, Inline>> AsyncStore for Synchronous<S> {
    async fn with_room(entries: usize) -> anyhow::Result<Self> {
        Ok(Synchronous(S::with_room(entries)?))
    }

    async fn insert(&self, key: u64, value: Inline) {
        self.0.insert(key, value);
    }

    async fn read(&self, key: &u64) -> bool {
        self.0.read(key)
    }
}
