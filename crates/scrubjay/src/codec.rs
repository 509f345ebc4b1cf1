//! How a value becomes bytes for the tiers below memory, and comes back.
//!
//! A codec is stable: what it wrote, it reads in every later version, or it answers with an error, which the cache
//! counts and treats as a miss. Values of another type are kept apart by the cache's schema version, not here.
//!
//! | codec | for | number |
//! |---|---|---|
//! | [`Postcard`] | whatever serde serialises; compact, the default | 1 |
//! | [`Json`] | the same, readable in every language | 2 |
//! | [`Raw`] | bytes and text as they are | 3 |
//! | [`Floats`] | vectors of `f32` or `f64` as they lie in memory | 4, 5 |

mod floats;
mod raw;
mod serde;
#[cfg(test)]
mod tests;

use crate::error::BoxError;

pub use floats::Floats;
pub use raw::Raw;
pub use serde::{Json, Postcard};

/// Turns values into bytes and back.
///
/// ```
/// use scrubjay::{BoxError, Codec};
///
/// /// Temperatures, to the hundredth of a degree, in two bytes.
/// struct Celsius;
///
/// impl Codec<f32> for Celsius {
///     fn id(&self) -> u8 {
///         128
///     }
///
///     fn encode(&self, value: &f32, out: &mut Vec<u8>) -> Result<(), BoxError> {
///         let hundredths = (value * 100.0).round();
///         if hundredths.abs() > 32_767.0 {
///             return Err(format!("{value} degrees").into());
///         }
///         out.extend_from_slice(&(hundredths as i16).to_le_bytes());
///         Ok(())
///     }
///
///     fn decode(&self, bytes: &[u8]) -> Result<f32, BoxError> {
///         Ok(f32::from(i16::from_le_bytes(bytes.try_into()?)) / 100.0)
///     }
/// }
///
/// let codec: Box<dyn Codec<f32>> = Box::new(Celsius);
/// let mut bytes = Vec::new();
/// codec.encode(&21.5, &mut bytes)?;
/// assert_eq!(codec.decode(&bytes)?, 21.5);
/// assert!(codec.encode(&400.0, &mut bytes).is_err());
/// # Ok::<(), BoxError>(())
/// ```
pub trait Codec<V>: Send + Sync + 'static {
    /// A number that the entry's header carries, so that one codec never reads another's bytes. Those below 128 are for
    /// the codecs of this crate.
    fn id(&self) -> u8;

    /// Appends the bytes of `value` to `out`, which holds other bytes already.
    ///
    /// # Errors
    /// The value does not serialise; whatever was appended is cut off by the caller.
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), BoxError>;

    /// The value whose bytes these are, all of them.
    ///
    /// # Errors
    /// The bytes are none of this codec's for a `V`.
    fn decode(&self, bytes: &[u8]) -> Result<V, BoxError>;
}
