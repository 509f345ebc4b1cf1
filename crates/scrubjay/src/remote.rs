//! The remote tier: a Redis-compatible server that processes share.
//!
//! [`Remote`] says which, and how it is used; `options.rs` are its settings. `link.rs` is the server as one sees it from here: connections that
//! come and go, commands that answer in time or not at all. What the commands are, and what keeps several processes
//! coherent, is above it.
//!
//! **Invariants**
//! - A password is in [`Secret`] and in the connections, and nowhere else: not in an error, not in a log, not in a debug print.
//! - No call waits for a server without a limit.

mod counters;
mod echo;
mod gather;
mod lease;
mod link;
mod missed;
mod names;
mod options;
mod report;
mod scripts;
mod stamps;
#[cfg(test)]
mod tests;
mod tier;
mod transactions;
mod waiters;

use crate::entry::{Compression, Packing};
use std::fmt;
use std::time::Duration;

pub(crate) use lease::RemoteLease;
pub(crate) use link::{Link, LinkSetup, LinkState, News, Script, ScriptCall, Trouble, Watcher};
pub use options::{Coherence, OnDisconnect, Removals};
pub use report::RemoteStats;
pub(crate) use tier::{
    Above, Begun, Changing, Confirmed, Encoded, Filled, RemoteSetup, RemoteTier, Removal, SharedBorn, Trust,
};

/// A Redis-compatible server, or a cluster of them, that the processes of a service share.
///
/// Works with Redis from 6.2 on, Valkey, Dragonfly, their clusters, and `scrubjay serve`. The cache connects behind: it is built, and
/// serves from its other tiers, while the server is away; [`health`](crate::Cache::health) says so.
///
/// ```
/// use scrubjay::{OnDisconnect, Remote};
/// use std::time::Duration;
///
/// let remote = Remote::url("rediss://cache:magpie@redis.internal:6380/2")
///     .prefix("shop:")
///     .command_timeout(Duration::from_millis(100))
///     .on_disconnect(OnDisconnect::Drop);
/// // What is secret is not shown.
/// assert!(!format!("{remote:?}").contains("magpie"));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Remote {
    pub(crate) place: Place,
    pub(crate) prefix: Vec<u8>,
    pub(crate) time_to_live_max: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) in_flight_max: usize,
    pub(crate) value_bytes_max: usize,
    pub(crate) packing: Packing,
    pub(crate) is_raw: bool,
    pub(crate) coherence: Coherence,
    pub(crate) on_disconnect: OnDisconnect,
    pub(crate) lease_time: Duration,
    pub(crate) lease_wait: Duration,
    pub(crate) removals: Removals,
    pub(crate) missed_bytes_max: usize,
    pub(crate) root_certificates: Option<Secret>,
    pub(crate) client_certificate: Option<(Secret, Secret)>,
}

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// One for a server, one or more for a cluster.
    pub(crate) urls: Vec<Secret>,
    pub(crate) is_cluster: bool,
}

/// What nobody may see: addresses have passwords in them.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Remote {
    /// A server: `redis://[user[:password]@]host[:port][/database]`, `rediss://` for TLS, `redis+unix:///path` for a socket. If
    /// the server turns out to be a node of a cluster, the cluster is used.
    pub fn url(url: impl Into<String>) -> Remote {
        Remote::at(Place { urls: vec![Secret(url.into())], is_cluster: false })
    }

    /// A cluster, by some of its nodes: the others are found through them.
    ///
    /// ```
    /// let nodes = ["redis://10.0.0.1:7000", "redis://10.0.0.2:7000"];
    /// let remote = scrubjay::Remote::cluster(nodes);
    /// # let _ = remote;
    /// ```
    pub fn cluster(urls: impl IntoIterator<Item = impl Into<String>>) -> Remote {
        let urls = urls.into_iter().map(|url| Secret(url.into())).collect();
        Remote::at(Place { urls, is_cluster: true })
    }

    fn at(place: Place) -> Remote {
        Remote {
            place,
            prefix: b"scrubjay:".to_vec(),
            time_to_live_max: None,
            connect_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_millis(250),
            in_flight_max: 1024,
            value_bytes_max: 8 << 20,
            packing: Packing { compression: Compression::Lz4, len_min: 1024 },
            is_raw: false,
            coherence: Coherence::default(),
            on_disconnect: OnDisconnect::default(),
            lease_time: Duration::from_secs(5),
            lease_wait: Duration::from_secs(5),
            removals: Removals::default(),
            missed_bytes_max: 8 << 20,
            root_certificates: None,
            client_certificate: None,
        }
    }
}
