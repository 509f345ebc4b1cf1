//! Counters that expire.

use super::{Shared, names, number};
use crate::error::Error;
use crate::limits::milliseconds;
use crate::remote::{Script, ScriptCall};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Adds; a time to live is set at the first use, or at every. Answers in digits: a script's own numbers have 53 bits.
static ADD: Script = Script::new(
    "redis.call('INCRBY', KEYS[1], ARGV[1])
if ARGV[2] ~= '0' and (ARGV[3] == '1' or redis.call('PTTL', KEYS[1]) < 0) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('GET', KEYS[1])",
);
static GET: Script = Script::idempotent("return redis.call('GET', KEYS[1])");
static RESET: Script = Script::new(
    "local count = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return count",
);

/// When a counter begins anew.
///
/// ```
/// use scrubjay::coordination::Expiry;
/// use std::time::Duration;
///
/// let per_day = Expiry::AfterFirst(Duration::from_secs(86_400));
/// # let _ = per_day;
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// Never: it lies on the server until it is reset.
    #[default]
    Never,
    /// So long after the first use.
    AfterFirst(Duration),
    /// So long after the last use.
    AfterLast(Duration),
}

/// Counters of 64 bits with a sign, one for each key. A key that was never used, has expired or was reset counts 0.
///
/// An answer that does not come in time may have been counted: [`add`](Counter::add) is not tried again by itself.
///
/// ```no_run
/// use scrubjay::Remote;
/// use scrubjay::coordination::{Coordinator, Expiry};
/// use std::time::Duration;
///
/// # async fn run() -> Result<(), scrubjay::Error> {
/// let shared = Coordinator::connect(Remote::url("redis://redis.internal"))?;
/// let visits = shared.counter("visits", Expiry::AfterFirst(Duration::from_secs(86_400)))?;
/// assert_eq!(visits.add("/jays", 1).await?, 1);
/// let counts = visits.add_many(&[("/jays", 1), ("/magpies", 2)]).await;
/// assert_eq!(counts[1].as_ref().ok(), Some(&2));
/// assert_eq!(visits.reset("/jays").await?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Counter {
    shared: Arc<Shared>,
    name: Arc<[u8]>,
    expiry_ms: u64,
    is_sliding: bool,
}

impl Counter {
    pub(super) fn new(shared: &Arc<Shared>, name: &[u8], expiry: Expiry) -> Result<Counter, Error> {
        names::check("counter", name)?;
        let (expiry_ms, is_sliding) = match expiry {
            Expiry::Never => (0, false),
            Expiry::AfterFirst(time) => (milliseconds("counter.expiry", time)?, false),
            Expiry::AfterLast(time) => (milliseconds("counter.expiry", time)?, true),
        };
        Ok(Counter { shared: Arc::clone(shared), name: name.into(), expiry_ms, is_sliding })
    }

    /// Adds, which may be negative, and says what it counts then.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): the key is empty or longer than 256 bytes, or the sum does not fit into 64 bits; it counts
    /// what it did. [`Unavailable`](crate::ErrorKind::Unavailable): it may have been counted. [`Corrupt`](crate::ErrorKind::Corrupt):
    /// something else lies under its name.
    pub async fn add(&self, key: impl AsRef<[u8]>, delta: i64) -> Result<i64, Error> {
        let key = self.key(key.as_ref())?;
        let (delta, expiry) = (delta.to_string(), self.expiry_ms.to_string());
        let args = [delta.as_bytes(), expiry.as_bytes(), self.sliding()];
        number(&self.shared.script(&ADD, &[&key], &args).await?)
    }

    /// The same for many keys, in one go, in their order. Each is atomic, all of them together are not.
    pub async fn add_many<N: AsRef<[u8]>>(&self, deltas: &[(N, i64)]) -> Vec<Result<i64, Error>> {
        let expiry = self.expiry_ms.to_string();
        let call = |(key, delta): &(N, i64)| {
            let key = self.key(key.as_ref())?;
            let delta = delta.to_string();
            Ok(ScriptCall::new(&ADD, &[&key], &[delta.as_bytes(), expiry.as_bytes(), self.sliding()]))
        };
        self.run(deltas.iter().map(call).collect()).await
    }

    /// What it counts.
    ///
    /// # Errors
    /// As [`add`](Counter::add).
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<i64, Error> {
        let key = self.key(key.as_ref())?;
        number(&self.shared.script(&GET, &[&key], &[]).await?)
    }

    /// The same for many keys, in one go, in their order.
    pub async fn get_many<N: AsRef<[u8]>>(&self, keys: &[N]) -> Vec<Result<i64, Error>> {
        let call = |key: &N| Ok(ScriptCall::new(&GET, &[&self.key(key.as_ref())?], &[]));
        self.run(keys.iter().map(call).collect()).await
    }

    /// Lets it count from 0 again, and says what it counted.
    ///
    /// # Errors
    /// As [`add`](Counter::add).
    pub async fn reset(&self, key: impl AsRef<[u8]>) -> Result<i64, Error> {
        let key = self.key(key.as_ref())?;
        number(&self.shared.script(&RESET, &[&key], &[]).await?)
    }

    async fn run(&self, calls: Vec<Result<ScriptCall, Error>>) -> Vec<Result<i64, Error>> {
        let sent = calls.iter().flatten().cloned().collect();
        let mut answers = self.shared.script_many(sent).await.into_iter();
        let answer = |call: Result<ScriptCall, Error>| {
            call?;
            number(&answers.next().unwrap_or_else(|| Err(super::strange()))?)
        };
        calls.into_iter().map(answer).collect()
    }

    fn sliding(&self) -> &'static [u8] {
        if self.is_sliding { b"1" } else { b"0" }
    }

    fn key(&self, key: &[u8]) -> Result<Vec<u8>, Error> {
        names::check("counter.key", key)?;
        Ok(names::key(&self.shared.prefix, "count", Some(&self.name), key))
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(&self.name);
        f.debug_struct("Counter").field("name", &name).field("expiry_ms", &self.expiry_ms).finish_non_exhaustive()
    }
}
