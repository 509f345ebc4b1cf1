//! The registry of clients: what any thread may see of every client, and how it reaches the thread that owns it.
//!
//! **Invariant:** a client is listed from accept until its connection is closed. Only its worker touches its connection;
//! everybody else leaves a message in the worker's mailbox.

mod handle;

pub(crate) use handle::{ClientHandle, HandleFlags};

use crate::reactor::mailbox::{Mailbox, Message, Notice};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How CLIENT UNBLOCK ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unblock {
    /// As if its time were over.
    Timeout,
    /// With `-UNBLOCKED`.
    Error,
}

/// Every client of the server.
#[derive(Default)]
pub(crate) struct Registry {
    clients: RwLock<BTreeMap<u64, Arc<ClientHandle>>>,
    last_id: AtomicU64,
    mailboxes: OnceLock<Vec<Arc<Mailbox>>>,
}

impl Registry {
    /// Tells the registry where the workers listen; once, before the first client.
    pub(crate) fn connect(&self, mailboxes: Vec<Arc<Mailbox>>) {
        // A second call is a bug without consequence: the first workers stay reachable.
        let _ = self.mailboxes.set(mailboxes);
    }

    /// An id that no client had before.
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn insert(&self, handle: Arc<ClientHandle>) {
        self.clients.write().insert(handle.id, handle);
    }

    pub(crate) fn remove(&self, id: u64) {
        self.clients.write().remove(&id);
    }

    /// Number of clients.
    pub(crate) fn len(&self) -> usize {
        self.clients.read().len()
    }

    /// Number of clients that wait: in a blocking command, or held back by CLIENT PAUSE.
    pub(crate) fn blocked_len(&self) -> u64 {
        let waiting = HandleFlags::BLOCKED.union(HandleFlags::PAUSED);
        self.clients.read().values().filter(|handle| handle.flags().intersects(waiting)).count() as u64
    }

    /// The client with this id, unless it was killed.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<ClientHandle>> {
        self.clients.read().get(&id).filter(|handle| !handle.is_killed()).cloned()
    }

    /// Every client that was not killed, by id.
    pub(crate) fn list(&self) -> Vec<Arc<ClientHandle>> {
        self.clients.read().values().filter(|handle| !handle.is_killed()).cloned().collect()
    }

    fn send(&self, worker: u32, message: Message) {
        if let Some(mailbox) = self.mailboxes.get().and_then(|mailboxes| mailboxes.get(worker as usize)) {
            mailbox.send(message);
        }
    }

    fn notify(&self, id: u64, notice: Notice) -> bool {
        let Some(handle) = self.get(id) else { return false };
        self.send(handle.worker, Message::Client(id, notice));
        true
    }

    /// Has a client closed by its worker at once, its unsent output dropped. Returns whether it was there.
    pub(crate) fn kill(&self, id: u64) -> bool {
        let Some(handle) = self.get(id) else { return false };
        handle.set_flag(HandleFlags::KILLED, true);
        self.send(handle.worker, Message::Client(id, Notice::Kill));
        true
    }

    /// Appends `bytes` (whole RESP pushes) to the client's output, between two replies.
    pub(crate) fn push(&self, id: u64, bytes: &Arc<[u8]>) -> bool {
        self.notify(id, Notice::Push(Arc::clone(bytes)))
    }

    /// CLIENT UNBLOCK: whether the client waited, and if so ends it.
    pub(crate) fn unblock(&self, id: u64, how: Unblock) -> bool {
        let Some(handle) = self.get(id).filter(|handle| handle.end_wait()) else { return false };
        self.send(handle.worker, Message::Client(id, Notice::Unblock(how)));
        true
    }

    /// Has every worker look again at what it holds back: after a pause ended, a stop was asked for, settings changed.
    pub(crate) fn wake_all(&self) {
        for mailbox in self.mailboxes.get().into_iter().flatten() {
            mailbox.send(Message::LookAgain);
        }
    }
}
