//! Overwrites of twenty times the capacity: space, memory and write amplification stay within their bounds.
//!
//! By default a small store; `SCRUBJAY_SOAK=1 cargo test --release -p scrubjay-disk --test soak -- --nocapture` is the long run, a
//! larger number is a store that many times larger. Alone in its process, since it looks at the memory of the whole process.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "model/reference.rs"]
mod reference;

use reference::Random;
use scrubjay_disk::{Device, DeviceFile, FileDevice, Io, Options, Put, Store};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often the capacity is written.
const TURNS: u64 = 20;
/// How much of it is live.
const LIVE_PERCENT: u64 = 80;
const QUEUE_BYTES: u64 = 4 << 20;
/// What the process may take beyond its index and its queue.
const SLACK_BYTES: u64 = 24 << 20;

struct Scale {
    capacity: u64,
    value_len: usize,
}

fn scale() -> Scale {
    match std::env::var("SCRUBJAY_SOAK").ok().and_then(|factor| factor.parse::<u64>().ok()) {
        Some(factor) => Scale { capacity: factor.max(1) << 30, value_len: 4096 },
        None => Scale { capacity: 12 << 20, value_len: 1000 },
    }
}

/// Bytes of this process that lie in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A device that looks, after everything that may make files longer, how long all of them are.
struct Watched {
    device: Arc<FileDevice>,
    bytes_max: Arc<AtomicU64>,
    bytes_written: Arc<AtomicU64>,
}

struct WatchedFile {
    device: Arc<FileDevice>,
    file: Arc<dyn DeviceFile>,
    bytes_max: Arc<AtomicU64>,
    bytes_written: Arc<AtomicU64>,
}

fn look(device: &FileDevice, bytes_max: &AtomicU64) -> io::Result<()> {
    let bytes = device.list()?.iter().map(|(_, len)| len).sum();
    bytes_max.fetch_max(bytes, Ordering::Relaxed);
    Ok(())
}

impl Watched {
    fn watch(&self, file: Arc<dyn DeviceFile>) -> Arc<dyn DeviceFile> {
        Arc::new(WatchedFile {
            device: Arc::clone(&self.device),
            file,
            bytes_max: Arc::clone(&self.bytes_max),
            bytes_written: Arc::clone(&self.bytes_written),
        })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.device.fmt(f)
    }
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl Device for Watched {
    fn lock(&self) -> io::Result<()> {
        self.device.lock()
    }

    fn unlock(&self) {
        self.device.unlock();
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.device.list()
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DeviceFile>> {
        let file = self.device.create(name, len)?;
        look(&self.device, &self.bytes_max)?;
        Ok(self.watch(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DeviceFile>> {
        Ok(self.watch(self.device.open(name)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.device.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.device.rename(from, to)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.device.sync_folder()
    }

    fn alignment(&self) -> u64 {
        self.device.alignment()
    }
}

impl DeviceFile for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }

    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.try_read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)?;
        self.bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        look(&self.device, &self.bytes_max)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        look(&self.device, &self.bytes_max)
    }
}

/// What a run came to.
#[derive(Debug)]
struct Soaked {
    amplification: f64,
    bytes_max: u64,
    hit_percent: u64,
    entries: u64,
    resident_before: u64,
    resident_max: u64,
}

/// Overwrites keys at random, as many as are live at most, and reads some.
fn soak(scale: &Scale, reinsert: f64) -> Soaked {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let device = Arc::new(FileDevice::open(folder.path(), Io::Buffered).unwrap());
    let (bytes_max, bytes_written) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let watched = Watched { device, bytes_max: Arc::clone(&bytes_max), bytes_written: Arc::clone(&bytes_written) };
    let options = Options::bytes(scale.capacity).reinsert(reinsert).queue_bytes(QUEUE_BYTES);
    let store = Store::open_on(Arc::new(watched), options).unwrap();
    let namespace = store.namespace("soak").unwrap();
    let record_len = (scale.value_len + 32 + 8 + 28) as u64;
    let keys = scale.capacity * LIVE_PERCENT / 100 / record_len;
    let puts = scale.capacity * TURNS / record_len;
    let mut random = Random(7);
    let mut bytes = vec![0; scale.value_len];
    let (mut reads, mut hits, mut callers_bytes) = (0, 0, 0);
    let resident_before = resident();
    let mut resident_max = 0;
    for number in 0..puts {
        // First every key once, then any.
        let key = if number < keys { number } else { random.below(keys) };
        bytes[..8].copy_from_slice(&key.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        assert_eq!(namespace.put(&key.to_le_bytes(), &bytes).unwrap(), Put::Stored);
        callers_bytes += record_len;
        if number % 8 == 0 {
            let key = random.below(keys.min(number + 1));
            reads += 1;
            if let Some(value) = namespace.get(&key.to_le_bytes()).unwrap() {
                assert_eq!(value[..8], key.to_le_bytes());
                hits += 1;
            }
        }
        if number % 4096 == 0 {
            resident_max = resident().max(resident_max);
        }
    }
    store.sync().unwrap();
    let entries = store.stats().entries;
    let stats = store.stats();
    println!("{stats:?}");
    assert!(stats.used_bytes <= scale.capacity, "{stats:?}");
    store.close().unwrap();
    #[allow(clippy::cast_precision_loss, reason = "a ratio to look at")]
    let amplification = bytes_written.load(Ordering::Relaxed) as f64 / callers_bytes as f64;
    let hit_percent = hits * 100 / reads;
    Soaked {
        amplification,
        bytes_max: bytes_max.load(Ordering::Relaxed),
        hit_percent,
        entries,
        resident_before,
        resident_max,
    }
}

#[test]
fn space_memory_and_write_amplification_stay_in_their_bounds() {
    let scale = scale();
    for (reinsert, amplification_max) in [(0.0, 1.05), (0.25, 1.3)] {
        let soaked = soak(&scale, reinsert);
        println!("reinsert {reinsert}: {soaked:?}");
        assert!(soaked.bytes_max <= scale.capacity, "{soaked:?} of {}", scale.capacity);
        assert!(soaked.amplification <= amplification_max, "{soaked:?}");
        // Of the keys, those whose last write is not older than the log is long.
        assert!(soaked.hit_percent >= 60, "{soaked:?}");
        let grown = soaked.resident_max.saturating_sub(soaked.resident_before);
        let allowed = soaked.entries * 40 + 2 * QUEUE_BYTES + SLACK_BYTES;
        assert!(grown <= allowed, "{grown} bytes, {allowed} allowed: {soaked:?}");
    }
}
