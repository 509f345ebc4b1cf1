use super::*;

fn revenue_of(rows: u64) -> Revenue {
    let mut revenue = Revenue::default();
    for order in (0..rows).map(Order::of_row) {
        revenue.count(&order, Customer::of_id(order.customer).as_ref());
    }
    revenue
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_is_enriched_once_and_rightly() {
    let job = Arc::new(Job::new(20_250, Arc::default()).await.unwrap());
    let report = Arc::clone(&job).run().await.unwrap();
    assert_eq!(report.rows_done, 20_250);
    assert_eq!(report.revenue, revenue_of(20_250));
    assert!(job.customers.stats().loads <= 41, "one call of the service for a chunk at most");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_stopped_says_where_to_go_on() {
    let is_stopped = Arc::new(AtomicBool::new(false));
    let job = Arc::new(Job::new(u64::MAX / 1_000, Arc::clone(&is_stopped)).await.unwrap());
    let running = tokio::spawn(Arc::clone(&job).run());
    while job.customers.stats().loads < 20 {
        tokio::task::yield_now().await;
    }
    is_stopped.store(true, Ordering::Relaxed);
    let report = running.await.unwrap().unwrap();
    assert!(report.rows_done >= 20 * CHUNK - CHUNK * 8);
    assert_eq!(report.revenue, revenue_of(report.rows_done));
}

#[test]
fn the_line_says_how_far_how_fast_and_how_long_still() {
    let line = Progress::new(400_000).line(100_000, Duration::from_secs(2), &scrubjay::Stats::default());
    assert_eq!(line, "100000/400000 rows  25 %  50000 rows/s  hits 0.0 %  0 loads  eta 0:06");
    let line = Progress::new(0).line(0, Duration::ZERO, &scrubjay::Stats::default());
    assert!(line.contains("100 %"), "{line}");
}
