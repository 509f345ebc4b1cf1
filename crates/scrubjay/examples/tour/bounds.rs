//! Bounds: a budget that holds, its parts, and who is told what left.

use crate::Failure;
use crate::page::Page;
use scrubjay::{Cache, Clock, Compressed, EntryOptions, Loaded, Memory, Reason};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) async fn show(page: &mut Page) -> Result<(), Failure> {
    resize(page).await?;
    partitions(page).await?;
    costs(page).await?;
    listener(page).await?;
    bad_input(page).await
}

async fn resize(page: &mut Page) -> Result<(), Failure> {
    page.section("A budget in bytes that holds, and can be changed while running");
    let cache: Cache<u64, String> =
        Cache::builder("pages").memory(Memory::bytes(4 << 20)).clock(Clock::held()).build().await?;
    let mut weight_max = 0;
    for id in 0..50_000_u64 {
        cache.insert(id, "x".repeat(usize::try_from(id % 300)?)).await?;
        if id % 100 == 0 {
            weight_max = weight_max.max(cache.stats().memory.weight);
        }
    }
    let before = cache.stats().memory;
    page.shows("pages of 0 to 299 bytes, inserted", 50_000);
    page.shows("budget in bytes", before.capacity);
    page.holds("weight at its highest, within the budget", weight_max <= before.capacity, true);
    page.shows("pages kept", before.entries);
    cache.resize(1 << 20).await?;
    let after = cache.stats().memory;
    page.shows("budget after resize", after.capacity);
    page.holds("weight, within the new budget", after.weight <= 1 << 20, true);
    page.shows("pages kept", after.entries);
    page.holds("inserted = kept + departed", after.inserts, after.entries + after.departures.total());
    Ok(())
}

async fn partitions(page: &mut Page) -> Result<(), Failure> {
    page.section("Partitions: quotas inside one budget");
    let cache: Cache<String, String> = Cache::builder("site")
        .memory(Memory::bytes(4 << 20).partition("sessions", 1 << 20))
        .partition_by(|key: &String| key.starts_with("session:").then_some("sessions"))
        .clock(Clock::held())
        .build()
        .await?;
    cache.insert_many((0..5_000).map(|id| (format!("page:{id}"), "y".repeat(100)))).await?;
    let pages_weight = cache.stats().memory.weight;
    cache.insert_many((0..50_000).map(|id| (format!("session:{id}"), "z".repeat(100)))).await?;
    let keys: Vec<String> = cache.keys().await.collect();
    let pages = keys.iter().filter(|key| key.starts_with("page:")).count();
    let stats = cache.stats().memory;
    page.shows("pages, then sessions, that were inserted", "5,000, 50,000");
    page.holds("pages that are there still", pages, 5_000);
    page.shows("sessions that are there still", keys.len() - pages);
    page.holds("bytes of sessions, within their quota of 1 MiB", stats.weight - pages_weight <= 1 << 20, true);
    page.holds("sessions that left, as \"over_quota\"", stats.departures.over_quota, 55_000 - keys.len() as u64);
    Ok(())
}

async fn costs(page: &mut Page) -> Result<(), Failure> {
    page.section("Costs: what is dear to load stays longer");
    let cache: Cache<u64, u64> =
        Cache::builder("rows").memory(Memory::entries(1_000).shards(1)).clock(Clock::held()).build().await?;
    let mut state = 42_u64;
    let (mut dear_hits, mut cheap_hits) = (0_u32, 0_u32);
    for _ in 0..40_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let id = (state >> 33) % 4_000;
        let is_dear = id.is_multiple_of(2);
        if cache.get(&id).await.is_some() {
            *(if is_dear { &mut dear_hits } else { &mut cheap_hits }) += 1;
            continue;
        }
        let dear = EntryOptions::new().cost(Duration::from_millis(100));
        cache.insert_with(id, id, if is_dear { dear } else { EntryOptions::new() }).await?;
    }
    page.shows("reads at random of 4,000 rows, every other at 100 ms a load", 40_000);
    page.shows("budget in rows", 1_000);
    page.shows("hits of cheap rows", u64::from(cheap_hits));
    page.shows("hits of dear rows", u64::from(dear_hits));
    page.within("times as many", f64::from(dear_hits) / f64::from(cheap_hits.max(1)), "", 1.5..=100.0);
    Ok(())
}

async fn listener(page: &mut Page) -> Result<(), Failure> {
    page.section("A listener is told what leaves memory, and why");
    let told: Arc<Mutex<HashMap<Reason, u64>>> = Arc::default();
    let (clock, tell) = (Clock::held(), Arc::clone(&told));
    let cache: Cache<u64, u64> = Cache::builder("rows")
        .memory(Memory::entries(1_000).shards(1).partition("odd", 100))
        .partition_by(|id: &u64| (!id.is_multiple_of(2)).then_some("odd"))
        .clock(clock.clone())
        .on_departure(move |_, _, reason| {
            *tell.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
        })
        .build()
        .await?;
    cache.insert_many((1..301).step_by(2).map(|id| (id, id))).await?;
    cache.insert_many((0..2_400).step_by(2).map(|id| (id, id))).await?;
    let mut keys = cache.keys().await.filter(|id| id % 2 == 0).collect::<Vec<_>>().into_iter();
    for id in keys.by_ref().take(7) {
        cache.insert(id, id + 1).await?;
    }
    for id in keys.by_ref().take(5) {
        cache.remove(&id).await?;
    }
    for id in keys.take(3) {
        cache.insert_with(id, id, EntryOptions::new().time_to_live(Duration::from_secs(1))).await?;
    }
    clock.advance(Duration::from_secs(2));
    let departures = crate::database::until("the expired ones are out", async || {
        cache.stats().memory.departures.expired == 3
            && told.lock().unwrap_or_else(PoisonError::into_inner).get(&Reason::Expired) == Some(&3)
    });
    departures.await?;
    let counted = cache.stats().memory.departures;
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let of = |reason| told.get(&reason).copied().unwrap_or(0);
    page.holds("removed", of(Reason::Removed), 5);
    page.holds("replaced", of(Reason::Replaced), 10);
    page.holds("expired", of(Reason::Expired), 3);
    page.holds("evicted, for 1,300 do not fit into 1,000", of(Reason::Evicted), 300);
    page.holds("over quota: 50 of 150 odd ones", of(Reason::OverQuota), 50);
    page.holds("told in all, and counted", told.values().sum::<u64>(), counted.total());
    Ok(())
}

async fn bad_input(page: &mut Page) -> Result<(), Failure> {
    page.section("Bad input: each error names the field and the limit");
    type Rows = Cache<u64, u64>;
    let message = |result: Result<Rows, scrubjay::Error>| match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    };
    let tiny = Cache::builder("rows").memory(Memory::bytes(10)).build().await;
    page.says("a budget of 10 bytes", &message(tiny), "memory.bytes is 10, must be at least 4096");
    let tiny = Cache::builder("rows").memory(Memory::bytes(1 << 20)).compressed(Compressed::bytes(1)).build().await;
    page.says("a compressed tier of 1 byte", &message(tiny), "compressed.bytes is 1, must be at least");
    let zero = Cache::builder("rows").memory(Memory::bytes(1 << 20)).time_to_live(Duration::ZERO).build().await;
    page.says("a time to live of nothing", &message(zero), "time_to_live is 0ns, must be");
    let beyond = Cache::builder("rows").memory(Memory::bytes(1 << 20)).time_to_live(Duration::MAX).build().await;
    page.says("one beyond the clock", &message(beyond), "time_to_live is");
    let early = Cache::builder("rows").memory(Memory::bytes(1 << 20)).refresh_ahead(1.5).build().await;
    page.says("a refresh after the end", &message(early), "refresh_ahead is 1.5, must be");

    let rows: Rows = Cache::builder("rows")
        .memory_with(Memory::entries(100), |_, weight| u32::try_from(*weight).unwrap_or(u32::MAX))
        .build()
        .await?;
    let refusal =
        |result: Result<(), scrubjay::Error>| result.err().map_or_else(|| "accepted".into(), |error| error.to_string());
    page.says("a weigher that says 0", &refusal(rows.insert(1, 0).await), "weight of key \"1\" is 0, must be 1..=100");
    page.says("one that says more than the budget", &refusal(rows.insert(1, 101).await), "is 101, must be 1..=100");
    let empty = EntryOptions::new().tag("");
    page.says("an empty tag", &refusal(rows.insert_with(1, 1, empty).await), "tag");
    let heavy = rows.get_or_load(&2, async |_| Ok::<_, std::io::Error>(Loaded::value(500))).await?;
    page.holds("a loaded value that does not fit is returned", heavy, 500);
    page.holds("and not stored, which is counted", rows.stats().memory.drops.too_large, 1);
    Ok(())
}
