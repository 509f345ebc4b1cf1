//! Timers that anybody may wait for: on a thread of no runtime or of another, and after their own runtime has shut down.
//!
//! Tokio's timers panic, in whoever polls them, once their runtime is gone. A cache may be asked still, and then nobody would ever
//! wake who waits. So a task that does nothing keeps watch: it is dropped with all other tasks, which is before the timers go, and
//! from then on every wait of here is over at once.
//!
//! **Invariant:** no wait of here panics in its caller or outlasts the runtime. (In the instant in which it shuts down a panic
//! of tokio's may be caught here, and its message be seen.)

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};

/// The timers of a runtime. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Timers {
    watched: Arc<Watched>,
}

#[derive(Debug)]
struct Watched {
    runtime: Handle,
    has_ended: Arc<AtomicBool>,
    watch: AbortHandle,
}

/// A timer that is set again and again, which costs less than a new one each time.
#[derive(Debug)]
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    has_ended: Arc<AtomicBool>,
}

impl Timers {
    /// Those of this runtime, whose timers must be enabled.
    pub(crate) fn of(runtime: &Handle) -> Timers {
        let has_ended = Arc::new(AtomicBool::new(false));
        let end = End(Arc::clone(&has_ended));
        // Where the runtime has ended already this is dropped here and now.
        let watch = runtime.spawn(async move {
            let _end = end;
            pending::<()>().await;
        });
        Timers { watched: Arc::new(Watched { runtime: runtime.clone(), has_ended, watch: watch.abort_handle() }) }
    }

    /// One that is still to be set.
    pub(crate) fn timer(&self) -> Timer {
        Timer { sleep: Box::pin(self.sleep(Duration::ZERO)), has_ended: Arc::clone(&self.watched.has_ended) }
    }

    /// What the work results in; `None` if it takes longer, or the runtime ends.
    pub(crate) async fn limit<F: Future>(&self, time: Duration, work: F) -> Option<F::Output> {
        let mut sleep = pin!(self.sleep(time));
        race(sleep.as_mut(), &self.watched.has_ended, pin!(work)).await
    }

    /// Waits so long, or until the runtime ends.
    pub(crate) async fn pause(&self, time: Duration) {
        let _ = self.limit(time, pending::<()>()).await;
    }

    /// Whether the runtime has shut down, so that nothing of it can be waited for.
    #[cfg(test)]
    pub(crate) fn have_ended(&self) -> bool {
        self.watched.has_ended.load(Ordering::Acquire)
    }

    fn sleep(&self, time: Duration) -> Sleep {
        let _runtime = self.watched.runtime.enter();
        tokio::time::sleep(time)
    }
}

impl Timer {
    /// What the work results in; `None` if it takes longer, or the runtime ends.
    #[inline]
    pub(crate) async fn limit<F: Future>(&mut self, time: Duration, work: Pin<&mut F>) -> Option<F::Output> {
        // To a later time, which is nearly always, that takes no lock.
        self.sleep.as_mut().reset(Instant::now() + time);
        race(self.sleep.as_mut(), &self.has_ended, work).await
    }
}

#[inline]
async fn race<F: Future>(
    mut sleep: Pin<&mut Sleep>,
    has_ended: &AtomicBool,
    mut work: Pin<&mut F>,
) -> Option<F::Output> {
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => is_over(sleep.as_mut(), has_ended, context).map(|()| None),
    })
    .await
}

#[inline]
fn is_over(sleep: Pin<&mut Sleep>, has_ended: &AtomicBool, context: &mut Context<'_>) -> Poll<()> {
    if has_ended.load(Ordering::Acquire) {
        return Poll::Ready(());
    }
    // It may end between the two.
    catch_unwind(AssertUnwindSafe(|| sleep.poll(context))).unwrap_or(Poll::Ready(()))
}

/// Says so when it is dropped.
struct End(Arc<AtomicBool>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

#[cfg(test)]
mod tests;
