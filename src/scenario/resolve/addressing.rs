//! MAC and IP addresses of every interface: those written, checked against one another, and
//! automatic ones for the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::config::IFACE_MAX_ADDR_COUNT;
use smoltcp::wire::{EthernetAddress, IpCidr};

use super::super::address::{address_of, automatic_mac, cidr_of, network, nth_host};
use super::super::mistake::Mistakes;
use super::super::plan::{DEFAULT_MTU, DeviceRef};
use super::expand::Node;
use super::topology::{Domain, Interface, Topology};
use crate::network::ip::{is_link_local, link_local};

/// The least an IPv6 link must carry (RFC 8200, section 5).
pub(super) const MTU_MIN_V6: usize = 1280;

/// What one interface got.
pub(super) struct Addresses {
    pub mac: EthernetAddress,
    pub addresses: Vec<IpCidr>,
    pub mtu: usize,
}

/// For each of [`Topology::interfaces`].
pub(super) fn addressing(
    topology: &Topology<'_>,
    guests: &[Node<'_>],
    mistakes: &Mistakes,
) -> Vec<Addresses> {
    // Replicas after the first repeat what the first one's mistakes were told for.
    let repeats = |interface: &Interface<'_>| match interface.device {
        DeviceRef::Guest(index) => guests[index].replica.is_some_and(|replica| replica > 0),
        DeviceRef::Switch(_) | DeviceRef::Router(_) | DeviceRef::Tap(_) | DeviceRef::Service(_) => false,
    };
    let macs = macs(topology, &repeats, mistakes);
    let mut book = Book { taken: BTreeSet::new(), mistakes };
    let mut all: Vec<Addresses> = macs
        .into_iter()
        .zip(&topology.interfaces)
        .map(|(mac, interface)| {
            let mtu = interface.spec.mtu.as_ref().map_or(DEFAULT_MTU, |mtu| *mtu.get_ref());
            let addresses = if repeats(interface) { Vec::new() } else { book.written(interface, mtu) };
            Addresses { mac, addresses, mtu }
        })
        .collect();

    let mut subnets = subnets(topology, mistakes);
    let routers_first = |wanted: bool| {
        let interfaces = topology.interfaces.iter().enumerate();
        interfaces.filter(move |(_, interface)| matches!(interface.device, DeviceRef::Router(_)) == wanted)
    };
    for (at, interface) in routers_first(true).chain(routers_first(false)) {
        if interface.spec.addresses.is_none() && !interface.spec.broken {
            let given = book.automatic(interface, &mut subnets, all[at].mtu);
            all[at].addresses = given;
        }
    }
    for (interface, got) in topology.interfaces.iter().zip(&mut all) {
        let own = got.addresses.iter().any(|&cidr| is_link_local(address_of(cidr)));
        if !own && got.mtu >= MTU_MIN_V6 {
            got.addresses.push(link_local(got.mac).into());
        }
        if got.addresses.len() > IFACE_MAX_ADDR_COUNT {
            let written = interface.spec.addresses.as_ref().and_then(|list| list.last());
            let at = written.map_or(interface.spec.name.span(), |last| last.span());
            let message = format!("`{}` has {} addresses", interface.port, got.addresses.len());
            let help = format!(
                "an interface has at most {IFACE_MAX_ADDR_COUNT}, its IPv6 link-local address among them"
            );
            mistakes.add(at, message, help);
        }
    }
    all
}

/// Automatic ones go by the interface's place in the lab, so that writing one shifts no other.
fn macs(
    topology: &Topology<'_>,
    repeats: &impl Fn(&Interface<'_>) -> bool,
    mistakes: &Mistakes,
) -> Vec<EthernetAddress> {
    let mut taken: BTreeMap<[u8; 6], &str> = BTreeMap::new();
    for interface in &topology.interfaces {
        let Some(mac) = interface.spec.mac.as_ref().filter(|_| !repeats(interface)) else { continue };
        if let Some(other) = taken.get(&mac.get_ref().0) {
            let message = format!("mac: `{}` has this address already", other);
            mistakes.add(
                mac.span(),
                message,
                "every interface of a lab has a MAC address of its own; leave it out for one",
            );
        } else {
            taken.insert(mac.get_ref().0, &interface.port);
        }
    }
    let mut spare = (topology.interfaces.len() as u32).saturating_add(1);
    let mut automatic = |at: usize| {
        let mut mac = automatic_mac(u32::try_from(at + 1).unwrap_or(u32::MAX));
        while taken.contains_key(&mac.0) {
            mac = automatic_mac(spare);
            spare += 1;
        }
        mac
    };
    // Those of Unix-domain sockets are counted by themselves: having some shifts no other either.
    let (mut own, mut unix) = (0, 0);
    let mac = |interface: &Interface<'_>| {
        let number = if interface.spec.unix { &mut unix } else { &mut own };
        *number += 1;
        match &interface.spec.mac {
            Some(mac) => *mac.get_ref(),
            None if interface.spec.unix => unix_mac(*number),
            None => automatic(*number - 1),
        }
    };
    topology.interfaces.iter().map(mac).collect()
}

/// `02:75:6e:00:00:00` plus `n`.
fn unix_mac(n: usize) -> EthernetAddress {
    let [_, a, b, c] = u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    EthernetAddress([2, b'u', b'n', a, b, c])
}

/// The addresses given away so far.
struct Book<'a> {
    /// Link-local ones are unique within their domain, all others in the lab.
    taken: BTreeSet<(Option<Domain>, IpAddr)>,
    mistakes: &'a Mistakes,
}

impl Book<'_> {
    fn take(&mut self, domain: Option<Domain>, address: IpAddr) -> bool {
        let domain = domain.filter(|_| is_link_local(address));
        self.taken.insert((domain, address))
    }

    /// The addresses that the scenario names.
    fn written(&mut self, interface: &Interface<'_>, mtu: usize) -> Vec<IpCidr> {
        let mut addresses = Vec::new();
        let spec = interface.spec;
        let none =
            spec.dhcp.is_none() && spec.slaac.is_none() && spec.addresses.as_ref().is_some_and(Vec::is_empty);
        if none && mtu < MTU_MIN_V6 && !interface.spec.broken {
            self.no_address(interface, mtu);
        }
        for written in interface.spec.addresses.iter().flatten() {
            let cidr = *written.get_ref();
            if address_of(cidr).is_ipv6() && mtu < MTU_MIN_V6 {
                let message =
                    format!("{cidr} needs an MTU of {MTU_MIN_V6}, and `{}` has {mtu}", interface.port);
                let help = "IPv6 needs links of 1280 bytes (RFC 8200): raise `mtu`, or have IPv4 alone";
                self.mistakes.add(written.span(), message, help);
            }
            if self.take(interface.domain, address_of(cidr)) {
                addresses.push(cidr);
            } else {
                let message = format!("the address {} is taken already", cidr.address());
                let help = "every interface of a lab has addresses of its own; leave `addresses` out for automatic ones";
                self.mistakes.add(written.span(), message, help);
            }
        }
        addresses
    }

    fn no_address(&self, interface: &Interface<'_>, mtu: usize) {
        let help = match mtu >= MTU_MIN_V6 {
            true => {
                "add `addresses = [\"10.9.0.1/30\"]`; they are automatic on switches alone, or where the other end has \
                 some. `addresses = []` leaves it with its IPv6 link-local address"
            }
            false => "with an MTU below 1280 it cannot have IPv6 addresses: add one of IPv4, or raise `mtu`",
        };
        self.mistakes.add(interface.spec.name.span(), format!("`{}` has no address", interface.port), help);
    }

    /// The next free address of each subnet of the interface's domain: from the first on for
    /// routers, from the second on for guests.
    fn automatic(
        &mut self,
        interface: &Interface<'_>,
        subnets: &mut BTreeMap<Domain, Vec<Pool>>,
        mtu: usize,
    ) -> Vec<IpCidr> {
        let Some(domain) = interface.domain else { return Vec::new() };
        let at = interface.spec.name.span();
        let pools = subnets.get_mut(&domain).map(Vec::as_mut_slice).unwrap_or_default();
        let mut addresses = Vec::new();
        for pool in pools.iter_mut().filter(|pool| mtu >= MTU_MIN_V6 || pool.subnet_is_v4()) {
            let router = matches!(interface.device, DeviceRef::Router(_));
            let next = if router { &mut pool.next_router } else { &mut pool.next_guest };
            let free = std::iter::from_fn(|| {
                let host = nth_host(pool.subnet, *next)?;
                *next += 1;
                Some(host)
            })
            .find(|&host| self.taken.insert((None, address_of(host))));
            match free {
                Some(host) => addresses.push(host),
                None => {
                    let message =
                        format!("the subnet {} has no address left for `{}`", pool.subnet, interface.port);
                    self.mistakes.add(at.clone(), message, "give its switch larger `subnets`");
                }
            }
        }
        let usable = pools.iter().any(|pool| mtu >= MTU_MIN_V6 || pool.subnet_is_v4());
        if !usable {
            self.no_address(interface, mtu);
        }
        addresses
    }
}

/// A subnet that automatic addresses come out of.
struct Pool {
    subnet: IpCidr,
    next_router: u64,
    next_guest: u64,
}

impl Pool {
    fn new(subnet: IpCidr) -> Self {
        // Subnets of one or two addresses begin with a host (RFC 3021, RFC 6164).
        let tiny = nth_host(subnet, 2).is_none();
        Self { subnet, next_router: u64::from(!tiny), next_guest: if tiny { 0 } else { 2 } }
    }

    fn subnet_is_v4(&self) -> bool {
        address_of(self.subnet).is_ipv4()
    }
}

/// The subnets of each domain: those its switches name, else those of the addresses named in it,
/// else 10.N.0.0/24 (/16 if many need one) and fd00:N::/64 by the number N of its first switch.
fn subnets(topology: &Topology<'_>, mistakes: &Mistakes) -> BTreeMap<Domain, Vec<Pool>> {
    let mut found: BTreeMap<Domain, Vec<IpCidr>> = BTreeMap::new();
    for (index, switch) in topology.switches.iter().enumerate() {
        let list = found.entry(topology.switch_domain(index)).or_default();
        for subnet in switch.subnets.iter().flatten() {
            if list.contains(subnet.get_ref()) {
                continue;
            }
            // One address is the link-local one.
            if list.len() + 1 >= IFACE_MAX_ADDR_COUNT {
                let message = format!("switch `{}` has too many subnets", switch.name.get_ref());
                let help =
                    format!("at most {}: each interface gets an address of each", IFACE_MAX_ADDR_COUNT - 1);
                mistakes.add(subnet.span(), message, help);
                break;
            }
            list.push(*subnet.get_ref());
        }
    }
    let mut derived: BTreeMap<Domain, Vec<IpCidr>> = BTreeMap::new();
    let mut automatic: BTreeMap<Domain, u64> = BTreeMap::new();
    for interface in &topology.interfaces {
        let Some(domain) = interface.domain else { continue };
        match &interface.spec.addresses {
            None => *automatic.entry(domain).or_default() += 1,
            Some(_) if found.get(&domain).is_some_and(|list| !list.is_empty()) => {}
            Some(written) => {
                let list = derived.entry(domain).or_default();
                for cidr in written.iter().map(|written| *written.get_ref()) {
                    let subnet = network(cidr);
                    let roomy = nth_host(subnet, 1).is_some() && !is_link_local(address_of(cidr));
                    if roomy && list.len() + 1 < IFACE_MAX_ADDR_COUNT && !list.contains(&subnet) {
                        list.push(subnet);
                    }
                }
            }
        }
    }
    for (domain, list) in derived {
        found.entry(domain).or_default().extend(list);
    }
    for (domain, list) in &mut found {
        let (Domain::Switches(index), true, Some(&hosts)) = (*domain, list.is_empty(), automatic.get(domain))
        else {
            continue;
        };
        match u8::try_from(index) {
            Ok(index) => *list = default_subnets(index, hosts),
            Err(_) => {
                let message = format!("switch `{}` needs subnets", topology.switches[index].name.get_ref());
                let help = "automatic ones are for the first 256 switches: add `subnets = [\"10.0.0.0/24\"]`";
                mistakes.add(topology.switches[index].name.span(), message, help);
            }
        }
    }
    found.into_iter().map(|(domain, list)| (domain, list.into_iter().map(Pool::new).collect())).collect()
}

/// For the switch with number `index`, with that many automatic interfaces on it.
pub(in super::super) fn default_subnets(index: u8, hosts: u64) -> Vec<IpCidr> {
    // From .2 to .254.
    let length = if hosts <= 253 { 24 } else { 16 };
    let v4 = Ipv4Addr::new(10, index, 0, 0).into();
    let v6 = Ipv6Addr::new(0xfd00, index.into(), 0, 0, 0, 0, 0, 0).into();
    vec![cidr_of(v4, length), cidr_of(v6, 64)]
}
