//! UDP: sockets that fan out into flows, one for each peer.
//!
//! Received datagrams go from the frame into their flow's queue without a copy; sent ones go through a
//! smoltcp socket, which resolves the neighbour.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::UDP_HEADER_LEN;

use super::demux::{Keyed, Table, Tuple, Unreachable};
use super::ports::{Ports, wildcard};
use super::{BURST_PACKETS_MAX, SocketLine, Stack, Work};
use crate::error::{Error, Result};
use crate::event::Queue;
use crate::node::slab::{Id, Slab};
use crate::node::wake::{Interest, Readiness, Waiter, Wakes, Watch};
use crate::time::Instant;

/// Datagrams and bytes that may wait to be sent in one socket.
const SEND_DATAGRAMS: usize = 64;
const SEND_BYTES: usize = 64 * 1024;
/// Bytes that may wait to be read in one flow, each datagram counted with its overhead, as Linux does.
const RECEIVE_BYTES: usize = 208 * 1024;
const DATAGRAM_OVERHEAD: usize = 256;
/// Flows of one socket that may wait for `accept`.
const BACKLOG_MAX: usize = 4096;

/// All of a stack's UDP state.
pub(super) struct Sockets {
    sockets: Slab<Udp>,
    flows: Slab<Flow>,
    by_tuple: Table<Id<Flow>>,
    /// Sockets by local port.
    by_port: BTreeMap<u16, Vec<Id<Udp>>>,
    ports: Ports,
    /// Sockets whose next datagram may wait for a neighbour's address.
    unresolved: Vec<Id<Udp>>,
    timers: Queue<Id<Udp>>,
}

impl Sockets {
    /// Sockets, then flows; what is queued to be sent is counted with neither.
    pub fn netstat(&self) -> impl Iterator<Item = SocketLine> + '_ {
        let line = |receive_queue, local, remote| SocketLine {
            protocol: "udp",
            receive_queue,
            send_queue: 0,
            local,
            remote,
            state: "",
        };
        let sockets = self.sockets.ids().filter_map(|id| self.sockets.get(id));
        let flows = self.flows.ids().filter_map(|id| self.flows.get(id));
        sockets.map(move |socket| line(socket.queue.len(), socket.local, None)).chain(
            flows.map(move |flow| line(flow.received_bytes, flow.tuple.local, Some(flow.tuple.remote))),
        )
    }

    pub fn new(hash: Keyed) -> Self {
        Self {
            sockets: Slab::default(),
            flows: Slab::default(),
            by_tuple: Table::with_hasher(hash),
            by_port: BTreeMap::new(),
            ports: Ports::default(),
            unresolved: Vec::new(),
            timers: Queue::default(),
        }
    }

    /// When a socket's neighbour is to be asked for again.
    pub fn poll_at(&self) -> Option<Instant> {
        self.timers.next_at()
    }

    pub fn is_drained(&self) -> bool {
        self.sockets.is_empty()
    }
}

/// A bound UDP port.
pub struct Udp {
    local: SocketAddr,
    /// One smoltcp socket for each interface that it sent over.
    senders: Vec<Sender>,
    /// `Some` once it listens: how many flows may wait.
    backlog: Option<usize>,
    queue: VecDeque<Id<Flow>>,
    waiting: Watch,
    dirty: bool,
    unresolved: bool,
    /// Flows that wait to send.
    blocked: Vec<Id<Flow>>,
    /// The control and its flows.
    holders: usize,
    hop_limit: Option<u8>,
}

struct Sender {
    nic: usize,
    set: SocketSet<'static>,
    handle: SocketHandle,
}

/// Datagrams exchanged with one peer.
pub struct Flow {
    socket: Id<Udp>,
    tuple: Tuple,
    nic: usize,
    received: VecDeque<Bytes>,
    received_bytes: usize,
    waiting: Watch,
    error: Option<Error>,
    holders: u8,
    read_shut: bool,
}

impl Stack {
    pub fn udp_bind(&mut self, address: SocketAddr) -> Result<Id<Udp>> {
        self.bindable(address)?;
        let local = self.udp.ports.bind(address, &mut self.rng)?;
        let id = self.udp.sockets.insert(Udp {
            local,
            senders: Vec::new(),
            backlog: None,
            queue: VecDeque::new(),
            waiting: Watch::default(),
            dirty: false,
            unresolved: false,
            blocked: Vec::new(),
            holders: 1,
            hop_limit: None,
        });
        self.udp.by_port.entry(local.port()).or_default().push(id);
        Ok(id)
    }

    pub fn udp_local(&self, id: Id<Udp>) -> Option<SocketAddr> {
        self.udp.sockets.get(id).map(|socket| socket.local)
    }

    pub fn udp_listen(&mut self, id: Id<Udp>, backlog: usize) -> Result<()> {
        let socket = self.udp.sockets.get_mut(id).ok_or(Error::BadDescriptor)?;
        socket.backlog = Some(backlog.clamp(1, BACKLOG_MAX));
        Ok(())
    }

    pub fn udp_set_hop_limit(&mut self, id: Id<Udp>, hop_limit: Option<u8>) {
        let Some(socket) = self.udp.sockets.get_mut(id) else { return };
        socket.hop_limit = hop_limit.filter(|&limit| limit > 0);
        let hop_limit = socket.hop_limit;
        for sender in &mut socket.senders {
            sender.set.get_mut::<udp::Socket>(sender.handle).set_hop_limit(hop_limit);
        }
    }

    pub fn udp_hop_limit(&self, id: Id<Udp>) -> Option<u8> {
        self.udp.sockets.get(id).and_then(|socket| socket.hop_limit)
    }

    pub fn udp_accept(&mut self, id: Id<Udp>) -> Result<Id<Flow>> {
        let socket = self.udp.sockets.get_mut(id).ok_or(Error::BadDescriptor)?;
        if socket.backlog.is_none() {
            return Err(Error::Invalid);
        }
        let flow = socket.queue.pop_front().ok_or(Error::WouldBlock)?;
        self.flow_hold(flow);
        Ok(flow)
    }

    pub fn udp_connect(&mut self, now: Instant, id: Id<Udp>, remote: SocketAddr) -> Result<Id<Flow>> {
        if remote.port() == 0 {
            return Err(Error::AddressNotAvailable);
        }
        let remote = super::destination(remote);
        let nic = self.route(now, remote.ip())?;
        let local = self.udp.sockets.get(id).ok_or(Error::BadDescriptor)?.local;
        let ip =
            if local.ip().is_unspecified() { self.source_address(nic, remote.ip())? } else { local.ip() };
        let tuple = super::tuple(ip, local.port(), remote);
        if Some(nic) != self.loopback && tuple.has_loopback() {
            return Err(Error::AddressNotAvailable);
        }
        if self.udp.by_tuple.contains_key(&tuple) {
            return Err(Error::IsConnected);
        }
        let flow = self.udp.insert_flow(id, tuple, nic);
        self.flow_hold(flow);
        Ok(flow)
    }

    pub fn udp_readiness(&self, id: Id<Udp>) -> Readiness {
        let waiting = self.udp.sockets.get(id).map_or(0, |socket| socket.queue.len());
        Readiness { read: waiting > 0, write: true, read_bytes: waiting, ..Default::default() }
    }

    pub fn udp_watch(&mut self, id: Id<Udp>, interest: Interest, waiter: Waiter) {
        if let Some(socket) = self.udp.sockets.get_mut(id) {
            socket.waiting.join(interest, waiter);
        }
    }

    /// The control lets go of the port. Flows that nobody accepted end.
    pub fn udp_release(&mut self, id: Id<Udp>) {
        let Some(socket) = self.udp.sockets.get_mut(id) else { return };
        socket.backlog = None;
        for flow in std::mem::take(&mut socket.queue) {
            self.udp.remove_flow(flow);
        }
        self.udp.let_go(id);
    }

    pub fn flow_hold(&mut self, id: Id<Flow>) {
        if let Some(flow) = self.udp.flows.get_mut(id) {
            flow.holders += 1;
        }
    }

    pub fn flow_release(&mut self, id: Id<Flow>) {
        let Some(flow) = self.udp.flows.get_mut(id) else { return };
        flow.holders -= 1;
        if flow.holders == 0 {
            self.udp.remove_flow(id);
        }
    }

    pub fn flow_addresses(&self, id: Id<Flow>) -> Option<(SocketAddr, SocketAddr)> {
        self.udp.flows.get(id).map(|flow| (flow.tuple.local, flow.tuple.remote))
    }

    /// The next datagram, as much of it as `buffer` takes, and its full length.
    pub fn flow_read(&mut self, id: Id<Flow>, buffer: &mut [u8], peek: bool) -> Result<(usize, usize)> {
        let flow = self.udp.flows.get_mut(id).ok_or(Error::BadDescriptor)?;
        let Some(datagram) = flow.received.front() else {
            return match flow.error.take() {
                Some(error) => Err(error),
                None if flow.read_shut => Ok((0, 0)),
                None => Err(Error::WouldBlock),
            };
        };
        let count = datagram.len().min(buffer.len());
        buffer[..count].copy_from_slice(&datagram[..count]);
        let length = datagram.len();
        if !peek {
            flow.received_bytes -= length + DATAGRAM_OVERHEAD;
            flow.received.pop_front();
        }
        Ok((count, length))
    }

    /// Sends one datagram whole.
    pub fn flow_write(&mut self, id: Id<Flow>, datagram: &[u8]) -> Result<()> {
        let flow = self.udp.flows.get_mut(id).ok_or(Error::BadDescriptor)?;
        if let Some(error) = flow.error.take() {
            return Err(error);
        }
        let header = if flow.tuple.remote.is_ipv4() { 20 } else { 40 } + UDP_HEADER_LEN;
        if datagram.len() + header > self.nics[flow.nic].wire.ip_mtu() {
            return Err(Error::MessageSize);
        }
        let (socket, nic, tuple) = (flow.socket, flow.nic, flow.tuple);
        let socket_id = socket;
        let socket = self.udp.sockets.get_mut(socket).ok_or(Error::BadDescriptor)?;
        let sender = socket.sender(nic)?;
        let metadata = udp::UdpMetadata {
            endpoint: tuple.remote.into(),
            local_address: Some(tuple.local.ip().into()),
            meta: Default::default(),
        };
        match sender.send_slice(datagram, metadata) {
            Ok(()) => {
                self.udp_dirty(socket_id);
                Ok(())
            }
            Err(udp::SendError::BufferFull) => Err(Error::WouldBlock),
            Err(udp::SendError::Unaddressable) => Err(Error::NetworkUnreachable),
        }
    }

    pub fn flow_shutdown(&mut self, id: Id<Flow>) {
        if let Some(flow) = self.udp.flows.get_mut(id) {
            flow.read_shut = true;
        }
    }

    pub fn flow_readiness(&self, id: Id<Flow>) -> Readiness {
        let Some(flow) = self.udp.flows.get(id) else {
            return Readiness { read: true, write: true, hangup: true, ..Default::default() };
        };
        let sender = self.udp.sockets.get(flow.socket).and_then(|socket| {
            let sender = socket.senders.iter().find(|sender| sender.nic == flow.nic)?;
            Some(sender.set.get::<udp::Socket>(sender.handle))
        });
        let error = flow.error.is_some();
        Readiness {
            read: !flow.received.is_empty() || error || flow.read_shut,
            write: error || sender.is_none_or(|sender| sender.can_send()),
            read_bytes: flow.received.front().map_or(0, |datagram| datagram.len()),
            write_bytes: sender
                .map_or(SEND_BYTES, |sender| sender.payload_send_capacity() - sender.send_queue()),
            hangup: flow.read_shut,
        }
    }

    pub fn flow_watch(&mut self, id: Id<Flow>, interest: Interest, waiter: Waiter) {
        let Some(flow) = self.udp.flows.get_mut(id) else { return };
        let blocked = interest.write && !flow.waiting.is_writing();
        flow.waiting.join(interest, waiter);
        if let Some(socket) = self.udp.sockets.get_mut(flow.socket).filter(|_| blocked) {
            socket.blocked.push(id);
        }
    }

    pub(super) fn receive_datagram(
        &mut self,
        now: Instant,
        nic: usize,
        tuple: Tuple,
        payload: Range<usize>,
        packet: Bytes,
    ) {
        let flow = match self.udp.by_tuple.get(&tuple) {
            Some(&flow) => flow,
            None => {
                let own = self.is_own(tuple.local.ip());
                let Some(socket) = self.udp.listening_on(tuple.local).filter(|_| own) else {
                    return self.receive_for_nobody(now, nic, packet);
                };
                if !self.udp.has_room(socket) {
                    self.statistics.datagrams_dropped += 1;
                    return;
                }
                let flow = self.udp.insert_flow(socket, tuple, nic);
                if let Some(socket) = self.udp.sockets.get_mut(socket) {
                    socket.queue.push_back(flow);
                    socket.waiting.fire(Readiness { read: true, ..Default::default() }, &mut self.wakes);
                }
                flow
            }
        };
        let Some(flow) = self.udp.flows.get_mut(flow) else { return };
        let cost = payload.len() + DATAGRAM_OVERHEAD;
        if flow.read_shut || flow.received_bytes + cost > RECEIVE_BYTES {
            self.statistics.datagrams_dropped += 1;
            return;
        }
        flow.received_bytes += cost;
        flow.received.push_back(packet.slice(payload));
        flow.waiting.fire(Readiness { read: true, ..Default::default() }, &mut self.wakes);
    }

    /// Port unreachable is refused (RFC 1122, 4.1.3.3); the rest says that the peer cannot be reached.
    pub(super) fn udp_unreachable(&mut self, tuple: Tuple, reason: Unreachable) {
        let Some(&id) = self.udp.by_tuple.get(&tuple) else { return };
        let Some(flow) = self.udp.flows.get_mut(id) else { return };
        flow.error = Some(match reason {
            Unreachable::Port => Error::ConnectionRefused,
            Unreachable::Network => Error::NetworkUnreachable,
            Unreachable::Host | Unreachable::Prohibited => Error::HostUnreachable,
            Unreachable::TooBig => Error::MessageSize,
        });
        flow.waiting.fire(Readiness { read: true, write: true, ..Default::default() }, &mut self.wakes);
    }

    pub(super) fn udp_neighbour(&mut self) {
        for id in std::mem::take(&mut self.udp.unresolved) {
            if let Some(socket) = self.udp.sockets.get_mut(id) {
                socket.unresolved = false;
                self.udp_dirty(id);
            }
        }
    }

    fn udp_dirty(&mut self, id: Id<Udp>) {
        if let Some(socket) = self.udp.sockets.get_mut(id)
            && !socket.dirty
        {
            socket.dirty = true;
            self.dirty.push_back(Work::Udp(id));
        }
    }

    pub(super) fn pump_udp(&mut self, now: Instant, id: Id<Udp>) {
        let Stack { nics, udp, .. } = self;
        let Some(socket) = udp.sockets.get_mut(id) else { return };
        socket.dirty = false;
        let mut over = Vec::new();
        let mut again = false;
        let mut waits: Option<Instant> = None;
        for sender in &mut socket.senders {
            let nic = &mut nics[sender.nic];
            let mut sent = 0;
            while sent < BURST_PACKETS_MAX && nic.transmit(now, &mut sender.set) {
                sent += 1;
            }
            again |= sent == BURST_PACKETS_MAX;
            if sent > 0 {
                over.push(sender.nic);
            }
            if let Some(at) = nic.poll_at(now, &sender.set).filter(|&at| at > now) {
                waits = Some(waits.map_or(at, |other| other.min(at)));
            }
        }
        if let Some(at) = waits {
            if !socket.unresolved {
                socket.unresolved = true;
                udp.unresolved.push(id);
                udp.timers.push(at, id);
            }
        } else if socket.holders == 0 && !again {
            udp.sockets.remove(id);
        }
        for nic in over {
            self.flush(now, nic);
            self.udp.fire_writers(id, &mut self.wakes);
        }
        if again {
            self.udp_dirty(id);
        }
    }

    /// Sockets whose neighbour is to be asked for again.
    pub(super) fn udp_due(&mut self, now: Instant) {
        while let Some(id) = self.udp.timers.pop_due(now) {
            self.udp.unresolved.retain(|&other| other != id);
            if let Some(socket) = self.udp.sockets.get_mut(id) {
                socket.unresolved = false;
            }
            self.udp_dirty(id);
        }
    }
}

impl Sockets {
    fn insert_flow(&mut self, socket: Id<Udp>, tuple: Tuple, nic: usize) -> Id<Flow> {
        let id = self.flows.insert(Flow {
            socket,
            tuple,
            nic,
            received: VecDeque::new(),
            received_bytes: 0,
            waiting: Watch::default(),
            error: None,
            holders: 0,
            read_shut: false,
        });
        self.by_tuple.insert(tuple, id);
        if let Some(socket) = self.sockets.get_mut(socket) {
            socket.holders += 1;
        }
        id
    }

    fn remove_flow(&mut self, id: Id<Flow>) {
        if let Some(flow) = self.flows.remove(id) {
            self.by_tuple.remove(&flow.tuple);
            self.let_go(flow.socket);
        }
    }

    /// One holder less; at the last, the port is free and what was written still leaves.
    fn let_go(&mut self, id: Id<Udp>) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        socket.holders -= 1;
        if socket.holders > 0 {
            return;
        }
        let local = socket.local;
        let idle = socket.senders.iter().all(Sender::is_idle);
        self.ports.release(local);
        if let Some(list) = self.by_port.get_mut(&local.port()) {
            list.retain(|&other| other != id);
            if list.is_empty() {
                self.by_port.remove(&local.port());
            }
        }
        if idle {
            self.sockets.remove(id);
        }
    }

    fn listening_on(&self, local: SocketAddr) -> Option<Id<Udp>> {
        let list = self.by_port.get(&local.port())?;
        let find = |ip| {
            list.iter()
                .copied()
                .find(|&id| self.sockets.get(id).is_some_and(|s| s.backlog.is_some() && s.local.ip() == ip))
        };
        find(local.ip()).or_else(|| find(wildcard(local.ip())))
    }

    fn has_room(&self, id: Id<Udp>) -> bool {
        self.sockets.get(id).is_some_and(|s| s.backlog.is_some_and(|backlog| s.queue.len() < backlog))
    }

    /// Wakes flows that waited to send through socket `id`.
    fn fire_writers(&mut self, id: Id<Udp>, wakes: &mut Wakes) {
        let blocked = self.sockets.get_mut(id).map(|socket| std::mem::take(&mut socket.blocked));
        for flow in blocked.unwrap_or_default() {
            if let Some(flow) = self.flows.get_mut(flow) {
                flow.waiting.fire(Readiness { write: true, ..Default::default() }, wakes);
            }
        }
    }
}

impl Sender {
    fn is_idle(&self) -> bool {
        self.set.get::<udp::Socket>(self.handle).send_queue() == 0
    }
}

impl Udp {
    fn sender(&mut self, nic: usize) -> Result<&mut udp::Socket<'static>> {
        let at = match self.senders.iter().position(|sender| sender.nic == nic) {
            Some(at) => at,
            None => {
                let receive = udp::PacketBuffer::new(vec![], vec![]);
                let metadata = vec![udp::PacketMetadata::EMPTY; SEND_DATAGRAMS];
                let send = udp::PacketBuffer::new(metadata, vec![0; SEND_BYTES]);
                let mut socket = udp::Socket::new(receive, send);
                socket.bind(self.local.port()).map_err(|_| Error::AddressNotAvailable)?;
                socket.set_hop_limit(self.hop_limit);
                let mut set = SocketSet::new(Vec::with_capacity(1));
                let handle = set.add(socket);
                self.senders.push(Sender { nic, set, handle });
                self.senders.len() - 1
            }
        };
        let Sender { set, handle, .. } = &mut self.senders[at];
        Ok(set.get_mut(*handle))
    }
}
