//! What the threads of the tier meet at: atomics, fences, the lock of a shard, and what is a thread's own. Those of the
//! standard library, or, for `cargo xtask sanitize model`, those of a model checker (`model.rs`).

#[cfg(not(all(test, feature = "__model")))]
pub(super) use {
    parking_lot::{Mutex, MutexGuard},
    std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, compiler_fence, fence},
    std::thread_local,
};

#[cfg(all(test, feature = "__model"))]
pub(super) use super::model::sync::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Mutex, MutexGuard, compiler_fence, fence, thread_local,
};
pub(super) use std::sync::atomic::Ordering;

/// Records of reading threads in a block. The model checker tries every order in which they can be looked at.
pub(super) const BLOCK_RECORDS: usize = if cfg!(all(test, feature = "__model")) { 3 } else { 32 };
