//! The session of one client: what commands may ask and change about the connection that they came by.
//!
//! Owned by the connection, so only its worker sees it. What other threads may see is copied to the [`ClientHandle`] by
//! [`Client::publish`]. It knows nothing of sockets and buffers.

mod transaction;

pub(crate) use transaction::{Opened, OpenedRequest, Queued, Transaction};

use crate::commands::client::stop_tracking;
use crate::registry::{ClientHandle, HandleFlags};
use crate::server::Shared;
use crate::tracking::Mode;
use crate::watching::Watching;
use scrubjay_keyspace::{Db, KeyHash};
use scrubjay_resp::Protocol;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What CLIENT REPLY asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReplyMode {
    #[default]
    On,
    Off,
    /// The reply of the next command is left out: set by the command before it.
    SkipNext,
    /// The reply of the command that runs now is left out.
    Skip,
}

/// Why a client waits, and what ends it. See [`crate::call::Call::park`].
#[derive(Debug)]
pub(crate) struct Parked {
    /// Unix milliseconds; `None` waits for ever.
    pub(crate) deadline_ms: Option<u64>,
    /// What the client is answered at the deadline. Empty for a request that is held back by CLIENT PAUSE: it is run again.
    pub(crate) timeout_reply: Vec<u8>,
    /// Held back by CLIENT PAUSE rather than by a command of its own.
    pub(crate) is_paused: bool,
}

/// The session of one client.
pub(crate) struct Client {
    /// Never used twice in the life of a server.
    pub(crate) id: u64,
    pub(crate) db: Db,
    pub(crate) protocol: Protocol,
    pub(crate) is_authenticated: bool,
    /// Set by QUIT, SHUTDOWN and CLIENT KILL of oneself: closed once the output is sent.
    pub(crate) close_after_reply: bool,
    pub(crate) reply_mode: ReplyMode,
    /// Between MULTI and EXEC.
    pub(crate) transaction: Option<Transaction>,
    /// Waits for something: no further request is run. Not to be set inside EXEC.
    pub(crate) parked: Option<Parked>,
    /// EXEC is running: nothing may park.
    pub(crate) is_in_exec: bool,
    /// What WATCH named since the last EXEC.
    pub(crate) watching: Watching,
    /// CLIENT TRACKING, and whether CLIENT CACHING was called for what runs next.
    pub(crate) tracking: Option<Arc<Mode>>,
    pub(crate) is_caching: bool,
    /// CLIENT NO-TOUCH: its reads are no use of a key.
    pub(crate) is_no_touch: bool,
    /// What other threads see of this client.
    pub(crate) handle: Arc<ClientHandle>,
}

impl Client {
    /// The session of a connection that was just accepted.
    pub(crate) fn of(handle: Arc<ClientHandle>) -> Client {
        Client {
            id: handle.id,
            db: Db(0),
            protocol: Protocol::Resp2,
            is_authenticated: true,
            close_after_reply: false,
            reply_mode: ReplyMode::On,
            transaction: None,
            parked: None,
            is_in_exec: false,
            watching: Watching::default(),
            tracking: None,
            is_caching: false,
            is_no_touch: false,
            handle,
        }
    }

    /// A session without a connection.
    #[cfg(test)]
    pub(crate) fn new(id: u64) -> Client {
        Client::of(Arc::new(ClientHandle::detached(id)))
    }

    /// Ends the session: nothing of it may stay behind in what all threads share. The caller holds no latch and no pass.
    pub(crate) fn leave(&mut self, shared: &Shared, slot: u32) {
        self.transaction = None;
        stop_tracking(shared, self);
        if !self.watching.is_empty() {
            let hashes: Vec<KeyHash> = self.watching.hashes(&shared.keyspace).collect();
            let pass = shared.keyspace.pass(slot);
            self.watching.forget(&mut pass.latch(&hashes, shared.clock.now_ms()));
        }
    }

    /// Copies what other threads may ask for to the handle.
    #[inline]
    pub(crate) fn publish(&self) {
        let handle = &self.handle;
        handle.db.store(self.db.0, Ordering::Relaxed);
        handle.protocol.store(if self.protocol == Protocol::Resp3 { 3 } else { 2 }, Ordering::Relaxed);
        let queued = self.transaction.as_ref().map_or(-1, |open| i32::try_from(open.queued.len()).unwrap_or(i32::MAX));
        handle.queued_len.store(queued, Ordering::Relaxed);
        handle.set_flag(HandleFlags::MULTI, queued >= 0);
        handle.set_flag(HandleFlags::DIRTY, self.watching.is_dirty());
        handle.set_flag(HandleFlags::PAUSED, self.parked.as_ref().is_some_and(|parked| parked.is_paused));
        handle.set_flag(HandleFlags::CLOSE_AFTER_REPLY, self.close_after_reply);
    }
}
