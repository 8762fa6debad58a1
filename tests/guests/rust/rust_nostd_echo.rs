//! An echo server for streams without the standard library: nothing but the imports and a stack.
//!
//! Listens on port 7 of the protocol object "ipv4", for ever, with one client after the other.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use guestnet_guest::{Kind, Protocol, Result};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

fn serve() -> Result<()> {
    let control = Protocol::find("ipv4")?.open("0.0.0.0:7", Kind::Stream)?;
    control.listen(16)?;
    let mut buffer = [0; 4096];
    loop {
        let stream = control.accept()?.stream_accept()?;
        // A client that goes away in the midst of its echo is its own loss.
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
    }
}

#[no_mangle]
pub extern "C" fn _start() {
    if serve().is_err() {
        panic!();
    }
}
