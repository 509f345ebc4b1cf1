//! WAIT and WAITAOF on a server without replicas and without an append-only file: nobody ever acknowledges anything.

use crate::arguments;
use crate::call::Call;
use crate::command::{Command, Flags, Group};
use crate::commands::client::deadline_ms;
use crate::error::{Error, session};
use scrubjay_resp::Reply;

const CATEGORIES: &[&str] = &["slow", "blocking", "connection"];

pub(crate) static ROWS: &[Command] = &[
    Command::new("wait", 3, wait).group(Group::Generic, CATEGORIES).flags(Flags::BLOCKING).docs(
        "3.0.0",
        "O(1)",
        "numreplicas timeout",
        "Waits until so many replicas have every write of this connection.",
    ),
    Command::new("waitaof", 4, waitaof).group(Group::Generic, CATEGORIES).flags(Flags::BLOCKING).docs(
        "7.2.0",
        "O(1)",
        "numlocal numreplicas timeout",
        "Waits until every write of this connection is in the append-only file here and on so many replicas.",
    ),
];

fn wait(call: &mut Call<'_>) -> Result<(), Error> {
    let replicas = arguments::integer(call.args[1])?;
    let deadline_ms = deadline_ms(call.args[2], call.now_ms())?;
    answer(call, replicas <= 0, deadline_ms, |reply| reply.integer(0));
    Ok(())
}

fn waitaof(call: &mut Call<'_>) -> Result<(), Error> {
    let local = arguments::integer(call.args[1])?;
    if !(0..=1).contains(&local) {
        return Err(session::NUMLOCAL_OUT_OF_RANGE);
    }
    let replicas = arguments::integer(call.args[2])?;
    if replicas < 0 {
        return Err(session::NOT_POSITIVE);
    }
    let deadline_ms = deadline_ms(call.args[3], call.now_ms())?;
    if local > 0 {
        return Err(session::WAITAOF_WITHOUT_AOF);
    }
    answer(call, replicas == 0, deadline_ms, |reply| {
        reply.array(2);
        reply.integer(0);
        reply.integer(0);
    });
    Ok(())
}

/// Answers at once when there is nothing to wait for or nothing may wait, otherwise when the time is over.
fn answer(call: &mut Call<'_>, is_satisfied: bool, deadline_ms: Option<u64>, write: fn(&mut Reply<'_>)) {
    if is_satisfied || !call.park(deadline_ms, write) {
        write(&mut call.reply);
    }
}
