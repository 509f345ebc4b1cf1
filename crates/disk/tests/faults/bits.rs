//! Files that are not as they were left: bits flipped, ends cut off, files gone or foreign. A miss and a counter, or an error when the
//! store is opened; never a wrong value, and where what is gone can be told, never a removed one.

use super::config::{Config, Ground};
use super::reference::{End, Key, Lengths, Random};
use super::steps::{Steps, names};
use super::{cases, check, config};
use scrubjay_disk::{ErrorKind, SimulatedDevice, Store};
use std::sync::Arc;

/// A store that was used and closed, and its device.
fn closed(seed: u64) -> (Steps, SimulatedDevice) {
    let config = Config { lengths: Lengths::Short, segments: 24, ..config(seed) };
    let mut steps = Steps::new(config.clone(), Ground::simulated(&config));
    for _ in 0..400 {
        steps.step().unwrap();
    }
    steps.store.close().unwrap();
    let device = super::device(&steps);
    steps.reference.may_lose = true;
    (steps, device)
}

/// Opens what is left of a closed store, and checks every key against what the end may have left.
fn check_damaged(steps: &mut Steps, left: SimulatedDevice, end: End, what: &str) {
    let reference = steps.reference.clone();
    let log = steps.log.len();
    match Store::open_on(Arc::new(left.clone()), steps.config.options(&steps.clock)) {
        Ok(store) => {
            drop(store);
            let verdict = steps.go_on_with(left, end);
            check(verdict, steps, what);
            // It can be used, and stays what it is.
            for _ in 0..20 {
                let verdict = steps.step();
                check(verdict, steps, what);
            }
            let verdict = steps.close_and_reopen();
            check(verdict, steps, what);
        }
        Err(error) => {
            let is_clear = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Newer);
            assert!(is_clear, "{what}: {error}");
        }
    }
    steps.reference = reference;
    steps.log.truncate(log);
}

#[test]
fn a_bit_that_flips_at_rest_is_a_miss_at_worst() {
    for seed in 0..3 {
        let (mut steps, device) = closed(seed);
        let mut random = Random(seed);
        for case in 0..cases() {
            let files = Vec::from_iter(files(&device));
            let (name, len) = &files[random.index(files.len())];
            // The beginning and the end of a file are where it says what it is.
            let byte = match random.below(3) {
                0 => random.below(64.min(*len)),
                1 => len - 1 - random.below(200.min(*len)),
                _ => random.below(*len),
            };
            let bit = byte * 8 + random.below(8);
            let left = device.kill();
            left.flip(name, bit);
            check_damaged(&mut steps, left, End::Closed, &format!("seed {seed}, case {case}: bit {bit} of {name}"));
        }
    }
}

#[test]
fn a_file_that_is_cut_off_costs_what_is_gone() {
    let (mut steps, device) = closed(5);
    let files = files(&device);
    let newest = files.iter().map(|(name, _)| name).filter(|name| name.starts_with("segment")).max().unwrap();
    let mut random = Random(5);
    for case in 0..cases() {
        let (name, len) = &files[random.index(files.len())];
        let kept = [0, 1, random.below(*len), len - 1][random.index(4)];
        let left = device.kill();
        let mut bytes = left.contents(name).unwrap();
        bytes.truncate(usize::try_from(kept).unwrap());
        left.set_contents(name, bytes);
        // The end of the log may be cut off without a trace, and what was cleared stands in the manifest alone.
        let end = if name == newest || name == "manifest" { End::Betrayed } else { End::Closed };
        check_damaged(&mut steps, left, end, &format!("case {case}: {kept} bytes of {name} ({len})"));
    }
}

#[test]
fn a_segment_that_is_gone_costs_what_is_older() {
    let (mut steps, device) = closed(6);
    let segments: Vec<String> =
        files(&device).into_iter().map(|(name, _)| name).filter(|name| name.starts_with("segment")).collect();
    let newest = segments.iter().max().unwrap();
    for name in &segments {
        let left = device.kill();
        scrubjay_disk::Device::remove(&left, name).unwrap();
        let end = if name == newest { End::Betrayed } else { End::Closed };
        check_damaged(&mut steps, left, end, &format!("without {name}"));
    }
}

#[test]
fn files_of_others_and_of_other_stores_are_not_taken_for_ones_own() {
    let (mut steps, device) = closed(7);
    let (_, other) = closed(8);
    for (name, _) in files(&device).into_iter().filter(|(name, _)| name.starts_with("segment")) {
        let Some(bytes) = other.contents(&name) else { continue };
        let left = device.kill();
        left.set_contents(&name, bytes);
        check_damaged(&mut steps, left, End::Betrayed, &format!("{name} of another store"));
        let left = device.kill();
        left.set_contents("segment-00000000000000zz", vec![7; 100]);
        left.set_contents("notes.txt", vec![7; 100]);
        left.set_contents(&name, b"not a segment at all".repeat(100));
        check_damaged(&mut steps, left, End::Betrayed, &format!("{name} of nobody"));
    }
    // Two segments that have changed places.
    let segments: Vec<String> =
        files(&device).into_iter().map(|(name, _)| name).filter(|name| name.starts_with("segment")).collect();
    if let [first, second, ..] = &segments[..] {
        let left = device.kill();
        left.set_contents(first, device.contents(second).unwrap());
        left.set_contents(second, device.contents(first).unwrap());
        check_damaged(&mut steps, left, End::Betrayed, "two segments that have changed places");
    }
}

#[test]
fn damage_is_counted() {
    let (mut steps, device) = closed(9);
    let files = files(&device);
    for (name, len) in files.iter().filter(|(name, _)| name.starts_with("segment")) {
        for byte in (64..len * 3 / 4).step_by(16) {
            device.flip(name, byte * 8);
        }
    }
    steps.store = Store::open_on(Arc::new(device), steps.config.options(&steps.clock)).unwrap();
    let mut misses = 0;
    let namespaces: Vec<_> = names().iter().map(|name| steps.store.namespace(name).unwrap()).collect();
    for key in Key::all().filter(|key| steps.reference.may_read(*key).is_some()) {
        misses += u64::from(namespaces[key.namespace].get(&key.bytes()).unwrap().is_none());
    }
    let stats = steps.store.stats();
    assert!(misses > 0);
    assert!(stats.corrupt > 0 && stats.corrupt <= misses, "{misses} misses, {stats:?}");
}

fn files(device: &SimulatedDevice) -> Vec<(String, u64)> {
    let files = scrubjay_disk::Device::list(device).unwrap();
    files.into_iter().filter(|(_, len)| *len > 0).collect()
}
