//! TCP connections: smoltcp sockets, each in a set of its own, from SYN to TIME-WAIT.
//!
//! ```text
//!  connect --> Connecting ----.
//!  SYN --> HalfOpen --> Queued --> Open --(last holder lets go)--> orphan --> TIME-WAIT table
//! ```
//!
//! An orphan goes on until what was written is acknowledged, or its linger has passed; then it has [`ORPHAN`] for
//! the peer's end.
//!
//! ```text
//! calls.rs    what a guest's calls come to       socket.rs     smoltcp's sockets, and their buffers used again
//! receive.rs  what segments do                   time_wait.rs  TIME-WAIT without a socket (reply.rs)
//! drive.rs    what time and states call for      segment.rs    a segment cut for a narrower path
//! listen.rs   a SYN makes a connection
//! ```

mod calls;
mod drive;
mod listen;
mod receive;
mod reply;
mod segment;
mod socket;
mod time_wait;

pub use listen::Listener;
pub(super) use segment::split;
pub(super) use socket::Spare;
pub use socket::TcpOptions;
pub(super) use time_wait::TimeWait;

use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::socket::tcp::{self, State};

use super::Stack;
use super::flows::Tuple;
use crate::error::{Error, Result};
use crate::node::slab::Id;
use crate::node::wake::{Readiness, Watch};
use crate::time::Instant;

/// A closed connection that the peer never lets go (tcp_fin_timeout).
const ORPHAN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    HalfOpen(Id<Listener>),
    Queued(Id<Listener>),
    Open,
}

/// A TCP connection of this node.
pub struct Tcp {
    nic: usize,
    pub(super) tuple: Tuple,
    socket: Spare,
    pub(super) phase: Phase,
    /// Descriptors that hold it; at 0 it is an orphan.
    holders: u8,
    waiting: Watch,
    pub(super) dirty: bool,
    pub(super) timer: Option<Instant>,
    deadline: Option<Instant>,
    /// The narrowest path that it was told of, in bytes.
    pub(super) narrowest: usize,
    /// When the peer was last heard, or keep-alives were asked for after that.
    heard: Instant,
    pub(super) error: Option<Error>,
    /// What was last heard of packets that did not get through, since one did.
    pub(super) soft_error: Option<Error>,
    /// Of the SYN that we sent.
    pub(super) initial: Option<u32>,
    /// The peer's sequence number after its FIN.
    peer_next: u32,
    /// The last acknowledgement that came.
    pub(super) acknowledged: u32,
    read_shut: bool,
    options: TcpOptions,
}

impl Tcp {
    pub(super) fn socket(&self) -> &tcp::Socket<'static> {
        self.socket.set.get(self.socket.handle)
    }

    pub(super) fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.socket.set.get_mut(self.socket.handle)
    }

    fn readiness(&self) -> Readiness {
        let socket = self.socket();
        let over = self.error.is_some() || self.phase == Phase::Open && socket.state() == State::Closed;
        let ended = matches!(
            socket.state(),
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait | State::Closed
        );
        let hangup = over || self.read_shut || (ended && self.phase != Phase::Connecting);
        let read_bytes = socket.recv_queue();
        let write_bytes = if socket.may_send() { socket.send_capacity() - socket.send_queue() } else { 0 };
        Readiness {
            read: read_bytes > 0 || hangup,
            write: over || write_bytes > 0 || (self.phase == Phase::Open && !socket.may_send()),
            read_bytes,
            write_bytes,
            hangup,
        }
    }
}

impl Stack {
    fn insert(
        &mut self,
        nic: usize,
        tuple: Tuple,
        socket: Spare,
        phase: Phase,
        options: TcpOptions,
    ) -> Id<Tcp> {
        let id = self.connections.insert(Tcp {
            nic,
            tuple,
            socket,
            phase,
            holders: 0,
            waiting: Watch::default(),
            dirty: false,
            timer: None,
            deadline: None,
            narrowest: usize::MAX,
            heard: Instant::START,
            error: None,
            soft_error: None,
            initial: None,
            peer_next: 0,
            acknowledged: 0,
            read_shut: false,
            options,
        });
        self.flows_by_tuple.insert(tuple, id);
        id
    }

    fn remove(&mut self, id: Id<Tcp>) {
        let Some(connection) = self.connections.remove(id) else { return };
        self.flows_by_tuple.remove(&connection.tuple);
        self.keep_socket(connection.socket, &connection.options);
    }

    /// A bound port for `address` (port 0: an ephemeral one).
    pub fn tcp_bind(&mut self, address: SocketAddr) -> Result<SocketAddr> {
        self.bindable(address)?;
        self.tcp_ports.bind(address, &mut self.rng)
    }

    pub fn tcp_unbind(&mut self, address: SocketAddr) {
        self.tcp_ports.release(address);
    }
}
