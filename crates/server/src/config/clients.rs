//! Settings of what clients may do and cost.

use super::check;
use super::setting::{Setting, int, lines, memory, one_of, output_limits, text};

const WHO: &[&str] = &["no", "yes", "local"];

pub(crate) static ROWS: &[Setting] = &[
    text("requirepass", "", "The password that AUTH must give; empty asks for none.").secret(),
    int("databases", 1, 16_384, "16", "Databases that SELECT can choose from.").at_start(),
    int("maxclients", 1, 4_294_967_295, "10000", "Clients that may be connected at once."),
    int("timeout", 0, 2_147_483_647, "0", "Seconds after which an idle client is disconnected; 0 never."),
    output_limits(
        "client-output-buffer-limit",
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        "Per class of clients (`normal`, `replica`, `pubsub`): the bytes of waiting output above which a client is \
         disconnected at once, and those above which it is after so many seconds; 0 is no limit. Above the soft mark, or 16 MiB without \
         one, a normal client is not read until it has taken its replies.",
    ),
    memory(
        "client-query-buffer-limit",
        1 << 20,
        i64::MAX,
        "1gb",
        "Bytes of one client's input that may wait for the rest of a request.",
    ),
    memory("proto-max-bulk-len", 1 << 20, i64::MAX, "512mb", "Bytes of the longest argument and the longest value."),
    lines(
        "rename-command",
        "",
        "`name new-name`: a command answers to another name; an empty new name (`\"\"`) takes it away.",
    )
    .at_start()
    .hidden()
    .check(check::renames),
    int(
        "tracking-table-max-keys",
        0,
        i64::MAX,
        "1000000",
        "Keys that are remembered for CLIENT TRACKING; 0 is no limit.",
    ),
    one_of(
        "enable-debug-command",
        WHO,
        "local",
        "Who may use DEBUG: nobody, everybody, or `local` clients (loopback and Unix socket).",
    )
    .at_start(),
    one_of(
        "enable-protected-configs",
        WHO,
        "no",
        "Who may change `dir` and `dbfilename` with CONFIG SET: nobody, everybody, or `local` clients.",
    )
    .at_start(),
];
