//! The files of a disk store, changed in any way, with and without checksums that fit: nothing panics, looking at the store and
//! opening it come to the same, what is served was stored, and the store works on.
#![no_main]

#[path = "../../crates/disk/tests/mutations/play.rs"]
mod play;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| play::play(input));
