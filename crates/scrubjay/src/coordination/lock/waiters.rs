//! Who waits for a lock to be let go.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Who waits, by the key whose change tells. **Invariant:** no longer than those that wait.
#[derive(Debug, Default)]
pub(in crate::coordination) struct Waiters {
    by_key: Mutex<HashMap<Vec<u8>, Waited>>,
}

#[derive(Debug, Default)]
struct Waited {
    count: usize,
    notify: Arc<Notify>,
}

/// One that waits. It hears what is told after it was made.
pub(super) struct Listening<'a> {
    waiters: &'a Waiters,
    key: &'a [u8],
    notified: Pin<Box<OwnedNotified>>,
}

impl Waiters {
    pub(super) fn listen<'a>(&'a self, key: &'a [u8]) -> Listening<'a> {
        let mut by_key = self.by_key.lock();
        let waited = by_key.entry(key.to_vec()).or_default();
        waited.count += 1;
        let mut notified = Box::pin(Arc::clone(&waited.notify).notified_owned());
        notified.as_mut().enable();
        Listening { waiters: self, key, notified }
    }

    pub(in crate::coordination) fn wake(&self, key: &[u8]) {
        if let Some(waited) = self.by_key.lock().get(key) {
            waited.notify.notify_waiters();
        }
    }

    pub(in crate::coordination) fn wake_all(&self) {
        self.by_key.lock().values().for_each(|waited| waited.notify.notify_waiters());
    }

    #[cfg(test)]
    pub(in crate::coordination) fn len(&self) -> usize {
        self.by_key.lock().len()
    }
}

impl Listening<'_> {
    pub(super) async fn heard(mut self) {
        self.notified.as_mut().await;
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let mut by_key = self.waiters.by_key.lock();
        if let Some(waited) = by_key.get_mut(self.key) {
            waited.count -= 1;
            if waited.count == 0 {
                by_key.remove(self.key);
            }
        }
    }
}
