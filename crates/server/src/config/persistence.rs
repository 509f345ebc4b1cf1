//! Settings of the snapshot file and of when it is written.

use super::check;
use super::setting::{Setting, lines, text, yes_no};

pub(crate) static ROWS: &[Setting] = &[
    text("dir", "./scrubjay-data", "The directory of the data; made at start when it is missing.")
        .protected()
        .check(check::directory),
    text("dbfilename", "dump.rdb", "Name of the snapshot file in `dir`.").protected().check(check::file_name),
    lines(
        "save",
        "3600 1 300 100 60 10000",
        "When to save a snapshot by itself, as `seconds changes`, repeated: once so many changes have happened and so many \
         seconds have passed; empty saves only on demand.",
    )
    .check(check::save_points),
    text(
        "snapshot-cron",
        "",
        "Five cron fields (minute, hour, day of month, month, day of week, in UTC): a snapshot is saved in the \
         background whenever they match; empty is never.",
    )
    .check(check::cron),
    yes_no("rdbcompression", "yes", "Compresses long strings in snapshots."),
    yes_no("rdbchecksum", "yes", "Ends snapshots with a checksum, and checks it when loading.").at_start(),
    yes_no("stop-writes-on-bgsave-error", "yes", "Refuses writes while the last background save has failed."),
];
