//! What keeps the tiers of this process honest while others change what is shared.
//!
//! Two things may make what lies above the shared tiers old: another process, and a change of our own that is on its way.
//!
//! **Another process.** [`Hearing`] is what the remote tier tells. A key that was changed elsewhere is taken out exactly as a removal
//! here would: stripe, flight, memory, compressed, disk, epoch. So a load that read before the news is not stored, and what a
//! lookup read before it does not go up. A foreign stamp goes into the cache's own [`Stamps`](crate::tags::Stamps); that is the whole
//! price of a `clear` or a tag, however many entries there are. What may not be trusted any more, since nothing was heard, is a stamp, too.
//!
//! **Ourselves.** A change takes hold here first and in the shared tier a round trip later. Between the two a lookup may find the old value
//! there, and the news that the shared tier sends of our own change is not believed (the remote tier compares it with what was
//! written). So:
//! 1. The change is registered ([`Underway`]) under the lock of the key's stripe, together with the change of the tiers above.
//! 2. As long as it is registered, nothing of the key is read from a shared tier by a lookup, and nothing goes up, whoever has
//!    read it.
//! 3. When the shared tier has answered, or will not, the stripe is locked again: a flight that began meanwhile is revoked, since it
//!    may have read the old value there, and who asks from now on may not get it; the epoch is raised, since a lookup may have set
//!    out meanwhile; the registration goes.
//! 4. Changes of one key that overlap may be in one order here and in another there. When the last of them ends, the key is taken out
//!    of the tiers of this process, and is fetched from the shared tier again.
//!
//! What a load brings needs no registration: its flight does the same. It is in the stripe until the value is stored, which happens
//! after the shared tier has confirmed it, and only if nobody took the flight away, be it a caller here or the news from elsewhere. So
//! a foreign change that comes between the confirmation and the store wins.
//!
//! A call whose caller goes away is not left half done: what remains goes on as a task of the cache ([`ToItsEnd`]).

use super::tasks::Tasks;
use super::write::Own;
use super::{Left, Shared};
use crate::flight::{Answer, Stripe};
use crate::key::Key;
use crate::memory::{Epochs, Reason};
use crate::remote::{self, Above};
use crate::tags::Mark;
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

/// Changes of a stripe's keys that are on their way.
type Changes = HashMap<Box<[u8]>, OfKey, ahash::RandomState>;

/// Changes of one key that are on their way.
#[derive(Clone, Copy, Debug, Default)]
struct OfKey {
    count: usize,
    /// There were others at the same time, since there was none.
    have_overlapped: bool,
}

/// The changes of this process that the shared tiers have not answered yet, by stripe. Its locks are leaves.
pub(super) struct Underway {
    stripes: Box<[Mutex<Changes>]>,
    /// The stamps among them.
    marks: Mutex<Vec<Mark>>,
}

impl Underway {
    pub(super) fn new(epochs: &Epochs) -> Underway {
        Underway { stripes: (0..epochs.len()).map(|_| Mutex::default()).collect(), marks: Mutex::default() }
    }

    /// The stripe is locked.
    fn begin(&self, stripe: usize, key_bytes: &[u8]) {
        let mut changes = self.stripes[stripe].lock();
        let of_key = changes.entry(key_bytes.into()).or_default();
        of_key.count += 1;
        of_key.have_overlapped |= of_key.count > 1;
    }

    /// The stripe is locked. Whether this was the last of changes that have overlapped.
    fn end(&self, stripe: usize, key_bytes: &[u8]) -> bool {
        let mut changes = self.stripes[stripe].lock();
        let Some(of_key) = changes.get_mut(key_bytes) else { return false };
        of_key.count -= 1;
        let OfKey { count, have_overlapped } = *of_key;
        if count == 0 {
            changes.remove(key_bytes);
        }
        count == 0 && have_overlapped
    }

    fn has(&self, stripe: usize, key_bytes: &[u8]) -> bool {
        self.stripes[stripe].lock().contains_key(key_bytes)
    }
}

/// A stamp of our own that is registered; until this is dropped.
pub(super) struct Marking<'a> {
    underway: Option<&'a Underway>,
    mark: Mark,
}

impl Drop for Marking<'_> {
    fn drop(&mut self) {
        let Some(underway) = self.underway else { return };
        let mut marks = underway.marks.lock();
        if let Some(at) = marks.iter().position(|mark| *mark == self.mark) {
            marks.swap_remove(at);
        }
    }
}

/// A change that is registered; until this is dropped.
pub(super) struct Changing<K: Key, V: Clone + Send + Sync + 'static> {
    shared: Arc<Shared<K, V>>,
    hash: u64,
    key: K,
    pub(super) key_bytes: Vec<u8>,
    /// Of a removal: the object tier had something.
    pub(super) was_in_objects: bool,
    /// The remote tier does not read it either.
    _unread: Option<remote::Changing>,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Drop for Changing<K, V> {
    fn drop(&mut self) {
        let Some(underway) = &self.shared.underway else { return };
        let shared = &*self.shared;
        let mut stripe = shared.leases.lock(self.hash);
        stripe.revoke(&self.key);
        let have_overlapped = underway.end(shared.epochs.stripe(self.hash), &self.key_bytes);
        // The object tier has the order of this process: its changes are queued with the stripe locked.
        if have_overlapped && shared.remote.is_some() {
            let (left, _) = shared.take_out(&mut stripe, self.hash, &self.key, &self.key_bytes);
            drop(stripe);
            return shared.let_go(left);
        }
        stripe.raise();
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Registers a change of the key, with its stripe locked and the tiers above changed. To be dropped without that lock.
    pub(super) fn begin_change(
        self: &Arc<Self>,
        _locked: &Stripe<'_, K, Answer<V>>,
        hash: u64,
        key: K,
        key_bytes: Vec<u8>,
    ) -> Changing<K, V> {
        if let Some(underway) = &self.underway {
            underway.begin(self.epochs.stripe(hash), &key_bytes);
        }
        let unread = self.remote.as_ref().map(|remote| remote.tier.changing(std::slice::from_ref(&key_bytes)));
        Changing { shared: Arc::clone(self), hash, key, key_bytes, was_in_objects: false, _unread: unread }
    }

    /// Registers a stamp.
    pub(super) fn begin_mark(&self, mark: Mark) -> Marking<'_> {
        let underway = self.underway.as_ref();
        if let Some(underway) = underway {
            underway.marks.lock().push(mark);
        }
        Marking { underway, mark }
    }

    /// Whether a change of the key is on its way to the shared tiers: then what is there may be old.
    pub(super) fn is_underway(&self, hash: u64, key_bytes: &[u8]) -> bool {
        self.underway.as_ref().is_some_and(|underway| underway.has(self.epochs.stripe(hash), key_bytes))
    }

    /// Another process has changed the key: what is here of it goes, and no load that began before may store.
    fn changed_elsewhere(self: &Arc<Self>, key_bytes: &[u8]) {
        let Some(key) = K::decode(key_bytes) else { return };
        let hash = self.memory.hash(&key);
        let mut suspicion = None;
        let left = {
            let mut stripe = self.leases.lock(hash);
            stripe.revoke(&key);
            if let Some(object) = &self.object {
                suspicion = Some(object.tier.suspect(key_bytes));
            }
            let (left, would_serve) = self.take_out(&mut stripe, hash, &key, key_bytes);
            if would_serve {
                self.avoided.by_key();
            }
            left
        };
        self.let_go(left);
        if let Some(suspicion) = suspicion {
            self.judge_behind(key_bytes, suspicion);
        }
    }

    /// Takes the key out of the tiers of this process, and raises the stripe. Whether one of them would have served it.
    fn take_out(
        &self,
        stripe: &mut Stripe<'_, K, Answer<V>>,
        hash: u64,
        key: &K,
        key_bytes: &[u8],
    ) -> (Left<'_, K, V>, bool) {
        let own = Own { stripe: self.epochs.stripe(hash), epoch: stripe.epoch() };
        let would_serve = Cell::new(false);
        let departed = self.memory.remove_if(hash, key, Reason::Removed, |stored| {
            would_serve.set(self.would_serve(stored));
            true
        });
        if let Some(compressed) = &self.compressed {
            compressed.tier.remove_if(hash, key_bytes, |kept| {
                let is_valid = self.stamps.is_valid_named(kept.born, kept.tags);
                would_serve.set(would_serve.get() || (is_valid && !self.clock.is_past(kept.times.fresh_until_ms)));
                true
            });
        }
        if let Some(disk) = &self.disk {
            would_serve.set(disk.tier.remove(key_bytes) || would_serve.get());
        }
        stripe.raise();
        let departed = departed.unwrap_or_else(|| self.memory.nothing_departed());
        (Left { departed, own: Some(own), is_owed: false }, would_serve.get())
    }
}

/// What the remote tier tells a cache. It does not keep the cache alive.
pub(super) struct Hearing<K, V> {
    cache: Weak<Shared<K, V>>,
}

impl<K, V> Hearing<K, V> {
    pub(super) fn of(cache: &Arc<Shared<K, V>>) -> Arc<Hearing<K, V>> {
        Arc::new(Hearing { cache: Arc::downgrade(cache) })
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Above for Hearing<K, V> {
    fn changed(&self, key: &[u8]) {
        if let Some(shared) = self.cache.upgrade() {
            shared.changed_elsewhere(key);
        }
    }

    fn marked(&self, mark: Mark) {
        let Some(shared) = self.cache.upgrade() else { return };
        if !shared.underway.as_ref().is_some_and(|underway| underway.marks.lock().contains(&mark)) {
            shared.hear_of(mark);
        }
        match mark {
            Mark::Floor(place) => shared.stamps.invalidate_place(place),
            Mark::Cleared => shared.stamps.clear(),
        }
        if shared.underway.as_ref().is_some_and(|underway| underway.marks.lock().contains(&mark)) {
            return;
        }
        if let Some(object) = &shared.object {
            object.tier.heard(mark);
        }
        if mark == Mark::Cleared {
            // The stamp says it all; this gives the room back, which takes a while.
            let tasks = shared.tasks.clone();
            drop(tasks.runtime().spawn_blocking(move || shared.give_room_back()));
        }
    }

    fn distrusted(&self) {
        if let Some(shared) = self.cache.upgrade() {
            shared.hear_of(Mark::Cleared);
            shared.stamps.clear();
            if let Some(object) = &shared.object {
                object.tier.distrust();
            }
        }
    }
}

/// Work that is done to its end: where it is awaited, as long as somebody awaits it, and else as a task of the cache.
pub(super) struct ToItsEnd<R: 'static> {
    work: Option<Pin<Box<dyn Future<Output = R> + Send>>>,
    tasks: Tasks,
}

impl<R: 'static> ToItsEnd<R> {
    pub(super) fn new(tasks: &Tasks, work: impl Future<Output = R> + Send + 'static) -> ToItsEnd<R> {
        ToItsEnd { work: Some(Box::pin(work)), tasks: tasks.clone() }
    }
}

impl<R: 'static> Future for ToItsEnd<R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<R: 'static> Drop for ToItsEnd<R> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            // A cache that is closed meanwhile drops it.
            let _ = self.tasks.spawn(async move { drop(work.await) });
        }
    }
}

#[cfg(test)]
mod tests;
