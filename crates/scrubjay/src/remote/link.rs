//! The server behind one configuration: commands go to it, news of changes come from it, while connections come and go.
//!
//! A [`Link`] connects behind and connects again, so it is there before its server is. It says in [`LinkState`] how things are, and
//! tells a [`Watcher`] what it hears. A command is sent at once or not at all, and is answered within its limit: the tier above
//! never waits for what is away.
//!
//! ```text
//!  tend       session after session, a growing pause between them (backoff)
//!   connect   address, greeting, tracking or pub/sub   -> live: nodes, slots of a cluster
//!   signals   what connections say                      -> watcher
//!  run        in flight < max?  breaker closed?  -> live -> node -> connection
//!              answer, trouble, or no answer in time    -> breaker, retry under a budget
//! ```
//!
//! **Invariants**
//! - Nobody's commands but the watcher's are sent before it has caught up with what was missed, nor after news have stopped.
//! - Whatever says something about the server counts for the breaker, what concerns a key does not.
//! - All tasks end with the link: when it is closed, or when the last handle of it is dropped.
//!
//! It knows nothing of caches, entries and leases: keys and scripts are bytes to it.

mod address;
mod backoff;
mod breaker;
mod budget;
mod connect;
mod counters;
mod lanes;
mod live;
mod pipeline;
mod script;
mod signals;
mod slots;
mod tend;
#[cfg(test)]
mod tests;
mod transaction;
mod trouble;
mod watcher;

use crate::clock::Clock;
use crate::error::Error;
use crate::remote::Remote;
use crate::timer::Timers;
use arc_swap::{ArcSwap, ArcSwapOption};
use backoff::Backoff;
use budget::Budget;
use counters::{Counters, one};
use lanes::{Lanes, Taken};
use live::Live;
use redis::{Cmd, Value};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

pub(crate) use counters::LinkStats;
pub(crate) use script::{Script, ScriptCall};
#[allow(unused_imports, reason = "servers without scripts need it")]
pub(crate) use transaction::Step;
pub(crate) use trouble::Trouble;
pub(crate) use watcher::Watcher;

/// A millisecond more for so many bytes that are sent: 16 MB a second is slow.
const BYTES_PER_MS: usize = 16 << 10;
/// How long one waits at most before a command is tried again.
const RETRY_PAUSE_MAX_MS: u64 = 20;

/// The server behind one configuration. Clones are the same link; it ends when all of them are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    inner: Arc<Inner>,
    /// Not of the watcher, whose commands are sent while nobody else's are.
    owner: Option<Arc<Owner>>,
}

/// What a link needs to know.
#[derive(Debug)]
pub(crate) struct LinkSetup {
    pub(crate) remote: Remote,
    /// The cache's name, for logs.
    pub(crate) cache: Arc<str>,
    pub(crate) clock: Clock,
    pub(crate) runtime: Handle,
    /// What the keys begin with whose changes are news. They do not overlap.
    pub(crate) prefixes: Vec<Vec<u8>>,
    /// Where changes are published if the server does not track them.
    pub(crate) channel: Vec<u8>,
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// It has not been reached yet.
    Connecting { why: Option<Arc<str>> },
    /// Commands are sent.
    Serving { coherence: News },
    /// It was reached once, and is left alone now. Times are the clock's.
    Away { why: Arc<str>, since_ms: u64, retry_at_ms: u64 },
    /// This side has ended it.
    Closed,
}

/// How news of changes come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Tracking,
    /// Why the server does not track, if that was asked for.
    PubSub(Option<Arc<str>>),
    None,
}

/// A master of the server, for commands that are about one of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Master {
    shown: Arc<str>,
}

#[derive(Debug)]
struct Inner {
    remote: Remote,
    cache: Arc<str>,
    clock: Clock,
    runtime: Handle,
    timers: Timers,
    prefixes: Vec<Vec<u8>>,
    channel: Vec<u8>,
    addresses: Vec<address::Address>,
    live: ArcSwapOption<Live>,
    state: ArcSwap<LinkState>,
    lanes: Lanes,
    counters: Counters,
    budget: Budget,
    closing: watch::Sender<bool>,
}

/// Ends the link when nobody has it any more.
struct Owner {
    inner: Arc<Inner>,
    /// The tasks have it weakly, since it may have the link.
    _watcher: Arc<dyn Watcher>,
}

impl Link {
    /// Begins to connect. Of the server nothing is known yet when this returns.
    ///
    /// # Errors
    /// `Invalid`: a setting is out of its limits, an address or a certificate is none, or the runtime has no I/O.
    pub(crate) fn start(setup: LinkSetup, watcher: Arc<dyn Watcher>) -> Result<Link, Error> {
        setup.remote.validate()?;
        let addresses = address::read(&setup.remote)?;
        connect::check_io(&setup.runtime)?;
        let inner = Arc::new(Inner {
            lanes: Lanes::new(setup.remote.in_flight_max),
            remote: setup.remote,
            cache: setup.cache,
            clock: setup.clock,
            timers: Timers::of(&setup.runtime),
            runtime: setup.runtime,
            prefixes: setup.prefixes,
            channel: setup.channel,
            addresses,
            live: ArcSwapOption::empty(),
            state: ArcSwap::from_pointee(LinkState::Connecting { why: None }),
            counters: Counters::default(),
            budget: Budget::new(),
            closing: watch::Sender::new(false),
        });
        inner.runtime.spawn(tend::tend(tend::Tending(Arc::clone(&inner)), Arc::downgrade(&watcher)));
        let owner = Arc::new(Owner { inner: Arc::clone(&inner), _watcher: watcher });
        Ok(Link { inner, owner: Some(owner) })
    }

    fn of_watcher(inner: Arc<Inner>) -> Link {
        Link { inner, owner: None }
    }

    /// Sends a command.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn run(&self, command: Cmd) -> Result<Value, Trouble> {
        self.send_one(&command).await
    }

    /// The same for a command that does no harm if it is done twice: it is tried again, once, where that may help, and as long as
    /// that is not too many commands in all.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn run_idempotent(&self, command: Cmd) -> Result<Value, Trouble> {
        match self.send_one(&command).await {
            Err(trouble) if trouble.is_retryable() => Box::pin(self.retry(trouble, command)).await,
            answer => answer,
        }
    }

    /// Runs a script.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn script(
        &self,
        script: &'static Script,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> Result<Value, Trouble> {
        let ScriptCall { command, .. } = ScriptCall::new(script, keys, args);
        match self.send_one(&command).await {
            answer if pipeline::is_unknown(&answer) => {
                let with_text = script.with_text(&command);
                Box::pin(self.send_one(&with_text)).await
            }
            Err(trouble) if trouble.is_retryable() && script.is_idempotent => {
                Box::pin(self.retry(trouble, command)).await
            }
            answer => answer,
        }
    }

    /// Whether the server runs scripts. If not there is [`transaction`](Link::transaction). Known once it is connected.
    pub(crate) fn has_scripts(&self) -> bool {
        self.inner.live.load().as_ref().is_none_or(|live| live.has_scripts)
    }

    /// Whether keys lie on several masters, so that a command has those of one slot only.
    pub(crate) fn is_cluster(&self) -> bool {
        self.inner.live.load().as_ref().is_some_and(|live| live.slots.is_some())
    }

    /// Every master, to go through what each of them has.
    ///
    /// # Errors
    /// Why that is not known.
    pub(crate) async fn masters(&self) -> Result<Vec<Master>, Trouble> {
        let live = self.live()?;
        Ok(live.nodes.iter().map(|node| Master { shown: Arc::clone(&node.address.shown) }).collect())
    }

    /// The master of a cluster that a key belongs to, as far as that is known; of a server alone nothing.
    pub(crate) fn master_of(&self, key: &[u8]) -> Option<Master> {
        let live = self.inner.live.load();
        let live = live.as_ref()?;
        let node = live.slots.as_ref()?.master(slots::slot_of_key(key))?;
        Some(Master { shown: Arc::clone(&live.nodes[node].address.shown) })
    }

    /// Sends a command to one master.
    ///
    /// # Errors
    /// Why there is no answer; `Away` if it is none any more.
    pub(crate) async fn run_on(&self, master: &Master, command: Cmd) -> Result<Value, Trouble> {
        let live = self.live()?;
        let _lane = self.lane()?;
        let Some(node) = live.nodes.iter().find(|node| node.address.shown == master.shown) else {
            return Err(Trouble::Away("the masters of the cluster have changed".into()));
        };
        let mut connection = node.connection.clone();
        let answer = async { trouble::sound(connection.send_packed_command(&command).await) };
        let answer = self.inner.in_time(self.inner.remote.command_timeout, answer).await;
        self.settle(&live, answer)
    }

    /// How things are.
    pub(crate) fn state(&self) -> LinkState {
        LinkState::clone(&self.inner.state.load())
    }

    /// Waits so long, or less if the runtime ends. Whoever polls it need not be on a runtime.
    pub(crate) async fn pause(&self, time: Duration) {
        self.inner.timers.pause(time).await;
    }

    /// What the work results in; `None` if it takes longer, or the runtime ends.
    pub(crate) async fn limit<F: Future>(&self, time: Duration, work: F) -> Option<F::Output> {
        self.inner.timers.limit(time, work).await
    }

    /// What was counted so far.
    pub(crate) fn stats(&self) -> LinkStats {
        self.inner.counters.read(self.inner.lanes.in_flight())
    }

    /// Ends it: every connection, and, within their limits, all that waits for an answer.
    pub(crate) async fn close(&self) {
        self.inner.end();
    }
}

/// # How a command is sent
impl Link {
    /// The session, if one may use it.
    #[inline]
    fn live(&self) -> Result<Arc<Live>, Trouble> {
        match self.inner.live.load_full() {
            Some(live) if live.is_open() || self.owner.is_none() => Ok(live),
            _ => {
                one(&self.inner.counters.refused);
                Err(Trouble::Away(self.inner.state.load().why()))
            }
        }
    }

    /// What it takes to be on the way.
    #[inline]
    fn lane(&self) -> Result<Taken<'_>, Trouble> {
        let inner = &*self.inner;
        if self.owner.is_none() {
            return Ok(Taken::apart(self.live()?, &inner.timers));
        }
        let lane = inner.lanes.take(&inner.timers, || self.live());
        if matches!(lane, Err(Trouble::Full)) {
            one(&inner.counters.shed);
        }
        lane
    }

    /// The way of nearly every command: flat, since what is awaited in a nest of functions is copied from one to the next.
    async fn send_one(&self, command: &Cmd) -> Result<Value, Trouble> {
        let mut lane = self.lane()?;
        let inner = &*self.inner;
        let time = Inner::time_for(inner.remote.command_timeout, pipeline::len_of(command));
        let node = lane.live.node_of(command);
        let (connection, timer) = lane.parts(node);
        let answer = timer.limit(time, pin!(connection.send_packed_command(command))).await;
        let live = &lane.live;
        let answer = match answer {
            Some(answer) if live.slots.is_none() || live::redirect_of(&answer).is_none() => trouble::sound(answer),
            Some(answer) => inner.in_time(time, Box::pin(live.follow(node, command, answer))).await,
            None => Err(inner.timed_out()),
        };
        self.settle(live, answer)
    }

    /// What an answer says about the server.
    fn settle<T>(&self, live: &Live, answer: Result<T, Trouble>) -> Result<T, Trouble> {
        match &answer {
            Err(Trouble::Full) => {}
            Err(trouble) if trouble.concerns_the_tier() => self.failed(live, trouble),
            _ => live.breaker.succeeded(),
        }
        answer
    }

    #[cold]
    fn failed(&self, live: &Live, trouble: &Trouble) {
        match trouble {
            Trouble::Lost(why) => live.signals.break_off(why),
            // Perhaps another server is the master by now, under the same name.
            Trouble::ReadOnly => live.signals.break_off("the server takes no writes any more"),
            _ => {}
        }
        if live.breaker.failed() && live.is_open() {
            live.set_open(false);
            one(&self.inner.counters.opened);
            live.signals.opened.notify_one();
        }
    }

    /// Tries once more, a little later.
    #[cold]
    async fn retry(&self, trouble: Trouble, command: Cmd) -> Result<Value, Trouble> {
        if !self.inner.budget.allows(self.inner.lanes.taken()) {
            return Err(trouble);
        }
        one(&self.inner.counters.retried);
        let pause = Duration::from_millis(Backoff::default().little_ms().min(RETRY_PAUSE_MAX_MS));
        self.pause(pause).await;
        if self.live().is_err() {
            return Err(trouble);
        }
        self.send_one(&command).await
    }
}

impl LinkState {
    /// Why nothing is sent.
    fn why(&self) -> Arc<str> {
        match self {
            LinkState::Connecting { why: Some(why) } | LinkState::Away { why, .. } => Arc::clone(why),
            LinkState::Connecting { why: None } => "the server is not connected yet".into(),
            LinkState::Serving { .. } => "the server is left alone for a while".into(),
            LinkState::Closed => "the cache is closed".into(),
        }
    }
}

impl Inner {
    /// How long a command may take that sends so many bytes.
    #[inline]
    fn time_for(time: Duration, len: usize) -> Duration {
        match u32::try_from(len / BYTES_PER_MS) {
            Ok(0) => time,
            Ok(more_ms) => time.saturating_add(Duration::from_millis(u64::from(more_ms))),
            Err(_) => time,
        }
    }

    async fn in_time<T>(&self, time: Duration, answer: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        self.timers.limit(time, answer).await.unwrap_or_else(|| Err(self.timed_out()))
    }

    #[cold]
    fn timed_out(&self) -> Trouble {
        one(&self.counters.timed_out);
        Trouble::TimedOut
    }

    fn end(&self) {
        self.closing.send_replace(true);
        self.state.store(Arc::new(LinkState::Closed));
        self.let_go();
    }

    /// Nothing is sent over the session any more.
    fn let_go(&self) {
        if let Some(live) = self.live.swap(None) {
            live.end();
        }
        self.lanes.forget();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.inner.end();
    }
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owner")
    }
}
