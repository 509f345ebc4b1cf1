//! How a value becomes bytes for the tiers below memory, and comes back.
//!
//! A codec is stable: what it wrote, it reads in every later version, or it answers with an error, which the cache
//! counts and treats as a miss. Values of another type are kept apart by the cache's schema version, not here.

use crate::error::BoxError;

/// Turns values into bytes and back.
pub trait Codec<V>: Send + Sync + 'static {
    /// A number that the entry's header carries, so that one codec never reads another's bytes.
    fn id(&self) -> u8;

    /// Appends the bytes of `value` to `out`.
    ///
    /// # Errors
    /// The value does not serialise; whatever was appended is cut off by the caller.
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), BoxError>;

    /// The value whose bytes these are.
    ///
    /// # Errors
    /// The bytes are none of this codec's for a `V`.
    fn decode(&self, bytes: &[u8]) -> Result<V, BoxError>;
}

/// Serde with postcard: compact, fast, the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Postcard;

impl<V: serde::Serialize + serde::de::DeserializeOwned> Codec<V> for Postcard {
    fn id(&self) -> u8 {
        1
    }

    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.extend_from_slice(&postcard::to_allocvec(value)?);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, BoxError> {
        Ok(postcard::from_bytes(bytes)?)
    }
}
