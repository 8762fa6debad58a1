//! guestnet's own side: two guests on a switch, every link ideal, MTU 1500.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guestnet::capture::{Each, Writer};
use guestnet::guest::{Engine, EngineSettings, Exit};
use guestnet::live::capture::{CaptureFile, Threaded};
use guestnet::live::{self, Interrupt, Outside};
use guestnet::scenario::{self, assets::Assets};
use guestnet::sim;
use guestnet::world::{Report, Settings, World};
use nix::time::{ClockId, clock_gettime};

/// Which driver moves the lab.
#[derive(Clone, Copy)]
pub enum Mode {
    Sim,
    Live,
}

pub struct Lab {
    engine: Engine,
    interrupt: Interrupt,
}

pub const PROCESS: ClockId = ClockId::CLOCK_PROCESS_CPUTIME_ID;
pub const THREAD: ClockId = ClockId::CLOCK_THREAD_CPUTIME_ID;

/// CPU time of this process, all its threads, or of this thread: what others do on the machine does not count.
pub fn cpu_time(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("a clock of CPU time").into()
}

/// Where `scripts/guests` puts a guest.
pub fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests").join(name).with_extension("wasm")
}

/// A guest's table in a scenario.
pub fn table(name: &str, module: &str, arguments: &[&str]) -> String {
    format!("[guest.{name}]\nmodule = \"{}\"\nargs = {arguments:?}\n", guest(module).display())
}

fn pair(server: (&str, &[&str]), client: (&str, &[&str])) -> String {
    table("server", server.0, server.1) + &table("client", client.0, client.1)
}

/// A pair that speaks TLS 1.3 with full handshakes.
fn tls_pair(server: (&str, &[&str]), client: (&str, &[&str])) -> String {
    let with_tls = |name: &str, (module, arguments), keys: &str| {
        let tls = format!("over = \"ipv4\", versions = \"1.3\", resumption = false{keys}");
        table(name, module, arguments)
            + &format!("protocol = {{ ipv4 = {{ private = true }}, tls = {{ {tls} }} }}\n")
    };
    "secrets = false\n[ca.bench]\n".to_owned()
        + &with_tls("server", server, ", certificate = [{ ca = \"bench\" }]")
        + &with_tls("client", client, "")
}

impl Lab {
    /// A lab of up to so many guests.
    pub fn new(guests: usize) -> Self {
        let engine = Engine::new(EngineSettings { cache_folder: None, guests }).expect("a compiler");
        Self { engine, interrupt: Interrupt::register().expect("signal handlers") }
    }

    /// A world that has not run yet: modules are compiled.
    pub fn world(&self, mode: Mode, scenario: &str) -> World {
        let plan = scenario::parse(scenario, Path::new("bench.toml")).expect("a scenario without mistakes");
        let settings = match mode {
            Mode::Sim => Settings::sim(&plan, 1),
            Mode::Live => Settings::live(&plan, Duration::ZERO, 1),
        };
        World::new(&plan, &Assets::read(&plan), settings, &self.engine, &mut |_| ())
    }

    /// Seconds by the host's clock, the capture's completion included.
    fn run(&self, mode: Mode, scenario: &str, capture: Option<(&Path, Each)>) -> f64 {
        self.run_noting(mode, scenario, capture, || ())
    }

    /// Runs to the end, and sees to it that every guest did what it should. `output` hears of whatever is printed.
    fn run_noting(
        &self,
        mode: Mode,
        scenario: &str,
        capture: Option<(&Path, Each)>,
        mut output: impl FnMut(),
    ) -> f64 {
        let mut world = self.world(mode, scenario);
        if let Some((path, each)) = capture {
            let file = File::create(path).expect("a file for the capture");
            let mut outs =
                Threaded::new(vec![Box::new(CaptureFile::new(file))]).expect("a thread that writes");
            let writer = Writer::new(outs.remove(0), world.session()).expect("the capture's head");
            world.set_each(each);
            world.set_sink(Box::new(writer));
        }
        let turn = |_: &World, reports: Vec<Report>| {
            for report in reports {
                match report {
                    Report::Exited { exit: Exit::Code(0), .. } => {}
                    Report::Output { .. } => output(),
                    Report::Exited { guest, exit, .. } => panic!("guest {guest}: {exit}"),
                }
            }
            true
        };
        let start = Instant::now();
        match mode {
            Mode::Sim => sim::run(&mut world, None, turn),
            Mode::Live => live::run(&mut world, Outside::default(), &self.interrupt, None, turn)
                .expect("nothing outside that could fail"),
        };
        world.close_sink().expect("a whole capture");
        start.elapsed().as_secs_f64()
    }

    /// Seconds for so many megabytes from one guest to another.
    pub fn bulk(&self, mode: Mode, megabytes: u64, capture: Option<(&Path, Each)>) -> f64 {
        let megabytes = megabytes.to_string();
        let client = ["10.0.0.2:5001", megabytes.as_str()];
        make_way(capture);
        self.run(mode, &pair(("bulk_receiver", &[]), ("bulk_sender", &client)), capture)
    }

    /// The same by the CPU time of the thread that has most to do: what it takes where each has a processor of its own.
    pub fn bulk_busiest(&self, mode: Mode, megabytes: u64, capture: Option<(&Path, Each)>) -> f64 {
        make_way(capture);
        let (all, own) = (cpu_time(PROCESS), cpu_time(THREAD));
        self.bulk(mode, megabytes, capture);
        let (all, own) = (cpu_time(PROCESS) - all, cpu_time(THREAD) - own);
        own.max(all.saturating_sub(own)).as_secs_f64()
    }

    /// The same over TLS.
    pub fn tls_bulk(&self, mode: Mode, megabytes: u64) -> f64 {
        let client = ["tls", "10.0.0.2:5001", &megabytes.to_string()];
        self.run(mode, &tls_pair(("bulk_receiver", &["tls", "0.0.0.0:5001"]), ("bulk_sender", &client)), None)
    }

    /// Seconds to connect, shake hands, send a byte each way and close.
    pub fn tls_connect(&self, mode: Mode, count: u64) -> f64 {
        self.slope(mode, count, |count| {
            let client = ["tls", "10.0.0.2:5003", count];
            tls_pair(("conn_server", &["tls", "0.0.0.0:5003", count]), ("conn_client", &client))
        })
    }

    /// Seconds for one byte there and back.
    pub fn ping_pong(&self, mode: Mode, rounds: u64) -> f64 {
        self.slope(mode, rounds, |rounds| {
            pair(("pingpong_server", &[]), ("pingpong_client", &["10.0.0.2:5002", rounds]))
        })
    }

    /// Seconds to connect, send a byte each way and close.
    pub fn connect(&self, mode: Mode, count: u64) -> f64 {
        self.slope(mode, count, |count| {
            pair(("conn_server", &["0.0.0.0:5003", count]), ("conn_client", &["10.0.0.2:5003", count]))
        })
    }

    /// CPU time for one byte there and back over the first of so many connections, in seconds: the client prints a line
    /// before and a line after.
    pub fn held(&self, mode: Mode, connections: u64, rounds: u64) -> f64 {
        let mut printed = Vec::new();
        let scenario = held(connections, &rounds.to_string());
        self.run_noting(mode, &scenario, None, || printed.push(cpu_time(THREAD)));
        let [begin, end] = printed[..] else { panic!("{} outputs", printed.len()) };
        (end - begin).as_secs_f64() / rounds as f64
    }

    /// What one operation costs, without what comes before and after all of them: the difference between a run
    /// of many and a run of few.
    fn slope(&self, mode: Mode, count: u64, scenario: impl Fn(&str) -> String) -> f64 {
        let few = count / 10;
        let seconds = |count: u64| self.run(mode, &scenario(&count.to_string()), None);
        (seconds(count) - seconds(few)) / (count - few) as f64
    }
}

/// Removes the last run's capture. A file that is written over is emptied first, and written to the disk at once as it is
/// closed (ext4, auto_da_alloc): that is not what is measured.
fn make_way(capture: Option<(&Path, Each)>) {
    if let Some((path, _)) = capture {
        let _ = std::fs::remove_file(path);
    }
}

/// A client that holds connections, and a server that has accepted them all and answers on the first.
pub fn held(connections: u64, rounds: &str) -> String {
    let connections = connections.to_string();
    let room = "descriptors = 20000\n";
    table("server", "hold_server", &["0.0.0.0:7", &connections])
        + room
        + &table("client", "holder", &["10.0.0.2:7", &connections, rounds])
        + room
}
