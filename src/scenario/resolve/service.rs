//! What services do: the zones of DNS servers, with the addresses that guests got.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hickory_proto::rr::{Name, Record};

use super::super::address::address_of;
use super::super::mistake::{Mistakes, quote};
use super::super::plan::{GuestPlan, ServiceKind};
use super::super::spec::{DnsSpec, ServiceKindSpec, ServiceSpec};
use crate::dns::zone::{Zone, Zones};
use crate::network::InterfaceConfig;
use crate::network::ip::is_link_local;

pub(super) fn kind(spec: &ServiceSpec, guests: &[GuestPlan], mistakes: &Mistakes) -> ServiceKind {
    match &spec.kind {
        ServiceKindSpec::Dns(dns) => ServiceKind::Dns(zones(dns, guests, mistakes)),
        ServiceKindSpec::Directory => ServiceKind::Directory,
    }
}

/// The addresses by which a node can be reached from other subnets.
fn reachable(interfaces: &[InterfaceConfig]) -> Vec<IpAddr> {
    let addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
    addresses.map(|&cidr| address_of(cidr)).filter(|&address| !is_link_local(address)).collect()
}

fn zones(dns: &DnsSpec, guests: &[GuestPlan], mistakes: &Mistakes) -> Zones {
    let by_name: BTreeMap<&str, (usize, &GuestPlan)> =
        guests.iter().enumerate().map(|(node, guest)| (&*guest.name, (node, guest))).collect();
    let mut zones = Vec::new();
    for spec in &dns.zones {
        let mut zone = Zone::new(spec.origin.get_ref(), dns.negative_ttl);
        for owner in &spec.owners {
            let ttl = owner.ttl.unwrap_or(dns.ttl);
            let written = owner.records.iter();
            written.for_each(|data| zone.insert(Record::from_rdata(owner.name.clone(), ttl, data.clone())));
            for name in &owner.guests {
                let Some(&(node, guest)) = by_name.get(name.get_ref().as_str()) else {
                    let meant = mistakes.did_you_mean(name.get_ref(), by_name.keys().copied());
                    let message = format!("guest: there is no guest {}", quote(name.get_ref()));
                    mistakes.add(name.span(), message, meant);
                    continue;
                };
                zone.insert_host(&owner.name, ttl, node, reachable(&guest.interfaces));
            }
        }
        zones.push(zone);
    }
    if let Some(domain) = dns.guests.as_ref().map(|domain| domain.get_ref()) {
        let written: BTreeSet<&Name> =
            dns.zones.iter().flat_map(|zone| &zone.owners).map(|owner| &owner.name).collect();
        let at = zones.iter().position(|zone| **zone.origin() == *domain);
        let at = at.unwrap_or_else(|| {
            zones.push(Zone::new(domain, dns.negative_ttl));
            zones.len() - 1
        });
        for (node, guest) in guests.iter().enumerate() {
            // A name that is too long below this domain cannot be asked for. One that the zone has is its own.
            let Ok(name) = domain.prepend_label(guest.name.as_bytes()) else { continue };
            if !written.contains(&name) {
                zones[at].insert_host(&name, dns.ttl, node, reachable(&guest.interfaces));
            }
        }
    }
    Zones::new(zones)
}
