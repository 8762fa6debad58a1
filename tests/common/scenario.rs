//! The labs under tests/scenarios/.

use std::path::{Path, PathBuf};

use guestnet::lab::Lab;

pub fn path(name: &str) -> PathBuf {
    // From the package, where tests run: messages that name files are then the same on every machine.
    Path::new("tests/scenarios").join(format!("{name}.toml"))
}

/// Where compiled modules are kept, between tests too.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("modules")
}

pub fn lab(name: &str) -> Lab {
    let lab = Lab::from_file(path(name));
    lab.unwrap_or_else(|error| panic!("{}\n(scripts/guests builds the guests)", error.plain()))
        .with_cache(cache())
}
