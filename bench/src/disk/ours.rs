//! Ours, as the library's disk tier calls it.

use super::engine::{Engine, Setting};
use scrubjay_disk::{Io, Namespace, Options, Overload, Put, Store};

pub(super) fn open(setting: &Setting) -> anyhow::Result<Box<dyn Engine>> {
    let io = if setting.is_direct { Io::Direct } else { Io::Buffered };
    let store = Store::open(&setting.folder, Options::bytes(setting.capacity).io(io).overload(Overload::Wait))?;
    let entries = store.namespace("entries")?;
    Ok(Box::new(Ours { store, entries }))
}

struct Ours {
    store: Store,
    entries: Namespace,
}

impl Engine for Ours {
    fn put(&self, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        match self.entries.put(key, value)? {
            Put::Stored => Ok(()),
            Put::Dropped(why) => anyhow::bail!("dropped: {why:?}"),
        }
    }

    fn get(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> anyhow::Result<bool> {
        let value = self.entries.get(key)?;
        if let Some(value) = &value {
            look(value);
        }
        Ok(value.is_some())
    }

    fn remove(&self, key: &[u8]) -> anyhow::Result<()> {
        self.entries.remove(key)?;
        Ok(())
    }

    fn settle(&self) -> anyhow::Result<()> {
        Ok(self.store.flush()?)
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.store.close()?)
    }

    fn written_bytes(&self) -> Option<u64> {
        Some(self.store.stats().written_bytes)
    }

    fn index_bytes(&self) -> Option<u64> {
        Some(self.store.stats().index_bytes)
    }
}
