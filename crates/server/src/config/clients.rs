//! Settings of what clients may do and cost.

use super::setting::{Setting, int, lines, memory, output_limits, text};

pub(crate) static ROWS: &[Setting] = &[
    text("requirepass", "", "The password that AUTH must give; empty asks for none."),
    int("databases", 1, 16_384, "16", "Databases that SELECT can choose from.").at_start(),
    int("maxclients", 1, 2_147_483_647, "10000", "Clients that may be connected at once."),
    int("timeout", 0, 2_147_483_647, "0", "Seconds after which an idle client is disconnected; 0 never."),
    output_limits(
        "client-output-buffer-limit",
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        "Per class of clients (`normal`, `replica`, `pubsub`): the bytes of waiting output above which a client is \
         disconnected at once, and those above which it is after so many seconds; 0 is no limit.",
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
    .at_start(),
];
