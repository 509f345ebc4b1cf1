//! The disk engine: bytes by namespace and key in a log of segments, with expiry and heat.
//!
//! ```
//! use scrubjay_disk::{Options, Put, Store};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path();
//! let store = Store::open(path, Options::bytes(64 << 20))?;
//! let pages = store.namespace("pages")?;
//! assert_eq!(pages.put(b"/about", b"<h1>About</h1>")?, Put::Stored);
//! assert_eq!(pages.get(b"/about")?.as_deref(), Some(&b"<h1>About</h1>"[..]));
//! store.close()?;
//!
//! // Another process, another day.
//! let store = Store::open(path, Options::bytes(64 << 20))?;
//! let pages = store.namespace("pages")?;
//! assert!(pages.contains(b"/about"));
//! pages.clear()?; // at the same cost however much is in it
//! assert!(pages.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It is a cache: it makes room by itself, and whatever is there may be gone tomorrow. What it promises:
//!
//! - **Never wrong data.** What `get` returns was put under that very key of that namespace, is intact and has not expired.
//! - **What was removed, replaced or cleared stays so**, after a restart as well: whatever reached the operating system
//!   ([`Store::flush`]) outlives the process, whatever was made durable ([`Store::sync`], [`Sync`]) outlives a power failure.
//! - **Space and memory are bounded**: all files together by the capacity, memory by 24 bytes an entry and slack (about 34) and by
//!   the queue.
//! - **A device that fails costs misses**, never wrong answers; [`Store::state`] says how it is doing, and each value that is
//!   dropped is [counted](Stats) and said to who put it ([`Put::Dropped`]).
//!
//! Calls block; those that never wait for the device are [`put`](Namespace::put) with [`Overload::Drop`],
//! [`try_get`](Namespace::try_get), [`contains`](Namespace::contains) and [`remove`](Namespace::remove), unless [`Sync::Each`] makes
//! them. A store starts two threads. It needs no runtime.
//!
//! | what | cost, on one core of a small cloud machine |
//! |---|---|
//! | `put` of 128 bytes, 4 KiB, 100 KiB | 0.7, 2.9, 54 to 69 us of CPU, writing included |
//! | `get` of 128 bytes, 4 KiB, 100 KiB from the page cache | 1.7, 2.6, 18 us |
//! | a miss | 0.15 us, and no I/O |
//! | `remove` | as a put of nothing |
//! | [`clear`](Namespace::clear) | a write to the manifest |
//! | [`keys`](Namespace::keys) | a walk through the index, and a small read per key |
//! | opening 1M entries | 0.2 s |
//!
//! `cargo xtask bench disk` measures it on your machine, beside fjall, redb and foyer. The files are described byte by byte in
//! docs/disk-format.md, and the story of a put and a get is in ARCHITECTURE.md.

mod admission;
mod bandwidth;
mod block;
mod clock;
mod device;
mod error;
mod heat;
mod index;
mod inspect;
mod log;
mod manifest;
mod namespace;
mod open;
mod options;
mod place;
mod reclaim;
mod record;
mod segment;
pub mod simulated;
mod state;
mod stats;
mod store;
mod value;

pub use admission::Admission;
pub use device::file::FileDevice;
pub use device::{Device, DeviceFile, Io};
pub use error::{Error, ErrorKind};
pub use inspect::{
    Damage, NamespaceReport, Report, SegmentReport, SegmentState, Verified, inspect, inspect_on, verify, verify_on,
};
pub use options::{Options, Overload, Sync};
pub use simulated::SimulatedDevice;
pub use state::State;
pub use stats::Stats;
pub use store::{Hot, Hottest, Keys, Lookup, Namespace, Put, PutOptions, Store, Why};
pub use value::Value;
