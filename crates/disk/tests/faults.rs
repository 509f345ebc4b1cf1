//! A device that goes wrong at every operation in turn: the power fails, the process dies, an operation fails, tears, flips a bit,
//! lies, stalls or finds no space. Never wrong data, never a removed value that was durably removed; what was durable is there
//! after a crash, and a failure that passes costs nothing that was handed over.
//!
//! By default a few dozen operations are tried, spread over the run. `SCRUBJAY_FAULT_CASES=1000` tries that many of each.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "faults/bits.rs"]
mod bits;
#[path = "model/config.rs"]
mod config;
#[path = "faults/device.rs"]
mod device;
#[path = "faults/directed.rs"]
mod directed;
#[path = "model/reference.rs"]
mod reference;
#[path = "model/steps.rs"]
mod steps;

use config::{Config, Ground};
use reference::{End, Lengths, Random};
use scrubjay_disk::simulated::{Fault, Injection, Operation};
use scrubjay_disk::{Admission, Io, Overload, SimulatedDevice, Sync};
use steps::Steps;

/// Calls on a store before it comes to its end.
const STEPS: u32 = 150;

/// How many operations are tried.
fn cases() -> u64 {
    std::env::var("SCRUBJAY_FAULT_CASES").map_or(60, |cases| cases.parse().unwrap())
}

/// A store that keeps what it is given: absence means loss.
fn config(seed: u64) -> Config {
    let mut random = Random(seed ^ 0xfa17);
    Config {
        seed,
        lengths: [Lengths::Same, Lengths::Short, Lengths::Mixed][random.index(3)],
        segments: [6, 24][random.index(2)],
        sync: [Sync::None, Sync::None, Sync::Each][random.index(3)],
        overload: Overload::Wait,
        admission: Admission::All,
        reinsert: 0.25,
        io: [Io::Buffered, Io::Direct][random.index(2)],
        reads_wait: false,
    }
}

fn device(steps: &Steps) -> SimulatedDevice {
    match &steps.ground {
        Ground::Simulated(device) => device.clone(),
        Ground::Folder(_) => unreachable!("faults need a device that is simulated"),
    }
}

/// How many operations a run of that seed takes, about.
fn operations(seed: u64) -> u64 {
    let config = config(seed);
    let mut steps = Steps::new(config.clone(), Ground::simulated(&config));
    (0..STEPS).for_each(|_| steps.step().unwrap());
    device(&steps).operations()
}

/// Says what happened, and how to see it again.
#[track_caller]
fn check(verdict: reference::Verdict, steps: &Steps, what: &str) {
    if let Err(wrong) = verdict {
        panic!("{wrong}\n{what}: {:#?}\nafter\n{}", steps.config, steps.story());
    }
}

/// Runs stores that end at one operation after the other, and goes on with what is left.
fn end_everywhere(fault: Fault, end: End) {
    for case in 0..cases() {
        let (seed, spared) = (case, Random(case).below(operations(case) + 10));
        let config = config(seed);
        let ground = Ground::simulated(&config);
        let Ground::Simulated(device) = &ground else { unreachable!() };
        let device = device.clone();
        device.inject(Injection::after(spared, fault));
        let what = format!("{fault:?} after {spared} operations, seed {seed}");
        let mut steps = Steps::new(config, ground);
        let mut before = steps.reference.clone();
        for _ in 0..STEPS {
            if device.has_image() {
                break;
            }
            before = steps.reference.clone();
            check(steps.step(), &steps, &what);
        }
        let Some(left) = device.take_image() else { continue };
        // The last call may have been done in part; only what was promised before it is sure.
        steps.reference = steps.reference.as_durable_as(&before);
        steps.reference.now_ms = before.now_ms;
        check(steps.go_on_with(left, end), &steps, &what);
        // What was found stays, and nothing else comes back.
        for round in 0..3 {
            for _ in 0..STEPS / 5 {
                check(steps.step(), &steps, &format!("{what}, after round {round}"));
            }
            check(steps.end_and_reopen(end), &steps, &format!("{what}, once more after round {round}"));
        }
    }
}

#[test]
fn a_power_failure_at_any_operation_takes_nothing_that_was_durable() {
    end_everywhere(Fault::Crash, End::Crashed);
}

#[test]
fn the_end_of_the_process_at_any_operation_takes_nothing_that_was_handed_over() {
    end_everywhere(Fault::Kill, End::Killed);
}

/// What happens where something is written.
const WRITING: [Operation; 7] = [
    Operation::Create,
    Operation::Remove,
    Operation::Rename,
    Operation::SyncFolder,
    Operation::Write,
    Operation::Sync,
    Operation::SetLen,
];

/// Runs stores whose device fails once, at one operation after the other; then closes and reopens them.
fn fail_everywhere(fault: Fault, operations_hit: &[Operation], may_lose: bool) {
    for case in 0..cases() {
        let (seed, spared) = (case, Random(case).below(operations(case) / 2 + 10));
        let config = config(seed);
        let mut steps = Steps::new(config.clone(), Ground::simulated(&config));
        steps.may_fail = true;
        // A segment that is given up takes the log back to before a clear that came after it: what was put since is absent.
        steps.may_clear = false;
        // What is being moved out of a segment that failed is not found for the moment.
        steps.reference.may_lose = true;
        let device = device(&steps);
        device.inject(Injection::after(spared, fault).only(operations_hit));
        let what = format!("{fault:?} after {spared} operations, seed {seed}");
        for _ in 0..STEPS {
            check(steps.step(), &steps, &what);
        }
        device.heal();
        // What was not made durable last is an error of the close, too. It is written all the same.
        steps.may_fail = steps.was_refused;
        steps.reference.may_lose = may_lose;
        check(steps.close_and_reopen(), &steps, &what);
        steps.may_fail = false;
        for _ in 0..STEPS / 5 {
            check(steps.step(), &steps, &format!("{what}, opened again"));
        }
    }
}

#[test]
fn a_write_that_fails_once_costs_nothing() {
    fail_everywhere(Fault::Fail, &WRITING, false);
}

#[test]
fn a_write_that_tears_costs_nothing() {
    fail_everywhere(Fault::Torn, &WRITING, false);
}

#[test]
fn a_moment_without_space_costs_old_entries_at_most() {
    fail_everywhere(Fault::Full, &[Operation::Create, Operation::Write], true);
}

#[test]
fn a_read_that_fails_is_a_miss() {
    fail_everywhere(Fault::Fail, &[Operation::Read, Operation::TryRead], true);
}

#[test]
fn a_bit_that_flips_in_a_read_is_a_miss() {
    fail_everywhere(Fault::Flip, &[Operation::Read, Operation::TryRead], true);
}

#[test]
fn a_bit_that_flips_in_a_write_is_a_miss() {
    fail_everywhere(Fault::Flip, &[Operation::Write], true);
}

#[test]
fn a_device_that_lies_about_sync_loses_data_and_makes_none_up() {
    for seed in 0..cases() {
        let config = config(seed);
        let mut steps = Steps::new(config.clone(), Ground::simulated(&config));
        let device = device(&steps);
        device.inject(Injection::after(Random(seed).below(20), Fault::Lie).every(1 + seed % 3));
        let what = format!("a device that lies, seed {seed}");
        steps.reference.may_lose = true;
        for _ in 0..3 {
            for _ in 0..STEPS / 2 {
                check(steps.step(), &steps, &what);
            }
            check(steps.end_and_reopen(End::Betrayed), &steps, &what);
        }
    }
}
