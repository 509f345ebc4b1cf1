//! Where the clocks of the masters stand, each by its own: deadlines and fences are times of the master that a key belongs to.
//!
//! Each heartbeat asks all of them, and whoever refuses a write as late says what time it is there.

use super::super::link::{Link, Master, Trouble};
use super::super::scripts::unexpected;
use super::super::transactions::server_ms;
use super::{Inner, millis};
use ahash::RandomState;
use futures_util::future::try_join_all;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};

/// What the masters' clocks are ahead of the tier's own count of milliseconds.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// That of a server alone. On a cluster the one that is furthest ahead, for keys whose master is not known just now.
    furthest_ms: AtomicI64,
    /// On a cluster.
    masters: RwLock<HashMap<Master, i64, RandomState>>,
}

impl Clocks {
    fn ahead_ms(&self, master: Option<&Master>) -> i64 {
        let furthest_ms = || self.furthest_ms.load(Ordering::Relaxed);
        let Some(master) = master else { return furthest_ms() };
        self.masters.read().get(master).copied().unwrap_or_else(furthest_ms)
    }

    pub(super) fn note(&self, master: Option<&Master>, ahead_ms: i64) {
        let mut masters = self.masters.write();
        let Some(master) = master else { return self.furthest_ms.store(ahead_ms, Ordering::Relaxed) };
        masters.insert(master.clone(), ahead_ms);
        self.furthest_ms.store(furthest(&masters), Ordering::Relaxed);
    }

    /// These are all masters.
    fn note_all(&self, all: Vec<(Master, i64)>) {
        let mut masters = self.masters.write();
        *masters = all.into_iter().collect();
        self.furthest_ms.store(furthest(&masters), Ordering::Relaxed);
    }
}

fn furthest(masters: &HashMap<Master, i64, RandomState>) -> i64 {
    masters.values().copied().max().unwrap_or(0)
}

impl Inner {
    /// The clock of the master that a name belongs to, as far as it is known.
    pub(super) fn server_ms(&self, link: Option<&Link>, name: &[u8]) -> u64 {
        let master = link.and_then(|link| link.master_of(name));
        self.elapsed_ms().saturating_add_signed(self.clocks.ahead_ms(master.as_ref()))
    }

    /// When what is sent now is refused there: longer than anybody waits for it here.
    pub(super) fn deadline_ms(&self, link: Option<&Link>, name: &[u8]) -> u64 {
        self.server_ms(link, name).saturating_add(self.patience_ms())
    }

    /// How long what is sent may be on its way.
    pub(super) fn patience_ms(&self) -> u64 {
        4 * millis(self.remote.command_timeout) + 50
    }

    /// Its clock stood at `server_ms` in answer to what was sent at `sent_ms`.
    pub(super) fn note_server_ms(&self, link: &Link, name: &[u8], server_ms: u64, sent_ms: u64) {
        self.clocks.note(link.master_of(name).as_ref(), ahead(server_ms, sent_ms));
    }

    /// Asks every master of a cluster what time it is.
    pub(super) async fn ask_clocks(&self, link: &Link) -> Result<(), Trouble> {
        let clocks = link.masters().await?.into_iter().map(|master| async move {
            let sent_ms = self.elapsed_ms();
            let time = link.run_on(&master, redis::cmd("TIME")).await?;
            let time_ms = server_ms(&time).ok_or_else(unexpected)?;
            Ok::<_, Trouble>((master, ahead(time_ms, sent_ms)))
        });
        self.clocks.note_all(try_join_all(clocks).await?);
        Ok(())
    }
}

fn ahead(server_ms: u64, sent_ms: u64) -> i64 {
    i64::try_from(server_ms).unwrap_or(0) - i64::try_from(sent_ms).unwrap_or(0)
}
