//! Misses: one load for everybody who asks, whatever becomes of them.

use crate::Failure;
use crate::database::{Database, Gone, until};
use crate::page::Page;
use scrubjay::{Cache, Error, ErrorKind, Memory};
use tokio::task::JoinHandle;

pub(crate) async fn show(page: &mut Page) -> Result<(), Failure> {
    a_thousand_callers(page).await?;
    those_who_leave(page).await?;
    panics(page).await?;
    many_keys(page).await
}

async fn cache() -> Result<Cache<u64, String>, Error> {
    Cache::builder("users").memory(Memory::bytes(4 << 20)).build().await
}

/// `count` tasks that ask for the same user.
fn callers(count: usize, users: &Cache<u64, String>, database: &Database) -> Vec<JoinHandle<Result<String, Error>>> {
    let call = |_| {
        let (users, loader) = (users.clone(), database.user());
        tokio::spawn(async move { users.get_or_load(&42, loader).await })
    };
    (0..count).map(call).collect()
}

async fn a_thousand_callers(page: &mut Page) -> Result<(), Failure> {
    page.section("get_or_load: one load for all who miss the same key");
    let (users, database) = (cache().await?, Database::default());
    database.close_gate();
    let callers = callers(1_000, &users, &database);
    until("all wait", async || users.stats().waiting == 1_000).await?;
    database.open_gate();
    let mut answered = 0;
    for caller in callers {
        answered += usize::from(caller.await?? == "user 42 v1");
    }
    page.shows("tasks that ask for user 42 at the same time", 1_000);
    page.holds("calls of the loader", database.queries(), 1);
    page.holds("tasks that got the user", answered, 1_000);
    for _ in 0..1_000 {
        users.get_or_load(&42, database.user()).await?;
    }
    page.shows("calls after that", 1_000);
    page.holds("hits", users.stats().memory.hits, 1_000);
    page.holds("calls of the loader, still", database.queries(), 1);
    Ok(())
}

async fn those_who_leave(page: &mut Page) -> Result<(), Failure> {
    page.section("A caller that goes away takes nothing from the others");
    let (users, database) = (cache().await?, Database::default());
    database.close_gate();
    let mut leader = callers(1, &users, &database);
    until("it waits", async || users.stats().waiting == 1).await?;
    let others = callers(99, &users, &database);
    until("all wait", async || users.stats().waiting == 100).await?;
    for leader in leader.drain(..) {
        leader.abort();
    }
    until("it is gone", async || users.stats().waiting == 99).await?;
    database.open_gate();
    let mut answered = 0;
    for other in others {
        answered += usize::from(other.await?.is_ok());
    }
    page.shows("tasks that waited when the first of them was cancelled", 99);
    page.holds("of them, those who got the user", answered, 99);
    page.holds("calls of the loader", database.queries(), 1);
    Ok(())
}

async fn panics(page: &mut Page) -> Result<(), Failure> {
    page.section("A loader that panics is an error, not a hang");
    let users = cache().await?;
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = users.get_or_load(&42, async |_| -> Result<String, Gone> { panic!("index out of range") }).await;
    std::panic::set_hook(loud);
    let error = outcome.err().ok_or("a panic was no error")?;
    page.holds("the error's kind", format!("{:?}", error.kind()), format!("{:?}", ErrorKind::Loader));
    page.says("its message", &error.to_string(), "index out of range");
    page.holds("calls that still wait", users.stats().waiting, 0);
    Ok(())
}

async fn many_keys(page: &mut Page) -> Result<(), Failure> {
    page.section("get_or_load_many: one call for all keys that nobody has or loads");
    let (users, database) = (cache().await?, Database::default());
    users.insert_many((0..40).map(|id| (id, format!("user {id} v0")))).await?;
    database.close_gate();
    let callers = callers(1, &users, &database);
    until("it waits", async || users.stats().waiting == 1).await?;
    let many = {
        let (users, loader) = (users.clone(), database.users());
        tokio::spawn(async move { users.get_or_load_many(&(0..100).collect::<Vec<_>>(), loader).await })
    };
    until("both were called", async || database.queries() == 2).await?;
    database.open_gate();
    let results: Vec<_> = many.await?.into_iter().flatten().flatten().collect();
    page.shows("keys asked for", 100);
    page.holds("of them, found in memory", users.stats().memory.hits, 40);
    page.holds("joined, for another task loads them", users.stats().joined, 1);
    page.holds("calls of the loader for the other 59", database.queries() - 1, 1);
    page.holds("results, in the order of the keys", results.len(), 100);
    page.holds("the last", results.last().cloned(), "user 99 v1");
    for caller in callers {
        caller.await??;
    }
    let short = async |_: Vec<u64>| Ok::<_, Gone>(vec![String::new()]);
    let errors: Vec<_> = users.get_or_load_many(&[200, 201], short).await.into_iter().filter_map(Result::err).collect();
    page.holds("errors when a loader returns 1 result for 2 keys", errors.len(), 2);
    page.says("each says", &errors[0].to_string(), "2");
    Ok(())
}
