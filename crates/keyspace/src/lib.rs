//! The data store: keys, values, expiry, latches and the keyspace-wide gate.
//!
//! A [`Keyspace`] is cut into stripes by the hash of the key. A thread enters through the gate
//! ([`Keyspace::pass`]), latches the stripes of the keys that it is about to touch ([`Pass::latch`]) and works on what
//! it [`Held`]. Whatever may touch anything closes the gate instead ([`Keyspace::exclusive`]).
//!
//! The keyspace knows nothing of sockets, RESP, threads or clocks: every call that depends on time is given `now_ms`.

mod blobs;
mod entry;
mod gate;
mod hash;
mod held;
mod index;
mod keyspace;
mod memory;
mod scan;
mod slab;
mod stripe;
mod watch;

#[cfg(test)]
mod tests;

pub use gate::{Exclusive, Pass};
pub use hash::{Key, KeyHash};
pub use held::{Entry, Expiry, Full, Held, Owned};
pub use keyspace::{Db, Keyspace, MemoryParts, Options, OptionsError};
pub use scan::Cursor;
pub use watch::{Change, WatchFlag};
