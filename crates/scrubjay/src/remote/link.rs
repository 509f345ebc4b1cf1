//! The server behind one configuration: commands go to it, news of changes come from it, while connections come and go.
//!
//! A [`Link`] connects behind and connects again, so it is there before its server is. It says in [`LinkState`] how things are, and
//! tells a [`Watcher`] what it hears. A command is sent at once or not at all, and is answered within its limit: the tier above
//! never waits for what is away.
//!
//! It knows nothing of caches, entries and leases: keys and scripts are bytes to it.

mod address;
mod counters;
mod live;
mod script;
mod tend;
mod trouble;
mod watcher;

use crate::clock::Clock;
use crate::error::Error;
use crate::remote::Remote;
use arc_swap::{ArcSwap, ArcSwapOption};
use counters::{Counters, one};
use live::Live;
use redis::{Cmd, Value};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

pub(crate) use counters::LinkStats;
pub(crate) use script::{Script, ScriptCall};
pub(crate) use trouble::Trouble;
pub(crate) use watcher::Watcher;

/// Optimistic transactions are tried so often.
const TRANSACTION_TRIES: u32 = 16;

/// The server behind one configuration. Clones are the same link.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    inner: Arc<Inner>,
    /// Commands of a [`Watcher`] are sent while nobody else's are.
    is_watcher: bool,
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
    /// It was reached once, and is left alone now.
    Away { why: Arc<str>, since_ms: u64, retry_at_ms: u64 },
    /// This side has ended it.
    Closed,
}

/// How news of changes come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Tracking,
    /// The reason, if tracking was asked for.
    PubSub(Option<Arc<str>>),
    None,
}

/// A master of the server, for commands that are about one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Master {
    /// `None` if there is but one.
    address: Option<(Arc<str>, u16)>,
}

/// What a transaction does with what it has read.
#[derive(Debug)]
pub(crate) enum Step<T> {
    /// Nothing more.
    Done(T),
    /// These commands at once, if nothing that was read has changed.
    Commit(Vec<Cmd>, T),
}

#[derive(Debug)]
struct Inner {
    remote: Remote,
    cache: Arc<str>,
    clock: Clock,
    runtime: Handle,
    prefixes: Vec<Vec<u8>>,
    channel: Vec<u8>,
    addresses: Vec<address::Address>,
    live: ArcSwapOption<Live>,
    state: ArcSwap<LinkState>,
    counters: Counters,
    is_closed: watch::Sender<bool>,
}

impl Link {
    /// Begins to connect. Of the server nothing is known yet when this returns.
    ///
    /// # Errors
    /// `Invalid`: an address, or a certificate, is none.
    pub(crate) fn start(setup: LinkSetup, watcher: Arc<dyn Watcher>) -> Result<Link, Error> {
        setup.remote.validate()?;
        let addresses = address::read(&setup.remote)?;
        let runtime = setup.runtime.clone();
        let inner = Arc::new(Inner {
            remote: setup.remote,
            cache: setup.cache,
            clock: setup.clock,
            runtime: setup.runtime,
            prefixes: setup.prefixes,
            channel: setup.channel,
            addresses,
            live: ArcSwapOption::empty(),
            state: ArcSwap::from_pointee(LinkState::Connecting { why: None }),
            counters: Counters::default(),
            is_closed: watch::Sender::new(false),
        });
        let link = Link { inner, is_watcher: false };
        runtime.spawn(tend::tend(Arc::clone(&link.inner), watcher));
        Ok(link)
    }

    /// Sends a command.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn run(&self, command: Cmd) -> Result<Value, Trouble> {
        let live = self.live()?;
        let _seat = self.inner.seat()?;
        self.inner.in_time(live.send(&command)).await
    }

    /// The same for a command that does no harm if it is done twice: it is tried again, once, where that may help.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn run_idempotent(&self, command: Cmd) -> Result<Value, Trouble> {
        self.run(command).await
    }

    /// Sends commands together. The answers are in their order.
    pub(crate) async fn run_many(&self, commands: Vec<Cmd>) -> Vec<Result<Value, Trouble>> {
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            answers.push(self.run(command).await);
        }
        answers
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
        let call = ScriptCall::new(script, keys, args);
        match self.run(call.command.clone()).await {
            Err(Trouble::Server(why)) if why.starts_with("NOSCRIPT") => self.run(call.with_text()).await,
            answer => answer,
        }
    }

    /// Runs scripts together. The answers are in their order.
    pub(crate) async fn script_many(&self, calls: Vec<ScriptCall>) -> Vec<Result<Value, Trouble>> {
        self.run_many(calls.iter().map(ScriptCall::with_text).collect()).await
    }

    /// Whether the server runs scripts. If not there is [`transaction`](Link::transaction). Known once it is connected.
    pub(crate) fn has_scripts(&self) -> bool {
        self.inner.live.load().as_ref().is_none_or(|live| live.has_scripts)
    }

    /// Reads, decides and writes, as one: `decide` gets the answers to `reads`, and is asked again if something in `watched` changes
    /// before what it wants is done, 16 times at most.
    ///
    /// # Errors
    /// Why it is not done.
    pub(crate) async fn transaction<T>(
        &self,
        watched: &[&[u8]],
        reads: &[Cmd],
        mut decide: impl FnMut(Vec<Value>) -> Result<Step<T>, Trouble> + Send,
    ) -> Result<T, Trouble> {
        let _ = (watched, TRANSACTION_TRIES);
        let answers = self.run_many(reads.to_vec()).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        match decide(answers)? {
            Step::Done(answer) => Ok(answer),
            Step::Commit(commands, answer) => {
                self.run_many(commands).await.into_iter().collect::<Result<Vec<_>, _>>()?;
                Ok(answer)
            }
        }
    }

    /// Every master, to go through what each of them has.
    ///
    /// # Errors
    /// Why that is not known.
    pub(crate) async fn masters(&self) -> Result<Vec<Master>, Trouble> {
        self.live()?;
        Ok(vec![Master { address: None }])
    }

    /// Sends a command to one master.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn run_on(&self, master: &Master, command: Cmd) -> Result<Value, Trouble> {
        let _ = &master.address;
        self.run(command).await
    }

    /// How things are.
    pub(crate) fn state(&self) -> LinkState {
        LinkState::clone(&self.inner.state.load())
    }

    /// What was counted so far.
    pub(crate) fn stats(&self) -> LinkStats {
        self.inner.counters.read()
    }

    /// Ends it: every connection, and whoever waits.
    pub(crate) async fn close(&self) {
        self.inner.is_closed.send_replace(true);
        self.inner.state.store(Arc::new(LinkState::Closed));
        self.inner.live.store(None);
    }

    /// The connection, if one may use it.
    fn live(&self) -> Result<Arc<Live>, Trouble> {
        let state = self.inner.state.load();
        let is_open = self.is_watcher || matches!(&**state, LinkState::Serving { .. });
        match self.inner.live.load_full().filter(|_| is_open) {
            Some(live) => Ok(live),
            None => {
                one(&self.inner.counters.refused);
                Err(Trouble::Away(state.why()))
            }
        }
    }
}

impl LinkState {
    /// Why nothing is sent.
    fn why(&self) -> Arc<str> {
        match self {
            LinkState::Connecting { why: Some(why) } | LinkState::Away { why, .. } => Arc::clone(why),
            LinkState::Connecting { why: None } | LinkState::Serving { .. } => "the server is not connected yet".into(),
            LinkState::Closed => "the cache is closed".into(),
        }
    }
}

/// A command on its way.
struct Seat<'a>(&'a Inner);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    fn seat(&self) -> Result<Seat<'_>, Trouble> {
        let taken = self.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(self);
        if taken >= self.remote.in_flight_max {
            one(&self.counters.shed);
            return Err(Trouble::Full);
        }
        Ok(seat)
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let timed = self.limit(self.remote.command_timeout, answer);
        timed.await.unwrap_or_else(|| {
            one(&self.counters.timed_out);
            Err(Trouble::TimedOut)
        })
    }

    /// `None` if it takes longer. Whoever polls it need not be on a runtime.
    fn limit<T>(&self, time: Duration, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        let timed = {
            let _runtime = self.runtime.enter();
            tokio::time::timeout(time, work)
        };
        async move { timed.await.ok() }
    }
}
