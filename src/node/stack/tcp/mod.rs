//! TCP connections: smoltcp sockets, each in a set of its own, from SYN to TIME-WAIT.
//!
//! ```text
//!  connect --> Connecting ----.
//!  SYN --> HalfOpen --> Queued --> Open --(last holder lets go)--> orphan --> TIME-WAIT table
//! ```
//!
//! An orphan goes on until what was written is acknowledged, or its linger has passed; then it has [`ORPHAN`] for
//! the peer's end. What a guest's calls come to is in `calls.rs`; here is what segments and time do.

mod calls;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use smoltcp::socket::tcp::{self, State};

use super::demux::{self, Segment, Tuple};
use super::listen::Listener;
use super::socket::{Spare, TcpOptions};
use super::time_wait::Answer;
use super::{BURST_PACKETS_MAX, Stack, Work, ports, reply};
use crate::error::{Error, Result};
use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::node::slab::Id;
use crate::node::wake::{Readiness, Watch};
use crate::time::Instant;

/// A SYN that is never answered: as long as Linux's six retries take.
const CONNECT: Duration = Duration::from_secs(127);
/// A half-open connection, and a closed one that the peer never lets go (tcp_fin_timeout).
pub(super) const HALF_OPEN: Duration = Duration::from_secs(60);
const ORPHAN: Duration = Duration::from_secs(60);
/// Data that the peer never acknowledges: Linux's 15 retransmissions (tcp_retries2) take so long (RFC 9293, 3.8.3, wants at
/// least 100 s).
const UNACKNOWLEDGED: Duration = Duration::from_millis(924_600);
/// smoltcp's longest, until it sends again what was not acknowledged.
const TIME_OUT_MAX: Duration = Duration::from_secs(60);
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

    /// Has what a connection has under way sent again, from the first byte that is not acknowledged. smoltcp does so when
    /// its time-out is over, and in no other way: it is told that it is.
    pub(super) fn resend(&mut self, now: Instant, id: Id<Tcp>) {
        self.pump(now, id);
        // An acknowledgement that was put off may come before the time-out.
        for _ in 0..2 {
            let Stack { nics, connections, .. } = self;
            let Some(connection) = connections.get_mut(id) else { return };
            let nic = connection.nic;
            let due = nics[nic].poll_at(now, &connection.socket.set);
            let Some(at) = due.filter(|at| at.since(now) <= TIME_OUT_MAX) else { return };
            nics[nic].transmit(at, &mut connection.socket.set);
            let sent = nics[nic].wire.sent.last();
            let is_data = sent.is_some_and(|packet| demux::has_payload(&packet[ETHERNET_HEADER_BYTES..]));
            self.flush(now, nic);
            if is_data {
                break;
            }
        }
        self.mark_dirty(id);
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
