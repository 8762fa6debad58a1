//! Sockets of TCP connections: each in a set of its own, made with its options, used again for its buffers.

use std::time::Duration;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::Socket;
use smoltcp::socket::tcp::{self, CongestionControl};

use crate::node::stack::Stack;

/// Sockets kept for their buffers.
const SPARE_MAX: usize = 16;

/// What can be set before a connection is made; the rest applies at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Bytes.
    pub receive_buffer: usize,
    /// Bytes.
    pub send_buffer: usize,
    /// Switches Nagle's algorithm (RFC 896) off.
    pub no_delay: bool,
    pub keep_alive: Option<Duration>,
    pub hop_limit: Option<u8>,
    /// How long a closed connection goes on, to have what was written acknowledged. Zero: closing resets.
    pub linger: Option<Duration>,
}

impl TcpOptions {
    pub const BUFFER_BYTES: usize = 64 * 1024;
    pub const LINGER: Duration = Duration::from_secs(10);

    /// What a connection's buffers cost.
    fn buffer_bytes(&self) -> usize {
        self.receive_buffer + self.send_buffer
    }

    fn has_usual_buffers(&self) -> bool {
        self.receive_buffer == Self::BUFFER_BYTES && self.send_buffer == Self::BUFFER_BYTES
    }
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            receive_buffer: Self::BUFFER_BYTES,
            send_buffer: Self::BUFFER_BYTES,
            no_delay: false,
            keep_alive: None,
            hop_limit: None,
            linger: Some(Self::LINGER),
        }
    }
}

/// A socket in a set of its own.
pub struct Spare {
    pub set: SocketSet<'static>,
    pub handle: SocketHandle,
}

impl Stack {
    /// A socket, from the spare ones if it has the usual buffers: touching fresh pages costs more than the
    /// whole handshake. `None` past the node's budget.
    pub(super) fn make_socket(&mut self, nic: usize, options: &TcpOptions) -> Option<Spare> {
        if !self.budget.take(options.buffer_bytes()) {
            return None;
        }
        let kept = if options.has_usual_buffers() { self.spare.pop() } else { None };
        let mut socket = match kept {
            Some(spare) => spare.renewed(),
            None => {
                let receive = tcp::SocketBuffer::new(vec![0; options.receive_buffer]);
                let send = tcp::SocketBuffer::new(vec![0; options.send_buffer]);
                let mut set = SocketSet::new(Vec::with_capacity(1));
                let handle = set.add(tcp::Socket::new(receive, send));
                Spare { set, handle }
            }
        };
        let eager = self.nics[nic].eager;
        let smoltcp = socket.socket_mut();
        // A spare socket may have been left with an unsent reset.
        if smoltcp.is_open() {
            smoltcp.abort();
        }
        smoltcp.set_congestion_control(CongestionControl::Cubic);
        smoltcp.set_timeout(None);
        // Each acknowledgement lets a lossy path recover; on an ideal one they are only work.
        smoltcp.set_ack_delay((!eager).then(|| smoltcp::time::Duration::from_millis(10)));
        configure(smoltcp, options);
        Some(socket)
    }

    /// Keeps the socket of a connection that is gone, if it is like those that are made most.
    pub(super) fn keep_socket(&mut self, socket: Spare, options: &TcpOptions) {
        self.budget.give(options.buffer_bytes());
        if options.has_usual_buffers() && self.spare.len() < SPARE_MAX {
            self.spare.push(socket);
        }
    }
}

impl Spare {
    /// The same socket as a new member of its set: as the old one it may be waiting for the last peer's neighbour
    /// address, and would keep silent for a second.
    fn renewed(mut self) -> Spare {
        let Socket::Tcp(socket) = self.set.remove(self.handle) else {
            unreachable!("a connection's set holds a TCP socket")
        };
        let handle = self.set.add(socket);
        Spare { handle, ..self }
    }

    fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }
}

pub(super) fn configure(socket: &mut tcp::Socket<'static>, options: &TcpOptions) {
    socket.set_nagle_enabled(!options.no_delay);
    socket.set_keep_alive(options.keep_alive.map(to_smoltcp));
    socket.set_hop_limit(options.hop_limit.filter(|&limit| limit > 0));
}

pub(super) fn to_smoltcp(duration: Duration) -> smoltcp::time::Duration {
    smoltcp::time::Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
