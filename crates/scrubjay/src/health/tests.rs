//! States, and how long they last, by a clock that is held.

use super::*;

fn book() -> (HealthBook, Clock) {
    let clock = Clock::held();
    (HealthBook::new(clock.clone(), &["memory", "compressed"]), clock)
}

#[test]
fn a_new_cache_serves_from_every_tier() {
    let health = book().0.read();
    assert!(health.is_serving());
    assert_eq!(health.tiers.iter().map(|tier| tier.name).collect::<Vec<_>>(), ["memory", "compressed"]);
    assert!(health.tier("remote").is_none());
}

#[test]
fn a_state_lasts_from_its_change_and_not_from_its_last_report() {
    let (book, clock) = book();
    clock.advance(Duration::from_secs(5));
    book.report("compressed", TierState::Degraded, Some("first".into()));
    clock.advance(Duration::from_secs(2));
    book.report("compressed", TierState::Degraded, Some("second".into()));
    clock.advance(Duration::from_secs(1));
    let health = book.read();
    let tier = health.tier("compressed").unwrap();
    assert_eq!((tier.state, tier.since), (TierState::Degraded, Duration::from_secs(3)));
    assert_eq!(tier.message.as_deref(), Some("second"));
    assert_eq!(health.tier("memory").unwrap().since, Duration::from_secs(8));
    assert!(!health.is_serving());
}

#[test]
fn a_closed_tier_stays_closed() {
    let (book, _) = book();
    book.close();
    book.report("memory", TierState::Serving, None);
    assert!(book.read().tiers.iter().all(|tier| tier.state == TierState::Closed));
}

#[test]
fn health_serialises_with_the_names_of_its_states() {
    let json = serde_json::to_value(book().0.read()).unwrap();
    assert_eq!(json["tiers"][0]["state"], "serving");
}

#[test]
fn a_cache_that_outlives_its_runtime_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let builder = crate::Cache::<u64, u64>::builder("users").memory(crate::Memory::entries(10_000));
    let cache = runtime.block_on(async {
        let cache = builder.build().await.unwrap();
        // The upkeep begins.
        tokio::task::yield_now().await;
        cache
    });
    assert!(cache.health().is_serving());
    drop(runtime);
    let health = cache.health();
    assert_eq!(health.tier("memory").unwrap().state, TierState::Degraded);
    assert!(health.tiers[0].message.as_ref().unwrap().contains("runtime has shut down"));
}

#[tokio::test]
async fn a_closed_cache_is_closed_and_not_degraded() {
    let builder = crate::Cache::<u64, u64>::builder("users").memory(crate::Memory::entries(10_000));
    let cache = builder.compressed(crate::Compressed::bytes(1 << 20)).build().await.unwrap();
    tokio::task::yield_now().await;
    assert!(cache.health().is_serving());
    cache.close().await;
    let health = cache.health();
    assert_eq!(health.tiers.len(), 2);
    assert!(health.tiers.iter().all(|tier| tier.state == TierState::Closed && tier.message.is_none()), "{health:?}");
}
