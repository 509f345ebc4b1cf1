//! What is done to the tier as a whole: its stamps are written down, it is cleared, flushed and closed.

use super::DiskTier;
use crate::disk::Durability;
use crate::disk::attached::Attached;
use crate::disk::counters::Count;
use crate::disk::folder::error_of;
use crate::error::Error;
use crate::tags::Mark;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a close waits for those who read, which the device may hold.
const GONE_MAX: Duration = Duration::from_secs(5);

/// # The whole tier
impl DiskTier {
    /// A raise of the cache's sequence: the [`Journal`](crate::tags::Journal) of its stamps.
    pub(crate) fn write_down(&self, mark: Mark, to: u64) {
        let is_closed = self.is_closed.read();
        let mut ledger = self.ledger.lock();
        ledger.raise(mark, to, self.unix_ms());
        let Some(attached) = self.attached().filter(|_| !*is_closed) else { return };
        let owes_all = self.owes_stamps.load(Ordering::Acquire);
        let written = if owes_all { ledger.write_all(&attached.stamps) } else { ledger.write_last(&attached.stamps) };
        self.owes_stamps.store(written.is_err(), Ordering::Release);
        if let Err(error) = written {
            self.counters.one(Count::Unsettled);
            if !owes_all {
                tracing::warn!(cache = &*self.name, %error, "invalidations are not written down until the device works");
            }
        }
    }

    /// Writes down what could not be written when it was raised.
    fn write_owed(&self, attached: &Attached) -> Result<(), Error> {
        if self.owes_stamps.load(Ordering::Acquire) {
            let ledger = self.ledger.lock();
            ledger.write_all(&attached.stamps)?;
            self.owes_stamps.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Takes everything out. The cache's stamp was raised before. Blocks.
    pub(crate) fn clear(&self) {
        let is_closed = self.is_closed.read();
        if *is_closed {
            return;
        }
        let mut missed = self.missed.lock();
        let Some(attached) = self.attached() else {
            missed.is_all = true;
            return;
        };
        drop(missed);
        if let Err(error) = attached.entries.clear() {
            // The stamp says the same, so nothing of it is ever served.
            tracing::warn!(cache = &*self.name, %error, "the namespace is not cleared on disk");
            self.counters.one(Count::Unsettled);
        }
    }

    /// Hands what waits to the operating system, or makes it durable. Blocks.
    ///
    /// # Errors
    /// `Unavailable`: the device fails or does not answer.
    pub(crate) fn flush(&self, is_synced: bool) -> Result<(), Error> {
        let Some(attached) = self.attached() else { return Ok(()) };
        self.write_owed(&attached)?;
        let Some(store) = attached.seat.store() else { return Ok(()) };
        let flushed = if is_synced { store.sync() } else { store.flush() };
        flushed.map_err(|error| error_of(&error))
    }

    /// From now on nothing is found or changed here; what waits is written, and the folder let go. Blocks.
    pub(crate) fn close(&self) {
        *self.is_closed.write() = true;
        let Some(attached) = self.attached() else { return };
        let mut ledger = self.ledger.lock();
        ledger.saw(self.unix_ms());
        let written = ledger.write_all(&attached.stamps);
        drop(ledger);
        if self.disk.removals == Durability::Synced {
            // What fails here fails in the next step too, and is said there.
            let _ = self.flush(true);
        }
        self.attached.store(None);
        let left = match Arc::try_unwrap(attached) {
            Ok(Attached { entries, stamps, seat, gone: _ }) => {
                drop((entries, stamps));
                seat.leave()
            }
            Err(attached) => {
                // Somebody reads still. The store ends all the same, and the folder is free when they have noticed.
                let told = Arc::clone(&attached.gone.told);
                let left = attached.seat.leave();
                drop(attached);
                let mut is_gone = told.0.lock();
                if !*is_gone {
                    told.1.wait_for(&mut is_gone, GONE_MAX);
                }
                left
            }
        };
        if let Err(error) = written.and(left) {
            tracing::warn!(cache = &*self.name, %error, "what waited to be written to disk is lost");
            self.counters.one(Count::Unsettled);
        }
    }

    /// The tier could not be opened again.
    pub(crate) fn still_away(&self, error: &Error) {
        *self.away.lock() = Some(error.to_string());
    }
}

impl Drop for DiskTier {
    /// Letting the folder go may wait for the device, and this may be a thread of a runtime.
    fn drop(&mut self) {
        if let Some(attached) = self.attached.swap(None) {
            attached.seat.about_to_leave();
            // Where the runtime is gone, this drops it here and now.
            drop(self.runtime.spawn_blocking(move || drop(attached)));
        }
    }
}
