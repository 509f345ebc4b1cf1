//! Several processes on one server: what one has changed no other returns for long, whatever happens to them, to the server and to the
//! network between.
//!
//! `shared/histories.rs` runs processes (this test's binary once more, `child.rs`) through a proxy that harms them, and has
//! what they tell (`story.rs`) judged by `checker.rs`; `wrong_histories.rs` sees to it that the checker can fail.
//! `faults.rs` and `network.rs` do one kind of harm each to caches that stand for processes (`stations.rs`).
//!
//! A few rounds by default; `SCRUBJAY_SHARED_ROUNDS=100` for many, `SCRUBJAY_SHARED_SEED=7` to begin with another seed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "shared/checker.rs"]
mod checker;
#[path = "shared/child.rs"]
mod child;
#[path = "shared/children.rs"]
mod children;
#[path = "shared/faults.rs"]
mod faults;
#[path = "shared/histories.rs"]
mod histories;
#[path = "shared/network.rs"]
mod network;
#[path = "shared/stampede.rs"]
mod stampede;
#[path = "shared/stations.rs"]
mod stations;
#[path = "shared/story.rs"]
mod story;
#[path = "shared/wrong_histories.rs"]
mod wrong_histories;
