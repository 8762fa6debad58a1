//! Sends a message, again and again, and checks that each comes back.
//!
//! `rust_echo_client PROTOCOL ADDRESS [stream|dgram [MESSAGE [COUNT]]]`

use std::env;
use std::io::{self, Read};
use std::process::exit;

use guestnet_guest::{Kind, Protocol};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    if arguments.len() < 3 {
        eprintln!("usage: rust_echo_client PROTOCOL ADDRESS [stream|dgram [MESSAGE [COUNT]]]");
        exit(2);
    }
    let argument = |index: usize, otherwise: &'static str| {
        arguments.get(index).map_or(otherwise, String::as_str)
    };
    let kind = match argument(3, "stream") {
        "dgram" => Kind::Datagram,
        _ => Kind::Stream,
    };
    let message = argument(4, "hello").as_bytes();
    let count: usize = argument(5, "1").parse().map_err(|_| io::ErrorKind::InvalidInput)?;
    let anything = match argument(2, "").chars().next() {
        Some('[') => "[::]:0",
        Some('/') => "",
        _ => "0.0.0.0:0",
    };

    let control = Protocol::find(argument(1, "ipv4"))?.open(anything, kind)?;
    let mut stream = control.connect(argument(2, ""))?.stream_create()?;
    let mut back = vec![0; message.len()];
    for number in 1..=count {
        stream.write_all(message)?;
        stream.read_exact(&mut back)?;
        if back != message {
            eprintln!("message {number} of {count} did not come back whole");
            exit(1);
        }
    }
    println!("echoed {} bytes", message.len() * count);
    Ok(())
}
