//! Random calls on small stores, held to a model that allows absence where the log is full and nothing else: never a wrong, an
//! expired or a removed value, in the store that is open and in the one that is opened after a close, a kill or a power failure.
//!
//! `SCRUBJAY_MODEL_CASES=1000` tries so many stores instead of a few dozen. A failure prints its seed, its configuration and the
//! last calls; `SCRUBJAY_MODEL_SEED=n` runs that one alone.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "model/config.rs"]
mod config;
#[path = "model/reference.rs"]
mod reference;
#[path = "model/steps.rs"]
mod steps;

use config::{Config, Ground};
use steps::Steps;

const STEPS: u32 = 500;

/// What the environment says a number is.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

fn run(cases: u64, ground: impl Fn(&Config) -> Ground) {
    let seeds = match number("SCRUBJAY_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SCRUBJAY_MODEL_CASES").unwrap_or(cases),
    };
    for seed in seeds {
        let config = Config::random(seed);
        let mut steps = Steps::new(config.clone(), ground(&config));
        for _ in 0..STEPS {
            if let Err(what) = steps.step_of_life() {
                panic!("{what}\nseed {seed}: {config:#?}\nafter\n{}", steps.story());
            }
        }
    }
}

#[test]
fn no_read_of_a_simulated_device_is_wrong() {
    run(60, Ground::simulated);
}

#[test]
fn no_read_of_a_folder_is_wrong() {
    run(12, |_| Ground::folder());
}
