//! The slow log: the last commands that took longer than `slowlog-log-slower-than`, as SLOWLOG GET shows them.
//!
//! **Invariant:** never more entries than the limit of the last call, and an entry never holds more than 32 arguments of 128
//! bytes. The mutex is taken only when an entry is logged or read; whether a call is slow is the caller's comparison.

#[cfg(test)]
mod tests;

use parking_lot::Mutex;
use std::collections::VecDeque;

/// Arguments kept of one call; the last place says how many more there were.
const ARGS_MAX: usize = 32;
/// Bytes kept of one argument.
const ARG_LEN_MAX: usize = 128;

/// One slow call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Never used twice in the life of a server, SLOWLOG RESET included.
    pub(crate) id: u64,
    /// Unix time in seconds at which the call was logged.
    pub(crate) at_seconds: u64,
    pub(crate) duration_us: u64,
    pub(crate) args: Vec<Vec<u8>>,
    /// `ip:port` of the client, or the path of the Unix socket.
    pub(crate) client_address: String,
    pub(crate) client_name: Vec<u8>,
}

#[derive(Default)]
struct Log {
    next_id: u64,
    /// Newest first.
    entries: VecDeque<Entry>,
}

/// The slow log of one server.
#[derive(Default)]
pub(crate) struct SlowLog {
    log: Mutex<Log>,
}

impl SlowLog {
    /// Logs a call and drops the oldest entries above `entries_max`.
    pub(crate) fn note(
        &self,
        args: &[&[u8]],
        at_seconds: u64,
        duration_us: u64,
        client: (&str, &[u8]),
        entries_max: usize,
    ) {
        let (client_address, client_name) = (client.0.to_owned(), client.1.to_owned());
        let args = shortened(args);
        let mut log = self.log.lock();
        let id = log.next_id;
        log.next_id += 1;
        log.entries.push_front(Entry { id, at_seconds, duration_us, args, client_address, client_name });
        log.entries.truncate(entries_max);
    }

    /// The newest `count` entries, newest first.
    pub(crate) fn newest(&self, count: usize) -> Vec<Entry> {
        self.log.lock().entries.iter().take(count).cloned().collect()
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.log.lock().entries.len()
    }

    /// Forgets every entry.
    pub(crate) fn reset(&self) {
        self.log.lock().entries.clear();
    }
}

fn shortened(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let mut short: Vec<Vec<u8>> = args[..kept].iter().map(|arg| shortened_arg(arg)).collect();
    if kept < args.len() {
        short.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    short
}

fn shortened_arg(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= ARG_LEN_MAX {
        return arg.to_vec();
    }
    let more = format!("... ({} more bytes)", arg.len() - ARG_LEN_MAX);
    [&arg[..ARG_LEN_MAX], more.as_bytes()].concat()
}
