//! What news of the remote tier mean for the object tier.
//!
//! An entry that others changed must not be served from there any more. One that has just left the server, since its time there was over
//! or the server needed the room, must: that is what the tier below is for. The news do not say which it is, so the object tier
//! serves nothing of the key until the server was asked: if it has neither the entry nor the mark of a removal, nobody has changed it.
//! Who gets no answer takes it for changed.
//!
//! **Invariant:** one task asks at a time, and ends when nothing is left to ask.

use super::Shared;
use crate::key::Key;
use crate::object::Suspicion;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Keys that wait to be asked about, at most. Beyond, they are taken for changed.
const WAITING_MAX: usize = 1 << 14;
/// Keys that are asked about at a time.
const BATCH: usize = 256;

/// News that are not judged yet: the latest of each key.
#[derive(Default)]
pub(super) struct Suspects {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    keys: HashMap<Vec<u8>, Suspicion, ahash::RandomState>,
    is_running: bool,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Asks what the news of the key meant, behind.
    pub(super) fn judge_behind(self: &Arc<Self>, key_bytes: &[u8], suspicion: Suspicion) {
        let mut waiting = self.suspects.waiting.lock();
        if waiting.keys.len() >= WAITING_MAX {
            drop(waiting);
            return self.object.iter().for_each(|object| object.tier.judge(suspicion, true));
        }
        waiting.keys.insert(key_bytes.to_vec(), suspicion);
        let must_start = !std::mem::replace(&mut waiting.is_running, true);
        drop(waiting);
        if must_start {
            let cache = Arc::downgrade(self);
            // A cache that is closed meanwhile serves nothing.
            let _ = self.tasks.spawn(judge_all(cache));
        }
    }

    fn next_suspects(&self) -> Vec<(Vec<u8>, Suspicion)> {
        let mut waiting = self.suspects.waiting.lock();
        let keys: Vec<Vec<u8>> = waiting.keys.keys().take(BATCH).cloned().collect();
        waiting.is_running = !keys.is_empty();
        let take = |key: Vec<u8>| waiting.keys.remove(&key).map(|suspicion| (key, suspicion));
        keys.into_iter().filter_map(take).collect()
    }
}

async fn judge_all<K: Key, V: Clone + Send + Sync + 'static>(cache: Weak<Shared<K, V>>) {
    loop {
        let Some((remote, object, batch)) = cache.upgrade().and_then(|shared| {
            let (remote, object) = (shared.remote.as_ref()?, shared.object.as_ref()?);
            Some((Arc::clone(&remote.tier), Arc::clone(&object.tier), shared.next_suspects()))
        }) else {
            return;
        };
        if batch.is_empty() {
            return;
        }
        let (keys, suspicions): (Vec<Vec<u8>>, Vec<Suspicion>) = batch.into_iter().unzip();
        let were_let_go = remote.were_let_go(&keys).await;
        for (suspicion, was_let_go) in suspicions.into_iter().zip(were_let_go) {
            object.judge(suspicion, !was_let_go);
        }
    }
}
