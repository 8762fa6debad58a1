//! `guestnet shrink`: from a failing seed to the smallest scenario that still fails.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use guestnet::lab::Lab;
use guestnet::live::{Interrupt, Stopwatch};
use guestnet::shrink::{self, Left, Progress, ShrinkError, Shrunk};
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;

/// Shrinks a scenario that fails to the smallest that fails in the same way
///
/// Leaves out guests, entries of the timeline and knobs of links, one part after the other, as long as the same
/// expectation fails; then writes the frames that chance dropped, delayed or duplicated as lists, and cuts those down
/// too; and turns down the knobs that stay. What is left is a scenario: `guestnet test` fails with it. Ctrl-C, and both limits, end the search and write
/// the smallest found so far.
#[derive(clap::Args)]
pub struct Arguments {
    /// The scenario
    path: PathBuf,
    /// A seed that it fails with [default: the scenario's, else 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where the small scenario goes; `-` is standard output [default: beside SCENARIO, as NAME-SEED.shrunk.toml]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Stop after so many runs
    #[arg(long, value_name = "MAX", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Stop after this long on the wall clock, such as 5min
    #[arg(long, value_name = "LIMIT", value_parser = guestnet::scenario::parse_duration)]
    time: Option<Duration>,
    /// No progress and no summary
    #[arg(short, long)]
    quiet: bool,
}

pub fn shrink(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let path = &arguments.path;
    let lab = Lab::from_file(path)?;
    let lab = match super::lab::cache_folder() {
        Some(folder) => lab.with_cache(folder),
        None => lab,
    };
    let text = std::fs::read_to_string(path).map_err(Failure::io(path.display().to_string()))?;
    let seed = arguments.seed.or(lab.plan().seed).unwrap_or(0);
    let output = arguments.output.clone().unwrap_or_else(|| beside(path, seed));
    check_output(path, &output)?;
    let interrupt = Interrupt::register().map_err(Failure::io("signals"))?;
    let stopwatch = Stopwatch::start();
    let bar = progress_bar(arguments.quiet);
    let mut shown = None;
    let shrunk = shrink::shrink(&lab, &text, path, seed, |progress| {
        if shown.replace(*progress) != Some(*progress) {
            bar.set_message(line(progress));
            bar.tick();
        }
        !interrupt.is_requested()
            && progress.runs < arguments.runs
            && arguments.time.is_none_or(|limit| stopwatch.elapsed() < limit)
    });
    bar.finish_and_clear();
    let shrunk = shrunk.map_err(|error| failure(error, path))?;
    let written = scenario(&shrunk, path, &output, seed);
    if output == Path::new("-") {
        super::docs::print(written.as_bytes())?;
    } else if let Err(error) = std::fs::write(&output, &written) {
        // It took long to find.
        super::docs::print(written.as_bytes())?;
        let what = format!("{} (the scenario is on standard output)", output.display());
        return Err(Failure::io(what)(error));
    }
    if !arguments.quiet {
        let stopped = if shrunk.complete { "" } else { "; stopped before it was done" };
        let runs = if shrunk.runs == 1 { "1 run".to_owned() } else { format!("{} runs", shrunk.runs) };
        eprintln!("{}: {}, after {runs}{stopped}", output.display(), size(shrunk.left));
    }
    Ok(ExitCode::SUCCESS)
}

/// What would be known after the search only.
fn check_output(path: &Path, output: &Path) -> Result<(), Failure> {
    if output == Path::new("-") {
        return Ok(());
    }
    let real = |path: &Path| std::fs::canonicalize(path);
    if let (Ok(from), Ok(to)) = (real(path), real(output))
        && from == to
    {
        let message = format!("{}: is the scenario that is to be shrunk", output.display());
        return Err(Failure::usage(
            message,
            "the small one goes beside it if nothing is said; or --output FILE",
        ));
    }
    if output.is_dir() {
        let message = format!("{}: is a folder", output.display());
        return Err(Failure::usage(message, "--output is a file"));
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Failure::usage(
            format!("{}: there is no such folder", folder.display()),
            "make it, or name another",
        )),
        Some(_) | None => Ok(()),
    }
}

fn failure(error: ShrinkError, path: &Path) -> Failure {
    let help = match &error {
        ShrinkError::Scenario(_) => "",
        ShrinkError::Stopped => "give the scenario a `duration`, if it has no end",
        ShrinkError::Passes(_) => "name one that fails, as `guestnet test --seeds 1..1000` tells: --seed N",
        ShrinkError::Tap(_) => "take the TAP out of the scenario",
        ShrinkError::Host(_) => "take `host` out of the scenario",
        ShrinkError::Golden(..) => {
            "expect what matters of the capture instead: packets, in [[expect]] tables"
        }
    };
    match error {
        ShrinkError::Scenario(error) => error.into(),
        other => Failure::usage(format!("{}: {other}", path.display()), help),
    }
}

fn beside(path: &Path, seed: u64) -> PathBuf {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{stem}-{seed}.shrunk.toml"))
}

/// The scenario with a head that says where it comes from, and its seed.
fn scenario(shrunk: &Shrunk, path: &Path, output: &Path, seed: u64) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let [expected, found] = &shrunk.failure;
    let mut text = format!("# Shrunk from {name}, seed {seed}, by `guestnet shrink`. It fails with:\n");
    let _ = writeln!(text, "#   expected: {expected}\n#   found: {found}\n");
    let folder = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
    let (from, to) = (folder(path), folder(output));
    let moved = if output == Path::new("-") { None } else { between(&to, &from) };
    text.push_str(&shrink::finish(&shrunk.text, seed, moved.as_deref()));
    text
}

/// The way from one folder to another; `None` if they are the same.
fn between(from: &Path, to: &Path) -> Option<PathBuf> {
    let absolute = |path: &Path| std::path::absolute(path).and_then(std::fs::canonicalize);
    let here = |path: &Path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() };
    let (from, to) = (absolute(&here(from)).ok()?, absolute(&here(to)).ok()?);
    if from == to {
        return None;
    }
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| std::path::Component::ParentDir);
    Some(up.chain(to.components().skip(shared)).collect())
}

fn progress_bar(quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn line(progress: &Progress) -> String {
    format!("{} runs, trying {}; left: {}", progress.runs, progress.phase, size(progress.left))
}

fn size(left: Left) -> String {
    let count =
        |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let Left { guests, entries, knobs, frames } = left;
    [
        count(guests, "guest", "guests"),
        count(entries, "timeline entry", "timeline entries"),
        count(knobs, "knob", "knobs"),
        count(frames, "listed frame", "listed frames"),
    ]
    .join(", ")
}
