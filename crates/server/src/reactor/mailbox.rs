//! Mailboxes: how other threads reach a worker that may be asleep in the poll.
//!
//! **Invariant:** whoever puts the first message into an empty mailbox wakes its worker, and the worker marks the mailbox
//! empty before it takes the messages; so no message waits for the next tick.

use crate::reactor::accept::Accepted;
use crate::registry::Unblock;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What other threads ask of a worker.
pub(crate) enum Message {
    /// A connection to serve from now on.
    Serve(Box<Accepted>),
    /// Something for the client with this id; one that is gone is ignored.
    Client(u64, Notice),
    /// Look again at what is held back: pause, stop.
    LookAgain,
}

/// What other threads ask of a client's worker.
pub(crate) enum Notice {
    /// Close it, whatever is unsent.
    Kill,
    /// Append whole RESP pushes to its output.
    Push(Arc<[u8]>),
    /// End its wait as CLIENT UNBLOCK says.
    Unblock(Unblock),
}

/// The mailbox of one worker.
pub(crate) struct Mailbox {
    messages: Mutex<Vec<Message>>,
    is_rung: AtomicBool,
    waker: mio::Waker,
    /// Connections that its worker serves or is about to: what the acceptor balances.
    pub(crate) connections: AtomicUsize,
}

impl Mailbox {
    pub(crate) fn new(waker: mio::Waker) -> Mailbox {
        let (messages, is_rung) = (Mutex::default(), AtomicBool::new(false));
        Mailbox { messages, is_rung, waker, connections: AtomicUsize::new(0) }
    }

    /// Leaves a message and wakes the worker.
    pub(crate) fn send(&self, message: Message) {
        self.messages.lock().push(message);
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            // The eventfd can only fail when it is full, and then the worker wakes anyway.
            let _ = self.waker.wake();
        }
    }

    /// Everything that was left since the last call.
    pub(crate) fn take(&self) -> Vec<Message> {
        if !self.is_rung.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut self.messages.lock())
    }
}
