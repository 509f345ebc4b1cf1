//! What was invalidated, and when: stamps that decide in O(1) whether an entry still counts.
//!
//! Idea: a cache has one **sequence**. `clear` and `remove_by_tag` raise it and write the new number down: as the cache's
//! `cleared_at`, or as the tag's `invalidated`. Every entry carries the number that the sequence had when its load or
//! insert *began* (`born`). It is valid if nothing that concerns it was written down since. So an invalidation touches no
//! entry, however many there are, and wins against each load that began before it, wherever that load is now.
//!
//! An entry holds its tags by pointer, so the check is a read per tag. The registry, by name, is for who attaches a tag and
//! who invalidates one. Tags that no entry in memory holds are swept when the registry has doubled. A load that began before,
//! or an entry in a lower tier, which has its tags by name, may still bring a swept tag back. The **floors** remember: a tag
//! starts with the highest stamp ever swept of a tag whose name falls into the same of [`FLOORS`] places. A name that
//! shares a place with another may so lose an entry that was still good; never the other way.
//!
//! A cache with a disk tier outlives its process. It [loads](Stamps::load) what was stamped before, by the places of the
//! floors, and has a [`Journal`] told of each raise before anybody can be born with the new number: an entry that is found
//! after a restart never has a number of which the stamps know nothing.
//!
//! A cache with a tier that other processes share hears of their invalidations too, and not by name: by the place of the
//! [floor](Stamps::invalidate_place). The registry knows then which tags fall into which place, so that such a message costs the same
//! however many tags there are.
//!
//! **Invariant:** for a name there is at most one [`Tag`] that anybody holds, the one in the registry.

use crate::error::Error;
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tags that one entry may have.
pub(crate) const TAGS_MAX: usize = 64;

/// Bytes of a tag's name.
pub(crate) const TAG_BYTES_MAX: usize = 256;

/// Places for the stamps of swept tags. They take 64 KiB, from the first sweep on.
pub(crate) const FLOORS: u16 = 8192;

/// Tags below which the registry is not swept.
const SWEEP_MIN: usize = 1024;

/// A name that entries share, and when it was last invalidated.
#[derive(Debug)]
pub(crate) struct Tag {
    name: Arc<str>,
    invalidated: AtomicU64,
}

/// The tags of one entry: none twice.
#[derive(Clone, Debug)]
pub(crate) struct TagSet {
    tags: Box<[Arc<Tag>]>,
}

impl TagSet {
    /// Whether none of them was invalidated since `born`.
    pub(crate) fn is_valid(&self, born: u64) -> bool {
        self.tags.iter().all(|tag| tag.invalidated.load(Ordering::Acquire) <= born)
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(|tag| &*tag.name)
    }

    /// Bytes that they take in the entry. The names are the registry's.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<TagSet>() + self.tags.len() * size_of::<Arc<Tag>>()
    }
}

/// What a raise of the sequence is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mark {
    /// The whole cache was cleared.
    Cleared,
    /// A tag was invalidated whose floor lies at this place.
    Floor(u16),
}

/// Told of each raise, and to which number, before the sequence has it. Called by one thread at a time.
pub(crate) type Journal = Box<dyn Fn(Mark, u64) + Send + Sync>;

/// What was stamped before this process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamped {
    /// No entry was born with a higher number.
    pub(crate) sequence: u64,
    pub(crate) cleared_at: u64,
    /// One for each place that has one.
    pub(crate) floors: Vec<(u16, u64)>,
}

/// The sequence of a cache, its tags, and when all of it was last cleared.
pub(crate) struct Stamps {
    sequence: AtomicU64,
    journal: Option<Mutex<Journal>>,
    /// Apart from what is written more often: every hit reads it.
    cleared_at: CachePadded<AtomicU64>,
    registry: Mutex<Registry>,
}

#[derive(Debug)]
struct Registry {
    tags: HashMap<Arc<str>, Arc<Tag>, ahash::RandomState>,
    /// None before the first sweep.
    floors: Vec<u64>,
    sweep_at: usize,
    /// The names that fall into a place, where places are invalidated.
    by_place: Option<HashMap<u16, Vec<Arc<str>>, ahash::RandomState>>,
}

impl Stamps {
    pub(crate) fn new() -> Stamps {
        Stamps::with(None)
    }

    /// Stamps whose raises are written down.
    pub(crate) fn written_down(journal: Journal) -> Stamps {
        Stamps::with(Some(Mutex::new(journal)))
    }

    fn with(journal: Option<Mutex<Journal>>) -> Stamps {
        let registry = Registry { tags: HashMap::default(), floors: Vec::new(), sweep_at: SWEEP_MIN, by_place: None };
        let (sequence, cleared_at) = (AtomicU64::new(0), CachePadded::default());
        Stamps { sequence, journal, cleared_at, registry: Mutex::new(registry) }
    }

    /// From now on [`invalidate_place`](Stamps::invalidate_place) may be called.
    pub(crate) fn share(&self) {
        let mut registry = self.registry.lock();
        let mut by_place: HashMap<u16, Vec<Arc<str>>, ahash::RandomState> = HashMap::default();
        for name in registry.tags.keys() {
            by_place.entry(place(name)).or_default().push(Arc::clone(name));
        }
        registry.by_place = Some(by_place);
    }

    /// Takes over what was stamped before. What is stamped here already stays.
    pub(crate) fn load(&self, stamped: &Stamped) {
        let raising = self.journal.as_ref().map(|journal| journal.lock());
        self.sequence.fetch_max(stamped.sequence, Ordering::AcqRel);
        self.cleared_at.fetch_max(stamped.cleared_at, Ordering::AcqRel);
        self.registry.lock().load(&stamped.floors);
        drop(raising);
    }

    /// What an entry is born with whose load or insert begins now.
    pub(crate) fn born(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Whether nothing that concerns the entry was invalidated since it was born.
    #[inline]
    pub(crate) fn is_valid(&self, born: u64, tags: Option<&TagSet>) -> bool {
        born >= self.cleared_at.load(Ordering::Acquire) && tags.is_none_or(|tags| tags.is_valid(born))
    }

    /// The same for an entry that has its tags by name.
    pub(crate) fn is_valid_named<'a>(&self, born: u64, mut names: impl Iterator<Item = &'a str>) -> bool {
        if born < self.cleared_at.load(Ordering::Acquire) {
            return false;
        }
        let Some(first) = names.next() else { return true };
        let registry = self.registry.lock();
        std::iter::once(first).chain(names).all(|name| registry.invalidated(name) <= born)
    }

    /// From now on nothing counts that was born before.
    pub(crate) fn clear(&self) {
        let now = self.raise(Mark::Cleared);
        self.cleared_at.fetch_max(now, Ordering::AcqRel);
    }

    /// From now on nothing counts, ever.
    pub(crate) fn close(&self) {
        self.cleared_at.store(u64::MAX, Ordering::Release);
    }

    /// From now on nothing with that tag counts that was born before.
    ///
    /// # Errors
    /// The name is empty or too long.
    pub(crate) fn invalidate(&self, name: &str) -> Result<(), Error> {
        check_name(name)?;
        let tag = self.registry.lock().tag(name);
        let now = self.raise(Mark::Floor(place(name)));
        tag.invalidated.fetch_max(now, Ordering::AcqRel);
        Ok(())
    }

    /// The same for every tag whose floor lies at that place: another process has invalidated one of them.
    pub(crate) fn invalidate_place(&self, place: u16) {
        let now = self.raise(Mark::Floor(place));
        self.registry.lock().raise_place(place, now);
    }

    /// The tags of these names; `None` for no names.
    ///
    /// # Errors
    /// A name is empty or too long, or there are too many.
    pub(crate) fn tags(&self, names: &[impl AsRef<str>]) -> Result<Option<Box<TagSet>>, Error> {
        if names.is_empty() {
            return Ok(None);
        }
        if names.len() > TAGS_MAX {
            return Err(Error::invalid(format!("tags are {}, must be at most {TAGS_MAX} per entry", names.len())));
        }
        names.iter().try_for_each(|name| check_name(name.as_ref()))?;
        let mut tags: Vec<Arc<Tag>> = Vec::with_capacity(names.len());
        let mut registry = self.registry.lock();
        for name in names {
            let tag = registry.tag(name.as_ref());
            if !tags.iter().any(|other| Arc::ptr_eq(other, &tag)) {
                tags.push(tag);
            }
        }
        Ok(Some(Box::new(TagSet { tags: tags.into_boxed_slice() })))
    }

    /// Tags that are remembered.
    #[cfg(test)]
    pub(crate) fn tags_len(&self) -> usize {
        self.registry.lock().tags.len()
    }

    fn raise(&self, mark: Mark) -> u64 {
        let Some(journal) = &self.journal else { return self.sequence.fetch_add(1, Ordering::AcqRel) + 1 };
        let journal = journal.lock();
        let now = self.sequence.load(Ordering::Acquire) + 1;
        journal(mark, now);
        self.sequence.store(now, Ordering::Release);
        now
    }
}

impl Registry {
    fn tag(&mut self, name: &str) -> Arc<Tag> {
        if let Some(tag) = self.tags.get(name) {
            return Arc::clone(tag);
        }
        if self.tags.len() >= self.sweep_at {
            self.sweep();
        }
        let name: Arc<str> = Arc::from(name);
        let floor = self.floor(&name);
        let tag = Arc::new(Tag { name: Arc::clone(&name), invalidated: AtomicU64::new(floor) });
        if let Some(by_place) = &mut self.by_place {
            by_place.entry(place(&name)).or_default().push(Arc::clone(&name));
        }
        self.tags.insert(name, Arc::clone(&tag));
        tag
    }

    /// The floor first: who attaches a tag that is not there meanwhile waits for the registry.
    fn raise_place(&mut self, place: u16, stamp: u64) {
        self.floors.resize(usize::from(FLOORS), 0);
        if let Some(floor) = self.floors.get_mut(usize::from(place)) {
            *floor = (*floor).max(stamp);
        }
        let names = self.by_place.as_ref().and_then(|by_place| by_place.get(&place));
        for tag in names.into_iter().flatten().filter_map(|name| self.tags.get(name)) {
            tag.invalidated.fetch_max(stamp, Ordering::AcqRel);
        }
    }

    fn invalidated(&self, name: &str) -> u64 {
        self.tags.get(name).map_or_else(|| self.floor(name), |tag| tag.invalidated.load(Ordering::Acquire))
    }

    /// The stamp with which a tag of this name starts that is not in the registry.
    fn floor(&self, name: &str) -> u64 {
        self.floors.get(usize::from(place(name))).copied().unwrap_or(0)
    }

    fn load(&mut self, floors: &[(u16, u64)]) {
        if floors.is_empty() {
            return;
        }
        self.floors.resize(usize::from(FLOORS), 0);
        for (place, stamp) in floors {
            if let Some(floor) = self.floors.get_mut(usize::from(*place)) {
                *floor = (*floor).max(*stamp);
            }
        }
        for (name, tag) in &self.tags {
            tag.invalidated.fetch_max(self.floors[usize::from(place(name))], Ordering::AcqRel);
        }
    }

    /// Forgets the tags that nobody holds. Nobody gets hold of one meanwhile: the only way is through the registry.
    fn sweep(&mut self) {
        let floors = &mut self.floors;
        floors.resize(usize::from(FLOORS), 0);
        self.tags.retain(|name, tag| {
            let is_held = Arc::strong_count(tag) > 1;
            if !is_held {
                let floor = &mut floors[usize::from(place(name))];
                *floor = (*floor).max(tag.invalidated.load(Ordering::Acquire));
            }
            is_held
        });
        if let Some(by_place) = &mut self.by_place {
            by_place.retain(|_, names| {
                names.retain(|name| self.tags.contains_key(name));
                !names.is_empty()
            });
        }
        self.sweep_at = (2 * self.tags.len()).max(SWEEP_MIN);
        self.tags.shrink_to(self.sweep_at);
    }
}

/// Where the floor of a name lies: the same in every process, since it is written down.
pub(crate) fn place(name: &str) -> u16 {
    u16::try_from(crc32fast::hash(name.as_bytes()) % u32::from(FLOORS)).unwrap_or(0)
}

impl fmt::Debug for Stamps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stamps")
            .field("sequence", &self.sequence)
            .field("cleared_at", &self.cleared_at)
            .finish_non_exhaustive()
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::invalid(format!("a tag is empty, must be 1..={TAG_BYTES_MAX} bytes")));
    }
    if name.len() > TAG_BYTES_MAX {
        return Err(Error::invalid(format!("a tag is {} bytes, must be 1..={TAG_BYTES_MAX}", name.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
