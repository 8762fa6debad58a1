//! One guest's plan: its routes, protocol objects and listeners checked against one another and
//! against its addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use toml::Spanned;

use super::super::address::{Endpoint, address_of};
use super::super::mistake::{Mistakes, quote};
use super::super::plan::{self, DirectoryPlan, GuestPlan, ListenerPlan, ProtocolPlan, StdinPlan};
use super::super::spec::{AuthoritySpec, GuestSpec};
use super::connection::connections;
use super::expand::Node;
use super::placeholder::Placeholders;
use super::protocol;
use super::tls::Scope;
use crate::network::ip::is_link_local;
use crate::network::{Automatic, InterfaceConfig, Route};
use crate::node::SocketKind;
use crate::protocol::Grant;

/// What a guest's plan is made of.
pub(super) struct Parts<'a> {
    pub node: &'a Node<'a>,
    pub spec: &'a GuestSpec,
    pub interfaces: Vec<InterfaceConfig>,
    pub automatic: Vec<Automatic>,
    /// For a guest that names no routes.
    pub default_routes: Vec<Route>,
    /// The lab's own.
    pub authorities: &'a [AuthoritySpec],
    /// Folder that paths are relative to.
    pub folder: &'a Path,
    pub mistakes: &'a Mistakes,
}

pub(super) fn guest(mut parts: Parts<'_>) -> GuestPlan {
    let unix = parts.interfaces.pop_if(|interface| parts.node.is_unix(&interface.name));
    let Parts { node, spec, mistakes, folder, .. } = parts;
    let routes = host_routes(node, &parts.interfaces, parts.default_routes.clone(), mistakes);
    let scope = Scope {
        authorities: parts.authorities,
        guest: &node.name,
        interfaces: &parts.interfaces,
        folder,
        mistakes,
    };
    let protocols = protocol::protocols(node, spec, scope, mistakes);
    let listeners = listeners(&parts, &protocols);
    let connections = connections(&parts, &protocols);
    let placeholders = Placeholders::new(node, parts.authorities, mistakes);
    let descriptors_max =
        spec.descriptors_max.as_ref().map_or(plan::DEFAULT_DESCRIPTORS, |written| *written.get_ref());
    check_descriptors(&parts, descriptors_max, listeners.len() + protocols.len());
    GuestPlan {
        name: node.name.clone(),
        module: spec.module.as_ref().map(|module| folder.join(module.get_ref())).unwrap_or_default(),
        module_at: spec.module.as_ref().map(Spanned::span).unwrap_or_default(),
        args: spec.args.iter().map(|text| placeholders.fill("args", text)).collect(),
        env: spec.env.iter().map(|(name, text)| (name.clone(), placeholders.fill("env", text))).collect(),
        stdin: match spec.stdin.as_ref().map(|stdin| stdin.get_ref()) {
            None => StdinPlan::Empty,
            Some(StdinPlan::File(path)) => StdinPlan::File(folder.join(path)),
            Some(StdinPlan::Text(text)) => {
                let at = spec.stdin.as_ref().map(Spanned::span).unwrap_or_default();
                StdinPlan::Text(placeholders.fill("stdin", &Spanned::new(at, text.clone())))
            }
            Some(other) => other.clone(),
        },
        directories: spec
            .directories
            .iter()
            .map(|written| {
                let DirectoryPlan { guest, host, writable } = written.get_ref().clone();
                DirectoryPlan { guest, host: folder.join(host), writable }
            })
            .collect(),
        interfaces: parts.interfaces,
        automatic: parts.automatic,
        address_wait: spec.address_wait.unwrap_or(plan::DEFAULT_ADDRESS_WAIT),
        unix,
        routes,
        listeners,
        connections,
        protocols,
        memory_bytes_max: spec.memory_bytes_max.unwrap_or(plan::DEFAULT_MEMORY_BYTES),
        cpu_hz: spec.cpu_hz.unwrap_or(plan::DEFAULT_CPU_HZ),
        fuel_max: spec.fuel_max,
        descriptors_max,
        buffer_bytes_max: spec
            .buffer_bytes_max
            .unwrap_or(descriptors_max as u64 * plan::DEFAULT_BUFFER_BYTES_EACH),
        linger: spec.linger.unwrap_or(plan::DEFAULT_LINGER),
        start: spec.start.as_ref().map(|start| *start.get_ref()).unwrap_or_default(),
        background: spec.background,
    }
}

/// The routes of a guest or a service: those it names, or else `default_routes`.
pub(super) fn host_routes(
    node: &Node<'_>,
    interfaces: &[InterfaceConfig],
    default_routes: Vec<Route>,
    mistakes: &Mistakes,
) -> Vec<Route> {
    if let Some(first_too_many) = node.routing.routes.get(plan::ROUTES_MAX) {
        let message = format!("{} has more than {} routes", node.what, plan::ROUTES_MAX);
        mistakes.add(
            first_too_many.span(),
            message,
            "let a router do the routing, and keep a default route to it",
        );
    }
    if node.routing.given { routes(node, interfaces, mistakes) } else { default_routes }
}

/// The standard streams and all that is handed over have descriptors before the guest opens any.
fn check_descriptors(parts: &Parts<'_>, descriptors_max: usize, network_objects: usize) {
    const STANDARD_STREAMS: usize = 3;
    let Parts { node, spec, mistakes, .. } = parts;
    let directories = spec.directories.len();
    let least = STANDARD_STREAMS + directories + network_objects;
    if descriptors_max >= least {
        return;
    }
    let at = spec.descriptors_max.as_ref().map_or(spec.name.span(), Spanned::span);
    let message = format!(
        "descriptors: {descriptors_max} are too few for what is handed over to {}: {STANDARD_STREAMS} standard \
         streams, directories: {directories}, listeners and protocols: {network_objects}",
        node.what
    );
    mistakes.add(
        at,
        message,
        format!("{least} or more, and one for each connection and stream that it opens"),
    );
}

/// The routes that a guest or router names, each checked.
pub(super) fn routes(node: &Node<'_>, interfaces: &[InterfaceConfig], mistakes: &Mistakes) -> Vec<Route> {
    let broken = node.interfaces.iter().any(|spec| spec.broken);
    let mut destinations = BTreeSet::new();
    for written in &node.routing.routes {
        let Route { prefix, via } = *written.get_ref();
        if !destinations.insert((address_of(prefix), prefix.prefix_len())) {
            let message = format!("{} has two routes to {prefix}", node.what);
            mistakes.add(
                written.span(),
                message,
                "a destination has one next hop (`gateway` is the default route)",
            );
        }
        let mut addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
        if addresses.clone().any(|&cidr| address_of(cidr) == via) {
            let message = format!("the next hop {via} is an address of {} itself", node.what);
            mistakes.add(written.span(), message, "name the router's address");
        } else if !broken && !addresses.any(|cidr| cidr.contains_addr(&via.into())) {
            let list: Vec<String> = addresses_for(via, interfaces);
            let help = match list.len() {
                0 => format!("{} has no address of that family", node.what),
                _ => format!("the next hop is a neighbour: its addresses are {}", list.join(", ")),
            };
            mistakes.add(
                written.span(),
                format!("the next hop {via} is on no subnet of {}", node.what),
                help,
            );
        }
    }
    node.routing.routes.iter().map(|written| written.get_ref().clone()).collect()
}

/// The addresses of a family, link-local ones left out, as text.
fn addresses_for(other: IpAddr, interfaces: &[InterfaceConfig]) -> Vec<String> {
    let addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
    let same = addresses.filter(|&&cidr| {
        let address = address_of(cidr);
        address.is_ipv4() == other.is_ipv4() && !is_link_local(address)
    });
    same.map(|cidr| cidr.to_string()).collect()
}

fn listeners(parts: &Parts<'_>, protocols: &[ProtocolPlan]) -> Vec<ListenerPlan> {
    let Parts { spec, mistakes, .. } = parts;
    let mut names: BTreeSet<&str> =
        spec.protocols.iter().map(|protocol| protocol.name.get_ref().as_str()).collect();
    if spec.protocols.is_empty() {
        names.extend(["ipv4", "ipv6"]);
    }
    let mut bound = BTreeSet::new();
    let mut listeners = Vec::new();
    for listener in &spec.listeners {
        let name = listener.name.get_ref();
        if !names.insert(name) {
            let message = format!("`{name}` names two descriptors of {}", parts.node.what);
            let help = "listeners and protocols share one space of names: the guest tells them apart by nothing else";
            mistakes.add(listener.name.span(), message, help);
        }
        let bind = listener.bind.get_ref();
        // A path is bound once, whatever for.
        let stream = listener.kind == SocketKind::Stream || matches!(bind, Endpoint::Unix(_));
        if !bind.is_open() && !bound.insert((bind, stream)) {
            let message = format!("{} listens on {bind} twice", parts.node.what);
            mistakes.add(listener.bind.span(), message, "one listener takes an address, port and kind");
        }
        if let (Endpoint::Unix(_), Some(count)) = (bind, spec.count.as_ref().filter(|n| *n.get_ref() > 1)) {
            let message = format!("all {} of {} listen on {bind}", count.get_ref(), parts.node.what);
            mistakes.add(listener.bind.span(), message, "a path is bound once in the lab");
        }
        check_own_address(parts, &listener.bind);
        let (wanted, at) = (&listener.protocol, &listener.bind);
        if let Some(protocol) = protocol_of(parts, protocols, wanted, at, ["bind", "listen on"]) {
            check_policy(protocol, at, mistakes);
            listeners.push(ListenerPlan {
                name: name.clone(),
                protocol: protocol.name.clone(),
                bind: bind.to_string(),
                kind: listener.kind,
                backlog: listener.backlog.unwrap_or(plan::DEFAULT_BACKLOG),
            });
        }
    }
    listeners
}

pub(super) fn check_own_address(parts: &Parts<'_>, bind: &Spanned<Endpoint>) {
    let address = match bind.get_ref() {
        Endpoint::Ip(address) => address.ip(),
        Endpoint::Name(_) | Endpoint::Unix(_) => return,
    };
    let mut own = parts.interfaces.iter().flat_map(|interface| &interface.addresses);
    let broken = parts.node.interfaces.iter().any(|spec| spec.broken);
    if address.is_unspecified() || broken || own.any(|&cidr| address_of(cidr) == address) {
        return;
    }
    let list = addresses_for(address, &parts.interfaces);
    let any = if address.is_ipv4() { "0.0.0.0" } else { "[::]" };
    let help = match list.len() {
        0 => format!("it has none of that family; `{any}` is any address"),
        _ => format!("it has {}; `{any}` is any address", list.join(", ")),
    };
    let message = format!("bind: {address} is no address of {}", parts.node.what);
    parts.mistakes.add(bind.span(), message, help);
}

/// The protocol object that a listener or a connection is opened from: the one that is `wanted`, or the guest's first
/// that takes its address. `words`: the address's key, and what is to be done with it.
pub(super) fn protocol_of<'a>(
    parts: &Parts<'_>,
    protocols: &'a [ProtocolPlan],
    wanted: &Option<Spanned<String>>,
    address: &Spanned<Endpoint>,
    [key, purpose]: [&str; 2],
) -> Option<&'a ProtocolPlan> {
    let Parts { node, spec, mistakes, .. } = parts;
    let (address, at) = (address.get_ref(), address.span());
    let takes = |protocol: &ProtocolPlan| address.fits(&protocol.grant);
    let kind = address.kind();
    let Some(wanted) = wanted else {
        let first = protocols.iter().find(|protocol| {
            // On the stack itself, rather than over something.
            std::ptr::eq(protocol.grant.base(), &protocol.grant) && takes(protocol)
        });
        if first.is_none() && protocols.len() >= spec.protocols.len() {
            let message = format!("{} has no {kind} protocol to {purpose} {address} with", node.what);
            let help = format!("add [guest.{}.protocol.{kind}]", spec.name.get_ref());
            mistakes.add(at, message, help);
        }
        return first;
    };
    let name = wanted.get_ref();
    let Some(protocol) = protocols.iter().find(|protocol| protocol.name == *name) else {
        // One with a mistake of its own is there all the same.
        if !spec.protocols.iter().any(|protocol| protocol.name.get_ref() == name) {
            let names: Vec<&str> = match spec.protocols.is_empty() {
                true => protocols.iter().map(|protocol| protocol.name.as_str()).collect(),
                false => spec.protocols.iter().map(|protocol| protocol.name.get_ref().as_str()).collect(),
            };
            let meant = mistakes.did_you_mean(name, names.iter().copied());
            let help =
                format!("{meant}{}it has {}", if meant.is_empty() { "" } else { " " }, names.join(", "));
            let message = format!("protocol: {} has no protocol {}", node.what, quote(name));
            mistakes.add(wanted.span(), message, help);
        }
        return None;
    };
    if !takes(protocol) {
        let message = format!("{key}: {address} is of another family than protocol `{name}`");
        let help = format!("name a protocol of kind {kind}, or leave `protocol` out");
        mistakes.add(at, message, help);
        return None;
    }
    Some(protocol)
}

/// Port 0 is chosen later, out of what the policy allows.
pub(super) fn check_policy(protocol: &ProtocolPlan, bind: &Spanned<Endpoint>, mistakes: &Mistakes) {
    let (bind, at) = (bind.get_ref(), bind.span());
    let allowed = match (protocol.grant.base(), bind) {
        (Grant::Ip(settings), Endpoint::Ip(to)) => to.port() == 0 || settings.policy.could_bind(*to),
        (Grant::Unix(settings), Endpoint::Unix(path)) => settings.may_bind(path).is_ok(),
        // Not of its kind, which is told elsewhere.
        (Grant::Ip(_) | Grant::Icmp(_) | Grant::Unix(_) | Grant::Over { .. }, _) => true,
    };
    if !allowed {
        let name = &protocol.name;
        let message = format!("bind: the policy of protocol `{name}` does not allow {bind}");
        mistakes.add(at, message, format!("add it to the `bind` of protocol `{name}`"));
    }
}
