//! MEMORY STATS and DOCTOR: where the bytes are, as far as keyspace and operating system tell.

use crate::call::Call;
use crate::error::Error;
use scrubjay_keyspace::Db;
use scrubjay_resp::Reply;

/// Below this nothing that DOCTOR could say would mean anything: the program itself is most of it.
const SMALL_BYTES: u64 = 5 << 20;
/// Resident over counted bytes from which on DOCTOR speaks up.
const FRAGMENTED: f64 = 1.4;

/// The sizes that both commands speak of, in bytes.
#[derive(Clone, Copy)]
struct Sizes {
    data: u64,
    resident: u64,
    peak: u64,
}

impl Sizes {
    fn of(call: &Call<'_>) -> Sizes {
        let data = u64::try_from(call.shared.keyspace.memory_used()).unwrap_or(u64::MAX);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = bytes_of(&status, "VmRSS:").unwrap_or(data).max(1);
        Sizes { data, resident, peak: bytes_of(&status, "VmHWM:").unwrap_or(resident).max(resident) }
    }

    /// What is resident and not data: the program, its buffers and its tables.
    fn overhead(&self) -> u64 {
        self.resident.saturating_sub(self.data)
    }
}

/// The kibibytes that the line `name` of `/proc/self/status` tells, as bytes.
fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[allow(clippy::cast_precision_loss, reason = "a ratio for people to read")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

enum Field {
    Bytes(&'static str, u64),
    Ratio(&'static str, f64),
}

pub(super) fn stats(call: &mut Call<'_>) -> Result<(), Error> {
    let sizes = Sizes::of(call);
    let keyspace = &call.shared.keyspace;
    let used: Vec<Db> = (0..keyspace.databases()).map(Db).filter(|db| keyspace.len(*db) > 0).collect();
    let keys: u64 = used.iter().map(|db| keyspace.len(*db)).sum();
    let (head, tail) = fields(sizes, keys);
    let reply = &mut call.reply;
    reply.map(head.len() + used.len() + tail.len());
    head.iter().for_each(|one| field(reply, one));
    for db in used {
        reply.bulk(format!("db.{}", db.0).as_bytes());
        reply.map(3);
        for name in ["overhead.hashtable.main", "overhead.hashtable.expires", "overhead.hashtable.slot-to-keys"] {
            field(reply, &Field::Bytes(name, 0));
        }
    }
    tail.iter().for_each(|one| field(reply, one));
    Ok(())
}

/// The fields before and after those of the databases, in Redis' order. The index is part of the data here.
fn fields(sizes: Sizes, keys: u64) -> (Vec<Field>, Vec<Field>) {
    use Field::{Bytes, Ratio};
    let Sizes { data, resident, peak } = sizes;
    let head = vec![
        Bytes("peak.allocated", peak),
        Bytes("total.allocated", resident),
        Bytes("startup.allocated", 0),
        Bytes("replication.backlog", 0),
        Bytes("clients.slaves", 0),
        Bytes("clients.normal", 0),
        Bytes("cluster.links", 0),
        Bytes("aof.buffer", 0),
        Bytes("lua.caches", 0),
        Bytes("functions.caches", 0),
    ];
    let tail = vec![
        Bytes("overhead.total", sizes.overhead()),
        Bytes("keys.count", keys),
        Bytes("keys.bytes-per-key", data.checked_div(keys).unwrap_or(0)),
        Bytes("dataset.bytes", data),
        Ratio("dataset.percentage", ratio(data, resident) * 100.0),
        Ratio("peak.percentage", ratio(resident, peak) * 100.0),
        Bytes("allocator.allocated", data),
        Bytes("allocator.active", resident),
        Bytes("allocator.resident", resident),
        Ratio("allocator-fragmentation.ratio", ratio(resident, data)),
        Bytes("allocator-fragmentation.bytes", sizes.overhead()),
        Ratio("allocator-rss.ratio", 1.0),
        Bytes("allocator-rss.bytes", 0),
        Ratio("rss-overhead.ratio", 1.0),
        Bytes("rss-overhead.bytes", 0),
        Ratio("fragmentation", ratio(resident, data)),
        Bytes("fragmentation.bytes", sizes.overhead()),
    ];
    (head, tail)
}

fn field(reply: &mut Reply<'_>, field: &Field) {
    match field {
        Field::Bytes(name, bytes) => {
            reply.bulk(name.as_bytes());
            reply.integer(i64::try_from(*bytes).unwrap_or(i64::MAX));
        }
        Field::Ratio(name, ratio) => {
            reply.bulk(name.as_bytes());
            reply.double_text(&ratio.to_string());
        }
    }
}

pub(super) fn doctor(call: &mut Call<'_>) -> Result<(), Error> {
    let sizes = Sizes::of(call);
    let report = if sizes.data < SMALL_BYTES {
        "There is too little data here to say anything about its memory.\n".to_owned()
    } else if ratio(sizes.resident, sizes.data) > FRAGMENTED {
        format!(
            "{} bytes are resident for {} bytes of data. Either much was deleted a moment ago (its memory goes back to the \
             system page by page), or the buffers of clients are large: see CLIENT LIST.\n",
            sizes.resident, sizes.data
        )
    } else {
        "No problem found: what is resident is data.\n".to_owned()
    };
    call.reply.verbatim("txt", report.as_bytes());
    Ok(())
}
