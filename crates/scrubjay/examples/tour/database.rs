//! The database behind the caches of the tour: it counts what it is asked, waits where it is told to, and can be taken away.

use crate::Failure;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Users by number, in a version that each change raises.
#[derive(Clone, Default)]
pub(crate) struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    queries: AtomicU64,
    version: AtomicU64,
    is_gone: AtomicBool,
    takes_ms: AtomicU64,
    gate: Semaphore,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            queries: AtomicU64::new(0),
            version: AtomicU64::new(1),
            is_gone: AtomicBool::new(false),
            takes_ms: AtomicU64::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }
}

/// The database does not answer.
#[derive(Debug, thiserror::Error)]
#[error("connection refused")]
pub(crate) struct Gone;

/// A query that is under way.
pub(crate) type Query<T> = Pin<Box<dyn Future<Output = Result<T, Gone>> + Send>>;

impl Database {
    /// The loader of the tour: fetches one user.
    pub(crate) fn user(&self) -> impl FnOnce(u64) -> Query<String> + Send + 'static {
        let database = self.clone();
        move |id| {
            Box::pin(async move {
                let version = database.query().await?;
                Ok(format!("user {id} v{version}"))
            })
        }
    }

    /// The same for a user that may not exist: numbers from 1,000 on do not.
    pub(crate) fn user_if_any(&self) -> impl FnOnce(u64) -> Query<Option<String>> + Send + 'static {
        let database = self.clone();
        move |id| {
            Box::pin(async move {
                let version = database.query().await?;
                Ok((id < 1_000).then(|| format!("user {id} v{version}")))
            })
        }
    }

    /// And for many at once.
    pub(crate) fn users(&self) -> impl FnOnce(Vec<u64>) -> Query<Vec<String>> + Send + 'static {
        let database = self.clone();
        move |ids| {
            Box::pin(async move {
                let version = database.query().await?;
                Ok(ids.iter().map(|id| format!("user {id} v{version}")).collect())
            })
        }
    }

    async fn query(&self) -> Result<u64, Gone> {
        let shared = &self.shared;
        shared.queries.fetch_add(1, Ordering::AcqRel);
        drop(shared.gate.acquire().await.map_err(|_| Gone)?);
        let takes_ms = shared.takes_ms.load(Ordering::Acquire);
        if takes_ms > 0 {
            tokio::time::sleep(Duration::from_millis(takes_ms)).await;
        }
        if shared.is_gone.load(Ordering::Acquire) { Err(Gone) } else { Ok(shared.version.load(Ordering::Acquire)) }
    }

    /// How often it was asked.
    pub(crate) fn queries(&self) -> u64 {
        self.shared.queries.load(Ordering::Acquire)
    }

    /// Every user is another from now on.
    pub(crate) fn change(&self) {
        self.shared.version.fetch_add(1, Ordering::AcqRel);
    }

    /// From now on it refuses every query.
    pub(crate) fn go_away(&self) {
        self.shared.is_gone.store(true, Ordering::Release);
    }

    /// It answers again.
    pub(crate) fn come_back(&self) {
        self.shared.is_gone.store(false, Ordering::Release);
    }

    /// How long each query takes from now on.
    pub(crate) fn take(&self, time: Duration) {
        self.shared.takes_ms.store(time.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Release);
    }

    /// From now on queries wait, until the gate is opened.
    pub(crate) fn close_gate(&self) {
        self.shared.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets everybody through.
    pub(crate) fn open_gate(&self) {
        self.shared.gate.add_permits(Semaphore::MAX_PERMITS);
    }
}

/// Waits for something that happens behind. Ten seconds of it are a failure.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Result<(), Failure> {
    let wait = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.map_err(|_| format!("in vain waited until {what}").into())
}
