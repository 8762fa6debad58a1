//! Keys that guests and routers share: interfaces and routes.

use std::net::IpAddr;
use std::ops::Range;

use smoltcp::wire::{EthernetAddress, IpCidr};
use toml::Spanned;
use toml::de::DeTable;

use super::super::address;
use super::super::mistake::Mistakes;
use super::super::read::{Named, Reader, boolean, integer, string};
use super::dhcp::{AdvertiseSpec, advertise};
use super::link::{Directions, directions};
use super::missing;
use crate::network::Route;

/// Interfaces of one guest or router.
const INTERFACES_MAX: usize = 64;

/// 65535 bytes of frame, less the Ethernet header.
const MTU_MAX: u64 = 65_521;

/// What every IPv4 host must take (RFC 791).
const MTU_MIN: u64 = 576;

pub(in super::super) struct InterfaceSpec {
    /// Where the interface is named, or the guest if it is not.
    pub name: Spanned<String>,
    pub network: Option<Spanned<String>>,
    pub directions: Directions,
    /// A `link` key was there: it needs a `network`.
    pub link: Option<Range<usize>>,
    /// `None`: not given, so automatic.
    pub addresses: Option<Vec<Spanned<IpCidr>>>,
    /// "dhcp" or "slaac" stood among them.
    pub dhcp: Option<Range<usize>>,
    pub slaac: Option<Range<usize>>,
    /// Whether duplicates are looked for.
    pub detect: Option<bool>,
    /// Of routers alone.
    pub advertise: Option<AdvertiseSpec>,
    pub mac: Option<Spanned<EthernetAddress>>,
    pub mtu: Option<Spanned<usize>>,
    /// Something about it was a mistake already: what follows from it is not told again.
    pub broken: bool,
}

pub(in super::super) struct RoutingSpec {
    /// Default routes among them.
    pub routes: Vec<Spanned<Route>>,
    /// `gateway` or `routes` was there, be it empty.
    pub given: bool,
}

/// Whose interface it is: each has a key or two of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Guest,
    Router,
    /// Of names or of leases.
    Server,
}

/// Names of the keys that describe `eth0` in a guest's own table.
pub(super) const SHORT_FORM: [&str; 5] = ["network", "link", "addresses", "mac", "mtu"];

/// The tables `[....interface.NAME]`.
pub(super) fn interfaces(reader: &mut Reader<'_>, owner: &str, kind: Owner) -> Vec<InterfaceSpec> {
    let mistakes = reader.mistakes;
    let mut named = reader.named("interface");
    if let Some(first_too_many) = named.get(INTERFACES_MAX) {
        let message = format!("{owner} has more than {INTERFACES_MAX} interfaces");
        mistakes.add(first_too_many.name.span(), message, "put a router or a second guest beside it");
        named.truncate(INTERFACES_MAX);
    }
    named
        .into_iter()
        .map(|Named { name, table }| {
            let what = format!("interface `{}` of {owner}", name.get_ref());
            let mut reader = Reader::new(table, what, mistakes);
            let spec = interface(&mut reader, name, kind);
            reader.finish();
            spec
        })
        .collect()
}

/// The keys of one interface, be they in its own table or its guest's.
pub(super) fn interface(reader: &mut Reader<'_>, name: Spanned<String>, owner: Owner) -> InterfaceSpec {
    let mistakes_before = reader.mistakes.count();
    let network = reader.get("network", string);
    let link = reader.value("link").map(Spanned::span);
    let directions = directions(reader);
    let written = reader.list("addresses", address::source);
    let (mut dhcp, mut slaac) = (None, None);
    let addresses = written.map(|list| {
        let host = |source: Spanned<address::Source>| {
            let at = source.span();
            match source.into_inner() {
                address::Source::Host(cidr) => return Some(Spanned::new(at, cidr)),
                address::Source::Dhcp => dhcp = Some(at),
                address::Source::Slaac => slaac = Some(at),
            }
            None
        };
        list.into_iter().filter_map(host).collect()
    });
    let mac = reader.get("mac", address::mac);
    let mtu = reader.get("mtu", integer(MTU_MIN..=MTU_MAX)).map(|mtu| {
        let bytes = usize::try_from(*mtu.get_ref()).unwrap_or(usize::MAX);
        Spanned::new(mtu.span(), bytes)
    });
    let broken = reader.mistakes.count() != mistakes_before;
    let mut spec = InterfaceSpec {
        name,
        network,
        directions,
        link,
        addresses,
        dhcp,
        slaac,
        detect: None,
        advertise: None,
        mac,
        mtu,
        broken,
    };
    match owner {
        Owner::Guest => {
            spec.detect = reader.get("detect_duplicates", boolean).map(Spanned::into_inner);
        }
        Owner::Router => {
            spec.advertise = advertise(reader);
            spec.refuse_automatic("a router", reader.mistakes);
        }
        Owner::Server => spec.refuse_automatic("a server", reader.mistakes),
    }
    spec
}

impl InterfaceSpec {
    /// For machines that others get their addresses from.
    fn refuse_automatic(&mut self, owner: &str, mistakes: &Mistakes) {
        for (at, what) in [(self.dhcp.take(), "dhcp"), (self.slaac.take(), "slaac")] {
            if let Some(at) = at {
                let message = format!("addresses: \"{what}\" is for guests, and this is {owner}");
                mistakes.add(at, message, "an address with its subnet's prefix length");
                self.broken = true;
            }
        }
    }
}

/// The keys `gateway` and `routes`.
pub(super) fn routing(reader: &mut Reader<'_>) -> RoutingSpec {
    let mistakes = reader.mistakes;
    let given = reader.has("gateway") || reader.has("routes");
    let gateways = reader.list("gateway", address::ip).unwrap_or_default();
    let mut routes: Vec<Spanned<Route>> = gateways
        .into_iter()
        .map(|gateway| Spanned::new(gateway.span(), default_route(*gateway.get_ref())))
        .collect();
    for (at, table) in reader.tables("routes") {
        routes.extend(route(at, table, mistakes));
    }
    RoutingSpec { routes, given }
}

/// The route to everything of a gateway's family.
pub(in super::super) fn default_route(via: IpAddr) -> Route {
    let everything: IpAddr = match via {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    Route { prefix: address::cidr_of(everything, 0), via }
}

fn route(at: Range<usize>, table: &DeTable<'_>, mistakes: &Mistakes) -> Option<Spanned<Route>> {
    let mut reader = Reader::new(table, "the route", mistakes);
    let help = "a route is `{ to = \"10.1.0.0/16\", via = \"10.0.0.1\" }`";
    for key in ["to", "via"] {
        if !reader.has(key) {
            missing(mistakes, at.clone(), "the route", key, help);
        }
    }
    let prefix = reader.get("to", address::subnet);
    let via = reader.get("via", address::ip);
    reader.finish();
    let (prefix, via) = (prefix?, via?);
    if address::address_of(*prefix.get_ref()).is_ipv4() != via.get_ref().is_ipv4() {
        let message =
            format!("the route to {} leads over {}, of another family", prefix.get_ref(), via.get_ref());
        mistakes.add(via.span(), message, "the next hop is of the destination's family");
        return None;
    }
    Some(Spanned::new(at, Route { prefix: prefix.into_inner(), via: via.into_inner() }))
}
