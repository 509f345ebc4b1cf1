//! Settings of memory, eviction and expiry.

use super::setting::{Setting, int, memory, one_of, yes_no};

const POLICIES: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
];

pub(crate) static ROWS: &[Setting] = &[
    memory(
        "maxmemory",
        0,
        i64::MAX,
        "0",
        "Bytes that the server may use, buffers included; above it, commands that need memory are refused; 0 is no limit.",
    ),
    one_of("maxmemory-policy", POLICIES, "noeviction", "What happens at `maxmemory`: writes are refused.").only(
        "noeviction",
        "only 'noeviction' works in this version: the evicting policies come later, and are refused until then \
         instead of being accepted and ignored",
    ),
    yes_no("cache-mode", "no", "Dragonfly's name for evicting what is least worth keeping.").only(
        "no",
        "cache mode needs an evicting 'maxmemory-policy'; these come later, and are refused until then instead of being \
         accepted and ignored",
    ),
    int(
        "active-expire-effort",
        1,
        10,
        "1",
        "How much of a round goes into removing keys whose time is over before somebody asks for them.",
    ),
];
