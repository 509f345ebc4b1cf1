//! What is done on the server as one: each act is a script whose keys are declared and lie in one slot.
//!
//! Every script answers with an array that begins with one of the codes of [`Answer`]. The last two arguments of those that change
//! something are the channel on which they publish it, or nothing, and the message.
//!
//! What makes them safe, whoever calls them in whatever order:
//! - A load's result is stored only while its token lies in the lease. Whatever removes or writes the entry deletes the lease.
//! - A write without a lease, and the taking of one, has a **deadline** by the server's clock. It may lie in a socket that a
//!   proxy holds back while its sender has long done something else; after its deadline the server refuses it.
//! - What replaces a write of which nobody knows whether it was done is not done before that one's deadline is over (the
//!   **fence**).
//! - A removal leaves a tombstone for a while: a write from before it, replayed by a process that was cut off, is refused.
//! - If there is no memory for a new value the old one goes: a miss, never what was true before.

use super::link::{Link, Script, ScriptCall, Trouble};
use super::names::KeyNames;
use bytes::Bytes;
use redis::Value;

/// How long a removal is remembered.
pub(super) const TOMBSTONE_MS: u64 = 30_000;

/// What is to be done about a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act<'a> {
    /// Take the lease, unless there is an entry other than the one `seen`, or somebody has it.
    Begin { token: &'a [u8], lease_ms: u64, seen: Option<Seen<'a>> },
    /// Keep the lease.
    Renew { token: &'a [u8], lease_ms: u64 },
    /// Give the lease back; `is_outdated`: with it what is there goes.
    Release { token: &'a [u8], is_outdated: bool },
    /// Store the result of the load that has the lease.
    Fill { token: &'a [u8], value: &'a [u8], px: Option<u64> },
    /// Store, whoever loads.
    Insert { value: &'a [u8], px: Option<u64> },
    /// Remove, whoever loads. Not before the fence is over.
    Remove { fence_ms: u64 },
    /// Store what was written `age_ms` ago, unless something was removed or stored since.
    Replay { value: &'a [u8], px: Option<u64>, stored_at_ms: u64, age_ms: u64, fence_ms: u64 },
}

/// An entry that was found and is of no use.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen<'a> {
    /// Its last four bytes, which are its checksum.
    Tail(&'a [u8]),
    /// All of it: in raw mode there is no checksum.
    Whole(&'a [u8]),
}

/// What goes with every act.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// By the server's clock.
    pub(super) deadline_ms: u64,
    /// The channel, if there is one, and who is speaking.
    pub(super) publish: Option<(Vec<u8>, [u8; 16])>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Not done: the lease is another's, nothing was there, something newer is there.
    Nothing,
    Done,
    /// Another value is there, and it lives for so many milliseconds; less than 0 for ever.
    Value(Bytes, i64),
    /// Somebody has the lease, for so many milliseconds yet.
    Held(u64),
    /// The deadline was over, at this time of the server's.
    Late(u64),
    /// The fence was not over, at this time of the server's.
    Early(u64),
    /// No memory for it.
    Oom,
    /// What is there is of another type.
    Unusable,
}

macro_rules! script {
    ($body:literal) => {
        concat!(
            "local function now()
               local time = redis.call('TIME')
               return time[1] * 1000 + math.floor(time[2] / 1000)
             end
             local function tell()
               if ARGV[#ARGV - 1] ~= '' then redis.pcall('PUBLISH', ARGV[#ARGV - 1], ARGV[#ARGV]) end
             end
             local function store(key, value, px)
               local done
               if px == '' then done = redis.pcall('SET', key, value)
               else done = redis.pcall('SET', key, value, 'PX', px) end
               return done.err
             end
             local function is_oom(err) return string.find(err, 'OOM', 1, true) end
             ",
            $body
        )
    };
}

static BEGIN: Script = Script::new(script!(
    "local value = redis.pcall('GET', KEYS[1])
     if type(value) == 'table' then
       if string.find(value.err, 'WRONGTYPE', 1, true) then return {7} end
       return redis.error_reply(value.err)
     end
     if value then
       local how, seen = string.sub(ARGV[3], 1, 1), string.sub(ARGV[3], 2)
       local is_known = (how == 't' and seen == string.sub(value, -4)) or (how == 'w' and seen == value)
       if not is_known then return {2, value, redis.call('PTTL', KEYS[1])} end
     end
     local held = redis.call('PTTL', KEYS[2])
     if held >= 0 then return {3, held} end
     local time = now()
     if time > tonumber(ARGV[4]) then return {4, time} end
     local err = store(KEYS[2], ARGV[1], ARGV[2])
     if err then
       if is_oom(err) then return {6} end
       return redis.error_reply(err)
     end
     return {1}"
));

static RENEW: Script = Script::idempotent(script!(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
     redis.call('PEXPIRE', KEYS[1], ARGV[2])
     return {1}"
));

static RELEASE: Script = Script::idempotent(script!(
    "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {0} end
     redis.call('DEL', KEYS[2])
     if ARGV[2] ~= '' then
       redis.call('UNLINK', KEYS[1])
       store(KEYS[4], '', ARGV[2])
     end
     redis.pcall('SET', KEYS[3], '')
     redis.call('DEL', KEYS[3])
     tell()
     return {1}"
));

static FILL: Script = Script::new(script!(
    "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {0} end
     local err = store(KEYS[1], ARGV[2], ARGV[3])
     if err and not is_oom(err) then return redis.error_reply(err) end
     if err then redis.call('UNLINK', KEYS[1]) end
     redis.call('DEL', KEYS[2])
     tell()
     if err then return {6} end
     return {1}"
));

static INSERT: Script = Script::new(script!(
    "local time = now()
     if time > tonumber(ARGV[3]) then return {4, time} end
     local err = store(KEYS[1], ARGV[1], ARGV[2])
     if err and not is_oom(err) then return redis.error_reply(err) end
     if err then redis.call('UNLINK', KEYS[1]) end
     redis.call('DEL', KEYS[2])
     tell()
     if err then return {6} end
     return {1}"
));

// The news of a key that only memory tiers have, and the tombstone, are written last: with no memory for them, what was to go
// is gone, and it is said that the rest was not done.
static REMOVE: Script = Script::idempotent(script!(
    "local time = now()
     if time <= tonumber(ARGV[1]) then return {5, time} end
     local existed = redis.call('UNLINK', KEYS[1])
     redis.call('DEL', KEYS[2])
     local err
     if existed == 0 then
       err = store(KEYS[3], '', '')
       redis.call('DEL', KEYS[3])
     end
     err = store(KEYS[4], string.format('%.0f', time), ARGV[2]) or err
     tell()
     if err and is_oom(err) then return {6} end
     if err then return redis.error_reply(err) end
     return {existed}"
));

// What is refused since it may have been removed still shows that what is there is older: that goes, or whoever wrote the later one would
// read the earlier.
static REPLAY: Script = Script::new(script!(
    "local time = now()
     if time > tonumber(ARGV[5]) then return {4, time} end
     if time <= tonumber(ARGV[6]) then return {5, time} end
     local value = redis.pcall('GETRANGE', KEYS[1], 0, 23)
     if type(value) == 'table' then return {7} end
     if value ~= '' then
       if #value < 24 or string.sub(value, 1, 2) ~= 'SJ' then return {0} end
       local stored_at = 0
       for i = 24, 17, -1 do stored_at = stored_at * 256 + string.byte(value, i) end
       if stored_at > tonumber(ARGV[3]) then return {0} end
     end
     local removed = redis.call('GET', KEYS[3])
     if removed and tonumber(removed) >= time - tonumber(ARGV[4]) then
       if value ~= '' then
         redis.call('UNLINK', KEYS[1])
         redis.call('DEL', KEYS[2])
         tell()
       end
       return {0}
     end
     local err = store(KEYS[1], ARGV[1], ARGV[2])
     if err and not is_oom(err) then return redis.error_reply(err) end
     if err then redis.call('UNLINK', KEYS[1]) end
     redis.call('DEL', KEYS[2])
     tell()
     if err then return {6} end
     return {1}"
));

static RAISE: Script = Script::new(
    "local head = redis.call('GETRANGE', KEYS[1], 0, 63)
     if #head < 64 then return {0} end
     local number = tonumber(string.sub(head, 17, 32)) + 1
     local sequence, place = string.format('%016.0f', number), tonumber(ARGV[1])
     if place == 8192 then
       local ms = math.max(tonumber(string.sub(head, 49, 64)), tonumber(ARGV[2]))
       redis.call('SETRANGE', KEYS[1], 16, sequence .. sequence .. string.format('%016.0f', ms))
     else
       redis.call('SETRANGE', KEYS[1], 16, sequence)
       redis.call('SETRANGE', KEYS[1], 6208 + 16 * place, sequence)
     end
     redis.call('SETRANGE', KEYS[1], 64 + 24 * (number % 256), sequence .. string.format('%08d', place))
     if ARGV[3] ~= '' then redis.pcall('PUBLISH', ARGV[3], ARGV[4]) end
     return {2, string.sub(head, 1, 16) .. sequence, -1}",
);

static REPLACE: Script = Script::idempotent(
    "if redis.call('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then return {0} end
     redis.call('SET', KEYS[1], ARGV[2])
     if ARGV[3] ~= '' then redis.pcall('PUBLISH', ARGV[3], ARGV[4]) end
     return {1}",
);

impl Seen<'_> {
    fn encode(seen: Option<Seen<'_>>) -> Vec<u8> {
        match seen {
            None => b"n".to_vec(),
            Some(Seen::Tail(tail)) => [b"t", tail].concat(),
            Some(Seen::Whole(whole)) => [b"w", whole].concat(),
        }
    }
}

impl Terms {
    /// Who is told what of it, if somebody is: 'k' a key was changed, 'f' its lease is free, 't' something was raised.
    pub(super) fn message(&self, kind: u8, what: &[u8]) -> (Vec<u8>, Vec<u8>) {
        match &self.publish {
            Some((channel, origin)) => (channel.clone(), [&origin[..], &[kind], what].concat()),
            None => (Vec::new(), Vec::new()),
        }
    }
}

impl Act<'_> {
    /// The script that does it.
    pub(super) fn call(&self, key: &[u8], names: &KeyNames, terms: &Terms) -> ScriptCall {
        let KeyNames { data, lease, tombstone, outdated, gone, free } = names;
        let deadline = decimal(terms.deadline_ms);
        let kind = if matches!(self, Act::Release { is_outdated: false, .. }) { b'f' } else { b'k' };
        let (channel, message) = terms.message(kind, key);
        match *self {
            Act::Begin { token, lease_ms, seen } => {
                let args = [token, &decimal(lease_ms), &Seen::encode(seen), &deadline];
                ScriptCall::new(&BEGIN, &[data, lease], &args)
            }
            Act::Renew { token, lease_ms } => ScriptCall::new(&RENEW, &[lease], &[token, &decimal(lease_ms)]),
            Act::Release { token, is_outdated } => {
                // It is not a tombstone: what was written while the load ran is not older than what it read.
                let marked_ms = if is_outdated { decimal(TOMBSTONE_MS) } else { Vec::new() };
                ScriptCall::new(&RELEASE, &[data, lease, free, outdated], &[token, &marked_ms, &channel, &message])
            }
            Act::Fill { token, value, px } => {
                ScriptCall::new(&FILL, &[data, lease], &[token, value, &ttl(px), &channel, &message])
            }
            Act::Insert { value, px } => {
                ScriptCall::new(&INSERT, &[data, lease], &[value, &ttl(px), &deadline, &channel, &message])
            }
            Act::Remove { fence_ms } => {
                let args = [&decimal(fence_ms)[..], &decimal(TOMBSTONE_MS), &channel, &message];
                ScriptCall::new(&REMOVE, &[data, lease, gone, tombstone], &args)
            }
            Act::Replay { value, px, stored_at_ms, age_ms, fence_ms } => {
                let (stored_at, age, fence) = (decimal(stored_at_ms), decimal(age_ms), decimal(fence_ms));
                let args = [value, &ttl(px), &stored_at, &age, &deadline, &fence, &channel, &message];
                ScriptCall::new(&REPLAY, &[data, lease, tombstone], &args)
            }
        }
    }
}

/// Raises the sequence: the generation and the new number, or `None` if there are no stamps.
pub(super) async fn raise(
    link: &Link,
    stamps: &[u8],
    place: u16,
    unix_ms: u64,
    terms: &Terms,
) -> Result<Option<(u64, u64)>, Trouble> {
    let (channel, message) = terms.message(b't', b"");
    let args = [&decimal(u64::from(place))[..], &decimal(unix_ms), &channel, &message];
    match answer(link.script(&RAISE, &[stamps], &args).await?)? {
        Answer::Nothing => Ok(None),
        Answer::Value(text, _) => raised(&text).map(Some).ok_or_else(unexpected),
        _ => Err(unexpected()),
    }
}

/// Replaces the stamps by those of `new`, if they are still of that generation.
pub(super) async fn replace(
    link: &Link,
    stamps: &[u8],
    generation: &[u8],
    new: &[u8],
    terms: &Terms,
) -> Result<(), Trouble> {
    let (channel, message) = terms.message(b't', b"");
    answer(link.script(&REPLACE, &[stamps], &[generation, new, &channel, &message]).await?).map(drop)
}

/// Generation and sequence as they stand in the stamps.
pub(super) fn raised(text: &[u8]) -> Option<(u64, u64)> {
    let (generation, sequence) = std::str::from_utf8(text).ok()?.split_at_checked(16)?;
    Some((u64::from_str_radix(generation, 16).ok()?, sequence.get(..16)?.parse().ok()?))
}

/// What a script has answered.
pub(super) fn answer(value: Value) -> Result<Answer, Trouble> {
    let Value::Array(parts) = value else { return Err(unexpected()) };
    let mut parts = parts.into_iter();
    let code = parts.next();
    let number = |part: Option<Value>| match part {
        Some(Value::Int(number)) => Ok(number),
        _ => Err(unexpected()),
    };
    let unsigned = |part| number(part).map(|number| u64::try_from(number).unwrap_or(0));
    match number(code)? {
        0 => Ok(Answer::Nothing),
        1 => Ok(Answer::Done),
        2 => match parts.next() {
            Some(Value::BulkString(bytes)) => Ok(Answer::Value(bytes.into(), number(parts.next())?)),
            _ => Err(unexpected()),
        },
        3 => Ok(Answer::Held(unsigned(parts.next())?)),
        4 => Ok(Answer::Late(unsigned(parts.next())?)),
        5 => Ok(Answer::Early(unsigned(parts.next())?)),
        6 => Ok(Answer::Oom),
        7 => Ok(Answer::Unusable),
        _ => Err(unexpected()),
    }
}

pub(super) fn unexpected() -> Trouble {
    Trouble::Server("an answer of another form than was asked for".into())
}

pub(super) fn decimal(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn ttl(px: Option<u64>) -> Vec<u8> {
    px.map_or_else(Vec::new, |px| decimal(px.max(1)))
}

#[cfg(test)]
mod tests;
