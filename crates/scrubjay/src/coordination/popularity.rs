//! What is popular now: counts that fade.
//!
//! Idea: instead of letting every count shrink as time goes by, what comes later weighs more (forward decay; Cormode, Shkapenyuk,
//! Srivastava, Xu: "Forward Decay", 2009). A score is the sum of `weight * 2^((time - base) / half-life)`, so that the order of
//! members never changes by itself, and a record touches one member. When the exponent grows large, all scores are divided
//! and the base moves on: one pass over a bounded set, each 500 half-lives.
//!
//! Limits: of a set that is full, the least popular fifth goes. What comes seldom, and among very many, may go again and again, and is
//! underestimated; what belongs to the top stays, as soon as its score is above the least one that is kept.

use super::{Shared, names, strange};
use crate::error::Error;
use crate::remote::Script;
use redis::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const K_MAX: usize = 1_000;
const HALF_LIFE_MIN: Duration = Duration::from_secs(1);
const HALF_LIFE_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Members of one call.
const RECORDS_MAX: usize = 512;
/// Weights are positive, and at most this.
const WEIGHT_MAX: f64 = 1e12;

/// Arguments: the time in milliseconds (empty: the server's), the half-life in milliseconds, how many members are kept, then weight and
/// member in turn. After 50 half-lives without a record nothing is left.
static RECORD: Script = Script::new(
    "local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local half, keep = tonumber(ARGV[2]), tonumber(ARGV[3])
local base = tonumber(redis.call('GET', KEYS[2]) or false)
if not base then
  redis.call('DEL', KEYS[1])
  base = now
end
local ages = (now - base) / half
if ages > 500 then
  local members = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
  local factor = 2 ^ -math.min(ages, 1000)
  for i = 1, #members, 2 do
    redis.call('ZADD', KEYS[1], string.format('%.17g', tonumber(members[i + 1]) * factor), members[i])
  end
  base, ages = now, 0
end
for i = 4, #ARGV, 2 do
  redis.call('ZINCRBY', KEYS[1], string.format('%.17g', tonumber(ARGV[i]) * 2 ^ ages), ARGV[i + 1])
end
local count = redis.call('ZCARD', KEYS[1])
if count > keep + keep / 4 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, count - keep - 1) end
local life = string.format('%.0f', 50 * half)
redis.call('PEXPIRE', KEYS[1], life)
redis.call('SET', KEYS[2], string.format('%.0f', base), 'PX', life)
return count",
);

/// Arguments: the time, the half-life, how many.
static TOP: Script = Script::idempotent(
    "local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local base = tonumber(redis.call('GET', KEYS[2]) or false)
if not base then return {} end
local factor = 2 ^ ((base - now) / tonumber(ARGV[2]))
local members = redis.call('ZREVRANGE', KEYS[1], 0, tonumber(ARGV[3]) - 1, 'WITHSCORES')
for i = 2, #members, 2 do members[i] = string.format('%.17g', tonumber(members[i]) * factor) end
return members",
);

/// The most popular members of many, by weights that are worth half as much after each half-life.
///
/// On the server lie at most five members for each of the `k`, and 100 more, in one sorted set: a cluster serves it from one node.
///
/// ```no_run
/// use scrubjay::Remote;
/// use scrubjay::coordination::Coordinator;
/// use std::time::Duration;
///
/// # async fn run() -> Result<(), scrubjay::Error> {
/// let shared = Coordinator::connect(Remote::url("redis://redis.internal"))?;
/// let articles = shared.popularity("articles", Duration::from_secs(3600), 100)?;
/// articles.record("jays-cache-food", 1.0).await?;
/// for (article, weight) in articles.top(10).await? {
///     println!("{weight:8.2} {}", String::from_utf8_lossy(&article));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Popularity {
    shared: Arc<Shared>,
    name: Arc<[u8]>,
    /// The set, and when its scores count as they are.
    keys: [Arc<[u8]>; 2],
    half_life_ms: u64,
    k: usize,
}

impl Popularity {
    pub(super) fn new(shared: &Arc<Shared>, name: &[u8], half_life: Duration, k: usize) -> Result<Popularity, Error> {
        names::check("popularity", name)?;
        if !(1..=K_MAX).contains(&k) {
            return Err(Error::invalid(format!("popularity.k is {k}, must be 1..={K_MAX}")));
        }
        if !(HALF_LIFE_MIN..=HALF_LIFE_MAX).contains(&half_life) {
            return Err(Error::invalid(format!(
                "popularity.half_life is {half_life:?}, must be {HALF_LIFE_MIN:?}..={HALF_LIFE_MAX:?}"
            )));
        }
        let set = names::key(&shared.prefix, "popular", None, name);
        let base = [&*set, b"!base"].concat();
        let half_life_ms = crate::limits::milliseconds("popularity.half_life", half_life)?;
        let keys = [set.into(), base.into()];
        Ok(Popularity { shared: Arc::clone(shared), name: name.into(), keys, half_life_ms, k })
    }

    /// Counts one member.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): the member is empty or longer than 256 bytes, or the weight is not above 0 and at most
    /// 10^12. [`Unavailable`](crate::ErrorKind::Unavailable): it may have been counted.
    pub async fn record(&self, member: impl AsRef<[u8]>, weight: f64) -> Result<(), Error> {
        self.record_at(&[(member, weight)], None).await
    }

    /// The same for many, in pieces of 512 that are atomic.
    ///
    /// # Errors
    /// As [`record`](Popularity::record). If one is `Invalid` none is counted; if the server goes away, the first pieces may be.
    pub async fn record_many<N: AsRef<[u8]>>(&self, records: &[(N, f64)]) -> Result<(), Error> {
        self.record_at(records, None).await
    }

    /// The `n` most popular members that are known, `k` at most, the most popular first, with what they weigh now.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    pub async fn top(&self, n: usize) -> Result<Vec<(Vec<u8>, f64)>, Error> {
        self.top_at(n, None).await
    }

    /// At `now_ms` instead of the server's time: for tests.
    pub(super) async fn record_at<N: AsRef<[u8]>>(
        &self,
        records: &[(N, f64)],
        now_ms: Option<u64>,
    ) -> Result<(), Error> {
        for (member, weight) in records {
            names::check("popularity.member", member.as_ref())?;
            if !(*weight > 0.0 && *weight <= WEIGHT_MAX) {
                return Err(Error::invalid(format!("popularity.weight is {weight}, must be above 0 and at most 1e12")));
            }
        }
        let head = [time_of(now_ms), self.half_life_ms.to_string(), (4 * self.k + 100).to_string()];
        for piece in records.chunks(RECORDS_MAX) {
            let weights: Vec<String> = piece.iter().map(|(_, weight)| format!("{weight:e}")).collect();
            let mut args: Vec<&[u8]> = head.iter().map(String::as_bytes).collect();
            for ((member, _), weight) in piece.iter().zip(&weights) {
                args.extend([weight.as_bytes(), member.as_ref()]);
            }
            self.shared.script(&RECORD, &self.keys(), &args).await?;
        }
        Ok(())
    }

    /// The same.
    pub(super) async fn top_at(&self, n: usize, now_ms: Option<u64>) -> Result<Vec<(Vec<u8>, f64)>, Error> {
        if n == 0 {
            return Ok(Vec::new());
        }
        let args = [time_of(now_ms), self.half_life_ms.to_string(), n.min(self.k).to_string()];
        let args: [&[u8]; 3] = args.each_ref().map(String::as_bytes);
        let Value::Array(parts) = self.shared.script(&TOP, &self.keys(), &args).await? else { return Err(strange()) };
        let mut top = Vec::with_capacity(parts.len() / 2);
        let mut parts = parts.into_iter();
        while let (Some(member), Some(weight)) = (parts.next(), parts.next()) {
            let (Value::BulkString(member), Value::BulkString(weight)) = (member, weight) else {
                return Err(strange());
            };
            let weight = std::str::from_utf8(&weight).ok().and_then(|digits| digits.parse().ok());
            top.push((member, weight.ok_or_else(strange)?));
        }
        Ok(top)
    }

    fn keys(&self) -> [&[u8]; 2] {
        [&self.keys[0], &self.keys[1]]
    }
}

fn time_of(now_ms: Option<u64>) -> String {
    now_ms.map_or_else(String::new, |now_ms| now_ms.to_string())
}

impl fmt::Debug for Popularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(&self.name);
        let mut shown = f.debug_struct("Popularity");
        shown.field("name", &name).field("half_life_ms", &self.half_life_ms).field("k", &self.k).finish_non_exhaustive()
    }
}
