//! One flight: who waits for a load, and what it ended with.
//!
//! Its primitives come from the parent module, so that the tests can run it under a scheduler that tries the orders of events.

use super::sync::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Callers that may wait for one load. One more is refused: a queue without an end is no help to anybody.
pub(crate) const WAITERS_MAX: usize = 100_000;

/// When a load began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The cache's sequence then: what was invalidated since is newer than the load.
    pub(crate) born: u64,
    /// By the cache's clock.
    pub(crate) at_ms: u64,
}

/// What a flight ended with.
#[derive(Debug)]
pub(crate) enum Landing<T> {
    /// The result of the load.
    Done(T),
    /// The load was dropped before it had one: its runtime shut down, or it panicked outside of the loader.
    Abandoned {
        /// Which of the two.
        is_panic: bool,
    },
}

pub(super) struct Flight<T> {
    pub(super) begun: Begun,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Set once.
    landing: Option<Arc<Landing<T>>>,
    /// A seat per waiter, empty until it has been polled.
    seats: Vec<Option<Waker>>,
    /// Seats that were given back.
    free: Vec<usize>,
}

impl<T> Flight<T> {
    pub(super) fn new(begun: Begun) -> Flight<T> {
        Flight { begun, state: Mutex::new(State { landing: None, seats: Vec::new(), free: Vec::new() }) }
    }

    /// A seat, if there is one left.
    pub(super) fn board(self: &Arc<Flight<T>>) -> Option<Waiter<T>> {
        let mut state = self.state.lock();
        let seat = match state.free.pop() {
            Some(seat) => seat,
            None if state.seats.len() >= WAITERS_MAX => return None,
            None => {
                state.seats.push(None);
                state.seats.len() - 1
            }
        };
        drop(state);
        Some(Waiter { flight: Arc::clone(self), seat })
    }

    /// Tells everyone. Called once: by the lease.
    pub(super) fn land(&self, landing: Landing<T>) {
        let landing = Arc::new(landing);
        let mut state = self.state.lock();
        state.landing = Some(landing);
        let seats = std::mem::take(&mut state.seats);
        state.free = Vec::new();
        drop(state);
        for waker in seats.into_iter().flatten() {
            waker.wake();
        }
    }
}

/// A place in a flight: a future of what it ends with. Dropping it leaves the flight to the others.
pub(crate) struct Waiter<T> {
    flight: Arc<Flight<T>>,
    seat: usize,
}

impl<T> Waiter<T> {
    /// When the load began for which it waits.
    pub(crate) fn begun(&self) -> Begun {
        self.flight.begun
    }
}

impl<T> Future for Waiter<T> {
    type Output = Arc<Landing<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Arc<Landing<T>>> {
        let mut state = self.flight.state.lock();
        if let Some(landing) = &state.landing {
            return Poll::Ready(Arc::clone(landing));
        }
        // The waker that goes may drop a task of its own: not under the lock.
        let seat = &mut state.seats[self.seat];
        let is_there = seat.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        let left = if is_there { None } else { seat.replace(context.waker().clone()) };
        drop(state);
        drop(left);
        Poll::Pending
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        let mut state = self.flight.state.lock();
        if state.landing.is_some() {
            return;
        }
        let left = state.seats[self.seat].take();
        state.free.push(self.seat);
        drop(state);
        drop(left);
    }
}
