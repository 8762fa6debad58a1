//! What `guestnet test` says while it runs, in the order of the seeds, whatever the order in which runs end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::path::Path;

use guestnet::lab::Lab;
use guestnet::sweep::{Job, Outcome};
use indicatif::{ProgressBar, ProgressStyle};

use super::say::Sayer;
use super::test::Arguments;
use super::test_report::{self, Run, Scenario};

/// Failures of one scenario that are told in full; of the others the seeds are told.
const FAILURES_TOLD_MAX: usize = 3;

/// Tells of runs in the order of the jobs, whatever the order in which they end.
pub struct Teller<'a> {
    arguments: &'a Arguments,
    labs: &'a [Lab],
    scenarios: Vec<Scenario>,
    jobs: &'a [Job],
    /// False once nothing more is to be run.
    go_on: &'a dyn Fn() -> bool,
    /// The job whose turn it is.
    next: usize,
    /// Runs that ended before their turn, by their jobs' places.
    waiting: BTreeMap<usize, Run>,
    /// Of each lab, those of them that may be told in full.
    kept: BTreeMap<usize, BTreeSet<usize>>,
    /// At a failure that is to be the last.
    over: bool,
    /// Scenarios whose line was said.
    lines: BTreeSet<usize>,
    /// Runs that failed, told or not.
    failures: usize,
    bar: ProgressBar,
    sayer: Sayer,
}

impl<'a> Teller<'a> {
    pub fn new(
        arguments: &'a Arguments,
        labs: &'a [Lab],
        scenarios: Vec<Scenario>,
        jobs: &'a [Job],
        go_on: &'a dyn Fn() -> bool,
    ) -> Self {
        let bar = progress(arguments.quiet, jobs.len());
        Teller {
            arguments,
            labs,
            scenarios,
            jobs,
            go_on,
            next: 0,
            waiting: BTreeMap::new(),
            kept: BTreeMap::new(),
            over: false,
            lines: BTreeSet::new(),
            failures: 0,
            bar,
            sayer: Sayer::default(),
        }
    }

    /// False to stop: runs before this one in the order are under way, and still come.
    pub fn take(&mut self, outcome: Outcome) -> bool {
        self.bar.inc(1);
        let key = (outcome.job.lab, outcome.job.seed);
        if outcome.is_failure() {
            self.failures += 1;
            self.bar.set_message(format!("{} failed, ", self.failures));
        }
        let is_last = outcome.is_failure() && self.arguments.fail_fast;
        if let Ok(place) = self.jobs.binary_search_by_key(&key, |job| (job.lab, job.seed)) {
            self.wait(place, Run::new(outcome));
        }
        while let Some(run) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.tell(run);
        }
        !is_last && !self.over
    }

    /// A report has its run's packets: only those are kept that may be told in full, which are the first of each lab.
    fn wait(&mut self, place: usize, run: Run) {
        if run.outcome.is_some() {
            let room = FAILURES_TOLD_MAX.saturating_sub(self.scenarios[run.job.lab].failures());
            let kept = self.kept.entry(run.job.lab).or_default();
            kept.insert(place);
            self.waiting.insert(place, run);
            // Those that were told since are not there any more.
            kept.retain(|place| self.waiting.contains_key(place));
            while kept.len() > room
                && let Some(last) = kept.pop_last()
            {
                self.waiting.entry(last).and_modify(|run| run.outcome = None);
            }
        } else {
            self.waiting.insert(place, run);
        }
    }

    fn tell(&mut self, run: Run) {
        if self.over {
            return;
        }
        let number = run.job.lab;
        let scenario = &mut self.scenarios[number];
        scenario.count(&run);
        self.over = run.failed && self.arguments.fail_fast;
        let is_last = self.over || self.jobs.get(self.next).is_none_or(|job| job.lab != number);
        if let Some(outcome) = run.outcome.filter(|_| scenario.failures() <= FAILURES_TOLD_MAX) {
            let text = failure(&self.arguments.captures, &self.labs[number], scenario, &outcome, self.go_on);
            self.bar.suspend(|| self.sayer.say(&text));
            scenario.tell(text);
        }
        if is_last {
            // Its last seed may have been the last that could meet what one seed is enough for.
            self.over = scenario.has_failed() && self.arguments.fail_fast;
            self.line(number);
        }
    }

    fn line(&mut self, number: usize) {
        self.lines.insert(number);
        let scenario = &self.scenarios[number];
        if !self.arguments.quiet || scenario.has_failed() {
            self.bar.suspend(|| self.sayer.say(&scenario.line()));
        }
    }

    /// What waits for runs that do not come any more is told too.
    pub fn finish(mut self) -> (Vec<Scenario>, Sayer) {
        while let Some((place, run)) = self.waiting.pop_first() {
            self.next = place + 1;
            self.tell(run);
        }
        for number in 0..self.scenarios.len() {
            if self.scenarios[number].runs > 0 && !self.lines.contains(&number) {
                self.line(number);
            }
        }
        self.bar.finish_and_clear();
        (self.scenarios, self.sayer)
    }
}

fn progress(quiet: bool, jobs: usize) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {msg}{elapsed}, {eta} left");
    ProgressBar::new(jobs as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A failure in full, its capture kept. One that cannot be kept is told with it: the failure stands, and so do the verdicts of all other
/// runs.
fn failure(
    folder: &Path,
    lab: &Lab,
    scenario: &Scenario,
    outcome: &Outcome,
    go_on: &dyn Fn() -> bool,
) -> String {
    let path = folder.join(format!("{}-{}.pcapng", scenario.capture, outcome.job.seed));
    let save = || {
        std::fs::create_dir_all(folder)?;
        std::fs::write(&path, outcome.report.capture())
    };
    let kept = match save() {
        Ok(()) => path.display().to_string(),
        Err(error) => {
            // A part of it would pass for the whole.
            let _ = std::fs::remove_file(&path);
            format!("{} could not be kept: {error}", path.display())
        }
    };
    test_report::failure(lab, scenario, outcome, &kept, go_on)
}
