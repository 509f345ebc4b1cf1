//! The synchronous face: no tags, no absences, no grace. What it calls otherwise is mapped: a removal by prefix is `retain`, a load is
//! `try_get_or_insert_with`, for many keys as many of them.

use super::config::{Config, in_partition};
use super::subject::{End, Load, Meanwhile, New, Outcome, Seen, Subject, Value};
use scrubjay::{ErrorKind, MemoryCache, Stats};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub(crate) fn subject(config: &Config) -> Box<dyn Subject> {
    let mut builder = MemoryCache::builder().memory(config.memory()).clock(config.clock.clone());
    if let Some(ttl_ms) = config.ttl_ms {
        builder = builder.time_to_live(Duration::from_millis(ttl_ms));
    }
    if config.has_partition {
        builder = builder.partition_by(|key: &String| in_partition(key).then_some("few"));
    }
    Box::new(Synchronous { cache: builder.build().unwrap() })
}

struct Synchronous {
    cache: MemoryCache<String, String>,
}

impl Synchronous {
    fn remove_prefixed(&self, prefix: &str) -> usize {
        self.cache.retain(|key, _| !key.starts_with(prefix))
    }

    fn meanwhile(&self, key: &str, meanwhile: &Meanwhile) {
        match meanwhile {
            Meanwhile::Nothing | Meanwhile::Tag(_) => {}
            Meanwhile::Remove => drop(self.cache.remove(key)),
            Meanwhile::Insert(new) => self.insert(super::config::number(key), new).unwrap(),
            Meanwhile::Clear => self.cache.clear(),
            Meanwhile::Prefix(prefix) => drop(self.remove_prefixed(prefix)),
        }
    }

    fn load_one(&self, load: &Load, number: usize) -> Outcome {
        let key = super::config::key(number);
        let make = || {
            self.meanwhile(&key, &load.meanwhile);
            load.run::<String>(&[number]).map(|_| <String as Value>::new(number, load.answers[number].given()))
        };
        let result = match (load.end, load.is_optional) {
            (End::Answers, true) => Ok(self.cache.get_or_insert_with(&key, || make().unwrap())),
            _ => match catch_unwind(AssertUnwindSafe(|| self.cache.try_get_or_insert_with(&key, make))) {
                Ok(result) => result.map_err(|_| ErrorKind::Loader),
                Err(_) => Err(ErrorKind::Loader),
            },
        };
        result.map(|value| Some(value.seen()))
    }
}

impl Subject for Synchronous {
    fn get(&self, key: &str) -> Option<Seen> {
        self.cache.get_with(key, Value::seen)
    }

    fn peek(&self, key: &str) -> Option<Seen> {
        self.cache.peek(key).map(|value| value.seen())
    }

    fn contains(&self, key: &str) -> bool {
        self.cache.contains(key)
    }

    fn get_many(&self, keys: &[String]) -> Vec<Option<Seen>> {
        self.cache.get_many(keys).iter().map(|value| value.as_ref().map(Value::seen)).collect()
    }

    fn insert(&self, key: usize, new: &New) -> Result<(), ErrorKind> {
        let value = <String as Value>::new(key, new);
        self.cache.insert_with(super::config::key(key), value, new.options()).map_err(|error| error.kind())
    }

    fn insert_many(&self, entries: &[(usize, New)]) -> Result<(), ErrorKind> {
        let entries = entries.iter().map(|(key, new)| (super::config::key(*key), <String as Value>::new(*key, new)));
        self.cache.insert_many(entries).map_err(|error| error.kind())
    }

    fn remove(&self, key: &str) -> bool {
        self.cache.remove(key).is_some()
    }

    fn remove_many(&self, keys: &[String]) -> usize {
        self.cache.remove_many(keys.iter().map(String::as_str))
    }

    fn remove_by_tag(&self, _: &str) {}

    fn remove_by_prefix(&self, prefix: &str) -> usize {
        self.remove_prefixed(prefix)
    }

    fn clear(&self) {
        self.cache.clear();
    }

    fn keys(&self) -> Vec<String> {
        self.cache.keys()
    }

    fn resize(&self, capacity: u64) {
        self.cache.resize(capacity).unwrap();
    }

    fn load(&self, load: &Load) -> Outcome {
        self.load_one(load, load.keys[0])
    }

    fn load_many(&self, load: &Load) -> Vec<Outcome> {
        load.keys.iter().map(|key| self.load_one(load, *key)).collect()
    }

    fn reopen(&mut self) {}

    fn stats(&self) -> Stats {
        self.cache.stats()
    }
}
