//! Ctrl-C, and its like, in the middle of a transfer.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::capture::{check, count};
use crate::common::lab::Site;

/// It would send for hours.
const SENDER: &str =
    "[guest.sender]\nmodule = \"GUESTS/bulk_sender.wasm\"\nargs = [\"10.0.0.1:5001\", \"10000000\"]\n";

fn listen(site: &Site) -> TcpListener {
    site.namespace.inside(|| TcpListener::bind("10.0.0.1:5001").unwrap())
}

/// Takes a guest's connection and its `first` bytes: the transfer is well under way. The rest is read on a thread, which ends
/// with how the transfer did.
fn drain(listener: &TcpListener, first: usize) -> (TcpStream, JoinHandle<std::io::Result<u64>>) {
    let (mut stream, _) = listener.accept().unwrap();
    let kept = stream.try_clone().unwrap();
    stream.read_exact(&mut vec![0; first]).unwrap();
    (kept, spawn(move || std::io::copy(&mut stream, &mut std::io::sink())))
}

#[test]
fn a_signal_ends_a_lab_in_order_in_the_middle_of_a_transfer() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let site = Site::new();
        let listener = listen(&site);
        let mut lab = site.start(SENDER);
        let (_kept, peer) = drain(&listener, 2_000_000);
        let ended = lab.stop(signal);
        assert_eq!(ended.status.code(), Some(130), "{ended:?}");
        assert!(ended.took < Duration::from_secs(2), "{ended:?}");
        // The peer is told, and does not wait for ever: by the end of the stream if the guest's last words got through, as
        // Linux does for a program that is killed, and else by a reset.
        if let Err(error) = peer.join().unwrap() {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        check(&lab.capture());
        assert!(count(&lab.capture(), "tcp.dstport == 5001 && tcp.len > 0") > 1000);
    }
}

/// An end in order waits for whoever reads the capture, and that one is stuck.
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let site = Site::new();
    let listener = listen(&site);
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    command.args(["run", "--capture", "-"]).arg(site.scenario(SENDER));
    let mut lab = site.spawn_into(&mut command, writer);
    let (kept, peer) = drain(&listener, 50_000);
    lab.signal(Signal::SIGINT);
    // Nothing can be waited for: it is to do nothing.
    sleep(Duration::from_millis(500));
    assert!(lab.is_running(), "the capture's pipe is full, and nobody reads it");
    let ended = lab.stop(Signal::SIGINT);
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert!(ended.took < Duration::from_millis(500), "{ended:?}");
    // Nobody told the peer; what it makes of that is its own affair.
    let _ = kept.shutdown(Shutdown::Both);
    let _ = peer.join().unwrap();
}
