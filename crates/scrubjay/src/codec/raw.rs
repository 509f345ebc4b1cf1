//! The codec of values that are bytes already.

use super::Codec;
use crate::error::BoxError;
use bytes::Bytes;
use std::sync::Arc;

/// Bytes and text as they are: rendered pages, images, what another program has serialised. One copy in, one copy out.
///
/// For `Vec<u8>`, `Box<[u8]>`, `Arc<[u8]>`, [`Bytes`], `String`, `Box<str>` and `Arc<str>`. They share one number: what
/// was written as one of them may be read as another, and text is checked.
///
/// ```
/// use scrubjay::{BoxError, Codec, Raw};
///
/// let mut out = Vec::new();
/// Raw.encode(&"a page".to_owned(), &mut out)?;
/// assert_eq!(out, b"a page");
/// let bytes: Vec<u8> = Raw.decode(&out)?;
/// assert_eq!(bytes, out);
/// let not_text: Result<String, _> = Raw.decode(b"\xff");
/// assert!(not_text.is_err());
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

macro_rules! bytes {
    ($($value:ty: |$bytes:ident| $decode:expr;)*) => {$(
        impl Codec<$value> for Raw {
            fn id(&self) -> u8 {
                3
            }

            fn encode(&self, value: &$value, out: &mut Vec<u8>) -> Result<(), BoxError> {
                let bytes: &[u8] = value.as_ref();
                out.extend_from_slice(bytes);
                Ok(())
            }

            fn decode(&self, $bytes: &[u8]) -> Result<$value, BoxError> {
                Ok($decode)
            }
        }
    )*};
}

bytes! {
    Vec<u8>: |bytes| bytes.to_vec();
    Box<[u8]>: |bytes| bytes.into();
    Arc<[u8]>: |bytes| bytes.into();
    Bytes: |bytes| Bytes::copy_from_slice(bytes);
    String: |bytes| std::str::from_utf8(bytes)?.to_owned();
}

macro_rules! texts {
    ($($value:ty)*) => {$(
        impl Codec<$value> for Raw {
            fn id(&self) -> u8 {
                3
            }

            fn encode(&self, value: &$value, out: &mut Vec<u8>) -> Result<(), BoxError> {
                out.extend_from_slice(value.as_bytes());
                Ok(())
            }

            fn decode(&self, bytes: &[u8]) -> Result<$value, BoxError> {
                Ok(std::str::from_utf8(bytes)?.into())
            }
        }
    )*};
}

texts! { Box<str> Arc<str> }
