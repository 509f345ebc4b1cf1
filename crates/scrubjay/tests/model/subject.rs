//! What the model can ask of a cache, whichever face it has and whatever its values are.

use scrubjay::{EntryOptions, ErrorKind, Loaded, Stats};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is in a value: whose it is, and when it was made. No two values of a run are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) key: usize,
    pub(crate) version: u32,
}

/// A type of values.
pub(crate) trait Value: Clone + Send + Sync + 'static {
    fn new(key: usize, new: &New) -> Self;
    fn seen(&self) -> Seen;
}

impl Value for String {
    fn new(key: usize, new: &New) -> String {
        // Hardly to be compressed where it is long.
        let mut text = format!("{key} {}", new.version);
        let mut state = u64::from(new.version) + 1;
        while text.len() < new.padding {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(&format!(" {state:x}"));
        }
        text
    }

    fn seen(&self) -> Seen {
        let mut parts = self.split(' ');
        let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap();
        Seen { key: usize::try_from(next()).unwrap(), version: next() }
    }
}

impl Value for Vec<f64> {
    fn new(key: usize, new: &New) -> Vec<f64> {
        let mut floats = vec![f64::from_bits(u64::try_from(key).unwrap()), f64::from_bits(u64::from(new.version))];
        floats.resize(2 + new.padding / 8, 0.5);
        floats
    }

    fn seen(&self) -> Seen {
        let [key, version] = [self[0].to_bits(), self[1].to_bits()];
        Seen { key: usize::try_from(key).unwrap(), version: u32::try_from(version).unwrap() }
    }
}

/// A value to be stored, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct New {
    pub(crate) version: u32,
    pub(crate) padding: usize,
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) tags: Vec<u8>,
    pub(crate) weight: Option<u32>,
    pub(crate) cost_ms: Option<u64>,
}

impl New {
    pub(crate) fn options(&self) -> EntryOptions {
        let mut options = self.tags.iter().fold(EntryOptions::new(), |options, tag| options.tag(tag_name(*tag)));
        options.time_to_live = self.ttl_ms.map(Duration::from_millis);
        options.weight = self.weight;
        options.cost = self.cost_ms.map(Duration::from_millis);
        options
    }
}

pub(crate) fn tag_name(tag: u8) -> String {
    format!("tag {tag}")
}

/// What a loader says of one key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Value(New),
    NotStored(New),
    Absent { ttl_ms: Option<u64> },
}

impl Answer {
    /// The value in it.
    pub(crate) fn given(&self) -> &New {
        match self {
            Answer::Value(new) | Answer::NotStored(new) => new,
            Answer::Absent { .. } => panic!("an absence has no value"),
        }
    }

    pub(crate) fn loaded<V: Value>(&self, key: usize) -> Loaded<V> {
        match self {
            Answer::Value(new) => Loaded::value(V::new(key, new)).options(new.options()),
            Answer::NotStored(new) => Loaded::value(V::new(key, new)).not_stored(),
            Answer::Absent { ttl_ms: Some(ttl_ms) } => Loaded::absent().time_to_live(Duration::from_millis(*ttl_ms)),
            Answer::Absent { ttl_ms: None } => Loaded::absent(),
        }
    }
}

/// How a call of the loader ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Answers,
    Error,
    Panic,
    /// One answer too few.
    Short,
}

/// What happens while the loader runs, to the key that it loads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meanwhile {
    Nothing,
    Remove,
    Insert(New),
    Clear,
    Tag(u8),
    Prefix(String),
}

/// A call with a loader.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) keys: Vec<usize>,
    /// By the number of the key.
    pub(crate) answers: Vec<Answer>,
    pub(crate) end: End,
    pub(crate) meanwhile: Meanwhile,
    /// For a single key: whether the caller takes an absence for an answer.
    pub(crate) is_optional: bool,
    /// For each call of the loader the keys that it was asked for.
    pub(crate) asked: Arc<Mutex<Vec<Vec<usize>>>>,
}

impl Load {
    /// What the loader does.
    ///
    /// # Errors
    /// If it is to.
    pub(crate) fn run<V: Value>(&self, keys: &[usize]) -> Result<Vec<Loaded<V>>, std::io::Error> {
        self.asked.lock().unwrap().push(keys.to_vec());
        match self.end {
            // Past the hook that would print it.
            End::Panic => std::panic::resume_unwind(Box::new("the loader")),
            End::Error => Err(std::io::Error::other("the loader")),
            End::Answers => Ok(keys.iter().map(|key| self.answers[*key].loaded(*key)).collect()),
            End::Short => Ok(keys[1..].iter().map(|key| self.answers[*key].loaded(*key)).collect()),
        }
    }
}

/// What a caller with a loader got: `Ok(None)` is an absence.
pub(crate) type Outcome = Result<Option<Seen>, ErrorKind>;

pub(crate) fn outcome<V: Value>(result: Result<Option<V>, scrubjay::Error>) -> Outcome {
    match result {
        Ok(value) => Ok(value.map(|value| value.seen())),
        Err(error) if error.kind() == ErrorKind::Absent => Ok(None),
        Err(error) => Err(error.kind()),
    }
}

/// A cache under test.
pub(crate) trait Subject {
    fn get(&self, key: &str) -> Option<Seen>;
    fn peek(&self, key: &str) -> Option<Seen>;
    fn contains(&self, key: &str) -> bool;
    fn get_many(&self, keys: &[String]) -> Vec<Option<Seen>>;
    fn insert(&self, key: usize, new: &New) -> Result<(), ErrorKind>;
    fn insert_many(&self, entries: &[(usize, New)]) -> Result<(), ErrorKind>;
    fn remove(&self, key: &str) -> bool;
    fn remove_many(&self, keys: &[String]) -> usize;
    fn remove_by_tag(&self, tag: &str);
    fn remove_by_prefix(&self, prefix: &str) -> usize;
    fn clear(&self);
    fn keys(&self) -> Vec<String>;
    fn resize(&self, capacity: u64);
    /// Returns when everything has ended that the load began.
    fn load(&self, load: &Load) -> Outcome;
    /// The same for many keys.
    fn load_many(&self, load: &Load) -> Vec<Outcome>;
    fn stats(&self) -> Stats;
    /// Closes the cache, and opens another on its folder.
    fn reopen(&mut self);
}
