//! The model: what each key may be read as, and must be where nothing is ever lost.

use super::config::{Config, Face, in_partition, key};
use super::subject::{New, Seen};
use scrubjay::ErrorKind;

/// Keys of a cache.
pub(crate) const KEYS: usize = 96;

/// What went wrong.
pub(crate) type Verdict = Result<(), String>;

/// What was stored last for a key, and not removed since. Whether it is still there only the cache knows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// `None`: that there is no value.
    pub(crate) version: Option<u32>,
    /// It is fresh until this moment at least, and at most until that: its time to live may have been shortened at random.
    pub(crate) fresh_least_ms: u64,
    pub(crate) fresh_most_ms: u64,
    pub(crate) tags: Vec<u8>,
}

/// The last failure of a key's loader.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) kind: ErrorKind,
    pub(crate) throttle_until_ms: u64,
    pub(crate) back_off_until_ms: u64,
}

/// What is known of one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) entry: Option<Entry>,
    pub(crate) trouble: Option<Trouble>,
}

/// What is known of a cache.
pub(crate) struct Reference {
    pub(crate) config: Config,
    pub(crate) now_ms: u64,
    pub(crate) capacity: u64,
    pub(crate) states: Vec<State>,
}

/// Fails with a message.
macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}
pub(crate) use ensure;

impl Reference {
    pub(crate) fn new(config: Config) -> Reference {
        let capacity = config.capacity();
        Reference { config, now_ms: 1, capacity, states: vec![State::default(); KEYS] }
    }

    /// The value that a read may return.
    pub(crate) fn may_read(&self, key: usize) -> Option<Seen> {
        let entry = self.states[key].entry.as_ref().filter(|entry| self.now_ms < entry.fresh_most_ms)?;
        entry.version.map(|version| Seen { key, version })
    }

    /// The value that it must return.
    pub(crate) fn must_read(&self, key: usize) -> Option<Seen> {
        let is_surely_fresh = |entry: &Entry| self.now_ms < entry.fresh_least_ms;
        let is_there = self.config.holds_all() && self.states[key].entry.as_ref().is_some_and(is_surely_fresh);
        self.may_read(key).filter(|_| is_there)
    }

    pub(crate) fn check_read(&self, key: usize, found: Option<Seen>) -> Verdict {
        let (may, must) = (self.may_read(key), self.must_read(key));
        ensure!(
            found.is_none() || found == may,
            "key {key} was read as {found:?}, may be {may:?}: {:?}",
            self.states[key]
        );
        ensure!(found.is_some() || must.is_none(), "key {key} is lost: {:?}", self.states[key]);
        Ok(())
    }

    pub(crate) fn check_is_there(&self, key: usize, is_there: bool) -> Verdict {
        let may = self.may_read(key);
        ensure!(!is_there || may.is_some(), "key {key} is there: {:?}", self.states[key]);
        ensure!(is_there || self.must_read(key).is_none(), "key {key} is lost: {:?}", self.states[key]);
        Ok(())
    }

    /// How many of these a removal may and must say were there.
    pub(crate) fn check_count(&self, keys: impl Iterator<Item = usize> + Clone, count: usize) -> Verdict {
        let may = keys.clone().filter(|key| self.may_read(*key).is_some()).count();
        let must = keys.filter(|key| self.must_read(*key).is_some()).count();
        ensure!((must..=may).contains(&count), "{count} were there, must be {must}..={may}");
        Ok(())
    }

    /// Whether a value fits.
    pub(crate) fn fits(&self, key_number: usize, new: &New) -> bool {
        let limit = if self.config.has_partition && in_partition(&key(key_number)) {
            self.capacity.min(self.config.quota())
        } else {
            self.capacity
        };
        new.weight.is_none_or(|weight| weight > 0 && u64::from(weight) <= limit)
    }

    pub(crate) fn put(&mut self, key: usize, new: &New) {
        let ttl_ms = new.ttl_ms.or(self.config.ttl_ms);
        self.put_entry(key, Some(new.version), ttl_ms, &new.tags);
    }

    /// Stores an entry for this time to live; `None` is for ever.
    pub(crate) fn put_entry(&mut self, key: usize, version: Option<u32>, ttl_ms: Option<u64>, tags: &[u8]) {
        let (least, most) = match ttl_ms {
            None => (u64::MAX, u64::MAX),
            Some(ttl_ms) => {
                let part = Config::part(ttl_ms, self.config.ttl_jitter);
                (self.now_ms + (ttl_ms - part).max(1), self.now_ms + ttl_ms)
            }
        };
        let entry = Entry { version, fresh_least_ms: least, fresh_most_ms: most, tags: tags.to_vec() };
        self.states[key].entry = Some(entry);
    }

    /// A write or a removal by the caller: the loader's failure is forgotten too.
    pub(crate) fn revoke(&mut self, key: usize) {
        self.states[key] = State::default();
    }

    pub(crate) fn clear(&mut self) {
        self.states.fill(State::default());
    }

    /// What is remembered of loaders that failed is the process' own, and so is a budget that was changed.
    pub(crate) fn reopen(&mut self) {
        self.states.iter_mut().for_each(|state| state.trouble = None);
        self.capacity = self.config.capacity();
    }

    pub(crate) fn remove_by_tag(&mut self, tag: u8) {
        for state in &mut self.states {
            state.entry.take_if(|entry| entry.tags.contains(&tag));
        }
    }

    pub(crate) fn remove_by_prefix(&mut self, prefix: &str) {
        (0..KEYS).filter(|number| key(*number).starts_with(prefix)).for_each(|number| self.revoke(number));
    }

    /// Whether the end of an entry's last window lies before it: past that, nothing may serve.
    pub(crate) fn is_stale_within(&self, entry: &Entry, window_ms: u64) -> bool {
        entry.version.is_some() && self.now_ms < entry.fresh_most_ms.saturating_add(window_ms)
    }

    /// Whether a refresh ahead may be due.
    pub(crate) fn may_be_due(&self) -> bool {
        self.config.refresh_ahead > 0.0 && self.config.face != Face::Memory
    }
}
