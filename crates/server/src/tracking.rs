//! Client-side caching: which client read which key, and who is told when a key changes.
//!
//! The keyspace lists changes while somebody observes it; the executor hands the list over with the stripes still latched, and
//! notes there what a tracking client read. **Invariant:** a key is noted before the latch under which it was read is given up,
//! and told before the latch under which it was changed is; so no client caches a value without hearing of its end.
//!
//! When nobody tracks, one relaxed load says so ([`Tracking::is_on`]). Keys count without their database, as in Redis. What is
//! told goes through mailboxes, also to the client that made the change: it comes after the reply.

mod message;
mod mode;
#[cfg(test)]
mod tests;

pub(crate) use mode::{Choice, Mode};

use crate::call::Call;
use crate::command::Flags;
use crate::registry::{HandleFlags, Registry};
use crate::server::Shared;
use message::News;
use parking_lot::{Mutex, RwLock};
use scrubjay_keyspace::{Change, Keyspace};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Readers = SmallVec<[u64; 2]>;
type Shard = HashMap<Box<[u8]>, Readers>;

/// A power of two, so that threads rarely meet.
const SHARDS: usize = 64;

/// From so many readers of one key on, those that left are looked for.
const READERS_LOOKED_AT: usize = 64;

/// Who tracks what, for the whole server.
pub(crate) struct Tracking {
    clients: RwLock<HashMap<u64, Arc<Mode>>>,
    clients_len: AtomicUsize,
    /// Broadcasting clients by prefix.
    prefixes: RwLock<BTreeMap<Box<[u8]>, BTreeSet<u64>>>,
    /// Who read a key since it was last told of. Ids of clients that left stay until the key changes or their number doubles.
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    keys_len: AtomicUsize,
    items_len: AtomicUsize,
}

impl Default for Tracking {
    fn default() -> Tracking {
        Tracking {
            clients: RwLock::default(),
            clients_len: AtomicUsize::new(0),
            prefixes: RwLock::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            keys_len: AtomicUsize::new(0),
            items_len: AtomicUsize::new(0),
        }
    }
}

impl Tracking {
    /// Whether anybody tracks.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.clients_len.load(Ordering::Relaxed) != 0
    }

    /// Clients that track (INFO's `tracking_clients`).
    pub(crate) fn clients_len(&self) -> usize {
        self.clients_len.load(Ordering::Relaxed)
    }

    /// Keys that somebody is to be told of (`tracking_total_keys`).
    pub(crate) fn keys_len(&self) -> usize {
        self.keys_len.load(Ordering::Relaxed)
    }

    /// Pairs of such a key and a client (`tracking_total_items`).
    pub(crate) fn items_len(&self) -> usize {
        self.items_len.load(Ordering::Relaxed)
    }

    /// Prefixes that are broadcast (`tracking_total_prefixes`).
    pub(crate) fn prefixes_len(&self) -> usize {
        self.prefixes.read().len()
    }

    /// Where news for this client go: 0 for itself, `None` when it does not track.
    pub(crate) fn redirect(&self, id: u64) -> Option<u64> {
        self.clients.read().get(&id).map(|mode| mode.redirect.unwrap_or(0))
    }

    /// Tracks for a client from here on, or in another mode than before.
    pub(crate) fn start(&self, keyspace: &Keyspace, id: u64, mode: &Arc<Mode>) {
        let mut clients = self.clients.write();
        keyspace.observe(true);
        clients.insert(id, Arc::clone(mode));
        self.clients_len.store(clients.len(), Ordering::Relaxed);
        let mut prefixes = self.prefixes.write();
        for prefix in &mode.prefixes {
            prefixes.entry(prefix.clone()).or_default().insert(id);
        }
    }

    /// Tracks for a client no longer.
    pub(crate) fn stop(&self, keyspace: &Keyspace, id: u64) {
        let mut clients = self.clients.write();
        let Some(mode) = clients.remove(&id) else { return };
        self.clients_len.store(clients.len(), Ordering::Relaxed);
        let mut prefixes = self.prefixes.write();
        for prefix in &mode.prefixes {
            if let Some(ids) = prefixes.get_mut(prefix) {
                ids.remove(&id);
                if ids.is_empty() {
                    prefixes.remove(prefix);
                }
            }
        }
        drop(prefixes);
        if clients.is_empty() {
            keyspace.observe(false);
            self.forget_keys();
        }
    }

    fn forget_keys(&self) {
        for shard in &self.shards {
            self.forget(std::mem::take(&mut *shard.lock()).values());
        }
    }

    /// Takes keys that left the table out of the counts.
    fn forget<'a>(&self, gone: impl Iterator<Item = &'a Readers>) {
        let (keys, items) = gone.fold((0, 0), |(keys, items), readers| (keys + 1, items + readers.len()));
        self.keys_len.fetch_sub(keys, Ordering::Relaxed);
        self.items_len.fetch_sub(items, Ordering::Relaxed);
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    /// Notes that a client read `key`. Of more than `keys_max` keys (0 for no limit), another one is told of and forgotten.
    fn remember(&self, registry: &Registry, id: u64, key: &[u8], keys_max: usize) {
        let mut shard = self.shard(key).lock();
        match shard.get_mut(key) {
            Some(readers) if readers.contains(&id) => return,
            Some(readers) => {
                if readers.len() >= READERS_LOOKED_AT && readers.len().is_power_of_two() {
                    self.forget_gone(readers);
                }
                readers.push(id);
            }
            None => {
                shard.insert(key.into(), Readers::from_slice(&[id]));
                self.keys_len.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.items_len.fetch_add(1, Ordering::Relaxed);
        if keys_max == 0 || self.keys_len() <= keys_max {
            return;
        }
        let other = shard.keys().find(|other| ***other != *key).cloned();
        drop(shard);
        if let Some(other) = other {
            self.tell_readers(registry, &other, None);
        }
    }

    /// Takes clients that left out of the readers of a key that nobody changes. Now and then, so that it costs a read nothing;
    /// never waits for the clients' lock, whose holder may be waiting for the shard's.
    fn forget_gone(&self, readers: &mut Readers) {
        let Some(clients) = self.clients.try_read() else { return };
        let before = readers.len();
        readers.retain(|id| clients.contains_key(id));
        self.items_len.fetch_sub(before - readers.len(), Ordering::Relaxed);
    }

    /// Tells of every change. `origin` is the client that made them, if one did.
    fn tell(&self, registry: &Registry, changes: &[Change], origin: Option<u64>) {
        for key in changes.iter().filter_map(Change::key) {
            self.tell_readers(registry, key, origin);
        }
        if changes.iter().any(|change| change.key().is_none()) {
            self.tell_everybody(registry);
        }
        if !self.prefixes.read().is_empty() {
            self.broadcast(registry, changes, origin);
        }
    }

    fn tell_readers(&self, registry: &Registry, key: &[u8], origin: Option<u64>) {
        let Some(readers) = self.shard(key).lock().remove(key) else { return };
        self.forget(std::iter::once(&readers));
        let keys = [key];
        let news = News::keys(&keys);
        let clients = self.clients.read();
        for id in readers {
            if let Some(mode) = clients.get(&id).filter(|mode| !mode.is_bcast && !mode.spares(id, origin)) {
                send(registry, id, mode, &news);
            }
        }
    }

    fn tell_everybody(&self, registry: &Registry) {
        self.forget_keys();
        let news = News::everything();
        for (id, mode) in self.clients.read().iter() {
            send(registry, *id, mode, &news);
        }
    }

    /// One message per prefix and client, with all keys of this change in it.
    fn broadcast(&self, registry: &Registry, changes: &[Change], origin: Option<u64>) {
        let keys: BTreeSet<&[u8]> = changes.iter().filter_map(Change::key).collect();
        let clients = self.clients.read();
        for (prefix, ids) in self.prefixes.read().iter() {
            let keys: Vec<&[u8]> = keys.iter().copied().filter(|key| key.starts_with(prefix)).collect();
            if keys.is_empty() {
                continue;
            }
            let news = News::keys(&keys);
            for (id, mode) in ids.iter().filter_map(|id| Some((id, clients.get(id)?))) {
                if !mode.spares(*id, origin) {
                    send(registry, *id, mode, &news);
                }
            }
        }
    }
}

/// Sends news for client `id` to it or where it redirects them; not at all where they could not be told from replies.
fn send(registry: &Registry, id: u64, mode: &Mode, news: &News) {
    let Some(handle) = registry.get(mode.redirect.unwrap_or(id)) else {
        if let (Some(redirect), Some(owner)) = (mode.redirect, registry.get(id)) {
            owner.set_flag(HandleFlags::TRACKING_BROKEN, true);
            if owner.protocol.load(Ordering::Relaxed) == 3 {
                registry.push(id, &message::redirect_broken(redirect));
            }
        }
        return;
    };
    if handle.protocol.load(Ordering::Relaxed) == 3 {
        registry.push(handle.id, news.push());
    } else if mode.redirect.is_some() {
        registry.push(handle.id, news.message());
    }
}

/// What the executor does behind a handler while somebody tracks, with everything still latched: tells of what the command
/// changed and notes what it read.
#[cold]
pub(crate) fn after_command(call: &mut Call<'_>) {
    let (shared, id) = (call.shared, call.client.id);
    let changes = call.held.take_changes();
    if !changes.is_empty() {
        shared.tracking.tell(&shared.registry, &changes, Some(id));
    }
    let Some(mode) = &call.client.tracking else { return };
    if call.command.flags.contains(Flags::READONLY) && mode.notes(call.client.is_caching) {
        let keys_max = usize::try_from(shared.config.tracking_table_max_keys()).unwrap_or(usize::MAX);
        for key in call.command.key_indexes(call.args.len()).filter_map(|index| call.args.get(index)) {
            shared.tracking.remember(&shared.registry, id, key, keys_max);
        }
    }
    // CLIENT CACHING speaks of the next command, or of the whole transaction that the next command opens.
    let is_open = call.client.transaction.is_some() || call.client.is_in_exec;
    if !is_open && !call.row.full_name.starts_with("client|") {
        call.client.is_caching = false;
    }
}

/// What a thread does at each tick while somebody tracks: tells of keys of its stripes that expired by themselves.
pub(crate) fn after_tick(shared: &Shared, slot: u32) {
    let slots = u32::try_from(shared.workers.len()).unwrap_or(1);
    let changes = shared.keyspace.take_changes(slot, slots);
    if !changes.is_empty() {
        shared.tracking.tell(&shared.registry, &changes, None);
    }
}
