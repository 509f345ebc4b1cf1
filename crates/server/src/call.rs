//! One call of a command: everything that a handler may see and change.

use crate::client::{Client, Opened, Parked};
use crate::command::Command;
use crate::dispatch::Row;
use crate::server::Shared;
use crate::worker::Worker;
use scrubjay_keyspace::{Entry, Held, Key, KeyHash};
use scrubjay_resp::{Protocol, Reply};

/// One call of a command.
pub(crate) struct Call<'a> {
    /// The row that is being run; for a subcommand, the subcommand's row.
    pub(crate) command: &'static Command,
    /// The same with what dispatch knows: id, full name.
    pub(crate) row: &'static Row,
    /// The arguments; the first is the command's name as the client wrote it.
    pub(crate) args: &'a [&'a [u8]],
    /// Hash of the first key, when the row has one: hashed before the prefetch, and not again.
    pub(crate) first_hash: KeyHash,
    /// Where the reply goes.
    pub(crate) reply: Reply<'a>,
    /// For EXEC: what was queued, no longer the client's ([`crate::exec::run_queued`] runs it). `None` without MULTI.
    pub(crate) opened: Option<&'a Opened<'a>>,
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
    #[inline]
    pub(crate) fn key(&self, index: usize) -> Key<'a> {
        let bytes = self.args[index];
        if index == self.row.first_key && index != 0 {
            Key { bytes, hash: self.first_hash }
        } else {
            self.held.key(bytes)
        }
    }

    /// Reads a key for its value, counts the hit or miss, and hands out the reply beside it. CLIENT NO-TOUCH turns the
    /// `get` into a `peek`: this is the one place that decides it.
    #[inline]
    pub(crate) fn read(&mut self, key: &Key<'_>) -> (Option<Entry<'_>>, &mut Reply<'a>) {
        let entry = match self.client.is_no_touch {
            false => self.held.get(self.client.db, key),
            true => self.held.peek(self.client.db, key),
        };
        match entry {
            Some(_) => self.worker.stats.keyspace_hits.add(1),
            None => self.worker.stats.keyspace_misses.add(1),
        }
        (entry, &mut self.reply)
    }

    /// Bytes that a value may grow to: `proto-max-bulk-len`.
    pub(crate) fn value_len_max(&self) -> usize {
        self.shared.bulk_len_max()
    }

    /// Unix milliseconds, the same for the whole call.
    pub(crate) fn now_ms(&self) -> u64 {
        self.held.now_ms()
    }

    /// Has the client wait instead of answering it: until CLIENT UNBLOCK, or
    /// `deadline_ms` (Unix milliseconds), when `timeout_reply` writes the answer. Returns false inside
    /// EXEC, where nothing waits and the caller answers at once.
    pub(crate) fn park(&mut self, deadline_ms: Option<u64>, timeout_reply: impl FnOnce(&mut Reply<'_>)) -> bool {
        if self.client.is_in_exec {
            return false;
        }
        let mut bytes = Vec::new();
        timeout_reply(&mut Reply::new(&mut bytes, self.protocol()));
        self.client.parked = Some(Parked { deadline_ms, timeout_reply: bytes, is_paused: false });
        self.client.handle.begin_wait();
        true
    }

    /// The protocol that the client speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.reply.protocol()
    }
}
