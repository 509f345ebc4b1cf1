//! When the data is saved and loaded, and what became of it: SAVE, BGSAVE, save points, the last save of a stopping server.
//!
//! A snapshot is the whole keyspace at one instant: it is written behind the closed gate, and commands wait meanwhile. It
//! takes the place of the last one only when it is complete and on the disk, so a crash leaves one or the other.
//!
//! **Invariant:** one snapshot at a time, whoever asks: SAVE runs behind the gate from start to end, and is refused while a
//! background save is asked for or under way; the last save of a server waits for that one. Knows nothing of the bytes of a file: that is `rdb`.

mod batch;
mod schedule;
mod snapshot;

#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::log::Level;
use crate::server::Shared;
use parking_lot::{Condvar, Mutex};
use scrubjay_keyspace::Held;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

pub(crate) use schedule::start;
pub(crate) use snapshot::LoadError;

/// What a snapshot left behind for INFO and LASTSAVE.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    /// Changes since the data was last saved or loaded.
    pub(crate) changes_since_save: u64,
    pub(crate) is_background_save_running: bool,
    /// Unix seconds of the last save that succeeded; of the start, while there is none.
    pub(crate) last_save_seconds: u64,
    pub(crate) last_background_save_failed: bool,
    /// Seconds that the last background save took.
    pub(crate) last_background_save_took: Option<u64>,
    /// Seconds that the running background save has taken so far.
    pub(crate) background_save_running_for: Option<u64>,
    /// Saves that succeeded since the start.
    pub(crate) saves: u64,
    pub(crate) loaded_keys: u64,
    /// Keys of the file whose time was over when it was loaded.
    pub(crate) expired_keys_in_file: u64,
}

/// How the background save stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Background {
    #[default]
    Idle,
    Asked,
    Running {
        since: Instant,
    },
}

#[derive(Debug, Default)]
struct State {
    background: Background,
    is_stopping: bool,
    last_save_ms: u64,
    /// When the last background save ended, if it failed: the next try waits.
    failed_at_ms: Option<u64>,
    last_took_seconds: Option<u64>,
    saves: u64,
    /// Changes counted when the last good snapshot was cut.
    saved_changes: u64,
    /// The file that holds them.
    saved_path: Option<PathBuf>,
    loaded_keys: u64,
    expired_keys_in_file: u64,
}

/// Counts of one thread, on a cache line of their own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU64);

/// The state of saving and loading.
#[derive(Debug)]
pub(crate) struct Persistence {
    state: Mutex<State>,
    wake: Condvar,
    /// Held from the cut until the file has its name: there is one temporary file. Taken inside the gate, never around it.
    writing: Mutex<()>,
    changes: Box<[Line]>,
    has_failed: AtomicBool,
}

impl Persistence {
    /// `slots` is the number of threads that call [`Persistence::note_changes`].
    pub(crate) fn new(slots: usize, now_ms: u64) -> Persistence {
        Persistence {
            state: Mutex::new(State { last_save_ms: now_ms, ..State::default() }),
            wake: Condvar::new(),
            writing: Mutex::new(()),
            changes: (0..slots.max(1)).map(|_| Line::default()).collect(),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Counts changes made by thread `slot`. No lock and no shared line: each slot has one writer.
    #[inline]
    pub(crate) fn note_changes(&self, slot: u32, count: u64) {
        if let Some(line) = self.changes.get(slot as usize) {
            line.0.store(line.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
        }
    }

    fn changes(&self) -> u64 {
        self.changes.iter().fold(0, |sum, line| sum.wrapping_add(line.0.load(Ordering::Relaxed)))
    }

    /// For INFO and LASTSAVE.
    pub(crate) fn status(&self, now: Instant) -> Status {
        let state = self.state.lock();
        Status {
            changes_since_save: self.changes().saturating_sub(state.saved_changes),
            is_background_save_running: state.background != Background::Idle,
            last_save_seconds: state.last_save_ms / 1000,
            last_background_save_failed: self.has_failed.load(Ordering::Relaxed),
            last_background_save_took: state.last_took_seconds,
            background_save_running_for: match state.background {
                Background::Running { since } => Some(now.saturating_duration_since(since).as_secs()),
                Background::Idle | Background::Asked => None,
            },
            saves: state.saves,
            loaded_keys: state.loaded_keys,
            expired_keys_in_file: state.expired_keys_in_file,
        }
    }

    /// Asks for a background save. False when one is under way.
    pub(crate) fn request(&self) -> bool {
        let mut state = self.state.lock();
        let is_idle = state.background == Background::Idle;
        if is_idle {
            state.background = Background::Asked;
            self.wake.notify_all();
        }
        is_idle
    }

    /// Ends the background thread; a background save that has not begun to write is given up.
    pub(crate) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.wake.notify_all();
    }

    fn note_saved(&self, cut_changes: u64, path: PathBuf, now_ms: u64) {
        let mut state = self.state.lock();
        state.saved_changes = cut_changes;
        state.saved_path = Some(path);
        state.last_save_ms = now_ms;
        state.failed_at_ms = None;
        state.saves += 1;
        self.has_failed.store(false, Ordering::Relaxed);
    }
}

/// Refuses writes while snapshots fail, if `stop-writes-on-bgsave-error` says so. One relaxed load when all is well.
#[inline]
pub(crate) fn check_writes(shared: &Shared) -> Result<(), Error> {
    if shared.persistence.has_failed.load(Ordering::Relaxed) { refuse_writes(shared) } else { Ok(()) }
}

#[cold]
fn refuse_writes(shared: &Shared) -> Result<(), Error> {
    if !shared.config.stop_writes_on_bgsave_error() || shared.config.save_points().is_empty() {
        return Ok(());
    }
    Err(Error::new(
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that \
         may modify the data set are disabled, because this instance is configured to report errors during writes if RDB \
         snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB \
         error.",
    ))
}

/// Why a foreground save did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    #[error("a background save is under way")]
    Busy,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Saves what `held` holds, which is everything. Blocks until it is on the disk.
pub(crate) fn save(shared: &Shared, held: &mut Held<'_>) -> Result<(), SaveError> {
    if shared.persistence.state.lock().background != Background::Idle {
        return Err(SaveError::Busy);
    }
    overtake(shared, held)
}

/// Saves whatever else is going on: a background save that waits for the gate comes after this, and one that is on its way
/// to the disk is waited for. `held` is everything.
pub(crate) fn overtake(shared: &Shared, held: &mut Held<'_>) -> Result<(), SaveError> {
    let persistence = &shared.persistence;
    let _writing = persistence.writing.lock();
    let cut_changes = persistence.changes();
    let saved = snapshot::write(shared, held).and_then(snapshot::Unpublished::publish);
    match saved {
        Ok(keys) => {
            let path = snapshot::path(shared);
            shared.log(Level::Notice, format_args!("saved {keys} keys to {}", path.display()));
            persistence.note_saved(cut_changes, path, shared.clock.now_ms());
            Ok(())
        }
        Err(error) => {
            let path = snapshot::path(shared);
            shared.log(Level::Warning, format_args!("saving to {} failed: {error}", path.display()));
            Err(error.into())
        }
    }
}

/// FLUSHALL leaves no snapshot that would bring the keys back, if the server saves by itself.
pub(crate) fn save_after_flush(shared: &Shared, held: &mut Held<'_>) {
    if !shared.config.save_points().is_empty() {
        // A failure was logged; the keys are gone from memory either way, and the next save point tries again.
        let _ = overtake(shared, held);
    }
}

/// The last save of a server that stops: if it saves by itself and its file does not hold the data already. On `Err` the
/// server should go on rather than lose the data. The caller must not be inside the gate.
pub(crate) fn save_on_shutdown(shared: &Shared) -> Result<(), SaveError> {
    schedule::wait_until_idle(shared);
    if shared.config.save_points().is_empty() || is_saved(shared) {
        return Ok(());
    }
    let exclusive = shared.keyspace.exclusive();
    overtake(shared, &mut exclusive.hold_all(shared.clock.now_ms()))
}

/// Whether the next start finds what is in memory now. `dir` or `dbfilename` may have been set to others since the last
/// save, and somebody may have taken the file away.
fn is_saved(shared: &Shared) -> bool {
    let state = shared.persistence.state.lock();
    let is_unchanged = shared.persistence.changes() == state.saved_changes;
    let is_empty =
        (0..shared.keyspace.databases()).all(|number| shared.keyspace.is_empty(scrubjay_keyspace::Db(number)));
    let path = snapshot::path(shared);
    is_unchanged && (is_empty || (state.saved_path.as_ref() == Some(&path) && path.exists()))
}

/// Loads the snapshot, if there is one, into a server that nobody uses yet.
pub(crate) fn load_at_start(shared: &Shared) -> Result<(), LoadError> {
    if !shared.config.save_points().is_empty() {
        // Better told now than by the first save in an hour.
        std::fs::create_dir_all(shared.config.dir()).map_err(LoadError::io(shared.config.dir()))?;
    }
    let exclusive = shared.keyspace.exclusive();
    let started = shared.clock.instant();
    let Some(loaded) = snapshot::load(shared, &mut exclusive.hold_all(shared.clock.now_ms()))? else { return Ok(()) };
    note_loaded(shared, &loaded);
    let line = format!(
        "loaded {} keys ({} bytes) from {} in {:.3} s; {} more had expired",
        loaded.keys,
        loaded.bytes,
        snapshot::path(shared).display(),
        shared.clock.instant().saturating_duration_since(started).as_secs_f64(),
        loaded.expired
    );
    shared.log(Level::Notice, line);
    Ok(())
}

/// DEBUG RELOAD: saves, forgets everything and loads it again. `held` is everything. The file is read twice: nothing is
/// forgotten unless all of it can be read.
pub(crate) fn reload(shared: &Shared, held: &mut Held<'_>, saves_first: bool) -> Result<(), Error> {
    let failed = |error: LoadError| {
        shared.log(Level::Warning, format_args!("DEBUG RELOAD: {error}"));
        Error::new("ERR Error trying to load the RDB dump, check server logs.")
    };
    if saves_first {
        save(shared, held).map_err(failed_save)?;
    }
    snapshot::check(shared).map_err(failed)?;
    for number in 0..shared.keyspace.databases() {
        held.flush(scrubjay_keyspace::Db(number));
    }
    if let Some(loaded) = snapshot::load(shared, held).map_err(failed)? {
        note_loaded(shared, &loaded);
    }
    Ok(())
}

/// What a client is told of a save that failed: the rest is in the log.
pub(crate) fn failed_save(error: SaveError) -> Error {
    match error {
        SaveError::Busy => Error::new("ERR Background save already in progress"),
        SaveError::Io(_) => Error::new("ERR"),
    }
}

fn note_loaded(shared: &Shared, loaded: &snapshot::Loaded) {
    let mut state = shared.persistence.state.lock();
    state.saved_changes = shared.persistence.changes();
    state.saved_path = Some(snapshot::path(shared));
    state.loaded_keys = loaded.keys;
    state.expired_keys_in_file = loaded.expired;
}
