//! Snapshot files: written beside the old one and put in its place when complete; read into a keyspace that is held.

use super::batch::Batch;
use crate::rdb::{self, Options, Problem, Record, Writer};
use crate::server::Shared;
use scrubjay_keyspace::{Db, Held};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// What Redis tools expect of a file that they are to read: the version whose format it is.
const REDIS_VERSION: &str = "7.2.4";

/// A snapshot that could not be loaded: nothing of it is in use, and the server must not start over it.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub(crate) struct LoadError {
    path: String,
    problem: String,
}

impl LoadError {
    fn new(path: &Path, problem: impl ToString) -> LoadError {
        LoadError { path: path.display().to_string(), problem: problem.to_string() }
    }

    pub(super) fn io(path: PathBuf) -> impl Fn(io::Error) -> LoadError {
        move |error| LoadError::new(&path, error)
    }
}

/// What a file brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loaded {
    pub(super) keys: u64,
    pub(super) expired: u64,
    pub(super) bytes: u64,
}

/// Where the snapshot lies.
pub(super) fn path(shared: &Shared) -> PathBuf {
    shared.config.dir().join(&*shared.config.dbfilename())
}

/// A snapshot in a file of its own, not yet in the place of the last one. Dropped unpublished, it leaves nothing.
pub(super) struct Unpublished {
    file: File,
    /// Empty once published.
    temporary: PathBuf,
    path: PathBuf,
    keys: u64,
}

impl Unpublished {
    /// Makes it the snapshot: on the disk before it has the name, and the name on the disk before this returns.
    pub(super) fn publish(mut self) -> io::Result<u64> {
        self.file.sync_all()?;
        std::fs::rename(&self.temporary, &self.path)?;
        self.temporary = PathBuf::new();
        if let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(self.keys)
    }
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            // What cannot be removed now is overwritten by the next attempt.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Writes what `held` holds, which is everything. The gate may open before it is published.
pub(super) fn write(shared: &Shared, held: &mut Held<'_>) -> io::Result<Unpublished> {
    let path = path(shared);
    let temporary = path.with_file_name(format!("temp-{}.rdb", std::process::id()));
    std::fs::create_dir_all(shared.config.dir())?;
    let mut unpublished = Unpublished { file: File::create(&temporary)?, temporary, path, keys: 0 };
    let options = Options { compress: shared.config.rdbcompression(), checksum: shared.config.rdbchecksum() };
    let mut writer = Writer::new(&unpublished.file, options);
    writer.aux("redis-ver", REDIS_VERSION);
    writer.aux("redis-bits", if cfg!(target_pointer_width = "64") { "64" } else { "32" });
    writer.aux("ctime", &(held.now_ms() / 1000).to_string());
    writer.aux("used-mem", &shared.keyspace.memory_used().to_string());
    for db in (0..shared.keyspace.databases()).map(Db) {
        // Keys that have expired and were not noticed count here, and are not written: the numbers are hints.
        let (keys, expires) = (shared.keyspace.len(db), shared.keyspace.expires_len(db));
        if keys > 0 {
            writer.database(db.0, keys, expires);
            held.for_each(db, |key, entry| {
                writer.entry(key, entry.value, entry.expires_at_ms);
                unpublished.keys += 1;
            });
        }
    }
    writer.finish()?;
    Ok(unpublished)
}

/// Reads the snapshot into `held`, which is everything and should be empty. `None` when there is no file.
pub(super) fn load(shared: &Shared, held: &mut Held<'_>) -> Result<Option<Loaded>, LoadError> {
    let now_ms = held.now_ms();
    let (mut keys, mut expired, mut batch) = (0, 0, Batch::default());
    let totals = read(shared, |record| {
        if record.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            expired += 1;
            return Ok(());
        }
        keys += 1;
        batch.push(held, database(shared, &record)?, &record)
    })?;
    batch.store(held).map_err(|problem| LoadError::new(&path(shared), problem))?;
    Ok(totals.map(|totals| Loaded { keys, expired, bytes: totals.bytes }))
}

/// Reads the snapshot and keeps nothing of it.
pub(super) fn check(shared: &Shared) -> Result<(), LoadError> {
    read(shared, |record| database(shared, &record).map(drop)).map(drop)
}

fn read(
    shared: &Shared,
    visit: impl FnMut(Record<'_>) -> Result<(), Problem>,
) -> Result<Option<rdb::Totals>, LoadError> {
    let path = path(shared);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LoadError::new(&path, error)),
    };
    rdb::read(file, shared.config.rdbchecksum(), visit).map(Some).map_err(|error| LoadError::new(&path, error))
}

fn database(shared: &Shared, record: &Record<'_>) -> Result<Db, Problem> {
    let (database, allowed) = (record.database, shared.keyspace.databases());
    let known = u16::try_from(database).ok().filter(|number| *number < allowed);
    known.map(Db).ok_or(Problem::Database { database, allowed })
}
