//! What a caller or a loader may say about one entry.

use std::time::Duration;

/// How one entry is kept. Everything that is not said is the cache's own setting.
///
/// ```
/// # use scrubjay::{Cache, EntryOptions, Memory};
/// # use std::time::Duration;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let quotes: Cache<String, u64> = Cache::builder("quotes").memory(Memory::bytes(1 << 20)).build().await?;
/// let options = EntryOptions::new().time_to_live(Duration::from_secs(5)).tag("market:vienna");
/// quotes.insert_with("JAY".into(), 10_250, options).await?;
/// # quotes.remove_by_tag("market:vienna").await?;
/// # assert_eq!(quotes.get("JAY").await, None);
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use scrubjay::{Cache, Clock, FailSafe, Memory};
/// use std::io::{Error, ErrorKind};
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let clock = Clock::held();
/// let rates: Cache<String, u64> = Cache::builder("rates")
///     .memory(Memory::bytes(1 << 20))
///     .time_to_live(Duration::from_secs(60))
///     .fail_safe(FailSafe {
///         max_stale: Duration::from_secs(86_400),
///         throttle: Duration::from_secs(10),
///     })
///     .clock(clock.clone())
///     .build()
///     .await?;
/// rates.insert("EUR".into(), 107).await?;
///
/// // Two hours later the rate is out of date, and the database is gone.
/// clock.advance(Duration::from_secs(7_200));
/// let gone = async |_| Err::<u64, _>(Error::from(ErrorKind::ConnectionRefused));
/// assert_eq!(rates.get_or_load("EUR", gone).await?, 107);
/// # assert_eq!(rates.stats().fail_safe_hits, 1);
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use scrubjay::{BoxError, Cache, Loaded, Memory};
/// use std::time::Duration;
///
/// /// What a loader makes of an answer of a web server.
/// fn loaded(status: u16, max_age: u64, body: &str) -> Result<Loaded<String>, BoxError> {
///     let (body, max_age) = (body.to_owned(), Duration::from_secs(max_age));
///     match status {
///         404 => Ok(Loaded::absent().time_to_live(Duration::from_secs(10))),
///         200 if max_age.is_zero() => Ok(Loaded::value(body).not_stored()),
///         200 => Ok(Loaded::value(body).time_to_live(max_age).tag("web")),
///         _ => Err(format!("status {status}").into()),
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let pages: Cache<String, String> =
///     Cache::builder("pages").memory(Memory::bytes(1 << 20)).build().await?;
/// assert_eq!(pages.get_or_load("/now", async |_| loaded(200, 0, "12:00")).await?, "12:00");
/// assert!(!pages.contains("/now").await);
/// assert_eq!(pages.get_or_load("/about", async |_| loaded(200, 60, "a jay")).await?, "a jay");
/// assert!(pages.contains("/about").await);
/// assert_eq!(pages.get_or_load_optional("/none", async |_| loaded(404, 0, "")).await?, None);
/// # assert_eq!(pages.get_or_load_optional("/none", async |_| loaded(500, 0, "")).await?, None);
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
