//! Throughput, CPU time and latencies of what goes over the wire: callers on one client, each with one call under way.
//!
//! Each caller draws keys that are its own, so that no two ask for one at once. What a client keeps in memory holds a part in
//! two hundred of the keys.

use super::store::Store;
use super::turn::Turn;
use crate::clock;
use crate::latency::Latencies;
use crate::library::Random;
use crate::turns::row;
use crate::values::Values;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The cases, in the order in which they run; the length of a value follows.
pub(super) const CASES: &[&str] =
    &["remote-hit/1", "remote-hit/64", "remote-hit-many/64x16", "remote-insert/64", "miss-load/64"];

const KEYS: u64 = 51_200;
const ROOM: u64 = KEYS / 200;
const CALLERS: u64 = 64;
const MANY: usize = 16;
const DURATION: Duration = Duration::from_millis(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Get,
    GetMany,
    Insert,
    Load,
}

/// What every caller has at hand.
struct Field<S> {
    store: S,
    values: Values,
    keys: Vec<String>,
    /// What keys that never were there begin with.
    fresh: String,
}

pub(super) async fn run<S: Store>(turn: &Turn, value_len: usize) -> anyhow::Result<()> {
    let count = if turn.is_quick { KEYS / 10 } else { KEYS };
    let name = turn.subject.name;
    let field = Arc::new(Field {
        store: S::connect(&turn.setting(if turn.is_quick { ROOM / 10 } else { ROOM })).await?,
        values: Values::of_len(value_len),
        keys: (0..count).map(|number| format!("{name}:{value_len}:{number:08}")).collect(),
        fresh: format!("{name}:{value_len}:{:x}", clock::monotonic_ns()),
    });
    if turn.is_filling {
        return fill(&field).await;
    }
    for case in CASES {
        let (act, callers) = match *case {
            "remote-hit/1" => (Act::Get, 1),
            "remote-hit/64" => (Act::Get, CALLERS),
            "remote-hit-many/64x16" if turn.subject.has_many => (Act::GetMany, CALLERS),
            "remote-insert/64" => (Act::Insert, CALLERS),
            "miss-load/64" => (Act::Load, CALLERS),
            _ => continue,
        };
        let case = format!("{case}/{value_len}");
        if turn.wants(&case) {
            // A short run first: connections and buffers warm.
            measure(&field, act, callers, turn.lasting(DURATION / 8)).await?;
            let (cpu, server_cpu) = (clock::process_cpu_ns(), turn.server_cpu_ns());
            let done = measure(&field, act, callers, turn.lasting(DURATION)).await?;
            let cpu = clock::process_cpu_ns() - cpu;
            let server_cpu = turn.server_cpu_ns().zip(server_cpu).map(|(after, before)| after - before);
            done.print(&case, cpu, server_cpu);
        }
    }
    Ok(())
}

async fn fill<S: Store>(field: &Arc<Field<S>>) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for caller in 0..CALLERS {
        let field = Arc::clone(field);
        tasks.spawn(async move {
            for number in (caller..field.keys.len() as u64).step_by(CALLERS as usize) {
                field.store.insert(field.key(number), field.values.get(number)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

/// What callers did.
struct Done {
    operations: u64,
    latencies: Latencies,
    elapsed: Duration,
}

impl Done {
    fn print(&self, case: &str, cpu_ns: u64, server_cpu_ns: Option<u64>) {
        let operations = self.operations as f64;
        row(case, operations / self.elapsed.as_secs_f64(), "op/s");
        row(&format!("{case}/cpu"), cpu_ns as f64 / 1000.0 / operations, "us/op");
        if let Some(cpu_ns) = server_cpu_ns {
            row(&format!("{case}/server-cpu"), cpu_ns as f64 / 1000.0 / operations, "us/op");
        }
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            row(&format!("{case}/{name}"), self.latencies.at(quantile), "us");
        }
    }
}

async fn measure<S: Store>(field: &Arc<Field<S>>, act: Act, callers: u64, duration: Duration) -> anyhow::Result<Done> {
    let began = clock::now();
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        tasks.spawn(Caller::new(field, act, caller, callers).run(began + duration));
    }
    let mut done = Done { operations: 0, latencies: Latencies::new(), elapsed: duration };
    while let Some(task) = tasks.join_next().await {
        let latencies = task??;
        done.operations += latencies.count();
        done.latencies.merge(&latencies);
    }
    done.elapsed = began.elapsed();
    Ok(done)
}

/// One who asks, waits for the answer, and asks again.
struct Caller<S> {
    field: Arc<Field<S>>,
    act: Act,
    number: u64,
    callers: u64,
    random: Random,
    /// Keys that never were there, so far.
    fresh: u64,
}

impl<S: Store> Caller<S> {
    fn new(field: &Arc<Field<S>>, act: Act, number: u64, callers: u64) -> Caller<S> {
        // Another sequence in every measurement: what was kept of the last one is of no use.
        let random = Random::new(clock::monotonic_ns() ^ number << 48);
        let fresh = clock::monotonic_ns() << 8;
        Caller { field: Arc::clone(field), act, number, callers, random, fresh }
    }

    async fn run(mut self, deadline: Instant) -> anyhow::Result<Latencies> {
        let mut latencies = Latencies::new();
        let mut now = clock::now();
        while now < deadline {
            self.step().await?;
            let after = clock::now();
            latencies.add(after - now);
            now = after;
        }
        Ok(latencies)
    }

    /// A key of this caller's.
    fn draw(&mut self) -> u64 {
        let each = self.field.keys.len() as u64 / self.callers;
        self.random.next() % each * self.callers + self.number
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        let number = self.draw();
        let field = Arc::clone(&self.field);
        match self.act {
            Act::Get => {
                let value = field.store.get(field.key(number)).await?;
                field.check(number, value.as_ref().map(AsRef::as_ref))
            }
            Act::GetMany => {
                let numbers: Vec<u64> = (0..MANY).map(|_| self.draw()).collect();
                let keys: Vec<String> = numbers.iter().map(|number| field.key(*number).to_owned()).collect();
                let values = field.store.get_many(&keys).await?;
                anyhow::ensure!(values.len() == MANY, "{} answers to {MANY} keys", values.len());
                let values = values.iter().map(|value| value.as_ref().map(AsRef::as_ref));
                numbers.into_iter().zip(values).try_for_each(|(number, value)| field.check(number, value))
            }
            Act::Insert => field.store.insert(field.key(number), field.values.get(number)).await,
            Act::Load => {
                self.fresh += 1;
                let key = format!("{}:{}:{:x}", field.fresh, self.number, self.fresh);
                let loaded = field.values.get(number).to_vec();
                let value = field.store.get_or_load(&key, async move { Ok(loaded) }).await?;
                field.check(number, Some(value.as_ref()))
            }
        }
    }
}

impl<S> Field<S> {
    fn key(&self, number: u64) -> &str {
        &self.keys[usize::try_from(number).unwrap_or(0)]
    }

    fn check(&self, number: u64, value: Option<&[u8]>) -> anyhow::Result<()> {
        anyhow::ensure!(value.is_some_and(|value| self.values.is(number, value)), "{number}: not its value");
        Ok(())
    }
}
