//! Settings that Redis has, that clients, tools and files set, and that change nothing here.
//!
//! Only what stays true is accepted: a setting whose other values would promise something takes its harmless value alone.

use super::check;
use super::setting::{Setting, int, memory, one_of, text, words, yes_no};

const MAX: i64 = i64::MAX;
const INT_MAX: i64 = 2_147_483_647;

const ENCODING: &str = "Encoding of types that this version does not have.";
const LAZYFREE: &str = "Memory is always given back where it is cheap; there is no second thread for it.";
const REPLICATION: &str = "Part of replication, which this version does not have.";
const AOF: &str = "Part of the append-only file, which this version does not have.";
const CLUSTER: &str = "Part of Redis Cluster, which this version does not have.";
const DEFRAG: &str = "Part of active defragmentation, which this version does not have.";
const EVICTION: &str = "Part of eviction, which this version does not have.";
const PROCESS: &str = "Concerns how Redis runs as a process; nothing here depends on it.";

const NO_REPLICATION: &str = "replication is not part of this version";
const NO_CLUSTER: &str = "cluster mode is not part of this version";

pub(crate) static PROMISES: &[Setting] = &[
    yes_no("daemonize", "no", "Running in the background is a service manager's work.").at_start().only(
        "no",
        "only 'no' is accepted: use a service manager (systemd, a container) to run the server in the background; \
         `--daemonize no` behind the file wins over its line",
    ),
    one_of("supervised", &["no", "upstart", "systemd", "auto"], "no", "The server signals no supervisor.")
        .at_start()
        .only("no", "only 'no' is accepted: the server signals no supervisor; systemd's Type=simple needs none"),
    yes_no("appendonly", "no", "The append-only file comes later.").only(
        "no",
        "only 'no' is accepted: the append-only file comes in a later version; 'save' and 'snapshot-cron' keep snapshots",
    ),
    yes_no("cluster-enabled", "no", CLUSTER).at_start().only("no", NO_CLUSTER),
    words("replicaof", "", REPLICATION).at_start().also(&["slaveof"]).only("", NO_REPLICATION),
    int("min-replicas-to-write", 0, INT_MAX, "0", REPLICATION)
        .also(&["min-slaves-to-write"])
        .only("0", "only 0 is accepted: replication is not part of this version, so that no write would ever be allowed"),
    text("notify-keyspace-events", "", "Keyspace notifications come with Pub/Sub.")
        .only("", "only the empty value is accepted: keyspace notifications come later, together with Pub/Sub"),
    text("maxmemory-clients", "0", "Clients are bounded one by one, not in sum.").check(check::memory_of_clients),
    yes_no("activedefrag", "no", DEFRAG).only("no", "only 'no' is accepted: there is no active defragmentation"),
    yes_no("syslog-enabled", "no", "The log goes to a file or to standard output.")
        .at_start()
        .only("no", "only 'no' is accepted: the log goes to 'logfile' or to standard output"),
    text("aclfile", "", "There is one user, `default`, and its password is `requirepass`.")
        .at_start()
        .only("", "users of their own are not part of this version: there is one user, whose password is 'requirepass'"),
    int("tls-port", 0, 65_535, "0", "TLS is a proxy's work for now.")
        .only("0", "only 0 is accepted: TLS is not part of this version; put a TLS proxy before the server"),
    one_of("oom-score-adj", &["no", "yes", "relative", "absolute"], "no", PROCESS)
        .only("no", "only 'no' is accepted: set the score where the process is started (systemd's OOMScoreAdjust)"),
    text("shutdown-on-sigint", "default", "A signal saves when there are save points, as Redis does by default.")
        .only("default", "only 'default' is accepted"),
    text("shutdown-on-sigterm", "default", "A signal saves when there are save points, as Redis does by default.")
        .only("default", "only 'default' is accepted"),
];

pub(crate) static WITHOUT_EFFECT: &[Setting] = &[
    int("hash-max-listpack-entries", 0, MAX, "512", ENCODING).also(&["hash-max-ziplist-entries"]),
    int("hash-max-listpack-value", 0, MAX, "64", ENCODING).also(&["hash-max-ziplist-value"]),
    int("list-max-listpack-size", -INT_MAX - 1, INT_MAX, "-2", ENCODING).also(&["list-max-ziplist-size"]),
    int("list-compress-depth", 0, INT_MAX, "0", ENCODING),
    int("set-max-intset-entries", 0, MAX, "512", ENCODING),
    int("set-max-listpack-entries", 0, MAX, "128", ENCODING),
    int("set-max-listpack-value", 0, MAX, "64", ENCODING),
    int("zset-max-listpack-entries", 0, MAX, "128", ENCODING).also(&["zset-max-ziplist-entries"]),
    int("zset-max-listpack-value", 0, MAX, "64", ENCODING).also(&["zset-max-ziplist-value"]),
    memory("hll-sparse-max-bytes", 0, MAX, "3000", ENCODING),
    memory("stream-node-max-bytes", 0, MAX, "4096", ENCODING),
    int("stream-node-max-entries", 0, MAX, "100", ENCODING),
    yes_no("activerehashing", "yes", "Tables grow segment by segment; there is no rehashing to hurry."),
    int("hz", 1, 500, "10", "Every thread does its background work ten times a second.").clamped(),
    yes_no("dynamic-hz", "yes", "Background work is shared out over all threads already."),
    yes_no("lazyfree-lazy-eviction", "no", LAZYFREE),
    yes_no("lazyfree-lazy-expire", "no", LAZYFREE),
    yes_no("lazyfree-lazy-server-del", "no", LAZYFREE),
    yes_no("lazyfree-lazy-user-del", "no", LAZYFREE),
    yes_no("lazyfree-lazy-user-flush", "no", LAZYFREE),
    int("maxmemory-samples", 1, 64, "5", EVICTION),
    int("maxmemory-eviction-tenacity", 0, 100, "10", EVICTION),
    int("lfu-log-factor", 0, INT_MAX, "10", EVICTION),
    int("lfu-decay-time", 0, INT_MAX, "1", EVICTION),
    int("active-defrag-cycle-min", 1, 99, "1", DEFRAG),
    int("active-defrag-cycle-max", 1, 99, "25", DEFRAG),
    int("active-defrag-threshold-lower", 0, 1000, "10", DEFRAG),
    int("active-defrag-threshold-upper", 0, 1000, "100", DEFRAG),
    int("active-defrag-max-scan-fields", 1, MAX, "1000", DEFRAG),
    memory("active-defrag-ignore-bytes", 1, MAX, "100mb", DEFRAG),
    int("busy-reply-threshold", 0, MAX, "5000", "Scripts are not part of this version.").also(&["lua-time-limit"]),
    one_of(
        "sanitize-dump-payload",
        &["no", "yes", "clients"],
        "no",
        "What RESTORE is given is always checked in full.",
    ),
    one_of("acl-pubsub-default", &["allchannels", "resetchannels"], "resetchannels", "There is one user only."),
    int("acllog-max-len", 0, MAX, "128", "There is no ACL log."),
    text("appendfilename", "appendonly.aof", AOF).at_start(),
    text("appenddirname", "appendonlydir", AOF).at_start(),
    one_of("appendfsync", &["everysec", "always", "no"], "everysec", AOF),
    yes_no("no-appendfsync-on-rewrite", "no", AOF),
    int("auto-aof-rewrite-percentage", 0, INT_MAX, "100", AOF),
    memory("auto-aof-rewrite-min-size", 0, MAX, "64mb", AOF),
    yes_no("aof-load-truncated", "yes", AOF),
    yes_no("aof-use-rdb-preamble", "yes", AOF),
    yes_no("aof-timestamp-enabled", "no", AOF),
    yes_no("aof-rewrite-incremental-fsync", "yes", AOF),
    yes_no("aof-disable-auto-gc", "no", AOF),
    yes_no("rdb-save-incremental-fsync", "yes", "Snapshots are written without piling up dirty pages already."),
    yes_no("rdb-del-sync-files", "no", REPLICATION),
    int("min-replicas-max-lag", 0, INT_MAX, "10", REPLICATION).also(&["min-slaves-max-lag"]),
    text("masterauth", "", REPLICATION).secret(),
    text("masteruser", "", REPLICATION).secret(),
    int("repl-ping-replica-period", 1, INT_MAX, "10", REPLICATION).also(&["repl-ping-slave-period"]),
    int("repl-timeout", 1, INT_MAX, "60", REPLICATION),
    memory("repl-backlog-size", 1, MAX, "1mb", REPLICATION),
    int("repl-backlog-ttl", 0, MAX, "3600", REPLICATION),
    yes_no("repl-disable-tcp-nodelay", "no", REPLICATION),
    yes_no("repl-diskless-sync", "yes", REPLICATION),
    int("repl-diskless-sync-delay", 0, INT_MAX, "5", REPLICATION),
    int("repl-diskless-sync-max-replicas", 0, INT_MAX, "0", REPLICATION),
    one_of("repl-diskless-load", &["disabled", "on-empty-db", "swapdb"], "disabled", REPLICATION),
    yes_no("replica-serve-stale-data", "yes", REPLICATION).also(&["slave-serve-stale-data"]),
    yes_no("replica-read-only", "yes", REPLICATION).also(&["slave-read-only"]),
    yes_no("replica-lazy-flush", "no", REPLICATION).also(&["slave-lazy-flush"]),
    yes_no("replica-ignore-maxmemory", "yes", REPLICATION).also(&["slave-ignore-maxmemory"]),
    yes_no("replica-ignore-disk-write-errors", "no", REPLICATION),
    one_of("propagation-error-behavior", &["ignore", "panic", "panic-on-replicas"], "ignore", REPLICATION),
    yes_no("replica-announced", "yes", REPLICATION),
    int("replica-priority", 0, INT_MAX, "100", REPLICATION).also(&["slave-priority"]),
    text("replica-announce-ip", "", REPLICATION).also(&["slave-announce-ip"]),
    int("replica-announce-port", 0, 65_535, "0", REPLICATION).also(&["slave-announce-port"]),
    text("cluster-config-file", "nodes.conf", CLUSTER).at_start(),
    int("cluster-node-timeout", 0, MAX, "15000", CLUSTER),
    int("cluster-replica-validity-factor", 0, INT_MAX, "10", CLUSTER).also(&["cluster-slave-validity-factor"]),
    int("cluster-migration-barrier", 0, INT_MAX, "1", CLUSTER),
    yes_no("cluster-require-full-coverage", "yes", CLUSTER),
    yes_no("cluster-replica-no-failover", "no", CLUSTER).also(&["cluster-slave-no-failover"]),
    yes_no("cluster-allow-reads-when-down", "no", CLUSTER),
    yes_no("cluster-allow-pubsubshard-when-down", "yes", CLUSTER),
    yes_no("cluster-allow-replica-migration", "yes", CLUSTER),
    memory("cluster-link-sendbuf-limit", 0, MAX, "0", CLUSTER),
    text("cluster-announce-ip", "", CLUSTER),
    text("cluster-announce-hostname", "", CLUSTER),
    int("cluster-announce-port", 0, 65_535, "0", CLUSTER),
    int("cluster-announce-bus-port", 0, 65_535, "0", CLUSTER),
    int("cluster-announce-tls-port", 0, 65_535, "0", CLUSTER),
    text("cluster-announce-human-nodename", "", CLUSTER),
    one_of("cluster-preferred-endpoint-type", &["ip", "hostname", "unknown-endpoint"], "ip", CLUSTER),
    int("cluster-port", 0, 65_535, "0", CLUSTER).at_start(),
    yes_no("io-threads-do-reads", "no", "Every thread reads, runs and writes already.").at_start(),
    text("bind-source-addr", "", REPLICATION),
    text("syslog-ident", "redis", PROCESS).at_start(),
    text("syslog-facility", "local0", PROCESS).at_start(),
    words("oom-score-adj-values", "0 200 800", PROCESS),
    yes_no("disable-thp", "yes", PROCESS).at_start(),
    yes_no("set-proc-title", "yes", PROCESS).at_start(),
    text("proc-title-template", "{title} {listen-addr} {server-mode}", PROCESS),
    yes_no("always-show-logo", "no", PROCESS).at_start(),
    yes_no("jemalloc-bg-thread", "yes", "The data does not live in jemalloc."),
    yes_no("crash-log-enabled", "yes", PROCESS),
    yes_no("crash-memcheck-enabled", "yes", PROCESS),
    yes_no("use-exit-on-panic", "no", PROCESS),
    text("locale-collate", "", "Nothing here sorts by the rules of a language."),
    words("ignore-warnings", "", PROCESS),
    int("shutdown-timeout", 0, INT_MAX, "10", REPLICATION),
    int("socket-mark-id", 0, 4_294_967_295, "0", PROCESS).at_start(),
    text("server_cpulist", "", PROCESS).at_start(),
    text("bio_cpulist", "", PROCESS).at_start(),
    text("aof_rewrite_cpulist", "", PROCESS).at_start(),
    text("bgsave_cpulist", "", PROCESS).at_start(),
    one_of("enable-module-command", &["no", "yes", "local"], "no", "Modules are not part of this version.").at_start(),
];
