//! Codecs for whatever serde serialises. Both append to the buffer as they go, without one of their own.

use super::Codec;
use crate::error::BoxError;
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Serde with [postcard](https://postcard.jamesmunns.com/wire-format): compact, fast, the default.
///
/// The bytes say nothing of names and types, so a change of the type is a change of the cache's schema version.
///
/// ```
/// use scrubjay::{BoxError, Codec, Postcard};
///
/// let mut bytes = Vec::new();
/// Postcard.encode(&(300_u32, "jay".to_owned()), &mut bytes)?;
/// assert_eq!(bytes, [0xac, 0x02, 3, b'j', b'a', b'y']);
/// let back: (u32, String) = Postcard.decode(&bytes)?;
/// assert_eq!(back, (300, "jay".to_owned()));
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Postcard;

impl<V: Serialize + DeserializeOwned> Codec<V> for Postcard {
    fn id(&self) -> u8 {
        1
    }

    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(postcard::serialize_with_flavor(value, Append(out))?)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, BoxError> {
        match postcard::take_from_bytes(bytes)? {
            (value, []) => Ok(value),
            (_, rest) => Err(format!("{} bytes behind the value", rest.len()).into()),
        }
    }
}

/// Writes behind what there is.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Serde with JSON: for values that programs in other languages read. Several times the size and the time of [`Postcard`].
/// Floats come back bit by bit, but those that JSON cannot say (NaN, infinities) become `null`, and do not come back.
///
/// ```
/// use scrubjay::{BoxError, Codec, Json};
/// use std::collections::BTreeMap;
///
/// let user = BTreeMap::from([("name".to_owned(), "Ada".to_owned())]);
/// let mut bytes = Vec::new();
/// Json.encode(&user, &mut bytes)?;
/// assert_eq!(bytes, br#"{"name":"Ada"}"#);
/// let back: BTreeMap<String, String> = Json.decode(&bytes)?;
/// assert_eq!(back, user);
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl<V: Serialize + DeserializeOwned> Codec<V> for Json {
    fn id(&self) -> u8 {
        2
    }

    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(serde_json::to_writer(out, value)?)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, BoxError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}
