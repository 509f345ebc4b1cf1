//! Rate limits: so much in so much time, whoever asks in whichever process.

mod limit;
mod scripts;

use super::{Shared, names, numbers, unsigned};
use crate::error::{Error, ErrorKind};
use crate::remote::{Script, ScriptCall};
use redis::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use limit::Limit;

/// What a check answers when nobody knows, since the server is away.
///
/// ```
/// # async fn run(shared: scrubjay::coordination::Coordinator) -> Result<(), scrubjay::Error> {
/// use scrubjay::coordination::{Limit, WhenAway};
/// use std::time::Duration;
///
/// let limit = Limit::fixed_window(100, Duration::from_secs(1));
/// // Serving everybody for a while is better than nobody.
/// let limiter = shared.rate_limiter("api", limit)?.when_away(WhenAway::Allow);
/// # let _ = limiter;
/// # Ok(())
/// # }
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenAway {
    /// An error of kind [`Unavailable`](crate::ErrorKind::Unavailable). The default.
    #[default]
    Fail,
    /// That it is allowed.
    Allow,
    /// That it is not.
    Deny,
}

/// What a check came to.
///
/// ```
/// use scrubjay::coordination::Decision;
///
/// /// The headers that tell a client.
/// fn headers(decision: &Decision) -> [(&'static str, String); 2] {
///     let remaining = ("RateLimit-Remaining", decision.remaining.to_string());
///     [remaining, ("Retry-After", decision.retry_after.as_secs_f64().ceil().to_string())]
/// }
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done. If so, it has been counted.
    pub is_allowed: bool,
    /// What may be done at once after it.
    pub remaining: u64,
    /// After which time the same would be allowed if nobody else asked; zero if it is allowed now.
    pub retry_after: Duration,
    /// After which time the whole limit is there again if nobody asked.
    pub reset_after: Duration,
    /// False if the server is away, and [`WhenAway`] has decided.
    pub is_known: bool,
}

/// A limit for each of many keys. Exact among all processes that use one server: a check is one script.
///
/// Time is the server's. If that goes back, or a fail-over loses what was counted last, more may pass once than the limit says.
/// Two limiters of one name and different limits count apart. What is not asked for any more leaves nothing on the server.
///
/// ```no_run
/// use scrubjay::Remote;
/// use scrubjay::coordination::{Coordinator, Limit};
/// use std::time::Duration;
///
/// # async fn run() -> Result<(), scrubjay::Error> {
/// let shared = Coordinator::connect(Remote::url("redis://redis.internal"))?;
/// // 50 a second, and 100 at once after a rest.
/// let limit = Limit::token_bucket(100, 50, Duration::from_secs(1));
/// let api = shared.rate_limiter("api", limit)?;
/// let decision = api.check("customer:42", 1).await?;
/// if !decision.is_allowed {
///     println!("try again in {:?}", decision.retry_after);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
    name: Arc<[u8]>,
    limit: Limit,
    /// Names it in keys: another limit counts apart.
    tag: Arc<str>,
    when_away: WhenAway,
}

impl RateLimiter {
    pub(super) fn new(shared: &Arc<Shared>, name: &[u8], limit: Limit) -> Result<RateLimiter, Error> {
        names::check("rate_limiter", name)?;
        let tag = limit.validate()?.into();
        Ok(RateLimiter { shared: Arc::clone(shared), name: name.into(), limit, tag, when_away: WhenAway::default() })
    }

    /// What a check answers while the server is away.
    #[must_use]
    pub fn when_away(mut self, when_away: WhenAway) -> RateLimiter {
        self.when_away = when_away;
        self
    }

    /// Asks whether `cost` may be spent on a key, and spends it if so. A cost of 0 spends nothing, and says what remains.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): the key is empty or longer than 256 bytes, or the cost is more than is ever allowed at
    /// once. [`Unavailable`](crate::ErrorKind::Unavailable), with [`WhenAway::Fail`]: it may have been spent.
    pub async fn check(&self, key: impl AsRef<[u8]>, cost: u64) -> Result<Decision, Error> {
        self.check_at(key.as_ref(), cost, None).await
    }

    /// The same for many keys and costs, in one go, in their order. Each is atomic, all of them together are not.
    pub async fn check_many<N: AsRef<[u8]>>(&self, checks: &[(N, u64)]) -> Vec<Result<Decision, Error>> {
        let call = |(key, cost): &(N, u64)| {
            let args = self.args(*cost, None)?;
            let args: [&[u8]; 5] = args.each_ref().map(String::as_bytes);
            Ok(ScriptCall::new(self.script(), &[&self.key(key.as_ref())?], &args))
        };
        let calls: Vec<Result<ScriptCall, Error>> = checks.iter().map(call).collect();
        let sent = calls.iter().flatten().cloned().collect();
        let mut answers = self.shared.script_many(sent).await.into_iter();
        let decide = |call: Result<ScriptCall, Error>| {
            call?;
            self.decision(answers.next().unwrap_or_else(|| Err(super::strange())))
        };
        calls.into_iter().map(decide).collect()
    }

    /// Forgets what was spent on a key.
    ///
    /// # Errors
    /// As [`check`](RateLimiter::check), whatever [`WhenAway`] says.
    pub async fn reset(&self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let key = self.key(key.as_ref())?;
        self.shared.script(&scripts::RESET, &[&key], &[]).await?;
        Ok(())
    }

    /// At `now_ms` instead of the server's time: for tests.
    pub(super) async fn check_at(&self, key: &[u8], cost: u64, now_ms: Option<u64>) -> Result<Decision, Error> {
        let (key, args) = (self.key(key)?, self.args(cost, now_ms)?);
        let args: [&[u8]; 5] = args.each_ref().map(String::as_bytes);
        self.decision(self.shared.script(self.script(), &[&key], &args).await)
    }

    fn script(&self) -> &'static Script {
        match self.limit {
            Limit::FixedWindow { .. } => &scripts::FIXED_WINDOW,
            Limit::SlidingWindow { .. } => &scripts::SLIDING_WINDOW,
            Limit::TokenBucket { .. } => &scripts::TOKEN_BUCKET,
        }
    }

    fn args(&self, cost: u64, now_ms: Option<u64>) -> Result<[String; 5], Error> {
        let (most, window_ms, rate) = self.limit.numbers()?;
        if cost > most {
            return Err(Error::invalid(format!("rate_limiter.cost is {cost}, must be 0..={most}")));
        }
        let now = now_ms.map_or_else(String::new, |now_ms| now_ms.to_string());
        Ok([now, cost.to_string(), most.to_string(), window_ms.to_string(), rate.to_string()])
    }

    fn key(&self, key: &[u8]) -> Result<Vec<u8>, Error> {
        names::check("rate_limiter.key", key)?;
        let family = [&*self.name, b":", self.tag.as_bytes()].concat();
        Ok(names::key(&self.shared.prefix, "rate", Some(&family), key))
    }

    fn decision(&self, answer: Result<Value, Error>) -> Result<Decision, Error> {
        let is_allowed = match (&answer, self.when_away) {
            (Err(error), WhenAway::Allow) if error.kind() == ErrorKind::Unavailable => true,
            (Err(error), WhenAway::Deny) if error.kind() == ErrorKind::Unavailable => false,
            _ => {
                let [is_allowed, remaining, retry_ms, reset_ms] = numbers(&answer?)?;
                let time = |ms| Duration::from_millis(unsigned(ms));
                return Ok(Decision {
                    is_allowed: is_allowed == 1,
                    remaining: unsigned(remaining),
                    retry_after: time(retry_ms),
                    reset_after: time(reset_ms),
                    is_known: true,
                });
            }
        };
        let zero = Duration::ZERO;
        Ok(Decision { is_allowed, remaining: 0, retry_after: zero, reset_after: zero, is_known: false })
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(&self.name);
        let mut shown = f.debug_struct("RateLimiter");
        shown.field("name", &name).field("limit", &self.limit).field("when_away", &self.when_away);
        shown.finish_non_exhaustive()
    }
}
