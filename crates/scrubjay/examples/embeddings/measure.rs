//! What a lookup costs: CPU time of the thread that calls, the files in the operating system's cache. Beside it, in the same
//! run, in turns, the same vectors as JSON in the same engine.

use super::Failure;
use super::model::{DIMENSIONS, Model};
use rustix::time::{ClockId, clock_gettime};
use scrubjay::{VectorOptions, VectorStore};
use scrubjay_disk::{Options, Store};
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

const BYTES: u64 = 256 << 20;
const NAMESPACE: &str = "jay-embed@1";
const BATCH: usize = 100;

/// CPU time of this thread, in nanoseconds.
fn cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// The times of one kind of call, in nanoseconds each.
struct Timed {
    what: &'static str,
    times: Vec<i64>,
}

impl Timed {
    fn new(what: &'static str) -> Timed {
        Timed { what, times: Vec::new() }
    }

    /// Calls something that does `count` times what is measured.
    fn time<R>(&mut self, count: usize, act: impl FnOnce() -> Result<R, Failure>) -> Result<(), Failure> {
        let before = cpu_ns();
        drop(black_box(act()?));
        self.times.push((cpu_ns() - before) / i64::try_from(count)?.max(1));
        Ok(())
    }

    /// The median, and the least, in microseconds.
    fn line(&mut self) -> String {
        self.times.sort_unstable();
        let us = |ns: i64| format!("{}.{:02}", ns / 1000, ns % 1000 / 10);
        let (median, least) = (self.times[self.times.len() / 2], self.times[0]);
        format!("{:<36}{:>12} us{:>12} us\n", self.what, us(median), us(least))
    }
}

/// Measures with so many vectors, in so many rounds.
pub(crate) fn measure(folder: &Path, count: usize, rounds: usize) -> Result<String, Failure> {
    let vectors = VectorStore::open(folder.join("vectors"), VectorOptions::bytes(BYTES))?;
    let json = Store::open(folder.join("json"), Options::bytes(BYTES))?;
    let json_entries = json.namespace(NAMESPACE)?;
    let keys: Vec<String> = super::questions(0, count);
    let texts: Vec<&str> = keys.iter().map(String::as_str).collect();
    let made = Model::new("jay-embed", "1").embed(&texts);

    let (mut put, mut put_json) = (Timed::new("put"), Timed::new("put, JSON"));
    let (mut get, mut get_json) = (Timed::new("get"), Timed::new("get, JSON"));
    let (mut batch, mut batch_json) = (Timed::new("get_batch of 100"), Timed::new("get_batch of 100, JSON"));
    let mut json_len = 0;
    for (keys, floats) in keys.chunks(BATCH).zip(made.chunks(BATCH)).cycle().take(rounds) {
        put.time(keys.len(), || Ok(vectors.put_batch(NAMESPACE, keys.iter().zip(floats))?))?;
        put_json.time(keys.len(), || {
            for (key, floats) in keys.iter().zip(floats) {
                let value = serde_json::to_vec(floats)?;
                json_len = value.len();
                json_entries.put(key.as_bytes(), &value)?;
            }
            Ok(())
        })?;
        vectors.flush()?;
        json.flush()?;
        let bytes: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        get.time(keys.len(), || {
            for key in keys {
                drop(black_box(vectors.get(NAMESPACE, key)?));
            }
            Ok(())
        })?;
        get_json.time(keys.len(), || {
            for key in keys {
                let value = json_entries.get(key.as_bytes())?.ok_or("not there")?;
                drop(black_box(serde_json::from_slice::<Vec<f32>>(&value)?));
            }
            Ok(())
        })?;
        batch.time(1, || Ok(vectors.get_batch(NAMESPACE, keys)?))?;
        batch_json.time(1, || {
            let found = json_entries.get_many(&bytes)?;
            let read = found.iter().flatten().map(|value| serde_json::from_slice::<Vec<f32>>(value));
            Ok(read.collect::<Result<Vec<_>, _>>()?)
        })?;
    }
    let stats = vectors.stats();
    let mut page = format!("{:<36}{:>15}{:>15}\n", "CPU per call", "median", "least");
    for timed in [&mut put, &mut put_json, &mut get, &mut get_json, &mut batch, &mut batch_json] {
        page.push_str(&timed.line());
    }
    let len = stats.put_bytes / stats.puts.max(1);
    writeln!(page, "\n{DIMENSIONS} dimensions: {len} bytes a record, keys and all; {json_len} bytes of JSON")?;
    Ok(page)
}
