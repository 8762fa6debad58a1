//! `guestnet run`: a lab, or one guest, in wall-clock or in virtual time.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use guestnet::live::{self, Interrupt, Outside, Sockets, Stdin, tap::Tap};
use guestnet::scenario::assets::Assets;
use guestnet::scenario::plan::{Plan, StdinPlan};
use guestnet::sim;
use guestnet::world::{Settings, World};

use super::Failure;
use super::console::{Console, Style};
use super::lab::{self, GuestArguments};
use super::sinks::Capture;

/// Runs a lab, or one guest on a network of its own
///
/// Time is the wall clock's, unless --sim is given: then it jumps from event to event, and the same scenario, modules
/// and seed give the same run, to the byte of the capture. Ctrl-C ends a run in order, a second one at once.
#[derive(clap::Args)]
pub struct Arguments {
    /// A scenario (.toml), or one guest (.wasm, .wat)
    path: PathBuf,
    /// The guest's arguments, if PATH is one
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
    /// Run in virtual time
    #[arg(long)]
    sim: bool,
    /// Root of all randomness [default: the scenario's, else 0 with --sim, else a fresh one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Stop after this long, such as 10s [default: the scenario's, else never]
    #[arg(long, value_name = "TIME", value_parser = guestnet::scenario::parse_duration)]
    duration: Option<Duration>,
    /// Show guest calls as strace does, on standard error or in FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[expect(clippy::option_option, reason = "absent, bare, or with a file")]
    trace: Option<Option<PathBuf>>,
    /// No progress and no summary
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    capture: Capture,
    #[command(flatten)]
    guest: GuestArguments,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let mut plan = lab::plan(&arguments.path, &arguments.arguments, &arguments.guest)?;
    if arguments.sim
        && let Some(tap) = plan.taps.first()
    {
        return Err(Failure::usage(
            format!("TAP `{}`: virtual time has no TAPs, as Linux behind one does not wait for it", tap.name),
            "run without --sim, or take the TAP out of the scenario",
        ));
    }
    if arguments.sim
        && let Some(folder) = plan.host_folders.first()
    {
        return Err(Failure::usage(
            format!(
                "{}: host: virtual time has no sockets of the host, as programs there do not wait for it",
                folder.place
            ),
            "run without --sim, or take `host` out of the scenario",
        ));
    }
    let interrupt = Interrupt::register().map_err(Failure::io("signals"))?;
    let mut assets = Assets::read(&plan);
    if arguments.sim {
        read_stdin_whole(&mut plan, &mut assets)?;
    }
    let settings = settings(&arguments, &plan)?;
    let seed = settings.seed;
    let outside = if arguments.sim { Outside::default() } else { outside(&plan)? };
    let engine = lab::engine(plan.guests.len())?;
    let style = Style {
        quiet: arguments.quiet,
        stdout_taken: arguments.capture.takes_stdout(),
        trace: arguments.trace.clone(),
    };
    let mut console = Console::new(&plan, &style)?;
    let mut world = World::new(&plan, &assets, settings, &engine, &mut |guest| console.compiling(guest));
    for (path, pem) in world.exports() {
        std::fs::write(path, pem).map_err(Failure::io(format!("root {}", path.display())))?;
    }
    arguments.capture.begin(&mut world)?;
    let duration = arguments.duration.or(plan.duration);
    let ended = if arguments.sim {
        Ok(sim::run(&mut world, duration, |world, reports| {
            console.show(world, reports) && !interrupt.is_requested()
        }))
    } else {
        let outside =
            Outside { follow: arguments.capture.takes_stdout(), refresh: console.refresh(), ..outside };
        let turn = |world: &World, reports| console.show(world, reports);
        live::run(&mut world, outside, &interrupt, duration, turn)
    };
    // However it ended, the capture is whole.
    let captured = world.close_sink();
    let ending = ended?;
    let summary = summary(&arguments, &plan, &world, &console, seed);
    let code = console.finish(&world, ending, &summary)?;
    captured.map_err(arguments.capture.failed())?;
    Ok(ExitCode::from(code))
}

fn settings(arguments: &Arguments, plan: &Plan) -> Result<Settings, Failure> {
    let seed = match arguments.seed.or(plan.seed) {
        Some(seed) => seed,
        None if arguments.sim => 0,
        None => live::seed().map_err(Failure::io("a fresh seed"))?,
    };
    let settings =
        if arguments.sim { Settings::sim(plan, seed) } else { Settings::live(plan, live::epoch(), seed) };
    let log_secrets = arguments.capture.wants_secrets(settings.log_secrets);
    Ok(Settings { trace: arguments.trace.is_some(), log_secrets, ..settings })
}

/// In virtual time input comes whole before anything runs: when it comes must not matter. A terminal has none.
fn read_stdin_whole(plan: &mut Plan, assets: &mut Assets) -> Result<(), Failure> {
    for guest in &mut plan.guests {
        if guest.stdin == StdinPlan::Inherit {
            let mut bytes = Vec::new();
            if !io::stdin().is_terminal() {
                io::stdin().read_to_end(&mut bytes).map_err(Failure::io("standard input"))?;
            }
            let path = Path::new("standard input").to_owned();
            assets.insert(path.clone(), bytes);
            guest.stdin = StdinPlan::File(path);
        }
    }
    Ok(())
}

fn outside(plan: &Plan) -> Result<Outside, Failure> {
    let mut outside = Outside::default();
    for tap in &plan.taps {
        outside.taps.push(Tap::open(&tap.device, tap.netns.as_deref())?);
    }
    let folders = plan.host_folders.iter().map(|folder| folder.path.as_path());
    outside.sockets = Sockets::new(folders).map_err(Failure::io("folders of sockets"))?;
    if let Some(guest) = plan.guests.iter().position(|guest| guest.stdin == StdinPlan::Inherit) {
        let stdin = Stdin::new(io::stdin()).map_err(Failure::io("standard input"))?;
        outside.stdin = Some((guest, stdin));
    }
    Ok(outside)
}

fn summary(arguments: &Arguments, plan: &Plan, world: &World, console: &Console, seed: u64) -> String {
    let totals = world.totals();
    let capture = arguments.capture.place().map(|place| format!("; capture: {}", place.display()));
    let drops = world.device_drops();
    let drops: Vec<_> = drops.iter().map(|(why, count)| format!("{count} {}", why.as_str())).collect();
    let drops = if drops.is_empty() { String::new() } else { format!("; by devices: {}", drops.join(", ")) };
    format!(
        "{}: {}; {:.6} s{}, seed {seed}; {} frames, {} bytes, {} dropped by links{drops}{}",
        plan.name,
        console.tally(),
        world.now().elapsed().as_secs_f64(),
        if arguments.sim { " of virtual time" } else { "" },
        totals.frames,
        totals.bytes,
        totals.dropped,
        capture.unwrap_or_default(),
    )
}
