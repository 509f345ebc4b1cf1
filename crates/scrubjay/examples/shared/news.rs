//! While the server is there: one load for all, and changes that reach every process.

use crate::page::Page;
use crate::{Failure, Service, until};
use scrubjay::EntryOptions;
use std::sync::Arc;
use tokio::sync::Notify;

pub(crate) async fn show(page: &mut Page, service: &Service) -> Result<(), Failure> {
    one_load(page, service).await?;
    removal(page, service).await?;
    removal_during_a_load(page, service).await?;
    tags(page, service).await
}

async fn one_load(page: &mut Page, service: &Service) -> Result<(), Failure> {
    page.section("One load, however many ask in however many processes");
    let Service { a, b, database, .. } = service;
    database.rename("user:1", "Ada").await;
    let each = (0..200).map(|caller| {
        let process = if caller % 2 == 0 { a } else { b };
        process.name("user:1", database)
    });
    let mut right = 0;
    for name in futures_util::future::join_all(each).await {
        right += usize::from(name? == "Ada");
    }
    page.shows("callers at once, half of them in each process", 200);
    page.holds("got the name", right, 200);
    page.holds("queries", database.queries(), 1);
    page.holds("loads in both processes", a.users.stats().loads + b.users.stats().loads, 1);
    let is_in_both = a.keeps_in_memory("user:1").await && b.keeps_in_memory("user:1").await;
    page.holds("from then on both have it in memory", is_in_both, true);
    page.holds("queries still", database.queries(), 1);
    Ok(())
}

async fn removal(page: &mut Page, service: &Service) -> Result<(), Failure> {
    page.section("A removal in one process reaches the memory of the other");
    let Service { a, b, database, .. } = service;
    let queries = database.queries();
    // The database first, then the cache.
    database.rename("user:1", "Ada Lovelace").await;
    page.holds("a removes, and the server had it", a.users.remove("user:1").await?, true);
    let took = until("b has heard of it", async || b.users.get("user:1").await.is_none()).await?;
    page.within("until b let go of it (measured)", took, " ms", 0.0..=1_000.0);
    page.holds("b loads", b.name("user:1", database).await?, "Ada Lovelace");
    page.holds("a finds what b has loaded", a.users.get("user:1").await, Some("Ada Lovelace"));
    page.holds("queries for the new name", database.queries() - queries, 1);
    Ok(())
}

async fn removal_during_a_load(page: &mut Page, service: &Service) -> Result<(), Failure> {
    page.section("A removal anywhere wins against a load that began before it");
    let Service { a, b, .. } = service;
    let (has_begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let load = {
        let (users, has_begun, may_end) = (b.users.clone(), Arc::clone(&has_begun), Arc::clone(&may_end));
        let slow_query = async move |_| {
            has_begun.notify_one();
            may_end.notified().await;
            Ok::<_, std::io::Error>("admin".to_owned())
        };
        tokio::spawn(async move { users.get_or_load("role:1", slow_query).await })
    };
    has_begun.notified().await;
    page.note("b's query has read the role \"admin\" and is slow. Meanwhile the role is taken away, and a removes it.");
    a.users.remove("role:1").await?;
    may_end.notify_one();
    page.holds("who asked before the removal gets", load.await??, "admin");
    let nobody = [a.users.get("role:1").await, b.users.get("role:1").await].iter().all(Option::is_none);
    page.holds("nobody else does", nobody, true);
    page.holds("results of loads that b did not store", b.users.stats().revoked, 1);
    Ok(())
}

async fn tags(page: &mut Page, service: &Service) -> Result<(), Failure> {
    page.section("Tags and clear: one stamp on the server, whatever the number of entries");
    let Service { a, b, .. } = service;
    let order = |number: usize| format!("order:{number}");
    for number in 0..100 {
        let options = EntryOptions::new().tag(format!("customer:{}", number % 10));
        a.users.insert_with(order(number), "...".into(), options).await?;
    }
    let orders: Vec<String> = (0..100).map(order).collect();
    let held = async || b.users.get_many(&orders).await.iter().flatten().count();
    until("b has heard of all of them", async || held().await == 100).await?;
    page.holds("orders that a inserted and b has", held().await, 100);
    a.users.remove_by_tag("customer:7").await?;
    let took = until("b has heard of the tag", async || held().await == 90).await?;
    page.within("a removes by tag: until b knows (measured)", took, " ms", 0.0..=1_000.0);
    page.holds("orders that b has still", held().await, 90);
    a.users.clear().await?;
    until("b has heard of the clear", async || held().await == 0).await?;
    page.holds("and after a clear", held().await, 0);
    Ok(())
}
