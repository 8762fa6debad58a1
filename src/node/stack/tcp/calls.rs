//! What a guest's calls on TCP's controls, connections and streams come to.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use smoltcp::socket::tcp;

use super::socket::{TcpOptions, configure, to_smoltcp};
use super::{ORPHAN, Phase, Tcp};
use crate::error::{Error, Result};
use crate::node::slab::Id;
use crate::node::stack::Stack;
use crate::node::stack::flows::Tuple;
use crate::node::stack::route::destination;
use crate::node::wake::{Interest, Readiness, Waiter};
use crate::time::Instant;

/// A SYN that is never answered: as long as Linux's six retries take.
const CONNECT: Duration = Duration::from_secs(127);
/// Connections of one node, whoever holds them; one more is refused.
const CONNECTIONS_MAX: usize = 65_536;
/// Data that the peer never acknowledges: Linux's 15 retransmissions (tcp_retries2) take so long (RFC 9293, 3.8.3, wants at
/// least 100 s).
const UNACKNOWLEDGED: Duration = Duration::from_millis(924_600);

impl Stack {
    /// Starts a connection from `local` (port 0: an ephemeral one).
    pub fn tcp_connect(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        options: &TcpOptions,
    ) -> Result<Id<Tcp>> {
        let remote = destination(remote);
        if remote.port() == 0 {
            return Err(Error::AddressNotAvailable);
        }
        if remote.ip().is_multicast() || remote.ip() == IpAddr::from([255; 4]) {
            return Err(Error::NetworkUnreachable);
        }
        if self.connections.len() >= CONNECTIONS_MAX {
            return Err(Error::NoBuffers);
        }
        let nic = self.route(now, remote.ip())?;
        let ip =
            if local.ip().is_unspecified() { self.source_address(nic, remote.ip())? } else { local.ip() };
        if local.port() == 0 {
            return Err(Error::Invalid);
        }
        let tuple = Tuple::new(ip, local.port(), remote);
        if Some(nic) != self.loopback && tuple.has_loopback() {
            return Err(Error::AddressNotAvailable);
        }
        if self.in_use(now, &tuple) {
            return Err(Error::AddressInUse);
        }
        let mut socket = self.make_socket(nic, options).ok_or(Error::NoBuffers)?;
        let smoltcp = socket.set.get_mut::<tcp::Socket>(socket.handle);
        let context = self.nics[nic].interface().context();
        if smoltcp.connect(context, (remote.ip(), remote.port()), (ip, local.port())).is_err() {
            self.keep_socket(socket, options);
            return Err(Error::AddressNotAvailable);
        }
        let id = self.insert(nic, tuple, socket, Phase::Connecting, *options);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.deadline = Some(now + CONNECT);
            connection.holders = 1;
        }
        self.mark_dirty(id);
        Ok(id)
    }

    /// A port for one more connection of a control that left the choice to us.
    pub fn tcp_ephemeral(&mut self, now: Instant, ip: IpAddr, remote: SocketAddr) -> Result<SocketAddr> {
        let remote = destination(remote);
        let nic = self.route(now, remote.ip())?;
        let source = if ip.is_unspecified() { self.source_address(nic, remote.ip())? } else { ip };
        let Stack { tcp_ports, rng, flows_by_tuple, time_wait, .. } = self;
        time_wait.expire(now);
        let idle = |port| !flows_by_tuple.contains_key(&Tuple::new(source, port, remote));
        let fresh = |port| idle(port) && !time_wait.holds(&Tuple::new(source, port, remote));
        let port = tcp_ports.ephemeral(rng, fresh).ok_or(Error::AddressInUse)?;
        Ok(SocketAddr::new(ip, port))
    }

    pub(super) fn in_use(&mut self, now: Instant, tuple: &Tuple) -> bool {
        self.flows_by_tuple.contains_key(tuple) || self.time_wait.contains(now, tuple)
    }

    /// `Ok(true)` once established; an error once it cannot be.
    pub fn tcp_connected(&self, id: Id<Tcp>) -> Result<bool> {
        let connection = self.connections.get(id).ok_or(Error::BadDescriptor)?;
        match connection.error {
            Some(error) => Err(error),
            None => Ok(connection.phase == Phase::Open),
        }
    }

    pub fn tcp_read(&mut self, id: Id<Tcp>, buffer: &mut [u8], peek: bool) -> Result<usize> {
        let connection = self.connections.get_mut(id).ok_or(Error::BadDescriptor)?;
        if connection.read_shut {
            return Ok(0);
        }
        let error = connection.error;
        let socket = connection.socket_mut();
        let result = if peek { socket.peek_slice(buffer) } else { socket.recv_slice(buffer) };
        match result {
            Ok(0) if buffer.is_empty() => Ok(0),
            Ok(0) => Err(Error::WouldBlock),
            Ok(count) => {
                if !peek {
                    self.mark_dirty(id);
                }
                Ok(count)
            }
            Err(tcp::RecvError::Finished) => Ok(0),
            Err(tcp::RecvError::InvalidState) => error.map_or(Ok(0), Err),
        }
    }

    pub fn tcp_write(&mut self, id: Id<Tcp>, bytes: &[u8]) -> Result<usize> {
        let connection = self.connections.get_mut(id).ok_or(Error::BadDescriptor)?;
        let socket = connection.socket_mut();
        match socket.send_slice(bytes) {
            Ok(0) if bytes.is_empty() => Ok(0),
            Ok(0) => Err(Error::WouldBlock),
            Ok(count) => {
                // Only unacknowledged data may time out: an idle connection lives for ever.
                socket.set_timeout(Some(to_smoltcp(UNACKNOWLEDGED)));
                self.mark_dirty(id);
                Ok(count)
            }
            Err(tcp::SendError::InvalidState) => Err(connection.error.unwrap_or(Error::Pipe)),
        }
    }

    pub fn tcp_shutdown(&mut self, id: Id<Tcp>, read: bool, write: bool) -> Result<()> {
        let connection = self.connections.get_mut(id).ok_or(Error::BadDescriptor)?;
        connection.read_shut |= read;
        if write {
            connection.socket_mut().close();
            // The peer's end may be all that is still to come: whoever lets go once it is there must not take its
            // acknowledgement along.
            connection.socket_mut().set_ack_delay(None);
        }
        self.mark_dirty(id);
        Ok(())
    }

    pub fn tcp_readiness(&self, id: Id<Tcp>) -> Readiness {
        match self.connections.get(id) {
            Some(connection) => connection.readiness(),
            None => Readiness { read: true, write: true, hangup: true, ..Default::default() },
        }
    }

    /// Wakes once when `interest` is met.
    pub fn tcp_watch(&mut self, id: Id<Tcp>, interest: Interest, waiter: Waiter) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.waiting.join(interest, waiter);
        }
    }

    pub fn tcp_addresses(&self, id: Id<Tcp>) -> Option<(SocketAddr, SocketAddr)> {
        self.connections.get(id).map(|connection| (connection.tuple.local, connection.tuple.remote))
    }

    pub fn tcp_options(&self, id: Id<Tcp>) -> Option<TcpOptions> {
        self.connections.get(id).map(|connection| connection.options)
    }

    /// Buffer sizes stay as they were when the connection was made.
    pub fn tcp_set_options(&mut self, now: Instant, id: Id<Tcp>, options: TcpOptions) {
        if let Some(connection) = self.connections.get_mut(id) {
            let TcpOptions { receive_buffer, send_buffer, keep_alive, .. } = connection.options;
            if keep_alive != options.keep_alive {
                // Whoever was silent before has the whole time to answer.
                connection.heard = now;
            }
            connection.options = TcpOptions { receive_buffer, send_buffer, ..options };
            configure(connection.socket_mut(), &options);
            self.mark_dirty(id);
        }
    }

    /// One more descriptor holds the connection.
    pub fn tcp_hold(&mut self, id: Id<Tcp>) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.holders += 1;
        }
    }

    /// A descriptor lets go; `stream` if it was the one that reads and writes. Sends the end of stream, or
    /// a reset if there was data that nobody read (RFC 2525, 2.17).
    pub fn tcp_release(&mut self, now: Instant, id: Id<Tcp>, stream: bool) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.holders -= 1;
        let last = connection.holders == 0;
        if stream || last {
            let abort = connection.options.linger == Some(Duration::ZERO)
                || connection.socket().recv_queue() > 0
                || connection.phase == Phase::Connecting;
            let socket = connection.socket_mut();
            if abort {
                socket.abort();
            } else {
                socket.close();
            }
        }
        if last {
            connection.phase = Phase::Open;
            connection.waiting.clear();
            connection.deadline = Some(now + connection.options.linger.unwrap_or(ORPHAN));
            // It may be gone before a delay is over.
            connection.socket_mut().set_ack_delay(None);
        }
        self.mark_dirty(id);
    }

    /// Resets every connection that is left (the node's lingering is over).
    pub fn tcp_abort_all(&mut self) {
        for id in self.connections.ids().collect::<Vec<_>>() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.socket_mut().abort();
            }
            self.mark_dirty(id);
        }
    }
}
