//! Protocol objects of kind `unix`, and the network that they make: a switch, and a directory of paths on it.

use std::path::PathBuf;

use smoltcp::wire::{EthernetAddress, IpCidr};
use toml::Spanned;
use toml::de::DeValue;

use super::super::address::unix_path;
use super::super::mistake::{Mistakes, Problem, quote};
use super::super::read::{Reader, string};
use super::link::{Directions, directions};
use super::protocol::denied;
use super::{
    InterfaceSpec, KindSpec, ProtocolSpec, RoutingSpec, ServiceKindSpec, ServiceSpec, Spec, SwitchSpec,
};
use crate::protocol::unix::{DIRECTORY, Denied, Glob, MTU, NETWORK, PREFIX_LEN, Settings, UnixPath};

/// The interface that Unix-domain sockets leave a guest by, the switch that it is on, and the directory.
pub(in super::super) const UNIX_INTERFACE: &str = "unix0";
const SWITCH: &str = "unix";
const SERVICE: &str = "unix-directory";

pub(in super::super) struct UnixSpec {
    pub settings: Settings,
    /// Folders of the host, each under a path of the namespace.
    pub host: Vec<(UnixPath, Spanned<PathBuf>)>,
    /// Where `link` stands, and what it says.
    link: Option<std::ops::Range<usize>>,
    directions: Directions,
}

pub(super) fn unix(reader: &mut Reader<'_>) -> KindSpec {
    let bind = globs("bind", reader);
    let connect = globs("connect", reader);
    let deny = denied(reader, |reader| Denied {
        bind: globs("bind", reader).unwrap_or_default(),
        connect: globs("connect", reader).unwrap_or_default(),
    });
    let link = reader.value("link").map(Spanned::span);
    let directions = directions(reader);
    let host = host(reader);
    let settings = Settings { bind, connect, deny, host: Vec::new() };
    KindSpec::Unix(Box::new(UnixSpec { settings, host, link, directions }))
}

fn globs(key: &'static str, reader: &mut Reader<'_>) -> Option<Vec<Glob>> {
    let list = reader.list(key, glob)?;
    Some(list.into_iter().map(Spanned::into_inner).collect())
}

/// `host = { "/run/host" = "sockets" }`
fn host(reader: &mut Reader<'_>) -> Vec<(UnixPath, Spanned<PathBuf>)> {
    let mistakes = reader.mistakes;
    let mut folders: Vec<(UnixPath, Spanned<PathBuf>)> = Vec::new();
    for (mount, value) in reader.entries("host") {
        let wrong = |at, problem: Problem| {
            mistakes.add(at, format!("host: {}", problem.message), problem.help);
        };
        match (unix_path(mount.get_ref()), super::guest::path(value.get_ref())) {
            (Ok(mount), Ok(folder)) => folders.push((mount, Spanned::new(value.span(), folder))),
            (Err(problem), _) => wrong(mount.span(), problem),
            (_, Err(problem)) => wrong(value.span(), problem),
        }
    }
    folders
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
        Some(
            KindSpec::Ip { .. }
            | KindSpec::Icmp { .. }
            | KindSpec::Layer { .. }
            | KindSpec::Tls { .. }
            | KindSpec::Quic { .. },
        )
        | None => None,
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
        dhcp: None,
        slaac: None,
        detect: None,
        advertise: None,
        mac: None,
        mtu: Some(Spanned::new(at.clone(), MTU)),
        broken: false,
        unix: true,
    })
}

/// Numbers the folders of the host, from 1 on, those that are the same alike.
pub(in super::super) fn host_folders(spec: &mut Spec) -> Vec<Spanned<PathBuf>> {
    let mut folders: Vec<Spanned<PathBuf>> = Vec::new();
    for protocol in spec.guests.iter_mut().flat_map(|guest| &mut guest.protocols) {
        let Some(KindSpec::Unix(unix)) = &mut protocol.kind else { continue };
        for (mount, folder) in &unix.host {
            let known = folders.iter().position(|other| other.get_ref() == folder.get_ref());
            let index = known.unwrap_or_else(|| {
                folders.push(folder.clone());
                folders.len() - 1
            });
            unix.settings.host.push((mount.clone(), u16::try_from(index + 1).unwrap_or(u16::MAX)));
        }
    }
    folders
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
    spec.switches.push(SwitchSpec { name: own(SWITCH), ageing: None, snooping: None, subnets, unix: true });
    let interface = InterfaceSpec {
        name: own("eth0"),
        network: Some(own(SWITCH)),
        directions: Directions::default(),
        link: None,
        addresses: Some(vec![cidr(DIRECTORY)]),
        dhcp: None,
        slaac: None,
        detect: None,
        advertise: None,
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
