//! How a thread waits for a future without becoming part of a runtime.
//!
//! Most calls are over with the first poll: a hit, an insert, a remove. It is made with a waker that does nothing, and enters no
//! runtime; timers that the load path sets, it sets in the cache's own. Only a load makes anybody wait, and then it matters
//! where: a thread that drives a runtime must not sleep on what that very runtime has to do.
//!
//! - No runtime around: the thread sleeps.
//! - A runtime of many threads: its other threads take over this one's work meanwhile (`block_in_place`).
//! - A runtime of one thread: either this is a thread of its pool, which may sleep, or it is the one that drives it, and
//!   then it would sleep for ever. Tokio does not tell which; so a task is started, and if it does not run, the thread that
//!   should run it is this one. That is a mistake of the caller, and an error.

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

/// The result of a future that waits for this process' own memory, and is over with the first poll then, or for a device: that
/// is done on threads of a pool, so it may be waited for on any thread.
#[inline]
pub(super) fn now_or_park<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => match Handle::try_current().map(|around| around.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| park(future)),
            // What it waits for is done on threads that this one does not drive.
            _ => park(future),
        },
    }
}

/// The result of a future that may wait for a load. One that is over with the first poll is let through anywhere.
///
/// # Errors
/// `Invalid`: this thread drives a runtime of one thread, and nothing would ever wake it.
#[inline]
pub(super) fn now_or_wait<F: Future>(future: F) -> Result<F::Output, Error> {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => wait(future),
    }
}

#[cold]
fn wait<F: Future>(future: Pin<&mut F>) -> Result<F::Output, Error> {
    let Ok(around) = Handle::try_current() else { return Ok(park(future)) };
    match around.runtime_flavor() {
        RuntimeFlavor::CurrentThread if is_driven_by_this_thread(&around) => Err(Error::new(
            ErrorKind::Invalid,
            "a blocking call from a task of a single-threaded runtime would stop that runtime: \
             await the calls of Cache, or use spawn_blocking",
        )),
        RuntimeFlavor::CurrentThread => Ok(park(future)),
        _ => Ok(tokio::task::block_in_place(|| park(future))),
    }
}

fn is_driven_by_this_thread(runtime: &Handle) -> bool {
    let (sign, signs) = mpsc::sync_channel(1);
    runtime.spawn(async move { sign.send(()) });
    // A runtime that has shut down drops the task, and with it the sender: nobody drives it.
    matches!(signs.recv_timeout(SIGN_OF_LIFE), Err(RecvTimeoutError::Timeout))
}

/// Sleeps between polls.
#[cold]
fn park<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let alarm = Arc::new(Alarm { sleeper: thread::current(), is_ringing: AtomicBool::new(false) });
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

struct Alarm {
    sleeper: Thread,
    is_ringing: AtomicBool,
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
