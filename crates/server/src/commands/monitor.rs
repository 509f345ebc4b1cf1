//! MONITOR: has the client watch every command until it leaves or says RESET.

use crate::call::Call;
use crate::command::{Command, Flags, Group};
use crate::error::Error;

const FLAGS: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE);

pub(crate) static ROWS: &[Command] = &[Command::new("monitor", 1, monitor)
    .group(Group::Server, &["admin", "slow", "dangerous"])
    .flags(FLAGS)
    .docs("1.0.0", "O(1), and then O(N) in the bytes of every command", "", "Shows every command as it runs.")];

fn monitor(call: &mut Call<'_>) -> Result<(), Error> {
    if call.client.is_in_exec {
        return Err(Error::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    call.shared.monitors.add(call.client.id);
    call.reply.ok();
    Ok(())
}
