//! Many keys at once: one call of the loader for all that are neither cached nor under way, a result for each.

use super::*;
use crate::FailSafe;
use parking_lot::Mutex;

/// What the loader was asked for, call by call.
type Calls = Arc<Mutex<Vec<Vec<String>>>>;

fn keys<const N: usize>(names: [&str; N]) -> [String; N] {
    names.map(str::to_owned)
}

/// Answers each key with its length.
fn lengths(calls: &Calls) -> impl FnOnce(Vec<String>) -> std::future::Ready<Result<Vec<u64>, Down>> + Send + 'static {
    let calls = Arc::clone(calls);
    move |keys: Vec<String>| {
        let answers = keys.iter().map(|key| u64::try_from(key.len()).unwrap()).collect();
        calls.lock().push(keys);
        std::future::ready(Ok(answers))
    }
}

fn values(results: Vec<Result<Option<u64>, Error>>) -> Vec<Option<u64>> {
    results.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(start_paused = true)]
async fn one_call_for_all_misses_and_a_result_per_key_in_their_order() {
    let (cache, calls) = (cache().await, Calls::default());
    cache.insert("bb".to_owned(), 20).await.unwrap();
    let asked = keys(["a", "bb", "ccc", "a"]);
    assert_eq!(values(cache.get_or_load_many(&asked, lengths(&calls)).await), [Some(1), Some(20), Some(3), Some(1)]);
    assert_eq!(*calls.lock(), [keys(["a", "ccc"]).to_vec()], "the second a has joined the first");
    assert_eq!(values(now(cache.get_or_load_many(&asked, lengths(&calls))).unwrap()).len(), 4, "all hits: no waiting");
    assert_eq!(calls.lock().len(), 1);
    assert!(now(cache.get_or_load_many(&[], lengths(&calls))).unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_under_way_are_joined_and_the_others_do_not_wait_for_them_to_begin() {
    let (cache, calls, source) = (cache().await, Calls::default(), Source::closed(7));
    let single = tokio::spawn({
        let (cache, source) = (cache.clone(), source.clone());
        async move { source.through(&cache).await }
    });
    settle().await;
    let asked = keys(["a", "bb"]);
    let (many, ()) = tokio::join!(cache.get_or_load_many(&asked, lengths(&calls)), async {
        settle().await;
        assert_eq!(cache.get("bb").await, Some(2));
        source.let_go();
    });
    assert_eq!(values(many), [Some(7), Some(2)]);
    assert_eq!(single.await.unwrap().unwrap(), 7);
    assert_eq!(*calls.lock(), [keys(["bb"]).to_vec()]);
    assert_eq!((cache.stats().joined, cache.stats().waiters), (1, 2), "two calls waited");
}

#[tokio::test(start_paused = true)]
async fn two_calls_that_cross_do_not_wait_for_each_other_for_ever() {
    let (cache, calls) = (cache().await, Calls::default());
    let (one, other) = (keys(["a", "bb"]), keys(["bb", "a"]));
    let (one, other) =
        tokio::join!(cache.get_or_load_many(&one, lengths(&calls)), cache.get_or_load_many(&other, lengths(&calls)),);
    assert_eq!((values(one), values(other)), (vec![Some(1), Some(2)], vec![Some(2), Some(1)]));
    assert_eq!(calls.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_number_of_results_is_an_error_that_names_both() {
    let cache = cache().await;
    for results in [vec![], vec![1], vec![1, 2, 3]] {
        let number = results.len();
        let asked = keys(["a", "b"]);
        for result in cache.get_or_load_many(&asked, |_| async move { Ok::<Vec<u64>, Down>(results) }).await {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(&format!("{number} results for 2 keys")), "{error}");
        }
        assert_eq!(cache.get("a").await, None, "nothing of it is stored");
    }
}

#[tokio::test(start_paused = true)]
async fn results_carry_their_own_options_and_absences() {
    let cache = cache_with(|builder| builder.negative_ttl(s(10))).await;
    let asked = keys(["a", "b", "c"]);
    let results = cache.get_or_load_many(&asked, |_| async {
        Ok::<_, Down>(vec![Loaded::value(1).time_to_live(s(5)), Loaded::absent(), Loaded::value(3).not_stored()])
    });
    assert_eq!(values(results.await), [Some(1), None, Some(3)]);
    assert_eq!((cache.get("a").await, cache.get("c").await), (Some(1), None));
    assert_eq!(now(cache.get_or_load_optional("b", Source::open(9).loader())).unwrap().unwrap(), None);
    advance(s(5)).await;
    assert_eq!(cache.get("a").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_error_or_a_panic_of_the_one_call_is_the_result_of_every_key_that_needed_it() {
    let cache = cache().await;
    cache.insert("a".to_owned(), 1).await.unwrap();
    let asked = keys(["a", "b", "c"]);
    let failed = cache.get_or_load_many(&asked, |_| async { Err::<Vec<u64>, _>(Down(1)) }).await;
    assert!(matches!(failed[0], Ok(Some(1))));
    assert!(failed[1..].iter().all(|result| result.as_ref().unwrap_err().downcast_source::<Down>().is_some()));
    let panicked = cache
        .get_or_load_many(&asked, |_| async { if true { panic!("all of it") } else { Ok::<Vec<u64>, Down>(vec![]) } })
        .await;
    assert!(panicked[1..].iter().all(|result| result.as_ref().unwrap_err().to_string().contains("all of it")));
    assert_eq!(cache.stats().load_errors, 2, "a call for many keys is one load");
}

#[tokio::test(start_paused = true)]
async fn the_hard_timeout_holds_for_many() {
    let cache = cache_with(|builder| builder.hard_timeout(s(2))).await;
    let asked = keys(["a", "b"]);
    let late = cache.get_or_load_many(&asked, |_| std::future::pending::<Result<Vec<u64>, Down>>()).await;
    assert!(late.iter().all(|result| result.as_ref().unwrap_err().kind() == ErrorKind::Timeout));
}

#[tokio::test(start_paused = true)]
async fn stale_ones_are_served_at_once_and_refreshed_by_the_same_call() {
    let cache = cache_with(|builder| builder.stale_while_revalidate(TTL)).await;
    let calls = Calls::default();
    cache.insert("a".to_owned(), 10).await.unwrap();
    advance(TTL).await;
    let asked = keys(["a", "bb"]);
    assert_eq!(values(cache.get_or_load_many(&asked, lengths(&calls)).await), [Some(10), Some(2)]);
    settle().await;
    assert_eq!(cache.get("a").await, Some(1));
    let only_stale = keys(["a"]);
    advance(TTL).await;
    assert_eq!(values(now(cache.get_or_load_many(&only_stale, lengths(&calls))).unwrap()), [Some(1)], "nobody waits");
    settle().await;
    assert_eq!((calls.lock().len(), cache.stats().refreshes), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn those_whose_refresh_is_due_are_loaded_along_behind() {
    let cache = cache_with(|builder| builder.refresh_ahead(0.8)).await;
    let calls = Calls::default();
    cache.insert("a".to_owned(), 10).await.unwrap();
    advance(s(80)).await;
    let asked = keys(["a", "bb"]);
    assert_eq!(values(cache.get_or_load_many(&asked, lengths(&calls)).await), [Some(10), Some(2)]);
    settle().await;
    assert_eq!(*calls.lock(), [asked.to_vec()]);
    assert_eq!((cache.get("a").await, cache.stats().refreshes), (Some(1), 1));
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_served_from_what_has_expired_key_by_key() {
    let fail_safe = FailSafe { max_stale: s(1_000), throttle: s(10) };
    let cache = cache_with(|builder| builder.fail_safe(fail_safe)).await;
    cache.insert("a".to_owned(), 10).await.unwrap();
    advance(TTL).await;
    let asked = keys(["a", "b"]);
    let results = cache.get_or_load_many(&asked, |_| async { Err::<Vec<u64>, _>(Down(1)) }).await;
    assert!(matches!(results[0], Ok(Some(10))) && results[1].is_err());
    let calls = Calls::default();
    assert_eq!(values(cache.get_or_load_many(&asked, lengths(&calls)).await), [Some(10), Some(1)]);
    assert_eq!(*calls.lock(), [keys(["b"]).to_vec()], "a is left alone for the throttle");
}

#[tokio::test(start_paused = true)]
async fn a_remove_during_the_load_of_many_concerns_its_key_alone() {
    let (cache, source) = (cache().await, Source::closed(1));
    let asked = keys(["a", "b"]);
    let fetching = source.clone();
    let many = cache.get_or_load_many(&asked, |_| async move { fetching.fetch().await.map(|value| vec![value; 2]) });
    let (results, ()) = tokio::join!(many, async {
        settle().await;
        cache.remove("a").await.unwrap();
        source.let_go();
    });
    assert_eq!(values(results), [Some(1), Some(1)]);
    assert_eq!((cache.get("a").await, cache.get("b").await), (None, Some(1)));
    assert_eq!(cache.stats().revoked, 1);
}
