//! All vectors of a namespace, one after the other.

use super::spaces::Space;
use super::{Inner, Vector, error_of};
use crate::error::{Error, ErrorKind};
use scrubjay_disk::Keys;
use std::fmt;
use std::sync::Arc;

/// The vectors of a namespace with their keys, see [`get_all`](crate::VectorStore::get_all). Each step reads from the device. As
/// long as this is held, the folder is.
///
/// ```
/// # use scrubjay::{VectorOptions, VectorStore};
/// # let folder = tempfile::tempdir()?;
/// # let store = VectorStore::open(folder.path(), VectorOptions::bytes(4 << 20))?;
/// store.put("bge-m3@1.5", "jay", &[0.25, -1.0])?;
/// store.put("bge-m3@1.5", "magpie", &[0.5, 2.0])?;
///
/// // An index for the search is filled at the start of the process.
/// let mut index = Vec::new();
/// for found in store.get_all("bge-m3@1.5") {
///     let (key, vector) = found?;
///     index.push((key, vector.into_floats()));
/// }
/// assert_eq!(index, [(b"jay".to_vec(), vec![0.25, -1.0]), (b"magpie".to_vec(), vec![0.5, 2.0])]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct Vectors {
    /// None if the namespace was not put to since it was cleared.
    walk: Option<Walk>,
}

struct Walk {
    keys: Keys,
    space: Arc<Space>,
    dimensions: usize,
    inner: Arc<Inner>,
}

impl Vectors {
    pub(super) fn new(inner: &Arc<Inner>, space: Option<(Arc<Space>, usize)>) -> Vectors {
        let walk = space.map(|(space, dimensions)| {
            let keys = space.entries.keys();
            Walk { keys, space, dimensions, inner: Arc::clone(inner) }
        });
        Vectors { walk }
    }
}

impl Iterator for Vectors {
    type Item = Result<(Vec<u8>, Vector), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Walk { keys, space, dimensions, inner } = self.walk.as_mut()?;
        loop {
            let key = match keys.next()? {
                Ok(key) => key,
                Err(error) => return Some(Err(error_of(error))),
            };
            // A walk makes nothing hotter: what is read once, all in a row, says nothing of what is read often.
            match space.entries.peek(&key) {
                Ok(Some(value)) => {
                    if let Some(vector) = inner.decode(space, *dimensions, &value) {
                        return Some(Ok((key, vector)));
                    }
                }
                Ok(None) if space.entries.contains(&key) => {
                    return Some(Err(Error::new(ErrorKind::Unavailable, "a vector cannot be read from the device")));
                }
                // Removed or evicted since the walk began.
                Ok(None) => {}
                Err(error) => return Some(Err(error_of(error))),
            }
        }
    }
}

impl fmt::Debug for Vectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vectors").finish_non_exhaustive()
    }
}
