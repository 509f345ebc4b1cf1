//! The peers, each as its manual says to use it, without compression (there is nothing to compress), with a cache of its own
//! of 32 MiB at most, and without a sync per operation: what was written in the last second may be lost in a crash of the
//! process, as with ours.

use super::engine::{Engine, Setting};
use crate::clock;
use anyhow::Context;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder, HybridCachePolicy, Load,
    PsyncIoEngineConfig,
};
use redb::{Durability, ReadableDatabase, TableDefinition};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What an engine may keep of its data in its own memory.
const CACHE_BYTES: usize = 32 << 20;

/// How long work in the background may last.
const SETTLE_MAX: Duration = Duration::from_secs(120);

/// fjall, values of 1 KiB and more apart from the tree.
pub(super) fn fjall(setting: &Setting) -> anyhow::Result<Box<dyn Engine>> {
    // The journal is handed to the system by `persist`, not after each write: cheaper, and no weaker than the others.
    let database =
        Database::builder(&setting.folder).cache_size(CACHE_BYTES as u64).manual_journal_persist(true).open()?;
    let options = || {
        KeyspaceCreateOptions::default()
            .with_kv_separation(Some(KvSeparationOptions::default()))
            .manual_journal_persist(true)
    };
    let entries = database.keyspace("entries", options)?;
    Ok(Box::new(Fjall { database, entries }))
}

struct Fjall {
    database: Database,
    entries: Keyspace,
}

impl Engine for Fjall {
    fn put(&self, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        Ok(self.entries.insert(key, value)?)
    }

    fn get(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> anyhow::Result<bool> {
        let value = self.entries.get(key)?;
        if let Some(value) = &value {
            look(value);
        }
        Ok(value.is_some())
    }

    fn remove(&self, key: &[u8]) -> anyhow::Result<()> {
        Ok(self.entries.remove(key)?)
    }

    fn settle(&self) -> anyhow::Result<()> {
        self.database.persist(PersistMode::Buffer)?;
        self.entries.rotate_memtable_and_wait()?;
        // Idle when it was idle 20 times in a row: a compaction may follow a flush.
        let mut idle = 0;
        let is_idle = || {
            let is_busy = self.database.outstanding_flushes() > 0 || self.database.active_compactions() > 0;
            idle = if is_busy { 0 } else { idle + 1 };
            idle == 20
        };
        anyhow::ensure!(clock::wait_until(SETTLE_MAX, is_idle), "still compacting");
        Ok(())
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");

/// How long redb may go without a durable commit. Only such a one gives the pages free that were replaced.
const DURABLE_EVERY: Duration = Duration::from_secs(1);

/// redb, a transaction per put.
pub(super) fn redb(setting: &Setting) -> anyhow::Result<Box<dyn Engine>> {
    std::fs::create_dir_all(&setting.folder)?;
    let database = redb::Builder::new().set_cache_size(CACHE_BYTES).create(setting.folder.join("redb"))?;
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?;
    transaction.commit()?;
    Ok(Box::new(Redb { database, durable: Mutex::new(clock::now()) }))
}

struct Redb {
    database: redb::Database,
    /// When something was last committed durably.
    durable: Mutex<Instant>,
}

impl Redb {
    fn write(&self, change: impl FnOnce(&mut redb::Table<&[u8], &[u8]>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut transaction = self.database.begin_write()?;
        {
            let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
            if durable.elapsed() < DURABLE_EVERY {
                transaction.set_durability(Durability::None)?;
            } else {
                *durable = clock::now();
            }
        }
        change(&mut transaction.open_table(TABLE)?)?;
        Ok(transaction.commit()?)
    }
}

impl Engine for Redb {
    fn put(&self, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        self.write(|table| {
            table.insert(key, value)?;
            Ok(())
        })
    }

    fn get(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> anyhow::Result<bool> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let value = table.get(key)?;
        if let Some(value) = &value {
            look(value.value());
        }
        Ok(value.is_some())
    }

    fn remove(&self, key: &[u8]) -> anyhow::Result<()> {
        self.write(|table| {
            table.remove(key)?;
            Ok(())
        })
    }

    fn settle(&self) -> anyhow::Result<()> {
        Ok(self.database.begin_write()?.commit()?)
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.database.close()?)
    }
}

/// What foyer is given before it has to have written it. It drops what exceeds its buffers and does not say so.
const PENDING_MAX: u64 = 8 << 20;

/// foyer's disk engine, by the hybrid cache whose memory tier holds a single entry: written on insertion, read from the
/// disk's side.
pub(super) fn foyer(setting: &Setting) -> anyhow::Result<Box<dyn Engine>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let capacity = usize::try_from(setting.capacity)?;
    let device = FsDeviceBuilder::new(&setting.folder)
        .with_capacity(capacity)
        .with_direct(setting.is_direct)
        .build()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let build = HybridCacheBuilder::new()
        .with_policy(HybridCachePolicy::WriteOnInsertion)
        .memory(1)
        .with_shards(1)
        .storage()
        .with_io_engine_config(PsyncIoEngineConfig::new())
        .with_engine_config(BlockEngineConfig::new(device).with_block_size((capacity / 32).min(16 << 20)))
        .build();
    let cache = runtime.block_on(build).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Box::new(Foyer { cache, runtime, pending: Mutex::new(0) }))
}

struct Foyer {
    cache: HybridCache<Vec<u8>, Vec<u8>>,
    runtime: tokio::runtime::Runtime,
    /// Bytes since it last had written everything, as it rounds them.
    pending: Mutex<u64>,
}

impl Engine for Foyer {
    fn put(&self, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        // Its entries begin at multiples of 4 KiB and have a header of their own.
        *pending += (key.len() + value.len() + 64).next_multiple_of(4096) as u64;
        if *pending > PENDING_MAX {
            self.runtime.block_on(self.cache.storage().wait());
            *pending = 0;
        }
        drop(pending);
        let writer = self.cache.storage_writer(key.to_vec()).force();
        writer.insert(value.to_vec()).context("not admitted")?;
        Ok(())
    }

    fn get(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> anyhow::Result<bool> {
        let load = self.runtime.block_on(self.cache.storage().load(key));
        match load.map_err(|error| anyhow::anyhow!("{error}"))? {
            Load::Entry { value, .. } => look(&value),
            Load::Piece { piece, .. } => look(piece.value()),
            Load::Throttled | Load::Miss => return Ok(false),
        }
        Ok(true)
    }

    fn remove(&self, key: &[u8]) -> anyhow::Result<()> {
        self.cache.remove(key);
        Ok(())
    }

    fn settle(&self) -> anyhow::Result<()> {
        self.runtime.block_on(self.cache.storage().wait());
        Ok(())
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        self.runtime.block_on(self.cache.close()).map_err(|error| anyhow::anyhow!("{error}"))
    }

    fn written_bytes(&self) -> Option<u64> {
        Some(self.cache.storage().statistics().disk_write_bytes() as u64)
    }
}
