//! Two processes that share a Redis-compatible server, played by two caches of one name in this process.
//!
//! `cargo run --release --example shared -- redis://127.0.0.1:6379` uses that server; without an address, `REDIS_URL`; without
//! either a `scrubjay serve` that it starts itself. It shows one load for both, a removal that reaches the other's memory, tags, what happens
//! while the server is away, and what health and the numbers say. Each line is compared with what must come out. Its entries
//! lie below a prefix of their own and are removed at the end; marks of the removals stay until they expire, and one key of stamps.

mod away;
mod database;
mod line;
mod news;
#[path = "../tour/page.rs"]
mod page;
#[cfg(test)]
mod tests;
mod watching;

use database::Database;
use line::Line;
use page::Page;
use scrubjay::{Cache, Memory, OnDisconnect, Remote, RemoteStats, TierState};
use scrubjay_harness::ScrubjayServer;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Nothing here takes so long, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two processes, their database, and the line to the server that they share.
struct Service {
    a: Process,
    b: Process,
    database: Database,
    line: Line,
}

/// What each process has: a cache of the same name, on the same server.
struct Process {
    users: Cache<String, String>,
}

impl Process {
    async fn start(url: &str) -> Result<Process, Failure> {
        let remote = Remote::url(url)
            .prefix(format!("shared-example:{}:", std::process::id()))
            // Generous, so that a busy machine is not taken for a server that is away.
            .command_timeout(Duration::from_secs(2))
            // For how long memory may serve what it has while nothing is heard of the others.
            .on_disconnect(OnDisconnect::CapAge(PATIENCE));
        let builder = Cache::builder("users").memory(Memory::bytes(16 << 20)).remote(remote);
        Ok(Process { users: builder.time_to_live(Duration::from_secs(300)).build().await? })
    }

    fn is_serving(&self) -> bool {
        self.users.health().tier("remote").is_some_and(|remote| remote.state == TierState::Serving)
    }

    fn shared(&self) -> RemoteStats {
        self.users.stats().remote_store.unwrap_or_default()
    }

    /// Asks until memory answers: who has a value from the server may hear once more that another process has just stored it.
    async fn keeps_in_memory(&self, user: &str) -> bool {
        let in_memory = async || {
            let before = self.users.stats().memory.hits;
            self.users.get(user).await.is_some() && self.users.stats().memory.hits > before
        };
        until("it is in memory", in_memory).await.is_ok()
    }

    /// The user's name, by whichever tier has it, or by a query.
    async fn name(&self, user: &str, database: &Database) -> Result<String, scrubjay::Error> {
        let database = database.clone();
        self.users.get_or_load(user, async move |user| database.name(user).await).await
    }
}

/// Asks every millisecond until it is so. Milliseconds that it took.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Result<f64, Failure> {
    let began = Instant::now();
    while !is_so().await {
        if began.elapsed() > PATIENCE {
            return Err(format!("not within {PATIENCE:?}: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// Everything after the other, over the server at `url`.
async fn walk(url: &str, page: &mut Page) -> Result<(), Failure> {
    let address = url.strip_prefix("redis://").ok_or("the address must begin with redis://")?;
    let server = address.rsplit_once('@').map_or(address, |(_, server)| server);
    let server = server.split_once('/').map_or(server, |(server, _)| server);
    let with_port = if server.contains(':') { server.to_owned() } else { format!("{server}:6379") };
    let line = Line::to(with_port).await?;
    // The same user, password and database, through the line.
    let url = url.replacen(server, &line.address().to_string(), 1);
    let (a, b) = (Process::start(&url).await?, Process::start(&url).await?);
    until("both are connected", async || a.is_serving() && b.is_serving()).await?;
    let service = Service { a, b, database: Database::default(), line };
    news::show(page, &service).await?;
    away::show(page, &service).await?;
    watching::show(page, &service)?;
    service.a.users.remove_by_prefix("").await?;
    service.a.users.close().await;
    service.b.users.close().await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let (mut page, began) = (Page::default(), Instant::now());
    let given = std::env::args().nth(1).or_else(|| std::env::var("REDIS_URL").ok());
    let own = given.is_none().then(ScrubjayServer::start);
    let url = given.or_else(|| Some(own.as_ref()?.url())).unwrap_or_default();
    println!(
        "Two processes, one server, {}.",
        if own.is_some() { "a scrubjay serve of this example" } else { "yours" }
    );
    match walk(&url, &mut page).await {
        Ok(()) => page.end(began.elapsed()),
        Err(failure) => {
            eprintln!("the example stops here: {failure}");
            ExitCode::FAILURE
        }
    }
}
