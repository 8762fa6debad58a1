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
//! quic.rs      quinn-proto alone, the same
//! names.rs     names of a lab's own
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
mod names;
mod quic;
mod simulation;
mod table;
mod tls;

use std::cell::RefCell;
use std::process::ExitCode;

use bare::Checksums;
use guestnet::capture::Each;
use lab::{Lab, Layer, Mode};
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
    ("tls-connections", tls_connections),
    ("quic-bulk", quic_bulk),
    ("quic-handshake", quic_handshake),
    ("quic-streams", quic_streams),
    ("quic-connections", quic_connections),
    ("names", names),
    ("held-connections", held_connections),
    ("capture", capture),
    ("idle-guests", idle_guests),
    ("packet-events", simulation::packet_events),
    ("idle-day", simulation::idle_day),
    ("start", simulation::start),
    ("sweep", simulation::sweep),
];

/// What this program exits with if a goal was missed: as nothing else does that goes wrong.
const MISSED: u8 = 3;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|each| each != "--bench").collect();
    if density::child(&arguments).is_some() {
        return ExitCode::SUCCESS;
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
    if table.print() { ExitCode::SUCCESS } else { MISSED.into() }
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

/// Records of 16 KiB, AES-256-GCM, both sides on one core; by CPU time, as all of TLS and QUIC. Below rustls ours has two TCPs
/// and a network, and the peer has nothing: at the MTU that is usual a record goes in twelve packets, at 9000 in two, and at
/// the longest that an interface takes four go in one, so that little is left but TLS.
fn tls_bulk(size: &Size, table: &mut Table) {
    let bytes = size.bulk_megabytes * 1_000_000;
    let lab = Lab::new(2);
    for mode in [Mode::Sim, Mode::Live] {
        let pipe = tls::Pipe::new(mode);
        for mtu in [1500, 9000, 65_521] {
            let ours = || bytes as f64 / lab.layer_bulk(Layer::Tls, mode, size.bulk_megabytes, mtu);
            let theirs = || bytes as f64 / pipe.bulk(bytes);
            let sides = table::alternate(size.runs, Unit::BytesPerSecond, ours, theirs);
            let name = format!("bulk TLS, MTU {mtu}, {}", mode_name(mode));
            table.row(name, "rustls over memory", Unit::BytesPerSecond, sides, Goal::AtLeast(0.8));
        }
    }
}

/// TLS 1.3 with Ed25519 and X25519, nothing resumed; ours connects and closes too. In virtual time the key exchange is not
/// ring's, as that cannot be had from a seed: beside the same, and beside ring's.
fn tls_handshake(size: &Size, table: &mut Table) {
    let count = size.connections / 3;
    let lab = Lab::new(2);
    let peers = [
        (Mode::Live, Mode::Live, "rustls over memory"),
        (Mode::Sim, Mode::Sim, "rustls over memory, same provider"),
        (Mode::Sim, Mode::Live, "rustls over memory, ring"),
    ];
    for (mode, provider, peer) in peers {
        let pipe = tls::Pipe::new(provider);
        let ours = || lab.layer_connect(Layer::Tls, mode, count);
        let sides = table::alternate(size.runs, Unit::Seconds, ours, || pipe.handshake(count));
        let name = format!("TLS handshake, {}", mode_name(mode));
        table.row(name, peer, Unit::Seconds, sides, Goal::AtMost(1.15));
    }
}

/// One after the other, and all kept; what a handshake costs alone is the peer.
fn tls_connections(size: &Size, table: &mut Table) {
    let pipe = tls::Pipe::new(Mode::Sim);
    held_layer(size, table, Layer::Tls, 1_000, ("rustls over memory", || pipe.handshake(1_000)));
}

fn quic_connections(size: &Size, table: &mut Table) {
    let bare = quic::Bare::new(Mode::Sim, 100, WINDOW_BYTES);
    held_layer(size, table, Layer::Quic, 500, ("quinn-proto over memory", || bare.handshake(500)));
}

fn held_layer(
    size: &Size,
    table: &mut Table,
    layer: Layer,
    count: u64,
    (peer, handshake): (&str, impl Fn() -> f64),
) {
    let (lab, name) = (Lab::new(2), layer.name().to_uppercase());
    let sides = table::alternate(size.runs, Unit::Seconds, || lab.layer_open(layer, count), handshake);
    let title = format!("each of {count} {name} connections into one guest");
    table.row(title, &format!("handshake of {peer}"), Unit::Seconds, sides, Goal::None);
    let resident = density::measure(layer.name(), count) / count as f64;
    table.figure(
        format!("resident for each of {count} {name} connections, both ends"),
        Unit::Bytes,
        resident,
    );
}

/// What a connection's windows are by default, here and there.
const WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// One stream; 1452 bytes of datagrams, AES-256-GCM, cubic, both sides on one core.
fn quic_bulk(size: &Size, table: &mut Table) {
    let megabytes = size.bulk_megabytes / 2;
    let bytes = megabytes * 1_000_000;
    let lab = Lab::new(2);
    for mode in [Mode::Sim, Mode::Live] {
        let bare = quic::Bare::new(mode, 100, WINDOW_BYTES);
        let ours = || bytes as f64 / lab.layer_bulk(Layer::Quic, mode, megabytes, 1500);
        let theirs = || bytes as f64 / bare.bulk(1, bytes);
        let sides = table::alternate(size.runs, Unit::BytesPerSecond, ours, theirs);
        let name = format!("bulk QUIC, {}", mode_name(mode));
        table.row(name, "quinn-proto over memory", Unit::BytesPerSecond, sides, Goal::AtLeast(0.8));
    }
}

/// Ed25519 and X25519, nothing resumed; ours opens a control for each, and closes it.
fn quic_handshake(size: &Size, table: &mut Table) {
    let count = size.connections / 6;
    let lab = Lab::new(2);
    for mode in [Mode::Live, Mode::Sim] {
        let bare = quic::Bare::new(mode, 100, WINDOW_BYTES);
        let ours = || lab.layer_connect(Layer::Quic, mode, count);
        let sides = table::alternate(size.runs, Unit::Seconds, ours, || bare.handshake(count));
        let name = format!("QUIC handshake, {}", mode_name(mode));
        table.row(name, "quinn-proto over memory", Unit::Seconds, sides, Goal::AtMost(1.15));
    }
}

/// A kilobyte to each in turn. How fair they are to one another shows where all of them wait for the same link.
fn quic_streams(size: &Size, table: &mut Table) {
    let (streams, bytes) = (1_000, 100_000_000);
    let (lab, bare) = (Lab::new(2), quic::Bare::new(Mode::Sim, streams as u32, 64 * 1024 * 1024));
    let ours = || bytes as f64 / lab.streams(streams, bytes, "").0;
    let theirs = || bytes as f64 / bare.bulk(streams as usize, bytes);
    let sides = table::alternate(size.runs, Unit::BytesPerSecond, ours, theirs);
    let name = format!("{streams} streams of one QUIC connection, sim");
    table.row(name.clone(), "quinn-proto over memory", Unit::BytesPerSecond, sides, Goal::None);
    let link = "link = { delay = \"5ms\", rate = \"1Gbit\", queue = 60000 }\n";
    let (_, fairness) = lab.streams(streams, 24_000_000, link);
    table.figure_at_least(name + ": the least by the most", Unit::Ratio, fairness, 0.9);
}

/// A name out of ten thousand, never the same one twice in a row.
fn names(size: &Size, table: &mut Table) {
    let count = 10 * size.round_trips;
    let lab = RefCell::new(names::Lab::new(10_000));
    let ours = || lab.borrow_mut().ours(count);
    let name = "lookup of a name of the lab's own".to_owned();
    let sides = table::alternate(size.runs, Unit::Seconds, ours, || lab.borrow().hash_map(count));
    table.row(name.clone(), "HashMap", Unit::Seconds, sides, Goal::None);
    let sides = table::alternate(size.runs, Unit::Seconds, ours, || names::getaddrinfo(count / 100));
    table.row(name.clone(), "getaddrinfo, /etc/hosts", Unit::Seconds, sides, Goal::None);
    table.limit(name, sides.0, 1e-6);
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
