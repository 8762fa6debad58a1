//! `guestnet test`: scenarios held against what they expect, over as many seeds as wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use guestnet::lab::{Digests, Lab};
use guestnet::live::{Interrupt, Stopwatch};
use guestnet::scenario::expectation::Expected;
use guestnet::sweep::{self, Job, Outcome};
use indicatif::{ProgressBar, ProgressStyle};

use super::say::Sayer;
use super::seeds::{Seeds, Shard};
use super::test_report::{self, Run, Scenario, Skipped};
use super::{Failure, find, junit};

/// Failures of one scenario that are told in full; of the others the seeds are told.
const FAILURES_TOLD_MAX: usize = 3;

/// Runs scenarios in virtual time and holds them against what they expect
///
/// A scenario expects what its `[[expect]]` tables say, and if they do not say otherwise, that it ends by itself and
/// that every guest exits with 0. Each failure is told with what was expected and found, the last packets and calls
/// before it, a capture, and the commands that run it again.
#[derive(clap::Args)]
pub struct Arguments {
    /// Scenarios, or directories in which they are looked for
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Run each scenario with these seeds, such as 7 or 1..1000 [default: the scenario's own, else 0]
    #[arg(long, value_name = "N|A..B")]
    seeds: Option<Seeds>,
    /// Run the K-th of N parts of all runs, for a test matrix
    #[arg(long, value_name = "K/N", default_value = "1/1")]
    shard: Shard,
    /// Only scenarios with this in their path
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Threads [default: the machine's cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Stop at the first failure
    #[arg(long)]
    fail_fast: bool,
    /// Stop after this long on the wall clock, such as 5min, with exit code 124
    #[arg(long, value_name = "LIMIT", value_parser = guestnet::scenario::parse_duration)]
    time: Option<Duration>,
    /// Run all runs, or this share of them, twice, and fail at the first byte that differs
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "100",
          value_parser = clap::value_parser!(u8).range(1..=100))]
    verify: Option<u8>,
    /// Write the results as JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Where captures of failures go
    #[arg(long, value_name = "DIR", default_value = "guestnet-failures")]
    captures: PathBuf,
    /// Write a line for each run to this file, with digests of its capture, its guests' calls and its verdicts
    #[arg(long, value_name = "FILE")]
    digests: Option<PathBuf>,
    /// Write golden captures anew where they differ or are missing
    #[arg(long, conflicts_with_all = ["seeds", "shard", "verify", "digests"])]
    bless: bool,
    /// Only failures and the summary
    #[arg(short, long)]
    quiet: bool,
}

pub fn test(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let found = find::find(&arguments.paths, arguments.filter.as_deref())?;
    let (labs, mut scenarios, broken) = load(&found);
    if arguments.bless {
        // One that cannot be written leaves the others to be.
        let blessed = labs.iter().zip(&scenarios).map(|(lab, scenario)| bless(lab, scenario));
        let failed: Vec<Failure> = blessed.filter_map(Result::err).collect();
        return Ok(failed.into_iter().map(Failure::tell).last().unwrap_or(ExitCode::SUCCESS));
    }
    let labs = match &arguments.digests {
        Some(_) => labs.into_iter().map(Lab::with_trace).collect(),
        None => labs,
    };
    let jobs = jobs(arguments, &labs, &mut scenarios);
    let workers = arguments.jobs.map(usize::from).unwrap_or_else(guestnet::live::cores);
    let interrupt = Interrupt::register().map_err(Failure::io("signals"))?;
    let stopwatch = Stopwatch::start();
    let late = || arguments.time.is_some_and(|limit| stopwatch.elapsed() >= limit);
    let mut digests = BTreeMap::new();
    let mut teller = Teller::new(arguments, &labs, scenarios, &jobs);
    sweep::run(
        &labs,
        &jobs,
        workers,
        || interrupt.is_requested() || late(),
        |outcome| {
            if arguments.digests.is_some() {
                digests.insert((outcome.job.lab, outcome.job.seed), outcome.report.digests());
            }
            teller.take(outcome)
        },
    );
    let elapsed = stopwatch.elapsed();
    let interrupted = interrupt.is_requested();
    let (mut scenarios, mut sayer) = teller.finish();
    let runs: usize = scenarios.iter().map(|scenario| scenario.runs).sum();
    let has_failed = scenarios.iter().any(Scenario::has_failed);
    // Runs that are missing for another reason than a failure.
    let cut = runs < jobs.len() && !(arguments.fail_fast && has_failed);
    for (number, scenario) in scenarios.iter_mut().enumerate().filter(|(_, scenario)| scenario.runs == 0) {
        let why = match () {
            () if scenario.planned == 0 => Skipped::Live,
            () if jobs.binary_search_by_key(&number, |job| job.lab).is_err() => Skipped::Shard,
            () if interrupted => Skipped::Interrupted,
            () if cut => Skipped::Time,
            () => Skipped::Failure,
        };
        scenario.skipped = Some(why);
        if why != Skipped::Interrupted {
            sayer.say(&format!("skip {}: {}", scenario.path.display(), why.as_str()));
        }
    }
    // A file that cannot be written takes neither the other nor the summary with it.
    let mut unwritten = false;
    let mut write = |what: &str, path: &Path, text: String| {
        if let Err(error) = std::fs::write(path, text) {
            Failure::io(format!("{what} {}", path.display()))(error).tell();
            unwritten = true;
        }
    };
    if let Some(path) = &arguments.digests {
        let line = |((lab, seed), digests): (&(usize, u64), &Digests)| {
            format!("{} {seed} {digests}\n", scenarios[*lab].path.display())
        };
        write("digests", path, digests.iter().map(line).collect());
    }
    if let Some(path) = &arguments.junit {
        write("JUnit report", path, junit::junit(&scenarios, &broken, elapsed));
    }
    let failed = scenarios.iter().filter(|scenario| scenario.has_failed()).count() + broken.len();
    let passed = scenarios.iter().filter(|scenario| scenario.runs > 0).count() + broken.len() - failed;
    let skipped = scenarios.iter().filter(|scenario| scenario.runs == 0).count();
    let seconds = elapsed.as_secs_f64();
    sayer.say(&match (interrupted, cut) {
        (true, _) => format!("{runs} of {} runs in {seconds:.1} s, then interrupted", jobs.len()),
        (false, true) => format!("{runs} of {} runs in {seconds:.1} s, then its time was over", jobs.len()),
        (false, false) => format!("{runs} runs in {seconds:.1} s"),
    });
    let skipped = match skipped {
        0 => String::new(),
        _ if interrupted => format!(", {skipped} not run"),
        _ => format!(", {skipped} skipped"),
    };
    sayer.say(&format!("{passed} passed, {failed} failed{skipped}"));
    sayer.finish()?;
    let planned = scenarios.iter().any(|scenario| scenario.planned > 0);
    Ok(match (broken.len(), failed) {
        _ if interrupted => ExitCode::from(130),
        (0, 0) if cut => ExitCode::from(124),
        // A shard may have none of the runs; that nothing here can be run at all is no success.
        (0, 0) if planned && !unwritten => ExitCode::SUCCESS,
        (0, _) => ExitCode::FAILURE,
        (_, _) => ExitCode::from(2),
    })
}

/// Tells of runs in the order of the jobs, whatever the order in which they end.
struct Teller<'a> {
    arguments: &'a Arguments,
    labs: &'a [Lab],
    scenarios: Vec<Scenario>,
    jobs: &'a [Job],
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
    bar: ProgressBar,
    sayer: Sayer,
}

impl<'a> Teller<'a> {
    fn new(arguments: &'a Arguments, labs: &'a [Lab], scenarios: Vec<Scenario>, jobs: &'a [Job]) -> Self {
        let bar = progress(arguments.quiet, jobs.len());
        Teller {
            arguments,
            labs,
            scenarios,
            jobs,
            next: 0,
            waiting: BTreeMap::new(),
            kept: BTreeMap::new(),
            over: false,
            lines: BTreeSet::new(),
            bar,
            sayer: Sayer::default(),
        }
    }

    /// False to stop: runs before this one in the order are under way, and still come.
    fn take(&mut self, outcome: Outcome) -> bool {
        self.bar.inc(1);
        let key = (outcome.job.lab, outcome.job.seed);
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
            let text = failure(&self.arguments.captures, &self.labs[number], scenario, &outcome);
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
    fn finish(mut self) -> (Vec<Scenario>, Sayer) {
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
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {elapsed}, {eta} left");
    ProgressBar::new(jobs as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The labs, and the files that are none with what is wrong; those are told at once.
fn load(paths: &[PathBuf]) -> (Vec<Lab>, Vec<Scenario>, Vec<(PathBuf, String)>) {
    let (mut labs, mut scenarios, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        match Lab::from_file(path) {
            Ok(lab) => {
                let lab = match super::lab::cache_folder() {
                    Some(folder) => lab.with_cache(folder),
                    None => lab,
                };
                scenarios.push(Scenario::new(path.clone(), &lab));
                labs.push(lab);
            }
            Err(error) => {
                broken.push((path.clone(), error.plain()));
                Failure::from(error).tell();
            }
        }
    }
    let paths: Vec<_> = scenarios.iter().map(|scenario| scenario.path.clone()).collect();
    for (scenario, name) in scenarios.iter_mut().zip(find::capture_names(&paths)) {
        scenario.capture = name;
    }
    (labs, scenarios, broken)
}

/// All runs, of which this is the shard's part. A lab with a TAP, or with sockets of the host, has none.
fn jobs(arguments: &Arguments, labs: &[Lab], scenarios: &mut [Scenario]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (number, lab) in labs.iter().enumerate().filter(|(_, lab)| !lab.plan().is_live_only()) {
        let own = lab.plan().seed.unwrap_or(0);
        let seeds = arguments.seeds.clone().unwrap_or(Seeds::one(own));
        let before = jobs.len();
        jobs.extend(seeds.iter().map(|seed| Job { lab: number, seed, verify: false }));
        scenarios[number].planned = jobs.len() - before;
    }
    let percent = usize::from(arguments.verify.unwrap_or(0));
    let mut part = arguments.shard.part(jobs);
    for (index, job) in part.iter_mut().enumerate() {
        // Spread evenly: the whole part of the share grows by one at each run that is taken.
        job.verify = (index + 1) * percent / 100 > index * percent / 100;
    }
    part
}

/// A failure in full, its capture kept. One that cannot be kept is told with it: the failure stands, and so do the verdicts of all other
/// runs.
fn failure(folder: &Path, lab: &Lab, scenario: &Scenario, outcome: &Outcome) -> String {
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
    test_report::failure(lab, scenario, outcome, &kept)
}

/// Writes a scenario's golden captures.
fn bless(lab: &Lab, scenario: &Scenario) -> Result<(), Failure> {
    for expectation in &lab.plan().expectations {
        if let Expected::Golden { path, .. } = &expectation.expected {
            let report = lab.run(lab.plan().seed.unwrap_or(0));
            let unmet = report.verdicts.iter().any(|v| v.line == Some(expectation.line) && !v.is_met());
            if unmet {
                std::fs::write(path, report.capture())
                    .map_err(Failure::io(format!("golden capture {}", path.display())))?;
                let line = format!("{}: wrote {}\n", scenario.path.display(), path.display());
                super::docs::print(line.as_bytes())?;
            }
        }
    }
    Ok(())
}
