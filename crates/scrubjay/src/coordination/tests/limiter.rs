//! Rate limits, against references that are written in another way than the scripts.

use super::*;
use scrubjay_harness::Random;

const MINUTE: Duration = Duration::from_secs(60);

/// A limit in whole numbers, in the plainest form.
#[derive(Clone, Debug)]
struct Reference {
    limit: Limit,
    /// What was spent, and when: for windows.
    spent: Vec<(u64, u64)>,
    /// Theoretical arrival time of the bucket, in milliseconds times rate.
    arrival: u128,
}

impl Reference {
    fn new(limit: Limit) -> Reference {
        Reference { limit, spent: Vec::new(), arrival: 0 }
    }

    /// Whether `cost` fits at `now`, and what would remain.
    fn fits(&self, now: u64, cost: u64) -> Option<u64> {
        let of = |index: u64, window: u64| -> u64 {
            self.spent.iter().filter(|(at, _)| at / window == index).map(|(_, cost)| cost).sum()
        };
        match self.limit {
            Limit::FixedWindow { most, window } => {
                let window = u64::try_from(window.as_millis()).unwrap();
                most.checked_sub(of(now / window, window) + cost)
            }
            Limit::SlidingWindow { most, window } => {
                let window = u64::try_from(window.as_millis()).unwrap();
                let before = (now / window).checked_sub(1).map_or(0, |index| of(index, window));
                let used = of(now / window, window) * window + before * (window - now % window);
                Some((most * window).checked_sub(used + cost * window)? / window)
            }
            Limit::TokenBucket { burst, rate, period } => {
                let (now, period) = (u128::from(now) * u128::from(rate), period.as_millis());
                let next = self.arrival.max(now) + u128::from(cost) * period;
                let room = (now + u128::from(burst) * period).checked_sub(next)?;
                Some(u64::try_from(room / period).unwrap())
            }
        }
    }

    fn spend(&mut self, now: u64, cost: u64) {
        self.spent.push((now, cost));
        if let Limit::TokenBucket { rate, period, .. } = self.limit {
            self.arrival = self.arrival.max(u128::from(now) * u128::from(rate)) + u128::from(cost) * period.as_millis();
        }
    }
}

async fn check(limit: Limit, seed: u64) {
    let server = RedisServer::start();
    let limiter = coordinator(&server).rate_limiter("model", limit).unwrap();
    let (mut random, mut reference) = (Random(seed), Reference::new(limit));
    let (most, window_ms, _) = limit.numbers().unwrap();
    let mut now = 1_700_000_000_000 + random.below(window_ms);
    for step in 0..400 {
        now += match random.below(10) {
            0..4 => 0,
            4..9 => random.below(window_ms / 10),
            _ => random.below(3 * window_ms),
        };
        let cost = random.below((most + 1).min(4));
        let decision = limiter.check_at(b"k", cost, Some(now)).await.unwrap();
        let place = format!("{limit:?}, seed {seed}, step {step}: {decision:?}");
        match reference.fits(now, cost) {
            Some(remaining) => {
                assert!(decision.is_allowed && decision.retry_after.is_zero(), "{place}");
                assert_eq!(decision.remaining, remaining, "{place}");
                if cost > 0 {
                    reference.spend(now, cost);
                }
            }
            None => {
                assert!(!decision.is_allowed && !decision.retry_after.is_zero(), "{place}");
                assert_eq!(Some(decision.remaining), reference.fits(now, 0).or(Some(0)), "{place}");
                let retry = now + u64::try_from(decision.retry_after.as_millis()).unwrap();
                assert!(reference.fits(retry, cost).is_some(), "{place}");
                assert!(reference.fits(retry - 1, cost).is_none(), "{place}");
            }
        }
        let reset = now + u64::try_from(decision.reset_after.as_millis()).unwrap();
        assert_eq!(reference.fits(reset, 0), Some(most), "{place}");
        assert!(
            reset == now || reference.fits(reset - 1, 0) != Some(most) || !matches!(limit, Limit::TokenBucket { .. })
        );
    }
    assert!(lasting(&server).is_empty());
}

#[tokio::test]
async fn a_fixed_window_allows_what_its_reference_does() {
    check(Limit::fixed_window(10, MINUTE), 1).await;
    check(Limit::fixed_window(1, Duration::from_secs(86_400)), 2).await;
}

#[tokio::test]
async fn a_sliding_window_allows_what_its_reference_does() {
    check(Limit::sliding_window(10, MINUTE), 3).await;
    check(Limit::sliding_window(7, Duration::from_millis(61_003)), 4).await;
    check(Limit::sliding_window(1, MINUTE), 5).await;
}

#[tokio::test]
async fn a_token_bucket_allows_what_its_reference_does() {
    check(Limit::token_bucket(10, 10, MINUTE), 6).await;
    check(Limit::token_bucket(3, 7, Duration::from_millis(61_003)), 7).await;
    check(Limit::token_bucket(50, 1, Duration::from_secs(60)), 8).await;
}

#[tokio::test]
async fn the_largest_numbers_are_exact() {
    let server = RedisServer::start();
    let shared = coordinator(&server);
    let (most, month, now) = (1_000_000, Duration::from_secs(2_592_000), Some(1_700_000_000_123));
    for limit in [
        Limit::fixed_window(most, month),
        Limit::sliding_window(most, month),
        Limit::token_bucket(most, most, month),
        Limit::token_bucket(most, 1, month),
    ] {
        let limiter = shared.rate_limiter("large", limit).unwrap();
        let decision = limiter.check_at(b"k", most - 1, now).await.unwrap();
        assert_eq!((decision.is_allowed, decision.remaining), (true, 1), "{limit:?}");
        assert!(limiter.check_at(b"k", 1, now).await.unwrap().is_allowed);
        let full = limiter.check_at(b"k", 1, now).await.unwrap();
        assert_eq!((full.is_allowed, full.remaining), (false, 0), "{limit:?}");
        limiter.reset("k").await.unwrap();
        assert!(limiter.check_at(b"k", most, now).await.unwrap().is_allowed);
    }
}

#[tokio::test]
async fn callers_of_several_processes_get_no_more_than_the_limit_together() {
    let server = RedisServer::start();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let shared = coordinator(&server);
            let limiter = shared.rate_limiter("r", Limit::fixed_window(100, Duration::from_secs(2_592_000))).unwrap();
            tokio::spawn(async move {
                let mut allowed = 0;
                for _ in 0..15 {
                    let decisions = limiter.check_many(&[("k", 1), ("k", 1)]).await;
                    allowed += decisions.into_iter().filter(|decision| decision.as_ref().unwrap().is_allowed).count();
                }
                allowed
            })
        })
        .collect();
    let mut allowed = 0;
    for caller in callers {
        allowed += caller.await.unwrap();
    }
    assert_eq!(allowed, 100);
}

#[tokio::test]
async fn a_clock_that_goes_back_stops_nobody_for_long_and_another_limit_counts_apart() {
    let server = RedisServer::start();
    let shared = coordinator(&server);
    let hour = 3_600_000;
    for limit in [Limit::fixed_window(2, MINUTE), Limit::sliding_window(2, MINUTE), Limit::token_bucket(2, 2, MINUTE)] {
        let limiter = shared.rate_limiter("r", limit).unwrap();
        assert!(limiter.check_at(b"k", 2, Some(1_000 * hour)).await.unwrap().is_allowed);
        let back = 999 * hour;
        let decision = limiter.check_at(b"k", 1, Some(back)).await.unwrap();
        assert!(decision.is_allowed || decision.retry_after <= MINUTE, "{limit:?} {decision:?}");
        assert!(limiter.check_at(b"k", 1, Some(back + 61_000)).await.unwrap().is_allowed, "{limit:?}");
    }
    let other = shared.rate_limiter("r", Limit::fixed_window(3, MINUTE)).unwrap();
    assert_eq!(other.check_at(b"k", 1, Some(1_000 * hour)).await.unwrap().remaining, 2);
}
