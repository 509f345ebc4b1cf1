//! Which calls are made, at random, and what of each is compared with the model.

use super::config::{Config, Face, Random, Room, key, number};
use super::reference::{KEYS, Reference, Verdict, ensure};
use super::subject::{Answer, End, Load, Meanwhile, New, Subject, tag_name};
use scrubjay::ErrorKind;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Duration;

const TAGS: u64 = 4;

/// Calls that a failure shows.
const LOG_LEN: usize = 25;

/// A cache, its model, and what comes next.
pub(crate) struct Steps {
    subject: Box<dyn Subject>,
    reference: Reference,
    random: Random,
    version: u32,
    log: VecDeque<String>,
}

impl Steps {
    pub(crate) fn new(config: Config, subject: Box<dyn Subject>, random: Random) -> Steps {
        Steps { subject, reference: Reference::new(config), random, version: 0, log: VecDeque::new() }
    }

    /// Makes so many calls.
    ///
    /// # Errors
    /// What is wrong, and the last calls.
    pub(crate) fn run(mut self, steps: u32) -> Result<(), (String, String)> {
        for _ in 0..steps {
            let verdict = self.step().and_then(|()| self.check_sums());
            verdict.map_err(|what| (what, Vec::from(std::mem::take(&mut self.log)).join("\n")))?;
        }
        let all: Verdict = (0..KEYS).try_for_each(|key| self.read(key));
        all.map_err(|what| (what, Vec::from(std::mem::take(&mut self.log)).join("\n")))
    }

    fn step(&mut self) -> Verdict {
        let key = self.some_key();
        match self.random.below(100) {
            0..15 => self.read(key),
            15..20 => self.read_many(),
            20..34 => self.insert(key),
            34..38 => self.insert_many(),
            38..43 => self.remove(key),
            43..45 => self.remove_many(),
            45..68 => self.load(key),
            68..75 => self.load_many(),
            75..77 => self.keys(),
            77..80 => self.remove_by_tag(),
            80..82 => self.remove_by_prefix(),
            82 => self.clear(),
            83..85 => self.resize(),
            85 if self.reference.config.folder.is_some() => self.reopen(),
            _ => self.advance(),
        }
    }

    fn note(&mut self, what: impl Debug) {
        if self.log.len() == LOG_LEN {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:>6} ms  {what:?}", self.reference.now_ms));
    }

    fn is_memory_cache(&self) -> bool {
        self.reference.config.face == Face::Memory
    }

    fn some_key(&mut self) -> usize {
        self.random.index(self.reference.config.keys())
    }

    fn some_keys(&mut self) -> Vec<usize> {
        let count = self.random.index(8);
        (0..count).map(|_| self.some_key()).collect()
    }

    fn some_ms(&mut self) -> u64 {
        [1, 10, 100, 1000, 5000][self.random.index(5)] + self.random.below(300)
    }

    /// A value as the cache keeps values.
    fn plain(&mut self) -> New {
        self.version += 1;
        let padding = usize::try_from(self.random.below(self.reference.config.padding_max())).unwrap();
        New { version: self.version, padding, ttl_ms: None, tags: Vec::new(), weight: None, cost_ms: None }
    }

    /// One with options; a weight may be too large.
    fn new_value(&mut self) -> New {
        let mut new = self.plain();
        new.ttl_ms = self.random.is_one_in(2).then(|| self.some_ms());
        if !self.is_memory_cache() {
            new.tags = (0..self.random.below(3)).map(|_| u8::try_from(self.random.below(TAGS)).unwrap()).collect();
        }
        if self.reference.config.room != Room::Bytes && self.random.is_one_in(4) {
            let weight_max = if self.reference.config.room == Room::Tiny { 10 } else { 3 };
            new.weight = Some(u32::try_from(self.random.below(weight_max)).unwrap());
        }
        new.cost_ms = self.random.is_one_in(8).then(|| self.random.below(200));
        new
    }

    fn read(&mut self, number: usize) -> Verdict {
        let key = key(number);
        match self.random.below(4) {
            0 => {
                let found = self.subject.peek(&key);
                self.note(("peek", number, found));
                self.reference.check_read(number, found)
            }
            1 => {
                let is_there = self.subject.contains(&key);
                self.note(("contains", number, is_there));
                self.reference.check_is_there(number, is_there)
            }
            _ => {
                let found = self.subject.get(&key);
                self.note(("get", number, found));
                self.reference.check_read(number, found)
            }
        }
    }

    fn read_many(&mut self) -> Verdict {
        let numbers = self.some_keys();
        let keys: Vec<String> = numbers.iter().map(|number| key(*number)).collect();
        let found = self.subject.get_many(&keys);
        self.note(("get_many", &numbers, &found));
        ensure!(found.len() == numbers.len(), "{} results for {} keys", found.len(), numbers.len());
        numbers.into_iter().zip(found).try_for_each(|(number, found)| self.reference.check_read(number, found))
    }

    fn insert(&mut self, number: usize) -> Verdict {
        let new = self.new_value();
        let result = self.subject.insert(number, &new);
        self.note(("insert", number, &new, result));
        let expected = if self.reference.fits(number, &new) { Ok(()) } else { Err(ErrorKind::Invalid) };
        ensure!(result == expected, "an insert said {result:?}, should {expected:?}");
        if result.is_ok() {
            self.reference.revoke(number);
            self.reference.put(number, &new);
        }
        Ok(())
    }

    fn insert_many(&mut self) -> Verdict {
        let entries: Vec<(usize, New)> = self.some_keys().into_iter().map(|number| (number, self.plain())).collect();
        let result = self.subject.insert_many(&entries);
        self.note(("insert_many", &entries, result));
        ensure!(result.is_ok(), "insert_many said {result:?}");
        for (number, new) in entries {
            self.reference.revoke(number);
            self.reference.put(number, &new);
        }
        Ok(())
    }

    fn remove(&mut self, number: usize) -> Verdict {
        let was_there = self.subject.remove(&key(number));
        self.note(("remove", number, was_there));
        let verdict = self.reference.check_is_there(number, was_there);
        self.reference.revoke(number);
        verdict
    }

    fn remove_many(&mut self) -> Verdict {
        let mut numbers = self.some_keys();
        let keys: Vec<String> = numbers.iter().map(|number| key(*number)).collect();
        let count = self.subject.remove_many(&keys);
        self.note(("remove_many", &numbers, count));
        numbers.sort_unstable();
        numbers.dedup();
        let verdict = self.reference.check_count(numbers.iter().copied(), count);
        numbers.into_iter().for_each(|number| self.reference.revoke(number));
        verdict
    }

    fn answer(&mut self) -> Answer {
        if self.is_memory_cache() {
            return Answer::Value(self.plain());
        }
        match self.random.below(10) {
            0 => Answer::NotStored(self.plain()),
            1 => Answer::Absent { ttl_ms: None },
            2 => Answer::Absent { ttl_ms: Some(self.some_ms()) },
            _ => Answer::Value(self.new_value()),
        }
    }

    fn meanwhile(&mut self, number: usize) -> Meanwhile {
        match self.random.below(30) {
            0 => Meanwhile::Remove,
            1 => Meanwhile::Insert(self.plain()),
            2 => Meanwhile::Clear,
            3 if !self.is_memory_cache() => Meanwhile::Tag(u8::try_from(self.random.below(TAGS)).unwrap()),
            4 => Meanwhile::Prefix(key(number)[..2].to_owned()),
            5 => Meanwhile::Prefix(key(number + 1)[..2].to_owned()),
            _ => Meanwhile::Nothing,
        }
    }

    fn new_load(&mut self, keys: Vec<usize>) -> Load {
        let answers = (0..KEYS).map(|_| self.answer()).collect();
        let end = match self.random.below(12) {
            0 | 1 => End::Error,
            2 => End::Panic,
            3 if keys.len() > 1 && !self.is_memory_cache() => End::Short,
            _ => End::Answers,
        };
        let is_optional = self.random.is_one_in(2);
        Load { keys, answers, end, meanwhile: Meanwhile::Nothing, is_optional, asked: std::sync::Arc::default() }
    }

    fn load(&mut self, number: usize) -> Verdict {
        let mut load = self.new_load(vec![number]);
        load.meanwhile = self.meanwhile(number);
        let outcome = self.subject.load(&load);
        let asked = load.asked.lock().unwrap().clone();
        self.note(("load", number, &load.answers[number], load.end, &load.meanwhile, &asked, outcome));
        ensure!(asked.is_empty() || asked == [[number]], "the loader was asked for {asked:?}");
        self.reference.check_load(number, &load, !asked.is_empty(), outcome)?;
        if !asked.is_empty() {
            self.reference.loaded(number, &load);
        }
        Ok(())
    }

    fn load_many(&mut self) -> Verdict {
        let numbers = self.some_keys();
        let load = self.new_load(numbers.clone());
        let outcomes = self.subject.load_many(&load);
        let asked = load.asked.lock().unwrap().clone();
        let answers: Vec<_> = numbers.iter().map(|number| &load.answers[*number]).collect();
        self.note(("load_many", &numbers, answers, load.end, &asked, &outcomes));
        ensure!(outcomes.len() == numbers.len(), "{} outcomes for {} keys", outcomes.len(), numbers.len());
        if self.is_memory_cache() {
            return self.loads_one_by_one(&load, outcomes);
        }
        ensure!(asked.len() <= 1, "the loader was called for {asked:?}");
        let mut asked = asked.concat();
        for (number, outcome) in numbers.iter().zip(outcomes) {
            self.reference.check_load(*number, &load, asked.contains(number), outcome)?;
        }
        let count = asked.len();
        asked.sort_unstable();
        asked.dedup();
        ensure!(asked.len() == count, "the loader was asked for a key twice");
        asked.into_iter().for_each(|number| self.reference.loaded(number, &load));
        Ok(())
    }

    /// The face without a call for many keys: as many loads as keys.
    fn loads_one_by_one(&mut self, load: &Load, outcomes: Vec<super::subject::Outcome>) -> Verdict {
        let mut asked: VecDeque<usize> = load.asked.lock().unwrap().concat().into();
        for (number, outcome) in load.keys.iter().zip(outcomes) {
            let is_asked = asked.front() == Some(number) && self.reference.must_read(*number).is_none();
            self.reference.check_load(*number, load, is_asked, outcome)?;
            if is_asked {
                asked.pop_front();
                self.reference.loaded(*number, load);
            }
        }
        ensure!(asked.is_empty(), "the loader was asked for {asked:?}, too");
        Ok(())
    }

    fn keys(&mut self) -> Verdict {
        let mut keys: Vec<usize> = self.subject.keys().iter().map(|key| number(key)).collect();
        keys.sort_unstable();
        self.note(("keys", &keys));
        ensure!(keys.windows(2).all(|pair| pair[0] < pair[1]), "a key is there twice: {keys:?}");
        (0..KEYS).try_for_each(|number| self.reference.check_is_there(number, keys.contains(&number)))
    }

    fn remove_by_tag(&mut self) -> Verdict {
        let tag = u8::try_from(self.random.below(TAGS)).unwrap();
        self.note(("remove_by_tag", tag));
        self.subject.remove_by_tag(&tag_name(tag));
        self.reference.remove_by_tag(tag);
        Ok(())
    }

    fn remove_by_prefix(&mut self) -> Verdict {
        let numbered = key(self.some_key());
        let prefix = &numbered[..2 + self.random.index(2)];
        let count = self.subject.remove_by_prefix(prefix);
        self.note(("remove_by_prefix", prefix, count));
        let verdict = self.reference.check_count((0..KEYS).filter(|number| key(*number).starts_with(prefix)), count);
        self.reference.remove_by_prefix(prefix);
        verdict
    }

    fn clear(&mut self) -> Verdict {
        self.note("clear");
        self.subject.clear();
        self.reference.clear();
        Ok(())
    }

    fn resize(&mut self) -> Verdict {
        self.reference.capacity = self.reference.config.another_capacity(&mut self.random);
        self.note(("resize", self.reference.capacity));
        self.subject.resize(self.reference.capacity);
        Ok(())
    }

    fn reopen(&mut self) -> Verdict {
        self.note("reopen");
        self.subject.reopen();
        self.reference.reopen();
        Ok(())
    }

    /// To a moment of any entry's where something ends, or just before it, or by any time.
    fn advance(&mut self) -> Verdict {
        let number = self.some_key();
        let (now_ms, config) = (self.reference.now_ms, &self.reference.config);
        let windows = [0, config.stale_while_revalidate_ms, config.max_stale_ms];
        let window_ms = windows[self.random.index(3)];
        let state = &self.reference.states[number];
        let end_ms = state.entry.as_ref().map_or(0, |entry| entry.fresh_most_ms.saturating_add(window_ms));
        let by_ms = match self.random.below(4) {
            0 if (now_ms + 1..u64::MAX).contains(&end_ms) => end_ms - now_ms,
            1 if (now_ms + 2..u64::MAX).contains(&end_ms) => end_ms - now_ms - 1,
            _ => self.random.below(100),
        };
        self.reference.config.clock.advance(Duration::from_millis(by_ms));
        self.reference.now_ms += by_ms;
        self.note(("advance", by_ms));
        Ok(())
    }

    /// What holds after every call.
    fn check_sums(&self) -> Verdict {
        let stats = self.subject.stats();
        let memory = &stats.memory;
        ensure!(memory.capacity == self.reference.capacity, "memory's capacity is {}", memory.capacity);
        ensure!(memory.weight <= memory.capacity, "memory holds {} of {}", memory.weight, memory.capacity);
        let gone = memory.departures.total() + memory.entries;
        ensure!(memory.inserts == gone, "memory was given {} entries and lost or has {gone}", memory.inserts);
        if let Some(below) = &stats.compressed {
            ensure!(below.weight <= below.capacity, "the compressed tier holds {} of {}", below.weight, below.capacity);
            ensure!(below.drops.corrupt + below.drops.not_decoded + below.drops.foreign == 0, "{:?}", below.drops);
        }
        if let Some(below) = &stats.disk {
            ensure!(below.weight <= below.capacity, "the disk tier holds {} of {}", below.weight, below.capacity);
            let lost = below.drops.corrupt + below.drops.not_decoded + below.drops.foreign + below.drops.queue_full;
            ensure!(lost + below.drops.failed + below.drops.timed_out == 0, "{:?}", below.drops);
        }
        ensure!(stats.waiting == 0 && stats.listener_panics == 0, "{stats:?}");
        Ok(())
    }
}
