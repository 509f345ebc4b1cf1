//! The asynchronous face, on a runtime of one thread: between two calls everything that they began comes to its end.

use super::config::{Below, Config};
use super::subject::{Load, Meanwhile, New, Outcome, Seen, Subject, Value, outcome, tag_name};
use scrubjay::{Cache, CacheBuilder, ErrorKind, Stats, WarmUpState};
use std::future::Future;
use std::rc::Rc;
use tokio::runtime::{Builder, Runtime};

/// Turns of the runtime in which a load ends that waits for nothing.
const TURNS: usize = 20;

pub(crate) fn runtime() -> Rc<Runtime> {
    Rc::new(Builder::new_current_thread().enable_all().build().unwrap())
}

pub(crate) fn subject(runtime: &Rc<Runtime>, config: &Config) -> Box<dyn Subject> {
    let runtime = Rc::clone(runtime);
    let config = config.clone();
    if config.below == Below::Floats {
        return Asynchronous::<Vec<f64>>::boxed(runtime, move || config.floats_builder());
    }
    Asynchronous::<String>::boxed(runtime, move || config.text_builder())
}

struct Asynchronous<V> {
    builder: Box<dyn Fn() -> CacheBuilder<String, V>>,
    cache: Cache<String, V>,
    runtime: Rc<Runtime>,
}

impl<V: Value> Asynchronous<V> {
    fn boxed(runtime: Rc<Runtime>, builder: impl Fn() -> CacheBuilder<String, V> + 'static) -> Box<dyn Subject> {
        let cache = runtime.block_on(builder().build()).unwrap();
        Box::new(Asynchronous { builder: Box::new(builder), cache, runtime })
    }

    fn now<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The result of a call with a loader, when nothing of it goes on any more.
    fn to_the_end<T>(&self, load: &Load, call: impl Future<Output = T>) -> T {
        let before = self.cache.stats();
        self.now(async {
            let result = call.await;
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            // What it does meanwhile may wait for the disk.
            let is_begun = || !load.asked.lock().unwrap().is_empty();
            while self.cache.stats().refreshes > before.refreshes && !is_begun() {
                tokio::task::yield_now().await;
            }
            let is_begun = is_begun();
            while self.cache.stats().loads < before.loads + u64::from(is_begun) {
                tokio::task::yield_now().await;
            }
            let stats = self.cache.stats();
            assert_eq!(stats.loads, before.loads + u64::from(is_begun), "a load that began has ended");
            assert!(is_begun || stats.refreshes == before.refreshes, "a refresh that is counted has begun");
            result
        })
    }
}

impl<V: Value> Subject for Asynchronous<V> {
    fn get(&self, key: &str) -> Option<Seen> {
        self.now(self.cache.get(key)).map(|value| value.seen())
    }

    fn peek(&self, key: &str) -> Option<Seen> {
        self.now(self.cache.peek(key)).map(|value| value.seen())
    }

    fn contains(&self, key: &str) -> bool {
        self.now(self.cache.contains(key))
    }

    fn get_many(&self, keys: &[String]) -> Vec<Option<Seen>> {
        self.now(self.cache.get_many(keys)).iter().map(|value| value.as_ref().map(Value::seen)).collect()
    }

    fn insert(&self, key: usize, new: &New) -> Result<(), ErrorKind> {
        self.now(insert(&self.cache, key, new))
    }

    fn insert_many(&self, entries: &[(usize, New)]) -> Result<(), ErrorKind> {
        let entries = entries.iter().map(|(key, new)| (super::config::key(*key), V::new(*key, new)));
        self.now(self.cache.insert_many(entries)).map_err(|error| error.kind())
    }

    fn remove(&self, key: &str) -> bool {
        self.now(self.cache.remove(key)).unwrap()
    }

    fn remove_many(&self, keys: &[String]) -> usize {
        self.now(self.cache.remove_many(keys)).unwrap()
    }

    fn remove_by_tag(&self, tag: &str) {
        self.now(self.cache.remove_by_tag(tag)).unwrap();
    }

    fn remove_by_prefix(&self, prefix: &str) -> usize {
        self.now(self.cache.remove_by_prefix(prefix)).unwrap()
    }

    fn clear(&self) {
        self.now(self.cache.clear()).unwrap();
    }

    fn keys(&self) -> Vec<String> {
        self.now(self.cache.keys()).collect()
    }

    fn resize(&self, capacity: u64) {
        self.now(self.cache.resize(capacity)).unwrap();
    }

    fn load(&self, load: &Load) -> Outcome {
        let key = super::config::key(load.keys[0]);
        let (this, cache) = (load.clone(), self.cache.clone());
        let loader = async move |key: String| {
            let number = super::config::number(&key);
            meanwhile(&cache, number, &this.meanwhile).await;
            this.run::<V>(&[number]).map(|mut loaded| loaded.remove(0))
        };
        outcome(self.to_the_end(load, async {
            match load.is_optional {
                true => self.cache.get_or_load_optional(&key, loader).await,
                false => self.cache.get_or_load(&key, loader).await.map(Some),
            }
        }))
    }

    fn load_many(&self, load: &Load) -> Vec<Outcome> {
        let keys: Vec<String> = load.keys.iter().map(|key| super::config::key(*key)).collect();
        let this = load.clone();
        let loader = async move |keys: Vec<String>| {
            this.run::<V>(&keys.iter().map(|key| super::config::number(key)).collect::<Vec<_>>())
        };
        let results = self.to_the_end(load, self.cache.get_or_load_many(&keys, loader));
        results.into_iter().map(outcome).collect()
    }

    fn stats(&self) -> Stats {
        self.cache.stats()
    }

    fn reopen(&mut self) {
        self.now(self.cache.close());
        self.cache = self.now((self.builder)().build()).unwrap();
        while self.cache.warm_up().state == WarmUpState::Running {
            std::thread::yield_now();
        }
    }
}

async fn insert<V: Value>(cache: &Cache<String, V>, key: usize, new: &New) -> Result<(), ErrorKind> {
    let result = cache.insert_with(super::config::key(key), V::new(key, new), new.options()).await;
    result.map_err(|error| error.kind())
}

async fn meanwhile<V: Value>(cache: &Cache<String, V>, key: usize, meanwhile: &Meanwhile) {
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Remove => drop(cache.remove(&super::config::key(key)).await.unwrap()),
        Meanwhile::Insert(new) => insert(cache, key, new).await.unwrap(),
        Meanwhile::Clear => cache.clear().await.unwrap(),
        Meanwhile::Tag(tag) => cache.remove_by_tag(&tag_name(*tag)).await.unwrap(),
        Meanwhile::Prefix(prefix) => drop(cache.remove_by_prefix(prefix).await.unwrap()),
    }
}
