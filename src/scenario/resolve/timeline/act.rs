//! Actions that take some looking up: partitions, addresses, leases.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use smoltcp::config::IFACE_MAX_ADDR_COUNT;
use smoltcp::wire::IpCidr;
use toml::Spanned;

use super::{Name, Resolver};
use crate::network::ip::is_link_local;
use crate::scenario::address::address_of;
use crate::scenario::mistake::quote;
use crate::scenario::plan::{Action, DeviceRef};
use crate::scenario::resolve::addressing::MTU_MIN_V6;

impl Resolver<'_> {
    pub(super) fn partition(&self, sides: &[Vec<Name>]) -> Option<Vec<Vec<DeviceRef>>> {
        let mut sides_of = BTreeMap::new();
        let mut whole = true;
        let mut resolved = Vec::new();
        for (side, names) in sides.iter().enumerate() {
            let mut devices = Vec::new();
            for name in names {
                let named = match self.names.devices.get(name.get_ref().as_str()) {
                    Some(&device) => vec![device],
                    None => self.replicas(name.get_ref()).into_iter().map(DeviceRef::Guest).collect(),
                };
                if named.is_empty() {
                    self.unknown("partition", "device", name, self.names.devices.keys().copied());
                    whole = false;
                }
                let others: Vec<usize> =
                    named.iter().filter_map(|&device| sides_of.insert(device, side)).collect();
                if let Some(&other) = others.first() {
                    let message = match other == side {
                        true => format!("partition: {} stands on its side twice", quote(name.get_ref())),
                        false => format!("partition: {} stands on two sides", quote(name.get_ref())),
                    };
                    self.mistakes.add(name.span(), message, "each device is on one side, or on none");
                }
                devices.extend(named);
            }
            resolved.push(devices);
        }
        whole.then_some(resolved)
    }

    pub(super) fn rebind(
        &self,
        device: &Name,
        interface: &Name,
        addresses: &[Spanned<IpCidr>],
    ) -> Option<Action> {
        let router = match self.names.devices.get(device.get_ref().as_str()) {
            Some(&DeviceRef::Router(router)) if self.plan.routers[router].dhcp.is_none() => Some(router),
            Some(_) | None => None,
        };
        let (guest, of_device) = match router {
            Some(router) => (None, &self.plan.routers[router].interfaces),
            None => {
                let guest = self.guest("rebind", device)?;
                (Some(guest), &self.plan.guests[guest].interfaces)
            }
        };
        let wanted = interface.get_ref();
        let Some(index) = of_device.iter().position(|it| it.name == *wanted) else {
            self.unknown("rebind", "interface", interface, of_device.iter().map(|it| &*it.name));
            return None;
        };
        let mtu = of_device[index].mtu;
        let mut list: Vec<IpCidr> = Vec::new();
        for written in addresses {
            let cidr = *written.get_ref();
            if !address_of(cidr).is_ipv4() && mtu < MTU_MIN_V6 {
                let message = format!("rebind: {cidr} needs an MTU of {MTU_MIN_V6}, and {wanted} has {mtu}");
                self.mistakes.add(written.span(), message, "IPv6 needs links of 1280 bytes (RFC 8200)");
            }
            if list.iter().any(|other| other.address() == cidr.address()) {
                let message = format!("rebind: {} stands there twice", cidr.address());
                self.mistakes.add(written.span(), message, "each address once");
            }
            list.push(cidr);
        }
        // The link-local address stays, unless another is named.
        if !list.iter().any(|&cidr| is_link_local(address_of(cidr))) {
            let own = of_device[index].addresses.iter().find(|&&cidr| is_link_local(address_of(cidr)));
            list.extend(own);
        }
        if let Some(last) = addresses.last().filter(|_| list.len() > IFACE_MAX_ADDR_COUNT) {
            let message = format!("rebind: {} addresses", list.len());
            let help = format!("at most {IFACE_MAX_ADDR_COUNT}, the IPv6 link-local address among them");
            self.mistakes.add(last.span(), message, help);
        }
        let (interface, addresses) = (index, list);
        match (guest, router) {
            (Some(guest), _) => Some(Action::Rebind { guest, interface, addresses }),
            (None, router) => Some(Action::RebindRouter { router: router?, interface, addresses }),
        }
    }

    pub(super) fn dhcp(
        &self,
        server: &Name,
        range: Option<&Spanned<(Ipv4Addr, Ipv4Addr)>>,
        revoke: &[Name],
    ) -> Option<Action> {
        let servers = || self.plan.routers.iter().filter(|router| router.dhcp.is_some());
        let found = self.plan.routers.iter().position(|it| it.dhcp.is_some() && it.name == *server.get_ref());
        let Some(router) = found else {
            self.unknown("dhcp", "DHCP server", server, servers().map(|it| &*it.name));
            return None;
        };
        if let (Some(range), Some(config)) = (range, &self.plan.routers[router].dhcp)
            && !(config.own.contains_addr(&range.get_ref().0) && config.own.contains_addr(&range.get_ref().1))
        {
            let message = format!("range: is not within {}", config.own.network());
            self.mistakes.add(range.span(), message, "a range of the server's own subnet");
        }
        let guests = self.guests("revoke", revoke)?;
        let macs = guests.into_iter().flat_map(|guest| &self.plan.guests[guest].interfaces).map(|it| it.mac);
        Some(Action::Dhcp { router, range: range.map(|range| *range.get_ref()), revoke: macs.collect() })
    }
}
