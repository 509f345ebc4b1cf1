//! What a caller or a loader may say about one entry.

use std::time::Duration;

/// How one entry is kept. Everything that is not said is the cache's own setting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntryOptions {
    /// How long the entry is fresh.
    pub time_to_live: Option<Duration>,
    /// Tags by which [`remove_by_tag`](crate::Cache::remove_by_tag) finds it: none is empty, 64 at most.
    pub tags: Vec<String>,
    /// Its weight, instead of what the weigher says.
    pub weight: Option<u32>,
    /// What it costs to load it again, instead of what was measured: it weighs in eviction.
    pub cost: Option<Duration>,
}

impl EntryOptions {
    /// Nothing said.
    pub fn new() -> EntryOptions {
        EntryOptions::default()
    }

    /// How long the entry is fresh.
    #[must_use]
    pub fn time_to_live(mut self, ttl: Duration) -> EntryOptions {
        self.time_to_live = Some(ttl);
        self
    }

    /// One more tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> EntryOptions {
        self.tags.push(tag.into());
        self
    }

    /// Its weight, in the units of the budget, instead of what the weigher says.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> EntryOptions {
        self.weight = Some(weight);
        self
    }

    /// What it costs to load it again.
    #[must_use]
    pub fn cost(mut self, cost: Duration) -> EntryOptions {
        self.cost = Some(cost);
        self
    }
}

/// What to do when a loader fails or takes too long: serve what was there, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailSafe {
    /// How long past its time an entry may still be served so.
    pub max_stale: Duration,
    /// How long the loader is left alone after a failure, once something stale was served in its place.
    pub throttle: Duration,
}

/// What a loader answers: a value or its absence, and how to keep it.
///
/// A plain value converts into one; so does `Option`, whose `None` means that the key has no value.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded<V> {
    pub(crate) value: Option<V>,
    pub(crate) options: EntryOptions,
    pub(crate) is_stored: bool,
}

impl<V> Loaded<V> {
    /// A value, kept as the cache keeps values.
    pub fn value(value: V) -> Loaded<V> {
        Loaded { value: Some(value), options: EntryOptions::default(), is_stored: true }
    }

    /// The key has no value. That is remembered for the cache's negative time to live, if it has one.
    pub fn absent() -> Loaded<V> {
        Loaded { value: None, options: EntryOptions::default(), is_stored: true }
    }

    /// How long it stays fresh; of an absent one, how long that is remembered.
    #[must_use]
    pub fn time_to_live(mut self, ttl: Duration) -> Loaded<V> {
        self.options.time_to_live = Some(ttl);
        self
    }

    /// One more tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Loaded<V> {
        self.options.tags.push(tag.into());
        self
    }

    /// Every option at once.
    #[must_use]
    pub fn options(mut self, options: EntryOptions) -> Loaded<V> {
        self.options = options;
        self
    }

    /// For those who asked, and not to be stored.
    #[must_use]
    pub fn not_stored(mut self) -> Loaded<V> {
        self.is_stored = false;
        self
    }
}

impl<V> From<V> for Loaded<V> {
    fn from(value: V) -> Loaded<V> {
        Loaded::value(value)
    }
}

impl<V> From<Option<V>> for Loaded<V> {
    fn from(value: Option<V>) -> Loaded<V> {
        value.map_or_else(Loaded::absent, Loaded::value)
    }
}
