//! What is done behind for the disk tier: a folder that could not be opened is tried again, and the disk is told how hot the
//! entries are that memory answers for.

use super::{Shared, warm};
use crate::disk::Opened;
use crate::error::Error;
use crate::key::Key;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a folder that cannot be opened is left alone: at first, and at most.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How often the heat of everything in memory is told, a part of memory at a time.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Starts it, if there is such a tier. It ends with the last handle, or when the cache is closed.
///
/// # Errors
/// `Closed`.
pub(super) fn start<K: Key, V: Clone + Send + Sync + 'static>(shared: &Arc<Shared<K, V>>) -> Result<(), Error> {
    if shared.disk.is_none() {
        return Ok(());
    }
    shared.tasks.spawn(tend(Arc::downgrade(shared)))
}

async fn tend<K: Key, V: Clone + Send + Sync + 'static>(cache: Weak<Shared<K, V>>) {
    let mut delay = RETRY_MIN;
    while cache.upgrade().is_some_and(|shared| !shared.is_disk_there()) {
        tokio::time::sleep(delay).await;
        delay = (2 * delay).min(RETRY_MAX);
        let Some(shared) = cache.upgrade() else { return };
        shared.open_disk_again().await;
    }
    loop {
        for shard in 0.. {
            let Some(shards) = cache.upgrade().map(|shared| shared.memory.shard_count()) else { return };
            if shard >= shards {
                break;
            }
            tokio::time::sleep(TELL_INTERVAL / u32::try_from(shards).unwrap_or(1)).await;
            // Never held across a wait, or the cache would live as long as this.
            let Some(shared) = cache.upgrade() else { return };
            // Keys are looked up by the thousand: not on a thread of the runtime.
            drop(shared.tasks.runtime().clone().spawn_blocking(move || shared.tell_heat(shard)));
        }
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    fn is_disk_there(&self) -> bool {
        self.disk.as_ref().is_none_or(|disk| disk.tier.is_attached())
    }

    async fn open_disk_again(self: &Arc<Self>) {
        let Some(disk) = &self.disk else { return };
        let shared = Arc::clone(self);
        let again = move || {
            let Some(disk) = &shared.disk else { return };
            let tier = &disk.tier;
            let opened = Opened::folder(tier.config(), &shared.name, &shared.clock);
            match opened.and_then(|opened| tier.attach(opened, &shared.stamps)) {
                Ok(()) => warm::start(&shared),
                Err(error) => tier.still_away(&error),
            }
        };
        disk.tier.apart(again).await;
    }
}
