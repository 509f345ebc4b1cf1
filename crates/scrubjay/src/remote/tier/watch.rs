//! What is heard of the server: changes of others, connections that end and come back.

use super::super::counters::Count;
use super::super::echo::{Sum, Whose};
use super::super::link::{Link, Trouble, Watcher};
use super::super::names::Named;
use super::super::options::OnDisconnect;
use super::super::transactions::of;
use super::{Inner, Mark};
use ahash::RandomState;
use futures_util::future::BoxFuture;
use redis::Value;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// Keys that wait to be checked, at most. Beyond, they are believed to have changed.
const CHECKS_MAX: usize = 16 << 10;
/// Keys that are checked together.
const BATCH: usize = 512;
/// How often a key is looked at for the same news. Then they are believed.
const LOOKS_MAX: u32 = 4;

/// Keys of which there are news, and which this process has written itself.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// How often each was looked at in vain.
    keys: HashMap<Vec<u8>, u32, RandomState>,
    is_running: bool,
}

/// An outage whose end may come too late. Dropped when its time is over, or at once with a runtime that shuts down and
/// keeps no time any more: then nothing above may serve.
struct Capped {
    inner: Weak<Inner>,
    outage: usize,
}

impl Drop for Capped {
    fn drop(&mut self) {
        let inner = self.inner.upgrade().filter(|inner| inner.outage.load(Ordering::Acquire) == self.outage);
        if let Some(inner) = inner {
            inner.distrust();
        }
    }
}

/// The task that checks. If it ends before all is checked, by a panic of the tiers above or with its runtime, nobody
/// knows what of it has changed: nothing above may serve, and the next news begin another.
struct Checking(Option<Arc<Inner>>);

impl Drop for Checking {
    fn drop(&mut self) {
        let Some(inner) = self.0.take() else { return };
        {
            let mut checks = inner.checks.lock();
            checks.keys.clear();
            checks.is_running = false;
        }
        inner.distrust();
    }
}

/// What the link tells the tier.
pub(super) struct Ear(pub(super) Arc<Inner>);

impl Watcher for Ear {
    fn changed(&self, keys: Vec<Vec<u8>>) {
        for name in keys {
            match self.0.names.parse(&name) {
                Named::Key(key) => self.0.hear(key),
                Named::Free(key) => self.0.waiters.wake(&key),
                Named::Stamps => self.0.catch_up_behind(),
                Named::Other => {}
            }
        }
    }

    fn flushed(&self) {
        self.0.distrust();
        self.0.catch_up_behind();
        self.0.waiters.wake_all();
    }

    fn published(&self, message: &[u8]) {
        let Some((origin, rest)) = message.split_first_chunk::<16>() else { return };
        if *origin == self.0.origin {
            return;
        }
        match rest.split_first() {
            Some((b'k', key)) => {
                self.0.believe(key);
                self.0.waiters.wake(key);
            }
            Some((b'f', key)) => self.0.waiters.wake(key),
            Some((b't', _)) => self.0.catch_up_behind(),
            _ => {}
        }
    }

    fn connected<'a>(&'a self, link: &'a Link) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(self.0.catch_up_whole(link))
    }

    fn heartbeat<'a>(&'a self, link: &'a Link) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            self.0.beat(link).await?;
            self.0.beats.beat(self.0.elapsed_ms());
            self.0.trusted_ms.store(self.0.clock.now_ms(), Ordering::Release);
            self.0.drain_behind();
            Ok(())
        })
    }

    fn lost(&self, why: &str) {
        if self.0.is_connected() {
            self.0.outage.fetch_add(1, Ordering::AcqRel);
            tracing::debug!(
                cache = &*self.0.keeping.namespace,
                why,
                "news of the remote tier may be missed from now on"
            );
            self.0.on_lost();
        }
        self.0.waiters.wake_all();
    }
}

impl Checking {
    /// Compares what is there with what this process has written, until no news wait.
    async fn check_all(mut self) {
        while let Some(inner) = &self.0 {
            match inner.to_check() {
                Some(batch) => inner.check(batch).await,
                None => drop(self.0.take()),
            }
        }
    }
}

impl Inner {
    /// There are news of the key.
    fn hear(self: &Arc<Self>, key: Vec<u8>) {
        let is_expected = self.echo.lock().expected(&key).is_some();
        if !is_expected {
            self.believe(&key);
            self.waiters.wake(&key);
            return;
        }
        self.waiters.wake(&key);
        let mut checks = self.checks.lock();
        if checks.keys.len() >= CHECKS_MAX {
            drop(checks);
            self.echo.lock().forget(&key);
            return self.believe(&key);
        }
        checks.keys.insert(key, 0);
        let must_start = !std::mem::replace(&mut checks.is_running, true);
        drop(checks);
        if must_start {
            let checking = Checking(Some(Arc::clone(self)));
            drop(self.runtime.spawn(checking.check_all()));
        }
    }

    /// Another has changed it. What is counted has been done.
    fn believe(&self, key: &[u8]) {
        self.tell_changed(key);
        self.count(Count::Invalidation);
    }

    /// Some of the keys that wait to be checked; if there are none, nobody checks any more.
    fn to_check(&self) -> Option<Vec<(Vec<u8>, u32)>> {
        let mut checks = self.checks.lock();
        let batch: Vec<_> = checks.keys.iter().take(BATCH).map(|(key, looks)| (key.clone(), *looks)).collect();
        for (key, _) in &batch {
            checks.keys.remove(key);
        }
        checks.is_running = !batch.is_empty();
        checks.is_running.then_some(batch)
    }

    async fn check(&self, keys: Vec<(Vec<u8>, u32)>) {
        let asked: Vec<Option<Sum>> = {
            let echo = self.echo.lock();
            keys.iter().map(|(key, _)| echo.expected(key)).collect()
        };
        let commands = keys.iter().map(|(key, _)| {
            let name = self.names.data(key);
            if self.remote.is_raw {
                return of("GET", &name);
            }
            let mut tail = of("GETRANGE", &name);
            tail.arg(-4).arg(-1);
            tail
        });
        let link = self.link.load_full();
        let answers = match &link {
            Some(link) => link.run_many(commands.collect()).await,
            None => Vec::new(),
        };
        let mut answers = answers.into_iter();
        for ((key, looks), asked) in keys.iter().zip(asked) {
            let there = match answers.next() {
                Some(Ok(Value::BulkString(bytes))) if self.remote.is_raw || !bytes.is_empty() => {
                    Some(Some(self.sum(&bytes)))
                }
                Some(Ok(_)) => Some(None),
                Some(Err(_)) | None => None,
            };
            let whose = match (asked, there) {
                (Some(asked), Some(there)) => self.echo.lock().judge(key, asked, there),
                _ => Whose::Anothers,
            };
            match whose {
                Whose::Own => self.count(Count::Echo),
                Whose::Unknown if looks + 1 < LOOKS_MAX => {
                    self.checks.lock().keys.entry(key.clone()).or_insert(looks + 1);
                }
                Whose::Unknown | Whose::Anothers => {
                    self.echo.lock().forget(key);
                    self.believe(key);
                }
            }
        }
    }

    /// News come in again, or for the first time: nothing that is above is trusted, and what was missed is done.
    async fn catch_up_whole(&self, link: &Link) -> Result<(), Trouble> {
        let outage = self.outage.load(Ordering::Acquire);
        self.beat(link).await?;
        self.catch_up(link).await?;
        let is_kept = outage == 0 && self.remote.on_disconnect == OnDisconnect::ServeStale;
        if !self.is_connected() && !is_kept {
            self.distrust();
        }
        self.drain(link).await?;
        self.beats.begin(self.elapsed_ms());
        if !self.is_connected() {
            self.outage.fetch_add(1, Ordering::AcqRel);
        }
        self.trusted_ms.store(self.clock.now_ms(), Ordering::Release);
        Ok(())
    }

    /// Nothing is heard any more.
    pub(super) fn on_lost(self: &Arc<Self>) {
        match self.remote.on_disconnect {
            OnDisconnect::Drop => self.distrust(),
            OnDisconnect::ServeStale => {}
            OnDisconnect::CapAge(time) => {
                let capped = Capped { inner: Arc::downgrade(self), outage: self.outage.load(Ordering::Acquire) };
                drop(self.runtime.spawn(async move {
                    tokio::time::sleep(time).await;
                    drop(capped);
                }));
            }
        }
    }

    /// Nothing above may serve any more that is there now.
    pub(super) fn distrust(&self) {
        self.count(Count::Distrusted);
        if let Some(above) = self.above.get() {
            above.distrusted();
        }
    }

    /// Milliseconds since it was last known that all is heard of; 0 where that is so now.
    pub(in crate::remote) fn trust_age_ms(&self) -> u64 {
        let is_connected = self.is_connected();
        if is_connected { 0 } else { self.clock.now_ms().saturating_sub(self.trusted_ms.load(Ordering::Acquire)) }
    }

    pub(super) fn tell_changed(&self, key: &[u8]) {
        if let Some(above) = self.above.get() {
            above.changed(key);
        }
    }

    pub(super) fn tell_marked(&self, mark: Mark) {
        if let Some(above) = self.above.get() {
            above.marked(mark);
        }
    }
}
