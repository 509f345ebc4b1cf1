//! The server goes away and comes back: nothing fails that need not, and nothing that was changed meanwhile is lost.

use crate::page::Page;
use crate::{Failure, Service, until};
use scrubjay::ErrorKind;

pub(crate) async fn show(page: &mut Page, service: &Service) -> Result<(), Failure> {
    let Service { a, b, database, line } = service;
    for (user, name) in [("user:2", "Grace"), ("user:3", "Barbara")] {
        database.rename(user, name).await;
    }
    for process in [a, b] {
        process.name("user:2", database).await?;
    }
    for process in [a, b] {
        process.keeps_in_memory("user:2").await;
    }
    line.cut();
    until("both know that it is away", async || !a.is_serving() && !b.is_serving()).await?;
    while_away(page, service).await?;
    line.join();
    back(page, service).await
}

async fn while_away(page: &mut Page, service: &Service) -> Result<(), Failure> {
    page.section("The server is away: reads go on");
    let Service { a, b, database, .. } = service;
    let health = a.users.health();
    let remote = health.tier("remote").ok_or("there is a remote tier")?;
    page.holds("health of the remote tier in a", format!("{:?}", remote.state), "Unavailable");
    page.note(&format!("    {}", remote.message.as_deref().unwrap_or_default()));
    page.holds("b has in memory, for 30 seconds at most", b.users.get("user:2").await, Some("Grace"));
    page.holds("a loads what nobody has", a.name("user:3", database).await?, "Barbara");
    database.rename("user:2", "Grace Hopper").await;
    let refused = a.users.remove("user:2").await.err().ok_or("a removal that is not confirmed is an error")?;
    page.holds("a removal says that it could not be confirmed", refused.kind() == ErrorKind::Unavailable, true);
    page.says("in these words", &refused.to_string(), "queued");
    page.holds("a itself has let go", a.users.get("user:2").await, None::<&str>);
    page.holds("b cannot know yet: an old name, within those 30 seconds", b.users.get("user:2").await, Some("Grace"));
    page.holds("an insert is no error", a.users.insert("user:4".into(), "Edith".into()).await.is_ok(), true);
    page.holds("changes that wait for the server", a.shared().missed_pending > 0, true);
    Ok(())
}

async fn back(page: &mut Page, service: &Service) -> Result<(), Failure> {
    page.section("The server is back: what was missed is done there, then it is trusted again");
    let Service { a, b, database, .. } = service;
    let caught_up = async || a.is_serving() && b.is_serving() && a.shared().missed_pending == 0;
    let took = until("both serve again", caught_up).await?;
    page.shows("milliseconds until both serve again (measured)", took.round().to_string());
    page.holds("b asks for the renamed user", b.name("user:2", database).await?, "Grace Hopper");
    page.holds("changes that a made up for", a.shared().replayed > 0, true);
    let times = |process: &crate::Process| process.shared().distrusted;
    page.holds("both let go of what they had kept meanwhile", times(a) > 0 && times(b) > 0, true);
    Ok(())
}
