//! Invalidations that outlive the process: the sequence, `cleared_at` and the floors of tags, as pinned records.
//!
//! They lie in a namespace of their own, which the engine never evicts from:
//!
//! ```text
//!   key "h"              the head: version, sequence, cleared at, digest of all floors, latest time, and the last raise
//!   key place, 2 bytes   the floor of a place: the highest stamp of a tag whose name falls there, 8 bytes
//! ```
//!
//! A raise writes the head, then the floor, and only then does the sequence have the new number. The log keeps that order: an
//! entry that is found after a restart was born with a number that the head knows. The head names the last raise itself, so a
//! log that ends between the two lacks nothing.
//!
//! **What if some are lost?** The engine drops what is older than damage, and may have moved an entry past its stamp. The head's
//! digest tells: if it is not that of the floors that are there, all entries are given up. Whoever lost a stamp would serve what
//! was invalidated.
//!
//! **Numbers grow over restarts**, even if all of this is lost: a process begins with its start time in the upper 44 bits.

use super::folder::is_damage;
use crate::error::Error;
use crate::tags::{FLOORS, Mark, Stamped};
use scrubjay_disk::{Namespace, Put, PutOptions};

/// What the name of this namespace has beyond that of the cache.
pub(super) const SUFFIX: &str = "\0stamps";

const HEAD: &[u8] = b"h";
const HEAD_LEN: usize = 1 + 5 * 8 + 2;
const VERSION: u8 = 1;
/// The place of a raise that is none of a tag.
const NO_PLACE: u16 = u16::MAX;
/// Raises for which a millisecond is good.
const NUMBERS_PER_MS: u64 = 1 << 20;

/// All that is written down, as it stands in memory.
#[derive(Debug)]
pub(super) struct Ledger {
    sequence: u64,
    cleared_at: u64,
    floors: Box<[u64]>,
    digest: u64,
    /// The latest Unix time that a process has seen, in milliseconds.
    latest_ms: u64,
    last: (u16, u64),
}

/// What was found on disk.
#[derive(Debug)]
pub(super) enum Loaded {
    /// Nothing was ever written.
    Nothing,
    Whole(Ledger),
    /// Some of it is gone: what is left.
    Torn(Ledger),
}

impl Ledger {
    /// Of a cache that has nothing on disk and begins now.
    pub(super) fn new(now_ms: u64) -> Ledger {
        Ledger {
            sequence: now_ms.saturating_mul(NUMBERS_PER_MS),
            cleared_at: 0,
            floors: vec![0; usize::from(FLOORS)].into_boxed_slice(),
            digest: 0,
            latest_ms: now_ms,
            last: (NO_PLACE, 0),
        }
    }

    /// Reads what is there. Blocks.
    ///
    /// # Errors
    /// The device fails: nobody knows what was invalidated.
    pub(super) fn load(stamps: &Namespace) -> Result<Loaded, Error> {
        let failed = |error: scrubjay_disk::Error| super::folder::error_of(&error);
        let mut ledger = Ledger::new(0);
        let (mut head, mut is_empty, mut is_legible) = (None, true, true);
        for key in stamps.keys() {
            is_empty = false;
            let key = match key {
                Err(error) if is_damage(&error) => {
                    is_legible = false;
                    continue;
                }
                key => key.map_err(failed)?,
            };
            let Some(value) = stamps.peek(&key).map_err(failed)? else {
                is_legible = false;
                continue;
            };
            match (key.as_slice(), <[u8; 2]>::try_from(key.as_slice()), <[u8; 8]>::try_from(&*value)) {
                (HEAD, ..) => head = Head::decode(&value),
                (_, Ok(place), Ok(stamp)) => ledger.raise_floor(u16::from_le_bytes(place), u64::from_le_bytes(stamp)),
                _ => {}
            }
        }
        if is_empty {
            return Ok(Loaded::Nothing);
        }
        let Some(head) = head else {
            let highest = ledger.floors.iter().copied().max().unwrap_or(0);
            ledger.sequence = highest;
            return Ok(Loaded::Torn(ledger));
        };
        if head.last.0 != NO_PLACE {
            ledger.raise_floor(head.last.0, head.last.1);
        }
        let is_whole = is_legible && ledger.digest == head.digest;
        Head { digest: ledger.digest, ..head }.into_ledger(&mut ledger);
        Ok(if is_whole { Loaded::Whole(ledger) } else { Loaded::Torn(ledger) })
    }

    /// Takes the raises of `other` over, and its times. A later start than any before makes higher numbers than all.
    pub(super) fn merge(&mut self, other: &Ledger) {
        self.sequence = self.sequence.max(other.sequence);
        self.cleared_at = self.cleared_at.max(other.cleared_at);
        self.latest_ms = self.latest_ms.max(other.latest_ms);
        for (place, stamp) in other.each_floor() {
            self.raise_floor(place, stamp);
        }
    }

    /// What the cache is to know.
    pub(super) fn stamped(&self) -> Stamped {
        Stamped { sequence: self.sequence, cleared_at: self.cleared_at, floors: self.each_floor().collect() }
    }

    pub(super) fn latest_ms(&self) -> u64 {
        self.latest_ms
    }

    /// Notes a raise.
    pub(super) fn raise(&mut self, mark: Mark, to: u64, now_ms: u64) {
        self.sequence = self.sequence.max(to);
        self.latest_ms = self.latest_ms.max(now_ms);
        match mark {
            Mark::Cleared => {
                self.cleared_at = self.cleared_at.max(to);
                self.last = (NO_PLACE, 0);
            }
            Mark::Floor(place) => {
                self.raise_floor(place, to);
                self.last = (place, to);
            }
        }
    }

    /// The time goes on though nothing is raised.
    pub(super) fn saw(&mut self, now_ms: u64) {
        self.latest_ms = self.latest_ms.max(now_ms);
    }

    /// Writes down what the last raise has changed. Waits for nothing.
    ///
    /// # Errors
    /// The store is closed.
    pub(super) fn write_last(&self, stamps: &Namespace) -> Result<(), Error> {
        put(stamps, HEAD, &self.head())?;
        let (place, stamp) = self.last;
        if place == NO_PLACE { Ok(()) } else { put(stamps, &place.to_le_bytes(), &stamp.to_le_bytes()) }
    }

    /// Writes everything down.
    ///
    /// # Errors
    /// The store is closed.
    pub(super) fn write_all(&self, stamps: &Namespace) -> Result<(), Error> {
        for (place, stamp) in self.each_floor() {
            put(stamps, &place.to_le_bytes(), &stamp.to_le_bytes())?;
        }
        put(stamps, HEAD, &self.head())
    }

    /// How many records it takes.
    pub(super) fn len(&self) -> usize {
        self.each_floor().count() + 1
    }

    fn each_floor(&self) -> impl Iterator<Item = (u16, u64)> {
        (0..).zip(self.floors.iter().copied()).filter(|(_, stamp)| *stamp != 0)
    }

    fn raise_floor(&mut self, place: u16, to: u64) {
        let Some(floor) = self.floors.get_mut(usize::from(place)) else { return };
        if to > *floor {
            // A floor of 0 is not written down, and adds nothing.
            let before = if *floor == 0 { 0 } else { mixed(place, *floor) };
            self.digest = self.digest.wrapping_sub(before).wrapping_add(mixed(place, to));
            *floor = to;
        }
    }

    fn head(&self) -> [u8; HEAD_LEN] {
        let Ledger { sequence, cleared_at, digest, latest_ms, last, .. } = *self;
        Head { sequence, cleared_at, digest, latest_ms, last }.encode()
    }
}

/// The record that says whether the others are all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    sequence: u64,
    cleared_at: u64,
    digest: u64,
    latest_ms: u64,
    last: (u16, u64),
}

impl Head {
    fn encode(self) -> [u8; HEAD_LEN] {
        let mut bytes = [VERSION; HEAD_LEN];
        let numbers = [self.sequence, self.cleared_at, self.digest, self.latest_ms, self.last.1];
        for (part, number) in bytes[1..].chunks_exact_mut(8).zip(numbers) {
            part.copy_from_slice(&number.to_le_bytes());
        }
        bytes[HEAD_LEN - 2..].copy_from_slice(&self.last.0.to_le_bytes());
        bytes
    }

    /// `None`: written by another version, or not whole.
    fn decode(bytes: &[u8]) -> Option<Head> {
        let bytes: &[u8; HEAD_LEN] = bytes.try_into().ok()?;
        if bytes[0] != VERSION {
            return None;
        }
        let number = |index: usize| {
            let part = bytes[1 + 8 * index..].first_chunk::<8>();
            part.map_or(0, |part| u64::from_le_bytes(*part))
        };
        let place = u16::from_le_bytes([bytes[HEAD_LEN - 2], bytes[HEAD_LEN - 1]]);
        let [sequence, cleared_at, digest, latest_ms, stamp] = [0, 1, 2, 3, 4].map(number);
        Some(Head { sequence, cleared_at, digest, latest_ms, last: (place, stamp) })
    }

    fn into_ledger(self, ledger: &mut Ledger) {
        let Head { sequence, cleared_at, digest, latest_ms, last } = self;
        (ledger.sequence, ledger.cleared_at, ledger.digest) = (sequence, cleared_at, digest);
        (ledger.latest_ms, ledger.last) = (latest_ms, last);
    }
}

fn put(stamps: &Namespace, key: &[u8], value: &[u8]) -> Result<(), Error> {
    let options = PutOptions { is_pinned: true, ..PutOptions::default() };
    match stamps.put_with(key, value, options) {
        Ok(Put::Stored) => Ok(()),
        Ok(Put::Dropped(why)) => {
            Err(Error::new(crate::error::ErrorKind::Unavailable, format!("disk: a stamp was not stored: {why:?}")))
        }
        Err(error) => Err(super::folder::error_of(&error)),
    }
}

/// What one floor adds to the digest.
fn mixed(place: u16, stamp: u64) -> u64 {
    let mut word = (stamp ^ u64::from(place) << 48).wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
