//! A node's IP stack: smoltcp interfaces with a demultiplexer of our own in front.
//!
//! ```text
//! frame --> link/ --> demux --> connection's own SocketSet --> smoltcp Interface --> output.rs --> link/ --> egress
//!             |           |-----> listener: a SYN makes a connection (tcp/)
//!             |           |-----> TIME-WAIT table (tcp/)
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
use std::net::IpAddr;

use bytes::Bytes;
use smoltcp::iface::SocketSet;

mod admission;
mod answer;
mod budget;
mod configure;
mod demux;
mod extension;
mod flows;
mod group;
mod icmp;
mod link;
mod netstat;
mod nic;
mod output;
mod path_mtu;
mod ports;
mod reassembly;
mod rebind;
mod route;
mod statistics;
mod tcp;
mod udp;

pub use admission::Admission;
pub use netstat::SocketLine;
pub use statistics::Statistics;
pub use tcp::{Listener, Tcp, TcpOptions};
pub use udp::{Flow, Udp};

use crate::event::Queue;
use crate::network::{Frame, InterfaceConfig, Route, checksum};
use crate::node::slab::{Id, Slab};
use crate::node::wake::Wakes;
use crate::rng::Rng;
use crate::time::Instant;
use budget::Budget;
use demux::Class;
use flows::{Keyed, Table};
use nic::Nic;
use path_mtu::PathMtu;
use ports::Ports;
use reassembly::{Outcome, Reassembly};
use statistics::Counted;
use tcp::TimeWait;

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
    udp: udp::Made,
    /// The frame at hand comes from outside: it may be a slice of something much longer.
    from_outside: bool,
    tcp_ports: Ports,
    time_wait: TimeWait,
    /// Sockets of closed connections, kept for their buffers.
    spare: Vec<tcp::Spare>,
    dirty: VecDeque<Work>,
    timers: Queue<(Id<Tcp>, Instant)>,
    loopback_queue: VecDeque<Bytes>,
    egress: Vec<(usize, Frame)>,
    rng: Rng,
    /// Whose interest was met.
    wakes: Wakes,
    /// Of the last packet that was cut into fragments, once there was one.
    identification: Option<u32>,
    /// Made with the first fragment.
    reassembly: Option<Box<Reassembly>>,
    paths: PathMtu,
    /// Long echo requests that were answered last: whose, and their numbers.
    answered: VecDeque<(IpAddr, u32)>,
    budget: Budget,
    statistics: Counted,
    /// Once somebody was.
    refused: Option<Box<admission::Refused>>,
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
            udp: udp::Made::new(hash.clone()),
            from_outside: false,
            tcp_ports: Ports::ascending(),
            time_wait: TimeWait::new(hash),
            spare: Vec::new(),
            dirty: VecDeque::new(),
            timers: Queue::default(),
            loopback_queue: VecDeque::new(),
            egress: Vec::new(),
            identification: None,
            reassembly: None,
            paths: PathMtu::default(),
            answered: VecDeque::new(),
            rng,
            wakes: Wakes::default(),
            budget: Budget::new(BUFFERS),
            statistics: Counted::default(),
            refused: None,
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
        self.from_outside = frame.checksums == crate::network::Checksums::Unverified;
        self.receive_frame(now, index, frame.bytes);
    }

    /// An IP packet, or a fragment of one, arrived over interface `index`.
    fn receive(&mut self, now: Instant, index: usize, packet: Bytes) {
        if !reassembly::is_fragment(&packet) {
            return self.receive_whole(now, index, packet);
        }
        match self.reassembly.get_or_insert_default().take(now, packet) {
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
        let Some(packet) = self.without_extensions(now, packet) else { return };
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
            // Longer than what smoltcp was told that a link takes.
            Class::Other if packet.len() > self.nics[index].wire.ip_mtu() => self.statistics.unclaimed += 1,
            Class::Other if ethernet && self.heard_membership(now, index, &packet) => {}
            Class::Other if ethernet && self.heard_router(now, index, &packet) => {}
            Class::Other => self.receive_for_nobody(now, index, packet),
            Class::Malformed => self.statistics.malformed += 1,
        }
    }

    /// smoltcp's interface answers what needs no socket, and resets what has none.
    fn receive_for_nobody(&mut self, now: Instant, index: usize, packet: Bytes) {
        // An answer may quote it, and whoever sees that one verifies it.
        let packet = if self.from_outside { packet } else { checksum::completed(packet) };
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
        while let Some(expired) = self.reassembly.as_mut().and_then(|parts| parts.expire(now)) {
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
        let links = links
            .chain(self.timers.next_at())
            .chain(self.reassembly.as_ref().and_then(|parts| parts.poll_at()));
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

    fn mark_dirty(&mut self, id: Id<Tcp>) {
        if let Some(connection) = self.connections.get_mut(id)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push_back(Work::Tcp(id));
        }
    }
}
