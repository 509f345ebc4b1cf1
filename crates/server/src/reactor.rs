//! The reactor: one thread per core, each with its own poll, its own connections and run to completion.
//!
//! The life of a batch: [`poll`] says which sockets are ready, [`turn`] reads them ([`input`]), parses requests into a
//! [`window`], which looks rows up, prefetches and runs them, and writes each connection once ([`output`]). [`accept`] gives
//! new connections to the thread with the fewest, by [`mailbox`]. Only `poll` and `accept` know what a socket is.
//! **Invariant:** a connection is touched by its own thread only.

pub(crate) mod accept;
mod buffers;
mod connection;
mod input;
pub(crate) mod mailbox;
mod output;
mod poll;
#[cfg(test)]
mod tests;
mod tick;
mod turn;
mod window;

use crate::log::Level;
use crate::server::Shared;
use accept::Acceptor;
use mailbox::Mailbox;
use poll::Poller;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use turn::Thread;

/// The running threads.
pub(crate) struct Reactor {
    threads: Vec<JoinHandle<()>>,
}

impl Reactor {
    /// Binds the listeners and starts a thread per worker of `shared`. Returns the TCP addresses that it listens on.
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<(Reactor, Vec<SocketAddr>)> {
        let mut pollers = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in &shared.workers {
            let poller = Poller::new()?;
            mailboxes.push(Arc::new(Mailbox::new(poller.waker()?)));
            pollers.push(poller);
        }
        shared.registry.connect(mailboxes.clone());
        let acceptor = Acceptor::bind(shared, &mailboxes)?;
        let addresses = acceptor.addresses();
        let mut acceptor = Some(acceptor);
        let mut threads = Vec::new();
        for ((slot, poller), mailbox) in (0_u32..).zip(pollers).zip(mailboxes) {
            let thread = Thread::new(Arc::clone(shared), slot, poller, mailbox, acceptor.take())?;
            let shared = Arc::clone(shared);
            let run = move || {
                // A server with a thread less would leave its clients without an answer for ever: it stops instead, and saves.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| thread.run())) {
                    shared.log(Level::Warning, "a worker thread ended in a panic: stopping");
                    shared.request_stop();
                    resume_unwind(panic);
                }
            };
            threads.push(std::thread::Builder::new().name(format!("worker-{slot}")).spawn(run)?);
        }
        Ok((Reactor { threads }, addresses))
    }

    /// Waits until every thread has ended.
    pub(crate) fn join(self) -> io::Result<()> {
        let ended: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        match ended.into_iter().all(|ended| ended.is_ok()) {
            true => Ok(()),
            false => Err(io::Error::other("a worker thread ended in a panic")),
        }
    }
}
