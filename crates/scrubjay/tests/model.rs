//! Random calls on every face and in every configuration, held to a model that allows absence and nothing else: never a wrong, an
//! expired or a removed value, a stale one only where the configuration permits it and within its window. Where the tiers hold
//! everything, absence is not allowed either.
//!
//! A step is one call, with nothing else under way, on a clock that is held. Of the combinations of all settings one in eight is
//! tried, spread so that any few settings meet. `SCRUBJAY_MODEL_CASES=100` tries each of them, a hundred times, with other calls
//! each time. A failure names the number of its configuration and its seed.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "model/asynchronous.rs"]
mod asynchronous;
#[path = "model/blocking.rs"]
mod blocking;
#[path = "model/config.rs"]
mod config;
#[path = "model/loads.rs"]
mod loads;
#[path = "model/memory_cache.rs"]
mod memory_cache;
#[path = "model/reference.rs"]
mod reference;
#[path = "model/steps.rs"]
mod steps;
#[path = "model/subject.rs"]
mod subject;

use config::{Config, Face, Random};
use steps::Steps;
use subject::Subject;

/// Calls on each cache, and four times as many where there are four times as many keys.
const STEPS: u32 = 100;

/// How often each configuration is tried; `None` if nobody says.
fn cases() -> Option<u64> {
    std::env::var("SCRUBJAY_MODEL_CASES").ok().map(|cases| cases.parse().unwrap())
}

/// Whether a configuration is tried where not all of them are.
fn is_chosen(number: u64) -> bool {
    Random::new(number).is_one_in(8)
}

/// Runs the configurations of a face whose number leaves `rest` when divided by `divisor`.
fn run(face: Face, (rest, divisor): (u64, u64), make: impl Fn(&Config) -> Box<dyn Subject>) {
    for number in (0..Config::count(face)).filter(|number| number % divisor == rest) {
        if cases().is_none() && face == Face::Cache && !is_chosen(number) {
            continue;
        }
        let usually = match face {
            Face::Cache => 1,
            Face::Blocking => 4,
            Face::Memory => 20,
        };
        for seed in 0..cases().unwrap_or(usually) {
            let config = Config::new(face, number, seed);
            let subject = make(&config);
            let steps = Steps::new(config.clone(), subject, Random::new(number << 20 | seed));
            if let Err((what, log)) = steps.run(if config.is_wide { 4 * STEPS } else { STEPS }) {
                panic!("{what}\nconfiguration {number}, seed {seed}: {config:#?}\nafter\n{log}");
            }
        }
    }
}

#[test]
fn no_read_of_a_cache_in_memory_is_wrong() {
    let runtime = asynchronous::runtime();
    run(Face::Cache, (0, 2), |config| asynchronous::subject(&runtime, config));
}

#[test]
fn no_read_of_a_cache_in_two_tiers_is_wrong() {
    let runtime = asynchronous::runtime();
    run(Face::Cache, (1, 2), |config| asynchronous::subject(&runtime, config));
}

#[test]
fn no_read_of_the_blocking_face_is_wrong() {
    let runtime = blocking::runtime();
    run(Face::Blocking, (0, 1), |config| blocking::subject(&runtime, config));
}

#[test]
fn no_read_of_a_memory_cache_is_wrong() {
    run(Face::Memory, (0, 1), memory_cache::subject);
}
