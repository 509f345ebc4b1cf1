//! The table of everything that is published: a row per family of samples.
//!
//! Invariant: a name is in here once, and never changes its meaning: people have dashboards on it.

use crate::object::ObjectStats;
use crate::remote::RemoteStats;
use crate::stats::{DiskStats, Stats, TierStats, Unit, real};

/// One name, and where its samples come from.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: ::metrics::Unit,
    pub(super) help: &'static str,
    source: Source,
}

/// What a reader may conclude from two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It never goes down.
    Counter,
    Gauge,
    Histogram,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Count(u64),
    Real(f64),
}

enum Source {
    /// One sample per tier.
    Tier(fn(&TierStats) -> u64),
    /// One sample per tier whose budget is in this unit.
    TierIn(Unit, fn(&TierStats) -> u64),
    /// One per tier and reason.
    TierReasons(fn(&TierStats) -> Vec<(&'static str, u64)>),
    /// One per cache.
    Cache(fn(&Stats) -> u64),
    /// One per cache, with a fraction.
    Real(fn(&Stats) -> f64),
    /// One per cache with a disk tier.
    Disk(fn(&DiskStats) -> u64),
    /// The same with a fraction.
    DiskReal(fn(&DiskStats) -> f64),
    /// One per cache with a remote tier.
    Remote(fn(&RemoteStats) -> u64),
    /// The same by a label.
    RemoteBy(&'static str, fn(&RemoteStats) -> Vec<(&'static str, u64)>),
    /// One per cache with an object tier.
    Object(fn(&ObjectStats) -> u64),
    /// The same by a label.
    ObjectBy(&'static str, fn(&ObjectStats) -> Vec<(&'static str, u64)>),
    /// One per cache and value of the label.
    By(&'static str, fn(&Stats) -> Vec<(&'static str, u64)>),
    /// None: the load times are written and recorded apart.
    Apart,
}

/// How long loads take: the one histogram.
pub(super) const LOAD_SECONDS: Family = Family {
    name: "scrubjay_load_seconds",
    kind: Kind::Histogram,
    unit: ::metrics::Unit::Seconds,
    help: "How long calls of the loader took, failed ones included.",
    source: Source::Apart,
};

/// Everything else.
pub(super) const FAMILIES: &[Family] = &[
    counter("scrubjay_hits_total", "Lookups that found a fresh entry in the tier.", Source::Tier(|tier| tier.hits)),
    counter(
        "scrubjay_stale_hits_total",
        "Lookups answered with an entry past its time while it is loaded anew.",
        Source::Tier(|tier| tier.stale_hits),
    ),
    counter("scrubjay_misses_total", "Lookups that the tier did not answer.", Source::Tier(|tier| tier.misses)),
    counter("scrubjay_inserts_total", "Entries stored in the tier.", Source::Tier(|tier| tier.inserts)),
    counter(
        "scrubjay_departures_total",
        "Entries that left the tier, by reason.",
        Source::TierReasons(|tier| tier.departures.by_reason()),
    ),
    counter(
        "scrubjay_drops_total",
        "Entries that the tier did not take or could not return, by reason.",
        Source::TierReasons(|tier| tier.drops.by_reason()),
    ),
    gauge("scrubjay_entries", "Entries held.", Source::Tier(|tier| tier.entries)),
    bytes(gauge("scrubjay_weight_bytes", "Bytes held.", Source::TierIn(Unit::Bytes, |tier| tier.weight))),
    bytes(gauge(
        "scrubjay_capacity_bytes",
        "Bytes that may be held at most.",
        Source::TierIn(Unit::Bytes, |tier| tier.capacity),
    )),
    gauge("scrubjay_weight", "Weight held.", Source::TierIn(Unit::Entries, |tier| tier.weight)),
    gauge("scrubjay_capacity", "Weight that may be held at most.", Source::TierIn(Unit::Entries, |tier| tier.capacity)),
    counter(
        "scrubjay_loads_total",
        "Calls of the loader that ended, by result.",
        Source::By("result", |stats| {
            vec![("ok", stats.loads.saturating_sub(stats.load_errors)), ("error", stats.load_errors)]
        }),
    ),
    counter("scrubjay_load_waits_total", "Calls that waited for a load.", Source::Cache(|stats| stats.waiters)),
    gauge("scrubjay_load_waiters", "Calls that wait for a load now.", Source::Cache(|stats| stats.waiting)),
    counter(
        "scrubjay_loads_joined_total",
        "Keys that a call waited for while another loaded them.",
        Source::Cache(|stats| stats.joined),
    ),
    counter(
        "scrubjay_loads_revoked_total",
        "Loads whose result was not stored since the key was invalidated meanwhile.",
        Source::Cache(|stats| stats.revoked),
    ),
    counter(
        "scrubjay_refreshes_total",
        "Loads behind a caller who already had its answer.",
        Source::Cache(|stats| stats.refreshes),
    ),
    counter(
        "scrubjay_load_timeouts_total",
        "Loads that took longer than the soft or the hard timeout.",
        Source::By("kind", |stats| vec![("soft", stats.soft_timeouts), ("hard", stats.hard_timeouts)]),
    ),
    counter(
        "scrubjay_fail_safe_hits_total",
        "Stale values returned since the load failed.",
        Source::Cache(|stats| stats.fail_safe_hits),
    ),
    counter(
        "scrubjay_loads_backed_off_total",
        "Errors returned again without a call of the loader.",
        Source::Cache(|stats| stats.backed_off),
    ),
    counter(
        "scrubjay_waiters_refused_total",
        "Calls refused since too many waited for the same load.",
        Source::Cache(|stats| stats.waiters_refused),
    ),
    counter(
        "scrubjay_negative_hits_total",
        "Hits on a remembered absence.",
        Source::Cache(|stats| stats.negative_hits),
    ),
    counter(
        "scrubjay_codec_errors_total",
        "Values that did not serialise and bytes that did not decode.",
        Source::Cache(|stats| stats.codec_errors),
    ),
    counter(
        "scrubjay_listener_panics_total",
        "Panics of the departure listener.",
        Source::Cache(|stats| stats.listener_panics),
    ),
    gauge("scrubjay_disk_open", "1 if the folder of the disk tier is open.", Source::Disk(|disk| disk.is_open.into())),
    counter(
        "scrubjay_disk_kept_total",
        "Entries evicted above that were on disk still.",
        Source::Disk(|disk| disk.kept),
    ),
    counter(
        "scrubjay_disk_unsettled_removals_total",
        "Removals that might not survive the end of the process.",
        Source::Disk(|disk| disk.unsettled),
    ),
    counter(
        "scrubjay_disk_forgotten_total",
        "How often all entries were given up, since what was known of invalidations was not whole.",
        Source::Disk(|disk| disk.forgotten),
    ),
    bytes(gauge("scrubjay_disk_index_bytes", "Bytes of memory of the index.", Source::Disk(|disk| disk.index_bytes))),
    bytes(gauge(
        "scrubjay_disk_queued_bytes",
        "Bytes that wait to be written.",
        Source::Disk(|disk| disk.queued_bytes),
    )),
    bytes(counter("scrubjay_disk_put_bytes_total", "Bytes given to be written.", Source::Disk(|disk| disk.put_bytes))),
    bytes(counter(
        "scrubjay_disk_written_bytes_total",
        "Bytes given to the device.",
        Source::Disk(|disk| disk.written_bytes),
    )),
    gauge(
        "scrubjay_disk_write_amplification",
        "Bytes given to the device for each that was given to be written.",
        Source::DiskReal(|disk| disk.write_amplification),
    ),
    counter(
        "scrubjay_disk_reinserted_total",
        "Hot entries written once more by reclaim.",
        Source::Disk(|disk| disk.reinserted),
    ),
    counter(
        "scrubjay_disk_errors_total",
        "Operations of the device that failed.",
        Source::Disk(|disk| disk.device_errors),
    ),
    counter(
        "scrubjay_disk_lost_total",
        "Entries lost in memory or at opening.",
        Source::Disk(|disk| disk.lost + disk.distrusted),
    ),
    gauge(
        "scrubjay_remote_serving",
        "1 if the remote tier is there and all that was missed is caught up with.",
        Source::Remote(|remote| remote.is_serving.into()),
    ),
    Family {
        unit: ::metrics::Unit::Milliseconds,
        ..gauge(
            "scrubjay_remote_trust_age_milliseconds",
            "Since when it is not known that every change of others is heard of.",
            Source::Remote(|remote| remote.trust_age_ms),
        )
    },
    counter(
        "scrubjay_remote_news_total",
        "What the remote tier told of changes: keys of others, keys of this process, tags and clears of others.",
        Source::RemoteBy("kind", |remote| {
            vec![("invalidation", remote.invalidations), ("echo", remote.echoes), ("mark", remote.marks)]
        }),
    ),
    counter(
        "scrubjay_remote_stale_reads_avoided_total",
        "Old values not served since the remote tier said so: on news of their key, by a mark of others, in the tier itself.",
        Source::RemoteBy("by", |remote| {
            vec![("key", remote.stale_by_key), ("mark", remote.stale_by_mark), ("shared", remote.invalidated)]
        }),
    ),
    counter(
        "scrubjay_remote_distrusted_total",
        "Times that everything above the remote tier was let go.",
        Source::Remote(|remote| remote.distrusted),
    ),
    counter(
        "scrubjay_remote_generations_total",
        "Times that the shared stamps were found gone, and all entries with them.",
        Source::Remote(|remote| remote.generations),
    ),
    counter(
        "scrubjay_remote_leases_total",
        "Loads by what became of their lease across processes.",
        Source::RemoteBy("outcome", |remote| {
            vec![
                ("granted", remote.leases),
                ("waited", remote.waits),
                ("shared", remote.shared_loads),
                ("alone", remote.alone),
                ("revoked", remote.revoked),
            ]
        }),
    ),
    counter(
        "scrubjay_remote_missed_total",
        "Changes that the remote tier was away for, by what became of them.",
        Source::RemoteBy("outcome", |remote| {
            vec![
                ("deferred", remote.deferred),
                ("replayed", remote.replayed),
                ("outdated", remote.outdated),
                ("overflowed", remote.missed_overflows),
            ]
        }),
    ),
    gauge(
        "scrubjay_remote_missed",
        "Changes that wait until the remote tier is back.",
        Source::Remote(|remote| remote.missed_pending),
    ),
    bytes(gauge("scrubjay_remote_missed_bytes", "Bytes of them.", Source::Remote(|remote| remote.missed_bytes))),
    counter(
        "scrubjay_remote_commands_total",
        "Commands that did not simply succeed.",
        Source::RemoteBy("outcome", |remote| {
            vec![
                ("failed", remote.failed),
                ("timed_out", remote.timed_out),
                ("retried", remote.retried),
                ("shed", remote.shed),
                ("skipped", remote.skipped),
            ]
        }),
    ),
    gauge("scrubjay_remote_in_flight", "Commands on their way.", Source::Remote(|remote| remote.in_flight)),
    counter("scrubjay_remote_connects_total", "Connections made.", Source::Remote(|remote| remote.connects)),
    counter(
        "scrubjay_remote_breaker_opened_total",
        "Times that the remote tier was left alone since it kept failing.",
        Source::Remote(|remote| remote.breaker_opened),
    ),
    gauge(
        "scrubjay_object_open",
        "1 if it is known what is in the object store, so that reads are answered.",
        Source::Object(|object| object.is_open.into()),
    ),
    counter(
        "scrubjay_object_requests_total",
        "Requests to the object store, which are what it charges for, by kind.",
        Source::ObjectBy("kind", |object| {
            vec![("read", object.reads), ("write", object.writes), ("list", object.lists), ("delete", object.deletes)]
        }),
    ),
    counter(
        "scrubjay_object_failures_total",
        "Of them, those that failed or took too long.",
        Source::Object(|object| object.failures),
    ),
    bytes(counter(
        "scrubjay_object_bytes_total",
        "Bytes read from the object store and written to it.",
        Source::ObjectBy("kind", |object| vec![("read", object.read_bytes), ("written", object.written_bytes)]),
    )),
    gauge("scrubjay_object_packs", "Packs in the object store.", Source::Object(|object| object.packs)),
    counter(
        "scrubjay_object_written_total",
        "Objects that this process wrote entries to: packs of many, and those of one large entry.",
        Source::ObjectBy("kind", |object| vec![("pack", object.packs_written), ("large", object.large_written)]),
    ),
    gauge(
        "scrubjay_object_foreign",
        "Objects whose form is wrong, or that are another's.",
        Source::Object(|object| object.foreign_objects),
    ),
    counter(
        "scrubjay_object_vanished_total",
        "Reads of an object that another process had rewritten meanwhile.",
        Source::Object(|object| object.vanished),
    ),
    counter(
        "scrubjay_object_left_out_total",
        "Entries in the object store that the index has no room for.",
        Source::Object(|object| object.left_out),
    ),
    bytes(gauge(
        "scrubjay_object_index_bytes",
        "Bytes of memory of the index of the object store.",
        Source::Object(|object| object.index_bytes),
    )),
    bytes(gauge(
        "scrubjay_object_queued_bytes",
        "Bytes that wait to be written to the object store.",
        Source::Object(|object| object.queued_bytes),
    )),
    gauge(
        "scrubjay_object_removals_waiting",
        "Removals that the object store does not have yet.",
        Source::Object(|object| object.removals_waiting),
    ),
    counter(
        "scrubjay_object_removals_deferred_total",
        "Calls that returned before the object store had their removal.",
        Source::Object(|object| object.removals_deferred),
    ),
    counter(
        "scrubjay_object_forgotten_total",
        "Times that the whole cache was given up in the object store, since too much waited.",
        Source::Object(|object| object.forgotten),
    ),
    counter(
        "scrubjay_object_refreshes_total",
        "Times that the packs of other processes were looked for, and found to the last.",
        Source::Object(|object| object.refreshes),
    ),
    counter(
        "scrubjay_object_upkeep_total",
        "Live entries written once more, and objects deleted since nothing in them counted.",
        Source::ObjectBy("kind", |object| vec![("rewritten", object.rewritten), ("deleted", object.deleted)]),
    ),
    Family {
        unit: ::metrics::Unit::Seconds,
        ..gauge(
            "scrubjay_saved_seconds",
            "What the hits would have cost: their number times the mean time of a load.",
            Source::Real(Stats::seconds_saved),
        )
    },
];

const fn counter(name: &'static str, help: &'static str, source: Source) -> Family {
    Family { name, kind: Kind::Counter, unit: ::metrics::Unit::Count, help, source }
}

const fn gauge(name: &'static str, help: &'static str, source: Source) -> Family {
    Family { name, kind: Kind::Gauge, unit: ::metrics::Unit::Count, help, source }
}

const fn bytes(family: Family) -> Family {
    Family { unit: ::metrics::Unit::Bytes, ..family }
}

impl Family {
    /// Shows every sample of one cache to `f`, with its labels besides `cache`.
    pub(super) fn each(&self, stats: &Stats, mut f: impl FnMut(&[(&'static str, &'static str)], Value)) {
        let near = [("compressed", stats.compressed.as_ref()), ("disk", stats.disk.as_ref())];
        let far = [("remote", stats.remote.as_ref()), ("object", stats.object.as_ref())];
        let below = near.into_iter().chain(far);
        let tiers = std::iter::once(("memory", Some(&stats.memory))).chain(below);
        let tiers = tiers.into_iter().filter_map(|(name, tier)| Some((name, tier?)));
        match &self.source {
            Source::Tier(of) => tiers.for_each(|(name, tier)| f(&[("tier", name)], Value::Count(of(tier)))),
            Source::TierIn(unit, of) => tiers
                .filter(|(_, tier)| tier.unit == *unit)
                .for_each(|(name, tier)| f(&[("tier", name)], Value::Count(of(tier)))),
            Source::TierReasons(of) => {
                for (name, tier) in tiers {
                    for (reason, count) in of(tier) {
                        f(&[("tier", name), ("reason", reason)], Value::Count(count));
                    }
                }
            }
            Source::Cache(of) => f(&[], Value::Count(of(stats))),
            Source::Real(of) => f(&[], Value::Real(of(stats))),
            Source::Disk(of) => stats.disk_store.iter().for_each(|disk| f(&[], Value::Count(of(disk)))),
            Source::DiskReal(of) => stats.disk_store.iter().for_each(|disk| f(&[], Value::Real(of(disk)))),
            Source::Remote(of) => stats.remote_store.iter().for_each(|remote| f(&[], Value::Count(of(remote)))),
            Source::RemoteBy(label, of) => {
                let each = stats.remote_store.iter().flat_map(of);
                each.for_each(|(is, n)| f(&[(label, is)], Value::Count(n)));
            }
            Source::Object(of) => stats.object_store.iter().for_each(|object| f(&[], Value::Count(of(object)))),
            Source::ObjectBy(label, of) => {
                let each = stats.object_store.iter().flat_map(of);
                each.for_each(|(is, n)| f(&[(label, is)], Value::Count(n)));
            }
            Source::By(label, of) => of(stats).into_iter().for_each(|(is, n)| f(&[(label, is)], Value::Count(n))),
            Source::Apart => {}
        }
    }
}

impl Value {
    pub(super) fn real(self) -> f64 {
        match self {
            Value::Count(count) => real(count),
            Value::Real(real) => real,
        }
    }
}
