//! Settings of the listeners and the threads behind them.

use super::setting::{Setting, int, octal, text, words, yes_no};

pub(crate) static ROWS: &[Setting] = &[
    words(
        "bind",
        "127.0.0.1 -::1",
        "Addresses to listen on, separated by spaces; `*` and `::*` are all of IPv4 and IPv6; one that starts with `-` \
         may be missing on this machine.",
    )
    .at_start(),
    int("port", 0, 65_535, "6379", "TCP port for clients; 0 listens on no TCP port.").at_start(),
    text("unixsocket", "", "Path of a Unix socket to listen on; empty is none.").at_start(),
    octal("unixsocketperm", 0o777, "0", "Permissions of the Unix socket, in octal; 0 leaves them to the umask.")
        .at_start(),
    int("threads", 0, 1024, "0", "Threads that serve clients; 0 is one per core.")
        .at_start()
        .also(&["io-threads", "proactor-threads"]),
    int("tcp-backlog", 0, 2_147_483_647, "511", "Connections that may wait for being accepted.").at_start(),
    int(
        "tcp-keepalive",
        0,
        2_147_483_647,
        "300",
        "Seconds of silence after which the system probes whether a client is still there; 0 never.",
    ),
    yes_no("protected-mode", "yes", "Refuses clients from other machines while there is no password."),
];
