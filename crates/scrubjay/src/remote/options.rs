//! What can be said of a remote tier, and within which limits.

use super::{Remote, Secret};
use crate::entry::Compression;
use crate::error::Error;
use crate::limits::milliseconds;
use std::time::Duration;

/// The largest value that may be allowed.
const VALUE_BYTES_LIMIT: usize = 64 << 20;
/// Commands on their way at once, at most.
const IN_FLIGHT_LIMIT: usize = 1 << 20;
/// The longest prefix.
const PREFIX_LEN_MAX: usize = 128;
/// The nodes that may be named.
const URLS_MAX: usize = 64;
/// Below this a lease would have to be renewed faster than a slow network answers.
const LEASE_TIME_MIN: Duration = Duration::from_millis(100);

/// How a process hears of what the others change.
///
/// ```
/// use scrubjay::{Coherence, Remote};
///
/// // Nobody changes what is there: no connection for news is needed.
/// let remote = Remote::url("redis://localhost").coherence(Coherence::None);
/// # let _ = remote;
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Coherence {
    /// By tracking, and over pub/sub where the server has none. The default.
    #[default]
    Auto,
    /// The server says which keys have changed, whoever changed them (`CLIENT TRACKING`). A server without it is not used.
    Tracking,
    /// Whoever changes a key through Scrubjay publishes it. What other programs write is not heard of.
    PubSub,
    /// Not at all: what lies above this tier is as old as its time to live lets it be.
    None,
}

/// What becomes of the entries above this tier when nothing is heard of the server any more.
///
/// ```
/// use scrubjay::{OnDisconnect, Remote};
/// use std::time::Duration;
///
/// // For 30 seconds, what is in memory is good enough.
/// let policy = OnDisconnect::CapAge(Duration::from_secs(30));
/// let remote = Remote::url("redis://localhost").on_disconnect(policy);
/// # let _ = remote;
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnDisconnect {
    /// They serve for so much longer, and what is stored meanwhile is fresh for so long at most. Then, and when the connection is
    /// back, they are not served any more. The default is 5 seconds.
    CapAge(Duration),
    /// They are not served any more, at once, and nothing is stored above while the server is away.
    Drop,
    /// They serve on, until the connection is back.
    ServeStale,
}

impl Default for OnDisconnect {
    fn default() -> OnDisconnect {
        OnDisconnect::CapAge(Duration::from_secs(5))
    }
}

/// What a removal answers while the server is away. It holds here at once in any case, and there as soon as the server is back.
///
/// ```
/// use scrubjay::{Remote, Removals};
///
/// let remote = Remote::url("redis://localhost").removals(Removals::Deferred);
/// # let _ = remote;
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Removals {
    /// That the server is away: other processes may serve the old value until it is back. The default.
    #[default]
    Confirmed,
    /// Nothing: it is counted.
    Deferred,
}

/// # What is there
impl Remote {
    /// What all keys of Scrubjay begin with on that server: `scrubjay:` unless said, 128 bytes at most. In [raw](Remote::raw) mode it is
    /// what the application's own keys begin with.
    pub fn prefix(mut self, prefix: impl Into<Vec<u8>>) -> Remote {
        self.prefix = prefix.into();
        self
    }

    /// Keys and values as any other program writes them: under the prefix and the key lies what the codec wrote, nothing else. There are
    /// no tags, no `clear` and no stale times then; the time to live is the server's.
    pub fn raw(mut self) -> Remote {
        self.is_raw = true;
        self
    }

    /// How long an entry lies on the server at most, whatever its time to live is.
    pub fn time_to_live_max(mut self, time: Duration) -> Remote {
        self.time_to_live_max = Some(time);
        self
    }

    /// The largest value that is written, in bytes as they are sent: 8 MiB unless said, 64 MiB at most. A larger one is not
    /// shared, which is counted.
    pub fn value_bytes_max(mut self, bytes: usize) -> Remote {
        self.value_bytes_max = bytes;
        self
    }

    /// LZ4: fastest to unpack. The default.
    pub fn lz4(mut self) -> Remote {
        self.packing.compression = Compression::Lz4;
        self
    }

    /// zstd, level 1: smaller, slower.
    pub fn zstd(mut self) -> Remote {
        self.packing.compression = Compression::Zstd;
        self
    }

    /// Serialised only. For values that do not shrink, such as float vectors or images.
    pub fn uncompressed(mut self) -> Remote {
        self.packing.compression = Compression::None;
        self
    }

    /// Payloads shorter than this are not packed. 1 KiB by default: shorter ones hardly shrink.
    pub fn compress_min_bytes(mut self, bytes: usize) -> Remote {
        self.packing.len_min = bytes;
        self
    }
}

/// # How long one waits
impl Remote {
    /// How long a connection may take to be made, name and TLS included: 2 seconds unless said.
    pub fn connect_timeout(mut self, time: Duration) -> Remote {
        self.connect_timeout = time;
        self
    }

    /// How long a command is waited for: 250 ms unless said. A read that takes longer is a miss. After some in a row the server
    /// is left alone for a while. From about 6 s on, what was inserted while the server was away is not brought there when it is
    /// back, but removed there: a removal elsewhere is remembered for 30 s, and a command may be on its way four times as long as
    /// this.
    pub fn command_timeout(mut self, time: Duration) -> Remote {
        self.command_timeout = time;
        self
    }

    /// Commands on their way at once: 1,024 unless said. Reads of single keys that meet go together, and as many of them at most wait
    /// for others to come back. A read beyond that passes the tier by.
    pub fn in_flight_max(mut self, commands: usize) -> Remote {
        self.in_flight_max = commands;
        self
    }

    /// How long a load is held to be running without a sign of life from its process: 5 seconds unless said. It is renewed as long
    /// as the load runs.
    pub fn lease_time(mut self, time: Duration) -> Remote {
        self.lease_time = time;
        self
    }

    /// How long a process waits for another that is loading the same key: 5 seconds unless said. Then it loads for itself.
    pub fn lease_wait(mut self, time: Duration) -> Remote {
        self.lease_wait = time;
        self
    }
}

/// # When others change something, and when the server is away
impl Remote {
    /// How a process hears of what the others change.
    pub fn coherence(mut self, coherence: Coherence) -> Remote {
        self.coherence = coherence;
        self
    }

    /// What becomes of the entries above when nothing is heard of the server any more.
    pub fn on_disconnect(mut self, policy: OnDisconnect) -> Remote {
        self.on_disconnect = policy;
        self
    }

    /// What a removal answers while the server is away.
    pub fn removals(mut self, removals: Removals) -> Remote {
        self.removals = removals;
        self
    }

    /// Bytes of changes that are kept until the server is back: 8 MiB unless said. Beyond them, what was stored meanwhile is
    /// removed from it instead.
    pub fn missed_bytes_max(mut self, bytes: usize) -> Remote {
        self.missed_bytes_max = bytes;
        self
    }
}

/// # TLS
impl Remote {
    /// Who signs the certificates of servers, in PEM. Unless said, who the system trusts.
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Remote {
        self.root_certificates = Some(Secret(pem.into()));
        self
    }

    /// The certificate that this process shows, and its key, in PEM: for servers that ask for one.
    pub fn client_certificate(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Remote {
        self.client_certificate = Some((Secret(certificate.into()), Secret(key.into())));
        self
    }
}

impl Remote {
    /// Whether the tier can be made; the addresses are the link's to judge.
    ///
    /// # Errors
    /// Names the field and the limit.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let urls = self.place.urls.len();
        if !(1..=URLS_MAX).contains(&urls) {
            return Err(Error::invalid(format!("remote.cluster has {urls} addresses, must be 1..={URLS_MAX}")));
        }
        let prefix_len = self.prefix.len();
        if prefix_len > PREFIX_LEN_MAX {
            return Err(Error::invalid(format!("remote.prefix is {prefix_len} bytes, must be 0..={PREFIX_LEN_MAX}")));
        }
        if !(1..=IN_FLIGHT_LIMIT).contains(&self.in_flight_max) {
            let in_flight_max = self.in_flight_max;
            return Err(Error::invalid(format!(
                "remote.in_flight_max is {in_flight_max}, must be 1..={IN_FLIGHT_LIMIT}"
            )));
        }
        if !(1..=VALUE_BYTES_LIMIT).contains(&self.value_bytes_max) {
            let bytes = self.value_bytes_max;
            return Err(Error::invalid(format!("remote.value_bytes_max is {bytes}, must be 1..={VALUE_BYTES_LIMIT}")));
        }
        if self.lease_time < LEASE_TIME_MIN {
            let time = self.lease_time;
            return Err(Error::invalid(format!("remote.lease_time is {time:?}, must be at least {LEASE_TIME_MIN:?}")));
        }
        milliseconds("remote.lease_time", self.lease_time)?;
        milliseconds("remote.connect_timeout", self.connect_timeout)?;
        milliseconds("remote.command_timeout", self.command_timeout)?;
        if !self.lease_wait.is_zero() {
            milliseconds("remote.lease_wait", self.lease_wait)?;
        }
        if let OnDisconnect::CapAge(time) = self.on_disconnect {
            milliseconds("remote.on_disconnect.cap_age", time)?;
        }
        self.time_to_live_max.map_or(Ok(0), |time| milliseconds("remote.time_to_live_max", time))?;
        Ok(())
    }
}
