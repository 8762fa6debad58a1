//! Guests with a `count` become that many.

use std::ops::Range;

use toml::Spanned;

use super::super::mistake::Mistakes;
use super::super::read::check_name;
use super::super::spec::{
    DhcpSpec, GUESTS_MAX, GuestSpec, InterfaceSpec, ProtocolSpec, RouterSpec, RoutingSpec, ServiceKindSpec,
    ServiceSpec,
};

/// What a lab's plan may take in memory, roughly: a small file can ask for a hundred thousand copies
/// of a large guest.
const PLAN_BYTES_MAX: u64 = 1 << 30;

/// A guest, a router or a service, with what they have in common.
pub(super) struct Node<'a> {
    pub name: String,
    /// Where it is named.
    pub at: Range<usize>,
    /// As messages call it: replicas share one.
    pub what: String,
    pub interfaces: &'a [InterfaceSpec],
    pub routing: &'a RoutingSpec,
    /// Where its interfaces begin in the lab's list of them.
    pub first_interface: usize,
    /// Index of the table it is made from, and its number among that table's replicas if it has any.
    pub spec: usize,
    pub replica: Option<u64>,
    /// Its port has its own name: all guests and DHCP servers, whose `eth0` need not be named.
    pub plain: bool,
}

impl Node<'_> {
    /// Whether its interface of that name is on the network of Unix-domain sockets.
    pub fn is_unix(&self, interface: &str) -> bool {
        self.interfaces.iter().any(|spec| spec.unix && spec.name.get_ref() == interface)
    }
}

/// DHCP servers have no routes.
static NO_ROUTES: RoutingSpec = RoutingSpec { routes: Vec::new(), given: false };

/// All guests; the routers, then the DHCP servers; the services. `None` if there would be too many.
pub(super) fn expand<'a>(
    guests: &'a [GuestSpec],
    routers: &'a [RouterSpec],
    servers: &'a [DhcpSpec],
    services: &'a [ServiceSpec],
    mistakes: &Mistakes,
) -> Option<[Vec<Node<'a>>; 3]> {
    check_size(guests, mistakes)?;
    let mut first_interface = 0;
    let mut node =
        |name: String, at, what: String, interfaces: &'a [InterfaceSpec], routing, spec, replica| {
            let plain = true;
            let node = Node { name, at, what, interfaces, routing, first_interface, spec, replica, plain };
            first_interface += interfaces.len();
            node
        };
    let mut nodes = Vec::new();
    for (index, guest) in guests.iter().enumerate() {
        let base = guest.name.get_ref();
        let what = || format!("guest `{base}`");
        let Some(count) = &guest.count else {
            nodes.push(node(
                base.clone(),
                guest.name.span(),
                what(),
                &guest.interfaces,
                &guest.routing,
                index,
                None,
            ));
            continue;
        };
        check_replicas(guest, mistakes);
        for replica in 0..*count.get_ref() {
            let name = format!("{base}-{replica}");
            let at = guest.name.span();
            nodes.push(node(name, at, what(), &guest.interfaces, &guest.routing, index, Some(replica)));
        }
    }
    let mut one = |named: &Spanned<String>, kind: &str, interfaces, routing, index| {
        let name = named.get_ref().clone();
        let what = format!("{kind} `{name}`");
        node(name, named.span(), what, interfaces, routing, index, None)
    };
    let mut others: Vec<Node<'a>> = Vec::new();
    for (index, it) in routers.iter().enumerate() {
        let router = one(&it.name, "router", &it.interfaces, &it.routing, index);
        others.push(Node { plain: false, ..router });
    }
    for (index, it) in servers.iter().enumerate() {
        others.push(one(&it.name, "DHCP server", &it.interfaces, &NO_ROUTES, index));
    }
    let services = services.iter().enumerate();
    let services = services.map(|(index, it)| {
        let kind = match it.kind {
            ServiceKindSpec::Dns(_) => "dns",
            ServiceKindSpec::Directory => "directory",
        };
        one(&it.name, kind, &it.interfaces, &it.routing, index)
    });
    let services = services.collect();
    Some([nodes, others, services])
}

fn check_size(guests: &[GuestSpec], mistakes: &Mistakes) -> Option<()> {
    let (mut total, mut bytes) = (0u64, 0u64);
    for guest in guests {
        let count = guest.count.as_ref().map_or(1, |count| *count.get_ref());
        total = total.saturating_add(count);
        bytes = bytes.saturating_add(count.saturating_mul(weight(guest)));
        let at = guest.count.as_ref().map_or(guest.name.span(), |count| count.span());
        if total > GUESTS_MAX {
            mistakes.add(
                at,
                format!("more than {GUESTS_MAX} guests"),
                "a machine runs out of memory mappings before",
            );
            return None;
        }
        if bytes > PLAN_BYTES_MAX {
            let help = "shorten what each replica carries: arguments, environment, interfaces";
            mistakes.add(at, "so many copies of so large a guest would not fit into memory", help);
            return None;
        }
    }
    Some(())
}

/// Bytes of one guest's plan, roughly.
fn weight(guest: &GuestSpec) -> u64 {
    use super::super::plan::StdinPlan;
    let strings: usize = guest.args.iter().map(|text| text.get_ref().len()).sum::<usize>()
        + guest.env.iter().map(|(name, value)| name.len() + value.get_ref().len()).sum::<usize>()
        + guest
            .directories
            .iter()
            .map(|dir| dir.get_ref().guest.len() + dir.get_ref().host.as_os_str().len())
            .sum::<usize>()
        + guest.module.as_ref().map_or(0, |module| module.get_ref().as_os_str().len())
        + match guest.stdin.as_ref().map(|stdin| stdin.get_ref()) {
            Some(StdinPlan::Text(text)) => text.len(),
            Some(StdinPlan::File(path)) => path.as_os_str().len(),
            Some(StdinPlan::Empty | StdinPlan::Inherit) | None => 0,
        };
    let rules: usize = guest.protocols.iter().map(ProtocolSpec::rule_count).sum();
    let things = guest.args.len()
        + 2 * guest.env.len()
        + 2 * guest.directories.len()
        + 4 * guest.listeners.len()
        + 5 * guest.connections.len()
        + 4 * guest.protocols.len()
        + 2 * guest.routing.routes.len()
        + rules
        + guest.interfaces.iter().map(|spec| 16 + spec.addresses.as_ref().map_or(0, Vec::len)).sum::<usize>();
    u64::try_from(1024 + strings + 48 * things).unwrap_or(u64::MAX)
}

/// What a guest with replicas cannot have, since each would have the same.
fn check_replicas(guest: &GuestSpec, mistakes: &Mistakes) {
    let Some(count) = &guest.count else { return };
    let last = format!("{}-{}", guest.name.get_ref(), count.get_ref() - 1);
    if check_name(guest.name.get_ref()).is_ok() && check_name(&last).is_err() {
        let message = format!("the last replica's name, `{last}`, is too long");
        mistakes.add(guest.name.span(), message, "names are at most 32 characters");
    }
    if *count.get_ref() == 1 {
        return;
    }
    for spec in &guest.interfaces {
        let help = "replicas get theirs automatically, out of the switch's `subnets`";
        if let Some(first) = spec.addresses.iter().flatten().next() {
            mistakes.add(first.span(), "replicas of a guest cannot all have the same address", help);
        }
        if let Some(mac) = &spec.mac {
            mistakes.add(mac.span(), "replicas of a guest cannot all have the same MAC address", help);
        }
    }
}
