//! Popularity, against a model that lets every count fade by itself.

use super::*;
use scrubjay_harness::Random;
use std::collections::BTreeMap;

const HALF_LIFE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_was_counted_is_worth_half_after_a_half_life() {
    let server = RedisServer::start();
    let popular = coordinator(&server).popularity("p", HALF_LIFE, 10).unwrap();
    assert!(popular.top(10).await.unwrap().is_empty());
    popular.record_at(&[("old", 8.0)], Some(1_000_000)).await.unwrap();
    popular.record_at(&[("new", 3.0), ("new", 2.0)], Some(1_060_000)).await.unwrap();
    let top = popular.top_at(10, Some(1_120_000)).await.unwrap();
    assert_eq!(top, [(b"new".to_vec(), 2.5), (b"old".to_vec(), 2.0)]);
    assert_eq!(popular.top_at(1, Some(1_060_000)).await.unwrap(), [(b"new".to_vec(), 5.0)]);
    assert!(popular.top(0).await.unwrap().is_empty());
    assert!(lasting(&server).is_empty());
}

#[tokio::test]
async fn the_top_is_that_of_a_model_over_thousands_of_half_lives() {
    let server = RedisServer::start();
    let popular = coordinator(&server).popularity("p", HALF_LIFE, 20).unwrap();
    let (mut random, mut now_ms) = (Random(5), 1_700_000_000_000_u64);
    let mut model: BTreeMap<String, (f64, u64)> = BTreeMap::new();
    let faded = |weight: f64, from: u64, to: u64| weight * (-((to - from) as f64) / 60_000.0).exp2();
    for _ in 0..300 {
        // Up to 20 half-lives at a time: the scores are brought down several times.
        now_ms += random.below(1_200_000);
        let records: Vec<(String, f64)> =
            (0..8).map(|_| (format!("m{}", random.below(40)), 1.0 + random.below(100) as f64)).collect();
        popular.record_at(&records, Some(now_ms)).await.unwrap();
        for (member, weight) in records {
            let entry = model.entry(member).or_insert((0.0, now_ms));
            *entry = (faded(entry.0, entry.1, now_ms) + weight, now_ms);
        }
        let mut expected: Vec<(f64, &str)> =
            model.iter().map(|(member, (weight, at))| (faded(*weight, *at, now_ms), member.as_str())).collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        let top = popular.top_at(5, Some(now_ms)).await.unwrap();
        assert_eq!(top.len(), 5.min(expected.len()));
        for ((_, weight), (model_weight, _)) in top.iter().zip(&expected) {
            assert!((weight - model_weight).abs() <= 1e-6 * model_weight, "{weight} for {model_weight}");
        }
    }
}

#[tokio::test]
async fn the_set_is_bounded_and_what_is_popular_stays_in_it() {
    let server = RedisServer::start();
    let popular = coordinator(&server).popularity("p", HALF_LIFE, 10).unwrap();
    for round in 0..20 {
        let mut records: Vec<(String, f64)> = (0..200).map(|number| (format!("{round} {number}"), 1.0)).collect();
        records.push(("jay".to_owned(), 3.0));
        popular.record_at(&records, Some(1_000_000)).await.unwrap();
        let count = server.call(&["ZCARD", "scrubjay:!popular:{p}"]).number();
        assert!(count <= 175, "{count}");
    }
    assert_eq!(popular.top_at(1, Some(1_000_000)).await.unwrap(), [(b"jay".to_vec(), 60.0)]);
    assert_eq!(popular.top_at(1000, Some(1_000_000)).await.unwrap().len(), 10, "no more than k");
}
