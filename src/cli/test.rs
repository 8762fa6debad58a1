//! `guestnet test`: scenarios held against what they expect, over as many seeds as wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use guestnet::lab::{Digests, Lab};
use guestnet::live::{Interrupt, Stopwatch};
use guestnet::scenario::expectation::Expected;
use guestnet::sweep::{self, Job};

use super::seeds::{Seeds, Shard};
use super::teller::Teller;
use super::test_report::{Scenario, Skipped};
use super::{Failure, find, junit};

/// Runs scenarios in virtual time and holds them against what they expect
///
/// A scenario expects what its `[[expect]]` tables say, and if they do not say otherwise, that it ends by itself and
/// that every guest exits with 0. Each failure is told with what was expected and found, the packets and calls around
/// it, a capture, and the commands that run it again. Exit code: 0 all passed, 1 a run failed, 2 a scenario has
/// mistakes, 124 --time was over, 130 Ctrl-C.
#[derive(clap::Args)]
pub struct Arguments {
    /// Scenarios, or directories in which they are looked for
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Run each scenario with these seeds, such as 7 or 1..1000 [default: the scenario's own, else 0]
    #[arg(long, value_name = "N|A..B")]
    seeds: Option<Seeds>,
    /// Run the K-th of N parts of all runs, for a test matrix; one without a run passes
    #[arg(long, value_name = "K/N", default_value = "1/1")]
    shard: Shard,
    /// Only scenarios with this in their path
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Threads [default: the machine's cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Stop at the first failure, in the order of scenarios and seeds
    #[arg(long)]
    pub(super) fail_fast: bool,
    /// Stop after this long on the wall clock, such as 5min, with exit code 124 if nothing has failed
    #[arg(long, value_name = "LIMIT", value_parser = guestnet::scenario::parse_duration)]
    time: Option<Duration>,
    /// Run all runs, or this share of them, twice, and fail at the first byte that differs
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "100",
          value_parser = clap::value_parser!(u8).range(1..=100))]
    verify: Option<u8>,
    /// Write the results as JUnit XML to this file: a case for each scenario
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Where captures of failures go
    #[arg(long, value_name = "DIR", default_value = "guestnet-failures")]
    pub(super) captures: PathBuf,
    /// Write a line for each run to this file, with digests of its capture, its guests' calls and its verdicts
    #[arg(long, value_name = "FILE")]
    digests: Option<PathBuf>,
    /// Write golden captures anew where they differ or are missing
    #[arg(long, conflicts_with_all = ["seeds", "shard", "verify", "digests", "junit", "fail_fast", "time"])]
    bless: bool,
    /// Only failures and the summary
    #[arg(short, long)]
    pub(super) quiet: bool,
}

pub fn test(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let found = find::find(&arguments.paths, arguments.filter.as_deref())?;
    let (labs, mut scenarios, broken) = load(&found);
    if arguments.bless {
        // One that cannot be written leaves the others to be.
        let blessed = labs.iter().zip(&scenarios).map(|(lab, scenario)| bless(lab, scenario));
        let failed: Vec<Failure> = blessed.filter_map(Result::err).collect();
        let told = failed.into_iter().map(Failure::tell).last();
        // What is wrong with those that are no scenarios was told as they were read.
        let mistaken = (!broken.is_empty()).then(|| ExitCode::from(2));
        return Ok(mistaken.or(told).unwrap_or(ExitCode::SUCCESS));
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
    let is_over = || interrupt.is_requested() || late();
    let go_on = || !is_over();
    let mut digests = BTreeMap::new();
    let mut teller = Teller::new(arguments, &labs, scenarios, &jobs, &go_on);
    let given_up = sweep::run(&labs, &jobs, workers, is_over, |outcome| {
        if arguments.digests.is_some() {
            digests.insert((outcome.job.lab, outcome.job.seed), outcome.report.digests());
        }
        teller.take(outcome)
    });
    let elapsed = stopwatch.elapsed();
    let interrupted = interrupt.is_requested();
    let (mut scenarios, mut sayer) = teller.finish();
    let runs: usize = scenarios.iter().map(|scenario| scenario.runs).sum();
    let has_failed = scenarios.iter().any(Scenario::has_failed);
    if arguments.fail_fast && has_failed {
        // Of runs that were under way by then nothing is told: whether they ended is a matter of threads.
        let last = jobs.get(runs.saturating_sub(1)).map(|job| (job.lab, job.seed));
        digests.retain(|&job, _| Some(job) <= last);
    }
    // Runs that are missing for another reason than a failure.
    let cut = runs < jobs.len() && !(arguments.fail_fast && has_failed);
    for job in &given_up {
        let path = scenarios[job.lab].path.display();
        sayer.say(&format!("cut  {path}: seed {} was under way", job.seed));
    }
    let under_way: BTreeSet<usize> = given_up.iter().map(|job| job.lab).collect();
    for (number, scenario) in scenarios.iter_mut().enumerate().filter(|(_, scenario)| scenario.runs == 0) {
        let why = match () {
            () if under_way.contains(&number) => Skipped::UnderWay,
            () if scenario.planned == 0 => Skipped::Live,
            () if jobs.binary_search_by_key(&number, |job| job.lab).is_err() => Skipped::Shard,
            () if interrupted => Skipped::Interrupted,
            () if cut => Skipped::Time,
            () => Skipped::Failure,
        };
        scenario.skipped = Some(why);
        if !matches!(why, Skipped::UnderWay | Skipped::Interrupted) {
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
        (false, false) if runs == 1 => format!("1 run in {seconds:.1} s"),
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
