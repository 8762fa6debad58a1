//! From a failing seed to the smallest scenario that still fails in the same way.
//!
//! ```text
//! shrink                  the phases, each of them by delta debugging      ddmin.rs
//!   replicas              a table for each                                 replicas.rs
//!   guests, devices       that nothing needed depends on                   dependencies.rs devices.rs numbering.rs
//!   timeline, knobs       left out; delays cut down                        knobs.rs
//!   chance                lists of what became of each frame in its place  fates.rs
//! each candidate          a text, edited in place                          script.rs (paths.rs)
//!   fails the same way?   one run with the seed                            failure.rs
//! ```
//!
//! What a candidate comes to depends on its text and the seed alone, and so does the whole search. This folder knows
//! nothing of files, terminals and clocks: whoever calls it is asked before each run whether there is to be one more.

mod ddmin;
mod dependencies;
mod devices;
mod failure;
mod fates;
mod knobs;
mod numbering;
mod paths;
mod replicas;
mod script;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use ddmin::{Stopped, ddmin};
use devices::Device;
use failure::Failure;
use numbering::Numbering;
use script::Script;
use thiserror::Error;

use crate::lab::{Lab, Report};
use crate::scenario::expectation::Expected;
use crate::scenario::plan::Plan;
use crate::scenario::{self, ScenarioError};
use crate::sim::Ending;

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
    #[error("the golden capture {0} is what seed {1} differs from, and so would every smaller scenario")]
    Golden(String, u64),
}

/// Shrinks the scenario `text`, of which `lab` has the modules, as far as it fails with `seed`. `path` is the file that the
/// text stands in. `go_on` is asked before each run.
///
/// # Errors
///
/// The text is no scenario, or there is no failure that can be followed.
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
    let report = lab.run_variant(&plan, seed);
    let Some(failure) = Failure::first(&plan, script.expectations(), &report) else {
        return Err(ShrinkError::Passes(seed));
    };
    if let Some(number) = failure.expectation()
        && let Expected::Golden { path, .. } = &plan.expectations[number].expected
    {
        return Err(ShrinkError::Golden(path.display().to_string(), seed));
    }
    let mut search = Search {
        lab,
        path,
        seed,
        failures: Failure::all(&plan, script.expectations(), &report),
        failure,
        duration_max: plan.duration.unwrap_or(report.at.elapsed() * 4 + Duration::from_secs(60)),
        plan,
        report,
        script,
        tried: BTreeSet::new(),
        runs: 1,
        phase: "replicas",
        go_on: &mut go_on,
    };
    let complete = search.all().is_ok();
    Ok(Shrunk {
        text: search.script.text(),
        failure: search.told(),
        runs: search.runs,
        left: search.left(),
        complete,
    })
}

/// The text of a scenario with its seed in it; and, for another folder, with `folder` before its relative paths.
pub fn finish(text: &str, seed: u64, folder: Option<&Path>) -> String {
    let Ok(mut script) = Script::parse(text) else { return text.to_owned() };
    if let Some(folder) = folder {
        paths::rebase(&mut script, folder);
    }
    if script.set_seed(seed) { script.text() } else { format!("seed = {seed}\n\n{}", script.text()) }
}

struct Search<'a> {
    lab: &'a Lab,
    path: &'a Path,
    seed: u64,
    /// What the scenario fails with, and everything that it failed with at first.
    failure: Failure,
    failures: Vec<Failure>,
    /// For candidates that would otherwise go on for ever.
    duration_max: Duration,
    /// The smallest that fails so far, and its run.
    script: Script,
    plan: Plan,
    report: Report,
    /// Digests of candidates that do not fail, or not so.
    tried: BTreeSet<String>,
    runs: u64,
    phase: &'static str,
    go_on: &'a mut dyn FnMut(&Progress) -> bool,
}

impl Search<'_> {
    /// All phases, again and again until none finds anything.
    fn all(&mut self) -> Result<(), Stopped> {
        self.replicas()?;
        loop {
            let before = self.script.text();
            self.guests()?;
            self.timeline()?;
            self.knobs()?;
            self.devices()?;
            self.delays()?;
            self.chance()?;
            self.frames()?;
            if self.script.text() == before {
                break;
            }
        }
        self.expectations()
    }

    /// What was expected, and what was found instead, in a line each.
    fn told(&self) -> [String; 2] {
        let verdict = self.failure.verdict(&self.plan, self.script.expectations(), &self.report);
        let found = verdict.and_then(|verdict| verdict.found.as_ref()).map(|found| found.what.as_str());
        let one_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        [verdict.map_or("", |verdict| &verdict.expected), found.unwrap_or_default()].map(one_line)
    }

    fn left(&self) -> Left {
        let frames = fates::listed(&self.script).len();
        let knobs = knobs::knobs(&self.script);
        let lists = ["drop", "delayed", "duplicated"];
        Left {
            guests: self.plan.guests.len(),
            entries: self.script.entries(),
            knobs: knobs.iter().filter(|knob| !lists.contains(&knob.key.as_str())).count(),
            frames,
        }
    }

    /// Runs a candidate, and keeps it if it fails in the same way.
    fn keep(&mut self, candidate: Option<Script>) -> Result<bool, Stopped> {
        let Some(script) = candidate else { return Ok(false) };
        let Ok(plan) = scenario::load_text(&script.text(), self.path) else { return Ok(false) };
        if plan.digest == self.plan.digest {
            return Ok(true);
        }
        if self.tried.contains(&plan.digest) {
            return Ok(false);
        }
        let progress = Progress { phase: self.phase, runs: self.runs, left: self.left() };
        if !(self.go_on)(&progress) {
            return Err(Stopped);
        }
        self.runs += 1;
        let limited = Plan { duration: plan.duration.or(Some(self.duration_max)), ..plan.clone() };
        let report = self.lab.run_variant(&limited, self.seed);
        let endless = plan.duration.is_none() && report.ending == Ending::Duration;
        let fails = !endless && Failure::all(&plan, script.expectations(), &report).contains(&self.failure);
        if fails {
            (self.script, self.plan, self.report) = (script, plan, report);
        } else {
            self.tried.insert(plan.digest);
        }
        Ok(fails)
    }

    /// Leaves out as many of `items` as it can. There may be more ways than one to do without some of them.
    fn reduce<T: Clone + Ord, W: IntoIterator<Item = Script>>(
        &mut self,
        items: &[T],
        without: impl Fn(&Search<'_>, &Script, &BTreeSet<T>) -> W,
    ) -> Result<(), Stopped> {
        let base = self.script.clone();
        ddmin(items, |kept| {
            let gone: BTreeSet<T> = items.iter().filter(|item| !kept.contains(item)).cloned().collect();
            for candidate in without(self, &base, &gone) {
                if self.keep(Some(candidate))? {
                    return Ok(true);
                }
            }
            Ok(false)
        })?;
        Ok(())
    }

    /// Replicas become guests by themselves, for each to be left out or to have its own link.
    fn replicas(&mut self) -> Result<(), Stopped> {
        self.phase = "replicas";
        let apart = replicas::apart(&self.script);
        self.keep(apart)?;
        Ok(())
    }

    /// Guests that nothing needed depends on.
    fn guests(&mut self) -> Result<(), Stopped> {
        self.phase = "guests";
        let needs = dependencies::dependencies(&self.plan, &self.report);
        let own = self.failure.guests(&self.plan, self.script.expectations());
        let needed = dependencies::closure(own, &needs);
        let names = |numbers: &BTreeSet<usize>| -> BTreeSet<String> {
            numbers.iter().map(|&number| self.plan.guests[number].name.clone()).collect()
        };
        let needed = names(&needed);
        // What a guest is called in the scenario: replicas share a table.
        let tables: Vec<Device> = Device::all(&self.script, "guest");
        let table_of = |guest: &str| tables.iter().find(|table| is_made_from(guest, &table.name)).cloned();
        let mut needs_of: Vec<(Device, Device)> = Vec::new();
        for (number, peers) in needs.iter().enumerate() {
            for peer in names(peers) {
                needs_of.extend(table_of(&self.plan.guests[number].name).zip(table_of(&peer)));
            }
        }
        let is_needed = |table: &Device| needed.iter().any(|guest| is_made_from(guest, &table.name));
        let candidates: Vec<Device> = tables.iter().filter(|table| !is_needed(table)).cloned().collect();
        let before = self.plan.clone();
        let numbering = Numbering::of(&self.script, &self.plan, &self.report);
        self.reduce(&candidates, |search, base, gone| {
            if needs_of.iter().any(|(guest, peer)| gone.contains(peer) && !gone.contains(guest)) {
                return Vec::new();
            }
            search.without_devices(base, gone, &before, &numbering)
        })
    }

    /// Routers, switches and links that nobody uses any more.
    fn devices(&mut self) -> Result<(), Stopped> {
        self.phase = "networks";
        let devices: Vec<Device> = ["router", "dhcp", "link", "switch"]
            .into_iter()
            .flat_map(|kind| Device::all(&self.script, kind))
            .collect();
        let before = self.plan.clone();
        let numbering = Numbering::of(&self.script, &self.plan, &self.report);
        self.reduce(&devices, |search, base, gone| search.without_devices(base, gone, &before, &numbering))
    }

    /// With lists that name the frames that they named, or else the numbers that they named.
    fn without_devices(
        &self,
        base: &Script,
        gone: &BTreeSet<Device>,
        before: &Plan,
        numbering: &Numbering,
    ) -> Vec<Script> {
        let without = || {
            let mut script = devices::without_devices(base, gone, &self.failure)?;
            let after = scenario::load_text(&script.text(), self.path).ok()?;
            devices::pin_addresses(&mut script, before, &after)?;
            Some(script)
        };
        let Some(script) = without() else { return Vec::new() };
        numbering.without(&script, gone).into_iter().chain([script]).collect()
    }

    fn timeline(&mut self) -> Result<(), Stopped> {
        self.phase = "timeline";
        let entries: Vec<usize> = (0..self.script.entries()).collect();
        self.reduce(&entries, |_, base, gone| Some(base.clone().without_entries(gone)))
    }

    fn knobs(&mut self) -> Result<(), Stopped> {
        self.phase = "knobs";
        let knobs = knobs::knobs(&self.script);
        self.reduce(&knobs, |_, base, gone| knobs::without_knobs(base, gone))
    }

    /// Delays as short as they can be, to the millisecond.
    fn delays(&mut self) -> Result<(), Stopped> {
        self.phase = "delays";
        for (knob, delay) in knobs::delays(&self.script) {
            let (mut short, mut long) = (0, u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            while short + 1 < long {
                let middle = short + (long - short) / 2;
                let candidate = knobs::with_delay(&self.script, &knob, Duration::from_millis(middle));
                if self.keep(candidate)? {
                    long = middle;
                } else {
                    short = middle;
                }
            }
        }
        Ok(())
    }

    /// Lists of what became of each frame in the place of chance: on all links, or else on each for itself.
    fn chance(&mut self) -> Result<(), Stopped> {
        self.phase = "chance";
        let cables = fates::random_cables(&self.script, &self.plan);
        let all = fates::with_lists(&self.script, &self.plan, &self.report, &cables);
        if cables.is_empty() || self.keep(all)? {
            return Ok(());
        }
        for cable in cables {
            let one = fates::with_lists(&self.script, &self.plan, &self.report, &[cable]);
            self.keep(one)?;
        }
        Ok(())
    }

    fn frames(&mut self) -> Result<(), Stopped> {
        self.phase = "frames";
        let listed = fates::listed(&self.script);
        self.reduce(&listed, |_, base, gone| Some(fates::without_listed(base, gone)))
    }

    /// Expectations of something else, as long as nothing fails for want of them that did not before.
    fn expectations(&mut self) -> Result<(), Stopped> {
        self.phase = "expectations";
        let others = self.script.expectations().iter().copied();
        let others: Vec<usize> =
            others.filter(|&number| self.failure.expectation() != Some(number)).collect();
        for number in others {
            let before = self.script.clone();
            let kept = self.keep(Some(before.clone().without_expectations(&[number].into())))?;
            let now = Failure::all(&self.plan, self.script.expectations(), &self.report);
            if kept && now.iter().any(|failure| !self.failures.contains(failure)) {
                self.keep(Some(before))?;
            }
        }
        Ok(())
    }
}

/// True if the guest is the one called `table`, or a replica.
fn is_made_from(guest: &str, table: &str) -> bool {
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    guest == table || guest.strip_prefix(table).and_then(|rest| rest.strip_prefix('-')).is_some_and(is_number)
}
