//! The right to load a key, across processes.

/// The right to load a key and to store the result. Dropped, it is given back behind.
#[derive(Debug)]
pub(crate) struct RemoteLease {}
