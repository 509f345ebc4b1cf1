//! Walks over a latched stripe: SCAN, every key, a random key, the search for expired keys.

use super::{Latched, bump, index};
use crate::index::Entries;
use crate::index::bucket::{self, Slot};
use crate::index::segment::{Segment, bucket_at};
use crate::{Db, Entry};

/// Buckets that cost the search for expired keys as much as one entry does.
const BUCKETS_PER_ENTRY: usize = 8;

/// Where the search for expired keys of a stripe goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExpiryWalk {
    db: u16,
    prefix: usize,
}

/// Where a SCAN stands in one stripe: everything before segment `prefix` (of `depth` bits), and in it everything with a tag
/// below `tag`, was visited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StripeCursor {
    pub(crate) prefix: u32,
    pub(crate) depth: u32,
    pub(crate) tag: u16,
}

impl Latched<'_> {
    /// Visits keys from `cursor` on until `left` is used up. Returns where to go on, or `None` at the end of the stripe.
    pub(crate) fn scan(
        &mut self,
        db: Db,
        cursor: StripeCursor,
        left: &mut usize,
        now_ms: u64,
        visit: &mut impl FnMut(&[u8], Entry<'_>),
    ) -> Option<StripeCursor> {
        let directory = index::directory(&self.table(db).root)?;
        let words = &self.stripe.words;
        // The cursor's prefix in the directory of today.
        let mut prefix = match directory.depth.checked_sub(cursor.depth) {
            Some(more) => (cursor.prefix as usize) << more,
            None => cursor.prefix as usize >> (cursor.depth - directory.depth),
        };
        let mut tag = u32::from(cursor.tag);
        while prefix < 1 << directory.depth {
            let segment = directory.segment(words, prefix);
            let covered = 1 << (directory.depth - segment.depth);
            prefix = prefix / covered * covered;
            if segment.depth != cursor.depth {
                // Split or joined since: the tag says nothing of this segment, so it is visited from its start.
                tag = 0;
            }
            for home in segment.home(tag as u16)..segment.buckets() {
                if *left == 0 {
                    let number = u32::try_from(prefix / covered).ok()?;
                    return Some(StripeCursor {
                        prefix: number,
                        depth: segment.depth,
                        tag: segment.first_tag(home) as u16,
                    });
                }
                let seen = self.visit_all(segment.slots_of_home(words, home), now_ms, visit);
                *left = left.saturating_sub(seen);
            }
            tag = 0;
            prefix += covered;
        }
        None
    }

    pub(crate) fn for_each(&mut self, db: Db, now_ms: u64, visit: &mut impl FnMut(&[u8], Entry<'_>)) {
        if let Some(directory) = index::directory(&self.table(db).root) {
            directory.for_each_segment(&self.stripe.words, |segment, _| {
                self.visit_all(segment.slots(&self.stripe.words), now_ms, visit);
            });
        }
    }

    fn visit_all(
        &self,
        slots: impl Iterator<Item = Slot>,
        now_ms: u64,
        visit: &mut impl FnMut(&[u8], Entry<'_>),
    ) -> usize {
        let mut seen = 0;
        for slot in slots {
            seen += 1;
            let entry = self.data.view(slot.reference, now_ms);
            if entry.expires_at_ms.is_none_or(|at| at > now_ms) {
                visit(super::key_of(&self.data.slab, &self.data.blobs, slot.reference), entry);
            }
        }
        seen
    }

    /// A key at random: a random bucket of a random segment, and on from there to the next key that is not over.
    pub(crate) fn random_key(&mut self, db: Db, random: u64, now_ms: u64) -> Option<Vec<u8>> {
        let directory = index::directory(&self.table(db).root)?;
        let words = &self.stripe.words;
        let size = 1_usize << directory.depth;
        let mut picked = None;
        let mut random = random;
        for step in 0..size {
            let segment = directory.segment(words, (random as usize).wrapping_add(step) & (size - 1));
            let first = (random >> 32) as u32 % segment.buckets();
            for distance in 0..segment.buckets() {
                let bucket = bucket_at(words, segment.bucket_offset((first + distance) % segment.buckets()));
                let mut keys = Vec::new();
                self.visit_all(bucket::bits(bucket.taken()).map(|slot| bucket.slot(slot)), now_ms, &mut |key, _| {
                    keys.push(key.to_vec());
                });
                if !keys.is_empty() {
                    let at = (random >> 16) as usize % keys.len();
                    picked = Some(keys.swap_remove(at));
                    break;
                }
            }
            if picked.is_some() {
                break;
            }
            random = random.rotate_left(7);
        }
        picked
    }

    /// Removes expired keys from where the last call ended, looking at up to `left` entries that have an expiry (fewer
    /// where they are rare: bare buckets count as well), and at every segment once at most. Returns how many were looked at and how many removed.
    pub(crate) fn expire_some(&mut self, now_ms: u64, left: usize) -> (usize, usize) {
        self.settle();
        let (mut seen, mut removed, mut effort) = (0, 0, 0);
        let databases = self.stripe.tables.len() as u16;
        let mut walk = self.data.expiry_walk;
        let first = walk.db % databases;
        let mut db = first;
        loop {
            let directory = index::directory(&self.table(Db(db)).root);
            if let Some(directory) = directory.filter(|_| self.stripe.expires_len(Db(db)) > 0) {
                while walk.prefix < 1 << directory.depth && effort < left {
                    let segment = directory.segment(&self.stripe.words, walk.prefix);
                    let covered = 1 << (directory.depth - segment.depth);
                    let (looked, over) = self.expire_segment(Db(db), segment, now_ms);
                    seen += looked;
                    // Where few keys have an expiry, what costs is the buckets that have none.
                    effort += looked.max(segment.buckets() as usize / BUCKETS_PER_ENTRY);
                    removed += over;
                    walk.prefix = walk.prefix / covered * covered + covered;
                    self.settle();
                }
                if walk.prefix < 1 << directory.depth {
                    break;
                }
            }
            walk.prefix = 0;
            db = (db + 1) % databases;
            if db == first {
                break;
            }
        }
        walk.db = db;
        self.data.expiry_walk = walk;
        (seen, removed)
    }

    fn expire_segment(&mut self, db: Db, segment: Segment, now_ms: u64) -> (usize, usize) {
        let mut over = Vec::new();
        let mut seen = 0;
        for slot in segment.slots(&self.stripe.words).filter(|slot| slot.has_expiry) {
            seen += 1;
            if self.data.view(slot.reference, now_ms).expires_at_ms.is_some_and(|at| at <= now_ms) {
                over.push(slot.reference);
            }
        }
        for reference in &over {
            let position = self.data.reader().position(*reference);
            let root = &self.table(db).root;
            let Some(place) = index::find(&self.stripe.words, root, position, |found| found == *reference) else {
                continue;
            };
            if self.is_heard() {
                let key = super::key_of(&self.data.slab, &self.data.blobs, *reference).to_vec();
                self.touched(db, &key);
            }
            self.remove_at(db, position, &place);
            bump(&self.stripe.expired, 1);
        }
        (seen, over.len())
    }
}
