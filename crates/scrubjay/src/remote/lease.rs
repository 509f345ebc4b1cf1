//! The right to load a key, across processes.
//!
//! It lies on the server as a random token with an expiry, and is renewed at a third of its time for as long as it is held here. A
//! process that dies renews nothing, so the next one may load; one that sleeps for too long finds at the end that the token is
//! another's, and stores nothing. Only the server's clock counts.
//!
//! **Invariant:** only who took a lease ends it: each act on the server compares the token.

use super::names::KeyNames;
use super::tier::Inner;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::AbortHandle;

/// The right to load a key and to store the result. Dropped, it is given back behind.
#[must_use]
pub(crate) struct RemoteLease {
    pub(super) inner: Arc<Inner>,
    pub(super) key: Vec<u8>,
    pub(super) names: Arc<KeyNames>,
    pub(super) token: [u8; 16],
    /// The server was asked to renew it, and said that it is another's.
    pub(super) is_lost: Arc<AtomicBool>,
    pub(super) renewal: Option<AbortHandle>,
    /// Whether there is something on the server to be given back.
    pub(super) is_held: bool,
}

impl RemoteLease {
    /// A lease that is about to be asked for.
    pub(super) fn new(inner: &Arc<Inner>, key: &[u8], names: KeyNames, token: [u8; 16]) -> RemoteLease {
        RemoteLease {
            inner: Arc::clone(inner),
            key: key.to_vec(),
            names: Arc::new(names),
            token,
            is_lost: Arc::default(),
            renewal: None,
            is_held: true,
        }
    }

    /// There is nothing to be given back.
    pub(super) fn forget(&mut self) {
        self.is_held = false;
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }
}

impl Drop for RemoteLease {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            renewal.abort();
        }
        if self.is_held && !self.is_lost() {
            self.inner.release_behind(std::mem::take(&mut self.key), Arc::clone(&self.names), self.token);
        }
    }
}

impl fmt::Debug for RemoteLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteLease").field("is_held", &self.is_held).finish_non_exhaustive()
    }
}
