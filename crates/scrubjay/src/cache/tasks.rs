//! The tasks that a cache has started: loads and the loaders in them, refreshes, maintenance. Closing ends them all, and
//! waits for that.
//!
//! Invariant: after [`Tasks::close`] has returned, none of them runs and none starts.

use crate::error::{Error, ErrorKind};
use crate::timer::Timers;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};

/// A cache's tasks, and whether there may be more. A clone is another handle on the same.
#[derive(Clone)]
pub(crate) struct Tasks {
    runtime: Handle,
    timers: Timers,
    running: Arc<Running>,
}

struct Running {
    /// Written under the lock.
    is_closed: AtomicBool,
    state: Mutex<State>,
    is_done: Notify,
}

struct State {
    next: u64,
    /// `None`: started, and its handle is on the way.
    tasks: HashMap<u64, Option<AbortHandle>, ahash::RandomState>,
}

/// Signs a task off, however it ends.
struct Signed {
    running: Arc<Running>,
    id: u64,
}

impl Tasks {
    pub(crate) fn new(runtime: Handle) -> Tasks {
        let state = State { next: 0, tasks: HashMap::default() };
        let running =
            Arc::new(Running { is_closed: AtomicBool::new(false), state: Mutex::new(state), is_done: Notify::new() });
        Tasks { timers: Timers::of(&runtime), runtime, running }
    }

    /// Starts a task that nobody waits for.
    ///
    /// # Errors
    /// The cache is closed.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        self.start(future).map(drop)
    }

    /// Starts a task. If the runtime is gone the future is dropped instead, at once.
    ///
    /// # Errors
    /// The cache is closed.
    pub(crate) fn start<R: Send + 'static>(
        &self,
        future: impl Future<Output = R> + Send + 'static,
    ) -> Result<JoinHandle<R>, Error> {
        let id = {
            let mut state = self.running.state.lock();
            self.check_open()?;
            state.next += 1;
            let id = state.next;
            state.tasks.insert(id, None);
            id
        };
        let signed = Signed { running: Arc::clone(&self.running), id };
        // Not under the lock: a runtime that is gone drops the future here.
        let task = self.runtime.spawn(async move {
            let _signed = signed;
            future.await
        });
        let mut state = self.running.state.lock();
        let is_open = self.check_open().is_ok();
        if is_open && let Some(handle) = state.tasks.get_mut(&id) {
            *handle = Some(task.abort_handle());
        }
        drop(state);
        if !is_open {
            task.abort();
        }
        Ok(task)
    }

    /// Where they run.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The timers of that runtime.
    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Fails if the cache is closed.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.running.is_closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// Ends all tasks, and allows no more. Does not wait.
    pub(crate) fn abort(&self) {
        let mut handles = Vec::new();
        {
            let mut state = self.running.state.lock();
            self.running.is_closed.store(true, Ordering::Release);
            handles.extend(state.tasks.values_mut().filter_map(Option::take));
        }
        // An abort may drop the future here and now, and that signs it off.
        handles.iter().for_each(AbortHandle::abort);
    }

    /// The same, and returns when they have ended.
    pub(crate) async fn close(&self) {
        self.abort();
        loop {
            let mut done = std::pin::pin!(self.running.is_done.notified());
            done.as_mut().enable();
            if self.running.state.lock().tasks.is_empty() {
                return;
            }
            done.await;
        }
    }
}

impl Drop for Signed {
    fn drop(&mut self) {
        let is_last = {
            let mut state = self.running.state.lock();
            state.tasks.remove(&self.id);
            state.tasks.is_empty()
        };
        if is_last {
            self.running.is_done.notify_waiters();
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the cache is closed")
}
