//! The disk engine: bytes by namespace and key in a log of segments, with expiry and heat.
#![allow(dead_code, unused_imports, reason = "being built: goes when the store stands")]

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
pub use options::{Options, Overload, Sync};
pub use simulated::SimulatedDevice;
pub use state::State;
pub use stats::Stats;
pub use store::{Hot, Hottest, Keys, Lookup, Namespace, Put, PutOptions, Store, Why};
pub use value::Value;
