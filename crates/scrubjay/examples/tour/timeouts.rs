//! Loads that take too long. Runs on a runtime whose time is paused: what takes minutes here takes none.

use crate::Failure;
use crate::database::Database;
use crate::page::Page;
use scrubjay::{Cache, Clock, FailSafe, Memory};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) async fn show(page: &mut Page) -> Result<(), Failure> {
    page.section("Timeouts: soft ones serve what is stale, hard ones give up");
    let database = Database::default();
    let users: Cache<u64, String> = Cache::builder("users")
        .memory(Memory::bytes(1 << 20))
        .clock(Clock::tokio())
        .time_to_live(Duration::from_secs(60))
        .fail_safe(FailSafe { max_stale: Duration::from_secs(3600), throttle: Duration::from_secs(10) })
        .soft_timeout(Duration::from_millis(100))
        .hard_timeout(Duration::from_secs(5))
        .build()
        .await?;
    users.get_or_load(&42, database.user()).await?;
    tokio::time::advance(Duration::from_secs(61)).await;
    database.change();
    database.take(Duration::from_secs(2));
    let began = Instant::now();
    let user = users.get_or_load(&42, database.user()).await?;
    page.shows("what a load takes now, and the soft timeout", "2 s, 100 ms");
    page.within("the call took", began.elapsed().as_secs_f64() * 1e3, " ms", 100.0..=105.0);
    page.holds("and brought", user, "user 42 v1");
    while !users.contains(&42).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    page.within("the load went on, and was over after", began.elapsed().as_secs_f64(), " s", 1.9..=2.2);
    page.holds("what is there now", users.get(&42).await, "user 42 v2");
    database.take(Duration::from_secs(60));
    let began = Instant::now();
    let error = users.get_or_load(&7, database.user()).await.err().ok_or("a minute is within 5 s")?;
    page.shows("what a load takes now, and the hard timeout", "60 s, 5 s");
    page.within("nothing stale is there: the call took", began.elapsed().as_secs_f64(), " s", 5.0..=5.1);
    page.holds("and brought an error of kind", format!("{:?}", error.kind()), "Timeout");
    page.holds("soft timeouts", users.stats().soft_timeouts, 1);
    page.holds("hard timeouts", users.stats().hard_timeouts, 1);
    Ok(())
}
