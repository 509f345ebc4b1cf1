//! Being built (owner: format): until then every store begins empty.

use crate::device::Device;
use crate::error::Error;
use crate::index::Index;
use crate::log::{Files, Log, LogSettings, Resumed, Space};
use crate::manifest::{Manifest, NewStore, StoreIdentity};
use crate::options::Options;
use crate::place::Position;
use crate::stats::OpenCounts;
use crate::store::{Core, Parts};
use std::sync::Arc;

/// Opens what is on the device, or begins anew.
pub(crate) fn open(device: Arc<dyn Device>, options: Options) -> Result<Core, Error> {
    device.lock().map_err(|error| Error::device("the folder", error))?;
    let segment_len = options.segment_len_or_default();
    let new = NewStore { segment_len, now_ms: (options.clock)() };
    let manifest = Manifest::open(Arc::clone(&device), new)?;
    let StoreIdentity { store_id, hash_seed, .. } = manifest.identity();
    let settings =
        LogSettings { store_id, segment_len, alignment: device.alignment(), queue_bytes: options.queue_bytes };
    let resumed = Resumed { next: Position { seq: 1, offset: 0 }, items: Vec::new(), tail: Vec::new() };
    let space = Space::new(options.capacity, 0, segment_len);
    let latest_ms = (options.clock)();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Core::new(Parts {
        index: Index::new(Index::shards_for(threads, options.capacity)),
        log: Log::new(settings, resumed, Files::new(Vec::new()), space, latest_ms),
        manifest,
        opened: OpenCounts::default(),
        store_id,
        hash_seed,
        latest_ms,
        device,
        options,
    }))
}
