//! Vectors of floats, as they lie in memory. JSON makes 19 KB and 42 us of an embedding that is 6 KB and a copy.

use super::Codec;
use crate::error::BoxError;
use std::sync::Arc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Vectors of floats as raw little-endian bytes: embeddings, features, time series. A copy in and a copy out; every float
/// comes back bit by bit, NaN included. Compression hardly shrinks them: see [`Compressed::uncompressed`](crate::Compressed::uncompressed).
///
/// For `Vec<F>`, `Box<[F]>`, `Arc<[F]>` and `[F; N]`, `F` being `f32` or `f64`. In Python, `numpy.frombuffer(payload, "<f4")`
/// reads them.
///
/// ```
/// use scrubjay::{BoxError, Codec, Floats};
///
/// let embedding = vec![0.5_f32, -1.0];
/// let mut bytes = Vec::new();
/// Floats.encode(&embedding, &mut bytes)?;
/// assert_eq!(bytes, [0, 0, 0, 0x3f, 0, 0, 0x80, 0xbf]);
/// let back: Vec<f32> = Floats.decode(&bytes)?;
/// assert_eq!(back, embedding);
/// let other_len: Result<[f32; 3], _> = Floats.decode(&bytes);
/// assert!(other_len.is_err());
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Floats;

/// A float of either width.
trait Float: Copy + Default + FromBytes + IntoBytes + Immutable + KnownLayout {
    const ID: u8;

    /// Its bits in the other order of bytes.
    fn swapped(self) -> Self;
}

impl Float for f32 {
    const ID: u8 = 4;

    fn swapped(self) -> f32 {
        f32::from_bits(self.to_bits().swap_bytes())
    }
}

impl Float for f64 {
    const ID: u8 = 5;

    fn swapped(self) -> f64 {
        f64::from_bits(self.to_bits().swap_bytes())
    }
}

fn append<F: Float>(floats: &[F], out: &mut Vec<u8>) {
    if cfg!(target_endian = "little") {
        out.extend_from_slice(floats.as_bytes());
    } else {
        floats.iter().for_each(|float| out.extend_from_slice(float.swapped().as_bytes()));
    }
}

/// Fills `floats`, as many as the bytes hold.
fn fill<F: Float>(floats: &mut [F], bytes: &[u8]) {
    floats.as_mut_bytes().copy_from_slice(bytes);
    if cfg!(target_endian = "big") {
        floats.iter_mut().for_each(|float| *float = float.swapped());
    }
}

fn count<F>(bytes: &[u8]) -> Result<usize, BoxError> {
    if !bytes.len().is_multiple_of(size_of::<F>()) {
        return Err(format!("{} bytes are no vector of floats of {} bytes", bytes.len(), size_of::<F>()).into());
    }
    Ok(bytes.len() / size_of::<F>())
}

fn decode_vec<F: Float>(bytes: &[u8]) -> Result<Vec<F>, BoxError> {
    let mut floats = vec![F::default(); count::<F>(bytes)?];
    fill(&mut floats, bytes);
    Ok(floats)
}

fn decode_arc<F: Float>(bytes: &[u8]) -> Result<Arc<[F]>, BoxError> {
    let mut floats: Arc<[F]> = std::iter::repeat_n(F::default(), count::<F>(bytes)?).collect();
    // Just made, so nobody else holds it.
    fill(Arc::get_mut(&mut floats).ok_or("shared")?, bytes);
    Ok(floats)
}

fn decode_array<F: Float, const N: usize>(bytes: &[u8]) -> Result<[F; N], BoxError> {
    let mut floats = [F::default(); N];
    if bytes.len() != size_of_val(&floats) {
        return Err(format!("{} bytes are not {N} floats of {} bytes", bytes.len(), size_of::<F>()).into());
    }
    fill(&mut floats, bytes);
    Ok(floats)
}

macro_rules! vectors {
    ($([$($generics:tt)*] $float:ty, $vector:ty, $decode:expr;)*) => {$(
        impl<$($generics)*> Codec<$vector> for Floats {
            fn id(&self) -> u8 {
                <$float>::ID
            }

            fn encode(&self, value: &$vector, out: &mut Vec<u8>) -> Result<(), BoxError> {
                append::<$float>(value, out);
                Ok(())
            }

            fn decode(&self, bytes: &[u8]) -> Result<$vector, BoxError> {
                $decode(bytes)
            }
        }
    )*};
}

vectors! {
    [] f32, Vec<f32>, decode_vec;
    [] f64, Vec<f64>, decode_vec;
    [] f32, Box<[f32]>, |bytes| decode_vec(bytes).map(Vec::into_boxed_slice);
    [] f64, Box<[f64]>, |bytes| decode_vec(bytes).map(Vec::into_boxed_slice);
    [] f32, Arc<[f32]>, decode_arc;
    [] f64, Arc<[f64]>, decode_arc;
    [const N: usize] f32, [f32; N], decode_array;
    [const N: usize] f64, [f64; N], decode_array;
}
