//! What any thread may see of one client.
//!
//! **Invariant:** the atomics are written by the client's worker (flags: by anybody) and may be a moment old when read; the
//! identity changes rarely and stands behind a latch.

use bitflags::bitflags;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

bitflags! {
    /// State of a client, as the letters of CLIENT LIST show it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct HandleFlags: u32 {
        /// Waits in a blocking command (`b`). **Invariant:** set by its worker alone; who clears it ends the wait, so that a
        /// wait ends once and no end is meant for the next one.
        const BLOCKED = 1 << 0;
        /// Between MULTI and EXEC (`x`).
        const MULTI = 1 << 1;
        /// A watched key changed (`d`).
        const DIRTY = 1 << 2;
        /// Closed once its output is sent (`c`).
        const CLOSE_AFTER_REPLY = 1 << 3;
        /// Came by a Unix socket (`U`).
        const UNIX_SOCKET = 1 << 4;
        /// CLIENT NO-EVICT (`e`).
        const NO_EVICT = 1 << 5;
        /// CLIENT NO-TOUCH (`T`).
        const NO_TOUCH = 1 << 6;
        /// CLIENT TRACKING (`t`).
        const TRACKING = 1 << 7;
        /// Its redirection target is gone (`R`).
        const TRACKING_BROKEN = 1 << 8;
        /// CLIENT TRACKING BCAST (`B`).
        const TRACKING_BCAST = 1 << 9;
        /// Held back by CLIENT PAUSE (`b` too, but CLIENT UNBLOCK has no say).
        const PAUSED = 1 << 11;
        /// Killed, and not closed by its worker yet: no longer listed.
        const KILLED = 1 << 10;
    }
}

/// What a client says about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) name: Vec<u8>,
    pub(crate) lib_name: Vec<u8>,
    pub(crate) lib_ver: Vec<u8>,
    pub(crate) user: String,
}

/// One client as any thread may see it.
#[derive(Debug)]
pub(crate) struct ClientHandle {
    pub(crate) id: u64,
    /// `127.0.0.1:50000`, or the path of the Unix socket and `:0`.
    pub(crate) address: String,
    /// The server's end.
    pub(crate) local_address: String,
    /// File descriptor, -1 for a session without a connection.
    pub(crate) fd: i32,
    /// Index of the thread that owns it.
    pub(crate) worker: u32,
    /// Unix milliseconds.
    pub(crate) created_ms: u64,
    /// Unix milliseconds of the last request.
    pub(crate) last_active_ms: AtomicU64,
    pub(crate) db: AtomicU16,
    /// 2 or 3.
    pub(crate) protocol: AtomicU8,
    /// [`crate::dispatch::Row::id`] of the last command; `u16::MAX` before the first.
    pub(crate) last_row: AtomicU16,
    /// Queued requests, -1 outside MULTI.
    pub(crate) queued_len: AtomicI32,
    /// Bytes read and not executed.
    pub(crate) input_len: AtomicU64,
    /// Capacity of the input buffer, 0 when it holds none.
    pub(crate) input_capacity: AtomicU64,
    /// Bytes not sent.
    pub(crate) output_len: AtomicU64,
    /// Capacity of the output buffer, 0 when it holds none.
    pub(crate) output_capacity: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) input_total: AtomicU64,
    pub(crate) output_total: AtomicU64,
    flags: AtomicU32,
    pub(crate) identity: Mutex<Identity>,
}

impl ClientHandle {
    /// Whether the client runs on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let is_loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        self.flags().contains(HandleFlags::UNIX_SOCKET) || self.address.parse().is_ok_and(is_loopback)
    }

    /// A client that was accepted at `now_ms`.
    pub(crate) fn new(
        id: u64,
        address: String,
        local_address: String,
        fd: i32,
        worker: u32,
        now_ms: u64,
    ) -> ClientHandle {
        ClientHandle {
            id,
            address,
            local_address,
            fd,
            worker,
            created_ms: now_ms,
            last_active_ms: AtomicU64::new(now_ms),
            db: AtomicU16::new(0),
            protocol: AtomicU8::new(2),
            last_row: AtomicU16::new(u16::MAX),
            queued_len: AtomicI32::new(-1),
            input_len: AtomicU64::new(0),
            input_capacity: AtomicU64::new(0),
            output_len: AtomicU64::new(0),
            output_capacity: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            input_total: AtomicU64::new(0),
            output_total: AtomicU64::new(0),
            flags: AtomicU32::new(0),
            identity: Mutex::new(Identity { user: "default".to_owned(), ..Identity::default() }),
        }
    }

    /// The handle of a session without a connection.
    #[cfg(test)]
    pub(crate) fn detached(id: u64) -> ClientHandle {
        ClientHandle::new(id, String::new(), String::new(), -1, 0, 0)
    }

    pub(crate) fn flags(&self) -> HandleFlags {
        HandleFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// Sets or clears flags; free when they are so already.
    pub(crate) fn set_flag(&self, flags: HandleFlags, is_set: bool) {
        let set = self.flags().intersection(flags);
        match is_set {
            true if set != flags => self.flags.fetch_or(flags.bits(), Ordering::Relaxed),
            false if !set.is_empty() => self.flags.fetch_and(!flags.bits(), Ordering::Relaxed),
            _ => return,
        };
    }

    /// Says that the client waits.
    pub(crate) fn begin_wait(&self) {
        self.set_flag(HandleFlags::BLOCKED, true);
    }

    /// Claims the end of the client's wait. Returns whether the caller has to bring it about: `false` when the client does
    /// not wait, or somebody else was first.
    pub(crate) fn end_wait(&self) -> bool {
        let before = self.flags.fetch_and(!HandleFlags::BLOCKED.bits(), Ordering::Relaxed);
        HandleFlags::from_bits_retain(before).contains(HandleFlags::BLOCKED)
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.flags().contains(HandleFlags::KILLED)
    }
}
