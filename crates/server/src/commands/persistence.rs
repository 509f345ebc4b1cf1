//! SAVE, BGSAVE, LASTSAVE.

use crate::arguments::is;
use crate::call::Call;
use crate::command::{Command, Flags, Group, Reach};
use crate::error::{self, Error};
use crate::persistence::{self, failed_save};

const ADMIN_SLOW: &[&str] = &["admin", "slow", "dangerous"];
const SAVING: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::NO_ASYNC_LOADING);

pub(crate) static ROWS: &[Command] = &[
    Command {
        reach: Reach::Whole,
        ..Command::new("save", 1, save).flags(SAVING.union(Flags::NO_MULTI)).group(Group::Server, ADMIN_SLOW).docs(
            "1.0.0",
            "O(N) where N is the number of keys in all databases",
            "",
            "Saves the data to the disk, while everybody waits.",
        )
    },
    Command::new("bgsave", -1, bgsave).flags(SAVING).group(Group::Server, ADMIN_SLOW).docs(
        "1.0.0",
        "O(1)",
        "[SCHEDULE]",
        "Has the data saved to the disk in the background.",
    ),
    Command::new("lastsave", 1, lastsave)
        .flags(Flags::LOADING.union(Flags::STALE).union(Flags::FAST))
        .group(Group::Server, &["admin", "fast", "dangerous"])
        .docs("1.0.0", "O(1)", "", "Tells when the data was last saved, in Unix seconds."),
];

fn save(call: &mut Call<'_>) -> Result<(), Error> {
    persistence::save(call.shared, &mut call.held).map_err(failed_save)?;
    call.reply.ok();
    Ok(())
}

fn bgsave(call: &mut Call<'_>) -> Result<(), Error> {
    match call.args[1..] {
        [] => {}
        [mode] if is(mode, "schedule") => {}
        _ => return Err(error::SYNTAX),
    }
    if !call.shared.persistence.request() {
        return Err(Error::new("ERR Background save already in progress"));
    }
    call.reply.simple("Background saving started");
    Ok(())
}

fn lastsave(call: &mut Call<'_>) -> Result<(), Error> {
    let status = call.shared.persistence.status(call.shared.clock.instant());
    call.reply.integer(i64::try_from(status.last_save_seconds).unwrap_or(i64::MAX));
    Ok(())
}
