//! The reference: what every key may be read as, and what it must be.
//!
//! It keeps the writes of each key in order, with the last ones first to go: after a restart a key is as some write left it that is
//! not older than the last one that was durable. While the store is open, and after it was closed, only the last write counts.
//! Absence is allowed wherever the log may have dropped the segment of an entry, and nowhere else.

#![allow(dead_code, unused_imports, reason = "each of the tests takes its part of it")]

use scrubjay_disk::Value;
use std::fmt;

/// Namespaces of a store under test.
pub(crate) const NAMESPACES: usize = 3;
/// Keys of each of them.
pub(crate) const KEYS: usize = 24;

/// What went wrong.
pub(crate) type Verdict = Result<(), String>;

/// Fails with a message.
macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}
pub(crate) use ensure;

/// A small generator (splitmix64).
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }

    pub(crate) fn is_one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// A key of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) namespace: usize,
    pub(crate) number: usize,
}

impl Key {
    pub(crate) fn all() -> impl Iterator<Item = Key> {
        (0..NAMESPACES).flat_map(|namespace| (0..KEYS).map(move |number| Key { namespace, number }))
    }

    pub(crate) fn random(random: &mut Random) -> Key {
        Key { namespace: random.index(NAMESPACES), number: random.index(KEYS) }
    }

    /// The same bytes in every namespace: empty, short, long, and with two prefixes.
    pub(crate) fn bytes(self) -> Vec<u8> {
        match self.number {
            0 => Vec::new(),
            1 => b"b/long/".iter().copied().chain((b'a'..=b'z').cycle().take(3000)).collect(),
            number if number % 2 == 0 => format!("a/{number}").into_bytes(),
            number => format!("b/{number:>0$}", number * 3).into_bytes(),
        }
    }
}

/// How long values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lengths {
    /// All of one length, so that a record fits exactly where another one was.
    Same,
    /// Short ones.
    Short,
    /// From nothing beyond what tells them apart to the better part of a segment.
    Mixed,
}

/// The value of a version of a key: it tells whose it is, and no byte of it is another's.
pub(crate) fn value(key: Key, version: u32, lengths: Lengths) -> Vec<u8> {
    let mut random = Random(u64::from(version) << 16 | (key.namespace * KEYS + key.number) as u64);
    let len = match lengths {
        Lengths::Same => 100,
        Lengths::Short => random.below(300),
        Lengths::Mixed => match random.below(20) {
            0..=9 => random.below(200),
            10..=17 => random.below(5000),
            18 => random.below(20_000),
            _ => random.below(50_000),
        },
    };
    let mut bytes = vec![u8::try_from(key.namespace).unwrap(), u8::try_from(key.number).unwrap()];
    bytes.extend_from_slice(&version.to_le_bytes());
    while (bytes.len() as u64) < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len.max(6).try_into().unwrap());
    bytes
}

/// A value as it was read.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) expires_ms: u64,
}

impl<'a> From<&'a Value> for Seen<'a> {
    fn from(value: &'a Value) -> Seen<'a> {
        Seen { bytes: value, expires_ms: value.expires_ms() }
    }
}

/// What it says of itself.
impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.bytes.len();
        if let Some([namespace, number, version @ ..]) = self.bytes.first_chunk::<6>() {
            let version = u32::from_le_bytes(*version);
            write!(f, "version {version} of key {number} in {namespace}, ")?;
        }
        write!(f, "{len} bytes until {}", self.expires_ms)
    }
}

/// Bytes that a record takes in the log at most, with its share of the footer.
pub(crate) fn cost(key: Key, value: &[u8]) -> u64 {
    (32 + key.bytes().len() + value.len() + 16 + 28) as u64
}

/// What a write left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    Value { version: u32, expires_ms: u64, is_pinned: bool },
}

/// A write, numbered in the order of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) number: u64,
    pub(crate) left: Left,
    /// Bytes that had been appended to the log before it.
    appended: u64,
    /// Whether it survived the process, or the power, as soon as it was made.
    is_written: bool,
    is_durable: bool,
    /// Whether the log may have dropped it.
    may_be_gone: bool,
}

impl Write {
    fn new(number: u64, left: Left, appended: u64) -> Write {
        Write { number, left, appended, is_written: false, is_durable: false, may_be_gone: false }
    }
}

/// What survives the end of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was closed.
    Closed,
    /// Its process died.
    Killed,
    /// The power failed.
    Crashed,
    /// The power failed, and the device had lied about what is durable.
    Betrayed,
}

/// What is known of a store.
#[derive(Clone)]
pub(crate) struct Reference {
    pub(crate) lengths: Lengths,
    pub(crate) now_ms: u64,
    /// The space bound.
    pub(crate) capacity: u64,
    pub(crate) segment_len: u64,
    /// Bytes that the engine may write for a hundred that it is given.
    pub(crate) amplification_percent: u64,
    /// Whether a value may be absent at any time.
    pub(crate) may_lose: bool,
    /// Bytes appended to the log so far, at most.
    pub(crate) appended: u64,
    writes: Vec<Vec<Write>>,
    last: u64,
    /// What is numbered so or less survives the process, and the power.
    flushed: u64,
    synced: u64,
    version: u32,
}

impl Reference {
    pub(crate) fn new(capacity: u64, segment_len: u64, lengths: Lengths) -> Reference {
        let nothing = vec![Write::new(0, Left::Nothing, 0)];
        Reference {
            lengths,
            now_ms: 1_000_000,
            capacity,
            segment_len,
            amplification_percent: 140,
            may_lose: false,
            appended: 0,
            writes: vec![nothing; NAMESPACES * KEYS],
            last: 0,
            flushed: 0,
            synced: 0,
            version: 0,
        }
    }

    fn of(&self, key: Key) -> &[Write] {
        &self.writes[key.namespace * KEYS + key.number]
    }

    fn push(&mut self, key: Key, left: Left) -> &mut Write {
        self.last += 1;
        let writes = &mut self.writes[key.namespace * KEYS + key.number];
        writes.push(Write::new(self.last, left, self.appended));
        writes.last_mut().unwrap()
    }

    /// A version that no other value has.
    pub(crate) fn next_version(&mut self) -> u32 {
        self.version += 1;
        self.version
    }

    /// A value was stored.
    pub(crate) fn put(&mut self, key: Key, version: u32, expires_ms: u64, is_pinned: bool) {
        self.push(key, Left::Value { version, expires_ms, is_pinned });
        self.appended += cost(key, &value(key, version, self.lengths));
    }

    /// Whether the last write of a key was done is not known.
    pub(crate) fn doubt(&mut self, key: Key) {
        self.writes[key.namespace * KEYS + key.number].last_mut().unwrap().may_be_gone = true;
    }

    /// A value was removed, or a newer one was not stored.
    pub(crate) fn remove(&mut self, key: Key) {
        self.push(key, Left::Nothing);
        self.appended += 32 + 28;
    }

    /// A namespace was cleared: in the manifest, which survives the process at once, and the power if it is synced.
    pub(crate) fn clear(&mut self, namespace: usize, is_written: bool, is_durable: bool) {
        for key in Key::all().filter(|key| key.namespace == namespace) {
            let write = self.push(key, Left::Nothing);
            (write.is_written, write.is_durable) = (is_written, is_durable);
        }
    }

    /// The space bound changed: what the log may have dropped for it may stay dropped.
    pub(crate) fn resize(&mut self, capacity: u64) {
        self.capacity = capacity.min(self.capacity);
        for at in 0..self.writes.len() {
            for write in 0..self.writes[at].len() {
                self.writes[at][write].may_be_gone |= !self.is_held(self.writes[at][write]);
            }
        }
        self.capacity = capacity;
    }

    /// Everything live was written again.
    pub(crate) fn compact(&mut self) {
        let live = Key::all().filter_map(|key| Some((key, self.may_read(key)?.0)));
        self.appended += live.map(|(key, version)| cost(key, &value(key, version, self.lengths))).sum::<u64>();
    }

    /// Everything so far survives the process.
    pub(crate) fn flush(&mut self) {
        self.flushed = self.last;
    }

    /// Everything so far survives the power.
    pub(crate) fn sync(&mut self) {
        self.flushed = self.last;
        self.synced = self.last;
    }

    /// This, with no more of it sure to survive than of an earlier state.
    pub(crate) fn as_durable_as(&self, earlier: &Reference) -> Reference {
        let mut reference = Reference { flushed: earlier.flushed, synced: earlier.synced, ..self.clone() };
        for write in reference.writes.iter_mut().flatten().filter(|write| write.number > earlier.last) {
            (write.is_written, write.is_durable) = (false, false);
        }
        reference
    }

    /// What a key is now, if it has not expired.
    pub(crate) fn may_read(&self, key: Key) -> Option<(u32, u64)> {
        self.live(*self.of(key).last()?)
    }

    fn live(&self, write: Write) -> Option<(u32, u64)> {
        match write.left {
            Left::Value { version, expires_ms, .. } if expires_ms == 0 || self.now_ms < expires_ms => {
                Some((version, expires_ms))
            }
            _ => None,
        }
    }

    /// Whether a value is still in the log for sure: strictly the oldest segment goes first.
    fn is_held(&self, write: Write) -> bool {
        match write.left {
            Left::Value { .. } if self.may_lose || write.may_be_gone => false,
            Left::Value { is_pinned: true, .. } => true,
            Left::Value { .. } => {
                let since = (self.appended - write.appended) * self.amplification_percent / 100;
                since + 5 * self.segment_len <= self.capacity
            }
            Left::Nothing => false,
        }
    }

    /// What a key must be.
    pub(crate) fn must_read(&self, key: Key) -> Option<(u32, u64)> {
        let write = *self.of(key).last()?;
        self.live(write).filter(|_| self.is_held(write))
    }

    /// Checks what a read of an open store said.
    pub(crate) fn check_read(&self, key: Key, found: Option<Seen<'_>>) -> Verdict {
        let Some(found) = found else {
            ensure!(self.must_read(key).is_none(), "{key:?} is lost: {:?}", self.of(key));
            return Ok(());
        };
        let Some((version, expires_ms)) = self.may_read(key) else {
            return Err(format!("{key:?} was read as {found}, is nothing: {:?}", self.of(key)));
        };
        self.check_value(key, (version, expires_ms), found)
    }

    fn check_value(&self, key: Key, (version, expires_ms): (u32, u64), found: Seen<'_>) -> Verdict {
        let expected = value(key, version, self.lengths);
        ensure!(
            found.bytes == expected && found.expires_ms == expires_ms,
            "{key:?} was read as {found}, is version {version} of {} bytes until {expires_ms}: {:?}",
            expected.len(),
            self.of(key)
        );
        Ok(())
    }

    pub(crate) fn check_is_there(&self, key: Key, is_there: bool) -> Verdict {
        ensure!(!is_there || self.may_read(key).is_some(), "{key:?} is there: {:?}", self.of(key));
        ensure!(is_there || self.must_read(key).is_none(), "{key:?} is lost: {:?}", self.of(key));
        Ok(())
    }

    /// Checks what a key is after the store came to an end and was opened again, and takes it from there.
    pub(crate) fn check_reopened(&mut self, key: Key, end: End, found: Option<Seen<'_>>) -> Verdict {
        let survived = match end {
            End::Closed => self.last,
            End::Killed => self.flushed,
            End::Crashed => self.synced,
            End::Betrayed => 0,
        };
        let writes = self.of(key);
        let survives = |write: &Write| {
            let is_sure = match end {
                End::Closed => true,
                End::Killed => write.is_written || write.is_durable,
                End::Crashed => write.is_durable,
                End::Betrayed => false,
            };
            is_sure || write.number <= survived
        };
        let first = writes.iter().rposition(survives).unwrap_or(0);
        let candidates = &writes[first..];
        let chosen = match found {
            None => {
                // A power failure may leave the footer of a segment and not its records: what is durable and was written
                // over may go with what was written over it.
                let is_alone = end != End::Crashed || candidates.len() == 1;
                let is_there = |write: &Write| self.live(*write).is_some() && self.is_held(*write);
                let must = is_alone && candidates.iter().all(is_there);
                ensure!(!must, "{key:?} is lost, {end:?}: {candidates:?} of {writes:?}");
                None
            }
            Some(found) => {
                let is_it =
                    |write: &&Write| self.live(**write).is_some_and(|live| self.check_value(key, live, found).is_ok());
                let Some(write) = candidates.iter().rev().find(is_it) else {
                    return Err(format!("{key:?} is {found}, {end:?}: {candidates:?} of {writes:?}"));
                };
                Some(*write)
            }
        };
        let chosen = chosen.unwrap_or(Write::new(self.last, Left::Nothing, 0));
        self.writes[key.namespace * KEYS + key.number] = vec![Write { is_written: true, is_durable: true, ..chosen }];
        Ok(())
    }
}
