//! Capture: every frame, written as pcapng to any [`Write`](std::io::Write).
//!
//! ```text
//! world --> Record --> Sink --> Writer     pcapng.rs  one file with all ports      --> Destination
//!                          \--> Fan        fan.rs     one Writer for each guest        destination.rs
//!       --> secrets --------> KeyLog      key_log.rs beside a capture, or without one
//!                             Overtake    overtake.rs before one, where secrets may come late
//! ```
//!
//! A record is made before the link's verdict and carries the verdict too, so what was lost can be read
//! beside what arrived. The same records give the same bytes. This folder opens no files, starts no
//! threads and knows nothing of the world that makes the records. Frames are encoded where they are recorded, which is
//! while a processor has them at hand; the live driver has a destination that writes on another thread.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::network::Frame;
use crate::network::link::DropReason;
use crate::time::Instant;

mod destination;
mod fan;
mod key_log;
mod overtake;
mod pcapng;
mod read;
#[cfg(test)]
mod tests;

pub use destination::{Blocks, Destination};
pub use fan::{Fan, Group};
pub use key_log::KeyLog;
pub use overtake::Overtake;
pub use pcapng::Writer;
pub use read::{frames, records};

/// What a capture says about itself: enough to run the lab again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The lab's name.
    pub name: String,
    pub seed: u64,
    /// SHA-256 of the scenario file, in hexadecimal.
    pub digest: String,
    /// Wall-clock time of [`Instant::START`], since the Unix epoch.
    pub epoch: Duration,
    /// The ports, each an interface of the capture; [`Record::port`] counts them from 0.
    pub ports: Vec<PortInfo>,
    /// Names that a reader may show for addresses.
    pub names: Vec<(IpAddr, String)>,
}

/// A port as the capture names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// `client`, `client.eth1`, `lan.0` ...
    pub name: String,
    /// What it is and what it is plugged into; may be empty.
    pub description: String,
}

/// True if the port called `port` is `name`, or one of the ports of the guest, router or switch called `name`:
/// `r1` is all of `r1.lan` and `r1.wan`.
pub fn is_port_of(port: &str, name: &str) -> bool {
    port.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Which way a frame crossed a port, as the port's own device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Came from the link.
    Inbound,
    /// Left towards the link.
    Outbound,
}

/// How often a capture shows a frame that does not change on its way. What a link drops is always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Each {
    /// At every port that it crosses.
    #[default]
    Port,
    /// Once for a link that is ideal, at the end that is no switch, where one is: the other end would tell the same
    /// of the same instant. A cable between two hosts has it at both ends; another link too.
    Link,
    /// Once as it leaves a guest, a router or a TAP, and again where a link that is not ideal delivers it.
    Packet,
}

/// A frame that crossed a port. Cloning shares the frame's bytes.
#[derive(Clone, Debug)]
pub struct Record {
    pub at: Instant,
    /// Index into [`Session::ports`].
    pub port: u32,
    pub way: Way,
    pub frame: Frame,
    /// Why the link dropped it, if it did.
    pub dropped: Option<DropReason>,
    /// The link had taken it before, and it was recorded then: this tells what became of it.
    pub late: bool,
}

impl Record {
    pub fn crossing(&self) -> Crossing<'_> {
        let Record { at, port, way, ref frame, dropped, late } = *self;
        Crossing { at, port, way, frame, dropped, late }
    }
}

/// A [`Record`] whose frame is somebody else's: for sinks that keep none.
#[derive(Clone, Copy, Debug)]
pub struct Crossing<'a> {
    pub at: Instant,
    pub port: u32,
    pub way: Way,
    pub frame: &'a Frame,
    pub dropped: Option<DropReason>,
    pub late: bool,
}

impl From<Crossing<'_>> for Record {
    fn from(Crossing { at, port, way, frame, dropped, late }: Crossing<'_>) -> Record {
        Record { at, port, way, frame: frame.clone(), dropped, late }
    }
}

/// Where records go.
pub trait Sink: Send {
    /// Takes a record. An I/O error is returned once, by the call that met it; the sink is dead from
    /// then on, takes further records without a word and says so again in [`Sink::close`].
    fn record(&mut self, record: &Record) -> io::Result<()>;

    /// The same for a frame that the sink need not keep.
    fn crossing(&mut self, crossing: Crossing<'_>) -> io::Result<()> {
        self.record(&crossing.into())
    }

    /// True if the sink gives TCP segments and UDP datagrams their checksums as it writes them, where they were left out: in frames made
    /// inside the world, as [`checksum::complete`](crate::network::checksum::complete) does. Stacks need not, then.
    fn fills_in_checksums(&self) -> bool {
        false
    }

    /// Takes lines of a TLS key log (as `SSLKEYLOGFILE` has them, each with its newline), before the records of what
    /// they decrypt. Errors as in [`Sink::record`].
    fn secrets(&mut self, lines: &str) -> io::Result<()>;

    /// Hands everything taken so far to the underlying writer and flushes that. Errors as in
    /// [`Sink::record`].
    fn flush(&mut self) -> io::Result<()>;

    /// Ends the capture at `at` with its statistics, and flushes. Fails if any call before did.
    /// What comes after is ignored.
    fn close(&mut self, at: Instant) -> io::Result<()>;
}

/// Keeps nothing: for a lab that is not captured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn record(&mut self, _record: &Record) -> io::Result<()> {
        Ok(())
    }

    fn secrets(&mut self, _lines: &str) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _at: Instant) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps the records themselves, for tests and for programs that look at frames.
#[derive(Clone, Debug, Default)]
pub struct Memory(pub Vec<Record>);

impl Sink for Memory {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.0.push(record.clone());
        Ok(())
    }

    fn secrets(&mut self, _lines: &str) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _at: Instant) -> io::Result<()> {
        Ok(())
    }
}
