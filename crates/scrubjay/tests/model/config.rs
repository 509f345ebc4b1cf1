//! What a cache may be made of, by number.

use super::reference::KEYS;
use scrubjay::{CacheBuilder, Clock, Codec, Compressed, Disk, FailSafe, Floats, Json, Key, Memory, Postcard, Raw};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Through which calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Face {
    Cache,
    Blocking,
    Memory,
}

/// The tier below memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Below {
    None,
    Postcard,
    Json,
    Raw,
    Floats,
}

/// How much memory may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Room {
    /// A few entries.
    Tiny,
    /// Some of the entries, by their bytes.
    Bytes,
    /// All of them.
    Ample,
}

/// One cache.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) face: Face,
    pub(crate) below: Below,
    pub(crate) room: Room,
    /// Whether it is about many keys, and the tiniest memory is not as tiny.
    pub(crate) is_wide: bool,
    /// Whether the compressed tier too is too small, for values that are large then.
    pub(crate) is_small_below: bool,
    /// The folder of the disk tier, if there is one: it holds everything, and the cache may be closed and opened again.
    pub(crate) folder: Option<Arc<TempDir>>,
    pub(crate) is_written_through: bool,
    pub(crate) is_warmed: bool,
    pub(crate) has_partition: bool,
    pub(crate) has_measured_cost: bool,
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) stale_while_revalidate_ms: u64,
    pub(crate) refresh_ahead: f64,
    pub(crate) max_stale_ms: u64,
    pub(crate) throttle_ms: u64,
    pub(crate) negative_ttl_ms: u64,
    pub(crate) ttl_jitter: f64,
    pub(crate) back_off_ms: u64,
    pub(crate) clock: Clock,
}

/// A generator of numbers that a seed repeats.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    pub(crate) fn is_one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn index(&mut self, n: usize) -> usize {
        usize::try_from(self.below(u64::try_from(n).unwrap())).unwrap()
    }
}

/// Cuts digits of mixed bases off a number.
struct Digits(u64);

impl Digits {
    fn next(&mut self, base: u64) -> u64 {
        let digit = self.0 % base;
        self.0 /= base;
        digit
    }

    fn is_next(&mut self) -> bool {
        self.next(2) == 1
    }
}

impl Config {
    pub(crate) fn count(face: Face) -> u64 {
        match face {
            // Odd numbers have a tier below memory: four codecs, and as many numbers without one.
            Face::Cache => 2 * 3 * 4 * (1 << 8),
            Face::Blocking => 60,
            Face::Memory => 30,
        }
    }

    /// Configuration `number`: for the asynchronous face every combination, for the others some.
    pub(crate) fn new(face: Face, number: u64, seed: u64) -> Config {
        let mut random = Random::new(seed << 32 | number);
        let spread = if face == Face::Blocking { number * 101 % Config::count(Face::Cache) } else { number };
        let mut digits = Digits(spread);
        let has_below = face != Face::Memory && digits.is_next();
        let room = [Room::Tiny, Room::Bytes, Room::Ample][usize::try_from(digits.next(3)).unwrap()];
        let codec = [Below::Postcard, Below::Json, Below::Raw, Below::Floats][usize::try_from(digits.next(4)).unwrap()];
        let has_partition = digits.is_next();
        let mut given = |value: u64| if face != Face::Memory && digits.is_next() { value } else { 0 };
        Config {
            face,
            below: if has_below { codec } else { Below::None },
            room,
            is_wide: random.is_one_in(3),
            is_small_below: has_below && random.is_one_in(4),
            has_partition,
            has_measured_cost: given(1) == 1,
            stale_while_revalidate_ms: given(if random.is_one_in(2) { 300 } else { 700 }),
            refresh_ahead: if given(1) == 1 { 0.8 } else { 0.0 },
            max_stale_ms: given(500),
            throttle_ms: 100,
            negative_ttl_ms: given(200),
            ttl_jitter: if given(1) == 1 { 0.3 } else { 0.0 },
            back_off_ms: given(50),
            ttl_ms: (!random.is_one_in(4)).then_some(1000),
            folder: (face != Face::Memory && random.is_one_in(6)).then(|| Arc::new(tempfile::tempdir().unwrap())),
            is_written_through: random.is_one_in(3),
            is_warmed: random.is_one_in(2),
            clock: Clock::held(),
        }
    }

    /// Whether nothing is ever lost: what memory cannot hold lies below.
    pub(crate) fn holds_all(&self) -> bool {
        match self.below {
            _ if self.folder.is_some() => true,
            Below::None => self.room == Room::Ample,
            _ => !self.is_small_below,
        }
    }

    /// How many of the keys are in use.
    pub(crate) fn keys(&self) -> usize {
        if self.is_wide { KEYS } else { 24 }
    }

    /// The most by which a time to live may be shortened.
    pub(crate) fn part(ttl_ms: u64, jitter: f64) -> u64 {
        let part = Duration::from_millis(ttl_ms).mul_f64(jitter).as_millis();
        u64::try_from(part).unwrap() + u64::from(jitter > 0.0)
    }

    /// A budget in which the largest value fits, in the partition too.
    fn bytes_least(&self) -> u64 {
        if self.is_small_below { 16_384 } else { 4_096 }
    }

    /// The budget at the start.
    pub(crate) fn capacity(&self) -> u64 {
        match self.room {
            Room::Tiny if self.is_wide => 32,
            Room::Tiny => 4,
            Room::Bytes => self.bytes_least(),
            Room::Ample => 1000,
        }
    }

    /// Another that `resize` may set.
    pub(crate) fn another_capacity(&self, random: &mut Random) -> u64 {
        match self.room {
            Room::Tiny => 1 + random.below(2 * self.capacity()),
            Room::Bytes => self.bytes_least() + random.below(self.bytes_least()),
            Room::Ample => 500 + random.below(1000),
        }
    }

    /// What the partition of [`in_partition`] may take.
    pub(crate) fn quota(&self) -> u64 {
        match self.room {
            Room::Tiny => self.capacity() / 2,
            Room::Bytes => self.bytes_least() / 2,
            Room::Ample => 200,
        }
    }

    pub(crate) fn memory(&self) -> Memory {
        let memory = match self.room {
            Room::Bytes => Memory::bytes(self.capacity()),
            Room::Tiny | Room::Ample => Memory::entries(self.capacity()),
        };
        if self.has_partition { memory.partition("few", self.quota()) } else { memory }
    }

    /// Bytes that a value may be longer than it must.
    pub(crate) fn padding_max(&self) -> u64 {
        if self.is_small_below { 6_000 } else { 300 }
    }

    pub(crate) fn text_builder(&self) -> CacheBuilder<String, String> {
        let builder = self.times(CacheBuilder::memory(scrubjay::Cache::builder("model"), self.memory()));
        match self.below {
            Below::Postcard => self.on_disk(builder.compressed(self.compressed()), Postcard),
            Below::Json => self.on_disk(builder.compressed_with(self.compressed().zstd(), Json), Json),
            Below::Raw => self.on_disk(builder.compressed_with(self.compressed(), Raw), Raw),
            Below::None | Below::Floats => self.on_disk(builder, Postcard),
        }
    }

    pub(crate) fn floats_builder(&self) -> CacheBuilder<String, Vec<f64>> {
        let builder = self.times(CacheBuilder::memory(scrubjay::Cache::builder("model"), self.memory()));
        self.on_disk(builder.compressed_with(self.compressed().uncompressed(), Floats), Floats)
    }

    fn on_disk<V: Clone + Send + Sync + 'static>(
        &self,
        builder: CacheBuilder<String, V>,
        codec: impl Codec<V>,
    ) -> CacheBuilder<String, V> {
        let Some(folder) = &self.folder else { return builder };
        let disk = Disk::at(folder.path()).bytes(32 << 20).compress_min_bytes(64);
        builder.disk_with(disk.write_through(self.is_written_through).warm_restart(self.is_warmed), codec)
    }

    fn compressed(&self) -> Compressed {
        Compressed::bytes(if self.is_small_below { 65_536 } else { 1 << 20 }).compress_min_bytes(64)
    }

    fn times<V: Clone + Send + Sync + 'static>(&self, mut builder: CacheBuilder<String, V>) -> CacheBuilder<String, V> {
        let ms = Duration::from_millis;
        builder = builder.clock(self.clock.clone());
        if self.has_partition {
            builder = builder.partition_by(|key: &String| in_partition(key).then_some("few"));
        }
        if self.has_measured_cost {
            builder = builder.measured_cost();
        }
        if let Some(ttl_ms) = self.ttl_ms {
            builder = builder.time_to_live(ms(ttl_ms));
        }
        if self.stale_while_revalidate_ms > 0 {
            builder = builder.stale_while_revalidate(ms(self.stale_while_revalidate_ms));
        }
        if self.refresh_ahead > 0.0 {
            builder = builder.refresh_ahead(self.refresh_ahead);
        }
        if self.max_stale_ms > 0 {
            builder = builder.fail_safe(FailSafe { max_stale: ms(self.max_stale_ms), throttle: ms(self.throttle_ms) });
        }
        if self.negative_ttl_ms > 0 {
            builder = builder.negative_ttl(ms(self.negative_ttl_ms));
        }
        if self.ttl_jitter > 0.0 {
            builder = builder.ttl_jitter(self.ttl_jitter);
        }
        if self.back_off_ms > 0 {
            builder = builder.error_backoff(ms(self.back_off_ms));
        }
        builder
    }
}

/// Whether a key belongs to the partition, where there is one.
pub(crate) fn in_partition(key: &str) -> bool {
    key.starts_with("1:")
}

/// All keys of a cache, by number: `0:0`, `1:1`, `2:2`, `3:3`, `0:4` and so on.
pub(crate) fn key(number: usize) -> String {
    format!("{}:{number}", number % 4)
}

/// The number of a key.
pub(crate) fn number(key: &str) -> usize {
    <u64 as Key>::decode(&key.as_bytes()[2..]).and_then(|number| usize::try_from(number).ok()).unwrap()
}
