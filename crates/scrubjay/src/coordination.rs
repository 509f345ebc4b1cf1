//! What processes that share a server need beside a cache: locks, rate limits, counters, popularity.
//!
//! A [`Coordinator`] is a connection of its own to the server that a [`Remote`] names. Each primitive is one atomic script over
//! keys of one slot, and takes its time from the server, so that the clocks of processes do not matter. What is not known,
//! since the server is away, is an error of kind [`Unavailable`](crate::ErrorKind::Unavailable): nothing here guesses unless told.
//!
//! | | in one slot under | takes |
//! |---|---|---|
//! | [`Lock`] | `P!lock:{name}`, its fence `P!fence:{name}` | one script to take or let go; one every third of its time while held |
//! | [`RateLimiter`] | `P!rate:name:limit:{key}` | one script per check |
//! | [`Counter`] | `P!count:name:{key}` | one script per call |
//! | [`Popularity`] | `P!popular:{name}`, its base `P!popular:{name}!base` | one script per call |
//!
//! `P` is [`Remote::prefix`]; in it, in names and in keys `{`, `}` and `%` are written `%7B`, `%7D` and `%25`.
//!
//! **Invariants:** every key that is written has a time to live, but those of counters that shall not expire; no call waits
//! without a limit. It knows nothing of caches and their entries.

mod counter;
mod limiter;
mod lock;
mod names;
mod popularity;
#[cfg(test)]
mod tests;

pub use counter::{Counter, Expiry};
pub use limiter::{Decision, Limit, RateLimiter, WhenAway};
pub use lock::{Lock, LockGuard};
pub use popularity::Popularity;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::remote::{Link, LinkSetup, LinkState, Remote, Script, ScriptCall, Trouble, Watcher};
use futures_util::future::BoxFuture;
use lock::Waiters;
use redis::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// How often a call looks whether the very first connection is there.
const FIRST_LOOK: Duration = Duration::from_millis(2);

/// Locks, rate limits, counters and popularity over a Redis-compatible server. Clones are the same connection.
///
/// It needs a server with scripts (`EVAL`): Redis from 6.2 on, Valkey, Dragonfly, and their clusters.
///
/// ```no_run
/// use scrubjay::Remote;
/// use scrubjay::coordination::{Coordinator, Limit};
/// use std::time::Duration;
///
/// # async fn run() -> Result<(), scrubjay::Error> {
/// let shared = Coordinator::connect(Remote::url("redis://redis.internal"))?;
/// let limiter = shared.rate_limiter("login", Limit::sliding_window(5, Duration::from_secs(60)))?;
/// if !limiter.check("10.0.0.7", 1).await?.is_allowed {
///     println!("too many attempts");
/// }
/// if let Some(report) = shared.lock("nightly-report")?.try_lock().await? {
///     // Nobody else makes it now. What writes it is given report.fencing_token().
///     report.release().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Coordinator {
    shared: Arc<Shared>,
}

/// What all primitives of a coordinator share.
struct Shared {
    link: Link,
    runtime: Handle,
    clock: Clock,
    prefix: Vec<u8>,
    connect_timeout: Duration,
    waiters: Arc<Waiters>,
}

impl Coordinator {
    /// Begins to connect, behind. The server need not be there: calls are `Unavailable` until it is. The first calls wait for the first
    /// connection, for [`Remote::connect_timeout`] at most.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): an address or a setting is wrong, or this is no thread of a tokio runtime.
    pub fn connect(remote: Remote) -> Result<Coordinator, Error> {
        let runtime = Handle::try_current().map_err(|_| {
            Error::invalid("a coordinator is connected by a thread of a tokio runtime, and this is none")
        })?;
        let (prefix, connect_timeout) = (remote.prefix.clone(), remote.connect_timeout);
        let waiters = Arc::new(Waiters::default());
        let clock = Clock::system();
        let setup = LinkSetup {
            prefixes: vec![names::freed_prefix(&prefix)],
            channel: names::channel(&prefix),
            cache: "coordination".into(),
            clock: clock.clone(),
            runtime: runtime.clone(),
            remote,
        };
        let link = Link::start(setup, Arc::new(News { waiters: Arc::clone(&waiters) }))?;
        let shared = Shared { link, runtime, clock, prefix, connect_timeout, waiters };
        Ok(Coordinator { shared: Arc::new(shared) })
    }

    /// The lock of that name.
    ///
    /// # Errors
    /// `Invalid`: the name is empty, or longer than 256 bytes.
    pub fn lock(&self, name: impl AsRef<[u8]>) -> Result<Lock, Error> {
        Lock::new(&self.shared, name.as_ref())
    }

    /// A limiter for many keys, all under the same limit. Processes that say the same name and limit share it.
    ///
    /// # Errors
    /// `Invalid`: the name is empty or longer than 256 bytes, or the limit is out of its bounds, which the message names.
    pub fn rate_limiter(&self, name: impl AsRef<[u8]>, limit: Limit) -> Result<RateLimiter, Error> {
        RateLimiter::new(&self.shared, name.as_ref(), limit)
    }

    /// A counter for many keys, which expire alike.
    ///
    /// # Errors
    /// `Invalid`: the name is empty or longer than 256 bytes, or the time is out of its bounds.
    pub fn counter(&self, name: impl AsRef<[u8]>, expiry: Expiry) -> Result<Counter, Error> {
        Counter::new(&self.shared, name.as_ref(), expiry)
    }

    /// The `k` most popular of many, where what was counted is worth half as much after each `half_life`.
    ///
    /// # Errors
    /// `Invalid`: the name is empty or longer than 256 bytes, `k` is not in 1..=1,000, the half-life not in 1 second..=366 days.
    pub fn popularity(&self, name: impl AsRef<[u8]>, half_life: Duration, k: usize) -> Result<Popularity, Error> {
        Popularity::new(&self.shared, name.as_ref(), half_life, k)
    }

    /// Ends the connection. Calls are `Unavailable` from then on; locks that are held expire.
    pub async fn close(&self) {
        self.shared.link.close().await;
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator").field("state", &self.shared.link.state()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Runs a script.
    async fn script(&self, script: &'static Script, keys: &[&[u8]], args: &[&[u8]]) -> Result<Value, Error> {
        self.ready().await?;
        self.link.script(script, keys, args).await.map_err(|trouble| error_of(&trouble))
    }

    /// Runs a script several times, in one go.
    async fn script_many(&self, calls: Vec<ScriptCall>) -> Vec<Result<Value, Error>> {
        if let Err(error) = self.ready().await {
            return vec![Err(error); calls.len()];
        }
        let answers = self.link.script_many(calls).await;
        answers.into_iter().map(|answer| answer.map_err(|trouble| error_of(&trouble))).collect()
    }

    /// Returns when the first connection is there, or has failed.
    async fn ready(&self) -> Result<(), Error> {
        let began = self.clock.now_ms();
        while matches!(self.link.state(), LinkState::Connecting { why: None }) {
            if Duration::from_millis(self.clock.now_ms() - began) >= self.connect_timeout {
                break;
            }
            self.pause(FIRST_LOOK).await;
        }
        if self.link.has_scripts() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, "coordination: the server runs no scripts (EVAL)"))
    }

    /// Whoever polls it need not be on a runtime.
    async fn pause(&self, time: Duration) {
        self.link.pause(time).await;
    }
}

/// What to do about it.
fn error_of(trouble: &Trouble) -> Error {
    match trouble {
        Trouble::WrongType => Error::new(ErrorKind::Corrupt, "coordination: something else lies under this name"),
        Trouble::Server(why) if why.contains("overflow") => Error::invalid("counter: it would leave what 64 bits hold"),
        Trouble::Server(why) if why.contains("not an integer") || why.contains("not a valid float") => {
            Error::new(ErrorKind::Corrupt, "coordination: something else lies under this name")
        }
        trouble => Error::new(ErrorKind::Unavailable, format!("coordination: {trouble}")),
    }
}

/// An answer that no script of ours gives.
fn strange() -> Error {
    Error::new(ErrorKind::Unavailable, "coordination: the server's answer is not what the script says")
}

/// A whole number, as a script answers it: as one, or in digits where it may be large.
fn number(value: &Value) -> Result<i64, Error> {
    match value {
        Value::Int(number) => Some(*number),
        Value::BulkString(digits) => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
        Value::Nil => Some(0),
        _ => None,
    }
    .ok_or_else(strange)
}

/// The numbers of a list.
fn numbers<const N: usize>(value: &Value) -> Result<[i64; N], Error> {
    let Value::Array(parts) = value else { return Err(strange()) };
    let numbers: Vec<i64> = parts.iter().map(number).collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|_| strange())
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Wakes who waits for a lock.
struct News {
    waiters: Arc<Waiters>,
}

impl Watcher for News {
    fn changed(&self, keys: Vec<Vec<u8>>) {
        keys.iter().for_each(|key| self.waiters.wake(key));
    }

    fn flushed(&self) {
        self.waiters.wake_all();
    }

    fn published(&self, message: &[u8]) {
        self.waiters.wake(message);
    }

    fn connected<'a>(&'a self, _: &'a Link) -> BoxFuture<'a, Result<(), Trouble>> {
        self.waiters.wake_all();
        Box::pin(async { Ok(()) })
    }

    fn heartbeat<'a>(&'a self, link: &'a Link) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            for master in link.masters().await? {
                link.run_on(&master, redis::cmd("PING")).await?;
            }
            Ok(())
        })
    }

    fn lost(&self, _: &str) {}
}
