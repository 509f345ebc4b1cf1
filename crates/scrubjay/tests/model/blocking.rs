//! The blocking face, on a runtime with one worker: what a load began has ended when a task that was started after it has run.

use super::config::{Below, Config};
use super::subject::{Load, Meanwhile, New, Outcome, Seen, Subject, Value, outcome, tag_name};
use scrubjay::{BlockingCache, CacheBuilder, ErrorKind, Stats, WarmUpState};
use std::rc::Rc;
use tokio::runtime::{Builder, Runtime};

pub(crate) fn runtime() -> Rc<Runtime> {
    Rc::new(Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}

pub(crate) fn subject(runtime: &Rc<Runtime>, config: &Config) -> Box<dyn Subject> {
    let (handle, runtime, config) = (runtime.handle().clone(), Rc::clone(runtime), config.clone());
    if config.below == Below::Floats {
        return Blocking::<Vec<f64>>::boxed(runtime, move || config.floats_builder().runtime(handle.clone()));
    }
    Blocking::<String>::boxed(runtime, move || config.text_builder().runtime(handle.clone()))
}

struct Blocking<V> {
    builder: Box<dyn Fn() -> CacheBuilder<String, V>>,
    cache: BlockingCache<String, V>,
    runtime: Rc<Runtime>,
}

impl<V: Value> Blocking<V> {
    fn boxed(runtime: Rc<Runtime>, builder: impl Fn() -> CacheBuilder<String, V> + 'static) -> Box<dyn Subject> {
        let cache = builder().build_blocking().unwrap();
        Box::new(Blocking { builder: Box::new(builder), cache, runtime })
    }

    /// The result of a call with a loader, when nothing of it goes on any more.
    fn to_the_end<T>(&self, load: &Load, call: impl FnOnce() -> T) -> T {
        let before = self.cache.stats();
        let result = call();
        let is_behind = self.cache.stats().refreshes > before.refreshes;
        let is_begun = || !load.asked.lock().unwrap().is_empty();
        while is_behind && !is_begun() {
            std::thread::yield_now();
        }
        while is_begun() && self.cache.stats().loads == before.loads {
            std::thread::yield_now();
        }
        // What the worker still does for the load, it does before this.
        self.runtime.block_on(async { tokio::spawn(async {}).await }).unwrap();
        result
    }
}

impl<V: Value> Subject for Blocking<V> {
    fn get(&self, key: &str) -> Option<Seen> {
        self.cache.get(key).map(|value| value.seen())
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
        insert(&self.cache, key, new)
    }

    fn insert_many(&self, entries: &[(usize, New)]) -> Result<(), ErrorKind> {
        let entries = entries.iter().map(|(key, new)| (super::config::key(*key), V::new(*key, new)));
        self.cache.insert_many(entries).map_err(|error| error.kind())
    }

    fn remove(&self, key: &str) -> bool {
        self.cache.remove(key).unwrap()
    }

    fn remove_many(&self, keys: &[String]) -> usize {
        self.cache.remove_many(keys).unwrap()
    }

    fn remove_by_tag(&self, tag: &str) {
        self.cache.remove_by_tag(tag).unwrap();
    }

    fn remove_by_prefix(&self, prefix: &str) -> usize {
        self.cache.remove_by_prefix(prefix).unwrap()
    }

    fn clear(&self) {
        self.cache.clear().unwrap();
    }

    fn keys(&self) -> Vec<String> {
        self.cache.keys().collect()
    }

    fn resize(&self, capacity: u64) {
        self.cache.resize(capacity).unwrap();
    }

    fn load(&self, load: &Load) -> Outcome {
        let key = super::config::key(load.keys[0]);
        let (this, cache) = (load.clone(), self.cache.clone());
        let loader = move |key: String| {
            let number = super::config::number(&key);
            meanwhile(&cache, number, &this.meanwhile);
            this.run::<V>(&[number]).map(|mut loaded| loaded.remove(0))
        };
        outcome(self.to_the_end(load, || match load.is_optional {
            true => self.cache.get_or_load_optional(&key, loader),
            false => self.cache.get_or_load(&key, loader).map(Some),
        }))
    }

    fn load_many(&self, load: &Load) -> Vec<Outcome> {
        let keys: Vec<String> = load.keys.iter().map(|key| super::config::key(*key)).collect();
        let this = load.clone();
        let loader = move |keys: Vec<String>| {
            this.run::<V>(&keys.iter().map(|key| super::config::number(key)).collect::<Vec<_>>())
        };
        let results = self.to_the_end(load, || self.cache.get_or_load_many(&keys, loader));
        results.into_iter().map(outcome).collect()
    }

    fn stats(&self) -> Stats {
        self.cache.stats()
    }

    fn reopen(&mut self) {
        self.cache.close().unwrap();
        self.cache = (self.builder)().build_blocking().unwrap();
        while self.cache.warm_up().state == WarmUpState::Running {
            std::thread::yield_now();
        }
    }
}

fn insert<V: Value>(cache: &BlockingCache<String, V>, key: usize, new: &New) -> Result<(), ErrorKind> {
    let result = cache.insert_with(super::config::key(key), V::new(key, new), new.options());
    result.map_err(|error| error.kind())
}

fn meanwhile<V: Value>(cache: &BlockingCache<String, V>, key: usize, meanwhile: &Meanwhile) {
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Remove => drop(cache.remove(&super::config::key(key)).unwrap()),
        Meanwhile::Insert(new) => insert(cache, key, new).unwrap(),
        Meanwhile::Clear => cache.clear().unwrap(),
        Meanwhile::Tag(tag) => cache.remove_by_tag(&tag_name(*tag)).unwrap(),
        Meanwhile::Prefix(prefix) => drop(cache.remove_by_prefix(prefix).unwrap()),
    }
}
