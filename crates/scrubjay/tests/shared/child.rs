//! A process that works on a shared cache until it is told otherwise, or killed: this test's binary once more.
//!
//! It is told on its standard input, line by line, and tells what happens on its standard output ([`Event`]). A line is written
//! before what it announces, and after what it reports; so whatever has an effect was announced, however the process ends.

use super::story::{End, Event, MILLISECOND, Nanos, TAGS, What, now, text_of, value_of};
use scrubjay::{
    Cache, Coherence, Compressed, Disk, EntryOptions, Error, ErrorKind, Loaded, Memory, OnDisconnect, Remote, TierState,
};
use scrubjay_harness::Random;
use std::convert::Infallible;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// What the child is, as one line; unset in the parent.
pub(crate) const SETUP: &str = "SCRUBJAY_SHARED_CHILD";
/// The test that the child runs.
pub(crate) const ENTRY: &str = "child::a_child_process_does_what_it_is_told";

/// Keys that all processes work on. The first half is changed often.
pub(crate) const KEYS: u64 = 8;
const TASKS: u64 = 4;
/// The key of a stampede.
pub(crate) const COLD: u64 = 1000;
/// What is above may serve so long after the connection is lost.
pub(crate) const CAP: Duration = Duration::from_millis(500);
/// Lost leases expire soon enough for a test.
pub(crate) const LEASE: Duration = Duration::from_millis(600);
pub(crate) const LEASE_WAIT: Duration = Duration::from_millis(900);

/// What a child is given.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Hears of what others change. Without it, promises are broken, which the checker must find.
    pub(crate) hears: bool,
    /// Values have it in them: no two processes of a history have the same.
    pub(crate) process: u64,
    pub(crate) seed: u64,
    /// Works from the start; otherwise it waits for what it is told, and its leases last as long as leases do.
    pub(crate) works: bool,
    /// A disk tier in this folder; `-` for none.
    pub(crate) folder: String,
    /// Of the server or the proxy, several for a cluster.
    pub(crate) urls: Vec<String>,
}

impl Setup {
    pub(crate) fn line(&self) -> String {
        format!("{} {} {} {} {} {}", self.hears, self.process, self.seed, self.works, self.folder, self.urls.join(" "))
    }

    fn read(line: &str) -> Setup {
        let mut words = line.split(' ').map(str::to_owned);
        let mut next = || words.next().unwrap();
        let hears = next().parse().unwrap();
        let (process, seed) = (next().parse().unwrap(), next().parse().unwrap());
        let (works, folder) = (next().parse().unwrap(), next());
        Setup { hears, process, seed, works, folder, urls: words.collect() }
    }
}

#[test]
fn a_child_process_does_what_it_is_told() {
    let Ok(line) = std::env::var(SETUP) else { return };
    let setup = Setup::read(&line);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { Child::start(setup).await.obey().await });
}

pub(crate) type Shared = Cache<u64, String>;

/// One line at once, whole.
fn tell(event: &Event) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{}\n", event.line()).as_bytes()).unwrap();
    out.flush().unwrap();
}

struct Child {
    setup: Setup,
    cache: Shared,
    is_stopping: AtomicBool,
    made: AtomicU64,
    calls: AtomicU64,
}

impl Child {
    async fn start(setup: Setup) -> Arc<Child> {
        let remote = if setup.urls.len() == 1 { Remote::url(&setup.urls[0]) } else { Remote::cluster(&setup.urls) };
        let remote = match setup.works {
            true => remote.connect_timeout(Duration::from_millis(500)).lease_time(LEASE).lease_wait(LEASE_WAIT),
            false => remote,
        };
        let remote = if setup.hears { remote } else { remote.coherence(Coherence::None) };
        let remote = remote.on_disconnect(OnDisconnect::CapAge(CAP));
        let mut builder =
            Cache::builder("shared").memory(Memory::entries(if setup.seed.is_multiple_of(3) { 4 } else { 100 }));
        if setup.seed.is_multiple_of(2) {
            builder = builder.compressed(Compressed::bytes(1 << 20));
        }
        if setup.folder != "-" {
            builder = builder.disk(Disk::at(&setup.folder).bytes(16 << 20));
        }
        let cache = builder.remote(remote).build().await.unwrap();
        let (is_stopping, made, calls) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Child { setup, cache, is_stopping, made, calls })
    }

    /// Until the input ends.
    async fn obey(self: Arc<Child>) {
        let mut lines = lines();
        tokio::spawn(tell_when_late());
        let count = if self.setup.works { TASKS } else { 0 };
        let mut tasks: Vec<_> = (0..count).map(|task| tokio::spawn(Arc::clone(&self).work(task))).collect();
        while let Some(line) = lines.recv().await {
            match line.split_once(' ').unwrap_or((&line, "0")) {
                ("settle", _) => {
                    self.is_stopping.store(true, Ordering::Relaxed);
                    for task in tasks.drain(..) {
                        task.await.unwrap();
                    }
                    self.settle().await;
                }
                ("read", after_ms) => {
                    tokio::time::sleep(Duration::from_millis(after_ms.parse().unwrap())).await;
                    for key in (0..KEYS).chain(0..KEYS) {
                        self.get(key).await;
                        self.get_or_load(key, Duration::ZERO).await;
                    }
                    tell(&Event::Finished { at: now() });
                }
                ("stampede", callers) => self.stampede(callers.parse().unwrap()).await,
                _ => panic!("what is {line:?}?"),
            }
        }
    }

    /// So many callers ask at once for a key that nobody has.
    async fn stampede(self: &Arc<Child>, callers: u64) {
        let caller = |child: Arc<Child>| async move { child.get_or_load(COLD, Duration::from_millis(200)).await };
        let callers: Vec<_> = (0..callers).map(|_| tokio::spawn(caller(Arc::clone(self)))).collect();
        for caller in callers {
            caller.await.unwrap();
        }
        tell(&Event::Finished { at: now() });
    }

    /// Waits until whatever was missed is on the server.
    async fn settle(&self) {
        let is_settled = || {
            let serves = self.cache.health().tier("remote").is_some_and(|tier| tier.state == TierState::Serving);
            serves && self.cache.stats().remote_store.is_some_and(|remote| remote.missed_pending == 0)
        };
        let begun = now();
        while !is_settled() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if now() - begun > 20_000 * MILLISECOND {
                let text = format!("does not settle: {:?} {:?}", self.cache.health(), self.cache.stats().remote_store);
                return tell(&Event::Wrong { at: now(), text });
            }
        }
        tell(&Event::Settled { at: now() });
    }

    async fn work(self: Arc<Child>, task: u64) {
        let mut random = Random(self.setup.seed ^ (task << 32) ^ (self.setup.process << 40));
        while !self.is_stopping.load(Ordering::Relaxed) {
            self.act(&mut random).await;
            tokio::time::sleep(Duration::from_millis(random.below(6))).await;
        }
    }

    async fn act(&self, random: &mut Random) {
        let any = random.below(KEYS);
        // What is changed: mostly the first keys, so that the last ones lie long enough to be found where they must not.
        let changed = if random.is_one_in(12) { any } else { random.below(KEYS / 2) };
        match random.below(1000) {
            0..350 => self.get(any).await,
            350..700 => self.get_or_load(any, loading_time(random)).await,
            700..760 => self.get_or_load_many(&[any, changed, (any + 1) % KEYS], loading_time(random)).await,
            760..860 => self.insert(changed, time_to_live(random)).await,
            860..980 => self.remove(What::Key(changed)).await,
            980..990 => self.remove(What::Tag(random.below(TAGS))).await,
            990..992 => self.remove(What::All).await,
            _ => self.get_many(&[any, changed]).await,
        }
    }

    fn value(&self) -> u64 {
        (self.setup.process << 32) + self.made.fetch_add(1, Ordering::Relaxed)
    }

    async fn get(&self, key: u64) {
        let begun = now();
        let found = self.cache.get(&key).await;
        self.tell_read(begun, key, found);
    }

    async fn get_many(&self, keys: &[u64]) {
        let begun = now();
        let found = self.cache.get_many(keys).await;
        keys.iter().zip(found).for_each(|(key, found)| self.tell_read(begun, *key, found));
    }

    async fn get_or_load(&self, key: u64, time: Duration) {
        let (begun, value) = (now(), self.value());
        let loaded = self.cache.get_or_load(&key, async move |key| load(key, value, time).await).await;
        self.tell_loaded(begun, key, loaded.map(Some));
    }

    async fn get_or_load_many(&self, keys: &[u64], time: Duration) {
        let begun = now();
        let mut values: Vec<u64> = keys.iter().map(|_| self.value()).collect();
        let loader = async move |keys: Vec<u64>| {
            let mut loaded = Vec::new();
            for key in keys {
                loaded.push(load(key, values.pop().unwrap(), time).await?);
            }
            Ok::<_, Infallible>(loaded)
        };
        let loaded = self.cache.get_or_load_many(keys, loader).await;
        keys.iter().zip(loaded).for_each(|(key, loaded)| self.tell_loaded(begun, *key, loaded));
    }

    fn tell_loaded(&self, begun: Nanos, key: u64, loaded: Result<Option<String>, Error>) {
        match loaded {
            Ok(found) => self.tell_read(begun, key, found),
            Err(error) => tell(&Event::Wrong { at: now(), text: format!("a load of key {key} failed: {error}") }),
        }
    }

    fn tell_read(&self, begun: Nanos, key: u64, found: Option<String>) {
        let at = now();
        match found.map(|text| value_of(key, &text)).transpose() {
            Ok(value) => tell(&Event::Read { begun, at, key, value }),
            Err(text) => tell(&Event::Wrong { at, text: format!("read what nobody wrote, {text}") }),
        }
    }

    async fn insert(&self, key: u64, ttl_ms: u64) {
        let (value, before) = (self.value(), self.deferred());
        let options = options(key, ttl_ms);
        tell(&Event::Inserting { at: now(), key, value, ttl_ms });
        let inserted = self.cache.insert_with(key, text_of(key, value), options).await;
        let end = if self.deferred() == before { End::Confirmed } else { End::Deferred };
        tell(&Event::Inserted { at: now(), value, end });
        if let Err(error) = inserted {
            tell(&Event::Wrong { at: now(), text: format!("an insert under key {key} failed: {error}") });
        }
    }

    /// Changes that were kept for later: if one was, it may have been any that was under way.
    fn deferred(&self) -> u64 {
        self.cache.stats().remote_store.unwrap().deferred
    }

    async fn remove(&self, what: What) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        tell(&Event::Removing { at: now(), call, what });
        let removed = match what {
            What::Key(key) => self.cache.remove(&key).await.map(|_| ()),
            What::Tag(tag) => self.cache.remove_by_tag(&tag.to_string()).await,
            What::All => self.cache.clear().await,
        };
        let at = now();
        match removed {
            Ok(()) => tell(&Event::Removed { at, call, end: End::Confirmed }),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tell(&Event::Removed { at, call, end: End::Deferred });
            }
            Err(error) => tell(&Event::Wrong { at, text: format!("a removal of {what:?} failed: {error}") }),
        }
    }
}

/// The source of truth: as long as it takes, a value that nobody else has.
async fn load(key: u64, value: u64, time: Duration) -> Result<Loaded<String>, Infallible> {
    let ttl_ms = [0, 0, 700, 3000][usize::try_from(value % 4).unwrap()];
    tell(&Event::Loading { at: now(), key, value, ttl_ms });
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
    tell(&Event::Loaded { at: now(), value });
    Ok(Loaded::value(text_of(key, value)).options(options(key, ttl_ms)))
}

fn options(key: u64, ttl_ms: u64) -> EntryOptions {
    let options = EntryOptions::new().tag((key % TAGS).to_string());
    if ttl_ms == 0 { options } else { options.time_to_live(Duration::from_millis(ttl_ms)) }
}

fn time_to_live(random: &mut Random) -> u64 {
    [0, 0, 0, 500][usize::try_from(random.below(4)).unwrap()]
}

/// Mostly at once; now and then longer than a lease lasts, or than others wait.
fn loading_time(random: &mut Random) -> Duration {
    Duration::from_millis(match random.below(40) {
        0..20 => 0,
        20..38 => random.below(30),
        38 => 300,
        _ => 1200,
    })
}

/// What is written to the standard input, line by line.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Tells when this process did not get to run: no bound can hold then.
async fn tell_when_late() {
    const STEP: Duration = Duration::from_millis(20);
    loop {
        let begun = now();
        tokio::time::sleep(STEP).await;
        let by = (now() - begun).saturating_sub(u64::try_from(STEP.as_nanos()).unwrap());
        if by > 50 * MILLISECOND {
            tell(&Event::Late { at: now(), by });
        }
    }
}
