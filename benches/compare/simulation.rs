//! Virtual time: packets a second, a day in which nothing happens, starting a lab, many runs at once.

use std::path::Path;
use std::time::{Duration, Instant};

use guestnet::capture::Writer;
use guestnet::guest::{Engine, EngineSettings};
use guestnet::lab::Lab as TestLab;
use guestnet::live::capture::Threaded;
use guestnet::scenario::{self, assets::Assets};
use guestnet::sim;
use guestnet::sweep::{self, Job};
use guestnet::world::{Settings, World};

use crate::Size;
use crate::lab::{Lab, Mode, PROCESS, cpu_time, table};
use crate::table::{Goal, Table, Unit, alternate, best};

/// Pairs of a sender and a receiver.
const PAIRS: u64 = 4;

/// Four bulk transfers over one switch, each guest on a link that delays, paces and loses.
fn transfers(megabytes: u64) -> String {
    let link = "link = { delay = \"2ms\", rate = \"1Gbit\", loss = \"0.01%\" }\n";
    let receivers = (0..PAIRS).map(|pair| table(&format!("receiver{pair}"), "bulk_receiver", &[]) + link);
    let senders = (0..PAIRS).map(|pair| {
        let address = format!("10.0.0.{}:5001", 2 + pair);
        table(&format!("sender{pair}"), "bulk_sender", &[&address, &megabytes.to_string()]) + link
    });
    receivers.chain(senders).collect()
}

/// Where a run's records go.
#[derive(Clone, Copy)]
enum Kept<'a> {
    Nowhere,
    /// As `guestnet test` keeps them.
    InMemory,
    InFile(&'a Path),
}

/// A packet event is a frame that left a port and was judged by its link.
pub fn packet_events(size: &Size, table: &mut Table) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for captures");
    let file = folder.path().join("transfers.pcapng");
    let lab = Lab::new(2 * PAIRS as usize);
    let scenario = transfers(size.bulk_megabytes / 10);
    let kinds = [
        ("no capture", Kept::Nowhere, 1e6),
        ("captured in memory", Kept::InMemory, 5e5),
        ("captured to a file", Kept::InFile(&file), 5e5),
    ];
    for (how, kept, goal) in kinds {
        let rate = best(size.runs, Unit::PerSecond, || events_per_second(&lab, &scenario, kept));
        let name = format!("packet events a second of CPU time, {how}");
        table.figure_at_least(name, Unit::PerSecond, rate, goal);
    }
}

fn events_per_second(lab: &Lab, scenario: &str, kept: Kept<'_>) -> f64 {
    let mut world = lab.world(Mode::Sim, scenario);
    match kept {
        Kept::Nowhere => {}
        Kept::InMemory => world.set_sink(Box::new(guestnet::capture::Memory::default())),
        Kept::InFile(path) => {
            let file = std::fs::File::create(path).expect("a file for the capture");
            let writer = Writer::new(file, world.session()).expect("the capture's head");
            world.set_sink(Box::new(Threaded::new(Box::new(writer)).expect("a thread")));
        }
    }
    let start = cpu_time(PROCESS);
    let ending = sim::run(&mut world, None, |_, _| true);
    world.close_sink().expect("a whole capture");
    assert_eq!(ending, sim::Ending::Over);
    world.totals().frames as f64 / (cpu_time(PROCESS) - start).as_secs_f64()
}

/// 24 hours of two guests with a connection that says a line each minute, and of two that say nothing.
pub fn idle_day(size: &Size, table: &mut Table) {
    let day = "duration = \"24h\"\n";
    let sleepers =
        crate::lab::table("one", "idle", &[]) + &crate::lab::table("other", "idle", &["0.0.0.0:7"]);
    let ticking = crate::lab::table("server", "echo_server", &["0.0.0.0:7", "stream", "1"])
        + &crate::lab::table("client", "ticker", &["10.0.0.2:7", "100000", "60000"]);
    let lab = Lab::new(2);
    for (what, guests) in [("two guests asleep", sleepers), ("a line each minute", ticking)] {
        let scenario = format!("{day}{guests}");
        let seconds = best(size.runs, Unit::Seconds, || {
            let mut world = lab.world(Mode::Sim, &scenario);
            let start = Instant::now();
            let ending = sim::run(&mut world, Some(Duration::from_secs(24 * 3600)), |_, _| true);
            assert_eq!(ending, sim::Ending::Duration);
            start.elapsed().as_secs_f64()
        });
        table.figure_limited(format!("a simulated day, {what}"), Unit::Seconds, seconds, 1.0);
    }
}

/// From a scenario's text until both guests had their first turn.
pub fn start(size: &Size, table: &mut Table) {
    let scenario = crate::lab::table("server", "echo_server", &["0.0.0.0:7", "stream", "1"])
        + &crate::lab::table("client", "echo_client", &["10.0.0.2:7", "stream", "hello", "1"]);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for compiled modules");
    let up = |engine: &Engine| {
        let plan = scenario::parse(&scenario, Path::new("bench.toml")).expect("a scenario without mistakes");
        let settings = Settings::sim(&plan, 1);
        let mut world = World::new(&plan, &Assets::read(&plan), settings, engine, &mut |_| ());
        world.poll(world.now());
        assert!(world.guests().all(|(_, state, _)| state.is_running()));
        world
    };
    let fresh = || {
        let settings = EngineSettings { cache_folder: Some(folder.path().to_owned()), guests: 2 };
        Engine::new(settings).expect("a compiler")
    };
    let warm = fresh();
    up(&warm);
    let runs = size.runs * 20;
    let seconds = best(runs, Unit::Seconds, || {
        let start = Instant::now();
        let world = up(&warm);
        let elapsed = start.elapsed().as_secs_f64();
        drop(world);
        elapsed
    });
    table.figure_limited("start of a two-guest lab, engine there".into(), Unit::Seconds, seconds, 2e-3);
    let seconds = best(runs, Unit::Seconds, || {
        let start = Instant::now();
        let world = up(&fresh());
        let elapsed = start.elapsed().as_secs_f64();
        drop(world);
        elapsed
    });
    table.figure_limited(
        "start of a two-guest lab, new engine, modules cached".into(),
        Unit::Seconds,
        seconds,
        2e-3,
    );
}

/// Seeds of one lab, on one thread and on two.
pub fn sweep(size: &Size, table: &mut Table) {
    let lab = TestLab::from_toml(&transfers(1), "sweep.toml").expect("a scenario without mistakes");
    let labs = [lab];
    let jobs: Vec<Job> = (0..size.sweep).map(|seed| Job { lab: 0, seed, verify: false }).collect();
    let rate = |workers: usize| {
        let start = Instant::now();
        let mut done = 0;
        sweep::run(
            &labs,
            &jobs,
            workers,
            || false,
            |_| {
                done += 1;
                true
            },
        );
        f64::from(done) / start.elapsed().as_secs_f64()
    };
    let cpu = |workers: usize| {
        let start = cpu_time(PROCESS);
        rate(workers);
        (cpu_time(PROCESS) - start).as_secs_f64() / size.sweep as f64
    };
    rate(1);
    let sides = alternate(size.runs, Unit::PerSecond, || rate(2), || rate(1));
    let name = "sweep on two threads, runs a second";
    table.row(name.into(), "one thread", Unit::PerSecond, sides, Goal::AtLeast(1.8));
    // What is left of the wall clock's scaling when the machine has other work: two threads that hinder each other use
    // more CPU time.
    let sides = alternate(size.runs, Unit::Seconds, || cpu(2), || cpu(1));
    table.row(
        "CPU time of a run, two threads".into(),
        "one thread",
        Unit::Seconds,
        sides,
        Goal::AtMost(1.11),
    );
}
