//! A Linux TAP: Ethernet frames to and from the kernel's own IP stack, most often in a namespace of its own
//! (`netns/up`).
//!
//! - `open`: enters the namespace, attaches to the device and takes hold of its descriptor.
//! - `link`: asks rtnetlink about the device, and puts it up.
//! - `error`: why a TAP cannot be had, and what to do about it.
//!
//! Nothing here knows of worlds, ports or captures: frames go in and out as bytes, without waiting.

mod error;
mod link;
mod open;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use bytes::Bytes;
use nix::errno::Errno;

pub use error::TapError;

/// A buffer of this many bytes holds any frame that a TAP hands out: the largest MTU that Linux takes for one
/// (65 521), the Ethernet header, a VLAN tag, and one byte more, as a full buffer counts as a frame cut
/// short.
pub const FRAME_BYTES_MAX: usize = 65_521 + 14 + 4 + 1;

/// A TAP that is open. Dropping it detaches from the device; one that was not there before then goes away.
#[derive(Debug)]
pub struct Tap {
    file: File,
    name: String,
    mtu: u32,
    addresses: Vec<IpAddr>,
    counters: Counters,
}

/// What did not get through, since the TAP was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames not sent as the kernel's queue was full.
    pub queue_full: u64,
    /// Frames not sent as the device was down.
    pub link_down: u64,
    /// Frames that the kernel would not have, those shorter than an Ethernet header above all.
    pub refused: u64,
    /// Frames from the kernel that the buffer was too short for.
    pub truncated: u64,
}

impl Tap {
    /// Opens the TAP `device` in the namespace `/run/netns/{netns}`, or in the process's own, and sees to it
    /// that it is up. A device that is not there is made, without addresses, and lasts as long as the `Tap`.
    ///
    /// The calling thread stays in its own namespace.
    pub fn open(device: &str, netns: Option<&str>) -> Result<Tap, TapError> {
        let opened = open::open(device, netns)?;
        Ok(Tap {
            file: opened.file,
            name: device.to_owned(),
            mtu: opened.mtu,
            addresses: opened.addresses,
            counters: Counters::default(),
        })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The longest IP packet the device took when it was opened, in bytes; a frame has the Ethernet header
    /// besides.
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// The device's addresses when it was opened: Linux's own, behind it.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The next frame that the kernel sends, from its Ethernet header on and without a checksum; `None` when
    /// it has none for now, and the descriptor becomes readable once it has.
    ///
    /// The `buffer` must be longer than the longest frame: one that fills it has been cut by the kernel
    /// without a word, so it is counted and left out. [`FRAME_BYTES_MAX`] always suffices.
    ///
    /// An error means that the device is gone.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Bytes>> {
        loop {
            match self.file.read(buffer) {
                Ok(length) if length == buffer.len() => self.counters.truncated += 1,
                Ok(length) => return Ok(Some(Bytes::copy_from_slice(&buffer[..length]))),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a frame, from its Ethernet header on and without a checksum, to the kernel. `false` when it was
    /// dropped, which [`counters`](Tap::counters) tells the cause of; there is no use in waiting and sending
    /// it again.
    ///
    /// An error means that the device is gone.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<bool> {
        loop {
            let Err(error) = self.file.write(frame) else { return Ok(true) };
            let counter = match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EINTR) => continue,
                Some(Errno::EAGAIN) => &mut self.counters.queue_full,
                Some(Errno::EIO) => &mut self.counters.link_down,
                Some(Errno::EINVAL | Errno::EMSGSIZE | Errno::ENOBUFS | Errno::ENOMEM) => {
                    &mut self.counters.refused
                }
                _ => return Err(error),
            };
            *counter += 1;
            return Ok(false);
        }
    }
}

/// To wait for frames: readable when [`receive`](Tap::receive) has something, be it an error.
impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
