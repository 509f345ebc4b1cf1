//! Processes that share a server: each a tier with a log of what it tells the tiers above.

mod acts;
mod away;
mod loads;
mod news;

use super::*;
use crate::entry::Times;
use crate::remote::Coherence;
use scrubjay_harness::{RedisServer, ScrubjayServer, wait_for};

/// What the tiers above were told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Changed(Vec<u8>),
    Marked(Mark),
    Distrusted,
}

#[derive(Debug, Default)]
struct Log(Mutex<Vec<Told>>, PanicsNext);

/// Whether the next change that it is told of makes it panic.
type PanicsNext = AtomicBool;

impl Above for Log {
    fn changed(&self, key: &[u8]) {
        assert!(!self.1.swap(false, Ordering::AcqRel), "a test makes it panic");
        self.0.lock().push(Told::Changed(key.to_vec()));
    }

    fn marked(&self, mark: Mark) {
        self.0.lock().push(Told::Marked(mark));
    }

    fn distrusted(&self) {
        self.0.lock().push(Told::Distrusted);
    }
}

/// One process.
struct Process {
    tier: RemoteTier,
    log: Arc<Log>,
}

impl Process {
    /// Connected, and trusting what it has.
    fn start(url: &str) -> Process {
        Process::with(Remote::url(url))
    }

    fn with(remote: Remote) -> Process {
        let process = Process::connecting(remote);
        process.wait_until_it_serves();
        process
    }

    fn connecting(remote: Remote) -> Process {
        let clock = Clock::system();
        let runtime = Handle::current();
        let setup = RemoteSetup { name: "users".into(), schema: 3, codec_id: 1, clock, runtime, remote };
        let tier = RemoteTier::start(setup).unwrap();
        let log = Arc::new(Log::default());
        tier.attach(Arc::clone(&log) as _);
        Process { tier, log }
    }

    fn wait_until_it_serves(&self) {
        wait_for("the tier to serve", || (self.tier.inner.is_serving(&self.tier.link) && self.trusts()).then_some(()));
        self.log.0.lock().clear();
    }

    fn trusts(&self) -> bool {
        self.tier.inner.is_connected()
    }

    fn wait_until_told(&self, told: &Told) {
        wait_for(&format!("{told:?}"), || self.log.0.lock().contains(told).then_some(()));
    }

    fn was_told(&self, told: &Told) -> bool {
        self.log.0.lock().contains(told)
    }

    fn encode(&self, key: &[u8], value: &[u8], tags: &[&str]) -> Encoded {
        self.encode_born(key, value, tags, self.tier.born())
    }

    fn encode_born(&self, key: &[u8], value: &[u8], tags: &[&str], born: SharedBorn) -> Encoded {
        let now_ms = self.tier.inner.clock.now_ms();
        let times = Times { stored_at_ms: now_ms, fresh_until_ms: now_ms + 60_000, stale_until_ms: now_ms + 120_000 };
        let new = NewKept { key, times, cost: 0, born: 0, weight: 1, tags };
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(value);
            Ok(())
        };
        self.tier.encode(&new, born, Some(write)).unwrap()
    }

    async fn insert(&self, key: &[u8], value: &[u8]) {
        self.insert_tagged(key, value, &[]).await;
    }

    async fn insert_tagged(&self, key: &[u8], value: &[u8], tags: &[&str]) {
        let entry = self.encode(key, value, tags);
        self.tier.insert(key, Some(&entry)).await;
    }

    /// What a lookup gets.
    async fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let bytes = self.tier.get(key).await?;
        self.read(key, &bytes)
    }

    fn read(&self, key: &[u8], bytes: &Bytes) -> Option<Vec<u8>> {
        self.tier.read(key, bytes, |_, payload| Ok(payload.unwrap().to_vec()))
    }

    async fn lease(&self, key: &[u8]) -> RemoteLease {
        match self.tier.begin(key, None, Duration::ZERO).await {
            Begun::Granted(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    fn names(&self, key: &[u8]) -> KeyNames {
        self.tier.inner.names.of(key).unwrap()
    }
}

fn changed(key: &[u8]) -> Told {
    Told::Changed(key.to_vec())
}

use crate::kept::NewKept;
use crate::remote::{Begun, Filled, RemoteLease, Removal};
