//! The `networking` ABI for guests: four kinds of descriptors as four types that close themselves.
//!
//! ```text
//! Protocol::find("ipv4") -- open(address) --> Control -- connect(address) --> Connection -- stream_create --> Stream
//!                                             `- listen, accept ------------^  `---------- stream_accept --^
//! ```
//!
//! What each call does and answers stands in `witx/docs.md`; here a call that fails returns its [`Errno`]. The crate
//! is `no_std` and allocates nothing; with the feature `std` a [`Stream`] is `std::io::Read` and `Write`. All of
//! `unsafe` is in one module, around the imports.
//!
//! ```no_run
//! use guestnet_guest::{Kind, Protocol};
//!
//! fn greet() -> guestnet_guest::Result<()> {
//!     let protocol = Protocol::find("ipv4")?;
//!     let connection = protocol.open("0.0.0.0:0", Kind::Stream)?.connect("10.0.0.2:7")?;
//!     let stream = connection.stream_create()?;
//!     stream.write_all(b"hello")
//! }
//! ```
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

mod errno;
#[cfg(feature = "std")]
mod io;
mod objects;
mod preopened;
#[allow(unsafe_code)]
mod raw;
mod rights;

pub use errno::{Errno, Result};
pub use objects::{Connection, Control, Kind, Opening, Protocol, Shutdown, SocketOption, Stream};
pub use preopened::{preopened, Preopened};
pub use rights::Rights;
