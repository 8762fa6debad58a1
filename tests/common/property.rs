//! Property tests that can be run again: the seed of a run is told where it fails, and taken from the environment.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::test_runner::{Config, RngSeed};

/// As many cases, from a fresh seed unless PROPTEST_RNG_SEED has one. What a test prints is shown if it fails.
pub fn config(cases: u32) -> Config {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
            now.as_nanos() as u64
        }
    };
    println!("PROPTEST_RNG_SEED={seed} gives the same cases again");
    Config { rng_seed: RngSeed::Fixed(seed), ..config }
}
