//! The commands of this group, run through the executor.
