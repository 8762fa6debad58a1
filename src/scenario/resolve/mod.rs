//! From the file as written to the plan.
//!
//! ```text
//! expand.rs      guests with a count become that many
//! topology/      names looked up, cables laid
//! addressing.rs  MAC and IP addresses written and given out
//! dhcp.rs        DHCP servers, advertisements, automatic addresses
//! guest.rs       routes, protocols, listeners
//! protocol.rs    protocol objects (depth.rs: how deep they stand)
//! connection.rs  connections that are made before a guest runs
//! names.rs       what guests' resolvers go by
//! service.rs     services: the zones of DNS servers
//! tls.rs         authorities, and who names them
//! timeline/      what happens while the lab runs
//! expect.rs      expectations
//! ```
//!
//! Every step goes on after a mistake as well as it can; the plan is worth something only if there was none.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use smoltcp::wire::Ipv4Cidr;
use toml::Spanned;

use super::address::address_of;
use super::mistake::{Mistakes, place};
use super::plan::{
    DEFAULT_AGEING, DEFAULT_EPOCH, DEFAULT_SWITCH, GuestPlan, HostFolderPlan, Plan, RouterPlan, ServicePlan,
    StdinPlan, SwitchPlan, TapPlan, digest,
};
use super::spec::{Spec, SwitchSpec, default_route, host_folders, unix_network};
use crate::network::ip::is_link_local;
use crate::network::{InterfaceConfig, Route};
use addressing::{Addresses, addressing};
use expand::{Node, expand};
use topology::{Domain, Topology};

pub(super) mod addressing;
mod connection;
mod depth;
mod dhcp;
mod expand;
mod expect;
mod guest;
pub(super) mod names;
mod placeholder;
mod protocol;
mod service;
mod timeline;
mod tls;
mod topology;

/// The plan of a scenario read from `path`. `None`, or something incomplete, after a mistake.
pub(super) fn resolve(mut spec: Spec, path: &Path, text: &str, mistakes: &Mistakes) -> Option<Plan> {
    if spec.guests.is_empty() && spec.taps.is_empty() && spec.services.is_empty() && mistakes.count() == 0 {
        mistakes.add(0..0, "the scenario has no guest", "add [guest.NAME] with `module = \"....wasm\"`");
    }
    if spec.switches.is_empty() && spec.routers.is_empty() && spec.taps.is_empty() && spec.links.is_empty() {
        let name = Spanned::new(0..0, DEFAULT_SWITCH.to_owned());
        spec.switches.push(SwitchSpec { name, ageing: None, snooping: None, subnets: None, unix: false });
    }
    unix_network(&mut spec);
    let host_folders = host_folders(&mut spec);
    check_stdin(&spec, mistakes);
    let taps = taps(&spec, mistakes);
    let [guest_nodes, router_nodes, service_nodes] =
        expand(&spec.guests, &spec.routers, &spec.dhcp, &spec.services, mistakes)?;
    let topology = Topology::new(
        &guest_nodes,
        &router_nodes,
        &service_nodes,
        &spec.switches,
        &spec.taps,
        &spec.links,
        mistakes,
    );
    let addresses = addressing(&topology, &guest_nodes, mistakes);
    let gateways = Gateways::new(&topology, &router_nodes[..spec.routers.len()], &addresses);
    let automatic = dhcp::Resolver {
        topology: &topology,
        guests: &guest_nodes,
        addresses: &addresses,
        gateways: &gateways,
        mistakes,
    };

    let folder = path.parent().unwrap_or(Path::new(""));
    let guests: Vec<GuestPlan> = guest_nodes
        .iter()
        .map(|node| {
            guest::guest(guest::Parts {
                node,
                spec: &spec.guests[node.spec],
                interfaces: interfaces(node, &topology, &addresses),
                automatic: automatic.automatic(node),
                default_routes: gateways.default_routes(node, &topology, &addresses),
                authorities: &spec.authorities,
                folder,
                mistakes,
            })
        })
        .collect();
    let routers = router_nodes.iter().map(|node| {
        let interfaces = interfaces(node, &topology, &addresses);
        let routes = guest::routes(node, &interfaces, mistakes);
        let advertise = automatic.advertise(node, &interfaces);
        let dhcp = if node.plain { automatic.server(node, &spec.dhcp[node.spec]) } else { None };
        RouterPlan { name: node.name.clone(), interfaces, advertise, dhcp, routes }
    });
    let routers = routers.collect();
    let services = service_nodes.iter().map(|node| {
        let interfaces = interfaces(node, &topology, &addresses);
        let defaults = gateways.default_routes(node, &topology, &addresses);
        let routes = guest::host_routes(node, &interfaces, defaults, mistakes);
        let kind = service::kind(&spec.services[node.spec], &guests, mistakes);
        ServicePlan { name: node.name.clone(), interfaces, routes, kind }
    });
    let services = services.collect();
    let (links, switch_ports) = topology.links();
    let switches = spec.switches.iter().zip(switch_ports).map(|(switch, ports)| SwitchPlan {
        name: switch.name.get_ref().clone(),
        ports,
        ageing: switch.ageing.unwrap_or(DEFAULT_AGEING),
        snooping: switch.snooping.unwrap_or(true),
    });
    for start in spec.guests.iter().filter_map(|guest| guest.start.as_ref()) {
        if let Some(duration) = spec.duration.filter(|duration| start.get_ref() > duration) {
            let message = format!("start: is after the lab's end, {duration:?}");
            mistakes.add(start.span(), message, "make `duration` longer, or have it earlier");
        }
    }
    let named = expect::Named { guests: &guests, links: &links, duration: spec.duration, folder, text };
    let expectations = expect::expectations(&spec.expectations, &named, mistakes);
    let stem = || path.file_stem().map_or("lab".into(), |stem| stem.to_string_lossy().into_owned());
    let mut plan = Plan {
        name: spec.name.clone().unwrap_or_else(stem),
        seed: spec.seed,
        digest: digest(text.as_bytes()),
        duration: spec.duration,
        epoch: spec.epoch.unwrap_or(DEFAULT_EPOCH),
        log_secrets: spec.secrets,
        authorities: tls::authorities(&spec.authorities, folder),
        guests,
        switches: switches.collect(),
        routers,
        taps,
        services,
        host_folders: host_folders
            .into_iter()
            .map(|written| {
                let (line, column) = place(text, written.span().start);
                let place = format!("{}:{line}:{column}", path.display());
                HostFolderPlan { path: folder.join(written.get_ref()), place }
            })
            .collect(),
        links,
        timeline: Vec::new(),
        expectations,
    };
    plan.timeline = timeline::timeline(&spec.timeline, &plan, folder, mistakes);
    names::settle(&mut plan, &spec, &guest_nodes, mistakes);
    Some(plan)
}

fn interfaces(node: &Node<'_>, topology: &Topology<'_>, addresses: &[Addresses]) -> Vec<InterfaceConfig> {
    let specs = node.interfaces.iter().zip(&addresses[topology.interfaces_of(node)]);
    specs
        .map(|(spec, got)| InterfaceConfig {
            name: spec.name.get_ref().clone(),
            mac: got.mac,
            addresses: got.addresses.clone(),
            mtu: got.mtu,
        })
        .collect()
}

fn check_stdin(spec: &Spec, mistakes: &Mistakes) {
    let mut first: Option<&str> = None;
    for guest in &spec.guests {
        let Some(stdin) = guest.stdin.as_ref().filter(|stdin| *stdin.get_ref() == StdinPlan::Inherit) else {
            continue;
        };
        let name = guest.name.get_ref();
        let help = "there is one terminal: give the others a text, a file, or nothing";
        if let Some(other) = first {
            let message = format!("guests `{other}` and `{name}` both inherit the standard input");
            mistakes.add(stdin.span(), message, help);
        } else if guest.count.as_ref().is_some_and(|count| *count.get_ref() > 1) {
            mistakes.add(stdin.span(), format!("all replicas of `{name}` inherit the standard input"), help);
        }
        first = first.or(Some(name));
    }
}

fn taps(spec: &Spec, mistakes: &Mistakes) -> Vec<TapPlan> {
    let mut opened: BTreeMap<(Option<String>, String), String> = BTreeMap::new();
    let mut taps = Vec::new();
    for tap in spec.taps.iter().filter(|tap| !tap.broken) {
        let name = tap.name.get_ref();
        let (device, at) = match &tap.device {
            Some(device) => (device.get_ref().clone(), device.span()),
            None => (name.clone(), tap.name.span()),
        };
        if tap.device.is_none() && device.len() > 15 {
            let message = format!("tap `{name}` cannot give its name to its device");
            mistakes.add(at.clone(), message, "the kernel takes 15 characters: add `device = \"gn0\"`");
        }
        if let Some(other) = opened.insert((tap.netns.clone(), device.clone()), name.clone()) {
            let message = format!("taps `{other}` and `{name}` open the same device, `{device}`");
            mistakes.add(at, message, "a device is opened once: name another, or another `netns`");
        }
        taps.push(TapPlan { name: name.clone(), device, netns: tap.netns.clone() });
    }
    taps
}

/// The routers' interfaces of each domain, for guests that name neither gateway nor routes.
struct Gateways {
    /// Index into the lab's interfaces; `None`: several routers, so no choice is made.
    by_domain: BTreeMap<Domain, Option<usize>>,
}

impl Gateways {
    fn new(topology: &Topology<'_>, routers: &[Node<'_>], addresses: &[Addresses]) -> Self {
        debug_assert_eq!(topology.interfaces.len(), addresses.len());
        let mut by_domain = BTreeMap::new();
        for at in routers.iter().flat_map(|node| topology.interfaces_of(node)) {
            if let Some(domain) = topology.interfaces[at].domain {
                by_domain.entry(domain).and_modify(|only| *only = None).or_insert(Some(at));
            }
        }
        Self { by_domain }
    }

    /// The address of the only router of a domain on the subnet of `own`, if there is one.
    fn v4_towards(&self, domain: Option<Domain>, own: Ipv4Cidr, addresses: &[Addresses]) -> Vec<Ipv4Addr> {
        let Some(Some(gateway)) = domain.and_then(|domain| self.by_domain.get(&domain)).copied() else {
            return Vec::new();
        };
        let near = addresses[gateway].addresses.iter().filter_map(|&cidr| match address_of(cidr) {
            IpAddr::V4(address) if own.contains_addr(&address) => Some(address),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        });
        near.collect()
    }

    /// Through the only router of a domain, for each family that it and the guest share a subnet of;
    /// the guest's first such interface wins.
    fn default_routes(
        &self,
        node: &Node<'_>,
        topology: &Topology<'_>,
        addresses: &[Addresses],
    ) -> Vec<Route> {
        let mut routes: Vec<Route> = Vec::new();
        for at in topology.interfaces_of(node) {
            let domain = topology.interfaces[at].domain;
            let Some(Some(gateway)) = domain.and_then(|domain| self.by_domain.get(&domain)).copied() else {
                continue;
            };
            for via in addresses[gateway].addresses.iter().map(|&cidr| address_of(cidr)) {
                let near = addresses[at].addresses.iter().any(|cidr| cidr.contains_addr(&via.into()));
                let known = routes.iter().any(|route| route.via.is_ipv4() == via.is_ipv4());
                if near && !known && !is_link_local(via) {
                    routes.push(default_route(via));
                }
            }
        }
        routes
    }
}
