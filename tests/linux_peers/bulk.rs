//! Tens of megabytes each way, every byte compared by whoever receives them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Instant;

use crate::common::capture::check;
use crate::common::lab::{Ended, Site};

const MEGABYTES: usize = 30;

/// What the guests send and expect: `pattern` of tests/guests/c/common.h.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|offset| (offset.wrapping_mul(131).wrapping_add((offset >> 8) * 7) & 0xff) as u8).collect()
}

fn tell(what: &str, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {MEGABYTES} MB in {seconds:.2} s, {:.1} MB/s", MEGABYTES as f64 / seconds);
}

fn has_all(ended: &Ended, said: &str) {
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stdout.contains(&format!("{said} {} bytes", MEGABYTES * 1_000_000)), "{ended:?}");
}

fn receiver(bind: &str) -> String {
    format!("[guest.receiver]\nmodule = \"GUESTS/bulk_receiver.wasm\"\nargs = [\"{bind}\", \"check\"]\n")
}

fn sender(address: &str) -> String {
    format!(
        "[guest.sender]\nmodule = \"GUESTS/bulk_sender.wasm\"\nargs = [\"{address}\", \"{MEGABYTES}\", \"check\"]\n"
    )
}

#[test]
fn linux_sends_to_a_guest() {
    for (bind, server) in [("0.0.0.0:5001", "10.0.0.2:5001"), ("[::]:5001", "[fd00::2]:5001")] {
        let mut lab = Site::new().ready(&receiver(bind));
        let start = Instant::now();
        lab.namespace().inside(|| {
            let mut stream = TcpStream::connect(server).unwrap();
            stream.write_all(&pattern(MEGABYTES * 1_000_000)).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        });
        tell(&format!("to {server}"), start);
        has_all(&lab.end(), "received");
        check(&lab.capture());
    }
}

#[test]
fn a_guest_sends_to_linux() {
    for server in ["10.0.0.1:5001", "[fd00::1]:5001"] {
        let site = Site::new();
        let listener = site.namespace.inside(|| TcpListener::bind(server).unwrap());
        let mut lab = site.start(&sender(server));
        let (mut stream, _) = listener.accept().unwrap();
        let start = Instant::now();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        tell(&format!("from a guest to {server}"), start);
        drop(stream);
        assert!(received == pattern(MEGABYTES * 1_000_000), "{} bytes, not those sent", received.len());
        has_all(&lab.end(), "sent");
        check(&lab.capture());
    }
}

#[test]
fn nc_sends_and_receives() {
    let mut lab = Site::new().ready(&receiver("0.0.0.0:5001"));
    let file = lab.site.path("file");
    fs::write(&file, pattern(MEGABYTES * 1_000_000)).unwrap();
    let start = Instant::now();
    let mut nc = lab.namespace().command("nc -N -w 50 10.0.0.2 5001");
    assert!(nc.stdin(File::open(&file).unwrap()).status().unwrap().success());
    tell("nc to a guest", start);
    has_all(&lab.end(), "received");
    check(&lab.capture());

    let site = Site::new();
    let file = site.path("file");
    let mut nc = site.namespace.command("nc -l 10.0.0.1 5001");
    let mut nc = nc.stdout(File::create(&file).unwrap()).spawn().unwrap();
    while !site.namespace.run("ss -Hnlt").contains(":5001 ") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let start = Instant::now();
    let mut lab = site.start(&sender("10.0.0.1:5001"));
    let ended = lab.end();
    tell("a guest to nc", start);
    nc.wait().unwrap();
    has_all(&ended, "sent");
    assert!(fs::read(&file).unwrap() == pattern(MEGABYTES * 1_000_000));
    check(&lab.capture());
}

/// Both directions at once over one connection, through a guest that sends everything back.
#[test]
fn an_echo_of_megabytes_goes_both_ways_at_once() {
    let mut lab =
        Site::new().ready("[guest.echo]\nmodule = \"GUESTS/echo_server.wasm\"\nargs = [\"0.0.0.0:7\"]\n");
    let bytes = pattern(10_000_000);
    let start = Instant::now();
    let back = lab.namespace().inside(|| {
        let mut stream = TcpStream::connect("10.0.0.2:7").unwrap();
        let mut sender = stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sender.write_all(&bytes).unwrap();
                // Half-closed from here on: what was sent still comes back.
                sender.shutdown(Shutdown::Write).unwrap();
            });
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            back
        })
    });
    println!("10 MB there and back in {:.2} s", start.elapsed().as_secs_f64());
    assert!(back == bytes, "{} bytes came back", back.len());
    lab.finish();
}
