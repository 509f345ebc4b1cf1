//! Locks with a time to live, and fencing tokens.
//!
//! A lock is a key that holds its owner's random token. It is taken by SET NX PX, renewed and let go only by who has that token, and
//! expires by the server's clock if its owner dies. Whoever waits hears of a lock that is let go through the news of changes
//! (`P!freed:{name}` is set and deleted); of one that expires nobody tells, so waiting looks again, with growing pauses.
//!
//! **What it does not promise.** No lock with a time to live excludes for certain: its owner may be paused for longer than that and
//! not know it, and a fail-over of the server may lose a lock that was just taken. What protects the resource is the
//! [fencing token](LockGuard::fencing_token): a number that grows with each owner of a name; what is locked remembers the
//! highest that it has seen, and refuses what comes with a lower one.

mod held;
mod waiters;

use super::{Shared, names, numbers, unsigned};
use crate::error::Error;
use crate::remote::{LinkState, News, Script};
use held::Held;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) use waiters::Waiters;

const TIME_TO_LIVE: Duration = Duration::from_secs(10);
const TIME_TO_LIVE_MIN: Duration = Duration::from_millis(50);
const TIME_TO_LIVE_MAX: Duration = Duration::from_secs(86_400);
/// Pauses between looks: the first, and the longest where somebody tells, and where nobody does.
const PAUSE_MIN_MS: u64 = 10;
const PAUSE_TOLD_MS: u64 = 2_000;
const PAUSE_MAX_MS: u64 = 500;

/// Keys: the lock, its fence. Arguments: token, time to live. Answers whether it is ours and the fencing token, or for how long it
/// is another's. The fence is the server's time in microseconds, or one more than the last, if that is more: it grows though the fence
/// itself was lost or has expired. Run twice for one token, it answers the same.
static TAKE: Script = Script::idempotent(
    "local owner = redis.call('GET', KEYS[1])
if owner == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {1, redis.call('GET', KEYS[2])}
end
if owner then return {0, redis.call('PTTL', KEYS[1])} end
local time = redis.call('TIME')
local fence = tonumber(time[1]) * 1000000 + tonumber(time[2])
fence = math.max(fence, tonumber(redis.call('GET', KEYS[2]) or '0') + 1)
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[2], fence, 'PX', 2592000000)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, fence}",
);

/// A lock that the processes of a service share, by name.
///
/// ```no_run
/// use scrubjay::Remote;
/// use scrubjay::coordination::Coordinator;
/// use std::time::Duration;
///
/// # async fn run() -> Result<(), scrubjay::Error> {
/// let shared = Coordinator::connect(Remote::url("redis://redis.internal"))?;
/// let lock = shared.lock("invoices")?.time_to_live(Duration::from_secs(5))?;
/// let Some(guard) = lock.lock(Duration::from_secs(30)).await? else {
///     return Ok(()); // Somebody has it for longer than that.
/// };
/// let write_invoices = async |fencing_token: u64| { /* refuses a token lower than one it has seen */ };
/// tokio::select! {
///     () = write_invoices(guard.fencing_token()) => {}
///     () = guard.lost() => println!("another process may have it now"),
/// }
/// guard.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Lock {
    shared: Arc<Shared>,
    keys: Arc<Keys>,
    time_to_live: Duration,
}

/// What a lock is made of on the server, all in one slot.
struct Keys {
    name: Vec<u8>,
    lock: Vec<u8>,
    fence: Vec<u8>,
    freed: Vec<u8>,
}

/// A lock that is held. It is renewed every third of its time to live for as long as this exists, and let go when it is
/// [released](LockGuard::release) or dropped.
///
/// A dropped guard lets go behind, if its runtime still runs; if not, the lock expires.
#[must_use = "dropped, it lets the lock go"]
pub struct LockGuard {
    held: Arc<Held>,
}

impl Lock {
    pub(super) fn new(shared: &Arc<Shared>, name: &[u8]) -> Result<Lock, Error> {
        names::check("lock", name)?;
        let key = |kind| names::key(&shared.prefix, kind, None, name);
        let keys = Keys { name: name.to_vec(), lock: key("lock"), fence: key("fence"), freed: key("freed") };
        Ok(Lock { shared: Arc::clone(shared), keys: Arc::new(keys), time_to_live: TIME_TO_LIVE })
    }

    /// How long it is held without a sign of life from its owner: 10 seconds unless said.
    ///
    /// # Errors
    /// `Invalid` unless it is 50 milliseconds to a day.
    pub fn time_to_live(mut self, time: Duration) -> Result<Lock, Error> {
        self.time_to_live = checked(time)?;
        Ok(self)
    }

    /// Takes it if nobody has it.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable): if it was taken without our hearing of it, it expires.
    pub async fn try_lock(&self) -> Result<Option<LockGuard>, Error> {
        Ok(self.attempt(&token()).await?.ok())
    }

    /// Takes it, and waits for it for so long at most: woken when it is let go, and looking again when it must have expired. `None` if
    /// others have it all that time. Nobody is first in line.
    ///
    /// # Errors
    /// As [`try_lock`](Lock::try_lock).
    ///
    /// # Cancellation
    /// Dropped, it does not wait any more; if it was just taken, it is let go behind.
    pub async fn lock(&self, wait: Duration) -> Result<Option<LockGuard>, Error> {
        let began = self.shared.clock.now_ms();
        let token = token();
        let mut growing_ms = PAUSE_MIN_MS;
        loop {
            // Before the look: what is let go after it is heard.
            let freed = self.shared.waiters.listen(&self.keys.freed);
            let left_ms = match self.attempt(&token).await? {
                Ok(guard) => return Ok(Some(guard)),
                Err(left_ms) => left_ms,
            };
            let gone = Duration::from_millis(self.shared.clock.now_ms() - began);
            let Some(left) = wait.checked_sub(gone).filter(|left| !left.is_zero()) else { return Ok(None) };
            let most = if self.is_told() { PAUSE_TOLD_MS } else { growing_ms };
            growing_ms = (2 * growing_ms).min(PAUSE_MAX_MS);
            // Not all at once when it expires.
            let pause = Duration::from_millis(left_ms.saturating_add(1).min(most) + random() % (most / 4 + 1));
            tokio::select! {
                () = freed.heard() => {}
                () = self.shared.pause(pause.min(left)) => {}
            }
        }
    }

    /// The guard, or for how many milliseconds another has it.
    async fn attempt(&self, token: &str) -> Result<Result<LockGuard, u64>, Error> {
        let shared = &self.shared;
        let time_to_live_ms = self.time_to_live.as_millis().to_string();
        let sent_ms = shared.clock.now_ms();
        let keys: [&[u8]; 2] = [&self.keys.lock, &self.keys.fence];
        let mut attempt = Attempt { lock: self, token, is_open: true };
        let answer = shared.script(&TAKE, &keys, &[token.as_bytes(), time_to_live_ms.as_bytes()]).await?;
        let [is_ours, number] = numbers(&answer)?;
        attempt.is_open = false;
        if is_ours == 0 {
            return Ok(Err(unsigned(number)));
        }
        let held = Held::begin(shared, &self.keys, token, unsigned(number), self.time_to_live, sent_ms);
        Ok(Ok(LockGuard { held }))
    }

    /// Whether one hears of a lock that is let go.
    fn is_told(&self) -> bool {
        matches!(self.shared.link.state(), LinkState::Serving { coherence: News::Tracking })
    }
}

/// A request of which nobody knows yet whether it has taken the lock. If nobody ever does, it is let go.
struct Attempt<'a> {
    lock: &'a Lock,
    token: &'a str,
    is_open: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_open {
            held::let_go_behind(&self.lock.shared, &self.lock.keys, self.token);
        }
    }
}

impl LockGuard {
    /// A number that is higher than that of every owner of this name before, on one server and its replicas: to be given to what the
    /// lock protects, which refuses whatever comes with a lower one than it has seen.
    pub fn fencing_token(&self) -> u64 {
        self.held.fence
    }

    /// Whether it is ours for all that this process knows: the server has confirmed it within its time to live, by our own clock, which
    /// was asked before the server was. Costs nothing.
    pub fn is_held(&self) -> bool {
        self.held.is_held()
    }

    /// Returns when it is not ours any more: it expired unrenewed, since the server or this process was away, or somebody took it
    /// away by hand.
    pub async fn lost(&self) {
        self.held.lost().await;
    }

    /// Lets it last so long from now on, and renews it to that, again and again. Whether it is still ours.
    ///
    /// # Errors
    /// `Invalid` unless the time is 50 milliseconds to a day; [`Unavailable`](crate::ErrorKind::Unavailable): as before.
    pub async fn extend(&self, time_to_live: Duration) -> Result<bool, Error> {
        self.held.extend(checked(time_to_live)?).await
    }

    /// Lets it go. Whether it was still ours: nothing of another owner is let go.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable): if it was not let go, it expires.
    pub async fn release(self) -> Result<bool, Error> {
        self.held.release().await
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        self.held.abandon();
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(&self.keys.name);
        f.debug_struct("Lock").field("name", &name).field("time_to_live", &self.time_to_live).finish_non_exhaustive()
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LockGuard");
        shown.field("fencing_token", &self.fencing_token()).field("is_held", &self.is_held()).finish_non_exhaustive()
    }
}

fn checked(time: Duration) -> Result<Duration, Error> {
    if (TIME_TO_LIVE_MIN..=TIME_TO_LIVE_MAX).contains(&time) {
        return Ok(time);
    }
    Err(Error::invalid(format!("lock.time_to_live is {time:?}, must be {TIME_TO_LIVE_MIN:?}..={TIME_TO_LIVE_MAX:?}")))
}

/// Thirty-two digits that nobody else has.
fn token() -> String {
    format!("{:016x}{:016x}", random(), random())
}

/// From keys that the operating system made, anew for each.
fn random() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    ahash::RandomState::new().hash_one(COUNT.fetch_add(1, Ordering::Relaxed))
}
