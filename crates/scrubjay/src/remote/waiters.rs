//! Who waits for another process' load: woken by the news of a key, never asking again and again.
//!
//! **Invariant:** who registers before it asks misses no news: what comes between the question and the wait is kept for it.

use ahash::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// Waiters at once, at most.
const WAITERS_MAX: usize = 64 << 10;

type Table = Mutex<HashMap<Vec<u8>, Vec<Arc<Notify>>, RandomState>>;

/// Who waits for which key.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    table: Arc<Table>,
}

/// One who waits, until dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    key: Vec<u8>,
    bell: Arc<Notify>,
    table: Arc<Table>,
}

impl Waiters {
    /// `None` if too many wait.
    pub(super) fn register(&self, key: &[u8]) -> Option<Waiter> {
        let bell = Arc::new(Notify::new());
        let mut table = self.table.lock();
        if table.len() >= WAITERS_MAX {
            return None;
        }
        table.entry(key.to_vec()).or_default().push(Arc::clone(&bell));
        drop(table);
        Some(Waiter { key: key.to_vec(), bell, table: Arc::clone(&self.table) })
    }

    /// Something happened to the key.
    pub(super) fn wake(&self, key: &[u8]) {
        if let Some(bells) = self.table.lock().get(key) {
            bells.iter().for_each(|bell| bell.notify_one());
        }
    }

    /// Something happened that concerns everybody.
    pub(super) fn wake_all(&self) {
        self.table.lock().values().flatten().for_each(|bell| bell.notify_one());
    }
}

impl Waiter {
    /// Until something happens, or has happened since the last time.
    pub(super) async fn wait(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        if let Some(bells) = table.get_mut(&self.key) {
            bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
            if bells.is_empty() {
                table.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
