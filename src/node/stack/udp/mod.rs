//! UDP: sockets that fan out into flows, one for each peer.
//!
//! ```text
//! control.rs  bind, listen, accept, connect: a port and its flows
//! flow.rs     read, write, readiness, errors: the datagrams exchanged with one peer
//! send.rs     from a flow's write to an IP packet, in turn with the other flows of its port
//! receive.rs  from an IP packet to a flow's queue
//! group.rs    what is for many: groups joined and left, datagrams to groups and to everybody
//! ```
//!
//! smoltcp's sockets have no part in it: datagrams are complete when they are written, and wait, if need be, for their own
//! next hop alone (link.rs).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};

use super::SocketLine;
use super::demux::{Keyed, Table, Tuple};
use super::ports::{Ports, wildcard};
use crate::error::Error;
use crate::node::slab::{Id, Slab};
use crate::node::wake::Watch;

mod control;
mod flow;
mod group;
mod receive;
mod send;

/// What a datagram that waits costs besides its bytes, as Linux counts it.
const DATAGRAM_OVERHEAD: usize = 256;

/// All of a stack's UDP state.
pub(super) struct Sockets {
    sockets: Slab<Udp>,
    flows: Slab<Flow>,
    by_tuple: Table<Id<Flow>>,
    /// Flows of what was sent to a group or to everybody, which several ports may hear.
    of_many: BTreeMap<(Id<Udp>, Tuple), Id<Flow>>,
    /// Sockets by local port.
    by_port: BTreeMap<u16, Vec<Id<Udp>>>,
    ports: Ports,
    /// The frame at hand may be a slice of something much longer.
    from_outside: bool,
}

/// A bound UDP port.
pub struct Udp {
    local: SocketAddr,
    /// `Some` once it listens: how many flows may wait.
    backlog: Option<usize>,
    queue: VecDeque<Id<Flow>>,
    /// Bytes that wait to be read in the flows of `queue`.
    unaccepted_bytes: usize,
    waiting: Watch,
    dirty: bool,
    /// Datagrams of all its flows, oldest first: IP packets with room for the Ethernet header in front.
    sending: VecDeque<Sending>,
    /// The control and its flows.
    holders: usize,
    hop_limit: Option<u8>,
    /// Groups that it listens to, each with its interface.
    groups: Vec<(IpAddr, usize)>,
    group_hop_limit: u8,
    /// What is sent to groups is heard by this node's own listeners, too.
    group_loop: bool,
}

struct Sending {
    flow: Id<Flow>,
    nic: usize,
    /// It is for a group, or for everybody on its link.
    is_for_many: bool,
    packet: BytesMut,
}

impl Sending {
    fn cost(&self) -> usize {
        self.packet.len() + DATAGRAM_OVERHEAD
    }
}

/// Datagrams exchanged with one peer.
pub struct Flow {
    socket: Id<Udp>,
    tuple: Tuple,
    nic: usize,
    received: VecDeque<Bytes>,
    /// What waits to be read and to be sent, overhead included.
    received_bytes: usize,
    sending_bytes: usize,
    waiting: Watch,
    error: Option<Error>,
    holders: u8,
    read_shut: bool,
}

impl Sockets {
    pub fn new(hash: Keyed) -> Self {
        Self {
            sockets: Slab::default(),
            flows: Slab::default(),
            by_tuple: Table::with_hasher(hash),
            of_many: BTreeMap::new(),
            by_port: BTreeMap::new(),
            ports: Ports::default(),
            from_outside: false,
        }
    }

    /// Where the next frame comes from: outside, or from a stack of this world, which makes each datagram by itself.
    pub fn hear_from(&mut self, outside: bool) {
        self.from_outside = outside;
    }

    /// Sockets, then flows.
    pub fn netstat(&self) -> impl Iterator<Item = SocketLine> + '_ {
        let line = |receive_queue, send_queue, local, remote| SocketLine {
            protocol: "udp",
            receive_queue,
            send_queue,
            local,
            remote,
            state: "",
        };
        let sockets = self.sockets.ids().filter_map(|id| self.sockets.get(id));
        let flows = self.flows.ids().filter_map(|id| self.flows.get(id));
        let flow = move |flow: &Flow| {
            line(flow.received_bytes, flow.sending_bytes, flow.tuple.local, Some(flow.tuple.remote))
        };
        sockets.map(move |socket| line(socket.queue.len(), 0, socket.local, None)).chain(flows.map(flow))
    }

    pub fn is_drained(&self) -> bool {
        self.sockets.is_empty()
    }

    fn insert_flow(&mut self, socket: Id<Udp>, tuple: Tuple, nic: usize) -> Id<Flow> {
        let id = self.make_flow(socket, tuple, nic);
        self.by_tuple.insert(tuple, id);
        id
    }

    fn make_flow(&mut self, socket: Id<Udp>, tuple: Tuple, nic: usize) -> Id<Flow> {
        if let Some(socket) = self.sockets.get_mut(socket) {
            socket.holders += 1;
        }
        self.flows.insert(Flow {
            socket,
            tuple,
            nic,
            received: VecDeque::new(),
            received_bytes: 0,
            sending_bytes: 0,
            waiting: Watch::default(),
            error: None,
            holders: 0,
            read_shut: false,
        })
    }

    /// Bytes that waited to be read are given back; what was written is still sent.
    fn remove_flow(&mut self, id: Id<Flow>) -> usize {
        let Some(flow) = self.flows.remove(id) else { return 0 };
        if self.of_many.remove(&(flow.socket, flow.tuple)).is_none() {
            self.by_tuple.remove(&flow.tuple);
        }
        self.let_go(flow.socket);
        flow.received_bytes
    }

    /// One holder less; at the last, the port is free and what was written still leaves.
    fn let_go(&mut self, id: Id<Udp>) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        socket.holders -= 1;
        if socket.holders > 0 {
            return;
        }
        let (local, idle) = (socket.local, socket.sending.is_empty());
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
}
