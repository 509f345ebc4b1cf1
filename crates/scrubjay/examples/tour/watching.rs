//! What can be seen of a cache from outside, and what a hit costs.

use crate::Failure;
use crate::database::Database;
use crate::page::Page;
use scrubjay::{Cache, Clock, Compressed, ErrorKind, Memory, TierState, prometheus_text};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) async fn show(page: &mut Page) -> Result<(), Failure> {
    statistics(page).await?;
    hits(page).await
}

async fn statistics(page: &mut Page) -> Result<(), Failure> {
    page.section("Watching: numbers, health, Prometheus' text");
    let database = Database::default();
    let builder = Cache::builder("users").memory(Memory::bytes(1 << 20)).compressed(Compressed::bytes(4 << 20));
    let users: Cache<u64, String> = builder.clock(Clock::held()).time_to_live(Duration::from_secs(60)).build().await?;
    for call in 0..1_000 {
        users.get_or_load(&(call % 100), database.user()).await?;
    }
    let stats = users.stats();
    page.holds(
        "hits, misses, loads",
        format!("{}, {}, {}", stats.memory.hits, stats.memory.misses, stats.loads),
        "900, 100, 100",
    );
    page.within("hit ratio", stats.hit_ratio() * 100.0, " %", 90.0..=90.0);
    let health = users.health();
    page.holds("tiers that serve", health.tiers.iter().filter(|tier| tier.state == TierState::Serving).count(), 2);
    let text = prometheus_text([(users.name(), &stats)]);
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    page.holds("samples, each with a number at its end", text.lines().filter(|line| is_sample(line)).count(), samples);
    page.holds(
        "hits of memory, as Prometheus reads them",
        text.contains("scrubjay_hits_total{cache=\"users\",tier=\"memory\"} 900\n"),
        true,
    );
    page.note("Some of it:");
    let wanted =
        ["_hits_total{", "_misses_total{", "_loads_total{", "_load_errors_total{", "_entries{", "_capacity_bytes{"];
    for line in text.lines().filter(|line| wanted.iter().any(|name| line.contains(name))) {
        page.note(&format!("    {line}"));
    }
    users.close().await;
    page.holds("after close, a lookup", users.get(&1).await, None::<String>);
    let refused = users.insert(1, String::new()).await.err().map(|error| error.kind());
    page.holds("and an insert is refused as closed", refused == Some(ErrorKind::Closed), true);
    page.holds("the health of memory", format!("{:?}", users.health().tiers[0].state), "Closed");
    Ok(())
}

fn is_sample(line: &str) -> bool {
    !line.starts_with('#')
        && line.rsplit_once(' ').is_some_and(|(name, number)| {
            name.starts_with("scrubjay_") && (number.parse::<f64>().is_ok() || number == "+Inf")
        })
}

async fn hits(page: &mut Page) -> Result<(), Failure> {
    page.section("What a hit costs here (measured; `cargo xtask bench memory` does it properly)");
    const ROUNDS: u32 = 1_000_000;
    let rows: Cache<u64, u64> = Cache::builder("rows").memory(Memory::bytes(1 << 20)).build().await?;
    rows.insert_many((0..1_000).map(|id| (id, id))).await?;
    let mut sum = 0;
    let began = Instant::now();
    for round in 0..u64::from(ROUNDS) {
        sum += rows.get(&(round % 1_000)).await.unwrap_or(0);
    }
    page.shows("get", format!("{} ns", began.elapsed().as_nanos() / u128::from(ROUNDS)));
    let began = Instant::now();
    for round in 0..u64::from(ROUNDS) {
        sum += rows.get_or_load(&(round % 1_000), async |id| Ok::<_, std::io::Error>(id)).await?;
    }
    page.shows("get_or_load", format!("{} ns", began.elapsed().as_nanos() / u128::from(ROUNDS)));
    page.holds("hits", rows.stats().memory.hits, u64::from(2 * ROUNDS));
    page.holds("their sum, so that nobody optimises them away", sum, 999_000_000_u64);
    Ok(())
}
