//! Fills one cache and says what it takes: resident memory, and what the allocator was asked for.
//!
//! A program of its own, since the counting allocator costs every allocation two shared writes: the cases that measure
//! time must not pay for them.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> anyhow::Result<()> {
    scrubjay_bench::fill_and_weigh(|| {
        let stats = COUNTED.stats();
        stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated)
    })
}
