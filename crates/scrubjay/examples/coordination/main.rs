//! Workers of a service that share a server: a nightly job that one of them does, customers that may ask only so often, pages that are
//! counted, and which of them are popular.
//!
//! `cargo run --release --example coordination redis://127.0.0.1:6379` plays four workers at once, and says what each primitive
//! answers. Start it several times at the same time: there is still one that does the job.

#[cfg(test)]
mod tests;

use scrubjay::coordination::{Coordinator, Counter, Expiry, Limit, Lock, Popularity, RateLimiter, WhenAway};
use scrubjay::{Error, Remote};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const WORKERS: u64 = 4;
const MINUTE: Duration = Duration::from_secs(60);

/// What the workers share.
struct Service {
    job: Lock,
    requests: RateLimiter,
    visits: Counter,
    popular: Popularity,
}

/// What became of the work.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    /// Workers that had the lock, with rising fencing tokens.
    tokens: Vec<u64>,
    allowed: u64,
    denied: u64,
}

impl Service {
    fn new(shared: &Coordinator) -> Result<Service, Error> {
        // A day's worth for the month: nobody sees the window end while this runs.
        let limit = Limit::fixed_window(10, 43_200 * MINUTE);
        Ok(Service {
            job: shared.lock("nightly-report")?.time_to_live(Duration::from_secs(5))?,
            requests: shared.rate_limiter("requests", limit)?.when_away(WhenAway::Allow),
            visits: shared.counter("visits", Expiry::AfterFirst(1440 * MINUTE))?,
            popular: shared.popularity("pages", 60 * MINUTE, 10)?,
        })
    }

    /// One worker: the job if it is its turn, and five requests of the same customer.
    async fn work(&self, worker: u64, report: &tokio::sync::Mutex<Report>) -> Result<(), Error> {
        if let Some(guard) = self.job.lock(MINUTE).await? {
            println!("worker {worker} has the job, token {}", guard.fencing_token());
            report.lock().await.tokens.push(guard.fencing_token());
            guard.release().await?;
        }
        for page in ["/jays", "/jays", "/magpies", "/jays", "/crows"] {
            let decision = self.requests.check("customer:42", 1).await?;
            let mut report = report.lock().await;
            if !decision.is_allowed {
                report.denied += 1;
                continue;
            }
            report.allowed += 1;
            drop(report);
            self.visits.add(page, 1).await?;
            self.popular.record(page, 1.0).await?;
        }
        Ok(())
    }
}

async fn run(url: &str) -> Result<Report, Error> {
    let shared = Coordinator::connect(Remote::url(url).prefix("coordination-example:"))?;
    let service = Arc::new(Service::new(&shared)?);
    let report = Arc::new(tokio::sync::Mutex::new(Report::default()));
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (service, report) = (Arc::clone(&service), Arc::clone(&report));
        workers.spawn(async move { service.work(worker, &report).await });
    }
    while let Some(worker) = workers.join_next().await {
        if let Ok(done) = worker {
            done?;
        }
    }
    let visits = service.visits.get_many(&["/jays", "/magpies", "/crows"]).await;
    println!("visits of jays, magpies and crows: {:?}", visits.into_iter().flatten().collect::<Vec<i64>>());
    for (page, weight) in service.popular.top(3).await? {
        println!("{weight:6.2}  {}", String::from_utf8_lossy(&page));
    }
    service.requests.reset("customer:42").await?;
    shared.close().await;
    Ok(std::mem::take(&mut *report.lock().await))
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("usage: coordination URL, such as redis://127.0.0.1:6379");
        return ExitCode::from(2);
    };
    match run(&url).await {
        Ok(report) => {
            println!("{} requests allowed, {} denied", report.allowed, report.denied);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
