//! What is counted beside the entries, shard by shard: plain numbers, since the shard's lock is held anyway.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

macro_rules! tally {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts since the store was opened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Tally {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        impl AddAssign for Tally {
            fn add_assign(&mut self, other: Tally) {
                $(self.$name = self.$name.wrapping_add(other.$name);)*
            }
        }
    };
}

tally! {
    /// Gets that found what they asked for.
    hits,
    /// Gets that found nothing: no entry, or one of those below.
    misses,
    /// Gets that met an entry past its time.
    expired,
    /// Gets that met the entry of a namespace cleared since.
    cleared,
    /// Gets that met the entry of another key with the same hash.
    collided,
    /// Gets that met a record which does not verify.
    corrupt,
    /// Gets whose record could not be read, for the device.
    unreadable,
    /// Values stored.
    puts,
    /// Bytes of their records.
    put_bytes,
    /// Values that another version of the same hash made way for.
    replaced,
    /// Bytes of the records that they left behind.
    replaced_bytes,
    /// Values removed by the caller.
    removes,
    /// Removals written to the log.
    tombstones,
    /// Bytes of their records.
    tombstone_bytes,
    /// Values dropped because the queue was full.
    dropped_full,
    /// Values that admission kept out.
    dropped_not_admitted,
    /// Values that no segment can hold.
    dropped_too_large,
    /// Values that came while the device failed.
    dropped_failing,
    /// Entries that lost their place while they were live.
    evicted,
    /// Bytes of their records.
    evicted_bytes,
    /// Entries found past their time when their segment was reclaimed.
    reclaimed_expired,
    /// Live entries that reclaim wrote again.
    reinserted,
    /// Bytes of their records.
    reinserted_bytes,
}

impl Add for Tally {
    type Output = Tally;

    fn add(mut self, other: Tally) -> Tally {
        self += other;
        self
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(tallies: I) -> Tally {
        tallies.fold(Tally::default(), Add::add)
    }
}
