//! Names and name servers: what guests' resolvers go by, once everybody's addresses are known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use toml::Spanned;

use super::super::address::{address_of, cidr_of, network};
use super::super::mistake::{Mistakes, quote};
use super::super::plan::{Action, Plan, ProtocolPlan, ServiceKind};
use super::super::spec::{KindSpec, ResolverSpec, ServerSpec, Spec};
use super::expand::Node;
use crate::dns::name::HostName;
use crate::dns::resolver::{DEFAULT_ATTEMPTS, DEFAULT_TIMEOUT, LabHost, Names, ResolverConfig};
use crate::dns::server::PORT;
use crate::network::InterfaceConfig;
use crate::network::ip::is_link_local;
use crate::protocol::policy::{Rule, Who};

/// Gives each of a plan's guests its resolver's settings.
pub(super) fn settle(plan: &mut Plan, spec: &Spec, guests: &[Node<'_>], mistakes: &Mistakes) {
    let mut names = names_of(plan);
    for host in &spec.hosts {
        let name = host.name.get_ref();
        if names.lab.contains_key(name) {
            let message = format!("hosts: `{name}` is a name of the lab already");
            mistakes.add(
                host.name.span(),
                message,
                "its guests and services are found by their names: leave it out",
            );
        }
        names.hosts.insert(name.clone(), host.addresses.clone());
    }
    let lab = spec.switches.iter().flat_map(|switch| switch.subnets.iter().flatten());
    names.subnets.extend(lab.map(|subnet| *subnet.get_ref()));
    for protocol in spec.guests.iter().flat_map(|guest| &guest.protocols) {
        if let Some(KindSpec::Ip { named, .. } | KindSpec::Icmp { named, .. }) = &protocol.kind {
            named.iter().for_each(|(key, rule)| check_rule(key, rule, &names, mistakes));
        }
    }
    let names = Arc::new(names);
    let servers = Servers::of(plan);
    // Replicas share theirs.
    let configs: Vec<Arc<ResolverConfig>> =
        spec.guests.iter().map(|guest| Arc::new(servers.config(&guest.resolver, &names, mistakes))).collect();
    // As they were, and as they are settled, of the first replica of each.
    let mut firsts: BTreeMap<usize, [Vec<ProtocolPlan>; 2]> = BTreeMap::new();
    for (guest, node) in plan.guests.iter_mut().zip(guests) {
        if let Some([before, settled]) = firsts.get(&node.spec)
            && *before == guest.protocols
        {
            guest.protocols = settled.clone();
            continue;
        }
        let before = guest.protocols.clone();
        for protocol in &mut guest.protocols {
            protocol.grant.settle(&configs[node.spec]);
        }
        firsts.insert(node.spec, [before, guest.protocols.clone()]);
    }
}

/// A rule by name of `bind` or `accept` is about addresses that are known without asking: another would never be met.
fn check_rule(key: &str, rule: &Spanned<Rule>, names: &Names, mistakes: &Mistakes) {
    let known = match &rule.get_ref().who {
        Who::Anybody | Who::Prefix(_) => true,
        Who::Name(name) => {
            name.is_localhost() || names.lab.contains_key(name) || names.hosts.contains_key(name)
        }
        Who::Below(domain) => names.hosts_below(domain).next().is_some(),
    };
    if known {
        return;
    }
    let message = format!("{key}: {} is about no name of the lab or of `hosts`", rule.get_ref());
    let help = match key {
        "bind" => {
            "no other leads to addresses of the guest's own: write addresses, or add the name to `hosts`"
        }
        _ => {
            "nobody is asked for the names of those who come in: write addresses, or add the name to `hosts`"
        }
    };
    mistakes.add(rule.span(), message, help);
}

/// The names, subnets and name servers of a plan.
pub(in super::super) fn names_of(plan: &Plan) -> Names {
    let guests = plan.guests.iter().map(|guest| (&guest.name, &guest.interfaces));
    let services = plan.services.iter().map(|service| (&service.name, &service.interfaces));
    let mut lab = BTreeMap::new();
    for (node, (name, interfaces)) in guests.clone().chain(services.clone()).enumerate() {
        if let Some(name) = HostName::parse(name) {
            lab.entry(name).or_insert_with(|| LabHost { node, given: addresses(interfaces) });
        }
    }
    let routers = plan.routers.iter().map(|router| &router.interfaces);
    let interfaces = guests.chain(services).map(|(_, interfaces)| interfaces).chain(routers).flatten();
    let rebound = plan.timeline.iter().filter_map(|entry| match &entry.action {
        Action::Rebind { addresses, .. } | Action::RebindRouter { addresses, .. } => Some(addresses),
        _ => None,
    });
    let cidrs = interfaces.map(|interface| &interface.addresses).chain(rebound).flatten();
    let subnets: BTreeSet<(IpAddr, u8)> =
        cidrs.map(|&cidr| network(cidr)).map(|subnet| (address_of(subnet), subnet.prefix_len())).collect();
    let dns = plan.services.iter().filter(|service| matches!(service.kind, ServiceKind::Dns(_)));
    Names {
        lab,
        hosts: BTreeMap::new(),
        subnets: subnets.into_iter().map(|(address, length)| cidr_of(address, length)).collect(),
        leads_out: !plan.taps.is_empty(),
        servers: dns.flat_map(|service| addresses(&service.interfaces)).collect(),
    }
}

/// Link-local ones are of use only to who has no others.
fn addresses(interfaces: &[InterfaceConfig]) -> Vec<IpAddr> {
    let all = interfaces.iter().flat_map(|interface| &interface.addresses).map(|&cidr| address_of(cidr));
    let reachable: Vec<IpAddr> = all.clone().filter(|&address| !is_link_local(address)).collect();
    if reachable.is_empty() { all.collect() } else { reachable }
}

/// The lab's own name servers, in file order.
struct Servers(Vec<(String, Vec<IpAddr>)>);

impl Servers {
    fn of(plan: &Plan) -> Servers {
        let dns = plan.services.iter().filter(|service| matches!(service.kind, ServiceKind::Dns(_)));
        Servers(dns.map(|service| (service.name.clone(), addresses(&service.interfaces))).collect())
    }

    fn config(&self, spec: &ResolverSpec, names: &Arc<Names>, mistakes: &Mistakes) -> ResolverConfig {
        let with_port = |addresses: &[IpAddr]| -> Vec<SocketAddr> {
            addresses.iter().map(|&address| SocketAddr::new(address, PORT)).collect()
        };
        let mut servers = Vec::new();
        match &spec.servers {
            None => servers.extend(self.0.iter().flat_map(|(_, addresses)| with_port(addresses))),
            Some(written) => {
                for server in written {
                    match server.get_ref() {
                        ServerSpec::Address(address) => servers.push(*address),
                        ServerSpec::Service(name) => match self.0.iter().find(|(other, _)| other == name) {
                            Some((_, addresses)) => servers.extend(with_port(addresses)),
                            None => {
                                let known = self.0.iter().map(|(name, _)| name.as_str());
                                let meant = mistakes.did_you_mean(name, known);
                                let help = if meant.is_empty() {
                                    "add [dns.NAME], or write an address".into()
                                } else {
                                    meant
                                };
                                let message = format!("servers: there is no dns {}", quote(name));
                                mistakes.add(server.span(), message, help);
                            }
                        },
                    }
                }
            }
        }
        ResolverConfig {
            names: Arc::clone(names),
            servers,
            heeds_network: spec.servers.is_none(),
            timeout: spec.timeout.unwrap_or(DEFAULT_TIMEOUT),
            attempts: spec.attempts.unwrap_or(DEFAULT_ATTEMPTS),
            private: spec.private.clone(),
        }
    }
}
