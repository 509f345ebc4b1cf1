//! Values too large for a slot, each in a buffer of its own, named by a number.
//!
//! **Invariant:** `usage` counts the capacity of every buffer here.

use crate::Full;
use crate::memory::Usage;

/// What the allocator spends on a buffer besides its bytes.
const BUFFER_OVERHEAD: usize = 16;

/// One large value, and its key when that is too large for a slot as well.
#[derive(Debug, Default)]
struct Blob {
    key: Option<Box<[u8]>>,
    value: Vec<u8>,
}

impl Blob {
    fn bytes(&self) -> usize {
        self.value.capacity() + BUFFER_OVERHEAD + self.key.as_ref().map_or(0, |key| key.len() + BUFFER_OVERHEAD)
    }
}

/// The large values of one stripe.
pub(crate) struct Blobs {
    blobs: Vec<Option<Blob>>,
    free: Vec<u32>,
    usage: Usage,
}

impl Blobs {
    pub(crate) fn new(usage: Usage) -> Blobs {
        Blobs { blobs: Vec::new(), free: Vec::new(), usage }
    }

    pub(crate) fn insert(&mut self, key: Option<&[u8]>, value: Vec<u8>) -> Result<u32, Full> {
        self.usage.ask()?;
        let blob = Blob { key: key.map(Box::from), value };
        self.usage.add_buffer(blob.bytes());
        if let Some(id) = self.free.pop() {
            self.blobs[id as usize] = Some(blob);
            return Ok(id);
        }
        let id = u32::try_from(self.blobs.len()).map_err(|_| Full)?;
        self.blobs.push(Some(blob));
        Ok(id)
    }

    pub(crate) fn remove(&mut self, id: u32) -> Vec<u8> {
        let Some(blob) = self.blobs[id as usize].take() else { return Vec::new() };
        self.usage.sub_buffer(blob.bytes());
        self.free.push(id);
        blob.value
    }

    pub(crate) fn value(&self, id: u32) -> &[u8] {
        self.blobs[id as usize].as_ref().map_or(&[], |blob| &blob.value)
    }

    pub(crate) fn key(&self, id: u32) -> &[u8] {
        self.blobs[id as usize].as_ref().and_then(|blob| blob.key.as_deref()).unwrap_or_default()
    }

    /// Bytes that a blob takes.
    pub(crate) fn bytes(&self, id: u32) -> usize {
        self.blobs[id as usize].as_ref().map_or(0, Blob::bytes)
    }

    /// Cuts a value or fills it with zeros, and hands it out.
    pub(crate) fn resize(&mut self, id: u32, len: usize) -> Result<&mut [u8], Full> {
        let Some(blob) = &mut self.blobs[id as usize] else { return Err(Full) };
        let before = blob.value.capacity();
        let more = len.saturating_sub(blob.value.len());
        if more > 0 {
            self.usage.ask()?;
        }
        blob.value.try_reserve(more).map_err(|_| Full)?;
        blob.value.resize(len, 0);
        if blob.value.capacity() > 2 * len {
            blob.value.shrink_to(len);
        }
        self.usage.add_buffer(blob.value.capacity());
        self.usage.sub_buffer(before);
        Ok(&mut blob.value)
    }

    /// Panics unless exactly the blobs of `named` are there. Returns the bytes that are charged.
    #[cfg(test)]
    pub(crate) fn validate(&self, named: &std::collections::HashSet<u32>) -> usize {
        let is_there = |id: &u32| self.blobs[*id as usize].is_some();
        assert!(named.iter().all(is_there) && !self.free.iter().any(is_there));
        assert_eq!(named.len() + self.free.len(), self.blobs.len(), "every blob is named");
        self.blobs.iter().flatten().map(Blob::bytes).sum()
    }

    pub(crate) fn clear(&mut self) {
        let bytes: usize = self.blobs.iter().flatten().map(Blob::bytes).sum();
        self.usage.sub_buffer(bytes);
        self.blobs = Vec::new();
        self.free = Vec::new();
    }
}
