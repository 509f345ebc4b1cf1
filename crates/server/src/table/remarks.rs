//! What is true of few rows only, beside the rows: tips for clients, deprecations, differences from Redis.
//!
//! Keyed by full name (`config|set`). A test checks that every name here is a row or one that Redis has.

/// What COMMAND INFO, COMMAND DOCS and the compatibility page say of a command besides its row.
pub(crate) struct Remark {
    pub(crate) name: &'static str,
    /// Hints for clients and proxies, as COMMAND INFO lists them.
    pub(crate) tips: &'static [&'static str],
    /// Since when not to use it, and what to use instead.
    pub(crate) deprecated: Option<(&'static str, &'static str)>,
    /// Where the command answers otherwise than Redis 7.2 does.
    pub(crate) differences: &'static str,
}

const PLAIN: Remark = Remark { name: "", tips: &[], deprecated: None, differences: "" };

const fn tips(name: &'static str, tips: &'static [&'static str]) -> Remark {
    Remark { name, tips, ..PLAIN }
}

const fn deprecated(name: &'static str, since: &'static str, instead: &'static str) -> Remark {
    Remark { name, deprecated: Some((since, instead)), ..PLAIN }
}

const fn differs(name: &'static str, tips: &'static [&'static str], differences: &'static str) -> Remark {
    Remark { name, tips, differences, ..PLAIN }
}

const RANDOM: &str = "nondeterministic_output";
const RANDOM_ORDER: &str = "nondeterministic_output_order";
const ALL_SHARDS: &str = "request_policy:all_shards";
const ALL_NODES: &str = "request_policy:all_nodes";
const MULTI_SHARD: &str = "request_policy:multi_shard";
const ALL_SUCCEEDED: &str = "response_policy:all_succeeded";
const SPECIAL: &str = "response_policy:special";
const SUM: &str = "response_policy:agg_sum";
const MIN: &str = "response_policy:agg_min";

static REMARKS: &[Remark] = &[
    differs(
        "bitfield",
        &[],
        "OVERFLOW SAT with a SET to a signed field saturates numbers near -2^63 to the least the field holds; \
         Redis overflows in the check and stores the largest.",
    ),
    tips("client|info", &[RANDOM]),
    tips("client|list", &[RANDOM]),
    tips("command", &[RANDOM_ORDER]),
    tips("command|docs", &[RANDOM_ORDER]),
    tips("command|info", &[RANDOM_ORDER]),
    tips("command|list", &[RANDOM_ORDER]),
    tips("config|set", &[ALL_NODES, ALL_SUCCEEDED]),
    tips("dbsize", &[ALL_SHARDS, SUM]),
    differs(
        "debug",
        &[],
        "Only the subcommands that tests use; nothing that crashes the server on purpose. Local clients may by default.",
    ),
    tips("del", &[MULTI_SHARD, SUM]),
    tips("dump", &[RANDOM]),
    tips("exists", &[MULTI_SHARD, SUM]),
    tips("flushall", &[ALL_SHARDS, ALL_SUCCEEDED]),
    tips("flushdb", &[ALL_SHARDS, ALL_SUCCEEDED]),
    differs(
        "function",
        &[],
        "There are no functions yet: `FLUSH` and `LIST` answer as a server without any, the other subcommands are unknown.",
    ),
    tips("function|flush", &[ALL_SHARDS, ALL_SUCCEEDED]),
    tips("function|list", &[RANDOM_ORDER]),
    deprecated("getset", "6.2.0", "`SET` with the `!GET` argument"),
    tips("info", &[RANDOM, ALL_SHARDS, SPECIAL]),
    tips("keys", &[ALL_SHARDS, RANDOM_ORDER]),
    tips("lastsave", &[RANDOM]),
    tips("latency|doctor", &[RANDOM, ALL_NODES, SPECIAL]),
    tips("latency|graph", &[RANDOM, ALL_NODES, SPECIAL]),
    tips("latency|histogram", &[RANDOM, ALL_NODES, SPECIAL]),
    tips("latency|history", &[RANDOM, ALL_NODES, SPECIAL]),
    tips("latency|latest", &[RANDOM, ALL_NODES, SPECIAL]),
    tips("latency|reset", &[ALL_NODES, ALL_SUCCEEDED]),
    tips("memory|doctor", &[RANDOM, ALL_SHARDS, SPECIAL]),
    differs(
        "memory|malloc-stats",
        &[RANDOM, ALL_SHARDS, SPECIAL],
        "Says that the allocator keeps no statistics, as Redis without jemalloc does.",
    ),
    tips("memory|purge", &[ALL_SHARDS, ALL_SUCCEEDED]),
    differs(
        "memory|stats",
        &[RANDOM, ALL_SHARDS, SPECIAL],
        "Fields of parts that Scrubjay does not have are 0; the allocator's are those of the operating system.",
    ),
    differs("memory|usage", &[], "Counts what the entry takes in Scrubjay's own layout, less than in Redis."),
    tips("mget", &[MULTI_SHARD]),
    tips("module|list", &[RANDOM_ORDER]),
    tips("mset", &[MULTI_SHARD, ALL_SUCCEEDED]),
    tips("msetnx", &[MULTI_SHARD, MIN]),
    tips("object|encoding", &[RANDOM]),
    tips("object|freq", &[RANDOM]),
    tips("object|idletime", &[RANDOM]),
    tips("object|refcount", &[RANDOM]),
    tips("ping", &[ALL_SHARDS, ALL_SUCCEEDED]),
    deprecated("psetex", "2.6.12", "`SET` with the `PX` argument"),
    tips("pttl", &[RANDOM]),
    deprecated("quit", "7.2.0", "just closing the connection"),
    tips("randomkey", &[ALL_SHARDS, SPECIAL, RANDOM]),
    differs("replicaof", &[], "Only `NO ONE`: there is no replication."),
    tips("scan", &[RANDOM, "request_policy:special", SPECIAL]),
    deprecated("setex", "2.6.12", "`SET` with the `EX` argument"),
    deprecated("setnx", "2.6.12", "`SET` with the `NX` argument"),
    Remark {
        name: "slaveof",
        tips: &[],
        deprecated: Some(("5.0.0", "`REPLICAOF`")),
        differences: "Only `NO ONE`: there is no replication.",
    },
    tips("slowlog|get", &[ALL_NODES, RANDOM]),
    tips("slowlog|len", &[ALL_NODES, SUM, RANDOM]),
    tips("slowlog|reset", &[ALL_NODES, ALL_SUCCEEDED]),
    deprecated("substr", "2.0.0", "`GETRANGE`"),
    tips("time", &[RANDOM]),
    tips("touch", &[MULTI_SHARD, SUM]),
    tips("ttl", &[RANDOM]),
    tips("unlink", &[MULTI_SHARD, SUM]),
    tips("wait", &[ALL_SHARDS, MIN]),
    tips("waitaof", &[ALL_SHARDS, MIN]),
];

/// What there is to say of the command `full_name`.
pub(crate) fn of(full_name: &str) -> &'static Remark {
    static NOTHING: Remark = PLAIN;
    REMARKS.iter().find(|remark| remark.name == full_name).unwrap_or(&NOTHING)
}
