//! Both ways out say the same, under the same names, in a format that others parse.

use super::*;
use crate::object::ObjectStats;
use crate::remote::RemoteStats;
use crate::stats::{Counters, Departures, Frequent, Level, Lower, Rare, TierStats, Unit};
use ::metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Something of everything.
fn counters() -> Counters {
    let counters = Counters::new();
    counters.add(Frequent::MemoryHit, 10);
    counters.add(Frequent::MemoryMiss, 5);
    counters.add(Frequent::CompressedHit, 1);
    counters.add(Frequent::CompressedMiss, 4);
    counters.add(Frequent::NegativeHit, 2);
    counters.count_rare(Rare::Joined);
    counters.count_rare(Rare::SoftTimeout);
    counters.load_ended(Duration::from_millis(250), true);
    counters.load_ended(Duration::from_secs(60), false);
    counters
}

fn stats(counters: &Counters) -> Stats {
    let departures = Departures { evicted: 1, ..Departures::default() };
    let level = Level { entries: 3, weight: 300, capacity: 4096, unit: Unit::Bytes, departures };
    counters.read(level, Lower { compressed: Some(TierStats::default()), ..Lower::default() })
}

/// A page, parsed: the type of each family, and every sample by name and labels.
#[derive(Debug, Default)]
struct Page {
    kinds: BTreeMap<String, String>,
    helps: BTreeSet<String>,
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

/// Reads what Prometheus reads, and panics where it would refuse the page.
fn parse(text: &str) -> Page {
    assert!(text.ends_with('\n'));
    let mut page = Page::default();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(!help.is_empty() && page.helps.insert(name.to_owned()), "HELP of {name} twice");
            family = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(["counter", "gauge", "histogram"].contains(&kind));
            assert!(page.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "TYPE of {name} twice");
        } else {
            let (name, labels, value) = parse_sample(line);
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let is_histogram = page.kinds[&family] == "histogram";
            let of = if is_histogram { base.unwrap() } else { &name };
            assert_eq!(of, family, "a sample apart from its family");
            assert!(page.samples.insert((name, labels), value).is_none(), "twice: {line}");
        }
    }
    page
}

fn parse_sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (name, mut rest) = line.split_once('{').unwrap();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    assert!(name.chars().all(is_name), "{name}");
    let mut labels = BTreeMap::new();
    loop {
        let (label, value) = rest.split_once("=\"").unwrap();
        assert!(label.chars().all(is_name));
        let (mut text, mut chars) = (String::new(), value.char_indices());
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => text.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("escape {c}"),
                }),
                (_, c) => text.push(c),
            }
        };
        assert!(labels.insert(label.to_owned(), text).is_none());
        rest = &value[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    let value = rest.strip_prefix("} ").unwrap();
    (name.to_owned(), labels, value.parse().unwrap())
}

fn sample(page: &Page, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    page.samples[&(name.to_owned(), labels)]
}

/// A recorder that keeps everything in the open.
#[derive(Default)]
struct Kept {
    values: Mutex<BTreeMap<String, Arc<Number>>>,
    described: Mutex<BTreeSet<String>>,
    histograms: Mutex<BTreeMap<String, Arc<Recorded>>>,
}

#[derive(Default)]
struct Number(AtomicU64);

#[derive(Default)]
struct Recorded(Mutex<Vec<f64>>);

impl CounterFn for Number {
    fn increment(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

impl GaugeFn for Number {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl HistogramFn for Recorded {
    fn record(&self, value: f64) {
        self.0.lock().push(value);
    }
}

impl Kept {
    fn number(&self, key: &Key) -> Arc<Number> {
        Arc::clone(self.values.lock().entry(named(key)).or_default())
    }
}

fn named(key: &Key) -> String {
    let mut labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    labels.sort();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

impl Recorder for Kept {
    fn describe_counter(&self, name: KeyName, unit: Option<::metrics::Unit>, help: SharedString) {
        assert!(unit.is_some() && !help.is_empty());
        self.described.lock().insert(name.as_str().to_owned());
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<::metrics::Unit>, help: SharedString) {
        self.describe_counter(name, unit, help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<::metrics::Unit>, help: SharedString) {
        self.describe_counter(name, unit, help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::clone(self.histograms.lock().entry(named(key)).or_default()))
    }
}

#[test]
fn the_text_parses_back_into_the_numbers() {
    let page = parse(&stats(&counters()).to_prometheus("users"));
    let of = |name: &str, labels: &[(&str, &str)]| {
        let labels: Vec<_> = [("cache", "users")].iter().chain(labels).copied().collect();
        sample(&page, name, &labels)
    };
    let expect = |is: f64, should_be: f64| assert!((is - should_be).abs() < 1e-9, "{is} {should_be}");
    expect(of("scrubjay_hits_total", &[("tier", "memory")]), 10.0);
    expect(of("scrubjay_misses_total", &[("tier", "compressed")]), 4.0);
    expect(of("scrubjay_departures_total", &[("tier", "memory"), ("reason", "evicted")]), 1.0);
    expect(of("scrubjay_weight_bytes", &[("tier", "memory")]), 300.0);
    expect(of("scrubjay_loads_total", &[("result", "error")]), 1.0);
    expect(of("scrubjay_load_timeouts_total", &[("kind", "soft")]), 1.0);
    expect(of("scrubjay_load_seconds_bucket", &[("le", "0.1")]), 0.0);
    expect(of("scrubjay_load_seconds_bucket", &[("le", "0.25")]), 1.0);
    expect(of("scrubjay_load_seconds_bucket", &[("le", "10")]), 1.0);
    expect(of("scrubjay_load_seconds_bucket", &[("le", "+Inf")]), 2.0);
    expect(of("scrubjay_load_seconds_count", &[]), 2.0);
    expect(of("scrubjay_load_seconds_sum", &[]), 60.25);
    expect(of("scrubjay_saved_seconds", &[]), 11.0 * 30.125);
}

#[test]
fn a_page_of_several_caches_names_each_family_once() {
    let (first, second) = (stats(&counters()), Stats::default());
    let page = parse(&prometheus_text([("first", &first), ("second", &second)]));
    assert!((sample(&page, "scrubjay_hits_total", &[("cache", "first"), ("tier", "memory")]) - 10.0).abs() < 1e-9);
    assert!(sample(&page, "scrubjay_hits_total", &[("cache", "second"), ("tier", "memory")]).abs() < 1e-9);
}

#[test]
fn caches_of_one_name_stay_apart() {
    let stats = Stats::default();
    let page = parse(&prometheus_text([("users", &stats), ("users", &stats)]));
    sample(&page, "scrubjay_loads_joined_total", &[("cache", "users#2")]);
    let page = parse(&prometheus_text([("users", &stats), ("users#2", &stats), ("users", &stats)]));
    sample(&page, "scrubjay_loads_joined_total", &[("cache", "users#3")]);
}

#[test]
fn no_cache_is_an_empty_but_valid_page() {
    let page = parse(&prometheus_text([]));
    assert!(page.samples.is_empty());
}

#[test]
fn a_name_full_of_quotes_and_line_ends_is_escaped() {
    let name = "a\"b\\c\nd{e}=,\u{e9}";
    let page = parse(&Stats::default().to_prometheus(name));
    assert!(page.samples.keys().all(|(_, labels)| labels["cache"] == name));
}

#[test]
fn a_budget_in_entries_is_not_published_as_bytes() {
    let level = Level { entries: 3, weight: 3, capacity: 10, unit: Unit::Entries, ..Level::default() };
    let page = parse(&Counters::new().read(level, Lower::default()).to_prometheus("users"));
    assert!((sample(&page, "scrubjay_capacity", &[("cache", "users"), ("tier", "memory")]) - 10.0).abs() < 1e-9);
    assert!(!page.kinds.contains_key("scrubjay_capacity_bytes"));
}

#[test]
fn every_number_of_the_object_store_is_published() {
    let object = ObjectStats {
        is_open: true,
        reads: 101,
        writes: 102,
        lists: 103,
        deletes: 104,
        read_bytes: 105,
        written_bytes: 106,
        failures: 107,
        packs: 108,
        packs_written: 109,
        large_written: 110,
        foreign_objects: 111,
        vanished: 112,
        left_out: 113,
        index_bytes: 114,
        queued_bytes: 115,
        removals_waiting: 116,
        removals_deferred: 117,
        forgotten: 118,
        refreshes: 119,
        rewritten: 120,
        deleted: 121,
    };
    let lower = Lower { object: Some((TierStats::default(), object)), ..Lower::default() };
    let page = parse(&Counters::new().read(Level::default(), lower).to_prometheus("users"));
    let of_objects = page.samples.iter().filter(|((name, _), _)| name.starts_with("scrubjay_object_"));
    let mut values: Vec<f64> = of_objects.map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    let expected: Vec<f64> = std::iter::once(1.0).chain((101..=121).map(f64::from)).collect();
    assert_eq!(values, expected);
    assert!((sample(&page, "scrubjay_misses_total", &[("cache", "users"), ("tier", "object")])).abs() < 1e-9);
}

#[test]
fn old_values_that_were_not_served_are_published_by_how_that_was_known() {
    let store = RemoteStats { stale_by_key: 1, stale_by_mark: 2, invalidated: 4, ..RemoteStats::default() };
    assert_eq!(store.stale_reads_avoided(), 7);
    let lower = Lower { remote: Some((TierStats::default(), store)), ..Lower::default() };
    let page = parse(&Counters::new().read(Level::default(), lower).to_prometheus("users"));
    for (by, expected) in [("key", 1.0), ("mark", 2.0), ("shared", 4.0)] {
        let labels = [("cache", "users"), ("by", by)];
        let seen = sample(&page, "scrubjay_remote_stale_reads_avoided_total", &labels);
        assert!((seen - expected).abs() < 1e-9, "{by}: {seen}");
    }
}

#[test]
fn counters_end_in_total_and_nothing_else_does() {
    for family in FAMILIES.iter().chain([&LOAD_SECONDS]) {
        assert_eq!(family.kind == Kind::Counter, family.name.ends_with("_total"), "{}", family.name);
        assert!(family.name.starts_with("scrubjay_") && family.help.ends_with('.'), "{}", family.name);
    }
}

#[test]
fn both_ways_publish_the_same_samples_and_numbers() {
    let counters = counters();
    let stats = stats(&counters);
    let recorder = Kept::default();
    ::metrics::with_local_recorder(&recorder, || stats.record_metrics("users"));
    let page = parse(&stats.to_prometheus("users"));
    let text: BTreeMap<String, f64> = page
        .samples
        .iter()
        .filter(|((name, _), _)| !name.starts_with(LOAD_SECONDS.name))
        .map(|((name, labels), value)| {
            let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            (format!("{name}{{{}}}", labels.join(",")), *value)
        })
        .collect();
    let facade: BTreeMap<String, f64> = recorder
        .values
        .lock()
        .iter()
        .map(|(name, number)| {
            let bits = number.0.load(Ordering::Relaxed);
            let is_counter = name.split('{').next().unwrap().ends_with("_total");
            (name.clone(), if is_counter { crate::stats::real(bits) } else { f64::from_bits(bits) })
        })
        .collect();
    assert_eq!(text, facade);
    let described = recorder.described.lock();
    let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name.to_owned()).collect();
    assert_eq!(*described, names);
}

#[test]
fn every_load_is_recorded_once_asked_for() {
    let recorder = Kept::default();
    let counters = Counters::new();
    counters.load_ended(Duration::from_secs(9), true);
    ::metrics::with_local_recorder(&recorder, || record_loads("users", &counters));
    counters.load_ended(Duration::from_millis(250), true);
    counters.load_ended(Duration::from_millis(500), false);
    let recorded = recorder.histograms.lock()["scrubjay_load_seconds{cache=users}"].0.lock().clone();
    assert_eq!(recorded, [0.25, 0.5]);
    assert!(recorder.described.lock().contains("scrubjay_load_seconds"));
}

#[test]
fn counters_only_go_up_from_page_to_page() {
    let counters = Counters::new();
    let mut last = parse(&stats(&counters).to_prometheus("users"));
    for round in 0..20 {
        counters.count(Frequent::MemoryHit);
        counters.load_ended(Duration::from_millis(round * 40), round % 3 == 0);
        let now = parse(&stats(&counters).to_prometheus("users"));
        for (key, before) in &last.samples {
            assert!(!key.0.ends_with("_total") && !key.0.contains("_load_seconds_") || now.samples[key] >= *before);
        }
        last = now;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_publishes_itself_until_it_is_closed() {
    let recorder: &'static Kept = Box::leak(Box::new(Kept::default()));
    // The runtime is of this thread, and so are its tasks.
    let _installed = ::metrics::set_default_local_recorder(recorder);
    let builder = Cache::<u64, u64>::builder("users").memory(crate::Memory::entries(10_000));
    let cache = builder.clock(crate::Clock::tokio()).build().await.unwrap();
    let every = Duration::from_secs(10);
    cache.record_metrics_every(every).unwrap();
    let hits = || recorder.values.lock()["scrubjay_hits_total{cache=users,tier=memory}"].0.load(Ordering::Relaxed);
    cache.insert(1, 10).await.unwrap();
    cache.get(&1).await.unwrap();
    assert_eq!(hits(), 0);
    tokio::time::sleep(every + Duration::from_millis(1)).await;
    assert_eq!(hits(), 1);
    cache.get_or_load(&2, async |_| Ok::<u64, std::io::Error>(20)).await.unwrap();
    assert_eq!(recorder.histograms.lock()["scrubjay_load_seconds{cache=users}"].0.lock().len(), 1);
    cache.get(&1).await.unwrap();
    cache.close().await;
    tokio::time::sleep(every * 3).await;
    assert_eq!(hits(), 1, "nothing after the end");
    assert_eq!(cache.record_metrics_every(every).unwrap_err().kind(), crate::ErrorKind::Closed);
    let too_often = cache.record_metrics_every(Duration::ZERO).unwrap_err();
    assert!(too_often.to_string().contains("must be at least 10ms"), "{too_often}");
}

/// Counts spans and events, whatever their level.
#[derive(Default)]
struct Noise(AtomicU64);

impl tracing::Subscriber for &'static Noise {
    // Asked of every subscriber whenever another test installs one.
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_load_is_traced_and_a_hit_is_not() {
    let noise: &'static Noise = Box::leak(Box::default());
    // While it is the only one, a thread without any that comes first to a place silences it for all.
    std::mem::forget(tracing::Dispatch::new(noise));
    let _installed = tracing::subscriber::set_default(noise);
    let builder = Cache::<u64, u64>::builder("users").memory(crate::Memory::entries(10_000));
    let cache = builder.build().await.unwrap();
    cache.insert(1, 10).await.unwrap();
    assert_eq!(noise.0.load(Ordering::Relaxed), 0);
    for _ in 0..100 {
        cache.get(&1).await.unwrap();
        cache.get_or_load(&1, async |_| Ok::<u64, std::io::Error>(20)).await.unwrap();
        cache.get_many(&[1, 2]).await;
    }
    assert_eq!(noise.0.load(Ordering::Relaxed), 0);
    cache.get_or_load(&2, async |_| Ok::<u64, std::io::Error>(20)).await.unwrap();
    assert!(noise.0.load(Ordering::Relaxed) >= 2, "a span and an event");
}
