//! The scripts of the limiters. All arguments are alike: the time in milliseconds (empty: the server's), the cost, what is
//! allowed at most, the window in milliseconds, and what a bucket gets back in it. The answer is: allowed, remaining, retry after, reset
//! after.
//!
//! Every number is whole and below 2^53, where a script's numbers are exact: `most` is at most 10^6, a window 2.6 * 10^9 ms. State is
//! digits with colons between, and has a time to live that ends when it says nothing any more. State of a later time than now, since
//! the server's clock went back, counts as none (windows), or as of now (buckets).

use crate::remote::Script;

/// What each begins with.
macro_rules! with_time {
    ($body:literal) => {
        concat!(
            "local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local cost, most, window, rate = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local function keep(state, ms)
  redis.call('SET', KEYS[1], state, 'PX', string.format('%.0f', math.max(1, ms)))
end
local state = redis.call('GET', KEYS[1])
",
            $body
        )
    };
}

/// State: the number of the window, and what was spent in it.
pub(super) static FIXED_WINDOW: Script = Script::new(with_time!(
    "local index, left = math.floor(now / window), window - now % window
local spent = 0
if state then
  local at, count = string.match(state, '^(%d+):(%d+)$')
  if tonumber(at) == index then spent = tonumber(count) end
end
local allowed = spent + cost <= most
if allowed and cost > 0 then
  spent = spent + cost
  keep(string.format('%.0f:%.0f', index, spent), left)
end
local reset = 0
if spent > 0 then reset = left end
if allowed then return {1, most - spent, 0, reset} end
return {0, math.max(0, most - spent), left, reset}"
));

/// State: the number of the window, what was spent in it, and in the one before. `used` and `room` are in units of 1 / window, so
/// that they are whole.
pub(super) static SLIDING_WINDOW: Script = Script::new(with_time!(
    "local index, gone = math.floor(now / window), now % window
local spent, before = 0, 0
if state then
  local at, count, earlier = string.match(state, '^(%d+):(%d+):(%d+)$')
  at = tonumber(at)
  if at == index then spent, before = tonumber(count), tonumber(earlier)
  elseif at == index - 1 then before = tonumber(count) end
end
local function room() return (most - spent) * window - before * (window - gone) end
local allowed = room() >= cost * window
if allowed and cost > 0 then
  spent = spent + cost
  keep(string.format('%.0f:%.0f:%.0f', index, spent, before), 2 * window - gone)
end
local reset = 0
if spent > 0 then reset = 2 * window - gone elseif before > 0 then reset = window - gone end
local remaining = math.max(0, math.floor(room() / window))
if allowed then return {1, remaining, 0, reset} end
local free = most - spent - cost
if free >= 0 then
  return {0, remaining, math.max(1, window - gone - math.floor(free * window / before)), reset}
end
local later = math.max(0, window - math.floor((most - cost) * window / spent))
return {0, remaining, math.max(1, window - gone + later), reset}"
));

/// State: what is in the bucket, in units of 1 / window, and when that was so.
pub(super) static TOKEN_BUCKET: Script = Script::new(with_time!(
    "local full = most * window
local level, is_back = full, false
if state then
  local units, at = string.match(state, '^(%d+):(%d+)$')
  is_back = tonumber(at) > now
  local gone = math.min(math.max(0, now - tonumber(at)), math.ceil(full / rate))
  level = math.min(full, tonumber(units) + gone * rate)
end
local wanted = cost * window
local allowed = level >= wanted
local function until_level(target) return math.max(0, math.ceil((target - level) / rate)) end
if allowed then level = level - wanted end
if is_back or allowed and cost > 0 then
  keep(string.format('%.0f:%.0f', level, now), until_level(full))
end
local retry = 0
if not allowed then retry = until_level(wanted) end
local answer = 0
if allowed then answer = 1 end
return {answer, math.floor(level / window), retry, until_level(full)}"
));

pub(super) static RESET: Script = Script::idempotent("return redis.call('DEL', KEYS[1])");
