//! How a thread waits for a future without becoming part of a runtime.
//!
//! Most calls are over with the first poll: a hit, an insert, a remove. It is made with a waker that does nothing, and enters no
//! runtime; timers that the load path sets, it sets in the cache's own. Only a load makes anybody wait, or a server, and then it
//! matters where: a thread that drives a runtime must not sleep on what that very runtime has to do.
//!
//! - No runtime around: the thread sleeps.
//! - A runtime of many threads: its other threads take over this one's work meanwhile (`block_in_place`).
//! - A runtime of one thread: either this is a thread of its pool, which may sleep, or it is the one that drives it, and
//!   then it would sleep for ever. Tokio does not tell which; so a task is started, and if it does not run, the thread that
//!   should run it is this one. That is a mistake of the caller, and an error.
//! - Wherever it sleeps, the runtime that it waits for is the cache's. If that has one thread it is asked for the same sign of life
//!   again and again: perhaps nobody drives it.

use crate::error::{Error, ErrorKind};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};

/// How long a runtime of one thread has to show that another thread drives it.
const SIGN_OF_LIFE: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(1) };
/// The same, where a load runs there that may keep its thread.
const SIGN_OF_LIFE_OF_A_LOAD: Duration = if cfg!(test) { Duration::from_secs(1) } else { Duration::from_secs(10) };

/// The result of a future that waits for this process' own memory, and is over with the first poll then, or for a device: that
/// is done on threads of a pool, so it may be waited for on any thread.
#[inline]
pub(super) fn now_or_park<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => aside(future),
    }
}

#[cold]
fn aside<F: Future>(future: Pin<&mut F>) -> F::Output {
    match Handle::try_current().map(|around| around.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| park(future)),
        // What it waits for is done on threads that this one does not drive.
        _ => park(future),
    }
}

/// The result of a future that may wait for a server, which the cache's runtime hears: `runtime`, if there is a server.
///
/// # Errors
/// `Invalid`: that runtime has one thread only, and it does not run: it is this one, or there is none.
#[inline]
pub(super) fn now_or_hear<'a, F: Future>(
    future: F,
    runtime: impl FnOnce() -> Option<&'a Handle>,
) -> Result<F::Output, Error> {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => match runtime() {
            Some(runtime) if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread => hear(future, runtime),
            _ => Ok(aside(future)),
        },
    }
}

#[cold]
fn hear<F: Future>(future: Pin<&mut F>, runtime: &Handle) -> Result<F::Output, Error> {
    match Handle::try_current().map(|around| (around.runtime_flavor(), around.id() == runtime.id())) {
        Ok((RuntimeFlavor::MultiThread, _)) => {
            tokio::task::block_in_place(|| park_while_driven(future, runtime, SIGN_OF_LIFE))
        }
        Ok((_, true)) if !shows_life(runtime, SIGN_OF_LIFE) => Err(stopped()),
        _ => park_while_driven(future, runtime, SIGN_OF_LIFE),
    }
}

/// The result of a future that may wait for a load, which runs on `runtime`. One that is over with the first poll is let through
/// anywhere.
///
/// # Errors
/// `Invalid` on a thread that drives a single-threaded runtime, and where the load's own is one that nobody drives.
#[inline]
pub(super) fn now_or_wait<F: Future>(future: F, runtime: &Handle) -> Result<F::Output, Error> {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => wait(future, runtime),
    }
}

#[cold]
fn wait<F: Future>(future: Pin<&mut F>, runtime: &Handle) -> Result<F::Output, Error> {
    let park = || park_while_driven(future, runtime, SIGN_OF_LIFE_OF_A_LOAD);
    let Ok(around) = Handle::try_current() else { return park() };
    match around.runtime_flavor() {
        RuntimeFlavor::CurrentThread if !shows_life(&around, SIGN_OF_LIFE) => Err(stopped()),
        RuntimeFlavor::CurrentThread => park(),
        _ => tokio::task::block_in_place(park),
    }
}

fn stopped() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "a blocking call from a task of a single-threaded runtime would stop that runtime: \
         await the calls of Cache, or use spawn_blocking",
    )
}

fn not_driven() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "no thread drives the single-threaded runtime of the cache, which a blocking call waits for: \
         build the cache with build_blocking, or on a runtime of several threads",
    )
}

/// Whether another thread than this one drives a single-threaded runtime, or it has ended.
fn shows_life(runtime: &Handle, within: Duration) -> bool {
    let (sign, signs) = mpsc::sync_channel(1);
    runtime.spawn(async move { sign.send(()) });
    // Disconnected: it is shutting down, and what ran on it is dropped, which wakes whoever waits for that.
    signs.recv_timeout(within) != Err(RecvTimeoutError::Timeout)
}

/// Sleeps between polls.
#[cold]
fn park<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let alarm = Alarm::of_this_thread();
    let waker = Waker::from(Arc::clone(&alarm));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        // What the future runs may park this thread for reasons of its own, and take a wake-up that was ours.
        while !alarm.is_ringing.swap(false, Ordering::AcqRel) {
            thread::park();
        }
    }
}

/// Sleeps between polls, as long as a single-threaded runtime shows that a thread drives it.
///
/// # Errors
/// `Invalid`: none does.
fn park_while_driven<F: Future>(
    mut future: Pin<&mut F>,
    runtime: &Handle,
    within: Duration,
) -> Result<F::Output, Error> {
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
        return Ok(park(future));
    }
    let alarm = Alarm::of_this_thread();
    let waker = Waker::from(Arc::clone(&alarm));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(output);
        }
        while !alarm.is_ringing.swap(false, Ordering::AcqRel) {
            // Nearly always it is over before one has to ask.
            thread::park_timeout(SIGN_OF_LIFE);
            let is_ringing = || alarm.is_ringing.load(Ordering::Acquire);
            if !is_ringing() && !shows_life(runtime, within) && !is_ringing() {
                return Err(not_driven());
            }
        }
    }
}

struct Alarm {
    sleeper: Thread,
    is_ringing: AtomicBool,
}

impl Alarm {
    fn of_this_thread() -> Arc<Alarm> {
        Arc::new(Alarm { sleeper: thread::current(), is_ringing: AtomicBool::new(false) })
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Alarm>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Alarm>) {
        self.is_ringing.store(true, Ordering::Release);
        self.sleeper.unpark();
    }
}

#[cfg(test)]
mod tests;
