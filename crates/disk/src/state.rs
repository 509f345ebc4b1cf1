//! How a store is doing, in words that an operator understands.

use crate::clock;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What a store can do for its callers now.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything that it is for.
    Serving,
    /// It works with less than it was given: the message says what is missing.
    Degraded(String),
    /// Writing fails, and is tried again: what is there is served, what is put waits in memory or is dropped.
    Failing(String),
    /// The device has not answered for a while.
    Stalled(String),
    /// The store was closed.
    Closed,
}

/// What goes wrong, as the writer sees it.
#[derive(Debug)]
pub(crate) struct Troubles {
    known: Mutex<Known>,
    /// Since when the device has owed an answer, in monotonic nanoseconds; 0 if it owes none.
    asked_at: AtomicU64,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    failing: Option<String>,
    degraded: Option<String>,
}

impl Troubles {
    pub(crate) fn new() -> Troubles {
        Troubles { known: Mutex::default(), asked_at: AtomicU64::new(0), is_closed: AtomicBool::new(false) }
    }

    /// Does something with the device that may take long; how long is seen by [`read`](Troubles::read).
    pub(crate) fn ask_device<R>(&self, act: impl FnOnce() -> R) -> R {
        let now = u64::try_from(clock::monotonic().as_nanos()).unwrap_or(u64::MAX);
        self.asked_at.store(now, Ordering::Relaxed);
        let result = act();
        self.asked_at.store(0, Ordering::Relaxed);
        result
    }

    /// Writing fails.
    pub(crate) fn fail(&self, message: String) {
        let mut known = self.known.lock();
        if known.failing.is_none() {
            tracing::warn!(message, "the disk store cannot write, and tries again");
        }
        known.failing = Some(message);
    }

    /// Writing works again.
    pub(crate) fn recover(&self) {
        if self.known.lock().failing.take().is_some() {
            tracing::info!("the disk store writes again");
        }
    }

    /// Something is missing for longer; `None` when it is no more.
    pub(crate) fn degrade(&self, message: Option<String>) {
        let mut known = self.known.lock();
        if let Some(message) = &message
            && known.degraded.as_ref() != Some(message)
        {
            tracing::warn!(message, "the disk store works with less");
        }
        known.degraded = message;
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Whether writing fails now.
    pub(crate) fn is_failing(&self) -> bool {
        self.known.lock().failing.is_some()
    }

    /// For how long the device has owed an answer.
    pub(crate) fn waiting_for(&self) -> Duration {
        let asked_at = self.asked_at.load(Ordering::Relaxed);
        if asked_at == 0 { Duration::ZERO } else { clock::monotonic().saturating_sub(Duration::from_nanos(asked_at)) }
    }

    /// All of it in one word.
    pub(crate) fn read(&self, stall_after: Duration) -> State {
        if self.is_closed() {
            return State::Closed;
        }
        let known = self.known.lock();
        let waiting = self.waiting_for();
        if waiting >= stall_after {
            return State::Stalled(format!("the device has not answered for {} s", waiting.as_secs()));
        }
        match (&known.failing, &known.degraded) {
            (Some(message), _) => State::Failing(message.clone()),
            (None, Some(message)) => State::Degraded(message.clone()),
            (None, None) => State::Serving,
        }
    }
}
