//! A network interface: smoltcp's `Interface` with a device that holds one received packet and collects what is sent.
//!
//! smoltcp speaks IP alone here; what is sent has room in front for the Ethernet header that link/ writes.

use bytes::{Bytes, BytesMut};
use smoltcp::iface::{Config, Interface, PollIngressSingleResult, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant as SmoltcpInstant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::link::Link;
use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::network::ip::ndp::solicited_node;
use crate::network::{InterfaceConfig, checksum};
use crate::time::Instant;

/// Frames are cut from chunks, so that a frame costs no allocation of its own. A chunk starts small, for
/// the guest that only answers an ARP request now and then, and doubles up to the maximum.
const CHUNK_BYTES_MIN: usize = 2 * 1024;
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// The loopback interface's MTU, as on Linux.
const LOOPBACK_MTU: usize = 65_535;

pub struct Nic {
    /// Made when it is first asked for: a guest that is idle has no use for it, and it is what takes most of a stack's room.
    interface: Option<Box<Interface>>,
    /// What it is made with.
    seed: u64,
    began: Instant,
    addresses: Vec<IpCidr>,
    pub wire: Wire,
    /// Poll a connection for each packet rather than once a turn: whatever is at the other end of an
    /// impaired link needs each acknowledgement (smoltcp's slow start grows one MSS an ACK).
    pub eager: bool,
    /// `None` for loopback.
    pub link: Option<Link>,
    /// The groups of its addresses may not have been reported yet.
    unreported: bool,
}

/// smoltcp's time: microseconds, rounded down, so that nothing seems due before it is.
pub fn to_smoltcp(now: Instant) -> SmoltcpInstant {
    SmoltcpInstant::from_micros((now.nanos() / 1_000) as i64)
}

impl Nic {
    pub fn ethernet(config: &InterfaceConfig, seed: u64, now: Instant) -> Nic {
        let mut nic = Nic::new(config.mtu, Some(Link::new(config.mac)), seed, now);
        nic.rebind(&config.addresses);
        nic
    }

    /// Has these addresses from now on. smoltcp needs no routes: it asks them for neighbours alone, which link/ finds.
    pub fn rebind(&mut self, addresses: &[IpCidr]) {
        let before = std::mem::replace(&mut self.addresses, addresses.to_vec());
        self.unreported |= !solicited(addresses).is_empty();
        if let Some(interface) = &mut self.interface {
            assign(interface, addresses);
            join_solicited(interface, &before, addresses);
        }
        if let Some(link) = &mut self.link {
            link.forget();
        }
    }

    /// 127.0.0.1, ::1 and the node's own addresses, reached without a port.
    pub fn loopback(own: &[IpCidr], seed: u64, now: Instant) -> Nic {
        let mut nic = Nic::new(LOOPBACK_MTU, None, seed, now);
        nic.rebind_loopback(own);
        nic
    }

    fn new(mtu: usize, link: Option<Link>, seed: u64, began: Instant) -> Nic {
        // Nobody reads what loopback carries but this stack.
        let wire = Wire::new(mtu, link.is_some());
        let addresses = Vec::new();
        Nic { interface: None, seed, began, addresses, wire, eager: false, link, unreported: false }
    }

    /// smoltcp's interface.
    pub fn interface(&mut self) -> &mut Interface {
        self.parts().0
    }

    /// smoltcp's interface, and the device that it is polled with.
    fn parts(&mut self) -> (&mut Interface, &mut Wire) {
        let Nic { interface, seed, began, addresses, wire, link, .. } = self;
        let interface = interface.get_or_insert_with(|| {
            let mut settings = Config::new(HardwareAddress::Ip);
            settings.random_seed = *seed;
            let mut interface = Interface::new(settings, wire, to_smoltcp(*began));
            assign(&mut interface, addresses);
            if link.is_some() {
                join_solicited(&mut interface, &[], addresses);
            }
            Box::new(interface)
        });
        (interface, wire)
    }

    /// The loopback interface of a node with these addresses.
    pub fn rebind_loopback(&mut self, own: &[IpCidr]) {
        let mut addresses = vec![
            IpCidr::new(std::net::Ipv4Addr::LOCALHOST.into(), 8),
            IpCidr::new(std::net::Ipv6Addr::LOCALHOST.into(), 128),
        ];
        addresses.extend_from_slice(own);
        if let Some(interface) = &mut self.interface {
            assign(interface, &addresses);
        }
        self.addresses = addresses;
    }

    /// Whether the checksums of TCP and UDP are filled in.
    pub fn set_checksums(&mut self, computed: bool) {
        self.wire.checksums = computed;
    }

    /// True if what is sent here leaves the node.
    pub fn is_ethernet(&self) -> bool {
        self.link.is_some()
    }

    /// Gives one received packet to the sockets of `set`. What smoltcp answers lands in `wire.sent`.
    pub fn receive(&mut self, now: Instant, packet: Bytes, set: &mut SocketSet<'static>) {
        self.wire.received = Some(packet);
        let (interface, wire) = self.parts();
        let result = interface.poll_ingress_single(to_smoltcp(now), wire, set);
        debug_assert!(!matches!(result, PollIngressSingleResult::None));
        self.wire.received = None;
    }

    /// Reports new groups, if there are any: for what is sent without a socket of smoltcp's.
    pub fn report_groups(&mut self, now: Instant) {
        if std::mem::take(&mut self.unreported) {
            self.transmit(now, &mut SocketSet::new(vec![]));
        }
    }

    /// Sends at most one packet from each socket of `set`; true if there was any.
    pub fn transmit(&mut self, now: Instant, set: &mut SocketSet<'static>) -> bool {
        let before = self.wire.sent.len();
        let (interface, wire) = self.parts();
        interface.poll_egress(to_smoltcp(now), wire, set);
        wire.sent.len() > before
    }

    /// When a socket of `set` wants to be polled; never earlier than `now`.
    pub fn poll_at(&mut self, now: Instant, set: &SocketSet<'static>) -> Option<Instant> {
        let at = self.interface().poll_at(to_smoltcp(now), set)?;
        // `PollAt::Now` is time 0 there.
        let micros = u64::try_from(at.total_micros()).unwrap_or(0);
        Some(Instant::from_micros(micros).max(now))
    }
}

/// Every IPv6 address has a group that is asked for it (RFC 4291, 2.8).
fn solicited(addresses: &[IpCidr]) -> Vec<IpAddress> {
    let group = |cidr: &IpCidr| match cidr {
        IpCidr::Ipv4(_) => None,
        IpCidr::Ipv6(cidr) => Some(solicited_node(cidr.address()).into()),
    };
    addresses.iter().filter_map(group).collect()
}

/// Switches that snoop want to be told of the groups of addresses.
fn join_solicited(interface: &mut Interface, before: &[IpCidr], after: &[IpCidr]) {
    let (before, after) = (solicited(before), solicited(after));
    for &group in before.iter().filter(|group| !after.contains(group)) {
        let _ = interface.leave_multicast_group(group);
    }
    for &group in &after {
        // Past the table's size the group is heard all the same, only not announced.
        let _ = interface.join_multicast_group(group);
    }
}

fn assign(interface: &mut Interface, addresses: &[IpCidr]) {
    interface.update_ip_addrs(|list| {
        list.clear();
        for &address in addresses {
            // The scenario checked the count against the list's size.
            let _ = list.push(address);
        }
    });
}

/// The device that smoltcp sees.
pub struct Wire {
    /// Largest IP packet in bytes.
    mtu: usize,
    /// Whether the checksums of TCP and UDP are filled in: not where nobody can read or break what is sent.
    pub checksums: bool,
    received: Option<Bytes>,
    /// IP packets with [`ETHERNET_HEADER_BYTES`] of room in front.
    pub sent: Vec<BytesMut>,
    pool: Pool,
}

/// Where frames are written.
struct Pool {
    chunk: BytesMut,
    next_bytes: usize,
}

impl Wire {
    fn new(mtu: usize, checksums: bool) -> Self {
        Self {
            mtu,
            checksums,
            received: None,
            sent: Vec::new(),
            pool: Pool { chunk: BytesMut::new(), next_bytes: CHUNK_BYTES_MIN },
        }
    }

    fn token(&mut self) -> Transmit<'_> {
        Transmit { sent: &mut self.sent, pool: &mut self.pool, checksums: self.checksums }
    }

    /// Largest IP packet in bytes.
    pub fn ip_mtu(&self) -> usize {
        self.mtu
    }
}

pub struct Received(Bytes);

pub struct Transmit<'a> {
    sent: &'a mut Vec<BytesMut>,
    pool: &'a mut Pool,
    checksums: bool,
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _: SmoltcpInstant) -> Option<(Received, Transmit<'_>)> {
        let received = Received(self.received.take()?);
        Some((received, self.token()))
    }

    fn transmit(&mut self, _: SmoltcpInstant) -> Option<Transmit<'_>> {
        Some(self.token())
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // Received checksums were verified before, where they could be wrong at all; checksum.rs fills in those of TCP and
        // of IPv4's header.
        let mut checksum = ChecksumCapabilities::default();
        checksum.ipv4 = Checksum::None;
        checksum.tcp = Checksum::None;
        checksum.udp = Checksum::Tx;
        checksum.icmpv4 = Checksum::Tx;
        checksum.icmpv6 = Checksum::Tx;
        capabilities.checksum = checksum;
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let Pool { chunk, next_bytes } = self.pool;
        let len = ETHERNET_HEADER_BYTES + len;
        if chunk.capacity() < len {
            *chunk = BytesMut::with_capacity((*next_bytes).max(len));
            *next_bytes = (*next_bytes * 2).min(CHUNK_BYTES_MAX);
        }
        chunk.resize(len, 0);
        let packet = &mut chunk[ETHERNET_HEADER_BYTES..len];
        let result = f(packet);
        checksum::complete_ipv4(packet);
        if self.checksums {
            checksum::complete(packet, false);
        }
        self.sent.push(chunk.split_to(len));
        result
    }
}
