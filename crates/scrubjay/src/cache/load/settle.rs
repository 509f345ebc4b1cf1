//! The end of a load: what of it is stored, what is remembered of a failure, and who is told.
//!
//! Nothing of the user's runs under the stripe's lock: the entry is made before, and what it pushes out is handled after
//! those who wait have been told.

use super::super::settings::millis;
use super::super::write::bytes_of;
use super::super::{Left, Shared};
use crate::error::Error;
use crate::flight::{Answer, Lease, Scope, Stripe, Trouble};
use crate::key::Key;
use crate::memory::Reason;
use crate::options::Loaded;
use crate::stats::{Dropped, Place, Rare};
use std::time::Duration;

/// A refresh that has failed is not tried again for so long, where there is no fail-safe whose throttle says it: else every
/// hit on a stale entry would be a call of the loader.
const REFRESH_RETRY_MS: u64 = 1_000;

/// What became of a loaded value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Stored,
    /// By the loader's word, or since it may not be.
    NotStored,
    /// Its key was removed, inserted or invalidated meanwhile.
    Revoked,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Stores what a load has brought, if the lease still holds and no stamp has overtaken it, and tells those who wait.
    /// What is not to be stored takes the old value along: that is not the truth any more either.
    pub(super) fn settle(&self, lease: Lease<K, Answer<V>>, loaded: Loaded<V>, took: Duration) -> Settled {
        let (hash, born, value) = (lease.hash(), lease.begun().born, loaded.value.clone());
        let mut entering = self.prepare_loaded(lease.key().clone(), loaded, born, took).unwrap_or_else(|error| {
            self.counters.dropped(Place::Memory, Dropped::Invalid);
            tracing::warn!(
                cache = &*self.name,
                "a loaded value is not stored: its weight or an option is out of its limits"
            );
            // The text may name the key, and keys are for nobody's log.
            tracing::trace!(cache = &*self.name, %error, "a loaded value is not stored");
            None
        });
        let scope = match &entering {
            Some(entering) => Scope::Tags(entering.entry.value.tags.clone()),
            None => Scope::Unknown,
        };
        let is_valid = match &scope {
            Scope::Tags(tags) => self.stamps.is_valid(born, tags.as_deref()),
            Scope::Unknown => self.stamps.is_valid(born, None),
        };
        let (mut stripe, is_ours) = lease.finish();
        let (mut left, mut settled) = (None, Settled::Revoked);
        if is_ours && is_valid {
            settled = if entering.is_some() { Settled::Stored } else { Settled::NotStored };
            stripe.forget_trouble(lease.key());
            left = match entering.take() {
                Some(entering) => Some(self.store(&mut stripe, hash, entering)),
                None => self.supersede(&mut stripe, hash, lease.key()),
            };
        }
        drop(stripe);
        if settled == Settled::Revoked {
            self.counters.count_rare(Rare::Revoked);
        }
        lease.land(Answer { result: Ok(value), scope });
        drop(entering);
        if let Some(left) = left {
            self.let_go(left);
        }
        settled
    }

    /// Remembers the failure as far as the settings ask for it, and tells those who wait.
    pub(super) fn settle_failed(&self, lease: Lease<K, Answer<V>>, error: &Error) {
        let key = lease.key().clone();
        let now_ms = self.clock.now_ms();
        let refreshes = self.settings.stale_while_revalidate_ms > 0 || self.settings.refresh_ahead > 0.0;
        let throttle_ms = match &self.settings.fail_safe {
            Some(fail_safe) => millis(fail_safe.throttle),
            None if refreshes => REFRESH_RETRY_MS,
            None => 0,
        };
        let trouble = Trouble {
            error: error.clone(),
            back_off_until_ms: now_ms + self.settings.error_backoff.map_or(0, millis),
            throttle_until_ms: now_ms + throttle_ms,
        };
        let (mut stripe, is_ours) = lease.finish();
        if is_ours {
            stripe.note_trouble(key, trouble, now_ms);
        }
        drop(stripe);
        lease.land(Answer { result: Err(error.clone()), scope: Scope::Unknown });
    }

    /// Takes the key out of the tiers: the loader has said something newer, and that is not to be stored.
    fn supersede(&self, stripe: &mut Stripe<'_, K, Answer<V>>, hash: u64, key: &K) -> Option<Left<'_, K, V>> {
        let departed = self.memory.remove_if(hash, key, Reason::Replaced, |_| true);
        if self.has_below() {
            let key_bytes = bytes_of(key);
            if let Some(compressed) = &self.compressed {
                compressed.tier.replaced(hash, &key_bytes);
            }
            if let Some(disk) = &self.disk {
                disk.tier.replace(&key_bytes, None);
            }
        }
        stripe.raise();
        departed.map(Left::from)
    }
}
