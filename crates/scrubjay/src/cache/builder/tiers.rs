//! The tiers below memory, made of what the builder was told of them.

use super::super::{Compressing, OnDisk, OnObject, OnRemote};
use crate::clock::Clock;
use crate::codec::Codec;
use crate::compressed::{Compressed, CompressedTier, TierSetup};
use crate::disk::{self, Disk, DiskTier, Opened};
use crate::entry::Anchor;
use crate::error::{Error, ErrorKind};
use crate::kept::Keeping;
use crate::memory::Epochs;
use crate::object::{Object, ObjectSetup, ObjectTier};
use crate::remote::{Remote, RemoteSetup, RemoteTier};
use crate::tags::Stamps;
use std::sync::Arc;
use tokio::runtime::Handle;

/// What a tier must know of its cache.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) name: &'a str,
    pub(super) schema: u32,
    pub(super) clock: &'a Clock,
    pub(super) runtime: &'a Handle,
}

impl Of<'_> {
    /// Its entries are the keys' whose changes `epochs` count.
    pub(super) fn compressing<V: 'static>(
        self,
        (config, codec): (Compressed, Box<dyn Codec<V>>),
        disk: Option<&OnDisk<V>>,
        epochs: &Arc<Epochs>,
    ) -> Compressing<V> {
        // With a disk below, entries are written as they will lie there.
        let anchor = disk.map_or(Anchor::PROCESS, |disk| disk.tier.anchor());
        let (namespace, schema) = (self.name.into(), self.schema);
        let keeping = Keeping { namespace, schema, codec: codec.id(), packing: config.packing, anchor };
        let setup = TierSetup { keeping, clock: self.clock.clone(), epochs: Arc::clone(epochs) };
        Compressing { tier: CompressedTier::new(&config, setup), codec }
    }

    /// Opens the folder, where that may block. A tier that is optional goes without it for now.
    pub(super) async fn on_disk<V: 'static>(self, disk: Disk, codec: Box<dyn Codec<V>>) -> Result<OnDisk<V>, Error> {
        let (name, clock, runtime) = (self.name.into(), self.clock.clone(), self.runtime.clone());
        let setup = disk::TierSetup { name, schema: self.schema, codec: codec.id(), clock, runtime };
        let opening = self.runtime.spawn_blocking(move || {
            let opened = Opened::folder(&disk, &setup.name, &setup.clock);
            DiskTier::new(disk, setup, opened)
        });
        let gone = |_| Error::new(ErrorKind::Unavailable, "the runtime of the cache has shut down");
        Ok(OnDisk { tier: Arc::new(opening.await.map_err(gone)??), codec })
    }

    /// It connects behind.
    pub(super) fn on_remote<V: 'static>(self, remote: Remote, codec: Box<dyn Codec<V>>) -> Result<OnRemote<V>, Error> {
        let (name, clock, runtime) = (self.name.into(), self.clock.clone(), self.runtime.clone());
        let setup = RemoteSetup { name, schema: self.schema, codec_id: codec.id(), clock, runtime, remote };
        Ok(OnRemote { tier: Arc::new(RemoteTier::start(setup)?), codec })
    }

    /// What lies there is looked for behind.
    pub(super) fn on_object<V: 'static>(self, object: Object, codec: Box<dyn Codec<V>>) -> Result<OnObject<V>, Error> {
        let (name, clock, runtime) = (self.name.into(), self.clock.clone(), self.runtime.clone());
        let setup = ObjectSetup { name, schema: self.schema, codec: codec.id(), clock, runtime, object };
        Ok(OnObject { tier: ObjectTier::open(setup)?, codec })
    }
}

/// What the compressed tier evicts lies on disk as it is.
pub(super) fn check_codecs<V: 'static>(disk: &dyn Codec<V>, compressed: Option<&dyn Codec<V>>) -> Result<(), Error> {
    match compressed {
        Some(compressed) if compressed.id() != disk.id() => Err(Error::invalid(format!(
            "codec of the disk tier is number {}, must be that of the compressed tier, {}",
            disk.id(),
            compressed.id()
        ))),
        _ => Ok(()),
    }
}

/// With a disk tier, stamps are those of the processes before, and are written down.
pub(super) fn stamps_of<V>(disk: Option<&OnDisk<V>>) -> Stamps {
    let Some(disk) = disk else { return Stamps::new() };
    let tier = Arc::clone(&disk.tier);
    let stamps = Stamps::written_down(Box::new(move |mark, to| tier.write_down(mark, to)));
    stamps.load(&disk.tier.stamped());
    stamps
}
