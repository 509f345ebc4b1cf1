//! The clients that watch every command (MONITOR), and what they are sent.
//!
//! **Invariant:** nothing is formatted while nobody watches: one relaxed load per command says so. A client that is gone is
//! forgotten when the next line cannot be sent to it.

#[cfg(test)]
mod tests;

use crate::client::Client;
use crate::dispatch::Row;
use crate::redaction;
use crate::registry::{HandleFlags, Registry};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The watching clients, by id.
#[derive(Default)]
pub(crate) struct Monitors {
    ids: Mutex<Vec<u64>>,
    count: AtomicUsize,
}

impl Monitors {
    /// Whether anybody watches.
    #[inline]
    pub(crate) fn is_watching(&self) -> bool {
        self.count.load(Ordering::Relaxed) != 0
    }

    /// Whether this client watches.
    pub(crate) fn has(&self, id: u64) -> bool {
        self.is_watching() && self.ids.lock().contains(&id)
    }

    /// Has the client with this id watch.
    pub(crate) fn add(&self, id: u64) {
        self.change(|ids| {
            ids.retain(|other| *other != id);
            ids.push(id);
        });
    }

    /// Ends it.
    pub(crate) fn remove(&self, id: u64) {
        self.change(|ids| ids.retain(|other| *other != id));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u64>)) {
        let mut ids = self.ids.lock();
        change(&mut ids);
        self.count.store(ids.len(), Ordering::Relaxed);
    }

    /// Shows a call to everybody who watches.
    #[cold]
    pub(crate) fn feed(&self, registry: &Registry, now_us: u64, client: &Client, row: &Row, args: &[&[u8]]) {
        let handle = &client.handle;
        let address = match handle.address.rsplit_once(':') {
            Some((path, _)) if handle.flags().contains(HandleFlags::UNIX_SOCKET) => format!("unix:{path}"),
            _ => handle.address.clone(),
        };
        let line: Arc<[u8]> = line(now_us, client.db.0, &address, &redaction::redacted(row, args)).into();
        self.change(|ids| ids.retain(|id| registry.push(*id, &line)));
    }
}

/// `+1700000000.000001 [0 127.0.0.1:50000] "get" "key"`, as one simple string.
fn line(now_us: u64, db: u16, address: &str, args: &[&[u8]]) -> Vec<u8> {
    let mut line = format!("+{}.{:06} [{db} {address}]", now_us / 1_000_000, now_us % 1_000_000).into_bytes();
    for arg in args {
        line.extend_from_slice(b" \"");
        arg.iter().for_each(|byte| quote(*byte, &mut line));
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn quote(byte: u8, line: &mut Vec<u8>) {
    match byte {
        b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
        b'\n' => line.extend_from_slice(b"\\n"),
        b'\r' => line.extend_from_slice(b"\\r"),
        b'\t' => line.extend_from_slice(b"\\t"),
        0x07 => line.extend_from_slice(b"\\a"),
        0x08 => line.extend_from_slice(b"\\b"),
        b' '..=b'~' => line.push(byte),
        _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
    }
}
