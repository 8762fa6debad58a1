//! `guestnet test`: scenarios held against what they expect, over as many seeds as wanted.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use guestnet::lab::{Digests, Lab};
use guestnet::live::{Interrupt, Stopwatch};
use guestnet::scenario::expectation::Expected;
use guestnet::sweep::{self, Job, Outcome};
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use super::seeds::{Seeds, Shard};
use super::test_report::{self, Scenario};

/// Failures of one scenario that are told in full; of the others the seeds are told.
const FAILURES_TOLD_MAX: usize = 3;

/// Runs scenarios in virtual time and holds them against what they expect
///
/// A scenario expects what its `[[expect]]` tables say, and if they do not say otherwise, that it ends by itself and
/// that every guest exits with 0. Each failure is told with what was expected and found, the last packets and calls
/// before it, a capture, and the command that runs it again.
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
    let found = find(&arguments.paths, arguments.filter.as_deref())?;
    let (labs, mut scenarios, broken) = load(&found)?;
    if labs.is_empty() && broken == 0 {
        let help = "scenarios are files that end with .toml and have a [guest.NAME] or a [tap.NAME]";
        return Err(Failure::usage("there are no scenarios there", help));
    }
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
    let jobs = jobs(arguments, &labs);
    let mut left = BTreeMap::<usize, usize>::new();
    for job in &jobs {
        *left.entry(job.lab).or_default() += 1;
    }
    let workers = arguments.jobs.map(usize::from).unwrap_or_else(guestnet::live::cores);
    let interrupt = Interrupt::register().map_err(Failure::io("signals"))?;
    let bar = progress(arguments.quiet, jobs.len());
    let stopwatch = Stopwatch::start();
    let mut digests = BTreeMap::new();
    let interrupted = || interrupt.is_requested();
    sweep::run(&labs, &jobs, workers, interrupted, |outcome| {
        bar.inc(1);
        let number = outcome.job.lab;
        if arguments.digests.is_some() {
            digests.insert((number, outcome.job.seed), outcome.report.digests());
        }
        let scenario = &mut scenarios[number];
        let failed = outcome.is_failure();
        tell(arguments, &labs[number], scenario, &outcome, &bar);
        let over = left.get_mut(&number).is_some_and(|left| {
            *left -= 1;
            *left == 0
        });
        if over && !arguments.quiet {
            bar.suspend(|| println!("{}", scenario.line(&labs)));
        }
        !(failed && arguments.fail_fast)
    });
    bar.finish_and_clear();
    let elapsed = stopwatch.elapsed();
    if let Some(path) = &arguments.digests {
        let line = |((lab, seed), digests): (&(usize, u64), &Digests)| {
            format!("{} {seed} {digests}\n", scenarios[*lab].path.display())
        };
        let text: String = digests.iter().map(line).collect();
        std::fs::write(path, text).map_err(Failure::io(format!("digests {}", path.display())))?;
    }
    if let Some(path) = &arguments.junit {
        let text = test_report::junit(&scenarios, &labs, elapsed);
        std::fs::write(path, text).map_err(Failure::io(format!("JUnit report {}", path.display())))?;
    }
    for scenario in scenarios.iter().filter(|scenario| scenario.runs == 0 && !interrupted()) {
        println!("skip {}: {}", scenario.path.display(), test_report::SKIPPED);
    }
    if arguments.quiet {
        scenarios
            .iter()
            .filter(|scenario| scenario.has_failed(&labs))
            .for_each(|s| println!("{}", s.line(&labs)));
    }
    let failed = scenarios.iter().filter(|scenario| scenario.has_failed(&labs)).count() + broken;
    let passed = scenarios.iter().filter(|scenario| scenario.runs > 0).count() + broken - failed;
    let skipped = scenarios.iter().filter(|scenario| scenario.runs == 0).count();
    let runs: usize = scenarios.iter().map(|scenario| scenario.runs).sum();
    if interrupted() {
        println!("{runs} of {} runs in {:.1} s, then interrupted", jobs.len(), elapsed.as_secs_f64());
    } else {
        println!("{runs} runs in {:.1} s", elapsed.as_secs_f64());
    }
    let skipped = match skipped {
        0 => String::new(),
        _ if interrupted() => format!(", {skipped} not run"),
        _ => format!(", {skipped} skipped"),
    };
    println!("{passed} passed, {failed} failed{skipped}");
    io::stdout().flush().map_err(Failure::io("standard output"))?;
    if interrupted() {
        return Ok(ExitCode::from(130));
    }
    Ok(match (broken, failed) {
        (_, 0) if runs == 0 => ExitCode::FAILURE,
        (_, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::FAILURE,
        (_, _) => ExitCode::from(2),
    })
}

fn progress(quiet: bool, jobs: usize) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {elapsed}, {eta} left");
    ProgressBar::new(jobs as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Every file named, and every scenario below every directory named, in the order of their paths.
fn find(paths: &[PathBuf], filter: Option<&str>) -> Result<Vec<PathBuf>, Failure> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
        let mut entries: Vec<_> =
            std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        entries.sort();
        for path in entries {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden {
                below(&path, found)?;
            } else if path.extension().is_some_and(|extension| extension == "toml") && looks_like_one(&path)?
            {
                found.push(path);
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            below(path, &mut found).map_err(Failure::io(path.display().to_string()))?;
        } else {
            found.push(path.clone());
        }
    }
    found.retain(|path| filter.is_none_or(|text| path.to_string_lossy().contains(text)));
    Ok(found)
}

/// Other programs have files that end with `.toml` too.
fn looks_like_one(path: &Path) -> io::Result<bool> {
    // A pipe would keep whoever reads it waiting.
    if !path.is_file() {
        return Ok(false);
    }
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    let begins =
        |line: &str| line.trim_start().starts_with("[guest.") || line.trim_start().starts_with("[tap.");
    Ok(text.lines().any(begins))
}

/// The labs, and how many could not be read; those are told at once.
fn load(paths: &[PathBuf]) -> Result<(Vec<Lab>, Vec<Scenario>, usize), Failure> {
    let (mut labs, mut scenarios, mut broken) = (Vec::new(), Vec::new(), 0);
    for path in paths {
        match Lab::from_file(path) {
            Ok(lab) => {
                let lab = match super::lab::cache_folder() {
                    Some(folder) => lab.with_cache(folder),
                    None => lab,
                };
                labs.push(lab);
                scenarios.push(Scenario::new(path.clone()));
            }
            Err(error) => {
                broken += 1;
                Failure::from(error).tell();
            }
        }
    }
    Ok((labs, scenarios, broken))
}

/// All runs, of which this is the shard's part. A lab with a TAP, or with sockets of the host, has none.
fn jobs(arguments: &Arguments, labs: &[Lab]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (number, lab) in labs.iter().enumerate().filter(|(_, lab)| !lab.plan().is_live_only()) {
        let own = lab.plan().seed.unwrap_or(0);
        let seeds = arguments.seeds.clone().unwrap_or(Seeds::one(own));
        jobs.extend(seeds.iter().map(|seed| Job { lab: number, seed, verify: false }));
    }
    let percent = usize::from(arguments.verify.unwrap_or(0));
    let mut part = arguments.shard.part(jobs);
    for (index, job) in part.iter_mut().enumerate() {
        // Spread evenly: the whole part of the share grows by one at each run that is taken.
        job.verify = (index + 1) * percent / 100 > index * percent / 100;
    }
    part
}

/// Counts an outcome, and tells a failure in full. A capture that cannot be kept is told with it: the failure stands, and so do the
/// verdicts of all other runs.
fn tell(arguments: &Arguments, lab: &Lab, scenario: &mut Scenario, outcome: &Outcome, bar: &ProgressBar) {
    scenario.count(outcome);
    if !outcome.is_failure() || scenario.failures() > FAILURES_TOLD_MAX {
        return;
    }
    let path = capture_path(&arguments.captures, &scenario.path, outcome.job.seed);
    let save = || {
        std::fs::create_dir_all(&arguments.captures)?;
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
    let text = test_report::failure(lab, scenario, outcome, &kept);
    bar.suspend(|| println!("{text}"));
}

fn capture_path(folder: &Path, scenario: &Path, seed: u64) -> PathBuf {
    let stem = scenario.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    folder.join(format!("{stem}-{seed}.pcapng"))
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
                println!("{}: wrote {}", scenario.path.display(), path.display());
            }
        }
    }
    Ok(())
}
