//! What the simulated device holds: files as they were written and as they are durable, and the names that lead to them.
//!
//! A file is two images of its bytes and the sectors in which they may differ; a folder is two maps of names and the steps from the
//! durable one to the other. A crash takes by chance, of each: sectors one by one, the length old or new, steps one by one or up to
//! some point as a journal would. What a crash may leave is more than any file system of today does (no order between data,
//! lengths and names; a synced file without its name): who stands this, stands those.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use parking_lot::Mutex;

/// What a device writes as a whole or not at all.
const SECTOR: u64 = 512;

/// Steps of the folder that may be undone. Older ones have become durable by themselves.
const STEPS_MAX: usize = 256;

/// Chance that is the same for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number (SplitMix64).
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let number = u128::from(self.next()) * bound as u128;
        usize::try_from(number >> 64).unwrap_or(0)
    }

    pub(super) fn is_one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// True so many times of four.
    fn of_four(&mut self, times: usize) -> bool {
        self.below(4) < times
    }

    pub(super) fn flip_in(&mut self, bytes: &mut [u8]) {
        if !bytes.is_empty() {
            let bit = self.below(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors of `written` that `durable` may not have. The length is apart.
    unsynced: BTreeSet<u64>,
}

impl Content {
    fn durable(bytes: Vec<u8>) -> Content {
        Content { written: bytes.clone(), durable: bytes, unsynced: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> u64 {
        self.written.len() as u64
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let range = range(offset, buffer.len()).ok_or(ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(self.written.get(range).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let range = range(offset, bytes.len()).ok_or(ErrorKind::FileTooLarge)?;
        if bytes.is_empty() {
            return Ok(());
        }
        if self.written.len() < range.end {
            self.written.resize(range.end, 0);
        }
        self.unsynced.extend(offset / SECTOR..=(range.end as u64 - 1) / SECTOR);
        self.written[range].copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&mut self, len: usize) {
        // What is cut off now and comes back longer is zeros, also in sectors that were durable.
        if len < self.written.len() {
            self.unsynced.extend(len as u64 / SECTOR..(self.written.len() as u64).div_ceil(SECTOR));
        }
        self.written.resize(len, 0);
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.written.len(), 0);
        for sector in std::mem::take(&mut self.unsynced) {
            copy_sector(&self.written, &mut self.durable, sector);
        }
    }

    /// Flips a bit where it lies.
    pub(super) fn flip(&mut self, bit: u64) {
        let at = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        self.written[at] ^= 1 << (bit % 8);
        if let Some(byte) = self.durable.get_mut(at) {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// What a crash leaves, with a sector that is not synced there so many times of four.
    fn crashed(&self, random: &mut Random, kept: usize) -> Content {
        let (written, durable) = (self.written.len(), self.durable.len());
        let len = match random.of_four(kept) {
            // A file that grew may have got anywhere on its way.
            true if random.is_one_in(4) => durable.max(random.below(written)),
            true => written,
            false => durable,
        };
        let mut bytes = self.durable.clone();
        bytes.resize(len, 0);
        for sector in &self.unsynced {
            if random.of_four(kept) {
                copy_sector(&self.written, &mut bytes, *sector);
            }
        }
        Content::durable(bytes)
    }
}

/// Copies what both have of a sector.
fn copy_sector(from: &[u8], to: &mut [u8], sector: u64) {
    let end = from.len().min(to.len());
    let start = usize::try_from(sector * SECTOR).unwrap_or(usize::MAX).min(end);
    let end = end.min(start.saturating_add(usize::try_from(SECTOR).unwrap_or(usize::MAX)));
    to[start..end].copy_from_slice(&from[start..end]);
}

fn range(offset: u64, len: usize) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(len)?)
}

/// A file that has any number of names and handles.
pub(super) type Shared = Arc<Mutex<Content>>;

type Names = BTreeMap<String, Shared>;

/// A change of the folder.
#[derive(Clone, Debug)]
enum Step {
    Create(String, Shared),
    Remove(String),
    Rename(String, String),
}

impl Step {
    /// Does it again in another folder, as far as that has what it is about.
    fn apply(&self, names: &mut Names) {
        match self {
            Step::Create(name, content) => {
                names.insert(name.clone(), content.clone());
            }
            Step::Remove(name) => {
                names.remove(name);
            }
            Step::Rename(from, to) => {
                if let Some(content) = names.remove(from) {
                    names.insert(to.clone(), content);
                }
            }
        }
    }
}

/// All files, as they were written and as they are durable.
#[derive(Debug)]
pub(super) struct World {
    names: Names,
    durable: Names,
    /// What leads from `durable` to `names`.
    steps: VecDeque<Step>,
    /// How many bytes all files together may be long.
    pub(super) space: u64,
    /// How many bytes they have been long at most.
    pub(super) bytes_max: u64,
    pub(super) random: Random,
}

impl World {
    pub(super) fn new(random: Random) -> World {
        World {
            names: Names::new(),
            durable: Names::new(),
            steps: VecDeque::new(),
            space: u64::MAX,
            bytes_max: 0,
            random,
        }
    }

    pub(super) fn list(&self) -> Vec<(String, u64)> {
        self.names.iter().map(|(name, content)| (name.clone(), content.lock().len())).collect()
    }

    /// The lengths of all files together.
    pub(super) fn bytes(&self) -> u64 {
        self.names.values().map(|content| content.lock().len()).sum()
    }

    pub(super) fn contents(&self, name: &str) -> Option<Vec<u8>> {
        self.names.get(name).map(|content| content.lock().written.clone())
    }

    pub(super) fn set_contents(&mut self, name: &str, bytes: Vec<u8>) {
        let content = Arc::new(Mutex::new(Content::durable(bytes)));
        self.step(Step::Create(name.to_string(), content));
        self.sync_folder();
    }

    pub(super) fn flip(&mut self, name: &str, bit: u64) {
        self.names[name].lock().flip(bit);
    }

    pub(super) fn create(&mut self, name: &str, len: u64) -> io::Result<Shared> {
        if self.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.take_space(len)?;
        let mut content = Content::default();
        content.set_len(usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?);
        let content = Arc::new(Mutex::new(content));
        self.step(Step::Create(name.to_string(), content.clone()));
        Ok(content)
    }

    pub(super) fn open(&self, name: &str) -> io::Result<Shared> {
        Ok(self.names.get(name).ok_or(ErrorKind::NotFound)?.clone())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open(name)?;
        self.step(Step::Remove(name.to_string()));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open(from)?;
        self.step(Step::Rename(from.to_string(), to.to_string()));
        Ok(())
    }

    pub(super) fn sync_folder(&mut self) {
        self.durable = self.names.clone();
        self.steps.clear();
    }

    pub(super) fn write(&mut self, content: &Mutex<Content>, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        let longer = end.saturating_sub(content.lock().len());
        self.take_space(longer)?;
        content.lock().write(bytes, offset)
    }

    pub(super) fn set_len(&mut self, content: &Mutex<Content>, len: u64) -> io::Result<()> {
        let longer = len.saturating_sub(content.lock().len());
        self.take_space(longer)?;
        content.lock().set_len(usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?);
        Ok(())
    }

    /// What a power failure leaves. How much of what was not synced differs from one to the next: nothing, all, or some.
    pub(super) fn crashed(&mut self) -> World {
        let kept = self.random.below(5);
        let mut names = self.durable.clone();
        let journaled = self.random.is_one_in(2).then(|| self.random.below(self.steps.len() + 1));
        for (at, step) in self.steps.iter().enumerate() {
            if journaled.map_or_else(|| self.random.of_four(kept), |count| at < count) {
                step.apply(&mut names);
            }
        }
        self.copy(&names, |content, random| content.crashed(random, kept))
    }

    /// What the end of the process leaves: all.
    pub(super) fn killed(&mut self) -> World {
        let mut copy = self.copy(&self.names.clone(), |content, _| content.clone());
        // What was not durable still is not: a power failure may come after.
        copy.durable = self.durable.iter().map(|(name, content)| (name.clone(), content.clone())).collect();
        copy.steps = self.steps.clone();
        copy.relink(&self.names);
        copy
    }

    fn copy(&mut self, names: &Names, copy: impl Fn(&Content, &mut Random) -> Content) -> World {
        let mut world = World::new(Random::new(self.random.next()));
        world.space = self.space;
        for (name, content) in names {
            let content = copy(&content.lock(), &mut world.random);
            world.names.insert(name.clone(), Arc::new(Mutex::new(content)));
        }
        world.durable = world.names.clone();
        world.bytes_max = world.bytes();
        world
    }

    /// Makes the durable names and the steps lead to this world's files instead of those of the world that it was copied from.
    fn relink(&mut self, origin: &Names) {
        let mut copies: Vec<(Shared, Shared)> =
            origin.iter().map(|(name, content)| (content.clone(), self.names[name].clone())).collect();
        let mut link = |content: &mut Shared| {
            if let Some((_, copy)) = copies.iter().find(|(original, _)| Arc::ptr_eq(original, content)) {
                *content = copy.clone();
            } else {
                let copy = Arc::new(Mutex::new(content.lock().clone()));
                copies.push((content.clone(), copy.clone()));
                *content = copy;
            }
        };
        self.durable.values_mut().for_each(&mut link);
        for step in &mut self.steps {
            if let Step::Create(_, content) = step {
                link(content);
            }
        }
    }

    /// Changes the folder.
    fn step(&mut self, step: Step) {
        step.apply(&mut self.names);
        self.steps.push_back(step);
        if self.steps.len() > STEPS_MAX
            && let Some(oldest) = self.steps.pop_front()
        {
            oldest.apply(&mut self.durable);
        }
        self.bytes_max = self.bytes_max.max(self.bytes());
    }

    /// Sees whether so many more bytes may be had.
    fn take_space(&mut self, more: u64) -> io::Result<()> {
        if more == 0 {
            return Ok(());
        }
        let bytes = self.bytes().saturating_add(more);
        if bytes > self.space {
            return Err(ErrorKind::StorageFull.into());
        }
        self.bytes_max = self.bytes_max.max(bytes);
        Ok(())
    }
}
