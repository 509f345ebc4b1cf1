//! A vector as a caller gets it: floats of its own, what was stored beside them, and its end.

use std::time::{Duration, SystemTime};

/// A vector that was found.
///
/// ```
/// # use scrubjay::{Vector, VectorOptions, VectorStore};
/// # let folder = tempfile::tempdir()?;
/// # let store = VectorStore::open(folder.path(), VectorOptions::bytes(4 << 20))?;
/// # store.put("bge-m3@1.5", "jay", &[3.0, 4.0])?;
/// let jay: Vector = store.get("bge-m3@1.5", "jay")?.expect("it was put");
/// let length = jay.floats().iter().map(|x| x * x).sum::<f32>().sqrt();
/// assert_eq!((length, jay.dimensions(), jay.metadata().len()), (5.0, 2, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    floats: Vec<f32>,
    metadata: Vec<u8>,
    /// In Unix milliseconds; 0 for never.
    expires_ms: u64,
}

impl Vector {
    pub(super) fn new(floats: Vec<f32>, metadata: Vec<u8>, expires_ms: u64) -> Vector {
        Vector { floats, metadata, expires_ms }
    }

    /// Its floats.
    pub fn floats(&self) -> &[f32] {
        &self.floats
    }

    /// Its floats, without a copy.
    pub fn into_floats(self) -> Vec<f32> {
        self.floats
    }

    /// How many there are.
    pub fn dimensions(&self) -> usize {
        self.floats.len()
    }

    /// What was stored beside it; empty if nothing was.
    pub fn metadata(&self) -> &[u8] {
        &self.metadata
    }

    /// When it expires, if it does.
    pub fn expires_at(&self) -> Option<SystemTime> {
        (self.expires_ms != 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(self.expires_ms))
    }
}

/// One that was just made, and stands where a found one might: without metadata.
impl From<Vec<f32>> for Vector {
    fn from(floats: Vec<f32>) -> Vector {
        Vector::new(floats, Vec::new(), 0)
    }
}
