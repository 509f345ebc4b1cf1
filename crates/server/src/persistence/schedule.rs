//! The thread of background saves: runs those that were asked for, and asks itself when a save point is reached or the
//! calendar of `snapshot-cron` says so.

use super::{Background, Persistence, State, snapshot};
use crate::log::Level;
use crate::server::Shared;
use parking_lot::MutexGuard;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the save points are looked at.
const TICK: Duration = Duration::from_millis(100);
/// After a failure, save points wait this long: a full disk is not tried again at once.
const RETRY_MS: u64 = 5_000;

/// Starts the thread. It lives until [`Persistence::stop`].
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name("snapshot".into()).spawn(move || run(&shared))
}

/// Waits for a background save that is under way. The caller must not hold the gate, which that save may be waiting for.
pub(super) fn wait_until_idle(shared: &Shared) {
    let persistence = &shared.persistence;
    let mut state = persistence.state.lock();
    // One that was not begun yet is the caller's to do.
    if state.background == Background::Asked {
        state.background = Background::Idle;
    }
    while state.background != Background::Idle {
        persistence.wake.wait(&mut state);
    }
}

fn run(shared: &Shared) {
    let persistence = &shared.persistence;
    let mut state = persistence.state.lock();
    let mut looked_ms = shared.clock.now_ms();
    while !state.is_stopping {
        let since_ms = std::mem::replace(&mut looked_ms, shared.clock.now_ms());
        let schedule = shared.config.snapshot_cron();
        let is_on_calendar = schedule.is_some_and(|schedule| schedule.is_due(since_ms, looked_ms));
        if state.background == Background::Asked || is_on_calendar || is_due(shared, &state) {
            state.background = Background::Running { since: shared.clock.instant() };
            MutexGuard::unlocked(&mut state, || save(shared));
            finish(shared, persistence, &mut state);
        } else {
            persistence.wake.wait_for(&mut state, TICK);
        }
    }
}

/// Whether a save point is reached: so many changes, and so many seconds since the last save.
pub(super) fn is_due(shared: &Shared, state: &State) -> bool {
    let changes = shared.persistence.changes().saturating_sub(state.saved_changes);
    let now_ms = shared.clock.now_ms();
    if changes == 0 || state.failed_at_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) <= RETRY_MS) {
        return false;
    }
    let seconds = now_ms.saturating_sub(state.last_save_ms) / 1000;
    shared.config.save_points().iter().any(|point| seconds > point.0 && changes >= point.1)
}

/// Cuts behind the closed gate; what the disk needs to settle happens with the gate open again.
fn save(shared: &Shared) {
    let exclusive = shared.keyspace.exclusive();
    let _writing = shared.persistence.writing.lock();
    if shared.persistence.state.lock().is_stopping {
        return;
    }
    let cut_changes = shared.persistence.changes();
    let written = snapshot::write(shared, &mut exclusive.hold_all(shared.clock.now_ms()));
    drop(exclusive);
    match written.and_then(snapshot::Unpublished::publish) {
        Ok(keys) => {
            let path = snapshot::path(shared);
            shared.log(Level::Notice, format_args!("saved {keys} keys to {} in the background", path.display()));
            shared.persistence.note_saved(cut_changes, path, shared.clock.now_ms());
        }
        Err(error) => {
            let path = snapshot::path(shared);
            let line = format!("saving to {} in the background failed: {error}", path.display());
            shared.log(Level::Warning, line);
            shared.persistence.state.lock().failed_at_ms = Some(shared.clock.now_ms());
            shared.persistence.has_failed.store(true, Ordering::Relaxed);
        }
    }
}

fn finish(shared: &Shared, persistence: &Persistence, state: &mut MutexGuard<'_, State>) {
    if let Background::Running { since } = state.background {
        state.last_took_seconds = Some(shared.clock.instant().saturating_duration_since(since).as_secs());
    }
    state.background = Background::Idle;
    persistence.wake.notify_all();
}
