//! `--demo`: the service driven over HTTP, with its database taken away in between.
//!
//! The cache's clock is held, so that minutes pass at once; timeouts are real. What comes out is compared with what must.

use crate::{Failure, Site, serve};
use scrubjay::Clock;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Serves on a free port, runs the script, and stops the service.
pub(crate) async fn run() -> Result<(), Failure> {
    let clock = Clock::held();
    let site = Site::new(clock.clone()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        // A sender that is dropped says the same.
        let _ = stopped.await;
    };
    let service = tokio::spawn(serve(site.clone(), listener, stopped));
    println!("serving on {url}\n");
    let script = Script { client: Client::new(url), clock, site };
    let outcome = script.run().await;
    drop(script);
    let _ = stop.send(());
    service.await??;
    outcome
}

/// An HTTP client whose calls block, on a thread of the pool.
#[derive(Clone)]
struct Client {
    url: String,
    agent: ureq::Agent,
}

struct Answer {
    status: u16,
    text: String,
    took: Duration,
}

impl Client {
    fn new(url: String) -> Client {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let config = config.timeout_global(Some(Duration::from_secs(10))).build();
        Client { url, agent: config.into() }
    }

    async fn call(&self, method: &'static str, path: &str, body: &'static str) -> Result<Answer, Failure> {
        let (agent, url) = (self.agent.clone(), format!("{}{path}", self.url));
        let call = move || -> Result<Answer, Failure> {
            let began = Instant::now();
            let mut response = match method {
                "GET" => agent.get(&url).call(),
                "PUT" => agent.put(&url).send(body),
                _ => agent.post(&url).send(body),
            }?;
            let text = response.body_mut().read_to_string()?;
            Ok(Answer { status: response.status().as_u16(), text, took: began.elapsed() })
        };
        tokio::task::spawn_blocking(call).await?
    }

    async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.call("GET", path, "").await
    }
}

struct Script {
    client: Client,
    clock: Clock,
    site: Site,
}

impl Script {
    async fn run(&self) -> Result<(), Failure> {
        self.all_is_well().await?;
        self.database_is_gone().await?;
        self.database_hangs().await?;
        self.database_is_back().await?;
        self.can_be_watched().await
    }

    async fn all_is_well(&self) -> Result<(), Failure> {
        println!("The database is on.");
        self.shows("/users/1", 200, "user 1").await?;
        self.shows("/users/1", 200, "user 1").await?;
        self.shows("/users/4040", 404, "no user").await?;
        let before = self.site.database.queries();
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let client = self.client.clone();
                tokio::spawn(async move { client.get("/users/2").await })
            })
            .collect();
        for call in calls {
            check(call.await??.status == 200, "one of 50 requests for user 2 failed")?;
        }
        let queries = self.site.database.queries() - before;
        println!("    50 requests for user 2 at once asked the database {queries} time");
        check(queries == 1, "that must be one")
    }

    async fn database_is_gone(&self) -> Result<(), Failure> {
        println!("\nThe database is taken away, and two minutes pass: the users' time is over.");
        self.call("POST", "/database/off", "", 200).await?;
        self.clock.advance(Duration::from_secs(120));
        self.shows("/users/1", 200, "user 1").await?;
        println!("An hour passes.");
        self.clock.advance(Duration::from_secs(3_600));
        self.shows("/users/1", 200, "user 1").await?;
        let before = self.site.database.queries();
        for _ in 0..100 {
            check(self.client.get("/users/1").await?.status == 200, "a user who is known was not served")?;
        }
        let queries = self.site.database.queries() - before;
        println!("    100 requests more were answered, and asked the database {queries} times");
        check(queries == 0, "it must be left alone")?;
        println!("Of whom nothing is known, nothing can be said, but that at once:");
        self.shows("/users/3", 503, "refuses connections").await?;
        Ok(())
    }

    async fn database_hangs(&self) -> Result<(), Failure> {
        println!("\nNow it takes connections and does not answer. The soft timeout is 100 ms, the hard one 1 s.");
        self.call("POST", "/database/hangs", "", 200).await?;
        self.clock.advance(Duration::from_secs(30));
        let soft = self.shows("/users/1", 200, "user 1").await?;
        check((50..900).contains(&soft.took.as_millis()), "that must take the soft timeout")?;
        let hard = self.shows("/users/3", 504, "").await?;
        check((900..5_000).contains(&hard.took.as_millis()), "that must take the hard timeout")
    }

    async fn database_is_back(&self) -> Result<(), Failure> {
        println!("\nThe database is back.");
        self.call("POST", "/database/on", "", 200).await?;
        self.clock.advance(Duration::from_secs(30));
        self.shows("/users/3", 200, "user 3").await?;
        self.call("PUT", "/users/1", "Ada", 204).await?;
        self.shows("/users/1", 200, "Ada").await?;
        Ok(())
    }

    async fn can_be_watched(&self) -> Result<(), Failure> {
        println!("\nWhat an operator sees:");
        self.shows("/health", 200, "\"state\":\"serving\"").await?;
        let metrics = self.client.get("/metrics").await?;
        check(metrics.status == 200, "no metrics")?;
        let wanted = ["_loads_total", "_fail_safe_hits_total", "_stale_hits_total", "_joined", "_timeouts_total"];
        let samples = metrics.text.lines().filter(|line| !line.starts_with('#'));
        for line in samples.filter(|line| wanted.iter().any(|name| line.contains(name))) {
            println!("    {line}");
        }
        check(!metrics.text.contains("scrubjay_fail_safe_hits_total{cache=\"users\"} 0\n"), "no fail-safe hits")
    }

    /// Asks for the path, prints what came, and wants this status and these words.
    async fn shows(&self, path: &str, status: u16, words: &str) -> Result<Answer, Failure> {
        let answer = self.client.get(path).await?;
        print(&format!("GET {path}"), &answer);
        check(answer.status == status && answer.text.contains(words), &format!("must be {status} with {words:?}"))?;
        Ok(answer)
    }

    async fn call(&self, method: &'static str, path: &str, body: &'static str, status: u16) -> Result<(), Failure> {
        let answer = self.client.call(method, path, body).await?;
        print(&format!("{method} {path} {body}"), &answer);
        check(answer.status == status, &format!("must be {status}"))
    }
}

fn print(request: &str, answer: &Answer) {
    let Answer { status, text, took } = answer;
    println!("    {request:<24} {status} {:>8.1} ms  {}", took.as_secs_f64() * 1e3, text.trim());
}

fn check(is_so: bool, else_say: &str) -> Result<(), Failure> {
    if is_so { Ok(()) } else { Err(else_say.into()) }
}
