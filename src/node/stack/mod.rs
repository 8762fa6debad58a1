//! A node's IP stack: smoltcp interfaces with a demultiplexer of our own in front.
//!
//! ```text
//! frame --> link.rs --> demux --> connection's own SocketSet --> smoltcp Interface --> output.rs --> link.rs --> egress
//!             |           |-----> listener: a SYN makes a connection (listen.rs)
//!             |           |-----> TIME-WAIT table (time_wait.rs)
//!             |           |-----> UDP flow, echo flow (udp/) ---------------------------------------^
//!             |           '-----> empty set: smoltcp answers echo, RST, unreachable
//!             '--> ARP, neighbour discovery: answered and learned from here
//! ```
//!
//! smoltcp scans its SocketSet for each packet, so each connection has a set of its own, and only what
//! changed ("dirty") or is due ("timers") is polled. The loopback interface carries IP packets in a queue
//! here, and is made when it is first needed.
//!
//! This folder is the only one that knows smoltcp's `iface`, `socket` and `phy`. It knows nothing of
//! guests, descriptors or protocol objects: whoever holds an id is counted, not known.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

use bytes::Bytes;
use smoltcp::iface::SocketSet;
use smoltcp::wire::IpCidr;

mod answer;
mod budget;
mod configure;
mod demux;
mod group;
mod icmp;
mod link;
mod listen;
mod netstat;
mod nic;
mod output;
mod path_mtu;
mod ports;
mod reassembly;
mod rebind;
mod reply;
mod segment;
mod socket;
mod tcp;
mod time_wait;
mod udp;

pub use listen::Listener;
pub use netstat::SocketLine;
pub use socket::TcpOptions;
pub use tcp::Tcp;
pub use udp::{Flow, Udp};

use crate::error::{Error, Result};
use crate::event::Queue;
use crate::network::{Frame, InterfaceConfig, Route, checksum};
use crate::node::slab::{Id, Slab};
use crate::node::wake::Wakes;
use crate::rng::Rng;
use crate::time::Instant;
use budget::Budget;
use demux::{Class, Keyed, Table, Tuple};
use nic::Nic;
use path_mtu::PathMtu;
use ports::Ports;
use reassembly::{Outcome, Reassembly};
use time_wait::TimeWait;

/// Packets that one connection may send before the others of its node have their turn.
const BURST_PACKETS_MAX: usize = 64;
/// Loopback packets waiting in one node; one more is dropped, and TCP sends it again.
const LOOPBACK_PACKETS_MAX: usize = 4096;

/// Bytes of a node's buffers, unless told otherwise.
const BUFFERS: usize = 256 << 20;

/// What can have work to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Tcp(Id<Tcp>),
    Udp(Id<Udp>),
}

/// Counters of what was dropped here and why; a capture shows the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames whose checksums did not hold.
    pub bad_checksum: u64,
    /// Frames cut short, or against their protocol's format.
    pub malformed: u64,
    /// SYNs past a listener's backlog.
    pub backlog_full: u64,
    /// SYNs and datagrams past the node's buffers.
    pub no_buffers: u64,
    /// Datagrams past a flow's buffer or a listener's backlog, and such as are nothing to the protocol over them.
    pub datagrams_dropped: u64,
    /// Loopback packets past the queue.
    pub loopback_dropped: u64,
    /// Fragments that overlapped, and those that came for their packets afterwards.
    pub fragments_overlapping: u64,
    /// Packets of which not all fragments came in time.
    pub reassembly_expired: u64,
    /// Packets whose fragments gave way to others.
    pub reassembly_full: u64,
    /// Packets of our own whose next hop did not answer.
    pub unresolved: u64,
    /// Packets of our own that found no room to wait for their next hop.
    pub queue_full: u64,
    /// Packets of our own to where no route leads.
    pub no_route: u64,
    /// ICMP errors about what was never sent, or was acknowledged, and those that cannot be true.
    pub forged: u64,
    /// Packets of our own that no link takes, and that cannot be cut.
    pub too_big: u64,
    /// Addresses that were to be had and somebody else has.
    pub address_conflicts: u64,
}

pub struct Stack {
    nics: Vec<Nic>,
    /// Index of the loopback interface, once there is one.
    loopback: Option<usize>,
    interfaces: Vec<InterfaceConfig>,
    routes: Vec<Route>,
    /// Routes that DHCP and router advertisements told of, each with its interface.
    learned: Vec<(usize, Route)>,
    /// An interface's addresses have changed, and nobody has asked since.
    readdressed: bool,
    /// Of interfaces that configure themselves; empty if none does.
    configurations: Vec<Option<Box<configure::Configuration>>>,
    configure_at: Option<Instant>,
    /// Of interfaces that somebody listens to groups at.
    groups: BTreeMap<usize, group::Groups>,
    /// Groups were joined or left, and nobody was told.
    groups_changed: bool,
    connections: Slab<Tcp>,
    flows_by_tuple: Table<Id<Tcp>>,
    listeners: Slab<Listener>,
    listening: BTreeMap<u16, Vec<Id<Listener>>>,
    udp: udp::Sockets,
    tcp_ports: Ports,
    time_wait: TimeWait,
    /// Sockets of closed connections, kept for their buffers.
    spare: Vec<socket::Spare>,
    dirty: VecDeque<Work>,
    timers: Queue<(Id<Tcp>, Instant)>,
    loopback_queue: VecDeque<Bytes>,
    egress: Vec<(usize, Frame)>,
    rng: Rng,
    /// Whose interest was met.
    wakes: Wakes,
    /// Of the last packet that was cut into fragments, once there was one.
    identification: Option<u32>,
    reassembly: Reassembly,
    paths: PathMtu,
    /// Long echo requests that were answered last: whose, and their numbers.
    answered: VecDeque<(IpAddr, u32)>,
    budget: Budget,
    statistics: Counted,
}

/// Statistics that take no room before anything is counted.
#[derive(Default)]
struct Counted(Option<Box<Statistics>>);

impl std::ops::Deref for Counted {
    type Target = Statistics;

    fn deref(&self) -> &Statistics {
        static NOTHING: LazyLock<Statistics> = LazyLock::new(Statistics::default);
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl std::ops::DerefMut for Counted {
    fn deref_mut(&mut self) -> &mut Statistics {
        self.0.get_or_insert_default()
    }
}

impl Stack {
    pub fn new(interfaces: &[InterfaceConfig], routes: &[Route], mut rng: Rng, now: Instant) -> Self {
        let nics =
            interfaces.iter().map(|config| Nic::ethernet(config, rng.next_u64(), now)).collect::<Vec<_>>();
        let hash = Keyed(rng.next_u64());
        // Most guests never connect.
        rng.rest();
        Self {
            nics,
            loopback: None,
            interfaces: interfaces.to_vec(),
            routes: routes.to_vec(),
            learned: Vec::new(),
            readdressed: false,
            configurations: Vec::new(),
            configure_at: None,
            groups: BTreeMap::new(),
            groups_changed: false,
            connections: Slab::default(),
            flows_by_tuple: Table::with_hasher(hash.clone()),
            listeners: Slab::default(),
            listening: BTreeMap::new(),
            udp: udp::Sockets::new(hash.clone()),
            tcp_ports: Ports::ascending(),
            time_wait: TimeWait::new(hash),
            spare: Vec::new(),
            dirty: VecDeque::new(),
            timers: Queue::default(),
            loopback_queue: VecDeque::new(),
            egress: Vec::new(),
            identification: None,
            reassembly: Reassembly::default(),
            paths: PathMtu::default(),
            answered: VecDeque::new(),
            rng,
            wakes: Wakes::default(),
            budget: Budget::new(BUFFERS),
            statistics: Counted::default(),
        }
    }

    /// Polls connections over interface `index` for each packet: what is plugged in there is impaired.
    pub fn set_eager(&mut self, index: usize, eager: bool) {
        self.nics[index].eager = eager;
    }

    /// Whether what leaves by the interfaces bears checksums of TCP and UDP; it does unless told otherwise.
    pub fn set_checksums(&mut self, filled_in: bool) {
        let loopback = self.loopback;
        let nics = self.nics.iter_mut().enumerate().filter(|(index, _)| Some(*index) != loopback);
        nics.for_each(|(_, nic)| nic.set_checksums(filled_in));
    }

    /// Bytes that the buffers of sockets may take together; 256 MiB unless told otherwise.
    pub fn set_buffers(&mut self, bytes: usize) {
        self.budget.set_limit(bytes);
    }

    /// Bytes that they take.
    pub fn buffers_in_use(&self) -> usize {
        self.budget.used()
    }

    /// A frame arrived at interface `index`.
    pub fn ingest(&mut self, now: Instant, index: usize, frame: Frame) {
        if frame.checksums == crate::network::Checksums::Unverified
            && !crate::network::verify::holds(&frame.bytes)
        {
            self.statistics.bad_checksum += 1;
            return;
        }
        self.udp.hear_from(frame.checksums == crate::network::Checksums::Unverified);
        self.receive_frame(now, index, frame.bytes);
    }

    /// An IP packet, or a fragment of one, arrived over interface `index`.
    fn receive(&mut self, now: Instant, index: usize, packet: Bytes) {
        match self.reassembly.take(now, packet) {
            Outcome::Whole(packet) => self.receive_whole(now, index, packet),
            Outcome::Together(packet) if crate::network::verify::packet_holds(&packet) => {
                self.receive_whole(now, index, packet);
            }
            Outcome::Together(_) => self.statistics.bad_checksum += 1,
            Outcome::Waiting => {}
            Outcome::Malformed => self.statistics.malformed += 1,
            Outcome::Overlap => self.statistics.fragments_overlapping += 1,
        }
    }

    fn receive_whole(&mut self, now: Instant, index: usize, packet: Bytes) {
        let ethernet = self.nics[index].is_ethernet();
        match demux::classify(&packet) {
            // RFC 1122, 3.2.1.3 (g): loopback addresses do not appear outside a host.
            Class::Tcp(tuple, _) | Class::Udp(tuple, _) | Class::EchoReply(tuple, _)
                if ethernet && tuple.has_loopback() =>
            {
                self.statistics.malformed += 1;
            }
            Class::Tcp(tuple, segment) => self.receive_segment(now, index, tuple, segment, packet),
            Class::Udp(tuple, payload) => self.receive_datagram(now, index, tuple, payload, packet),
            Class::EchoReply(tuple, message) => self.receive_echo(tuple, packet.slice(message)),
            Class::Unreachable(quote, reason) => self.unreachable(now, quote, reason),
            Class::Solicitation | Class::Advertisement if !ethernet => {}
            Class::Solicitation => {
                if self.receive_solicitation(now, index, &packet).is_none() {
                    self.statistics.malformed += 1;
                }
            }
            Class::Advertisement => {
                if self.receive_advertisement(now, index, &packet).is_none() {
                    self.statistics.malformed += 1;
                }
            }
            // smoltcp cuts no answer into fragments, and remembers none for what routers say of it.
            Class::Other if packet.len() > path_mtu::IPV6_MIN && self.echo(now, index, &packet) => {}
            Class::Other if packet.len() > self.nics[index].wire.ip_mtu() => {}
            Class::Other if ethernet && self.heard_membership(now, index, &packet) => {}
            Class::Other if ethernet && self.heard_router(now, index, &packet) => {}
            Class::Other => self.receive_for_nobody(now, index, packet),
            Class::Malformed => self.statistics.malformed += 1,
        }
    }

    /// smoltcp's interface answers what needs no socket, and resets what has none.
    fn receive_for_nobody(&mut self, now: Instant, index: usize, packet: Bytes) {
        // An answer may quote it, and whoever sees that one verifies it.
        let packet = if self.udp.is_from_outside() { packet } else { checksum::completed(packet) };
        self.nics[index].receive(now, packet, &mut SocketSet::new(vec![]));
        self.flush(now, index);
    }

    /// Does what is due. True if there is more to do at this instant.
    pub fn poll(&mut self, now: Instant) -> bool {
        while let Some((id, at)) = self.timers.pop_due(now) {
            if self.connections.get(id).is_some_and(|connection| connection.timer == Some(at)) {
                self.mark_dirty(id);
            }
        }
        self.configure_due(now);
        self.groups_due(now);
        self.neighbours_due(now);
        while let Some(expired) = self.reassembly.expire(now) {
            self.statistics.reassembly_expired += 1;
            if let Some(first) = expired.first {
                self.report_expired(now, &first);
            }
        }
        for _ in 0..self.dirty.len() {
            match self.dirty.pop_front() {
                Some(Work::Tcp(id)) => self.pump(now, id),
                Some(Work::Udp(id)) => self.pump_udp(now, id),
                None => break,
            }
        }
        for _ in 0..self.loopback_queue.len() {
            if let (Some(index), Some(packet)) = (self.loopback, self.loopback_queue.pop_front()) {
                self.receive(now, index, packet);
            }
        }
        self.has_work()
    }

    /// True if something waits to be polled at this instant.
    pub fn has_work(&self) -> bool {
        !self.dirty.is_empty()
            || !self.loopback_queue.is_empty()
            || self.configuration_begins()
            || self.groups_changed
    }

    /// When [`Stack::poll`] is next due, if nothing arrives before.
    pub fn poll_at(&self) -> Option<Instant> {
        let links = self.nics.iter().filter_map(|nic| nic.link.as_ref()?.poll_at());
        let links = links.chain(self.timers.next_at()).chain(self.reassembly.poll_at());
        links.chain(self.configuration_poll_at()).chain(self.groups_poll_at()).min()
    }

    /// Frames that left, with the index of their interface, in order.
    pub fn take_egress(&mut self, into: &mut Vec<(usize, Frame)>) {
        into.append(&mut self.egress);
    }

    /// Who has something to wake up for; whoever is not of the stack adds those that it wakes.
    pub fn wakes(&mut self) -> &mut Wakes {
        &mut self.wakes
    }

    pub(super) fn has_woken_tasks(&self) -> bool {
        self.wakes.has_tasks()
    }

    /// True if nothing is left to be sent or to be acknowledged.
    pub fn is_drained(&self) -> bool {
        let mut links = self.nics.iter().filter_map(|nic| nic.link.as_ref());
        self.connections.is_empty()
            && !self.has_work()
            && self.udp.is_drained()
            && links.all(|link| link.is_drained())
    }

    /// The addresses of the node's own interfaces.
    pub fn addresses(&self) -> impl Iterator<Item = IpCidr> + '_ {
        self.interfaces.iter().flat_map(|interface| interface.addresses.iter().copied())
    }

    pub fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.addresses().any(|cidr| IpAddr::from(cidr.address()) == ip)
    }

    /// A protocol over datagrams could make nothing of one.
    pub fn count_dropped_datagram(&mut self) {
        self.statistics.datagrams_dropped += 1;
    }

    /// The interface and next hop towards `remote`: loopback, then the longest prefix on link or routed.
    fn route(&mut self, now: Instant, remote: IpAddr) -> Result<usize> {
        if self.is_own(remote) {
            return Ok(self.loopback_interface(now));
        }
        let multicast = match remote {
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_multicast(),
        };
        if multicast {
            return if self.interfaces.is_empty() { Err(Error::NetworkUnreachable) } else { Ok(0) };
        }
        let mut best: Option<(u8, usize)> = None;
        let mut offer = |prefix: u8, index: usize| {
            if best.is_none_or(|(longest, _)| prefix > longest) {
                best = Some((prefix, index));
            }
        };
        for (index, interface) in self.interfaces.iter().enumerate() {
            for cidr in &interface.addresses {
                if cidr.contains_addr(&remote.into()) {
                    offer(cidr.prefix_len(), index);
                }
            }
        }
        for route in self.routes.iter().filter(|route| route.prefix.contains_addr(&remote.into())) {
            let via = |interface: &InterfaceConfig| {
                interface.addresses.iter().any(|cidr| cidr.contains_addr(&route.via.into()))
            };
            if let Some(index) = self.interfaces.iter().position(via) {
                offer(route.prefix.prefix_len(), index);
            }
        }
        for (index, route) in
            self.learned.iter().filter(|(_, route)| route.prefix.contains_addr(&remote.into()))
        {
            offer(route.prefix.prefix_len(), *index);
        }
        best.map(|(_, index)| index).ok_or(Error::NetworkUnreachable)
    }

    /// The local address that a flow to `remote` would have.
    ///
    /// # Errors
    /// No route, or no address of the family.
    pub fn source_towards(&mut self, now: Instant, remote: IpAddr) -> Result<IpAddr> {
        let index = self.route(now, remote)?;
        self.source_address(index, remote)
    }

    fn loopback_interface(&mut self, now: Instant) -> usize {
        *self.loopback.get_or_insert_with(|| {
            let own: Vec<IpCidr> =
                self.interfaces.iter().flat_map(|interface| interface.addresses.iter().copied()).collect();
            self.nics.push(Nic::loopback(&own, self.rng.next_u64(), now));
            self.nics.len() - 1
        })
    }

    /// The local address for a flow to `remote` over interface `index` (RFC 6724).
    fn source_address(&mut self, index: usize, remote: IpAddr) -> Result<IpAddr> {
        // A packet to one of our own addresses leaves from that address, as Linux does.
        if Some(index) == self.loopback {
            return Ok(remote);
        }
        let interface = self.nics[index].interface();
        match remote {
            IpAddr::V4(v4) => interface.get_source_address_ipv4(&v4).map(IpAddr::V4),
            IpAddr::V6(v6) => {
                let nearest = interface.get_source_address_ipv6(&v6);
                let source = match self.wide(index).filter(|_| v6.is_multicast() && !group::is_local(remote))
                {
                    // A group beyond the link hears from an address that means something there.
                    Some(wide) => wide,
                    None => nearest,
                };
                let usable = !source.is_loopback() && !source.is_unspecified();
                usable.then(|| IpAddr::V6(self.preferred(index, source)))
            }
        }
        .ok_or(Error::AddressNotAvailable)
    }

    /// An address of interface `index` that means something beyond its link.
    fn wide(&self, index: usize) -> Option<Ipv6Addr> {
        self.interfaces.get(index)?.addresses.iter().find_map(|cidr| match cidr {
            IpCidr::Ipv6(cidr) if !cidr.address().is_unicast_link_local() => Some(cidr.address()),
            IpCidr::Ipv6(_) | IpCidr::Ipv4(_) => None,
        })
    }

    fn mark_dirty(&mut self, id: Id<Tcp>) {
        if let Some(connection) = self.connections.get_mut(id)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push_back(Work::Tcp(id));
        }
    }

    /// Checks that `address` may be bound here: a wildcard, or one of the node's own.
    fn bindable(&self, address: SocketAddr) -> Result<()> {
        let ip = address.ip();
        if ip.is_unspecified() || self.is_own(ip) { Ok(()) } else { Err(Error::AddressNotAvailable) }
    }
}

/// The peer that an address means: the unspecified one is this host, as Linux reads it.
fn destination(remote: SocketAddr) -> SocketAddr {
    let ip = match remote.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, remote.port())
}

/// A tuple's own port towards `remote`.
fn tuple(local: IpAddr, port: u16, remote: SocketAddr) -> Tuple {
    Tuple { local: SocketAddr::new(local, port), remote }
}
