//! The tier over stores in memory, in a folder, behind S3's protocol, and over one that fails.

mod faults;
mod model;
mod s3;
mod upkeep;

use super::*;
use crate::clock::Clock;
use crate::entry::Times;
use crate::health::TierState;
use crate::kept::NewKept;
use crate::tags::{Mark, place};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn store() -> Arc<InMemory> {
    Arc::new(InMemory::new())
}

fn on(store: &Arc<impl ObjectStore>) -> Object {
    Object::on(Arc::clone(store) as Arc<dyn ObjectStore>, "nest").uncompressed()
}

fn setup(object: Object, clock: &Clock) -> ObjectSetup {
    let (name, runtime) = ("jays".into(), Handle::current());
    ObjectSetup { name, schema: 1, codec: 3, clock: clock.clone(), runtime, object }
}

/// A tier that knows what is in the store.
async fn open(object: Object, clock: &Clock) -> Arc<ObjectTier> {
    let tier = ObjectTier::open(setup(object, clock)).unwrap();
    tier.refresh().await.unwrap();
    tier
}

fn encode(tier: &ObjectTier, key: &[u8], value: &[u8], fresh: Option<Duration>, tags: &[&str]) -> Option<Encoded> {
    let stored_at_ms = tier.clock.now_ms();
    let until = fresh.map_or(0, |time| stored_at_ms + news::millis(time));
    let times = Times { stored_at_ms, fresh_until_ms: until, stale_until_ms: until };
    let new = NewKept { key, times, cost: 0, born: 0, weight: 1, tags };
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(value);
        Ok(())
    };
    tier.encode(&new, tier.born(), Some(write))
}

fn put(tier: &ObjectTier, key: &str, value: &str) {
    let entry = encode(tier, key.as_bytes(), value.as_bytes(), None, &[]);
    tier.put(key.as_bytes(), entry.as_ref());
}

fn text(tier: &ObjectTier, key: &[u8], found: Option<Found>) -> Option<String> {
    let payload = |_: &crate::kept::Kept<'_>, payload: Option<&[u8]>| Ok(payload.unwrap_or_default().to_vec());
    let bytes = tier.read(key, &found?, |_| true, payload)?;
    Some(String::from_utf8(bytes).unwrap())
}

async fn get(tier: &Arc<ObjectTier>, key: &str) -> Option<String> {
    let found = tier.get(key.as_bytes()).await;
    text(tier, key.as_bytes(), found)
}

async fn names(store: &Arc<InMemory>) -> Vec<String> {
    use futures_util::StreamExt;
    store.list(None).map(|meta| meta.unwrap().location.to_string()).collect().await
}

#[tokio::test]
async fn what_was_put_is_found_before_and_after_it_is_written_and_by_the_next_process() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store), &clock).await;
    put(&tier, "42", "Ada");
    assert_eq!(get(&tier, "42").await.as_deref(), Some("Ada"));
    assert_eq!(tier.stats().1.reads, 0);
    tier.flush().await.unwrap();
    assert_eq!(get(&tier, "42").await.as_deref(), Some("Ada"));
    assert_eq!(tier.stats().1.reads, 1);
    assert_eq!(get(&tier, "43").await, None);
    assert_eq!(tier.stats().1.reads, 1, "a miss costs no request");
    tier.close().await;
    let next = open(on(&store), &clock).await;
    assert_eq!(get(&next, "42").await.as_deref(), Some("Ada"));
    assert_eq!(next.health(), (TierState::Serving, None));
    assert_eq!(tier.health().0, TierState::Closed);
}

#[tokio::test]
async fn a_folder_has_what_was_written_and_nothing_of_a_torn_write() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held();
    let object = || Object::url(format!("file://{}/a/b", folder.path().display())).large_bytes(1000);
    let tier = open(object(), &clock).await;
    put(&tier, "small", "Ada");
    put(&tier, "large", &"x".repeat(2000));
    tier.flush().await.unwrap();
    tier.close().await;
    let next = open(object(), &clock).await;
    assert_eq!(get(&next, "small").await.as_deref(), Some("Ada"));
    assert_eq!(get(&next, "large").await.map(|value| value.len()), Some(2000));
    // Another object of the folder, and the beginning of a pack.
    let index = folder.path().join("a/b/jays/v1/index");
    let mut pack = std::fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path());
    let pack = pack.find(|path| path.to_string_lossy().contains("pack-")).unwrap();
    let bytes = std::fs::read(&pack).unwrap();
    std::fs::write(&pack, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(index.join("readme.txt"), "what is this").unwrap();
    let last = open(object(), &clock).await;
    assert_eq!(get(&last, "small").await, None);
    assert_eq!(last.stats().1.foreign_objects, 2);
    put(&last, "small", "Eve");
    last.flush().await.unwrap();
    assert_eq!(get(&open(object(), &clock).await, "small").await.as_deref(), Some("Eve"));
}

#[tokio::test]
async fn a_removal_that_settled_outlives_the_process_and_one_that_was_overwritten_too() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store), &clock).await;
    put(&tier, "a", "old");
    put(&tier, "b", "old");
    tier.flush().await.unwrap();
    assert!(tier.remove(b"a") && tier.remove(b"b") && !tier.remove(b"c"));
    put(&tier, "b", "new, and never written");
    assert_eq!(tier.settle().await, Settled::Gone);
    assert_eq!(get(&tier, "a").await, None);
    assert_eq!(get(&tier, "b").await.as_deref(), Some("new, and never written"));
    drop(tier);
    let next = open(on(&store), &clock).await;
    assert_eq!((get(&next, "a").await, get(&next, "b").await), (None, None));
}

#[tokio::test]
async fn removals_that_come_together_share_a_write() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store), &clock).await;
    let before = tier.stats().1.writes;
    (0..1000).for_each(|number: u32| _ = tier.remove(&number.to_le_bytes()));
    assert_eq!(tier.settle().await, Settled::Gone);
    assert!(tier.stats().1.writes - before <= 3, "{:?}", tier.stats().1);
}

#[tokio::test]
async fn large_entries_are_objects_of_their_own_and_small_ones_are_not() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store).large_bytes(1000), &clock).await;
    (0..100).for_each(|number| put(&tier, &format!("small {number}"), "Ada"));
    put(&tier, "large", &"x".repeat(2000));
    tier.flush().await.unwrap();
    let names = names(&store).await;
    let count = |part: &str| names.iter().filter(|name| name.contains(part)).count();
    assert_eq!((count("nest/jays/v1/large/"), count("nest/jays/v1/index/pack-")), (1, 1), "{names:?}");
    let next = open(on(&store).large_bytes(1000), &clock).await;
    assert_eq!(get(&next, "large").await.map(|value| value.len()), Some(2000));
    let keys: Vec<Vec<u8>> = (0..100).map(|number| format!("small {number}").into_bytes()).collect();
    let reads = next.stats().1.reads;
    let found = next.get_many(&keys).await;
    assert!(keys.iter().zip(found).all(|(key, found)| text(&next, key, found).as_deref() == Some("Ada")));
    assert_eq!(next.stats().1.reads - reads, 1, "what lies together is read in one go");
}

#[tokio::test]
async fn an_entry_past_its_time_is_a_miss_and_so_is_one_past_the_tiers() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store).time_to_live_max(10 * SECOND), &clock).await;
    for (key, fresh) in [("short", Some(SECOND)), ("long", Some(HOUR)), ("ever", None)] {
        tier.put(key.as_bytes(), encode(&tier, key.as_bytes(), b"Ada", fresh, &[]).as_ref());
    }
    tier.flush().await.unwrap();
    clock.advance(2 * SECOND);
    assert!(!tier.holds(b"short") && tier.holds(b"long") && tier.holds(b"ever"));
    clock.advance(9 * SECOND);
    assert!(!tier.holds(b"long") && !tier.holds(b"ever"));
}

#[tokio::test]
async fn a_load_that_began_before_a_removal_or_a_clear_stores_nothing_whoever_removed() {
    let (store, clock) = (store(), Clock::held());
    let (one, other) = (open(on(&store), &clock).await, open(on(&store), &clock).await);
    let late = encode(&one, b"42", b"before", None, &[]).unwrap();
    clock.advance(SECOND);
    other.remove(b"42");
    assert_eq!(other.settle().await, Settled::Gone);
    one.put(b"42", Some(&late));
    one.flush().await.unwrap();
    one.refresh().await.unwrap();
    other.refresh().await.unwrap();
    assert_eq!((get(&one, "42").await, get(&other, "42").await), (None, None));
    let late = encode(&one, b"43", b"before", None, &[]).unwrap();
    one.raise(Mark::Cleared);
    one.put(b"43", Some(&late));
    assert_eq!(get(&one, "43").await, None);
}

#[tokio::test]
async fn of_two_inserts_the_one_wins_that_is_made_last_whichever_began_first() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store), &clock).await;
    let first = encode(&tier, b"42", b"began first", None, &[]);
    let second = encode(&tier, b"42", b"began second", None, &[]);
    tier.insert(b"42", second.as_ref());
    tier.insert(b"42", first.as_ref());
    assert_eq!(get(&tier, "42").await.as_deref(), Some("began first"));
    tier.put(b"42", second.as_ref());
    assert_eq!(get(&tier, "42").await.as_deref(), Some("began first"), "a load does not win");
}

#[tokio::test]
async fn a_mark_that_was_heard_holds_here_and_is_not_written_again() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store), &clock).await;
    put(&tier, "42", "Ada");
    tier.put(b"43", encode(&tier, b"43", b"Eve", None, &["team:7"]).as_ref());
    tier.flush().await.unwrap();
    let writes = tier.stats().1.writes;
    tier.heard(Mark::Floor(place("team:7")));
    assert_eq!((get(&tier, "42").await.as_deref(), get(&tier, "43").await), (Some("Ada"), None));
    tier.heard(Mark::Cleared);
    assert_eq!((get(&tier, "42").await, tier.settle().await), (None, Settled::Gone));
    assert_eq!(tier.stats().1.writes, writes);
}

#[tokio::test]
async fn a_clear_voids_what_any_process_began_before_it_and_one_that_knows_nothing_of_it_goes_on_writing() {
    let (store, clock) = (store(), Clock::held());
    let (one, other) = (open(on(&store), &clock).await, open(on(&store), &clock).await);
    put(&one, "a", "old");
    one.flush().await.unwrap();
    other.refresh().await.unwrap();
    let late = encode(&other, b"c", b"old", None, &[]);
    clock.advance(SECOND);
    one.raise(Mark::Cleared);
    put(&one, "b", "new");
    assert_eq!(one.settle().await, Settled::Gone);
    assert_eq!((get(&one, "a").await, get(&one, "b").await.as_deref()), (None, Some("new")));
    other.put(b"c", late.as_ref());
    clock.advance(SECOND);
    put(&other, "d", "new");
    other.flush().await.unwrap();
    one.flush().await.unwrap();
    for tier in [&one, &other] {
        tier.refresh().await.unwrap();
        assert_eq!((get(tier, "a").await, get(tier, "c").await), (None, None));
        assert_eq!(get(tier, "b").await.as_deref(), Some("new"));
        assert_eq!(get(tier, "d").await.as_deref(), Some("new"));
    }
    let next = open(on(&store), &clock).await;
    assert_eq!((get(&next, "a").await, get(&next, "b").await.as_deref()), (None, Some("new")));
}

#[tokio::test]
async fn what_has_a_tag_is_void_for_every_process_from_the_mark_on() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store), &clock).await;
    let tagged = |key: &str| {
        let entry = encode(&tier, key.as_bytes(), b"Ada", None, &["team:7"]);
        tier.put(key.as_bytes(), entry.as_ref());
    };
    tagged("before");
    put(&tier, "plain", "Eve");
    tier.flush().await.unwrap();
    tier.raise(Mark::Floor(place("team:7")));
    assert_eq!(get(&tier, "before").await, None);
    assert_eq!(tier.settle().await, Settled::Gone);
    tagged("after");
    tier.flush().await.unwrap();
    let next = open(on(&store), &clock).await;
    assert_eq!((get(&next, "before").await, get(&next, "after").await.as_deref()), (None, Some("Ada")));
    assert_eq!(get(&next, "plain").await.as_deref(), Some("Eve"));
}

#[tokio::test]
async fn what_another_process_changed_does_not_count_until_its_pack_is_seen() {
    let (store, clock) = (store(), Clock::held());
    let (one, other) = (open(on(&store), &clock).await, open(on(&store), &clock).await);
    put(&one, "42", "old");
    one.flush().await.unwrap();
    other.refresh().await.unwrap();
    assert_eq!(get(&other, "42").await.as_deref(), Some("old"));
    clock.advance(SECOND);
    put(&one, "42", "new");
    other.judge(other.suspect(b"42"), true);
    assert_eq!(get(&other, "42").await, None);
    other.refresh().await.unwrap();
    assert_eq!(get(&other, "42").await, None, "the old pack does not bring it back");
    clock.advance(SECOND);
    one.flush().await.unwrap();
    other.refresh().await.unwrap();
    assert_eq!(get(&other, "42").await.as_deref(), Some("new"));
    other.distrust();
    put(&other, "43", "later");
    assert_eq!(get(&other, "43").await.as_deref(), Some("later"));
    other.refresh().await.unwrap();
    assert_eq!(get(&other, "42").await.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_there_are_news_of_is_not_served_until_they_are_judged() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store), &clock).await;
    put(&tier, "42", "written");
    tier.flush().await.unwrap();
    put(&tier, "43", "waits");
    for (key, value) in [("42", "written"), ("43", "waits")] {
        let first = tier.suspect(key.as_bytes());
        assert_eq!(get(&tier, key).await, None);
        let second = tier.suspect(key.as_bytes());
        tier.judge(first, false);
        assert_eq!(get(&tier, key).await, None, "there were news since");
        tier.judge(second, false);
        assert_eq!(get(&tier, key).await.as_deref(), Some(value), "the server had only let it go");
        let third = tier.suspect(key.as_bytes());
        clock.advance(SECOND);
        put(&tier, key, "put since");
        tier.judge(third, true);
        assert_eq!(get(&tier, key).await.as_deref(), Some("put since"));
        tier.judge(tier.suspect(key.as_bytes()), true);
        assert_eq!(get(&tier, key).await, None);
    }
    assert_eq!(tier.stats().0.drops.skipped, 4, "what is not known is counted as such");
}

#[tokio::test]
async fn another_schema_is_another_cache_and_another_key_with_the_same_hash_is_a_miss() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store), &clock).await;
    put(&tier, "42", "Ada");
    tier.flush().await.unwrap();
    let other = ObjectTier::open(ObjectSetup { schema: 2, ..setup(on(&store), &clock) }).unwrap();
    other.refresh().await.unwrap();
    assert_eq!(get(&other, "42").await, None);
    let found = tier.get(b"42").await.unwrap();
    assert_eq!(text(&tier, b"43", Some(found)), None);
    assert_eq!(tier.stats().0.drops.foreign, 1);
}

#[tokio::test]
async fn the_keys_of_a_namespace_are_those_that_count() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store).large_bytes(1000), &clock).await;
    (0..10).for_each(|number| put(&tier, &format!("key {number}"), "Ada"));
    put(&tier, "large", &"x".repeat(2000));
    tier.flush().await.unwrap();
    tier.remove(b"key 3");
    put(&tier, "waits", "Eve");
    let mut keys = Vec::new();
    assert!(tier.keys(|batch| keys.extend(batch)).await);
    keys.sort();
    keys.dedup();
    let keys: Vec<String> = keys.into_iter().map(|key| String::from_utf8(key).unwrap()).collect();
    let expected = ["key 0", "key 1", "key 2", "key 4", "key 5", "key 6", "key 7", "key 8", "key 9", "large", "waits"];
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn what_does_not_find_room_is_dropped_and_the_older_value_is_gone_too() {
    let (store, clock) = (store(), Clock::held());
    let object = on(&store).pack_bytes(64 << 10).value_bytes_max(64 << 10).queue_bytes(64 << 10);
    let tier = open(object, &clock).await;
    put(&tier, "42", "old");
    tier.flush().await.unwrap();
    put(&tier, "42", &"x".repeat(70_000));
    assert_eq!((get(&tier, "42").await, tier.stats().0.drops.too_large), (None, 1));
    (0..10).for_each(|number| put(&tier, &format!("key {number}"), &"x".repeat(20_000)));
    assert!(tier.stats().0.drops.queue_full > 0);
    assert!(tier.stats().1.queued_bytes <= 64 << 10);
}

#[tokio::test]
async fn packs_of_a_clock_that_is_days_ahead_are_not_believed() {
    let (store, clock) = (store(), Clock::held());
    let ahead = Clock::held_at(Duration::from_secs(1_900_000_000));
    let strange = open(on(&store), &ahead).await;
    put(&strange, "42", "from the future");
    strange.flush().await.unwrap();
    let tier = open(on(&store), &clock).await;
    assert_eq!((get(&tier, "42").await, tier.stats().1.foreign_objects), (None, 1));
    put(&tier, "42", "now");
    tier.flush().await.unwrap();
    assert_eq!(get(&open(on(&store), &clock).await, "42").await.as_deref(), Some("now"));
}

#[tokio::test]
async fn metadata_says_until_when_an_object_is_of_use() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store), &clock).await;
    tier.put(b"42", encode(&tier, b"42", b"Ada", Some(HOUR), &[]).as_ref());
    tier.flush().await.unwrap();
    let pack = names(&store).await.into_iter().find(|name| name.contains("pack-")).unwrap();
    let result = store.get(&pack.as_str().into()).await.unwrap();
    let name = object_store::Attribute::Metadata("scrubjay-expires-ms".into());
    let expires_ms: u64 = result.attributes.get(&name).unwrap().parse().unwrap();
    assert_eq!(expires_ms, tier.unix_ms() + 3_600_000);
}

#[tokio::test]
async fn settings_beyond_their_limits_are_named() {
    let (store, clock) = (store(), Clock::held());
    let cases = [
        (on(&store).pack_bytes(1), "object.pack_bytes is 1, must be 65536..=268435456"),
        (on(&store).queue_bytes(1), "object.queue_bytes is 1, must be at least 8388608"),
        (on(&store).requests_max(0), "object.requests_max is 0, must be 1..=4096"),
        (on(&store).read_timeout(Duration::ZERO), "object.read_timeout is 0ns"),
        (on(&store).value_bytes_max(1 << 40), "object.value_bytes_max is 1099511627776, must be 1..=67108864"),
    ];
    for (object, expected) in cases {
        let error = ObjectTier::open(setup(object, &clock)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
