//! The buffers of one thread: an idle connection holds none, and the one used last, still in the cache, is used next.

/// Bytes of an input buffer, and the most that is read from a connection at once.
pub(super) const READ_LEN: usize = 64 << 10;
/// An output buffer above this is given back to the allocator rather than kept.
const OUTPUT_KEPT_MAX: usize = 256 << 10;
const KEPT_MAX: usize = 64;

/// Free buffers.
#[derive(Default)]
pub(super) struct Buffers {
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
}

impl Buffers {
    /// A buffer of [`READ_LEN`] initialised bytes.
    pub(super) fn take_input(&mut self) -> Vec<u8> {
        self.inputs.pop().unwrap_or_else(|| vec![0; READ_LEN])
    }

    pub(super) fn give_input(&mut self, buffer: Vec<u8>) {
        if buffer.len() == READ_LEN && self.inputs.len() < KEPT_MAX {
            self.inputs.push(buffer);
        }
    }

    /// An empty buffer.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        self.outputs.pop().unwrap_or_default()
    }

    pub(super) fn give_output(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && buffer.capacity() <= OUTPUT_KEPT_MAX && self.outputs.len() < KEPT_MAX {
            buffer.clear();
            self.outputs.push(buffer);
        }
    }

    /// Bytes that lie here unused.
    pub(super) fn len_bytes(&self) -> usize {
        self.inputs.len() * READ_LEN + self.outputs.iter().map(Vec::capacity).sum::<usize>()
    }
}
