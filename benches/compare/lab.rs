//! guestnet's own side: two guests on a switch, every link ideal, MTU 1500.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guestnet::capture::{Each, Writer};
use guestnet::guest::{Engine, EngineSettings, Exit};
use guestnet::live::capture::{CaptureFile, Threaded};
use guestnet::live::{self, Interrupt, Outside};
use guestnet::node::Output;
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

/// What a run took, by the host's clock and of this thread.
struct Took {
    seconds: f64,
    cpu_seconds: f64,
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

/// CPU time of this thread since it began, for what never waits.
pub struct Spent(Duration);

impl Spent {
    pub fn begin() -> Spent {
        Spent(cpu_time(THREAD))
    }

    pub fn seconds(&self) -> f64 {
        (cpu_time(THREAD) - self.0).as_secs_f64()
    }
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

/// What stands between a guest and its stack.
#[derive(Clone, Copy, PartialEq)]
pub enum Layer {
    /// TLS 1.3 with full handshakes.
    Tls,
    /// The same handshakes.
    Quic,
}

impl Layer {
    pub fn name(self) -> &'static str {
        match self {
            Layer::Tls => "tls",
            Layer::Quic => "quic",
        }
    }

    /// Two guests over it, whose arguments begin with its name.
    fn pair(self, server: (&str, &[&str]), client: (&str, &[&str])) -> String {
        self.pair_with(server, client, "", "")
    }

    /// The same with more keys in the tables of both protocol objects, and of both guests.
    fn pair_with(
        self,
        server: (&str, &[&str]),
        client: (&str, &[&str]),
        protocol_keys: &str,
        guest_keys: &str,
    ) -> String {
        let guest = |name: &str, (module, arguments): (&str, &[&str]), keys: &str| {
            let versions = if self == Layer::Tls { ", versions = \"1.3\"" } else { "" };
            let object = format!("over = \"ipv4\"{versions}, resumption = false{protocol_keys}{keys}");
            let arguments: Vec<&str> = [self.name()].iter().chain(arguments).copied().collect();
            table(name, module, &arguments)
                + &format!(
                    "protocol = {{ ipv4 = {{ private = true }}, {} = {{ {object} }} }}\n{guest_keys}",
                    self.name()
                )
        };
        "secrets = false\n[ca.bench]\n".to_owned()
            + &guest("server", server, ", certificate = [{ ca = \"bench\" }]")
            + &guest("client", client, "")
    }
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
        self.run_noting(mode, scenario, capture, |_| ()).seconds
    }

    /// By the CPU time of this thread, which has all the work to do.
    fn run_cpu(&self, mode: Mode, scenario: &str) -> f64 {
        self.run_noting(mode, scenario, None, |_| ()).cpu_seconds
    }

    /// Runs to the end, and sees to it that every guest did what it should. `output` hears of whatever is printed.
    fn run_noting(
        &self,
        mode: Mode,
        scenario: &str,
        capture: Option<(&Path, Each)>,
        mut output: impl FnMut(&[u8]),
    ) -> Took {
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
                    Report::Output { output: Output { bytes, .. }, .. } => output(&bytes),
                    Report::Exited { guest, exit, .. } => panic!("guest {guest}: {exit}"),
                }
            }
            true
        };
        let (start, spent) = (Instant::now(), Spent::begin());
        match mode {
            Mode::Sim => sim::run(&mut world, None, turn),
            Mode::Live => live::run(&mut world, Outside::default(), &self.interrupt, None, turn)
                .expect("nothing outside that could fail"),
        };
        world.close_sink().expect("a whole capture");
        Took { seconds: start.elapsed().as_secs_f64(), cpu_seconds: spent.seconds() }
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

    /// CPU time for the same over a layer, in seconds, with interfaces of this MTU.
    pub fn layer_bulk(&self, layer: Layer, mode: Mode, megabytes: u64, mtu: usize) -> f64 {
        let client = ["10.0.0.2:5001", &megabytes.to_string()];
        let (server, client) =
            (("bulk_receiver", &["0.0.0.0:5001"] as &[_]), ("bulk_sender", &client as &[_]));
        self.run_cpu(mode, &layer.pair_with(server, client, "", &format!("mtu = {mtu}\n")))
    }

    /// CPU time to connect, shake hands, send a byte each way and close, in seconds.
    pub fn layer_connect(&self, layer: Layer, mode: Mode, count: u64) -> f64 {
        let run = |scenario: &str| self.run_cpu(mode, scenario);
        slope(count, run, |count| {
            let client = ["10.0.0.2:5003", count];
            layer.pair(("conn_server", &["0.0.0.0:5003", count]), ("conn_client", &client))
        })
    }

    /// CPU time for so many bytes over so many streams of one QUIC connection, and what the least of them had got when the
    /// rest had as many bytes in all, by what the most had.
    pub fn streams(&self, streams: u64, bytes: u64, link: &str) -> (f64, f64) {
        let (streams, bytes) = (streams.to_string(), bytes.to_string());
        let scenario = Layer::Quic.pair_with(
            ("stream_fair", &["0.0.0.0:443", "gauge", &streams, &bytes]),
            ("stream_fair", &["10.0.0.2:443", "pour", &streams]),
            &format!(", streams = {streams}, window = \"64MiB\""),
            &format!("descriptors = 2000\n{link}"),
        );
        let mut said = String::new();
        let took =
            self.run_noting(Mode::Sim, &scenario, None, |bytes| said += &String::from_utf8_lossy(bytes));
        let figures: Vec<f64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [_, least, most] = figures[..] else { panic!("the gauge said: {said}") };
        (took.cpu_seconds, least / most)
    }

    /// Seconds for one byte there and back.
    pub fn ping_pong(&self, mode: Mode, rounds: u64) -> f64 {
        let run = |scenario: &str| self.run(mode, scenario, None);
        slope(rounds, run, |rounds| {
            pair(("pingpong_server", &[]), ("pingpong_client", &["10.0.0.2:5002", rounds]))
        })
    }

    /// Seconds to connect, send a byte each way and close.
    pub fn connect(&self, mode: Mode, count: u64) -> f64 {
        let run = |scenario: &str| self.run(mode, scenario, None);
        slope(count, run, |count| {
            pair(("conn_server", &["0.0.0.0:5003", count]), ("conn_client", &["10.0.0.2:5003", count]))
        })
    }

    /// CPU time for one byte there and back over the first of so many connections, in seconds: the client prints a line
    /// before and a line after.
    pub fn held(&self, mode: Mode, connections: u64, rounds: u64) -> f64 {
        let mut printed = Vec::new();
        let scenario = held(connections, &rounds.to_string());
        self.run_noting(mode, &scenario, None, |_| printed.push(cpu_time(THREAD)));
        let [begin, end] = printed[..] else { panic!("{} outputs", printed.len()) };
        (end - begin).as_secs_f64() / rounds as f64
    }

    /// CPU time for each of so many connections that are opened, one after the other, between two guests that keep them all.
    pub fn layer_open(&self, layer: Layer, connections: u64) -> f64 {
        let run = |scenario: &str| self.run_cpu(Mode::Sim, scenario);
        slope(connections, run, |connections| layer_held(layer, connections, "1"))
    }
}

/// What one operation costs, without what comes before and after all of them: the difference between a run of many and a
/// run of few.
fn slope(count: u64, run: impl Fn(&str) -> f64, scenario: impl Fn(&str) -> String) -> f64 {
    let few = count / 10;
    let seconds = |count: u64| run(&scenario(&count.to_string()));
    (seconds(count) - seconds(few)) / (count - few) as f64
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

/// The same over a layer.
pub fn layer_held(layer: Layer, connections: &str, rounds: &str) -> String {
    let server = ["0.0.0.0:7", connections];
    let client = ["10.0.0.2:7", connections, rounds];
    let room = "descriptors = 20000\nbuffers = \"1GiB\"\n";
    layer.pair_with(("hold_server", &server), ("holder", &client), "", room)
}
