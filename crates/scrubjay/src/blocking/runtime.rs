//! The runtime of programs that have none: one thread, started with the first cache that needs it, kept for the process.
//!
//! It drives timers, connections to a remote tier, and the bookkeeping of loads. Loaders themselves block, so they run on threads of the runtime's pool,
//! which come and go with the work. Kept and not counted down, since a cache may be built from any thread at any time, and a
//! runtime that ends while somebody waits for one of its loads would be worse than an idle thread.

use crate::error::{Error, ErrorKind};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// The runtime of the process.
///
/// # Errors
/// `Unavailable`: the system gives no thread or no event queue.
pub(super) fn of_process() -> Result<Handle, Error> {
    let mut runtime = RUNTIME.lock();
    if let Some(handle) = &*runtime {
        return Ok(handle.clone());
    }
    let handle = start().map_err(|error| {
        Error::with_source(ErrorKind::Unavailable, "the runtime of blocking caches does not start", error)
    })?;
    *runtime = Some(handle.clone());
    Ok(handle)
}

fn start() -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().thread_name("scrubjay-load").build()?;
    let handle = runtime.handle().clone();
    let thread = std::thread::Builder::new().name("scrubjay".to_owned());
    thread.spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
