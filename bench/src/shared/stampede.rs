//! Eight processes, a thousand callers in each, one key that nobody has: how often its loader runs, and when all are answered.

use super::Stand;
use super::family::{Family, PROCESSES};
use super::store::Store;
use super::subject::Subject;
use super::turn::Turn;
use crate::clock;
use crate::turns::Figures;
use redis::AsyncCommands;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const CALLERS: u64 = 1000;
const LOAD_TIME: Duration = Duration::from_millis(200);
const ROUNDS: u64 = 3;

/// A key beside everybody's, in which the loader counts how often it ran.
fn counter(key: &str) -> String {
    format!("runs-of:{key}")
}

pub(super) fn run(stand: &Stand, subject: &'static Subject, figures: &mut Figures) -> anyhow::Result<()> {
    let mut family = Family::start(stand, "stampede", subject)?;
    let mut counters = redis::Client::open(stand.url.as_str())?.get_connection()?;
    let rounds = if stand.is_quick { 1 } else { ROUNDS };
    for round in 0..rounds {
        let key = format!("{}:cold:{:x}:{round}", subject.name, clock::monotonic_ns());
        let began = clock::monotonic_ns();
        (0..PROCESSES).try_for_each(|member| family.tell(member, &key))?;
        let answers = family.hear_of_all("answered")?;
        let ended = answers.iter().map(|said| said.number(0)).collect::<anyhow::Result<Vec<_>>>()?;
        let failed: u64 = answers.iter().map(|said| said.number(1)).sum::<anyhow::Result<u64>>()?;
        let runs: u64 = redis::cmd("GET").arg(counter(&key)).query(&mut counters)?;
        let last = ended.into_iter().max().unwrap_or(began);
        figures.add("stampede/loader_runs", subject.name, "runs", runs as f64);
        figures.add("stampede/answered_ms", subject.name, "ms", (last - began) as f64 / 1e6);
        figures.add("stampede/failed", subject.name, "callers", failed as f64);
    }
    Ok(())
}

/// One of the processes: a line is the key of a stampede.
pub(super) fn take_part<S: Store>(turn: &Turn, runtime: &Runtime) -> anyhow::Result<()> {
    let setting = turn.setting(CALLERS);
    let store = Arc::new(runtime.block_on(S::connect(&setting))?);
    let counters = redis::Client::open(setting.url.as_str())?;
    let counters = runtime.block_on(counters.get_multiplexed_async_connection())?;
    println!("ready");
    for key in std::io::stdin().lock().lines() {
        let key: Arc<str> = key?.into();
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (store, key, counters) = (Arc::clone(&store), Arc::clone(&key), counters.clone());
            callers.spawn_on(
                async move {
                    let value = store.get_or_load(&key, load(counters, counter(&key))).await?;
                    anyhow::ensure!(value.as_ref() == VALUE, "another value");
                    Ok(())
                },
                runtime.handle(),
            );
        }
        let failed = runtime.block_on(async {
            let mut failed = 0;
            while let Some(caller) = callers.join_next().await {
                let result: anyhow::Result<()> = caller?;
                if let Err(error) = result {
                    if failed == 0 {
                        eprintln!("{}: {error:#}", turn.subject.name);
                    }
                    failed += 1;
                }
            }
            anyhow::Ok(failed)
        })?;
        println!("answered {} {failed}", clock::monotonic_ns());
    }
    Ok(())
}

const VALUE: &[u8] = &[9; 100];

/// Takes its time, and counts itself.
async fn load(mut counters: redis::aio::MultiplexedConnection, counter: String) -> anyhow::Result<Vec<u8>> {
    let _: u64 = counters.incr(&counter, 1).await?;
    tokio::time::sleep(LOAD_TIME).await;
    Ok(VALUE.to_vec())
}
