//! The database goes away, and the answers go on.

use crate::Failure;
use crate::database::{Database, Gone};
use crate::page::Page;
use scrubjay::{Cache, Clock, Error, FailSafe, Memory};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn show(page: &mut Page) -> Result<(), Failure> {
    let (clock, database) = (Clock::held(), Database::default());
    let users: Cache<u64, String> = Cache::builder("users")
        .memory(Memory::bytes(1 << 20))
        .clock(clock.clone())
        .time_to_live(MINUTE)
        .fail_safe(FailSafe { max_stale: 60 * MINUTE, throttle: Duration::from_secs(10) })
        .error_backoff(Duration::from_secs(5))
        .build()
        .await?;
    fail_safe(page, &users, &database, &clock).await?;
    back_off(page, &users, &database).await?;
    recovery(page, &users, &database, &clock).await
}

async fn fail_safe(
    page: &mut Page,
    users: &Cache<u64, String>,
    database: &Database,
    clock: &Clock,
) -> Result<(), Failure> {
    page.section("Fail-safe: the database is gone, and what was known is served");
    users.get_or_load(&42, database.user()).await?;
    clock.advance(2 * MINUTE);
    database.go_away();
    let mut answered = 0;
    for _ in 0..100 {
        answered += usize::from(users.get_or_load(&42, database.user()).await? == "user 42 v1");
    }
    page.shows("calls, the user's time over and the database gone", 100);
    page.holds("answered with the user as it was", answered, 100);
    page.holds("calls of the loader, which then is left alone for 10 s", database.queries() - 1, 1);
    clock.advance(Duration::from_secs(10));
    users.get_or_load(&42, database.user()).await?;
    page.holds("10 s later", database.queries() - 1, 2);
    page.holds("fail-safe hits", users.stats().fail_safe_hits, 101);
    Ok(())
}

async fn back_off(page: &mut Page, users: &Cache<u64, String>, database: &Database) -> Result<(), Failure> {
    page.section("Errors are shared, not cached; an optional back-off spares the database");
    let asked = database.queries();
    let mut errors: Vec<Error> = Vec::new();
    for _ in 0..10 {
        errors.extend(users.get_or_load(&7, database.user()).await.err());
    }
    page.shows("calls for a user of whom nothing is known", 10);
    page.holds("errors", errors.len(), 10);
    page.says("each says", &errors[0].to_string(), "connection refused");
    page.holds("the loader's own error can be had", errors[0].downcast_source::<Gone>().is_some(), true);
    page.holds("calls of the loader in 5 s of back-off", database.queries() - asked, 1);
    page.holds("errors given again", users.stats().backed_off, 9);
    Ok(())
}

async fn recovery(
    page: &mut Page,
    users: &Cache<u64, String>,
    database: &Database,
    clock: &Clock,
) -> Result<(), Failure> {
    page.section("The database is back");
    database.change();
    database.come_back();
    clock.advance(Duration::from_secs(10));
    page.holds("the user of before", users.get_or_load(&42, database.user()).await?, "user 42 v2");
    page.holds("the one of whom nothing was known", users.get_or_load(&7, database.user()).await?, "user 7 v2");
    page.holds("loads that failed, all in all", users.stats().load_errors, 3);
    Ok(())
}
