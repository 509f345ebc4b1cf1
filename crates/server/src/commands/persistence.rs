//! SAVE, BGSAVE, LASTSAVE and SHUTDOWN.

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
    Command {
        reach: Reach::Whole,
        ..Command::new("shutdown", -1, shutdown)
            .flags(
                Flags::ADMIN
                    .union(Flags::NOSCRIPT)
                    .union(Flags::LOADING)
                    .union(Flags::STALE)
                    .union(Flags::NO_MULTI)
                    .union(Flags::ALLOW_BUSY),
            )
            .group(Group::Server, ADMIN_SLOW)
            .docs(
                "1.0.0",
                "O(N) when it saves, where N is the number of keys in all databases; otherwise O(1)",
                "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
                "Saves the data to the disk and ends the server.",
            )
    },
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
    // Inside EXEC everything is held until its end.
    let when = if call.client.is_in_exec { "scheduled" } else { "started" };
    call.reply.simple(&format!("Background saving {when}"));
    Ok(())
}

fn lastsave(call: &mut Call<'_>) -> Result<(), Error> {
    let status = call.shared.persistence.status(call.shared.clock.instant());
    call.reply.integer(i64::try_from(status.last_save_seconds).unwrap_or(i64::MAX));
    Ok(())
}

/// Answers nothing when it succeeds: the connection is closed with the server.
fn shutdown(call: &mut Call<'_>) -> Result<(), Error> {
    let wanted = Shutdown::parse(&call.args[1..])?;
    if wanted.is_abort {
        // SHUTDOWN waits for nothing here, so there is never one to call off.
        return Err(Error::new("ERR No shutdown in progress."));
    }
    let saves = wanted.saves.unwrap_or_else(|| !call.shared.config.save_points().is_empty());
    if saves && persistence::overtake(call.shared, &mut call.held).is_err() && !wanted.is_forced {
        return Err(Error::new("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    call.client.close_after_reply = true;
    call.shared.persistence.stop();
    call.shared.request_stop_unsaved();
    Ok(())
}

#[derive(Default)]
struct Shutdown {
    /// `None` leaves it to the save points.
    saves: Option<bool>,
    is_forced: bool,
    is_abort: bool,
}

impl Shutdown {
    fn parse(options: &[&[u8]]) -> Result<Shutdown, Error> {
        let mut wanted = Shutdown::default();
        for option in options {
            match () {
                () if is(option, "nosave") && wanted.saves != Some(true) => wanted.saves = Some(false),
                () if is(option, "save") && wanted.saves != Some(false) => wanted.saves = Some(true),
                // Nothing here waits for replicas, which is what NOW cuts short.
                () if is(option, "now") => {}
                () if is(option, "force") => wanted.is_forced = true,
                () if is(option, "abort") => wanted.is_abort = true,
                () => return Err(error::SYNTAX),
            }
        }
        let is_alone = options.iter().all(|option| is(option, "abort"));
        if wanted.is_abort && !is_alone { Err(error::SYNTAX) } else { Ok(wanted) }
    }
}
