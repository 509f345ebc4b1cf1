//! What is taken out is out: by key, tag, prefix, or all of it, whatever load is under way.

use crate::Failure;
use crate::database::{Database, until};
use crate::page::Page;
use scrubjay::{Cache, Clock, EntryOptions, Memory};

/// The clock stands still, so that nothing but the calls here takes anything out.
async fn cache(bytes: u64) -> Result<Cache<String, String>, Failure> {
    Ok(Cache::builder("users").memory(Memory::bytes(bytes)).clock(Clock::held()).build().await?)
}

pub(crate) async fn show(page: &mut Page) -> Result<(), Failure> {
    tags(page).await?;
    prefix(page).await?;
    during_a_load(page).await
}

async fn tags(page: &mut Page) -> Result<(), Failure> {
    page.section("Tags: one call, whatever the number of entries");
    let orders = cache(16 << 20).await?;
    for order in 0..10_000 {
        let options = EntryOptions::new().tag(format!("user:{}", order % 100)).tag(format!("month:{}", order % 12));
        orders.insert_with(format!("order:{order}"), "...".into(), options).await?;
    }
    page.holds("orders, each with the tags of its user and its month", orders.keys().await.len(), 10_000);
    let began = tokio::time::Instant::now();
    orders.remove_by_tag("user:7").await?;
    page.shows("remove_by_tag(\"user:7\") took (measured)", format!("{:?}", began.elapsed()));
    page.holds("orders that are left", orders.keys().await.len(), 9_900);
    orders.remove_by_tag("month:3").await?;
    page.holds("and after remove_by_tag(\"month:3\")", orders.keys().await.len(), 9_099);
    Ok(())
}

async fn prefix(page: &mut Page) -> Result<(), Failure> {
    page.section("Prefixes and lists of keys");
    let users = cache(16 << 20).await?;
    let keys: Vec<String> = (0..1_000).flat_map(|id| [format!("user:{id}:name"), format!("user:{id}:mail")]).collect();
    users.insert_many(keys.iter().map(|key| (key.clone(), "...".to_owned()))).await?;
    page.holds("entries", users.keys().await.len(), 2_000);
    page.holds("removed by the prefix \"user:7:\"", users.remove_by_prefix("user:7:").await?, 2);
    page.holds("removed by the prefix \"user:1\"", users.remove_by_prefix("user:1").await?, 222);
    page.holds("removed by remove_many of 100 keys that are there", users.remove_many(&keys[400..500]).await?, 100);
    page.holds("entries that are left", users.keys().await.len(), 2_000 - 2 - 222 - 100);
    Ok(())
}

/// What may happen to a key while it is loaded.
#[derive(Clone, Copy)]
enum Meanwhile {
    Remove,
    Insert,
    RemoveByTag,
    RemoveByPrefix,
    Clear,
}

async fn during_a_load(page: &mut Page) -> Result<(), Failure> {
    use Meanwhile::*;
    page.section("An invalidation wins against every load that began before it");
    page.note("A load of user 42 begins; meanwhile comes");
    for (name, meanwhile) in [
        ("remove", Remove),
        ("insert of another value", Insert),
        ("remove_by_tag", RemoveByTag),
        ("remove_by_prefix", RemoveByPrefix),
        ("clear", Clear),
    ] {
        let (users, database) = (cache(1 << 20).await?, Database::default());
        database.close_gate();
        let caller = {
            let (users, loader) = (users.clone(), database.user());
            let loader = async move |_| {
                let user = loader(42).await?;
                Ok::<_, crate::database::Gone>(scrubjay::Loaded::value(user).tag("team:9"))
            };
            tokio::spawn(async move { users.get_or_load("user:42", loader).await })
        };
        until("the load has begun", async || database.queries() == 1).await?;
        let later = match meanwhile {
            Remove => users.remove("user:42").await.map(|_| "nothing")?,
            Insert => users.insert("user:42".into(), "inserted".into()).await.map(|()| "inserted")?,
            RemoveByTag => users.remove_by_tag("team:9").await.map(|()| "nothing")?,
            RemoveByPrefix => users.remove_by_prefix("user:").await.map(|_| "nothing")?,
            Clear => users.clear().await.map(|()| "nothing")?,
        };
        database.open_gate();
        let answer = caller.await??;
        let kept = users.get("user:42").await.unwrap_or_else(|| "nothing".into());
        page.holds(&format!("  {name}: the caller gets"), answer, "user 42 v1");
        page.holds("    and the cache keeps", kept, later);
        page.holds("    loads counted as revoked", users.stats().revoked, 1);
    }
    Ok(())
}
