//! Histories of several processes on one server, with harm done to all of them; what they tell is judged.
//!
//! What happens when hangs on a seed and on how much the processes have told so far. Bytes are not garbled here: nobody can
//! promise anything of a removal whose key arrives as another.

use super::checker::{Bounds, check};
use super::child::{CAP, KEYS};
use super::children::{Process, Told};
use super::story::{Event, MILLISECOND};
use scrubjay_harness::{Direction, Proxy, Random, RedisCluster, RedisServer, Reply, ScrubjayServer, Toxic, Which};
use std::sync::Arc;
use std::time::Duration;

const PROCESSES: usize = 3;
/// Harm is done so often in a round.
const STEPS: usize = 9;
/// What a process that hears nothing may take to notice: a heartbeat, and a command's time.
const NOTICE: Duration = Duration::from_millis(1000 + 250);

/// The server of a history.
enum World {
    Redis(RedisServer),
    Ours(ScrubjayServer),
    Cluster(RedisCluster),
}

/// One place at which a process works, with what stands between it and the server.
struct Place {
    proxy: Option<Proxy>,
    process: Process,
    folder: String,
}

struct Round {
    seed: u64,
    random: Random,
    hears: bool,
    world: World,
    told: Arc<Told>,
    places: Vec<Place>,
    /// What was done, for whoever reads of a fault.
    deeds: Vec<String>,
    _folder: tempfile::TempDir,
}

fn rounds() -> u64 {
    std::env::var("SCRUBJAY_SHARED_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

fn first_seed() -> u64 {
    std::env::var("SCRUBJAY_SHARED_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

fn bounds(foreign: Duration) -> Bounds {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
    Bounds { foreign: nanos(foreign), expiry: 1000 * MILLISECOND, call: 10_000 * MILLISECOND }
}

#[test]
fn undisturbed_processes_hear_of_changes_at_once() {
    for seed in first_seed()..first_seed() + rounds() {
        let world =
            if seed % 2 == 0 { World::Ours(ScrubjayServer::start()) } else { World::Redis(RedisServer::start()) };
        let round = Round::start(seed, world, true);
        round.told.wait_for_more(6000);
        round.end(Duration::from_millis(400));
    }
}

#[test]
fn processes_that_do_not_hear_of_changes_are_found_out() {
    let round = Round::start(1, World::Redis(RedisServer::start()), false);
    let (told, foreign) = (Arc::clone(&round.told), Duration::from_millis(400));
    told.wait_for_more(4000);
    round.read_all(foreign);
    assert!(check(&told.history(), bounds(foreign)).faults.len() > 5);
}

#[test]
fn processes_on_a_redis_server_that_is_harmed_keep_the_promises() {
    for seed in first_seed()..first_seed() + 2 * rounds() {
        let mut round = Round::start(seed, World::Redis(RedisServer::start()), true);
        round.harm();
        round.end(NOTICE + CAP + Duration::from_millis(500));
    }
}

#[test]
fn processes_on_our_own_server_that_is_harmed_keep_the_promises() {
    for seed in first_seed()..first_seed() + rounds() {
        let mut round = Round::start(seed, World::Ours(ScrubjayServer::start()), true);
        round.harm();
        round.end(NOTICE + CAP + Duration::from_millis(500));
    }
}

#[test]
fn processes_on_a_cluster_whose_slots_move_keep_the_promises() {
    for seed in first_seed()..first_seed() + rounds() {
        let mut round = Round::start(seed, World::Cluster(RedisCluster::start()), true);
        round.harm();
        round.end(NOTICE + CAP + Duration::from_millis(500));
    }
}

impl Round {
    fn start(seed: u64, world: World, hears: bool) -> Round {
        let (folder, told) = (tempfile::tempdir().unwrap(), Arc::new(Told::default()));
        let mut round = Round {
            seed,
            random: Random(seed),
            hears,
            world,
            told,
            places: Vec::new(),
            deeds: Vec::new(),
            _folder: folder,
        };
        for number in 0..PROCESSES {
            // One of them has a disk tier below memory, which outlives it.
            let on_disk = round._folder.path().join(number.to_string());
            let folder = if number == 0 { on_disk.to_str().unwrap().to_owned() } else { "-".to_owned() };
            let proxy = match &round.world {
                World::Redis(server) => Some(Proxy::with_seed(server.address(), seed)),
                World::Ours(server) => Some(Proxy::with_seed(server.address(), seed)),
                World::Cluster(_) => None,
            };
            let process = round.process(proxy.as_ref(), &folder);
            round.places.push(Place { proxy, process, folder });
        }
        for place in &round.places {
            place.process.wait("has read something", |event| matches!(event, Event::Read { .. }));
        }
        round
    }

    fn process(&mut self, proxy: Option<&Proxy>, folder: &str) -> Process {
        let urls = match (&self.world, proxy) {
            (World::Cluster(cluster), _) => cluster.urls(),
            (World::Redis(server), None) => vec![server.url()],
            (World::Ours(server), None) => vec![server.url()],
            (_, Some(proxy)) => vec![proxy.url()],
        };
        Process::start(&self.told, self.hears, self.random.number(), folder, urls)
    }

    fn deed(&mut self, text: String) {
        self.deeds.push(text);
    }

    /// Lets a while pass, in events: between a twentieth of a second and some seconds.
    fn pass(&mut self) {
        let count = 150 + self.random.below(900);
        self.told.wait_for_more(usize::try_from(count).unwrap());
    }

    fn harm(&mut self) {
        for _ in 0..STEPS {
            self.pass();
            if matches!(self.world, World::Cluster(_)) { self.harm_cluster() } else { self.harm_one() }
        }
        self.pass();
    }

    /// Something happens to the network of one process, to a process, or to the server.
    fn harm_one(&mut self) {
        let number = usize::try_from(self.random.below(3)).unwrap();
        match self.random.below(14) {
            0 | 1 => self.network(number, "partition", Proxy::partition),
            2 => self.network(number, "cut", |proxy| _ = proxy.cut(&Which::All)),
            3 | 4 => self.network(number, "cut tracking", |proxy| _ = proxy.cut(&Which::saying("CLIENT TRACKING"))),
            5 => self.network(number, "stall", |proxy| proxy.add_both(Which::All, Toxic::Stall)),
            6 => self.network(number, "lose a reply", |proxy| {
                proxy.add(Which::All, Direction::ToClient, Toxic::CutAt { command: "EVALSHA".into(), nth: 3 });
            }),
            7 => {
                self.network(number, "half-close", |proxy| proxy.add(Which::All, Direction::ToClient, Toxic::HalfClose))
            }
            8 => self.network(number, "split and delay", |proxy| {
                proxy.add_both(Which::All, Toxic::Split(20));
                proxy.add_both(Which::All, Toxic::Delay(Duration::from_millis(15)));
            }),
            9 => self.network(number, "refuse", |proxy| {
                proxy.refuse(true);
                proxy.cut(&Which::All);
            }),
            10 => self.crash(number),
            11 => self.restart_server(),
            12 => self.call_server(&["FLUSHALL"]),
            _ => self.lose_stamps(),
        }
    }

    fn network(&mut self, number: usize, what: &str, harm: impl Fn(&Proxy)) {
        self.deed(format!("process {}: {what}", self.places[number].process.number));
        harm(self.places[number].proxy.as_ref().unwrap());
        self.pass();
        self.places[number].proxy.as_ref().unwrap().heal();
    }

    fn crash(&mut self, number: usize) {
        let mut place = self.places.remove(number);
        self.deed(format!("process {} killed", place.process.number));
        place.process.kill();
        place.process = self.process(place.proxy.as_ref(), &place.folder);
        self.places.insert(number, place);
    }

    fn restart_server(&mut self) {
        self.deed("server restarted".to_owned());
        match &mut self.world {
            World::Redis(server) if self.random.is_one_in(2) => {
                server.pause();
                self.told.wait_for_more(300);
                server.resume();
            }
            World::Redis(server) => server.restart(),
            World::Ours(server) => server.restart(),
            World::Cluster(_) => unreachable!("a cluster is harmed in other ways"),
        }
    }

    fn call_server(&mut self, words: &[&str]) {
        self.deed(words.join(" "));
        let reply = match &self.world {
            World::Redis(server) => server.call(words),
            World::Ours(server) => server.call(words),
            World::Cluster(_) => unreachable!("a cluster is harmed in other ways"),
        };
        assert!(!matches!(reply, Reply::Error(_)), "{reply:?}");
    }

    /// As an eviction would.
    fn lose_stamps(&mut self) {
        let keys = match &self.world {
            World::Redis(server) => server.call(&["KEYS", "*!stamps*"]).texts(),
            World::Ours(server) => server.call(&["KEYS", "*!stamps*"]).texts(),
            World::Cluster(_) => Vec::new(),
        };
        for key in keys {
            self.call_server(&["DEL", &key]);
        }
    }

    fn harm_cluster(&mut self) {
        match self.random.below(6) {
            0 => self.crash(usize::try_from(self.random.clone().below(3)).unwrap()),
            1 => {
                let number = usize::try_from(self.random.below(3)).unwrap();
                self.deed(format!("node {number} restarted"));
                let World::Cluster(cluster) = &mut self.world else { return };
                cluster.node_mut(number).restart();
                cluster.wait_until_ok();
            }
            _ => {
                let key = self.random.below(KEYS);
                let World::Cluster(cluster) = &self.world else { return };
                let slot = RedisCluster::slot_of(format!("scrubjay:shared:0:{key}"));
                let to = (cluster.owner_of(slot) + 1) % 3;
                cluster.move_slot(slot, to);
                self.deed(format!("the slot of key {key} moved to node {to}"));
            }
        }
    }

    /// All is well again: everybody catches up, and reads every key once more when every removal must hold.
    fn end(self, foreign: Duration) {
        let (seed, deeds, told) = (self.seed, self.deeds.clone(), Arc::clone(&self.told));
        self.read_all(foreign);
        let judged = check(&told.history(), bounds(foreign));
        let mut faults = judged.faults.clone();
        faults.truncate(10);
        let count = judged.faults.len();
        if count > 0 {
            println!("all that was told lies in {}", told.write_down(seed).display());
        }
        assert!(count == 0, "SCRUBJAY_SHARED_SEED={seed}: {count} faults: {faults:#?}\nwhat was done: {deeds:#?}");
        println!("seed {seed}: {judged:?} {deeds:?}");
        assert!(judged.shared > 0 && judged.decisive > 100 && judged.loads > 10 && judged.removals > 10, "{judged:?}");
    }

    fn read_all(mut self, foreign: Duration) {
        self.places.iter_mut().for_each(|place| place.process.settle());
        for place in &self.places {
            let is_settled = |event: &Event| matches!(event, Event::Settled { .. } | Event::Wrong { .. });
            place.process.wait("has settled", is_settled);
        }
        let after = foreign + Duration::from_millis(100);
        self.places.iter_mut().for_each(|place| place.process.say(&format!("read {}", after.as_millis())));
        for place in &self.places {
            place.process.wait("has read everything", |event| matches!(event, Event::Finished { .. }));
        }
        self.places.into_iter().for_each(|place| place.process.end());
    }
}
