//! What the load path tells: spans, warnings, counters.

use super::*;
use parking_lot::Mutex;
use std::fmt::Debug;
use tracing::dispatcher::DefaultGuard;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes down spans and events as lines.
#[derive(Clone, Default)]
struct Journal {
    lines: Arc<Mutex<Vec<(Level, String)>>>,
}

impl Journal {
    /// Writes down what this thread tells.
    fn open() -> (Journal, DefaultGuard) {
        let journal = Journal::default();
        // While there is but one subscriber, a thread without any that comes first to a span silences it for all.
        std::mem::forget(tracing::Dispatch::new(Journal::default()));
        let guard = tracing::subscriber::set_default(journal.clone());
        (journal, guard)
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl Subscriber for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("scrubjay")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(format!("span {}", span.metadata().name()));
        span.record(&mut fields);
        let mut lines = self.lines.lock();
        lines.push((*span.metadata().level(), fields.0));
        Id::from_u64(u64::try_from(lines.len()).unwrap())
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields("event".to_owned());
        event.record(&mut fields);
        self.lines.lock().push((*event.metadata().level(), fields.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_load_is_a_span_with_the_name_of_the_cache_and_a_failure_is_one_warning() {
    let (journal, _guard) = Journal::open();
    let (cache, source) = (cache().await, Source::open(5));
    source.fails(true);
    let (first, second, third) = tokio::join!(source.through(&cache), source.through(&cache), source.through(&cache));
    assert!(first.is_err() && second.is_err() && third.is_err());
    source.fails(false);
    source.through(&cache).await.unwrap();
    source.through(&cache).await.unwrap();
    let lines = journal.lines.lock().clone();
    let spans: Vec<_> = lines.iter().filter(|(_, line)| line.starts_with("span")).collect();
    assert_eq!(spans.len(), 2, "one per load: {lines:?}");
    assert!(spans.iter().all(|(level, line)| *level == Level::DEBUG && line.contains("numbers")), "{lines:?}");
    let warnings: Vec<_> = lines.iter().filter(|(level, _)| *level == Level::WARN).collect();
    assert_eq!(warnings.len(), 1, "once, however many wait: {lines:?}");
    assert!(warnings[0].1.contains("the source is down") && warnings[0].1.contains("numbers"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_load_is_an_event_with_its_outcome_and_no_key() {
    let (journal, _guard) = Journal::open();
    let cache = cache_with(|builder| builder.hard_timeout(s(9))).await;
    let secret = "secret key";
    let took = |value: Loaded<u64>| {
        |_| async {
            later(s(2)).await;
            Ok::<_, Down>(value)
        }
    };
    cache.get_or_load(secret, took(Loaded::value(1))).await.unwrap();
    cache.remove(secret).await.unwrap();
    let no_weight = Loaded::value(1).options(EntryOptions::new().weight(0));
    cache.get_or_load(secret, took(no_weight)).await.unwrap();
    cache.get_or_load(secret, |_| std::future::pending::<Result<u64, Down>>()).await.unwrap_err();
    cache.get_or_load(secret, |_| async { if true { panic!("no") } else { Ok::<u64, Down>(1) } }).await.unwrap_err();
    let lines: Vec<_> = journal.lines.lock().iter().filter(|line| line.0 <= Level::DEBUG).cloned().collect();
    let ends: Vec<_> = lines.iter().filter(|line| line.1.contains("a load ended")).map(|line| &*line.1).collect();
    for (end, told) in ends.iter().zip([
        ["outcome=\"loaded\" stored=1 revoked=0", "took_ms=2000"],
        ["outcome=\"loaded\" stored=0 revoked=0", "took_ms=2000"],
        ["outcome=\"timed out\"", "took_ms=9000"],
        ["outcome=\"panicked\"", "took_ms=0"],
    ]) {
        assert!(told.iter().all(|part| end.contains(part)) && end.contains("cache=\"numbers\" keys=1"), "{end}");
    }
    assert_eq!(ends.len(), 4);
    assert!(lines.iter().all(|line| !line.1.contains(secret)), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn loads_are_counted_with_their_time() {
    let cache = cache().await;
    let loader = |_| async {
        later(s(3)).await;
        Ok::<u64, Down>(1)
    };
    cache.get_or_load("a", loader).await.unwrap();
    cache.get_or_load("a", loader).await.unwrap();
    cache.get_or_load("b", |_| async { Err::<u64, _>(Down(1)) }).await.unwrap_err();
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.load_errors, stats.waiters, stats.joined), (2, 1, 2, 0));
    assert_eq!((stats.memory.hits, stats.memory.misses, stats.memory.inserts), (1, 2, 1));
}
