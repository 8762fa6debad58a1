//! TCP connections: smoltcp sockets, each in a set of its own, from SYN to TIME-WAIT.
//!
//! ```text
//!  connect --> Connecting ----.
//!  SYN --> HalfOpen --> Queued --> Open --(last holder lets go)--> orphan --> TIME-WAIT table
//! ```
//!
//! An orphan goes on until what was written is acknowledged, or its linger has passed; then it has [`ORPHAN`] for
//! the peer's end.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use smoltcp::socket::tcp::{self, State};

use super::demux::{self, Segment, Tuple};
use super::listen::Listener;
use super::socket::{Spare, TcpOptions, configure, to_smoltcp};
use super::time_wait::Answer;
use super::{BURST_PACKETS_MAX, Stack, Work, ports, reply};
use crate::error::{Error, Result};
use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::node::slab::Id;
use crate::node::wake::{Interest, Readiness, Waiter, Watch};
use crate::time::Instant;

/// A SYN that is never answered: as long as Linux's six retries take.
const CONNECT: Duration = Duration::from_secs(127);
/// A half-open connection, and a closed one that the peer never lets go (tcp_fin_timeout).
pub(super) const HALF_OPEN: Duration = Duration::from_secs(60);
const ORPHAN: Duration = Duration::from_secs(60);
/// Data that the peer never acknowledges: Linux's 15 retransmissions (tcp_retries2) take so long (RFC 9293, 3.8.3, wants at
/// least 100 s).
const UNACKNOWLEDGED: Duration = Duration::from_millis(924_600);
/// Keep-alives that nobody answers, one after another, before the peer is given up (Linux's tcp_keepalive_probes).
const KEEP_ALIVES: u32 = 9;
/// Connections of one node, whoever holds them; one more is refused.
const CONNECTIONS_MAX: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    HalfOpen(Id<Listener>),
    Queued(Id<Listener>),
    Open,
}

/// A TCP connection of this node.
pub struct Tcp {
    pub(super) nic: usize,
    pub(super) tuple: Tuple,
    socket: Spare,
    pub(super) phase: Phase,
    /// Descriptors that hold it; at 0 it is an orphan.
    holders: u8,
    waiting: Watch,
    pub(super) dirty: bool,
    pub(super) timer: Option<Instant>,
    pub(super) deadline: Option<Instant>,
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

    /// True for one more acknowledgement of the same while nothing but our FIN is not acknowledged. smoltcp takes
    /// three for a loss, finds no data to send again, and has stopped the FIN's timer for it: nothing would
    /// ever be sent again.
    fn is_idle_duplicate(&self, segment: &Segment) -> bool {
        let socket = self.socket();
        segment.acknowledgement == self.acknowledged
            && segment.payload_len == 0
            && segment.ack
            && !(segment.syn || segment.fin || segment.rst)
            && matches!(socket.state(), State::FinWait1 | State::Closing | State::LastAck)
            && socket.send_queue() == 0
    }

    /// When an idle peer that answers no keep-alive is given up: the first is sent after one interval, and the last one
    /// has as long to be answered. While something waits to be acknowledged, that is asked again instead.
    fn gone_at(&self) -> Option<Instant> {
        let interval = self.options.keep_alive?;
        let socket = self.socket();
        let idle = self.phase == Phase::Open && socket.state() != State::Closed && socket.send_queue() == 0;
        idle.then(|| self.heard + interval * (KEEP_ALIVES + 1))
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
    /// Starts a connection from `local` (port 0: an ephemeral one).
    pub fn tcp_connect(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        options: &TcpOptions,
    ) -> Result<Id<Tcp>> {
        let remote = super::destination(remote);
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
        let tuple = super::tuple(ip, local.port(), remote);
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
        let remote = super::destination(remote);
        let nic = self.route(now, remote.ip())?;
        let source = if ip.is_unspecified() { self.source_address(nic, remote.ip())? } else { ip };
        let Stack { tcp_ports, rng, flows_by_tuple, time_wait, .. } = self;
        time_wait.expire(now);
        let idle = |port| !flows_by_tuple.contains_key(&super::tuple(source, port, remote));
        let fresh = |port| idle(port) && !time_wait.holds(&super::tuple(source, port, remote));
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

    /// A segment for this node, in `packet`.
    pub(super) fn receive_segment(
        &mut self,
        now: Instant,
        nic: usize,
        tuple: Tuple,
        segment: Segment,
        packet: Bytes,
    ) {
        let id = match self.flows_by_tuple.get(&tuple) {
            Some(&id) => id,
            None => match self.time_wait.segment(now, &tuple, &segment) {
                Answer::Ignore => return,
                Answer::Acknowledge => {
                    if let Some(answer) = reply::acknowledge(&packet) {
                        self.send(now, nic, answer);
                    }
                    return;
                }
                Answer::GiveWay | Answer::Unknown => {
                    if !segment.syn || segment.ack || segment.rst {
                        // RFC 9293, 3.10.7.2: a listener ignores what makes no connection and belongs to none.
                        let stray = !segment.syn && !segment.ack && self.listener_for(tuple.local).is_some();
                        if !stray {
                            self.receive_for_nobody(now, nic, packet);
                        }
                        return;
                    }
                    match self.passive_open(now, nic, tuple) {
                        Some(Some(id)) => id,
                        // Past the backlog: dropped, so that the peer tries again.
                        Some(None) => return,
                        None => return self.receive_for_nobody(now, nic, packet),
                    }
                }
            },
        };
        let Stack { nics, connections, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        connection.heard = now;
        if segment.fin {
            connection.peer_next = segment.sequence.wrapping_add(segment.payload_len as u32).wrapping_add(1);
        }
        if connection.is_idle_duplicate(&segment) {
            return;
        }
        if segment.acknowledgement != connection.acknowledged {
            connection.soft_error = None;
        }
        connection.acknowledged = segment.acknowledgement;
        let before = connection.socket().state();
        nics[nic].receive(now, packet, &mut connection.socket.set);
        let after = connection.socket().state();
        if segment.rst && before != State::Closed && after == State::Closed {
            connection.error = Some(match (connection.phase, before) {
                (Phase::Connecting, _) => Error::ConnectionRefused,
                // It had closed already, and does not want what came after.
                (_, State::CloseWait) => Error::Pipe,
                _ => Error::ConnectionReset,
            });
        }
        let eager = nics[nic].eager;
        self.flush(now, nic);
        if eager {
            self.pump(now, id);
        } else {
            // What it led to is looked at and sent at the turn's end, once for all segments of the turn.
            self.mark_dirty(id);
        }
    }

    /// Sends what a connection has to send, within its burst, and looks at what became of it.
    pub(super) fn pump(&mut self, now: Instant, id: Id<Tcp>) {
        let Stack { nics, connections, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        connection.dirty = false;
        let nic = connection.nic;
        if [connection.deadline, connection.gone_at()].iter().flatten().any(|&at| at <= now) {
            connection.deadline = None;
            if connection.error.is_none() {
                connection.error = Some(connection.soft_error.unwrap_or(Error::TimedOut));
            }
            connection.socket_mut().abort();
        }
        let expired =
            connection.holders == 0 && connection.phase == Phase::Open && connection.deadline.is_none();
        let was_open = connection.socket().state() != State::Closed;
        let mut sent = 0;
        while sent < BURST_PACKETS_MAX && nics[nic].transmit(now, &mut connection.socket.set) {
            sent += 1;
        }
        if was_open && connection.socket().state() == State::Closed && connection.error.is_none() {
            // smoltcp gave up on unacknowledged data.
            connection.error = Some(connection.soft_error.unwrap_or(Error::TimedOut));
        }
        if connection.phase == Phase::Connecting {
            if connection.error.is_some() {
                // Nobody there knows of a connection to reset.
                nics[nic]
                    .wire
                    .sent
                    .retain(|packet| demux::sequence(&packet[ETHERNET_HEADER_BYTES..]).is_none());
            } else if let Some(syn) = nics[nic].wire.sent.last() {
                connection.initial = demux::sequence(&syn[ETHERNET_HEADER_BYTES..]);
            }
        }
        self.flush(now, nic);
        if expired {
            // The reset was sent, or cannot be.
            return self.remove(id);
        }
        if sent == BURST_PACKETS_MAX {
            self.mark_dirty(id);
        }
        self.settle(now, id);
    }

    /// Follows a connection's state: queues it for `accept`, wakes who waits, schedules or ends it.
    pub(super) fn settle(&mut self, now: Instant, id: Id<Tcp>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let state = connection.socket().state();
        match connection.phase {
            Phase::Connecting => match state {
                State::SynSent | State::SynReceived => {}
                State::Closed => {}
                _ => {
                    connection.phase = Phase::Open;
                    connection.deadline = None;
                }
            },
            Phase::HalfOpen(listener) => match state {
                State::SynReceived => {}
                State::Closed | State::Listen => return self.discard_half_open(id, listener),
                _ => {
                    connection.phase = Phase::Queued(listener);
                    connection.deadline = None;
                    self.enqueue(id, listener);
                }
            },
            Phase::Queued(listener) => {
                if state == State::Closed {
                    self.unqueue(id, listener);
                    return self.remove(id);
                }
            }
            Phase::Open => {}
        }
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.holders == 0 && connection.phase == Phase::Open {
            let socket = connection.socket();
            if socket.recv_queue() > 0 && socket.state() != State::Closed {
                // Data that nobody will read: the peer is told so (RFC 1122, 4.2.2.13).
                connection.socket_mut().abort();
                return self.mark_dirty(id);
            }
            match connection.socket().state() {
                // All was acknowledged, and lingering is over; the peer's own end may take longer.
                State::FinWait2 if connection.options.linger.take().is_some() => {
                    connection.deadline = Some(now + ORPHAN);
                }
                State::Closed if connection.socket().remote_endpoint().is_none() => return self.remove(id),
                State::TimeWait if !connection.dirty => {
                    let (tuple, peer_next) = (connection.tuple, connection.peer_next);
                    self.remove(id);
                    return self.time_wait.insert(now, tuple, peer_next);
                }
                _ => {}
            }
        }
        let readiness = connection.readiness();
        if connection.socket().send_queue() == 0 && connection.socket().timeout().is_some() {
            connection.socket_mut().set_timeout(None);
        }
        connection.waiting.fire(readiness, &mut self.wakes);
        self.schedule(now, id);
    }

    fn schedule(&mut self, now: Instant, id: Id<Tcp>) {
        let Stack { nics, connections, timers, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        if connection.dirty {
            return;
        }
        let polled = nics[connection.nic].poll_at(now, &connection.socket.set);
        let due = [polled, connection.deadline, connection.gone_at()];
        let Some(at) = due.into_iter().flatten().min() else {
            connection.timer = None;
            return;
        };
        if at <= now {
            connection.dirty = true;
            self.dirty.push_back(Work::Tcp(id));
        } else if connection.timer.is_none_or(|timer| timer > at || timer <= now) {
            // A timer that fires early is looked at again then; one that is due later is set anew.
            connection.timer = Some(at);
            timers.push(at, (id, at));
        }
    }

    pub(super) fn insert(
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

    pub(super) fn remove(&mut self, id: Id<Tcp>) {
        let Some(connection) = self.connections.remove(id) else { return };
        self.flows_by_tuple.remove(&connection.tuple);
        self.keep_socket(connection.socket, &connection.options);
    }

    /// Gives a half-open connection's set a listening socket on `local`.
    pub(super) fn listen_socket(&mut self, id: Id<Tcp>, local: SocketAddr, deadline: Instant) -> bool {
        let Some(connection) = self.connections.get_mut(id) else { return false };
        connection.deadline = Some(deadline);
        connection.socket_mut().listen((local.ip(), local.port())).is_ok()
    }

    /// A bound port for `address` (port 0: an ephemeral one).
    pub fn tcp_bind(&mut self, address: SocketAddr) -> Result<SocketAddr> {
        self.bindable(address)?;
        self.tcp_ports.bind(address, &mut self.rng)
    }

    pub fn tcp_unbind(&mut self, address: SocketAddr) {
        self.tcp_ports.release(address);
    }

    pub fn wildcard_of(ip: IpAddr) -> IpAddr {
        ports::wildcard(ip)
    }
}
