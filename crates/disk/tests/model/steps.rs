//! A store and its reference side by side: random calls on both, and a restart now and then.

#![allow(dead_code, reason = "each of the tests takes its part of it")]

use super::config::{Config, Ground, SEGMENT_LEN};
use super::reference::{End, KEYS, Key, Lengths, NAMESPACES, Random, Reference, Seen, Verdict, ensure, value};
use scrubjay_disk::{
    Admission, Error, ErrorKind, Io, Lookup, Namespace, Overload, Put, PutOptions, SimulatedDevice, Store, Sync, Why,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A store, its reference, and what was done to both.
pub(crate) struct Steps {
    pub(crate) config: Config,
    pub(crate) random: Random,
    pub(crate) reference: Reference,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) ground: Ground,
    pub(crate) store: Store,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) log: Vec<String>,
    /// Whether the device may fail: calls may say so.
    pub(crate) may_fail: bool,
    /// Whether the device failed the last call that changes something.
    pub(crate) was_refused: bool,
    /// Whether namespaces are cleared.
    pub(crate) may_clear: bool,
}

/// The namespaces' names.
pub(crate) fn names() -> Vec<String> {
    (0..NAMESPACES).map(|number| format!("namespace {number}")).collect()
}

fn declare(store: &Store) -> Result<Vec<Namespace>, String> {
    names().iter().map(|name| store.namespace(name).map_err(|error| error.to_string())).collect()
}

impl Steps {
    pub(crate) fn new(config: Config, ground: Ground) -> Steps {
        let mut reference = Reference::new(config.segments * SEGMENT_LEN, SEGMENT_LEN, config.lengths);
        let reinserted = if config.reinsert > 0.5 { 220 } else { 140 };
        // What is carried is padded as well where writes must be aligned.
        reference.amplification_percent = if config.io == Io::Direct { 2 * reinserted } else { reinserted };
        let clock = Arc::new(AtomicU64::new(reference.now_ms));
        let store = ground.open(config.options(&clock)).unwrap();
        let namespaces = declare(&store).unwrap();
        let random = Random(config.seed);
        Steps {
            config,
            random,
            reference,
            clock,
            ground,
            store,
            namespaces,
            log: Vec::new(),
            may_fail: false,
            was_refused: false,
            may_clear: true,
        }
    }

    fn note(&mut self, text: String) {
        self.log.push(text);
    }

    /// The last things that were done; all of them if `SCRUBJAY_STORY` is set.
    pub(crate) fn story(&self) -> String {
        let lines = if std::env::var_os("SCRUBJAY_STORY").is_some() { usize::MAX } else { 80 };
        let from = self.log.len().saturating_sub(lines);
        self.log[from..].join("\n")
    }

    /// Does some random thing and checks what it says.
    pub(crate) fn step(&mut self) -> Verdict {
        match self.random.below(100) {
            0..=29 => self.put(),
            30..=34 => self.put_many(),
            35..=59 => self.read(),
            60..=63 => self.get_many(),
            64..=74 => self.remove(),
            75..=76 => self.remove_many(),
            77 if self.may_clear => self.clear(),
            78..=80 => self.list(),
            81..=88 => self.tick(),
            89..=92 => self.flush(),
            93..=94 => self.sync(),
            95..=96 => self.touch(),
            _ => Ok(()),
        }
    }

    /// As `step`, with restarts, other bounds and a clock that jumps.
    pub(crate) fn step_of_life(&mut self) -> Verdict {
        match self.random.below(150) {
            0 => self.resize(),
            1 => self.compact(),
            2 => self.jump_back(),
            3..=4 => self.close_and_reopen(),
            5..=6 => self.end_and_reopen(End::Killed),
            7..=8 => self.end_and_reopen(End::Crashed),
            _ => self.step(),
        }
    }

    fn put_options(&mut self) -> PutOptions {
        let expires_ms = match self.random.below(4) {
            0 => self.reference.now_ms + 1 + self.random.below(5000),
            1 if self.random.is_one_in(4) => self.reference.now_ms.saturating_sub(self.random.below(3)),
            _ => 0,
        };
        // Pinned values must fit in all at once.
        let is_pinned = self.config.lengths != Lengths::Mixed && self.random.is_one_in(30);
        let sync = self.random.is_one_in(30).then_some(Sync::Each);
        PutOptions { expires_ms, heat: u8::try_from(self.random.below(7)).unwrap(), is_pinned, sync }
    }

    /// Takes down what became of a put.
    pub(crate) fn note_put(&mut self, key: Key, version: u32, options: &PutOptions, put: Put) -> Verdict {
        let is_over = options.expires_ms != 0 && options.expires_ms <= self.reference.now_ms;
        let len = (value(key, version, self.reference.lengths).len() + key.bytes().len()) as u64;
        match put {
            Put::Stored => {
                ensure!(!is_over, "{key:?} was stored after its time");
                ensure!(len < SEGMENT_LEN, "{key:?} was stored with {len} bytes");
                self.reference.put(key, version, options.expires_ms, options.is_pinned);
            }
            Put::Dropped(why) => {
                let may = match why {
                    Why::QueueFull => self.config.overload == Overload::Drop,
                    Why::NotAdmitted => self.config.admission != Admission::All && !options.is_pinned,
                    Why::TooLarge => len + 9000 > SEGMENT_LEN,
                    Why::Expired => is_over,
                    Why::Failing => self.may_fail,
                    _ => false,
                };
                ensure!(may || self.reference.may_lose, "{key:?} was dropped: {why:?}");
                self.reference.remove(key);
            }
        }
        Ok(())
    }

    /// What becomes of a put that the store keeps, or would if it had time left.
    fn unless_over(&self, options: &PutOptions) -> Put {
        let is_over = options.expires_ms != 0 && options.expires_ms <= self.reference.now_ms;
        if is_over { Put::Dropped(Why::Expired) } else { Put::Stored }
    }

    /// After a call that may have been synced.
    fn wrote(&mut self, sync: Option<Sync>) {
        if sync.unwrap_or(self.config.sync) == Sync::Each {
            self.flushed(true);
        }
    }

    fn flushed(&mut self, is_synced: bool) {
        if is_synced {
            self.reference.sync();
        } else {
            self.reference.flush();
        }
        // What was handed over is padded.
        self.reference.appended += self.config.alignment() + 32;
    }

    pub(crate) fn put(&mut self) -> Verdict {
        let (key, options) = (Key::random(&mut self.random), self.put_options());
        let version = self.reference.next_version();
        let bytes = value(key, version, self.reference.lengths);
        let put = self.namespaces[key.namespace].put_with(&key.bytes(), &bytes, options);
        self.note(format!("put {key:?} version {version} ({} bytes) {options:?}: {put:?}", bytes.len()));
        match self.permit(put)? {
            Some(put) => {
                self.note_put(key, version, &options, put)?;
                if put != Put::Dropped(Why::Failing) {
                    self.wrote(options.sync);
                }
            }
            // It is there unless its time was over, and nobody knows for how long.
            None => self.note_put(key, version, &options, self.unless_over(&options))?,
        }
        Ok(())
    }

    /// What a call said; `None` if the device failed it and may.
    fn permit<R>(&mut self, result: Result<R, Error>) -> Result<Option<R>, String> {
        self.was_refused = result.is_err();
        match result {
            Ok(result) => Ok(Some(result)),
            Err(error) if self.may_fail && error.kind() == ErrorKind::Unavailable => {
                self.note(format!("  {error}"));
                Ok(None)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn put_many(&mut self) -> Verdict {
        let namespace = self.random.index(NAMESPACES);
        let mut puts = Vec::new();
        for _ in 0..self.random.below(6) {
            let key = Key { namespace, ..Key::random(&mut self.random) };
            let version = self.reference.next_version();
            let bytes = value(key, version, self.reference.lengths);
            puts.push((key, version, key.bytes(), bytes, self.put_options()));
        }
        let given: Vec<(&[u8], &[u8], PutOptions)> =
            puts.iter().map(|(_, _, key, bytes, options)| (&key[..], &bytes[..], *options)).collect();
        let results = self.namespaces[namespace].put_many(&given);
        let Some(results) = self.permit(results)? else {
            for (key, version, _, _, options) in puts {
                self.note_put(key, version, &options, self.unless_over(&options))?;
                self.reference.doubt(key);
            }
            return Ok(());
        };
        let mut is_synced = false;
        for ((key, version, _, _, options), put) in puts.into_iter().zip(results) {
            self.note(format!("put one of many {key:?} version {version} {options:?}: {put:?}"));
            self.note_put(key, version, &options, put)?;
            is_synced |= options.sync.unwrap_or(self.config.sync) == Sync::Each;
        }
        // Where there was nothing to put, nothing is synced.
        if is_synced {
            self.flushed(true);
        }
        Ok(())
    }

    pub(crate) fn read(&mut self) -> Verdict {
        let key = Key::random(&mut self.random);
        let (namespace, bytes) = (&self.namespaces[key.namespace], key.bytes());
        let failed = |error: Error| error.to_string();
        let found = match self.random.below(4) {
            0 | 1 => namespace.get(&bytes).map_err(failed)?,
            2 => namespace.peek(&bytes).map_err(failed)?,
            _ => match namespace.try_get(&bytes).map_err(failed)? {
                Lookup::Hit(value) => Some(value),
                Lookup::Miss => None,
                Lookup::WouldBlock => {
                    ensure!(self.reference.may_read(key).is_some(), "{key:?} would block, is nothing");
                    return Ok(());
                }
            },
        };
        self.note(format!("read {key:?}: {:?}", found.as_deref().map(<[u8]>::len)));
        self.reference.check_read(key, found.as_ref().map(Seen::from))?;
        let is_there = self.namespaces[key.namespace].contains(&bytes);
        self.reference.check_is_there(key, is_there)
    }

    fn get_many(&mut self) -> Verdict {
        let namespace = self.random.index(NAMESPACES);
        let keys: Vec<Key> = (0..KEYS).map(|number| Key { namespace, number }).collect();
        let bytes: Vec<Vec<u8>> = keys.iter().map(|key| key.bytes()).collect();
        let slices: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let values = self.namespaces[namespace].get_many(&slices).map_err(|error| error.to_string())?;
        ensure!(values.len() == keys.len(), "{} values of {} keys", values.len(), keys.len());
        self.note(format!("get many of {namespace}"));
        keys.iter()
            .zip(&values)
            .try_for_each(|(key, value)| self.reference.check_read(*key, value.as_ref().map(Seen::from)))
    }

    pub(crate) fn remove(&mut self) -> Verdict {
        let key = Key::random(&mut self.random);
        let sync = if self.random.is_one_in(10) { Sync::Each } else { self.config.sync };
        let was_there = self.namespaces[key.namespace].remove_with(&key.bytes(), sync);
        self.note(format!("remove {key:?} {sync:?}: {was_there:?}"));
        let was_there = self.permit(was_there)?;
        if let Some(was_there) = was_there {
            self.reference.check_is_there(key, was_there)?;
        }
        self.reference.remove(key);
        if was_there.is_some() {
            self.wrote(Some(sync));
        }
        Ok(())
    }

    fn remove_many(&mut self) -> Verdict {
        let namespace = self.random.index(NAMESPACES);
        let numbers: BTreeSet<usize> = (0..self.random.below(5)).map(|_| self.random.index(KEYS)).collect();
        let keys: Vec<Key> = numbers.into_iter().map(|number| Key { namespace, number }).collect();
        let bytes: Vec<Vec<u8>> = keys.iter().map(|key| key.bytes()).collect();
        let slices: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let count = self.namespaces[namespace].remove_many(&slices);
        self.note(format!("remove many {keys:?}: {count:?}"));
        let Some(count) = self.permit(count)? else {
            keys.into_iter().for_each(|key| self.reference.remove(key));
            return Ok(());
        };
        let may = keys.iter().filter(|key| self.reference.may_read(**key).is_some()).count();
        let must = keys.iter().filter(|key| self.reference.must_read(**key).is_some()).count();
        ensure!((must..=may).contains(&count), "{count} of {keys:?} were there, must be {must}..={may}");
        keys.into_iter().for_each(|key| self.reference.remove(key));
        self.wrote(None);
        Ok(())
    }

    fn clear(&mut self) -> Verdict {
        let namespace = self.random.index(NAMESPACES);
        self.note(format!("clear {namespace}"));
        let cleared = self.namespaces[namespace].clear();
        let is_done = self.permit(cleared)?.is_some();
        self.reference.clear(namespace, is_done, is_done && self.config.sync != Sync::None);
        Ok(())
    }

    fn list(&mut self) -> Verdict {
        let namespace = self.random.index(NAMESPACES);
        let prefix: &[u8] = [&b""[..], b"a/", b"b/", b"b/long/a", b"c"][self.random.index(5)];
        self.note(format!("list {namespace} {prefix:?}"));
        let handle = &self.namespaces[namespace];
        let mut keys = BTreeSet::new();
        for key in handle.keys_with_prefix(prefix) {
            let key = match key {
                Ok(key) => key,
                Err(error) if self.reference.may_lose && error.kind() == ErrorKind::Unavailable => return Ok(()),
                Err(error) if self.reference.may_lose && error.kind() == ErrorKind::Corrupt => continue,
                Err(error) => return Err(error.to_string()),
            };
            ensure!(key.starts_with(prefix), "{key:?} is listed under {prefix:?}");
            ensure!(keys.insert(key.clone()), "{key:?} is listed twice");
        }
        let count = handle.len();
        let (mut may, mut must) = (0, 0);
        for key in (0..KEYS).map(|number| Key { namespace, number }) {
            may += usize::from(self.reference.may_read(key).is_some());
            must += usize::from(self.reference.must_read(key).is_some());
            let bytes = key.bytes();
            if bytes.starts_with(prefix) {
                self.reference.check_is_there(key, keys.remove(&bytes))?;
            }
        }
        ensure!(keys.is_empty(), "{keys:?} were never put");
        ensure!((must..=may).contains(&count), "there are {count}, must be {must}..={may}");
        for hot in handle.hottest(KEYS / 2) {
            let key = (0..KEYS).map(|number| Key { namespace, number }).find(|key| key.bytes() == hot.key);
            let Some(key) = key else { return Err(format!("{:?} is hot and was never put", hot.key)) };
            let seen = Seen { bytes: &hot.value, expires_ms: hot.expires_ms };
            self.reference.check_read(key, Some(seen))?;
        }
        ensure!(self.store.namespaces() == names(), "the namespaces are {:?}", self.store.namespaces());
        Ok(())
    }

    fn touch(&mut self) -> Verdict {
        let key = Key::random(&mut self.random);
        let heat = u8::try_from(self.random.below(9)).unwrap();
        self.namespaces[key.namespace].touch(&key.bytes(), heat);
        Ok(())
    }

    fn tick(&mut self) -> Verdict {
        let clock = self.clock.load(Ordering::Relaxed) + self.random.below(1500);
        self.clock.store(clock, Ordering::Relaxed);
        self.reference.now_ms = self.reference.now_ms.max(clock);
        self.note(format!("it is {}", self.reference.now_ms));
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Verdict {
        self.note("flush".to_string());
        let flushed = self.store.flush();
        if self.permit(flushed)?.is_some() {
            self.flushed(false);
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Verdict {
        self.note("sync".to_string());
        let synced = self.store.sync();
        if self.permit(synced)?.is_some() {
            self.flushed(true);
        }
        Ok(())
    }

    fn resize(&mut self) -> Verdict {
        let segments = 4 + self.random.below(24);
        self.note(format!("resize to {segments} segments"));
        self.config.segments = segments;
        self.store.resize(segments * SEGMENT_LEN).map_err(|error| error.to_string())?;
        self.reference.resize(segments * SEGMENT_LEN);
        Ok(())
    }

    fn compact(&mut self) -> Verdict {
        self.note("compact".to_string());
        self.store.compact(|_, _| ()).map_err(|error| error.to_string())?;
        self.reference.compact();
        Ok(())
    }

    /// The clock goes back, after the store has seen the time.
    fn jump_back(&mut self) -> Verdict {
        self.flush()?;
        let clock = self.clock.load(Ordering::Relaxed).saturating_sub(self.random.below(100_000));
        self.clock.store(clock, Ordering::Relaxed);
        self.note(format!("the clock goes back to {clock}"));
        if self.random.is_one_in(2) { self.close_and_reopen() } else { Ok(()) }
    }

    pub(crate) fn close_and_reopen(&mut self) -> Verdict {
        let closed = self.store.close();
        self.permit(closed)?;
        self.reopen(End::Closed)
    }

    /// The process dies, or the power fails; in a folder, which cannot be copied at an instant, the store is closed instead.
    pub(crate) fn end_and_reopen(&mut self, end: End) -> Verdict {
        let Ground::Simulated(device) = &self.ground else { return self.close_and_reopen() };
        let left = if end == End::Crashed { device.crash() } else { device.kill() };
        left.set_reads_wait(self.config.reads_wait);
        self.go_on_with(left, end)
    }

    /// Goes on with what the end of a store left.
    pub(crate) fn go_on_with(&mut self, left: SimulatedDevice, end: End) -> Verdict {
        // The floor of the time may be lost: the clock is not behind.
        self.clock.fetch_max(self.reference.now_ms, Ordering::Relaxed);
        let old = std::mem::replace(&mut self.ground, Ground::Simulated(left));
        self.reopen(end)?;
        drop(old);
        Ok(())
    }

    fn reopen(&mut self, end: End) -> Verdict {
        self.note(format!("{end:?}, opened again"));
        self.namespaces.clear();
        let store = self.ground.open(self.config.options(&self.clock)).map_err(|error| error.to_string())?;
        self.store = store;
        self.namespaces = declare(&self.store)?;
        let stats = self.store.stats();
        self.note(format!("  {} bytes torn, {} entries distrusted", stats.torn_bytes, stats.distrusted_entries));
        for key in Key::all() {
            let found = self.namespaces[key.namespace].peek(&key.bytes()).map_err(|error| error.to_string())?;
            self.reference.check_reopened(key, end, found.as_ref().map(Seen::from))?;
        }
        if end == End::Killed || end == End::Closed {
            // What is not durable yet may go when the power fails next: that is a story of its own.
            self.store.sync().map_err(|error| error.to_string())?;
        }
        self.flushed(true);
        Ok(())
    }
}
