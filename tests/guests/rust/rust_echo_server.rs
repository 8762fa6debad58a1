//! Sends everything back, to one client after the other.
//!
//! `rust_echo_server [PROTOCOL [BIND [stream|dgram [MAX]]]]`: MAX counts connections, or datagrams; 0 is never.

use std::env;
use std::io;

use guestnet_guest::{Control, Kind, Protocol};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let argument = |index: usize, otherwise: &'static str| {
        arguments.get(index).map_or(otherwise, String::as_str)
    };
    let kind = match argument(3, "stream") {
        "dgram" => Kind::Datagram,
        _ => Kind::Stream,
    };
    let max: usize = argument(4, "0").parse().map_err(|_| io::ErrorKind::InvalidInput)?;
    let control = Protocol::find(argument(1, "ipv4"))?.open(argument(2, "0.0.0.0:7"), kind)?;
    control.listen(16)?;
    let bytes = match kind {
        Kind::Stream => echo_streams(&control, max)?,
        Kind::Datagram => echo_datagrams(&control, max)?,
    };
    println!("echoed {bytes} bytes");
    Ok(())
}

fn echo_streams(control: &Control, max: usize) -> io::Result<u64> {
    let mut bytes = 0;
    let mut served = 0;
    while max == 0 || served < max {
        let stream = control.accept()?.stream_accept()?;
        bytes += io::copy(&mut &stream, &mut &stream)?;
        served += 1;
    }
    Ok(bytes)
}

fn echo_datagrams(control: &Control, max: usize) -> io::Result<u64> {
    let mut bytes = 0;
    let mut answered = 0;
    let mut buffer = vec![0; 65536];
    let stream = control.accept()?.stream_accept()?;
    while max == 0 || answered < max {
        let len = stream.read(&mut buffer)?;
        bytes += stream.write(&buffer[..len])? as u64;
        answered += 1;
    }
    Ok(bytes)
}
