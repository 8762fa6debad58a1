//! What a stack's sockets are at, as netstat(8) lists them: for a look at a lab that does not go on.

use std::fmt;
use std::net::SocketAddr;

use smoltcp::socket::tcp::State;

use super::{Stack, Tcp};

/// A line of netstat's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketLine {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Bytes received that nobody read; for a listener, connections that nobody accepted.
    pub receive_queue: usize,
    /// Bytes written that the peer did not acknowledge.
    pub send_queue: usize,
    pub local: SocketAddr,
    pub remote: Option<SocketAddr>,
    /// As netstat writes them: `ESTABLISHED`, `LISTEN`; nothing for UDP.
    pub state: &'static str,
}

impl fmt::Display for SocketLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, receive_queue, send_queue, local, remote, state } = self;
        let remote = remote.map_or_else(|| "*".to_owned(), |remote| remote.to_string());
        write!(
            f,
            "{protocol:<5} {receive_queue:>6} {send_queue:>6} {:<22} {remote:<22} {state}",
            local.to_string()
        )
    }
}

impl Stack {
    /// Listeners, TCP connections, UDP sockets and their flows, each kind in the order of its table.
    pub fn netstat(&self) -> Vec<SocketLine> {
        let listeners = self.listeners.ids().filter_map(|id| self.listeners.get(id)).map(|listener| {
            let (local, receive_queue) = listener.standing();
            SocketLine { protocol: "tcp", receive_queue, send_queue: 0, local, remote: None, state: "LISTEN" }
        });
        let connections = self.connections.ids().filter_map(|id| self.connections.get(id));
        listeners.chain(connections.map(connection)).chain(self.udp.netstat()).collect()
    }
}

fn connection(connection: &Tcp) -> SocketLine {
    let socket = connection.socket();
    let state = match socket.state() {
        State::Closed => "CLOSED",
        State::Listen => "LISTEN",
        State::SynSent => "SYN_SENT",
        State::SynReceived => "SYN_RECV",
        State::Established => "ESTABLISHED",
        State::FinWait1 => "FIN_WAIT1",
        State::FinWait2 => "FIN_WAIT2",
        State::CloseWait => "CLOSE_WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST_ACK",
        State::TimeWait => "TIME_WAIT",
    };
    SocketLine {
        protocol: "tcp",
        receive_queue: socket.recv_queue(),
        send_queue: socket.send_queue(),
        local: connection.tuple.local,
        remote: Some(connection.tuple.remote),
        state,
    }
}
