//! What a command needs for its way: a handle of the connection, and a timer. Both are made once and used again.
//!
//! Each costs several writes to counters that all callers share when it is made anew, a tenth of all that a command costs. So whoever sends takes a [`Lane`] and puts it back, on the thread where it is: no
//! other thread's cache line is written. Since a lane carries one command at a time, the number of lanes is also the bulkhead's.
//!
//! **Invariants**
//! - There are at most as many lanes as commands may be on their way; the watcher's are apart.
//! - No lane of a session that has ended is kept: putting back looks whether it has under the lock under which
//!   [`Lanes::forget`], which comes after the end, takes lanes out.

use super::live::Live;
use super::trouble::Trouble;
use crate::threads;
use crate::timer::{Timer, Timers};
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a command needs for its way.
pub(super) struct Lane {
    pub(super) live: Arc<Live>,
    /// Of each master, as far as it was needed so far.
    connections: Vec<Option<MultiplexedConnection>>,
    timer: Timer,
}

/// Lanes that wait for commands.
#[derive(Debug)]
pub(super) struct Lanes {
    stripes: Box<[CachePadded<Mutex<Stripe>>]>,
    /// Waiting and taken.
    count: AtomicUsize,
    count_max: usize,
}

#[derive(Default)]
struct Stripe {
    idle: Vec<Lane>,
    /// How often one was taken here.
    taken: u64,
}

/// A lane that is taken; it goes back when this is dropped.
pub(super) struct Taken<'a> {
    /// Nothing once it is on its way back.
    lane: Option<Lane>,
    /// Nothing for the watcher's.
    lanes: Option<&'a Lanes>,
}

impl Lane {
    fn new(live: Arc<Live>, timers: &Timers) -> Lane {
        let connections = live.nodes.iter().map(|_| None).collect();
        Lane { live, connections, timer: timers.timer() }
    }

    /// The connection to a master, and the timer.
    pub(super) fn parts(&mut self, node: usize) -> (&mut MultiplexedConnection, &mut Timer) {
        let live = &self.live;
        let connection = self.connections[node].get_or_insert_with(|| live.nodes[node].connection.clone());
        (connection, &mut self.timer)
    }
}

impl Lanes {
    pub(super) fn new(count_max: usize) -> Lanes {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).next_power_of_two();
        Lanes { stripes: (0..threads).map(|_| CachePadded::default()).collect(), count: AtomicUsize::new(0), count_max }
    }

    /// A lane of the session that serves; `live` is asked for one if none is waiting.
    ///
    /// # Errors
    /// `Full`, or what `live` says.
    #[inline]
    pub(super) fn take(
        &self,
        timers: &Timers,
        live: impl FnOnce() -> Result<Arc<Live>, Trouble>,
    ) -> Result<Taken<'_>, Trouble> {
        let own = self.own();
        if let Some(lane) = own.lock().take() {
            return Ok(Taken { lane: Some(lane), lanes: Some(self) });
        }
        self.take_elsewhere(timers, live)
    }

    #[cold]
    fn take_elsewhere(
        &self,
        timers: &Timers,
        live: impl FnOnce() -> Result<Arc<Live>, Trouble>,
    ) -> Result<Taken<'_>, Trouble> {
        let live = live()?;
        let is_new = self
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < self.count_max).then_some(count + 1));
        let lane = match is_new {
            Ok(_) => Lane::new(live, timers),
            // All there may be are there: perhaps one waits at another thread.
            Err(_) => self.stripes.iter().find_map(|stripe| stripe.lock().take()).ok_or(Trouble::Full)?,
        };
        Ok(Taken { lane: Some(lane), lanes: Some(self) })
    }

    fn own(&self) -> &Mutex<Stripe> {
        &self.stripes[threads::index() & (self.stripes.len() - 1)]
    }

    /// Lets go what belongs to a session that has ended.
    pub(super) fn forget(&self) {
        for stripe in &self.stripes {
            let mut gone = Vec::new();
            {
                let mut stripe = stripe.lock();
                gone.extend(stripe.idle.extract_if(.., |lane| lane.live.has_ended()));
            }
            self.count.fetch_sub(gone.len(), Ordering::Relaxed);
        }
    }

    /// How many commands were sent so far.
    pub(super) fn taken(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.lock().taken).sum()
    }

    /// How many are on their way.
    pub(super) fn in_flight(&self) -> usize {
        let idle: usize = self.stripes.iter().map(|stripe| stripe.lock().idle.len()).sum();
        self.count.load(Ordering::Relaxed).saturating_sub(idle)
    }
}

impl Stripe {
    /// One that serves.
    #[inline]
    fn take(&mut self) -> Option<Lane> {
        // What does not serve now may again; nobody takes it meanwhile.
        self.idle.last().filter(|lane| lane.live.is_open())?;
        self.taken += 1;
        self.idle.pop()
    }
}

impl<'a> Taken<'a> {
    /// One for the watcher, whose commands are few and always sent.
    pub(super) fn apart(live: Arc<Live>, timers: &Timers) -> Taken<'a> {
        Taken { lane: Some(Lane::new(live, timers)), lanes: None }
    }
}

impl std::ops::Deref for Taken<'_> {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        self.lane.as_ref().expect("it is there until it is dropped")
    }
}

impl std::ops::DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Lane {
        self.lane.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let (Some(lane), Some(lanes)) = (self.lane.take(), self.lanes) else { return };
        let mut stripe = lanes.own().lock();
        if lane.live.has_ended() {
            drop(stripe);
            lanes.count.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        stripe.idle.push(lane);
    }
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stripe").field("idle", &self.idle.len()).finish_non_exhaustive()
    }
}
