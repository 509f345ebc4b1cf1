//! What a caller says of a store, and of a vector that is put there: plain data, validated once.

use super::Vector;
use super::format::{DIMENSIONS_MAX, METADATA_LEN_MAX};
use crate::clock::Clock;
use crate::disk::Durability;
use crate::error::Error;
use crate::limits::milliseconds;
use std::time::Duration;

/// The smallest budget: every vector within its limits fits into a fourth of it, and so into a segment.
const BYTES_MIN: u64 = 4 << 20;

/// How a [`VectorStore`](crate::VectorStore) works.
///
/// ```
/// use scrubjay::{VectorOptions, VectorStore};
/// use std::time::Duration;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path();
/// // 8 GiB hold a million vectors of 1,536 dimensions. What is not put again within 90 days goes.
/// let options = VectorOptions::bytes(8 << 30)
///     .dimensions(1536)
///     .time_to_live(Duration::from_secs(90 * 86_400));
/// let store = VectorStore::open(path, options)?;
///
/// let error = store.put("bge-m3@1.5", "jay", &[0.25; 768]).unwrap_err();
/// assert_eq!(error.to_string(), "vector has 768 dimensions, must have 1536 as the store's options say");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct VectorOptions {
    pub(super) bytes: u64,
    pub(super) dimensions: Option<usize>,
    pub(super) time_to_live: Option<Duration>,
    pub(super) removals: Durability,
    pub(super) clock: Clock,
}

impl VectorOptions {
    /// A budget in bytes, which all files together never exceed: 4 MiB at least. Beyond it the oldest vectors go, unless they
    /// are read often.
    pub fn bytes(bytes: u64) -> VectorOptions {
        let removals = Durability::default();
        VectorOptions { bytes, dimensions: None, time_to_live: None, removals, clock: Clock::system() }
    }

    /// How many dimensions every vector must have, in all namespaces: 1 to 65,536. Unless said, each namespace has those of
    /// its first vector.
    pub fn dimensions(mut self, dimensions: usize) -> VectorOptions {
        self.dimensions = Some(dimensions);
        self
    }

    /// How long a vector is kept that says nothing else. Unless said, until there is no room for it.
    pub fn time_to_live(mut self, time: Duration) -> VectorOptions {
        self.time_to_live = Some(time);
        self
    }

    /// What a removal or a clear has survived when its call returns: the end of the process, unless said.
    pub fn removals(mut self, durability: Durability) -> VectorOptions {
        self.removals = durability;
        self
    }

    /// Where time comes from: for tests.
    pub fn clock(mut self, clock: Clock) -> VectorOptions {
        self.clock = clock;
        self
    }

    /// Whether a store can be made of them.
    ///
    /// # Errors
    /// `Invalid` names the field, the value and the limit.
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.bytes < BYTES_MIN {
            return Err(Error::invalid(format!("bytes is {}, must be at least {BYTES_MIN}", self.bytes)));
        }
        if let Some(dimensions) = self.dimensions.filter(|dimensions| !(1..=DIMENSIONS_MAX).contains(dimensions)) {
            return Err(Error::invalid(format!("dimensions is {dimensions}, must be 1..={DIMENSIONS_MAX}")));
        }
        self.time_to_live.map_or(Ok(0), |time| milliseconds("time_to_live", time))?;
        Ok(())
    }
}

/// A vector that is to be stored, with what shall be kept beside it.
///
/// A slice or an array is one as it is. Metadata is bytes of your own: JSON, a few numbers, nothing.
///
/// ```
/// # use scrubjay::{NewVector, VectorOptions, VectorStore};
/// # use std::time::Duration;
/// # let folder = tempfile::tempdir()?;
/// # let store = VectorStore::open(folder.path(), VectorOptions::bytes(4 << 20))?;
/// let floats = [0.25, -1.0, 3.5];
/// let vector = NewVector::of(&floats).metadata(br#"{"tokens":2}"#).time_to_live(Duration::from_secs(3600));
/// store.put("bge-m3@1.5", "blue jay", vector)?;
/// store.put("bge-m3@1.5", "grey jay", &floats)?;
///
/// let found = store.get("bge-m3@1.5", "blue jay")?.expect("it was put");
/// assert_eq!((found.floats(), found.metadata()), (&floats[..], &br#"{"tokens":2}"#[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct NewVector<'a> {
    pub(super) floats: &'a [f32],
    pub(super) metadata: &'a [u8],
    pub(super) time_to_live: Option<Duration>,
}

impl<'a> NewVector<'a> {
    /// Of these floats, 1 to 65,536, without metadata.
    pub fn of(floats: &'a [f32]) -> NewVector<'a> {
        NewVector { floats, metadata: &[], time_to_live: None }
    }

    /// What is kept beside it: at most 64 KiB.
    pub fn metadata(mut self, metadata: &'a [u8]) -> NewVector<'a> {
        self.metadata = metadata;
        self
    }

    /// How long it is kept, instead of what the store's options say.
    pub fn time_to_live(mut self, time: Duration) -> NewVector<'a> {
        self.time_to_live = Some(time);
        self
    }

    /// Whether it is within the limits; its time in milliseconds.
    ///
    /// # Errors
    /// `Invalid` names what is not, and the limit.
    pub(super) fn check(&self) -> Result<Option<u64>, Error> {
        let (dimensions, metadata_len) = (self.floats.len(), self.metadata.len());
        if !(1..=DIMENSIONS_MAX).contains(&dimensions) {
            return Err(Error::invalid(format!("vector has {dimensions} dimensions, must have 1..={DIMENSIONS_MAX}")));
        }
        if metadata_len > METADATA_LEN_MAX {
            return Err(Error::invalid(format!(
                "metadata is {metadata_len} bytes, must be at most {METADATA_LEN_MAX}"
            )));
        }
        self.time_to_live.map(|time| milliseconds("time_to_live", time)).transpose()
    }
}

impl<'a> From<&'a [f32]> for NewVector<'a> {
    fn from(floats: &'a [f32]) -> NewVector<'a> {
        NewVector::of(floats)
    }
}

impl<'a> From<&'a Vec<f32>> for NewVector<'a> {
    fn from(floats: &'a Vec<f32>) -> NewVector<'a> {
        NewVector::of(floats)
    }
}

impl<'a, const N: usize> From<&'a [f32; N]> for NewVector<'a> {
    fn from(floats: &'a [f32; N]) -> NewVector<'a> {
        NewVector::of(floats)
    }
}

/// With its metadata, and the time to live that the store's options say.
impl<'a> From<&'a Vector> for NewVector<'a> {
    fn from(vector: &'a Vector) -> NewVector<'a> {
        NewVector::of(vector.floats()).metadata(vector.metadata())
    }
}
