//! The whole ABI edge under any calls: the guest `abi_edge` makes them with whatever descriptors, pointers, lengths,
//! flags and texts, in a lab with a server to talk to. Whatever it does, the host neither panics nor hangs, every
//! answer is an errno, and the guest ends in one of the ways that are its own doing.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{property, scenario};
use guestnet::guest::Exit;
use guestnet::lab::{Lab, Report};
use guestnet::scenario::assets::Assets;
use proptest::prelude::*;

type Record = [u64; 10];

const OPEN: u64 = 0;
const LISTEN: u64 = 1;
const ACCEPT: u64 = 2;
const CONNECT: u64 = 3;
const STREAM_CREATE: u64 = 4;
const STREAM_ACCEPT: u64 = 5;
const OPTION_SET: u64 = 9;
const FD_CLOSE: u64 = 18;
const FD_READ: u64 = 30;
const FD_WRITE: u64 = 36;
const POLL_ONEOFF: u64 = 47;
const SOCK_ACCEPT: u64 = 51;
const SOCK_RECV: u64 = 52;
const SOCK_SEND: u64 = 53;
const SOCK_SHUTDOWN: u64 = 54;
const GROUP_JOIN: u64 = 55;
const GROUP_LEAVE: u64 = 56;
const FUNCTIONS: u64 = 59;

/// Where the guest has texts, a list of one buffer, and two subscriptions; their lengths.
const TEXTS: [(u64, u64); 8] =
    [(256, 9), (272, 9), (288, 10), (304, 10), (320, 6), (336, 6), (352, 5), GROUP];
const GROUP: (u64, u64) = (368, 11);
const IOVEC: u64 = 512;
const SUBSCRIPTIONS: u64 = 1024;
const RESULT: u64 = 2048;
const MEMORY_BYTES: u64 = 128 * 1024;
const NONBLOCK: u64 = 4;
const STREAM: u64 = 6;
const DATAGRAM: u64 = 5;
const DESCRIPTORS_MAX: u64 = 24;
/// Read, set flags, write, stat, poll, shut down.
const ALL_RIGHTS: u64 = 1 << 1 | 1 << 3 | 1 << 6 | 1 << 22 | 1 << 29 | 1 << 30;

/// The preopens are 3 (a listener), 4 (a directory), 5 and 6 (protocol objects); what is opened follows.
fn descriptor() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 3..14_u64, 1 => 0..3_u64, 1 => any::<u64>()]
}

fn pointer() -> impl Strategy<Value = u64> {
    let texts = TEXTS.map(|(at, _)| at).to_vec();
    prop_oneof![
        3 => prop::sample::select(texts),
        3 => prop::sample::select(vec![IOVEC, SUBSCRIPTIONS, SUBSCRIPTIONS + 48, RESULT, 4096]),
        2 => MEMORY_BYTES - 64..MEMORY_BYTES + 64,
        1 => 0xffff_ff00..=0xffff_ffff_u64,
        1 => any::<u64>(),
    ]
}

fn any_value() -> impl Strategy<Value = u64> {
    prop_oneof![
        descriptor(),
        pointer(),
        0..70_u64,
        any::<u64>(),
        prop::sample::select(vec![u64::MAX, 1 << 31, u64::from(u32::MAX), 1 << 63, 0]),
    ]
}

/// Rights: all, some, or none.
fn rights() -> impl Strategy<Value = u64> {
    let some = any::<u64>().prop_map(|mask| mask & ALL_RIGHTS);
    prop_oneof![4 => Just(ALL_RIGHTS), 1 => some, 1 => any::<u64>()]
}

/// A call that has a chance to come to something, so that those after it meet controls, connections and streams.
fn likely() -> impl Strategy<Value = Record> {
    let text = || prop::sample::select(TEXTS.to_vec());
    let fd = descriptor;
    prop_oneof![
        4 => (5..7_u64, text(), 5..7_u64, rights(), rights())
            .prop_map(|(on, (at, len), kind, base, more)| [OPEN, on, at, len, kind, base, more, NONBLOCK, RESULT, 0]),
        2 => (fd(), 0..4_u64).prop_map(|(fd, backlog)| record(LISTEN, &[fd, backlog])),
        2 => fd().prop_map(|fd| record(ACCEPT, &[fd, RESULT])),
        4 => (fd(), text()).prop_map(|(fd, (at, len))| record(CONNECT, &[fd, at, len, RESULT])),
        3 => (fd(), rights()).prop_map(|(fd, rights)| record(STREAM_CREATE, &[fd, rights, 0, NONBLOCK, RESULT])),
        2 => fd().prop_map(|fd| record(STREAM_ACCEPT, &[fd, RESULT])),
        2 => (fd(), 0..7_u64, any_value()).prop_map(|(fd, option, value)| record(OPTION_SET, &[fd, option, value])),
        2 => fd().prop_map(|fd| record(FD_CLOSE, &[fd])),
        2 => fd().prop_map(|fd| record(FD_READ, &[fd, IOVEC, 1, RESULT])),
        4 => fd().prop_map(|fd| record(FD_WRITE, &[fd, IOVEC, 1, RESULT])),
        3 => (0..2_u64, 1..3_u64)
            .prop_map(|(from, count)| record(POLL_ONEOFF, &[SUBSCRIPTIONS + 48 * from, 4096, count, RESULT])),
        1 => fd().prop_map(|fd| record(SOCK_ACCEPT, &[fd, NONBLOCK, RESULT])),
        2 => (fd(), 0..4_u64).prop_map(|(fd, flags)| record(SOCK_RECV, &[fd, IOVEC, 1, flags, RESULT, RESULT + 8])),
        2 => fd().prop_map(|fd| record(SOCK_SEND, &[fd, IOVEC, 1, 0, RESULT])),
        1 => (fd(), 0..4_u64).prop_map(|(fd, how)| record(SOCK_SHUTDOWN, &[fd, how])),
        2 => (fd(), prop::sample::select(vec![GROUP_JOIN, GROUP_LEAVE]))
            .prop_map(|(fd, call)| record(call, &[fd, GROUP.0, GROUP.1])),
    ]
}

fn record(function: u64, arguments: &[u64]) -> Record {
    let mut record = [0; 10];
    record[0] = function;
    record[1..=arguments.len()].copy_from_slice(arguments);
    record
}

fn unlikely() -> impl Strategy<Value = Record> {
    (0..FUNCTIONS, prop::array::uniform9(any_value()))
        .prop_map(|(function, arguments)| record(function, &arguments))
}

/// Something to begin with, so that what follows meets it: the descriptors from 7 on.
fn preludes() -> [Vec<Record>; 5] {
    let open =
        |kind, (at, len): (u64, u64)| record(OPEN, &[5, at, len, kind, ALL_RIGHTS, ALL_RIGHTS, 0, RESULT]);
    let create = |connection| record(STREAM_CREATE, &[connection, ALL_RIGHTS, 0, NONBLOCK, RESULT]);
    let [any, own_7, _, server_7, ..] = TEXTS;
    let connect = |control, (at, len): (u64, u64)| record(CONNECT, &[control, at, len, RESULT]);
    let write = |stream| record(FD_WRITE, &[stream, IOVEC, 1, RESULT]);
    [
        vec![],
        // A stream to the server.
        vec![open(STREAM, any), connect(7, server_7), create(8), write(9)],
        // Both ends of a stream to itself.
        vec![
            open(STREAM, own_7),
            record(LISTEN, &[7, 1]),
            open(STREAM, any),
            connect(8, own_7),
            record(ACCEPT, &[7, RESULT]),
            record(STREAM_ACCEPT, &[10, RESULT]),
            create(9),
            write(12),
            record(FD_READ, &[11, IOVEC, 1, RESULT]),
        ],
        // A flow of datagrams from one control to another, one of them waiting to be read.
        vec![
            open(DATAGRAM, own_7),
            record(LISTEN, &[7, 1]),
            open(DATAGRAM, any),
            connect(8, own_7),
            create(9),
            write(10),
            record(ACCEPT, &[7, RESULT]),
            create(11),
        ],
        // A group joined and left.
        vec![
            open(DATAGRAM, own_7),
            record(GROUP_JOIN, &[7, GROUP.0, GROUP.1]),
            record(GROUP_LEAVE, &[7, GROUP.0, GROUP.1]),
        ],
    ]
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let prelude = prop::sample::select(preludes().to_vec());
    let calls = prop::collection::vec(prop_oneof![3 => likely(), 2 => unlikely()], 1..60);
    (prelude, calls).prop_map(|(prelude, calls)| [prelude, calls].concat())
}

/// The lab of a guest that makes these calls, with `folder` as its directory.
fn run(records: &[Record], folder: &Path) -> Report {
    let text = format!(
        r#"
        duration = "60s"
        [guest.server]
        module = "target/guests/echo_server.wasm"
        background = true
        [guest.edge]
        module = "target/guests/abi_edge.wat"
        stdin = {{ file = "records" }}
        directories = {{ "/box" = {{ host = "{}", writable = true }} }}
        descriptors = {DESCRIPTORS_MAX}
        memory = "1MiB"
        fuel = 3_000_000
        [[guest.edge.listen]]
        bind = "0.0.0.0:9"
        "#,
        folder.display()
    );
    let plan = guestnet::scenario::parse(&text, Path::new("edge.toml"));
    let plan = plan.unwrap_or_else(|error| panic!("{}", error.plain()));
    let mut assets = Assets::read(&plan);
    let input = records.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    assets.insert(PathBuf::from("records"), input);
    Lab::new(plan, assets).with_cache(scenario::cache()).with_trace().run(3)
}

proptest! {
    #![proptest_config(property::config(400))]

    #[test]
    fn whatever_is_called(records in records()) {
        let folder = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let report = run(&records, folder.path());
        // A trap would be the guest's `$not_an_errno`; `Failed` a host call that ended it.
        let exit = &report.guest("edge").exit;
        prop_assert!(matches!(exit, Exit::Code(0) | Exit::Stopped | Exit::OutOfFuel { .. }), "{}", exit);
        prop_assert_eq!(&report.guest("server").exit, &Exit::Stopped, "the server goes on");
        prop_assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let opened = report.calls_of("edge").filter_map(opened).max();
        prop_assert!(opened < Some(DESCRIPTORS_MAX), "{opened:?}");
    }
}

/// More rights than a preopened connection passes on; the guest exits with what that is answered.
#[test]
fn a_preopened_connection_passes_no_more_rights_on_than_it_has() {
    let guest = |rights: &str| {
        format!(
            r#"(module
              (import "networking" "stream_create" (func $create (param i32 i64 i64 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (memory (export "memory") 1)
              (func (export "_start")
                (call $exit (call $create (i32.const 3) (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 96)))))"#
        )
    };
    let text = r#"
        [guest.server]
        module = "target/guests/echo_server.wasm"
        args = ["0.0.0.0:7"]
        background = true
        [guest.one]
        module = "one.wat"
        [[guest.one.connect]]
        name = "server"
        address = "server:7"
        "#;
    const NOTCAPABLE: u32 = 76;
    for (rights, answer) in [("67", NOTCAPABLE), ("66", 0)] {
        let plan = guestnet::scenario::parse(text, Path::new("one.toml"));
        let plan = plan.unwrap_or_else(|error| panic!("{}", error.plain()));
        let mut assets = Assets::read(&plan);
        assets.insert(PathBuf::from("one.wat"), guest(rights).into_bytes());
        let report = Lab::new(plan, assets).with_cache(scenario::cache()).run(1);
        assert_eq!(report.guest("one").exit, Exit::Code(answer), "{rights}");
    }
}

/// The descriptor that a traced call gave, as in `open(5, ..., [7]) = 0`.
fn opened(call: &str) -> Option<u64> {
    let name = call.split(' ').nth(1)?.split('(').next()?;
    let opens = ["open", "accept", "connect", "stream_create", "stream_accept", "sock_accept", "path_open"];
    let call = call.strip_suffix(") = 0").filter(|_| opens.contains(&name))?;
    call.rsplit_once('[')?.1.strip_suffix(']')?.parse().ok()
}

/// The preludes do come to something: each of their calls succeeds, and is a descriptor further.
#[test]
fn what_calls_begin_with_is_there() {
    for (prelude, last) in preludes().iter().zip([None, Some(9), Some(12), Some(12), Some(7)]) {
        let folder = tempfile::tempdir().unwrap();
        let report = run(prelude, folder.path());
        let edge = report.guest("edge");
        let calls: Vec<_> = report.calls_of("edge").filter(|call| !call.contains("fd_read(0,")).collect();
        assert_eq!(edge.exit, Exit::Code(0), "{calls:#?}");
        assert_eq!(calls.len(), prelude.len(), "{calls:#?}");
        assert!(calls.iter().all(|call| call.ends_with(" = 0") || call.contains(" = 0 ")), "{calls:#?}");
        assert_eq!(calls.iter().filter_map(|call| opened(call)).max(), last, "{calls:#?}");
    }
}
