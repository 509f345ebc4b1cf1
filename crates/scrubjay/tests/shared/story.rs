//! What a process tells of its calls: one line each, with the times at which they began and ended.
//!
//! Times are nanoseconds of the machine's monotonic clock, which all of its processes share. Every load and every insert makes a
//! value of its own, so that of each value that is read one knows where it came from and since when it may be.

use std::fmt::Write as _;

/// Nanoseconds of the machine's monotonic clock.
pub(crate) type Nanos = u64;

pub(crate) const MILLISECOND: Nanos = 1_000_000;

/// What a removal removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Key(u64),
    /// The keys of this remainder: `key % TAGS`.
    Tag(u64),
    All,
}

/// Keys share so many tags.
pub(crate) const TAGS: u64 = 2;

impl What {
    pub(crate) fn means(self, key: u64) -> bool {
        match self {
            What::Key(removed) => removed == key,
            What::Tag(tag) => key % TAGS == tag,
            What::All => true,
        }
    }
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It holds for every process.
    Confirmed,
    /// It holds here, and for the others once this process has [`Event::Settled`].
    Deferred,
}

/// One thing that happened in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A loader runs, and is going to return this value.
    Loading { at: Nanos, key: u64, value: u64, ttl_ms: u64 },
    /// It has returned.
    Loaded { at: Nanos, value: u64 },
    /// A call of `insert`.
    Inserting { at: Nanos, key: u64, value: u64, ttl_ms: u64 },
    /// It has returned.
    Inserted { at: Nanos, value: u64, end: End },
    /// A call of `remove`, `remove_by_tag` or `clear`, by a number of this process.
    Removing { at: Nanos, call: u64, what: What },
    /// It has returned.
    Removed { at: Nanos, call: u64, end: End },
    /// A read of any kind; `value` is what it found or loaded.
    Read { begun: Nanos, at: Nanos, key: u64, value: Option<u64> },
    /// A read found what nobody ever wrote, or a call failed that must not: always wrong.
    Wrong { at: Nanos, text: String },
    /// Whatever ended before has reached the server.
    Settled { at: Nanos },
    /// The process did not get to run for so long.
    Late { at: Nanos, by: Nanos },
    /// It has read every key a last time.
    Finished { at: Nanos },
}

impl Event {
    /// One line, without its end.
    pub(crate) fn line(&self) -> String {
        let mut line = String::from("@");
        let _ = match self {
            Event::Loading { at, key, value, ttl_ms } => write!(line, "loading {at} {key} {value} {ttl_ms}"),
            Event::Loaded { at, value } => write!(line, "loaded {at} {value}"),
            Event::Inserting { at, key, value, ttl_ms } => write!(line, "inserting {at} {key} {value} {ttl_ms}"),
            Event::Inserted { at, value, end } => write!(line, "inserted {at} {value} {}", number(*end)),
            Event::Removing { at, call, what } => match what {
                What::Key(key) => write!(line, "removing {at} {call} 0 {key}"),
                What::Tag(tag) => write!(line, "removing {at} {call} 1 {tag}"),
                What::All => write!(line, "removing {at} {call} 2 0"),
            },
            Event::Removed { at, call, end } => write!(line, "removed {at} {call} {}", number(*end)),
            Event::Read { begun, at, key, value: Some(value) } => write!(line, "read {begun} {at} {key} {value}"),
            Event::Read { begun, at, key, value: None } => write!(line, "read {begun} {at} {key}"),
            Event::Wrong { at, text } => write!(line, "wrong {at} {}", text.replace('\n', " ")),
            Event::Settled { at } => write!(line, "settled {at}"),
            Event::Late { at, by } => write!(line, "late {at} {by}"),
            Event::Finished { at } => write!(line, "finished {at}"),
        };
        line
    }

    /// When it was told.
    pub(crate) fn at(&self) -> Nanos {
        match self {
            Event::Loading { at, .. }
            | Event::Loaded { at, .. }
            | Event::Inserting { at, .. }
            | Event::Inserted { at, .. }
            | Event::Removing { at, .. }
            | Event::Removed { at, .. }
            | Event::Read { at, .. }
            | Event::Wrong { at, .. }
            | Event::Settled { at }
            | Event::Late { at, .. }
            | Event::Finished { at } => *at,
        }
    }

    /// Of a line; `None` if something else stands there.
    pub(crate) fn read(line: &str) -> Option<Event> {
        let (_, line) = line.split_once('@')?;
        let (name, rest) = line.split_once(' ')?;
        if name == "wrong" {
            let (at, text) = rest.split_once(' ')?;
            return Some(Event::Wrong { at: at.parse().ok()?, text: text.to_owned() });
        }
        let numbers: Vec<u64> = rest.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(match (name, &numbers[..]) {
            ("loading", &[at, key, value, ttl_ms]) => Event::Loading { at, key, value, ttl_ms },
            ("loaded", &[at, value]) => Event::Loaded { at, value },
            ("inserting", &[at, key, value, ttl_ms]) => Event::Inserting { at, key, value, ttl_ms },
            ("inserted", &[at, value, end]) => Event::Inserted { at, value, end: ended(end) },
            ("removing", &[at, call, 0, key]) => Event::Removing { at, call, what: What::Key(key) },
            ("removing", &[at, call, 1, tag]) => Event::Removing { at, call, what: What::Tag(tag) },
            ("removing", &[at, call, 2, 0]) => Event::Removing { at, call, what: What::All },
            ("removed", &[at, call, end]) => Event::Removed { at, call, end: ended(end) },
            ("read", &[begun, at, key, value]) => Event::Read { begun, at, key, value: Some(value) },
            ("read", &[begun, at, key]) => Event::Read { begun, at, key, value: None },
            ("settled", &[at]) => Event::Settled { at },
            ("late", &[at, by]) => Event::Late { at, by },
            ("finished", &[at]) => Event::Finished { at },
            _ => return None,
        })
    }
}

fn number(end: End) -> u64 {
    u64::from(end == End::Confirmed)
}

fn ended(number: u64) -> End {
    if number == 1 { End::Confirmed } else { End::Deferred }
}

/// A value as the cache holds it: its number and its key, and something to pack, which both of them determine.
pub(crate) fn text_of(key: u64, value: u64) -> String {
    let mut text = format!("{key} {value} ");
    let words = usize::try_from(value % 40 * (value % 7)).unwrap_or(0);
    (0..words)
        .for_each(|word| text.push_str(["scrub", "jay ", "acorn"][(word + usize::from(value.is_multiple_of(2))) % 3]));
    text
}

/// The number of a value that was read under `key`; the text itself if it cannot have been written there.
pub(crate) fn value_of(key: u64, text: &str) -> Result<u64, String> {
    let value = text.split(' ').nth(1).and_then(|number| number.parse().ok());
    value.filter(|value| text_of(key, *value) == text).ok_or_else(|| format!("under key {key}: {text:?}"))
}

/// Now.
pub(crate) fn now() -> Nanos {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000 * MILLISECOND + u64::try_from(time.tv_nsec).unwrap_or(0)
}
