//! The invariants of a stripe, checked whole: for tests.

use super::{Latched, index, key_of};
use crate::Db;
use crate::entry::{Layout, ValuePlace};
use crate::index::{Entries, segment};
use std::collections::HashSet;

impl Latched<'_> {
    /// Panics where an invariant of the stripe does not hold. Returns the bytes that it is charged with.
    pub(crate) fn validate(&self) -> usize {
        let words = &self.stripe.words;
        let (mut named, mut blobs) = (HashSet::new(), HashSet::new());
        let (mut segments, mut directories) = (Vec::new(), Vec::new());
        for db in (0..self.stripe.tables.len() as u16).map(Db) {
            let Some(directory) = index::directory(&self.table(db).root) else {
                assert_eq!(self.stripe.len(db), 0, "a table without a directory has no keys");
                continue;
            };
            let (mut len, mut expires) = (0, 0);
            directories.push(1 << directory.depth);
            directory.for_each_segment(words, |part, _| {
                segments.push((part.block, part.units as usize));
                part.validate(words);
                for slot in part.slots(words) {
                    assert!(named.insert(slot.reference), "slot {} is named twice", slot.reference);
                    let bytes = self.data.slab.at(slot.reference);
                    assert_ne!(bytes[0], 0, "an index slot names a live entry");
                    if let ValuePlace::Blob(id) = Layout::of(bytes).value(bytes) {
                        assert!(blobs.insert(id), "blob {id} is named twice");
                    }
                    let has_expiry = Layout::of(bytes).has_expiry();
                    assert_eq!(has_expiry, slot.has_expiry, "the expiry bit tells the truth");
                    let position = self.data.reader().position(slot.reference);
                    assert_eq!(position.tag, slot.tag, "the tag is the hash's");
                    let place = index::find(words, &self.table(db).root, position, |found| found == slot.reference);
                    assert!(
                        place.is_some(),
                        "{:?} is found where it lies",
                        key_of(&self.data.slab, &self.data.blobs, slot.reference)
                    );
                    len += 1;
                    expires += u64::from(has_expiry);
                }
                assert!(part.units >= 1 && part.depth <= directory.depth);
                let _line = segment::bucket_at(words, part.bucket_offset(part.buckets() - 1));
            });
            assert_eq!((len, expires), (self.stripe.len(db), self.stripe.expires_len(db)), "counts of {db:?}");
        }
        assert_eq!(self.data.slab.live(), named, "every live slot is named");
        let data = &self.data;
        data.slab.validate() + data.blobs.validate(&blobs) + data.index.validate(&segments, &directories)
    }
}
