//! `guestnet run`: a lab, or one guest, in wall-clock or in virtual time.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use guestnet::folders::Folders;
use guestnet::live::{self, Interrupt, Outside, Sockets, Stdin, tap::Tap};
use guestnet::scenario::assets::Assets;
use guestnet::scenario::plan::{Action, FramesPlan, Plan, StdinPlan};
use guestnet::sim::{self, Ending};
use guestnet::world::{Settings, World};

use super::console::{Console, Style};
use super::lab::{self, GuestArguments};
use super::qlogs::Qlogs;
use super::seeds::seed;
use super::sinks::Capture;
use super::{Failure, hints};

/// Runs a lab, or one guest on a network of its own
///
/// Time is the wall clock's, unless --sim is given: then it jumps from event to event, and the same scenario, modules
/// and seed give the same run, to the byte of the capture. Ctrl-C ends a run in order, a second one at once.
#[derive(clap::Args)]
#[command(
    override_usage = "guestnet run [OPTIONS] LAB.toml\n       guestnet run [OPTIONS] GUEST.wasm [ARGUMENTS]..."
)]
pub struct Arguments {
    /// A scenario (.toml), or one guest (.wasm, .wat) and its arguments
    ///
    /// Options stand before; what stands behind a guest is its own, whatever it looks like.
    // One list, or else options behind the guest's path would be guestnet's as long as they are known to it.
    #[arg(required = true, value_name = "PATH", trailing_var_arg = true, value_hint = clap::ValueHint::FilePath)]
    path: Vec<String>,
    /// Run in virtual time
    #[arg(long)]
    sim: bool,
    /// Root of all randomness [default: the scenario's, else 0 with --sim, else a fresh one]
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,
    /// Stop after this long, such as 10s [default: the scenario's, else never]
    #[arg(long, value_name = "TIME", value_parser = guestnet::scenario::parse_duration)]
    duration: Option<Duration>,
    /// Show guest calls as strace does, on standard error or in FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[expect(clippy::option_option, reason = "absent, bare, or with a file")]
    trace: Option<Option<PathBuf>>,
    /// Have guests write to private copies of their writable directories, which are thrown away, as `guestnet test` does
    #[arg(long)]
    scratch: bool,
    /// No progress and no summary
    #[arg(short, long)]
    quiet: bool,
    /// A summary at the end for one guest too; a lab has one unless --quiet is given
    #[arg(long, conflicts_with = "quiet")]
    summary: bool,
    #[command(flatten)]
    capture: Capture,
    #[command(flatten)]
    guest: GuestArguments,
}

impl Arguments {
    /// What is to be run.
    fn path(&self) -> &Path {
        Path::new(self.path.first().map_or("", String::as_str))
    }

    /// What stands behind it, and behind a `--`.
    fn arguments(&self) -> &[String] {
        self.path.get(1 + usize::from(self.is_separated())..).unwrap_or_default()
    }

    /// Whoever writes `--` before the guest's arguments knows whose they are.
    fn is_separated(&self) -> bool {
        self.path.get(1).is_some_and(|argument| argument == "--")
    }

    pub fn lab(&self) -> String {
        self.path.first().cloned().unwrap_or_default()
    }

    /// What is to be run is this, wherever it stands.
    pub fn put_first(&mut self, lab: &str) {
        if let Some(at) = self.path.iter().rposition(|path| path == lab) {
            let lab = self.path.remove(at);
            self.path.insert(0, lab);
        }
    }

    /// The same command line with what stands behind a scenario before it: a lab takes no arguments, so options there
    /// can only be guestnet's.
    pub fn reordered(&self, mut line: Vec<OsString>) -> Option<Vec<OsString>> {
        let behind = self.arguments();
        if !lab::is_scenario(self.path()) || self.is_separated() || !behind.first()?.starts_with('-') {
            return None;
        }
        let at = line.len().checked_sub(behind.len() + 1)?;
        let path = line.remove(at);
        line.push(path);
        Some(line)
    }
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    // Without `=`, what was meant for --trace is taken for the path.
    let help = arguments
        .trace
        .as_ref()
        .filter(|file| file.is_none())
        .and_then(|_| hints::trace_file(arguments.path(), arguments.arguments()));
    let mut plan = lab::plan(arguments.path(), arguments.arguments(), &arguments.guest, help)?;
    if !arguments.quiet
        && !arguments.is_separated()
        && let Some(hint) = hints::guest_arguments(arguments.path(), arguments.arguments())
    {
        eprintln!("guestnet: hint: {hint}");
    }
    arguments.capture.refuse_terminal()?;
    spare_inputs(&arguments, &plan)?;
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
    let mut assets = Assets::read(&plan);
    if arguments.sim {
        read_stdin_whole(&mut plan, &mut assets)?;
    }
    // Not before: reading may wait for somebody, there is nothing to be ended in order yet, and the first signal is to end it.
    let interrupt = Interrupt::register().map_err(Failure::io("signals"))?;
    let settings = settings(&arguments, &plan)?;
    let seed = settings.seed;
    // In virtual time both ends of every connection are of the lab, and one of them knows in time.
    let late_secrets = settings.log_secrets && !arguments.sim;
    let outside = if arguments.sim { Outside::default() } else { outside(&plan)? };
    let engine = lab::engine(plan.guests.len())?;
    let style = Style {
        quiet: arguments.quiet,
        summary: arguments.summary,
        stdout_taken: arguments.capture.takes_stdout(),
        trace: arguments.trace.clone(),
    };
    let mut console = Console::new(&plan, &style)?;
    let mut world = World::new(&plan, &assets, settings, &engine, &mut |guest| console.compiling(guest));
    for (path, pem) in world.exports() {
        std::fs::write(path, pem).map_err(Failure::io(format!("root {}", path.display())))?;
    }
    for (tap, plan) in outside.taps.iter().zip(&plan.taps) {
        tap.addresses().iter().for_each(|&address| world.add_name(address, &plan.name));
    }
    arguments.capture.begin(&mut world, late_secrets)?;
    let qlogs = Qlogs::default();
    qlogs.begin(&mut world);
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
    // And what came of it is told, whatever ended it.
    let ending = ended.as_ref().map_or(Ending::Interrupted, |ending| *ending);
    if ended.is_err() {
        console.expect_error();
    }
    let summary = summary(&arguments, &plan, &world, &console, seed);
    let code = console.finish(&world, ending, &summary)?;
    let captured = captured.map_err(arguments.capture.failed()).and(qlogs.finish());
    match ended {
        Ok(_) => captured.map(|()| ExitCode::from(code)),
        Err(error) => {
            // Each is worth telling.
            if let Err(failure) = captured {
                failure.tell();
            }
            Err(error.into())
        }
    }
}

/// Nothing that the run reads may be where it writes.
fn spare_inputs(arguments: &Arguments, plan: &Plan) -> Result<(), Failure> {
    let mut inputs = vec![(arguments.path(), "what is to be run")];
    for guest in &plan.guests {
        inputs.push((&guest.module, "a guest's module"));
        if let StdinPlan::File(path) = &guest.stdin {
            inputs.push((path, "a guest's standard input"));
        }
    }
    for entry in &plan.timeline {
        if let Action::Inject { frames: FramesPlan::Capture(path), .. } = &entry.action {
            inputs.push((path, "a capture to be injected"));
        }
    }
    let names = plan.guests.iter().map(|guest| guest.name.as_str());
    let mut outputs = arguments.capture.files(names);
    outputs.extend(arguments.trace.iter().flatten().map(|path| ("--trace", path.clone())));
    for (option, output) in outputs {
        if let Some((_, what)) = inputs.iter().find(|(input, _)| live::is_same_file(input, &output)) {
            return Err(Failure::usage(
                format!("{option} would overwrite {}, which is {what}", output.display()),
                "name another file",
            ));
        }
    }
    Ok(())
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
    let folders = if arguments.scratch { Folders::private(plan) } else { Folders::default() };
    Ok(Settings { trace: arguments.trace.is_some(), log_secrets, folders, ..settings })
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
