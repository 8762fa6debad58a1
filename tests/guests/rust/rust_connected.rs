//! A client of the standard library alone: it talks over descriptor 3, which the host connected.
//!
//! `rust_connected [MESSAGE]`

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::wasi::io::FromRawFd;

fn main() -> io::Result<()> {
    let message = env::args().nth(1).unwrap_or_else(|| "hello".to_owned());
    // SAFETY: the host handed descriptor 3 over, and nothing else here has it.
    let mut peer = unsafe { File::from_raw_fd(3) };
    peer.write_all(message.as_bytes())?;
    let mut back = vec![0; message.len()];
    peer.read_exact(&mut back)?;
    if back != message.as_bytes() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message came back as another"));
    }
    println!("echoed {} bytes", back.len());
    Ok(())
}
