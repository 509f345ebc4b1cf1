//! What a thread does every 100 ms: active expiry, idle clients, deadlines, gauges, rates.

use super::turn::Thread;
use crate::clock::Clock;
use crate::log::Level;
use crate::stats;
use crate::tracking;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(100);
/// Ticks between two looks at every connection.
const TICKS_PER_SWEEP: u32 = 10;
/// Entries looked at before the time is checked again.
const EXPIRE_ENTRIES: usize = 200;
/// Stretches of memory gathered into huge pages per tick: 20 MiB a second and thread, each a copy of some 0.3 ms.
const GATHERED_PER_TICK: usize = 1;
/// How long a tick expires while it finds much, at the least `active-expire-effort`, and how much longer per step of it.
const EXPIRE_MAX: Duration = Duration::from_millis(10);
const EXPIRE_PER_EFFORT: Duration = Duration::from_millis(2);

/// When the next tick is due.
pub(super) struct Ticks {
    next: Instant,
    count: u32,
}

impl Ticks {
    pub(super) fn new(clock: &Clock) -> Ticks {
        Ticks { next: clock.instant() + TICK, count: 0 }
    }
}

impl Thread {
    /// How long the poll may wait: until the next tick or the next deadline.
    pub(super) fn timeout(&self) -> Duration {
        let until_tick = self.ticks.next.saturating_duration_since(self.now);
        let deadline = |place: &usize| {
            let connection = self.connections.get(*place)?.as_ref()?;
            connection.client.parked.as_ref()?.deadline_ms
        };
        match self.parked.iter().filter_map(deadline).min() {
            Some(deadline_ms) => {
                until_tick.min(Duration::from_millis(deadline_ms.saturating_sub(self.shared.clock.now_ms())))
            }
            None => until_tick,
        }
    }

    /// Ends waits whose time is over; does what is due when a tick is.
    pub(super) fn tick(&mut self) {
        if !self.parked.is_empty() {
            self.end_waits();
        }
        let now = self.now;
        if now < self.ticks.next {
            return;
        }
        self.ticks.next = now + TICK;
        self.ticks.count = self.ticks.count.wrapping_add(1);
        self.expire(now);
        self.shared.keyspace.gather_some(self.worker.slot, self.slots(), GATHERED_PER_TICK);
        if self.shared.tracking.is_on() {
            tracking::after_tick(&self.shared, self.worker.slot);
        }
        if self.ticks.count % TICKS_PER_SWEEP == 1 {
            self.sweep();
        }
        if self.worker.slot == 0 {
            self.give_back();
            let workers = &self.shared.workers;
            let commands = stats::sum(workers, |worker| &worker.commands);
            let input = stats::sum(workers, |worker| &worker.input_bytes);
            let output = stats::sum(workers, |worker| &worker.output_bytes);
            self.shared.vitals.note_used(self.shared.memory_used() as u64);
            self.shared.rates.sample(self.now_ms, [commands, input, output]);
        }
        self.gauge();
    }

    fn end_waits(&mut self) {
        for place in std::mem::take(&mut self.parked) {
            let Some(Some(connection)) = self.connections.get_mut(place) else { continue };
            let Some(parked) = &connection.client.parked else {
                self.enqueue(place);
                continue;
            };
            if parked.deadline_ms.is_none_or(|deadline_ms| deadline_ms > self.now_ms) {
                self.parked.push(place);
                continue;
            }
            if parked.is_paused {
                connection.client.parked = None;
            } else if connection.client.handle.end_wait() {
                connection.answer(&mut self.buffers, |timeout_reply| timeout_reply);
            } else {
                // CLIENT UNBLOCK was first: its notice is on the way.
                self.parked.push(place);
                continue;
            }
            self.enqueue(place);
        }
    }

    /// Runs what CLIENT PAUSE held back; what is still held back parks again.
    pub(super) fn release_held_back(&mut self) {
        for place in self.parked.clone() {
            if let Some(Some(connection)) = self.connections.get_mut(place)
                && connection.client.parked.take_if(|parked| parked.is_paused).is_some()
            {
                self.parked.retain(|parked| *parked != place);
                self.enqueue(place);
            }
        }
    }

    /// Has the pages of large values that went given back, on a thread of its own: that takes 0.6 ms for each MiB.
    fn give_back(&self) {
        if self.shared.keyspace.is_worth_giving_back() {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("give-back".into());
            if let Err(error) = thread.spawn(move || shared.keyspace.give_back()) {
                self.shared.log(Level::Warning, format_args!("no thread to give memory back: {error}"));
            }
        }
    }

    /// Number of threads that share the keyspace's stripes among them.
    fn slots(&self) -> u32 {
        u32::try_from(self.shared.workers.len()).unwrap_or(1)
    }

    /// Removes keys whose time is over: more while many of those looked at were.
    fn expire(&mut self, start: Instant) {
        let is_off = !self.shared.is_active_expire_on.load(Ordering::Relaxed);
        if is_off || self.shared.pause.is_active(self.now_ms) {
            return;
        }
        let slots = self.slots();
        let effort = u32::try_from(self.shared.config.active_expire_effort()).unwrap_or(1);
        let most = EXPIRE_MAX + EXPIRE_PER_EFFORT * effort.saturating_sub(1);
        loop {
            let (seen, removed) =
                self.shared.keyspace.expire_some(self.worker.slot, slots, self.now_ms, EXPIRE_ENTRIES);
            if removed * 4 < seen.max(1) {
                return;
            }
            if self.shared.clock.instant() - start > most {
                return self.worker.stats.expire_time_cap_reached.add(1);
            }
        }
    }

    /// Looks at every connection: idle ones are closed, and so are those that stay above the soft output limit.
    fn sweep(&mut self) {
        let idle_ms = self.shared.idle_timeout_ms();
        for place in 0..self.connections.len() {
            let Some(Some(connection)) = self.connections.get_mut(place) else { continue };
            let last_ms = connection.client.handle.last_active_ms.load(Ordering::Relaxed);
            let is_idle = idle_ms != 0
                && self.now_ms.saturating_sub(last_ms) > idle_ms
                && connection.client.parked.is_none()
                && !self.shared.monitors.has(connection.client.id);
            let has_too_much_unsent = connection.output.breaks(self.output_limit, self.now_ms);
            if has_too_much_unsent {
                self.note_output_limit(place);
            }
            if is_idle || has_too_much_unsent {
                self.close(place);
            }
        }
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.look_again();
        }
    }

    /// Publishes how much the buffers take.
    fn gauge(&mut self) {
        let mut bytes = self.buffers.len_bytes();
        for connection in self.connections.iter().flatten() {
            bytes += connection.input.capacity() + connection.output.capacity();
            bytes += connection.client.transaction.as_ref().map_or(0, |open| open.cost);
        }
        self.worker.stats.buffer_bytes.set(bytes as u64);
    }
}
