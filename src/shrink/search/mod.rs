//! The phases of the search, one after the other.

mod chance;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::ddmin::{Stopped, ddmin};
use super::devices::Device;
use super::failure::Failure;
use super::numbering::Numbering;
use super::script::Script;
use super::{
    Left, Progress, Shrunk, dependencies, devices, is_made_from, knobs, lists, milder, replicas, times,
};
use crate::lab::{Lab, Report};
use crate::scenario;
use crate::scenario::plan::Plan;
use crate::sim::Ending;

/// The search at work.
pub(super) struct Search<'a> {
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
    /// Bytes of the scenario as it was given.
    length: usize,
    /// What was left when lists would have been longer than what they say.
    long_for: Option<String>,
    /// The smallest that failed before there were lists.
    before_lists: Option<(Script, Plan, Report)>,
    /// No part of the search was cut short.
    is_complete: bool,
    go_on: &'a mut dyn FnMut(&Progress) -> bool,
}

impl<'a> Search<'a> {
    /// From a scenario that fails so, and its run.
    pub fn new(
        lab: &'a Lab,
        path: &'a Path,
        seed: u64,
        (script, plan, report): (Script, Plan, Report),
        failure: Failure,
        go_on: &'a mut dyn FnMut(&Progress) -> bool,
    ) -> Search<'a> {
        Search {
            lab,
            path,
            seed,
            failures: Failure::all(&plan, script.expectations(), &report),
            failure,
            length: script.text().len(),
            long_for: None,
            before_lists: None,
            is_complete: true,
            duration_max: plan.duration.unwrap_or(report.at.elapsed() * 4 + Duration::from_secs(60)),
            plan,
            report,
            script,
            tried: BTreeSet::new(),
            runs: 1,
            phase: "replicas",
            go_on,
        }
    }

    /// Searches until it is done or stopped.
    pub fn finish(mut self) -> Shrunk {
        let complete = self.all().is_ok() && self.is_complete;
        // It may have been stopped where nobody knows yet what lists come to.
        self.without_long_lists();
        Shrunk {
            text: self.script.text(),
            failure: self.told(),
            runs: self.runs,
            left: self.left(),
            complete,
        }
    }

    /// All phases, again and again until none finds anything.
    fn all(&mut self) -> Result<(), Stopped> {
        self.replicas()?;
        self.drawn()?;
        loop {
            let before = self.script.text();
            self.guests()?;
            self.timeline()?;
            self.knobs()?;
            self.devices()?;
            self.delays()?;
            self.chance()?;
            self.milder()?;
            // Not before lists have had each chance, with fewer guests than at first too.
            if self.script.text() == before && !self.without_long_lists() {
                self.steady()?;
            }
            if self.script.text() == before {
                break;
            }
        }
        // Up or down, so not again and again.
        self.round()?;
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
        let frames = lists::listed(&self.script).len();
        let knobs = knobs::knobs(&self.script);
        let lists = ["drop", "delayed", "duplicated"];
        Left {
            guests: self.plan.guests.len(),
            entries: self.script.entries(),
            knobs: knobs.iter().filter(|knob| !lists.contains(&knob.key.as_str())).count(),
            frames,
        }
    }

    /// Runs a candidate, and keeps it if it fails in the same way, and nobody comes to harm who did not before.
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
        let go_on = RefCell::new(&mut self.go_on);
        let report = self.lab.run_variant_while(&limited, self.seed, &|| (go_on.borrow_mut())(&progress));
        let report = report.ok_or(Stopped)?;
        let endless = plan.duration.is_none() && report.ending == Ending::Duration;
        let failures = Failure::all(&plan, script.expectations(), &report);
        let is_new_harm = |failure: &Failure| failure.is_harm() && !self.failures.contains(failure);
        let fails = !endless && failures.contains(&self.failure) && !failures.iter().any(is_new_harm);
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
        let table_of = |guest: &str| {
            let own = tables.iter().find(|table| table.name == guest);
            own.or_else(|| tables.iter().find(|table| is_made_from(guest, &table.name))).cloned()
        };
        let mut needs_of: Vec<(Device, Device)> = Vec::new();
        for (number, peers) in needs.iter().enumerate() {
            for peer in names(peers) {
                needs_of.extend(table_of(&self.plan.guests[number].name).zip(table_of(&peer)));
            }
        }
        let is_needed = |table: &Device| needed.iter().any(|guest| is_made_from(guest, &table.name));
        let candidates: Vec<Device> = tables.iter().filter(|table| !is_needed(table)).cloned().collect();
        let singles: Vec<_> = candidates.iter().map(|table| BTreeSet::from([table.clone()])).collect();
        self.reduce_guests(&singles, &needs_of)?;
        // A server without its client would wait for it: those that speak with one another go together.
        let names = self.script.names("guest");
        let left: Vec<Device> = candidates.into_iter().filter(|table| names.contains(&table.name)).collect();
        let groups = dependencies::groups(&left, &needs_of);
        if groups.len() == left.len() { Ok(()) } else { self.reduce_guests(&groups, &needs_of) }
    }

    fn reduce_guests(
        &mut self,
        groups: &[BTreeSet<Device>],
        needs_of: &[(Device, Device)],
    ) -> Result<(), Stopped> {
        let before = self.plan.clone();
        let numbering = Numbering::of(&self.script, &self.plan, &self.report);
        self.reduce(groups, |search, base, gone| {
            let gone: BTreeSet<Device> = gone.iter().flatten().cloned().collect();
            if needs_of.iter().any(|(guest, peer)| gone.contains(peer) && !gone.contains(guest)) {
                return Vec::new();
            }
            search.without_devices(base, &gone, &before, &numbering)
        })
    }

    /// Routers, servers, switches and links that nobody uses any more.
    fn devices(&mut self) -> Result<(), Stopped> {
        self.phase = "networks";
        let devices: Vec<Device> = ["router", "dhcp", "dns", "link", "switch"]
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

    /// What this seed draws for the timeline in the place of what it draws from. Without that, an entry that is left out would
    /// have those after it draw something else.
    fn drawn(&mut self) -> Result<(), Stopped> {
        self.phase = "timeline";
        let drawn = times::drawn(&self.script, &self.plan, self.seed, self.report.at);
        self.keep(drawn)?;
        Ok(())
    }

    /// Delays as short as they can be, to the millisecond.
    fn delays(&mut self) -> Result<(), Stopped> {
        self.phase = "delays";
        for (knob, delay) in knobs::delays(&self.script) {
            let (mut short, mut long) = (0, u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            while short + 1 < long {
                let middle = short + (long - short) / 2;
                let candidate =
                    knobs::with_value(&self.script, &knob, knobs::duration(Duration::from_millis(middle)));
                if self.keep(candidate)? {
                    long = middle;
                } else {
                    short = middle;
                }
            }
        }
        Ok(())
    }

    /// The first of these that fails in the same way.
    fn keep_one(&mut self, candidates: Vec<Script>) -> Result<bool, Stopped> {
        for candidate in candidates {
            let before = self.script.text();
            if self.keep(Some(candidate))? && self.script.text() != before {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A longer delay in the place of jitter.
    fn steady(&mut self) -> Result<(), Stopped> {
        self.phase = "knobs";
        for knob in knobs::knobs(&self.script).into_iter().filter(|knob| knob.key == "jitter") {
            let steady = milder::steady(&self.script, &knob);
            self.keep_one(steady)?;
        }
        Ok(())
    }

    /// Knobs that cannot be left out, as mild as they can be.
    fn milder(&mut self) -> Result<(), Stopped> {
        self.phase = "milder knobs";
        for knob in knobs::knobs(&self.script) {
            for _ in 0..milder::TURNS_MAX {
                let milder = milder::milder(&self.script, &knob);
                if !self.keep_one(milder)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Times and delays in round figures, which say that it does not hang on the nanosecond.
    fn round(&mut self) -> Result<(), Stopped> {
        self.phase = "round figures";
        for knob in times::crooked(&self.script) {
            let rounder = times::rounder(&self.script, &knob);
            self.keep_one(rounder)?;
        }
        let lists = (1..=3).filter_map(|digits| times::with_round_lists(&self.script, digits)).collect();
        self.keep_one(lists)?;
        Ok(())
    }

    /// Expectations of something else, as long as nothing fails for want of them that did not before.
    fn expectations(&mut self) -> Result<(), Stopped> {
        self.phase = "expectations";
        let others = self.script.expectations().iter().copied();
        let others: Vec<usize> =
            others.filter(|&number| self.failure.expectation() != Some(number)).collect();
        for number in others {
            let before = self.script.clone();
            let failures = Failure::all(&self.plan, self.script.expectations(), &self.report);
            let kept = self.keep(Some(before.clone().without_expectations(&[number].into())))?;
            let now = Failure::all(&self.plan, self.script.expectations(), &self.report);
            let is_new = |failure| !self.failures.contains(failure) && !failures.contains(failure);
            if kept && now.iter().any(is_new) {
                self.keep(Some(before))?;
            }
        }
        Ok(())
    }
}
