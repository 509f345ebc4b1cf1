//! How long values are kept, and how a hot one is never waited for.

use crate::Failure;
use crate::database::{Database, until};
use crate::page::Page;
use scrubjay::{Cache, Clock, EntryOptions, Loaded, Memory};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn show(page: &mut Page) -> Result<(), Failure> {
    time_to_live(page).await?;
    jitter(page).await?;
    stale_while_revalidate(page).await?;
    refresh_ahead(page).await?;
    negative(page).await
}

async fn time_to_live(page: &mut Page) -> Result<(), Failure> {
    page.section("Time to live: the cache's, the entry's, or the loader's");
    let clock = Clock::held();
    let users: Cache<u64, String> = Cache::builder("users")
        .memory(Memory::bytes(1 << 20))
        .time_to_live(MINUTE)
        .clock(clock.clone())
        .build()
        .await?;
    users.insert(1, "by the cache's".into()).await?;
    users.insert_with(2, "by its own".into(), EntryOptions::new().time_to_live(2 * MINUTE)).await?;
    let loaded = Loaded::value("by the loader's".to_owned()).time_to_live(MINUTE / 2);
    users.get_or_load(&3, async |_| Ok::<_, std::io::Error>(loaded)).await?;
    page.holds("entries at 0:00", users.keys().await.len(), 3);
    clock.advance(MINUTE - Duration::from_millis(1));
    page.holds("1 ms before 1:00, the one of a minute is there", users.contains(&1).await, true);
    page.holds("the one of half a minute", users.contains(&3).await, false);
    clock.advance(Duration::from_millis(1));
    page.holds("at 1:00, the one of a minute", users.contains(&1).await, false);
    page.holds("the one of two minutes", users.contains(&2).await, true);
    Ok(())
}

async fn jitter(page: &mut Page) -> Result<(), Failure> {
    page.section("Jitter: what came together does not expire together");
    let clock = Clock::held();
    let builder = Cache::builder("users").memory(Memory::bytes(1 << 20)).clock(clock.clone());
    let users: Cache<u64, u64> = builder.time_to_live(Duration::from_secs(100)).ttl_jitter(0.1).build().await?;
    users.insert_many((0..1_000).map(|id| (id, id))).await?;
    clock.advance(Duration::from_secs(90));
    page.holds("of 1,000 entries of 100 s, fresh after 90 s", users.keys().await.len(), 1_000);
    clock.advance(Duration::from_secs(5));
    let fresh = u32::try_from(users.keys().await.len())?;
    page.within("after 95 s", f64::from(fresh), "", 350.0..=650.0);
    clock.advance(Duration::from_secs(5));
    page.holds("after 100 s", users.keys().await.len(), 0);
    Ok(())
}

async fn stale_while_revalidate(page: &mut Page) -> Result<(), Failure> {
    page.section("Stale while revalidate: answered at once, refreshed behind");
    let (clock, database) = (Clock::held(), Database::default());
    let builder = Cache::builder("users").memory(Memory::bytes(1 << 20)).clock(clock.clone()).time_to_live(MINUTE);
    let users: Cache<u64, String> = builder.stale_while_revalidate(MINUTE).build().await?;
    users.get_or_load(&42, database.user()).await?;
    database.change();
    clock.advance(MINUTE + MINUTE / 2);
    database.close_gate();
    let mut stale = 0;
    for _ in 0..100 {
        stale += usize::from(users.get_or_load(&42, database.user()).await? == "user 42 v1");
    }
    page.shows("calls half a minute after the user's time, the database being slow", 100);
    page.holds("answered at once, with the old user", stale, 100);
    page.holds("calls that had to wait, but for the first ever", users.stats().waiters - 1, 0);
    until("the refresh has begun", async || database.queries() == 2).await?;
    page.holds("refreshes behind", users.stats().refreshes, 1);
    page.holds("get, which has no loader, sees no stale value", users.get(&42).await, None::<String>);
    database.open_gate();
    until("the refresh has ended", async || users.contains(&42).await).await?;
    page.holds("when the refresh has ended", users.get(&42).await, "user 42 v2");
    Ok(())
}

async fn refresh_ahead(page: &mut Page) -> Result<(), Failure> {
    page.section("Refresh ahead: a hot key is never waited for");
    let (clock, database) = (Clock::held(), Database::default());
    let builder = Cache::builder("users").memory(Memory::bytes(1 << 20)).clock(clock.clone());
    let users: Cache<u64, String> = builder.time_to_live(Duration::from_secs(100)).refresh_ahead(0.8).build().await?;
    users.get_or_load(&42, database.user()).await?;
    for _ in 0..100 {
        clock.advance(Duration::from_secs(10));
        users.get_or_load(&42, database.user()).await?;
        // The refresh, if one began, stores before the clock goes on.
        until("refreshes are over", async || {
            let stats = users.stats();
            stats.memory.inserts == 1 + stats.refreshes
        })
        .await?;
    }
    let stats = users.stats();
    page.shows("calls, one each 10 s, of a user kept for 100 s", 100);
    page.holds("hits", stats.memory.hits, 100);
    page.holds("refreshes, at 80 s each", stats.refreshes, 12);
    page.holds("calls that had to wait, but for the first ever", stats.waiters - 1, 0);
    Ok(())
}

async fn negative(page: &mut Page) -> Result<(), Failure> {
    page.section("Absent: that there is no value is remembered too");
    let (clock, database) = (Clock::held(), Database::default());
    let builder = Cache::builder("users").memory(Memory::bytes(1 << 20)).clock(clock.clone());
    let users: Cache<u64, String> = builder.negative_ttl(MINUTE).build().await?;
    let mut absent = 0;
    for _ in 0..100 {
        absent += usize::from(users.get_or_load_optional(&4_040, database.user_if_any()).await?.is_none());
    }
    page.shows("calls of get_or_load_optional for a user that is none", 100);
    page.holds("answered with None", absent, 100);
    page.holds("calls of the loader", database.queries(), 1);
    page.holds("negative hits", users.stats().negative_hits, 99);
    let error = users.get_or_load(&4_040, database.user_if_any()).await.err().ok_or("an absent value was returned")?;
    page.holds("get_or_load, which promises a value, gives an error of kind", format!("{:?}", error.kind()), "Absent");
    clock.advance(MINUTE);
    users.get_or_load_optional(&4_040, database.user_if_any()).await?;
    page.holds("calls of the loader a minute later", database.queries(), 2);
    Ok(())
}
