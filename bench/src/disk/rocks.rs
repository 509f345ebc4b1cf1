//! `RocksDB`, values of 1 KiB and more in blob files. A file and a feature of its own: it builds for a quarter of an hour.

use super::engine::{Engine, Setting};
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, Options, WaitForCompactOptions};

/// The block cache.
const CACHE_BYTES: usize = 32 << 20;

pub(super) fn open(setting: &Setting) -> anyhow::Result<Box<dyn Engine>> {
    let cache = Cache::new_lru_cache(CACHE_BYTES);
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&cache);
    blocks.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::None);
    options.set_blob_compression_type(DBCompressionType::None);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(1024);
    options.set_enable_blob_gc(true);
    options.set_max_background_jobs(2);
    // The journal is handed to the system by `settle` and by memtables that are written out, as with the others.
    options.set_manual_wal_flush(true);
    options.set_use_direct_reads(setting.is_direct);
    options.set_use_direct_io_for_flush_and_compaction(setting.is_direct);
    Ok(Box::new(Rocks { database: DB::open(&options, &setting.folder)? }))
}

struct Rocks {
    database: DB,
}

impl Engine for Rocks {
    fn put(&self, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        Ok(self.database.put(key, value)?)
    }

    fn get(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> anyhow::Result<bool> {
        let value = self.database.get_pinned(key)?;
        if let Some(value) = &value {
            look(value);
        }
        Ok(value.is_some())
    }

    fn remove(&self, key: &[u8]) -> anyhow::Result<()> {
        Ok(self.database.delete(key)?)
    }

    fn settle(&self) -> anyhow::Result<()> {
        self.database.flush_wal(false)?;
        self.database.flush()?;
        Ok(self.database.wait_for_compact(&WaitForCompactOptions::default())?)
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.database.flush_wal(true)?)
    }
}
