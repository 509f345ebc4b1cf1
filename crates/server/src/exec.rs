//! From arguments to a reply: look the command up, check it, latch what it names, run it.

use crate::call::Call;
use crate::client::Client;
use crate::command::{Command, Flags, Reach};
use crate::error::{self, Error};
use crate::persistence;
use crate::server::Shared;
use crate::table;
use crate::worker::Worker;
use scrubjay_resp::Reply;

/// Runs one request and appends its reply to `out`. An empty request answers nothing.
pub(crate) fn run(shared: &Shared, worker: &mut Worker, client: &mut Client, args: &[&[u8]], out: &mut Vec<u8>) {
    let Some(name) = args.first() else { return };
    let mut reply = Reply::new(out, client.protocol);
    let Some(command) = table::find(name) else {
        let shown = String::from_utf8_lossy(&name[..name.len().min(128)]).into_owned();
        let mut rest = String::new();
        for arg in &args[1..] {
            if rest.len() >= 128 {
                break;
            }
            rest.push_str(&format!("'{}' ", String::from_utf8_lossy(&arg[..arg.len().min(128 - rest.len())])));
        }
        return reply.error(&format!("ERR unknown command '{shown}', with args beginning with: {rest}"));
    };
    if let Err(error) = run_command(shared, worker, client, command, args, reply.reborrow()) {
        reply.error(&error.0);
    }
}

fn run_command(
    shared: &Shared,
    worker: &mut Worker,
    client: &mut Client,
    command: &'static Command,
    args: &[&[u8]],
    mut reply: Reply<'_>,
) -> Result<(), Error> {
    if !command.accepts(args.len()) {
        return Err(error::wrong_arity(command.name));
    }
    if command.flags.contains(Flags::WRITE) {
        persistence::check_writes(shared)?;
    }
    let now_ms = shared.clock.now_ms();
    let position = reply.position();
    let exclusive;
    let pass;
    let held = match command.reach {
        Reach::Whole => {
            exclusive = shared.keyspace.exclusive();
            exclusive.hold_all(now_ms)
        }
        Reach::Sweep | Reach::Keys => {
            let hashes: Vec<_> =
                command.key_indexes(args.len()).map(|index| shared.keyspace.key(args[index]).hash).collect();
            pass = shared.keyspace.pass(worker.slot);
            pass.latch(&hashes, now_ms)
        }
    };
    let mut call = Call { command, args, reply: reply.reborrow(), client, worker, shared, held };
    let result = (command.handler)(&mut call);
    drop(call);
    if result.is_ok() && command.flags.contains(Flags::WRITE) {
        shared.persistence.note_changes(worker.slot, 1);
    }
    if result.is_err() {
        reply.truncate(position);
    }
    result
}
