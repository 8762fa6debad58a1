//! Protocol objects of kind `unix`, and the network that they make: a switch, and a directory of paths on it.

use smoltcp::wire::{EthernetAddress, IpCidr};
use toml::Spanned;
use toml::de::DeValue;

use super::super::mistake::{Mistakes, Problem, quote};
use super::super::read::{Reader, string};
use super::link::{Directions, directions};
use super::{
    InterfaceSpec, KindSpec, ProtocolSpec, RoutingSpec, ServiceKindSpec, ServiceSpec, Spec, SwitchSpec,
};
use crate::protocol::unix::{DIRECTORY, Glob, MTU, NETWORK, PREFIX_LEN, Settings};

/// The interface that Unix-domain sockets leave a guest by, the switch that it is on, and the directory.
pub(in super::super) const UNIX_INTERFACE: &str = "unix0";
const SWITCH: &str = "unix";
const SERVICE: &str = "unix-directory";

pub(in super::super) struct UnixSpec {
    pub settings: Settings,
    /// Where `link` stands, and what it says.
    link: Option<std::ops::Range<usize>>,
    directions: Directions,
}

pub(super) fn unix(reader: &mut Reader<'_>) -> KindSpec {
    let globs = |list: Option<Vec<Spanned<Glob>>>| {
        list.map(|list| list.into_iter().map(Spanned::into_inner).collect::<Vec<_>>())
    };
    let bind = globs(reader.list("bind", glob));
    let connect = globs(reader.list("connect", glob));
    let link = reader.value("link").map(Spanned::span);
    let directions = directions(reader);
    KindSpec::Unix(UnixSpec { settings: Settings { bind, connect, host: Vec::new() }, link, directions })
}

/// `/run/*.sock`
fn glob(value: &DeValue<'_>) -> Result<Glob, Problem> {
    let text = string(value)?;
    Glob::parse(&text).ok_or_else(|| {
        let help = "it begins with `/` or `*` and has at most 256 bytes: \"/run/echo.sock\", \"/run/*\", \"/run/**\"";
        Problem::new(format!("{} matches no path", quote(&text)), help)
    })
}

/// The interface of a guest that has such protocol objects.
pub(super) fn unix_interface(protocols: &[ProtocolSpec], mistakes: &Mistakes) -> Option<InterfaceSpec> {
    let unix = protocols.iter().filter_map(|protocol| match &protocol.kind {
        Some(KindSpec::Unix(spec)) => Some((protocol, spec)),
        Some(KindSpec::Ip { .. } | KindSpec::Layer { .. }) | None => None,
    });
    let (first, _) = unix.clone().next()?;
    let mut links = unix.clone().filter(|(_, spec)| spec.link.is_some());
    let directions = links.next().map(|(_, spec)| spec.directions.clone()).unwrap_or_default();
    for at in links.filter_map(|(_, spec)| spec.link.clone()) {
        let help = "all protocols of kind unix leave by one interface: give it its link once";
        mistakes.add(at, "link: there is one already", help);
    }
    let at = first.name.span();
    let own = |text: &str| Spanned::new(at.clone(), text.to_owned());
    Some(InterfaceSpec {
        name: own(UNIX_INTERFACE),
        network: Some(own(SWITCH)),
        directions,
        link: None,
        addresses: None,
        mac: None,
        mtu: Some(Spanned::new(at.clone(), MTU)),
        broken: false,
        unix: true,
    })
}

/// The switch and the directory, if any guest has an interface there.
pub(in super::super) fn unix_network(spec: &mut Spec) {
    let mut interfaces = spec.guests.iter().flat_map(|guest| &guest.interfaces);
    let Some(at) = interfaces.find(|interface| interface.unix).map(|interface| interface.name.span()) else {
        return;
    };
    let own = |text: &str| Spanned::new(at.clone(), text.to_owned());
    let cidr =
        |address: std::net::Ipv6Addr| Spanned::new(at.clone(), IpCidr::new(address.into(), PREFIX_LEN));
    let subnets = Some(vec![cidr(NETWORK)]);
    spec.switches.push(SwitchSpec { name: own(SWITCH), ageing: None, subnets, unix: true });
    let interface = InterfaceSpec {
        name: own("eth0"),
        network: Some(own(SWITCH)),
        directions: Directions::default(),
        link: None,
        addresses: Some(vec![cidr(DIRECTORY)]),
        mac: Some(Spanned::new(at.clone(), EthernetAddress([2, b'u', b'n', b'i', b'x', 1]))),
        mtu: Some(Spanned::new(at.clone(), MTU)),
        broken: false,
        unix: true,
    };
    spec.services.push(ServiceSpec {
        name: own(SERVICE),
        interfaces: vec![interface],
        routing: RoutingSpec::default(),
        kind: ServiceKindSpec::Directory,
    });
}
