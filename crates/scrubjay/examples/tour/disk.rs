//! Behind the tiers in memory: a folder, and what of it is there after a restart.

use crate::Failure;
use crate::page::Page;
use scrubjay::{Cache, Clock, Disk, EntryOptions, Error, Memory, TierState, WarmUpState};
use std::path::Path;
use std::time::Duration;

const NUMBERS: u64 = 1_000;

pub(crate) async fn show(page: &mut Page) -> Result<(), Failure> {
    page.section("A folder that survives restarts");
    let (folder, clock) = (tempfile::tempdir()?, Clock::held());
    let first = open(folder.path(), &clock).await?;
    for number in 0..NUMBERS {
        let tag = if number % 2 == 0 { "even" } else { "odd" };
        first.insert_with(number, number * number, EntryOptions::new().tag(tag)).await?;
    }
    let stats = first.stats();
    page.holds("squares stored, of which memory has room for 100", NUMBERS, 1_000);
    page.holds("entries in memory", stats.memory.entries, 100);
    page.holds("entries on disk", stats.disk.map_or(0, |disk| disk.entries), 900);
    page.holds("all of them found", found(&first).await, 1_000);
    first.remove(&7).await?;
    first.remove_by_tag("even").await?;
    page.note(
        "7 is removed, and everything tagged \"even\". Then the cache is closed: what only memory had is written down.",
    );
    first.close().await;

    clock.advance(Duration::from_secs(10));
    let second = open(folder.path(), &clock).await?;
    while second.warm_up().state == WarmUpState::Running {
        tokio::task::yield_now().await;
    }
    let warm_up = second.warm_up();
    page.holds("the next process fills memory, to four fifths: entries", warm_up.entries_raised, 80);
    page.shows("entries looked at, since half of them are invalid", warm_up.entries_done);
    page.holds("squares found after the restart", found(&second).await, 499);
    page.holds("the disk says that it serves", u64::from(is_serving(&second)), 1);
    clock.advance(Duration::from_secs(50));
    page.holds("and after their minute, counted over the restart", found(&second).await, 0);
    second.close().await;
    missing(page, &clock, folder.path()).await
}

async fn missing(page: &mut Page, clock: &Clock, folder: &Path) -> Result<(), Failure> {
    let path = folder.join("file");
    std::fs::write(&path, "not a folder")?;
    let refused = open(&path, clock).await;
    let text = refused.err().map_or_else(String::new, |error| error.to_string());
    page.says("a place that is no folder", &text, "cannot be opened");
    let disk = Disk::at(&path).bytes(1 << 20).optional(true);
    let builder = Cache::<u64, u64>::builder("without").memory(Memory::entries(100)).disk(disk);
    let without = builder.build().await?;
    without.insert(1, 1).await?;
    page.holds("with optional(true) the cache starts without it", u64::from(!is_serving(&without)), 1);
    page.holds("and what memory has is there", without.get(&1).await.unwrap_or(0), 1);
    without.close().await;
    Ok(())
}

async fn open(path: &Path, clock: &Clock) -> Result<Cache<u64, u64>, Error> {
    let builder = Cache::builder("squares").memory(Memory::entries(100)).clock(clock.clone());
    builder.disk(Disk::at(path).bytes(16 << 20)).time_to_live(Duration::from_secs(60)).build().await
}

async fn found(cache: &Cache<u64, u64>) -> u64 {
    let keys: Vec<u64> = (0..NUMBERS).collect();
    let values = cache.get_many(&keys).await;
    let right = keys.iter().zip(&values).filter(|(key, value)| **value == Some(**key * **key));
    right.count() as u64
}

fn is_serving(cache: &Cache<u64, u64>) -> bool {
    cache.health().tier("disk").is_some_and(|tier| tier.state == TierState::Serving)
}
