//! What begins before an invalidation and ends after it, stopped at the moment that matters: a weigher runs in the middle of an
//! insert, a codec in the middle of a demotion, and a key's own `as_ref` and `encode` in the middle of a removal by prefix.

use super::now;
use scrubjay::{BoxError, Cache, Codec, Compressed, EntryOptions, Key, Memory};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{JoinHandle, LocalKey};

type Text = Cache<String, u64>;

/// A cache whose weigher calls `act` once, in the middle of the first insert of 7.
async fn overtaking(act: impl Fn(&Text) + Send + Sync + 'static) -> Text {
    let own: Arc<OnceLock<Text>> = Arc::default();
    let (handle, is_done) = (Arc::clone(&own), OnceLock::new());
    let weigher = move |_: &String, value: &u64| {
        if *value == 7 && is_done.set(()).is_ok() {
            act(handle.get().unwrap());
        }
        1
    };
    let cache = Cache::builder("overtaking").memory_with(Memory::entries(10), weigher).build().await.unwrap();
    own.set(cache.clone()).unwrap();
    cache
}

#[tokio::test]
async fn an_insert_that_began_before_a_clear_is_cleared_with_the_rest() {
    let cache = overtaking(|cache| now(cache.clear()).unwrap()).await;
    cache.insert("k".into(), 7).await.unwrap();
    assert_eq!((cache.peek("k").await, cache.keys().await.len(), cache.get("k").await), (None, 0, None));
    cache.insert("k".into(), 7).await.unwrap();
    assert_eq!(cache.get("k").await, Some(7), "this one began after it");
    let cache = overtaking(|cache| now(cache.clear()).unwrap()).await;
    cache.insert_many([("a".into(), 1), ("k".into(), 7), ("z".into(), 2)]).await.unwrap();
    assert_eq!(cache.get_many(&["a", "k", "z"].map(String::from)).await, [None; 3]);
}

#[tokio::test]
async fn an_insert_that_began_before_its_tag_was_invalidated_is_gone_with_the_others() {
    let cache = overtaking(|cache| now(cache.remove_by_tag("t")).unwrap()).await;
    cache.insert_with("k".into(), 7, EntryOptions::new().tag("other").tag("t")).await.unwrap();
    assert_eq!((cache.peek("k").await, cache.keys().await.len(), cache.get("k").await), (None, 0, None));
    let cache = overtaking(|cache| now(cache.remove_by_tag("t")).unwrap()).await;
    cache.insert_with("k".into(), 7, EntryOptions::new().tag("other")).await.unwrap();
    assert_eq!(cache.get("k").await, Some(7), "it has not that tag");
}

#[tokio::test]
async fn a_load_that_ends_while_it_is_cleared_is_not_stored() {
    let cache = overtaking(|cache| now(cache.clear()).unwrap()).await;
    let loaded = cache.get_or_load("k", async |_| Ok::<_, std::io::Error>(7)).await.unwrap();
    assert_eq!((loaded, cache.get("k").await, cache.stats().revoked), (7, None, 1));
}

type Act = Box<dyn FnMut(&str)>;

thread_local! {
    /// What happens in this thread when a removal by prefix looks at a key, when a key becomes bytes, and when one is dropped.
    static ON_LOOK: RefCell<Option<Act>> = const { RefCell::new(None) };
    static ON_ENCODE: RefCell<Option<Act>> = const { RefCell::new(None) };
    static ON_DROP: RefCell<Option<Act>> = const { RefCell::new(None) };
}

/// Runs the hook, which may cause the same again: that is not hooked.
fn run(hook: &'static LocalKey<RefCell<Option<Act>>>, key: &str) {
    let Some(mut act) = hook.take() else { return };
    act(key);
    hook.set(Some(act));
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Watched(String);

impl Key for Watched {
    fn encode(&self, out: &mut Vec<u8>) {
        run(&ON_ENCODE, &self.0);
        self.0.encode(out);
    }

    fn decode(bytes: &[u8]) -> Option<Watched> {
        Key::decode(bytes).map(Watched)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        run(&ON_DROP, &self.0);
    }
}

impl AsRef<str> for Watched {
    fn as_ref(&self) -> &str {
        run(&ON_LOOK, &self.0);
        &self.0
    }
}

#[tokio::test]
async fn a_clear_counts_in_every_tier_before_it_has_emptied_one() {
    let builder = Cache::builder("clear").memory(Memory::entries(1)).compressed(Compressed::bytes(1 << 20));
    let cache: Cache<Watched, u64> = builder.build().await.unwrap();
    cache.insert_many((0..3).map(|n| (Watched(format!("{n}")), n))).await.unwrap();
    let other = cache.clone();
    let loading = tokio::spawn(async move {
        let never = async |_| std::future::pending::<Result<u64, std::io::Error>>().await;
        other.get_or_load(&Watched("loads".to_owned()), never).await
    });
    while cache.stats().waiting == 0 {
        tokio::task::yield_now().await;
    }
    // The load is revoked after the stamp and before the tiers are emptied; the flight's key goes with it.
    let (other, keys) = (cache.clone(), [0, 1, 2].map(|n| Watched(format!("{n}"))));
    let seen: Arc<OnceLock<Vec<Option<u64>>>> = Arc::default();
    let sees = Arc::clone(&seen);
    ON_DROP.set(Some(Box::new(move |_| {
        sees.get_or_init(|| keys.iter().map(|key| now(other.peek(key))).collect());
    })));
    cache.clear().await.unwrap();
    let hook = ON_DROP.take();
    assert_eq!(seen.get().unwrap(), &[None; 3]);
    drop(hook);
    loading.abort();
}

#[tokio::test]
async fn what_is_promoted_during_a_removal_by_prefix_is_removed_too() {
    let builder =
        Cache::builder("promoted meanwhile").memory(Memory::entries(32)).compressed(Compressed::bytes(1 << 20));
    let cache: Cache<Watched, u64> = builder.build().await.unwrap();
    for round in 0..10 {
        cache.insert_many((0..300).map(|n| (Watched(format!("p:{n}")), n))).await.unwrap();
        let (other, mut next) = (cache.clone(), 0);
        ON_LOOK.set(Some(Box::new(move |_| {
            for _ in 0..20 {
                next = (next + 7) % 300;
                let _ = now(other.get(&Watched(format!("p:{next}"))));
            }
        })));
        let removed = cache.remove_by_prefix("p:").await.unwrap();
        ON_LOOK.set(None);
        assert_eq!((cache.keys().await.len(), removed), (0, 300), "round {round}");
    }
}

/// Numbers as text. Of 7 it tells that it has begun, and takes until it is told to go on.
struct Slow {
    has_begun: Sender<bool>,
    go: Mutex<Receiver<()>>,
}

impl Codec<u64> for Slow {
    fn id(&self) -> u8 {
        201
    }

    fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<(), BoxError> {
        if *value == 7 {
            self.has_begun.send(true)?;
            self.go.lock().unwrap().recv()?;
        }
        value.encode(out);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64, BoxError> {
        Key::decode(bytes).ok_or_else(|| "no number".into())
    }
}

/// Another thread pushes entries out of memory, and is held up by the codec if `p:k` is among them.
struct Pushing {
    thread: Option<JoinHandle<()>>,
    go: Sender<()>,
}

impl Pushing {
    fn begin(cache: &Cache<Watched, u64>, go: &Sender<()>, is_over: Sender<bool>) -> Pushing {
        let cache = cache.clone();
        let push = move || {
            for key in (0..100).map(|n| Watched(format!("r:{n}"))) {
                now(cache.insert(key.clone(), 2)).unwrap();
                assert!(now(cache.get_many(&[key.clone(), key])).len() == 2);
            }
            let _ = is_over.send(false);
        };
        Pushing { thread: Some(std::thread::spawn(push)), go: go.clone() }
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.go.send(()).unwrap();
            thread.join().unwrap();
        }
    }
}

/// When the demotion goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Until {
    /// The removal has looked through all tiers.
    Looked,
    /// It is over.
    Over,
}

/// In the middle of a removal by prefix `p:k` is evicted, which the removal has not come to yet; its demotion takes a while.
/// Whether all of that came about.
async fn demoted_meanwhile(until: Until, turn: usize) -> bool {
    let ((has_begun, begins), (go, goes)) = (channel(), channel());
    let codec = Slow { has_begun: has_begun.clone(), go: Mutex::new(goes) };
    let builder = Cache::builder("demoted meanwhile").memory(Memory::entries(3));
    let cache: Cache<Watched, u64> = builder.compressed_with(Compressed::bytes(1 << 20), codec).build().await.unwrap();
    let mut entries = [("p:k", 7), ("q", 0), ("p:l", 1)].map(|(key, value)| (Watched(key.to_owned()), value));
    entries.rotate_left(turn % 3);
    cache.insert_many(entries).await.unwrap();
    let pushing: Arc<Mutex<Option<Pushing>>> = Arc::default();
    let is_pushed_out = Arc::new(AtomicBool::new(false));
    let (other, slot, is_so) = (cache.clone(), Arc::clone(&pushing), Arc::clone(&is_pushed_out));
    let mut is_first = true;
    ON_LOOK.set(Some(Box::new(move |key| {
        if std::mem::replace(&mut is_first, false) && key == "p:l" {
            *slot.lock().unwrap() = Some(Pushing::begin(&other, &go, has_begun.clone()));
            is_so.store(begins.recv().unwrap(), Ordering::SeqCst);
        }
    })));
    if until == Until::Looked {
        // The first key that it takes out: p:l, if not another.
        let slot = Arc::clone(&pushing);
        ON_ENCODE.set(Some(Box::new(move |_| {
            if let Some(pushing) = slot.lock().unwrap().as_mut() {
                pushing.end()
            }
        })));
    }
    cache.remove_by_prefix("p:").await.unwrap();
    ON_LOOK.set(None);
    ON_ENCODE.set(None);
    if let Some(mut pushing) = pushing.lock().unwrap().take() {
        pushing.end();
    }
    assert_eq!(cache.get(&Watched("p:k".to_owned())).await, None, "{until:?}");
    assert_eq!(cache.keys().await.filter(|key| key.0.starts_with("p:")).count(), 0);
    is_pushed_out.load(Ordering::SeqCst)
}

#[tokio::test]
async fn what_is_demoted_during_a_removal_by_prefix_does_not_stay() {
    for until in [Until::Looked, Until::Over] {
        let mut count = 0;
        for turn in 0..30 {
            count += u32::from(demoted_meanwhile(until, turn).await);
        }
        assert!(count > 0, "in 30 caches p:k was never pushed out in that moment");
    }
}
