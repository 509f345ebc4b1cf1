//! What a request has to hold before it runs.

use super::check::is_exec;
use crate::client::Client;
use crate::command::{Command, Reach};
use crate::dispatch::Row;
use crate::server::Shared;
use scrubjay_keyspace::KeyHash;
use smallvec::SmallVec;

/// What to latch.
pub(super) enum Wanted {
    /// The stripes of these keys; none at all for what has no keys or latches stripe by stripe itself.
    Keys(SmallVec<[KeyHash; 8]>),
    /// The whole keyspace behind the closed gate.
    Everything,
}

/// What a request that is no plain one-key command has to hold.
pub(super) fn wanted(shared: &Shared, client: &Client, row: &Row, args: &[&[u8]]) -> Wanted {
    let mut hashes = SmallVec::new();
    if is_exec(row) {
        for queued in client.transaction.iter().flat_map(|open| &open.queued) {
            match queued.row.command.reach {
                Reach::Sweep | Reach::Whole => return Wanted::Everything,
                Reach::Keys => collect(shared, queued.row.command, &queued.args(), &mut hashes),
                // Inside EXEC nothing is watched any more.
                Reach::Watched => {}
            }
        }
    }
    match row.command.reach {
        Reach::Whole => return Wanted::Everything,
        Reach::Sweep => {}
        Reach::Watched => hashes.extend(client.watching.hashes(&shared.keyspace)),
        Reach::Keys => collect(shared, row.command, args, &mut hashes),
    }
    Wanted::Keys(hashes)
}

fn collect(shared: &Shared, command: &Command, args: &[&[u8]], hashes: &mut SmallVec<[KeyHash; 8]>) {
    let keys = command.key_indexes(args.len()).filter_map(|index| args.get(index));
    hashes.extend(keys.map(|key| shared.keyspace.key(key).hash));
}
