//! [`Stats`] for those who watch: through the `metrics` facade, or as Prometheus' text.
//!
//! Every number has one row in `families.rs`, with its name, its kind, its text and where it comes from; both ways out read
//! the same rows, so the names are the same. Names carry their unit, counters end in `_total`, every sample says which
//! `cache` it is of and, where there are several, which `tier`.
//! Nothing here is on the path of a lookup: publishing reads the counters.
//!
//! The text is Prometheus' exposition format, version 0.0.4:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

mod families;
#[cfg(test)]
mod tests;

use crate::cache::Cache;
use crate::error::Error;
use crate::key::Key;
use crate::stats::{Counters, Stats};
use families::{FAMILIES, Family, Kind, LOAD_SECONDS, Value};
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Publishing more often than this would be noise.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// The `Content-Type` under which [`prometheus_text`] is to be served.
///
/// ```
/// let stats = scrubjay::Stats::default();
/// let page = scrubjay::prometheus_text([("users", &stats)]);
/// let head = format!("Content-Type: {}\r\n", scrubjay::PROMETHEUS_CONTENT_TYPE);
/// # assert!(head.contains("text/plain; version=0.0.4") && !page.is_empty());
/// ```
pub const PROMETHEUS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Stats {
    /// These numbers as Prometheus' text, labelled `cache="<cache>"`. For a page of several caches, see
    /// [`prometheus_text`]: a page must not hold two of these texts.
    ///
    /// ```
    /// let text = scrubjay::Stats::default().to_prometheus("users");
    /// assert!(text.contains("scrubjay_hits_total{cache=\"users\",tier=\"memory\"} 0\n"));
    /// ```
    pub fn to_prometheus(&self, cache: &str) -> String {
        prometheus_text([(cache, self)])
    }

    /// Publishes these numbers through the `metrics` facade, to whatever recorder is installed, labelled
    /// `cache="<cache>"`: for programs that read [`Stats`] themselves. Without a recorder nothing happens.
    pub fn record_metrics(&self, cache: &str) {
        for family in FAMILIES {
            family.describe();
            family.each(self, |labels, value| {
                let mut labelled = vec![::metrics::Label::new("cache", cache.to_owned())];
                labelled.extend(labels.iter().map(|(name, value)| ::metrics::Label::from_static_parts(name, value)));
                match (&family.kind, value) {
                    (Kind::Counter, Value::Count(count)) => ::metrics::counter!(family.name, labelled).absolute(count),
                    (_, value) => ::metrics::gauge!(family.name, labelled).set(value.real()),
                }
            });
        }
    }
}

/// The numbers of several caches as one page of Prometheus' text, to be served as [`PROMETHEUS_CONTENT_TYPE`]. Caches of the
/// same name are told apart: the second is labelled `name#2`.
///
/// ```
/// let (users, orders) = (scrubjay::Stats::default(), scrubjay::Stats::default());
/// let page = scrubjay::prometheus_text([("users", &users), ("orders", &orders)]);
/// assert!(page.contains("scrubjay_misses_total{cache=\"orders\",tier=\"memory\"} 0\n"));
/// ```
pub fn prometheus_text<'a>(caches: impl IntoIterator<Item = (&'a str, &'a Stats)>) -> String {
    let caches = told_apart(caches);
    let mut text = String::with_capacity(caches.len() * 8_192);
    for family in FAMILIES {
        let header = text.len();
        family.write_header(&mut text);
        let samples = text.len();
        for (cache, stats) in &caches {
            family.each(stats, |labels, value| write_sample(&mut text, family.name, cache, labels, value));
        }
        if text.len() == samples {
            text.truncate(header);
        }
    }
    write_load_seconds(&mut text, &caches);
    text
}

/// # Metrics
impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Publishes [`stats`](Cache::stats) through the `metrics` facade, to whatever recorder is installed: call it when a scrape
    /// comes, or every so often. From the first call on, how long each load takes goes into the histogram
    /// `scrubjay_load_seconds` of the recorder that is installed then. Nothing of this is on the path of a lookup.
    ///
    /// ```
    /// # use scrubjay::{Cache, Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let users: Cache<u64, u64> =
    ///     Cache::builder("users").memory(Memory::bytes(1 << 20)).build().await?;
    /// users.insert(1, 10).await?;
    /// users.record_metrics();
    /// // Or without a recorder:
    /// assert!(users.stats().to_prometheus(users.name()).contains("scrubjay_inserts_total"));
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn record_metrics(&self) {
        record_loads(self.name(), &self.shared.counters);
        self.stats().record_metrics(self.name());
    }

    /// Does so now and then every `interval`, on the cache's runtime, until the cache is closed or its last handle is gone.
    ///
    /// # Errors
    /// `Invalid` if the interval is less than 10 ms; `Closed`.
    pub fn record_metrics_every(&self, interval: Duration) -> Result<(), Error> {
        if interval < INTERVAL_MIN {
            return Err(Error::invalid(format!("interval is {interval:?}, must be at least {INTERVAL_MIN:?}")));
        }
        self.shared.tasks.check_open()?;
        self.record_metrics();
        let weak = Arc::downgrade(&self.shared);
        self.shared.tasks.spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                // Not held while it sleeps, or the cache would live as long as this.
                let Some(shared) = weak.upgrade() else { return };
                Cache { shared }.record_metrics();
            }
        })
    }
}

/// Describes the histogram of load times and hands it to the counters, which record into it from now on.
pub(crate) fn record_loads(cache: &str, counters: &Counters) {
    LOAD_SECONDS.describe();
    counters.record_loads(|| ::metrics::histogram!(LOAD_SECONDS.name, "cache" => cache.to_owned()));
}

fn told_apart<'a>(caches: impl IntoIterator<Item = (&'a str, &'a Stats)>) -> Vec<(String, &'a Stats)> {
    let mut given = HashSet::new();
    let each = caches.into_iter().map(|(name, stats)| {
        let (mut label, mut times) = (escaped(name), 1);
        // A cache may have the very name that another was given to be told apart.
        while !given.insert(label.clone()) {
            times += 1;
            label = escaped(&format!("{name}#{times}"));
        }
        (label, stats)
    });
    each.collect()
}

impl Family {
    fn write_header(&self, text: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "# HELP {0} {1}\n# TYPE {0} {kind}\n", self.name, self.help);
    }

    fn describe(&self) {
        let (name, unit, help) = (self.name, self.unit, self.help);
        match self.kind {
            Kind::Counter => ::metrics::describe_counter!(name, unit, help),
            Kind::Gauge => ::metrics::describe_gauge!(name, unit, help),
            Kind::Histogram => ::metrics::describe_histogram!(name, unit, help),
        }
    }
}

/// One line; `cache` is escaped already, the other labels are ours and need none.
fn write_sample(text: &mut String, name: &str, cache: &str, labels: &[(&str, &str)], value: Value) {
    let _ = write!(text, "{name}{{cache=\"{cache}\"");
    for (label, of) in labels {
        let _ = write!(text, ",{label}=\"{of}\"");
    }
    let _ = match value {
        Value::Count(count) => writeln!(text, "}} {count}"),
        Value::Real(real) => writeln!(text, "}} {real}"),
    };
}

fn write_load_seconds(text: &mut String, caches: &[(String, &Stats)]) {
    LOAD_SECONDS.write_header(text);
    let name = LOAD_SECONDS.name;
    for (cache, stats) in caches {
        let mut count = 0;
        for step in &stats.load_times {
            count = step.loads;
            let end = step.at_most_seconds;
            let end = if end.is_finite() { end.to_string() } else { "+Inf".to_owned() };
            write_sample(text, &format!("{name}_bucket"), cache, &[("le", &end)], Value::Count(count));
        }
        if stats.load_times.is_empty() {
            write_sample(text, &format!("{name}_bucket"), cache, &[("le", "+Inf")], Value::Count(0));
        }
        write_sample(text, &format!("{name}_sum"), cache, &[], Value::Real(stats.load_seconds));
        write_sample(text, &format!("{name}_count"), cache, &[], Value::Count(count));
    }
}

/// Backslash, quote and line end, as values of labels want them.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
