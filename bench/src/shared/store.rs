//! A client of the shared server as the cases see it: one face for ours and for the peers.
//!
//! Calls are generic, not virtual: a hit in memory takes nanoseconds.

use std::future::Future;
use std::time::Duration;

/// What a client is connected with.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) url: String,
    /// Entries that it keeps in memory, where it keeps any.
    pub(super) room: u64,
    /// For how long an entry may stay in memory, with clients that are told of no change.
    pub(super) memory_ttl: Duration,
    /// Without the shared server, where the client can.
    pub(super) is_alone: bool,
}

/// How long keys live in the server: whatever a run leaves in another's goes after this.
pub(super) const TTL: Duration = Duration::from_secs(3600);

/// A connected client.
pub(super) trait Store: Send + Sync + Sized + 'static {
    type Value: AsRef<[u8]> + Send;

    fn connect(setting: &Setting) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Looks the key up, in memory and in the server.
    fn get(&self, key: &str) -> impl Future<Output = anyhow::Result<Option<Self::Value>>> + Send;

    /// The same for several keys in one call; only where [`Subject::has_many`](super::subject::Subject).
    fn get_many(&self, keys: &[String]) -> impl Future<Output = anyhow::Result<Vec<Option<Self::Value>>>> + Send {
        async move { anyhow::bail!("{} keys in one call: this client cannot", keys.len()) }
    }

    /// Stores, and tells whoever can be told. Returns when the server has it.
    fn insert(&self, key: &str, value: &[u8]) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Looks the key up, or takes what `load` gives and stores it.
    fn get_or_load(
        &self,
        key: &str,
        load: impl Future<Output = anyhow::Result<Vec<u8>>> + Send + 'static,
    ) -> impl Future<Output = anyhow::Result<Self::Value>> + Send;
}
