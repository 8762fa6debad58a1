//! What one step of the hot path costs: a guest's call, a stack's turn, a frame's hop.
//!
//! `benches/frames.rs` has the parts of the last: link, switch, router, capture.

use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use guestnet::guest::{Engine, EngineSettings, Exit};
use guestnet::network::InterfaceConfig;
use guestnet::node::Stack;
use guestnet::node::stack::TcpOptions;
use guestnet::rng::Seed;
use guestnet::scenario::{self, assets::Assets};
use guestnet::time::Instant;
use guestnet::world::{Report, Settings, World};
use smoltcp::wire::EthernetAddress;

fn world(scenario: &str, module: Option<String>) -> World {
    let plan = scenario::parse(scenario, Path::new("bench.toml")).expect("a scenario without mistakes");
    let mut assets = Assets::read(&plan);
    if let Some(text) = module {
        assets.insert("guest.wat".into(), text.into_bytes());
    }
    let engine = Engine::new(EngineSettings::default()).expect("a compiler");
    World::new(&plan, &assets, Settings::live(&plan, Duration::ZERO, 1), &engine, &mut |_| ())
}

/// A program that does `call` so many times.
fn program(import: &str, call: &str, times: u64) -> String {
    format!(
        r#"(module
            {import}
            (memory (export "memory") 1)
            (func (export "_start") (local $left i64)
                (local.set $left (i64.const {times}))
                (loop $again
                    {call}
                    (local.set $left (i64.sub (local.get $left) (i64.const 1)))
                    (br_if $again (i64.ne (local.get $left) (i64.const 0))))))"#
    )
}

/// Seconds until the only guest has ended.
fn run(module: String) -> Duration {
    let mut world = world("[guest.caller]\nmodule = \"guest.wat\"\n", Some(module));
    let start = std::time::Instant::now();
    while !world.is_over() {
        world.poll(Instant::START);
    }
    let elapsed = start.elapsed();
    let done = |report: &Report| matches!(report, Report::Exited { exit: Exit::Code(0), .. });
    assert!(world.take_reports().iter().any(done), "the guest ended as it should");
    elapsed
}

fn guest_calls(criterion: &mut Criterion) {
    const WASI: &str = "wasi_snapshot_preview1";
    let import = |name: &str, parameters: &str| {
        format!(r#"(import "{WASI}" "{name}" (func $call (param {parameters}) (result i32)))"#)
    };
    let nothing = (String::new(), "(nop)");
    let calls = [
        ("no call, the loop alone", nothing),
        (
            "clock_time_get",
            (
                import("clock_time_get", "i32 i64 i32"),
                "(drop (call $call (i32.const 1) (i64.const 1) (i32.const 8)))",
            ),
        ),
        (
            "random_get, 8 bytes",
            (import("random_get", "i32 i32"), "(drop (call $call (i32.const 8) (i32.const 8)))"),
        ),
        ("sched_yield, another turn", (import("sched_yield", ""), "(drop (call $call))")),
    ];
    let mut group = criterion.benchmark_group("guest call");
    for (name, (import, call)) in calls {
        group.bench_function(name, |bencher| bencher.iter_custom(|times| run(program(&import, call, times))));
    }
}

/// Two stacks, each other's only neighbour, with a connection between them.
struct Pair {
    stacks: [Stack; 2],
    now: Instant,
    frames: Vec<(usize, guestnet::network::Frame)>,
}

impl Pair {
    fn new() -> Self {
        let interface = |number: u8| InterfaceConfig {
            name: "eth0".into(),
            mac: EthernetAddress([2, 0, 0, 0, 0, number]),
            addresses: vec![format!("10.0.0.{number}/24").parse().expect("an address")],
            mtu: 1500,
        };
        let stack = |number: u8| {
            let rng = Seed(1).fork(&format!("stack:{number}"));
            let mut stack = Stack::new(&[interface(number)], &[], rng, Instant::START);
            // As in a lab that is not captured.
            stack.set_checksums(false);
            stack
        };
        Self { stacks: [stack(1), stack(2)], now: Instant::START, frames: vec![] }
    }

    /// Both have a turn, and what they send arrives; until nothing is left to be done.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for side in 0..2 {
                while self.stacks[side].poll(self.now) {}
                self.stacks[side].take_egress(&mut self.frames);
                for (_, frame) in self.frames.drain(..) {
                    quiet = false;
                    self.stacks[1 - side].ingest(self.now, 0, frame);
                }
            }
            if quiet {
                return;
            }
        }
    }
}

fn stacks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stack");
    let mut pair = Pair::new();
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let options = TcpOptions { no_delay: true, ..TcpOptions::default() };
    let listener = pair.stacks[1].listen(address("10.0.0.2:7"), 1, options);
    let client = pair.stacks[0]
        .tcp_connect(pair.now, address("10.0.0.1:50000"), address("10.0.0.2:7"), &options)
        .expect("a connection begun");
    pair.settle();
    let server = pair.stacks[1].accept(listener).expect("a connection");
    group.bench_function("poll, nothing to do", |bencher| {
        bencher.iter(|| black_box(pair.stacks[0].poll(pair.now)));
    });
    let mut buffer = [0; 65_536];
    for bytes in [1, 1_460, 43_800] {
        let sent = vec![7; bytes];
        group.bench_function(format!("{bytes} bytes written, sent, acknowledged and read"), |bencher| {
            bencher.iter(|| {
                // Longer than an acknowledgement may be delayed.
                pair.now += Duration::from_millis(11);
                assert_eq!(pair.stacks[0].tcp_write(client, &sent), Ok(bytes));
                let mut have = 0;
                while have < bytes {
                    pair.settle();
                    while let Ok(count) = pair.stacks[1].tcp_read(server, &mut buffer, false) {
                        have += count;
                    }
                }
                pair.settle();
            });
        });
    }
}

/// From one TAP through a switch to another: two ideal links, four ports. Nothing is opened: the driver would do that.
fn hops(criterion: &mut Criterion) {
    let scenario = "[switch.lan]\n[tap.a]\ndevice = \"a\"\nnetwork = \"lan\"\n[tap.b]\ndevice = \"b\"\nnetwork = \"lan\"\n";
    let mut world = world(scenario, None);
    let mac = |number: u8| [2, 0, 0, 0, 0, number];
    let frame = |to: u8, from: u8| {
        let mut bytes = [&mac(to)[..], &mac(from), &[0x88, 0xB5]].concat();
        bytes.resize(1514, 0);
        Bytes::from(bytes)
    };
    // The switch learns where both are.
    world.inject(Instant::START, 1, frame(1, 2));
    world.inject(Instant::START, 0, frame(2, 1));
    while world.poll(Instant::START) {}
    world.take_outbound();
    let there = frame(2, 1);
    criterion.bench_function("a frame's hop through a switch", |bencher| {
        bencher.iter(|| {
            world.inject(Instant::START, 0, there.clone());
            while world.poll(Instant::START) {}
            assert_eq!(world.take_outbound().len(), 1);
        });
    });
}

criterion_group!(benches, guest_calls, stacks, hops);
criterion_main!(benches);
