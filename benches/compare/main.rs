//! guestnet beside its peers: each figure next to that of a bare smoltcp, or of Linux, from the same run.
//!
//! ```text
//! main.rs      what is measured, against which goal
//! table.rs     rows, and how runs of both sides are laid side by side
//! file.rs      a file written, and nothing else
//! lab.rs       guests: labs from scenario text, in virtual or wall-clock time
//! bare.rs      two smoltcp interfaces joined in memory
//! kernel.rs    Linux's loopback, two threads
//! tls.rs       rustls alone, two sides joined in memory
//! density.rs   many idle guests, many connections: resident memory
//! simulation.rs  virtual time: packet events, an idle day, starting, sweeps
//! ```
//!
//! Run it by `scripts/bench`.

mod bare;
mod density;
mod file;
mod kernel;
mod lab;
mod simulation;
mod table;
mod tls;

use bare::Checksums;
use guestnet::capture::Each;
use lab::{Lab, Mode};
use table::{Goal, Table, Unit};

/// How much of everything there is.
#[derive(Clone, Copy)]
pub struct Size {
    /// Times that each side of a comparison runs.
    runs: usize,
    bulk_megabytes: u64,
    round_trips: u64,
    connections: u64,
    held: u64,
    idle_guests: u64,
    /// Runs of a sweep.
    sweep: u64,
}

const FULL: Size = Size {
    runs: 7,
    bulk_megabytes: 1_000,
    round_trips: 50_000,
    // More than there are ephemeral ports, within less time than a TIME-WAIT lasts.
    connections: 40_000,
    held: 10_000,
    idle_guests: 10_000,
    sweep: 60,
};
const QUICK: Size =
    Size { runs: 3, bulk_megabytes: 300, round_trips: 20_000, connections: 3_000, sweep: 20, ..FULL };

type Benchmark = (&'static str, fn(&Size, &mut Table));

const BENCHMARKS: &[Benchmark] = &[
    ("bulk", bulk),
    ("ping-pong", ping_pong),
    ("connect", connect),
    ("tls-bulk", tls_bulk),
    ("tls-handshake", tls_handshake),
    ("held-connections", held_connections),
    ("capture", capture),
    ("idle-guests", idle_guests),
    ("packet-events", simulation::packet_events),
    ("idle-day", simulation::idle_day),
    ("start", simulation::start),
    ("sweep", simulation::sweep),
];

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|each| each != "--bench").collect();
    if let Some(measure) = density::child(&arguments) {
        return measure;
    }
    let quick = arguments.iter().position(|each| each == "--quick").map(|at| arguments.remove(at)).is_some();
    let size = if quick { QUICK } else { FULL };
    let mut table = Table::new();
    for (name, run) in BENCHMARKS {
        if arguments.is_empty() || arguments.iter().any(|filter| name.contains(filter.as_str())) {
            eprintln!("{name} ...");
            run(&size, &mut table);
        }
    }
    table.print();
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Sim => "sim",
        Mode::Live => "live",
    }
}

/// Without a capture guestnet fills in no TCP checksums and never verifies its own; with one it fills them in.
/// Two guests on a switch, MTU 1500, 64 KiB buffers; the sender writes and the receiver reads 64 KiB at a time.
fn bulk(size: &Size, table: &mut Table) {
    let bytes = size.bulk_megabytes * 1_000_000;
    let lab = Lab::new(2);
    let peers = [
        (Checksums::Both, "smoltcp, checksums"),
        (Checksums::Sent, "smoltcp, checksums sent only"),
        (Checksums::None, "smoltcp, no checksums (as ours)"),
    ];
    for mode in [Mode::Sim, Mode::Live] {
        for (checksums, peer) in peers {
            let ours = || bytes as f64 / lab.bulk(mode, size.bulk_megabytes, None);
            let theirs = || bytes as f64 / bare::bulk(bytes, checksums);
            let name = format!("bulk TCP, {}", mode_name(mode));
            let sides = table::alternate(size.runs, Unit::BytesPerSecond, ours, theirs);
            table.row(name, peer, Unit::BytesPerSecond, sides, Goal::AtLeast(0.8));
        }
    }
}

fn ping_pong(size: &Size, table: &mut Table) {
    let lab = Lab::new(2);
    for mode in [Mode::Sim, Mode::Live] {
        let ours = || lab.ping_pong(mode, size.round_trips);
        let sides =
            table::alternate(size.runs, Unit::Seconds, ours, || kernel::ping_pong(size.round_trips / 4));
        let name = format!("one byte there and back, {}", mode_name(mode));
        table.row(name.clone(), "Linux loopback", Unit::Seconds, sides, Goal::TimesFaster(4.0));
        table.limit(name, sides.0, 4e-6);
    }
    let sides = table::alternate(
        size.runs,
        Unit::Seconds,
        || lab.ping_pong(Mode::Sim, size.round_trips),
        || bare::ping_pong(size.round_trips),
    );
    table.row(
        "one byte there and back, sim".into(),
        "smoltcp, checksums sent only",
        Unit::Seconds,
        sides,
        Goal::None,
    );
}

fn connect(size: &Size, table: &mut Table) {
    let lab = Lab::new(2);
    for mode in [Mode::Sim, Mode::Live] {
        let ours = || lab.connect(mode, size.connections);
        let theirs = || kernel::connect(size.connections / 5);
        let sides = table::alternate(size.runs, Unit::Seconds, ours, theirs);
        let name = format!("connect, one byte each way, close, {}", mode_name(mode));
        table.row(name, "Linux loopback", Unit::Seconds, sides, Goal::TimesFaster(5.0));
    }
}

/// Records of 16 KiB, AES-256-GCM, both sides on one core.
fn tls_bulk(size: &Size, table: &mut Table) {
    let bytes = size.bulk_megabytes * 1_000_000;
    let (lab, pipe) = (Lab::new(2), tls::Pipe::new());
    for mode in [Mode::Sim, Mode::Live] {
        let ours = || bytes as f64 / lab.tls_bulk(mode, size.bulk_megabytes);
        let theirs = || bytes as f64 / pipe.bulk(bytes);
        let sides = table::alternate(size.runs, Unit::BytesPerSecond, ours, theirs);
        let name = format!("bulk TLS, {}", mode_name(mode));
        table.row(name, "rustls over memory", Unit::BytesPerSecond, sides, Goal::AtLeast(0.8));
    }
}

/// TLS 1.3 with Ed25519 and X25519, nothing resumed; ours connects and closes too.
fn tls_handshake(size: &Size, table: &mut Table) {
    let count = size.connections / 3;
    let (lab, pipe) = (Lab::new(2), tls::Pipe::new());
    for mode in [Mode::Live, Mode::Sim] {
        let ours = || lab.tls_connect(mode, count);
        let sides = table::alternate(size.runs, Unit::Seconds, ours, || pipe.handshake(count));
        let name = format!("TLS handshake, {}", mode_name(mode));
        table.row(name, "rustls over memory", Unit::Seconds, sides, Goal::AtMost(1.15));
    }
}

/// The server has accepted all and waits for a byte on the first: what a request costs beside the others.
fn held_connections(size: &Size, table: &mut Table) {
    let lab = Lab::new(2);
    for mode in [Mode::Sim, Mode::Live] {
        let rounds = size.round_trips / 2;
        let runs = size.runs.min(5);
        let sides = table::alternate(
            runs,
            Unit::Seconds,
            || lab.held(mode, size.held, rounds),
            || lab.held(mode, 1, rounds),
        );
        let name = format!("round trip, {} connections open, {}", size.held, mode_name(mode));
        table.row(name, "the same with 1", Unit::Seconds, sides, Goal::AtMost(1.3));
    }
    let resident = density::measure("held", size.held);
    let name = format!("resident for each of {} connections, both ends", size.held);
    table.figure(name, Unit::Bytes, resident / size.held as f64);
}

/// The peers: the same transfer without a capture, and write(2) of as many bytes as the capture has into another file
/// beside it, which no capture can be faster than.
fn capture(size: &Size, table: &mut Table) {
    let bytes = size.bulk_megabytes * 1_000_000;
    let lab = Lab::new(2);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for captures");
    let path = folder.path().join("bulk.pcapng");
    let kinds = [(Each::Port, "every port"), (Each::Link, "each link"), (Each::Packet, "each packet once")];
    for mode in [Mode::Sim, Mode::Live] {
        for (each, what) in kinds {
            let name = format!("bulk TCP captured, {what}, {}", mode_name(mode));
            let with = || bytes as f64 / lab.bulk(mode, size.bulk_megabytes, Some((&path, each)));
            let without = || bytes as f64 / lab.bulk(mode, size.bulk_megabytes, None);
            let sides = table::alternate(size.runs, Unit::BytesPerSecond, with, without);
            table.row(name.clone(), "not captured", Unit::BytesPerSecond, sides, Goal::AtLeast(0.85));
            let len = std::fs::metadata(&path).expect("a capture").len();
            let write = || bytes as f64 / file::write(&folder.path().join("other"), len);
            let sides = table::alternate(size.runs, Unit::BytesPerSecond, with, write);
            table.row(name.clone(), "its file written by write(2)", Unit::BytesPerSecond, sides, Goal::None);
            let with = || bytes as f64 / lab.bulk_busiest(mode, size.bulk_megabytes, Some((&path, each)));
            let without = || bytes as f64 / lab.bulk_busiest(mode, size.bulk_megabytes, None);
            let sides = table::alternate(size.runs, Unit::BytesPerSecond, with, without);
            let name = name + ", busiest thread's CPU time";
            table.row(name.clone(), "not captured", Unit::BytesPerSecond, sides, Goal::AtLeast(0.85));
            // What the kernel takes for the same bytes, whoever hands them over: no thread that writes them does better.
            let write = || bytes as f64 / file::write_busy(&folder.path().join("other"), len);
            let sides = (sides.0, table::best(size.runs, Unit::BytesPerSecond, write));
            table.row(name, "write(2) of its file", Unit::BytesPerSecond, sides, Goal::None);
        }
    }
}

fn idle_guests(size: &Size, table: &mut Table) {
    let resident = density::measure("idle", size.idle_guests) / size.idle_guests as f64;
    table.figure_limited(
        format!("resident for each of {} idle guests", size.idle_guests),
        Unit::Bytes,
        resident,
        32_768.0,
    );
}
