//! A scenario run in virtual time, and all that came of it.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use guestnet::capture::{Record, Sink, Writer};
use guestnet::guest::{Engine, EngineSettings, Exit};
use guestnet::node::OutputStream;
use guestnet::scenario::assets::Assets;
use guestnet::scenario::plan::Plan;
use guestnet::sim::{self, Ending};
use guestnet::time::Instant;
use guestnet::world::{Report, Settings, Totals, World};

pub fn scenario(name: &str) -> PathBuf {
    // From the package, where tests run: messages that name files are then the same on every machine.
    Path::new("tests/scenarios").join(format!("{name}.toml"))
}

/// A compiler that remembers what it compiled, between tests too.
pub fn engine() -> Engine {
    let cache_folder = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("modules"));
    Engine::new(EngineSettings { cache_folder, guests: 1 }).expect("a compiler")
}

/// What one guest did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestOutcome {
    pub name: String,
    pub stdout: String,
    pub stderr: String,
    pub exit: Option<Exit>,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub guests: Vec<GuestOutcome>,
    pub ending: Ending,
    pub at: Instant,
    pub totals: Totals,
    /// The pcapng file.
    pub capture: Vec<u8>,
    /// The frames alone, as they were sent.
    pub frames: Vec<Vec<u8>>,
}

impl Outcome {
    pub fn exits(&self) -> Vec<Option<&Exit>> {
        self.guests.iter().map(|guest| guest.exit.as_ref()).collect()
    }

    pub fn guest(&self, name: &str) -> &GuestOutcome {
        self.guests.iter().find(|guest| guest.name == name).expect("a guest of the lab")
    }
}

/// As a person would want to read it: the guests' output and ends, then the lab's.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for guest in &self.guests {
            match &guest.exit {
                Some(exit) => writeln!(f, "{} {exit}", guest.name)?,
                None => writeln!(f, "{} has no end", guest.name)?,
            }
            for (mark, text) in [('>', &guest.stdout), ('!', &guest.stderr)] {
                text.lines().try_for_each(|line| writeln!(f, "  {mark} {line}"))?;
            }
        }
        let Totals { frames, bytes, dropped } = self.totals;
        let ending = match self.ending {
            Ending::Over => "over",
            Ending::Stalled => "stalled",
            Ending::Duration => "out of time",
            Ending::Interrupted => "interrupted",
            Ending::Livelock(_) => "a livelock",
        };
        write!(f, "{ending} at {} s: {frames} frames, {bytes} bytes, {dropped} dropped", self.at)
    }
}

/// Runs a plan with what it names.
pub fn run(plan: &Plan, assets: &Assets, engine: &mut Engine, seed: u64) -> Outcome {
    let mut world = World::new(plan, assets, Settings::sim(plan, seed), engine, &mut |_| ());
    let recorder = Recorder::default();
    let (capture, frames) = (recorder.capture.clone(), Arc::clone(&recorder.frames));
    world.set_sink(Box::new(Tee {
        writer: Writer::new(recorder.capture, world.session()).unwrap(),
        frames: recorder.frames,
    }));
    let mut reports = Vec::new();
    let ending = sim::run(&mut world, plan.duration, |_, new| {
        reports.extend(new);
        true
    });
    world.close_sink().expect("memory takes every capture");
    let capture = std::mem::take(&mut *capture.0.lock().unwrap());
    let frames = std::mem::take(&mut *frames.lock().unwrap());
    Outcome {
        guests: gather(plan, reports),
        ending,
        at: world.now(),
        totals: world.totals(),
        capture,
        frames,
    }
}

/// Loads a scenario and runs it with each of the seeds.
pub fn run_seeds<const N: usize>(name: &str, seeds: [u64; N]) -> [Outcome; N] {
    let plan = guestnet::scenario::load(&scenario(name))
        .unwrap_or_else(|error| panic!("{}\n(scripts/guests builds the guests)", error.plain()));
    let assets = Assets::read(&plan);
    let mut engine = engine();
    seeds.map(|seed| run(&plan, &assets, &mut engine, seed))
}

/// What was reported, by guest.
pub fn gather(plan: &Plan, reports: Vec<Report>) -> Vec<GuestOutcome> {
    let mut outputs = vec![[Vec::new(), Vec::new()]; plan.guests.len()];
    let mut exits = vec![None; plan.guests.len()];
    for report in reports {
        match report {
            Report::Output { guest, output } => match output.stream {
                OutputStream::Stdout => outputs[guest][0].extend(output.bytes),
                OutputStream::Stderr => outputs[guest][1].extend(output.bytes),
                OutputStream::Trace => {}
            },
            Report::Exited { guest, exit } => {
                assert!(exits[guest].replace(exit).is_none(), "a guest ends once");
            }
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("these guests write UTF-8");
    let guests = plan.guests.iter().zip(outputs).zip(exits);
    guests
        .map(|((plan, [stdout, stderr]), exit)| GuestOutcome {
            name: plan.name.clone(),
            stdout: text(stdout),
            stderr: text(stderr),
            exit,
        })
        .collect()
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Recorder {
    capture: Shared,
    frames: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Keeps the file, and the frames that were sent.
struct Tee {
    writer: Writer<Shared>,
    frames: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Sink for Tee {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        if record.way == guestnet::capture::Way::Outbound {
            self.frames.lock().unwrap().push(record.frame.bytes.to_vec());
        }
        self.writer.record(record)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn close(&mut self, at: Instant) -> io::Result<()> {
        self.writer.close(at)
    }
}
