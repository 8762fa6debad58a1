//! Tells which application protocol it agreed on with an `alpn_server`, and holds it to what that says.
//!
//! `rust_alpn_client PROTOCOL ADDRESS`

use std::env;
use std::io::{self, Read};
use std::process::exit;

use guestnet_guest::{Kind, Protocol};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    if arguments.len() != 3 {
        eprintln!("usage: rust_alpn_client PROTOCOL ADDRESS");
        exit(2);
    }
    let control = Protocol::find(&arguments[1])?.open("0.0.0.0:0", Kind::Stream)?;
    let connection = control.connect(&arguments[2])?;
    let mut buffer = [0; 255];
    let agreed = connection.application_protocol(&mut buffer)?.to_vec();
    let mut stream = connection.stream_create()?;
    stream.write_all(b"?")?;
    let mut told = Vec::new();
    stream.read_to_end(&mut told)?;
    if told != [&agreed[..], &b"\n"[..]].concat() {
        eprintln!("the server agreed on {}", told.escape_ascii());
        exit(1);
    }
    println!("{}", if agreed.is_empty() { "none".into() } else { String::from_utf8_lossy(&agreed) });
    Ok(())
}
