//! UDP, and echo requests, which are datagrams as well: sockets that fan out into flows, one for each peer.
//!
//! ```text
//! control.rs  bind, listen, accept, connect: a port and its flows
//! flow.rs     read, write, readiness, errors: the datagrams exchanged with one peer
//! send.rs     from a flow's write to an IP packet, in turn with the other flows of its port
//! receive.rs  from an IP packet to a flow's queue
//! echo.rs     echo requests and their answers, with an identifier in a port's place
//! group.rs    what is for many: groups joined and left, datagrams to groups and to everybody
//! ```
//!
//! smoltcp's sockets have no part in it: datagrams are complete when they are written, and wait, if need be, for their own
//! next hop alone (link/).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};

use super::flows::{Keyed, Table, Tuple};
use super::ports::{Ports, wildcard};
use super::{Admission, SocketLine};
use crate::error::Error;
use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::node::slab::{Id, Slab};
use crate::node::wake::Watch;

mod control;
mod echo;
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
    udp: Known,
    echo: Known,
    /// Flows of what was sent to a group or to everybody, which several ports may hear.
    of_many: BTreeMap<(Id<Udp>, Tuple), Id<Flow>>,
    /// Sockets by local port.
    by_port: BTreeMap<u16, Vec<Id<Udp>>>,
}

/// What a socket's datagrams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Carried {
    Udp,
    /// ICMP echo requests and their answers. A request's identifier is the local port; peers have none.
    Echo,
}

/// What is taken, of one kind of datagrams.
struct Known {
    by_tuple: Table<Id<Flow>>,
    ports: Ports,
}

/// A bound UDP port, or an identifier of echo requests.
pub struct Udp {
    carried: Carried,
    local: SocketAddr,
    /// `Some` once it listens: how many flows may wait.
    backlog: Option<usize>,
    queue: VecDeque<Id<Flow>>,
    /// Bytes that wait to be read in the flows of `queue`.
    unaccepted_bytes: usize,
    waiting: Watch,
    /// `None`: everybody is let in.
    admission: Option<Arc<dyn Admission>>,
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
    keeps_whole: bool,
    packet: BytesMut,
}

impl Sending {
    fn cost(&self) -> usize {
        self.packet.len() + DATAGRAM_OVERHEAD
    }

    /// The address of ours that it bears.
    fn source(&self) -> IpAddr {
        match self.packet[ETHERNET_HEADER_BYTES..] {
            [0x45, _, _, _, _, _, _, _, _, _, _, _, a, b, c, d, ..] => Ipv4Addr::new(a, b, c, d).into(),
            ref ip => {
                let octets: Option<[u8; 16]> = ip.get(8..24).and_then(|bytes| bytes.try_into().ok());
                octets.map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from).into()
            }
        }
    }
}

/// Datagrams exchanged with one peer.
pub struct Flow {
    carried: Carried,
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
    /// Its datagrams are never cut.
    keeps_whole: bool,
    /// The node has its local address no longer: nothing leaves from there, and nobody looks for the flow any more.
    uprooted: bool,
}

/// Sockets that take no room before there is one: many guests have none.
pub(super) struct Made {
    hash: Keyed,
    made: Option<Box<Sockets>>,
}

impl Made {
    pub fn new(hash: Keyed) -> Self {
        Self { hash, made: None }
    }
}

impl Deref for Made {
    type Target = Sockets;

    fn deref(&self) -> &Sockets {
        static NONE: LazyLock<Sockets> = LazyLock::new(|| Sockets::new(Keyed(0)));
        self.made.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Made {
    fn deref_mut(&mut self) -> &mut Sockets {
        self.made.get_or_insert_with(|| Box::new(Sockets::new(self.hash.clone())))
    }
}

impl Sockets {
    fn new(hash: Keyed) -> Self {
        Self {
            sockets: Slab::default(),
            flows: Slab::default(),
            udp: Known::new(hash.clone()),
            echo: Known::new(hash),
            of_many: BTreeMap::new(),
            by_port: BTreeMap::new(),
        }
    }

    fn of(&self, carried: Carried) -> &Known {
        match carried {
            Carried::Udp => &self.udp,
            Carried::Echo => &self.echo,
        }
    }

    fn of_mut(&mut self, carried: Carried) -> &mut Known {
        match carried {
            Carried::Udp => &mut self.udp,
            Carried::Echo => &mut self.echo,
        }
    }

    /// The flow between these ends.
    fn find(&self, carried: Carried, tuple: &Tuple) -> Option<Id<Flow>> {
        self.of(carried).by_tuple.get(tuple).copied()
    }

    /// Sockets, then flows.
    pub fn netstat(&self) -> impl Iterator<Item = SocketLine> + '_ {
        let line = |carried, receive_queue, send_queue, local, remote| SocketLine {
            protocol: match carried {
                Carried::Udp => "udp",
                Carried::Echo => "icmp",
            },
            receive_queue,
            send_queue,
            local,
            remote,
            state: "",
        };
        let sockets = self.sockets.ids().filter_map(|id| self.sockets.get(id));
        let flows = self.flows.ids().filter_map(|id| self.flows.get(id));
        let flow = move |flow: &Flow| {
            let Flow { carried, received_bytes, sending_bytes, tuple, .. } = flow;
            line(*carried, *received_bytes, *sending_bytes, tuple.local, Some(tuple.remote))
        };
        let socket = move |socket: &Udp| line(socket.carried, socket.queue.len(), 0, socket.local, None);
        sockets.map(socket).chain(flows.map(flow))
    }

    pub fn is_drained(&self) -> bool {
        self.sockets.is_empty()
    }

    fn insert_flow(&mut self, socket: Id<Udp>, tuple: Tuple, nic: usize) -> Id<Flow> {
        let id = self.make_flow(socket, tuple, nic);
        if let Some(carried) = self.flows.get(id).map(|flow| flow.carried) {
            self.of_mut(carried).by_tuple.insert(tuple, id);
        }
        id
    }

    fn make_flow(&mut self, socket: Id<Udp>, tuple: Tuple, nic: usize) -> Id<Flow> {
        let mut carried = Carried::Udp;
        if let Some(socket) = self.sockets.get_mut(socket) {
            socket.holders += 1;
            carried = socket.carried;
        }
        self.flows.insert(Flow {
            carried,
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
            keeps_whole: false,
            uprooted: false,
        })
    }

    /// Bytes that waited to be read are given back; what was written is still sent.
    fn remove_flow(&mut self, id: Id<Flow>) -> usize {
        let Some(flow) = self.flows.remove(id) else { return 0 };
        // Where the address has come back, another flow may have its place.
        if !flow.uprooted && self.of_many.remove(&(flow.socket, flow.tuple)).is_none() {
            self.of_mut(flow.carried).by_tuple.remove(&flow.tuple);
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
        let (carried, local, idle) = (socket.carried, socket.local, socket.sending.is_empty());
        self.of_mut(carried).ports.release(local);
        if carried == Carried::Udp
            && let Some(list) = self.by_port.get_mut(&local.port())
        {
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

    pub fn admit(&mut self, id: Id<Udp>, admission: Arc<dyn Admission>) {
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.admission = Some(admission);
        }
    }

    fn has_room(&self, id: Id<Udp>) -> bool {
        self.sockets.get(id).is_some_and(|s| s.backlog.is_some_and(|backlog| s.queue.len() < backlog))
    }
}

impl Known {
    fn new(hash: Keyed) -> Self {
        Self { by_tuple: Table::with_hasher(hash), ports: Ports::default() }
    }
}
