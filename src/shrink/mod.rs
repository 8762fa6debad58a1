//! From a failing seed to the smallest scenario that still fails in the same way.
//!
//! ```text
//! search/                 the phases, each of them by delta debugging      ddmin.rs
//!   replicas              a table for each                                 replicas.rs
//!   guests, devices       that nothing needed depends on                   dependencies.rs devices.rs numbering.rs
//!   timeline              what was drawn in the place of ranges; left out  times.rs
//!   knobs                 left out; delays cut down, others turned down    knobs.rs milder.rs
//!   chance                lists of what became of each frame in its place  lists.rs fates.rs
//! each candidate          a text, edited in place                          script.rs (paths.rs)
//!   fails the same way?   one run with the seed                            failure.rs
//! ```
//!
//! What a candidate comes to depends on its text and the seed alone, and so does the whole search. This folder knows
//! nothing of files, terminals and clocks: whoever calls it is asked again and again whether it is to go on.

mod ddmin;
mod dependencies;
mod devices;
mod failure;
mod fates;
mod knobs;
mod lists;
mod milder;
mod numbering;
mod paths;
mod replicas;
mod script;
mod search;
#[cfg(test)]
mod tests;
mod times;

use std::cell::RefCell;
use std::path::Path;

use failure::Failure;
use script::Script;
use search::Search;
use thiserror::Error;

use crate::lab::Lab;
use crate::scenario::expectation::Expected;
use crate::scenario::{self, ScenarioError};

/// What is left of a scenario, and what is being tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `guests`, `timeline`, `knobs` ...
    pub phase: &'static str,
    /// Runs so far.
    pub runs: u64,
    pub left: Left,
}

/// How large a scenario is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub guests: usize,
    /// Entries of the timeline.
    pub entries: usize,
    /// Knobs of links.
    pub knobs: usize,
    /// Frames that lists name.
    pub frames: usize,
}

/// The smallest scenario that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The scenario, without a word of where it comes from.
    pub text: String,
    /// What was expected, and what was found instead: a line each.
    pub failure: [String; 2],
    pub runs: u64,
    pub left: Left,
    /// Nothing is left to try: it was not stopped before.
    pub complete: bool,
}

/// Why there is nothing to shrink.
#[derive(Debug, Error)]
pub enum ShrinkError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error("seed {0} does not fail: every expectation is met")]
    Passes(u64),
    #[error("TAP `{0}`: virtual time has no TAPs, as Linux behind one does not wait for it")]
    Tap(String),
    #[error("{0}: host: virtual time has no sockets of the host, as programs there do not wait for it")]
    Host(String),
    #[error("it was stopped before the first run was over")]
    Stopped,
    #[error("the golden capture {0} is what seed {1} differs from, and so would every smaller scenario")]
    Golden(String, u64),
}

/// Shrinks the scenario `text`, of which `lab` has the modules, as far as it fails with `seed`. `path` is the file that the
/// text stands in. `go_on` is asked before each run and again and again within it.
///
/// # Errors
///
/// The text is no scenario, there is no failure that can be followed, or it was stopped before it was known.
pub fn shrink(
    lab: &Lab,
    text: &str,
    path: &Path,
    seed: u64,
    mut go_on: impl FnMut(&Progress) -> bool,
) -> Result<Shrunk, ShrinkError> {
    let plan = scenario::load_text(text, path)?;
    if let Some(tap) = plan.taps.first() {
        return Err(ShrinkError::Tap(tap.name.clone()));
    }
    if let Some(folder) = plan.host_folders.first() {
        return Err(ShrinkError::Host(folder.place.clone()));
    }
    // What the scenario's own reader takes is TOML.
    let script = Script::parse(text).map_err(|_| ShrinkError::Passes(seed))?;
    let first = Progress { phase: "the scenario itself", runs: 0, left: Left::default() };
    let asked = RefCell::new(&mut go_on);
    let report = lab.run_variant_while(&plan, seed, &|| (asked.borrow_mut())(&first));
    let report = report.ok_or(ShrinkError::Stopped)?;
    let Some(failure) = Failure::first(&plan, script.expectations(), &report) else {
        return Err(ShrinkError::Passes(seed));
    };
    if let Some(number) = failure.expectation()
        && let Expected::Golden { path, .. } = &plan.expectations[number].expected
    {
        return Err(ShrinkError::Golden(path.display().to_string(), seed));
    }
    Ok(Search::new(lab, path, seed, (script, plan, report), failure, &mut go_on).finish())
}

/// The text of a scenario with its seed in it; and, for another folder, with `folder` before its relative paths.
pub fn finish(text: &str, seed: u64, folder: Option<&Path>) -> String {
    let Ok(mut script) = Script::parse(text) else { return text.to_owned() };
    if let Some(folder) = folder {
        paths::rebase(&mut script, folder);
    }
    if script.set_seed(seed) { script.text() } else { format!("seed = {seed}\n\n{}", script.text()) }
}

/// True if the guest is the one called `table`, or a replica.
fn is_made_from(guest: &str, table: &str) -> bool {
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    guest == table || guest.strip_prefix(table).and_then(|rest| rest.strip_prefix('-')).is_some_and(is_number)
}
