//! An interface's addresses change while the stack is at work.
//!
//! Connections from an address that is gone are over: smoltcp sends nothing from there any more, and their holders
//! find that they timed out (Linux would let them try in vain for a quarter of an hour first). Their peers hear
//! nothing. Flows of datagrams from there are over as well: they hear nothing more, a read tells so once
//! (`AddressNotAvailable`) and a write each time, and their holder may open another. Listeners
//! on the wildcard address go on at the new ones. Neighbours are told by a gratuitous ARP request
//! (RFC 5227) or an unsolicited neighbour advertisement (RFC 4861, 7.2.6).

use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use super::Stack;
use crate::network::ip::arp;
use crate::network::ip::ndp::{ALL_NODES, FLAG_OVERRIDE, advertisement, finish, group_mac};
use crate::time::Instant;

impl Stack {
    /// Gives interface `index` these addresses in place of those that it was given.
    pub fn rebind(&mut self, now: Instant, index: usize, addresses: &[IpCidr]) {
        self.regive(now, index, addresses);
    }

    /// Whether the addresses of an interface have changed since the last call.
    pub fn take_readdressed(&mut self) -> bool {
        std::mem::take(&mut self.readdressed)
    }

    /// What interface `index` has from now on.
    pub(super) fn set_addresses(&mut self, index: usize, addresses: &[IpCidr]) {
        let before = std::mem::replace(&mut self.interfaces[index].addresses, addresses.to_vec());
        self.readdressed |= before != addresses;
        self.nics[index].rebind(addresses);
        if let Some(loopback) = self.loopback {
            let own: Vec<IpCidr> = self.addresses().collect();
            self.nics[loopback].rebind_loopback(&own);
        }
        for id in self.connections.ids().collect::<Vec<_>>() {
            // smoltcp looks at its address when it is polled.
            if self.connections.get(id).is_some_and(|connection| !self.is_own(connection.tuple.local.ip())) {
                self.mark_dirty(id);
            }
        }
        self.udp_addresses_gone(|gone| {
            before.iter().any(|cidr| cidr.address() == gone)
                && !addresses.iter().any(|cidr| cidr.address() == gone)
        });
        for cidr in addresses.iter().filter(|cidr| !before.contains(cidr)) {
            let address = cidr.address();
            if !self.is_unannounced(index, address.into()) {
                self.announce(index, address);
            }
        }
    }

    /// Tells neighbours of an address.
    pub(super) fn announce(&mut self, index: usize, address: IpAddress) {
        let mac = self.interfaces[index].mac;
        match address {
            IpAddress::Ipv4(address) => {
                self.transmit_arp(index, EthernetAddress::BROADCAST, arp::request(mac, address, address));
            }
            IpAddress::Ipv6(address) => {
                let message = advertisement(address, FLAG_OVERRIDE, mac);
                self.transmit_ndp(index, group_mac(ALL_NODES), &finish(address, ALL_NODES, message));
            }
        }
    }
}
