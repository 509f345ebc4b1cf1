//! The task that keeps a link connected: session after session, with a pause between them that grows.
//!
//! A session is: connect, tell the watcher, serve, and ask every second whether all is well. It ends when a connection does, when the
//! server does not answer or is a replica by now, when the masters of a cluster are others, or when the link is closed. While the breaker is open the session
//! goes on, but serves the watcher alone; when its while is over the next answer in time closes it.
//!
//! A session runs in a task of its own, so that a panic in it (a watcher's bug) is a reason like others.
//!
//! **Invariants**
//! - A watcher to which `connected` was said is told `lost`, however the session ends: by itself, by a panic, or with its runtime.
//! - When the runtime ends the link says so ([`Tending`]), before the runtime's timers are gone.

use super::backoff::Backoff;
use super::breaker::FAILURES_MAX;
use super::connect::{connect, ping, topology};
use super::live::{AbortOnDrop, Live};
use super::signals::Signals;
use super::{Inner, Link, LinkState, Trouble, Watcher, one};
use futures_util::future::try_join_all;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often one asks whether all is well.
const BEAT: Duration = Duration::from_secs(1);
/// How long the answer may take; longer if commands may.
const BEAT_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// How long a watcher may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
/// How long it may take to connect in all, in times of one connection.
const CONNECT_FACTOR: u32 = 4;

/// Connects, again and again, until the link is closed or forgotten.
pub(super) async fn tend(tending: Tending, watcher: Weak<dyn Watcher>) {
    let inner = &tending.0;
    let mut closed = inner.closing.subscribe();
    let mut log = Log::default();
    let mut backoff = Backoff::default();
    loop {
        let session = inner.runtime.spawn(session(Arc::clone(inner), Weak::clone(&watcher), log, backoff));
        let _running = AbortOnDrop(session.abort_handle());
        let ended = tokio::select! {
            ended = session => ended,
            _ = closed.wait_for(|is_closed| *is_closed) => break,
        };
        let why;
        (why, log, backoff) = match ended {
            Ok(Some(Ended { why, log, backoff })) => (why, log, backoff),
            // Nobody watches any more.
            Ok(None) => break,
            Err(_) => ("the task of the connection has panicked".into(), Log::default(), Backoff::default()),
        };
        inner.let_go();
        let pause_ms = if log.has_served { backoff.little_ms() } else { backoff.next_ms() };
        inner.gone(&why, pause_ms, &mut log);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
            _ = closed.wait_for(|is_closed| *is_closed) => break,
        }
    }
    inner.closed();
}

/// Made before the task that tends the link, and dropped with it, also if that never ran: nothing more comes of the link then.
pub(super) struct Tending(pub(super) Arc<Inner>);

impl Drop for Tending {
    fn drop(&mut self) {
        let inner = &self.0;
        inner.let_go();
        let since_ms = inner.clock.now_ms();
        let why = "the runtime of the cache has shut down".into();
        inner.set_state(LinkState::Away { why, since_ms, retry_at_ms: since_ms });
    }
}

/// How a session ended.
struct Ended {
    why: Arc<str>,
    log: Log,
    backoff: Backoff,
}

/// What was said last, so that nothing is said twice.
#[derive(Debug, Default)]
struct Log {
    why: Option<Arc<str>>,
    /// Whether the last session came as far as to serve.
    has_served: bool,
}

/// `None` if nobody watches any more.
async fn session(inner: Arc<Inner>, watcher: Weak<dyn Watcher>, mut log: Log, mut backoff: Backoff) -> Option<Ended> {
    log.has_served = false;
    let signals = Arc::new(Signals::new());
    let connected = inner.in_time(CONNECT_FACTOR * inner.remote.connect_timeout, connect(&inner, &signals)).await;
    let live = match connected {
        Ok(live) => Arc::new(live),
        Err(trouble) => {
            one(&inner.counters.connect_failed);
            let why = match trouble {
                Trouble::TimedOut => format!("{} does not answer", inner.addresses[0].shown).into(),
                trouble => trouble.to_string().into(),
            };
            return Some(Ended { why, log, backoff });
        }
    };
    one(&inner.counters.connected);
    inner.live.store(Some(Arc::clone(&live)));
    let watcher = watcher.upgrade()?;
    let mut hearing = Hearing { watcher, live: Arc::clone(&live), why: "the session was ended".into() };
    let link = Link::of_watcher(Arc::clone(&inner));
    let since_ms = inner.clock.now_ms();
    hearing.why = {
        let mut running = Session {
            inner: &inner,
            link: &link,
            live: &live,
            watcher: &*hearing.watcher,
            backoff: &mut backoff,
            log: &mut log,
        };
        let mut serving = pin!(running.serve());
        tokio::select! {
            why = &mut serving => why.to_string().into(),
            why = signals.broken() => why,
            never = signals.pass_on_all(&*hearing.watcher) => match never {},
        }
    };
    let why = Arc::clone(&hearing.why);
    drop(hearing);
    backoff.served(inner.clock.now_ms().saturating_sub(since_ms));
    Some(Ended { why, log, backoff })
}

/// A watcher that hears of changes, until this is dropped: then it is told that it does not any more.
struct Hearing {
    watcher: Arc<dyn Watcher>,
    live: Arc<Live>,
    why: Arc<str>,
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.live.set_open(false);
        // A watcher that panics may be why we are here, and a second panic would be the process' end.
        let quietly = |tell: &dyn Fn()| drop(catch_unwind(AssertUnwindSafe(tell)));
        // What was still heard counts, as long as what is above may serve.
        quietly(&|| self.live.signals.pass_on(&*self.watcher));
        quietly(&|| self.watcher.lost(&self.why));
    }
}

struct Session<'a> {
    inner: &'a Arc<Inner>,
    link: &'a Link,
    live: &'a Live,
    watcher: &'a dyn Watcher,
    backoff: &'a mut Backoff,
    log: &'a mut Log,
}

impl Session<'_> {
    /// Serves until something is wrong, which is returned.
    async fn serve(&mut self) -> Trouble {
        if let Err(trouble) = self.catch_up().await {
            return trouble;
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = self.live.signals.opened.notified() => {
                    if let Err(trouble) = self.leave_alone().await {
                        return trouble;
                    }
                }
            }
            if let Err(trouble) = self.beat().await {
                return trouble;
            }
        }
    }

    /// The watcher catches up; then the link serves.
    async fn catch_up(&mut self) -> Result<(), Trouble> {
        self.inner.in_time(CATCH_UP_MAX, self.watcher.connected(self.link)).await?;
        self.live.set_open(true);
        self.log.has_served = true;
        self.inner.serves(self.live, self.log);
        Ok(())
    }

    /// The breaker is open: commands are not sent for a while. News go on, and so do the questions whether all is well.
    async fn leave_alone(&mut self) -> Result<(), Trouble> {
        let why: Arc<str> = format!("{FAILURES_MAX} commands in a row failed").into();
        loop {
            let pause_ms = self.backoff.next_ms();
            self.inner.gone(&why, pause_ms, self.log);
            let mut left = Duration::from_millis(pause_ms);
            while !left.is_zero() {
                let step = left.min(BEAT);
                tokio::time::sleep(step).await;
                left = left.saturating_sub(step);
                self.beat().await?;
            }
            // Whether it was answered in the time that callers have is another question.
            let probe =
                self.inner.in_time(self.inner.remote.command_timeout, ping(&self.live.nodes[0], self.live.has_hello));
            if probe.await.is_ok() {
                return self.catch_up().await;
            }
        }
    }

    /// Asks whether all is well.
    async fn beat(&self) -> Result<(), Trouble> {
        let time = self.inner.remote.command_timeout.max(BEAT_TIMEOUT_MIN);
        let all = async {
            try_join_all(self.live.nodes.iter().map(|node| ping(node, self.live.has_hello))).await?;
            self.check_topology().await?;
            self.watcher.heartbeat(self.link).await
        };
        self.inner.in_time(time, all).await
    }

    /// Whether the masters of the cluster are those that one is connected to.
    async fn check_topology(&self) -> Result<(), Trouble> {
        let Some(slots) = &self.live.slots else { return Ok(()) };
        let nodes = &self.live.nodes;
        // Another one each time: one that is cut off would not know.
        let turn = usize::try_from(self.inner.clock.now_ms() / 1_000).unwrap_or(0) % nodes.len();
        let seen = topology(self.inner, &nodes[turn].connection).await?;
        let seed = &nodes[turn].address;
        let is_known = seen.masters.len() == nodes.len()
            && seen.masters.iter().all(|(host, port)| nodes.iter().any(|node| node.address.is(seed, host, *port)));
        if !is_known {
            return Err(Trouble::Away("the masters of the cluster have changed".into()));
        }
        slots.update(&seen);
        Ok(())
    }
}

impl Inner {
    /// Commands are not sent any more, or not yet.
    fn gone(&self, why: &Arc<str>, pause_ms: u64, log: &mut Log) {
        let now_ms = self.clock.now_ms();
        let retry_at_ms = now_ms + pause_ms;
        let state = match &**self.state.load() {
            LinkState::Connecting { .. } => LinkState::Connecting { why: Some(Arc::clone(why)) },
            LinkState::Serving { .. } => LinkState::Away { why: Arc::clone(why), since_ms: now_ms, retry_at_ms },
            LinkState::Away { since_ms, .. } => {
                LinkState::Away { why: Arc::clone(why), since_ms: *since_ms, retry_at_ms }
            }
            LinkState::Closed => return,
        };
        self.set_state(state);
        if log.why.as_ref() != Some(why) {
            tracing::warn!(cache = &*self.cache, why = &**why, "the remote tier is away");
            log.why = Some(Arc::clone(why));
        }
    }

    fn serves(&self, live: &Live, log: &mut Log) {
        log.why = None;
        self.set_state(LinkState::Serving { coherence: live.news.clone() });
        tracing::info!(cache = &*self.cache, masters = live.nodes.len(), news = ?live.news, "the remote tier serves");
    }

    /// Closed is the end.
    fn set_state(&self, state: LinkState) {
        let state = Arc::new(state);
        self.state.rcu(|now| match &**now {
            LinkState::Closed => Arc::clone(now),
            _ => Arc::clone(&state),
        });
    }

    fn closed(&self) {
        self.state.store(Arc::new(LinkState::Closed));
        self.let_go();
    }
}
