//! One call of a command: everything that a handler may see and change.

use crate::client::Client;
use crate::command::Command;
use crate::server::Shared;
use crate::worker::Worker;
use scrubjay_keyspace::{Entry, Held, Key};
use scrubjay_resp::Reply;

/// One call of a command.
pub(crate) struct Call<'a> {
    /// The row that is being run; for a subcommand, the subcommand's row.
    pub(crate) command: &'static Command,
    /// The arguments; the first is the command's name as the client wrote it.
    pub(crate) args: &'a [&'a [u8]],
    /// Where the reply goes.
    pub(crate) reply: Reply<'a>,
    /// The session of the client that called.
    pub(crate) client: &'a mut Client,
    /// The thread that runs the call.
    pub(crate) worker: &'a mut Worker,
    /// What all threads share.
    pub(crate) shared: &'a Shared,
    /// The latched stripes: those of the row's keys, or all, or none (see [`crate::command::Reach`]).
    pub(crate) held: Held<'a>,
}

impl<'a> Call<'a> {
    /// Argument `index` as a key.
    pub(crate) fn key(&self, index: usize) -> Key<'a> {
        self.held.key(self.args[index])
    }

    /// Reads a key for its value, counts the hit or miss, and hands out the reply beside it. CLIENT NO-TOUCH turns the
    /// `get` into a `peek`: this is the one place that decides it.
    #[inline]
    pub(crate) fn read(&mut self, key: &Key<'_>) -> (Option<Entry<'_>>, &mut Reply<'a>) {
        let entry = self.held.get(self.client.db, key);
        match entry {
            Some(_) => self.worker.keyspace_hits += 1,
            None => self.worker.keyspace_misses += 1,
        }
        (entry, &mut self.reply)
    }

    /// Bytes that a value may grow to: `proto-max-bulk-len`.
    pub(crate) fn value_len_max(&self) -> usize {
        scrubjay_resp::Limits::default().bulk_len_max
    }

    /// Unix milliseconds, the same for the whole call.
    pub(crate) fn now_ms(&self) -> u64 {
        self.held.now_ms()
    }
}
