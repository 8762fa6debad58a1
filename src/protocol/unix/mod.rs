//! `unix`: sockets addressed by path, of streams and of datagrams, between the guests of one lab.
//!
//! # Theory of operation
//!
//! Whatever crosses from one node to another is an event of the network, so bytes of Unix-domain sockets travel as TCP,
//! over a network of their own (`node/namespace.rs`): it gives them order, completeness and flow control, whatever their
//! links do, and they are captured, delayed and cut like any other. Datagrams keep their boundaries by a length before
//! each; like those of Linux they are neither lost nor reordered, and a writer waits for its reader.
//!
//! ```text
//! open("/run/a")     lease.rs  --"/run/a is at my port 49152"-->  directory.rs    bound while this connection lasts
//! listen, accept     porter.rs <--- TCP, hello, bytes ----.
//! connect("/run/a")  dial.rs   --"where is /run/a?"--> directory, then there: "I am /run/b, and want /run/a"
//! ```
//!
//! The directory is a service on a node of its own; a question to it is a TCP connection (`ask.rs`), so that it needs
//! no timers but TCP's. `wire.rs` has the messages. The guests' own bytes begin behind the hello.
//!
//! Paths may be the host's, where the scenario says so: the directory's node has the driver connect or listen there
//! (`host.rs`), and is the other end of the guests' connections itself (`bridge.rs`).
//!
//! What is decided here, where it cannot be as Linux has it:
//! - A path is bound for as long as its control is open, and free at once after: nothing is left to be unlinked.
//! - A node without power cannot say that its paths are free. They stay bound until it is switched on again, and whoever
//!   connects to one waits for an answer, as with any other machine.
//! - A control of datagrams hears of nobody unless it listens: a flow is accepted like a connection.

mod ask;
mod bridge;
mod control;
mod datagram;
mod dial;
mod directory;
pub mod host;
mod lease;
mod path;
mod porter;
mod stream;
mod table;
pub mod wire;

use std::net::Ipv6Addr;
use std::sync::Arc;

pub use directory::Directory;
pub use path::{Glob, PATH_BYTES_MAX, PATTERN_BYTES_MAX, UnixPath};

use super::policy::{Refusal, weigh};
use crate::error::{Error, Result};
use crate::node::SocketKind;
use crate::node::object::{Context, Control, Protocol};
use crate::node::stack::TcpOptions;
use control::UnixControl;
use wire::Place;

/// The network of Unix-domain sockets: a prefix of its own (RFC 4193), and packets as Ethernet has them. Far larger ones would
/// each fill a window, and TCP over a link with any delay would have but one at a time to go by.
pub const NETWORK: Ipv6Addr = Ipv6Addr::new(0xfd75, 0x6e69, 0x7800, 0, 0, 0, 0, 0);
pub const PREFIX_LEN: u8 = 64;
pub const MTU: usize = 1500;
/// Where the directory is, and listens.
pub const DIRECTORY: Ipv6Addr = Ipv6Addr::new(0xfd75, 0x6e69, 0x7800, 0, 0, 0, 0, 1);
pub const DIRECTORY_PORT: u16 = 10;
/// Where its node takes connections to sockets of the host: of streams, and of datagrams.
pub const GATE_PORT: u16 = 11;
pub const DATAGRAM_GATE_PORT: u16 = 12;

/// For questions and answers.
const SMALL: TcpOptions = TcpOptions {
    receive_buffer: 4096,
    send_buffer: 4096,
    no_delay: true,
    keep_alive: None,
    hop_limit: None,
    linger: Some(TcpOptions::LINGER),
};

/// For the guests' bytes: nothing waits for more to be sent with it.
const STREAM: TcpOptions =
    TcpOptions { receive_buffer: TcpOptions::BUFFER_BYTES, send_buffer: TcpOptions::BUFFER_BYTES, ..SMALL };

/// Linux's net.core.wmem_default: several datagrams of any size.
const DATAGRAM: TcpOptions = TcpOptions { receive_buffer: 212_992, send_buffer: 212_992, ..SMALL };

/// What a guest may do in the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Paths that may be bound; `None`: any.
    pub bind: Option<Vec<Glob>>,
    /// Paths that may be connected to; `None`: any.
    pub connect: Option<Vec<Glob>>,
    /// What is refused whatever else allows it.
    pub deny: Denied,
    /// Paths below which are sockets of the host, and the number of the host's folder, from 1 on.
    pub host: Vec<(UnixPath, u16)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denied {
    pub bind: Vec<Glob>,
    pub connect: Vec<Glob>,
}

impl Settings {
    fn place(&self, path: &UnixPath) -> Result<Place> {
        for (mount, folder) in &self.host {
            if let Some(name) = path.below(mount) {
                // A folder's own sockets alone, none of folders in it.
                if name.contains('/') {
                    return Err(Error::NoEntry);
                }
                return Ok(Place { folder: *folder, path: UnixPath::parse(&format!("/{name}"))? });
            }
        }
        Ok(Place { folder: 0, path: path.clone() })
    }

    /// # Errors
    /// A refusal; so for `may_connect`.
    pub fn may_bind(&self, path: &UnixPath) -> Result<(), Refusal<'_, Glob>> {
        weigh("bind", &self.deny.bind, self.bind.as_deref(), |pattern| pattern.matches(path))
    }

    pub fn may_connect(&self, path: &UnixPath) -> Result<(), Refusal<'_, Glob>> {
        weigh("connect", &self.deny.connect, self.connect.as_deref(), |pattern| pattern.matches(path))
    }
}

pub struct Unix {
    settings: Arc<Settings>,
}

impl Unix {
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

impl Protocol for Unix {
    /// A control at a path; the empty one is bound to none.
    fn open(&mut self, cx: &mut Context, bind: &str, kind: SocketKind) -> Result<Box<dyn Control>> {
        let path = match bind {
            "" => None,
            text => Some(UnixPath::parse(text)?),
        };
        if let Some(path) = &path {
            let may = self.settings.may_bind(path);
            may.map_err(|refusal| refusal.tell(cx.journal, None, "bind", path))?;
        }
        Ok(Box::new(UnixControl::open(cx, path, kind, Arc::clone(&self.settings))?))
    }
}
