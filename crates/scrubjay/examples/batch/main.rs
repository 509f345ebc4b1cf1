//! A batch job: orders are enriched with what a slow service knows of their customers.
//!
//! `cargo run --release --example batch [ROWS]` works through 400,000 orders in chunks of 500, some of them at the same time.
//! Each chunk asks the cache for all its customers at once, and the cache asks the service once for those that it has not,
//! whichever chunk wants them. Progress goes to standard error, the result to standard output. Ctrl-C takes no more chunks,
//! waits for those that were begun, and says where to go on.

mod orders;
mod progress;
#[cfg(test)]
mod tests;

use orders::{Customer, Order, Revenue, fetch_customers};
use progress::Progress;
use scrubjay::{Cache, Memory};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Orders that are enriched at once, and chunks that are under way at the same time.
const CHUNK: u64 = 500;
const CHUNKS_AT_ONCE: usize = 8;

/// Everything that the chunks share.
struct Job {
    customers: Cache<u64, Customer>,
    rows: u64,
    is_stopped: Arc<AtomicBool>,
}

/// What the job came to.
struct Report {
    revenue: Revenue,
    /// Every order before this one is in it.
    rows_done: u64,
}

impl Job {
    async fn new(rows: u64, is_stopped: Arc<AtomicBool>) -> Result<Job, Failure> {
        let builder = Cache::builder("customers").memory(Memory::bytes(16 << 20));
        // Customers whom the service does not know are remembered like the others.
        let customers = builder.negative_ttl(Duration::from_secs(600)).build().await?;
        Ok(Job { customers, rows, is_stopped })
    }

    async fn run(self: Arc<Self>) -> Result<Report, Failure> {
        let mut progress = Progress::new(self.rows);
        let (mut report, mut chunks) = (Report { revenue: Revenue::default(), rows_done: 0 }, JoinSet::new());
        let mut begun = 0;
        loop {
            while chunks.len() < CHUNKS_AT_ONCE && begun < self.rows && !self.is_stopped.load(Ordering::Relaxed) {
                let end = (begun + CHUNK).min(self.rows);
                chunks.spawn(Arc::clone(&self).enrich(begun..end));
                begun = end;
            }
            // Chunks begin in order, and all that were begun are waited for: in the end there are no gaps.
            let Some(chunk) = chunks.join_next().await else { break };
            let (rows, revenue) = chunk??;
            report.revenue.add(&revenue);
            report.rows_done += rows;
            progress.shows(report.rows_done, &self.customers.stats());
        }
        progress.ends(report.rows_done, &self.customers.stats());
        Ok(report)
    }

    /// One chunk: how many orders it had, and what they come to.
    async fn enrich(self: Arc<Self>, rows: std::ops::Range<u64>) -> Result<(u64, Revenue), Failure> {
        let orders: Vec<Order> = rows.map(Order::of_row).collect();
        let ids: Vec<u64> = orders.iter().map(|order| order.customer).collect();
        let customers = self.customers.get_or_load_many(&ids, fetch_customers).await;
        let mut revenue = Revenue::default();
        for (order, customer) in orders.iter().zip(customers) {
            revenue.count(order, customer?.as_ref());
        }
        Ok((orders.len().try_into()?, revenue))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("\nthe job failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode, Failure> {
    let rows = match std::env::args().nth(1) {
        Some(rows) => rows.parse().map_err(|_| format!("{rows:?} is no number of rows"))?,
        None => 400_000,
    };
    let is_stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_stopped);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.store(true, Ordering::Relaxed);
        }
    });
    let job = Arc::new(Job::new(rows, is_stopped).await?);
    let report = Arc::clone(&job).run().await?;
    print!("{}", report.revenue);
    job.customers.close().await;
    if report.rows_done < rows {
        eprintln!("stopped: {} of {rows} orders are done; go on at order {}", report.rows_done, report.rows_done);
        return Ok(ExitCode::from(130));
    }
    Ok(ExitCode::SUCCESS)
}
