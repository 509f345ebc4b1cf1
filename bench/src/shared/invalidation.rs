//! How long other processes go on with the old value when one writes a new one.
//!
//! Eight processes have the key hot in memory and look at it four thousand times a second, all of them under load: hits on
//! other hot keys, reads of keys that are not in memory, and writes that all others are told of. One writes; a figure
//! is the time from before its call until the last process, itself included, has had an answer that is not the old
//! value any more.

use super::Stand;
use super::family::{Family, PROCESSES};
use super::store::Store;
use super::subject::Subject;
use super::turn::Turn;
use crate::clock;
use crate::library::Random;
use crate::turns::Figures;
use anyhow::Context;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Keys that everyone has in memory, and keys that few have.
const HOT: u64 = 1000;
const COLD: u64 = 20_000;

/// How often a process looks at the key.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// The load of a process: every so often so many hits and one read of a cold key; a write every so many times.
const TICK: Duration = Duration::from_millis(1);
const HITS_PER_TICK: u64 = 20;
const TICKS_PER_WRITE: u64 = 20;

/// How long an entry stays in memory, with those who are told of nothing.
const MEMORY_TTL: Duration = Duration::from_secs(1);

/// A round is given up after so long: there is a process that was told nothing and will hear nothing.
const STUCK: Duration = Duration::from_secs(5);
const STUCK_MAX: u64 = 3;

/// How long the load runs before the first round.
const SETTLING: Duration = Duration::from_millis(1000);

/// Rounds of those who are told, and of those who are not.
const ROUNDS: u64 = 400;
const ROUNDS_UNAWARE: u64 = 5;

pub(super) fn run(stand: &Stand, subject: &'static Subject, figures: &mut Figures) -> anyhow::Result<()> {
    super::fill(stand, "invalidation", subject)?;
    let mut family = Family::start(stand, "invalidation", subject)?;
    (0..PROCESSES).try_for_each(|member| family.tell(member, "load"))?;
    let mut watch = Watch::default();
    let mut random = Random::new(clock::monotonic_ns());
    let rounds = match (stand.is_quick, subject.is_told) {
        (true, true) => 20,
        (true, false) => 1,
        (false, true) => ROUNDS,
        (false, false) => ROUNDS_UNAWARE,
    };
    let (mut times, mut busy) = (Vec::new(), Busy::now()?);
    // Everybody takes the key into memory; the first round is not counted.
    clock::pause(SETTLING);
    for version in 1..=rounds + 1 {
        family.tell(0, &format!("write {version}"))?;
        let time = watch.round(&family, version)?;
        if version == 1 {
            busy = Busy::now()?;
        } else {
            times.push(time);
        }
        if watch.stuck == STUCK_MAX {
            break;
        }
        // At no fixed phase of anybody's timers.
        clock::pause(Duration::from_micros(5000 + random.next() % 10_000));
    }
    let busy = Busy::now()?.since(&busy);
    times.sort_by(f64::total_cmp);
    let at = |quantile: f64| {
        let rank = (times.len() as f64 * quantile).ceil().max(1.0);
        times.iter().copied().take(rank as usize).next_back().unwrap_or(0.0)
    };
    for (name, quantile) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)] {
        figures.add(&format!("invalidation/{name}"), subject.name, "ms", at(quantile));
    }
    figures.add("invalidation/returned", subject.name, "reads", watch.returned as f64);
    figures.add("invalidation/stuck", subject.name, "rounds", watch.stuck as f64);
    figures.add("invalidation/busy", subject.name, "%", busy);
    Ok(())
}

/// What was said in a round.
#[derive(Default)]
struct Watch {
    /// When each process had an answer that was not the old value.
    seen: [Option<u64>; PROCESSES],
    wrote: Option<u64>,
    /// How often an old value came back after it had gone.
    returned: u64,
    /// How many rounds ended with a process that still had the old value.
    stuck: u64,
}

impl Watch {
    /// Waits until all have seen the new version. Returns how many milliseconds that took.
    fn round(&mut self, family: &Family, version: u64) -> anyhow::Result<f64> {
        self.seen = [None; PROCESSES];
        self.wrote = None;
        let mut have = [false; PROCESSES];
        let deadline = clock::now() + STUCK;
        while self.wrote.is_none() || have.contains(&false) {
            let Some(said) = family.hear_within(deadline.saturating_duration_since(clock::now()))? else {
                let missing: Vec<usize> = (0..PROCESSES).filter(|member| !have[*member]).collect();
                eprintln!("version {version}: processes {missing:?} still have the old value after {STUCK:?}");
                self.stuck += 1;
                return Ok(STUCK.as_secs_f64() * 1e3);
            };
            let member = said.member;
            match said.verb() {
                "wrote" => self.wrote = Some(said.number(0)?),
                "gone" => self.seen[member] = self.seen[member].or(Some(said.number(0)?)),
                "seen" if said.number(0)? == version => {
                    have[member] = true;
                    self.seen[member] = self.seen[member].or(Some(said.number(1)?));
                }
                // How it began.
                "seen" if said.number(0)? == 0 => {}
                "seen" => self.returned += 1,
                verb => anyhow::bail!("{verb}: not expected"),
            }
        }
        let wrote = self.wrote.context("nothing was written")?;
        let last = self.seen.iter().flatten().max().copied().unwrap_or(wrote);
        Ok(last.saturating_sub(wrote) as f64 / 1e6)
    }
}

/// Time that the machine's processors worked and that passed for them, in ticks.
struct Busy {
    worked: f64,
    passed: f64,
}

impl Busy {
    fn now() -> anyhow::Result<Busy> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("/proc/stat is empty")?;
        let ticks: Vec<f64> = line.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
        let passed: f64 = ticks.iter().sum();
        Ok(Busy { worked: passed - ticks.iter().skip(3).take(2).sum::<f64>(), passed })
    }

    /// The part of the time that was worked, in percent.
    fn since(&self, before: &Busy) -> f64 {
        (self.worked - before.worked) * 100.0 / (self.passed - before.passed).max(1.0)
    }
}

/// One of the processes.
pub(super) fn take_part<S: Store>(turn: &Turn, runtime: &Runtime) -> anyhow::Result<()> {
    let mut setting = turn.setting(HOT * 3);
    setting.memory_ttl = MEMORY_TTL;
    let store = Arc::new(runtime.block_on(S::connect(&setting))?);
    let prefix = turn.subject.name;
    if turn.is_filling {
        return runtime.block_on(prepare(&store, prefix));
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("write", version)) => runtime.block_on(write(&*store, prefix, version.parse()?))?,
            _ if line == "load" => {
                let (loaded, looked_at) = (Arc::clone(&store), Arc::clone(&store));
                runtime.spawn(async move { fail_aloud(load(&*loaded, prefix).await) });
                let handle = runtime.handle().clone();
                std::thread::spawn(move || fail_aloud(look(&*looked_at, prefix, &handle)));
            }
            _ => anyhow::bail!("{line}: not known"),
        }
    }
    Ok(())
}

fn fail_aloud(result: anyhow::Result<()>) {
    if let Err(error) = result {
        println!("failed {error:#}");
    }
}

/// A key of the case: every subject has its own.
fn key(prefix: &str, kind: &str, number: u64) -> String {
    format!("{prefix}:{kind}:{number:06}")
}

/// The version of the watched key that a value is.
fn value_of(version: u64) -> Vec<u8> {
    let mut value = format!("{version:020}").into_bytes();
    value.resize(100, b'.');
    value
}

fn version_of(value: &[u8]) -> anyhow::Result<u64> {
    Ok(std::str::from_utf8(value.get(..20).context("no version")?)?.parse()?)
}

/// Writes everything that the processes read.
async fn prepare<S: Store>(store: &Arc<S>, prefix: &'static str) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    let writers = 64;
    for writer in 0..writers {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            for number in (writer..COLD).step_by(writers as usize) {
                store.insert(&key(prefix, "cold", number), &[7; 100]).await?;
                if number < HOT {
                    store.insert(&key(prefix, "hot", number), &[7; 100]).await?;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    store.insert(&key(prefix, "watched", 0), &value_of(0)).await
}

/// Writes the version, and says when that began and ended.
async fn write<S: Store>(store: &S, prefix: &str, version: u64) -> anyhow::Result<()> {
    let began = clock::monotonic_ns();
    store.insert(&key(prefix, "watched", 0), &value_of(version)).await?;
    println!("wrote {began} {}", clock::monotonic_ns());
    Ok(())
}

/// Looks at the watched key for ever, and says when it changes.
fn look<S: Store>(store: &S, prefix: &str, runtime: &Handle) -> anyhow::Result<()> {
    let watched = key(prefix, "watched", 0);
    let mut last = None;
    loop {
        let value = runtime.block_on(store.get(&watched))?;
        let now = clock::monotonic_ns();
        let version = value.map(|value| version_of(value.as_ref())).transpose()?;
        match version {
            _ if version == last => {}
            Some(version) => println!("seen {version} {now}"),
            None => println!("gone {now}"),
        }
        last = version;
        clock::pause(LOOK_EVERY);
    }
}

/// The load of this process, for ever.
async fn load<S: Store>(store: &S, prefix: &str) -> anyhow::Result<()> {
    let process = std::process::id();
    let mut random = Random::new(clock::monotonic_ns() ^ u64::from(process) << 40);
    let hot: Vec<String> = (0..HOT).map(|number| key(prefix, "hot", number)).collect();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for tick in 0_u64.. {
        ticks.tick().await;
        for _ in 0..HITS_PER_TICK {
            let number = usize::try_from(random.next() % HOT).unwrap_or(0);
            store.get(&hot[number]).await?;
        }
        store.get(&key(prefix, "cold", random.next() % COLD)).await?;
        if tick % TICKS_PER_WRITE == 0 {
            store.insert(&key(prefix, &format!("own:{process}"), tick % HOT), &[8; 100]).await?;
        }
    }
    Ok(())
}
